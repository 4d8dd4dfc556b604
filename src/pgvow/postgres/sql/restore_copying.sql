-- One row a COPY of a restore into this database that is under way: its statement (the beginning, where it
-- is longer than track_activity_query_size), rows and bytes that it has read.
SELECT
  COALESCE(activity.query, '') AS statement,
  progress.tuples_processed,
  progress.bytes_processed
FROM pg_catalog.pg_stat_progress_copy AS progress
JOIN pg_catalog.pg_stat_activity AS activity ON activity.pid = progress.pid
WHERE progress.datname = pg_catalog.current_database()
  AND progress.command = 'COPY FROM'
ORDER BY progress.pid
