-- At most one row: the oid of the table that a pg_dump of ours is copying out of this database, and the
-- bytes of it so far. Without the right to see other sessions' activity we still see those of our role.
SELECT progress.relid, progress.bytes_processed
FROM pg_catalog.pg_stat_progress_copy AS progress
JOIN pg_catalog.pg_stat_activity AS activity ON activity.pid = progress.pid
WHERE progress.datname = pg_catalog.current_database()
  AND progress.command = 'COPY TO'
  AND activity.application_name = 'pgvow dump'
  AND activity.usename = current_user
ORDER BY activity.backend_start DESC
LIMIT 1
