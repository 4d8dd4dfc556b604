"""Hooks around a backup: commands of the user, and a URL that is pinged.

A command has the facts in its environment and, as JSON, on its input. One that fails before a
backup cancels it; one that fails after it is a warning.

The URL is a dead-man's switch in the way of healthchecks.io: without a ping in time it raises the
alarm. ``URL/start`` when a backup begins, ``URL`` when it is done, ``URL/fail`` when it failed,
with a summary in the body: https://healthchecks.io/docs/http_api/.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile
from base64 import b64encode
from http.client import HTTPException
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from pgvow import __version__
from pgvow.errors import AlreadyRunning, BackupFailed
from pgvow.postgres.process import die_with_parent
from pgvow.runs import Outcome
from pgvow.settings import SECRET_VARIABLES
from pgvow.signals import SignalsKeptBack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import BinaryIO

    from pgvow.runs import Run
    from pgvow.settings import HooksSection, NotificationsSection

_URL_WITH_PASSWORD = re.compile(r"\w://[^/?#\s]*:[^/?#\s]*@")
_GRACE_SECONDS = 5.0
_SHOWN_BYTES = 2000
_PING_ATTEMPTS = 2
_PING_BYTES = 10_000


class _HookFailed(Exception):
    """A hook failed; the text is the reason."""


def run_before(
    section: HooksSection, facts: Mapping[str, object], environ: Mapping[str, str]
) -> None:
    """Run the hook that may forbid a backup; raises BackupFailed if it does."""
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
    facts: Mapping[str, object],
    environ: Mapping[str, str],
    warn: Callable[[str], None],
) -> None:
    """Run the hook after a backup, with its outcome; its failure is a warning."""
    if not section.after:
        return
    try:
        _run(section.after, facts, environ, section.timeout)
    except _HookFailed as error:
        warn(f"the hook after the backup, {section.after[0]}, {error}")


def _run(
    command: tuple[str, ...],
    facts: Mapping[str, object],
    environ: Mapping[str, str],
    seconds: float,
) -> None:
    """Run it in a process group of its own, so that its children end with it."""
    # Files and not pipes: a grandchild that keeps a pipe open would keep us waiting.
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as output:
        given.write(json.dumps(dict(facts)).encode("utf-8", "backslashreplace") + b"\n")
        given.seek(0)
        try:
            with SignalsKeptBack() as signals:
                process = subprocess.Popen(
                    command,
                    stdin=given,
                    stdout=output,
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
            raise _HookFailed(
                f"did not end within {seconds:g} s{_tail(output, environ)}"
            ) from error
        finally:
            _end(process)
        if code:
            how = f"ended with {code}" if code > 0 else f"was ended by signal {-code}"
            raise _HookFailed(how + _tail(output, environ))


def _end(process: subprocess.Popen[bytes]) -> None:
    """End its group: SIGTERM for itself, then SIGKILL for all that are left."""
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


def _environment(facts: Mapping[str, object], environ: Mapping[str, str]) -> dict[str, str]:
    """Return a hook's environment: our own without secrets, and the facts as PGVOW_…."""
    secret = _secrets(environ)
    clean = {name: value for name, value in environ.items() if name not in secret}
    return {**clean, **{f"PGVOW_{name.upper()}": _text(value) for name, value in facts.items()}}


def _secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that are secrets, by name or by a password in a URL."""
    return {name: value for name, value in environ.items() if _is_secret(name, value)}


def _is_secret(name: str, value: str) -> bool:
    is_named = name in SECRET_VARIABLES or name.endswith(("_PASSWORD", "DATABASE_URL"))
    return is_named or _URL_WITH_PASSWORD.search(value) is not None


def _text(value: object) -> str:
    return str(value).replace("\0", "").encode("utf-8", "backslashreplace").decode()


def _tail(output: BinaryIO, environ: Mapping[str, str]) -> str:
    """Return the end of a hook's output, for a message, without our secrets."""
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - _SHOWN_BYTES))
    text = output.read().decode("utf-8", "replace").strip()
    for secret in filter(None, _secrets(environ).values()):
        text = text.replace(secret, "***")
    return f": {text}" if text else ""


def ping_started(run: Run, section: NotificationsSection, warn: Callable[[str], None]) -> None:
    """Ping that a run begins; an error is a warning."""
    _ping(section, "/start", run, warn)


def ping_ended(run: Run, section: NotificationsSection, warn: Callable[[str], None]) -> None:
    """Ping how a run ended; an error is a warning."""
    _ping(section, "" if run.outcome is Outcome.SUCCEEDED else "/fail", run, warn)


def _masked_ping(url: str) -> str:
    """Return the scheme and host of a URL: nothing secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or '…'}/…"


class _NoRedirects(HTTPRedirectHandler):
    """A redirect would hand the secret path to wherever it leads."""

    def redirect_request(self, *_: object) -> None:
        """Follow none."""


def _ping(
    section: NotificationsSection, suffix: str, run: Run, warn: Callable[[str], None]
) -> None:
    if section.ping is None:
        return
    if run.exit_code == AlreadyRunning.exit_code:
        return  # the other run pings
    parts = urlsplit(section.ping.strip())
    user, _, place = parts.netloc.rpartition("@")
    path = parts.path.rstrip("/") + suffix
    url = urlunsplit(parts._replace(netloc=place, path=path))
    headers = {"User-Agent": f"pgvow/{__version__}", "Content-Type": "application/json"}
    if user:
        headers["Authorization"] = "Basic " + b64encode(unquote(user).encode()).decode()
    request = Request(  # noqa: S310 - the settings allow http and https alone
        url,
        data=_summary(run).encode("utf-8", "backslashreplace")[:_PING_BYTES],
        headers=headers,
    )
    opener = build_opener(_NoRedirects)
    reason = ""
    for _ in range(_PING_ATTEMPTS):
        try:
            with opener.open(request, timeout=section.timeout):
                return
        except HTTPError as error:
            reason = f"HTTP {error.code}"
        except (URLError, OSError) as error:
            reason = str(getattr(error, "reason", "") or type(error).__name__)
        except (HTTPException, ValueError) as error:
            reason = type(error).__name__  # in its words the URL is quoted
    warn(f"the ping to {_masked_ping(section.ping)} failed: {reason}")


def _summary(run: Run) -> str:
    return json.dumps({**run.facts(), "seconds": dict(run.seconds)})
