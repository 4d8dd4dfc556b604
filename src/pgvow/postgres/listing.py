"""Ask pg_restore whether it can read an archive's table of contents."""

from __future__ import annotations

from subprocess import DEVNULL
from typing import TYPE_CHECKING

from pgvow.postgres.process import Tool

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pgvow.postgres.binaries import Installation


def start_listing(installation: Installation, archive: Path, environ: Mapping[str, str]) -> Tool:
    """Start ``pg_restore --list``; leaving the tool's block ends it."""
    argv = [str(installation.program("pg_restore")), "--list", str(archive.absolute())]
    return Tool(
        argv, env=installation.environment(environ), stdout=DEVNULL, name="pg_restore --list"
    )


def complaint_of(listing: Tool) -> str | None:
    """Wait for it; None where it succeeds, else what it complains of."""
    ended = listing.wait()
    if ended.returncode == 0:
        return None
    return ended.stderr or f"pg_restore ended with status {ended.returncode}"


def listing_complaint(
    installation: Installation, archive: Path, environ: Mapping[str, str]
) -> str | None:
    """Run ``pg_restore --list`` to its end; see ``complaint_of``."""
    with start_listing(installation, archive, environ) as listing:
        return complaint_of(listing)
