-- One row an object of a schema, tables first: its kind, name, the roles beside its owner that were
-- granted something on it (PUBLIC is ''), and the table that it is or belongs to (a sequence's is NULL).
SELECT
  CASE class.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
  class.relname,
  ARRAY(
    SELECT DISTINCT COALESCE(role.rolname::text, '')
    FROM pg_catalog.aclexplode(class.relacl) AS given
    LEFT JOIN pg_catalog.pg_roles AS role ON role.oid = given.grantee
    WHERE given.grantee <> class.relowner
  ),
  CASE WHEN class.relkind <> 'S' THEN class.relname END,
  class.relkind = 'S',
  class.oid
FROM pg_catalog.pg_class AS class
JOIN pg_catalog.pg_namespace AS schema ON schema.oid = class.relnamespace
WHERE schema.nspname = %(schema)s AND class.relkind IN ('r', 'p', 'S')
UNION ALL
SELECT 'STATISTICS', statistics.stxname, '{}', class.relname, true, statistics.oid
FROM pg_catalog.pg_statistic_ext AS statistics
JOIN pg_catalog.pg_class AS class ON class.oid = statistics.stxrelid
JOIN pg_catalog.pg_namespace AS schema ON schema.oid = statistics.stxnamespace
WHERE schema.nspname = %(schema)s
ORDER BY 5, 6
