-- As tenant_code.sql, by every other way in which restoring runs what an ordinary role wrote: a generated column, a check of a domain, a constant in a check, a check that takes the row (and so comes by
-- itself, after the rows), a partition key, an index, an exclusion, an operator, one that takes the place of the catalog's in queries of our own, a materialized view.
-- prove: 0, proven. restore: 0, the tenant is no superuser, everything belongs to the tenant as before.
CREATE ROLE tenant NOSUPERUSER;
GRANT CREATE ON SCHEMA public TO tenant;
SET SESSION AUTHORIZATION tenant;
CREATE FUNCTION probe() RETURNS boolean LANGUAGE plpgsql AS $f$
BEGIN
  BEGIN
    EXECUTE 'RESET ROLE';
    EXECUTE $q$COPY (SELECT 1) TO PROGRAM 'cat'$q$;
    RAISE EXCEPTION 'a program ran with the rights of whoever restores';
  EXCEPTION WHEN insufficient_privilege OR feature_not_supported OR active_sql_transaction THEN NULL;
  END;
  BEGIN
    EXECUTE 'ALTER ROLE tenant SUPERUSER';
    RAISE EXCEPTION 'the tenant made itself a superuser';
  EXCEPTION WHEN insufficient_privilege OR read_only_sql_transaction THEN NULL;
  END;
  RETURN true;
END $f$;
CREATE FUNCTION seen(i int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM public.probe(); RETURN i; END $$;
CREATE FUNCTION seen_text(i int) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM public.probe(); RETURN i; END $$;
CREATE DOMAIN watched AS int CHECK (seen(VALUE) > 0);
CREATE TABLE generated (a int, b int GENERATED ALWAYS AS (seen(a)) STORED, c watched);
INSERT INTO generated (a, c) SELECT g, g FROM generate_series(1, 10) AS g;
CREATE TABLE folded (a int CHECK (a > seen(0)), b int DEFAULT seen(3));
INSERT INTO folded SELECT generate_series(1, 10);
CREATE TABLE whole (a int, b int);
CREATE FUNCTION fits(w whole) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN public.probe(); END $$;
ALTER TABLE whole ADD CONSTRAINT whole_fits CHECK (fits(whole.*));
INSERT INTO whole SELECT g, g FROM generate_series(1, 10) AS g;
CREATE TABLE parted (a int, b text) PARTITION BY RANGE (seen(a));
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (6);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (6) TO (100);
INSERT INTO parted SELECT g, 'x' FROM generate_series(1, 10) AS g;
CREATE TABLE indexed (a int, EXCLUDE USING btree (seen(a) WITH =));
CREATE INDEX ON indexed (seen_text(a)) WHERE seen(a) > 0;
INSERT INTO indexed SELECT generate_series(1, 10);
CREATE STATISTICS of_it ON (seen(a)), a FROM indexed;
CREATE MATERIALIZED VIEW filled AS SELECT seen(a) AS a, probe() AS b FROM folded;
CREATE UNIQUE INDEX ON filled (seen(a));
CREATE TABLE late (a int);
INSERT INTO late SELECT generate_series(1, 10);
ALTER TABLE late ADD CONSTRAINT later CHECK (seen(a) > 0) NOT VALID;
CREATE FUNCTION same(int, bigint) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM public.probe(); RETURN $1::bigint OPERATOR(pg_catalog.=) $2; END $$;
CREATE OPERATOR === (LEFTARG = int, RIGHTARG = bigint, FUNCTION = same);
CREATE VIEW seen_by_it AS SELECT a FROM folded WHERE a === 3::bigint;
-- It is the better match for "classid = '…'::regclass", wherever public is in the search_path.
CREATE FUNCTION trap(oid, regclass) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM public.probe(); RETURN $1 OPERATOR(pg_catalog.=) $2::oid; END $$;
CREATE OPERATOR public.= (LEFTARG = oid, RIGHTARG = regclass, FUNCTION = trap);
GRANT SELECT ON folded TO PUBLIC;
RESET SESSION AUTHORIZATION;
REVOKE CREATE ON SCHEMA public FROM tenant;
-- Restored by a superuser, behind the operators: what is asked of the catalog then must not find them.
CREATE FOREIGN DATA WRAPPER nothing;
