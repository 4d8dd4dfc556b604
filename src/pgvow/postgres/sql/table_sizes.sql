-- One row a table of the list of oids: oid, bytes of heap and TOAST. It locks each table to look.
SELECT asked.oid, COALESCE(pg_catalog.pg_table_size(asked.oid), 0)
FROM pg_catalog.unnest(%(oids)s::pg_catalog.oid[]) AS asked (oid)
