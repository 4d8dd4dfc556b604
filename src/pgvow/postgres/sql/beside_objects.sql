-- One row an object of some tables and their partitions, tables first: the place of its table in the list
-- of oids given, its kind, oid, schema and name.
WITH member AS (
  SELECT DISTINCT given.place, tree.oid
  FROM pg_catalog.unnest(%(tables)s::pg_catalog.oid[]) WITH ORDINALITY AS given (oid, place)
  CROSS JOIN LATERAL (
    SELECT relid::pg_catalog.oid AS oid FROM pg_catalog.pg_partition_tree(given.oid::regclass)
    UNION
    SELECT given.oid
  ) AS tree
),
class AS (
  SELECT member.place, 'TABLE' AS kind, member.oid, 1 AS rank
  FROM member
  UNION
  SELECT member.place, 'INDEX', index.indexrelid, 2
  FROM member
  JOIN pg_catalog.pg_index AS index ON index.indrelid = member.oid
  UNION
  SELECT DISTINCT ON (sequence.oid) member.place, 'SEQUENCE', sequence.oid, 3
  FROM pg_catalog.pg_class AS sequence
  JOIN pg_catalog.pg_depend AS link
    ON (link.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND link.objid = sequence.oid)
    OR (
      link.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
      AND link.refobjid = sequence.oid
      AND link.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
    )
  LEFT JOIN pg_catalog.pg_attrdef AS value
    ON link.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND value.oid = link.objid
  JOIN member ON member.oid = COALESCE(value.adrelid, link.refobjid)
  WHERE sequence.relkind = 'S'
)
SELECT class.place, class.kind, class.oid, schema.nspname, named.relname, class.rank
FROM class
JOIN pg_catalog.pg_class AS named ON named.oid = class.oid
JOIN pg_catalog.pg_namespace AS schema ON schema.oid = named.relnamespace
UNION ALL
SELECT member.place, 'STATISTICS', statistics.oid, schema.nspname, statistics.stxname, 4
FROM member
JOIN pg_catalog.pg_statistic_ext AS statistics ON statistics.stxrelid = member.oid
JOIN pg_catalog.pg_namespace AS schema ON schema.oid = statistics.stxnamespace
ORDER BY 6, 1, 3
