"""The script that finishes a rescue: no text of an archive's is a command of psql's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pgvow.archive import OffsetState, Section, TocEntry
from pgvow.operations.core.stages import LoosenedEntry
from pgvow.operations.restore.rescue import finishing_script
from pgvow.recovery import LoosenedObject

_ENTRY = TocEntry(
    dump_id=7, has_data=True, table_oid=0, oid=0, tag="t", desc="TABLE DATA", section=Section.DATA,
    defn="", drop="", copy_stmt="COPY public.t (a) FROM stdin;\n", namespace="public",
    tablespace="", table_am="", relkind="", owner="", dependencies=(),
    data_state=OffsetState.NO_DATA, data_offset=None,
)  # fmt: skip
_HOSTILE = (
    "\\! touch here",
    "' \\! touch here",
    "\n\\! touch here",
    "$$ \\! touch here",
    "\" \\copy x from program 'touch here'",
)


@pytest.mark.parametrize("text", _HOSTILE)
def test_a_backslash_stands_in_our_own_lines_alone(text: str) -> None:
    """Wherever the text stands, even behind a quote that another statement has left open."""
    shown = LoosenedObject(text, f"one line\n{text}", text, 2, text)
    open_quote = LoosenedEntry(_ENTRY, shown, ("COMMENT ON TABLE t IS 'never closed",))
    hostile = LoosenedEntry(
        replace(_ENTRY, tag=text, copy_stmt=f'COPY public."{text}" (a) FROM stdin;\n'),
        shown,
        (text,),
        rejected=Path("t.copy"),
    ) if '"' not in text else open_quote  # fmt: skip
    script = finishing_script(
        [open_quote, hostile],
        Path("/here"),
        backup=text,
        database=text,
        search_path=text,
        encoding="UTF8",
    )
    lines = [line for line in script.split("\n") if "\\" in line]
    assert ["\\set ON_ERROR_STOP on"] == lines


def test_rows_are_loaded_by_a_line_of_ours() -> None:
    """A plain name has the command that loads its rows; the statements stand as they are."""
    shown = LoosenedObject("CHECK public.t c", "broken", "laid on new rows alone", 1, "SELECT 1;")
    entry = LoosenedEntry(
        _ENTRY, shown, ("ALTER TABLE t VALIDATE CONSTRAINT c;",), rejected=Path("t.copy")
    )
    script = finishing_script(
        [entry],
        Path("/here"),
        backup="x.dump",
        database="shop",
        search_path="public",
        encoding="LATIN1",
    )
    assert "\nALTER TABLE t VALIDATE CONSTRAINT c;\n" in script
    assert (
        """\n\\copy "public"."t" ("a") FROM '/here/t.copy' WITH (ENCODING 'LATIN1')\n""" in script
    )
    assert "--    1 row: SELECT 1;" in script
