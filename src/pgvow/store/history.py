"""The run log of a directory: one line of JSON for each run, finished or not.

A run that lives has a hidden file of its own, with a lock on it that the kernel keeps, and no line.
When it ends, the line is appended and the file removed. When it dies, the next run finds the file
without its lock, and writes the line in its place.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import secrets
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgvow import __version__, durable
from pgvow.errors import PgvowError
from pgvow.file_errors import refusals
from pgvow.runs import Operation, Outcome, Run
from pgvow.signals import SignalsKeptBack
from pgvow.store.directory import DirectoryStore, is_named, try_lock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import BinaryIO

NAME = "history.jsonl"
OLDER = "history.1.jsonl"
_MARK = re.compile(r"\.pgvow-run-(?P<id>[0-9TZ]+-[0-9a-f]{8})\.json")
_LARGEST = 5_000_000
_LONGEST_LINE = 1 << 20
_MOST_READ = 8 << 20  # our own files are put aside at 5 MB
_LONGEST_TEXT = 4000
_MOST_WARNINGS = 50
_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW


def new_run(operation: Operation, now: datetime) -> Run:
    """Return a run of this process that begins now; ids sort by their timestamps."""
    moment = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    return Run(
        id=f"{moment}-{secrets.token_hex(4)}",
        operation=operation,
        started=now,
        pid=os.getpid(),
        pgvow_version=__version__,
    )


@dataclass(frozen=True, slots=True)
class HistoryContents:
    """The runs of a history, oldest first, and the number of lines that could not be read."""

    runs: tuple[Run, ...]
    broken: int


class History:
    """The history of one directory. Raises AccessDenied, NoSpace or PgvowError."""

    def __init__(self, directory: Path, *, largest: int = _LARGEST) -> None:
        self.directory = Path(directory)
        self._largest = largest
        self._marks: dict[str, int] = {}

    @property
    def path(self) -> Path:
        """The file that is appended to."""
        return self.directory / NAME

    def begin(self, run: Run) -> None:
        """Create the mark of a live run, locked until the run ends or this process does."""
        path = self._mark(run.id)
        with refusals("write", path), SignalsKeptBack() as signals:
            self._marks[run.id] = fd = _locked(path)
            try:
                os.pwrite(fd, _line(run), 0)
                durable.sync(fd)
                durable.sync_directory(self.directory)
            except OSError:  # the disk is full: an empty mark would be buried as a run that died
                path.unlink()
                raise
        signals.deliver()

    def finish(self, run: Run) -> None:
        """Append the line of a run that has ended, and take its mark away."""
        self._append([run])
        path = self._mark(run.id)
        with refusals("remove", path):
            path.unlink(missing_ok=True)
        fd = self._marks.pop(run.id, None)
        if fd is not None:
            os.close(fd)

    def add(self, runs: Sequence[Run]) -> None:
        """Append the lines of runs that have ended and had no mark of their own."""
        self._append(list(runs))

    def bury(self) -> list[Run]:
        """Write the lines of the runs that have died, each once, however many come to do it."""
        buried = []
        for path in self._mark_paths():
            with suppress(PgvowError), _mark_of(path) as (is_dead, run):
                if is_dead and path.exists():
                    # A run whose line was written and whose mark stayed has ended, not died. An
                    # empty mark is of a run that had not begun.
                    if run is not None and run.id not in self._ended()[0]:
                        buried.append(_died(run))
                        self._append(buried[-1:])
                    path.unlink(missing_ok=True)
        return buried

    def read(self) -> HistoryContents:
        """Read the runs that have ended, that have died, buried or not, and that live."""
        runs, broken = self._ended()
        for path in self._mark_paths():
            run = self._marked(path)
            if run is not None and run.id not in runs:
                runs[run.id] = run
        ordered = sorted(runs.values(), key=lambda run: (run.started, run.id))
        return HistoryContents(tuple(ordered), broken)

    def _ended(self) -> tuple[dict[str, Run], int]:
        """Return the runs that have a line, by id, and the number of lines that are no run."""
        runs: dict[str, Run] = {}
        broken = 0
        for path in (self.directory / OLDER, self.path):
            for line in _lines(path):
                run = _run(line) if line is not None else None
                if run is None:
                    broken += 1
                else:
                    runs[run.id] = run
        return runs, broken

    def _marked(self, path: Path) -> Run | None:
        """Return the run of a mark, as one that lives or that has died."""
        with suppress(PgvowError), _mark_of(path) as (is_dead, run):
            if is_dead:
                return _died(run) if run else None
        data = _contents(path)
        return None if data is None else _run(data)

    def _mark(self, identity: str) -> Path:
        return self.directory / f".pgvow-run-{identity}.json"

    def _mark_paths(self) -> list[Path]:
        listed = DirectoryStore(self.directory).list()
        return [self.directory / name for name in sorted(listed) if _MARK.fullmatch(name)]

    def _append(self, runs: list[Run]) -> None:
        data = b"".join(map(_line, runs))
        with refusals("write", self.path):
            while not self._try_to_append(data):
                pass

    def _try_to_append(self, data: bytes) -> bool:
        """Append with the file locked; returns False if the file was rotated meanwhile."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | _FLAGS
        fd = os.open(self.path, flags, 0o600)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise OSError(errno.EINVAL, "it is not a regular file")
            fcntl.flock(fd, fcntl.LOCK_EX)
            if not is_named(fd, self.path):
                return False
            size = os.fstat(fd).st_size
            if size and size + len(data) > self._largest:
                self.path.replace(self.directory / OLDER)
                return False
            _write_whole(fd, size, data)
        finally:
            os.close(fd)
        return True


