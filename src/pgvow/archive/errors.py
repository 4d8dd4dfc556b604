"""What is wrong with an archive, where in the file, and in which table."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pgvow.errors import ToolUnsuitable, VerificationFailed

if TYPE_CHECKING:
    from typing import Self


class ArchiveError(VerificationFailed):
    """The file is not a sound archive in pg_dump's custom format.

    ``complaint`` says what is wrong, ``offset`` is the byte of the file it was noticed at, and
    ``table`` names the table concerned where one is known.
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
        """Return the same error, met in the data of this table."""
        return type(self)(self.complaint, offset=self.offset, table=table)


class IncompleteArchive(ArchiveError):
    """The file ends before the archive does: cut short, or still being written."""

    title = "The archive is cut short"


class OtherFormat(ArchiveError):
    """The file is sound perhaps, but in another format than pg_dump's custom one."""

    title = "This is no archive in pg_dump's custom format"
    steps_of_kind = (
        "pgvow reads the custom format only: make a backup with pgvow, or with pg_dump -Fc",
        "A tar or a directory is restored by pg_restore itself, plain SQL by psql",
    )


class ArchiveTooNew(ArchiveError):
    """The archive's version is newer than any that this pgvow reads: no evidence against it."""

    exit_code = ToolUnsuitable.exit_code
    title = "The archive is too new for this pgvow"
    steps_of_kind = (
        "Read it with a newer pgvow: see what there is with pgvow --version",
        "Or restore it with pg_restore of the major that made it, or a newer one",
        "If no newer pg_dump made it, it is damaged: pgvow verify compares its checksum",
    )
