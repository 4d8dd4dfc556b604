-- One row a sequence: schema, name.
SELECT namespace.nspname AS schema, class.relname AS name
FROM pg_catalog.pg_class AS class
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
WHERE class.relkind = 'S' AND class.relpersistence <> 't'
