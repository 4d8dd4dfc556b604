"""The pages of the reference are generated from the code; the example among them is valid."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from pgvow.cli.commands import COMMANDS
from pgvow.cli.parser import build_contract_parser
from pgvow.settings import Job, load_configuration
from tests.support.commands import ROOT
from tools import commands_reference, configuration_reference, python_reference

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType


@pytest.mark.parametrize("page", [commands_reference, configuration_reference, python_reference])
def test_generated_pages_are_up_to_date(page: ModuleType) -> None:
    """Nobody has to remember ``make reference``: this fails until it was typed."""
    assert page.reference() == page.PAGE.read_text(encoding="utf-8")


def test_every_command_and_option_stands_in_commands_md() -> None:
    """Also those that one command alone has, and the short form's."""
    text = commands_reference.reference()
    for parser in (*commands_reference.parsers().values(), build_contract_parser()):
        for action in parser._actions:
            for spelling in set(action.option_strings) - {"-h", "--help"}:
                assert re.search(rf"^\|.*`{re.escape(spelling)}[ `]", text, re.MULTILINE), spelling
    assert set(COMMANDS) == set(re.findall(r"^## pgvow (\w+)$", text, re.MULTILINE))


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
