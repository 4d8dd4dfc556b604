-- One row a column of a foreign key: the column, schema and name of the table that it refers to, the
-- column there, and schema and name of the operator that compares the two.
SELECT own.attname, namespace.nspname, parent.relname, other.attname, around.nspname, operator.oprname
FROM pg_catalog.pg_constraint AS held
JOIN pg_catalog.pg_class AS relation ON relation.oid = held.conrelid
JOIN pg_catalog.pg_namespace AS outer_namespace ON outer_namespace.oid = relation.relnamespace
JOIN pg_catalog.pg_class AS parent ON parent.oid = held.confrelid
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = parent.relnamespace
CROSS JOIN LATERAL unnest(held.conkey, held.confkey, held.conpfeqop)
  WITH ORDINALITY AS pair (own, other, operator, place)
JOIN pg_catalog.pg_attribute AS own ON own.attrelid = held.conrelid AND own.attnum = pair.own
JOIN pg_catalog.pg_attribute AS other ON other.attrelid = held.confrelid AND other.attnum = pair.other
JOIN pg_catalog.pg_operator AS operator ON operator.oid = pair.operator
JOIN pg_catalog.pg_namespace AS around ON around.oid = operator.oprnamespace
WHERE outer_namespace.nspname = %(schema)s AND relation.relname = %(table)s
  AND held.conname = %(name)s AND held.contype = 'f'
ORDER BY pair.place
