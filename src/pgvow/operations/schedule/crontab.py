"""Our lines in a crontab: found by the comment above each, and nothing else is touched.

A crontab is bytes here: the other lines may be in any encoding.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from typing import TYPE_CHECKING

from pgvow.errors import PgvowError, ToolUnsuitable
from pgvow.operations.schedule.jobs import InstallResult, ScheduleEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pgvow.operations.context import Context
    from pgvow.operations.schedule.jobs import JobToInstall

_MARK = b"# pgvow: "
_MARKED = re.compile(rb"# pgvow: (?P<id>[a-z]+-[a-z0-9-]+-[0-9a-f]{8})")
# The command of our line, whatever times it has been given since.
_OURS = re.compile(rb" -m pgvow (?P<job>backup|prune|prove|schedule verify) ")
_SECONDS = 30
_FIELDS = 5


def lines_for(scheduled: JobToInstall) -> bytes:
    """Return the two lines of a job: the comment by which it is found, and the job itself.

    In cron ``%`` ends the command, and /bin/sh runs it.
    """
    scheduled.check()
    variables = [f"{name}={shlex.quote(value)}" for name, value in scheduled.variables]
    words = " ".join([*variables, shlex.join(scheduled.command)])
    log = shlex.quote(str(scheduled.log))
    command = f"cd {shlex.quote(str(scheduled.directory))} && {words} >> {log} 2>&1"
    line = f"{scheduled.at} {command.replace('%', chr(92) + '%')}"
    return _MARK + scheduled.identity.encode() + b"\n" + os.fsencode(line) + b"\n"


def with_entry(table: bytes, scheduled: JobToInstall) -> bytes:
    """Return the table with a job in it: in the place of its old lines, else at the end.

    The same job without our comment above it is replaced as well: it would run twice.
    """
    wanted = lines_for(scheduled)
    parts = list(_parts(table))
    for number, (identity, _) in enumerate(parts):
        if identity == scheduled.identity:
            parts[number] = (identity, wanted)
            return b"".join(part for _, part in parts)
    command = _command(wanted.split(b"\n")[1])
    table = b"".join(line for line in _by_newline(table) if _command(line) != command)
    separator = b"" if not table or table.endswith(b"\n") else b"\n"
    return table + separator + wanted


def without_entries(table: bytes, identities: frozenset[str]) -> bytes:
    """Return the table without some jobs."""
    return b"".join(part for identity, part in _parts(table) if identity not in identities)


def installed_in(table: bytes) -> list[ScheduleEntry]:
    """Return our jobs in a table."""
    entries = []
    for identity, part in _parts(table):
        if identity is not None:
            line = os.fsdecode(part.split(b"\n")[1])
            fields = line.split(None, _FIELDS)
            at, command = " ".join(fields[:_FIELDS]), fields[_FIELDS]
            entries.append(ScheduleEntry("crontab", identity, at, command, _directory(command)))
    return entries


def _command(line: bytes) -> bytes | None:
    """Return the command of a line, if it may be ours."""
    fields = line.rstrip(b"\n").split(None, _FIELDS)
    is_ours = len(fields) > _FIELDS and not line.startswith(b"#") and _OURS.search(line)
    return fields[_FIELDS] if is_ours else None


def _directory(command: str) -> str:
    """Return the directory in which a command runs; empty if the line was edited."""
    try:
        words = shlex.split(command.replace("\\%", "%"))
    except ValueError:
        return ""
    return words[1] if words[:1] == ["cd"] and words[2:3] == ["&&"] else ""


def _parts(table: bytes) -> Iterator[tuple[str | None, bytes]]:
    """Cut a table into our entries, of two lines each, and the text around them."""
    lines = table.splitlines(keepends=True) if b"\r" not in table else _by_newline(table)
    others: list[bytes] = []
    position = 0
    while position < len(lines):
        match = _MARKED.fullmatch(lines[position].removesuffix(b"\n"))
        follows = lines[position + 1] if position + 1 < len(lines) else b""
        # A mark whose job was deleted, or commented out, is no entry of ours any more: the line
        # that follows it then is not ours.
        ours = _OURS.search(follows) if match and _command(follows) else None
        if match and ours and match["id"].startswith(ours["job"].split()[-1] + b"-"):
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


def read_crontab(environ: Mapping[str, str]) -> bytes:
    """Read this user's table; empty if there is none. Raises ToolUnsuitable, PgvowError."""
    done = _crontab(["-l"], environ)
    if done.returncode == 0:
        return done.stdout
    if b"no crontab" in done.stderr.lower():
        return b""
    raise _refused(done)


def write_crontab(table: bytes, environ: Mapping[str, str]) -> None:
    """Put a table in the place of this user's; raises ToolUnsuitable, PgvowError."""
    done = _crontab(["-"], environ, table)
    if done.returncode:
        raise _refused(done)


def _crontab(
    words: list[str], environ: Mapping[str, str], given: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["crontab", *words],  # noqa: S607 - wherever it is
            input=given,
            capture_output=True,
            check=False,
            timeout=_SECONDS,
            env={**environ, "LC_ALL": "C"},
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
    reason = done.stderr.decode("utf-8", "replace").strip() or f"exit code {done.returncode}"
    return PgvowError(f"crontab refused: {reason}", steps=["See what it says itself: crontab -l"])


def install(scheduled: JobToInstall, context: Context) -> InstallResult:
    """Put a job into this user's crontab; raises ToolUnsuitable, PgvowError."""
    before = read_crontab(context.environ)
    after = with_entry(before, scheduled)
    if after != before:
        write_crontab(after, context.environ)
    return InstallResult("the crontab", after != before)


def remove(is_meant: Callable[[ScheduleEntry], bool], context: Context) -> list[str]:
    """Remove jobs from this user's crontab; returns their identities."""
    before = read_crontab(context.environ)
    meant = [entry.identity for entry in installed_in(before) if is_meant(entry)]
    if meant:
        write_crontab(without_entries(before, frozenset(meant)), context.environ)
    return meant
