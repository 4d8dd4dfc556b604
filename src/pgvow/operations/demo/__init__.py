"""The demo: a backup, its damage, its proof, and a table that it brings back."""

from __future__ import annotations

import json
import random
import shutil
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from pgvow.errors import PgvowError
from pgvow.operations.backup import BackupOptions, make_backup
from pgvow.operations.prove import ProveOptions, prove_backup
from pgvow.operations.restore import RestoreOptions, restore_backup
from pgvow.operations.throwaway_programs import lent_vectors
from pgvow.operations.verify import VerifyOptions, verify_backup
from pgvow.postgres.throwaway import ThrowawayServer
from pgvow.progress import Phase, Step
from pgvow.settings import load
from pgvow.store import StoredBackup, metadata_name
from pgvow.temporary_folder import temporary_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pgvow.operations.backup import BackupResult
    from pgvow.operations.context import Context
    from pgvow.operations.prove import ProofResult
    from pgvow.operations.restore import RestoreResult
    from pgvow.operations.verify.verification import Verification
    from pgvow.postgres.binaries import Installation
    from pgvow.progress import Progress
    from pgvow.settings import Settings

    Row = tuple[Any, ...]

DATABASE = "project_chat_dev"
MISTAKE = "DROP TABLE messages CASCADE"
COUNT = "SELECT count(*) FROM messages"
_OURS = ("PG", "DB_", "DEV_", "ENV_MODE", "DATABASE_URL")


@dataclass(frozen=True, slots=True)
class Damaged:
    """A copy of a backup with one byte changed, and its verification."""

    offset: int
    verification: Verification


@contextmanager
def demo_server(installation: Installation, context: Context) -> Iterator[ThrowawayServer]:
    """Run a server with an empty database for the demo, and vectors if they are available."""
    vectors = lent_vectors(installation, context.environ)
    with ThrowawayServer(installation.bin, vectors=vectors) as server:
        server.create_database(DATABASE)
        yield server


def make_up(server: ThrowawayServer, messages: int, context: Context) -> None:
    """Fill the database with so many chat messages, and all that belongs to them."""
    with psycopg.connect(server.conninfo(DATABASE)) as session:
        fill(session, messages=messages, progress=context.reporter)


def user_environment(
    server: ThrowawayServer, installation: Installation, context: Context
) -> dict[str, str]:
    """Compose the environment of a user who has set the server up for pgvow."""
    environ = context.environ
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


def back_up(output_dir: Path, context: Context) -> BackupResult:
    """Make the backup, by the same code as every other."""
    return make_backup(_settings(context), BackupOptions(output_dir=output_dir), context)


def _settings(context: Context) -> Settings:
    with temporary_folder("pgvow-demo-") as elsewhere:
        # A directory without .env files: the demo must never reach for the user's own database.
        return load(env="dev", environ=context.environ, directory=elsewhere)


def verify(dump: Path, context: Context) -> Verification:
    """Verify a backup of the demo."""
    pg_bin = Path(context.environ["PGVOW_PG_BIN"])
    return verify_backup(StoredBackup.at(dump), VerifyOptions(pg_bin), context)


def damage_a_copy(result: BackupResult, context: Context) -> Damaged:
    """Copy the backup, flip one byte in its middle, and verify the copy."""
    dump = result.backup.path
    with temporary_folder("pgvow-demo-") as folder:
        copy = folder / dump.name
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
        return Damaged(offset, verify(copy, context))


def prove(dump: Path, context: Context) -> ProofResult:
    """Prove the backup on another throw-away server."""
    pg_bin = Path(context.environ["PGVOW_PG_BIN"])
    return prove_backup(StoredBackup.at(dump), ProveOptions(pg_bin=pg_bin), context)


def drop_table(server: ThrowawayServer) -> str:
    """Drop the largest table and its view, and return the server's error for a query of it."""
    with psycopg.connect(server.conninfo(DATABASE), autocommit=True) as session:
        session.execute(MISTAKE)
    try:
        rows = count_rows(server)
    except psycopg.errors.UndefinedTable as error:
        return str(error.diag.message_primary)
    raise PgvowError(f"the demo's table was dropped, and has {rows} rows")


def restore(dump: Path, context: Context) -> RestoreResult:
    """Restore the backup in the place of its database, as ``restore --swap`` does."""
    wanted = RestoreOptions(database=DATABASE, swap=True)
    return restore_backup(_settings(context), StoredBackup.at(dump), wanted, context)


def count_rows(server: ThrowawayServer) -> int:
    """Count the rows of the table that was dropped; raises psycopg's UndefinedTable without it."""
    with psycopg.connect(server.conninfo(DATABASE)) as session:
        row = session.execute(COUNT).fetchone()
    return int(row[0]) if row else 0


