"""Databases with something special about them: ``tests/scenarios/NAME/schema.sql``, one a folder.

A ``database.json`` beside it says what the database itself has to be: ``encoding``, ``locale``,
and the ``majors`` it loads on where that is not all of them.
"""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.servers import MAJORS

if TYPE_CHECKING:
    from _pytest.mark.structures import ParameterSet

    from tests.support.servers import TestServer

_FOLDER = Path(__file__).resolve().parents[1] / "scenarios"
_KEYS = {"encoding", "locale", "majors"}


@dataclass(frozen=True, slots=True)
class Scenario:
    """One folder of ``tests/scenarios``."""

    name: str
    schema: Path
    encoding: str | None = None
    locale: str | None = None
    majors: tuple[int, ...] = MAJORS


def _read(schema: Path) -> Scenario:
    side = schema.with_name("database.json")
    wanted = json.loads(side.read_text(encoding="utf-8")) if side.exists() else {}
    assert set() == set(wanted) - _KEYS, f"{side} has keys nobody reads"
    return Scenario(
        name=schema.parent.name,
        schema=schema,
        encoding=wanted.get("encoding"),
        locale=wanted.get("locale"),
        majors=tuple(wanted.get("majors", MAJORS)),
    )


SCENARIOS = tuple(_read(schema) for schema in sorted(_FOLDER.glob("*/schema.sql")))
"""All scenarios, by name."""


def pairs(*majors: int) -> list[ParameterSet]:
    """Each scenario on each of these majors that can load it: scenario and major.

    Without any: on the newest and one of the others by turns, or on all of them if PGVOW_TEST_ALL
    is set. All of them together take CI too long.
    """
    return [
        pytest.param(scenario, major, id=f"{scenario.name}-pg{major}")
        for turn, scenario in enumerate(SCENARIOS)
        for major in scenario.majors
        if major in (majors or _usual(turn))
    ]


def _usual(turn: int) -> tuple[int, ...]:
    if "PGVOW_TEST_ALL" in os.environ:
        return MAJORS
    return (MAJORS[turn % (len(MAJORS) - 1)], MAJORS[-1])


def jobs_by_turns(server: TestServer, scenario: Scenario) -> int:
    """Return the workers of a backup whose own engine is not under test: 1 to 3."""
    return 1 + zlib.crc32(f"{scenario.name}/{server.major}".encode()) % 3


def load(server: TestServer, scenario: Scenario) -> str:
    """Load a scenario into a new database and return that one's name; the caller drops it."""
    name = server.unique_name(scenario.name)
    server.create_database(name, encoding=scenario.encoding, locale=scenario.locale)
    try:
        server.psql(name, scenario.schema)
    except BaseException:
        server.drop_database(name)
        raise
    return name
