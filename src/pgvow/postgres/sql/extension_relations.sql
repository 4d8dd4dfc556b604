-- One row an object of an extension, a foreign table, or the schema public, that other objects may lean
-- on as only its owner may (a foreign key, an index, a partition, rows): keyword for ALTER, schema (NULL
-- for a schema), name, owner.
SELECT 'SCHEMA' AS kind, NULL AS schema, namespace.nspname AS name, pg_catalog.pg_get_userbyid(namespace.nspowner) AS owner
FROM pg_catalog.pg_namespace AS namespace
WHERE namespace.nspname = 'public' OR EXISTS (
  SELECT FROM pg_catalog.pg_depend AS dependency
  WHERE dependency.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
    AND dependency.objid = namespace.oid AND dependency.deptype = 'e'
)
UNION ALL
SELECT
  CASE relation.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
  namespace.nspname, relation.relname, pg_catalog.pg_get_userbyid(relation.relowner)
FROM pg_catalog.pg_class AS relation
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = relation.relnamespace
WHERE relation.relkind IN ('r', 'p', 'S', 'f')
  AND (relation.relkind = 'f' OR EXISTS (
    SELECT FROM pg_catalog.pg_depend AS dependency
    WHERE dependency.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
      AND dependency.objid = relation.oid AND dependency.deptype = 'e'
  ))
  -- A sequence of a table's goes with the table.
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend AS dependency
    WHERE dependency.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
      AND dependency.objid = relation.oid AND dependency.deptype IN ('a', 'i')
      AND dependency.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
  )
