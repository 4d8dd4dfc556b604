-- One row a session or prepared transaction, other than ours, with a lock on one of the tables %(oids)s that
-- refuses ACCESS SHARE, or that waits in the same queue: pid (NULL of a prepared transaction), user, program, state,
-- start of its transaction, beginning of its query, what it waits for, and whether our role may see all that.
-- Only functions of the catalog: no table of a user is opened, and nothing waits.
WITH locks AS MATERIALIZED (
  SELECT held.pid, held.virtualtransaction, held.relation, held.mode, held.granted
  FROM pg_catalog.pg_locks AS held
  WHERE held.locktype = 'relation'
    AND held.relation = ANY(%(oids)s::oid[])
    AND held.database = (
      SELECT here.oid FROM pg_catalog.pg_database AS here
      WHERE here.datname = pg_catalog.current_database()
    )
),
refusing AS (
  SELECT DISTINCT locks.relation FROM locks WHERE locks.mode = 'AccessExclusiveLock'
),
involved AS (
  SELECT
    locks.pid,
    locks.virtualtransaction,
    pg_catalog.min(locks.relation::bigint) AS relation,
    pg_catalog.bool_and(locks.granted) AS granted
  FROM locks
  JOIN refusing ON refusing.relation = locks.relation
  GROUP BY locks.pid, locks.virtualtransaction
)
SELECT
  involved.pid,
  involved.relation,
  involved.granted,
  COALESCE(activity.usename, prepared.owner)::text AS "user",
  activity.application_name AS program,
  CASE WHEN involved.pid IS NULL THEN 'prepared as ' || prepared.gid ELSE activity.state END AS state,
  COALESCE(activity.xact_start, prepared.prepared) AS since,
  pg_catalog.now() AS now,
  pg_catalog.left(activity.query, 4000) AS query,
  CASE WHEN involved.granted THEN '{}' ELSE pg_catalog.pg_blocking_pids(involved.pid) END AS waits_for,
  involved.pid IS NULL
    OR activity.usesysid IS NULL
    OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')
    OR pg_catalog.pg_has_role(activity.usesysid, 'USAGE') AS visible,
  involved.pid IS NOT DISTINCT FROM pg_catalog.pg_backend_pid() AS is_ours
FROM involved
LEFT JOIN pg_catalog.pg_stat_activity AS activity ON activity.pid = involved.pid
LEFT JOIN pg_catalog.pg_locks AS own
  ON involved.pid IS NULL
  AND own.pid IS NULL
  AND own.locktype = 'transactionid'
  AND own.virtualtransaction = involved.virtualtransaction
LEFT JOIN pg_catalog.pg_prepared_xacts AS prepared ON prepared.transaction = own.transactionid
ORDER BY since, involved.pid
LIMIT 1000
