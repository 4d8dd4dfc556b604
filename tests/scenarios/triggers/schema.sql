-- Triggers: a restore must load rows without firing them. These would refuse, double or log every
-- row. Deferred, disabled, always-firing ones, one on a view, one with tables of changes.
CREATE TABLE audit (id bigserial PRIMARY KEY, what text);
CREATE TABLE guarded (id integer PRIMARY KEY, body text);
CREATE TABLE doubled (id integer, body text);
INSERT INTO guarded SELECT n, 'row ' || n FROM generate_series(1, 800) AS n;
INSERT INTO doubled SELECT n, 'row ' || n FROM generate_series(1, 300) AS n;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
    AS $$BEGIN RAISE EXCEPTION 'this table takes no rows'; END$$;
CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.audit (what) VALUES (TG_TABLE_NAME || ' ' || TG_OP);
    RETURN NULL;
END$$;
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql
    AS $$BEGIN NEW.body := upper(NEW.body); RETURN NEW; END$$;
CREATE TRIGGER a_refuse BEFORE INSERT ON guarded FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER b_swallow BEFORE INSERT ON doubled FOR EACH ROW WHEN (NEW.id % 2 = 0)
    EXECUTE FUNCTION swallow();
CREATE TRIGGER c_shout BEFORE INSERT OR UPDATE OF body ON doubled FOR EACH ROW EXECUTE FUNCTION shout();
CREATE TRIGGER d_note AFTER INSERT OR UPDATE OR DELETE ON doubled FOR EACH STATEMENT EXECUTE FUNCTION note();
CREATE TRIGGER e_changes AFTER UPDATE ON doubled REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION note();
CREATE CONSTRAINT TRIGGER f_later AFTER INSERT ON doubled DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER "g always" BEFORE TRUNCATE ON guarded EXECUTE FUNCTION refuse();
ALTER TABLE guarded ENABLE ALWAYS TRIGGER "g always";
ALTER TABLE doubled DISABLE TRIGGER c_shout;
ALTER TABLE doubled ENABLE REPLICA TRIGGER d_note;
CREATE VIEW window_on AS SELECT id FROM guarded;
CREATE TRIGGER instead INSTEAD OF DELETE ON window_on FOR EACH ROW EXECUTE FUNCTION swallow();
INSERT INTO audit (what) SELECT 'earlier ' || n FROM generate_series(1, 77) AS n;
-- On a partitioned table, so on its partitions too.
CREATE TABLE parts (id integer, body text) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
CREATE TABLE parts_2 PARTITION OF parts DEFAULT;
INSERT INTO parts SELECT n, 'part ' || n FROM generate_series(1, 250) AS n;
CREATE TRIGGER on_parts AFTER INSERT ON parts FOR EACH ROW EXECUTE FUNCTION note();
