"""``pgvow demo``: back up, list, verify and damage a database on a throw-away server."""

from __future__ import annotations

import shlex
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from pgvow.cli import options
from pgvow.cli.arguments import Topic
from pgvow.cli.call import call_of
from pgvow.cli.commands.backup import backup_text
from pgvow.cli.commands.list import listing_text
from pgvow.cli.commands.verify import verification_text
from pgvow.cli.console import FAINT, output, styled
from pgvow.errors import PgvowError, VerificationFailed
from pgvow.operations import demo
from pgvow.operations.list import ListOptions, list_backups
from pgvow.operations.throwaway_programs import find_server_programs

if TYPE_CHECKING:
    import argparse

    from rich.console import RenderableType

    from pgvow.cli.arguments import Parser
    from pgvow.cli.call import Call
    from pgvow.cli.report import Report

_NAME = "pgvow"
_NEXT = """\
Now your own database. In the folder of your project, write a file .env.local:

  DEV_DB_HOST=127.0.0.1
  DEV_DB_NAME=your_database
  DEV_DB_USER=your_user
  DEV_DB_PASSWORD='your password'

then type:

  {pgvow} doctor    # is everything there that a backup needs?
  {pgvow} backup    # make one
  {pgvow} list      # see what there is"""


def add_demo(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "demo",
        description="Back up, list, verify and damage a believable database on a server of its own"
        " that is gone afterwards.",
    )
    parser.topic(Topic.WHAT).add_argument(
        "--messages",
        metavar="N",
        type=options.count,
        default=100_000,
        help="how many chat messages to make up (default: 100000)",
    )
    options.add(parser, "output_dir")


def run(arguments: argparse.Namespace, _report: Report) -> int:
    """Run the demo; returns the exit code."""
    call = call_of(arguments)
    installation = find_server_programs(call.context.environ)
    _head(f"A throw-away PostgreSQL {installation.version} server, {arguments.messages:,} messages")
    with demo.demo_server(installation, call.context) as server:
        with call.terminal.drawing():
            demo.make_up(server, arguments.messages, call.context)
        environ = demo.user_environment(server, installation, call.context)
        user = replace(call, context=replace(call.context, environ=environ))
        sound, damaged = _show_all(user)
    _judge(sound=sound, damaged=damaged)
    _head("The server is gone; the backup stays")
    _show(Text(_NEXT.format(pgvow=own_command())))
    return 0


def _show_all(call: Call) -> tuple[bool, bool]:
    """Back up, list, verify, damage; returns whether backup and damaged copy passed."""
    _head("pgvow backup")
    with call.terminal.drawing():
        result = demo.back_up(call.output_dir, call.context)
    _show(backup_text(result))
    _head("pgvow list")
    directories = [call.output_dir]
    backups = list_backups(directories, ListOptions(), call.context)
    _show(listing_text(backups, directories, call.context))
    _head(f"pgvow verify {result.backup.path}")
    with call.terminal.drawing():
        sound = demo.verify(result.backup.path, call.context)
    _show(verification_text(sound))
    with call.terminal.drawing():
        damaged = demo.damage_a_copy(result, call.context)
    _head(f"The same, of a copy in which one bit of byte {damaged.offset:,} is changed")
    _show(verification_text(damaged.verification))
    return sound.passed, damaged.verification.passed


def _judge(*, sound: bool, damaged: bool) -> None:
    if not sound:
        raise VerificationFailed("the demo's backup did not pass its verification")
    if damaged:
        raise PgvowError("the demo's damaged copy passed its verification: do not trust this")


def _head(text: str) -> None:
    output().print(styled(f"\n── {text}\n", FAINT))


def _show(report: RenderableType) -> None:
    output().print(report)


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
