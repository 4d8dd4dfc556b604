"""``pgvow prove``: restore a backup on a server of its own, and compare."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pgvow.cli import options
from pgvow.cli.arguments import Parser, path

if TYPE_CHECKING:
    import argparse


def add_prove(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    prove = commands.add_parser(
        "prove",
        help="restore a backup on a throw-away server, and compare",
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


def prove(arguments: argparse.Namespace) -> int:
    """Prove a backup."""
    from pgvow import settings  # noqa: PLC0415 - --help loads no libraries
    from pgvow.cli.configured import directories_of, environment_of  # noqa: PLC0415
    from pgvow.cli.patience import patient  # noqa: PLC0415
    from pgvow.cli.printing import print_result  # noqa: PLC0415
    from pgvow.cli.progress import TerminalProgress  # noqa: PLC0415
    from pgvow.cli.render.prove import proof_object, proof_text  # noqa: PLC0415
    from pgvow.errors import PgvowError, VerificationFailed  # noqa: PLC0415
    from pgvow.operations.prove import (  # noqa: PLC0415
        ProveOptions,
        newest_backup,
        prove_backup,
    )

    pg_bin = settings.load_pg_bin(environ=os.environ, directory=Path())
    chosen = environment_of(arguments)
    path: Path = arguments.file
    if arguments.latest:
        selection_of = arguments.configuration.selection_of
        path = newest_backup(directories_of(arguments), chosen, selection_of)
    arguments.watch.begins(path)
    with (
        TerminalProgress(quiet=arguments.quiet) as progress,
        patient(arguments, progress, PgvowError) as timed,
    ):
        result = prove_backup(
            path,
            ProveOptions(on=arguments.on, jobs=arguments.jobs),
            pg_bin=pg_bin,
            environ=os.environ,
            progress=timed,
        )
    arguments.watch.about(result.path, result.metadata, result.level)
    if not result.proven:
        arguments.watch.differs(
            VerificationFailed.title, [str(one) for one in result.evidence.differences]
        )
    print_result(
        arguments,
        lambda: proof_object(result),
        lambda: proof_text(result),
        good=result.proven,
    )
    return 0 if result.proven else VerificationFailed.exit_code
