"""Compare tables of a backup with those of a database in use, row by row, and change nothing."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pgvow.archive import (
    CopyTexts,
    copy_target,
    kinds,
    picker,
    primary_keys,
    read_toc,
    whole_rows,
)
from pgvow.errors import ConfigurationError, PgvowError
from pgvow.model import table_key
from pgvow.operations.archived_tables import TablesByName
from pgvow.operations.compare.live import live_database, live_target, shown_operator
from pgvow.operations.compare.output import (
    CsvWriter,
    OutputFormat,
    SqlWriter,
    parents_first,
    write_csv,
    write_sql,
)
from pgvow.operations.compare.row_differences import RowShape, TableDifferences
from pgvow.operations.extract import as_damage, sinking
from pgvow.operations.row_statements import (
    KeyColumn,
    TableStatements,
    encoded,
    refuse_backslashes,
)
from pgvow.operations.show.contents import opened
from pgvow.progress import Phase, Step
from pgvow.temporary_folder import temporary_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pgvow.archive import TableOfContents, TocEntry
    from pgvow.model import Metadata
    from pgvow.operations.compare.live import LiveDatabase, LiveTable
    from pgvow.operations.compare.output import RowWriter
    from pgvow.operations.compare.row_differences import RowCounts
    from pgvow.operations.context import Context
    from pgvow.operations.extract import Sink
    from pgvow.postgres.server import Address, ServerFacts
    from pgvow.progress import Progress
    from pgvow.store import StoredBackup

_TRIGGERS_SHOWN = 10
_AS_TEXT = 4
"""A text is about so many times as large as its block, which mostly is compressed."""


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """The database to compare with, the tables, and what is written of the rows that differ.

    ``live`` is an environment, a URL or connection string, or a database on the server of ``env``.
    Without ``tables`` it is all tables of the backup. Without ``output`` rows are counted alone,
    else they go to ``sink``. ``deletes``: statements remove the rows that only the database has.
    """

    live: str = field(repr=False)  # there may be a password in it
    env: str = "auto"
    tables: tuple[str, ...] = ()
    output: OutputFormat | None = None
    deletes: bool = False
    sink: Sink | None = None


@dataclass(frozen=True, slots=True)
class ComparedTable:
    """One table. ``counts`` is None if it was not compared, and ``not_compared`` has the reason.

    ``key`` are the columns by which rows were compared; without any it was whole rows. Columns that
    only one side has were left out of the comparison.
    """

    schema: str
    name: str
    key: tuple[str, ...] = ()
    counts: RowCounts | None = None
    not_compared: str | None = None
    only_in_backup: tuple[str, ...] = ()
    only_in_database: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The table's key in ``table_counts``."""
        return table_key(self.schema, self.name)

    @property
    def equal(self) -> bool:
        """Whether all was compared, and nothing differs."""
        columns = self.only_in_backup or self.only_in_database
        return self.counts is not None and self.counts.equal and not columns


@dataclass(frozen=True, slots=True)
class BackupComparison:
    """The result: each table in the order of the backup, and the two sides."""

    path: Path
    metadata: Metadata | None
    database_name: str
    server_version: str
    server: ServerFacts
    address: Address
    environment: str | None
    tables: tuple[ComparedTable, ...]
    warnings: tuple[str, ...]
    seconds: float

    @property
    def equal(self) -> bool:
        """Whether all tables were compared, and nothing differs."""
        return all(table.equal for table in self.tables)


def compare_backup(
    backup: StoredBackup, options: CompareOptions, context: Context
) -> BackupComparison:
    """Compare tables of a backup with a database, which is only read; returns the counts.

    Rows are written when all tables have been compared, and not if an error is raised. Memory is
    bounded; a file of the rows that differ is made in the temporary folder. Raises UnknownTable,
    ConfigurationError, NotABackupFile, ArchiveError, ComparisonFailed, and the errors of
    ``live_database`` and of the sink; BrokenPipeError goes through.
    """
    started = time.monotonic()
    with opened(backup) as file, context.reporter.collecting() as warnings:
        toc = read_toc(file)
        entries = _chosen(toc, options)
        metadata = _metadata(backup, toc, context.reporter)
        live = live_target(options.live, options.env, context)
        settings = metadata.settings if metadata else {}
        texts = CopyTexts(file, toc)
        with temporary_folder("pgvow-compare-") as folder:
            with live_database(live, settings) as database:
                _warn_of_versions(toc, database, context.reporter)
                run = _ComparisonRun(texts, toc, options, database, folder, context.reporter)
                tables = tuple(run.compare(entry) for entry in entries)
                run.finish()
            if options.sink is not None:
                run.write(options.sink)
        return BackupComparison(
            path=backup.path,
            metadata=metadata,
            database_name=metadata.database_name if metadata else toc.header.database,
            server_version=toc.header.server_version,
            server=database.server,
            address=database.address,
            environment=database.environment,
            tables=tables,
            warnings=tuple(warnings),
            seconds=time.monotonic() - started,
        )


