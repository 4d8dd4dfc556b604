-- One row a table of this database that finished transactions have put rows into: schema, name, how many.
-- A session makes that known about a second later.
SELECT
  namespace.nspname AS schema,
  class.relname AS name,
  pg_catalog.pg_stat_get_tuples_inserted(class.oid) AS rows
FROM pg_catalog.pg_class AS class
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
WHERE class.relkind = 'r'
  AND namespace.nspname !~ '^pg_'
  AND namespace.nspname <> 'information_schema'
  AND pg_catalog.pg_stat_get_tuples_inserted(class.oid) > 0
