-- One row a session of another process that is connected to a database, as for a lock: pid, user, program, state,
-- start of its transaction or else of its state, beginning of its query, and whether our role may see all that.
SELECT
  activity.pid,
  activity.usename::text AS "user",
  activity.application_name AS program,
  activity.state,
  COALESCE(activity.xact_start, activity.state_change, activity.backend_start) AS since,
  pg_catalog.now() AS now,
  pg_catalog.left(activity.query, 4000) AS query,
  pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')
    OR COALESCE(pg_catalog.pg_has_role(activity.usesysid, 'USAGE'), true) AS visible
FROM pg_catalog.pg_stat_activity AS activity
WHERE activity.datname = %(name)s
  AND activity.pid <> pg_catalog.pg_backend_pid()
  AND COALESCE(activity.backend_type, 'client backend') IN ('client backend', 'walsender')
ORDER BY activity.backend_start, activity.pid
LIMIT 1000
