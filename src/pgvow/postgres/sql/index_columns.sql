-- One row an expression of an index's key, in its order: the expression, then the index's condition.
SELECT
  pg_catalog.pg_get_indexdef(index.indexrelid, place, false),
  pg_catalog.pg_get_expr(index.indpred, index.indrelid),
  around.nspname, indexed.relname
FROM pg_catalog.pg_index AS index
JOIN pg_catalog.pg_class AS relation ON relation.oid = index.indexrelid
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = relation.relnamespace
JOIN pg_catalog.pg_class AS indexed ON indexed.oid = index.indrelid
JOIN pg_catalog.pg_namespace AS around ON around.oid = indexed.relnamespace
CROSS JOIN pg_catalog.generate_series(1, index.indnkeyatts) AS place
WHERE namespace.nspname = %(schema)s AND relation.relname = %(name)s
ORDER BY place
