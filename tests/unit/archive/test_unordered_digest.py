"""A digest of rows that does not heed their order, and heeds everything else."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pgvow.archive import UnorderedDigest

_ROW = st.binary(max_size=8).map(lambda row: row.replace(b"\n", b"-").replace(b"\t", b"-"))
_ROWS = st.lists(_ROW, max_size=20)


def _digest(rows: list[bytes], *cuts: int) -> tuple[int, int, str]:
    text = b"".join(row + b"\n" for row in rows)
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    digest = UnorderedDigest()
    for start, end in pairwise(places):
        digest.update(text[start:end])
    facts = digest.facts()
    return facts.rows, facts.size, facts.fingerprint


@given(_ROWS, st.randoms(), st.lists(st.integers(0, 500), max_size=5))
def test_reordered_rows_have_the_same_digest(
    rows: list[bytes], chance: object, cuts: list[int]
) -> None:
    """Rows in another order, cut anywhere, are the same rows."""
    moved = list(rows)
    chance.shuffle(moved)  # type: ignore[attr-defined]
    assert _digest(rows) == _digest(moved, *cuts)


@given(_ROWS, _ROWS)
def test_different_rows_have_different_digests(one: list[bytes], other: list[bytes]) -> None:
    """The digests are equal where, and only where, the rows are; however often each is there."""
    assert (sorted(one) == sorted(other)) == (_digest(one) == _digest(other))


def test_reordered_columns_have_the_same_digest_once_mapped() -> None:
    """Rows whose columns stand in another order are the same rows once put right."""
    wanted, found = UnorderedDigest(), UnorderedDigest([2, 0, 1])
    wanted.update(b"a\tb\tc\n\\N\t\t\\t\n")
    found.update(b"b\tc\ta\n\t\\t\t\\N\n")
    assert wanted.facts() == found.facts()


def test_an_unterminated_row_is_not_counted() -> None:
    """Text after the last newline is no row."""
    digest = UnorderedDigest()
    digest.update(b"a\nb")
    assert 1 == digest.facts().rows
