-- One row a setting on which the text of COPY depends, as it is in this session: name, value. The same
-- rows give the same text only under the same of these; ALTER DATABASE SET changes them, and pg_dump
-- leaves them alone.
SELECT setting.name, setting.setting AS value
FROM pg_catalog.pg_settings AS setting
WHERE setting.name IN ('TimeZone', 'bytea_output', 'lc_monetary', 'xmlbinary', 'server_encoding')
ORDER BY setting.name
