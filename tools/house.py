"""Measure the house: imports, names, sizes and prose of ``src``. ``make lint`` holds the bounds.

Run ``python tools/house.py`` for the figures, with ``--list NAME`` for the places of one. A bound
may only be lowered: a change that passes one wants a better idea, not a larger number.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import sys
import tokenize
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SOURCE = Path(__file__).resolve().parents[1] / "src"
_PER = 1000
_WORD = re.compile(r"[A-Za-z][A-Za-z'-]*")
_NOUN_WHAT = re.compile(r"\bwhat\b(?!\?)", re.IGNORECASE)
# "the folder where it lies" is a place, and so is "says where"; a condition begins a clause.
_WHERE = re.compile(r"\bwhere\b", re.IGNORECASE)
_DIRECTIVE = re.compile(r"#\s*(?:noqa|type:|fmt:)")
_VAGUE = frozenset({"found", "one", "told", "said", "there", "more", "what"})
_COMMANDS = "pgvow.cli.commands."
_DEFINITIONS = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Module:
    """One file: its dotted name, its text, and its syntax tree."""

    name: str
    path: Path
    text: str
    tree: ast.Module

    @property
    def is_below_cli(self) -> bool:
        """Whether the command line may import it, and not the other way round."""
        return not self.name.startswith(("pgvow.cli", "pgvow.__main__"))


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure, its bound, and the places that it is made of."""

    name: str
    value: float
    bound: float
    places: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether the figure is within its bound."""
        return self.value <= self.bound


def modules(source: Path) -> tuple[Module, ...]:
    """Read and parse every Python file below a folder, by name."""
    return tuple(_module(source, path) for path in sorted(source.rglob("*.py")))


def _module(source: Path, path: Path) -> Module:
    parts = path.relative_to(source).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    text = path.read_text("utf-8")
    return Module(name, path, text, ast.parse(text))


def imports(module: Module, known: frozenset[str]) -> frozenset[str]:
    """Return the project's modules that one imports at run time, at its top or in a function."""
    names: set[str] = set()
    pending: list[ast.AST] = [module.tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            names.update(inner & known or {node.module})
        pending.extend(ast.iter_child_nodes(node))
    return frozenset(names & known - {module.name})


def circles(edges: dict[str, frozenset[str]]) -> Iterator[tuple[str, ...]]:
    """Yield the groups of modules that import each other, by Tarjan's algorithm."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []

    def visit(name: str) -> Iterator[tuple[str, ...]]:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in edges[name]:
            if other not in index:
                yield from visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                yield tuple(sorted(group))

    for name in edges:
        if name not in index:
            yield from visit(name)


def prose(module: Module) -> str:
    """Join a module's docstrings and comments, without directives for tools."""
    parts = [
        ast.get_docstring(node) or ""
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Module | ast.ClassDef | _DEFINITIONS)
    ]
    tokens = tokenize.generate_tokens(io.StringIO(module.text).readline)
    comments = (token.string for token in tokens if token.type == tokenize.COMMENT)
    parts += [text.lstrip("# ") for text in comments if not _DIRECTIVE.match(text)]
    return "\n".join(parts)


def _per_thousand(
    every: Sequence[Module], pattern: re.Pattern[str], name: str, bound: float
) -> Figure:
    places, words = [], 0
    for module in every:
        text = prose(module)
        words += len(_WORD.findall(text))
        for line in text.splitlines():
            places += [f"{module.name}: {line.strip()}"] * len(pattern.findall(line))
    return Figure(name, round(_PER * len(places) / words, 1), bound, tuple(places))


def _vague_names(every: Sequence[Module], bound: float) -> Figure:
    names: Counter[str] = Counter()
    places = []
    for module in every:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names[node.id] += 1
                if node.id in _VAGUE:
                    places.append(f"{module.path.relative_to(SOURCE)}:{node.lineno} {node.id}")
    share = 100 * len(places) / names.total()
    return Figure("vague names, % of variables", round(share, 1), bound, tuple(places))


def _classes_twice(every: Sequence[Module], bound: float) -> Figure:
    where: dict[str, list[str]] = defaultdict(list)
    for module in every:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                where[node.name].append(module.name)
    twice = tuple(f"{name}: {', '.join(at)}" for name, at in sorted(where.items()) if len(at) > 1)
    return Figure("class names with two meanings", len(twice), bound, twice)


def _matches(every: Sequence[Module], pattern: str, name: str, bound: float) -> Figure:
    places = tuple(
        f"{module.path.relative_to(SOURCE)}:{number}"
        for module in every
        for number, line in enumerate(module.text.splitlines(), 1)
        if re.search(pattern, line)
    )
    return Figure(name, len(places), bound, places)


def _long(every: Sequence[Module], most_lines: int, most_in_function: int) -> Iterator[Figure]:
    files = tuple(
        f"{module.name}: {count}"
        for module in every
        if (count := module.text.count("\n")) > most_lines
    )
    yield Figure(f"files over {most_lines} lines", len(files), 0, files)
    functions = tuple(
        f"{module.name}.{node.name}: {length}"
        for module in every
        for node in ast.walk(module.tree)
        if isinstance(node, _DEFINITIONS)
        and (length := (node.end_lineno or 0) - node.lineno + 1) > most_in_function
    )
    yield Figure(f"functions over {most_in_function} lines", len(functions), 0, functions)


def figures(every: Sequence[Module]) -> Iterator[Figure]:
    """Measure everything that has a bound."""
    known = frozenset(module.name for module in every)
    edges = {module.name: imports(module, known) for module in every}
    groups = tuple(" <-> ".join(group) for group in circles(edges))
    yield Figure("import circles", len(groups), 0, groups)
    importers = Counter(other for names in edges.values() for other in names)
    # An operation has one command by design; all others might go home to their only reader.
    of_commands = {other for name in edges if name.startswith(_COMMANDS) for other in edges[name]}
    single = tuple(sorted(name for name, count in importers.items() if count == 1))
    loose = tuple(name for name in single if name not in of_commands)
    share = round(100 * len(loose) / len(every), 1)
    yield Figure("modules with one importer, but a command's operation, %", share, 13.5, loose)
    below = [module for module in every if module.is_below_cli]
    yield _matches(below, r"\bNamespace\b", "mentions of Namespace below cli/", 0)
    yield _matches(every, r"noqa: PLC0415", "imports inside functions", 6)
    yield _classes_twice(every, 0)
    yield _vague_names(every, 0.5)
    yield _per_thousand(every, _NOUN_WHAT, '"what" as a noun, per 1,000 words', 1.5)
    yield _per_thousand(every, _WHERE, '"where", per 1,000 words', 0.7)
    yield from _long(every, 400, 60)


def main() -> int:
    """Print the figures; returns 1 if one is past its bound."""
    parser = argparse.ArgumentParser(description="Measure the structure and prose of src.")
    parser.add_argument("--list", metavar="NAME", help="list the places of figures with this text")
    chosen = parser.parse_args()
    measured = tuple(figures(modules(SOURCE)))
    write: Callable[[str], int] = sys.stdout.write
    for figure in measured:
        mark = " " if figure.holds else "✗"
        write(f"{mark} {figure.value:>7g}  (at most {figure.bound:g})  {figure.name}\n")
        if chosen.list and chosen.list in figure.name:
            write("".join(f"      {place}\n" for place in figure.places))
    return 0 if all(figure.holds for figure in measured) else 1


if __name__ == "__main__":
    raise SystemExit(main())
