-- One row a role that a restore made for itself, by a pattern of its name: name.
SELECT role.rolname AS name
FROM pg_catalog.pg_roles AS role
JOIN LATERAL pg_catalog.shobj_description(role.oid, 'pg_authid') AS described (comment) ON true
WHERE role.rolname ~ %(pattern)s
  AND NOT role.rolsuper
  AND pg_catalog.starts_with(described.comment, 'pgvow: restores ')
