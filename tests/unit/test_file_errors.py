"""Refusals of the file system, as our own errors."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pgvow.errors import AccessDenied, NoSpace, PgvowError
from pgvow.file_errors import refusals

_PATH = Path("/srv/backups/x.dump")


@pytest.mark.parametrize(
    ("number", "kind", "status"),
    [
        (errno.EACCES, AccessDenied, 4),
        (errno.EPERM, AccessDenied, 4),
        (errno.EROFS, AccessDenied, 4),
        (errno.ENOSPC, NoSpace, 5),
        (errno.EDQUOT, NoSpace, 5),
        (errno.EFBIG, NoSpace, 5),
        (errno.EIO, PgvowError, 1),
        (errno.ENOENT, PgvowError, 1),
    ],
)
def test_each_os_error_has_its_error_and_exit_code(
    number: int, kind: type[PgvowError], status: int
) -> None:
    """Exit codes 4 and 5 for what they stand for, with cause, path and steps."""
    with pytest.raises(PgvowError) as caught, refusals("write", _PATH):
        raise OSError(number, os.strerror(number), "whatever")
    error = caught.value
    assert (kind, status) == (type(error), error.status)
    assert f"cannot write {_PATH}: {os.strerror(number)}" == error.cause
    assert str(_PATH) == error.facts["Path"]
    assert len(error.steps) >= 2


@pytest.mark.parametrize(
    ("number", "step"),
    [
        (errno.ENOSPC, "df -h /srv/backups"),
        (errno.EDQUOT, "quota"),
        (errno.EFBIG, "ulimit -f"),
        (errno.EROFS, "mount"),
        (errno.EACCES, f"ls -ld {_PATH}"),
    ],
)
def test_steps_fit_the_cause(number: int, step: str) -> None:
    """Each cause has its own steps."""
    with pytest.raises(PgvowError) as caught, refusals("write", _PATH):
        raise OSError(number, os.strerror(number))
    assert step in "\n".join(caught.value.steps)


def test_an_os_error_without_errno_keeps_its_message() -> None:
    """Not every OSError comes from the kernel."""
    with pytest.raises(PgvowError, match=r"cannot read .*: odd"), refusals("read", _PATH):
        raise OSError("odd")


def test_other_errors_are_not_translated() -> None:
    """An OSError that is no refusal of the file system is raised unchanged."""
    with pytest.raises(ValueError, match="mine"), refusals("read", _PATH):
        raise ValueError("mine")
