-- Settings of the database itself that change how values look: who compares texts later needs them.
SELECT format('ALTER DATABASE %I SET %s', current_database(), setting)
FROM unnest(ARRAY[
    'TimeZone TO ''Asia/Kathmandu''', 'bytea_output TO escape', 'xmlbinary TO hex',
    'DateStyle TO ''SQL, DMY''', 'IntervalStyle TO sql_standard', 'extra_float_digits TO -3',
    'search_path TO ''"$user"'', own', 'statement_timeout TO ''5min''', 'lock_timeout TO ''1min''',
    'default_transaction_read_only TO off', 'row_security TO on', 'lc_monetary TO ''C'''
]) AS settings (setting)
\gexec
\c
CREATE SCHEMA own;
CREATE TABLE own.values (id integer PRIMARY KEY, at timestamptz, raw bytea, f double precision, m money, i interval, d date);
INSERT INTO own.values
SELECT n, timestamptz '2024-03-31 00:30 UTC' + n * interval '17 min', sha256(n::text::bytea), n / 7.0,
       n, n * interval '1 day 1 min', date '2024-01-02' + n
FROM generate_series(1, 800) AS n;
