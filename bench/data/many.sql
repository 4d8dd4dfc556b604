-- 5,000 small tables of the same size each; all of them come to bench.megabytes of COPY text.
DO $$
BEGIN
  FOR number IN 1 .. 5000 LOOP
    EXECUTE format(
      'CREATE TABLE t%s AS SELECT id, conversation, role, body, metadata FROM base.messages'
      ' WHERE id > %s LIMIT %s',
      number, number * 9 % 40000, ceil(current_setting('bench.megabytes')::numeric * 50000 / 20 / 5000)
    );
  END LOOP;
END
$$;
