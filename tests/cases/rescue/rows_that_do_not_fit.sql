-- 100,000 rows, of which 7 are longer than their column allows. rescue: they are in a file, the others in the table.
-- rejected: 7
-- finish: ALTER TABLE m ALTER COLUMN v TYPE varchar(20);
CREATE TABLE m (id int PRIMARY KEY, v varchar(20), note text);
INSERT INTO m SELECT n, 'abc', 'a note	with a tab' FROM generate_series(1, 100000) AS n;
UPDATE m SET v = 'far too long' WHERE id IN (1, 777, 778, 5001, 50000, 99999, 100000);
UPDATE pg_attribute SET atttypmod = 7 WHERE attrelid = 'm'::regclass AND attname = 'v';
