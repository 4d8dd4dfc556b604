-- An exclusion constraint that rows break; a trigger beside it is as it was. rescue: the constraint is left out.
-- finish: DELETE FROM x WHERE note = 'twice';
CREATE TABLE x (r int4range, note text, CONSTRAINT x_excl EXCLUDE USING gist (r WITH &&));
INSERT INTO x SELECT int4range(n * 10, n * 10 + 5), 'once' FROM generate_series(1, 20) AS n;
UPDATE pg_index SET indisready = false WHERE indexrelid = 'x_excl'::regclass;
INSERT INTO x VALUES (int4range(12, 14), 'twice');
UPDATE pg_index SET indisready = true WHERE indexrelid = 'x_excl'::regclass;
CREATE TABLE d (id int, v int);
INSERT INTO d SELECT n, n FROM generate_series(1, 10) AS n;
CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER d_t BEFORE INSERT ON d FOR EACH ROW EXECUTE FUNCTION t();
