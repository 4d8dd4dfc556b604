-- A database in SQL_ASCII, which takes any bytes: rows in UTF-8 and in LATIN1 and in neither stand
-- side by side. psql sends its bytes as they are, and so do COPY and names.
SET client_encoding = 'SQL_ASCII';
CREATE TABLE bytes (code integer PRIMARY KEY, c text);
INSERT INTO bytes SELECT n, convert_from(set_byte('\x00', 0, n), 'SQL_ASCII') FROM generate_series(1, 255) AS n;
CREATE TABLE mixed (id integer PRIMARY KEY, encoding text, body text);
INSERT INTO mixed VALUES
    (1, 'utf-8', 'é 日本 🐘'), (2, 'latin1', convert_from('\xe920e0', 'SQL_ASCII')),
    (3, 'cut utf-8', convert_from('\xe697', 'SQL_ASCII')), (4, 'none', convert_from('\xfffe5c2e', 'SQL_ASCII'));
INSERT INTO mixed SELECT n, 'ascii', repeat('plain ', n % 20) FROM generate_series(5, 1500) AS n;
CREATE TABLE "täble" ("cölumn" integer);
INSERT INTO "täble" SELECT generate_series(1, 9);
-- A name that is no UTF-8, made by the server so that this file stays readable.
SELECT format('CREATE TABLE %I (id integer)', convert_from('\x6ce574696e', 'SQL_ASCII'))
\gexec
SELECT format('INSERT INTO %I SELECT generate_series(1, 6)', convert_from('\x6ce574696e', 'SQL_ASCII'))
\gexec
