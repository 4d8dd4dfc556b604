-- An extension whose configuration tables pg_dump keeps in part (through a filter) and in whole.
\echo Use "CREATE EXTENSION pgvow_conf" to load this file. \quit

CREATE TABLE filtered (
    id       integer PRIMARY KEY,
    name     text    NOT NULL,
    standard boolean NOT NULL DEFAULT false
);
INSERT INTO filtered SELECT i, 'standard ' || i, true FROM generate_series(1, 20) AS i;
SELECT pg_extension_config_dump('filtered', 'WHERE NOT standard');

CREATE TABLE whole (
    key   text PRIMARY KEY,
    value text
);
SELECT pg_extension_config_dump('whole', '');

CREATE SEQUENCE numbers;
SELECT pg_extension_config_dump('numbers', '');

-- Belongs to the extension alone: CREATE EXTENSION makes it again, no dump has its rows.
CREATE TABLE private_rows (id integer PRIMARY KEY);
INSERT INTO private_rows SELECT generate_series(1, 5);
