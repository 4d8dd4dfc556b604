"""show, extract and diff on synthetic archives: results and refusals."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pgvow.archive import ArchiveError
from pgvow.errors import ConfigurationError, NoSpace, PgvowError, UnreadableFile
from pgvow.model import RecordedLargeObjects, RecordedTable, TocFacts
from pgvow.operations.diff import diff_backups
from pgvow.operations.extract import ExtractOptions, RowFormat, extract_table
from pgvow.operations.show import show_backup
from pgvow.operations.show.contents import FactsOrigin, NotABackupFile
from pgvow.operations.verify.inspect import inspect_file, large_object_facts, toc_facts
from pgvow.progress import Silent
from pgvow.store import StoredBackup, encode, metadata_name
from tests.support.archives import COMBINATIONS, LargeObjects, Schema, Spec, Table, build
from tests.support.backups import metadata
from tests.support.contexts import a_context

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pgvow.model import Metadata
    from pgvow.operations.diff import BackupDiff
    from pgvow.operations.show import ShownBackup

_ROWS = b'1\n\\N\n\n\\\\.\nsay "x"\n'
_CSV = b'a\r\n1\r\n\r\n""\r\n"\\."\r\n"say ""x"""\r\n'
_PARTS = (
    Schema("messages", defn="CREATE TABLE public.messages (a text);\n"),
    Table("small", b"1\n"),
    Table("messages", _ROWS),
    Table("log", b"x\n" * 3, schema="audit"),
    LargeObjects(((16400, b"hello"), (16401, b"world!"))),
)
_CREATED = "CREATE TABLE public.messages (a text, b text);\n"


def write(path: Path, *parts: object, **options: object) -> Path:
    """Write an archive without metadata."""
    path.write_bytes(build(Spec(parts or _PARTS, **options)))  # type: ignore[arg-type]
    return path


def describe(path: Path, **changes: object) -> Metadata:
    """Put the metadata beside an archive that a backup of it would have."""
    with path.open("rb") as file:
        found = inspect_file(file, Silent())
    tables = tuple(
        RecordedTable(
            *(table.entry.namespace, table.entry.tag, table.rows or 0, 8192, table.size),
            *(table.fingerprint, table.stored.digest),
        )
        for table in found.contents.tables
    )
    facts = replace(
        metadata(),
        backup_file=path.name,
        backup_size_bytes=found.size,
        checksum_sha256=found.checksum_sha256,
        table_counts={table.key: table.rows for table in tables},
        tables=tables,
        toc=toc_facts(found.contents),
        large_objects=large_object_facts(found.contents),
    )
    facts = replace(facts, **changes)  # type: ignore[arg-type]
    path.with_name(metadata_name(path.name)).write_bytes(encode(facts))
    return facts


def show(path: Path) -> ShownBackup:
    """Show without progress."""
    return show_backup(StoredBackup.at(path), a_context({}))


def diff(older: Path, newer: Path) -> BackupDiff:
    """Compare without progress."""
    return diff_backups(StoredBackup.at(older), StoredBackup.at(newer), a_context({}))


def extract(path: Path, table: str, row_format: RowFormat = RowFormat.CSV) -> bytes:
    """Extract into memory."""
    sink = io.BytesIO()
    extracted = extract_table(
        StoredBackup.at(path), ExtractOptions(table, row_format, sink), a_context({})
    )
    assert extracted.bytes == len(sink.getvalue())
    return sink.getvalue()


COMMANDS: dict[str, Callable[[Path], object]] = {
    "show": show,
    "extract": lambda path: extract(path, "messages"),
    "diff": lambda path: diff(path, path),
}


