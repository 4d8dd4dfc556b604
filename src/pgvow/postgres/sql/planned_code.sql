-- One row an index or extended statistics, of the tables in the list of oids, whose expressions
-- call a function of another role than us or a superuser: oid of the table, name of the index or the
-- statistics, the function with its arguments, the function's owner.
-- The planner computes such a call with our rights wherever its arguments are constants, for any
-- query of the table (eval_const_expressions). In C only a superuser can have written one.
SELECT
  planned.relation AS oid,
  planned.name,
  function.oid::pg_catalog.regprocedure::pg_catalog.text AS function,
  owner.rolname AS owner
FROM (
  SELECT
    'pg_catalog.pg_class'::pg_catalog.regclass AS class,
    index.indexrelid AS object,
    index.indrelid AS relation,
    class.relname AS name
  FROM pg_catalog.pg_index AS index
  JOIN pg_catalog.pg_class AS class ON class.oid = index.indexrelid
  WHERE index.indexprs IS NOT NULL OR index.indpred IS NOT NULL
  UNION ALL
  SELECT
    'pg_catalog.pg_statistic_ext'::pg_catalog.regclass,
    statistic.oid,
    statistic.stxrelid,
    statistic.stxname
  FROM pg_catalog.pg_statistic_ext AS statistic
) AS planned
JOIN pg_catalog.pg_depend AS depend
  ON depend.classid = planned.class AND depend.objid = planned.object
LEFT JOIN pg_catalog.pg_operator AS operator
  ON depend.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass
  AND operator.oid = depend.refobjid
JOIN pg_catalog.pg_proc AS function
  ON function.oid = CASE depend.refclassid
    WHEN 'pg_catalog.pg_proc'::pg_catalog.regclass THEN depend.refobjid
    ELSE operator.oprcode::pg_catalog.oid
  END
JOIN pg_catalog.pg_language AS language ON language.oid = function.prolang
JOIN pg_catalog.pg_roles AS owner ON owner.oid = function.proowner
WHERE planned.relation = ANY (%(oids)s::pg_catalog.oid[])
  AND language.lanname NOT IN ('internal', 'c')
  AND NOT owner.rolsuper
  AND owner.rolname <> SESSION_USER
ORDER BY 1, 2, 3
