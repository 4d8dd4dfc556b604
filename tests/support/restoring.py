"""Restore by calling the operation itself, and list the databases of the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pgvow.operations.restore import RestoreOptions, restore_backup
from pgvow.settings import load
from pgvow.store import StoredBackup
from tests.support.commands import clean_environment, settings_for
from tests.support.contexts import a_context

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pgvow.operations.restore import RestoreResult
    from pgvow.progress import Progress
    from tests.support.servers import TestServer

_DATABASES = "SELECT datname FROM pg_database ORDER BY 1"


def restore(
    server: TestServer,
    dump: Path,
    to: str,
    *,
    environment: str = "dev",
    progress: Progress | None = None,
    user: Mapping[str, str] | None = None,
    directory: Path | None = None,
    **options: Any,
) -> RestoreResult:
    """Restore a dump into a database of a test server, as ``user``'s settings say.

    The files of a rescue come into ``directory``, or else beside the dump.
    """
    environ = {
        **clean_environment(),
        **(user or settings_for(server, "postgres", environment=environment)),
    }
    settings = load(env=environment, environ=environ, directory=dump.parent)
    return restore_backup(
        settings,
        StoredBackup.at(dump),
        RestoreOptions(database=to, **options),
        a_context(environ, progress, directory=directory or dump.parent),
    )


def databases(server: TestServer) -> set[str]:
    """Name every database of a server."""
    with server.connect("postgres") as session:
        return {name for (name,) in session.execute(_DATABASES).fetchall()}
