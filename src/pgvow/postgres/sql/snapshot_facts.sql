-- One row: the WAL position that was asked for before the snapshot, the snapshot's xmin and xmax, the
-- timeline, and the system's identifier. What a later backup needs to know whether it can build on
-- this one.
SELECT
  %(wal_position)s::text AS wal_position,
  pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::text::bigint AS xmin,
  pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::bigint AS xmax,
  (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()) AS timeline,
  (SELECT system_identifier::text FROM pg_catalog.pg_control_system()) AS system_identifier
