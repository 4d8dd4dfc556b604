"""Print a result the way that was asked for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pgvow.cli.console import output, send_nowhere
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
    """Print a result as JSON or text; of a good one ``--quiet`` leaves nothing but JSON.

    A reader that has left, or a full disk, is kept in ``arguments.watch``: what was done is done.
    """
    if arguments.json:
        _write(arguments, print, dumps(as_object()))
    elif not (arguments.quiet and good):
        _write(arguments, output().print, as_text())


def _write(
    arguments: argparse.Namespace, write: Callable[[RenderableType], None], what: RenderableType
) -> None:
    try:
        write(what)
        sys.stdout.flush()
    except OSError as error:
        lost = error
    except SystemExit:  # what rich makes of a reader that has left
        lost = BrokenPipeError()
    else:
        return
    send_nowhere(sys.stdout)
    arguments.watch.unwritten = lost
