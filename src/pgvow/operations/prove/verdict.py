"""Judge a restore that failed during a proof: a difference of the backup, or no verdict on it.

The evidence for a difference is the SQLSTATE with which an intact server refused an entry.
"""

from __future__ import annotations

import re
import shutil
from contextlib import closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg

from pgvow.archive import kinds
from pgvow.errors import CannotBeProven, ConnectionFailed
from pgvow.model import Difference, DifferenceKind
from pgvow.postgres.entry_session import sqlstate_again
from pgvow.postgres.failure_classes import FailureClass, failure_of, meaning_of, no_verdict
from pgvow.postgres.sql import query
from pgvow.postgres.tool_stderr import own_words, without_statement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgvow.archive import TableOfContents, TocEntry
    from pgvow.errors import PgvowError
    from pgvow.operations.core.stages import CheckedBackup, FailedEntry, RestorerTools
    from pgvow.operations.prove.server import ProofServer
    from pgvow.postgres.connection import Session

# A server that needs a new WAL segment and has no room for it ends, and its log may be cut.
_ONE_SEGMENT = 16 << 20
# If the server's messages are not in English, these may mean a lack: a collation that does not
# exist is an undefined object like a missing type, a function that a library lacks is an undefined
# function.
_NEEDS_WORDS = frozenset({"42704", "42883", "22023"})
_ENGLISH = ("C", "POSIX", "en")
# Kinds of entries that need the programs or the system of this machine.
_OF_THE_MACHINE = frozenset({kinds.EXTENSION, kinds.COLLATION, kinds.PROCEDURAL_LANGUAGE})
# The server's messages for 0A000, 58P01, 42501 and the like: pg_restore prints no SQLSTATE.
_LACKING = re.compile(
    # how the server was built
    r"ICU is not supported|does not support compression|compression method .* not supported"
    r"|unsupported XML feature|requires the server to be built with"
    # files on its machine: libraries, dictionaries, those of file_fdw
    r"|could not access file|could not load library|incompatible library|must be loaded via"
    r"|could not find function .* in file|could not open (?:[\w-]+ )?file .*: No such file"
    r"|security label provider|collation .* does not exist|time zone .* not recognized"
    # other servers
    r"|could not connect to server \""
    # the rights of its role
    r"|permission denied|only superusers? can|must have CREATEROLE"
    r"|must be (?:superuser|owner|a superuser|member|able to SET ROLE)",
    re.IGNORECASE,
)
# An entry needs something that pg_dump's -t and -n left out.
_LEFT_OUT = re.compile(r"(?:does|do) not exist")
_PERHAPS_LACKING = frozenset({FailureClass.DATA, FailureClass.LACK, FailureClass.UNKNOWN})
# not_null, foreign_key, unique, check and exclusion violations
_RULES = frozenset({"23502", "23503", "23505", "23514", "23P01"})
_KINDS_OF_RULES = {
    kinds.FK_CONSTRAINT: "foreign key",
    kinds.CONSTRAINT: "constraint",
    kinds.CHECK_CONSTRAINT: "check",
    kinds.INDEX: "unique index",
}
_ADDED = re.compile(r'ADD CONSTRAINT ("(?:[^"]|"")*"|[^\s"]+)')
# undefined_table, _function, _column, _object, and invalid_schema_name
_NAMES_NOTHING = frozenset({"42P01", "42883", "42703", "42704", "3F000"})
# Entries that compute something. Their own statements name everything with its schema.
_RUNS_CODE = {
    kinds.TABLE_DATA: "a check, a generated column or a domain of the table",
    kinds.INDEX: "the index",
    kinds.CONSTRAINT: "the constraint's index",
    kinds.CHECK_CONSTRAINT: "the check",
    kinds.MATERIALIZED_VIEW_DATA: "the view's query",
}
_OF_COLLATION = re.compile(
    r"no partition of relation|violates (?:partition|check|exclusion) constraint|would overlap"
    r"|range lower bound must be less"
)


def refuse_missing_extensions(session: Session, toc: TableOfContents) -> None:
    """Raise CannotBeProven if the server lacks an extension of the archive."""
    available = {name for (name,) in session.execute(query("available_extensions"))}
    missing = sorted(
        {entry.tag for entry in toc.entries if entry.desc == kinds.EXTENSION} - available
    )
    if missing:
        raise CannotBeProven(
            f"the server does not have the extension{'s' * (len(missing) > 1)}"
            f" {', '.join(missing)}",
            steps=[
                "Install what is named above for this server's major version",
                "Or prove it on a server that has it: pgvow prove FILE --on DSN",
            ],
        )


def with_evidence(
    failed: FailedEntry,
    backup: CheckedBackup,
    *,
    witness: Session,
    dbname: str,
    helper: RestorerTools | None,
    server: ProofServer,
) -> FailedEntry:
    """Add the server's SQLSTATE to a failure, or None if it cannot be had.

    ``witness`` is a session that was open during the whole restore: a server that restarted,
    crashed or failed over has ended it. An entry of which no SQLSTATE is known is restored again,
    with no more rights than it was restored with. Raises NoSpace, NoResources and ConnectionFailed
    if the server is not intact.
    """
    _require_intact(failed, server, witness)
    sqlstate = failed.error.sqlstate
    if sqlstate is None and not failed.ends and failed.entry is not None:
        sqlstate = _again(backup, dbname, failed.entry, helper)
        _require_intact(failed, server, witness)
    if not server.is_throwaway and sqlstate in _NEEDS_WORDS and not _speaks_english(witness):
        sqlstate = None
    return replace(failed, error=replace(failed.error, sqlstate=sqlstate))


