"""A restore that cannot be whole: how much of it is there, and the files that finish it.

With ``rescue`` it ends with all rows and some objects in a looser form; without, it fails, and says
how much had come back and the command that goes on.
"""

from __future__ import annotations

import re
import shlex
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

import psycopg
from psycopg import sql

from pgvow.archive import copy_target, kinds
from pgvow.durable import write_new
from pgvow.errors import ConfigurationError, PgvowError, RestoreFailed
from pgvow.formats import counted
from pgvow.model import DifferenceKind
from pgvow.operations.restore.failure import DROPPED, restore_failure
from pgvow.operations.restore.swap import set_aside
from pgvow.postgres.databases import dropdb, psql
from pgvow.quoted_texts import printable
from pgvow.temporary_folder import temporary_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pgvow.archive import TocEntry
    from pgvow.model import Difference
    from pgvow.operations.context import Context
    from pgvow.operations.core.fill import Filling
    from pgvow.operations.core.stages import FailedEntry, LoosenedEntry
    from pgvow.operations.restore import RestoreOptions
    from pgvow.operations.restore.checks import RestorePlan
    from pgvow.postgres.connection import Session

LOOSENED = 14
"""The exit code of a restore with something loosened."""

_MOST_TRIES = 1000
_NOT_PLAIN = re.compile(r"[\\\n\r\0']")
_ADDED = "\n\n"


@dataclass(frozen=True, slots=True)
class RescueResult:
    """The entries in a looser form; the script that finishes them, and the folder of rows.

    ``finish`` is None if nothing was loosened, ``rejected`` if every row is in a table.
    """

    loosened: tuple[LoosenedEntry, ...] = ()
    finish: Path | None = None
    rejected: Path | None = None


def require_acceptance(options: RestoreOptions) -> None:
    """Raise ConfigurationError if a rescue would take the place of a database unasked."""
    if options.rescue and options.swap and not options.accept_loosened:
        raise ConfigurationError(
            "--rescue may leave constraints loose, and --swap would put that in the place of the"
            f" database {options.database}",
            steps=[
                "Restore it under a name of its own, without --swap, and look at it",
                "Or say that you accept it: --accept-loosened",
            ],
        )


def require_rescue(plan: RestorePlan) -> None:
    """Raise RestoreFailed if the proof says that the restore cannot be whole, before it begins."""
    proof = plan.backup.stored.proof_of(plan.backup.metadata)
    if plan.options.rescue or proof is None:
        return
    # A view that one server refuses to fill another may fill.
    names = {
        entry.shown for entry in plan.backup.entries if entry.desc != kinds.MATERIALIZED_VIEW_DATA
    }
    broken = [each for each in proof.broken_rules if each.name in names]
    if broken and not plan.options.schema_only:
        file = shlex.quote(str(plan.backup.stored.path))
        shown = "\n".join(f"{each.name}: {each.reason.splitlines()[0]}" for each in broken)
        raise RestoreFailed(
            f"the source breaks its own rules, as the proof of this backup says:\n{shown}",
            facts=plan.target.facts,
            steps=[
                f"Restore all rows, with those rules loosened: {_again(plan)} --rescue",
                f"See which rows break them: pgvow show {file}",
            ],
        )


@contextmanager
def rescue_folder(options: RestoreOptions) -> Iterator[Path | None]:
    """Make a folder for rows that no table takes, for the block; None without ``rescue``."""
    if not options.rescue:
        yield None
        return
    with temporary_folder("pgvow-rescue-") as folder:
        yield folder


def failed_restore(
    plan: RestorePlan,
    filling: Filling,
    failures: Sequence[FailedEntry],
    session: Session | None,
) -> PgvowError:
    """Make the error for entries that were refused; with ``keep`` the database stays.

    ``session`` was open during the whole restore.
    """
    lost = _loss_of(session) if session else None
    error = restore_failure(failures[0], plan.tools, lost=lost)
    if not isinstance(error, RestoreFailed) or lost or any(each.ends for each in failures):
        return error
    others = [each.entry for each in failures[1:] if each.entry]
    if others:
        shown = ", ".join(entry.shown for entry in others)
        error.with_facts({"Refused too": shown})
    error.with_facts({"Had come back": _amount(plan, failures)})
    steps = [f"Bring back all that there is: {_again(plan)} --rescue"]
    if plan.options.keep and plan.replaced is None and session is not None:
        steps += _kept(plan, filling, session)
        error.steps = tuple(step for step in error.steps if step != DROPPED)
    error.steps = (*steps, *error.steps)
    return error


