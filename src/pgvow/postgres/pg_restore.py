"""Run pg_restore, and pg_dump for a schema: the tools' command lines, and their errors."""

from __future__ import annotations

import re
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgvow.archive import kinds
from pgvow.errors import PgvowError
from pgvow.postgres.connection import NO_TIME_LIMITS, take_your_time, watch_for_our_death
from pgvow.postgres.database_settings import options_for
from pgvow.postgres.databases import on_database
from pgvow.postgres.failure_classes import FailureClass, meaning_of, no_verdict
from pgvow.postgres.majors import IDLE_SESSION_TIMEOUT_SINCE
from pgvow.postgres.private_directories import temporary_files
from pgvow.postgres.process import RunningTool, run_quietly
from pgvow.postgres.reachable_server import open_session, tool_connection
from pgvow.postgres.restore_messages import RestoreMessages, of_surroundings
from pgvow.postgres.restore_order import Stage
from pgvow.postgres.restorer import AsRestorer
from pgvow.postgres.tool_stderr import quoted_statement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from pgvow.archive import TocEntry
    from pgvow.postgres.binaries import Installation
    from pgvow.postgres.connection import ConnectionTarget, Session
    from pgvow.postgres.process import ToolExit
    from pgvow.postgres.reachable_server import ReachableServer
    from pgvow.postgres.restore_order import Wave
    from pgvow.postgres.restorer import Restorer

_TICK = 0.1
_OF_ROWS = re.compile(r'COPY failed for table "(.*?)": ')
_GRACE = 1.0  # for pg_restore to end by itself, with all that it has to say


class ServerTools(Protocol):
    """The programs for one server, and how they reach its databases."""

    @property
    def installation(self) -> Installation:
        """The folder of the programs."""

    def reach(self, dbname: str) -> tuple[str, Mapping[str, str]]:
        """Compose a tool's connection string, without secrets, and its environment."""

    def with_options(self, options: str) -> ServerTools:
        """Add settings for the server, ``-c name=value``; they win over all that is set there."""

    def as_role(self, restorer: Restorer) -> ServerTools:
        """Connect as another role."""

    def open(self, dbname: str) -> Session:
        """Open an autocommit session in a database; raises ConnectionFailed, AccessDenied."""


@dataclass(frozen=True, slots=True)
class ProofTools:
    """The programs for one server, how to reach it, and the environment they are run in.

    ``options`` are settings for the server beside those that the connection has: ``-c name=value``.
    """

    installation: Installation
    place: ReachableServer
    environ: Mapping[str, str]
    options: str = ""

    def reach(self, dbname: str) -> tuple[str, Mapping[str, str]]:
        """Compose a tool's connection string, without secrets, and its environment."""
        limits = NO_TIME_LIMITS if self.installation.major >= IDLE_SESSION_TIMEOUT_SINCE else ""
        options = f"{limits} {self.options}".strip()
        connection, secret = tool_connection(self.place, dbname, options=options)
        environ = {**self.environ, **secret}
        environ["PGOPTIONS"] = f"{environ.get('PGOPTIONS', '')} {options}".strip()
        return connection, self.installation.environment(environ)

    def with_options(self, options: str) -> ProofTools:
        """Add settings for the server, ``-c name=value``; they win over all that is set there."""
        return replace(self, options=f"{self.options} {options}".strip())

    def as_role(self, restorer: Restorer) -> ProofTools:
        """Connect as another role."""
        return replace(self, place=AsRestorer(self.place, restorer))

    def open(self, dbname: str) -> Session:
        """Open an autocommit session in a database; raises ConnectionFailed."""
        return open_session(self.place, dbname)


@dataclass(frozen=True, slots=True)
class RestoreTools:
    """The programs for the server that the settings lead to; it notices when we die."""

    installation: Installation
    target: ConnectionTarget
    options: str = ""

    def reach(self, dbname: str) -> tuple[str, Mapping[str, str]]:
        """Compose a tool's connection string, without secrets, and its environment."""
        target = on_database(self.target, dbname)
        environment = target.tool_environment(notice_our_death=True)
        parameters = conninfo_to_dict(target.conninfo("pgvow restore", notice_our_death=True))
        if self.options:
            environment["PGOPTIONS"] = f"{environment.get('PGOPTIONS', '')} {self.options}".strip()
        if "options" in parameters:  # they would hide those of PGOPTIONS
            parameters["options"] = f"{parameters['options']} {self.options}".strip()
        return make_conninfo("", **parameters), self.installation.environment(environment)

    def with_options(self, options: str) -> RestoreTools:
        """Add settings for the server, ``-c name=value``; they win over all that is set there."""
        return replace(self, options=f"{self.options} {options}".strip())

    def as_role(self, restorer: Restorer) -> RestoreTools:
        """Connect as another role."""
        connection = self.target.connection
        connection = replace(connection, user=restorer.name, password=restorer.password)
        return replace(self, target=replace(self.target, connection=connection))

    def open(self, dbname: str) -> Session:
        """Open an autocommit session in a database; raises ConnectionFailed, AccessDenied."""
        session = on_database(self.target, dbname).open("restore")
        watch_for_our_death(session)
        take_your_time(session)
        return session


