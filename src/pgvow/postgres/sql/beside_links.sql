-- One row a link of a table, by its oid, to something that is not copied with it: 'PARTITION' or
-- 'INHERITS' with the parent's schema and name, 'FORCE' if row security binds its owner too.
SELECT
  CASE WHEN class.relispartition THEN 'PARTITION' ELSE 'INHERITS' END, schema.nspname, parent.relname
FROM pg_catalog.pg_inherits AS link
JOIN pg_catalog.pg_class AS class ON class.oid = link.inhrelid
JOIN pg_catalog.pg_class AS parent ON parent.oid = link.inhparent
JOIN pg_catalog.pg_namespace AS schema ON schema.oid = parent.relnamespace
WHERE link.inhrelid = %(table)s AND link.inhparent <> ALL (%(copied)s::pg_catalog.oid[])
UNION ALL
SELECT 'FORCE', '', ''
FROM pg_catalog.pg_class
WHERE oid = %(table)s AND relforcerowsecurity
