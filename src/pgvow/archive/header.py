"""The header: versions, creation time and database of the archive, and its binary layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.archive.errors import ArchiveError, ArchiveTooNew, OtherFormat
from pgvow.archive.primitives import INT_SIZES, MAX_NAME, OFFSET_SIZES
from pgvow.model import Compression

if TYPE_CHECKING:
    from pgvow.archive.primitives import ByteReader

MAGIC = b"PGDMP"
CUSTOM_FORMAT = 1
# pg_dump writes the toc.dat of a directory as that of a tar.
_FORMATS = {3: "the toc.dat of a directory or a tar", 4: "plain SQL", 5: "a directory"}
_TAR_MAGIC, _TAR_MAGIC_AT = b"ustar", 257
_PLAIN_SQL = "plain SQL"
# The beginnings of other files that users take for an archive.
_BEGINNINGS = {
    b"--\n-- PostgreSQL": _PLAIN_SQL,
    b"\\restrict ": _PLAIN_SQL,
    b"SET ": _PLAIN_SQL,
    b"\x1f\x8b": "compressed by gzip",
    b"\x28\xb5\x2f\xfd": "compressed by zstd",
    b"\x04\x22\x4d\x18": "compressed by lz4",
    b"age-encryption.org/": "encrypted by age",
    b"\xff\xfe": "UTF-16, as PowerShell's > writes it",
}
_STEPS = {
    "a tar": ("Restore it: createdb NAME, then pg_restore --exit-on-error --dbname NAME FILE",),
    _PLAIN_SQL: ("Restore it: createdb NAME, then psql -X -v ON_ERROR_STOP=1 -d NAME -f FILE",),
    "compressed by gzip": ("Unpack it first: gunzip --keep FILE.gz",),
    "compressed by zstd": ("Unpack it first: zstd --decompress --keep FILE.zst",),
    "compressed by lz4": ("Unpack it first: lz4 -d FILE.lz4",),
    "encrypted by age": ("Decrypt it first: age --decrypt --output FILE.dump FILE",),
    "UTF-16, as PowerShell's > writes it": (
        "It is damaged by that: dump anew with pg_dump -Fc --file FILE",
    ),
    "the toc.dat of a directory or a tar": (
        "Restore its directory: createdb NAME, then pg_restore --exit-on-error -d NAME DIRECTORY",
    ),
}
"""The next step for a file in another format; then it can be backed up."""

Version = tuple[int, int]
OLDEST: Version = (1, 12)
NEWEST: Version = (1, 16)
ALGORITHM_IN_HEADER: Version = (1, 15)


# The byte that stands for each from 1.15 on.
_ALGORITHMS = (Compression.NONE, Compression.GZIP, Compression.LZ4, Compression.ZSTD)


@dataclass(frozen=True, slots=True)
class LocalTime:
    """The time at which pg_dump began, by the clock and in the zone of its machine."""

    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int
    daylight_saving: bool

    def __str__(self) -> str:
        date = f"{self.year:04}-{self.month:02}-{self.day:02}"
        return f"{date} {self.hour:02}:{self.minute:02}:{self.second:02}"


@dataclass(frozen=True, slots=True)
class Header:
    """The fields before the table of contents.

    ``level`` is the compression level up to 1.14 (-1: zlib's default), None from 1.15 on, which
    record the algorithm instead.
    """

    version: Version
    revision: int
    int_size: int
    offset_size: int
    compression: Compression
    level: int | None
    created: LocalTime
    database: str
    server_version: str
    pg_dump_version: str

    @property
    def version_text(self) -> str:
        """The format's version as pg_restore writes it, for example ``1.14-0``."""
        return f"{self.version[0]}.{self.version[1]}-{self.revision}"


def read_header(reader: ByteReader) -> Header:
    """Return the header, and set the sizes of integers and offsets of ``reader``."""
    _check_magic(reader)
    version, revision = _read_version(reader)
    reader.int_size = _read_size(reader, "integers", INT_SIZES)
    reader.offset_size = _read_size(reader, "offsets", OFFSET_SIZES)
    _check_format(reader)
    compression, level = _read_compression(reader, version)
    return Header(
        version=version,
        revision=revision,
        int_size=reader.int_size,
        offset_size=reader.offset_size,
        compression=compression,
        level=level,
        created=_read_time(reader),
        database=_read_text(reader),
        server_version=_read_text(reader),
        pg_dump_version=_read_text(reader),
    )


def _check_magic(reader: ByteReader) -> None:
    ahead = reader.ahead(_TAR_MAGIC_AT + len(_TAR_MAGIC))
    if reader.take(len(MAGIC)) == MAGIC:
        return
    if (other := _other_format(ahead)) is not None:
        raise _named(other, offset=0)
    raise ArchiveError("this is no archive of pg_dump's: it does not begin so", offset=0)


def _named(other: str, *, offset: int) -> OtherFormat:
    error = OtherFormat(f"the file is {other}, not in pg_dump's custom format", offset=offset)
    error.steps = (*_STEPS[other], error.steps[0]) if other in _STEPS else error.steps
    return error


def _other_format(ahead: bytes) -> str | None:
    """Return the format of a file that is no custom archive; None if it is unknown."""
    if ahead[_TAR_MAGIC_AT:] == _TAR_MAGIC:
        return "a tar"
    return next((name for start, name in _BEGINNINGS.items() if ahead.startswith(start)), None)


def _read_version(reader: ByteReader) -> tuple[Version, int]:
    start = reader.position
    major, minor, revision = reader.take(3)
    if not OLDEST <= (major, minor) <= NEWEST:
        oldest, newest = (".".join(map(str, version)) for version in (OLDEST, NEWEST))
        too_new = (major, minor) > NEWEST
        raise (ArchiveTooNew if too_new else ArchiveError)(
            f"the archive's version is {major}.{minor}, and {oldest} to {newest} can be read",
            offset=start,
        )
    return (major, minor), revision


def _read_size(reader: ByteReader, field: str, allowed: tuple[int, ...]) -> int:
    start = reader.position
    size = reader.byte()
    if size not in allowed:
        raise ArchiveError(f"{field} of {size} bytes are not supported", offset=start)
    return size


def _check_format(reader: ByteReader) -> None:
    start = reader.position
    archive_format = reader.byte()
    if archive_format == CUSTOM_FORMAT:
        return
    if (name := _FORMATS.get(archive_format)) is not None:
        raise _named(name, offset=start)
    raise ArchiveError(
        f"the archive's format is number {archive_format}, not pg_dump's custom format",
        offset=start,
    )


def _read_compression(reader: ByteReader, version: Version) -> tuple[Compression, int | None]:
    start = reader.position
    if version < ALGORITHM_IN_HEADER:
        level = reader.integer()
        return (Compression.GZIP if level else Compression.NONE), level
    algorithm = reader.byte()
    if algorithm >= len(_ALGORITHMS):
        raise ArchiveError(f"compression number {algorithm} is unknown", offset=start)
    return _ALGORITHMS[algorithm], None


def _read_time(reader: ByteReader) -> LocalTime:
    second, minute, hour, day, month, year, is_dst = (reader.integer() for _ in range(7))
    return LocalTime(
        year=year + 1900,
        month=month + 1,
        day=day,
        hour=hour,
        minute=minute,
        second=second,
        daylight_saving=is_dst > 0,
    )


def _read_text(reader: ByteReader) -> str:
    return (reader.string(MAX_NAME) or b"").decode("utf-8", "surrogateescape")
