-- One row: how many sessions connected to a database were told to end. Autovacuum is nobody's session: a
-- rename ends it by itself.
SELECT pg_catalog.count(*) FILTER (WHERE pg_catalog.pg_terminate_backend(activity.pid))
FROM pg_catalog.pg_stat_activity AS activity
WHERE activity.datname = %(name)s
  AND activity.pid <> pg_catalog.pg_backend_pid()
  AND activity.usesysid IS NOT NULL
