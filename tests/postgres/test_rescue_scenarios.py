"""A rescue of a scenario with one sabotage: nothing but that is missing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.support.inprocess import back_up
from tests.support.restoring import databases, restore
from tests.support.scenarios import Scenario, load, pairs

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import TestServer

# An index that raises, a foreign key without its rows, a check that no longer holds.
_SABOTAGE = """
CREATE SCHEMA sabotaged;
CREATE TABLE sabotaged.parent (id integer PRIMARY KEY);
CREATE TABLE sabotaged.child (id integer CONSTRAINT to_parent REFERENCES sabotaged.parent);
CREATE FUNCTION sabotaged.f(n integer) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT n';
CREATE FUNCTION sabotaged.c(n integer) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT true';
CREATE TABLE sabotaged.t (n integer CONSTRAINT small CHECK (sabotaged.c(n)));
INSERT INTO sabotaged.parent VALUES (1);
INSERT INTO sabotaged.child VALUES (1);
INSERT INTO sabotaged.t SELECT n FROM generate_series(1, 20) AS n;
CREATE INDEX i ON sabotaged.t (sabotaged.f(n));
CREATE OR REPLACE FUNCTION sabotaged.f(n integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql
AS $$ BEGIN RAISE EXCEPTION 'not now'; END $$;
CREATE OR REPLACE FUNCTION sabotaged.c(n integer) RETURNS boolean IMMUTABLE LANGUAGE sql
AS 'SELECT n < 15';
SET session_replication_role = replica;
DELETE FROM sabotaged.parent;
"""
_EXPECTED = {
    "CHECK sabotaged.t small": 6,
    "FK CONSTRAINT sabotaged.child to_parent": 1,
    "INDEX sabotaged.i": None,
}
_FEW = ("bytea", "partitions", "event_trigger", "extension_config", "row_security")
_PAIRS = [
    case
    for case in pairs(15, 18)
    if "PGVOW_TEST_ALL" in os.environ or str(case.id).split("-")[0] in _FEW
]


@pytest.mark.parametrize(("scenario", "server"), _PAIRS, indirect=["server"])
def test_nothing_but_the_sabotage_is_missing(
    server: TestServer, scenario: Scenario, tmp_path: Path
) -> None:
    """Every row of the scenario is compared and equal, and only the sabotage is loosened."""
    name = load(server, scenario)
    try:
        server.psql(name, _SABOTAGE)
        dump = back_up(server, name, tmp_path).backup.path
        result = restore(server, dump, f"{name}_r", rescue=True)
        assert _EXPECTED == {each.shown.name: each.shown.rows for each in result.rescue.loosened}
        assert result.comparison is not None
        assert result.comparison.equal
    finally:
        for each in databases(server):
            if each.startswith(name):
                server.drop_database(each)
