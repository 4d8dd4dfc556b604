-- Views and checks that a server rewords: x IN (...) comes back as x = ANY (ARRAY[...]). Views upon
-- views, recursive, with options, with rules, with columns of a join, in a circle with a function.
CREATE TABLE orders (
    id     integer PRIMARY KEY,
    status text NOT NULL CHECK (status IN ('new', 'paid', 'it''s off')),
    kind   character varying(10) CONSTRAINT kinds CHECK (kind IN ('a', 'b') AND kind NOT IN ('z')),
    amount numeric CHECK (amount BETWEEN 0 AND 1e6) NO INHERIT,
    placed date CHECK (placed > DATE '1970-01-01' OR placed IS NULL),
    CONSTRAINT not_checked CHECK (amount <> 13) NOT VALID
);
INSERT INTO orders
SELECT n, (ARRAY['new', 'paid', 'it''s off'])[n % 3 + 1], (ARRAY['a', 'b'])[n % 2 + 1], n + 100,
       date '2024-01-01' + n % 500
FROM generate_series(1, 2500) AS n;
CREATE TABLE lines (order_id integer REFERENCES orders (id), sku text, UNIQUE (order_id, sku));
INSERT INTO lines SELECT n, 'sku ' || n % 10 FROM generate_series(1, 2500) AS n;

CREATE VIEW open_orders AS SELECT * FROM orders WHERE status IN ('new', 'paid');
CREATE VIEW joined AS
    SELECT o.*, l.sku, row_number() OVER (PARTITION BY l.sku ORDER BY o.id) AS position
    FROM open_orders AS o LEFT JOIN lines AS l ON l.order_id = o.id;
CREATE VIEW editable WITH (security_barrier, check_option = local) AS
    SELECT id, status FROM orders WHERE id < 1000;
CREATE VIEW invoker WITH (security_invoker = true) AS SELECT count(*) AS n FROM joined;
CREATE RECURSIVE VIEW countdown (n) AS
    VALUES (10) UNION ALL SELECT n - 1 FROM countdown WHERE n > 0;
-- A primary key lets a query name other columns ungrouped; the view depends on the constraint.
CREATE VIEW grouped AS
    SELECT o.id, o.status, count(l.sku) AS skus
    FROM orders AS o JOIN lines AS l ON l.order_id = o.id GROUP BY o.id;
CREATE VIEW ruled AS SELECT 1 AS one;
CREATE RULE instead AS ON INSERT TO ruled DO INSTEAD INSERT INTO lines VALUES (NEW.one, 'by rule');
CREATE RULE quiet AS ON DELETE TO orders WHERE OLD.id < 0 DO INSTEAD NOTHING;

-- A view and a function that need each other.
CREATE VIEW ring AS SELECT 1 AS x;
CREATE FUNCTION around() RETURNS SETOF ring LANGUAGE sql AS 'SELECT * FROM ring';
CREATE OR REPLACE VIEW ring AS SELECT 1 AS x WHERE (SELECT count(*) FROM pg_proc WHERE proname = 'around') >= 0;
CREATE INDEX ON orders (status) WHERE status IN ('new', 'paid');
CREATE STATISTICS correlated (dependencies) ON status, kind FROM orders;
