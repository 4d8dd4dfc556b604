"""Verification turns red for every way in which a backup can be wrong."""

from __future__ import annotations

import json
import random
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.commands import Commands, settings_for
from tests.support.privileges import bound_by_permissions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.servers import TestServer

pytestmark = pytest.mark.majors(18)


@pytest.fixture(scope="module")
def made(server: TestServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """A shell with a small database and a sound backup of it, of which tests take copies."""
    database = server.unique_name("small")
    server.create_database(database)
    with server.connect(database) as session:
        session.execute("CREATE TABLE t AS SELECT n FROM generate_series(1, 500) AS n")
    commands = Commands(tmp_path_factory.mktemp("made"), settings_for(server, database))
    done = commands.run("--json")
    assert done.code == 0, done.err
    yield commands
    server.drop_database(database)


@pytest.fixture
def commands(made: Commands, tmp_path: Path) -> Commands:
    """A shell of this test alone, with that database."""
    return Commands(tmp_path, made.variables)


@pytest.fixture
def dump(made: Commands, commands: Commands) -> Path:
    """A copy of that backup."""
    shutil.copytree(made.cwd / "db", commands.cwd / "db")
    (dump,) = (commands.cwd / "db/backups").glob("*.dump")
    return dump


def metadata_of(dump: Path) -> Path:
    """The metadata beside a dump."""
    return dump.with_suffix(".metadata.json")


def edit(dump: Path, **changes: Any) -> None:
    """Change keys of the metadata."""
    path = metadata_of(dump)
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def without(dump: Path, key: str) -> None:
    """Remove a key of the metadata."""
    path = metadata_of(dump)
    content = json.loads(path.read_text())
    del content[key]
    path.write_text(json.dumps(content))


def flip(dump: Path, offset: int) -> None:
    """Change one bit."""
    content = bytearray(dump.read_bytes())
    content[offset] ^= 1
    dump.write_bytes(content)


def test_a_sound_backup_passes_with_0(commands: Commands, dump: Path) -> None:
    """The text of the contract, and 0."""
    done = commands.run("--verify", dump)
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0] == "✓ Backup verification passed"
    labels = [line.split(":")[0] for line in lines[2:]]
    assert labels == ["File", "Checksum", "Structure", "Globals", "Size", "Timestamp"]


@pytest.mark.parametrize("where", [0.0, 0.01, 0.3, 0.5, 0.8, 0.999999])
def test_a_flipped_byte_anywhere_is_detected(where: float, commands: Commands, dump: Path) -> None:
    """Anywhere in the file: first byte, table of contents, data, last byte."""
    flip(dump, int(dump.stat().st_size * where))
    assert commands.run("--verify", dump).code == 8


def test_random_bit_flips_are_detected(commands: Commands, dump: Path) -> None:
    """Twelve more, at places that nobody chose."""
    sound = dump.read_bytes()
    chance = random.Random(31)
    for _ in range(12):
        dump.write_bytes(sound)
        flip(dump, chance.randrange(len(sound)))
        assert commands.run("--verify", dump, "--quiet").code == 8


_BROKEN: dict[str, Callable[[Path], object]] = {
    "truncated": lambda dump: dump.write_bytes(dump.read_bytes()[:-1]),
    "empty": lambda dump: dump.write_bytes(b""),
    "longer": lambda dump: dump.write_bytes(dump.read_bytes() + b"\0"),
    "gone": lambda dump: dump.unlink(),
    "no metadata": lambda dump: metadata_of(dump).unlink(),
    "empty metadata": lambda dump: metadata_of(dump).write_bytes(b""),
    "broken metadata": lambda dump: metadata_of(dump).write_text('{"environment": "dev"'),
    "metadata of another kind": lambda dump: metadata_of(dump).write_text("[1, 2]"),
    "another file": lambda dump: edit(dump, backup_file="other.dump"),
    "outside the directory": lambda dump: edit(dump, backup_file="../" + dump.name),
    "absolute path": lambda dump: edit(dump, backup_file=str(dump)),
    "size as text": lambda dump: edit(dump, backup_size_bytes="100"),
    "size as truth": lambda dump: edit(dump, backup_size_bytes=True),
    "negative size": lambda dump: edit(dump, backup_size_bytes=-1),
    "counts as list": lambda dump: edit(dump, table_counts=[]),
    "counts as text": lambda dump: edit(dump, table_counts={"t": "500"}),
    "another checksum": lambda dump: edit(dump, checksum_sha256="0" * 64),
    "short checksum": lambda dump: edit(dump, checksum_sha256="abc"),
    "no moment": lambda dump: edit(dump, backup_timestamp="yesterday"),
    "no checksum": lambda dump: without(dump, "checksum_sha256"),
    "no counts": lambda dump: without(dump, "table_counts"),
    "no version": lambda dump: without(dump, "postgresql_version"),
    "changed globals": lambda dump: dump.with_suffix(".globals.sql").write_text("-- none\n"),
    "no globals": lambda dump: dump.with_suffix(".globals.sql").unlink(),
}


@pytest.mark.parametrize("name", _BROKEN)
def test_every_fault_exits_8_with_advice(name: str, commands: Commands, dump: Path) -> None:
    """Each fault is found, exit 8, and what to do is said."""
    _BROKEN[name](dump)
    done = commands.run("--verify", dump)
    assert done.code == 8, done.out + done.err
    assert done.out.startswith("✗ Backup verification failed")
    assert "Troubleshooting" in done.out


def test_a_broken_archive_with_a_matching_checksum_is_detected(
    commands: Commands, dump: Path
) -> None:
    """Size and checksum recorded anew for a broken file: pg_restore still says no."""
    import hashlib  # noqa: PLC0415 - of this test alone

    broken = b"PGDMQ" + dump.read_bytes()[5:]
    dump.write_bytes(broken)
    edit(dump, checksum_sha256=hashlib.sha256(broken).hexdigest())
    done = commands.run("--verify", dump, "--json")
    assert done.code == 8
    assert [one["name"] for one in done.json["checks"] if not one["passed"]] == ["structure"]


def test_an_archive_of_a_newer_pg_dump_exits_6(
    commands: Commands, dump: Path, pg15: TestServer
) -> None:
    """An archive of a newer pg_dump is not called damaged: 6, and what to install."""
    done = commands.run("--verify", dump, PGVOW_PG_BIN=str(pg15.bin))
    assert done.code == 6, done.out + done.err
    assert "postgresql-client-18" in done.err


def test_damage_is_reported_whatever_version_the_metadata_name(
    commands: Commands, dump: Path
) -> None:
    """The metadata may name 19beta1, or no version at all: the damage is reported."""
    for version in ("19beta1", "unknown"):
        edit(dump, pg_dump_version=version)
        flip(dump, 0)
        assert commands.run("--verify", dump).code == 8
        flip(dump, 0)


def test_a_directory_without_permission_exits_4(commands: Commands, dump: Path) -> None:
    """Whether the file is there cannot be seen: 4, not the traceback of a bug."""
    dump.parent.chmod(0)
    bound = Commands(commands.cwd, commands.variables, tuple(bound_by_permissions([])))
    done = bound.run("--verify", dump)
    dump.parent.chmod(0o700)
    assert done.code == 4, done.err
    assert str(dump) in done.err


def test_a_moved_backup_passes(commands: Commands, dump: Path, tmp_path: Path) -> None:
    """A backup may be moved, with the files beside it."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for path in dump.parent.iterdir():
        shutil.copy(path, elsewhere)
    assert commands.run("--verify", elsewhere / dump.name).code == 0
