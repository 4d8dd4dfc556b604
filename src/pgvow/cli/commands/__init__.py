"""The table of commands; a module for each has its options, call and report.

It is imported when the command is chosen.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from types import ModuleType

    from pgvow.cli.parser import Commands


class Command(NamedTuple):
    """A command's line in ``--help``, the first words if it fails, and examples, each a command."""

    help: str
    failure: str
    examples: tuple[str, ...]


COMMANDS = {
    "init": Command(
        "begin: connect to a database, and write the settings",
        "Nothing begun",
        (
            "pgvow init",
            "pgvow init --url postgresql://backup@db.example.com/shop --now",
            "pgvow init --env dev --host 127.0.0.1 --dbname shop --user backup --password-stdin",
        ),
    ),
    "backup": Command(
        "make a backup",
        "Backup failed",
        ("pgvow backup --env prod", "pgvow backup --jobs auto --exclude-table-data sessions"),
    ),
    "verify": Command(
        "check one backup",
        "Verification failed",
        ("pgvow verify latest", "pgvow verify --all --deep"),
    ),
    "list": Command(
        "list the backups there are", "Listing failed", ("pgvow list", "pgvow list --json")
    ),
    "restore": Command(
        "restore a backup",
        "Restore failed",
        (
            "pgvow restore yesterday --to shop_yesterday",
            "pgvow restore --table orders --table lines latest --to shop_orders",
            "pgvow restore yesterday --table orders --into shop --as orders_before",
            "pgvow restore 2026-11-27T16:44 --to shop --swap",
        ),
    ),
    "prove": Command(
        "restore a backup on a throw-away server, and compare",
        "Proof failed",
        ("pgvow prove latest", "pgvow prove latest --on 'host=db2 user=postgres'"),
    ),
    "prune": Command(
        "remove the backups that no rule keeps",
        "Pruning failed",
        (
            "pgvow prune --keep-daily 7 --keep-weekly 4 --dry-run",
            "pgvow prune --env dev --keep-within 30d",
        ),
    ),
    "remove": Command(
        "remove backups by their names",
        "Not removed",
        (
            "pgvow remove shop_dev_2026-11-27T16-44-00Z",
            "pgvow remove latest --dry-run",
        ),
    ),
    "keep": Command(
        "keep a backup, whatever prune's rules say",
        "Not kept",
        (
            'pgvow keep latest --until 2027-01-01 --note "before the migration"',
            "pgvow keep --release yesterday",
        ),
    ),
    "acknowledge": Command(
        "stop the alarms about a fault that you know of",
        "Not acknowledged",
        (
            'pgvow acknowledge shop_dev_2026-11-27T16-44-00Z --note "the disk was replaced"',
            "pgvow acknowledge --withdraw shop_dev_2026-11-27T16-44-00Z",
        ),
    ),
    "adopt": Command(
        "make a backup of a dump that is not ours",
        "Not adopted",
        (
            "pgvow adopt shop.dump --env prod",
            "pgvow adopt /mnt/old/shop.dump --env prod --database shop --move",
        ),
    ),
    "status": Command(
        "how the backups stand: age, level, change, space",
        "Status failed",
        ("pgvow status", "pgvow status --max-age 8d --nagios"),
    ),
    "history": Command(
        "what was run, when, and how it ended",
        "History failed",
        ("pgvow history", "pgvow history --operation prove --last 5"),
    ),
    "notify": Command(
        "test the notifications, or send a digest now",
        "Notifying failed",
        ("pgvow notify test", "pgvow notify --digest --dry-run"),
    ),
    "config": Command(
        "show the settings, or check pgvow.toml",
        "Settings",
        ("pgvow config show", "pgvow config check"),
    ),
    "schedule": Command(
        "cron, systemd, or in the foreground",
        "Scheduling failed",
        (
            'pgvow schedule install --env prod --at "0 2 * * *"',
            "pgvow schedule install --job prove --every week --with systemd",
            "pgvow schedule show",
        ),
    ),
    "show": Command(
        "show what is in a backup",
        "Show failed",
        ("pgvow show latest", "pgvow show latest --code"),
    ),
    "sheet": Command(
        "how to get everything back: commands, needs, times, on one page",
        "No recovery sheet",
        ("pgvow sheet", "pgvow sheet --env prod --format html --output recovery-sheet.html"),
    ),
    "extract": Command(
        "write one table's rows, as CSV or for COPY",
        "Extract failed",
        (
            "pgvow extract latest --table orders > orders.csv",
            "pgvow extract yesterday --table shop.orders --format copy",
            "pgvow extract yesterday --table orders --where-key 17 --format insert",
            "pgvow extract yesterday --table shop.orders --output orders.csv --json",
        ),
    ),
    "salvage": Command(
        "save everything that still decodes of a damaged dump",
        "Salvage failed",
        (
            "pgvow salvage db/backups/shop_dev_2026-11-27T16-44-00Z.dump --output saved.dump",
            "pgvow salvage latest --output saved.dump --json",
        ),
    ),
    "diff": Command(
        "show what changed between two backups",
        "Diff failed",
        (
            "pgvow diff",
            "pgvow diff yesterday latest --json",
        ),
    ),
    "compare": Command(
        "compare the rows of a backup with a database in use",
        "Comparison failed",
        (
            "pgvow compare yesterday --with prod --table orders",
            "pgvow compare yesterday --with prod --table orders --format sql > bring_back.sql",
        ),
    ),
    "doctor": Command(
        "check everything a backup needs",
        "Doctor failed",
        ("pgvow doctor", "pgvow doctor --env prod"),
    ),
    "schema": Command(
        "print the JSON Schema of a command's --json",
        "Schema failed",
        ("pgvow schema list", "pgvow schema error"),
    ),
    "completion": Command(
        "print a shell's completion script",
        "Completion failed",
        ("pgvow completion bash", "pgvow completion zsh > ~/.zfunc/_pgvow"),
    ),
    "demo": Command(
        "show it all on a throw-away server",
        "Demo failed",
        ("pgvow demo", "pgvow demo --messages 1000 --keep"),
    ),
}


HERE = "here"
"""The module for ``pgvow`` without a command, which is none itself."""


def module_of(name: str) -> ModuleType:
    """Import the module of a command: ``add_NAME`` adds its options, ``run`` runs it."""
    return import_module(f"{__name__}.{name}")


def add_options(name: str, commands: Commands) -> None:
    """Add a command with its options to the parser."""
    getattr(module_of(name), f"add_{name}")(commands)
