"""Engines that fill an archive from a snapshot; the choice among them, and the attempts."""

from __future__ import annotations

from pgvow.engine.attempts import Dumping
from pgvow.engine.pg_dump import DumpCommand
from pgvow.engine.protocol import DumpOptions, Engine, FilledArchive, is_parallel

__all__ = ["DumpCommand", "DumpOptions", "Dumping", "Engine", "FilledArchive", "is_parallel"]
