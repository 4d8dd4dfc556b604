"""The demo as a person sees it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pgvow.cli.console import FAINT, output, styled
from pgvow.cli.progress import TerminalProgress
from pgvow.cli.render.backup import backup_text
from pgvow.cli.render.listing import listing_text
from pgvow.cli.render.verify import verification_text
from pgvow.errors import PgvowError, VerificationFailed
from pgvow.operations import demo
from pgvow.store import LocalStore

if TYPE_CHECKING:
    import argparse

    from rich.console import RenderableType

_NEXT = """\
Now your own database. In the folder of your project, write a file .env.local:

  DEV_DB_HOST=127.0.0.1
  DEV_DB_NAME=your_database
  DEV_DB_USER=your_user
  DEV_DB_PASSWORD='your password'

then type:

  pgvow doctor          is everything there that a backup needs?
  pgvow backup          make one
  pgvow list            see what there is"""


def run_demo(arguments: argparse.Namespace) -> int:
    """Run the demo; returns the exit code."""
    with TerminalProgress(quiet=False) as progress:
        installation = demo.find_server_programs(os.environ)
        _say(
            f"A throw-away PostgreSQL {installation.version} server, {arguments.messages:,} messages"
        )
        with demo.demo_server(installation, messages=arguments.messages) as environ:
            _say("pgvow backup")
            result = demo.back_up(environ, arguments.output_dir, progress)
            _show(backup_text(result))
            _say("pgvow list")
            _show(listing_text(LocalStore(arguments.output_dir).list(), arguments.output_dir))
            _say(f"pgvow verify {result.backup.path}")
            sound = demo.verify(environ, result.backup.path, progress)
            _show(verification_text(sound))
            damaged = demo.damage_a_copy(environ, result, progress)
            _say(f"The same, of a copy in which one bit of byte {damaged.offset:,} is changed")
            _show(verification_text(damaged.verification))
        _say("The server is gone; the backup stays")
        _show(_NEXT)
    _judge(sound=sound.passed, damaged=damaged.verification.passed)
    return 0


def _judge(*, sound: bool, damaged: bool) -> None:
    if not sound:
        raise VerificationFailed("the demo's backup did not pass its verification")
    if damaged:
        raise PgvowError("the demo's damaged copy passed its verification: do not trust this")


def _say(text: str) -> None:
    output().print(styled(f"\n── {text}\n", FAINT))


def _show(what: RenderableType) -> None:
    output().print(what)
