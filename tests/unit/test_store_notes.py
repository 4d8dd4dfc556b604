"""Notes beside a backup: strict in both directions, in any store, and unreadable ones keep it."""

from __future__ import annotations

import io
import json
import os
import stat
import threading
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgvow.notes import NO_NOTES, Acknowledgement, Keep, Notes
from pgvow.store import (
    DirectoryStore,
    NotesError,
    StoredBackup,
    backup_in,
    backups_in,
    decode_notes,
    encode,
    encode_notes,
    metadata_name,
    notes_name,
)
from pgvow.store.port import MemoryStore
from tests.support import backups

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pgvow.store import Store

_AT = datetime(2026, 11, 28, 4, tzinfo=UTC)
_KEEP = Keep(_AT, _AT + timedelta(days=30), "before the migration")
_KNOWN = Acknowledgement("unreadable", _AT, note="the disk was replaced")
_NOTES = Notes(_KEEP, _KNOWN)

_times = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31)).map(  # noqa: DTZ001
    lambda naive: naive.replace(microsecond=0, tzinfo=UTC)
)
_texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1)
_all_notes = st.builds(
    Notes,
    keep=st.none() | st.builds(Keep, _times, st.none() | _times, st.none() | _texts),
    acknowledged=st.none()
    | st.builds(Acknowledgement, _texts, _times, st.none() | _times, st.none() | _texts),
)


@given(_all_notes)
def test_notes_read_back(notes: Notes) -> None:
    """Notes read back as they were written, whatever the text."""
    assert notes == decode_notes(encode_notes(notes))


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_bytes_of_others_are_refused_as_notes(data: bytes) -> None:
    """Any bytes are notes, or NotesError; never another error."""
    with suppress(NotesError):
        assert isinstance(decode_notes(data), Notes)


def _object(**changed: object) -> bytes:
    document: dict[str, Any] = json.loads(encode_notes(_NOTES))
    return json.dumps({**document, **changed}).encode()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("notes_version", 0),
        ("notes_version", 2),
        ("keep", "yes"),
        ("keep", {"until": None}),
        ("keep", {"at": "2026-11-28"}),
        ("keep", {"at": "2026-11-28T04:00:00Z", "until": "never"}),
        ("keep", {"at": "2026-11-28T04:00:00Z", "note": ""}),
        ("acknowledged", {"at": "2026-11-28T04:00:00Z"}),
    ],
)
def test_a_wrong_value_makes_notes_unusable(key: str, value: object) -> None:
    """A wrong value, and a later version, is a complaint that names its key."""
    with pytest.raises(NotesError) as caught:
        decode_notes(_object(**{key: value}))
    assert any(complaint.startswith(key) for complaint in caught.value.complaints)


