-- One row a sequence that a default of these tables names and that belongs to no column of them: its
-- oid, schema and name, and the schema, table and column of one such default.
SELECT DISTINCT ON (sequence.oid)
  sequence.oid, own.nspname, sequence.relname, schema.nspname, class.relname, attribute.attname
FROM pg_catalog.pg_attrdef AS value
JOIN pg_catalog.pg_depend AS link
  ON link.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
  AND link.objid = value.oid
  AND link.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
JOIN pg_catalog.pg_class AS sequence ON sequence.oid = link.refobjid AND sequence.relkind = 'S'
JOIN pg_catalog.pg_namespace AS own ON own.oid = sequence.relnamespace
JOIN pg_catalog.pg_class AS class ON class.oid = value.adrelid
JOIN pg_catalog.pg_namespace AS schema ON schema.oid = class.relnamespace
JOIN pg_catalog.pg_attribute AS attribute
  ON attribute.attrelid = value.adrelid AND attribute.attnum = value.adnum
WHERE value.adrelid = ANY (%(tables)s::pg_catalog.oid[])
  AND NOT EXISTS (
    SELECT
    FROM pg_catalog.pg_depend AS owner
    WHERE owner.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
      AND owner.objid = sequence.oid
      AND owner.deptype IN ('a', 'i')
      AND owner.refobjid = ANY (%(tables)s::pg_catalog.oid[])
  )
ORDER BY sequence.oid, class.relname
