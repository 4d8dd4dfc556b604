-- One row an extension that has functions to be called around a restore (TimescaleDB has): the schema and
-- the name of the one before, and of the one after it. Only members of the extension count.
SELECT before_namespace.nspname, before.proname, after_namespace.nspname, after.proname
FROM pg_catalog.pg_extension AS extension
JOIN pg_catalog.pg_proc AS before ON before.proname = extension.extname || '_pre_restore' AND before.pronargs = 0
JOIN pg_catalog.pg_namespace AS before_namespace ON before_namespace.oid = before.pronamespace
JOIN pg_catalog.pg_proc AS after ON after.proname = extension.extname || '_post_restore' AND after.pronargs = 0
JOIN pg_catalog.pg_namespace AS after_namespace ON after_namespace.oid = after.pronamespace
WHERE (
  SELECT pg_catalog.count(*)
  FROM pg_catalog.pg_depend AS dependency
  WHERE dependency.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
    AND dependency.objid IN (before.oid, after.oid) AND dependency.deptype = 'e'
    AND dependency.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
    AND dependency.refobjid = extension.oid
) = 2
ORDER BY extension.extname
