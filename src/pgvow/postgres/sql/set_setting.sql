-- One row: the value that the session now has of a setting.
SELECT pg_catalog.set_config(%(name)s, %(value)s, false)
