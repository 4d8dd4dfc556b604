"""What the file system refuses, in our own errors: translated here and nowhere else."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pgvow.errors import (
    AccessDenied,
    ConfigurationError,
    NoSpace,
    PgvowError,
    lack_of_resources,
)
from pgvow.finished_file import OF_THE_FILE, read_refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def refusals(doing: str, path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn an OSError met while ``doing`` something to ``path`` into an error of ours."""
    try:
        yield
    except OSError as error:
        raise translated(error, doing=doing, path=path) from error


def translated(error: OSError, *, doing: str, path: str | os.PathLike[str]) -> PgvowError:
    """Say in our terms what the operating system refused, about which path, and what helps."""
    place = os.fspath(path)
    cause = f"cannot {doing} {place}: {error.strerror or error}"
    if error.errno in _DENIED:
        return _denied(error, cause, place)
    if error.errno in _FULL:
        return _full(error, cause, place)
    if lack := lack_of_resources(error):
        lack.cause = cause
        return lack
    if doing == "read" and error.errno in OF_THE_FILE:
        return read_refusal(error, path)
    if error.errno == errno.ENOTDIR:
        return ConfigurationError(
            cause,
            facts={"Path": place},
            steps=[
                f"It is a file, or something above it is: ls -ld {place}",
                "Name a directory, which is made where there is none: --output-dir DIR",
            ],
        )
    return PgvowError(
        cause,
        facts={"Path": place},
        steps=[f"Look at the path: ls -ld {place}", "See the system's log: dmesg | tail"],
    )


def _denied(error: OSError, cause: str, place: str) -> AccessDenied:
    steps = [f"See who owns it and who may write: ls -ld {place}"]
    if error.errno == errno.EROFS:
        steps.append("The file system is mounted read-only: mount it for writing")
    steps.append("Or choose another directory: --output-dir DIR")
    return AccessDenied(cause, facts={"Path": place, "User": f"uid {os.geteuid()}"}, steps=steps)


def _full(error: OSError, cause: str, place: str) -> NoSpace:
    first = {
        errno.EDQUOT: "See your quota: quota -s",
        errno.EFBIG: "See the limit on a file's size: ulimit -f, and that of the file system",
    }.get(error.errno or 0, f"See what is free: df -h {_nearest(Path(place))}")
    return NoSpace(
        cause,
        facts={"Path": place},
        steps=[
            first,
            "See which backups are no longer needed, and remove them: pgvow list",
            "Or choose a directory with more room: --output-dir DIR",
        ],
    )


def _nearest(path: Path) -> Path:
    """The path itself where it is a directory, else where it lies: df wants what is there."""
    return path if path.is_dir() else path.parent
