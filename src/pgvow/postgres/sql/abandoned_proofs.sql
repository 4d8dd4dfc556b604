-- One row a database of a proof whose session has ended, and that we may drop: name. Who may drop it
-- also sees the sessions of its owner.
SELECT database.datname AS name
FROM pg_catalog.pg_database AS database
WHERE database.datname ~ '^pgvow_proof_[0-9a-f]{12}_[0-9]$'
  AND pg_catalog.pg_has_role(database.datdba, 'USAGE')
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_stat_activity AS activity
    WHERE activity.application_name = pg_catalog.left(database.datname, 24)
  )
