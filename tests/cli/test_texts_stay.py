"""Every report on a fixed set of backups stays as it was read: narrow, wide, plain, in a pipe.

``tests/golden/texts/NAME.txt`` is one report in a terminal of 60, 80 and 160 columns, in a pipe,
and in a pipe under ``LANG=C``, on a fixed day. A report that is meant to change is written anew by
``make texts``, and read in the diff.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

import pytest

from pgvow.cli.commands import COMMANDS
from tests.cli.test_json_compatibility import COMMANDS as CALLS
from tests.cli.test_json_compatibility import GOLDEN, place_backups
from tests.support.commands import ROOT, Commands, clean_environment
from tests.support.servers import programs
from tests.support.terminal import on_terminal

_TEXTS = GOLDEN / "texts"
_COLUMNS = (60, 80, 160)
_OTHERS: dict[str, tuple[str, ...]] = {
    "list_wide": ("list", "--wide"),
    "list_proven": ("list", "--level", "proven"),
    "history_failed": ("history", "--failed"),
    "status_wide": ("status", "--wide"),
    "status_shop": ("status", "--env", "dev", "--database", "shop"),
    "help": ("--help",),
    **{f"help_{name}": (name, "--help") for name in COMMANDS},
}
_CHANGES = frozenset({"prune", "verify_all", "backup_without_settings", "sheet"})
"""They change the backups, or take the time of the run into their report."""
REPORTS = {name: words for name, words in CALLS.items() if name not in _CHANGES} | _OTHERS
_WIDE = frozenset({"list_wide", "status_wide"})
"""Asked to be wider than the terminal."""
_SECTION = re.compile(r"^=== (.*)\n", re.MULTILINE)
_FIGURE = re.compile(r"\d[\d.,:TZ%-]*\d|\d")
_COMMAND = re.compile(
    r"\s+(?:pgvow|pg_restore|createdb|psql|python3) |.*(?:→|:) (?:pgvow|python3) "
)
_RUN = [sys.executable, "-m", "tests.support.fixed_day"]


def _environment() -> dict[str, str]:
    return {
        **clean_environment(),
        "PYTHONPATH": str(ROOT),
        "PGVOW_PG_BIN": str(programs(18)),
        "NO_COLOR": "1",
    }


def _plain(text: str, folder: Path) -> str:
    for path in (folder.resolve(), folder):
        text = text.replace(str(path), "/FOLDER")
    return text.replace(str(programs(18)), "/BIN")


def _printed(folder: Path, name: str) -> str:
    """Run one command everywhere, and return what it wrote, a section for each."""
    place_backups(folder)
    sections = []
    for columns in _COLUMNS:
        screen = on_terminal(
            [*_RUN, *REPORTS[name]], cwd=folder, env=_environment(), columns=columns
        )
        sections.append((f"{columns} columns, exit code {screen.code}", screen.text))
    shell = Commands(folder, {**_environment(), "NO_COLOR": ""})
    for title, more in (("pipe", {}), ("pipe, LANG=C", {"LANG": "C", "PYTHONUTF8": "0"})):
        done = shell.run_module("tests.support.fixed_day", *REPORTS[name], **more)
        sections.append((title, done.out + done.err))
    return "".join(f"=== {title}\n{_plain(text, folder)}" for title, text in sections)


def _sections(name: str) -> dict[str, str]:
    parts = _SECTION.split((_TEXTS / f"{name}.txt").read_text("utf-8"))[1:]
    return {title.split(",")[0]: text for title, text in zip(parts[::2], parts[1::2], strict=True)}


@pytest.mark.parametrize("name", REPORTS)
def test_text_stays(name: str, tmp_path: Path) -> None:
    """Every report is the one that was read and agreed to, in each width and in a pipe."""
    assert (_TEXTS / f"{name}.txt").read_text("utf-8") == _printed(tmp_path, name)


@pytest.mark.parametrize("name", sorted(REPORTS.keys() - _WIDE))
def test_lines_fit_the_terminal(name: str) -> None:
    """No line is longer than the terminal, unless it is one name or a command to be copied."""
    for columns in _COLUMNS:
        lines = _sections(name)[f"{columns} columns"].splitlines()
        long = [line for line in lines if len(line) > columns and not _COMMAND.match(line)]
        assert [] == [line for line in long if len(line.split()) > _UNFOLDED]


_UNFOLDED = 2
"""Words of a line that cannot be folded: a mark or label, and a name."""


@pytest.mark.parametrize("name", REPORTS)
def test_no_figure_is_cut(name: str) -> None:
    """Every number of the narrowest terminal stands in the widest one too."""
    sections = _sections(name)
    narrow, wide = (set(_FIGURE.findall(sections[f"{at} columns"])) for at in (60, 160))
    assert set() == narrow - wide


@pytest.mark.parametrize("name", REPORTS)
def test_a_pipe_is_plain(name: str) -> None:
    """No escape sequence reaches a pipe, and no whole checksum but that of ``show``."""
    text = (_TEXTS / f"{name}.txt").read_text("utf-8")
    assert "\x1b" not in text
    assert not re.search(r"[0-9a-f]{64}", text) or name.startswith("show")


def _write() -> None:
    _TEXTS.mkdir(exist_ok=True)
    for name in REPORTS:
        with tempfile.TemporaryDirectory() as folder:
            (_TEXTS / f"{name}.txt").write_text(_printed(Path(folder), name), "utf-8")
    for path in _TEXTS.iterdir():
        if path.stem not in REPORTS:
            path.unlink()


if __name__ == "__main__":
    _write()