def _locked(path: Path) -> int:
    """Create and lock a mark, again if another run has removed it as a dead one in between."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if is_named(fd, path):
            return fd
        os.close(fd)


def _write_whole(fd: int, size: int, data: bytes) -> None:
    """Append, or leave the file as it was; a line that a death cut short is ended first."""
    if size and os.pread(fd, 1, size - 1) != b"\n":
        data = b"\n" + data
    try:
        while data:
            data = data[os.write(fd, data) :]
        durable.sync(fd)
    except OSError:
        os.ftruncate(fd, size)
        raise


@contextmanager
def _mark_of(path: Path) -> Iterator[tuple[bool, Run | None]]:
    """Yield (is_dead, run). The mark stays locked while the block runs."""
    with refusals("look at", path):
        try:
            fd = os.open(path, os.O_RDWR | _FLAGS)
        except FileNotFoundError:
            yield False, None
            return
        try:
            if not try_lock(fd):
                yield False, None
                return
            yield True, _run(os.pread(fd, _LONGEST_LINE, 0))
        finally:
            os.close(fd)


def _died(run: Run) -> Run:
    return replace(
        run,
        outcome=Outcome.DIED,
        title="The run died",
        cause="it ended without a word: killed, or the machine went down",
    )


def _contents(path: Path) -> bytes | None:
    """Read a mark; None if it cannot be read, or is no file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | _FLAGS)
    except OSError:
        return None
    try:
        return os.pread(fd, _LONGEST_LINE, 0) if stat.S_ISREG(os.fstat(fd).st_mode) else None
    except OSError:
        return None
    finally:
        os.close(fd)


def _lines(path: Path) -> Iterator[bytes | None]:
    """Yield the last lines of a file; None for each that is too long to be a run's.

    Of a file larger than we let ours grow the beginning is passed over, as one such line.
    """
    with refusals("read the history", path):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | _FLAGS)
        except FileNotFoundError:
            return
        with os.fdopen(fd, "rb") as file:
            about = os.fstat(fd)
            if not stat.S_ISREG(about.st_mode):
                raise OSError(errno.EINVAL, "it is not a regular file")
            if about.st_size > _MOST_READ:
                file.seek(about.st_size - _MOST_READ)
                yield None
                _pass_over(file)
            while line := file.readline(_LONGEST_LINE):
                if len(line) == _LONGEST_LINE and not line.endswith(b"\n"):
                    _pass_over(file)
                    yield None
                elif line.strip():
                    yield line


def _pass_over(file: BinaryIO) -> None:
    """Read to the end of a line."""
    while (piece := file.readline(_LONGEST_LINE)) and not piece.endswith(b"\n"):
        pass


def _line(run: Run) -> bytes:
    """Write a run as one line; texts of any length and any bytes come out short and printable."""
    values: dict[str, object] = {}
    for field in fields(run):
        value = getattr(run, field.name)
        if isinstance(value, datetime):
            value = value.astimezone(UTC).isoformat(timespec="milliseconds")
        elif isinstance(value, str):
            value = _clean(value)
        elif field.name == "warnings":
            value = [_clean(text) for text in value[:_MOST_WARNINGS]]
        elif field.name in ("selection", "steps"):
            value = [_clean(text) for text in value]
        if value not in (None, [], {}) and value is not False:
            values[field.name] = dict(value) if field.name == "seconds" else value
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _clean(text: str) -> str:
    return str(text).encode("utf-8", "backslashreplace").decode()[:_LONGEST_TEXT]


def _run(line: bytes) -> Run | None:
    """Read a line; returns None if it is none of ours."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    try:
        return Run(**_values(record))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None


_TEXTS = ("environment", "database", "title", "cause", "file", "level", "pgvow_version")
_LISTS = ("steps", "warnings", "selection")
_NUMBERS = ("exit_code", "bytes", "rows", "removed", "freed", "parts", "pid")


def _values(record: Mapping[str, Any]) -> dict[str, Any]:
    """Read the fields of a run; raises ValueError, TypeError or KeyError for wrong types."""
    values: dict[str, Any] = {
        "id": _text(record["id"]),
        "operation": Operation(record["operation"]),
        "outcome": Outcome(record["outcome"]),
        "started": _moment(record["started"]),
        "ended": _moment(record["ended"]) if "ended" in record else None,
        **{name: tuple(map(_text, record.get(name, ()))) for name in _LISTS},
        "seconds": {
            _text(phase): float(seconds) for phase, seconds in record.get("seconds", {}).items()
        },
    }
    values["by_hand"] = record.get("by_hand") is True
    values |= {name: _text(record[name]) for name in _TEXTS if name in record}
    values |= {name: _number(record[name]) for name in _NUMBERS if name in record}
    return values


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("not a whole number")
    return value


def _moment(value: object) -> datetime:
    moment = datetime.fromisoformat(_text(value))
    if moment.tzinfo is None:
        raise ValueError("a moment without a time zone")
    return moment
