"""``--log-file``: how a run went, in lines that are appended, for people or for programs."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pgvow.file_errors import refusals

if TYPE_CHECKING:
    from pathlib import Path

    from pgvow.runs import Run


class RunLog:
    """The log of one run. Raises AccessDenied, NoSpace or PgvowError where it cannot be written."""

    def __init__(self, path: Path, form: str) -> None:
        self._path = path
        self._as_json = form == "json"

    def began(self, run: Run) -> None:
        """Say that a run begins."""
        self._write(run, "began", {})

    def ended(self, run: Run) -> None:
        """Say how it ended, each warning in a line of its own before."""
        for warning in run.warnings:
            self.warned(run, warning)
        facts = run.facts()
        for name in ("operation", "outcome"):
            facts.pop(name, None)
        self._write(run, run.outcome, facts)

    def warned(self, run: Run, warning: str) -> None:
        """Say what went wrong and stopped nothing."""
        self._write(run, "warning", {"message": warning})

    def _write(self, run: Run, what: str, facts: dict[str, object]) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if self._as_json:
            head = {"at": now, "run": run.id, "operation": run.operation, "event": what}
            line = json.dumps({**head, **facts})
        else:
            told = " ".join(f"{name}={_word(value)}" for name, value in facts.items())
            line = f"{now} pgvow[{run.pid}] {run.operation} {what} {told}".rstrip()
        with refusals("write", self._path):
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
            fd = os.open(self._path, flags, 0o600)
            try:
                os.write(fd, line.encode("utf-8", "backslashreplace") + b"\n")
            finally:
                os.close(fd)


def _word(value: object) -> str:
    """A value that stays on its line, quoted where it has to be."""
    text = str(value)
    return text if text.isprintable() and " " not in text and text else json.dumps(text)
