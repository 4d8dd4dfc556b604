-- One row an extension of this database: name, version.
SELECT extname AS name, extversion AS version
FROM pg_catalog.pg_extension
WHERE extname <> 'plpgsql'
ORDER BY 1
