-- One row: whether this session now holds the lock of restores into a name, in the database it is
-- connected to.
SELECT pg_catalog.pg_try_advisory_lock(
  pg_catalog.hashtextextended('pgvow restore ' || %(name)s, 0)
)
