-- Large objects: more than 1000 (pg_dump 17 groups them by that), several owners, grants,
-- comments, empty ones, one with a hole, one of some megabytes.
SELECT format('CREATE ROLE %I', name)
FROM unnest(ARRAY['scn_alice', 'scn_bob', 'scn reader']) AS names (name)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec

CREATE TABLE documents (id integer PRIMARY KEY, content oid NOT NULL, title text);
INSERT INTO documents
SELECT n, lo_from_bytea(0, convert_to(repeat(n || ' ', n % 97), 'UTF8')), 'document ' || n
FROM generate_series(1, 1250) AS n;

SELECT format('ALTER LARGE OBJECT %s OWNER TO %I', content,
              (ARRAY['scn_alice', 'scn_bob'])[id % 2 + 1])
FROM documents WHERE id % 5 < 2
\gexec
SELECT format('GRANT SELECT ON LARGE OBJECT %s TO "scn reader"', content)
FROM documents WHERE id % 50 = 0
\gexec
SELECT format('COMMENT ON LARGE OBJECT %s IS %L', content, E'comment ''of''\n' || title)
FROM documents WHERE id % 100 = 3
\gexec

-- Fixed numbers, one near the end of what an oid can hold.
SELECT lo_create(4294967000), lo_create(2000000000);
SELECT lo_put(4294967000, 0, '\x00ff00ff');
-- Reads as zeros up to the written byte.
SELECT lo_put(2000000000, 1000000, '\x2a');
-- Incompressible, about 5 MB.
SELECT lo_from_bytea(2000000001, string_agg(sha256(n::text::bytea), ''::bytea ORDER BY n))
FROM generate_series(1, 160000) AS n;
-- All bytes, and the boundaries of a page (2048 bytes).
SELECT lo_from_bytea(2000000002, string_agg(set_byte('\x00', 0, n % 256), ''::bytea ORDER BY n))
FROM generate_series(0, 4096) AS n;
SELECT lo_from_bytea((2000000010 + n)::oid, convert_to(repeat('p', 2046 + n), 'UTF8'))
FROM generate_series(1, 4) AS n;
