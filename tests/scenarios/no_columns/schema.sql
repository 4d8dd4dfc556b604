-- Tables without columns, which may have rows all the same: each is an empty line of COPY.
CREATE TABLE nothing ();
CREATE TABLE rows_of_nothing ();
INSERT INTO rows_of_nothing SELECT FROM generate_series(1, 1000);
CREATE TABLE lost_its_columns (a integer, b text);
INSERT INTO lost_its_columns SELECT n, 'text ' || n FROM generate_series(1, 500) AS n;
ALTER TABLE lost_its_columns DROP COLUMN a, DROP COLUMN b;
CREATE TABLE lost_some (a integer, b text, c integer);
INSERT INTO lost_some SELECT n, 'text ' || n, -n FROM generate_series(1, 500) AS n;
ALTER TABLE lost_some DROP COLUMN b;
ALTER TABLE lost_some ADD COLUMN d text DEFAULT 'added later';
-- Nothing but generated columns is nothing to copy either.
CREATE TABLE only_generated (g integer GENERATED ALWAYS AS (1) STORED);
INSERT INTO only_generated SELECT FROM generate_series(1, 50);
