-- One row a database of this server: name, its comment (NULL without one), whether it is a template.
SELECT
  database.datname AS name,
  pg_catalog.shobj_description(database.oid, 'pg_database') AS comment,
  database.datistemplate AS is_template
FROM pg_catalog.pg_database AS database
ORDER BY database.datname COLLATE "C"
