"""Below the command line only the context asks this machine's clock and environment."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pgvow

if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKAGE = Path(pgvow.__file__).parent
_ALLOWED = {"operations/context.py"}
"""Nothing else: a time to show, to record or to compare is handed down."""
_TOP = ("cli/", "api.py")
"""A context is made here."""
_NOW = {"now", "today", "utcnow"}
_TIME = {"time", "time_ns", "ctime", "gmtime", "localtime", "strftime", "asctime"}
_REAL_TIME = {"CLOCK_REALTIME", "CLOCK_TAI", "CLOCK_REALTIME_COARSE"}
_PROCESS = {"environ", "environb", "getenv", "getcwd", "getcwdb", "putenv", "chdir"}


def _asked(tree: ast.AST) -> Iterator[str]:
    """Yield each way in which a module asks for the time, the environment or the directory."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name("datetime" | "date"), attr=name) if name in _NOW:
                yield f"{node.lineno}: datetime.{name}"
            case ast.Attribute(value=ast.Attribute(attr="datetime" | "date"), attr=name) if (
                name in _NOW
            ):
                yield f"{node.lineno}: datetime.{name}"
            case ast.Attribute(value=ast.Name("time"), attr=name) if name in _TIME | _REAL_TIME:
                yield f"{node.lineno}: time.{name}"
            case ast.Attribute(value=ast.Name("os"), attr=name) if name in _PROCESS:
                yield f"{node.lineno}: os.{name}"
            case ast.Attribute(value=ast.Name("Path"), attr="cwd"):
                yield f"{node.lineno}: Path.cwd"
            case ast.ImportFrom(module="time" | "os", names=names):
                for name in {each.name for each in names} & (_TIME | _REAL_TIME | _PROCESS):
                    yield f"{node.lineno}: from {node.module} import {name}"


def test_only_the_context_asks_the_clock() -> None:
    """No other module below the command line asks for the time, the environment, the directory."""
    found = [
        f"{path.relative_to(_PACKAGE)}:{line}"
        for path in sorted(_PACKAGE.rglob("*.py"))
        if (name := path.relative_to(_PACKAGE).as_posix()) not in _ALLOWED
        and not name.startswith(_TOP)
        for line in _asked(ast.parse(path.read_text()))
    ]
    assert [] == found


def test_the_search_finds_the_clock_of_the_context() -> None:
    """The exception is one: the search finds the clock that it allows."""
    texts = {name: (_PACKAGE / name).read_text() for name in _ALLOWED}
    assert all(list(_asked(ast.parse(text))) for text in texts.values())


@pytest.mark.parametrize(
    "text",
    [
        "datetime.now(UTC)", "datetime.datetime.utcnow()", "date.today()", "default=datetime.now",
        "time.time()", "time.strftime('%Y')", "time.clock_gettime(time.CLOCK_REALTIME)",
        "from time import time", "os.environ['HOME']", "os.getcwd()", "Path.cwd()",
        "from os import environ as variables",
    ],
)  # fmt: skip
def test_every_spelling_of_a_clock_read_is_found(text: str) -> None:
    """Whatever the spelling; a search that finds nothing proves nothing."""
    assert 1 == len(list(_asked(ast.parse(text))))


@pytest.mark.parametrize(
    "text",
    ["time.monotonic()", "time.sleep(1)", "context.clock()", "time.clock_gettime(CLOCK_BOOTTIME)"],
)
def test_monotonic_clocks_are_allowed(text: str) -> None:
    """A clock that only goes forward tells no time that a record could have."""
    assert [] == list(_asked(ast.parse(text)))
