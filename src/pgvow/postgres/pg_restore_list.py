"""Ask pg_restore whether it can read an archive's table of contents."""

from __future__ import annotations

import signal
from subprocess import DEVNULL
from typing import TYPE_CHECKING

from pgvow.postgres.failure_classes import FailureClass, lack_of_system, no_verdict
from pgvow.postgres.process import RunningTool

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pgvow.postgres.binaries import Installation

_COMPLAINT = "pg_restore: error: "


def start_listing(
    installation: Installation, archive: Path | int, environ: Mapping[str, str]
) -> RunningTool:
    """Start ``pg_restore --list`` on a path or a descriptor; leaving the tool's block ends it."""
    passed = [archive] if isinstance(archive, int) else []
    place = f"/dev/fd/{archive}" if isinstance(archive, int) else str(archive.absolute())
    argv = [str(installation.program("pg_restore")), "--list", place]
    return RunningTool(
        argv,
        env=installation.environment(environ),
        stdout=DEVNULL,
        pass_fds=passed,
        name="pg_restore --list",
    )


def complaint_of(listing: RunningTool) -> str | None:
    """Wait for it; return None if it succeeds, else its error message.

    Raises NoVerdict, NoResources and NoSpace if pg_restore was killed or lacked something itself:
    that is no complaint about the archive.
    """
    ended = listing.wait()
    if ended.returncode == 0:
        return None
    if ended.returncode < 0:
        name = signal.Signals(-ended.returncode).name
        raise no_verdict(FailureClass.UNKNOWN, f"pg_restore --list was ended by {name}")
    if lack := lack_of_system(ended.stderr):
        raise lack
    if _COMPLAINT not in ended.stderr:  # of the loader, say, for want of a library
        raise no_verdict(FailureClass.UNKNOWN, ended.stderr or f"status {ended.returncode}")
    return ended.stderr


def listing_complaint(
    installation: Installation, archive: Path, environ: Mapping[str, str]
) -> str | None:
    """Run ``pg_restore --list`` to its end; see ``complaint_of``."""
    with start_listing(installation, archive, environ) as listing:
        return complaint_of(listing)
