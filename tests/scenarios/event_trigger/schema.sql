-- Event triggers: dumped last, or they would act on the restore itself.
CREATE TABLE ddl_log (id bigint GENERATED ALWAYS AS IDENTITY, tag text, at timestamptz DEFAULT now());
CREATE FUNCTION log_ddl() RETURNS event_trigger LANGUAGE plpgsql
    AS $$BEGIN INSERT INTO public.ddl_log (tag) VALUES (TG_TAG); END$$;
CREATE FUNCTION no_drops() RETURNS event_trigger LANGUAGE plpgsql
    AS $$BEGIN RAISE EXCEPTION 'nothing is dropped here'; END$$;
CREATE EVENT TRIGGER log_all ON ddl_command_end EXECUTE FUNCTION log_ddl();
CREATE EVENT TRIGGER "keep tables" ON sql_drop WHEN TAG IN ('DROP TABLE', 'DROP SCHEMA')
    EXECUTE FUNCTION no_drops();
CREATE EVENT TRIGGER asleep ON ddl_command_start EXECUTE FUNCTION no_drops();
ALTER EVENT TRIGGER asleep DISABLE;
CREATE TABLE made_under_watch (id integer PRIMARY KEY, body text);
INSERT INTO made_under_watch SELECT n, 'row ' || n FROM generate_series(1, 100) AS n;
COMMENT ON EVENT TRIGGER log_all IS 'writes to ddl_log';
