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
    """A command's line in ``--help``, and the first words if it fails."""

    help: str
    failure: str


COMMANDS = {
    "backup": Command("make a backup", "Backup failed"),
    "verify": Command("check one backup", "Verification failed"),
    "list": Command("list the backups there are", "Listing failed"),
    "restore": Command("restore a backup", "Restore failed"),
    "prove": Command("restore a backup on a throw-away server, and compare", "Proof failed"),
    "prune": Command("remove the backups that no rule keeps", "Pruning failed"),
    "status": Command("how the backups stand: age, level, change, space", "Status failed"),
    "history": Command("what was run, when, and how it ended", "History failed"),
    "notify": Command("test the notifications of pgvow.toml", "Notifying failed"),
    "config": Command("show the settings, or check pgvow.toml", "Settings"),
    "schedule": Command("cron, systemd, or in the foreground", "Scheduling failed"),
    "show": Command("show what is in a backup", "Show failed"),
    "extract": Command("write one table's rows to standard output", "Extract failed"),
    "diff": Command("show what changed between two backups", "Diff failed"),
    "doctor": Command("check everything a backup needs", "Doctor failed"),
    "demo": Command("show it all on a throw-away server", "Demo failed"),
}


def module_of(name: str) -> ModuleType:
    """Import the module of a command: ``add_NAME`` adds its options, ``run`` runs it."""
    return import_module(f"{__name__}.{name}")


def add_options(name: str, commands: Commands) -> None:
    """Add a command with its options to the parser."""
    getattr(module_of(name), f"add_{name}")(commands)
