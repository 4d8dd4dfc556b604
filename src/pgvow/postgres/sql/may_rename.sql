-- At most one row: whether we may rename a database, as its owner who may create databases.
SELECT pg_catalog.pg_has_role(database.datdba, 'USAGE') AND (own.rolcreatedb OR own.rolsuper)
FROM pg_catalog.pg_database AS database
JOIN pg_catalog.pg_roles AS own ON own.rolname = current_user
WHERE database.datname = %(name)s
