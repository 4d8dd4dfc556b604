"""What keeps a backup from being proven here, told apart from what is wrong with it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pgvow.archive import kinds
from pgvow.errors import CannotBeProven
from pgvow.model import Difference, DifferenceKind
from pgvow.postgres.outcomes import Meaning, meaning_of, no_verdict
from pgvow.postgres.sql import query
from pgvow.postgres.tool_stderr import own_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgvow.archive import TableOfContents, TocEntry
    from pgvow.postgres.connection import Session
    from pgvow.postgres.pg_restore import RestoreError

# What only the programs or the system of this machine can lack; kinds of entries first.
_OF_THE_MACHINE = frozenset({kinds.EXTENSION, kinds.COLLATION, kinds.PROCEDURAL_LANGUAGE})
# The server's messages for 0A000, 58P01, 42501 and the like: pg_restore does not tell SQLSTATEs.
_LACKING = re.compile(
    # how the server was built
    r"ICU is not supported|does not support compression|compression method .* not supported"
    r"|unsupported XML feature|requires the server to be built with"
    # what lies beside it on its machine: libraries, dictionaries, files of file_fdw
    r"|could not access file|could not load library|incompatible library|must be loaded via"
    r"|could not find function .* in file|could not open (?:[\w-]+ )?file .*: No such file"
    r"|security label provider|collation .* does not exist|time zone .* not recognized"
    # who is there to be asked
    r"|could not connect to server \""
    # what its role may do
    r"|permission denied|only superusers? can|must have CREATEROLE"
    r"|must be (?:superuser|owner|a superuser|member|able to SET ROLE)",
    re.IGNORECASE,
)
# What pg_dump's -t and -n leave out although something leans on it.
_LEFT_OUT = re.compile(r"(?:does|do) not exist")
_PERHAPS_LACKING = frozenset({Meaning.DATA, Meaning.LACK, Meaning.UNKNOWN})
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
# The entries that compute something: there the statement itself names all with their schemas.
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
    """Raise CannotBeProven where the server has not got every extension of the archive."""
    there = {name for (name,) in session.execute(query("available_extensions"))}
    missing = sorted({entry.tag for entry in toc.entries if entry.desc == kinds.EXTENSION} - there)
    if missing:
        raise CannotBeProven(
            f"the server does not have the extension{'s' * (len(missing) > 1)}"
            f" {', '.join(missing)}",
            steps=[
                "Install what is named above for this server's major version",
                "Or prove it on a server that has it: pgvow prove FILE --on DSN",
            ],
        )


def restore_difference(
    error: RestoreError,
    toc: TableOfContents,
    *,
    lacking: str | None,
    selection: Sequence[str] = (),
) -> Difference:
    """Return the difference that a failed restore is evidence of.

    Evidence is a SQLSTATE about the data, and nothing else is: a message that is not understood
    says nothing about the backup. ``lacking`` is why the source's collation is not there, if it is
    not; ``selection`` are the options that left something out of the backup. Raises CannotBeProven,
    NoSpace, NoResources, ConnectionFailed and NoVerdict if there is no verdict.
    """
    entry = next((one for one in toc.entries if one.dump_id == error.dump_id), None)
    facts = {"Object": _shown(entry)} if entry else None
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
    if meaning is not Meaning.DATA or error.sqlstate is None:
        raise no_verdict(meaning, error.complaint, facts=facts)
    name = _shown(entry) if entry else "an object"
    cause = plain_cause(error.sqlstate, entry)
    complaint = f"{cause}: {error.complaint}" if cause else error.complaint
    return Difference(DifferenceKind.RESTORE, name, "restored", complaint)


def plain_cause(sqlstate: str, entry: TocEntry | None) -> str | None:
    """Explain in plain words why a server refuses an entry; None if its own words must do."""
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


def _shown(entry: TocEntry) -> str:
    return f"{entry.desc} {entry.name}"
