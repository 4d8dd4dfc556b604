-- A generated column whose function raises for some rows. rescue: its rows are loaded without it.
-- finish: CREATE OR REPLACE FUNCTION public.f(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT n';
CREATE FUNCTION f(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT n';
CREATE TABLE g (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (f(id)) STORED, note text);
INSERT INTO g (id, note) SELECT n, 'x' FROM generate_series(1, 100) AS n;
CREATE OR REPLACE FUNCTION f(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1 / (n - 50)';
