-- Unlogged tables: dumped from a primary, without rows on a standby. Temporary ones never are.
CREATE UNLOGGED TABLE cache (key text PRIMARY KEY, value bytea);
INSERT INTO cache SELECT 'key ' || n, sha256(n::text::bytea) FROM generate_series(1, 4000) AS n;
CREATE UNLOGGED TABLE empty_cache (key text);
CREATE TABLE was_unlogged (id integer);
ALTER TABLE was_unlogged SET UNLOGGED;
INSERT INTO was_unlogged SELECT generate_series(1, 100);
ALTER TABLE was_unlogged SET LOGGED;
CREATE TABLE becomes_unlogged (id integer);
INSERT INTO becomes_unlogged SELECT generate_series(1, 100);
ALTER TABLE becomes_unlogged SET UNLOGGED;
CREATE TEMPORARY TABLE passing AS SELECT generate_series(1, 10) AS id;
