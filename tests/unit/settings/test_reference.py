"""docs/configuration.md is generated from the code, and its example is valid."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from pgvow.settings import Job, load_configuration
from tests.support.commands import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_configuration_md_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to remember ``make reference``: this fails until it was typed."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import configuration_reference  # noqa: PLC0415

    assert configuration_reference.PAGE.read_text(encoding="utf-8") == (
        configuration_reference.reference()
    )
    del sys.modules["configuration_reference"]


def test_the_example_of_configuration_md_is_valid(tmp_path: Path) -> None:
    """All of it, as it stands there."""
    text = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "pgvow.toml").write_text(example)
    (tmp_path / ".env").write_text(
        "PGVOW_NOTIFY_URL=json://localhost\nPGVOW_PING_URL=https://localhost/x\n"
    )
    found = load_configuration(path=None, environ={}, directory=tmp_path).configuration
    assert [Job.BACKUP] == [job.job for job in found.schedule.jobs]
    assert 2 == found.retention_of("staging").rules.last
    assert 7 == found.retention_of("staging").rules.daily
