-- One row a unique index of the table %(oid)s by which each row has one key: columns, and for each the operator
-- that its operator class calls equal, with its schema. The primary key first, then those of fewest columns.
SELECT
  pg_catalog.array_agg(attribute.attname::text ORDER BY key.position) AS columns,
  pg_catalog.array_agg(
    'OPERATOR(' || pg_catalog.quote_ident(namespace.nspname) || '.' || operator.oprname || ')'
    ORDER BY key.position
  ) AS operators
FROM pg_catalog.pg_index AS index
CROSS JOIN LATERAL pg_catalog.generate_series(0, index.indnkeyatts - 1) AS key (position)
JOIN pg_catalog.pg_attribute AS attribute
  ON attribute.attrelid = index.indrelid AND attribute.attnum = index.indkey[key.position]
JOIN pg_catalog.pg_opclass AS opclass ON opclass.oid = index.indclass[key.position]
JOIN pg_catalog.pg_am AS method ON method.oid = opclass.opcmethod AND method.amname = 'btree'
JOIN pg_catalog.pg_amop AS equality
  ON equality.amopfamily = opclass.opcfamily
  AND equality.amoplefttype = opclass.opcintype
  AND equality.amoprighttype = opclass.opcintype
  AND equality.amopstrategy = 3
JOIN pg_catalog.pg_operator AS operator ON operator.oid = equality.amopopr
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = operator.oprnamespace
WHERE index.indrelid = %(oid)s
  AND index.indisunique
  AND index.indisvalid
  AND index.indpred IS NULL
  AND index.indexprs IS NULL
GROUP BY index.indexrelid, index.indisprimary, index.indnkeyatts
HAVING pg_catalog.bool_and(attribute.attnotnull)
ORDER BY index.indisprimary DESC, index.indnkeyatts, index.indexrelid
