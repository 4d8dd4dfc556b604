"""Run pg_restore, and pg_dump for a schema: the tools' command lines, and what they complain of."""

from __future__ import annotations

import re
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pgvow.archive import Section
from pgvow.errors import PgvowError
from pgvow.postgres.connection import NO_TIME_LIMITS
from pgvow.postgres.databases import on_database
from pgvow.postgres.process import Tool, run_quietly
from pgvow.postgres.scratch_database import tool_connection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from pgvow.archive import Entry
    from pgvow.postgres.binaries import Installation
    from pgvow.postgres.connection import Target
    from pgvow.postgres.process import Ended
    from pgvow.postgres.scratch_database import Place

_TICK = 0.1
_IDLE_SESSION_TIMEOUT_SINCE = 14
_ENTRY = re.compile(r"from TOC entry (\d+);")
_EVENT_TRIGGER = "EVENT TRIGGER"
_REFRESH = "MATERIALIZED VIEW DATA"
_ROW_SECURITY = "ROW SECURITY"
_SAID_OF_IT = frozenset({"COMMENT", "SECURITY LABEL"})
_ERROR = re.compile(r"^pg_restore: error: (.*)", re.DOTALL | re.MULTILINE)


class ToolsFor(Protocol):
    """The programs for one server, and how they reach its databases."""

    @property
    def installation(self) -> Installation:
        """Where the programs are."""

    def reach(self, dbname: str) -> tuple[str, Mapping[str, str]]:
        """Compose what a tool gets: a connection string without secrets, and its environment."""


@dataclass(frozen=True, slots=True)
class Tools:
    """The programs for one server, how to reach it, and the environment they are run in.

    ``options`` are settings for the server beside those that the connection has: ``-c name=value``.
    """

    installation: Installation
    place: Place
    environ: Mapping[str, str]
    options: str = ""

    def reach(self, dbname: str) -> tuple[str, Mapping[str, str]]:
        """Compose what a tool gets: a connection string without secrets, and its environment."""
        limits = NO_TIME_LIMITS if self.installation.major >= _IDLE_SESSION_TIMEOUT_SINCE else ""
        options = f"{limits} {self.options}".strip()
        connection, secret = tool_connection(self.place, dbname, options=options)
        environ = {**self.environ, **secret}
        environ["PGOPTIONS"] = f"{environ.get('PGOPTIONS', '')} {options}".strip()
        return connection, self.installation.environment(environ)


@dataclass(frozen=True, slots=True)
class TargetTools:
    """The programs for the server that the settings lead to; it notices when we die."""

    installation: Installation
    target: Target

    def reach(self, dbname: str) -> tuple[str, Mapping[str, str]]:
        """Compose what a tool gets: a connection string without secrets, and its environment."""
        target = on_database(self.target, dbname)
        environment = target.tool_environment(notice_our_death=True)
        connection = target.conninfo("pgvow restore", notice_our_death=True)
        return connection, self.installation.environment(environment)


@dataclass(frozen=True, slots=True)
class RestoreError:
    """What stopped pg_restore: the entry it was at, where it says so, and its words.

    ``sqlstate`` is the server's code, None if none is known: pg_restore prints none.
    """

    dump_id: int | None
    complaint: str
    sqlstate: str | None = None


def fails_harmlessly(entry: Entry, *, superuser: bool) -> bool:
    """Whether an entry is known to fail where it is restored, and nothing is lost by it.

    These are all: the schema ``public`` is in every new database, and only the owner of an
    extension, often a superuser, may comment on it. They are left out, so that whatever else fails
    can stop the restore.
    """
    if entry.desc == "SCHEMA":
        return entry.tag == "public" and entry.defn.startswith("CREATE ")
    return not superuser and entry.desc == "COMMENT" and entry.tag.startswith("EXTENSION ")


def restore(
    tools: ToolsFor,
    dump: Path,
    dbname: str,
    *,
    entries: Sequence[Entry],
    jobs: int = 1,
    schema_only: bool = False,
    no_owner: bool = False,
    tablespaces: bool = False,
    tick: Callable[[], None] = lambda: None,
    warn: Callable[[str], None] = lambda _: None,
    when_rows_are_there: Callable[[], None] | None = None,
) -> RestoreError | None:
    """Restore these entries into an empty database and stop at the first error, which is returned.

    Rows keep their order: a plain serial pg_restore moves some, for the free space map has later
    ones refill earlier pages, so one job is a single transaction. ``tick`` is called several times
    a second, ``warn`` with what pg_restore had to say though it succeeded. With
    ``when_rows_are_there`` all rows come first, and it is called before indexes are built.
    """
    connection, environment = tools.reach(dbname)
    in_order = ["--single-transaction"] if jobs == 1 else [f"--jobs={jobs}"]
    for number, wave in enumerate(waves(entries, rows_first=when_rows_are_there is not None)):
        if number == 1 and when_rows_are_there is not None:
            when_rows_are_there()
        if not wave:
            continue
        with _list_of(wave) as number_of_list:
            argv = [
                *(str(tools.installation.program("pg_restore")), "--exit-on-error"),
                *(
                    "--no-password",
                    f"--use-list=/dev/fd/{number_of_list}",
                    f"--dbname={connection}",
                ),
                *(["--schema-only"] if schema_only else in_order),
                *(["--no-owner"] if no_owner else []),
                *([] if tablespaces else ["--no-tablespaces"]),
                *(["--enable-row-security"] if _fills_views(wave) else []),
                str(dump.absolute()),
            ]
            ended = _watched(argv, environment, tick, number_of_list)
        if ended.returncode != 0:
            return _error(ended)
        for line in ended.stderr.splitlines():
            warn(line)
    return None


