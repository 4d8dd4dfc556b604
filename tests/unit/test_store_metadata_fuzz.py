"""Metadata by property: any metadata read back, and no input breaks the reader."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC

from hypothesis import example, given
from hypothesis import strategies as st

from pgvow.model import GlobalsFacts, Metadata, RecordedTable
from pgvow.store import MetadataError, decode, encode
from tests.support import backups

_WHOLE = backups.metadata(
    globals_facts=GlobalsFacts("x.globals.sql", 17, "b" * 64, role_passwords=False)
)
_OBJECT = json.loads(encode(_WHOLE))

_NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
_COUNTS = st.integers(0, 2**63 - 1)
_DIGESTS = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)
_FILES = _NAMES.map(lambda name: name.replace("/", "_")[:60]).filter(
    lambda name: name not in {".", ".."}
)
_TABLES = st.lists(
    st.builds(RecordedTable, _NAMES, _NAMES, _COUNTS, _COUNTS),
    max_size=5,
    unique_by=lambda table: table.key,
).map(tuple)
_MOMENTS = st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.replace(microsecond=0))


@st.composite
def _metadata(draw: st.DrawFn) -> Metadata:
    tables = draw(_TABLES)
    return Metadata(
        backup_timestamp=draw(_MOMENTS),
        environment=draw(st.sampled_from(["dev", "prod"])),
        database_name=draw(_NAMES),
        backup_file=draw(_FILES),
        backup_size_bytes=draw(st.integers(1, 2**63 - 1)),
        checksum_sha256=draw(_DIGESTS),
        table_counts={table.key: table.rows for table in tables},
        pg_dump_version=draw(_NAMES),
        postgresql_version=draw(_NAMES),
        tables=tables,
        globals=draw(st.none() | st.builds(GlobalsFacts, _FILES, _COUNTS, _DIGESTS, st.booleans())),
        pgvow_version=draw(st.none() | _NAMES),
        engine=draw(st.none() | _NAMES),
        seconds=draw(st.none() | st.floats(0, 1e9)),
    )


@given(_metadata())
def test_any_metadata_reads_back(metadata: Metadata) -> None:
    """Whatever is written is read as the same."""
    assert metadata == decode(encode(metadata))


@given(st.binary(min_size=1, max_size=63).filter(lambda raw: b"\0" not in raw))
def test_a_name_that_is_not_utf8_reads_back(raw: bytes) -> None:
    """A database of an SQL_ASCII server keeps its name, and the file is UTF-8 all the same."""
    facts = replace(_WHOLE, database_name=raw.decode("utf-8", "surrogateescape"))
    data = encode(facts)
    data.decode("utf-8")
    assert facts == decode(data)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def _may_decode(data: bytes) -> None:
    try:
        decode(data)
    except MetadataError as error:
        assert error.complaints  # noqa: PT017 - both outcomes are right


@given(st.binary())
@example(b"\x00")
def test_decode_of_any_bytes_raises_metadata_error_only(data: bytes) -> None:
    """Whatever is in the file, the answer is metadata or MetadataError."""
    _may_decode(data)


@given(st.dictionaries(st.sampled_from(sorted(_OBJECT)), _JSON), _JSON)
def test_decode_of_any_values_raises_metadata_error_only(
    changed: dict[str, object], other: object
) -> None:
    """Whatever JSON stands in whichever keys, the answer is metadata or MetadataError."""
    _may_decode(json.dumps({**_OBJECT, **changed, "other": other}).encode())
    _may_decode(json.dumps(other).encode())


@given(st.data())
def test_decode_of_damaged_metadata_raises_metadata_error_only(data: st.DataObject) -> None:
    """Cut short anywhere, or with any byte changed, the answer is metadata or MetadataError."""
    whole = encode(_WHOLE)
    at = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.binary(min_size=1, max_size=1))
    _may_decode(whole[:at])
    _may_decode(whole[:at] + byte + whole[at + 1 :])
