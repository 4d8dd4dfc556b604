"""A copy beside a living table that does not come to its end leaves nothing under its name."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pgvow.errors import RestoreFailed
from pgvow.progress import Phase, Silent
from tests.support import children, restore_and_die
from tests.support.beside import CLEAN, Shop
from tests.support.commands import clean_environment, settings_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pgvow.progress import Step
    from tests.support.servers import TestServer


@pytest.fixture(scope="module")
def shop(server: TestServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Make the shop and its backup, once for a server."""
    shop = Shop(server, tmp_path_factory.mktemp("shop"))
    yield shop
    shop.drop()


def _die(shop: Shop, moment: str, signum: signal.Signals) -> int:
    """Run a copy that gets a signal at a step, and return its exit status."""
    return subprocess.run(
        [
            *(sys.executable, restore_and_die.__file__, moment, signum.name),
            *("restore", shop.dump, "--table", "orders", "--into", shop.name),
        ],
        cwd=shop.dump.parent,
        env={
            **children.environment(),
            **clean_environment(),
            **settings_for(shop.server, "postgres"),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
        timeout=120,
    ).returncode


@pytest.mark.majors(18)
def test_a_copy_that_is_killed_leaves_no_table_and_the_next_clears_up(shop: Shop) -> None:
    """With the rows in place, and inside the last transaction; the living table is untouched."""
    newest = shop.newest()
    before = shop.living(newest)
    for moment in ("phase:comparing", 'before:DROP SCHEMA "pgvow_'):
        assert -signal.SIGKILL == _die(shop, moment, signal.SIGKILL)
        assert [(None,)] == shop.ask("SELECT to_regclass('public.orders_before')::text")
        assert before == shop.living(newest)
        assert CLEAN != shop.remains()
    warnings = shop.copy("orders", name="afterwards").result.warnings
    assert any("dropped the schema pgvow_" in each for each in warnings)
    assert CLEAN == shop.remains()
    shop.server.psql(shop.name, "DROP TABLE afterwards")
    assert before == shop.living(newest)


@pytest.mark.majors(18)
def test_a_copy_that_is_ended_clears_up_itself(shop: Shop) -> None:
    """SIGTERM with the rows in place: nothing of it is left."""
    assert 128 + signal.SIGTERM == _die(shop, "phase:naming", signal.SIGTERM)
    assert [(None,)] == shop.ask("SELECT to_regclass('public.orders_before')::text")
    assert CLEAN == shop.remains()


class _At(Silent):
    """Run a statement in the shop when a phase begins."""

    def __init__(self, shop: Shop, phase: Phase, statement: str) -> None:
        self._shop, self._phase, self._statement = shop, phase, statement

    def update(self, step: Step) -> None:
        """Run it once."""
        if step.phase is self._phase and self._statement:
            statement, self._statement = self._statement, ""
            self._shop.server.psql(self._shop.name, statement)


@pytest.mark.majors(18)
def test_a_name_that_is_taken_meanwhile_stays_with_the_other(shop: Shop) -> None:
    """The last transaction fails as a whole, and the other's table is left as it is."""
    taking = _At(shop, Phase.NAMING, "CREATE TABLE orders_before (mine int)")
    with pytest.raises(RestoreFailed, match="already exists"):
        shop.copy("orders", progress=taking)
    assert [("mine",)] == shop.ask(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'orders_before'::regclass AND attnum > 0"
    )
    shop.server.psql(shop.name, "DROP TABLE orders_before")
    assert CLEAN == shop.remains()


_CHANGE = """
DO $$ BEGIN
  EXECUTE (SELECT format({}, nspname) FROM pg_namespace WHERE nspname ~ '^pgvow_');
END $$
"""


@pytest.mark.majors(18)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("'UPDATE %I.orders_before SET note = 1 WHERE id = 5'", "orders"),
        ("'DELETE FROM %I.orders_before WHERE id = 200'", "199 rows"),
        ("'SELECT setval(''%I.orders_before_number_seq'', 7)'", "orders_number_seq"),
    ],
)
def test_a_copy_that_differs_from_the_backup_gets_no_name(
    shop: Shop, change: str, message: str
) -> None:
    """A value, a row, the position of a sequence: nothing is left, and the error names it."""
    changing = _At(shop, Phase.COMPARE, _CHANGE.format(change))
    with pytest.raises(RestoreFailed, match=message):
        shop.copy("orders", progress=changing)
    assert [(None,)] == shop.ask("SELECT to_regclass('public.orders_before')::text")
    assert CLEAN == shop.remains()
