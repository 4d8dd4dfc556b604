-- At most one row: whether a table that we have locked goes by the name and lies in the file that our
-- snapshot saw. The functions look at the catalog as it is now, pg_class is read as the snapshot has it.
-- TRUNCATE, and whatever rewrites a table, gives it another file.
SELECT
  pg_catalog.pg_relation_filenode(class.oid) = class.relfilenode
  AND pg_catalog.to_regclass(
    pg_catalog.quote_ident(namespace.nspname) || '.' || pg_catalog.quote_ident(class.relname)
  ) = class.oid::pg_catalog.regclass
FROM pg_catalog.pg_class AS class
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
WHERE class.oid = %(oid)s
