"""Fixtures for restores and proofs: roles, and a name for the restored database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from tests.support.restoring import databases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.servers import TestServer


class MakeRole(Protocol):
    """Make a role that lasts as long as the test, and return its name."""

    def __call__(self, options: str = "", *, stem: str = "role") -> str:
        """Make it with the password ``secret`` and options of ``CREATE ROLE``."""


@pytest.fixture
def role(server: TestServer) -> Iterator[MakeRole]:
    """Make roles, which are gone after the test with all they were granted."""
    made: list[str] = []

    def make(options: str = "", *, stem: str = "role") -> str:
        name = server.unique_name(stem)
        server.psql("postgres", f"CREATE ROLE {name} PASSWORD 'secret' {options}")
        made.append(name)
        return name

    yield make
    for name in reversed(made):
        server.psql("postgres", f"DROP ROLE IF EXISTS {name}")


@pytest.fixture
def fresh(server: TestServer, role: MakeRole) -> Iterator[str]:
    """Name a database that is not there, and drop all that begin like it after the test.

    Asks for ``role`` so as to be torn down before it: what is in databases keeps roles.
    """
    del role
    name = server.unique_name("fresh")
    yield name
    for each in databases(server):
        if each.startswith(name):
            server.drop_database(each)
