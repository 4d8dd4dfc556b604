"""Make one backup: lock, snapshot, dump, count, check, and only then publish."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg

from pgvow import __version__
from pgvow.archive import ArchiveError, read_toc
from pgvow.engine.pg_dump import PgDump, disk_full_steps
from pgvow.errors import BackupFailed, LockNotGranted, NoSpace, PgvowError, VerificationFailed
from pgvow.model import Metadata
from pgvow.operations.hashing import hash_file
from pgvow.operations.inspect import (
    compare_with_witness,
    inspect_file,
    large_object_facts,
    sequence_facts,
    toc_facts,
    unreadable,
)
from pgvow.postgres.binaries import TESTED_MAJORS, choose_for_server, find_installations
from pgvow.postgres.connection import Target, prepare, translate
from pgvow.postgres.globals import dump_globals
from pgvow.postgres.listing import listing_complaint
from pgvow.postgres.server import comparison_settings, refuse_transaction_pooler, server_facts
from pgvow.postgres.snapshot import (
    BeginAnewError,
    Deadline,
    LockTableFullError,
    hold_snapshot,
    lock_steps,
    lock_table_steps,
)
from pgvow.postgres.witness import Witness
from pgvow.progress import Step
from pgvow.store import LocalStore

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pgvow.archive import TableOfContents
    from pgvow.model import Backup, GlobalsFacts, ServerFacts, TableFacts
    from pgvow.postgres.binaries import Installation
    from pgvow.postgres.connection import Session
    from pgvow.postgres.snapshot import HeldSnapshot
    from pgvow.progress import Progress
    from pgvow.settings import Settings
    from pgvow.store import Draft, Recovered


_DISK_IS_FULL = 64 << 10
"""With fewer bytes free than this, a file that is cut short was cut by the disk."""


@dataclass(frozen=True, slots=True)
class BackupOptions:
    """What may be chosen for one backup; times are seconds."""

    output_dir: Path
    space_factor: float = 2.0
    lock_wait_timeout: float = 60.0
    with_globals: bool = True
    inspect: bool = True


@dataclass(frozen=True, slots=True)
class BackupResult:
    """A backup that was made, and what the user should know of how."""

    backup: Backup
    metadata: Metadata
    metadata_path: Path
    globals_path: Path | None
    seconds: float
    warnings: tuple[str, ...]
    recovered: tuple[Recovered, ...]


@dataclass
class _Run:
    """What one run has found out and holds; each step fills in what the next one needs."""

    settings: Settings
    options: BackupOptions
    environ: Mapping[str, str]
    progress: Progress
    target: Target
    session: Session
    server: ServerFacts
    installation: Installation
    store: LocalStore
    warnings: list[str] = field(default_factory=list)

    def warn(self, message: str) -> None:
        """Keep a warning for the result, and tell it now; once is enough."""
        if message in self.warnings:
            return
        self.warnings.append(message)
        self.progress.warn(message)

    def update(self, step: Step) -> None:
        """Hand on how far the work is: a run is the progress of its engine, and keeps warnings."""
        self.progress.update(step)


def make_backup(
    settings: Settings,
    options: BackupOptions,
    *,
    environ: Mapping[str, str],
    progress: Progress,
) -> BackupResult:
    """Back up the database that the settings describe into a directory.

    Raises the errors of ``pgvow.errors``; whatever it raises, nothing half made is published.
    """
    started = time.monotonic()
    installations = find_installations(pg_bin=settings.pg_bin, environ=environ)
    target = Target(settings.connection, settings.libpq_variables, environ)
    with ExitStack() as stack:
        session = stack.enter_context(target.open("backup"))
        target = target.pinned(session)
        server = _introduced(target, session)
        installation = choose_for_server(installations, server.major)
        installation.program("pg_restore")
        store = LocalStore(options.output_dir)
        store.prepare()
        run = _Run(
            settings, options, environ, progress,
            target, session, server, installation, store,
        )  # fmt: skip
        _warn_of_versions(run)
        lock = stack.enter_context(store.lock(server.database, settings.environment))
        recovered = tuple(store.recover(holding=lock))
        check_space(store, server, options)
        draft = stack.enter_context(
            store.begin(server.database, settings.environment, datetime.now(UTC))
        )
        try:
            return _fill_and_publish(run, draft, started, recovered)
        except OSError as error:
            raise BackupFailed(
                f"{error.strerror}: {error.filename}",
                facts={"Directory": str(options.output_dir)},
                steps=["See whether something else cleans up there, and run it again"],
            ) from error


def _introduced(target: Target, session: Session) -> ServerFacts:
    """See that it is the server itself that answers, prepare the session, and ask what it is."""
    refuse_transaction_pooler(target, session)
    try:
        prepare(session)
        return server_facts(session)
    except psycopg.Error as error:
        raise translate(error, target.facts) from error


def check_space(store: LocalStore, server: ServerFacts, options: BackupOptions) -> None:
    """Raise NoSpace unless ``space_factor`` times the database's size is free."""
    required = int(server.database_size * options.space_factor)
    available = store.free_bytes()
    if available >= required:
        return
    raise NoSpace(
        f"{required:,} bytes are required ({options.space_factor:g} times the database's size),"
        f" {available:,} are available",
        facts={
            "Directory": str(options.output_dir),
            "Required": f"{required:,} bytes",
            "Available": f"{available:,} bytes",
        },
        steps=[
            f"Free some space: df -h {options.output_dir}",
            "Or choose another disk: --output-dir DIR",
            "Or, knowing how well your data compresses, ask for less: --space-factor 1",
        ],
    )


