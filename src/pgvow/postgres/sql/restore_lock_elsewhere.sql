-- One row: whether another session of the server holds the lock of restores into a name. An advisory lock
-- is one database's, but all of them are seen.
SELECT EXISTS (
  SELECT
  FROM pg_catalog.pg_locks AS held
  WHERE held.locktype = 'advisory'
    AND held.objsubid = 1
    AND held.granted
    AND held.pid <> pg_catalog.pg_backend_pid()
    AND (held.classid::bigint << 32) | held.objid::bigint
      = pg_catalog.hashtextextended('pgvow restore ' || %(name)s, 0)
)
