"""``pgvow config``: the settings in force with their origins, and whether they are valid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from pgvow.cli import options
from pgvow.cli.call import call_of
from pgvow.cli.console import FAINT
from pgvow.cli.table import Column, FittedTable
from pgvow.operations.config import settings_in_force
from pgvow.operations.notify.post import lack_of_apprise
from pgvow.quoted_texts import printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from pgvow.cli.arguments import Parser
    from pgvow.cli.call import Call
    from pgvow.cli.report import Report


def add_config(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    config = commands.add_parser(
        "config",
        description="show: every setting that is in force and where it comes from, those of .env"
        " files too, secrets masked. check: whether pgvow.toml can be used, exit code 0 or 2.",
    )
    config.add_argument("what", choices=("show", "check"))
    options.add(config, "report")


def run(arguments: argparse.Namespace, report: Report) -> int:
    """Show or check the settings, whose problems were raised when they were read."""
    call = call_of(arguments)
    if arguments.what == "check":
        _check(call, report)
        return 0
    settings = list(settings_in_force(call.origins, call.context))
    report.print(
        lambda: [
            {"setting": name, "value": value, "from": origin} for name, value, origin in settings
        ],
        lambda: _table(settings),
    )
    return 0


def _check(call: Call, report: Report) -> None:
    """Report that the file can be used; raises ConfigurationError if its notifications cannot."""
    configuration = call.context.configuration
    if lack := lack_of_apprise(configuration.notifications):
        raise lack
    path = configuration.path
    text = f"{path} can be used" if path else "there is no pgvow.toml: the defaults hold"
    report.print(
        lambda: {"path": str(path) if path else None, "usable": True},
        lambda: Text(printable(text)),
    )


def _table(settings: Sequence[tuple[str, str, str]]) -> FittedTable:
    columns = (Column("Setting"), Column("Value"), Column("From", drop=1, is_below=True))
    return FittedTable(
        columns,
        [
            [Text(printable(text), FAINT if row[2] == "default" else "") for text in row]
            for row in settings
        ],
    )
