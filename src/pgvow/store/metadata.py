"""Metadata as it is written beside a dump: one JSON object, strict in both directions (T022).

The contract's nine keys are always there. Ours follow: ``metadata_version``, ``pgvow_version``,
``engine``, ``seconds``, ``tables``, ``globals``. A reader ignores the keys it does not know, and,
in metadata newer than itself, also those of our own whose meaning has changed since.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeGuard, TypeVar

from pgvow.errors import VerificationFailed
from pgvow.model import DEV, PROD, GlobalsFacts, Metadata, TableFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

METADATA_VERSION = 1

_T = TypeVar("_T")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_LARGEST = 2**63 - 1  # of a bigint, which every count and size of PostgreSQL's is
_LONGEST_NAME = 255  # bytes, on every POSIX file system in use
_SHOWN = 60  # characters of a value that is complained of
_MISSING = object()
_NOWHERE = datetime.min.replace(tzinfo=UTC)  # stands in for what was complained of


class MetadataError(VerificationFailed):
    """Metadata that cannot be used; ``complaints`` has everything wrong with it."""

    def __init__(
        self, complaints: Sequence[str], *, facts: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(
            "; ".join(complaints),
            facts=facts,
            steps=[
                "Look at the metadata file: it is JSON and can be read by eye",
                "The dump may still be good: pg_restore --list shows what it holds",
                "Make a new backup",
            ],
        )
        self.complaints = tuple(complaints)


def encode(metadata: Metadata) -> bytes:
    """Write metadata as UTF-8 JSON, and read it back before anybody relies on it.

    Raises MetadataError for metadata that a reader would refuse or understand differently.
    """
    try:
        text = json.dumps(_as_json(metadata), indent=2, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, OverflowError) as error:
        raise MetadataError([f"cannot be written as JSON: {error}"]) from error
    # A name that is not UTF-8 arrives as lone surrogates; "\udcff" is how JSON spells them.
    data = (text + "\n").encode("utf-8", "backslashreplace")
    if decode(data) != metadata:
        raise MetadataError(["would not read back as it was written"])
    return data


def decode(data: bytes) -> Metadata:
    """Read metadata; raises MetadataError, with all that is wrong, and nothing else."""
    complaints: list[str] = []
    parsed = _parse(data, complaints)
    if not isinstance(parsed, dict):
        raise MetadataError(complaints or ["is not a JSON object"])
    reader = _Reader(parsed, complaints)
    metadata = _metadata(reader)
    if complaints:
        raise MetadataError(complaints)
    return metadata


def moment_text(moment: datetime) -> str:
    """Write a moment as the metadata has it: ``2025-01-27T14:30:00Z``."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")[:19] + "Z"


def _as_json(metadata: Metadata) -> dict[str, object]:
    ours = {
        "pgvow_version": metadata.pgvow_version,
        "engine": metadata.engine,
        "seconds": metadata.seconds,
        "globals": metadata.globals and asdict(metadata.globals),
    }
    return {
        "metadata_version": METADATA_VERSION,
        "backup_timestamp": moment_text(metadata.backup_timestamp),
        "environment": metadata.environment,
        "database_name": metadata.database_name,
        "backup_file": metadata.backup_file,
        "backup_size_bytes": metadata.backup_size_bytes,
        "checksum_sha256": metadata.checksum_sha256,
        "table_counts": dict(metadata.table_counts),
        "pg_dump_version": metadata.pg_dump_version,
        "postgresql_version": metadata.postgresql_version,
        **{key: value for key, value in ours.items() if value is not None},
        "tables": [asdict(table) for table in metadata.tables],
    }


def _parse(data: bytes, complaints: list[str]) -> object:
    """Parse JSON as the standard has it: no NaN, and no key twice, which readers settle apart."""

    def pairs(found: list[tuple[str, object]]) -> dict[str, object]:
        result = dict(found)
        if len(result) < len(found):
            counts = Counter(key for key, _ in found)
            twice = sorted(key for key, count in counts.items() if count > 1)
            complaints.extend(f"key {_quoted(key)} stands there twice" for key in twice)
        return result

    def constant(name: str) -> None:
        complaints.append(f"{name} is not JSON")

    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=pairs, parse_constant=constant)
    except UnicodeDecodeError as error:
        complaints.append(f"is not UTF-8: {error.reason} at byte {error.start}")
    except RecursionError:
        complaints.append("is nested too deeply")
    except ValueError as error:  # JSONDecodeError, and Python's limit on the digits of an int
        complaints.append(f"is not JSON: {error}")
    return None


