"""``pgvow notify``: see whether messages arrive, and send the digest now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from pgvow.cli import options
from pgvow.cli.arguments import Topic
from pgvow.cli.call import call_of
from pgvow.cli.console import BAD, GOOD
from pgvow.errors import ConfigurationError, PgvowError
from pgvow.operations.notify import send_test, send_to_all
from pgvow.operations.notify.digest import recent_digest
from pgvow.quoted_texts import printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from pgvow.cli.arguments import Parser
    from pgvow.cli.report import Report
    from pgvow.operations.notify import Delivery
    from pgvow.operations.notify.message import Message


def add_notify(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    notify = commands.add_parser(
        "notify",
        description="test: send a test message to every URL under [notifications] in pgvow.toml."
        " --digest: send what ran, was proven, removed, grows and is wrong now, of the period set"
        " (a week if none is), besides the ones that come by themselves.",
    )
    notify.add_argument("what", nargs="?", choices=("test",), help="send a message to every URL")
    notify.topic(Topic.WHAT).add_argument(
        "--digest", action="store_true", help="send the digest of now"
    )
    notify.topic(Topic.OUTPUT).add_argument(
        "--dry-run", action="store_true", help="print the digest as text, and send nothing"
    )
    options.add(notify, "output_dir", "report")


def run(arguments: argparse.Namespace, report: Report) -> int:
    """Send a test message, or the digest, to every URL; returns the exit code."""
    is_digest = arguments.digest or arguments.dry_run
    if is_digest == (arguments.what == "test"):
        raise ConfigurationError(
            "say which message: test or --digest",
            steps=["pgvow notify test", "pgvow notify --digest", "pgvow notify --digest --dry-run"],
        )
    call = call_of(arguments)
    if not is_digest:
        return _print(send_test(call.context), report)
    digest = recent_digest(call.output_dir, call.context)
    if arguments.dry_run:
        _show(digest, report)
        return 0
    return _print(send_to_all(digest, call.context), report)


def _show(digest: Message, report: Report) -> None:
    lines = [digest.title, "", *digest.body.split("\n")]
    report.print(
        lambda: {
            "type": digest.type,
            "title": digest.title,
            "text": digest.body,
            "html": digest.html,
        },
        lambda: Text("\n".join(map(printable, lines))),
        good=False,
    )


def _print(deliveries: Sequence[Delivery], report: Report) -> int:
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
