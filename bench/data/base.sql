-- What the tables of every shape are made of: 50,000 messages and 4,000 vectors, the same each time.
-- About 20 MB and 15 MB of text: wider than the window of any compression here, so that rows copied
-- from them pack no better than rows of their own would.
SELECT setseed(0.4);
CREATE SCHEMA base;
CREATE TABLE base.words AS
SELECT n, substr(translate(md5(n::text), '0123456789', 'etaoinshrl'), 1, 2 + n % 8) AS word
FROM generate_series(0, 2999) AS n;
CREATE TABLE base.messages AS
WITH dictionary AS (SELECT array_agg(word ORDER BY n) AS words FROM base.words)
SELECT n AS id, n / 25 AS conversation,
       (ARRAY['user', 'assistant', 'system'])[1 + (random() * random() * 2.99)::int % 3] AS role,
       (SELECT string_agg(words[1 + (2999 * random() ^ (2 + k % 2))::int], ' ')
        FROM generate_series(1, 8 + n % 60) AS k) AS body,
       jsonb_build_object(
           'model', 'model-' || n % 7, 'temperature', round(random()::numeric, 2),
           'tokens', jsonb_build_object('in', (random() * 4000)::int, 'out', (random() * 900)::int),
           'tags', jsonb_build_array(words[1 + n % 90], words[1 + n % 41]), 'cached', n % 3 = 0
       ) AS metadata
FROM dictionary, generate_series(1, 50000) AS n;
CREATE TABLE base.vectors AS
SELECT n AS id, array(SELECT ((random() * 2 - 1) * 0.1)::real
                      FROM generate_series(1, 384) AS k WHERE n > 0) AS embedding
FROM generate_series(1, 4000) AS n;
ANALYZE base.messages, base.vectors;
