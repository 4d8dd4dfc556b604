"""The demo as a person sees it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rich.text import Text

from pgvow.cli.console import FAINT, output, styled
from pgvow.cli.own_command import own_command
from pgvow.cli.progress import TerminalProgress
from pgvow.cli.render.backup import backup_text
from pgvow.cli.render.listing import listing_text
from pgvow.cli.render.verify import verification_text
from pgvow.errors import PgvowError, VerificationFailed
from pgvow.operations import demo
from pgvow.operations.server_programs import find_server_programs
from pgvow.store import DirectoryStore, backups_in

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping
    from pathlib import Path

    from rich.console import RenderableType

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


def run_demo(arguments: argparse.Namespace) -> int:
    """Run the demo; returns the exit code."""
    installation = find_server_programs(os.environ)
    _say(f"A throw-away PostgreSQL {installation.version} server, {arguments.messages:,} messages")
    with demo.demo_server(installation, os.environ) as server:
        with _progress() as progress:
            demo.make_up(server, messages=arguments.messages, progress=progress)
        environ = demo.user_environment(server, installation, os.environ)
        sound, damaged = _show_all(environ, arguments.output_dir)
    _judge(sound=sound, damaged=damaged)
    _say("The server is gone; the backup stays")
    _show(Text(_NEXT.format(pgvow=own_command())))
    return 0


def _progress() -> TerminalProgress:
    """A new bar for each piece of work: a bar that is still drawn would garble what is shown."""
    return TerminalProgress(quiet=False)


def _show_all(environ: Mapping[str, str], output_dir: Path) -> tuple[bool, bool]:
    """Back up, list, verify, damage; returns whether backup and damaged copy passed."""
    _say("pgvow backup")
    with _progress() as progress:
        result = demo.back_up(environ, output_dir, progress)
    _show(backup_text(result))
    _say("pgvow list")
    _show(listing_text(backups_in(DirectoryStore(output_dir)), [output_dir]))
    _say(f"pgvow verify {result.backup.path}")
    with _progress() as progress:
        sound = demo.verify(environ, result.backup.path, progress)
    _show(verification_text(sound))
    with _progress() as progress:
        damaged = demo.damage_a_copy(environ, result, progress)
    _say(f"The same, of a copy in which one bit of byte {damaged.offset:,} is changed")
    _show(verification_text(damaged.verification))
    return sound.passed, damaged.verification.passed


def _judge(*, sound: bool, damaged: bool) -> None:
    if not sound:
        raise VerificationFailed("the demo's backup did not pass its verification")
    if damaged:
        raise PgvowError("the demo's damaged copy passed its verification: do not trust this")


def _say(text: str) -> None:
    output().print(styled(f"\n── {text}\n", FAINT))


def _show(what: RenderableType) -> None:
    output().print(what)
