"""``pgvow adopt`` and the reports about a dump that is not ours, without a server."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pgvow.adoption import Adopted
from pgvow.archive import read_toc
from pgvow.model import level_reached
from pgvow.operations.core.foreign import created
from pgvow.store import decode, encode
from tests.support.archives import Schema, Spec, Table, build
from tests.support.backups import MOMENT, contents, metadata
from tests.support.commands import Commands
from tests.support.servers import programs

if TYPE_CHECKING:
    from pathlib import Path

_DUMP = build(
    Spec(
        parts=(
            Schema("orders", defn="CREATE TABLE public.orders (id integer);\n"),
            Table("orders", b"1\n2\n3\n", copy_stmt="COPY public.orders (id) FROM stdin;\n"),
        ),
        offsets=False,
    )
)
_OTHERS = {
    "plain SQL": (b"--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n", "psql"),
    "plain SQL without a head": (b"SET statement_timeout = 0;\n", "psql"),
    "compressed by gzip": (b"\x1f\x8b\x08\0" + bytes(40), "gunzip"),
    "compressed by zstd": (b"\x28\xb5\x2f\xfd" + bytes(40), "zstd"),
    "UTF-16": (b"\xff\xfeP\0G\0D\0M\0P\0", "--file"),
}


@pytest.fixture
def shell(tmp_path: Path) -> Commands:
    """A directory with a foreign dump in a folder of its own."""
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "shop.dump").write_bytes(_DUMP)
    return Commands(tmp_path, {"PGVOW_PG_BIN": str(programs(18)), "TZ": "UTC"})


def test_adopt_makes_a_backup_that_is_listed_and_recorded(shell: Commands) -> None:
    """The JSON conforms; the list has it, the history its run, and the old folder nothing new."""
    words = (
        "adopt",
        "old/shop.dump",
        "--env",
        "prod",
        "--output-dir",
        "kept",
        "--database",
        "shop",
    )
    done = shell.pgvow(*words, "--json", "--full")
    assert 0 == done.code, done.err
    assert {"orders": 3} == done.json["metadata"]["table_counts"]
    assert (None, False) == (done.json["level"], done.json["moved"])
    facts = done.json["metadata"]["adopted"]["facts"]
    assert ("option", "header") == (facts["environment"], facts["backup_timestamp"])
    (listed,) = shell.pgvow("list", "--output-dir", "kept", "--json", "--full").json
    assert ("ok", None) == (listed["status"], listed["level"])
    assert "adopt" in shell.pgvow("history", "--output-dir", "kept").out
    assert {"shop.dump"} == contents(shell.cwd / "old")
    shown = shell.pgvow("show", done.json["backup_path"]).out
    assert "never seen; adopted from shop.dump" in shown
    assert "adopted" in shell.pgvow("list", "--output-dir", "kept").out
    again = shell.pgvow(*words)
    assert 2 == again.code
    assert "is a backup already" in again.err


def test_adopt_asks_for_the_environment_if_nothing_says_it(shell: Commands) -> None:
    """A wrong guess would be pruned by another's rules: 2, and the option to give."""
    done = shell.pgvow("adopt", "old/shop.dump")
    assert 2 == done.code
    assert "--env prod" in done.err
    assert not (shell.cwd / "db").exists()


def test_verify_deep_lists_what_it_cannot_check(shell: Commands) -> None:
    """0 for a sound one, with the facts that nothing shows; 8 without --deep; none is written."""
    done = shell.pgvow("verify", "--deep", "old/shop.dump")
    assert 0 == done.code, done.out
    assert "3 rows in 1 table" in done.out
    assert "no checksum of it was recorded" in done.out
    assert 3 == len(shell.pgvow("verify", "--deep", "old/shop.dump", "--json").json["unchecked"])
    assert 8 == shell.pgvow("verify", "old/shop.dump").code
    assert 8 == shell.run("--verify", "old/shop.dump").code
    assert {"shop.dump"} == contents(shell.cwd / "old")


@pytest.mark.parametrize("name", _OTHERS)
def test_other_files_are_named_with_the_next_step(name: str, shell: Commands) -> None:
    """Each is called by its format, 8, and the first step is the command that goes on."""
    data, word = _OTHERS[name]
    (shell.cwd / "old" / "other").write_bytes(data)
    done = shell.pgvow("adopt", "old/other", "--env", "prod")
    assert 8 == done.code
    assert name.removesuffix(" without a head") in done.err
    first = next(line for line in done.err.splitlines() if line.strip().startswith("1."))
    assert word in first


def test_a_directory_of_pg_dump_is_named_with_the_next_step(shell: Commands) -> None:
    """-Fd: it is no file, and pg_restore takes it; adopt, verify and prove say so alike."""
    (shell.cwd / "folder").mkdir()
    (shell.cwd / "folder" / "toc.dat").write_bytes(b"PGDMP")
    for words in (("adopt", "--env", "prod"), ("verify", "--deep"), ("prove",)):
        done = shell.pgvow(words[0], "folder", *words[1:])
        assert 8 == done.code
        assert "pg_restore --exit-on-error -d NAME folder" in done.out + done.err


def test_adopted_metadata_read_back_and_claim_no_level() -> None:
    """They are read as written, others have no such key, and no level comes from the making."""
    facts = Adopted("x.dump", MOMENT, {"database_name": "header"}, ("data",))
    ours = metadata()
    adopted = replace(ours, adopted=facts)
    assert adopted == decode(encode(adopted))
    assert "adopted" not in json.loads(encode(ours))
    assert level_reached(ours, None) is not None
    assert level_reached(adopted, None) is None


def test_the_time_of_a_header_is_read_in_this_machines_zone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As pg_restore reads it: the same header is another moment in another zone."""
    (tmp_path / "x").write_bytes(_DUMP)
    with (tmp_path / "x").open("rb") as file:
        header = read_toc(file).header
    moments = []
    for zone in ("UTC0", "XYZ-3"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        moments.append(created(header))
    monkeypatch.undo()
    time.tzset()
    assert moments[0] is not None
    assert moments[1] is not None
    assert 3 * 3600 == (moments[0] - moments[1]).total_seconds()
