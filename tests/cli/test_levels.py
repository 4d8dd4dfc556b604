"""Every check keeps the level of trust that it reached, and the list shows it."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest

from pgvow.operations.verify import VerifyOptions, verify_and_record
from pgvow.progress import Silent
from pgvow.spool import being_removed
from pgvow.store import StoredBackup, proof_path
from tests.support.commands import Commands, settings_for
from tests.support.contexts import a_context
from tests.support.privileges import bound_by_permissions

if TYPE_CHECKING:
    from pathlib import Path

    from pgvow.progress import Step
    from tests.conftest import MakeDatabase
    from tests.support.servers import TestServer


@pytest.fixture
def commands(pg18: TestServer, make_database: MakeDatabase, tmp_path: Path) -> Commands:
    """A directory with one backup of a small database, made without inspection."""
    database = make_database(pg18)
    pg18.psql(database, "CREATE TABLE t AS SELECT n, 'row ' || n FROM generate_series(1, 77) AS n")
    commands = Commands(tmp_path, settings_for(pg18, database))
    assert 0 == commands.pgvow("backup", "--quiet", "--no-inspect").code
    return commands


def _dump(commands: Commands) -> Path:
    (dump,) = commands.cwd.glob("db/backups/*.dump")
    return dump


def _listed(commands: Commands) -> tuple[str | None, str | None]:
    (listed,) = commands.pgvow("list", "--json").json
    return listed["level"], listed["trusted"]


@pytest.mark.parametrize(("jobs", "level"), [("1", "decoded"), ("2", "verified")])
def test_a_fresh_backup_has_the_level_of_its_inspection(
    commands: Commands, jobs: str, level: str
) -> None:
    """The parallel engine's dump was read back, not decoded; ``verify --deep`` does that."""
    _dump(commands).unlink()
    _dump_metadata(commands).unlink()
    assert 0 == commands.pgvow("backup", "--quiet", "--jobs", jobs).code
    assert (level, level) == _listed(commands)
    assert 0 == commands.pgvow("verify", "--deep", _dump(commands)).code
    assert ("decoded", "decoded") == _listed(commands)


def _dump_metadata(commands: Commands) -> Path:
    (metadata,) = commands.cwd.glob("db/backups/*.metadata.json")
    return metadata


def _damage(dump: Path) -> None:
    data = bytearray(dump.read_bytes())
    data[-20] ^= 1
    dump.write_bytes(data)


def test_a_plain_verification_does_not_lower_the_level(commands: Commands) -> None:
    """Verified when made, decoded by a deep verification; a plain one afterwards lowers nothing."""
    dump = _dump(commands)
    assert ("verified", "verified") == _listed(commands)
    assert not proof_path(dump).exists()
    assert "decoded" == commands.pgvow("verify", dump, "--deep", "--json").json["level"]
    assert ("decoded", "decoded") == _listed(commands)
    assert "decoded" == commands.run("--verify", dump, "--json").json["level"]
    assert "✓ ok, decoded" in commands.run("--list").out
    kept = json.loads(proof_path(dump).read_text())
    assert ["verified", "decoded"] == [one["level"] for one in kept["passed"]]
    assert 0o600 == stat.S_IMODE(proof_path(dump).stat().st_mode)


@pytest.mark.parametrize("deep", [[], ["--deep"]], ids=["plain", "deep"])
def test_a_failed_verification_is_kept_and_listed(commands: Commands, deep: list[str]) -> None:
    """A backup that did not verify is listed as such, with the level that it had reached before."""
    dump = _dump(commands)
    whole = dump.read_bytes()
    assert 0 == commands.pgvow("verify", dump, "--deep", "--quiet").code
    _damage(dump)
    assert 8 == commands.pgvow("verify", dump, *deep, "--quiet").code
    assert "✗ verification failed  decoded before" in commands.pgvow("list").out
    assert ("decoded", None) == _listed(commands)
    dump.write_bytes(whole)
    assert 0 == commands.pgvow("verify", "--all", "--quiet").code
    assert ("decoded", "decoded") == _listed(commands)


def test_damage_found_by_decoding_alone_is_recorded_at_that_level(commands: Commands) -> None:
    """Damage that the checksum does not tell is a missed level of its own, and verify leaves it."""
    dump = _dump(commands)
    path = dump.with_name(dump.name.replace(".dump", ".metadata.json"))
    found = json.loads(path.read_text())
    found["tables"][0]["rows"] = found["table_counts"]["t"] = 78
    path.write_text(json.dumps(found))
    assert 8 == commands.pgvow("verify", dump, "--deep", "--quiet").code
    assert 0 == commands.pgvow("verify", dump, "--quiet").code
    assert ("verified", "verified") == _listed(commands)
    assert "✗ deep verification failed  verified before" in commands.pgvow("list").out
    (difference,) = json.loads(proof_path(dump).read_text())["failed"]["differences"]
    assert "contents" == difference["kind"]


def test_without_metadata_no_proof_is_written(commands: Commands) -> None:
    """A dump without metadata is somebody's, and nothing is written beside it."""
    dump = _dump(commands)
    dump.with_name(dump.name.replace(".dump", ".metadata.json")).unlink()
    assert 8 == commands.pgvow("verify", dump, "--quiet").code
    assert not proof_path(dump).exists()


def test_a_read_only_directory_costs_only_a_warning(commands: Commands) -> None:
    """The verification stands; that its level is not kept is a warning."""
    dump = _dump(commands)
    reader = Commands(commands.cwd, commands.variables, prefix=tuple(bound_by_permissions([])))
    dump.parent.chmod(0o500)
    try:
        done = reader.pgvow("verify", dump, "--json")
    finally:
        dump.parent.chmod(0o700)
    assert (0, True) == (done.code, done.json["ok"])
    assert "the outcome is not kept" in done.err
    assert ["the outcome is not kept"] == [one[:23] for one in done.json["warnings"]]
    assert not proof_path(dump).exists()


class _Remover(Silent):
    """Tries to have the dump for itself whenever there is progress."""

    def __init__(self, dump: Path) -> None:
        super().__init__()
        self.dump = dump
        self.found: set[bool] = set()

    def update(self, _: Step) -> None:
        with being_removed(self.dump) as is_free:
            self.found.add(is_free)


def test_a_backup_under_verification_is_not_removed(commands: Commands, pg18: TestServer) -> None:
    """While it is read nobody gets the right to remove it; afterwards anybody does."""
    remover = _Remover(_dump(commands))
    result = verify_and_record(
        StoredBackup.at(remover.dump),
        VerifyOptions(pg_bin=pg18.bin, deep=True),
        a_context({}, remover),
    )
    assert result.passed
    assert {False} == remover.found
    with being_removed(remover.dump) as is_free:
        assert is_free
