-- A chat application's tables: messages with JSON (6 parts of 10), vectors (2), narrow events (2).
-- The setting bench.megabytes says how much COPY text they come to. Round by round, so that equal rows
-- lie farther apart than any window.
CREATE TABLE messages AS
SELECT id::bigint AS id, conversation, role, body, metadata, timestamptz '2026-01-01 00:00Z' AS at
FROM base.messages
LIMIT 0;
CREATE TABLE embeddings AS
SELECT id::bigint AS id, embedding
FROM base.vectors
LIMIT 0;
DO $$
DECLARE
  megabytes constant numeric := current_setting('bench.megabytes');
BEGIN
  FOR round IN 0 .. (megabytes * 0.6 / 20)::int LOOP
    INSERT INTO messages
    SELECT round * 50000 + id, round * 2000 + conversation, role, body, metadata,
           timestamptz '2026-01-01 00:00Z' + (round * 50000 + id) * interval '1.7 s'
    FROM base.messages
    WHERE round * 50000 + id <= megabytes * 0.6 * 50000 / 20
    ORDER BY id;
  END LOOP;
  FOR round IN 0 .. (megabytes * 0.2 / 18.6)::int LOOP
    INSERT INTO embeddings
    SELECT round * 4000 + id, embedding
    FROM base.vectors
    WHERE round * 4000 + id <= megabytes * 0.2 * 4000 / 18.6
    ORDER BY id;
  END LOOP;
END $$;
ALTER TABLE messages ADD PRIMARY KEY (id);
CREATE TABLE events AS
SELECT n AS id, n * 7919::bigint % 4001 AS conversation, n * 104729::bigint % 97 AS kind,
       timestamptz '2026-01-01 00:00Z' + n * interval '1.37 s' AS at
FROM generate_series(1, (current_setting('bench.megabytes')::numeric * 0.2 * 1000000 / 48)::int) AS n;
