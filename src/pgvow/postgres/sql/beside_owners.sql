-- One row a role of those named that may not make objects in a schema, in which it is to own some: name.
SELECT role.rolname
FROM pg_catalog.pg_roles AS role
JOIN pg_catalog.pg_namespace AS schema ON schema.nspname = %(schema)s
WHERE role.rolname = ANY (%(names)s::text[])
  AND NOT pg_catalog.has_schema_privilege(role.oid, schema.oid, 'CREATE')
ORDER BY role.rolname