def _again(
    backup: CheckedBackup, dbname: str, entry: TocEntry, helper: RestorerTools | None
) -> str | None:
    # Grants and policies run no code, and come when the helper has given everything away.
    by_us = helper is None or entry.desc in kinds.NAMING_ROLES
    tools = backup.tools if by_us or helper is None else helper.tools
    with suppress(ConnectionFailed), closing(tools.open(dbname)) as session:
        return sqlstate_again(session, backup.stored, backup.toc, entry)
    return None


def _speaks_english(session: Session) -> bool:
    row = session.execute("SHOW lc_messages").fetchone()
    return row is not None and (str(row[0]) or "C").startswith(_ENGLISH)


def _require_intact(failed: FailedEntry, server: ProofServer, witness: Session) -> None:
    """Raise if the server that refused something is not the one that was there before."""
    try:
        witness.execute("SELECT 1")
    except psycopg.Error as lost:
        words = without_statement(failed.error.complaint)
        raise _ended(server, f"{words}\nthe server did not stay intact: {lost}") from lost


def _ended(server: ProofServer, cause: str) -> PgvowError:
    """Make the error for a server that went away; a full disk ends one as well."""
    meaning = meaning_of(None, cause)
    if meaning is not FailureClass.MEMORY and (meaning is FailureClass.DISK or _is_full(server)):
        return no_verdict(FailureClass.DISK, cause)
    return no_verdict(FailureClass.CONNECTION, cause)


def _is_full(server: ProofServer) -> bool:
    """Return whether a throw-away server's disk has no room for its next file."""
    return server.folder is not None and shutil.disk_usage(server.folder).free < _ONE_SEGMENT


def translated(error: psycopg.Error, server: ProofServer) -> PgvowError:
    """Translate an error of a session of ours during a proof; it is no verdict on the data."""
    result = failure_of(error)
    if isinstance(result, ConnectionFailed) and _is_full(server):
        return no_verdict(FailureClass.DISK, result.cause)
    return result


def restore_difference(
    failed: FailedEntry, *, lacking: str | None, selection: Sequence[str] = ()
) -> Difference:
    """Return the difference that a failed restore is evidence of.

    Only a SQLSTATE about the data is evidence; a message that is not understood is no verdict on
    the backup. ``lacking`` is why the server has not got the source's collation, None if it has;
    ``selection`` are the options that left something out of the backup. Raises CannotBeProven,
    NoSpace, NoResources, ConnectionFailed and NoVerdict if there is no verdict.
    """
    error, entry = failed.error, failed.entry
    facts = {"Object": entry.shown} if entry else None
    words = own_words(error.complaint)
    meaning = meaning_of(error.sqlstate, words)
    if meaning in _PERHAPS_LACKING and (
        _is_lacking(words, entry) or (lacking and _OF_COLLATION.search(words))
    ):
        raise CannotBeProven(
            error.complaint + (f"\nthe source's collation: {lacking}" if lacking else ""),
            facts=facts,
            steps=["Prove it on a server like the source's: pgvow prove FILE --on DSN"],
        )
    if selection and meaning in _PERHAPS_LACKING and _LEFT_OUT.search(words):
        raise CannotBeProven(
            f"{error.complaint}\nonly a part was backed up: {' '.join(selection)}",
            facts=facts,
            steps=[
                "Such a backup restores only where what it leans on is there already",
                "To have it proven, back up whole schemas: --schema PATTERN instead of --table",
            ],
        )
    if meaning is not FailureClass.DATA or error.sqlstate is None:
        raise no_verdict(meaning, error.complaint, facts=facts)
    name = entry.shown if entry else "an object"
    cause = plain_cause(error.sqlstate, entry)
    complaint = f"{cause}: {error.complaint}" if cause else error.complaint
    return Difference(DifferenceKind.RESTORE, name, "restored", complaint)


def plain_cause(sqlstate: str, entry: TocEntry | None) -> str | None:
    """Explain why a server refuses an entry; None if there is no better text than its own."""
    if entry is None:
        return None
    if sqlstate in _RULES and entry.desc in _KINDS_OF_RULES:
        kind = _KINDS_OF_RULES[entry.desc]
        return f"the source breaks its own rule: {kind} {_rule(entry)} does not hold"
    if sqlstate in _NAMES_NOTHING and entry.desc in _RUNS_CODE:
        return (
            f"{_RUNS_CODE[entry.desc]} runs a function or a text that leans on search_path, which"
            " is empty during a restore"
        )
    return None


def _rule(entry: TocEntry) -> str:
    """Return the name of a constraint; an index has its own as its tag."""
    named = _ADDED.search(entry.defn)
    return named[1] if named else entry.tag


def _is_lacking(words: str, entry: TocEntry | None) -> bool:
    kind = entry.desc if entry else ""
    return kind in _OF_THE_MACHINE or bool(_LACKING.search(words))
