-- One row a tablespace of this server: name.
SELECT space.spcname AS name FROM pg_catalog.pg_tablespace AS space ORDER BY space.spcname COLLATE "C"
