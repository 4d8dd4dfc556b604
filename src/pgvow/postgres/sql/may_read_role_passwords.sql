-- One row: whether our role may read the password hashes of roles, as pg_dumpall does.
SELECT pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT')
