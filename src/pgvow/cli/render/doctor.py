"""How an examination looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from pgvow.cli.console import BAD, FAINT, GOOD, WARNING, printable, styled
from pgvow.operations.findings import Level

if TYPE_CHECKING:
    from pgvow.operations.doctor import Examination

_SIGNS = {Level.GOOD: ("✓", GOOD), Level.ATTENTION: ("!", WARNING), Level.BAD: ("✗", BAD)}
_VERDICTS = {0: "Everything a backup needs is there", 11: "Something needs attention"}
_WRONG = "Something is wrong: a backup would fail"


def examination_text(result: Examination) -> Text:
    """Render a line a finding, its hint below, and the verdict last."""
    width = max((len(finding.name) for finding in result.findings), default=0)
    text = Text()
    for finding in result.findings:
        sign, style = _SIGNS[finding.level]
        text.append(styled(sign, style)).append(f" {finding.name:<{width}}  ")
        text.append(_indented(finding.text, width) + "\n")
        if finding.hint:
            hint = _indented(finding.hint, width)
            text.append(" " * (width + 4)).append(styled(f"→ {hint}", FAINT)).append("\n")
    return text.append("\n" + _VERDICTS.get(result.exit_code, _WRONG))


def _indented(text: str, width: int) -> str:
    return ("\n" + " " * (width + 4)).join(printable(line) for line in text.splitlines())


def examination_object(result: Examination) -> dict[str, Any]:
    """Return what ``--json`` prints."""
    return {
        "ok": result.exit_code == 0,
        "exit_code": result.exit_code,
        "checks": [
            {
                "name": finding.name,
                "level": finding.level.name.lower(),
                "text": finding.text,
                "hint": finding.hint,
            }
            for finding in result.findings
        ],
    }
