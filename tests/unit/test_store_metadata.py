"""Metadata, strict in both directions."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from pgvow.errors import VerificationFailed
from pgvow.model import GlobalsFacts, Metadata
from pgvow.store import METADATA_VERSION, MetadataError, decode, encode, load_metadata
from tests.support import backups

if TYPE_CHECKING:
    from pathlib import Path

_NINE = {
    "backup_timestamp",
    "environment",
    "database_name",
    "backup_file",
    "backup_size_bytes",
    "checksum_sha256",
    "table_counts",
    "pg_dump_version",
    "postgresql_version",
}
_GLOBALS = GlobalsFacts("x.globals.sql", 17, "b" * 64, role_passwords=False)
_WHOLE = backups.metadata(globals_facts=_GLOBALS)


def _as_object(metadata: Metadata = _WHOLE) -> dict[str, Any]:
    found = json.loads(encode(metadata))
    assert isinstance(found, dict)
    return found


def _decode(found: object) -> Metadata:
    return decode(json.dumps(found).encode())


def _complaints(data: bytes) -> tuple[str, ...]:
    with pytest.raises(MetadataError) as caught:
        decode(data)
    return caught.value.complaints


def _complaints_with(**changed: object) -> tuple[str, ...]:
    return _complaints(json.dumps({**_as_object(), **changed}).encode())


def test_metadata_has_the_nine_keys() -> None:
    """The nine keys, with the contract's values, whatever else is there."""
    found = _as_object()
    expected = {
        "backup_timestamp": "2025-01-27T14:30:00Z",
        "environment": "dev",
        "database_name": "shop",
        "backup_file": "shop_dev_2025-01-27T14-30-00Z.dump",
        "backup_size_bytes": len(backups.DUMP),
        "checksum_sha256": _WHOLE.checksum_sha256,
        "table_counts": {"orders": 3, "audit.log": 12},
        "pg_dump_version": "15.18",
        "postgresql_version": "15.18",
    }
    assert expected == {key: found[key] for key in _NINE}


def test_metadata_has_our_own_keys() -> None:
    """Beyond the contract: the version, how it was made, each table's size, the globals."""
    found = _as_object()
    expected = {
        "metadata_version": METADATA_VERSION,
        "pgvow_version": "0.1.0",
        "engine": "pg_dump",
        "seconds": 1.5,
        "tables": [
            {"schema": "public", "name": "orders", "rows": 3, "size_bytes": 8192},
            {"schema": "audit", "name": "log", "rows": 12, "size_bytes": 16384},
        ],
        "globals": {
            "file": "x.globals.sql",
            "size_bytes": 17,
            "checksum_sha256": "b" * 64,
            "role_passwords": False,
        },
    }
    assert expected == {key: found[key] for key in found.keys() - _NINE}


def test_metadata_is_readable_text() -> None:
    """UTF-8, a key a line, names as people write them, a newline at the end."""
    facts = replace(_WHOLE, database_name="naïve", table_counts={"日本": 1}, tables=())
    text = encode(facts).decode("utf-8")
    assert '\n  "database_name": "naïve",\n' in text
    assert '"日本": 1' in text
    assert text.endswith("}\n")


def test_the_nine_keys_alone_are_enough() -> None:
    """A reader asks for no key of ours."""
    found = {key: value for key, value in _as_object().items() if key in _NINE}
    expected = replace(
        _WHOLE, tables=(), globals=None, pgvow_version=None, engine=None, seconds=None
    )
    assert expected == _decode(found)


def test_unknown_keys_are_ignored() -> None:
    """A reader ignores unknown keys."""
    expected = _WHOLE
    assert expected == _decode({**_as_object(), "colour": {"of": ["the", "sea"]}, "x": None})


@pytest.mark.parametrize("key", sorted(_NINE))
def test_a_missing_key_is_named(key: str) -> None:
    """Each of the nine must be there."""
    found = _as_object()
    del found[key]
    (complaint,) = _complaints(json.dumps(found).encode())
    assert complaint.startswith(f"{key} is missing")