def _metadata(reader: _Reader) -> Metadata:
    version = reader.optional("metadata_version", lambda key: reader.count(key, at_least=1))
    ours = reader.lenient(when=version is not None and version > METADATA_VERSION)
    metadata = Metadata(
        backup_timestamp=reader.moment("backup_timestamp"),
        environment=reader.environment("environment"),
        database_name=reader.text("database_name"),
        backup_file=reader.file("backup_file"),
        backup_size_bytes=reader.count("backup_size_bytes", at_least=1),
        checksum_sha256=reader.digest("checksum_sha256"),
        table_counts=reader.counts("table_counts"),
        pg_dump_version=reader.text("pg_dump_version"),
        postgresql_version=reader.text("postgresql_version"),
        pgvow_version=ours.optional("pgvow_version", ours.text),
        engine=ours.optional("engine", ours.text),
        seconds=ours.optional("seconds", ours.seconds),
        tables=ours.optional("tables", ours.tables) or (),
        globals=ours.optional("globals", ours.globals),
    )
    if not ours.is_lenient:
        _compare(metadata, reader)
    return metadata


def _compare(metadata: Metadata, reader: _Reader) -> None:
    """Compare the rows, which stand there twice: a flipped bit in either shows."""
    stated = {table.key: table.rows for table in metadata.tables}
    if not reader.complaints and metadata.tables and stated != metadata.table_counts:
        differing = sorted(
            key
            for key in stated.keys() | metadata.table_counts.keys()
            if stated.get(key) != metadata.table_counts.get(key)
        )
        reader.complaints.append(
            f"tables and table_counts disagree on {', '.join(map(_quoted, differing))}"
        )


