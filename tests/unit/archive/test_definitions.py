"""An archive of definitions alone reads back as it was written."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from pgvow.archive import OffsetState, definitions_archive, read_toc
from tests.support.archives import COMBINATIONS, Spec, Table, build


@pytest.mark.parametrize(("version", "compression"), COMBINATIONS)
def test_definitions_read_back_in_every_version(version: int, compression: str) -> None:
    """Every version: same header, same entries with other owners and texts, and no data."""
    parts = (Table("a", b"1\n"), Table("b é", b"2\n", schema='s"x'))
    file = io.BytesIO(build(Spec(version=version, compression=compression, parts=parts)))
    toc = read_toc(file)
    entries = [
        replace(
            entry,
            owner="another",
            defn=f"--\n{entry.defn}",
            copy_stmt="",
            has_data=False,
            data_state=OffsetState.NO_DATA,
            data_offset=None,
        )
        for entry in toc.entries
    ]
    made = definitions_archive(file, entries, toc.encoding)
    again = read_toc(io.BytesIO(made))
    assert toc.header == again.header
    assert tuple(entries) == again.entries
    assert len(made) == again.end