def _again(plan: RestorePlan) -> str:
    return plan.options.again or "the same command with"


def _kept(plan: RestorePlan, filling: Filling, session: Session) -> list[str]:
    """Keep the database under a name of its own; returns the steps for it."""
    names = plan.names
    try:
        filling.release()
        session.close()
        set_aside(plan.databases, names)
    except (psycopg.Error, PgvowError) as error:
        plan.report.warn(f"what was restored could not be kept: {error}")
        return []
    return [
        f"Look at what was restored: {psql(names.differs)}",
        f"When it is no longer needed: {dropdb(names.differs)}",
    ]


def _loss_of(session: Session) -> str | None:
    """Return why a session does not answer any more; None if it does."""
    try:
        session.execute("SELECT 1")
    except psycopg.Error as error:
        return str(error).strip()
    return None


def _amount(plan: RestorePlan, failures: Sequence[FailedEntry]) -> str:
    """Return how much of the rows there was: ``13 of 14 tables, with 1,234 rows``."""
    refused = {each.entry.key for each in failures if each.entry and each.entry.is_table_data}
    tables = [entry for entry in plan.backup.entries if entry.is_table_data]
    rows = {facts.key: facts.rows for facts in plan.backup.metadata.tables}
    there = [entry.key for entry in tables if entry.key not in refused]
    if plan.options.schema_only:
        return "definitions without rows"
    total = sum(rows.get(key, 0) for key in there)
    return f"{len(there):,} of {counted(len(tables), 'table')}, with {counted(total, 'row')}"


def unexplained(differences: Sequence[Difference], filling: Filling) -> tuple[Difference, ...]:
    """Return the differences that are not rows which a rescue keeps in files, or left out."""
    if filling.loosening is None:
        return tuple(differences)
    rejected: dict[str, int] = {}
    left_out: set[str] = set()
    for each in filling.loosening.loosened:
        rejected[each.entry.key] = rejected.get(each.entry.key, 0) + each.rejected_rows
        if each.is_left_out:
            left_out.add(each.entry.key)
    return tuple(
        each for each in differences if not _is_explained(each, rejected.get(each.name), left_out)
    )


def _is_explained(difference: Difference, rejected: int | None, left_out: set[str]) -> bool:
    if difference.name in left_out:
        return difference.kind in {DifferenceKind.TABLE_MISSING, DifferenceKind.SEQUENCE}
    if difference.kind is not DifferenceKind.ROWS or not rejected:
        return False
    return int(difference.expected) - int(difference.found) == rejected


def write_down(
    plan: RestorePlan, filling: Filling, folder: Path | None, context: Context
) -> RescueResult:
    """Write the files of a rescue into the context's directory, and say so beside the database.

    The database is there already, so that a file that cannot be written is a warning.
    """
    loosening = filling.loosening
    if loosening is None or not loosening.loosened or folder is None:
        return RescueResult()
    loosened = tuple(loosening.loosened)
    stem = quote(plan.options.database, safe=" ")
    finish = rejected = None
    try:
        if any(each.rejected for each in loosened):
            rejected = _free(context.directory, stem, ".rejected")
            rejected.mkdir(0o700)
            shutil.copytree(folder, rejected, dirs_exist_ok=True)
            rejected.chmod(0o700)
        finish = _free(context.directory, stem, ".finish.sql")
        script = finishing_script(
            loosened,
            rejected,
            backup=plan.backup.stored.name,
            database=plan.options.database,
            search_path=next(iter(loosening.paths), ""),
            encoding=plan.backup.toc.encoding,
        )
        write_new(finish, script.encode("utf-8", "backslashreplace"))
    except (PgvowError, OSError) as error:
        plan.report.warn(
            f"what finishes the rescue could not be written: {error}; rows that no table took are"
            " in the backup alone"
        )
        finish = None
    _say(plan, loosened, finish)
    return RescueResult(loosened, finish, rejected)


