-- One table that has everything. The setting bench.megabytes says how much COPY text it comes to.
CREATE TABLE messages AS
SELECT (round - 1) * 50000 + id AS id, (round - 1) * 2000 + conversation AS conversation, role,
       body, metadata, timestamptz '2026-01-01 00:00Z' + (round * 50000 + id) * interval '1.7 s' AS at
FROM generate_series(1, 1 + (current_setting('bench.megabytes')::numeric / 20)::int) AS round,
     base.messages
WHERE (round - 1) * 50000 + id <= current_setting('bench.megabytes')::numeric * 50000 / 20;
ALTER TABLE messages ADD PRIMARY KEY (id);
