-- One row if the server works on a statement of a peer's: active, and not waiting for its client.
-- pid is its backend, or no backend of the server's (0, or what a pooler made up): then any session
-- under our role of ours or of PostgreSQL's tools counts whose statement began since the peer did,
-- but for those in ours, which speak for themselves.
SELECT 1
FROM pg_catalog.pg_stat_activity AS a
WHERE a.state = 'active'
  AND a.wait_event_type IS DISTINCT FROM 'Client'
  AND a.usename = CURRENT_USER
  AND a.pid <> pg_catalog.pg_backend_pid()
  AND (a.pid = %(pid)s OR (
    NOT EXISTS (SELECT 1 FROM pg_catalog.pg_stat_activity AS b WHERE b.pid = %(pid)s)
    AND a.application_name ~ '^(pgvow|pg_dump|pg_restore|psql)'
    AND a.application_name <> 'pgvow watch'
    AND a.pid <> ALL (%(ours)s)
    AND a.query_start >= pg_catalog.clock_timestamp() - %(age)s * INTERVAL '1 second'
  ))
LIMIT 1
