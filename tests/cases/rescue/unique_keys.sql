-- Keys that stopped being unique: their indexes were broken. rescue: plain indexes; a key that refers to one is left out.
-- finish: DELETE FROM a WHERE note = 'twice'; DELETE FROM b WHERE note = 'twice'; DELETE FROM e WHERE note = 'twice';
CREATE TABLE a (id int CONSTRAINT a_key PRIMARY KEY, note text);
CREATE TABLE b (id int, note text, CONSTRAINT b_key UNIQUE (id) INCLUDE (note));
CREATE TABLE e (id int, note text);
CREATE UNIQUE INDEX "E index" ON e ((id + 0)) WHERE note <> 'x';
CREATE TABLE refers (a int REFERENCES a);
COMMENT ON CONSTRAINT a_key ON a IS 'the key';
COMMENT ON INDEX "E index" IS 'another';
INSERT INTO a SELECT n, 'once' FROM generate_series(1, 20) AS n;
INSERT INTO b SELECT n, 'once' FROM generate_series(1, 20) AS n;
INSERT INTO e SELECT n, 'once' FROM generate_series(1, 20) AS n;
INSERT INTO refers SELECT generate_series(1, 20);
UPDATE pg_index SET indisready = false WHERE indexrelid IN ('a_key'::regclass, 'b_key'::regclass, '"E index"'::regclass);
INSERT INTO a VALUES (7, 'twice');
INSERT INTO b VALUES (7, 'twice'), (8, 'twice');
INSERT INTO e VALUES (7, 'twice');
UPDATE pg_index SET indisready = true WHERE indexrelid IN ('a_key'::regclass, 'b_key'::regclass, '"E index"'::regclass);
