-- One row a role that a proof made to restore with, and whose session has ended: name.
SELECT role.rolname AS name
FROM pg_catalog.pg_roles AS role
JOIN LATERAL pg_catalog.shobj_description(role.oid, 'pg_authid') AS described (comment) ON true
WHERE role.rolname ~ '^pgvow_proof_[0-9a-f]{12}_restorer(_[0-9])?$'
  AND NOT role.rolsuper
  AND pg_catalog.starts_with(described.comment, 'pgvow: restores, made by ')
  AND pg_catalog.current_setting('is_superuser') = 'on'
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_stat_activity AS activity
    WHERE activity.application_name = pg_catalog.left(role.rolname, 24)
  )
