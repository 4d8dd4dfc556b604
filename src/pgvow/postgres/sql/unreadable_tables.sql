-- One row a table or sequence that a backup reads and our role may not: schema, name.
-- What belongs to an extension is left out, but for its configuration tables: tables.sql has why.
SELECT namespace.nspname AS schema, class.relname AS name
FROM pg_catalog.pg_class AS class
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
WHERE class.relkind IN ('r', 'p', 'S')
  AND namespace.nspname !~ '^pg_'
  AND namespace.nspname <> 'information_schema'
  AND NOT EXISTS (
    SELECT
    FROM pg_catalog.pg_depend AS membership
    JOIN pg_catalog.pg_extension AS extension ON extension.oid = membership.refobjid
    WHERE membership.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
      AND membership.objid = class.oid
      AND membership.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
      AND membership.deptype = 'e'
      AND class.oid <> ALL (COALESCE(extension.extconfig, '{}'))
  )
  AND NOT (
    pg_catalog.has_schema_privilege(namespace.oid, 'USAGE')
    AND pg_catalog.has_table_privilege(class.oid, 'SELECT')
  )
ORDER BY 1, 2
