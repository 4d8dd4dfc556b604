-- One row a table of the list of oids: oid, blocks of its heap, bytes of heap and TOAST, the number of
-- its file, and whether its rows can be asked for by block numbers: only those of a heap can, and
-- only since 14; before, each range would be a scan of the whole table.
-- It locks each table to look.
SELECT
  class.oid,
  pg_catalog.pg_relation_size(class.oid)
    / pg_catalog.current_setting('block_size')::bigint AS blocks,
  pg_catalog.pg_table_size(class.oid) AS bytes,
  COALESCE(pg_catalog.pg_relation_filenode(class.oid), 0) AS filenode,
  method.amname IS NOT DISTINCT FROM 'heap'
    AND pg_catalog.current_setting('server_version_num')::integer >= 140000 AS by_blocks
FROM pg_catalog.pg_class AS class
LEFT JOIN pg_catalog.pg_am AS method ON method.oid = class.relam
