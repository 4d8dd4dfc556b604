-- One row a foreign key from one of the tables %(oids)s to one of them, perhaps to itself: oid of the referencing table, of the
-- referenced one.
SELECT DISTINCT reference.conrelid::bigint AS referencing, reference.confrelid::bigint AS referenced
FROM pg_catalog.pg_constraint AS reference
WHERE reference.contype = 'f'
  AND reference.conrelid = ANY (%(oids)s::pg_catalog.oid[])
  AND reference.confrelid = ANY (%(oids)s::pg_catalog.oid[])
ORDER BY 1, 2
