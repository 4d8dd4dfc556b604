"""``pgvow notify test``: see whether messages arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from pgvow.cli import options
from pgvow.cli.call import call_of
from pgvow.cli.console import BAD, GOOD
from pgvow.errors import PgvowError
from pgvow.operations.notify import send_test
from pgvow.outside import printable

if TYPE_CHECKING:
    import argparse

    from pgvow.cli.arguments import Parser
    from pgvow.cli.report import Report
    from pgvow.operations.notify import Delivery


def add_notify(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    notify = commands.add_parser(
        "notify",
        description="Send a test message to every URL under [notifications] in pgvow.toml.",
    )
    notify.add_argument("what", choices=("test",), help="send a message to every URL")
    options.add(notify, "report")


def run(arguments: argparse.Namespace, report: Report) -> int:
    """Send a test message to every URL; returns the exit code."""
    call = call_of(arguments)
    deliveries = send_test(call.context)
    good = all(delivery.reason is None for delivery in deliveries)
    report.print(
        lambda: [
            {"url": each.url, "delivered": not each.reason, "reason": each.reason}
            for each in deliveries
        ],
        lambda: Group(*map(_line, deliveries)),
        good=good,
    )
    return 0 if good else PgvowError.exit_code


def _line(delivery: Delivery) -> Text:
    if delivery.reason:
        return Text.assemble(("✗ ", BAD), f"{delivery.url} {printable(delivery.reason)}")
    return Text.assemble(("✓ ", GOOD), f"{delivery.url} took it")
