-- One row a column of a table's primary key, in its order: name.
SELECT attribute.attname
FROM pg_catalog.pg_index AS index
JOIN pg_catalog.pg_class AS class ON class.oid = index.indrelid
JOIN pg_catalog.pg_namespace AS schema ON schema.oid = class.relnamespace
CROSS JOIN LATERAL pg_catalog.unnest(index.indkey) WITH ORDINALITY AS key (number, place)
JOIN pg_catalog.pg_attribute AS attribute
  ON attribute.attrelid = index.indrelid AND attribute.attnum = key.number
WHERE schema.nspname = %(schema)s AND class.relname = %(name)s AND index.indisprimary
  AND key.place <= index.indnkeyatts
ORDER BY key.place
