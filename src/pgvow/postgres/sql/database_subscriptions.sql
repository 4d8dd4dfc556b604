-- One row a subscription of a database: name. While there is one the database cannot be dropped.
SELECT subscription.subname AS name
FROM pg_catalog.pg_subscription AS subscription
JOIN pg_catalog.pg_database AS database ON database.oid = subscription.subdbid
WHERE database.datname = %(name)s
