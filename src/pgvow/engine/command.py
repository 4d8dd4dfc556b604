"""pg_dump's command line, the same for both engines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.engine.compressing import compress_option
from pgvow.model import Compress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgvow.postgres.binaries import Installation
    from pgvow.postgres.connection import Target
    from pgvow.postgres.snapshot import HeldSnapshot

LOCK_WAIT_SECONDS = 2
"""How long pg_dump may wait for a lock before everything is released and begun anew.

A TRUNCATE or ALTER that queues between our lock and pg_dump's makes pg_dump wait behind it, while
it waits for us: nobody but us can see that knot, so it has to be short.
"""


_DEFAULT = Compress()


@dataclass(frozen=True, slots=True)
class DumpCommand:
    """pg_dump of an installation, for a target; ``selection`` are its options of what to dump.

    ``encoding`` is the database's own, for a run without a snapshot of ours. ``statistics`` are the
    planner's.
    """

    target: Target
    installation: Installation
    compress: Compress = _DEFAULT
    selection: Sequence[str] = ()
    encoding: str | None = None
    statistics: bool = False

    def argv(self, held: HeldSnapshot | None, *extra: str) -> list[str]:
        """Compose its arguments for a snapshot; None is one of its own."""
        watched = held is not None and held.watched
        return [
            str(self.installation.program("pg_dump")),
            "--format=custom",
            compress_option(self.compress, self.installation),
            "--no-password",
            *self.selection,
            *(["--statistics"] if self.statistics else ()),
            *extra,
            *self._in_own_encoding(held),
            *([f"--snapshot={held.id}"] if held else ()),
            f"--lock-wait-timeout={LOCK_WAIT_SECONDS * 1000}",
            "--dbname=" + self.target.conninfo("pgvow dump", notice_our_death=watched),
        ]

    def environment(self, held: HeldSnapshot | None) -> dict[str, str]:
        """Compose its environment, which has the password."""
        watched = held is not None and held.watched
        return self.installation.environment(self.target.tool_environment(notice_our_death=watched))

    def facts(self) -> dict[str, str]:
        """What an error message should say of it."""
        return {**self.target.facts, "pg_dump": self.installation.version}

    def _in_own_encoding(self, held: HeldSnapshot | None) -> list[str]:
        # A client_encoding set for the database or its role cannot hold everything, names included.
        encoding = self.encoding
        if held:
            encoding = held.session.info.parameter_status("server_encoding")
        return [f"--encoding={encoding}"] if encoding else []
