"""Make one backup: lock, snapshot, dump, count, check, and only then publish."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import psycopg

from pgvow import __version__
from pgvow.archive import ArchiveError
from pgvow.engine import DumpCommand, Dumping, DumpOptions
from pgvow.errors import (
    BackupFailed,
    NoResources,
    NoSpace,
    NoVerdict,
    VerificationFailed,
    lack_of_resources,
)
from pgvow.file_errors import refusals
from pgvow.formats import size
from pgvow.model import Metadata
from pgvow.operations.backup.globals import dumping_globals, keep_globals, passwords_kept
from pgvow.operations.space import BackupSeries, last_backup, required_space
from pgvow.operations.verify.hashing import hash_file
from pgvow.operations.verify.inspect import (
    compare_with_witness,
    inspect_file,
    large_object_facts,
    read_what_was_written,
    sequence_facts,
    toc_facts,
    unreadable,
)
from pgvow.postgres import majors
from pgvow.postgres.binaries import choose_for_server, find_installations
from pgvow.postgres.connection import ConnectionTarget, prepare, translate
from pgvow.postgres.majors import STATISTICS_SINCE
from pgvow.postgres.pg_restore_list import complaint_of, start_listing
from pgvow.postgres.server import comparison_settings, refuse_transaction_pooler, server_facts
from pgvow.postgres.watchdog import settle
from pgvow.progress import Phase, Step
from pgvow.quoted_texts import quotable
from pgvow.settings import BackupSection
from pgvow.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pgvow.engine import FilledArchive
    from pgvow.model import Backup, RecordedTable
    from pgvow.operations.context import Context
    from pgvow.postgres.binaries import Installation
    from pgvow.postgres.connection import Session
    from pgvow.postgres.process import RunningTool
    from pgvow.postgres.server import ServerFacts
    from pgvow.settings import Settings
    from pgvow.spool import Draft, Recovered

_DEFAULTS = BackupSection()


@dataclass(frozen=True, slots=True)
class BackupOptions:
    """What may be chosen for one backup; times are seconds.

    A ``space_factor`` of None: by the last backup, see ``required_space``.
    """

    output_dir: Path
    space_factor: float | None = _DEFAULTS.space_factor
    lock_wait_timeout: float = _DEFAULTS.lock_wait_timeout
    with_globals: bool = True
    inspect: bool = True
    dump: DumpOptions = DumpOptions()  # noqa: RUF009 - frozen


@dataclass(frozen=True, slots=True)
class BackupResult:
    """A backup that was made, and what the user should know of how.

    ``last`` is the metadata of the newest earlier backup of the same source, None without one.
    """

    backup: Backup
    metadata: Metadata
    last: Metadata | None
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
    context: Context
    target: ConnectionTarget
    session: Session
    server: ServerFacts
    installation: Installation
    store: Spool
    warnings: Sequence[str]

    def source(self) -> BackupSeries:
        """Return the source of this backup and of those that it is compared with."""
        environment, dump = self.settings.environment, self.options.dump
        configured = self.context.configuration.selection_of(environment)
        return BackupSeries(
            environment, self.server.database, dump.compress, dump.selection, configured
        )

    def warn(self, message: str) -> None:
        """Report a warning, unless ``warnings``, those of the result by now, have it."""
        if quotable(message) not in self.warnings:
            self.context.reporter.warn(message)

    def update(self, step: Step) -> None:
        """Hand on how far the work is: a run is the progress of its engine, and keeps warnings."""
        self.context.reporter.update(step)


def make_backup(settings: Settings, options: BackupOptions, context: Context) -> BackupResult:
    """Back up the database that the settings describe into a directory.

    Raises the errors of ``pgvow.errors``; whatever it raises, nothing half made is published.
    """
    started = time.monotonic()
    installations = find_installations(pg_bin=settings.pg_bin, environ=context.environ)
    target = ConnectionTarget(settings.connection, settings.libpq_variables, context.environ)
    with ExitStack() as stack:
        stack.enter_context(_lack_fails_the_backup())
        warnings = stack.enter_context(context.reporter.collecting())
        session = stack.enter_context(target.open("backup"))
        target = target.pinned(session)
        server = _introduced(target, session)
        installation = choose_for_server(installations, server.major)
        installation.program("pg_restore")
        store = Spool(options.output_dir)
        store.prepare()
        run = _Run(
            settings, options, context,
            target, session, server, installation, store, warnings,
        )  # fmt: skip
        _warn_of_versions(run)
        clock = context.clock
        lock = stack.enter_context(store.lock(server.database, settings.environment, clock))
        stack.enter_context(store.lock_source(server.identity, clock))
        recovered = tuple(store.recover(clock, holding=lock))
        for left in recovered:
            if left.complaint:
                run.warn(f"what a dead run left of {left.stem}: {left.action}, {left.complaint}")
        last = last_backup(store.store, run.source())
        check_space(run, last)
        draft = stack.enter_context(store.begin(server.database, settings.environment, clock()))
        try:
            return _fill_and_publish(run, draft, started, recovered, last)
        except OSError as error:
            if lack_of_resources(error):
                raise
            raise BackupFailed(
                f"{error.strerror}: {error.filename}",
                facts={"Directory": str(options.output_dir)},
                steps=["See whether something else cleans up there, and run it again"],
            ) from error


@contextmanager
def _lack_fails_the_backup() -> Iterator[None]:
    """Turn a lack of memory, file handles or processes into BackupFailed: exit code 7.

    So is a pg_restore that was killed while it listed the archive.
    """
    try:
        yield
    except (NoResources, NoVerdict, MemoryError, OSError, RuntimeError) as error:
        known = error if isinstance(error, NoResources | NoVerdict) else None
        lack = known or lack_of_resources(error)
        if lack is None:
            raise
        raise BackupFailed(lack.cause, facts=lack.facts, steps=lack.steps) from error


def _introduced(target: ConnectionTarget, session: Session) -> ServerFacts:
    """See that it is the server itself that answers, prepare the session, and ask what it is."""
    refuse_transaction_pooler(target, session)
    try:
        prepare(session)
        return server_facts(session)
    except psycopg.Error as error:
        raise translate(error, target.facts) from error


def check_space(run: _Run, last: Metadata | None) -> None:
    """Raise NoSpace unless the space that ``required_space`` reckons is free."""
    options, directory = run.options, run.options.output_dir
    required = required_space(
        run.server.database_size, factor=options.space_factor, last=last, source=run.source()
    )
    available = run.store.free_bytes()
    if available >= required.bytes:
        return
    raise NoSpace(
        f"the backup needs about {size(required.bytes)}: {required.reckoning};"
        f" {size(available)} free",
        facts={
            "Directory": str(directory),
            "Required": f"{required.bytes:,} bytes",
            "Available": f"{available:,} bytes",
        },
        steps=[
            f"Free some space: df -h {directory}",
            "See what can be removed: pgvow prune --dry-run --keep-last 7",
            "Or choose another disk: --output-dir DIR",
            "Or, knowing how well your data compresses, ask for less: --space-factor 0.1",
        ],
    )


def _warn_of_versions(run: _Run) -> None:
    for warning in (*run.settings.warnings, *run.settings.exposed):
        run.warn(warning)
    server, installation = run.server, run.installation
    if (warning_of_major := majors.untested(server.major, server.version)) is not None:
        run.warn(warning_of_major)
    if installation.major > server.major:
        run.warn(
            f"using pg_dump {installation.version} for a PostgreSQL {server.version} server:"
            f" the archive needs a pg_restore of {installation.major} or newer"
        )


def _fill_and_publish(
    run: _Run,
    draft: Draft,
    started: float,
    recovered: tuple[Recovered, ...],
    last: Metadata | None,
) -> BackupResult:
    # Asked before the dump: until it is done the session may have been ended for idling.
    settings = _comparison_settings(run)
    passwords = passwords_kept(run.target, run.session, run) if run.options.with_globals else None
    filled = _dump(run, draft)
    draft.require_ours()
    written = draft.dump.size
    # Both work while we read the file; before, pg_dump might have met a limit of connections.
    with (
        start_listing(run.installation, draft.dump.fd, run.context.environ) as listing,
        dumping_globals(run.target, run.installation, run, passwords=passwords) as roles,
    ):
        found = _read_back(run, draft, filled, written)
        kept = keep_globals(draft, roles, run.server.user, run) if roles else None
        _check_integrity(run, listing)
    metadata = replace(
        found,
        globals=kept,
        settings=settings,
        engine=filled.engine,
        compression=str(run.options.dump.compress),
        selection=run.options.dump.selection,
        snapshot=filled.snapshot,
        database_size_bytes=run.server.database_size,
        seconds=round(time.monotonic() - started, 3),
    )
    settle()  # what is whole is not ended any more
    backup = draft.publish(metadata)
    return BackupResult(
        backup=backup,
        metadata=metadata,
        last=last,
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


def _read_back(run: _Run, draft: Draft, filled: FilledArchive, written: int) -> Metadata:
    """Read the file once more, to its last byte unless that was declined, and say what it holds.

    What an engine of ours has laid down itself need not be decoded again: that the bytes are those
    it wrote is all there is to be seen. ``written`` is how many bytes there were when it ended.
    """
    if filled.contents is None and not run.options.inspect:
        with refusals("read", draft.dump_partial), draft.dump.reader() as file:
            checksum, size = hash_file(file, run)
        _require_size(draft, size, written)
        return _metadata(run, draft, checksum, size, tuple(filled.facts.values()))
    try:
        with draft.dump.reader() as file:
            if filled.contents is None:
                inspection = inspect_file(file, run)
            else:
                inspection = read_what_was_written(file, filled, run)
    except ArchiveError as error:
        _require_size(draft, draft.dump.size, written)
        raise unreadable(error) from error
    _require_size(draft, inspection.size, written)
    contents = inspection.contents
    tables = compare_with_witness(contents, filled.facts)
    return replace(
        _metadata(run, draft, inspection.checksum_sha256, inspection.size, tables),
        toc=toc_facts(contents),
        large_objects=large_object_facts(contents),
        sequences=sequence_facts(contents),
    )


def _require_size(draft: Draft, size: int, written: int) -> None:
    """Raise BackupFailed if the dump has another size than when its engine ended."""
    if size == written:
        return
    raise BackupFailed(
        f"{draft.dump_partial} was changed by something else: {written} bytes were written,"
        f" {size} are there; nothing was published",
        facts={"Path": str(draft.dump_partial)},
        steps=[
            f"See who may write there: ls -ld {draft.dump_partial.parent}",
            "Let this user alone write there (chmod 700), then run the backup again",
        ],
    )


def _metadata(
    run: _Run, draft: Draft, checksum: str, size: int, tables: tuple[RecordedTable, ...]
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
    )


def _dump(run: _Run, draft: Draft) -> FilledArchive:
    draft.open_dump().close()  # made by us, so that it is 0600 and nobody else's from the start
    how = run.options.dump
    dumping = Dumping(
        command=DumpCommand(
            run.target,
            run.installation,
            how.compress,
            how.selection,
            run.server.encoding,
            statistics=_statistics(run),
        ),
        session=run.session,
        options=how,
        lock_wait_timeout=run.options.lock_wait_timeout,
        free_bytes=run.store.free_bytes,
        progress=run,
    )
    return dumping.run(draft.dump)


def _statistics(run: _Run) -> bool:
    """Whether to dump the planner's statistics: if asked for, and pg_dump can."""
    wanted = run.options.dump.statistics
    if wanted and run.installation.major < STATISTICS_SINCE:
        run.warn(f"pg_dump {run.installation.version} has no --statistics: a restore will analyze")
        return False
    return wanted


def _check_integrity(run: _Run, listing: RunningTool) -> None:
    run.update(Step(Phase.INTEGRITY))
    complaint = complaint_of(listing)
    if complaint is not None:
        raise VerificationFailed(
            f"pg_restore cannot read what was just written: {complaint}",
            facts={"pg_restore": run.installation.version},
            steps=["Check the disk: dmesg | tail", "Then run it again"],
        )
