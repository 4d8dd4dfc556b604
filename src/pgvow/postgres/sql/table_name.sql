-- The oid, schema and name of one table, which is given by its oid or by its quoted name.
SELECT class.oid, namespace.nspname, class.relname
FROM pg_catalog.pg_class AS class
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
WHERE class.oid = %(table)s::pg_catalog.regclass
