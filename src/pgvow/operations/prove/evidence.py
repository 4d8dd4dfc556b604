"""Find the SQLSTATE with which a server refused an entry, if the server is intact."""

from __future__ import annotations

import shutil
from contextlib import closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg

from pgvow.errors import ConnectionFailed
from pgvow.postgres.outcomes import Meaning, failure_of, meaning_of, no_verdict
from pgvow.postgres.proof_server import open_session
from pgvow.postgres.sqlstates import failed_entry, first_error, sqlstate_again
from pgvow.postgres.tool_stderr import without_statement

if TYPE_CHECKING:
    from pathlib import Path

    from pgvow.archive import TableOfContents
    from pgvow.errors import PgvowError
    from pgvow.operations.prove.place import Chosen
    from pgvow.postgres.connection import Session
    from pgvow.postgres.pg_restore import RestoreError

# A server that wants a new WAL segment and has no room for it ends, and its log may be cut.
_ONE_SEGMENT = 16 << 20
# If the server's words cannot be read, these may mean a lack: a collation that is not there is an
# undefined object like a missing type, a function that a library lacks is an undefined function.
_NEEDS_WORDS = frozenset({"42704", "42883", "22023"})
_ENGLISH = ("C", "POSIX", "en")


def with_evidence(
    error: RestoreError,
    *,
    chosen: Chosen,
    witness: Session,
    dbname: str,
    dump: Path,
    toc: TableOfContents,
) -> RestoreError:
    """Return the error with the server's SQLSTATE, or with None if there is none to be had.

    ``witness`` is a session that was open during the whole restore: a server that restarted,
    crashed or failed over has ended it. Raises NoSpace, NoResources and ConnectionFailed if the
    server is not intact.
    """
    _require_intact(error, chosen, witness)
    entry = failed_entry(error, toc.entries)
    if chosen.log is not None:
        sqlstate = first_error(chosen.log, dbname)
    elif entry is not None:
        sqlstate = _again(chosen, dbname, dump, toc, entry_id=entry.dump_id)
        _require_intact(error, chosen, witness)
        if sqlstate in _NEEDS_WORDS and not _speaks_english(witness):
            sqlstate = None
    else:
        sqlstate = None
    return replace(error, sqlstate=sqlstate, dump_id=entry.dump_id if entry else error.dump_id)


def _again(
    chosen: Chosen, dbname: str, dump: Path, toc: TableOfContents, *, entry_id: int
) -> str | None:
    entry = next(one for one in toc.entries if one.dump_id == entry_id)
    with suppress(ConnectionFailed), closing(open_session(chosen.tools.place, dbname)) as session:
        return sqlstate_again(session, dump, toc, entry)
    return None


def _speaks_english(session: Session) -> bool:
    row = session.execute("SHOW lc_messages").fetchone()
    return row is not None and (str(row[0]) or "C").startswith(_ENGLISH)


def _require_intact(error: RestoreError, chosen: Chosen, witness: Session) -> None:
    """Raise if the server that refused something is not the one that was there before."""
    try:
        witness.execute("SELECT 1")
    except psycopg.Error as lost:
        words = without_statement(error.complaint)
        raise ended(chosen, f"{words}\nthe server did not stay intact: {lost}") from lost


def ended(chosen: Chosen, cause: str) -> PgvowError:
    """Make the error for a server that went away; a full disk ends one as well."""
    meaning = meaning_of(None, cause)
    if meaning is not Meaning.MEMORY and (meaning is Meaning.DISK or _is_full(chosen)):
        return no_verdict(Meaning.DISK, cause)
    return no_verdict(Meaning.CONNECTION, cause)


def _is_full(chosen: Chosen) -> bool:
    """Return whether a throw-away server's disk has no room for its next file."""
    return chosen.folder is not None and shutil.disk_usage(chosen.folder).free < _ONE_SEGMENT


def translated(error: psycopg.Error, chosen: Chosen) -> PgvowError:
    """Translate an error of a session of ours during a proof; it is no verdict on the data."""
    result = failure_of(error)
    if isinstance(result, ConnectionFailed) and _is_full(chosen):
        return no_verdict(Meaning.DISK, result.cause)
    return result
