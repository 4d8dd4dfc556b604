-- Foreign keys in circles and upon oneself, deferred, unvalidated, composite, to partitions.
CREATE TABLE departments (id integer PRIMARY KEY, name text UNIQUE, head integer NOT NULL);
CREATE TABLE employees (
    id         integer PRIMARY KEY,
    department integer NOT NULL REFERENCES departments (id) DEFERRABLE INITIALLY DEFERRED,
    manager    integer REFERENCES employees (id) ON DELETE SET NULL
);
ALTER TABLE departments ADD CONSTRAINT headed FOREIGN KEY (head) REFERENCES employees (id)
    DEFERRABLE INITIALLY DEFERRED;
BEGIN;
INSERT INTO departments SELECT n, 'department ' || n, n * 10 FROM generate_series(1, 50) AS n;
-- Managers have larger numbers than those they manage: rows point forwards.
INSERT INTO employees SELECT n, (n - 1) % 50 + 1, CASE WHEN n < 1000 THEN n + 1 END
FROM generate_series(1, 1000) AS n;
COMMIT;

CREATE TABLE a (id integer PRIMARY KEY, b integer, c integer);
CREATE TABLE b (id integer PRIMARY KEY, c integer);
CREATE TABLE c (id integer PRIMARY KEY, a integer);
INSERT INTO a SELECT n, n, n FROM generate_series(1, 100) AS n;
INSERT INTO b SELECT n, 101 - n FROM generate_series(1, 100) AS n;
INSERT INTO c SELECT n, 101 - n FROM generate_series(1, 100) AS n;
ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b, ADD FOREIGN KEY (c) REFERENCES c;
ALTER TABLE b ADD FOREIGN KEY (c) REFERENCES c;
ALTER TABLE c ADD FOREIGN KEY (a) REFERENCES a ON UPDATE CASCADE;

CREATE TABLE parent (x integer, y text, PRIMARY KEY (x, y));
CREATE TABLE child (
    x integer, y text,
    FOREIGN KEY (x, y) REFERENCES parent MATCH FULL ON DELETE SET DEFAULT ON UPDATE RESTRICT
);
INSERT INTO parent SELECT n, 'y' || n % 3 FROM generate_series(1, 60) AS n;
INSERT INTO child SELECT x, y FROM parent;
INSERT INTO child VALUES (NULL, NULL);
-- Rows that break it were there before: NOT VALID must come back as that.
CREATE TABLE orphans (id integer);
INSERT INTO orphans SELECT generate_series(-5, 5);
ALTER TABLE orphans ADD CONSTRAINT unchecked FOREIGN KEY (id) REFERENCES a NOT VALID;
CREATE TABLE sharded (id integer PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE sharded_1 PARTITION OF sharded FOR VALUES FROM (0) TO (50);
CREATE TABLE sharded_2 PARTITION OF sharded DEFAULT;
INSERT INTO sharded SELECT generate_series(1, 100);
CREATE TABLE points_at (id integer REFERENCES sharded);
INSERT INTO points_at SELECT generate_series(1, 100);
