-- One row a table that pg_dump locks or whose rows it copies, by schema and name: oid, schema, name,
-- whether its rows are dumped, the filter of an extension's configuration table (else ''), the bytes
-- of its heap as the last VACUUM or ANALYZE had them: asking for the true size (pg_table_size)
-- would take a lock, and wait for whoever holds the table; and the column that costs least to be
-- copied, '' if COPY has no column of it: of fixed length, for then nothing is read from TOAST; and
-- whether even that one is of no fixed length.
-- Tables of an extension belong to it and are left out, but for those it registered as configuration
-- (pg_extension.extconfig), which pg_dump filters by extcondition. Partitioned parents hold no rows.
-- On a standby unlogged tables have none to read, and pg_dump passes them over.
SELECT
  class.oid,
  namespace.nspname AS schema,
  class.relname AS name,
  class.relkind = 'r'
    AND (class.relpersistence <> 'u' OR NOT pg_catalog.pg_is_in_recovery()) AS has_rows,
  COALESCE(config.condition, '') AS filter,
  GREATEST(class.relpages, 0)::bigint
    * pg_catalog.current_setting('block_size')::bigint AS size_bytes,
  COALESCE(narrowest.name, '') AS narrowest,
  COALESCE(narrowest.length < 0, false) AS narrowest_varies
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
LEFT JOIN LATERAL (
  SELECT attribute.attname AS name, attribute.attlen AS length
  FROM pg_catalog.pg_attribute AS attribute
  WHERE attribute.attrelid = class.oid
    AND attribute.attnum > 0
    AND NOT attribute.attisdropped
    AND attribute.attgenerated = ''
  ORDER BY
    attribute.attlen > 0 DESC,
    attribute.attlen,
    attribute.attstorage = 'm' DESC,
    attribute.attnum
  LIMIT 1
) AS narrowest ON true
WHERE class.relkind IN ('r', 'p')
  AND class.relpersistence <> 't'
  AND CASE
    WHEN membership.refobjid IS NOT NULL THEN config.condition IS NOT NULL
    ELSE namespace.nspname !~ '^pg_' AND namespace.nspname <> 'information_schema'
  END
ORDER BY namespace.nspname COLLATE "C", class.relname COLLATE "C"
