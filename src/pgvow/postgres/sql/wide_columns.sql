-- The columns of one table whose values may be of any length, in order: name, and how many bytes of
-- COPY text a value has: 'twice' its own (bytea), its 'own' (text), or about as many as are
-- 'stored' (others).
-- Rows are named without being read: none of these unpacks what TOAST holds.
SELECT
  attribute.attname AS name,
  CASE
    WHEN type.oid = 'pg_catalog.bytea'::pg_catalog.regtype THEN 'twice'
    WHEN type.typcategory = 'S' THEN 'own'
    ELSE 'stored'
  END AS measure
FROM pg_catalog.pg_attribute AS attribute
JOIN pg_catalog.pg_type AS named ON named.oid = attribute.atttypid
JOIN pg_catalog.pg_type AS type
  ON type.oid = COALESCE(NULLIF(named.typbasetype, 0), named.oid)
WHERE attribute.attrelid = %(table)s
  AND attribute.attnum > 0
  AND NOT attribute.attisdropped
  AND type.typlen = -1
ORDER BY attribute.attnum
