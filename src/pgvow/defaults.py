"""The value of each option that is set nowhere: argparse, pgvow.toml and doctor take it from here.

Imports next to nothing, for ``--help`` loads it.
"""

from __future__ import annotations

from datetime import timedelta

JOBS = 1
SPACE_FACTOR = 2.0
"""Free space required, in sizes of the database."""
LOCK_WAIT_SECONDS = 60.0
"""How long to try for the locks on all tables."""
STALL_TIMEOUT = timedelta(minutes=15)
"""How long a server or tool may give no sign of progress."""
MAX_AGE = timedelta(hours=26)
"""How old the newest backup may be: a daily one, and two hours of grace."""
SHRINK = 0.4
DISK_DAYS = 7.0
KEEP = 0
"""How many backups each rule of retention keeps."""


def hours(duration: timedelta) -> str:
    """Write a duration of whole hours as pgvow.toml has it: ``26h``."""
    return f"{duration // timedelta(hours=1)}h"
