"""Make docs/demo.svg and docs/first-minute.cast: two commands as they ran, on servers of their own.

The picture has the moments of ``pgvow demo`` that text cannot show: a flipped bit that is noticed,
and a table that comes back. The recording is ``pgvow init --now`` for a database that exists.
"""

from __future__ import annotations

import io
import os
import re
import socket
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from pgvow.operations.context import Context
from pgvow.operations.demo import DATABASE, make_up
from pgvow.operations.throwaway_programs import find_server_programs
from pgvow.postgres.throwaway import ThrowawayServer
from pgvow.settings import Configuration
from tests.support.recording import Recording, record

_DOCS = Path(__file__).resolve().parents[1] / "docs"
_PGVOW = Path(sys.executable).with_name("pgvow")
_MESSAGES = 100_000
_WIDTH = 100
_PLACE = re.compile(r"(/tmp/)?pgvow-demo-\w+/")
_MOMENTS = ("The same, of a copy", "psql: DROP", "pgvow restore", "psql: SELECT")
_LEFT_OUT = ("Troubleshooting", "  1.", "  2.", "  3.", "  4.", "When the old", "Objects:")


def main() -> None:
    """Run both commands, and write what they showed."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        shown = record(
            [_PGVOW, "demo"],
            title="pgvow demo",
            cwd=home,
            env=_environment(home),
            columns=400,
            has_progress=False,
        )
        _check(shown, "the table is back")
        (_DOCS / "demo.svg").write_text(_picture(shown.text), encoding="utf-8")
        first = _first_minute(home)
        _check(first, "Backup proven")
        first.write(_DOCS / "first-minute.cast")


def _environment(home: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}


def _check(recording: Recording, words: str) -> None:
    if recording.code or words not in recording.text:
        sys.exit(f"{recording.title} ended with {recording.code}:\n{recording.text}")


def _picture(text: str) -> str:
    """Draw the moments that are chosen, without the lines that say what to do next."""
    console = Console(record=True, width=_WIDTH, file=io.StringIO(), force_terminal=True)
    acts = Text.from_ansi(_PLACE.sub("", text.replace("\r\n", "\n"))).split("\n── ")
    for act in acts:
        if act.plain.startswith(_MOMENTS):
            console.print(_shortened(act), soft_wrap=False, no_wrap=True, overflow="ellipsis")
    return console.export_svg(title="pgvow demo, its two moments")


def _shortened(act: Text) -> Text:
    lines = [line for line in act.split("\n") if not line.plain.startswith(_LEFT_OUT)]
    kept = [
        line
        for number, line in enumerate(lines)
        if line.plain.strip() or (number and lines[number - 1].plain.strip())
    ]
    return Text("\n").join([Text("── ", "dim").append_text(kept[0]), *kept[1:]])


def _first_minute(home: Path) -> Recording:
    """Record the first backup and its proof, on a server with a database that is in use."""
    context = Context(Configuration(), os.environ)
    programs = find_server_programs(context.environ)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    settings = {"listen_addresses": "127.0.0.1", "port": port}
    with ThrowawayServer(programs.bin, settings=settings) as server:
        server.create_database(DATABASE)
        make_up(server, _MESSAGES, context)
        words = [
            *("init", "--now", "--env", "dev", "--password-stdin"),
            *("--url", f"postgresql://{server.user}@127.0.0.1:{port}/{DATABASE}"),
        ]
        folder = home / "project"
        folder.mkdir()
        return record(
            [_PGVOW, *words],
            title=" ".join(["pgvow", *words, "< password"]),
            cwd=folder,
            env=_environment(home),
            given=f"{server.password}\n",
            columns=_WIDTH,
        )


if __name__ == "__main__":
    main()
