"""The SHA-256 of a file, in bounded memory."""

from __future__ import annotations

import hashlib
import os
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from pgvow.errors import PgvowError
from pgvow.finished_file import PIECE, Positioned, sha256_of
from pgvow.operations.verify.hashing import hash_backup
from pgvow.progress import Silent
from pgvow.store import StoredBackup

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 7])
def test_sha256_is_that_of_the_bytes(tmp_path: Path, size: int) -> None:
    """Around the size of a piece as well, digest and size are those of the whole file."""
    data = os.urandom(size)
    path = tmp_path / "x.dump"
    path.write_bytes(data)
    assert (hashlib.sha256(data).hexdigest(), size) == hash_backup(StoredBackup.at(path), Silent())


def test_sha256_changes_with_one_bit(tmp_path: Path) -> None:
    """A file with one bit flipped has another digest."""
    path = tmp_path / "x.dump"
    path.write_bytes(bytes(PIECE * 2))
    before = hash_backup(StoredBackup.at(path), Silent())
    path.write_bytes(bytes(PIECE) + b"\x01" + bytes(PIECE - 1))
    assert before != hash_backup(StoredBackup.at(path), Silent())


def test_sha256_of_a_descriptor_covers_the_whole_file(tmp_path: Path) -> None:
    """A file just written is hashed whole, and its position is unchanged."""
    with (tmp_path / "x.dump").open("w+b", buffering=0) as file:
        file.write(b"PGDMP")
        assert (hashlib.sha256(b"PGDMP").hexdigest(), 5) == sha256_of(Positioned(file.fileno()))
        assert file.tell() == 5


def test_sha256_reports_progress_up_to_the_size(tmp_path: Path) -> None:
    """Progress adds up to the file's size."""
    path = tmp_path / "x.dump"
    path.write_bytes(bytes(PIECE + 3))
    told: list[int] = []
    with path.open("rb") as file:
        sha256_of(file, told.append)
    assert told == [PIECE, 3]


def test_sha256_takes_bounded_memory(tmp_path: Path) -> None:
    """64 MiB take no more memory than one piece and change."""
    path = tmp_path / "x.dump"
    with path.open("wb") as file:
        file.truncate(64 << 20)
    tracemalloc.start()
    hash_backup(StoredBackup.at(path), Silent())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * PIECE


def test_sha256_of_a_missing_file_raises_our_error(tmp_path: Path) -> None:
    """An error of the file system comes with the path."""
    with pytest.raises(PgvowError, match="No such file") as caught:
        hash_backup(StoredBackup.at(tmp_path / "gone.dump"), Silent())
    assert {"Path": str(tmp_path / "gone.dump")} == caught.value.facts
