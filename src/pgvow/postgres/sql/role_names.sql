-- One row a role of this server: name.
SELECT role.rolname AS name FROM pg_catalog.pg_roles AS role ORDER BY role.rolname COLLATE "C"
