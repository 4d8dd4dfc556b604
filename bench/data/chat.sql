-- A chat application's tables: messages with JSON (6 parts of 10), vectors (2), narrow events (2).
-- The setting bench.megabytes says how much COPY text they come to.
CREATE TABLE messages AS
SELECT (round - 1) * 50000 + id AS id, (round - 1) * 2000 + conversation AS conversation, role,
       body, metadata, timestamptz '2026-01-01 00:00Z' + (round * 50000 + id) * interval '1.7 s' AS at
FROM generate_series(1, 1 + (current_setting('bench.megabytes')::numeric * 0.6 / 20)::int) AS round,
     base.messages
WHERE (round - 1) * 50000 + id <= current_setting('bench.megabytes')::numeric * 0.6 * 50000 / 20;
ALTER TABLE messages ADD PRIMARY KEY (id);
CREATE TABLE embeddings AS
SELECT (round - 1) * 4000 + id AS id, embedding
FROM generate_series(1, 1 + (current_setting('bench.megabytes')::numeric * 0.2 / 16)::int) AS round,
     base.vectors
WHERE (round - 1) * 4000 + id <= current_setting('bench.megabytes')::numeric * 0.2 * 4000 / 16;
CREATE TABLE events AS
SELECT n AS id, n * 7919::bigint % 4001 AS conversation, n * 104729::bigint % 97 AS kind,
       timestamptz '2026-01-01 00:00Z' + n * interval '1.37 s' AS at
FROM generate_series(1, (current_setting('bench.megabytes')::numeric * 0.2 * 1000000 / 48)::int) AS n;
