-- Refuses rows unless it was told of a restore: as extensions that act on rows do.
\echo Use "CREATE EXTENSION pgvow_asks" to load this file. \quit

CREATE FUNCTION pgvow_asks_pre_restore() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('ALTER DATABASE %I SET pgvow_asks.restoring = on', current_database());
  RETURN true;
END $$;

CREATE FUNCTION pgvow_asks_post_restore() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('ALTER DATABASE %I RESET pgvow_asks.restoring', current_database());
  RETURN true;
END $$;

CREATE FUNCTION allowed(n integer) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF current_setting('pgvow_asks.restoring', true) IS DISTINCT FROM 'on'
      AND current_setting('pgvow_asks.writing', true) IS DISTINCT FROM 'on' THEN
    RAISE EXCEPTION 'pgvow_asks was not told of the restore';
  END IF;
  RETURN true;
END $$;
