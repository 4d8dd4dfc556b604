"""Errors of an archive, with the byte of the file and the table that they were met at."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pgvow.errors import ToolUnsuitable, VerificationFailed

if TYPE_CHECKING:
    from typing import Self


class ArchiveError(VerificationFailed):
    """Raised if the file is no sound archive in pg_dump's custom format.

    ``complaint`` is the defect, ``offset`` the byte of the file at which it was noticed, and
    ``table`` the name of the table, if one is known.
    """

    title = "The archive is damaged"
    steps_of_kind: ClassVar[tuple[str, ...]] = ()

    def __init__(self, complaint: str, *, offset: int, table: str | None = None) -> None:
        where = f"at byte {offset}" if table is None else f"in {table}, at byte {offset}"
        facts = {"Offset": str(offset)} | ({} if table is None else {"Table": table})
        super().__init__(f"{complaint} ({where})", facts=facts, steps=self.steps_of_kind)
        self.complaint = complaint
        self.offset = offset
        self.table = table

    def within(self, table: str) -> Self:
        """Return the same error with the name of the table whose data has it."""
        return type(self)(self.complaint, offset=self.offset, table=table)


class IncompleteArchive(ArchiveError):
    """Raised if the file ends before the archive: it was cut short, or is still being written."""

    title = "The archive is cut short"


class OtherFormat(ArchiveError):
    """Raised if the file is in another format than pg_dump's custom one; it may be sound."""

    title = "This is no archive in pg_dump's custom format"
    steps_of_kind = (
        "pgvow reads the custom format only: make a backup with pgvow, or with pg_dump -Fc",
        "A tar or a directory is restored by pg_restore itself, plain SQL by psql",
    )


class ArchiveTooNew(ArchiveError):
    """Raised if the archive's version is newer than any that is read here: it may be sound."""

    exit_code = ToolUnsuitable.exit_code
    title = "The archive is too new for this pgvow"
    steps_of_kind = (
        "Read it with a newer pgvow: see what there is with pgvow --version",
        "Or restore it with pg_restore of the major that made it, or a newer one",
        "If no newer pg_dump made it, it is damaged: pgvow verify compares its checksum",
    )
