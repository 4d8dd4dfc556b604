-- Take away every time limit of this session: a role or a database may have set some. One row each.
-- Settings that this server does not know (transaction_timeout before 17) are passed over.
SELECT pg_catalog.set_config(known.name, '0', false)
FROM pg_catalog.pg_settings AS known
WHERE known.name IN (
  'statement_timeout',
  'lock_timeout',
  'idle_in_transaction_session_timeout',
  'idle_session_timeout',
  'transaction_timeout'
)
