"""Commands in documents: the blocks that are meant to be run, and the output shown below each.

A block of `sh` is run, unless a comment ``<!-- not run: REASON -->`` stands before it. A block of
`console` directly below it is its output: moments, sizes, durations and digests may differ, and
``…`` stands for any text in a line, or alone for any lines.
"""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from tests.support.commands import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_BLOCK = re.compile(
    r"(?P<comment><!-- not run: [^\n]+ -->\n\s*)?```(?P<kind>\w*)\n(?P<text>.*?)```"
    r"(?:\n\s*```console\n(?P<output>.*?)```)?",
    re.DOTALL,
)
_VARYING = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d[:-]\d\d([:-]\d\d)?Z?"), "MOMENT"),
    (re.compile(r"\b[\d.,]+ [kMG]?B\b"), "SIZE"),
    (re.compile(r"\b[\d.]+ (ms|s|min|h)\b"), "DURATION"),
    (re.compile(r"[-+]?\b[\d.]+ %"), "PERCENT"),
    (re.compile(r"\b[0-9a-f]{12,}\b"), "DIGEST"),
    (re.compile(r"[ \t]+"), " "),
    (re.compile(r"[-+]{4,}"), "----"),
)


class Block(NamedTuple):
    """A block that is run, and the output that is shown below it, if any."""

    script: str
    output: str | None


def blocks(document: str, kind: str) -> list[Block]:
    """Return the code blocks of one kind that are meant to be run, in order, not indented."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return [*parsed(text, kind)]


def parsed(text: str, kind: str) -> Iterator[Block]:
    """Yield the blocks of a document's text."""
    for match in _BLOCK.finditer(text):
        if match["kind"] == kind and not match["comment"]:
            yield Block(_outdented(match["text"]), match["output"])


def _outdented(text: str) -> str:
    lines = text.splitlines()
    indent = len(lines[0]) - len(lines[0].lstrip())
    return "\n".join(line[indent:] for line in lines)


def run(script: str, directory: Path, shell: Mapping[str, str]) -> str:
    """Run one block by bash, and return its output; a doctor without backups may warn (11)."""
    script = re.sub(r"^(pgvow doctor.*)$", r"\1 || [ $? = 11 ]", script, flags=re.MULTILINE)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=directory,
        env=shell,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}"
    return done.stdout


def agrees(shown: str, printed: str) -> bool:
    """Whether a document shows the output of a command, but for values that vary."""
    pattern = "".join(
        r"(?:.*\n)*?" if line.strip() == "…" else re.escape(line).replace("…", ".*") + "\n"
        for line in _steady(shown)
    )
    return re.fullmatch(pattern, "".join(line + "\n" for line in _steady(printed))) is not None


def _steady(text: str) -> list[str]:
    for varying, name in _VARYING:
        text = varying.sub(name, text)
    return [line.strip() for line in text.strip().splitlines()]
