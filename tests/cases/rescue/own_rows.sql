-- A check that asks the rows of its own table, in an order in which it does not hold while they come.
-- rescue: the rows are loaded without it, and it holds all the same; nothing is loosened.
CREATE TABLE node (id int, parent int);
CREATE FUNCTION has(p int) RETURNS boolean LANGUAGE sql AS
  'SELECT p IS NULL OR EXISTS (SELECT FROM public.node WHERE id = p)';
ALTER TABLE node ADD CONSTRAINT known CHECK (has(parent));
INSERT INTO node VALUES (1, NULL);
INSERT INTO node VALUES (2, 1);
UPDATE node SET parent = 2 WHERE id = 1;
