"""Commands of the user's around a backup, with the facts in their environment and on their input.

A hook that fails before a backup cancels it; one that fails after it is a warning.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile
from typing import TYPE_CHECKING

from pgvow.errors import BackupFailed
from pgvow.postgres.process import die_with_parent
from pgvow.settings import SECRET_VARIABLES
from pgvow.signals import SignalsKeptBack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import BinaryIO

    from pgvow.settings import HooksSection

_URL_WITH_PASSWORD = re.compile(r"\w://[^/?#\s]*:[^/?#\s]*@")
_GRACE_SECONDS = 5.0
_SHOWN_BYTES = 2000


class _HookFailed(Exception):
    """A hook did not end well, and why."""


def run_before(section: HooksSection, facts: Mapping[str, str], environ: Mapping[str, str]) -> None:
    """Run the hook that may forbid a backup; raises BackupFailed where it does."""
    if not section.before:
        return
    try:
        _run(section.before, facts, environ, section.timeout)
    except _HookFailed as error:
        raise BackupFailed(
            f"the hook before the backup, {section.before[0]}, {error}",
            facts={"Hook": " ".join(section.before)},
            steps=["Run it by hand", "It stands in pgvow.toml under [hooks], before"],
        ) from error


def run_after(
    section: HooksSection,
    facts: Mapping[str, str],
    environ: Mapping[str, str],
    warn: Callable[[str], None],
) -> None:
    """Run the hook that is told how a backup ended; its failure is a warning."""
    if not section.after:
        return
    try:
        _run(section.after, facts, environ, section.timeout)
    except _HookFailed as error:
        warn(f"the hook after the backup, {section.after[0]}, {error}")


def _run(
    command: tuple[str, ...], facts: Mapping[str, str], environ: Mapping[str, str], seconds: float
) -> None:
    """Run it in a process group of its own, so that what it started ends with it."""
    # Files and not pipes: a grandchild that keeps a pipe open would keep us waiting.
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said:
        given.write(json.dumps(dict(facts)).encode("utf-8", "backslashreplace") + b"\n")
        given.seek(0)
        try:
            with SignalsKeptBack() as signals:
                process = subprocess.Popen(
                    command,
                    stdin=given,
                    stdout=said,
                    stderr=subprocess.STDOUT,
                    env=_environment(facts, environ),
                    start_new_session=True,
                    preexec_fn=die_with_parent,  # noqa: PLW1509 - one prctl, safe at a fork
                )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise _HookFailed(f"cannot be started: {reason}") from error
        try:
            signals.deliver()
            code = process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise _HookFailed(f"did not end within {seconds:g} s{_told(said, environ)}") from error
        finally:
            _end(process)
        if code:
            how = f"ended with {code}" if code > 0 else f"was ended by signal {-code}"
            raise _HookFailed(how + _told(said, environ))


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what is left of its group: it itself, asked first, and whatever it started."""
    if process.poll() is None:
        _signal(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)
    _signal(process.pid, signal.SIGKILL)
    process.wait()


def _signal(group: int, signum: int) -> None:
    try:
        os.killpg(group, signum)
    except ProcessLookupError:
        pass
    except PermissionError:  # macOS, of a group in which only zombies are left
        pass


def _environment(facts: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """What a hook sees: our own environment without secrets, and the facts as PGVOW_…."""
    secret = _secrets(environ)
    clean = {name: value for name, value in environ.items() if name not in secret}
    told = {f"PGVOW_{name.upper()}": _text(value) for name, value in facts.items()}
    return {**clean, **told}


def _secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that are secrets: by their names, or because a URL in them has a password."""
    return {name: value for name, value in environ.items() if _is_secret(name, value)}


def _is_secret(name: str, value: str) -> bool:
    is_named = name in SECRET_VARIABLES or name.endswith(("_PASSWORD", "DATABASE_URL"))
    return is_named or _URL_WITH_PASSWORD.search(value) is not None


def _text(value: str) -> str:
    return value.replace("\0", "").encode("utf-8", "backslashreplace").decode()


def _told(said: BinaryIO, environ: Mapping[str, str]) -> str:
    """The last of what it said, for the message, without our secrets."""
    size = said.seek(0, os.SEEK_END)
    said.seek(max(0, size - _SHOWN_BYTES))
    text = said.read().decode("utf-8", "replace").strip()
    for secret in filter(None, _secrets(environ).values()):
        text = text.replace(secret, "***")
    return f": {text}" if text else ""