@pytest.mark.parametrize("key", sorted(_NINE))
@pytest.mark.parametrize("value", [None, [], {"a": "b"}, True, 1.5, -1, "", "\0", "\ud800"])
def test_a_mistyped_key_is_named(key: str, value: object) -> None:
    """Each of the nine must have its type."""
    complaints = _complaints_with(**{key: value})
    assert all(complaint.startswith(key) for complaint in complaints)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("backup_timestamp", "2025-01-27T14:30:00+00:00"),
        ("backup_timestamp", "2025-01-27T14:30:00.5Z"),
        ("backup_timestamp", "2025-01-27 14:30:00Z"),
        ("backup_timestamp", "2025-02-30T14:30:00Z"),
        ("backup_timestamp", "0000-01-27T14:30:00Z"),
        ("environment", ""),
        ("environment", "Dev"),
        ("backup_size_bytes", 0),
        ("backup_size_bytes", True),
        ("backup_size_bytes", 2**63),
        ("backup_size_bytes", "50"),
        ("checksum_sha256", "A" * 64),
        ("checksum_sha256", "a" * 63),
        ("checksum_sha256", "a" * 64 + "\n"),
        ("table_counts", {"orders": -1}),
        ("table_counts", {"orders": True}),
        ("table_counts", {"orders": 1.0}),
        ("table_counts", [["orders", 1]]),
        ("metadata_version", 0),
        ("metadata_version", "1"),
        ("metadata_version", True),
        ("pgvow_version", 1),
        ("engine", ""),
        ("seconds", -0.5),
        ("seconds", "1"),
        ("seconds", True),
        ("seconds", 10**400),
        ("tables", {}),
        ("tables", ["orders"]),
        ("tables", [{"schema": "public", "name": "orders", "rows": 3}]),
        ("tables", [{"schema": "public", "name": "", "rows": 3, "size_bytes": 0}]),
        ("globals", "x.globals.sql"),
        ("globals", {"file": "x.globals.sql"}),
    ],
)
def test_a_nearly_valid_value_is_refused(key: str, value: object) -> None:
    """A nearly valid value is not read as something else."""
    assert all(complaint.startswith(key) for complaint in _complaints_with(**{key: value}))


@pytest.mark.parametrize(
    "name",
    [
        "../shop.dump",
        "/etc/passwd",
        "a/b.dump",
        "shop/",
        "",
        ".",
        "..",
        "shop\0.dump",
        "x" * 256,
        "é" * 128,
        "\ud800.dump",
    ],
)
def test_a_file_outside_the_directory_is_refused(name: str) -> None:
    """``backup_file`` and the globals' file stay in this directory."""
    (complaint,) = _complaints_with(backup_file=name)
    assert complaint.startswith("backup_file ")
    (complaint,) = _complaints_with(globals={**_as_object()["globals"], "file": name})
    assert complaint.startswith("globals.file ")


def test_all_errors_are_reported_at_once() -> None:
    """One error lists every fault of the metadata."""
    changed = {"environment": 1, "checksum_sha256": "x", "table_counts": {"a": -1, "b": "c"}}
    starts = [complaint.split()[0] for complaint in _complaints_with(**changed)]
    expected = ["environment", "checksum_sha256", "table_counts.a", "table_counts.b"]
    assert expected == starts


def test_duplicate_keys_are_refused() -> None:
    """JSON readers settle a double key differently; nobody shall rely on one reading."""
    text = encode(_WHOLE).decode().replace('"environment"', '"seconds": 1, "environment"')
    text = text.replace('"orders": 3', '"orders": 3, "orders": 3')
    expected = ("key 'orders' stands there twice", "key 'seconds' stands there twice")
    assert expected == _complaints(text.encode())


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_nan_and_infinity_are_refused(constant: str) -> None:
    """Python reads NaN and infinities, no other JSON reader does."""
    text = encode(_WHOLE).decode().replace('"seconds": 1.5', f'"seconds": {constant}')
    assert (f"{constant} is not JSON",) == _complaints(text.encode())


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"null", "is not a JSON object"),
        (b"[]", "is not a JSON object"),
        (b"\xff\xfe{\x00}\x00", "is not UTF-8"),
        (b"\xef\xbb\xbf{}", "is not JSON"),
        (b'{"a": "\xff"}', "is not UTF-8"),
        (b"[" * 100_000, "is nested too deeply"),
        (b'{"a":' * 100_000, "is nested too deeply"),
        (b'{"backup_size_bytes": ' + b"9" * 5000 + b"}", "is not JSON: Exceeds the limit"),
    ],
)
def test_invalid_json_and_utf8_are_refused(data: bytes, complaint: str) -> None:
    """Wrong JSON, wrong UTF-8, absurd nesting and absurd numbers are complaints, not crashes."""
    (found,) = _complaints(data)
    assert found.startswith(complaint)


