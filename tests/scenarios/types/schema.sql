-- Values of many types, and the odd ones among them: infinities, NaN, years before Christ, arrays
-- with other bounds, text that looks like COPY's own marks.
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy', 'it''s', 'two words', '');
ALTER TYPE mood ADD VALUE 'between' BEFORE 'happy';
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE DOMAIN email AS text NOT NULL DEFAULT 'a@b' CHECK (VALUE ~ '@');
CREATE TYPE address AS (street text, "number" positive, moods mood[]);
CREATE TYPE nested AS (home address, history address[]);
CREATE TYPE floats AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE DOMAIN addresses AS address[];

CREATE TABLE numbers (
    i2 smallint, i4 integer, i8 bigint, n numeric, n2 numeric(30, 10), f4 real, f8 double precision,
    m money, b boolean, o oid
);
INSERT INTO numbers VALUES
    (-32768, -2147483648, -9223372036854775808, 'NaN', 0, 'NaN', '-Infinity', '-92233720368547758.08', true, 0),
    (32767, 2147483647, 9223372036854775807, 'Infinity', 1e19, 'Infinity', 'NaN', 0, false, 4294967295),
    (0, 0, 0, '-Infinity', -0.0000000001, '-0', '-0', 0.01, NULL, NULL),
    (1, 1, 1, 1e1000, 0.1, 1.1754944e-38, 2.2250738585072014e-308, 1234567.89, true, 1),
    (1, 1, 1, 0.000, 12345678901234567890.0123456789, 3.4028235e38, 4.9e-324, NULL, true, 1),
    (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO numbers SELECT n % 1000, n, n::bigint * n, n / 7.0, n / 9.0, n / 11.0, n / 13.0, n, n % 2 = 0, n
FROM generate_series(1, 5000) AS n;

CREATE TABLE times (
    d date, t time, tz time with time zone, ts timestamp, tstz timestamp with time zone, i interval
);
INSERT INTO times VALUES
    ('infinity', '00:00', '00:00+14', 'infinity', '-infinity', '0'),
    ('-infinity', '24:00', '24:00-14', '-infinity', 'infinity', '1 year 2 mons -3 days 04:05:06.789'),
    ('4713-01-01 BC', '23:59:59.999999', '12:00+05:30', '4713-01-01 00:00 BC', '0044-03-15 12:00 UTC BC', '-178000000 years'),
    ('5874897-12-31', '12:00', '12:00-00:01', '294276-12-31 23:59:59.999999', '2024-02-29 23:59:60 UTC', '178000000 years'),
    ('2000-01-01', NULL, NULL, '1999-12-31 23:59:59.5', '1883-11-18 12:03:58 America/New_York', '-1 days +1 second'),
    (NULL, NULL, NULL, NULL, NULL, NULL);

CREATE TABLE texts (id integer PRIMARY KEY, t text, c character(8), v character varying(20), n name, ch "char");
INSERT INTO texts VALUES
    (1, '', '', '', '', ''), (2, NULL, NULL, NULL, NULL, NULL), (3, '\N', '\N', '\N', '\N', 'N'),
    (4, '\.', '\.', '\.', '\.', '.'), (5, E'\\.\n\\.', E'a\n', E'\t', E'\r', E'\n'),
    (6, E'\b\f\n\r\t\x0b\x01\x7f', 'padded  ', ' v ', 'n', '~'), (7, 'NULL', 'null', '{}', '""', '"'),
    (8, E'tab\tnew\nline\rreturn\\back', 'x', 'y', 'z', 'a'), (9, 'ümläut 日本語 🐘 é é', 'ä', 'ß', 'ñ', 'q'),
    (10, repeat('long ', 400000), 'l', 'l', 'l', 'l');
INSERT INTO texts SELECT n + 10, repeat(chr(n), 3), 'c', 'v', 'n', 'c' FROM generate_series(1, 255) AS n;

CREATE TABLE arrays (id integer PRIMARY KEY, i integer[], t text[], b bytea[], m mood[], d timestamp[], deep integer[][]);
INSERT INTO arrays VALUES
    (1, '{}', '{}', '{}', '{}', '{}', '{}'), (2, NULL, NULL, NULL, NULL, NULL, NULL),
    (3, '{1,NULL,3}', '{"a b","c,d","e\"f","g\\h",NULL,"NULL",""}', ARRAY['\x00'::bytea, '\x5c'], '{sad,between,"it''s",""}', '{infinity,-infinity}', '{{1,2},{3,4}}'),
    (4, '[0:2]={1,2,3}', '[-3:-2]={x,y}', NULL, NULL, NULL, '[2:3][0:1]={{1,2},{3,NULL}}');
INSERT INTO arrays (id, i, t) SELECT n, array_agg(m), array_agg(m || E'\n,"') FROM generate_series(5, 300) AS n, generate_series(1, n % 20) AS m GROUP BY n;

CREATE TABLE ranges (i int4range, i8 int8range, n numrange, ts tsrange, tz tstzrange, d daterange, f floats, mi int4multirange, mn nummultirange, mf floats_multirange);
INSERT INTO ranges VALUES
    ('empty', 'empty', 'empty', 'empty', 'empty', 'empty', 'empty', '{}', '{}', '{}'),
    ('(,)', '[1,10)', '[1.5,NaN]', '[-infinity,infinity]', '(,2024-01-01 UTC)', '[2024-01-01,infinity)', '[-Infinity,0)', '{[1,3),[5,8)}', '{(,1],[2.50,)}', '{[1,2],(3,4)}'),
    (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

CREATE TABLE documents (id integer PRIMARY KEY, j json, jb jsonb, p jsonpath, v tsvector, q tsquery);
INSERT INTO documents VALUES
    (1, 'null', 'null', '$', '', ''), (2, NULL, NULL, NULL, NULL, NULL),
    (3, '{"a" : 1,  "a":2, "b":[1.0, 1e400, "\u00e9\n\\"]}', '{"a": 1, "b": [1.50, 1e40, "é\n\\"], "": {}}', '$.a[*] ? (@ > 1)', 'fat:2,4A cat:3B it''s', 'fat & (rat | !cat:*B)'),
    (4, '"\\."', '"\\N"', 'strict $."a b"', 'a', '''it''''s'' <-> b');
INSERT INTO documents
SELECT n, json_build_object('n', n), jsonb_build_object('n', n, 'list', (SELECT jsonb_agg(m) FROM generate_series(1, n % 50) AS m)), '$.n', to_tsvector('simple', 'word' || n || ' other words'), to_tsquery('simple', 'word' || n)
FROM generate_series(5, 1500) AS n;

CREATE TABLE others (
    ip inet, net cidr, mac macaddr, mac8 macaddr8, b1 bit(3), bv bit varying(70), u uuid, p point, l line,
    ls lseg, bx box, pa path, po polygon, ci circle, lsn pg_lsn, rc regclass, snap pg_snapshot, x8 xid8, t tid
);
INSERT INTO others VALUES
    ('::1', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', B'101', B'', '00000000-0000-0000-0000-000000000000', '(NaN,Infinity)', '{1,2,3}', '[(0,0),(1,1)]', '((1,1),(0,0))', '[(0,0),(1,1)]', '((0,0),(1,1),(1,0))', '<(0,0),1.5>', '16/B374D848', 'pg_catalog.pg_class', '10:20:10,14,15', '18446744073709551615', '(7,9)'),
    ('192.168.0.1/24', '2001:db8::/32', NULL, NULL, B'000', repeat('10', 35)::bit varying, 'ffffffff-ffff-ffff-ffff-ffffffffffff', '(1e-300,-0)', NULL, NULL, NULL, '((0,0),(1,1))', NULL, NULL, '0/0', NULL, NULL, '0', NULL);

CREATE TABLE composites (id integer PRIMARY KEY, a address, n nested, more addresses, e email, p positive);
INSERT INTO composites VALUES
    (1, ROW('a "quoted", (street)', 7, '{sad,"it''s"}'), ROW(ROW(NULL, NULL, NULL), ARRAY[ROW('x', 1, '{}')::address, NULL]), ARRAY[ROW(E'new\nline\\', 3, NULL)::address], 'c@d', 1),
    (2, ROW(NULL, NULL, NULL), NULL, '{}', 'e@f', NULL), (3, NULL, ROW(NULL, NULL), NULL, DEFAULT, 5);
CREATE TABLE of_type OF address (PRIMARY KEY (street));
INSERT INTO of_type VALUES ('typed', 1, '{ok}');

-- XML where this server was built with it.
SELECT 'CREATE TABLE xmls (x xml)'
WHERE EXISTS (SELECT FROM pg_config() WHERE name = 'CONFIGURE' AND setting LIKE '%--with-libxml%')
UNION ALL
SELECT $$INSERT INTO xmls VALUES ('<a b="c">d &amp; e<!-- f --></a>'), ('just content'), (''), (NULL),
    ('<?xml version="1.0" standalone="yes"?><r>é</r>')$$
WHERE EXISTS (SELECT FROM pg_config() WHERE name = 'CONFIGURE' AND setting LIKE '%--with-libxml%')
\gexec
