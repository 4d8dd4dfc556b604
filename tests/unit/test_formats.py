"""Sizes, durations and counts as people read them: one format of each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from rich.text import Text

from pgvow import formats
from pgvow.cli.commands.backup import tables_line
from pgvow.cli.commands.diff import _how
from pgvow.cli.commands.show import _tables
from pgvow.cli.console import output
from pgvow.cli.words import large_objects, sparkline
from pgvow.operations.diff import Changed
from pgvow.operations.show.contents import LargeObjectTotals, ShownTable
from pgvow.settings.values import parse_since


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (10_900_000, "10.9 MB"),
        (74_000_000_000, "74.0 GB"),
        (2 * 10**15, "2.0 PB"),
    ],
)
def test_a_size(count: int, text: str) -> None:
    """A size is in powers of 1000, and rounds into the next unit, never to 1000.0."""
    assert text == formats.size(count)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.84, "0.8 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min"),
        (200, "3 min 20 s"),
        (26 * 3600, "26 h"),
        (47 * 3600 + 120, "47 h 2 min"),
        (12 * 86_400 + 3 * 3600 + 59, "12 d 3 h"),
    ],
)
def test_a_duration(seconds: float, text: str) -> None:
    """A duration has two units at most, and none that is 0."""
    assert text == formats.duration(seconds)


def test_an_age() -> None:
    """An age has whole seconds, and is never negative: a clock may be behind."""
    assert ["8 s", "0 s", "1 min 5 s"] == [formats.elapsed(age) for age in (8.9, -5, 65)]


def test_counts_and_digests() -> None:
    """One is singular, thousands have commas; a checksum in the middle of a text is shortened."""
    counts = [formats.counted(1, "table"), formats.counted(0, "table")]
    assert ["1 table", "0 tables", "2 entries"] == [*counts, formats.counted(2, "entry", "entries")]
    assert ["2,000 rows", "999", "1,000,000"] == [
        formats.counted(2000, "row"),
        *map(formats.number, (999, 1_000_000)),
    ]
    assert f"is {'a' * 12}..., found" == formats.without_digests(f"is {'a' * 64}, found")


def test_reports_have_one_format_of_counts() -> None:
    """Each has commas, but the line of tables that others may read in a backup's report."""
    (heading, table) = _tables([ShownTable("public", "messages", 3420)])
    assert isinstance(heading, Text)
    assert "Tables with rows of their own in it: 1, 3,420 rows\n" == heading.plain
    with output().capture() as capture:
        output().print(table)
    assert ["messages", "3,420"] == capture.get().splitlines()[-1].split()[:2]
    assert "2,000, 5 bytes" == large_objects(LargeObjectTotals(2000, 5, None))
    before, after = (ShownTable("public", "messages", rows) for rows in (3420, 12))
    assert ["3,420 → 12 rows"] == list(_how(Changed(before, after)))[:1]
    assert "1 (3420 messages)" == tables_line({"messages": 3420})


def test_a_time_is_in_utc() -> None:
    """Every timestamp is written in UTC, whatever its zone."""
    when = datetime(2026, 11, 28, 3, 0, tzinfo=timezone(timedelta(hours=2)))
    assert "2026-11-28T01:00:00Z" == formats.moment(when)


def test_a_sparkline() -> None:
    """The least is the lowest bar and the greatest the highest; ASCII if the stream has no more."""
    assert "▁█▅" == sparkline([1, 8, 5], "utf-8")
    assert "_@+" == sparkline([1, 8, 5], "ascii")
    assert "▁▁" == sparkline([7, 7], "utf-8")
    assert "" == sparkline([], "utf-8")


def test_since() -> None:
    """``--since`` takes an age, a date or a time; without a zone it is in UTC."""
    assert timedelta(days=7) == parse_since("7d")
    assert datetime(2026, 11, 27, tzinfo=UTC) == parse_since("2026-11-27")
    assert datetime(2026, 11, 27, 14, 44, tzinfo=UTC) == parse_since("2026-11-27T16:44+02:00")
    for text in ("", "yesterday?", "0d", "2026-13-01"):
        with pytest.raises(ValueError, match="neither a length of time"):
            parse_since(text)
