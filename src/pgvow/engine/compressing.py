"""How pg_dump is told to compress."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.archive import Compression
from pgvow.errors import ToolUnsuitable
from pgvow.postgres.binaries import install_steps

if TYPE_CHECKING:
    from pgvow.model import Compress
    from pgvow.postgres.binaries import Installation

_FIRST_WITH_CHOICE = 16
_GZIP_DEFAULT = 6


def compress_option(compress: Compress, installation: Installation) -> str:
    """Return pg_dump's option for it; raises ToolUnsuitable where it has none.

    What it writes must be read by the pg_restore of the same installation.
    """
    level = _GZIP_DEFAULT if compress.level is None else compress.level
    if compress.algorithm is Compression.NONE:
        return "--compress=0"
    if compress.algorithm is Compression.GZIP:
        return f"--compress={level}"
    if installation.major < _FIRST_WITH_CHOICE:
        raise ToolUnsuitable(
            f"pg_dump and pg_restore {installation.version} know nothing of {compress.algorithm}:"
            f" it came with {_FIRST_WITH_CHOICE}",
            steps=[
                "Use gzip: --compress gzip",
                f"Or install newer programs: {install_steps(_FIRST_WITH_CHOICE)[0]}",
            ],
        )
    name = str(compress.algorithm)
    return f"--compress={name}" if compress.level is None else f"--compress={name}:{compress.level}"
