"""The state of notifications, kept beside the backups: one file, locked while it is used."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pgvow.file_errors import refusals
from pgvow.operations.notify.message import Message, MessageType
from pgvow.settings import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NAME = ".pgvow-notifications.json"
SUBJECT = len(("operation", "environment", "database"))
_LARGEST = 10_000_000
_ALARM_KEY = len(("kind", "environment", "database", "name"))


@dataclass
class State:
    """The state as last reported: failures, alarms, the last digest, and messages still unsent.

    ``digest`` is when the last digest was written, or from when on the first one counts.
    """

    failed: set[str] = field(default_factory=set)
    alarms: dict[str, str] = field(default_factory=dict)
    waiting: list[Message] = field(default_factory=list)
    digest: datetime | None = None


@contextmanager
def locked(directory: Path) -> Iterator[int]:
    """Yield the descriptor of a directory's state, locked; raises AccessDenied or PgvowError."""
    path = directory / NAME
    with refusals("write", path):
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(path, flags, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield fd
        finally:
            os.close(fd)


def read(fd: int, warn: Callable[[str], None]) -> State:
    """Read a state; one that cannot be read is a warning, and forgotten."""
    data = os.pread(fd, _LARGEST, 0)
    if not data.strip():
        return State()
    try:
        return _decoded(json.loads(data))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        warn(f"{NAME} cannot be read; what was told before is forgotten")
        return State()


def write(fd: int, state: State) -> None:
    """Write a state down to the disk, or leave the one that is there; raises OSError."""
    stored = {
        "failed": sorted(state.failed),
        "alarms": state.alarms,
        "waiting": [_stored(message) for message in state.waiting],
        "digest": state.digest.isoformat() if state.digest else None,
    }
    data = json.dumps(stored, indent=1).encode("utf-8", "backslashreplace") + b"\n"
    before = os.pread(fd, _LARGEST, 0)
    try:
        _write_whole(fd, data)
    except OSError:
        _write_whole(fd, before)  # the disk is full: the blocks of this one are there already
        raise


def _write_whole(fd: int, data: bytes) -> None:
    written = 0
    while written < len(data):  # short just before a disk is full
        written += os.pwrite(fd, data[written:], written)
    os.ftruncate(fd, len(data))
    os.fsync(fd)


def _stored(message: Message) -> dict[str, Any]:
    return {
        "event": message.event,
        "type": message.type,
        "title": message.title,
        "body": message.body,
        "html": message.html,
        "at": message.at.isoformat(),
        "lacking": message.lacking,
    }


def _decoded(stored: dict[str, Any]) -> State:
    for subject in stored["failed"]:
        if len(json.loads(subject)) not in (SUBJECT, SUBJECT + 1):
            raise ValueError("not a subject")
    for key in stored["alarms"]:
        if len(json.loads(key)) != _ALARM_KEY:
            raise ValueError("not the key of an alarm")
    digest = stored.get("digest")
    return State(
        failed=set(stored["failed"]),
        alarms={str(key): str(text) for key, text in stored["alarms"].items()},
        waiting=[_message(each) for each in stored["waiting"]],
        digest=None if digest is None else _moment(digest),
    )


def _message(stored: dict[str, Any]) -> Message:
    """Read a message; one that version 0.1 kept has no type."""
    html, lacking = stored.get("html"), stored.get("lacking")
    return Message(
        None if stored["event"] is None else Event(stored["event"]),
        MessageType(stored.get("type", MessageType.WARNING)),
        str(stored["title"]),
        str(stored["body"]),
        _moment(stored["at"]),
        None if html is None else str(html),
        None if lacking is None else tuple(map(str, lacking)),
    )


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a moment without a time zone")
    return moment