@pytest.fixture(params=["directory", "memory"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> StoredBackup:
    """A backup in a store of each kind."""
    store: Store = MemoryStore() if request.param == "memory" else DirectoryStore(tmp_path)
    facts = backups.metadata()
    store.put(facts.backup_file, io.BytesIO(backups.DUMP))
    store.put(metadata_name(facts.backup_file), io.BytesIO(encode(facts)))
    return StoredBackup(store, facts.backup_file)


def test_notes_are_kept_beside_the_backup(stored: StoredBackup) -> None:
    """Both notes are in one file, the listing has them, and a change of one leaves the other."""
    assert stored.notes() == NO_NOTES
    assert replace(NO_NOTES, keep=_KEEP) == stored.change_notes(
        lambda notes: replace(notes, keep=_KEEP)
    )
    assert stored.change_notes(lambda notes: replace(notes, acknowledged=_KNOWN)) == _NOTES
    assert stored.notes() == _NOTES
    (listed,) = backups_in(stored.store)
    assert listed.notes == _NOTES
    assert listed == backup_in(stored.store, stored.name)
    assert notes_name(stored.name) in stored.store.list()


def test_notes_of_a_broken_backup_are_listed(stored: StoredBackup) -> None:
    """They are of the name: without readable metadata they hold all the same."""
    stored.change_notes(lambda _: _NOTES)
    stored.store.put(metadata_name(stored.name), io.BytesIO(b"{"))
    assert [_NOTES] == [each.notes for each in backups_in(stored.store)]
    stored.store.delete(metadata_name(stored.name))
    assert [_NOTES] == [each.notes for each in backups_in(stored.store)]


def test_notes_alone_are_no_backup(stored: StoredBackup) -> None:
    """Notes without dump and metadata are no backup."""
    stored.change_notes(lambda _: _NOTES)
    stored.store.delete(metadata_name(stored.name))
    stored.store.delete(stored.name)
    assert [] == backups_in(stored.store)
    assert backup_in(stored.store, stored.name) is None


def test_no_note_of_two_at_once_is_lost(stored: StoredBackup) -> None:
    """Two people who write at once: the notes of both are there."""
    changes: tuple[Callable[[Notes], Notes], ...] = (
        lambda notes: replace(notes, keep=_KEEP),
        lambda notes: replace(notes, acknowledged=_KNOWN),
    )
    for _ in range(20):
        stored.store.delete(notes_name(stored.name))
        threads = [threading.Thread(target=stored.change_notes, args=(each,)) for each in changes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert stored.notes() == _NOTES


def test_notes_are_for_their_owner_only(tmp_path: Path) -> None:
    """The file has the mode 0600, and nothing else is left."""
    dump = backups.place(tmp_path, backups.metadata())
    StoredBackup.at(dump).change_notes(lambda _: _NOTES)
    path = dump.with_name(notes_name(dump.name))
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert 3 == len(list(tmp_path.iterdir()))


def _broken(path: Path) -> None:
    path.write_bytes(b'{"notes_version": 1, "keep": 1}')


def _newer(path: Path) -> None:
    path.write_bytes(b'{"notes_version": 2}')


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.mkdir()


def _dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10 << 30)


@pytest.mark.parametrize("make", [_broken, _newer, _pipe, _folder, _dangling, _loop, _large])
def test_notes_that_cannot_be_read_keep_the_backup(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    """They may say that it is to be kept: it is, with the complaint, and is as good as it was."""
    dump = backups.place(tmp_path, backups.metadata())
    make(dump.with_name(notes_name(dump.name)))
    (listed,) = backups_in(DirectoryStore(tmp_path))
    assert "ok" == listed.status.value
    assert listed.notes.complaint
    kept = listed.notes.kept(_AT)
    assert kept is not None
    assert kept.startswith("kept: its notes cannot be read: ")


def test_broken_notes_are_replaced_by_a_new_one(tmp_path: Path) -> None:
    """Who keeps a backup anew has it kept, and no complaint."""
    dump = backups.place(tmp_path, backups.metadata())
    _broken(dump.with_name(notes_name(dump.name)))
    stored = StoredBackup.at(dump)
    stored.change_notes(lambda notes: replace(notes, keep=_KEEP))
    assert Notes(keep=_KEEP) == stored.notes()


@pytest.mark.parametrize(
    ("until", "text"),
    [
        (None, "kept"),
        (datetime(2027, 1, 1, 23, 59, 59, tzinfo=UTC), "kept until 2027-01-01"),
        (datetime(2027, 1, 1, 8, tzinfo=UTC), "kept until 2027-01-01T08:00:00Z"),
    ],
)
def test_a_keep_names_its_end(until: datetime | None, text: str) -> None:
    """A whole day is named as a day, and the note comes after a colon."""
    assert text == str(Keep(_AT, until))
    assert f"{text}: why" == str(Keep(_AT, until, "why"))


def test_a_keep_ends_after_its_last_second() -> None:
    """Up to the last fraction of its last second it holds, and not a second later."""
    end = datetime(2027, 1, 1, 23, 59, 59, tzinfo=UTC)
    assert Keep(_AT, end).holds(end + timedelta(microseconds=999_999))
    assert not Keep(_AT, end).holds(end + timedelta(seconds=1))
    assert Keep(_AT).holds(datetime.max.replace(tzinfo=UTC))
