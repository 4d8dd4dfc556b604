"""A proof on a given server: leftovers of a killed one, and the rights that it needs."""

from __future__ import annotations

import secrets
import signal
import subprocess
import sys
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgvow.errors import CannotBeProven, ConfigurationError, NoSpace
from pgvow.operations.core.stages import open_restored
from pgvow.operations.prove import ProveOptions, prove_backup
from pgvow.operations.prove import server as proof_server
from pgvow.postgres.binaries import Installation
from pgvow.postgres.connection import ConnectionTarget
from pgvow.postgres.databases import Databases
from pgvow.postgres.pg_restore import RestoreTools
from pgvow.postgres.proof_databases import ProofDatabases
from pgvow.postgres.reachable_server import DsnServer, open_session
from pgvow.settings import load
from pgvow.store import StoredBackup, proof_path
from tests.support.commands import clean_environment, settings_for
from tests.support.contexts import a_context
from tests.support.inprocess import back_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import MakeDatabase
    from tests.support.servers import TestServer

_LEFT = """
SELECT datname FROM pg_database WHERE datname LIKE 'pgvow_proof_%'
UNION ALL SELECT rolname FROM pg_roles WHERE rolname LIKE 'site_%'
"""


def _left(server: TestServer) -> set[str]:
    with server.connect("postgres") as session:
        return {name for (name,) in session.execute(_LEFT)}


@pytest.fixture
def dump(pg18: TestServer, make_database: MakeDatabase, tmp_path: Path) -> Path:
    """A backup whose table belongs to a role that is gone."""
    name = make_database(pg18)
    owner = f"site_{secrets.token_hex(4)}"
    pg18.psql(
        name,
        f"CREATE ROLE {owner}; CREATE TABLE t AS SELECT generate_series(1, 9) AS n;"
        f" ALTER TABLE t OWNER TO {owner}",
    )
    made = back_up(pg18, name, tmp_path).backup.path
    pg18.psql(name, f"DROP OWNED BY {owner}; DROP ROLE {owner}")
    return made


@pytest.fixture
def plain_dump(pg18: TestServer, make_database: MakeDatabase, tmp_path: Path) -> Path:
    """A backup in which everything is the superuser's own."""
    name = make_database(pg18)
    pg18.psql(name, "CREATE TABLE t AS SELECT generate_series(1, 9) AS n")
    return back_up(pg18, name, tmp_path).backup.path


_DIE = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from pgvow.operations.context import Context
from pgvow.operations.prove import ProveOptions, prove_backup
from pgvow.settings import Configuration
from pgvow.store import StoredBackup

def die(_):
    os.kill(os.getpid(), signal.SIGKILL)

