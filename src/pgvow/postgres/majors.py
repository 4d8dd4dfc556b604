"""Everything that depends on a major version of PostgreSQL, or on one of its archive format.

A new major is a line here and a wheel in ``tests/support/servers.py``. Queries have theirs in
themselves: ``relations.sql`` copies by blocks from 14 on, ``roles_beyond_us.sql`` knows the right
to SET ROLE from 16 on.
"""

from __future__ import annotations

OLDEST_TESTED = 15
NEWEST_TESTED = 18
TESTED_MAJORS = range(OLDEST_TESTED, NEWEST_TESTED + 1)
"""The server majors our own tests run on."""

IDLE_SESSION_TIMEOUT_SINCE = 14
TRANSACTION_TIMEOUT_SINCE = 17
"""pg_restore begins with SET transaction_timeout, which older servers do not know."""
LOGIN_TRIGGERS_SINCE = 17
"""Event triggers act on those who connect, and can be switched off, by a superuser."""
STATISTICS_SINCE = 18
"""pg_dump dumps the planner's statistics, and pg_restore restores them."""
STANDARD_STRINGS_ONLY_SINCE = 19
"""standard_conforming_strings is always on, and cannot be set to off."""
NO_LINE_BREAKS_SINCE = 19
"""Names of roles and databases must not have a CR or LF in them."""

OLDEST_PG_RESTORE = {(1, 14): 14, (1, 15): 16, (1, 16): 17}
"""The oldest pg_restore that reads each version of the archive format."""
OLDEST_PG_RESTORE_OF_ALL = 11
"""For those before: they come from before 2018."""


def untested(major: int, version: str) -> str | None:
    """Return a warning if our tests do not run on this major of a server; None if they do."""
    if major in TESTED_MAJORS:
        return None
    than = "newer" if major > NEWEST_TESTED else "older"
    return (
        f"PostgreSQL {version} is {than} than what pgvow was tested with"
        f" ({OLDEST_TESTED} to {NEWEST_TESTED}): prove its backups before you trust them"
    )
