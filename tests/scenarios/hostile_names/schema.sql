-- Names that break naive tools: blanks, quotes, dots, slashes, per cent, newlines, backslashes,
-- other scripts, 63 bytes, reserved words, and tables whose "schema.table" would be the same.

-- "a.b"."c" and "a"."b.c" are both a.b.c to whoever joins with a dot; so are their quoted forms.
CREATE SCHEMA "a.b";
CREATE SCHEMA a;
CREATE TABLE "a.b".c (id integer PRIMARY KEY, which text);
CREATE TABLE a."b.c" (id integer PRIMARY KEY, which text);
INSERT INTO "a.b".c SELECT n, 'schema with a dot' FROM generate_series(1, 11) AS n;
INSERT INTO a."b.c" SELECT n, 'table with a dot' FROM generate_series(1, 13) AS n;
-- A schema's table, and a table of public that is called like it.
CREATE TABLE a.t (id integer);
CREATE TABLE public."a.t" (id integer);
INSERT INTO a.t SELECT generate_series(1, 5);
INSERT INTO public."a.t" SELECT generate_series(1, 7);
-- One whose name holds the quotes another one would get.
CREATE TABLE public."""a"".t" (id integer);
INSERT INTO public."""a"".t" VALUES (1);
-- The same name in two cases.
CREATE TABLE public."Case" (id integer);
CREATE TABLE public."case" (id integer);
INSERT INTO public."Case" SELECT generate_series(1, 3);
INSERT INTO public."case" SELECT generate_series(1, 4);

SELECT
    format('CREATE TABLE public.%I (%I integer PRIMARY KEY, %I text)', name, name, 'text ' || ordinality),
    format('INSERT INTO public.%I SELECT n, repeat(%L, n) FROM generate_series(1, %s) AS n',
           name, name, 10 + ordinality)
FROM unnest(ARRAY[
    'two words', ' leading and trailing ', 'single''quote', 'double"quote', '"', '''', '`backtick`',
    'sla/sh', '../../etc/passwd', '/absolute', 'back\slash', 'trailing\', '100%', '%s %d %(x)s %%',
    'new' || E'\n' || 'line', 'carriage' || E'\r' || 'return', 'tab' || E'\t' || 'ulator',
    '$dollar$', '$$', '$(touch x); rm -rf', ';', '--comment', '/* comment */', ':colon', ':''psql''',
    '{}', '{0}', '[brackets]', '*', '?', '|pipe|', '-dash', '--table', '=', '@', '#', '~', '!', '\.',
    '\restrict', 'ascii' || E'\x7f' || 'del', 'umläut', 'кириллица', '日本語', '𝔘𝔫𝔦', '🐘', E'\u00e9', E'e\u0301',
    'right' || E'\u202e' || 'left', E'\u00a0', 'select', 'table', 'user', 'NULL', 'order',
    'Upper', 'dot.', '.dot', '.', '..', repeat('x', 63), repeat('ä', 31) || 'y'
]) WITH ORDINALITY AS names (name, ordinality)
\gexec

-- Schemas, sequences, types, functions, constraints, indexes, roles: names are everywhere.
CREATE SCHEMA "Sch éma ""q"" 'r' %s
x";
CREATE TYPE "Sch éma ""q"" 'r' %s
x"."ty pe" AS ENUM ('a b', 'c''d', 'e"f', '');
CREATE SEQUENCE "Sch éma ""q"" 'r' %s
x"."se.quence ""s""";
CREATE TABLE "Sch éma ""q"" 'r' %s
x"."ta.ble
-- DROP TABLE public.a" (
    "select" bigint DEFAULT nextval('"Sch éma ""q"" ''r'' %s
x"."se.quence ""s"""'),
    "co,l(u)mn" "Sch éma ""q"" 'r' %s
x"."ty pe",
    "100%" text,
    "back\slash" text,
    CONSTRAINT "pri mary" PRIMARY KEY ("select"),
    CONSTRAINT "ch'eck" CHECK ("100%" <> 'no')
);
CREATE INDEX "in.dex ""i""" ON "Sch éma ""q"" 'r' %s
x"."ta.ble
-- DROP TABLE public.a" ("co,l(u)mn", lower("back\slash"));
INSERT INTO "Sch éma ""q"" 'r' %s
x"."ta.ble
-- DROP TABLE public.a" ("co,l(u)mn", "100%", "back\slash")
SELECT (ARRAY['a b', 'c''d', 'e"f', ''])[n % 4 + 1]::"Sch éma ""q"" 'r' %s
x"."ty pe", E'\\.' || n, E'\\N\t\n\r' || n
FROM generate_series(1, 50) AS n;
CREATE FUNCTION public."fun ction(1)"("ar.g" integer) RETURNS integer
    LANGUAGE sql AS 'SELECT $1 + 1';
COMMENT ON TABLE "Sch éma ""q"" 'r' %s
x"."ta.ble
-- DROP TABLE public.a" IS E'a comment\n-- with\n\\connect postgres\n';

SELECT 'CREATE ROLE "scn ro.le ""r"" ''s''"'
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'scn ro.le "r" ''s''')
\gexec
ALTER TABLE public."Case" OWNER TO "scn ro.le ""r"" 's'";
GRANT SELECT ON public."case" TO "scn ro.le ""r"" 's'";
