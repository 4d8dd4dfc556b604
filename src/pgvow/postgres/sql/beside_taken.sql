-- One row a name of a schema that no new table, index, sequence or statistics object could have: name.
SELECT class.relname
FROM pg_catalog.pg_class AS class
JOIN pg_catalog.pg_namespace AS schema ON schema.oid = class.relnamespace
WHERE schema.nspname = %(schema)s
UNION
SELECT type.typname
FROM pg_catalog.pg_type AS type
JOIN pg_catalog.pg_namespace AS schema ON schema.oid = type.typnamespace
-- The server names a table's array type otherwise if its name is taken.
WHERE schema.nspname = %(schema)s AND type.typelem = 0
UNION
SELECT statistics.stxname
FROM pg_catalog.pg_statistic_ext AS statistics
JOIN pg_catalog.pg_namespace AS schema ON schema.oid = statistics.stxnamespace
WHERE schema.nspname = %(schema)s
