-- One row: is standard_conforming_strings off, for this session or by a setting of a role or of a
-- database; how many roles and databases have a line break in their names. PostgreSQL 19 refuses both.
SELECT (
        SELECT reset_val = 'off'
        FROM pg_catalog.pg_settings
        WHERE name = 'standard_conforming_strings'
    ) OR EXISTS (
        SELECT FROM pg_catalog.pg_db_role_setting
        WHERE setconfig && ARRAY['standard_conforming_strings=off', 'standard_conforming_strings=false',
            'standard_conforming_strings=no', 'standard_conforming_strings=0']
    ) AS strings_with_backslashes,
    (
        SELECT pg_catalog.count(*)
        FROM (
            SELECT rolname AS name FROM pg_catalog.pg_roles
            UNION ALL SELECT datname FROM pg_catalog.pg_database
        ) AS named
        WHERE pg_catalog.strpos(name::text, pg_catalog.chr(10)) > 0
            OR pg_catalog.strpos(name::text, pg_catalog.chr(13)) > 0
    ) AS names_with_line_breaks
