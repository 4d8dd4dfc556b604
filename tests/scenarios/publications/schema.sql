-- Publications: of tables with columns and a filter, of a schema, of everything, of nothing.
CREATE SCHEMA shared;
CREATE TABLE shared.facts (id integer PRIMARY KEY, secret text, body text);
INSERT INTO shared.facts SELECT n, 'secret', 'fact ' || n FROM generate_series(1, 400) AS n;
CREATE TABLE keyless (a integer, b text);
ALTER TABLE keyless REPLICA IDENTITY FULL;
INSERT INTO keyless SELECT n, 'b' || n FROM generate_series(1, 60) AS n;
CREATE TABLE by_index (a integer NOT NULL, b text);
CREATE UNIQUE INDEX replica ON by_index (a);
ALTER TABLE by_index REPLICA IDENTITY USING INDEX replica;
CREATE PUBLICATION partial FOR TABLE shared.facts (id, body) WHERE (id < 100), TABLE ONLY keyless
    WITH (publish = 'insert, truncate');
CREATE PUBLICATION "one schema" FOR TABLES IN SCHEMA shared WITH (publish_via_partition_root = true);
CREATE PUBLICATION everything FOR ALL TABLES;
CREATE PUBLICATION nothing;
COMMENT ON PUBLICATION partial IS 'not all of it';