def waves(entries: Sequence[Entry], *, rows_first: bool = False) -> tuple[Sequence[Entry], ...]:
    """Divide the entries into those restored by one run of pg_restore after the other.

    One run does, but for rows of an extension's own tables: their entries stand alone, without the
    table's, and so ``pg_restore -j`` does not see that a foreign key to such a table has to wait
    for its rows. It failed on a busy machine. There all rows come first, and then what is made of
    them, with comments and privileges, which are of either.

    With ``rows_first`` there are three: all rows, indexes, and the rest. To build an index and to
    read the table go together; a constraint waits until nobody reads, and has the table's indexes
    wait as well.

    Behind those come materialized views, where row security may hide rows from their owners. Event
    triggers come last of all, or they would act on what is still to be made.
    """
    later = [wave for wave in (refreshes(entries), event_triggers(entries)) if wave]
    numbers = {entry.dump_id for wave in later for entry in wave}
    first = [entry for entry in entries if entry.dump_id not in numbers]
    divided = _waves(first, rows_first=rows_first)
    return (*(divided if rows_first else _by_new_sessions(divided)), *later)


def _by_new_sessions(waves: tuple[Sequence[Entry], ...]) -> Iterator[Sequence[Entry]]:
    """Begin again behind the definitions where sessions then begin with another setting.

    A default_text_search_config that the archive makes counts for those who connect when it is
    there. Workers of a parallel restore do; the one connection of a single transaction did not.
    """
    first, *others = waves
    if any(entry.desc == "TEXT SEARCH CONFIGURATION" for entry in first):
        yield [entry for entry in first if entry.section is Section.PRE_DATA]
        first = [entry for entry in first if entry.section is not Section.PRE_DATA]
    yield first
    yield from others


def refreshes(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Choose what fills materialized views, where the archive has tables with row security.

    A view is filled as its owner, who may be subject to it. Without it, as pg_restore does all else
    so that nothing is left out unnoticed, the server refuses; with it, it gives what it gave at the
    source. Nothing but other such views depends on it.
    """
    if all(entry.desc != _ROW_SECURITY for entry in entries):
        return ()
    return tuple(entry for entry in entries if entry.desc == _REFRESH)


def _fills_views(wave: Sequence[Entry]) -> bool:
    return all(entry.desc == _REFRESH for entry in wave)


def event_triggers(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Choose the event triggers, with what is said of them.

    The server fires none for these statements themselves.
    """
    triggers = {entry.dump_id for entry in entries if entry.desc == _EVENT_TRIGGER}
    return tuple(
        entry
        for entry in entries
        if entry.dump_id in triggers
        or (entry.desc in _SAID_OF_IT and not triggers.isdisjoint(entry.dependencies))
    )


def _waves(entries: Sequence[Entry], *, rows_first: bool) -> tuple[Sequence[Entry], ...]:
    early = (Section.PRE_DATA, Section.DATA)
    rows = [entry for entry in entries if entry.section in early]
    late = [entry for entry in entries if entry.section not in early]
    if rows_first:
        indexes = _indexes_alone(late)
        others = [entry for entry in late if entry.dump_id not in indexes]
        return rows, list(indexes.values()), others
    tables = {(one.namespace, one.tag) for one in entries if one.desc == "TABLE"}
    alone = (one for one in rows if one.is_table_data and (one.namespace, one.tag) not in tables)
    return (rows, late) if any(alone) else (entries,)


def _indexes_alone(late: Sequence[Entry]) -> dict[int, Entry]:
    """Choose the indexes that need nothing but what comes before all of them, by their numbers."""
    others = {entry.dump_id for entry in late}
    indexes: dict[int, Entry] = {}
    for entry in late:
        if entry.desc == "INDEX" and others.isdisjoint(entry.dependencies):
            indexes[entry.dump_id] = entry
            others.remove(entry.dump_id)
    return indexes


def dump_schema(tools: ToolsFor, dbname: str, file: BinaryIO) -> None:
    """Dump a database's schema into a file without a name; raises PgvowError, pg_dump's words."""
    connection, environment = tools.reach(dbname)
    argv = [
        *(str(tools.installation.program("pg_dump")), "-Fc", "--schema-only", "--no-password"),
        *("--compress=0", f"--file=/dev/fd/{file.fileno()}", f"--dbname={connection}"),
    ]
    ended = run_quietly(argv, env=environment, pass_fds=[file.fileno()])
    if ended.returncode != 0:
        raise PgvowError(f"the restored schema could not be dumped: {ended.stderr}")


def _watched(
    argv: list[str], env: Mapping[str, str], tick: Callable[[], None], passed: int
) -> Ended:
    with Tool(argv, env=env, stdout=subprocess.DEVNULL, pass_fds=[passed]) as tool:
        tick()
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
def _list_of(entries: Iterable[Entry]) -> Iterator[int]:
    """Write a list of entries as pg_restore reads it: a number, a semicolon, a line.

    The file has no name, so that it goes when we do, however that is; its number is yielded.
    """
    with tempfile.TemporaryFile("w", encoding="ascii") as file:
        file.writelines(f"{entry.dump_id};\n" for entry in entries)
        file.flush()
        file.seek(0)
        yield file.fileno()