def _chosen(toc: TableOfContents, options: CompareOptions) -> list[TocEntry]:
    """Return the entries of the tables; raises UnknownTable, ConfigurationError."""
    others = {entry.key for entry in toc.entries if entry.desc in kinds.RELATIONS}
    known = TablesByName(toc.table_data, frozenset(others))
    named = [known.find(name) for name in options.tables] or list(toc.table_data)
    entries = list({entry.dump_id: entry for entry in named}.values())
    if options.output is OutputFormat.CSV and len(entries) != 1:
        raise ConfigurationError(
            f"{len(entries)} tables are no table of CSV: their columns are others",
            steps=["Name one: --table NAME", "Or take all of them as statements: --format sql"],
        )
    for entry in entries:
        refuse_backslashes(toc.encoding, entry.key, steps=["Compare with a backup in UTF8"])
    return entries


def _metadata(backup: StoredBackup, toc: TableOfContents, progress: Progress) -> Metadata | None:
    """Return the metadata of this archive; None, with a warning, if there are none."""
    try:
        metadata = backup.metadata()
    except PgvowError:
        metadata = None
    if metadata is not None and metadata.toc and metadata.toc.digest != toc.digest:
        metadata = None
    if metadata is None or not metadata.settings:
        progress.warn(
            "the settings of the source, such as TimeZone, are not known: the same timestamp with"
            " time zone may be written differently, and be counted as different"
        )
    return metadata


def _warn_of_versions(toc: TableOfContents, database: LiveDatabase, progress: Progress) -> None:
    major = toc.header.server_version.partition(".")[0]
    if major != str(database.server.major):
        progress.warn(
            f"the backup is of PostgreSQL {major}, the database of {database.server.major}:"
            " the same value of some types may be written differently"
        )


