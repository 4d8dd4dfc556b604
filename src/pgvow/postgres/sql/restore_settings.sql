-- Set what pg_restore sets in its own sessions, so that an entry is restored again as it was the first
-- time; one row a setting. Settings that this server does not know are passed over.
SELECT pg_catalog.set_config(wanted.name, wanted.value, false)
FROM (
  VALUES
    ('search_path', ''),
    ('standard_conforming_strings', 'on'),
    ('check_function_bodies', 'off'),
    ('xmloption', 'content'),
    ('client_min_messages', 'warning'),
    ('row_security', 'off'),
    ('statement_timeout', '0'),
    ('lock_timeout', '0'),
    ('idle_in_transaction_session_timeout', '0'),
    ('idle_session_timeout', '0'),
    ('transaction_timeout', '0')
) AS wanted (name, value)
WHERE EXISTS (
  SELECT FROM pg_catalog.pg_settings AS known
  WHERE known.name = wanted.name
)
