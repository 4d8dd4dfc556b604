-- One row: the size of a database with its indexes, in bytes.
SELECT pg_catalog.pg_database_size(%(name)s::pg_catalog.name)
