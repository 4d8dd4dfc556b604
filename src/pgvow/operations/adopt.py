"""Adopt a dump that pgvow did not make: copy it among the backups, with metadata made of it.

The copy is made as a backup is: under a partial name, decoded to its last byte, and published with
its metadata last. A killed run leaves nothing that passes for a backup.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pgvow.archive import read_toc
from pgvow.errors import BackupFailed, ConfigurationError, NoSpace, PgvowError
from pgvow.file_errors import refusals
from pgvow.finished_file import PIECE
from pgvow.formats import size as size_text
from pgvow.operations.core.foreign import Origin, created, metadata_of, require_comparable
from pgvow.operations.show.contents import opened
from pgvow.operations.verify.inspect import inspect_file
from pgvow.progress import Phase, Step
from pgvow.spool import Spool
from pgvow.store import StoredBackup, backups_in, rewound, stem

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from pgvow.archive import Header
    from pgvow.model import Backup, Metadata
    from pgvow.operations.context import Context
    from pgvow.operations.verify.inspect import Inspection
    from pgvow.spool import Draft


@dataclass(frozen=True, slots=True)
class AdoptOptions:
    """The directory and names of the backup to be; None: as the dump's own name or header has it.

    ``environment`` is taken as typed, ``fallback`` if neither it nor the dump's name has one.
    ``move`` removes the dump that was given, once its copy is a backup.
    """

    output_dir: Path
    environment: str | None = None
    fallback: str | None = None
    database: str | None = None
    move: bool = False


@dataclass(frozen=True, slots=True)
class AdoptResult:
    """A dump that became a backup; ``moved`` is whether the file that was given is gone."""

    given: Path
    backup: Backup
    metadata: Metadata
    moved: bool
    warnings: tuple[str, ...]


def adopt_dump(given: StoredBackup, options: AdoptOptions, context: Context) -> AdoptResult:
    """Make a backup of a dump in the custom format, of all that can be known without its source.

    Raises NotABackupFile, ArchiveError, RowsAsInserts, ConfigurationError if it is a backup
    already or its names are not known, NoSpace, AlreadyRunning, and the errors of the file system;
    no file was made or removed then.
    """
    with given.held(), context.reporter.collecting() as warnings, opened(given) as file:
        _refuse_described(given)
        before = os.fstat(file.fileno())
        modified = datetime.fromtimestamp(before.st_mtime, UTC)
        origin = _origin(given, read_toc(file).header, options, modified, context)
        backup, metadata = _published(file, given, origin, options, context)
        moved = options.move and _removed(given, before, context)
    return AdoptResult(given.path, backup, metadata, moved, tuple(warnings))


def _refuse_described(given: StoredBackup) -> None:
    if given.has_metadata:
        raise ConfigurationError(
            f"{given.path} has metadata beside it: it is a backup already",
            facts={"File": str(given.path)},
            steps=[
                f"Check it: pgvow verify --deep {given.path}",
                "If its metadata are broken, adopt a copy of the dump alone",
            ],
        )


def _origin(
    given: StoredBackup,
    header: Header,
    options: AdoptOptions,
    modified: datetime,
    context: Context,
) -> Origin:
    """Choose database, environment and timestamp, and name the origin of each.

    The zone of a header's time is not known. One that would lie in the future is not used.
    """
    named = given.stem
    environment = options.environment or (named.environment if named else options.fallback)
    if environment is None:
        raise ConfigurationError(
            f"nothing says of which environment {given.name} is",
            steps=["Say so: pgvow adopt FILE --env prod"],
        )
    is_typed = options.environment is not None
    by_header, now = created(header), context.now()
    if named is not None:
        timestamp, by = named.moment, "name"
    elif by_header is not None and by_header <= now:
        timestamp, by = by_header, "header"
    else:
        timestamp, by = min(modified.replace(microsecond=0), now), "file"
        context.reporter.warn(
            f"the header's time, {header.created}, cannot be: the file's own is taken"
        )
    database = options.database or header.database
    facts = {
        "database_name": "option" if options.database else "header",
        "environment": "option" if is_typed else "name" if named else "settings",
        "backup_timestamp": by,
    }
    _require_names(database, environment, timestamp)
    return Origin(database, environment, timestamp, facts)


def _require_names(database: str, environment: str, timestamp: datetime) -> None:
    try:
        stem(database, environment, timestamp)
    except ValueError as error:
        raise ConfigurationError(
            f"no backup can be named so: {error}",
            steps=["Name it: pgvow adopt FILE --database NAME --env ENVIRONMENT"],
        ) from error


def _published(
    file: BinaryIO, given: StoredBackup, origin: Origin, options: AdoptOptions, context: Context
) -> tuple[Backup, Metadata]:
    """Copy, decode and publish the dump in the directory of the backups."""
    spool, clock = Spool(options.output_dir), context.clock
    spool.prepare()
    with ExitStack() as stack:
        lock = stack.enter_context(
            spool.lock(origin.database, origin.environment, clock, operation="adopt")
        )
        for left in spool.recover(clock, holding=lock):
            if left.complaint:
                context.reporter.warn(f"{left.stem}: {left.action}, {left.complaint}")
        _require_space(spool, rewound(file))
        draft = stack.enter_context(
            spool.begin(origin.database, origin.environment, origin.timestamp)
        )
        checksum = _copied(file, draft, context)
        with draft.dump.reader() as copy:
            inspection = inspect_file(copy, context.reporter)
        _require_copy(inspection, checksum, draft)
        require_comparable(inspection)
        _refuse_twice(spool, checksum)
        origin = replace(origin, timestamp=draft.moment)
        metadata = metadata_of(inspection, draft.dump_path.name, given.name, origin, context.now())
        return draft.publish(metadata), metadata


def _require_space(spool: Spool, needed: int) -> None:
    free = spool.free_bytes()
    if free < needed:
        raise NoSpace(
            f"the copy needs {size_text(needed)}, and {size_text(free)} are free",
            facts={"Directory": str(spool.directory)},
            steps=[
                f"Free some space: df -h {spool.directory}",
                "Or choose another disk: --output-dir DIR",
            ],
        )


def _copied(file: BinaryIO, draft: Draft, context: Context) -> str:
    """Copy an open file into the draft; returns its SHA-256 as it was read."""
    total, done = rewound(file), 0
    digest = hashlib.sha256(usedforsecurity=False)
    with refusals("write", draft.dump_partial), draft.open_dump() as copy:
        while piece := file.read(PIECE):
            digest.update(piece)
            copy.write(piece)
            done += len(piece)
            context.reporter.update(Step(Phase.COPY, done, total))
    return digest.hexdigest()


def _require_copy(inspection: Inspection, checksum: str, draft: Draft) -> None:
    if inspection.checksum_sha256 == checksum:
        return
    raise BackupFailed(
        f"{draft.dump_partial} does not read back as it was written",
        facts={"Path": str(draft.dump_partial)},
        steps=["Check the disk: dmesg | tail", "Then adopt it again"],
    )


def _refuse_twice(spool: Spool, checksum: str) -> None:
    """Raise ConfigurationError if the directory has a backup of these very bytes."""
    for backup in backups_in(spool.store):
        if backup.metadata is not None and backup.metadata.checksum_sha256 == checksum:
            raise ConfigurationError(
                f"the very same dump is a backup already: {backup.path}",
                facts={"Backup": str(backup.path)},
                steps=[f"See it: pgvow show {backup.path}"],
            )


def _removed(given: StoredBackup, before: os.stat_result, context: Context) -> bool:
    """Remove the dump that was given, if its name still leads to the file that was copied."""
    path = given.path
    try:
        with refusals("remove", path):
            now = path.lstat()
            is_same = os.path.samestat(before, now) and (
                (before.st_size, before.st_mtime_ns) == (now.st_size, now.st_mtime_ns)
            )
            if is_same:
                path.unlink()
    except PgvowError as error:
        context.reporter.warn(f"the copy is a backup, and {path} stays: {error.cause}")
        return False
    if not is_same:
        context.reporter.warn(f"the copy is a backup, and {path} stays: it is another file by now")
    return is_same
