"""How fast each way to compress is, and how small: on the COPY text of the benchmark's chat.

One thread, in pieces as the parallel engine has them, seconds of the processor. Sizes are those
against zlib's level 6 in one stream, which is what ``pg_dump -Z 6`` writes.

``python -m bench.compressors --help`` in the repository's folder.
"""

from __future__ import annotations

import argparse
import time
import zlib
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from bench.databases import bench_server, make_database
from pgvow.archive import Compression, encoder_for
from pgvow.engine.server_source import PIECE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pgvow.archive import Encoder

_SHAPE = "chat"
_TABLES = ("messages", "embeddings", "events")
_LEVELS: dict[Compression, Sequence[int | None]] = {
    Compression.GZIP: (1, 2, 3, None, 4, 6),
    Compression.ZSTD: (1, 2, 3),
}


def main() -> None:
    """Print one Markdown row for each way."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m bench.compressors")
    parser.add_argument("--size", type=int, default=100, help="MB of COPY text (default: 100)")
    chosen = parser.parse_args()
    with bench_server(15) as server:
        make_database(server, _SHAPE, chosen.size)
        with psycopg.connect(server.conninfo(_SHAPE)) as session:
            texts = {table: _pieces(session, table) for table in _TABLES}
    print("| |", " | ".join(f"{table}: of zlib 6, MB/s" for table in texts), "|")
    print("|---|" + "---:|" * len(texts))
    whole = {table: _in_one_stream(pieces) for table, pieces in texts.items()}
    for compression, levels in _LEVELS.items():
        for level in levels:
            encoder = encoder_for(compression, level)
            cells = [_cell(encoder, texts[table], whole[table]) for table in texts]
            name = f"{compression}:{level}" if level else f"{compression}, without a level"
            print(f"| {name} |", " | ".join(cells), "|", flush=True)


def _pieces(session: psycopg.Connection, table: str) -> list[bytes]:
    statement = sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(table))
    with session.cursor().copy(statement) as copy:
        text = b"".join(bytes(row) for row in copy)
    return [text[start : start + PIECE_BYTES] for start in range(0, len(text), PIECE_BYTES)]


def _in_one_stream(pieces: Iterable[bytes]) -> int:
    stream = zlib.compressobj(6)
    return sum(len(stream.compress(piece)) for piece in pieces) + len(stream.flush())


def _cell(encoder: Encoder, pieces: Sequence[bytes], whole: int) -> str:
    begun = time.process_time()
    size = sum(len(encoder.encode(piece).stored) for piece in pieces)
    seconds = time.process_time() - begun
    return f"{size / whole:.3f}, {sum(map(len, pieces)) / seconds / 1e6:.0f}"


if __name__ == "__main__":
    main()
