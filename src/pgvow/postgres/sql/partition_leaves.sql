-- One row a table that holds rows of a table or of its partitions: oid, schema and name.
SELECT class.oid, schema.nspname, class.relname
FROM pg_catalog.pg_class AS class
JOIN pg_catalog.pg_namespace AS schema ON schema.oid = class.relnamespace
WHERE class.relkind = 'r'
  AND (
    class.oid = %(table)s
    OR class.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(%(table)s::pg_catalog.regclass))
  )
ORDER BY class.oid
