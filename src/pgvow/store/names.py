"""File names of a backup: pure, and reversible, so that no two databases share a name.

A *stem* is ``{safe name}_{environment}_2025-01-27T14-30-00Z``; every file of a backup is its stem
and a suffix. A *group* is the stem without the moment: the backups that one lock guards.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from pathlib import Path

DUMP = ".dump"
METADATA = ".metadata.json"
GLOBALS = ".globals.sql"
PROOF = ".proof.json"
NOTES = ".notes.json"
PARTIAL = ".partial"
REMOVING = ".removing"
_LOCK = ".lock"
_SOURCE = "source-"  # a group has a "_"

SUFFIXES = (DUMP, METADATA, GLOBALS, PROOF, NOTES)

_KEPT = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")
_KEPT_FIRST = _KEPT - frozenset(b".-")  # a hidden file, an option of some command line
_ENVIRONMENT = re.compile(r"[a-z0-9-]+")
_IDENTITY = re.compile(r"[0-9-]+")
_STEM = re.compile(
    r"(?P<safe>[A-Za-z0-9_.%-]+)_(?P<environment>[a-z0-9-]+)_"
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})T(?P<time>[0-9]{2}-[0-9]{2}-[0-9]{2})Z"
)


class Stem(NamedTuple):
    """The parts of a stem; ``moment`` is UTC, in whole seconds."""

    database: str
    environment: str
    moment: datetime


def safe_name(database: str) -> str:
    """Write a database's name in letters every file system takes; no two names share one.

    At most three characters for each UTF-8 byte: 189 for PostgreSQL's 63. Bytes that are
    not UTF-8 are expected as ``surrogateescape`` gives them. Raises ValueError if it is no name.
    """
    raw = database.encode("utf-8", "surrogateescape")
    # "é" and its two bytes escaped one by one would share a name; only the first can come about.
    if not raw or raw.decode("utf-8", "surrogateescape") != database:
        raise ValueError(f"not a database name: {database!r}")
    kept = [_KEPT_FIRST] + [_KEPT] * (len(raw) - 1)
    return "".join(
        chr(byte) if byte in ok else f"%{byte:02X}" for byte, ok in zip(raw, kept, strict=True)
    )


def unsafe_name(safe: str) -> str:
    """Give back the database's name that ``safe_name`` was given."""
    return unquote_to_bytes(safe).decode("utf-8", "surrogateescape")


def group(database: str, environment: str) -> str:
    """Name the backups that belong together: one database in one environment."""
    if not is_environment(environment):
        raise ValueError(f"not an environment's name: {environment!r}")
    return f"{safe_name(database)}_{environment}"


def source_group(identity: str) -> str:
    """Name the lock of one database, whatever its backups are called; no group has such a name."""
    if not _IDENTITY.fullmatch(identity):
        raise ValueError(f"not a database's identity: {identity!r}")
    return f"{_SOURCE}{identity}"


def locked_source(name: str) -> str | None:
    """Return the ``source_group`` whose lock a file of this name is, if it is one's."""
    group_name = name.removeprefix(".").removesuffix(_LOCK)
    is_one = _IDENTITY.fullmatch(group_name.removeprefix(_SOURCE))
    return group_name if is_one and name == lock_name(group_name) else None


def is_environment(text: str) -> bool:
    """Return whether an environment can have this name."""
    return _ENVIRONMENT.fullmatch(text) is not None


def stem(database: str, environment: str, moment: datetime) -> str:
    """Name one backup; ``moment`` must be aware, its fraction of a second is dropped."""
    if moment.tzinfo is None:
        raise ValueError("a backup's moment needs a time zone")
    stamp = moment.astimezone(UTC).isoformat(timespec="seconds")[:19].replace(":", "-")
    return f"{group(database, environment)}_{stamp}Z"


def parse_stem(text: str) -> Stem | None:
    """Read a stem back; None for everything that ``stem`` cannot have written."""
    match = _STEM.fullmatch(text)
    if match is None:
        return None
    database = unsafe_name(match["safe"])
    try:
        moment = datetime.fromisoformat(f"{match['day']}T{match['time'].replace('-', ':')}+00:00")
        ours = stem(database, match["environment"], moment) == text
    except ValueError:
        return None
    return Stem(database, match["environment"], moment) if ours else None


def parse_file(name: str) -> tuple[str, str] | None:
    """Split a finished file's name into stem and suffix; None if it has none of ours."""
    for suffix in SUFFIXES:
        if name.endswith(suffix):
            return name.removesuffix(suffix), suffix
    return None


def metadata_name(dump_name: str) -> str:
    """Name the metadata that belongs to a dump, whatever the dump is called."""
    return dump_name.removesuffix(DUMP) + METADATA


def globals_name(dump_name: str) -> str:
    """Name the roles and tablespaces that belong to a dump."""
    return dump_name.removesuffix(DUMP) + GLOBALS


def proof_name(dump_name: str) -> str:
    """Name the proof that belongs to a dump."""
    return dump_name.removesuffix(DUMP) + PROOF


def notes_name(dump_name: str) -> str:
    """Name the notes of people that belong to a dump."""
    return dump_name.removesuffix(DUMP) + NOTES


def proof_path(dump: Path) -> Path:
    """Name the proof beside a dump in the file system."""
    return dump.with_name(proof_name(dump.name))


def lock_name(group_name: str) -> str:
    """Name a group's lock; hidden, as no safe name is, so that it never meets a backup's file."""
    return f".{group_name}{_LOCK}"


def partial(path: Path) -> Path:
    """Name the file while it is being written."""
    return path.with_name(path.name + PARTIAL)
