"""Differences between major versions are in one module."""

from __future__ import annotations

import re

import pytest

from pgvow.postgres.majors import TESTED_MAJORS, untested
from tests.support.commands import ROOT
from tests.support.servers import WHEELS

_SRC = ROOT / "src/pgvow"
_COMPARED = re.compile(r"(?:major|version)\w*\s*(?:[<>]=?|==)\s*\(?1\d\b|_SINCE\s*=\s*1\d\b")


def test_each_tested_major_has_a_wheel() -> None:
    """The table of majors and the servers of the tests are the same."""
    assert list(TESTED_MAJORS) == sorted(WHEELS)


def test_no_other_module_compares_majors() -> None:
    """A number of a major in a comparison anywhere else would be overlooked when one is added."""
    found = [
        f"{path.relative_to(_SRC)}: {match[0]}"
        for path in _SRC.rglob("*.py")
        if path.name != "majors.py" and (match := _COMPARED.search(path.read_text()))
    ]
    assert [] == found


@pytest.mark.parametrize(("major", "word"), [(19, "newer"), (14, "older"), (9, "older")])
def test_an_untested_server_earns_a_warning(major: int, word: str) -> None:
    """Newer or older, with the range that is tested; no refusal."""
    assert f"PostgreSQL {major}.1 is {word}" in (untested(major, f"{major}.1") or "")


def test_a_tested_server_earns_none() -> None:
    """15 to 18."""
    assert [None] * len(TESTED_MAJORS) == [untested(one, f"{one}.1") for one in TESTED_MAJORS]
