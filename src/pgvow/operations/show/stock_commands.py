"""The commands that restore an archive with PostgreSQL's own tools: pure, and exact."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.archive import database_locale
from pgvow.postgres.database_settings import changes_reading, settings_for_restore
from pgvow.postgres.majors import OLDEST_PG_RESTORE, OLDEST_PG_RESTORE_OF_ALL
from pgvow.postgres.restore_order import refreshes
from pgvow.postgres.statements import for_database, written

if TYPE_CHECKING:
    from pathlib import Path

    from pgvow.archive import TableOfContents
    from pgvow.postgres.statements import Statement

NEW_DATABASE = "restored"
_CAREFULLY = ("--exit-on-error", "--jobs", "4")
_CREATEDB = {
    "LOCALE_PROVIDER": "--locale-provider",
    "LOCALE": "--locale",
    "LC_COLLATE": "--lc-collate",
    "LC_CTYPE": "--lc-ctype",
    "ICU_LOCALE": "--icu-locale",
    "ICU_RULES": "--icu-rules",
    "BUILTIN_LOCALE": "--builtin-locale",
}
_PROVIDER = "LOCALE_PROVIDER"


@dataclass(frozen=True, slots=True)
class StockRestore:
    """How to restore: the oldest major of pg_restore that reads the archive, and what to type."""

    pg_restore: int
    commands: tuple[str, ...]


def stock_restore(path: Path, toc: TableOfContents, globals_file: Path | None) -> StockRestore:
    """Return the commands, into a new database called ``restored``, quoted for a POSIX shell.

    With two jobs or more pg_restore keeps the order of rows; with one it does not.
    """
    commands = [
        ["createdb", "--template", "template0", *_options(toc), NEW_DATABASE],
        *_settings(toc, of_reading=False),
        ["pg_restore", *_CAREFULLY, *_row_security(toc), "--dbname", NEW_DATABASE, _argument(path)],
        *_settings(toc, of_reading=True),
        ["psql", "--dbname", NEW_DATABASE, "--command", "ANALYZE"],
    ]
    if globals_file is not None:
        commands.insert(0, ["psql", "--dbname", "postgres", "--file", _argument(globals_file)])
    return StockRestore(
        pg_restore=OLDEST_PG_RESTORE.get(toc.header.version, OLDEST_PG_RESTORE_OF_ALL),
        commands=tuple(map(shlex.join, commands)),
    )


def _settings(toc: TableOfContents, *, of_reading: bool) -> list[list[str]]:
    """Return commands for the database's settings, which pg_restore restores under its old name.

    Those that change how rows are read come when the rows are there.
    """
    return [
        ["psql", "--dbname", NEW_DATABASE, "--command", _text(one)]
        for one in settings_for_restore(toc.entries)
        if changes_reading(one) is of_reading
    ]


def _text(statement: Statement) -> str:
    return written(for_database(statement, NEW_DATABASE)).decode("utf-8", "replace")


def _row_security(toc: TableOfContents) -> list[str]:
    """What pg_restore needs so as to fill views whose owners are subject to row security."""
    return ["--enable-row-security"] if refreshes(toc.entries) else []


def _options(toc: TableOfContents) -> list[str]:
    locale = database_locale(toc)
    if locale.get(_PROVIDER) == "libc":  # the default, and unknown to createdb before 15
        del locale[_PROVIDER]
    chosen = {"--encoding": toc.encoding}
    chosen |= {_CREATEDB[name]: value for name, value in locale.items() if name in _CREATEDB}
    return [f"{option}={value}" for option, value in chosen.items()]


def _argument(path: Path) -> str:
    text = str(path)
    return f"./{text}" if text.startswith("-") else text
