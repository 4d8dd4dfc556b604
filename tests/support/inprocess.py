"""Make a backup by calling the operation itself: cheap enough for scenarios by the hundred."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.engine import DumpOptions
from pgvow.operations.backup import BackupOptions, make_backup
from pgvow.operations.context import Context
from pgvow.progress import Reporter
from pgvow.settings import Configuration, load
from tests.support.commands import clean_environment, settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from pgvow.operations.backup import BackupResult
    from pgvow.progress import Progress
    from tests.support.servers import TestServer


def back_up(
    server: TestServer,
    database: str,
    directory: Path,
    *,
    bin_dir: Path | None = None,
    jobs: int = 1,
    env: str = "dev",
    with_globals: bool = True,
    progress: Progress | None = None,
) -> BackupResult:
    """Back up one database of a test server into ``directory/backups``; by pg_dump with one job."""
    variables = settings_for(server, database, environment=env, bin_dir=bin_dir)
    environ = {**clean_environment(), **variables}
    settings = load(env=env, environ=environ, directory=directory)
    options = BackupOptions(
        output_dir=directory / "backups",
        space_factor=0,
        with_globals=with_globals,
        dump=DumpOptions(parallel=jobs > 1, jobs=jobs),
    )
    context = Context(Configuration(), environ, directory, reporter=Reporter(progress))
    return make_backup(settings, options, context)
