"""``pgvow demo``: back up, damage, prove and restore a database on a throw-away server."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from pgvow.cli import options
from pgvow.cli.arguments import Topic
from pgvow.cli.call import call_of
from pgvow.cli.commands.backup import backup_text
from pgvow.cli.commands.list import listing_text
from pgvow.cli.commands.prove import proof_text
from pgvow.cli.commands.restore import restored_text
from pgvow.cli.commands.verify import verification_text
from pgvow.cli.console import FAINT, mark, output, styled
from pgvow.errors import PgvowError, VerificationFailed
from pgvow.operations import demo
from pgvow.operations.list import ListOptions, list_backups
from pgvow.operations.throwaway_programs import find_server_programs
from pgvow.quoted_texts import printable
from pgvow.temporary_folder import temporary_folder

if TYPE_CHECKING:
    from rich.console import RenderableType

    from pgvow.cli.arguments import Parser
    from pgvow.cli.call import Call
    from pgvow.cli.report import Report
    from pgvow.postgres.throwaway import ThrowawayServer

_NAME = "pgvow"
_NEXT = """\
Now your own database. In the folder of your project:

  {pgvow} init      # five questions, and the first backup, proven
  {pgvow} backup    # make another
  {pgvow} list      # see what there is"""


def add_demo(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "demo",
        description="Back up, verify, damage, prove and restore a believable database on a server"
        " of its own. Server and backup are gone afterwards.",
    )
    parser.topic(Topic.WHAT).add_argument(
        "--messages",
        metavar="N",
        type=options.count,
        default=100_000,
        help="how many chat messages to make up (default: 100000)",
    )
    parser.topic(Topic.WHERE).add_argument(
        "--keep", action="store_true", help="keep the backup; --output-dir keeps it too"
    )
    options.add(parser, "output_dir", "report")


@dataclass
class _Screen:
    """Standard output, step by step; nothing of it if ``is_silent``, for --json and --quiet."""

    is_silent: bool

    def head(self, text: str) -> None:
        """Print the heading of a step."""
        self.show(styled(f"\n── {text}\n", FAINT))

    def show(self, report: RenderableType) -> None:
        """Print a report."""
        if not self.is_silent:
            output().print(report)


def run(arguments: argparse.Namespace, report: Report) -> int:
    """Run the demo; returns the exit code."""
    call, screen = call_of(arguments), _Screen(report.as_json or report.quiet)
    installation = find_server_programs(call.context.environ)
    messages = f"{arguments.messages:,} messages"
    screen.head(f"A throw-away PostgreSQL {installation.version} server, {messages}")
    is_kept = arguments.keep or "output_dir" in arguments.typed
    with ExitStack() as stack:
        if not is_kept:
            folder = stack.enter_context(temporary_folder("pgvow-demo-"))
            arguments = argparse.Namespace(**{**vars(call.arguments), "output_dir": folder})
            call = replace(call, arguments=arguments)
        server = stack.enter_context(demo.demo_server(installation, call.context))
        with call.terminal.drawing():
            demo.make_up(server, arguments.messages, call.context)
        environ = demo.user_environment(server, installation, call.context)
        user = replace(call, context=replace(call.context, environ=environ))
        backup = _back_up_and_check(user, screen)
        restored = _drop_and_restore(user, server, backup, screen)
    left = "; the backup stays" if is_kept else ", and the backup too (--keep keeps it)"
    screen.head(f"The server is gone{left}")
    # A step that is not as it must be has raised an error.
    done = {
        "ok": True,
        "postgresql_version": str(installation.version),
        "messages": arguments.messages,
        "backup_path": str(backup) if is_kept else None,
        "verified": True,
        "damage_found": True,
        "proven": True,
        "rows_restored": restored,
    }
    report.print(lambda: done, lambda: Text(_NEXT.format(pgvow=own_command())))
    return 0


def _back_up_and_check(call: Call, screen: _Screen) -> Path:
    """Back up, list, verify, damage a copy, prove; returns the backup's path."""
    screen.head("pgvow backup")
    with call.terminal.drawing():
        result = demo.back_up(call.output_dir, call.context)
    screen.show(backup_text(result))
    screen.head("pgvow list")
    directories = [call.output_dir]
    backups = list_backups(directories, ListOptions(), call.context)
    screen.show(listing_text(backups, directories, call.context))
    path = result.backup.path
    screen.head(f"pgvow verify {path}")
    with call.terminal.drawing():
        sound = demo.verify(path, call.context)
    screen.show(verification_text(sound))
    with call.terminal.drawing():
        damaged = demo.damage_a_copy(result, call.context)
    screen.head(f"The same, of a copy in which one bit of byte {damaged.offset:,} is changed")
    screen.show(verification_text(damaged.verification))
    _judge(sound=sound.passed, damaged=damaged.verification.passed)
    screen.head(f"pgvow prove {path}")
    with call.terminal.drawing():
        proof = demo.prove(path, call.context)
    screen.show(proof_text(proof))
    if not proof.proven:
        raise VerificationFailed("the demo's backup was not proven")
    return path


def _drop_and_restore(call: Call, server: ThrowawayServer, backup: Path, screen: _Screen) -> int:
    """Drop a table by mistake, and bring it back from the backup; returns the number of its rows.

    Raises PgvowError if it fails.
    """
    rows = demo.count_rows(server)
    screen.head(f"psql: {demo.MISTAKE}; {demo.COUNT}")
    screen.show(mark(good=False).append(f" {printable(demo.drop_table(server))}"))
    screen.head(f"pgvow restore {backup} --to {demo.DATABASE} --swap")
    with call.terminal.drawing():
        restored = demo.restore(backup, call.context)
    screen.show(restored_text(restored))
    back = demo.count_rows(server)
    screen.head(f"psql: {demo.COUNT}")
    if back != rows:
        raise PgvowError(f"{rows:,} rows were dropped, and {back:,} came back")
    screen.show(mark(good=True).append(f" {back:,} rows: the table is back"))
    return rows


def _judge(*, sound: bool, damaged: bool) -> None:
    if not sound:
        raise VerificationFailed("the demo's backup did not pass its verification")
    if damaged:
        raise PgvowError("the demo's damaged copy passed its verification: do not trust this")


def own_command() -> str:
    """Return the words that start this program again, in this folder or any other.

    The bare name if PATH has it and it is this very program; else the absolute path of the program
    that was started, for the folder of the user's project is another one.
    """
    started = Path(sys.argv[0])
    if started.name == "__main__.py":
        return f"{_again(Path(sys.orig_argv[0]))} -m {_NAME}"
    return _again(started) if started.name == _NAME else _NAME


def _again(started: Path) -> str:
    on_path, meant = shutil.which(started.name), Path(shutil.which(started) or started)
    if on_path and _whole(Path(on_path)) == _whole(meant):
        return started.name
    return shlex.quote(str(_whole(meant)))


def _whole(path: Path) -> Path:
    # The program's own link stays: a virtual environment's python is known by its place.
    return path.parent.resolve() / path.name