@pytest.mark.parametrize("offsets", [True, False])
@pytest.mark.parametrize(("version", "compression"), COMBINATIONS)
def test_show_counts_the_rows_of_an_archive_without_metadata(
    version: int, compression: str, tmp_path: Path, *, offsets: bool
) -> None:
    """Every version and compression, without metadata: it says so, and has counted the rows."""
    options = {"version": version, "compression": compression, "offsets": offsets, "chunk": 3}
    path = write(tmp_path / "it.dump", **options)
    shown = show(path)
    assert FactsOrigin.ARCHIVE is shown.facts.origin
    assert "there are no metadata beside it" == shown.facts.complaint
    found = [(table.key, table.rows, table.bytes) for table in shown.tables]
    expected = [("messages", 5, len(_ROWS)), ("audit.log", 3, 6), ("small", 1, 2)]
    assert expected == found
    totals = shown.facts.large_objects
    assert totals is not None
    assert (2, 11) == (totals.count, totals.bytes)
    assert ("shop", None, None) == (shown.database, shown.environment, shown.moment)
    assert {"TABLE DATA": 3, "BLOBS": 1, "TABLE": 1} == dict(shown.objects)
    assert _ROWS == extract(path, "messages", RowFormat.COPY)
    assert _CSV == extract(path, "messages")


def test_show_reads_no_row_if_metadata_match(tmp_path: Path) -> None:
    """With metadata of this file no row is read: damaged rows go unnoticed, for verify to find."""
    path = write(tmp_path / "it.dump")
    describe(path)
    raw = bytearray(path.read_bytes())
    raw[-20] ^= 1
    path.write_bytes(raw)
    shown = show(path)
    assert (FactsOrigin.METADATA, None) == (shown.facts.origin, shown.facts.complaint)
    assert ["messages", "audit.log", "small"] == [table.key for table in shown.tables]
    assert 8192 == shown.tables[0].size_bytes
    assert ("shop", "dev") == (shown.database, shown.environment)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"backup_size_bytes": 1}, "of a file of 1 bytes"),
        ({"toc": TocFacts("0" * 32, 1)}, "another table of contents"),
    ],
)
def test_show_ignores_metadata_of_another_file(
    changes: dict[str, object], words: str, tmp_path: Path
) -> None:
    """A size or table of contents that differs: it is said, and the archive itself is read."""
    path = write(tmp_path / "it.dump")
    describe(path, **changes)
    shown = show(path)
    assert FactsOrigin.ARCHIVE is shown.facts.origin
    assert words in str(shown.facts.complaint)
    assert 9 == sum(table.rows or 0 for table in shown.tables)


def test_show_reports_broken_metadata_and_goes_on(tmp_path: Path) -> None:
    """They are no reason not to show the contents."""
    path = write(tmp_path / "it.dump")
    path.with_name(metadata_name(path.name)).write_text("{")
    shown = show(path)
    assert "its metadata cannot be used" in str(shown.facts.complaint)
    assert 3 == len(shown.tables)


def test_the_nine_keys_are_enough_for_show_and_diff(tmp_path: Path) -> None:
    """Rows come from ``table_counts``; sizes nobody has recorded; diff reads what it needs."""
    path = write(tmp_path / "it.dump")
    describe(path, tables=(), toc=None, large_objects=None)
    shown = show(path)
    assert FactsOrigin.METADATA is shown.facts.origin
    assert [("messages", 5, None), ("audit.log", 3, None), ("small", 1, None)] == [
        (table.key, table.rows, table.bytes) for table in shown.tables
    ]
    assert shown.facts.large_objects is not None
    assert shown.facts.large_objects.count is None
    result = diff(path, path)
    assert (FactsOrigin.ARCHIVE, True) == (result.older.origin, result.equal)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_is_not_regular_exits_8(command: str, tmp_path: Path) -> None:
    """Nothing there, a directory, a named pipe that nobody writes into: exit code 8, at once."""
    os.mkfifo(tmp_path / "pipe")
    for name in ("missing.dump", "missing/it.dump", "pipe", "."):
        with pytest.raises((NotABackupFile, UnreadableFile)) as caught:
            COMMANDS[command](tmp_path / name)
        assert 8 == caught.value.status


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("keep", [0, 4, 40, 300, -30, -1])
def test_a_damaged_archive_is_an_error(command: str, keep: int, tmp_path: Path) -> None:
    """Cut short anywhere in the part that is read: ArchiveError, exit code 8."""
    path = write(tmp_path / "it.dump", *_PARTS[:3], compression="zstd", version=16)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ArchiveError) as caught:
        COMMANDS[command](path)
    assert 8 == caught.value.status


