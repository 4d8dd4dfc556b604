-- One row: what the server says of itself, of this database and of our role.
SELECT
  pg_catalog.current_setting('server_version') AS version,
  pg_catalog.current_setting('server_version_num')::integer AS version_num,
  pg_catalog.current_database() AS database,
  -- The same for whoever asks, under whatever address. A copy of the server has another.
  pg_catalog.concat_ws(
    '-',
    (extract(epoch FROM pg_catalog.pg_postmaster_start_time()) * 1000000)::bigint,
    (
      SELECT here.oid
      FROM pg_catalog.pg_database AS here
      WHERE here.datname = pg_catalog.current_database()
    )
  ) AS identity,
  pg_catalog.pg_database_size(pg_catalog.current_database()) AS database_size,
  current_user AS "user",
  role.rolsuper AS is_superuser,
  role.rolsuper OR role.rolbypassrls AS bypasses_row_security,
  pg_catalog.pg_is_in_recovery() AS in_recovery,
  pg_catalog.current_setting('server_encoding') AS encoding
FROM pg_catalog.pg_roles AS role
WHERE role.rolname = current_user