@dataclass
class _ComparisonRun:
    """A comparison under way."""

    texts: CopyTexts
    toc: TableOfContents
    options: CompareOptions
    database: LiveDatabase
    folder: Path
    progress: Progress
    csv: CsvWriter | None = None
    sql: dict[int, SqlWriter] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    done: int = 0
    keys: Mapping[tuple[str, str], tuple[str, ...]] = field(init=False)
    live: list[LiveTable] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.keys = primary_keys(self.toc)

    def compare(self, entry: TocEntry) -> ComparedTable:
        """Compare one table, and write its rows into files if they are wanted."""
        table = ComparedTable(entry.namespace, entry.tag)
        if not entry.copy_stmt:
            return self._left_out(table, "its rows are INSERT commands in the backup")
        live = self.database.find(entry.namespace, entry.tag)
        if live is None:
            return self._left_out(table, "the database has no such table with rows of its own")
        archived = copy_target(entry.copy_stmt).columns
        common = [column for column in archived if column in live.names]
        table = replace(
            table,
            only_in_backup=tuple(each for each in archived if each not in live.names),
            only_in_database=tuple(each for each in live.names if each not in archived),
        )
        if not common and (archived or live.names):
            return self._left_out(table, "there is no column that both have")
        self._warn_of_columns(table)
        with as_damage(entry):
            key = self._key(entry, live, common)
            counts = self._differences(entry, live, common, key)
        return replace(table, key=tuple(common[each.place] for each in key), counts=counts)

    def _warn_of_columns(self, table: ComparedTable) -> None:
        for side, columns in (
            ("the backup", table.only_in_backup),
            ("the database", table.only_in_database),
        ):
            if columns:
                names = ", ".join(columns)
                self._remark(f"{table.title}: only {side} has the column {names}")

    def _left_out(self, table: ComparedTable, why: str) -> ComparedTable:
        self._remark(f"{table.title} was not compared: {why}")
        return replace(table, not_compared=why)

    def _remark(self, text: str) -> None:
        """Warn, and remember it for the head of the statements."""
        self.remarks.append(text)
        self.progress.warn(text)

    def _key(
        self, entry: TocEntry, live: LiveTable, common: Sequence[str]
    ) -> tuple[KeyColumn, ...]:
        """Choose the key: the backup's primary key, else a unique index of the database."""
        archived = self.keys.get((entry.namespace, entry.tag), ())
        known = {frozenset(key.columns): key for key in reversed(live.keys)}
        chosen, operators = archived, dict.fromkeys(archived, "=")
        if not archived or not set(archived) <= set(common):
            usable = [key for key in live.keys if set(key.columns) <= set(common)]
            chosen = usable[0].columns if usable else ()
        if key := known.get(frozenset(chosen)):
            operators = dict(zip(key.columns, map(shown_operator, key.operators), strict=True))
        return tuple(
            KeyColumn(common.index(column), encoded(operators[column], self.toc.encoding))
            for column in chosen
        )

    def _differences(
        self,
        entry: TocEntry,
        live: LiveTable,
        common: Sequence[str],
        key: tuple[KeyColumn, ...],
    ) -> RowCounts:
        archived = copy_target(entry.copy_stmt).columns
        arrange = picker([archived.index(column) for column in common], len(archived))
        shape = RowShape(len(common), tuple(each.place for each in key))

        def in_backup() -> Iterator[list[bytes]]:
            text = self._followed(self.texts.of(entry))
            for rows in whole_rows(text, len(archived)):
                yield list(map(arrange, rows))

        def in_database() -> Iterator[list[bytes]]:
            text = self._followed(self.database.rows(live, common, self.toc.encoding))
            return whole_rows(text, len(common))

        differences = TableDifferences(
            in_backup,
            in_database,
            shape,
            self.folder,
            only_counts=self.options.output is None,
            size=self.texts.size(entry) * _AS_TEXT,
        )
        with self._writer(entry, live, common, key) as writer:
            for difference in differences.each():
                if writer is not None:
                    writer.add(difference)
        return differences.counts

    def _followed(self, text: Iterable[bytes]) -> Iterator[bytes]:
        for piece in text:
            self.progress.update(Step(Phase.COMPARE, self.done))
            self.done += len(piece)
            yield piece

    def _writer(
        self, entry: TocEntry, live: LiveTable, common: Sequence[str], key: tuple[KeyColumn, ...]
    ) -> AbstractContextManager[RowWriter | None]:
        """Return the writer of a table's rows, as a context manager that closes its files."""
        schema, name, *columns = (
            encoded(each, self.toc.encoding) for each in (entry.namespace, entry.tag, *common)
        )
        if self.options.output is OutputFormat.CSV:
            self.csv = CsvWriter(self.folder / "rows.csv", columns)
            return closing(self.csv)
        if self.options.output is None:
            return nullcontext()
        by_name = {column.name: column for column in live.columns}
        always = {place for place, each in enumerate(common) if by_name[each].is_always}
        if any(by_name[each].is_money for each in common):
            self.settings["lc_monetary"] = self.database.setting("lc_monetary")
        statements = TableStatements(
            schema, name, tuple(columns), key, overriding=bool(always), fixed=frozenset(always)
        )
        if live.triggers:
            shown = ", ".join(live.triggers[:_TRIGGERS_SHOWN])
            self._remark(f"{entry.key} has triggers, which these statements fire: {shown}")
        writer = SqlWriter(
            self.folder / str(entry.dump_id),
            entry.key,
            statements,
            deletes=self.options.deletes,
            refers_to_itself=bool(self.database.references([live])),
        )
        self.sql[live.table.oid] = writer
        self.live.append(live)
        return closing(writer)

    def finish(self) -> None:
        """Order the statements by the foreign keys, while the database can be asked for them."""
        if self.sql:
            order = parents_first(list(self.sql), self.database.references(self.live))
            self.sql = {oid: self.sql[oid] for oid in order}

    def write(self, sink: Sink) -> None:
        """Write the rows; raises the errors of the sink."""
        with sinking():
            if self.csv is not None:
                write_csv(self.csv, sink)
            elif self.options.output is OutputFormat.SQL:
                writers = list(self.sql.values())
                write_sql(writers, self.remarks, self.toc.encoding, self.settings, sink)
            sink.flush()
