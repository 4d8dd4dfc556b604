-- Set what pg_dump sets in its own sessions, so that we read what it reads; one row a setting.
-- The last five are for queries of ours, which pg_dump has no like of: with enable_tidscan off each
-- range of a table's blocks would be a scan of the whole table, and with constraint_exclusion on the
-- planner would compute constants in checks and partition keys, by functions of their owners.
-- Settings that this server does not know (transaction_timeout before 17) are passed over.
SELECT pg_catalog.set_config(wanted.name, wanted.value, false)
FROM (
  VALUES
    ('search_path', ''),
    ('DateStyle', 'ISO'),
    ('IntervalStyle', 'postgres'),
    ('extra_float_digits', '3'),
    ('row_security', 'off'),
    ('synchronize_seqscans', 'off'),
    ('quote_all_identifiers', 'off'),
    ('statement_timeout', '0'),
    ('lock_timeout', '0'),
    ('idle_in_transaction_session_timeout', '0'),
    ('idle_session_timeout', '0'),
    ('transaction_timeout', '0'),
    ('restrict_nonsystem_relation_kind', 'view, foreign-table'),
    ('max_parallel_workers_per_gather', '0'),
    ('enable_tidscan', 'on'),
    ('enable_seqscan', 'on'),
    ('jit', 'off'),
    ('constraint_exclusion', 'off')
) AS wanted (name, value)
WHERE EXISTS (
  SELECT FROM pg_catalog.pg_settings AS known
  WHERE pg_catalog.lower(known.name) = pg_catalog.lower(wanted.name)
)
