"""The notes of people beside a dump: one JSON object, read strictly.

They are of the name, whatever bytes the dump has: a backup that is to be kept is kept also if its
metadata cannot be read.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

from pgvow.errors import NoResources, PgvowError
from pgvow.json_reader import JsonReader, parse
from pgvow.notes import NO_NOTES, Acknowledgement, Keep, Notes
from pgvow.store import names
from pgvow.store.metadata import moment_text
from pgvow.store.port import LeadsNowhereError, read_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pgvow.store.port import Store

NOTES_VERSION = 1
_LARGEST = 1 << 20


class NotesError(PgvowError):
    """Notes that cannot be used; ``complaints`` has everything wrong with them."""

    title = "Notes that cannot be used"

    def __init__(self, complaints: Sequence[str]) -> None:
        super().__init__("; ".join(complaints), steps=["Write them anew: pgvow keep NAME"])
        self.complaints = tuple(complaints)


def encode_notes(notes: Notes) -> bytes:
    """Write notes as UTF-8 JSON, and read them back; raises NotesError."""
    document: dict[str, object] = {"notes_version": NOTES_VERSION}
    if notes.keep is not None:
        document["keep"] = _plain(notes.keep)
    if notes.acknowledged is not None:
        document["acknowledged"] = {
            "fault": notes.acknowledged.fault,
            **_plain(notes.acknowledged),
        }
    text = json.dumps(document, indent=2, ensure_ascii=False)
    data = (text + "\n").encode("utf-8", "backslashreplace")
    if decode_notes(data) != notes:
        raise NotesError(["would not read back as they were written"])
    return data


def _plain(note: Keep | Acknowledgement) -> dict[str, object]:
    until = None if note.until is None else moment_text(note.until)
    return {"at": moment_text(note.at), "until": until, "note": note.note}


def decode_notes(data: bytes) -> Notes:
    """Read notes; raises NotesError, with all that is wrong, and nothing else.

    Those of a later version are refused: they may keep the backup in a way that is unknown here.
    """
    complaints: list[str] = []
    parsed = parse(data, complaints)
    if not isinstance(parsed, dict):
        raise NotesError(complaints or ["is not a JSON object"])
    notes = _notes(JsonReader(parsed, complaints))
    if complaints:
        raise NotesError(complaints)
    return notes


def _notes(reader: JsonReader) -> Notes:
    version = reader.count("notes_version", at_least=1)
    if version > NOTES_VERSION:
        reader.complaints.append(f"notes_version is {version}, of a newer pgvow")
    return Notes(
        keep=reader.optional("keep", lambda key: reader.nested(key, _keep)),
        acknowledged=reader.optional("acknowledged", lambda key: reader.nested(key, _known)),
    )


def _keep(reader: JsonReader) -> Keep:
    return Keep(
        at=reader.moment("at"),
        until=reader.optional("until", reader.moment),
        note=reader.optional("note", reader.text),
    )


def _known(reader: JsonReader) -> Acknowledgement:
    return Acknowledgement(
        fault=reader.text("fault"),
        at=reader.moment("at"),
        until=reader.optional("until", reader.moment),
        note=reader.optional("note", reader.text),
    )


def read_notes(store: Store, dump_name: str) -> Notes:
    """Read the notes of a dump; none if there is no such file.

    Those that cannot be read or used have their complaint. Raises NoResources alone.
    """
    name = names.notes_name(dump_name)
    try:
        data = read_whole(store, name, largest=_LARGEST)
        return decode_notes(data) if data is not None else Notes(complaint=f"{name} is too large")
    except FileNotFoundError:
        return Notes(complaint=f"{name} leads nowhere") if _leads_nowhere(store, name) else NO_NOTES
    except NoResources:
        raise
    except NotesError as error:
        return Notes(complaint=f"{name} {error.cause}")
    except PgvowError as error:
        return Notes(complaint=error.cause)


def _leads_nowhere(store: Store, name: str) -> bool:
    try:
        store.stat(name)
    except LeadsNowhereError:
        return True
    except OSError:
        return False
    return False


def change_notes(store: Store, dump_name: str, change: Callable[[Notes], Notes]) -> Notes:
    """Change the notes of a dump, and return the new ones; broken ones are replaced.

    Raises UnreadableFile, AccessDenied, NoSpace, PgvowError or NotesError.
    """
    notes = NO_NOTES

    def changed(data: bytes | None) -> bytes:
        nonlocal notes
        older = NO_NOTES
        with suppress(NotesError):
            older = decode_notes(data) if data is not None else NO_NOTES
        notes = change(older)
        return encode_notes(notes)

    store.update(names.notes_name(dump_name), changed)
    return notes
