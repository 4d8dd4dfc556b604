"""``pgvow prove``: restore a backup on a server of its own, and compare."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.cli import options
from pgvow.cli.arguments import Parser, path

if TYPE_CHECKING:
    import argparse


def add_prove(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    prove = commands.add_parser(
        "prove",
        description="Restore a backup into a throw-away server and compare every table's rows and"
        " fingerprint, the sequences, the large objects and the schema with what was there. The"
        " outcome is kept beside the backup, with the time that the restore took. Exit code 0:"
        " proven; 8: something differs; 13: cannot be proven here, for want of an extension or a"
        " collation. Checks, generated columns and functions in the backup are code of the source's"
        " roles, and a restore runs it: here as a role that is no superuser, may run no programs"
        " and has no network. With --on too, if you are a superuser and such a role can log in as"
        " you do; else it runs with your rights, and a warning says so. Look first: pgvow show FILE"
        " --code.",
    )
    which = prove.add_mutually_exclusive_group(required=True)
    which.add_argument("file", metavar="FILE", type=path, nargs="?", help="the .dump file")
    which.add_argument(
        "--latest", action="store_true", help="the newest backup that is no mere part"
    )
    prove.add_argument(
        "--on",
        metavar="DSN",
        help="a server to prove it on, in databases made for it and dropped again, instead of a"
        " throw-away one; keep the password in ~/.pgpass, others see a command line",
    )
    prove.add_argument(
        "--jobs",
        metavar="N",
        type=options.count,
        help="how many workers restore, 2 at least (default: one for each processor, 8 at most)",
    )
    options.add(prove, "env", "output_dir", "patience", "report", "record")
