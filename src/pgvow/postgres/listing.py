"""Ask pg_restore whether it can read an archive's table of contents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.postgres.process import run_quietly

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pgvow.postgres.binaries import Installation


def listing_complaint(
    installation: Installation, archive: Path, environ: Mapping[str, str]
) -> str | None:
    """Run ``pg_restore --list``; None where it succeeds, else what it complains of."""
    argv = [str(installation.program("pg_restore")), "--list", str(archive.absolute())]
    ended = run_quietly(argv, env=installation.environment(environ))
    if ended.returncode == 0:
        return None
    return ended.stderr or f"pg_restore ended with status {ended.returncode}"
