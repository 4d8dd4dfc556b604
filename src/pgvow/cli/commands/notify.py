"""``pgvow notify test``: see whether messages arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.cli import options

if TYPE_CHECKING:
    import argparse

    from pgvow.cli.arguments import Parser


def add_notify(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    notify = commands.add_parser(
        "notify",
        help="test the notifications of pgvow.toml",
        description="Send a test message to every URL under [notifications] in pgvow.toml.",
    )
    notify.add_argument("what", choices=("test",), help="send a message to every URL")
    options.add(notify, "report")


def notify(arguments: argparse.Namespace) -> int:
    """Send a test message to every URL."""
    from rich.console import Group  # noqa: PLC0415 - --help loads no libraries
    from rich.text import Text  # noqa: PLC0415

    from pgvow.cli.console import BAD, GOOD, printable  # noqa: PLC0415
    from pgvow.cli.printing import print_result  # noqa: PLC0415
    from pgvow.errors import ConfigurationError, PgvowError  # noqa: PLC0415
    from pgvow.operations.notify import deliver, masked  # noqa: PLC0415

    section = arguments.configuration.notifications
    if not section.urls:
        raise ConfigurationError(
            "there is nobody to notify",
            steps=['In pgvow.toml:  [notifications]  urls = ["${PGVOW_NOTIFY_URL}"]'],
        )
    title, body = "pgvow: a test", "This is how pgvow will tell you when something is wrong."
    found = [(masked(url), deliver(url, title, body, section.timeout)) for url in section.urls]
    good = all(reason is None for _, reason in found)
    print_result(
        arguments,
        lambda: [{"url": url, "delivered": not reason, "reason": reason} for url, reason in found],
        lambda: Group(
            *(
                Text.assemble(("✗ ", BAD), f"{url} {printable(reason)}")
                if reason
                else Text.assemble(("✓ ", GOOD), f"{url} took it")
                for url, reason in found
            )
        ),
        good=good,
    )
    return 0 if good else PgvowError.exit_code