def test_rows_with_too_many_columns_are_damage_in_csv(tmp_path: Path) -> None:
    """The statement names one column and a row has two: csv says so, copy gives it as it is."""
    path = write(tmp_path / "it.dump", Table("messages", b"1\n2\t3\n"))
    with pytest.raises(
        ArchiveError, match=r"a row that has not the table.s 1 columns.*public\.messages"
    ):
        extract(path, "messages")
    assert b"1\n2\t3\n" == extract(path, "messages", RowFormat.COPY)


def test_rows_dumped_as_inserts_are_refused(tmp_path: Path) -> None:
    """INSERT commands are neither COPY text nor CSV."""
    insert = b"INSERT INTO public.messages VALUES (1);\n"
    path = write(tmp_path / "it.dump", Table("messages", insert, copy_stmt="", terminator=b""))
    for row_format in RowFormat:
        with pytest.raises(ConfigurationError, match="are INSERT commands"):
            extract(path, "messages", row_format)
    assert [None] == [table.rows for table in show(path).tables]


def test_sjis_has_no_csv_and_keeps_its_text(tmp_path: Path) -> None:
    """Of SJIS there is no CSV; the text itself comes as it is."""
    path = write(tmp_path / "it.dump", encoding="SJIS")
    with pytest.raises(ConfigurationError, match="SJIS"):
        extract(path, "messages")
    assert _ROWS == extract(path, "messages", RowFormat.COPY)


def test_the_csv_header_is_in_the_archives_encoding(tmp_path: Path) -> None:
    """The header's bytes are those of the rows' encoding."""
    table = Table("messages", b"\xe9\n", copy_stmt='COPY public.messages ("colonné") FROM stdin;\n')
    path = write(tmp_path / "it.dump", table, encoding="LATIN1", codec="latin-1")
    assert b"colonn\xe9\r\n\xe9\r\n" == extract(path, "messages")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_changed_bytes_give_a_result_or_our_error(
    command: str, compression: str, tmp_path: Path
) -> None:
    """Bytes changed anywhere: a result or an error of ours, nothing else."""
    path = write(tmp_path / "it.dump", compression=compression, version=16)
    sound = path.read_bytes()
    chance = random.Random(compression)
    for _ in range(200):
        damaged = bytearray(sound)
        for _ in range(chance.randrange(1, 4)):
            damaged[chance.randrange(len(sound))] = chance.randrange(256)
        path.write_bytes(damaged)
        with contextlib.suppress(PgvowError):
            COMMANDS[command](path)


def test_a_column_outside_the_encoding_is_damage(tmp_path: Path) -> None:
    """The encoding is named behind the table: that is damage, and not a failure of ours."""
    table = Table("messages", b"1\n", copy_stmt='COPY public.messages ("日本") FROM stdin;\n')
    late = Schema("ENCODING", desc="ENCODING", defn="SET client_encoding = 'LATIN1';\n")
    path = write(tmp_path / "it.dump", table, late)
    with pytest.raises(ArchiveError, match="is not in LATIN1"):
        extract(path, "messages")


