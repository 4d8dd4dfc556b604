-- Binary data: every byte, NULL beside empty, values that TOAST keeps elsewhere, in every storage.
CREATE TABLE every_byte (value integer PRIMARY KEY, alone bytea, between bytea);
INSERT INTO every_byte
SELECT n, set_byte('\x00', 0, n), '\x61'::bytea || set_byte('\x00', 0, n) || '\x62'::bytea
FROM generate_series(0, 255) AS n;
CREATE TABLE edges (name text PRIMARY KEY, value bytea);
INSERT INTO edges VALUES
    ('null', NULL), ('empty', ''), ('backslash', '\x5c'), ('copy end', '\x5c2e'),
    ('copy end and newline', '\x5c2e0a'), ('null mark', '\x5c4e'), ('zeros', '\x000000'),
    ('not utf-8', '\xfffe80c0'), ('custom format''s magic', '\x5047444d50');
INSERT INTO edges
SELECT 'all', string_agg(set_byte('\x00', 0, n), ''::bytea ORDER BY n)
FROM generate_series(0, 255) AS n;

CREATE TABLE stored (
    id integer PRIMARY KEY,
    plain bytea,
    external bytea,
    extended bytea,
    main bytea
);
ALTER TABLE stored
    ALTER COLUMN plain SET STORAGE PLAIN,
    ALTER COLUMN external SET STORAGE EXTERNAL,
    ALTER COLUMN main SET STORAGE MAIN;
INSERT INTO stored
SELECT n, sha256(n::text::bytea), noise, decode(repeat('00ff', n * 100), 'hex'), noise
FROM generate_series(1, 60) AS n
CROSS JOIN LATERAL (
    SELECT string_agg(sha256((n * 1000 + m)::text::bytea), ''::bytea ORDER BY m) AS noise
    FROM generate_series(1, n * 6) AS m
) AS noises;
CREATE TABLE megabytes (id integer PRIMARY KEY, value bytea);
INSERT INTO megabytes
SELECT k, string_agg(sha256((k * 100000 + n)::text::bytea), ''::bytea ORDER BY n)
FROM generate_series(1, 3) AS k, generate_series(1, 40000) AS n
GROUP BY k;
