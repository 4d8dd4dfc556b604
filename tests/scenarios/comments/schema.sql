-- Comments on everything that takes one, some of several lines that look like statements.
CREATE SCHEMA commented;
COMMENT ON SCHEMA commented IS E'first line\n-- second\n\\! echo third\n\\.\n$$fourth$$';
COMMENT ON SCHEMA public IS 'not the standard comment';
CREATE TYPE commented.kind AS ENUM ('a', 'b');
COMMENT ON TYPE commented.kind IS 'it''s a type';
CREATE DOMAIN commented.id AS integer CONSTRAINT above_zero CHECK (VALUE > 0);
COMMENT ON CONSTRAINT above_zero ON DOMAIN commented.id IS 'of a domain';
CREATE TABLE commented.things (
    id commented.id PRIMARY KEY, kind commented.kind, "odd ""name""" text,
    CONSTRAINT checked CHECK (id < 1000000)
);
INSERT INTO commented.things SELECT n, 'a', 'thing ' || n FROM generate_series(1, 120) AS n;
COMMENT ON TABLE commented.things IS 'ümläut, 日本語, 🐘 and a tab	here';
COMMENT ON COLUMN commented.things."odd ""name""" IS E'back\\slash';
COMMENT ON CONSTRAINT checked ON commented.things IS 'of a table';
COMMENT ON INDEX commented.things_pkey IS 'of an index';
CREATE VIEW commented.seen AS SELECT id FROM commented.things;
COMMENT ON VIEW commented.seen IS 'of a view';
COMMENT ON COLUMN commented.seen.id IS 'of a view''s column';
CREATE SEQUENCE commented.counter;
COMMENT ON SEQUENCE commented.counter IS 'of a sequence';
CREATE FUNCTION commented.f(a integer, VARIADIC b text[]) RETURNS integer LANGUAGE sql AS 'SELECT 1';
COMMENT ON FUNCTION commented.f(integer, text[]) IS 'of a function';
CREATE RULE nothing AS ON DELETE TO commented.things WHERE OLD.id < 0 DO INSTEAD NOTHING;
COMMENT ON RULE nothing ON commented.things IS 'of a rule';
CREATE STATISTICS commented.stats ON id, kind FROM commented.things;
COMMENT ON STATISTICS commented.stats IS 'of statistics';
CREATE TEXT SEARCH CONFIGURATION commented.search (COPY = simple);
COMMENT ON TEXT SEARCH CONFIGURATION commented.search IS 'of a search configuration';
CREATE COLLATION commented.plain FROM "C";
COMMENT ON COLLATION commented.plain IS 'of a collation';
CREATE EXTENSION hstore SCHEMA commented;
COMMENT ON EXTENSION hstore IS 'not the extension''s own comment';
CREATE TABLE commented.pairs (id integer, h commented.hstore);
INSERT INTO commented.pairs SELECT n, commented.hstore('k' || n, E'v"\\' || n) FROM generate_series(1, 80) AS n;
