"""``pgvow schedule``: have cron, systemd or ourselves run jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.cli import options
from pgvow.cli.arguments import Parser, path

if TYPE_CHECKING:
    import argparse


_TEXT = """\
install: write a line into the crontab, or a timer of systemd's, for one job. show: what is
installed, and the next five times. remove: take away what install wrote. run: run the jobs of
pgvow.toml in the foreground, for containers. verify: verify the backup whose last check is oldest.
"""
_EVERY = ("hour", "day", "week", "month")


def add_schedule(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    schedule = commands.add_parser("schedule", description=_TEXT)
    schedule.add_argument("what", choices=("install", "show", "remove", "run", "verify"))
    schedule.add_argument("--at", metavar="CRON", help='five fields, as cron has it: "0 2 * * *"')
    schedule.add_argument("--every", choices=_EVERY, help="instead of --at, with --time")
    schedule.add_argument("--time", metavar="HH:MM", default="02:00", help="default: 02:00")
    schedule.add_argument(
        "--on", metavar="DAY", help="with --every week: monday …; with --every month: 1 to 28"
    )
    schedule.add_argument(
        "--job",
        choices=("backup", "prune", "verify", "prove"),
        help="what to run (default: backup; with remove: any)",
    )
    schedule.add_argument("--with", dest="with_", choices=("cron", "systemd"), default="cron")
    schedule.add_argument("--system", action="store_true", help="systemd: for the whole machine")
    schedule.add_argument("--timezone", metavar="ZONE", help="Europe/Berlin …; systemd only")
    schedule.add_argument("--all", dest="remove_all", action="store_true", help="remove: all")
    schedule.add_argument(
        "--log", metavar="FILE", type=path, help="default: pgvow.log beside the backups"
    )
    options.add(schedule, "env", "output_dir", "report")
