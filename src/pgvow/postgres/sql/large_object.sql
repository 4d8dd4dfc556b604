-- One row: bytes of a large object from an offset on, at most so many.
SELECT pg_catalog.lo_get(%(oid)s, %(offset)s, %(bytes)s)
