-- One row a table whose row security would hide rows from our role: schema, name.
SELECT namespace.nspname AS schema, class.relname AS name
FROM pg_catalog.pg_class AS class
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
WHERE class.relrowsecurity
  AND NOT (
    SELECT role.rolsuper OR role.rolbypassrls
    FROM pg_catalog.pg_roles AS role
    WHERE role.rolname = current_user
  )
  AND NOT (
    pg_catalog.pg_has_role(current_user, class.relowner, 'USAGE')
    AND NOT class.relforcerowsecurity
  )
ORDER BY 1, 2