def _quoted(value: object) -> str:
    """Show a value in a complaint: printable, and short however long or deep it is."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    text = ascii(value[:_SHOWN] if isinstance(value, str) else value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


class _Reader:
    """Reads the keys of one object; what is wrong is noted, and something harmless returned."""

    def __init__(
        self,
        found: Mapping[str, object],
        complaints: list[str],
        *,
        where: str = "",
        is_lenient: bool = False,
    ) -> None:
        self._found = found
        self.complaints = complaints
        self._where = where
        self.is_lenient = is_lenient

    def lenient(self, *, when: bool) -> _Reader:
        """Read the same object, taking optional keys that do not fit for unknown ones."""
        return _Reader(self._found, self.complaints, where=self._where, is_lenient=when)

    def optional(self, key: str, read: Callable[[str], _T]) -> _T | None:
        """Read a key that may be absent or null."""
        if self._found.get(key) is None:
            return None
        before = len(self.complaints)
        value = read(key)
        if self.is_lenient and len(self.complaints) > before:
            del self.complaints[before:]
            return None
        return value

    def text(self, key: str) -> str:
        value = self._found.get(key, _MISSING)
        if _is_text(value):
            return value
        return self._complain(key, "a text that is not empty", value, "")

    def environment(self, key: str) -> str:
        value = self._found.get(key, _MISSING)
        if value in (DEV, PROD):
            return str(value)
        return self._complain(key, f"{DEV!r} or {PROD!r}", value, "")

    def moment(self, key: str) -> datetime:
        value = self._found.get(key, _MISSING)
        if isinstance(value, str) and _MOMENT.fullmatch(value):
            try:
                return datetime.fromisoformat(value)
            except ValueError:  # 31 February
                pass
        return self._complain(key, "a moment such as 2025-01-27T14:30:00Z", value, _NOWHERE)

    def count(self, key: str, *, at_least: int = 0) -> int:
        value = self._found.get(key, _MISSING)
        if _is_count(value) and value >= at_least:
            return value
        return self._complain(key, f"a whole number of at least {at_least}", value, 0)

    def digest(self, key: str) -> str:
        value = self._found.get(key, _MISSING)
        if isinstance(value, str) and _DIGEST.fullmatch(value):
            return value
        return self._complain(key, "64 lower-case hexadecimal digits", value, "")

    def file(self, key: str) -> str:
        value = self._found.get(key, _MISSING)
        if isinstance(value, str) and _is_plain(value):
            return value
        return self._complain(key, "the plain name of a file in this directory", value, "")

    def flag(self, key: str) -> bool:
        value = self._found.get(key, _MISSING)
        if isinstance(value, bool):
            return value
        return self._complain(key, "true or false", value, False)  # noqa: FBT003 - a fallback value

    def seconds(self, key: str) -> float:
        value = self._found.get(key, _MISSING)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            seconds = float(min(value, _LARGEST))  # an int of 400 digits is no float
            if 0 <= seconds < _LARGEST:  # neither NaN nor infinity is
                return seconds
        return self._complain(key, "a number of seconds", value, 0.0)

    def counts(self, key: str) -> dict[str, int]:
        value = self._found.get(key, _MISSING)
        if not isinstance(value, dict):
            return self._complain(key, "an object of tables and their rows", value, {})
        if all(map(_is_count, value.values())):
            return value
        inner = _Reader(value, self.complaints, where=self._path(key) + ".")
        return {table: inner.count(table) for table in value}

    def tables(self, key: str) -> tuple[TableFacts, ...]:
        value = self._found.get(key, _MISSING)
        if not isinstance(value, list):
            return self._complain(key, "a list of tables", value, ())
        return tuple(
            _good_table(item) or self._table(f"{key}[{index}]", item)
            for index, item in enumerate(value)
        )

    def globals(self, key: str) -> GlobalsFacts:
        inner = self._inner(key, self._found.get(key))
        return GlobalsFacts(
            file=inner.file("file"),
            size_bytes=inner.count("size_bytes"),
            checksum_sha256=inner.digest("checksum_sha256"),
            role_passwords=inner.flag("role_passwords"),
        )

    def _table(self, where: str, item: object) -> TableFacts:
        inner = self._inner(where, item)
        return TableFacts(
            schema=inner.text("schema"),
            name=inner.text("name"),
            rows=inner.count("rows"),
            size_bytes=inner.count("size_bytes"),
        )

    def _inner(self, where: str, item: object) -> _Reader:
        found = item if isinstance(item, dict) else self._complain(where, "an object", item, {})
        return _Reader(found, self.complaints, where=where + ".")

    def _path(self, key: str) -> str:
        return self._where + ascii(key[:_LONGEST_NAME])[1:-1]

    def _complain(self, key: str, wanted: str, value: object, instead: _T) -> _T:
        found = "is missing" if value is _MISSING else f"is {_quoted(value)}"
        self.complaints.append(f"{self._path(key)} {found}, not {wanted}")
        return instead


def _good_table(item: object) -> TableFacts | None:
    """Read a table nothing is wrong with: faster, and a listing reads thousands."""
    if not isinstance(item, dict):
        return None
    schema, name = item.get("schema"), item.get("name")
    rows, size = item.get("rows"), item.get("size_bytes")
    if _is_text(schema) and _is_text(name) and _is_count(rows) and _is_count(size):
        return TableFacts(schema, name, rows, size)
    return None


def _is_text(value: object) -> TypeGuard[str]:
    if not isinstance(value, str) or not value:
        return False
    # Neither NUL nor a lone surrogate is printable: the quick answer, and mostly the only one.
    return value.isprintable() or ("\0" not in value and _has_bytes(value))


def _is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= _LARGEST  # True is an int to isinstance


def _is_plain(name: str) -> bool:
    """Say whether a name stays in its directory and can be given to the operating system."""
    if not _is_text(name) or "/" in name or name in (".", ".."):
        return False
    return len(name.encode("utf-8", "surrogateescape")) <= _LONGEST_NAME


def _has_bytes(text: str) -> bool:
    """Say whether a text stands for bytes at all: UTF-8, or what is not as Python escapes it."""
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True