def _warn_of_versions(run: _Run) -> None:
    for warning in run.settings.warnings:
        run.warn(warning)
    server, installation = run.server, run.installation
    if server.major not in TESTED_MAJORS:
        run.warn(
            f"PostgreSQL {server.version} is outside what pgvow was tested with"
            f" ({TESTED_MAJORS[0]} to {TESTED_MAJORS[-1]})"
        )
    if installation.major > server.major:
        run.warn(
            f"using pg_dump {installation.version} for a PostgreSQL {server.version} server:"
            f" the archive needs a pg_restore of {installation.major} or newer"
        )


def _fill_and_publish(
    run: _Run, draft: Draft, started: float, recovered: tuple[Recovered, ...]
) -> BackupResult:
    # Asked before the dump: until it is done the session may have been ended for idling.
    settings = _comparison_settings(run)
    kept = _keep_globals(run, draft) if run.options.with_globals else None
    counted = _dump(run, draft)
    metadata = replace(
        _read_back(run, draft, counted),
        globals=kept,
        settings=settings,
        seconds=round(time.monotonic() - started, 3),
    )
    _check_integrity(run, draft)
    backup = draft.publish(metadata)
    return BackupResult(
        backup=backup,
        metadata=metadata,
        metadata_path=draft.metadata_path,
        globals_path=draft.globals_path if kept else None,
        seconds=time.monotonic() - started,
        warnings=tuple(run.warnings),
        recovered=recovered,
    )


def _comparison_settings(run: _Run) -> dict[str, str]:
    try:
        return comparison_settings(run.session)
    except psycopg.Error as error:
        raise translate(error, run.target.facts) from error


def _read_back(run: _Run, draft: Draft, counted: Mapping[int, TableFacts]) -> Metadata:
    """Read the file once more, to its last byte unless that was declined, and say what it holds."""
    if not run.options.inspect:
        checksum, size = hash_file(draft.dump_partial, run)
        return _metadata(run, draft, checksum, size, tuple(counted.values()))
    try:
        inspection = inspect_file(draft.dump_partial, run)
    except ArchiveError as error:
        raise unreadable(error) from error
    contents = inspection.contents
    tables = compare_with_witness(contents, counted)
    return replace(
        _metadata(run, draft, inspection.checksum_sha256, inspection.size, tables),
        toc=toc_facts(contents),
        large_objects=large_object_facts(contents),
        sequences=sequence_facts(contents),
    )


def _metadata(
    run: _Run, draft: Draft, checksum: str, size: int, tables: tuple[TableFacts, ...]
) -> Metadata:
    return Metadata(
        backup_timestamp=draft.moment,
        environment=run.settings.environment,
        database_name=run.server.database,
        backup_file=draft.dump_path.name,
        backup_size_bytes=size,
        checksum_sha256=checksum,
        table_counts={table.key: table.rows for table in tables},
        pg_dump_version=run.installation.version,
        postgresql_version=run.server.version,
        tables=tables,
        pgvow_version=__version__,
        engine=PgDump.name,
    )


