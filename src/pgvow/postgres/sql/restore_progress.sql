-- One row: rows that a restore of ours into a database has put there. Those of finished tables are known
-- to the statistics about a second later, those of tables under way to the progress of their COPY.
SELECT
  COALESCE((
    SELECT statistics.tup_inserted
    FROM pg_catalog.pg_stat_database AS statistics
    WHERE statistics.datname = %(name)s
  ), 0)::bigint
  + COALESCE((
    SELECT pg_catalog.sum(progress.tuples_processed)
    FROM pg_catalog.pg_stat_progress_copy AS progress
    WHERE progress.datname = %(name)s AND progress.command = 'COPY FROM'
  ), 0)::bigint
