"""Archives that are meant to hurt: each kind edits a sound one, in a line or two.

To add a kind: a function from the bytes of a sound archive to those of a hostile one, in ``KINDS``.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable

from tests.support.archives import NO_DATA, Schema, Spec, Table, Writer, build

Edit = Callable[[bytes], bytes]

_VERSION, _INT_SIZE, _OFFSET_SIZE, _FORMAT = 6, 8, 9, 10
PARTS = (Schema("t", defn="CREATE TABLE public.t (a text);\n"), Table("t", b"1\n2\n"))


def sound() -> bytes:
    """Return a sound archive with one table, ``public.t``."""
    return build(Spec(PARTS, version=16))


def _byte(place: int, value: int) -> Edit:
    return lambda raw: raw[:place] + bytes([value]) + raw[place + 1 :]


def _count(value: int) -> Edit:
    """Replace how many entries the table of contents has."""

    def edit(raw: bytes) -> bytes:
        writer = Writer(Spec(PARTS, version=16))
        place = len(writer.header())
        return raw[:place] + writer.integer(value) + raw[place + 5 :]

    return edit


def _first_text(length: int) -> Edit:
    """Replace the length of the first text of the first entry."""

    def edit(raw: bytes) -> bytes:
        writer = Writer(Spec(PARTS, version=16))
        place = len(writer.header()) + 5 + 10
        return raw[:place] + writer.integer(length) + raw[place + 5 :]

    return edit


def _with(*parts: Schema | Table, **options: object) -> Edit:
    return lambda _: build(Spec(parts, version=16, **options))  # type: ignore[arg-type]


def _placed(*places: int) -> Edit:
    """Let each table's data be said to lie at a byte of the file."""

    def edit(_: bytes) -> bytes:
        tables = tuple(Table(f"t{number}", b"1\n") for number in range(len(places)))
        writer = Writer(Spec(tables, version=16))
        blocks = b"".join(writer.block(number) for number in range(len(places)))
        return writer.header() + writer.toc(dict(enumerate(places))) + blocks

    return edit


def _odd_entry(desc: str, section: int) -> Edit:
    return _with(*PARTS, Schema("odd", desc, defn="SELECT 1;\n", section=section))


def _tar(raw: bytes) -> bytes:
    raw = _byte(_FORMAT, 3)(raw)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        member = tarfile.TarInfo("toc.dat")
        member.size = len(raw)
        tar.addfile(member, io.BytesIO(raw))
    return packed.getvalue()


def _negative_oid(_: bytes) -> bytes:
    writer = Writer(Spec(PARTS, version=16))
    entry = writer.entry(3, "t", "TABLE", data=NO_DATA).replace(b"16384", b"-1638")
    return writer.header() + writer.integer(1) + entry


FORMATS: dict[str, Edit] = {
    "a tar": _tar,
    "the toc.dat of a directory": _byte(_FORMAT, 3),
    "the format of a directory": _byte(_FORMAT, 5),
    "plain SQL": lambda _: b"--\n-- PostgreSQL database dump\n--\n\nSET statement_timeout = 0;\n",
    "compressed plain SQL": lambda _: b"\x1f\x8b\x08" + bytes(400),
    "something else": lambda _: b"%PDF-1.7\n" * 100,
    "-5 entries": _count(-5),
}
"""No valid structure, though pg_restore --list accepts some of them."""

KINDS: dict[str, Edit] = {
    **FORMATS,
    "2147483647 entries": _count((1 << 31) - 1),
    "a text of 2 GB": _first_text((1 << 31) - 1),
    "a text of -2 bytes": _first_text(-2),
    "an oid below 0": _negative_oid,
    "a dependency bomb": _with(
        *(Schema(f"s{n}", depends_on=tuple(range(7, 7 + 400))) for n in range(400)), *PARTS
    ),
    "dependencies in a ring": _with(
        Schema("a", depends_on=(8,)), Schema("b", depends_on=(7,)), *PARTS
    ),
    "a dependency on nothing": _with(Schema("a", depends_on=(2_000_000_000,)), *PARTS),
    "a NUL in a name": _with(Schema("a\0b"), Table("t\0", b"1\n"), *PARTS),
    "escape sequences in names": _with(Schema("\x1b]0;owned\x07\x1b[2J"), *PARTS),
    "a path for a name": _with(Table("../../../tmp/owned", b"1\n"), *PARTS),
    "data beyond the file": _placed(1 << 40),
    "data inside the head": _placed(3),
    "two tables in one block": lambda raw: _placed(*[len(_placed(0, 0)(raw)) - 60] * 2)(raw),
    "two TABLE DATA of one table": _with(*PARTS, PARTS[1]),
    "64 MB of zeros in 64 KB": _with(PARTS[0], Table("t", bytes(64 << 20) + b"\n")),
    "an unknown kind of entry": _odd_entry("PROPERTY GRAPH", 2),
    "an unknown kind after the data": _odd_entry("PROPERTY GRAPH DATA", 4),
    "integers of 1 byte": _byte(_INT_SIZE, 1),
    "integers of 8 bytes that have 4": _byte(_INT_SIZE, 8),
    "integers of 8 bytes": _with(*PARTS, int_size=8),
    "offsets of 4 bytes that have 8": _byte(_OFFSET_SIZE, 4),
    "offsets of 4 bytes": _with(*PARTS, offset_size=4),
    **{f"version 1.{n}": _byte(_VERSION, n) for n in range(10, 18)},
    **{
        f"cut after {n} bytes": (lambda raw, n=n: raw[:n])
        for n in (0, 4, 5, 6, 11, 40, 90, 200, 300)
    },
}
