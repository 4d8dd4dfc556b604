"""What keeps a backup from being proven here, told apart from what is wrong with it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pgvow.errors import CannotBeProven, NoSpace, RestoreFailed
from pgvow.model import Difference, DifferenceKind
from pgvow.postgres.complaints import without_statement
from pgvow.postgres.sql import query

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgvow.archive import Entry, TableOfContents
    from pgvow.postgres.connection import Session
    from pgvow.postgres.restoring import RestoreError

_FULL = re.compile(r"No space left on device|Disk quota exceeded")
# What only the programs or the system of this machine can lack; kinds of entries first.
_OF_THE_MACHINE = frozenset({"EXTENSION", "COLLATION", "PROCEDURAL LANGUAGE"})
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
# Where a server quotes the rows that it was at.
_QUOTED = re.compile(r"^(?:CONTEXT: |DETAIL:  Failing row).*", re.DOTALL | re.MULTILINE)
# What pg_dump's -t and -n leave out although something leans on it.
_LEFT_OUT = re.compile(r"(?:does|do) not exist")
# What a server refused; the workers of a parallel restore do not say of which entry.
_REFUSED = re.compile(r"could not execute query|COPY failed for table")
_OF_COLLATION = re.compile(
    r"no partition of relation|violates (?:partition|check|exclusion) constraint|would overlap"
    r"|range lower bound must be less"
)


def refuse_missing_extensions(session: Session, toc: TableOfContents) -> None:
    """Raise CannotBeProven where the server has not got every extension of the archive."""
    there = {name for (name,) in session.execute(query("available_extensions"))}
    missing = sorted({entry.tag for entry in toc.entries if entry.desc == "EXTENSION"} - there)
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
    """Say what is wrong with the backup, where that is what stopped its restore.

    ``lacking`` is why the source's collation is not there, if it is not; ``selection`` are the
    options that left something out of the backup. Raises CannotBeProven,
    NoSpace, and RestoreFailed where it was not the server that refused something.
    """
    entry = next((one for one in toc.entries if one.dump_id == error.dump_id), None)
    words = _QUOTED.sub("", without_statement(error.complaint))
    if _FULL.search(words):
        raise NoSpace(error.complaint, steps=["Name a larger disk: TMPDIR=/path pgvow prove FILE"])
    if _is_lacking(words, entry) or (lacking and _OF_COLLATION.search(words)):
        raise CannotBeProven(
            error.complaint + (f"\nthe source's collation: {lacking}" if lacking else ""),
            facts={"Object": _shown(entry)} if entry else None,
            steps=["Prove it on a server like the source's: pgvow prove FILE --on DSN"],
        )
    if selection and _LEFT_OUT.search(words):
        raise CannotBeProven(
            f"{error.complaint}\nonly a part was backed up: {' '.join(selection)}",
            facts={"Object": _shown(entry)} if entry else None,
            steps=[
                "Such a backup restores only where what it leans on is there already",
                "To have it proven, back up whole schemas: --schema PATTERN instead of --table",
            ],
        )
    if entry is None and not _REFUSED.search(words):
        raise RestoreFailed(error.complaint, steps=["Run it again; then look at the server's log"])
    name = _shown(entry) if entry else "an object"
    return Difference(DifferenceKind.RESTORE, name, "restored", error.complaint)


def _is_lacking(words: str, entry: Entry | None) -> bool:
    kind = entry.desc if entry else ""
    return kind in _OF_THE_MACHINE or bool(_LACKING.search(words))


def _shown(entry: Entry) -> str:
    return f"{entry.desc} {entry.name}"
