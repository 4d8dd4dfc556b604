"""pgvow: PostgreSQL backups that prove they will come back."""

__version__ = "0.1.0"
DEFAULT_DIRECTORY = "db/backups"
"""Where backups are when nobody says otherwise, below the working directory."""
