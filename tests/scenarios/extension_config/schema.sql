-- Configuration tables of an extension: one dumped through its filter, one in whole, one not at all,
-- and a sequence. Rows the filter keeps out come back with CREATE EXTENSION.
CREATE EXTENSION pgvow_conf;
INSERT INTO pgvow_conf.filtered SELECT n, 'own ' || n, false FROM generate_series(1001, 1150) AS n;
UPDATE pgvow_conf.filtered SET name = 'changed, but standard' WHERE id = 1;
INSERT INTO pgvow_conf.whole SELECT 'key ' || n, 'value ' || n FROM generate_series(1, 90) AS n;
INSERT INTO pgvow_conf.private_rows VALUES (6);
SELECT setval('pgvow_conf.numbers', 4711);
CREATE TABLE uses_it (id integer REFERENCES pgvow_conf.filtered (id));
INSERT INTO uses_it VALUES (1001), (1002), (1);
CREATE EXTENSION pg_trgm;
CREATE TABLE trigrams (body text);
INSERT INTO trigrams SELECT 'some words ' || n FROM generate_series(1, 300) AS n;
CREATE INDEX ON trigrams USING gin (body gin_trgm_ops);
