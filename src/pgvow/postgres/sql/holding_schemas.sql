-- One row a schema whose name fits a pattern and that we may drop: name.
SELECT nspname
FROM pg_catalog.pg_namespace
WHERE nspname ~ %(pattern)s AND pg_catalog.pg_has_role(nspowner, 'USAGE')
