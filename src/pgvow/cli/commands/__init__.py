"""Each command: options, the operation, its rendering, the exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.cli.commands.backup import backup
from pgvow.cli.commands.config import config
from pgvow.cli.commands.demo import demo
from pgvow.cli.commands.diff import diff
from pgvow.cli.commands.doctor import doctor
from pgvow.cli.commands.extract import extract
from pgvow.cli.commands.list import list_backups
from pgvow.cli.commands.notify import notify
from pgvow.cli.commands.prove import prove
from pgvow.cli.commands.prune import prune
from pgvow.cli.commands.restore import restore
from pgvow.cli.commands.schedule import schedule
from pgvow.cli.commands.show import show
from pgvow.cli.commands.status import history, status
from pgvow.cli.commands.verify import verify

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "backup": backup,
    "verify": verify,
    "list": list_backups,
    "restore": restore,
    "prove": prove,
    "prune": prune,
    "status": status,
    "history": history,
    "notify": notify,
    "config": config,
    "schedule": schedule,
    "show": show,
    "extract": extract,
    "diff": diff,
    "doctor": doctor,
    "demo": demo,
}
