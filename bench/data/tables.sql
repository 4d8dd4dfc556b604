-- Every table of the database: its quoted name and how many blocks it has, the largest first.
SELECT format('%I.%I', n.nspname, c.relname),
       (pg_relation_size(c.oid) / current_setting('block_size')::int)::int AS blocks
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname = 'public'
ORDER BY blocks DESC, c.oid
