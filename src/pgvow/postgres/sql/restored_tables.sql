-- One row a table whose rows can be compared with a dump's, by schema and name: oid, schema, name,
-- whether it is the root or a branch of partitions, its root's oid where it is a partition (else
-- NULL), the filter of an extension's configuration table (else ''), and whether it belongs to an
-- extension. tables.sql has why which tables are left out.
SELECT
  class.oid,
  namespace.nspname AS schema,
  class.relname AS name,
  class.relkind = 'p' AS is_partitioned,
  CASE WHEN class.relispartition THEN pg_catalog.pg_partition_root(class.oid)::oid END AS root,
  COALESCE(config.condition, '') AS filter,
  membership.refobjid IS NOT NULL AS is_member
FROM pg_catalog.pg_class AS class
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
LEFT JOIN pg_catalog.pg_depend AS membership
  ON membership.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
  AND membership.objid = class.oid
  AND membership.objsubid = 0
  AND membership.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
  AND membership.deptype = 'e'
LEFT JOIN LATERAL (
  SELECT extension.extcondition[position] AS condition
  FROM
    pg_catalog.pg_extension AS extension,
    pg_catalog.generate_subscripts(extension.extconfig, 1) AS position
  WHERE extension.oid = membership.refobjid AND extension.extconfig[position] = class.oid
) AS config ON true
WHERE class.relkind IN ('r', 'p')
  AND class.relpersistence <> 't'
  AND CASE
    WHEN membership.refobjid IS NOT NULL THEN config.condition IS NOT NULL
    ELSE namespace.nspname !~ '^pg_' AND namespace.nspname <> 'information_schema'
  END
ORDER BY namespace.nspname COLLATE "C", class.relname COLLATE "C"
