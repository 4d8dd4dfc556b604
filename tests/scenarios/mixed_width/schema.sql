-- Tables of several hundred blocks: rows in the order of an index, widths from a few bytes to
-- kilobytes, holes left by deletes and updates, so that blocks hold very different numbers of rows.
CREATE TABLE clustered (id integer PRIMARY KEY, grp integer, body text, tail text);
INSERT INTO clustered
SELECT n, hashint4(n) % 1000, repeat(md5(n::text), n % 40), CASE WHEN n % 10 = 0 THEN NULL ELSE 't' || n END
FROM generate_series(1, 12000) AS n;
CREATE INDEX by_group ON clustered (grp, id);
CLUSTER clustered USING by_group;
UPDATE clustered SET tail = repeat('updated ', id % 60) WHERE id % 7 = 0;
DELETE FROM clustered WHERE id BETWEEN 4000 AND 6000 OR id % 11 = 0;

CREATE TABLE narrow (id integer);
INSERT INTO narrow SELECT generate_series(1, 120000);
CREATE TABLE wide (id integer PRIMARY KEY, a text, b text, c jsonb);
ALTER TABLE wide ALTER COLUMN a SET STORAGE EXTERNAL;
INSERT INTO wide
SELECT n, repeat(md5(n::text), 300), repeat(md5((-n)::text), 50), jsonb_build_object('n', n, 'text', repeat('z', n))
FROM generate_series(1, 400) AS n;
-- Tall rows first, then thousands of small ones.
CREATE TABLE lopsided (id integer PRIMARY KEY, body text) WITH (fillfactor = 50);
ALTER TABLE lopsided ALTER COLUMN body SET STORAGE PLAIN;
INSERT INTO lopsided SELECT n, repeat(chr(65 + n % 26), 7000) FROM generate_series(1, 200) AS n;
INSERT INTO lopsided SELECT n, 'small' FROM generate_series(201, 20000) AS n;
-- Empty blocks in the middle and at the end, which a vacuum would give back.
CREATE TABLE hollow (id integer, body text);
INSERT INTO hollow SELECT n, repeat('h', 400) FROM generate_series(1, 8000) AS n;
DELETE FROM hollow WHERE id BETWEEN 1000 AND 6999;
ANALYZE;
