-- Settings of the database itself that change how values look, so that who compares texts later needs
-- them, and on which checks, indexes and views hang that a restore computes anew.
SELECT format('ALTER DATABASE %I SET %s', current_database(), setting)
FROM unnest(ARRAY[
    'TimeZone TO ''Asia/Kathmandu''', 'bytea_output TO escape', 'xmlbinary TO hex',
    'DateStyle TO ''SQL, DMY''', 'IntervalStyle TO sql_standard', 'extra_float_digits TO -3',
    'search_path TO ''"$user"'', own', 'statement_timeout TO ''5min''', 'lock_timeout TO ''1min''',
    'default_transaction_read_only TO off', 'row_security TO on', 'lc_monetary TO ''C''',
    '"app.tenant" TO ''7''', 'default_text_search_config TO ''pg_catalog.german''',
    'default_tablespace TO pg_default', 'work_mem TO ''3MB'''
]) AS settings (setting)
\gexec
\c
CREATE SCHEMA own;
CREATE TABLE own.values (id integer PRIMARY KEY, at timestamptz, raw bytea, f double precision, m money, i interval, d date);
INSERT INTO own.values
SELECT n, timestamptz '2024-03-31 00:30 UTC' + n * interval '17 min', sha256(n::text::bytea), n / 7.0,
       n, n * interval '1 day 1 min', date '2024-01-02' + n
FROM generate_series(1, 800) AS n;
CREATE FUNCTION own.day_of(timestamptz) RETURNS date IMMUTABLE LANGUAGE sql AS 'SELECT $1::date';
CREATE TABLE own.visits (
  at timestamptz, day date CHECK (day = at::date), said text,
  tenant integer CHECK (tenant = current_setting('app.tenant')::integer)
);
INSERT INTO own.visits
SELECT at, at::date, 'die Häuser ' || n, 7
FROM generate_series(1, 400) AS n, LATERAL (SELECT timestamptz '2024-03-31 UTC' + n * interval '1 h') AS t (at);
CREATE INDEX by_day ON own.visits (own.day_of(at));
CREATE MATERIALIZED VIEW own.per_day AS
SELECT at::date AS day, count(*) AS visits, min(to_tsvector(said)::text) AS said FROM own.visits GROUP BY 1;
