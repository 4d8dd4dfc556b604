-- One row: whether this session held the lock of restores into a name, and has let go of it.
SELECT pg_catalog.pg_advisory_unlock(
  pg_catalog.hashtextextended('pgvow restore ' || %(name)s, 0)
)
