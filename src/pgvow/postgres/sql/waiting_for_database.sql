-- One row a process that waits for a lock on a database itself: pid. Those that connect to it do, as long as it
-- is being renamed; pg_stat_activity has them only later. 1262 is pg_database.
SELECT held.pid
FROM pg_catalog.pg_locks AS held
WHERE held.locktype = 'object'
  AND held.classid = 1262
  AND held.objid = (SELECT each.oid FROM pg_catalog.pg_database AS each WHERE each.datname = %(name)s)
  AND NOT held.granted
ORDER BY held.pid
LIMIT 1000
