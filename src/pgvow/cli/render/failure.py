"""How an error looks: what failed, why, what it concerns, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from pgvow.cli.console import BAD, printable, styled

if TYPE_CHECKING:
    from pgvow.errors import PgvowError


def failure_text(verb: str, error: PgvowError) -> Text:
    """Render an error; ``verb`` says what failed: ``Backup failed``."""
    text = Text.assemble(styled("✗", BAD), f" {verb}: {error.title}\n\n")
    cause = "\n       ".join(
        printable(line.strip()) for line in error.cause.splitlines() if line.strip()
    )
    text.append(f"Error: {cause}\n")
    if error.facts:
        width = max(len(name) for name in error.facts) + 1
        text.append("\n")
        for name, value in error.facts.items():
            text.append(f"{name + ':':<{width}} {printable(value)}\n")
    if error.steps:
        text.append("\nTroubleshooting:\n")
        for number, step in enumerate(error.steps, 1):
            text.append(f"  {number}. {printable(step)}\n")
    text.rstrip()
    return text


def failure_object(error: PgvowError) -> dict[str, Any]:
    """Return what ``--json`` prints of an error."""
    return {
        "ok": False,
        "error": {
            "title": error.title,
            "cause": error.cause,
            "exit_code": error.status,
            "facts": dict(error.facts),
            "steps": list(error.steps),
        },
    }