def _free(directory: Path, stem: str, suffix: str) -> Path:
    """Return a path at which nothing is yet."""
    for number in range(_MOST_TRIES):
        path = directory / f"{stem}{f'-{number}' if number else ''}{suffix}"
        if not path.exists() and not path.is_symlink():
            return path
    raise PgvowError(f"there are {_MOST_TRIES} files {stem}-N{suffix} already")


def _say(plan: RestorePlan, loosened: Sequence[LoosenedEntry], finish: Path | None) -> None:
    """Add to the database's comment that something is loosened; a refusal is no failure."""
    names = ", ".join(each.shown.name for each in loosened)
    note = f"pgvow: restored with {counted(len(loosened), 'object')} loosened: {names}"
    note += f"; {finish.name} makes it whole" if finish else ""
    database = plan.options.database
    with suppress(PgvowError):
        known = next((each for each in plan.databases.all() if each.name == database), None)
        before = f"{known.comment}{_ADDED}" if known and known.comment else ""
        plan.databases.say(database, before + note)


def finishing_script(
    loosened: Sequence[LoosenedEntry],
    rejected: Path | None,
    *,
    backup: str,
    database: str,
    search_path: str,
    encoding: str,
) -> str:
    """Write the statements that finish a rescue, each block with its reason, as comments.

    psql reads it, and its commands begin with a backslash, wherever a quote that the archive left
    open has ended. So there is none in it but those of our own lines.
    """
    head = (
        f"-- Makes whole what a rescue of {_remark(backup)} loosened in the"
        f" database {_remark(database)}.\n"
        "-- Mend the rows first: each block says which. It has statements of the backup: read it,"
        " and run it\n"
        "-- as the owner of the objects; as a superuser only if you trust the backup:\n"
        f"--   {_remark(psql(database))} -f FILE\n"
        "\\set ON_ERROR_STOP on\n"
        "SET client_encoding TO 'UTF8';\n"
        f"SELECT pg_catalog.set_config('search_path', {_literal(search_path)}, false);\n"
    )
    blocks = [head]
    for number, each in enumerate(loosened, 1):
        blocks.append(
            "\n".join([*_head(number, each), *_statements(each, rejected, encoding)]) + "\n"
        )
    return "\n".join(blocks)


def _remark(text: str) -> str:
    """Return a text for a comment, in one line and without a backslash."""
    return printable(text).replace("\\", "\N{REVERSE SOLIDUS OPERATOR}")


def _literal(text: str) -> str:
    """Quote a setting; one with a backslash is left out, for a name never has one by itself."""
    return sql.Literal("" if "\\" in text else text).as_string(None)


def _head(number: int, each: LoosenedEntry) -> list[str]:
    shown = each.shown
    lines = [f"-- {number}. {_remark(shown.name)}: {_remark(shown.instead)}"]
    lines += [f"--    {_remark(line)}" for line in shown.reason.splitlines()]
    if shown.query:
        lines.append(f"--    {counted(shown.rows or 0, 'row')}: {_remark(shown.query)}")
    return lines


def _statements(each: LoosenedEntry, rejected: Path | None, encoding: str) -> list[str]:
    """Return the statements of a block; those that psql could read otherwise only as comments."""
    lines: list[str] = []
    for statement in each.finish:
        if "\\" in statement:
            lines.append("--    It has a backslash: look at it, then run it yourself:")
            lines += [f"--    {_remark(line)}" for line in statement.splitlines()]
        else:
            lines.append(statement)
    if each.rejected is not None and rejected is not None:
        lines.append(_load(each.entry, rejected / each.rejected.name, encoding))
    return lines


def _load(entry: TocEntry, path: Path, encoding: str) -> str:
    """Return the psql command that loads the rows of a file, when they have been mended."""
    target = copy_target(entry.copy_stmt)
    table = sql.Identifier(target.schema, target.name).as_string(None)
    columns = ", ".join(sql.Identifier(each).as_string(None) for each in target.columns)
    parts = (table, columns, str(path.absolute()), encoding)
    command = f"\\copy {table} ({columns}) FROM '{path.absolute()}' WITH (ENCODING '{encoding}')"
    is_plain = not any(_NOT_PLAIN.search(part) for part in parts)
    return command if is_plain else f"--    {_remark(command)}"
