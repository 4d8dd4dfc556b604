"""The backup that a command was given a name of; a terminal offers those that there are."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from pgvow.cli.arguments import BACKUP_HELP, UsageProblem
from pgvow.cli.console import errors
from pgvow.cli.words import counted, elapsed, moment, size
from pgvow.operations.choose_backup import NoSuchBackup, SearchedDirectories, choose_backup, offered
from pgvow.quoted_texts import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgvow.cli.call import Call
    from pgvow.model import Backup
    from pgvow.operations.context import Context

_OFFERED = 15
_OFFERED_OF_OTHERS = 5


def places(call: Call) -> SearchedDirectories:
    """Return where a backup that is named is looked for: --env, --output-dir and --database."""
    return SearchedDirectories(call.directories, call.environment, call.arguments.database)


def backup_path(call: Call, typed: str | None) -> Path:
    """Return the path of the dump that was named; without a name a terminal is asked.

    Raises NoSuchBackup, UsageProblem, and the errors of listing. For ``backup_db.py`` a file that
    is not there is a check that fails, and no usage error: its path is returned.
    """
    if typed is not None:
        try:
            return choose_backup(typed, places(call), call.context)
        except NoSuchBackup:
            if "contract" not in call.arguments:
                raise
            return Path(typed)
    return _pick(*_offers(call), call.context)


def _offers(call: Call) -> tuple[list[Backup], list[Backup]]:
    """Return the newest backups to choose from, and for a restore those of other environments.

    There, --env names the server that is restored to: production's backup goes to it by its name.
    """
    searched = places(call)
    own = offered(searched, call.context)
    if call.arguments.command != "restore" or searched.environment is None:
        return own, []
    everywhere = offered(replace(searched, environment=None), call.context)
    return own, [each for each in everywhere if each.environment != searched.environment]


def named_rows(typed: str | None, path: Path) -> list[tuple[str, str]]:
    """Return the row of a report with the word that a backup was chosen by; none for its name."""
    word = _word(typed, path)
    return [] if word is None else [("Named", word)]


def named_object(typed: str | None, path: Path) -> dict[str, str]:
    """Return the key of ``--json`` with that word; none for a path or a whole name."""
    word = _word(typed, path)
    return {} if word is None else {"named": word}


def _word(typed: str | None, path: Path) -> str | None:
    if typed is None or typed in (path.name, path.stem) or Path(typed) == path:
        return None
    return typed


def _pick(backups: Sequence[Backup], others: Sequence[Backup], context: Context) -> Path:
    """Print the newest backups with numbers, and return the path of the one that is picked.

    ``others`` stand below, under a heading of their own.
    Raises UsageProblem without a terminal or an answer, NoSuchBackup if there is none to offer.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageProblem(
            "no backup is named", steps=["The newest one: latest", f"Or {BACKUP_HELP}"]
        )
    if not backups and not others:
        raise NoSuchBackup("there is no whole backup", steps=["See what there is: pgvow list"])
    own = backups[: _OFFERED - min(len(others), _OFFERED_OF_OTHERS)]
    offers = [*own, *others[: _OFFERED - len(own)]]
    _print_offers(offers, len(own), len(backups) + len(others) - len(offers), context)
    while True:
        errors().print("Which one? [1]: ", end="")
        line = sys.stdin.readline()
        answer = line.strip() or "1"
        if not line:
            raise UsageProblem("no backup was picked")
        if answer.isdecimal() and 0 < int(answer) <= len(offers):
            return offers[int(answer) - 1].path


def _print_offers(offers: Sequence[Backup], own: int, left: int, context: Context) -> None:
    """Print backups with numbers, those from the ``own``-th on as of other environments."""
    ages = [_age(backup, context) for backup in offers]
    widest = max(map(len, ages))
    for number, (backup, age) in enumerate(zip(offers, ages, strict=True), 1):
        if number == own + 1:
            errors().print(Text("     of another environment:"))
        errors().print(Text(f"{number:>3}  {_line(backup, age.ljust(widest))}"))
    if left:
        errors().print(Text(f"     and {counted(left, 'older one')}: pgvow list"))


def _age(backup: Backup, context: Context) -> str:
    """Return a backup's timestamp and age: ``2026-11-27T16:44:00Z (3 h 2 min ago)``."""
    made = backup.timestamp
    if made is None:
        return "-"
    return f"{moment(made)} ({elapsed((context.now() - made).total_seconds())} ago)"


def _line(backup: Backup, age: str) -> str:
    subject = printable(f"{backup.environment} {backup.database}")
    level = backup.trusted or "listed"
    return f"{age}  {subject}  {size(backup.size_bytes or 0)}  {level}"
