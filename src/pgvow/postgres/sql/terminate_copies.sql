-- One row a session of ours that copies, of the list of process ids, after asking it to end.
SELECT pg_catalog.pg_terminate_backend(activity.pid)
FROM pg_catalog.pg_stat_activity AS activity
WHERE activity.pid = ANY (%(pids)s::integer[])
  AND activity.application_name = 'pgvow copy'
