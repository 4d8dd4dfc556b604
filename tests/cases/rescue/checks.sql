-- Rows that break checks, a check of a domain, and NOT NULL; a check that holds is as it was.
-- finish: DELETE FROM c WHERE id > 100; DELETE FROM d WHERE id > 100; DELETE FROM n WHERE num_nulls(id) > 0;
CREATE FUNCTION small(n int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT true';
CREATE TABLE c (id int, v int, CONSTRAINT holds CHECK (v IS NOT NULL), CONSTRAINT is_small CHECK (small(v)));
CREATE FUNCTION positive(n int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT true';
CREATE DOMAIN count AS int CONSTRAINT is_positive CHECK (positive(VALUE));
CREATE TABLE d (id int, v count);
CREATE TABLE n (id int NOT NULL, v text);
INSERT INTO c SELECT n, n FROM generate_series(1, 100) AS n;
INSERT INTO c VALUES (101, 5000), (102, 6000);
INSERT INTO d SELECT n, n FROM generate_series(1, 100) AS n;
INSERT INTO d VALUES (101, -1);
INSERT INTO n SELECT n, 'x' FROM generate_series(1, 100) AS n;
CREATE OR REPLACE FUNCTION small(n int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT n < 1000';
CREATE OR REPLACE FUNCTION positive(n int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT n > 0';
UPDATE pg_attribute SET attnotnull = false WHERE attrelid = 'n'::regclass AND attname = 'id';
INSERT INTO n VALUES (NULL, 'y');
UPDATE pg_attribute SET attnotnull = true WHERE attrelid = 'n'::regclass AND attname = 'id';
