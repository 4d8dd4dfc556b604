"""Our lines in a crontab: found by the comment above each, and nothing else is touched.

A crontab is bytes here: what stands in it besides may be in any encoding.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.errors import PgvowError, ToolUnsuitable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pgvow.operations.scheduling.scheduled import Scheduled

_MARK = b"# pgvow: "
_MARKED = re.compile(rb"# pgvow: (?P<id>[a-z]+-[a-z0-9-]+-[0-9a-f]{8})")
_SECONDS = 30
_FIELDS = 5


@dataclass(frozen=True, slots=True)
class Installed:
    """One entry of ours: its identity, its five fields, its command, its zone if it has one."""

    identity: str
    at: str
    command: str
    timezone: str | None = None


def lines_for(scheduled: Scheduled) -> bytes:
    """The two lines of a job, the comment by which it is found and the job itself.

    In cron ``%`` ends the command, and it is /bin/sh that runs it.
    """
    scheduled.check()
    variables = [f"{name}={shlex.quote(value)}" for name, value in scheduled.variables]
    words = " ".join([*variables, shlex.join(scheduled.command)])
    log = shlex.quote(str(scheduled.log))
    command = f"cd {shlex.quote(str(scheduled.directory))} && {words} >> {log} 2>&1"
    line = f"{scheduled.at} {command.replace('%', chr(92) + '%')}"
    return _MARK + scheduled.identity.encode() + b"\n" + os.fsencode(line) + b"\n"


def with_entry(table: bytes, scheduled: Scheduled) -> bytes:
    """The table with a job in it: in the place where it stood, else at the end."""
    wanted = lines_for(scheduled)
    parts = list(_parts(table))
    for number, (identity, _) in enumerate(parts):
        if identity == scheduled.identity:
            parts[number] = (identity, wanted)
            return b"".join(part for _, part in parts)
    separator = b"" if not table or table.endswith(b"\n") else b"\n"
    return table + separator + wanted


def without_entries(table: bytes, identities: frozenset[str]) -> bytes:
    """The table without these jobs."""
    return b"".join(part for identity, part in _parts(table) if identity not in identities)


def installed_in(table: bytes) -> list[Installed]:
    """Our jobs in a table."""
    found = []
    for identity, part in _parts(table):
        if identity is not None:
            line = os.fsdecode(part.split(b"\n")[1])
            fields = line.split(None, _FIELDS)
            found.append(Installed(identity, " ".join(fields[:_FIELDS]), fields[_FIELDS]))
    return found


def _parts(table: bytes) -> Iterator[tuple[str | None, bytes]]:
    """Cut a table into our entries, of two lines each, and what stands around them."""
    lines = table.splitlines(keepends=True) if b"\r" not in table else _by_newline(table)
    others: list[bytes] = []
    position = 0
    while position < len(lines):
        match = _MARKED.fullmatch(lines[position].removesuffix(b"\n"))
        follows = lines[position + 1] if position + 1 < len(lines) else b""
        # A mark whose job somebody has deleted, or commented out, is no entry of ours any more.
        if match and len(follows.split(None, _FIELDS)) > _FIELDS and not follows.startswith(b"#"):
            if others:
                yield None, b"".join(others)
                others = []
            yield match["id"].decode(), lines[position] + follows
            position += 2
        else:
            others.append(lines[position])
            position += 1
    if others:
        yield None, b"".join(others)


def _by_newline(table: bytes) -> list[bytes]:
    return [line for line in re.split(rb"(?<=\n)", table) if line]


def read_crontab() -> bytes:
    """Read this user's table; empty where there is none. Raises ToolUnsuitable, PgvowError."""
    done = _crontab(["-l"])
    if done.returncode == 0:
        return done.stdout
    if b"no crontab" in done.stderr.lower():
        return b""
    raise _refused(done)


def write_crontab(table: bytes) -> None:
    """Put a table in the place of this user's; raises ToolUnsuitable, PgvowError."""
    done = _crontab(["-"], table)
    if done.returncode:
        raise _refused(done)


def _crontab(words: list[str], given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["crontab", *words],  # noqa: S607 - wherever it is
            input=given,
            capture_output=True,
            check=False,
            timeout=_SECONDS,
            env={**os.environ, "LC_ALL": "C"},
        )
    except FileNotFoundError:
        raise ToolUnsuitable(
            "there is no crontab on this machine",
            steps=[
                "Debian, Ubuntu: apt install cron",
                "Or use systemd: pgvow schedule install --with systemd …",
                "Or in a container: pgvow schedule run",
            ],
        ) from None
    except subprocess.TimeoutExpired as error:
        raise PgvowError(f"crontab did not answer within {_SECONDS} s") from error


def _refused(done: subprocess.CompletedProcess[bytes]) -> PgvowError:
    said = done.stderr.decode("utf-8", "replace").strip() or f"exit code {done.returncode}"
    return PgvowError(f"crontab refused: {said}", steps=["See what it says itself: crontab -l"])
