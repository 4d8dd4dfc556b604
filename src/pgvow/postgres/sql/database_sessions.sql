-- One row a session of another process that is connected to a database: pid, user, program (NULL where
-- our role may not see it), address (NULL for a socket), seconds connected. Workers of the server itself
-- come and go by themselves and are left out.
SELECT
  activity.pid,
  activity.usename AS "user",
  activity.application_name AS program,
  activity.client_addr::text AS address,
  EXTRACT(epoch FROM pg_catalog.now() - activity.backend_start)::float8 AS seconds
FROM pg_catalog.pg_stat_activity AS activity
WHERE activity.datname = %(name)s
  AND activity.pid <> pg_catalog.pg_backend_pid()
  AND COALESCE(activity.backend_type, 'client backend') IN ('client backend', 'walsender')
ORDER BY activity.usename, activity.backend_start, activity.pid
