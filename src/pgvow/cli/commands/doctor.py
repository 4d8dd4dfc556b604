"""``pgvow doctor``: check everything a backup needs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pgvow.cli import options
from pgvow.cli.printing import print_result

if TYPE_CHECKING:
    import argparse

    from pgvow.cli.arguments import Parser


def add_doctor(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    doctor = commands.add_parser(
        "doctor",
        help="check everything a backup needs",
        description="Check settings, tools, connection, rights, space and the backups there are.",
    )
    for add in (options.add_env, options.add_output_dir, options.add_report):
        add(doctor)


def doctor(arguments: argparse.Namespace) -> int:
    """Check everything a backup needs."""
    from pgvow.cli.render.doctor import ExaminationText, examination_object  # noqa: PLC0415
    from pgvow.operations.health.doctor import examine  # noqa: PLC0415

    result = examine(
        env=arguments.env,
        output_dir=arguments.output_dir,
        environ=os.environ,
        directory=Path(),
        configuration=arguments.configuration,
        unreadable=arguments.unreadable,
    )
    print_result(
        arguments,
        lambda: examination_object(result),
        lambda: ExaminationText(result),
        good=result.exit_code == 0,
    )
    return result.exit_code
