"""Draw docs/demo.svg: what `pgvow demo` really prints, on a server of its own."""

from __future__ import annotations

import argparse
import io
import os
import tempfile
from pathlib import Path
from unittest import mock

from rich.console import Console

from pgvow import DEFAULT_DIRECTORY
from pgvow.cli import demo

TARGET = Path(__file__).resolve().parents[1] / "docs" / "demo.svg"
WIDTH = 118


def main() -> None:
    """Run the demo with a console that remembers, in a folder that is gone afterwards."""
    console = Console(
        record=True,
        width=WIDTH,
        file=io.StringIO(),
        force_terminal=True,
        markup=False,
        highlight=False,
        emoji=False,
    )
    arguments = argparse.Namespace(messages=100_000, output_dir=DEFAULT_DIRECTORY)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        with mock.patch.object(demo, "output", return_value=console):
            demo.run_demo(arguments)
        os.chdir(TARGET.parent)
    TARGET.write_text(console.export_svg(title="make demo"), encoding="utf-8")


if __name__ == "__main__":
    main()
