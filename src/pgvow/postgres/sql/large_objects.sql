-- One row a large object after the given one, in the order of oids and at most so many: oid, and its
-- first bytes, at most so many. A hole in it reads as zeros, as it does for pg_dump.
SELECT object.oid, pg_catalog.lo_get(object.oid, 0, %(bytes)s)
FROM pg_catalog.pg_largeobject_metadata AS object
WHERE object.oid > %(after)s
ORDER BY object.oid
LIMIT %(objects)s
