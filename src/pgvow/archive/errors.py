"""What is wrong with an archive, where in the file, and in which table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.errors import VerificationFailed

if TYPE_CHECKING:
    from typing import Self


class ArchiveError(VerificationFailed):
    """The file is not a sound archive in pg_dump's custom format.

    ``complaint`` says what is wrong, ``offset`` is the byte of the file it was noticed at, and
    ``table`` names the table concerned where one is known.
    """

    title = "The archive is damaged"

    def __init__(self, complaint: str, *, offset: int, table: str | None = None) -> None:
        where = f"at byte {offset}" if table is None else f"in {table}, at byte {offset}"
        facts = {"Offset": str(offset)} | ({} if table is None else {"Table": table})
        super().__init__(f"{complaint} ({where})", facts=facts)
        self.complaint = complaint
        self.offset = offset
        self.table = table

    def within(self, table: str) -> Self:
        """Return the same error, met in the data of this table."""
        return type(self)(self.complaint, offset=self.offset, table=table)


class IncompleteArchive(ArchiveError):
    """The file ends before the archive does: cut short, or still being written."""

    title = "The archive is cut short"
