"""How the code of a backup looks."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich.text import Text

from pgvow.cli.console import FAINT, printable, styled
from pgvow.cli.render.as_json import plain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pgvow.operations.show import Code


def code_text(code: Sequence[Code]) -> Text:
    """Render the objects by owner, and mark those that only a superuser can restore."""
    if not code:
        return Text("There is no code in it: no function, trigger, rule, check or extension.")
    text = Text()
    for owner, objects in groupby(code, key=lambda one: one.owner):
        text.append(f"{printable(owner) or 'no owner of its own'}\n", "bold")
        for one in objects:
            text.append(f"  {one.kind:<17} {printable(one.name)}")
            if one.needs_superuser:
                text.append(styled("  restored by a superuser", FAINT))
            text.append("\n")
    text.rstrip()
    return text


def code_object(path: Path, code: Sequence[Code]) -> dict[str, Any]:
    """Return what ``--json`` prints."""
    return {"path": str(path), "code": [plain(one) for one in code]}
