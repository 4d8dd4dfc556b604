-- Checks that read and write the texts of dates and intervals under the database's own DateStyle and IntervalStyle. pg_dump writes all rows in ISO, which every style reads alike.
-- prove and restore: equal, as with a stock pg_restore into a database that has the settings: they are in force while rows are loaded.
DO $$ BEGIN
  EXECUTE format('ALTER DATABASE %I SET DateStyle = ''German, DMY''', current_database());
  EXECUTE format('ALTER DATABASE %I SET IntervalStyle = sql_standard', current_database());
END $$;
SET DateStyle = 'German, DMY';
SET IntervalStyle = sql_standard;
CREATE TABLE dated (d date, said text CHECK (said = d::text), typed text CHECK (typed::date = d), i interval, took text CHECK (took = i::text));
INSERT INTO dated SELECT d, d::text, to_char(d, 'DD/MM/YYYY'), i, i::text
FROM generate_series(1, 60) AS n, LATERAL (SELECT date '2024-01-01' + n AS d, n * interval '1 day -1 hour' AS i) AS t;
