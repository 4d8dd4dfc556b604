-- One row: whether any table here has a column of type money, or of an array of it.
SELECT EXISTS (
  SELECT
  FROM pg_catalog.pg_attribute AS attribute
  JOIN pg_catalog.pg_class AS class ON class.oid = attribute.attrelid
  WHERE class.relkind = 'r'
    AND NOT attribute.attisdropped
    AND attribute.atttypid IN (
      'pg_catalog.money'::pg_catalog.regtype, 'pg_catalog.money[]'::pg_catalog.regtype
    )
)