def test_deeply_nested_values_are_refused() -> None:
    """Nesting that the parser still bears is not shown, which might not bear it."""
    deep = "[" * 400 + "]" * 400
    text = encode(_WHOLE).decode().replace('"shop"', deep, 1)
    expected = ("database_name is a list, not a text that is not empty",)
    assert expected == _complaints(text.encode())


def test_errors_are_short_and_printable() -> None:
    """A complaint can be shown on any terminal, however long or odd the value."""
    (complaint,) = _complaints_with(environment="\x1b[31m\ud800" * 1000)
    assert len(complaint) < 200
    assert complaint.isascii()
    assert complaint.isprintable()


def test_tables_and_counts_must_agree() -> None:
    """The rows stand there twice: a bit flipped in one of them shows."""
    (complaint,) = _complaints_with(table_counts={"orders": 4, "audit.log": 12})
    assert complaint == "tables and table_counts disagree on 'orders'"


def test_newer_metadata_is_read_by_its_nine_keys() -> None:
    """A later version may change keys of ours; the contract's nine still say all that is needed."""
    found = {
        **_as_object(),
        "metadata_version": METADATA_VERSION + 1,
        "tables": {"count": 2},
        "seconds": "1.5 s",
        "globals": [],
    }
    assert replace(_WHOLE, tables=(), seconds=None, globals=None) == _decode(found)


def test_newer_metadata_must_have_the_nine_keys() -> None:
    """Being newer excuses nothing about the contract's own keys."""
    (complaint,) = _complaints_with(metadata_version=METADATA_VERSION + 1, environment="the moon")
    assert complaint.startswith("environment ")


def test_metadata_error_exits_8() -> None:
    """Broken metadata ends with exit code 8."""
    assert issubclass(MetadataError, VerificationFailed)
    assert MetadataError(["x"]).status == 8


@pytest.mark.parametrize(
    "wrong",
    [
        {"seconds": float("nan")},
        {"seconds": -1.0},
        {"backup_size_bytes": 0},
        {"environment": "sta ging"},
        {"backup_file": "../x.dump"},
        {"table_counts": {"orders": 4, "audit.log": 12}},
        {"table_counts": {1: 2}, "tables": ()},
        {"table_counts": {"orders": object()}},
        {"database_name": b"shop"},
        {"database_name": "\ud83d\ude00"},
        {"backup_timestamp": backups.MOMENT + timedelta(milliseconds=1)},
        {"backup_timestamp": datetime(2025, 1, 27, 14, 30)},  # noqa: DTZ001 - the fault itself
    ],
)
def test_encode_refuses_invalid_metadata(wrong: dict[str, Any]) -> None:
    """Metadata that a reader would refuse, or read as something else, is never written."""
    with pytest.raises(MetadataError):
        encode(replace(_WHOLE, **wrong))


def test_load_metadata_reads_the_file_beside_the_dump(tmp_path: Path) -> None:
    """The metadata is found by the dump's name."""
    expected = _WHOLE
    assert expected == load_metadata(backups.place(tmp_path, _WHOLE))


def test_load_metadata_names_a_missing_file(tmp_path: Path) -> None:
    """A dump without metadata is told so, with the name that was looked for."""
    with pytest.raises(MetadataError, match=r"there is no x\.metadata\.json") as caught:
        load_metadata(tmp_path / "x.dump")
    assert {"Metadata": str(tmp_path / "x.metadata.json")} == caught.value.facts


def test_load_metadata_names_the_broken_file(tmp_path: Path) -> None:
    """Complaints come with the path of the file they are about."""
    (tmp_path / "x.metadata.json").write_text("{}")
    with pytest.raises(MetadataError) as caught:
        load_metadata(tmp_path / "x.dump")
    assert len(_NINE) == len(caught.value.complaints)
    assert {"Metadata": str(tmp_path / "x.metadata.json")} == caught.value.facts
