"""The demo: a backup, its verification and its damage, on a throw-away server."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from pgvow.operations.backup import BackupOptions, make_backup
from pgvow.operations.demo.data import fill
from pgvow.operations.server_programs import lent_vectors
from pgvow.operations.verify import verify_backup
from pgvow.postgres.throwaway import ThrowawayServer
from pgvow.settings import load
from pgvow.store import StoredBackup, metadata_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pgvow.operations.backup import BackupResult
    from pgvow.operations.context import Context
    from pgvow.operations.verify.verification import Verification
    from pgvow.postgres.binaries import Installation
    from pgvow.progress import Progress

DATABASE = "project_chat_dev"
_OURS = ("PG", "DB_", "DEV_", "ENV_MODE", "DATABASE_URL")


@dataclass(frozen=True, slots=True)
class Damaged:
    """A copy of a backup with one byte changed, and its verification."""

    offset: int
    verification: Verification


@contextmanager
def demo_server(
    installation: Installation, environ: Mapping[str, str]
) -> Iterator[ThrowawayServer]:
    """Run a server with an empty database for the demo, and vectors if they are available."""
    vectors = lent_vectors(installation, environ)
    with ThrowawayServer(installation.bin, vectors=vectors) as server:
        server.create_database(DATABASE)
        yield server


def make_up(server: ThrowawayServer, *, messages: int, progress: Progress) -> None:
    """Fill the database with so many chat messages, and all that belongs to them."""
    with psycopg.connect(server.conninfo(DATABASE)) as session:
        fill(session, messages=messages, progress=progress)


def user_environment(
    server: ThrowawayServer, installation: Installation, environ: Mapping[str, str]
) -> dict[str, str]:
    """Compose the environment of a user who has set the server up for pgvow."""
    outside = {key: value for key, value in environ.items() if not key.startswith(_OURS)}
    return {
        **outside,
        "PGVOW_PG_BIN": str(installation.bin),
        "DEV_DB_HOST": str(server.host),
        "DEV_DB_PORT": str(server.port),
        "DEV_DB_NAME": DATABASE,
        "DEV_DB_USER": server.user,
        "DEV_DB_PASSWORD": server.password,
    }


def back_up(context: Context, output_dir: Path) -> BackupResult:
    """Make the backup, by the same code as every other."""
    with tempfile.TemporaryDirectory(prefix="pgvow-demo-") as elsewhere:
        # A directory without .env files: the demo must never reach for the user's own database.
        settings = load(env="dev", environ=context.environ, directory=Path(elsewhere))
    return make_backup(settings, BackupOptions(output_dir=output_dir), context)


def verify(context: Context, dump: Path) -> Verification:
    """Verify a backup of the demo."""
    pg_bin = Path(context.environ["PGVOW_PG_BIN"])
    return verify_backup(
        StoredBackup.at(dump), pg_bin=pg_bin, environ=context.environ, progress=context.reporter
    )


def damage_a_copy(context: Context, result: BackupResult) -> Damaged:
    """Copy the backup, flip one byte in its middle, and verify the copy."""
    dump = result.backup.path
    with tempfile.TemporaryDirectory(prefix="pgvow-demo-") as folder:
        copy = Path(folder) / dump.name
        shutil.copy(dump, copy)
        shutil.copy(result.metadata_path, copy.with_name(metadata_name(dump.name)))
        if result.globals_path:
            shutil.copy(result.globals_path, folder)
        offset = copy.stat().st_size // 2
        with copy.open("r+b") as file:
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ 1]))
        return Damaged(offset, verify(context, copy))
