-- Vectors, half vectors, sparse and bit vectors of pgvector, with the indexes made for them.
CREATE EXTENSION vector;
CREATE TABLE items (
    id       bigserial PRIMARY KEY,
    content  text,
    embedding vector(48),
    half     halfvec(16),
    sparse   sparsevec(1000),
    bits     bit(32)
);
INSERT INTO items (content, embedding, half, sparse, bits)
SELECT
    'item ' || n,
    (SELECT array_agg(sin(n * 48 + m) ORDER BY m)::real[] FROM generate_series(1, 48) AS m)::vector,
    (SELECT array_agg(cos(n * 16 + m) ORDER BY m)::real[] FROM generate_series(1, 16) AS m)::halfvec,
    format('{%s:%s,%s:-0.5}/1000', n % 500 + 1, n / 8.0 + 1, n % 500 + 501)::sparsevec,
    hashint4(n)::bit(32)
FROM generate_series(1, 2000) AS n;
INSERT INTO items (content) VALUES ('nothing but text');
CREATE INDEX ON items USING hnsw (embedding vector_cosine_ops) WITH (m = 8, ef_construction = 32);
CREATE INDEX ON items USING ivfflat (half halfvec_l2_ops) WITH (lists = 10);
CREATE TABLE any_length (v vector, vs vector[]);
INSERT INTO any_length VALUES ('[1]', '{"[1,2]","[3]"}'), ('[1e-38,-3.4028235e38,0]', '{}'), (NULL, NULL);
