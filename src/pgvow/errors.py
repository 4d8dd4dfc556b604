"""Every error pgvow can end with, each with its exit code.

::

    PgvowError                 1    anything not below
    ├── NoVerdict              1    a check that could not be finished: no evidence either way
    ├── NoResources            1    no memory or no file handles left (7 in a backup)
    ├── ConfigurationError     2    settings or usage; lists every problem at once
    ├── ConnectionFailed       3    no connection, or refused by authentication
    ├── AccessDenied           4    the database or the file system says no
    ├── NoSpace                5    disk full, found early or met midway
    ├── ToolUnsuitable         6    pg_dump, pg_restore … missing or too old
    ├── BackupFailed           7    making the backup failed
    │   ├── NothingMatches     7    what was chosen is not there
    │   └── LockNotGranted     7    a table's lock was not to be had in time
    ├── VerificationFailed     8    a backup is not what its metadata says
    │   └── UnreadableFile     8    a backup's file cannot be read: it says nothing of the data
    ├── AlreadyRunning         9    another run holds this database's lock
    ├── RestoreFailed         10    restoring failed, and with it the new database
    ├── CannotBeProven        13    something that a proof needs is not to be had here
    ├── Stalled                1    a server or tool fell silent; 7 of a backup, 10 of a restore
    │   └── RunTimedOut        1    the run took longer than it may; likewise
    └── Interrupted     130, 143    Ctrl-C, SIGTERM

    no error          11, 12, 14    status and doctor; a rescue with something loosened

The codes are an interface (docs/exit-codes.md) and never change meaning. An error carries the
*cause* in the words of whoever refused, the *facts* it concerns (never a password), and the
*steps* that mend it; how that looks on a screen is decided in ``pgvow.cli`` alone.
"""

from __future__ import annotations

import errno
import os
import signal
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from pgvow.quoted_texts import quotable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self


_MORE_MEMORY = "Free memory, or use fewer workers: --jobs 2; see what else runs: free -h"


class PgvowError(Exception):
    """What failed, why, what it concerns, and what to do next."""

    exit_code: ClassVar[int] = 1
    title: ClassVar[str] = "Unexpected error"

    def __init__(
        self,
        cause: str,
        *,
        facts: Mapping[str, str] | None = None,
        steps: Sequence[str] = (),
    ) -> None:
        self.cause = quotable(cause)
        super().__init__(self.cause)
        self._facts: Mapping[str, str] = {}
        self.with_facts(facts or {})
        self.steps = tuple(map(quotable, steps))

    @property
    def facts(self) -> Mapping[str, str]:
        """What it concerns; to be read alone, for ``with_facts`` masks the secrets."""
        return MappingProxyType(self._facts)

    @property
    def status(self) -> int:
        """The exit code of a process that ends with this error."""
        return self.exit_code

    def with_facts(self, facts: Mapping[str, str]) -> Self:
        """Add what only an outer layer knows; what is known already stays."""
        self._facts = {**{name: quotable(text) for name, text in facts.items()}, **self._facts}
        return self


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in the settings: where it stands, and what would be right."""

    variable: str
    source: str | None
    complaint: str
    example: str | None = None

    def __str__(self) -> str:
        where = f" (from {self.source})" if self.source else ""
        example = f"; for example {self.example}" if self.example else ""
        return f"{self.variable}{where}: {self.complaint}{example}"


class ConfigurationError(PgvowError):
    """The settings or the command line cannot be used; ``problems`` has all of them."""

    exit_code = 2
    title = "Configuration error"

    def __init__(
        self,
        cause: str,
        *,
        problems: Sequence[Problem] = (),
        facts: Mapping[str, str] | None = None,
        steps: Sequence[str] = (),
    ) -> None:
        super().__init__(cause, facts=facts, steps=steps)
        self.problems = tuple(problems)

    @classmethod
    def of(cls, problems: Sequence[Problem]) -> ConfigurationError:
        """One error for all the problems of one run."""
        return cls(
            "\n".join(str(problem) for problem in problems),
            problems=problems,
            steps=[
                "Mend each line above where it says it comes from",
                "See what is in force: pgvow doctor",
            ],
        )


class NoVerdict(PgvowError):
    """A check did not come to its end, for a reason that is no evidence about the backup."""

    title = "No verdict on the backup"


class NoResources(PgvowError):
    """The operating system has no memory or no file handles left for us."""

    title = "Out of memory or of file handles"


class ConnectionFailed(PgvowError):
    """The server was not reached, or did not let us in."""

    exit_code = 3
    title = "Database connection error"


class AccessDenied(PgvowError):
    """The database or the file system refused something we may not do."""

    exit_code = 4
    title = "Permission denied"


class NoSpace(PgvowError):
    """The disk is full, or would be before the backup is done."""

    exit_code = 5
    title = "Not enough disk space"


class ToolUnsuitable(PgvowError):
    """A program of PostgreSQL's is missing or too old for this server or archive."""

    exit_code = 6
    title = "PostgreSQL client tools missing or too old"


