"""``pgvow doctor``: check everything a backup needs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.text import Text

from pgvow.cli import options
from pgvow.cli.call import call_of
from pgvow.cli.console import BAD, FAINT, GOOD, WARNING, styled
from pgvow.operations.health.doctor import DoctorOptions, diagnose
from pgvow.operations.health.findings import Severity
from pgvow.quoted_texts import printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from rich.console import Console, ConsoleOptions

    from pgvow.cli.arguments import Parser
    from pgvow.cli.report import Report
    from pgvow.operations.health.doctor import Diagnosis
    from pgvow.operations.health.findings import Finding

_SIGNS = {Severity.GOOD: ("✓", GOOD), Severity.ATTENTION: ("!", WARNING), Severity.BAD: ("✗", BAD)}
_VERDICTS = {0: "Everything a backup needs is there", 11: "Something needs attention"}
_WORD = re.compile(r"\S+")
_LONGEST_VALUE = 40
_LEAST_WIDTH = 20
_WRONG = "Something is wrong: a backup would fail"


def add_doctor(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    doctor = commands.add_parser(
        "doctor",
        description="Check settings, tools, connection, rights, space and the backups there are.",
    )
    options.add(doctor, "env", "output_dir", "report")


def run(arguments: argparse.Namespace, report: Report) -> int:
    """Check everything; returns the exit code."""
    call = call_of(arguments, tolerant=True)  # it is run because something is wrong
    options = DoctorOptions(call.arguments.env, call.output_dir, call.unreadable)
    result = diagnose(options, call.context)
    good = result.exit_code == 0
    report.print(lambda: _object(result), lambda: _DiagnosisText(result), good=good)
    return result.exit_code


@dataclass(frozen=True, slots=True)
class _Columns:
    """How wide the names are, and the values of settings before the column of their origins."""

    name: int
    value: int

    @property
    def indent(self) -> int:
        """The column in which a finding's text begins: after its sign and its name."""
        return self.name + 4


class _DiagnosisText:
    """A line a finding, its hint below, and the verdict last; wrapped if the console is narrow."""

    def __init__(self, result: Diagnosis) -> None:
        self._result = result
        values = [len(finding.text) for finding in result.findings if finding.origin]
        self._columns = _Columns(
            name=max((len(finding.name) for finding in result.findings), default=0),
            value=max((length for length in values if length <= _LONGEST_VALUE), default=0),
        )

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Yield the lines that fit the console."""
        width = max(options.max_width - self._columns.indent, _LEAST_WIDTH)
        for finding in self._result.findings:
            yield self._finding(finding, width)
        yield Text("\n" + _VERDICTS.get(self._result.exit_code, _WRONG))

    def _finding(self, finding: Finding, width: int) -> Text:
        sign, style = _SIGNS[finding.level]
        head = Text.assemble(styled(sign, style), f" {finding.name:<{self._columns.name}}  ")
        body = _lines(finding.text)
        if finding.origin:
            body.append(" " * (self._columns.value - len(body)))
            body.append(styled(f"  {printable(finding.origin)}", FAINT))
        if finding.hint:
            body.append("\n").append(styled(f"→ {_lines(finding.hint)}", FAINT))
        lines = [part for line in body.split() for part in line.divide(_breaks(line.plain, width))]
        for line in lines:
            line.rstrip()
        return head.append(Text("\n" + " " * self._columns.indent).join(lines))


def _breaks(line: str, width: int) -> list[int]:
    """Find the breaks of a line: between words only, for a path or a command is to be copied."""
    breaks, start = [], 0
    for word in _WORD.finditer(line):
        if word.start() > start and word.end() - start > width:
            start = word.start()
            breaks.append(start)
    return breaks


def _lines(text: str) -> Text:
    return Text("\n".join(printable(line.strip()) for line in text.splitlines()))


def _object(result: Diagnosis) -> dict[str, Any]:
    """Return the object of ``--json``."""
    return {
        "ok": result.exit_code == 0,
        "exit_code": result.exit_code,
        "checks": [
            {
                "name": finding.name,
                "level": finding.level.name.lower(),
                "text": finding.text,
                "hint": finding.hint,
                "origin": finding.origin,
            }
            for finding in result.findings
        ],
    }
