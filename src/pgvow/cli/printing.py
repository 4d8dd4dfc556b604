"""Print a result the way that was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.cli.console import output
from pgvow.cli.render.as_json import dumps

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from rich.console import RenderableType


def print_result(
    arguments: argparse.Namespace,
    as_object: Callable[[], object],
    as_text: Callable[[], RenderableType],
    *,
    good: bool = True,
) -> None:
    """Print a result as JSON or text; of a good one ``--quiet`` leaves nothing but JSON."""
    if arguments.json:
        print(dumps(as_object()))
    elif not (arguments.quiet and good):
        output().print(as_text())
