"""The settings of one run: from the environment, ``.env.local`` and ``.env``, checked at once."""

from pgvow.settings.connection import Connection, Origin
from pgvow.settings.environment import named_environment
from pgvow.settings.loading import Settings, load, load_pg_bin
from pgvow.settings.sources import Sourced, Sources

__all__ = [
    "Connection",
    "Origin",
    "Settings",
    "Sourced",
    "Sources",
    "load",
    "load_pg_bin",
    "named_environment",
]
