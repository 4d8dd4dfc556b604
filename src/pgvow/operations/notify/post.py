"""Send messages through apprise, which is an extra of its own: ``pgvow[notify]``."""

from __future__ import annotations

import hashlib
import logging
import shlex
import sys
import threading
from dataclasses import replace
from datetime import timedelta
from html import escape
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pgvow.errors import ConfigurationError
from pgvow.operations.health.alarms import rounded
from pgvow.quoted_texts import printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from pgvow.operations.notify.message import Message
    from pgvow.settings import NotificationsSection

EXTRA = "pgvow[notify]"


def lack_of_apprise(section: NotificationsSection) -> ConfigurationError | None:
    """Return the error that notifications are set and apprise is not installed, or None."""
    if not section.urls or find_spec("apprise") is not None:
        return None
    return ConfigurationError(
        "notifications are set, and apprise, which sends them, is not installed:"
        f" it comes with {EXTRA}",
        steps=[
            f"Install it: {shlex.quote(sys.executable)} -m pip install 'apprise>=1.9'",
            "Or with pgvow, in its folder: python3 -m pip install '.[notify]'",
            "Or take urls out of [notifications] in pgvow.toml; ping and hooks work without it",
        ],
    )


class Post:
    """Sends messages; a URL that fails once is not asked again by this run. Never raises."""

    def __init__(
        self, section: NotificationsSection, now: datetime, warn: Callable[[str], None]
    ) -> None:
        self._section = section
        self._now = now
        self._warn = warn
        self._failed: set[str] = set()
        self._lack = lack_of_apprise(section)

    def send(self, message: Message) -> tuple[str, ...]:
        """Send to every URL that lacks the message; returns the digests of those that still do."""
        lacking = [
            url
            for url in self._section.urls
            if message.lacking is None or _digest(url) in message.lacking
        ]
        late = _late(message, self._now)
        return tuple(_digest(url) for url in lacking if not self._deliver(url, late))

    def _deliver(self, url: str, message: Message) -> bool:
        if self._lack is not None:
            if not self._failed:
                self._warn(f"nobody was notified: {self._lack.cause}; {self._lack.steps[0]}")
            self._failed.add(url)
        if url in self._failed:
            return False
        reason = deliver(url, message, self._section.timeout)
        if reason is None:
            return True
        self._failed.add(url)
        self._warn(f"a notification to {masked(url)} failed: {reason}; the next run tries again")
        return False


def _late(message: Message, now: datetime) -> Message:
    """Return a message that was not delivered when its event happened with a word about that."""
    late = now - message.at
    if late <= timedelta(hours=1):
        return message
    text = f"(This is {rounded(late)} late: it could not be delivered before.)"
    html = None if message.html is None else f"<p>{escape(text)}</p>\n{message.html}"
    return replace(message, body=f"{text}\n\n{message.body}", html=html)


def _digest(url: str) -> str:
    return hashlib.sha256(url.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def deliver(url: str, message: Message, seconds: float) -> str | None:
    """Send a message to one URL; returns None if it was taken, else the reason."""
    outcome: list[str | None] = []

    def work() -> None:
        try:
            outcome.append(_deliver(url, message))
        except Exception as error:  # noqa: BLE001 - a hundred services' own errors
            outcome.append(type(error).__name__)

    # A daemon: a service that hangs must not keep a backup from ending.
    thread = threading.Thread(target=work, name="pgvow-notify", daemon=True)
    thread.start()
    thread.join(seconds)
    return outcome[0] if outcome else f"no answer within {seconds:g} s"


def _deliver(url: str, message: Message) -> str | None:
    import apprise  # noqa: PLC0415 - slow to load, few runs have anything to send, and it is an extra

    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    service = apprise.Apprise()
    if not service.add(url):
        return "apprise knows no such URL"
    is_html = message.html is not None and all(_takes_html(each) for each in service)
    # Text is named as such: a service that takes HTML or Markdown gets its line breaks, and no
    # name of a table is markup there.
    text = (message.html or "") if is_html else message.body
    # A service without titles puts it into the body, where it would be markup.
    is_inside = is_html and all(each.title_maxlen <= 0 for each in service)
    title = printable(message.title)
    taken = service.notify(
        title=escape(title) if is_inside else title,
        body="\n".join(map(printable, text.split("\n"))),
        notify_type=message.type.value,
        body_format=apprise.NotifyFormat.HTML if is_html else apprise.NotifyFormat.TEXT,
    )
    return None if taken else "it was not taken"


def _takes_html(service: Any) -> bool:
    """Return whether a service of apprise's shows HTML if nobody says otherwise; or by its URL."""
    # From 2.0 on a service may take several formats: this is then a method, with the answer.
    resolve = getattr(service, "resolve_format", None)
    taken = resolve(None) if resolve is not None else service.notify_format
    return str(getattr(taken, "value", taken)) == "html"


def masked(url: str) -> str:
    """Return a URL of which only the kind of service is left."""
    return f"{urlsplit(url).scheme or '…'}://…"