_DIMENSIONS = 64
_MESSAGES_PER_CONVERSATION = 25
_DOCUMENTS = 200
_ATTACHED_EVERY = 50
_TELL_EVERY = 500
_BEGINNING = datetime(2025, 1, 27, 14, 30, tzinfo=UTC)
# Words, and characters that break careless tools: quotes, backslashes, non-ASCII letters.
_WORDS = [
    *("the", "a", "to", "of", "and", "is", "it", "we", "you", "in", "on", "for", "with", "not"),
    *("this", "how", "do", "when", "backup", "restore", "snapshot", "table", "index", "query"),
    *("rows", "write", "read", "plan", "cache", "latency", "schema", "migration", "worker"),
    *("token", "prompt", "answer", "question", "model", "vector", "search", "deploy", "error"),
    *("naïve", "façade", "Straße", "数据库", "💾", "'quoted'", '"double"', "back\\slash"),
]


def fill(
    session: psycopg.Connection[Any], *, messages: int, progress: Progress, seed: int = 20250127
) -> None:
    """Make the tables of the demo and fill them; vectors if the server has pgvector."""
    session.execute(_script("schema.sql"))
    chance = random.Random(seed)  # noqa: S311 - made-up chat, not a secret
    conversations = [
        uuid.UUID(int=chance.getrandbits(128), version=4)
        for _ in range(max(1, messages // _MESSAGES_PER_CONVERSATION))
    ]
    _copy(session, "conversations", _conversations(chance, conversations))
    _copy(
        session,
        "messages",
        _reported(_messages(chance, conversations, messages), messages, progress),
    )
    _copy(session, "project_knowledge", _documents(chance))
    _copy(session, "conversation_index", _summaries(chance, conversations))
    _use_vectors(session)
    session.execute(_script("indexes.sql"))


def _script(name: str) -> bytes:
    return files(__package__).joinpath(name).read_bytes()


def _use_vectors(session: psycopg.Connection[Any]) -> None:
    query = "SELECT FROM pg_available_extensions WHERE name = 'vector'"
    if session.execute(query).fetchone() is None:
        return
    session.execute("CREATE EXTENSION vector")
    for table in ("project_knowledge", "conversation_index"):
        session.execute(
            sql.SQL("ALTER TABLE {} ALTER COLUMN embedding TYPE vector({})").format(
                sql.Identifier(table), sql.Literal(_DIMENSIONS)
            )
        )


def _copy(session: psycopg.Connection[Any], table: str, rows: Iterable[Row]) -> None:
    statement = sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(table))
    with session.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def _reported(rows: Iterable[Row], total: int, progress: Progress) -> Iterator[Row]:
    """Yield the rows, and report their number."""
    for number, row in enumerate(rows):
        if number % _TELL_EVERY == 0:
            progress.update(Step(Phase.FILL, detail=f"{number:,} of {total:,} messages"))
        yield row


def _sentence(chance: random.Random, least: int, most: int) -> str:
    return " ".join(chance.choices(_WORDS, k=chance.randint(least, most)))


def _embedding(chance: random.Random) -> list[float]:
    return [round(chance.gauss(0, 0.1), 5) for _ in range(_DIMENSIONS)]


def _conversations(chance: random.Random, ids: Iterable[uuid.UUID]) -> Iterator[Row]:
    for number, each in enumerate(ids):
        settings = {"temperature": round(chance.random(), 2), "model": f"m{chance.randint(1, 4)}"}
        started = _BEGINNING + timedelta(minutes=7 * number)
        yield (each, _sentence(chance, 3, 8), json.dumps(settings), started)


def _messages(chance: random.Random, ids: list[uuid.UUID], count: int) -> Iterator[Row]:
    for number in range(count):
        payload = {"tokens": chance.randint(5, 900), "tags": chance.sample(_WORDS, 2)}
        attached = number % _ATTACHED_EVERY == 0
        yield (
            number + 1,
            chance.choice(ids),
            ("user", "assistant")[number % 2],
            _sentence(chance, 8, 40),
            json.dumps(payload, ensure_ascii=False),
            chance.randbytes(chance.randint(100, 2000)) if attached else None,
            _BEGINNING + timedelta(seconds=11 * number),
        )


def _documents(chance: random.Random) -> Iterator[Row]:
    for number in range(_DOCUMENTS):
        yield (
            number + 1,
            _sentence(chance, 2, 6),
            _sentence(chance, 200, 600),
            chance.sample(_WORDS, 3),
            _embedding(chance),
        )


def _summaries(chance: random.Random, ids: Iterable[uuid.UUID]) -> Iterator[Row]:
    for each in ids:
        yield (each, _sentence(chance, 10, 20), _embedding(chance))
