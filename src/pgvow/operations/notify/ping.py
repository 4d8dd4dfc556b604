"""A dead-man's switch in the way of healthchecks.io: who is not pinged in time raises the alarm.

``URL/start`` when a backup begins, ``URL`` when it is done, ``URL/fail`` when it failed, with a
summary in the body: https://healthchecks.io/docs/http_api/.
"""

from __future__ import annotations

import json
from base64 import b64encode
from http.client import HTTPException
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from pgvow import __version__
from pgvow.errors import AlreadyRunning
from pgvow.runs import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from pgvow.runs import Run
    from pgvow.settings import NotificationsSection

_ATTEMPTS = 2
_LONGEST = 10_000


def ping_started(run: Run, section: NotificationsSection, warn: Callable[[str], None]) -> None:
    """Say that a run begins; what goes wrong is a warning."""
    _ping(section, "/start", run, warn)


def ping_ended(run: Run, section: NotificationsSection, warn: Callable[[str], None]) -> None:
    """Say how a run ended; what goes wrong is a warning."""
    _ping(section, "" if run.outcome is Outcome.SUCCEEDED else "/fail", run, warn)


def masked(url: str) -> str:
    """A URL of which nothing secret is left: scheme and host."""
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
        return  # the other run says how it ends
    parts = urlsplit(section.ping.strip())
    user, _, place = parts.netloc.rpartition("@")
    path = parts.path.rstrip("/") + suffix
    url = urlunsplit(parts._replace(netloc=place, path=path))
    headers = {"User-Agent": f"pgvow/{__version__}", "Content-Type": "application/json"}
    if user:
        headers["Authorization"] = "Basic " + b64encode(unquote(user).encode()).decode()
    request = Request(  # noqa: S310 - the settings allow http and https alone
        url,
        data=_summary(run).encode("utf-8", "backslashreplace")[:_LONGEST],
        headers=headers,
    )
    opener = build_opener(_NoRedirects)
    reason = ""
    for _ in range(_ATTEMPTS):
        try:
            with opener.open(request, timeout=section.timeout):
                return
        except HTTPError as error:
            reason = f"HTTP {error.code}"
        except (URLError, OSError) as error:
            reason = str(getattr(error, "reason", "") or type(error).__name__)
        except (HTTPException, ValueError) as error:
            reason = type(error).__name__  # in its words the URL is quoted
    warn(f"the ping to {masked(section.ping)} failed: {reason}")


def _summary(run: Run) -> str:
    return json.dumps({**run.facts(), "seconds": dict(run.seconds)})
