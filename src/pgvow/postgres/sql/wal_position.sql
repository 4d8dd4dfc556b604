-- One row: how far the WAL is, written or, on a standby, replayed.
SELECT
  CASE
    WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
    ELSE pg_catalog.pg_current_wal_insert_lsn()
  END::text
