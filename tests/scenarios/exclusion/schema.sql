-- Exclusion constraints, which need an extension's operators and are made after the rows.
CREATE EXTENSION btree_gist;
CREATE TABLE bookings (
    id     integer PRIMARY KEY,
    room   integer NOT NULL,
    during tstzrange NOT NULL,
    valid  boolean DEFAULT true,
    CONSTRAINT no_overlap EXCLUDE USING gist (room WITH =, during WITH &&) WHERE (valid)
);
INSERT INTO bookings
SELECT n, n % 10, tstzrange(timestamptz '2024-01-01 UTC' + n * interval '1 hour',
                            timestamptz '2024-01-01 UTC' + (n + 1) * interval '1 hour')
FROM generate_series(1, 2000) AS n;
INSERT INTO bookings SELECT n + 2000, n % 10, '(,)', false FROM generate_series(1, 50) AS n;
CREATE TABLE shapes (
    c circle,
    CONSTRAINT apart EXCLUDE USING gist (c WITH &&) DEFERRABLE INITIALLY DEFERRED
);
INSERT INTO shapes SELECT circle(point(n * 10, 0), 4) FROM generate_series(1, 300) AS n;
-- Keys whose NULLs are equal, keys with further columns, keys over time (18).
CREATE TABLE keys (
    a integer, b text,
    CONSTRAINT nulls_equal UNIQUE NULLS NOT DISTINCT (a) INCLUDE (b)
);
INSERT INTO keys SELECT NULLIF(n, 1), 'key ' || n FROM generate_series(1, 100) AS n;
SELECT 'CREATE TABLE temporal (id integer, at daterange, PRIMARY KEY (id, at WITHOUT OVERLAPS))'
WHERE current_setting('server_version_num')::integer >= 180000
UNION ALL
SELECT $$INSERT INTO temporal SELECT n % 5, daterange(date '2024-01-01' + n, date '2024-01-02' + n)
FROM generate_series(1, 200) AS n$$
WHERE current_setting('server_version_num')::integer >= 180000
\gexec
