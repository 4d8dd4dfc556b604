"""Backups of a part are marked wherever backups are shown, and take the place of no database."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import Commands, settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import TestServer

pytestmark = pytest.mark.majors(18)

_PART = "--table=products"


@pytest.fixture
def shop(server: TestServer, database: str, tmp_path: Path) -> Commands:
    """A user's shell, set up for a database with two tables."""
    with server.connect(database) as session:
        session.execute("CREATE TABLE products AS SELECT n FROM generate_series(1, 30) AS n")
        session.execute("CREATE TABLE orders AS SELECT n FROM generate_series(1, 500) AS n")
    return Commands(tmp_path, settings_for(server, database))


def back_up(shop: Commands, *words: str) -> Path:
    """Make a backup, a second after any other, and return its dump."""
    done = shop.pgvow("backup", "--json", *words)
    assert 0 == done.code, done.err
    return shop.cwd / str(done.json["backup_path"])


def test_a_partial_backup_is_marked_by_every_command(shop: Commands) -> None:
    """Report, list, show, verify, diff, status, history and metrics name the part."""
    whole = back_up(shop)
    made = shop.pgvow("backup", "-t", "products", "--metrics-file", "pgvow.prom")
    assert f"Only a part: {_PART}" in made.out
    found = {bool(one["selection"]): one for one in shop.pgvow("list", "--json").json}
    assert ([_PART], True, "ok") == (
        found[True]["selection"], found[True]["partial"], found[True]["status"],
    )  # fmt: skip
    assert ([], False) == (found[False]["selection"], found[False]["partial"])
    part = shop.cwd / found[True]["path"]
    assert 1 == shop.pgvow("list").out.count("! only a part")
    for words in (("show", part), ("verify", part)):
        assert _PART in shop.pgvow(*words).out, words
        assert _PART not in shop.pgvow(words[0], whole).out, words
    assert [_PART] == shop.pgvow("show", part, "--json").json["selection"]
    diff = shop.pgvow("diff", whole, part, "--json").json
    assert ([], [_PART]) == (diff["older"]["selection"], diff["newer"]["selection"])
    assert any("different parts" in one for one in diff["warnings"])
    assert f"only a part: {_PART}" in shop.pgvow("diff", whole, part).out
    (status,) = shop.pgvow("status", "--json").json["databases"]
    assert (str(whole.relative_to(shop.cwd)), [_PART]) == (
        status["newest"], status["parts"][0]["selection"],
    )  # fmt: skip
    assert f"1 backup of only a part, {_PART}" in shop.pgvow("status").out
    assert [[_PART], []] == [one["selection"] for one in shop.pgvow("history", "--operation",
        "backup", "--json").json]  # fmt: skip
    assert f"({_PART})" in " ".join(shop.pgvow("history").out.split())
    assert f'selection="{_PART}"' in (shop.cwd / "pgvow.prom").read_text()


def test_prove_latest_takes_the_newest_whole_backup(shop: Commands) -> None:
    """--latest passes parts over, and ends with 2 without a whole one; a part is proven by name."""
    part = back_up(shop, "--exclude-table-data", "orders")
    refused = shop.pgvow("prove", "--latest")
    assert 2 == refused.code
    assert "only of parts" in refused.err
    whole = back_up(shop)
    newer = back_up(shop, "-t", "products")
    assert newer.name > whole.name
    latest = shop.pgvow("prove", "--latest", "--json")
    assert (0, whole.name) == (latest.code, latest.json["path"].rpartition("/")[2])
    assert "Only a part: --exclude-table-data=orders" in shop.pgvow("prove", part).out


def test_swap_refuses_a_partial_backup(shop: Commands, server: TestServer, database: str) -> None:
    """--swap ends with 2 and the way out, configured or not; the database is as it was.

    Under another name it is restored, and the report names the part.
    """
    part = back_up(shop, "-t", "products")
    (shop.cwd / "pgvow.toml").write_text('[backup]\ntable = ["products"]\n')
    refused = shop.pgvow("restore", part, "--to", database, "--swap", "--yes", "--terminate")
    assert 2 == refused.code, refused.err
    assert "only of a part" in refused.err
    assert "--to NAME" in refused.err
    with server.connect(database) as session:
        assert [(500,)] == session.execute("SELECT count(*) FROM orders").fetchall()
    other = f"{database}_part"
    try:
        restored = shop.pgvow("restore", part, "--to", other)
        assert 0 == restored.code, restored.err
        assert f"Only a part: {_PART}" in restored.out
    finally:
        with server.connect("postgres") as session:
            session.execute(f'DROP DATABASE IF EXISTS "{other}"')


def test_the_configured_selection_counts_as_the_whole(shop: Commands) -> None:
    """The selection of [backup] is neither marked as a part nor passed over; another part is."""
    (shop.cwd / "pgvow.toml").write_text('[backup]\ntable = ["products"]\n')
    chosen = back_up(shop)
    back_up(shop, "-t", "orders")
    listed = {one["path"].rpartition("/")[2]: one for one in shop.pgvow("list", "--json").json}
    assert [_PART] == listed[chosen.name]["selection"]
    assert [False, True] == [listed[name]["partial"] for name in sorted(listed)]
    (status,) = shop.pgvow("status", "--json").json["databases"]
    assert (chosen.name, "ok") == (status["newest"].rpartition("/")[2], status["status"])


def test_metadata_of_0_1_with_a_selection_are_a_partial_backup(shop: Commands) -> None:
    """A part that 0.1 made, with a selection and none of the newer keys, is a part."""
    part = back_up(shop, "-t", "products")
    path = part.with_name(part.name.removesuffix(".dump") + ".metadata.json")
    found = json.loads(path.read_text())
    found["pgvow_version"] = "0.1.0"
    path.write_text(json.dumps(found))
    assert [True] == [one["partial"] for one in shop.pgvow("list", "--json").json]
    assert 12 == shop.pgvow("status").code


def test_prune_counts_partial_backups_apart(shop: Commands) -> None:
    """Rules count each part apart, so that the whole one stays, and the reasons name the part."""
    whole = back_up(shop)
    for _ in range(2):
        back_up(shop, "-t", "products")
    done = shop.pgvow("prune", "--keep-last", "1", "--json")
    assert 0 == done.code, done.err
    kept = {one["path"].rpartition("/")[2]: one["reasons"] for one in done.json["backups"]
        if one["keep"]}  # fmt: skip
    assert 2 == len(kept)
    assert "last 1 of 1" in kept[whole.name]
    (removed,) = [one for one in done.json["backups"] if not one["keep"]]
    assert [_PART] == removed["selection"]
    assert f"a part, counted apart: {_PART}" in removed["reasons"]
    assert whole.exists()
