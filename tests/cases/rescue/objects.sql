-- Objects that cannot be made again: an index that raises, a view that cannot be filled, a trigger, two at once.
-- finish: CREATE OR REPLACE FUNCTION public.bad(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT n';
CREATE FUNCTION bad(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT n';
CREATE TABLE t (id int PRIMARY KEY, v int);
INSERT INTO t SELECT n, n FROM generate_series(1, 10) AS n;
CREATE INDEX t_bad ON t (bad(v));
COMMENT ON INDEX t_bad IS 'raises';
CREATE MATERIALIZED VIEW w AS SELECT bad(v) AS v FROM t;
CREATE OR REPLACE FUNCTION bad(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not now: %', n; END $$;
