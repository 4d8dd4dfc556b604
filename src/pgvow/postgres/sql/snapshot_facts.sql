-- One row: where in the WAL the snapshot was taken, its xmin and xmax, the timeline, and the system's
-- identifier. What a later backup needs to know whether it can build on this one.
SELECT
  CASE
    WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
    ELSE pg_catalog.pg_current_wal_insert_lsn()
  END::text AS wal_position,
  pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::text::bigint AS xmin,
  pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::bigint AS xmax,
  (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()) AS timeline,
  (SELECT system_identifier::text FROM pg_catalog.pg_control_system()) AS system_identifier
