-- One row about a schema of this database and our role in it: whether the schema exists, whether we may
-- make objects in it, whether we may make schemas, and whether we may create databases.
SELECT
  schema.oid IS NOT NULL,
  COALESCE(pg_catalog.has_schema_privilege(schema.oid, 'CREATE'), true),
  pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'),
  own.rolcreatedb OR own.rolsuper
FROM pg_catalog.pg_roles AS own
LEFT JOIN pg_catalog.pg_namespace AS schema ON schema.nspname = %(schema)s
WHERE own.rolname = current_user
