"""Run pg_restore, and pg_dump for a schema: the tools' command lines, and what they complain of."""

from __future__ import annotations

import re
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pgvow.archive import Section
from pgvow.errors import PgvowError
from pgvow.postgres.process import Tool, run_quietly
from pgvow.postgres.scratch_database import tool_connection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pgvow.archive import Entry
    from pgvow.postgres.binaries import Installation
    from pgvow.postgres.process import Ended
    from pgvow.postgres.scratch_database import Place

_TICK = 0.2
_ENTRY = re.compile(r"from TOC entry (\d+);")
_ERROR = re.compile(r"^pg_restore: error: (.*)", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Tools:
    """The programs for one server, how to reach it, and the environment they are run in."""

    installation: Installation
    place: Place
    environ: Mapping[str, str]

    def environment(self, secret: Mapping[str, str]) -> dict[str, str]:
        """Compose the environment of a tool."""
        return self.installation.environment({**self.environ, **secret})


@dataclass(frozen=True, slots=True)
class RestoreError:
    """What stopped pg_restore: the entry it was at, where it says so, and its words."""

    dump_id: int | None
    complaint: str


def restore(
    tools: Tools,
    dump: Path,
    dbname: str,
    *,
    entries: Sequence[Entry],
    jobs: int = 1,
    schema_only: bool = False,
    tick: Callable[[], None] = lambda: None,
) -> RestoreError | None:
    """Restore these entries into an empty database and stop at the first error, which is returned.

    ``tick`` is called several times a second.
    """
    connection, secret = tool_connection(tools.place, dbname)
    for wave in waves(entries):
        with _list_of(wave) as listed:
            argv = [
                *(str(tools.installation.program("pg_restore")), "--exit-on-error"),
                *("--no-password", "--no-tablespaces", f"--use-list={listed}"),
                *(f"--dbname={connection}",),
                *(["--schema-only"] if schema_only else [f"--jobs={jobs}"]),
                str(dump),
            ]
            ended = _watched(argv, tools.environment(secret), tick)
        if ended.returncode != 0:
            return _error(ended)
    return None


def waves(entries: Sequence[Entry]) -> tuple[Sequence[Entry], ...]:
    """Divide the entries into those restored by one run of pg_restore after the other.

    One run does, but for rows of an extension's own tables: their entries stand alone, without the
    table's, and so ``pg_restore -j`` does not see that a foreign key to such a table has to wait
    for its rows. It failed on a busy machine. There all rows come first, and then what is made of
    them, with comments and privileges, which are of either.
    """
    tables = {(one.namespace, one.tag) for one in entries if one.desc == "TABLE"}
    alone = (one for one in entries if one.is_table_data and (one.namespace, one.tag) not in tables)
    if not any(alone):
        return (entries,)
    early = (Section.PRE_DATA, Section.DATA)
    return (
        [entry for entry in entries if entry.section in early],
        [entry for entry in entries if entry.section not in early],
    )


def dump_schema(tools: Tools, dbname: str, file: Path) -> None:
    """Dump a database's schema into an archive; raises PgvowError with pg_dump's words."""
    connection, secret = tool_connection(tools.place, dbname)
    argv = [
        *(str(tools.installation.program("pg_dump")), "-Fc", "--schema-only", "--no-password"),
        *("--compress=0", f"--file={file}", f"--dbname={connection}"),
    ]
    ended = run_quietly(argv, env=tools.environment(secret))
    if ended.returncode != 0:
        raise PgvowError(f"the restored schema could not be dumped: {ended.stderr}")


def _watched(argv: list[str], env: Mapping[str, str], tick: Callable[[], None]) -> Ended:
    with Tool(argv, env=env, stdout=subprocess.DEVNULL) as tool:
        while (ended := tool.poll(_TICK)) is None:
            tick()
    return ended


def _error(ended: Ended) -> RestoreError:
    entry = _ENTRY.search(ended.stderr)
    error = _ERROR.search(ended.stderr)
    said = (error[1] if error else ended.stderr).strip()
    return RestoreError(
        dump_id=int(entry[1]) if entry else None,
        complaint=said or f"pg_restore ended with status {ended.returncode}",
    )


@contextmanager
def _list_of(entries: Iterable[Entry]) -> Iterator[Path]:
    """Write a list of entries as pg_restore reads it: a number, a semicolon, a line."""
    with tempfile.NamedTemporaryFile("w", prefix="pgvow-list-", encoding="ascii") as file:
        file.writelines(f"{entry.dump_id};\n" for entry in entries)
        file.flush()
        yield Path(file.name)
