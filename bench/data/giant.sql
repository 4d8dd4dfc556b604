-- One table that has everything. The setting bench.megabytes says how much COPY text it comes to.
CREATE TABLE messages AS
SELECT id::bigint AS id, conversation, role, body, metadata, timestamptz '2026-01-01 00:00Z' AS at
FROM base.messages
LIMIT 0;
DO $$
DECLARE
  megabytes constant numeric := current_setting('bench.megabytes');
BEGIN
  FOR round IN 0 .. (megabytes / 20)::int LOOP
    INSERT INTO messages
    SELECT round * 50000 + id, round * 2000 + conversation, role, body, metadata,
           timestamptz '2026-01-01 00:00Z' + (round * 50000 + id) * interval '1.7 s'
    FROM base.messages
    WHERE round * 50000 + id <= megabytes * 50000 / 20
    ORDER BY id;
  END LOOP;
END $$;
ALTER TABLE messages ADD PRIMARY KEY (id);
