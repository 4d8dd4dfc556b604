"""A dump that is being read is not removed."""

from __future__ import annotations

import multiprocessing
import os
import threading
from typing import TYPE_CHECKING

import pytest

from pgvow.errors import PgvowError
from pgvow.spool import being_removed
from pgvow.store import being_read

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    """A file that stands for a dump."""
    path = tmp_path / "a.dump"
    path.write_bytes(b"PGDMP")
    return path


def test_a_dump_being_read_cannot_be_removed(dump: Path) -> None:
    """Two may read at a time; until both have ended nobody has it for himself."""
    with being_read(dump):
        with being_read(dump), being_removed(dump) as is_free:
            assert not is_free
        with being_removed(dump) as is_free:
            assert not is_free
    with being_removed(dump) as is_free:
        assert is_free
    assert [dump] == list(dump.parent.iterdir())


def _read_and_wait(path: Path, pipe: Connection) -> None:
    with being_read(path):
        pipe.send("reading")
        pipe.recv()


def test_a_killed_reader_releases_the_lock(dump: Path) -> None:
    """The lock dies with its process, whatever ends it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    reader = context.Process(target=_read_and_wait, args=(dump, theirs))
    reader.start()
    try:
        assert "reading" == ours.recv()
        with being_removed(dump) as is_free:
            assert not is_free
    finally:
        reader.kill()
        reader.join()
    with being_removed(dump) as is_free:
        assert is_free


def test_a_reader_waits_for_a_removal(dump: Path) -> None:
    """A reader that comes during the removal finds nothing afterwards, or its replacement."""
    entered = threading.Event()

    def read() -> None:
        with being_read(dump):
            entered.set()

    with being_removed(dump) as is_free:
        assert is_free
        reader = threading.Thread(target=read)
        reader.start()
        assert not entered.wait(0.2)
        (dump.parent / "new").write_bytes(b"PGDMP")
        os.replace(dump.parent / "new", dump)  # noqa: PTH105 - as a removal and a new backup
    reader.join()
    assert entered.is_set()


def test_removing_a_missing_dump_is_an_error(tmp_path: Path) -> None:
    """A file that is missing is the reader's to complain of; a remover is told."""
    with being_read(tmp_path / "none.dump"):
        pass
    with pytest.raises(PgvowError), being_removed(tmp_path / "none.dump"):
        pass
