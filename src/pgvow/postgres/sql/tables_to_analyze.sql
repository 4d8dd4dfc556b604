-- One row a table or materialized view of this database whose rows are on this server: schema, name.
SELECT namespace.nspname AS schema, class.relname AS name
FROM pg_catalog.pg_class AS class
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
WHERE class.relkind IN ('r', 'm', 'p')
  AND class.relpersistence <> 't'
  AND namespace.nspname <> 'information_schema'
ORDER BY namespace.nspname COLLATE "C", class.relname COLLATE "C"
