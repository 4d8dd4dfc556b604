-- One row a condition on the rows of a table that can be set aside: kind ('check', 'domain', 'not null',
-- 'generated'), schema and name of the table or domain that has it, name of the constraint or column,
-- and its definition (of a generated column: type, collation and expression).
WITH RECURSIVE target AS (
  SELECT relation.oid
  FROM pg_catalog.pg_class AS relation
  JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = relation.relnamespace
  WHERE namespace.nspname = %(schema)s AND relation.relname = %(table)s
), above AS (
  SELECT oid FROM target
  UNION
  SELECT inherits.inhparent
  FROM pg_catalog.pg_inherits AS inherits JOIN above ON inherits.inhrelid = above.oid
), domains AS (
  SELECT attribute.atttypid AS oid
  FROM pg_catalog.pg_attribute AS attribute JOIN target ON target.oid = attribute.attrelid
  WHERE attribute.attnum > 0 AND NOT attribute.attisdropped
  UNION
  SELECT CASE type.typtype WHEN 'd' THEN type.typbasetype ELSE type.typelem END
  FROM pg_catalog.pg_type AS type JOIN domains ON domains.oid = type.oid
  WHERE type.typtype = 'd' OR type.typelem <> 0
)
SELECT 1 AS rank, 'check' AS kind, namespace.nspname AS schema, relation.relname AS name,
  held.conname AS part, pg_catalog.pg_get_constraintdef(held.oid) AS definition
FROM pg_catalog.pg_constraint AS held
JOIN above ON above.oid = held.conrelid
JOIN pg_catalog.pg_class AS relation ON relation.oid = held.conrelid
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = relation.relnamespace
WHERE held.contype = 'c' AND held.coninhcount = 0
UNION ALL
SELECT 2, 'domain', namespace.nspname, type.typname, held.conname, pg_catalog.pg_get_constraintdef(held.oid)
FROM pg_catalog.pg_constraint AS held
JOIN domains ON domains.oid = held.contypid
JOIN pg_catalog.pg_type AS type ON type.oid = held.contypid
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = type.typnamespace
WHERE held.contype = 'c'
UNION ALL
SELECT 3, 'not null', namespace.nspname, relation.relname, attribute.attname, 'NOT NULL'
FROM pg_catalog.pg_attribute AS attribute
JOIN target ON target.oid = attribute.attrelid
JOIN pg_catalog.pg_class AS relation ON relation.oid = attribute.attrelid
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = relation.relnamespace
WHERE attribute.attnotnull AND attribute.attnum > 0 AND NOT attribute.attisdropped
  AND attribute.attidentity = '' AND attribute.attinhcount = 0
UNION ALL
SELECT 4, 'generated', namespace.nspname, relation.relname, attribute.attname,
  pg_catalog.format_type(attribute.atttypid, attribute.atttypmod)
  || CASE WHEN attribute.attcollation <> type.typcollation
       THEN ' COLLATE ' || attribute.attcollation::pg_catalog.regcollation::pg_catalog.text ELSE '' END
  || ' GENERATED ALWAYS AS (' || pg_catalog.pg_get_expr(held.adbin, held.adrelid) || ') STORED'
  || CASE WHEN attribute.attnotnull THEN ' NOT NULL' ELSE '' END
FROM pg_catalog.pg_attribute AS attribute
JOIN target ON target.oid = attribute.attrelid
JOIN pg_catalog.pg_attrdef AS held
  ON held.adrelid = attribute.attrelid AND held.adnum = attribute.attnum
JOIN pg_catalog.pg_type AS type ON type.oid = attribute.atttypid
JOIN pg_catalog.pg_class AS relation ON relation.oid = attribute.attrelid
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = relation.relnamespace
WHERE attribute.attgenerated = 's' AND NOT attribute.attisdropped AND attribute.attinhcount = 0
ORDER BY rank, schema, name, part