@dataclass(frozen=True, slots=True)
class RestoreError:
    """The error that stopped pg_restore: its message, and the number of the entry if it has one.

    ``stage`` is the stage of the restore that failed, None if that is not known. ``sqlstate`` is
    the server's code, None if none is known: pg_restore prints none.
    """

    dump_id: int | None
    complaint: str
    sqlstate: str | None = None
    stage: Stage | None = None


def fails_harmlessly(entry: TocEntry, *, superuser: bool) -> bool:
    """Whether an entry is known to fail when it is restored, without any loss.

    These are all: the schema ``public`` is in every new database, and only the owner of an
    extension, often a superuser, may comment on it. They are left out, so that whatever else fails
    can stop the restore.
    """
    if entry.desc == kinds.SCHEMA:
        return entry.tag == "public" and entry.defn.startswith("CREATE ")
    return not superuser and entry.desc == kinds.COMMENT and entry.tag.startswith("EXTENSION ")


@dataclass(frozen=True, slots=True)
class PgRestoreOptions:
    """How pg_restore is run: ``jobs``, and the parts of an archive that it leaves out.

    ``tick`` is called several times a second, ``warn`` with the messages that pg_restore printed
    though it succeeded. ``alone`` has one connection that commits each statement, for definitions
    without rows: one transaction would lock every object.
    """

    jobs: int = 2
    schema_only: bool = False
    no_owner: bool = False
    tablespaces: bool = False
    alone: bool = False
    tick: Callable[[], None] = lambda: None
    warn: Callable[[str], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class WaveErrors:
    """The errors of one wave; ``is_cut_off`` if entries were not tried because of the last one."""

    errors: tuple[RestoreError, ...] = ()
    is_cut_off: bool = False


def restore_wave(
    tools: ServerTools, dump: Path, dbname: str, wave: Wave, manner: PgRestoreOptions
) -> WaveErrors:
    """Restore the entries of one wave, and go on after entries that the server refuses.

    A failure of the surroundings, such as a full disk, ends it. Rows keep their order: a plain
    serial pg_restore moves some, for the free space map has later ones refill earlier pages, so one
    job is a single transaction; if that fails the wave is restored again, without one.
    """
    if not wave.entries:
        return WaveErrors()
    if manner.jobs > 1 or manner.schema_only or manner.alone:
        return _run(tools, dump, dbname, wave, manner, ())
    result = _run(tools, dump, dbname, wave, manner, ("--single-transaction",))
    if not result.is_cut_off or any(of_surroundings(each.complaint) for each in result.errors):
        return result
    return _run(tools, dump, dbname, wave, manner, ())


def _run(
    tools: ServerTools,
    dump: Path,
    dbname: str,
    wave: Wave,
    manner: PgRestoreOptions,
    words: tuple[str, ...],
) -> WaveErrors:
    connection, environment = tools.with_options(options_for(wave.stage)).reach(dbname)
    parallel = not (manner.schema_only or manner.alone) and manner.jobs > 1
    with _list_of(wave.entries) as number_of_list:
        argv = [
            *(str(tools.installation.program("pg_restore")), "--verbose", "--no-password"),
            *(f"--use-list=/dev/fd/{number_of_list}", f"--dbname={connection}"),
            *words,
            *([f"--jobs={manner.jobs}"] if parallel else []),
            *(["--schema-only"] if manner.schema_only else []),
            *(["--no-owner"] if manner.no_owner else []),
            *([] if manner.tablespaces else ["--no-tablespaces"]),
            *(["--enable-row-security"] if wave.stage is Stage.VIEWS else []),
            str(dump.absolute()),
        ]
        messages = RestoreMessages()
        ended = _watched(argv, environment, manner.tick, number_of_list, messages)
    if ended is None or ended.returncode != 0:
        return _errors(ended, messages, wave)
    for line in ended.stderr.splitlines():
        manner.warn(line)
    return WaveErrors()


def dump_schema(tools: ServerTools, dbname: str, file: BinaryIO) -> None:
    """Dump a database's schema into a file without a name.

    Raises NoSpace, NoResources, ConnectionFailed, NoVerdict or PgvowError, with pg_dump's words.
    """
    connection, environment = tools.reach(dbname)
    argv = [
        *(str(tools.installation.program("pg_dump")), "-Fc", "--schema-only", "--no-password"),
        *("--compress=0", f"--file=/dev/fd/{file.fileno()}", f"--dbname={connection}"),
    ]
    ended = run_quietly(argv, env=environment, pass_fds=[file.fileno()])
    if ended.returncode != 0:
        complaint = f"the restored schema could not be dumped: {ended.stderr}"
        meaning = meaning_of(None, ended.stderr)
        known = meaning is not FailureClass.UNKNOWN
        raise no_verdict(meaning, complaint) if known else PgvowError(complaint)


def _watched(
    argv: list[str],
    env: Mapping[str, str],
    tick: Callable[[], None],
    passed: int,
    messages: RestoreMessages,
) -> ToolExit | None:
    """Run pg_restore to its end; None if it was ended because of its surroundings."""
    with RunningTool(
        argv, env=env, stdout=subprocess.DEVNULL, pass_fds=[passed], complaints=messages
    ) as tool:
        tick()
        while (ended := tool.poll(_TICK)) is None:
            tick()
            if messages.end() is not None and tool.poll(_GRACE) is None:
                return None
    return ended


def _errors(ended: ToolExit | None, messages: RestoreMessages, wave: Wave) -> WaveErrors:
    """Return an error for each entry that was refused, or the one that ended the restore."""
    if end := messages.end():
        return WaveErrors((RestoreError(end.dump_id, end.text, stage=wave.stage),), is_cut_off=True)
    errors = [RestoreError(each.dump_id, each.text, stage=wave.stage) for each in messages.errors()]
    if not messages.goes_on:  # the last one ended it
        complaint = ended.stderr if ended else ""
        status = ended.returncode if ended else ""
        last = complaint or f"pg_restore ended with status {status}"
        errors = errors or [RestoreError(None, last, stage=wave.stage)]
        return WaveErrors(tuple(errors), is_cut_off=True)
    known = {entry.dump_id for entry in wave.entries}
    named = dict.fromkeys(number for number in messages.refused if number in known)
    return WaveErrors(tuple(_one_each(errors, named, wave)))


def _quoting(complaint: str, entries: Sequence[TocEntry]) -> TocEntry | None:
    """Find the one entry whose statement, or whose table, a complaint quotes; None if uncertain."""
    if statement := quoted_statement(complaint):
        fitting = [entry for entry in entries if entry.defn.strip().startswith(statement)]
    else:
        table = _OF_ROWS.search(complaint)
        fitting = [
            entry for entry in entries if table and entry.is_table_data and entry.tag == table[1]
        ]
    return fitting[0] if len(fitting) == 1 else None


def _one_each(
    errors: Sequence[RestoreError], named: Iterable[int], wave: Wave
) -> Iterator[RestoreError]:
    """Yield one error for each entry that was named, with the text that quotes it if one does."""
    by_quote: dict[int, RestoreError] = {}
    by_place: dict[int, RestoreError] = {}
    for error in errors:
        quoted = _quoting(error.complaint, wave.entries)
        if quoted is not None:
            by_quote.setdefault(quoted.dump_id, error)
        if error.dump_id is not None:
            by_place.setdefault(error.dump_id, error)
    for number in named:
        error = by_quote.get(number) or by_place.get(number) or errors[-1]
        yield replace(error, dump_id=number)
    if not named:
        yield from errors


@contextmanager
def _list_of(entries: Iterable[TocEntry]) -> Iterator[int]:
    """Write a list of entries as pg_restore reads it: a number, a semicolon, a line.

    The file has no name, so that it goes when we do, however that is; its number is yielded. Raises
    NoSpace if the disk of temporary files is full.
    """
    with temporary_files(), tempfile.TemporaryFile("w", encoding="ascii") as file:
        file.writelines(f"{entry.dump_id};\n" for entry in entries)
        file.flush()
        file.seek(0)
        yield file.fileno()
