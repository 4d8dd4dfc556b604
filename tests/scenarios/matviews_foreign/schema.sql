-- Materialized views, upon each other and without data; foreign tables, whose rows are elsewhere
-- and whose server does not even answer: whoever counts them hangs or fails.
CREATE TABLE sales (id integer PRIMARY KEY, region text, amount numeric);
INSERT INTO sales
SELECT n, (ARRAY['north', 'south', 'east'])[n % 3 + 1], n * 1.5 FROM generate_series(1, 3000) AS n;
CREATE MATERIALIZED VIEW by_region AS
    SELECT region, sum(amount) AS total, count(*) AS sales FROM sales GROUP BY region;
CREATE UNIQUE INDEX ON by_region (region);
CREATE MATERIALIZED VIEW best_region AS SELECT region FROM by_region ORDER BY total DESC LIMIT 1;
CREATE MATERIALIZED VIEW never_filled AS SELECT * FROM sales WITH NO DATA;
CREATE VIEW plain AS SELECT region FROM best_region;
-- What it shows is older than its table.
INSERT INTO sales VALUES (10001, 'west', 1e9);

CREATE EXTENSION postgres_fdw;
CREATE SERVER nowhere FOREIGN DATA WRAPPER postgres_fdw
    OPTIONS (host '/nonexistent', dbname 'no "one" is''here', port '1');
CREATE USER MAPPING FOR CURRENT_USER SERVER nowhere OPTIONS (user 'nobody', password 'pass''word');
CREATE USER MAPPING FOR PUBLIC SERVER nowhere OPTIONS (user 'anybody');
CREATE FOREIGN TABLE remote (id integer NOT NULL, body text OPTIONS (column_name 'b o d y'))
    SERVER nowhere OPTIONS (schema_name 'a', table_name 'b');
CREATE EXTENSION file_fdw;
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE version_file (line text) SERVER files OPTIONS (filename 'PG_VERSION');
CREATE MATERIALIZED VIEW of_a_file AS SELECT line FROM version_file;

-- A foreign table as a partition, beside a local one.
CREATE TABLE logs (at date, line text) PARTITION BY RANGE (at);
CREATE TABLE logs_now PARTITION OF logs FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE FOREIGN TABLE logs_old PARTITION OF logs
    FOR VALUES FROM ('2023-01-01') TO ('2024-01-01') SERVER nowhere;
INSERT INTO logs_now SELECT date '2024-01-01' + n, 'line ' || n FROM generate_series(0, 300) AS n;

-- Beside leaves that are loaded through the root, for an enum's hash decides between them.
CREATE TYPE colour AS ENUM ('red', 'green', 'blue');
CREATE TABLE parts (at date, colour colour) PARTITION BY RANGE (at);
CREATE TABLE parts_now PARTITION OF parts
    FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') PARTITION BY HASH (colour);
CREATE TABLE coloured_0 PARTITION OF parts_now FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE coloured_1 PARTITION OF parts_now FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE FOREIGN TABLE parts_old PARTITION OF parts
    FOR VALUES FROM ('2023-01-01') TO ('2024-01-01') SERVER nowhere;
INSERT INTO parts_now
SELECT date '2024-01-01' + n, (enum_range(NULL::colour))[n % 3 + 1]
FROM generate_series(0, 300) AS n;
