"""Salvage of archives without offsets, with bad sectors, flipped bits, few columns."""

from __future__ import annotations

import errno
import io
import os
import random
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pgvow.archive import read_archive
from pgvow.archive.salvage import salvage_archive
from pgvow.errors import UnreadableFile
from pgvow.progress import Silent
from tests.support import archives
from tests.support.servers import ROOT
from tests.unit.archive.test_salvage import (
    BIG,
    BLOCK,
    SMALL,
    Made,
    expected,
    make,
    salvage,
    zeroed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MOST_MEGABYTES = 150


@pytest.mark.parametrize("compression", ["gzip", "zstd", "lz4", "none"])
def test_without_offsets_blocks_are_found_by_their_heads(compression: str) -> None:
    """As pg_dump writes into a pipe: the tables on both sides of a damaged one are whole."""
    made = make(compression, offsets=False)
    places = range(made.chunks[0][0] + BLOCK, made.chunks[-1][0] - 2 * BLOCK, BLOCK * 3)
    for place in places:
        saved, rows = salvage(zeroed(made.data, place)[0])
        assert SMALL == {name: rows[name] for name in SMALL}, place
        assert [True, False, True] == [table.is_whole for table in saved.tables]
        assert BIG.startswith(rows["big"][:1000])


class BadSector(io.BytesIO):
    """A file with sectors that cannot be read."""

    bad = range(0)

    def read(self, size: int | None = -1, /) -> bytes:
        """Raise an error if a byte of a bad sector is among those wanted."""
        start = self.tell()
        data = super().read(size)
        if max(start, self.bad.start) < min(start + len(data), self.bad.stop):
            self.seek(start)
            raise UnreadableFile(os.strerror(errno.EIO))
        return data


def test_sectors_that_cannot_be_read_are_as_lost_as_zeroed_ones() -> None:
    """The rows around them are saved, and the bytes are counted."""
    made = make("none")
    start = (made.chunks[0][0] // BLOCK + 3) * BLOCK
    file, new = BadSector(made.data), io.BytesIO()
    file.bad = range(start, start + BLOCK)
    saved = salvage_archive(file, new, {}, Silent())
    damaged, first, end = zeroed(made.data, start)
    assert damaged != made.data
    (big,) = [table for table in saved.tables if table.entry.tag == "big"]
    assert big.facts is not None
    assert (len(expected(made, first, end)), BLOCK) == (big.facts.rows, saved.unreadable)


@pytest.mark.parametrize(("compression", "segment"), [("gzip", 0), ("zstd", 0), ("zstd", 200_000)])
def test_flipped_bits_end_in_a_sound_archive_and_doubt_if_rows_are_not_those_that_were(
    compression: str, segment: int
) -> None:
    """Anywhere behind the table of contents: nothing raises, and no wrong row is vouched for."""
    made = make(compression, segment)
    originals, generator = set(BIG.split(b"\n")), random.Random(4)
    for _ in range(40):
        data = bytearray(made.data)
        data[generator.randrange(made.chunks[0][0], len(data))] ^= 1 << generator.randrange(8)
        saved, rows = salvage(bytes(data))
        (big,) = [table for table in saved.tables if table.entry.tag == "big"]
        if not set(rows["big"].split(b"\n")) <= originals:
            assert big.is_doubtful or (big.is_whole and not big.has_checksum)
            assert not segment  # our frames have checksums: none of their rows is wrong


@pytest.mark.parametrize("columns", ["", " (a)"])
def test_the_newlines_behind_the_data_are_no_rows(columns: str) -> None:
    """Tables of one column and of none, whose rows may be empty lines: none is invented."""
    text = b"x\n\ny\n" * 200 if columns else b"\n" * 1000
    table = archives.Table("t", text, copy_stmt=f"COPY public.t{columns} FROM stdin;\n")
    made = archives.build(archives.Spec((table,), version=16, compression="none"))
    end = len(made) - 5  # of the newlines behind the data
    for left in range(1, 8):
        start = end - left - 600
        saved, rows = salvage(made[:start] + bytes(600) + made[start + 600 :])
        assert not saved.tables[0].is_whole
        assert text[: len(rows["t"])] == rows["t"], left
        assert len(text) - len(rows["t"]) in range(590, 606), left


def large_objects() -> Iterator[tuple[int, bytes]]:
    """Five large objects that do not compress."""
    for number in range(5):
        yield 990_000 + number, random.Random(number).randbytes(20_000)


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_large_objects_are_saved_whole_or_not_at_all(compression: str) -> None:
    """One is torn: it is named by its oid, and the others are there."""
    objects = tuple(large_objects())
    oids = "\n".join(str(oid) for oid, _ in objects)
    parts = (
        archives.Schema("990000..990004", "BLOB METADATA", oids),
        archives.LargeObjects(objects),
    )
    data = archives.build(archives.Spec(parts, version=16, compression=compression))
    place = len(data) // 2
    new = io.BytesIO()
    torn = data[:place] + bytes(600) + data[place + 600 :]
    saved = salvage_archive(io.BytesIO(torn), new, {}, Silent())
    whole = read_archive(new).large_objects
    if compression == "none":  # zeros may be its own: it is kept, and in doubt
        assert (5, (990_002,)) == (whole.count, saved.large_objects.doubtful)
    else:
        assert (4, (990_002,)) == (whole.count, saved.large_objects.lost)
    assert whole == saved.large_objects.objects
    cut = salvage_archive(io.BytesIO(data[:place]), io.BytesIO(), {}, Silent())
    assert (2, (990_002, 990_003, 990_004)) == (
        cut.large_objects.objects.count,
        cut.large_objects.lost,
    )


def test_memory_stays_bounded_whatever_the_size(tmp_path: Path) -> None:
    """A table of 200 MB, damaged, by a program of its own."""
    rows = b"".join(b"%d\t%s\n" % (number, b"word " * 20) for number in range(20_000))
    table = archives.Table("t", rows * 90, copy_stmt="COPY public.t (a, b) FROM stdin;\n")
    data = archives.build(archives.Spec((table,), version=16, compression="gzip"))
    path = tmp_path / "big.dump"
    path.write_bytes(zeroed(data, len(data) * 3 // 4 // BLOCK * BLOCK)[0])
    argv = [sys.executable, "-m", "tests.support.read_hostile", path, "salvage"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
    peak = re.search(r'"megabytes": ([\d.]+)', done.stdout)
    assert peak is not None
    assert '"code": 8' in done.stdout
    assert float(peak[1]) < _MOST_MEGABYTES


def test_a_whole_archive_is_copied_byte_for_byte() -> None:
    """Nothing is missing, and nothing is written anew."""
    made: Made = make("zstd", 30_000)
    new = io.BytesIO()
    saved = salvage_archive(io.BytesIO(made.data), new, {}, Silent())
    assert all(table.is_whole for table in saved.tables)
    assert made.data == new.getvalue()
