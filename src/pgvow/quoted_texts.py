"""Quote texts from outside: of bounded length, and without secrets of ours that they repeat.

A server, a pooler or a hook may put anything into a message: the password it was sent, a hundred
megabytes. Every error, warning and tool's complaint passes through here before it goes anywhere.
"""

from __future__ import annotations

import json
import re
from threading import Lock
from urllib.parse import quote, quote_plus

_LONGEST = 16_000
_LEFT_OUT = "\n…\n"
_MASK = "***"
# A password of "a" or "no" is in every sentence of ours: masked it would hide causes and no secret.
_SHORTEST = 4

_lock = Lock()
_spelled: set[str] = set()


def keep_secret(secret: str | None, *, public: tuple[str | None, ...] = ()) -> None:
    """Mask the secret from now on, however it is written.

    A secret of less than four letters, or one that is a name in ``public`` too (a password like its
    user), cannot be kept: masking it would hide what failed, and for which user or database.
    """
    if not secret or len(secret) < _SHORTEST or secret in public:
        return
    with _lock:
        _spelled.update(_spellings(secret))


def _spellings(secret: str) -> set[str]:
    escaped = secret.replace("\\", "\\\\").replace("'", "\\'")
    return {
        secret,
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        secret.replace("'", "''"),
        secret.replace('"', '""'),
        escaped,
    }


def masked(text: str) -> str:
    """Return the text with asterisks in place of every secret that is known."""
    with _lock:
        found = "|".join(map(re.escape, sorted(_spelled, key=len, reverse=True)))
    return re.sub(found, _MASK, text) if found else text


def quotable(text: str) -> str:
    """Return the beginning and end of a text that is too long, without secrets."""
    text = masked(text)
    if len(text) <= _LONGEST:
        return text
    half = _LONGEST // 2
    return text[:half] + _LEFT_OUT + text[-half:]


def printable(text: str) -> str:
    """Make a text safe to show on one line: no control character, no change of direction."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape", "replace").decode()
        for one in text
    )
