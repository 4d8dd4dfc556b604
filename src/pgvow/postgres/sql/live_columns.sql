-- One row a column of the table %(oid)s that COPY has, in the table's order: name, whether it is GENERATED
-- ALWAYS AS IDENTITY, and whether its text depends on lc_monetary. Generated columns are computed, not copied.
SELECT
  attribute.attname AS name,
  attribute.attidentity = 'a' AS is_always,
  attribute.atttypid IN (
    'pg_catalog.money'::pg_catalog.regtype, 'pg_catalog.money[]'::pg_catalog.regtype
  ) AS is_money
FROM pg_catalog.pg_attribute AS attribute
WHERE attribute.attrelid = %(oid)s
  AND attribute.attnum > 0
  AND NOT attribute.attisdropped
  AND attribute.attgenerated = ''
ORDER BY attribute.attnum
