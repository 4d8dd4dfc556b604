-- One row a role that stands in for another for the time of a proof: name, the proof, and whether
-- that has ended; false also where its session would be hidden from us.
SELECT
  role.rolname AS name,
  pg_catalog.right(described.comment, 24) AS proof,
  (
    pg_catalog.current_setting('is_superuser') = 'on'
    OR pg_catalog.starts_with(
      described.comment, 'pgvow: stands in, made by ' || current_user || ' for pgvow_proof_'
    )
  ) AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_stat_activity AS activity
    WHERE activity.application_name = pg_catalog.right(described.comment, 24)
  ) AS has_ended
FROM pg_catalog.pg_roles AS role
JOIN LATERAL pg_catalog.shobj_description(role.oid, 'pg_authid') AS described (comment) ON true
WHERE described.comment ~ '^pgvow: stands in, made by .* for pgvow_proof_[0-9a-f]{12}$'
  AND NOT role.rolcanlogin
