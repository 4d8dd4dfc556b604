-- One row an extension that this server could create: name.
SELECT name FROM pg_catalog.pg_available_extensions
