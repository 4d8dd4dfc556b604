-- A database in which nothing was ever made.
SELECT;
