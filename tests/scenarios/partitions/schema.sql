-- Partitions by range, list and hash, in two levels, with defaults, attached and detached ones,
-- hash partitions on an enum (their rows are dumped through the root), and inheritance.
CREATE TABLE measured (
    at    timestamp with time zone NOT NULL,
    place text NOT NULL,
    value numeric,
    PRIMARY KEY (at, place)
) PARTITION BY RANGE (at);
CREATE TABLE measured_2023 PARTITION OF measured FOR VALUES FROM (MINVALUE) TO ('2024-01-01 UTC');
CREATE TABLE measured_2024 PARTITION OF measured
    FOR VALUES FROM ('2024-01-01 UTC') TO ('2025-01-01 UTC') PARTITION BY LIST (place);
CREATE TABLE measured_2024_north PARTITION OF measured_2024 FOR VALUES IN ('north', 'east');
CREATE TABLE measured_2024_rest PARTITION OF measured_2024 DEFAULT PARTITION BY HASH (place);
CREATE TABLE measured_2024_rest_0 PARTITION OF measured_2024_rest
    FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE measured_2024_rest_1 PARTITION OF measured_2024_rest
    FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE measured_default PARTITION OF measured DEFAULT;
CREATE INDEX ON measured (value);
INSERT INTO measured
SELECT
    timestamptz '2023-06-01 UTC' + n * interval '1 hour',
    (ARRAY['north', 'east', 'south', 'west', 'centre'])[n % 5 + 1],
    n / 7.0
FROM generate_series(1, 20000) AS n;

-- Columns in another order than the root's, and one dropped.
CREATE TABLE attached (place text NOT NULL, gone integer, value numeric, at timestamptz NOT NULL);
ALTER TABLE attached DROP COLUMN gone;
INSERT INTO attached SELECT 'attached', n, timestamptz '2031-01-01 UTC' + n * interval '1 s'
FROM generate_series(1, 300) AS n;
ALTER TABLE measured ATTACH PARTITION attached
    FOR VALUES FROM ('2031-01-01 UTC') TO ('2032-01-01 UTC');
CREATE TABLE detached PARTITION OF measured
    FOR VALUES FROM ('2032-01-01 UTC') TO ('2033-01-01 UTC');
INSERT INTO measured VALUES ('2032-05-05 UTC', 'north', 1);
ALTER TABLE measured DETACH PARTITION detached;

-- An enum hashes by its oid, and a restore gives it another: rows may belong elsewhere then.
CREATE TYPE colour AS ENUM ('red', 'green', 'blue', 'cyan', 'magenta', 'yellow', 'black');
CREATE TABLE coloured (id integer, colour colour) PARTITION BY HASH (colour);
CREATE TABLE coloured_0 PARTITION OF coloured FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE coloured_1 PARTITION OF coloured FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE TABLE coloured_2 PARTITION OF coloured FOR VALUES WITH (MODULUS 3, REMAINDER 2);
INSERT INTO coloured
SELECT n, (enum_range(NULL::colour))[n % 7 + 1] FROM generate_series(1, 3000) AS n;

-- Of one root's leaves some are loaded through it, and some as any other table; columns in another
-- order than the root's.
CREATE TABLE placed (place text, colour colour, id integer) PARTITION BY LIST (place);
CREATE TABLE coloured_north PARTITION OF placed FOR VALUES IN ('north') PARTITION BY HASH (colour);
CREATE TABLE coloured_north_0 PARTITION OF coloured_north
    FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE coloured_north_1 (id integer, colour colour, place text);
ALTER TABLE coloured_north ATTACH PARTITION coloured_north_1
    FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE placed_south PARTITION OF placed FOR VALUES IN ('south');
INSERT INTO placed
SELECT (ARRAY['north', 'south'])[n % 2 + 1], (enum_range(NULL::colour))[n % 7 + 1], n
FROM generate_series(1, 1000) AS n;

CREATE TABLE hashed (id bigint, body text) PARTITION BY HASH (id);
SELECT format('CREATE TABLE hashed_%s PARTITION OF hashed FOR VALUES WITH (MODULUS 4, REMAINDER %s)',
              n, n)
FROM generate_series(0, 3) AS n
\gexec
INSERT INTO hashed SELECT n, repeat(md5(n::text), 4) FROM generate_series(1, 8000) AS n;

-- A root without any partition, and an expression as key.
CREATE TABLE childless (id integer) PARTITION BY RANGE (id);
CREATE TABLE by_expression (name text) PARTITION BY LIST (lower(left(name, 1)));
CREATE TABLE by_expression_a PARTITION OF by_expression FOR VALUES IN ('a', NULL);
CREATE TABLE by_expression_other PARTITION OF by_expression DEFAULT;
INSERT INTO by_expression VALUES ('Ada'), ('anna'), (NULL), ('Bob'), ('');

-- Inheritance: a parent has rows of its own, a child may have several parents.
CREATE TABLE city (name text, people integer DEFAULT 0 CHECK (people >= 0));
CREATE TABLE walled (height numeric);
CREATE TABLE capital (country text) INHERITS (city);
CREATE TABLE fortress (since integer) INHERITS (city, walled);
CREATE TABLE fortress_by_sea () INHERITS (fortress);
INSERT INTO city SELECT 'city ' || n, n FROM generate_series(1, 100) AS n;
INSERT INTO walled SELECT n / 3.0 FROM generate_series(1, 20) AS n;
INSERT INTO capital SELECT 'capital ' || n, n, 'country ' || n FROM generate_series(1, 50) AS n;
INSERT INTO fortress SELECT 'fortress ' || n, n, n, 1000 + n FROM generate_series(1, 30) AS n;
INSERT INTO fortress_by_sea SELECT 'sea ' || n, n, n, 1500 + n FROM generate_series(1, 10) AS n;
