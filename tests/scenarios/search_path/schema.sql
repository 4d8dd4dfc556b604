-- Functions that lean on search_path, used in checks, indexes, defaults and triggers: a restore
-- works under an empty one. These name their schemas where a restore needs it, and the others lie
-- where nothing calls them while rows are loaded.
CREATE SCHEMA app;
CREATE SCHEMA helpers;
CREATE TABLE app.settings (name text PRIMARY KEY, value text);
INSERT INTO app.settings SELECT 'setting ' || n, n FROM generate_series(1, 60) AS n;
CREATE FUNCTION helpers.normal(text) RETURNS text LANGUAGE sql IMMUTABLE
    AS 'SELECT lower(btrim($1))';
CREATE FUNCTION helpers.twice(text) RETURNS text LANGUAGE sql IMMUTABLE SET search_path = helpers, pg_temp
    AS 'SELECT normal($1) || normal($1)';
CREATE TABLE app.people (
    id      integer PRIMARY KEY,
    name    text CHECK (helpers.normal(name) <> ''),
    doubled text GENERATED ALWAYS AS (helpers.twice(name)) STORED
);
CREATE INDEX ON app.people (helpers.twice(name));
INSERT INTO app.people (id, name) SELECT n, ' Name ' || n || ' ' FROM generate_series(1, 700) AS n;
-- Unqualified inside: only for those whose search_path has app in it.
SET search_path = app;
CREATE FUNCTION lookup(wanted text) RETURNS text LANGUAGE plpgsql STABLE
    AS 'BEGIN RETURN (SELECT value FROM settings WHERE name = wanted); END';
CREATE FUNCTION lookup_now(wanted text) RETURNS text LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT value FROM settings WHERE name = wanted;
END;
CREATE VIEW looked_up AS SELECT name, lookup_now(name) AS value FROM settings;
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN NEW.value := lookup(NEW.name); RETURN NEW; END';
CREATE TRIGGER stamped BEFORE UPDATE ON settings FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE PROCEDURE tidy() LANGUAGE sql AS 'DELETE FROM settings WHERE value IS NULL';
CREATE AGGREGATE glue(text) (SFUNC = textcat, STYPE = text, INITCOND = '');
CREATE OPERATOR === (FUNCTION = texteq, LEFTARG = text, RIGHTARG = text);
