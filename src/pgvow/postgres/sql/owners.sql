-- One row a role that owns something in this database: name. A dump names them and has none of them.
SELECT DISTINCT role.rolname AS name
FROM pg_catalog.pg_shdepend AS dependency
JOIN pg_catalog.pg_roles AS role ON role.oid = dependency.refobjid
WHERE dependency.dbid = (
    SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()
  )
  AND dependency.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
  AND dependency.deptype = 'o'
ORDER BY 1
