"""The functions that a command calls have one shape: subject, options, context."""

from __future__ import annotations

import ast
import inspect
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pgvow.cli

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Function = Callable[..., object]

_OPERATIONS = "pgvow.operations"
_AROUND = "pgvow.operations.recorded"
"""Around a run, not an operation: the context and the run come first."""
_OF_THE_CONTEXT = {"configuration", "environ", "directory", "clock", "now", "reporter", "progress"}
_LOOSE = {
    "find_server_programs": {"environ"},  # programs are looked for before there is a subject
    "list_runs": {"directory"},  # its subject, as that of the next
    "current_status": {"directory"},
    "recent_digest": {"directory"},
    "configured": {"configuration"},  # its subject
}
"""Parameters that only have a name of the context's, by function."""


def _of_module(tree: ast.Module) -> Iterator[Function]:
    """Yield the functions of operations that a module of the command line imports."""
    modules: dict[str, object] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(_OPERATIONS):
            imported = import_module(node.module or "")
            for name in node.names:
                found = getattr(imported, name.name, None)
                if inspect.isfunction(found):
                    yield found
                elif inspect.ismodule(found):
                    modules[name.asname or name.name] = found
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(name), attr=attribute) if name in modules:
                found = getattr(modules[name], attribute)
                if inspect.isfunction(found):
                    yield found


def _called() -> list[Function]:
    paths = sorted(Path(pgvow.cli.__file__).parent.rglob("*.py"))
    found = {each for path in paths for each in _of_module(ast.parse(path.read_text()))}
    return sorted(found, key=lambda each: (each.__module__, each.__name__))


_CALLED = _called()


@pytest.mark.parametrize("function", _CALLED, ids=lambda each: f"{each.__module__}.{each.__name__}")
def test_the_context_is_the_last_and_only_source_of_its_parts(function: Function) -> None:
    """Nothing that a context has is handed over beside it; it comes after subject and options."""
    parameters = inspect.signature(function).parameters
    assert parameters.keys() & _OF_THE_CONTEXT <= _LOOSE.get(function.__name__, set())
    positional = [each.name for each in parameters.values() if each.kind is not each.KEYWORD_ONLY]
    if "context" in parameters:
        place = 0 if function.__module__.startswith(_AROUND) else len(positional) - 1
        assert place == positional.index("context")


def test_the_search_finds_operations_of_every_import_kind() -> None:
    """The search reaches every kind of import: a name, a module, a wrapper of runs."""
    names = {each.__name__ for each in _CALLED}
    known = {"restore_file", "prove_file", "show_backup", "back_up", "recorded", "install"}
    assert known <= names
    assert _LOOSE.keys() <= names
