-- A subscription that is connected to nothing, and that a restore leaves disconnected too. A
-- database with one cannot be dropped before it, WITH (FORCE) or not.
CREATE TABLE received (id integer PRIMARY KEY, body text);
INSERT INTO received SELECT n, 'received ' || n FROM generate_series(1, 200) AS n;
SET client_min_messages = error;
CREATE SUBSCRIPTION "from nowhere"
    CONNECTION 'host=/nonexistent dbname=none password=secret'
    PUBLICATION "some of it", everything
    WITH (connect = false, slot_name = NONE, enabled = false, binary = true);
COMMENT ON SUBSCRIPTION "from nowhere" IS 'never connected';
