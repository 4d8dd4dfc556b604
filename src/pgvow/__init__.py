"""pgvow: PostgreSQL backups that prove they will come back."""

__version__ = "0.1.0"
