-- One row a role of those named that we are no member of, or whose rights we do not inherit: what is given
-- to it cannot be given, or not be worked on afterwards. From 16 on a member may lack the right to SET it.
-- Of pg_database_owner the owner of the restored database is a member, there.
SELECT role.rolname
FROM pg_catalog.pg_roles AS role
WHERE role.rolname = ANY (%(names)s::text[])
  AND role.rolname <> 'pg_database_owner'
  AND NOT (
    pg_catalog.pg_has_role(role.oid, 'USAGE')
    AND pg_catalog.pg_has_role(
      role.oid,
      CASE
        WHEN pg_catalog.current_setting('server_version_num')::integer >= 160000 THEN 'SET'
        ELSE 'MEMBER'
      END
    )
  )
ORDER BY role.rolname
