-- One row: how many large objects our role may not read. pg_read_all_data does not cover them.
SELECT pg_catalog.count(*)
FROM pg_catalog.pg_largeobject_metadata AS object
WHERE NOT pg_catalog.current_setting('lo_compat_privileges')::boolean
  AND NOT pg_catalog.pg_has_role(object.lomowner, 'USAGE')
  AND NOT EXISTS (
    SELECT
    FROM pg_catalog.aclexplode(object.lomacl) AS granted
    WHERE granted.privilege_type = 'SELECT'
      AND (granted.grantee = 0 OR pg_catalog.pg_has_role(granted.grantee, 'USAGE'))
  )
