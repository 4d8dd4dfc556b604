-- One row a role of this server: name.
SELECT rolname FROM pg_catalog.pg_roles
