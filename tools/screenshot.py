"""Draw docs/demo.svg: the output of `pgvow demo`, on a server of its own."""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path
from unittest import mock

from rich.console import Console

from pgvow.cli.commands import demo
from pgvow.cli.parser import parse_pgvow
from pgvow.cli.report import Report

TARGET = Path(__file__).resolve().parents[1] / "docs" / "demo.svg"
WIDTH = 118


def main() -> None:
    """Run the demo with a recording console, in a temporary directory."""
    console = Console(
        record=True,
        width=WIDTH,
        file=io.StringIO(),
        force_terminal=True,
        markup=False,
        highlight=False,
        emoji=False,
    )
    arguments = parse_pgvow(["demo"])
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        with mock.patch.object(demo, "output", return_value=console):
            demo.run(arguments, Report(as_json=False, quiet=False))
        os.chdir(TARGET.parent)
    TARGET.write_text(console.export_svg(title="make demo"), encoding="utf-8")


if __name__ == "__main__":
    main()
