-- One row: whether this session now holds the lock of restores into a name, on the whole server: an
-- advisory lock itself is one database's, but all of them are seen.
SELECT
  NOT EXISTS (
    SELECT
    FROM pg_catalog.pg_locks AS held
    WHERE held.locktype = 'advisory'
      AND held.objsubid = 1
      AND held.granted
      AND held.pid <> pg_catalog.pg_backend_pid()
      AND (held.classid::bigint << 32) | held.objid::bigint
        = pg_catalog.hashtextextended('pgvow restore ' || %(name)s, 0)
  )
  AND pg_catalog.pg_try_advisory_lock(
    pg_catalog.hashtextextended('pgvow restore ' || %(name)s, 0)
  )
