"""What must not be read by whoever looks over a shoulder: secrets in settings, and their repr."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

SECRET_PARAMETERS = frozenset(
    {"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"}
)
"""libpq's parameters that are secrets; the scram keys log in as well as the password does."""

SECRET_VARIABLES = frozenset({"DEV_DB_PASSWORD", "DB_PASSWORD", "PGPASSWORD"})
"""Variables whose values are secrets."""

_SECRET = SECRET_PARAMETERS | SECRET_VARIABLES


class Masked(Mapping[str, str]):
    """A mapping that cannot be changed, and whose ``repr`` keeps the values of secret keys."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, str] | None = None) -> None:
        self._items = dict(items or {})

    def __getitem__(self, key: str) -> str:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        shown = (
            f"{key!r}: {'***' if key in _SECRET else repr(value)}"
            for key, value in self._items.items()
        )
        return "{" + ", ".join(shown) + "}"