dump, on, programs = sys.argv[1:]
options = ProveOptions(on=on, jobs=2)
context = Context(Configuration(), dict(os.environ))
options = replace(options, pg_bin=Path(programs))
prove_backup(StoredBackup.at(Path(dump)), options, context, between=die)
"""


def test_databases_and_roles_of_a_killed_proof_are_dropped(pg18: TestServer, dump: Path) -> None:
    """Databases and roles of a run that was killed are gone after the next one, which says so."""
    before = _left(pg18)
    on = pg18.conninfo("postgres")
    command = [sys.executable, "-c", _DIE, str(dump), on, str(pg18.bin)]
    done = subprocess.run(command, env=clean_environment(), check=False)
    assert -signal.SIGKILL == done.returncode
    assert _left(pg18) > before
    options = ProveOptions(on=on, jobs=2)
    result = prove_backup(StoredBackup.at(dump), replace(options, pg_bin=pg18.bin), a_context())
    assert result.proven
    assert "cleared away what a proof left" in "".join(result.warnings)
    assert before == _left(pg18)


def test_databases_and_roles_of_a_live_proof_are_kept(pg18: TestServer) -> None:
    """Neither its databases nor its roles are dropped by another, nor others of similar names."""
    place = DsnServer(pg18.conninfo("postgres"))
    role = f"site_{secrets.token_hex(4)}"
    look_alike = f"pgvow_proof_{secrets.token_hex(6)}"
    pg18.create_database(look_alike)
    try:
        with (
            open_session(place, "postgres") as first,
            open_session(place, "postgres") as second,
            ProofDatabases(first, place, lasting=True) as living,
        ):
            living.stand_in([role])
            name = living.database(encoding="UTF8")
            with ProofDatabases(second, place, lasting=True) as other:
                assert {name, role}.isdisjoint(other.clear_abandoned())
            assert {name, role, look_alike} <= _left(pg18)
        assert {name, role}.isdisjoint(_left(pg18))
        assert look_alike in _left(pg18)
    finally:
        pg18.drop_database(look_alike)


def test_a_role_needed_by_another_proof_is_kept(pg18: TestServer) -> None:
    """A role made for two proofs is dropped by the one that ends last."""
    place = DsnServer(pg18.conninfo("postgres"))
    role = f"site_{secrets.token_hex(4)}"
    with (
        open_session(place, "postgres") as first,
        open_session(place, "postgres") as second,
        ProofDatabases(second, place, lasting=True) as later,
    ):
        with ProofDatabases(first, place, lasting=True) as sooner:
            sooner.stand_in([role])
            later.stand_in([role])
        assert role in _left(pg18)
    assert role not in _left(pg18)


@pytest.fixture
def creator(pg18: TestServer) -> Iterator[str]:
    """The connection string of a role that may make databases, and nothing else."""
    name = f"creator_{secrets.token_hex(4)}"
    pg18.psql("postgres", f"CREATE ROLE {name} LOGIN CREATEDB PASSWORD 'secret'")
    yield make_conninfo(pg18.conninfo("postgres"), user=name, password="secret")
    pg18.psql("postgres", f"DROP OWNED BY {name}; DROP ROLE {name}")


def _prove_as(conninfo: str, pg18: TestServer, dump: Path) -> bool:
    options = ProveOptions(on=conninfo, jobs=2)
    return prove_backup(
        StoredBackup.at(dump), replace(options, pg_bin=pg18.bin), a_context()
    ).proven


def test_without_createrole_missing_roles_are_no_verdict(
    pg18: TestServer, dump: Path, creator: str
) -> None:
    """Without CREATEROLE, objects that name a missing role cannot be proven: 13, and why."""
    before = _left(pg18)
    with pytest.raises(CannotBeProven, match="names roles that this server does not have: site_"):
        _prove_as(creator, pg18, dump)
    assert before == _left(pg18)
    assert not proof_path(dump).exists()


def test_owners_that_cannot_be_set_are_no_verdict(
    pg18: TestServer, plain_dump: Path, creator: str
) -> None:
    """Nor objects of a role that one may not act for."""
    before = _left(pg18)
    with pytest.raises(CannotBeProven, match=r"SET ROLE|must be member"):
        _prove_as(creator, pg18, plain_dump)
    assert before == _left(pg18)


def test_createdb_is_enough_to_prove_own_objects(
    pg18: TestServer, creator: str, tmp_path: Path
) -> None:
    """A role that may make databases proves its own objects."""
    name = f"own_{secrets.token_hex(4)}"
    with psycopg.connect(creator, autocommit=True) as session:
        session.execute(f"CREATE DATABASE {name}".encode())
    try:
        with psycopg.connect(make_conninfo(creator, dbname=name)) as session:
            session.execute("CREATE TABLE t AS SELECT generate_series(1, 9) AS n")
        assert _prove_as(creator, pg18, back_up(pg18, name, tmp_path).backup.path)
    finally:
        pg18.drop_database(name)


def test_without_createdb_there_is_no_verdict(
    pg18: TestServer, plain_dump: Path, creator: str
) -> None:
    """Without CREATEDB nothing is proven and nothing refuted."""
    user = psycopg.conninfo.conninfo_to_dict(creator)["user"]
    pg18.psql("postgres", f"ALTER ROLE {user} NOCREATEDB")
    with pytest.raises(CannotBeProven, match="permission denied to create database"):
        _prove_as(creator, pg18, plain_dump)


def test_time_limits_of_role_and_database_do_not_end_our_sessions(
    pg18: TestServer, creator: str
) -> None:
    """Our sessions wait while others work, longer than a role or database may be let wait."""
    user = psycopg.conninfo.conninfo_to_dict(creator)["user"]
    limits = ("statement_timeout", "lock_timeout", "idle_session_timeout", "transaction_timeout")
    for limit in limits:
        pg18.psql("postgres", f"ALTER ROLE {user} SET {limit} = '3s'")
    assert isinstance(user, str)
    settings = {**settings_for(pg18, "postgres"), "DEV_DB_USER": user, "DEV_DB_PASSWORD": "secret"}
    target = ConnectionTarget(
        load(env="dev", environ=settings, directory=Path()).connection, {}, settings
    )
    tools = RestoreTools(Installation(pg18.bin, "", pg18.major), target)
    with (
        closing(open_session(DsnServer(creator), "postgres")) as proof,
        closing(open_restored(tools, "postgres")) as restored,
        Databases.connect(target, avoiding="x") as databases,
    ):
        for session in (proof, restored, databases.session):
            found = [session.execute(f"SHOW {limit}".encode()).fetchone() for limit in limits]
            assert [("0",)] * len(limits) == found


@pytest.mark.parametrize("secret", ["sslpassword", "scram_client_key"])
def test_a_secret_that_would_be_on_a_command_line_is_refused(secret: str) -> None:
    """It would be read there by everybody: refused, with another way."""
    with pytest.raises(ConfigurationError, match=secret) as caught:
        DsnServer(f"host=/tmp password=x {secret}=hunter2")
    assert "hunter2" not in str(caught.value)
    assert "service=NAME" in caught.value.steps[0]


def test_an_ended_session_still_clears_the_proof(pg18: TestServer, plain_dump: Path) -> None:
    """Databases and roles of the proof are dropped all the same."""
    place = DsnServer(pg18.conninfo("postgres"))
    with closing(open_session(place, "postgres")) as session:
        site = ProofDatabases(session, place, lasting=True)
        with suppress(psycopg.OperationalError), site:
            assert site.find_locale(encoding="UTF8", locale={"LOCALE": "C"}) is None
            made = site.database(encoding="UTF8")
            pg18.psql("postgres", f"SELECT pg_terminate_backend({session.info.backend_pid})")
            session.execute("SELECT 1")
    assert made not in _left(pg18)


def test_too_little_space_ends_the_proof_before_the_restore(
    pg18: TestServer, plain_dump: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Less room than the tables had ends it before the restore; hardly more is a warning."""
    needed = plain_dump.stat().st_size + 8192
    free = 0

    class _Usage:
        @property
        def free(self) -> int:
            return free

    monkeypatch.setattr(proof_server.shutil, "disk_usage", lambda _: _Usage())

    def prove() -> tuple[str, ...]:
        result = prove_backup(
            StoredBackup.at(plain_dump), ProveOptions(jobs=2, pg_bin=pg18.bin), a_context()
        )
        assert result.proven
        return result.warnings

    with pytest.raises(NoSpace, match="0 are free"):
        prove()
    free = needed
    assert "perhaps not for their indexes" in "".join(prove())
