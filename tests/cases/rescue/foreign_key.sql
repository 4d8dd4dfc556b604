-- Rows without their parents, by a key of two columns; a NULL in it is no breach. rescue: the key is NOT VALID.
-- finish: DELETE FROM child WHERE p = 99;
CREATE TABLE parent (a int, b int, PRIMARY KEY (a, b));
CREATE TABLE child (id int PRIMARY KEY, p int, q int, CONSTRAINT "Fremd Schlüssel" FOREIGN KEY (p, q) REFERENCES parent);
CREATE TABLE single (id int PRIMARY KEY);
CREATE TABLE other (id int PRIMARY KEY, s int REFERENCES single);
INSERT INTO parent SELECT n, n FROM generate_series(1, 10) AS n;
INSERT INTO child SELECT n, 1 + n % 10, 1 + n % 10 FROM generate_series(1, 50) AS n;
INSERT INTO single SELECT generate_series(1, 5);
INSERT INTO other SELECT n, n FROM generate_series(1, 5) AS n;
SET session_replication_role = replica;
INSERT INTO child VALUES (100, 99, 99), (101, 99, 98), (102, NULL, 97);
