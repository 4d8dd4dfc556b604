-- One row an object that columns of a table may need: its kind, schema and name as pg_dump's table of
-- contents has them. search_path is empty, so that the types of a function's arguments read as there.
SELECT 'EXTENSION', '', extname
FROM pg_catalog.pg_extension
UNION ALL
SELECT
  CASE type.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, schema.nspname, type.typname
FROM pg_catalog.pg_type AS type
JOIN pg_catalog.pg_namespace AS schema ON schema.oid = type.typnamespace
WHERE schema.nspname !~ '^pg_'
UNION ALL
SELECT 'COLLATION', schema.nspname, object.collname
FROM pg_catalog.pg_collation AS object
JOIN pg_catalog.pg_namespace AS schema ON schema.oid = object.collnamespace
WHERE schema.nspname !~ '^pg_'
UNION ALL
SELECT
  'FUNCTION',
  schema.nspname,
  function.proname || '(' || COALESCE(
    (
      SELECT pg_catalog.string_agg(pg_catalog.format_type(argument.type, NULL), ', ' ORDER BY place)
      FROM pg_catalog.unnest(function.proargtypes) WITH ORDINALITY AS argument (type, place)
    ),
    ''
  ) || ')'
FROM pg_catalog.pg_proc AS function
JOIN pg_catalog.pg_namespace AS schema ON schema.oid = function.pronamespace
WHERE schema.nspname !~ '^pg_' AND function.prokind IN ('f', 'w')
