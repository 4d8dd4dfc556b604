-- One row a subscription of this database: name. A database that has one cannot be dropped.
SELECT subscription.subname
FROM pg_catalog.pg_subscription AS subscription
JOIN pg_catalog.pg_database AS database ON database.oid = subscription.subdbid
WHERE database.datname = pg_catalog.current_database()