def _dump(run: _Run, draft: Draft) -> dict[int, TableFacts]:
    """Dump and count in one snapshot, beginning anew while migrations get in between."""
    deadline = Deadline.after(run.options.lock_wait_timeout)
    engine = PgDump(run.target, run.installation, run.session, run)
    draft.open_dump().close()  # made by us, so that it is 0600 and nobody else's from the start
    locked = True
    while True:
        run.update(Step("lock"))
        try:
            with hold_snapshot(run.target, deadline=deadline, warn=run.warn, locked=locked) as held:
                return _dump_snapshot(run, engine, held, draft)
        except LockTableFullError as full:
            if not locked:
                raise BackupFailed(
                    str(full), facts=run.target.facts, steps=lock_table_steps()
                ) from None
            locked = False  # the two of us are too many: pg_dump's own locks have to do
        except BeginAnewError as queued:
            if deadline.passed:
                raise LockNotGranted(
                    f"a table stayed locked for {deadline.seconds:g} s: {queued}",
                    facts=run.target.facts,
                    steps=lock_steps(),
                ) from None


def _dump_snapshot(
    run: _Run, engine: PgDump, held: HeldSnapshot, draft: Draft
) -> dict[int, TableFacts]:
    with Witness(run.target, held) as witness:
        engine.fill(
            held,
            draft.dump_partial,
            on_locked=witness.dump_holds_locks,
            check=witness.check,
        )
        facts = witness.facts()
    _same_tables(facts, _whole_toc(run, draft))
    return facts


def _whole_toc(run: _Run, draft: Draft) -> TableOfContents:
    """Read the table of contents, and see that pg_dump came to write it again, with the offsets.

    Where its last buffer does not fit on the disk, pg_dump passes over that: it writes no offsets,
    leaves a file that is cut short, and ends with success.
    """
    try:
        with draft.dump_partial.open("rb") as file:
            toc = read_toc(file)
    except ArchiveError as error:
        raise _cut_short(run, str(error)) from error
    if any(entry.data_offset is None for entry in toc.with_data):
        raise _cut_short(run, "its table of contents does not say where the data is")
    return toc


def _cut_short(run: _Run, complaint: str) -> PgvowError:
    what = f"what pg_dump wrote is not whole: {complaint}"
    if run.store.free_bytes() < _DISK_IS_FULL:
        return NoSpace(what, facts={"Directory": str(run.store.directory)}, steps=disk_full_steps())
    return BackupFailed(what, steps=["Check the disk: df -h, dmesg | tail", "Then run it again"])


def _same_tables(facts: Mapping[int, TableFacts], toc: TableOfContents) -> None:
    """Make sure that the archive has the rows of just those tables that were counted."""
    dumped = {entry.oid: entry.name for entry in toc.table_data}
    counted = {oid: table.key for oid, table in facts.items()}
    if dumped.keys() == counted.keys():
        return
    uncounted = [name for oid, name in dumped.items() if oid not in counted]
    undumped = [name for oid, name in counted.items() if oid not in dumped]
    raise BackupFailed(
        "the archive and the count do not have the same tables"
        + (f"; in the archive only: {', '.join(uncounted)}" if uncounted else "")
        + (f"; counted only: {', '.join(undumped)}" if undumped else ""),
        steps=["Run it again; if it happens again, please report it with these names"],
    )


def _keep_globals(run: _Run, draft: Draft) -> GlobalsFacts | None:
    """Keep roles and tablespaces beside the dump; a failure here is a warning."""
    try:
        found = dump_globals(run.target, run.session, run.installation)
    except PgvowError as error:
        run.warn(f"roles and tablespaces could not be kept: {error.cause}")
        return None
    if not found.role_passwords:
        run.warn(
            "roles are kept without their password hashes:"
            f" {run.server.user} may not read pg_authid"
        )
    return draft.write_globals(found.script, role_passwords=found.role_passwords)


def _check_integrity(run: _Run, draft: Draft) -> None:
    run.update(Step("integrity"))
    complaint = listing_complaint(run.installation, draft.dump_partial, run.environ)
    if complaint is not None:
        raise VerificationFailed(
            f"pg_restore cannot read what was just written: {complaint}",
            facts={"pg_restore": run.installation.version},
            steps=["Check the disk: dmesg | tail", "Then run it again"],
        )
