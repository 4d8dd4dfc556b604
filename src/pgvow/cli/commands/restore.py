"""``pgvow restore``: a backup becomes a database again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.cli import options
from pgvow.cli.arguments import Parser, path

if TYPE_CHECKING:
    import argparse


_TEXT = """\
Verify a backup, restore it into a database that does not exist yet, and compare every row of it
with what was backed up. The restore happens under a temporary name: what stands under the name you
give is whole, or not there.

Checks, generated columns and functions in the backup are code of the source's roles, and a restore
runs it. A superuser's restore is done by a role made for it, which is no superuser, may run no
programs, and is dropped at the end; if it cannot log in as you do, a warning says so, and the code
runs with your rights. Extensions, functions in C and the like are restored by you in any case. Look
first: pgvow show FILE --code.
"""


def add_restore(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    restore = commands.add_parser("restore", description=_TEXT)
    restore.add_argument("file", metavar="FILE", type=path, help="the .dump file")
    restore.add_argument(
        "--to", metavar="DATABASE", required=True, help="the database to make; it must not exist"
    )
    options.add(restore, "env", "patience")
    _add_what(restore)
    _add_owners(restore)
    _add_swap(restore)
    options.add(restore, "report", "record")


def _add_what(restore: argparse.ArgumentParser) -> None:
    restore.add_argument(
        "--jobs",
        metavar="N",
        type=options.count,
        help="connections that restore at the same time (default: the cores, at least 2 and at"
        " most 8; 1 restores by one connection)",
    )
    restore.add_argument(
        "--table",
        metavar="NAME",
        nargs="+",
        action="extend",
        default=[],
        help="restore only these tables, with what they need and what hangs on them",
    )
    restore.add_argument(
        "--schema-only", action="store_true", help="restore the definitions and no rows"
    )


def _add_owners(restore: argparse.ArgumentParser) -> None:
    owners = restore.add_mutually_exclusive_group()
    owners.add_argument(
        "--owner-map",
        metavar="FILE",
        type=path,
        help="give what one role owns or was granted to another: a line old=new each",
    )
    owners.add_argument(
        "--no-owner",
        action="store_true",
        help="let everything belong to the role that restores; its functions and checks run with"
        " that role's rights from then on",
    )
    restore.add_argument(
        "--globals",
        action="store_true",
        help="first create the roles and tablespaces kept beside the dump; those that exist stay"
        " as they are",
    )
    restore.add_argument(
        "--no-tablespaces",
        action="store_true",
        help="put everything into the server's default tablespace",
    )


def _add_swap(restore: argparse.ArgumentParser) -> None:
    restore.add_argument(
        "--swap",
        action="store_true",
        help="put it in the place of the database of that name, which is kept as"
        " NAME_before_TIMESTAMP",
    )
    restore.add_argument(
        "--terminate",
        action="store_true",
        help="end the sessions connected to the old database at the moment of the swap",
    )
    restore.add_argument(
        "--yes",
        action="store_true",
        help="do not ask for the database's name before a swap (development never asks)",
    )
