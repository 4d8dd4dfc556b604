-- A database in LATIN1: what it holds is no UTF-8, names included. psql sends UTF-8, the server converts.
CREATE SCHEMA "schéma";
CREATE TABLE "schéma"."tâble" ("colönne" integer PRIMARY KEY, "valeur ß" text DEFAULT 'défaut');
INSERT INTO "schéma"."tâble"
SELECT n, 'é à ü ñ £ § ¡ ÿ ' || n FROM generate_series(1, 500) AS n;
-- Every character this encoding has, but the zero byte; 0x80 to 0x9f are control characters.
CREATE TABLE characters (code integer PRIMARY KEY, c text);
INSERT INTO characters SELECT n, chr(n) FROM generate_series(1, 255) AS n;
CREATE TYPE "humeur" AS ENUM ('gâté', 'déçu');
CREATE TABLE moods (m "humeur");
INSERT INTO moods VALUES ('gâté'), ('déçu');
COMMENT ON TABLE "schéma"."tâble" IS 'un commentaire « français »';
CREATE FUNCTION "fonction é"() RETURNS text LANGUAGE sql AS $$SELECT 'é'::text$$;
