-- One row: how many sessions connected to a database we may not end. A superuser ends all; of the others
-- a superuser's session is nobody's to end, another's its own role's and that of pg_signal_backend.
SELECT pg_catalog.count(*)
FROM pg_catalog.pg_stat_activity AS activity
JOIN pg_catalog.pg_roles AS role ON role.oid = activity.usesysid
JOIN pg_catalog.pg_roles AS own ON own.rolname = current_user
WHERE activity.datname = %(name)s
  AND activity.pid <> pg_catalog.pg_backend_pid()
  AND NOT own.rolsuper
  AND (
    role.rolsuper
    OR NOT (
      pg_catalog.pg_has_role(role.oid, 'USAGE')
      OR pg_catalog.pg_has_role('pg_signal_backend', 'USAGE')
    )
  )
