-- One row a trigger of the table %(oid)s that an INSERT, UPDATE or DELETE fires: name. Those of foreign keys are left out.
SELECT pg_trigger.tgname AS name
FROM pg_catalog.pg_trigger AS pg_trigger
WHERE pg_trigger.tgrelid = %(oid)s
  AND NOT pg_trigger.tgisinternal
  AND pg_trigger.tgenabled IN ('O', 'A')
ORDER BY pg_trigger.tgname
