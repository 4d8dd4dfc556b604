"""How long a command waits for a server or a tool, from its options."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from pgvow.errors import PgvowError
    from pgvow.progress import Progress, Step


@contextmanager
def patient(
    arguments: argparse.Namespace, progress: Progress, failure: type[PgvowError]
) -> Iterator[Progress]:
    """Watch an operation, and yield the progress for it; a stall ends it with a failure's code."""
    from pgvow.postgres.silence import Patience, check, watching  # noqa: PLC0415 - not for --help

    limit = arguments.run_timeout
    patience = Patience(
        stall=arguments.stall_timeout.total_seconds(),
        run=None if limit is None else limit.total_seconds(),
    )
    with watching(patience, failure.exit_code):
        yield Heeding(arguments.watch.timed(progress), check)


class Heeding:
    """A progress that hands on to another, and ends work that waits for nobody but takes too long.

    Hashing and decoding wait for no server and no tool: they report their progress often.
    """

    def __init__(self, progress: Progress, check: Callable[[], None]) -> None:
        self._progress = progress
        self._check = check

    def update(self, step: Step) -> None:
        """Hand on; raises Stalled if the run was ended."""
        self._check()
        self._progress.update(step)

    def warn(self, message: str) -> None:
        """Hand on."""
        self._progress.warn(message)
