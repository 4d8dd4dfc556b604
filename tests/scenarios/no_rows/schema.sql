-- Tables without rows: never had any, deleted, truncated, and one among others that have some.
CREATE TABLE never (id integer PRIMARY KEY, body text);
CREATE TABLE deleted (id integer PRIMARY KEY, body text);
INSERT INTO deleted SELECT n, repeat('x', 200) FROM generate_series(1, 2000) AS n;
DELETE FROM deleted;
CREATE TABLE truncated (id serial PRIMARY KEY, body text);
INSERT INTO truncated (body) SELECT repeat('y', 200) FROM generate_series(1, 2000);
TRUNCATE truncated RESTART IDENTITY;
CREATE TABLE some_rows (id integer PRIMARY KEY, body text);
INSERT INTO some_rows VALUES (1, 'one'), (2, NULL), (3, '');
CREATE TABLE refers (id integer REFERENCES never (id));
CREATE VIEW nobody AS SELECT * FROM never;
