-- A foreign key whose rows are matched by an operator class of the database's own, over functions of an ordinary role: at the source the class was made by an administrator. To add the key runs the operator, and
-- a stock pg_restore runs it as who restores. The children are written in other letters than their parents, so that no other equality finds them.
-- prove: 0, proven. restore: 0, all rows and the key are there, and the tenant is no superuser: the key is checked by the restoring role, which is none.
CREATE ROLE tenant NOSUPERUSER;
GRANT CREATE ON SCHEMA public TO tenant;
SET SESSION AUTHORIZATION tenant;
-- No block with an exception: the server calls these while it has a page of the index locked.
CREATE FUNCTION probe() RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $f$
BEGIN
  IF current_setting('is_superuser')::boolean THEN
    RAISE EXCEPTION 'the operator ran with the rights of a superuser';
  END IF;
  RETURN true;
END $f$;
CREATE FUNCTION same(a text, b text) RETURNS boolean IMMUTABLE STRICT LANGUAGE plpgsql AS $$ BEGIN PERFORM public.probe(); RETURN lower(a) = lower(b); END $$;
CREATE FUNCTION before(a text, b text) RETURNS boolean IMMUTABLE STRICT LANGUAGE sql AS 'SELECT lower(a) < lower(b)';
CREATE FUNCTION not_after(a text, b text) RETURNS boolean IMMUTABLE STRICT LANGUAGE sql AS 'SELECT lower(a) <= lower(b)';
CREATE FUNCTION not_before(a text, b text) RETURNS boolean IMMUTABLE STRICT LANGUAGE sql AS 'SELECT lower(a) >= lower(b)';
CREATE FUNCTION after(a text, b text) RETURNS boolean IMMUTABLE STRICT LANGUAGE sql AS 'SELECT lower(a) > lower(b)';
CREATE FUNCTION compared(a text, b text) RETURNS integer IMMUTABLE STRICT LANGUAGE plpgsql AS $$ BEGIN PERFORM public.probe(); RETURN btnametextcmp(lower(a)::name, lower(b)); END $$;
CREATE OPERATOR =~= (FUNCTION = same, LEFTARG = text, RIGHTARG = text, COMMUTATOR = =~=);
CREATE OPERATOR <~ (FUNCTION = before, LEFTARG = text, RIGHTARG = text);
CREATE OPERATOR <=~ (FUNCTION = not_after, LEFTARG = text, RIGHTARG = text);
CREATE OPERATOR >=~ (FUNCTION = not_before, LEFTARG = text, RIGHTARG = text);
CREATE OPERATOR >~ (FUNCTION = after, LEFTARG = text, RIGHTARG = text);
RESET SESSION AUTHORIZATION;
CREATE OPERATOR CLASS without_case FOR TYPE text USING btree AS
  OPERATOR 1 <~, OPERATOR 2 <=~, OPERATOR 3 =~=, OPERATOR 4 >=~, OPERATOR 5 >~, FUNCTION 1 compared(text, text);
SET SESSION AUTHORIZATION tenant;
CREATE TABLE parent (code text NOT NULL, name text);
CREATE UNIQUE INDEX by_code ON parent (code without_case);
CREATE TABLE child (id int PRIMARY KEY, code text CONSTRAINT child_code_fkey REFERENCES parent (code));
INSERT INTO parent SELECT 'Code' || n, 'p' || n FROM generate_series(1, 20) AS n;
INSERT INTO child SELECT n, 'cODE' || 1 + n % 20 FROM generate_series(1, 60) AS n;
RESET SESSION AUTHORIZATION;