class Refusing(io.BytesIO):
    """A sink that takes nothing."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._error = OSError(number, os.strerror(number))

    def write(self, _: object, /) -> int:
        """Refuse."""
        raise self._error


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, NoSpace),
        (errno.EPIPE, BrokenPipeError),
        (errno.EIO, PgvowError),
    ],
)
def test_a_full_disk_of_the_sink_exits_5(
    number: int, expected: type[Exception], tmp_path: Path
) -> None:
    """A full disk behind the redirection is exit code 5; a reader that left is for the caller."""
    path = write(tmp_path / "it.dump")
    with pytest.raises(expected) as caught:
        extract_table(
            StoredBackup.at(path),
            ExtractOptions("messages", RowFormat.CSV, Refusing(number)),
            a_context({}),
        )
    assert "reading" not in str(caught.value)


def test_equal_contents_have_no_difference(tmp_path: Path) -> None:
    """The same content, compressed otherwise, with metadata and without: equal."""
    older = write(tmp_path / "a.dump", compression="gzip")
    newer = write(tmp_path / "b.dump", compression="zstd", version=14 + 2)
    describe(newer)
    result = diff(older, newer)
    assert result.tables.changed == ()
    assert (3, None) == (result.tables.unchanged, result.large_objects)
    assert (FactsOrigin.ARCHIVE, FactsOrigin.METADATA) == (result.older.origin, result.newer.origin)
    assert result.equal


def changed(part: object, index: int) -> tuple[object, ...]:
    """The parts with one of them replaced."""
    return (*_PARTS[:index], part, *_PARTS[index + 1 :])


def test_each_kind_of_change_is_found_alone(tmp_path: Path) -> None:
    """Each kind of change is found, in its own place, and nothing beside it."""
    older = write(tmp_path / "a.dump")
    for index, part, found in (
        (0, Schema("messages", defn=_CREATED), ("objects",)),
        (2, Table("messages", _ROWS.replace(b"1", b"2")), ("tables",)),
        (2, Table("messages", _ROWS + b"6\n"), ("tables",)),
        (4, LargeObjects(((16400, b"hello"), (16401, b"world?"))), ("large_objects",)),
        (4, LargeObjects(((16400, b"hello"),)), ("large_objects",)),
        (1, Table("other", b"1\n"), ("tables",)),
        (0, Schema("messages", desc="VIEW"), ("objects",)),
    ):
        newer = write(tmp_path / "b.dump", *changed(part, index))
        result = diff(older, newer)
        kinds = ("tables", "objects", "sequences", "large_objects")
        assert found == tuple(kind for kind in kinds if getattr(result, kind))
        assert not result.equal


def test_tables_of_the_newer_backup_are_added(tmp_path: Path) -> None:
    """A is the older one: tables of B alone were added."""
    older = write(tmp_path / "a.dump", Table("stays", b"1\n"), Table("goes", b"2\n"))
    newer = write(tmp_path / "b.dump", Table("stays", b"3\n"), Table("comes", b"4\n5\n"))
    tables = diff(older, newer).tables
    assert ["comes"] == [table.key for table in tables.added]
    assert ["goes"] == [table.key for table in tables.gone]
    ((before, after),) = [(pair.before, pair.after) for pair in tables.changed]
    assert (1, 1) == (before.rows, after.rows)
    assert before.fingerprint != after.fingerprint


def test_sequence_positions_are_compared(tmp_path: Path) -> None:
    """Their positions are compared: the last value, and whether it was given out."""

    def at(value: str) -> Schema:
        defn = f"SELECT pg_catalog.setval('public.numbers', {value});\n"
        return Schema("numbers", desc="SEQUENCE SET", defn=defn)

    older = write(tmp_path / "a.dump", at("7, false"))
    newer = write(tmp_path / "b.dump", at("7, true"))
    result = diff(older, newer)
    assert 1 == len(result.sequences.changed)
    assert not result.objects
    assert diff(newer, newer).equal


def test_settings_that_change_the_text_of_rows_are_named(tmp_path: Path) -> None:
    """Settings on which the text of rows depends, and backups the wrong way round."""
    older, newer = write(tmp_path / "a.dump"), write(tmp_path / "b.dump")
    facts = describe(older, settings={"TimeZone": "UTC", "bytea_output": "hex"})
    earlier = facts.backup_timestamp.replace(year=2000)
    settings = {"TimeZone": "Asia/Tokyo", "bytea_output": "hex"}
    describe(newer, settings=settings, backup_timestamp=earlier)
    first, second = diff(older, newer).warnings
    assert "the first backup is the newer one" in first
    assert second.endswith("settings differ: TimeZone")
    assert () == diff(older, older).warnings


def test_globals_are_found_with_and_without_metadata(tmp_path: Path) -> None:
    """With metadata or without; the commands load them first."""
    path = write(tmp_path / "-it's.dump")
    assert show(path).globals_file is None
    beside = tmp_path / "-it's.globals.sql"
    beside.write_text("")
    shown = show(path)
    assert beside == shown.globals_file
    assert shown.restore.commands[0].startswith("psql --dbname postgres --file ")


def test_recorded_large_objects_are_shown_unread(tmp_path: Path) -> None:
    """The recorded count is shown, without reading them."""
    path = write(tmp_path / "it.dump")
    describe(path, large_objects=RecordedLargeObjects(77, 770, "0" * 32, ("0" * 32,)))
    totals = show(path).facts.large_objects
    assert totals is not None
    assert (77, 770) == (totals.count, totals.bytes)