class BackupFailed(PgvowError):
    """The backup could not be made; nothing was published."""

    exit_code = 7
    title = "The backup could not be made"


class NothingMatches(BackupFailed):
    """No table or schema matches what was chosen, at this moment."""

    title = "Nothing matches what was chosen"


class LockNotGranted(BackupFailed):
    """Some table stayed locked by others beyond the time the user allows."""

    title = "A table stayed locked"


class VerificationFailed(PgvowError):
    """A file is not the backup it claims to be."""

    exit_code = 8
    title = "Verification failed"


class UnreadableFile(VerificationFailed):
    """A file of a backup cannot be read: a bad sector, a loop of links, a pipe in its place."""

    title = "A file cannot be read"


class AlreadyRunning(PgvowError):
    """Another backup of this database into this directory is under way."""

    exit_code = 9
    title = "Another backup is running"


class RestoreFailed(PgvowError):
    """A restore met an error that is not known to be harmless."""

    exit_code = 10
    title = "The restore failed"


class CannotBeProven(PgvowError):
    """An extension or a collation is not to be had here: neither proven nor refuted."""

    exit_code = 13
    title = "This backup cannot be proven here"


class Stalled(PgvowError):
    """A server or a tool gave no sign of progress for too long, and the run was ended.

    ``code`` is that of the failure of whatever was done: no verdict about any backup.
    """

    title = "A server or a tool fell silent"

    def __init__(
        self,
        cause: str,
        *,
        code: int = PgvowError.exit_code,
        facts: Mapping[str, str] | None = None,
        steps: Sequence[str] = (),
    ) -> None:
        super().__init__(cause, facts=facts, steps=steps)
        self.code = code

    @property
    def status(self) -> int:
        """The exit code of a process that ends with this error."""
        return self.code


class RunTimedOut(Stalled):
    """The whole run took longer than the user allows."""

    title = "The run took too long"


_OUT_OF_RESOURCES = {
    errno.EMFILE: "Allow more open files: ulimit -n 4096",
    errno.ENFILE: "Allow more open files on this machine: sysctl fs.file-max",
    errno.ENOMEM: _MORE_MEMORY,
    errno.EAGAIN: "Allow more processes: ulimit -u",
}


def lack_of_resources(error: BaseException) -> NoResources | None:
    """Translate a lack of memory, file handles or processes; None for any other error."""
    if isinstance(error, MemoryError):
        return NoResources("out of memory", steps=[_MORE_MEMORY])
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return NoResources(str(error), steps=[_OUT_OF_RESOURCES[errno.EAGAIN]])
    if isinstance(error, OSError) and error.errno in _OUT_OF_RESOURCES:
        facts = {"Path": str(error.filename)} if error.filename else {}
        cause = os.strerror(error.errno)
        return NoResources(cause, facts=facts, steps=[_OUT_OF_RESOURCES[error.errno]])
    return None


class Interrupted(PgvowError):
    """A signal asked us to stop; what was half made has been cleared away."""

    title = "Interrupted"

    def __init__(self, signum: int) -> None:
        super().__init__(f"received {signal.Signals(signum).name}")
        self.signum = signum

    @property
    def status(self) -> int:
        """128 plus the signal's number, as shells have it."""
        return 128 + self.signum
