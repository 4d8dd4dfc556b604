"""``pgvow restore`` with another server, role or tablespace than the source's."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import psycopg
import pytest

from pgvow.errors import AccessDenied, ConfigurationError, ConnectionFailed, RestoreFailed
from pgvow.progress import Silent
from tests.support.commands import Commands, settings_for
from tests.support.disks import mounted, needs_root
from tests.support.inprocess import back_up
from tests.support.restored import rows_by_key
from tests.support.restoring import databases, restore
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pgvow.progress import Step
    from tests.conftest import MakeDatabase, StartServer
    from tests.postgres.conftest import MakeRole
    from tests.support.servers import TestServer

_TWO = """
CREATE TABLE a AS SELECT n FROM generate_series(1, 100) AS n;
CREATE TABLE b (n integer PRIMARY KEY);
INSERT INTO b SELECT n FROM generate_series(1, 50) AS n;
"""


def as_role(server: TestServer, user: str) -> dict[str, str]:
    """The settings of somebody who is no superuser."""
    return {
        **settings_for(server, "postgres"),
        "DEV_DB_USER": user,
        "DEV_DB_PASSWORD": "secret",
    }


@pytest.mark.majors(15, 18)
def test_createdb_is_enough_for_own_objects_and_no_owner(
    server: TestServer, role: MakeRole, fresh: str, tmp_path: Path
) -> None:
    """CREATEDB is enough for the role's own objects, for a swap, and for all with --no-owner."""
    user = role("LOGIN CREATEDB")
    source = f"{fresh}_source"
    server.create_database(source)
    server.psql(
        source,
        f"""{_TWO} ALTER TABLE a OWNER TO {user}; CREATE EXTENSION citext;
        SELECT lo_from_bytea(4711, 'large'); GRANT SELECT ON b TO {user};""",
    )
    dump = back_up(server, source, tmp_path).backup.path
    who = as_role(server, user)
    with pytest.raises(AccessDenied, match=rf"{user} .*: {server.superuser}$") as caught:
        restore(server, dump, fresh, user=who)
    assert any("--no-owner" in step for step in caught.value.steps)
    assert fresh not in databases(server)
    result = restore(server, dump, fresh, user=who, no_owner=True)
    assert result.comparison is not None
    assert result.comparison.equal
    assert {"a": 100, "b": 50} == rows_by_key(server, fresh)
    mapped = {server.superuser: user}
    again = restore(server, dump, fresh, user=who, owner_map=mapped, swap=True)
    assert again.kept_as is not None
    owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
    assert f"{user}\n" == server.psql(fresh, owners)


@pytest.mark.majors(15, 18)
def test_owners_are_set_only_by_inheriting_members(
    server: TestServer, role: MakeRole, fresh: str, tmp_path: Path
) -> None:
    """Only a member that inherits may give objects to another role; others are refused."""
    owner, user, stranger = role(""), role("LOGIN CREATEDB"), role("LOGIN CREATEDB NOINHERIT")
    server.psql("postgres", f"GRANT {owner} TO {user}, {stranger}")
    source = f"{fresh}_source"
    server.create_database(source)
    server.psql(source, f"{_TWO} ALTER TABLE a OWNER TO {owner}; ALTER TABLE b OWNER TO {owner}")
    server.psql("postgres", f"ALTER DATABASE {source} OWNER TO {owner}")
    dump = back_up(server, source, tmp_path).backup.path
    with pytest.raises(AccessDenied, match=owner):
        restore(server, dump, fresh, user=as_role(server, stranger))
    restore(server, dump, fresh, user=as_role(server, user))
    assert {"a": 100, "b": 50} == rows_by_key(server, fresh)


@pytest.mark.majors(18)
def test_rows_hidden_by_row_security_are_reported_as_not_compared(
    server: TestServer, role: MakeRole, fresh: str, tmp_path: Path
) -> None:
    """A table whose owner does not see all its rows is restored, and reported as not compared."""
    user = role("LOGIN CREATEDB")
    source = f"{fresh}_source"
    server.create_database(source)
    server.psql(
        source,
        f"{_TWO} ALTER TABLE a ENABLE ROW LEVEL SECURITY; ALTER TABLE a FORCE ROW LEVEL SECURITY",
    )
    dump = back_up(server, source, tmp_path).backup.path
    result = restore(server, dump, fresh, user=as_role(server, user), no_owner=True)
    assert result.not_compared is not None
    assert "row-level security" in result.not_compared
    assert {"a": 100, "b": 50} == rows_by_key(server, fresh)


@pytest.mark.majors(15, 18)
def test_a_swap_without_the_rights_is_refused_at_once(
    server: TestServer, role: MakeRole, fresh: str, tmp_path: Path
) -> None:
    """A role that may not rename the old one, or end its sessions, is refused at once."""
    user = role("LOGIN CREATEDB")
    server.create_database(fresh)
    server.psql(fresh, _TWO)
    dump = back_up(server, fresh, tmp_path).backup.path
    asked = {"user": as_role(server, user), "no_owner": True, "swap": True, "terminate": True}
    with pytest.raises(AccessDenied, match="only the owner of the database"):
        restore(server, dump, fresh, **asked)
    server.psql("postgres", f"ALTER DATABASE {fresh} OWNER TO {user}")
    with server.connect(fresh), pytest.raises(AccessDenied, match="1 of the 1 sessions"):
        restore(server, dump, fresh, **asked)
    assert [fresh] == [name for name in databases(server) if name.startswith(fresh)]
    assert restore(server, dump, fresh, **asked).kept_as is not None


@pytest.fixture
def tablespace(start_server: StartServer) -> Iterator[tuple[TestServer, str]]:
    """A server of its own that has a tablespace."""
    server = start_server(18)
    with tempfile.TemporaryDirectory(prefix="space-", dir="/tmp") as folder:
        if os.geteuid() == 0:
            shutil.chown(folder, Path(f"/proc/{server.pid}").stat().st_uid)
        name = 'The "fast" one'
        server.psql("postgres", f"""CREATE TABLESPACE "The ""fast"" one" LOCATION '{folder}'""")
        yield server, name


def test_missing_tablespaces_are_refused_without_no_tablespaces(
    tablespace: tuple[TestServer, str], pg18: TestServer, tmp_path: Path
) -> None:
    """They are kept if they exist; else refused at once, unless with --no-tablespaces."""
    server, name = tablespace
    quoted = '"' + name.replace('"', '""') + '"'
    server.psql("postgres", f"CREATE DATABASE source TABLESPACE {quoted}")
    server.psql(
        "source",
        f"""{_TWO} CREATE TABLE c (n integer) TABLESPACE pg_default;
        ALTER TABLE a SET TABLESPACE pg_default; CREATE INDEX i ON a (n) TABLESPACE {quoted};""",
    )
    dump = back_up(server, "source", tmp_path).backup.path
    restore(server, dump, "kept")
    where = "SELECT spcname FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace"
    assert f"{name}\n" == server.psql("postgres", f"{where} WHERE datname = 'kept'")
    fresh = pg18.unique_name("fresh")
    with pytest.raises(RestoreFailed, match="tablespaces that this server does not have") as caught:
        restore(pg18, dump, fresh)
    assert name in caught.value.cause
    assert any("--no-tablespaces" in step for step in caught.value.steps)
    assert fresh not in databases(pg18)
    commands = Commands(tmp_path, settings_for(pg18, "postgres"))
    done = commands.pgvow("restore", dump, "--to", fresh, "--no-tablespaces", "--globals")
    assert 0 == done.code, done.err
    assert {"a": 100, "b": 50, "c": 0} == rows_by_key(pg18, fresh)
    assert "2\n" == pg18.psql("postgres", "SELECT count(*) FROM pg_tablespace")
    pg18.drop_database(fresh)
    for each in ("source", "kept"):
        server.drop_database(each)


_OWNED = """
CREATE TABLE a (id serial PRIMARY KEY, n integer);
INSERT INTO a (n) SELECT n FROM generate_series(1, 100) AS n;
CREATE TABLE other AS SELECT 1 AS n;
CREATE VIEW v AS SELECT n FROM other;
CREATE FUNCTION f() RETURNS integer LANGUAGE sql AS 'SELECT 1';
SELECT lo_create(4711);
ALTER TABLE a OWNER TO {0}; ALTER TABLE other OWNER TO {0}; ALTER VIEW v OWNER TO {0};
ALTER FUNCTION f OWNER TO {0}; ALTER LARGE OBJECT 4711 OWNER TO {0};
GRANT SELECT ON LARGE OBJECT 4711 TO {1};
GRANT SELECT ON a TO {1}; ALTER TABLE a ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON a TO {1} USING (n > 0);
"""
_OWNERS = """
SELECT relname || ' ' || relowner::regrole FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'S') ORDER BY 1
"""


@pytest.mark.majors(15, 18)
@pytest.mark.parametrize(
    ("options", "rows", "relations"),
    [
        ({"tables": ("a",)}, {"a": 100}, ("a", "a_id_seq")),
        ({"schema_only": True}, {"a": 0, "other": 0}, ("a", "a_id_seq", "other", "v")),
        ({"tables": ("a",), "schema_only": True}, {"a": 0}, ("a", "a_id_seq")),
    ],
    ids=["table", "schema-only", "both"],
)
def test_owner_map_covers_only_the_restored_part(
    server: TestServer,
    role: MakeRole,
    fresh: str,
    tmp_path: Path,
    options: dict[str, object],
    rows: dict[str, int],
    relations: tuple[str, ...],
) -> None:
    """--owner-map applies to objects that --table or --schema-only restores, and to no other."""
    old, reader, new, new_reader = (role("") for _ in range(4))
    source = f"{fresh}_source"
    server.create_database(source)
    server.psql(source, _OWNED.format(old, reader))
    dump = back_up(server, source, tmp_path).backup.path
    server.drop_database(source)
    server.psql("postgres", f"DROP ROLE {old}; DROP ROLE {reader}")
    restore(server, dump, fresh, owner_map={old: new, reader: new_reader}, **options)
    assert rows == rows_by_key(server, fresh)
    owners = "".join(f"{name} {new}\n" for name in relations)
    assert owners == server.psql(fresh, _OWNERS)
    assert "t\n" == server.psql(fresh, f"SELECT has_table_privilege('{new_reader}', 'a', 'SELECT')")
    policies = "SELECT roles FROM pg_policies"
    assert f"{{{new_reader}}}\n" == server.psql(fresh, policies)
    assert "0\n" == server.psql(fresh, "SELECT count(*) FROM pg_largeobject_metadata")
    server.drop_database(fresh)


@pytest.mark.majors(18)
def test_a_failed_restore_names_the_roles_it_created(
    server: TestServer,
    role: MakeRole,
    fresh: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A restore that fails behind --globals names the roles that it made, and leaves them."""
    owner, reader = role("LOGIN CONNECTION LIMIT 3"), role("")
    source = f"{fresh}_source"
    server.create_database(source)
    server.psql(source, f"{_TWO} ALTER TABLE a OWNER TO {owner}; GRANT SELECT ON b TO {reader}")
    dump = back_up(server, source, tmp_path).backup.path
    server.drop_database(source)
    server.psql("postgres", f"DROP ROLE {owner}; DROP ROLE {reader}")

    def analyze(*_arguments: object) -> None:
        raise RestoreFailed("of all things")

    monkeypatch.setattr("pgvow.operations.restore.analyze", analyze)
    with pytest.raises(RestoreFailed) as caught:
        restore(server, dump, fresh, with_globals=True)
    told = f"{', '.join(sorted((owner, reader)))} (they stay)"
    assert told == caught.value.facts["Created roles"]
    server.psql("postgres", f"DROP ROLE {owner}; DROP ROLE {reader}")


@pytest.mark.majors(15, 18)
def test_missing_roles_of_database_settings_are_named_before_the_restore(
    server: TestServer, role: MakeRole, fresh: str, tmp_path: Path
) -> None:
    """Roles with settings or grants of the database itself are required before anything is made.

    With --no-owner a missing role's settings are left out, and that is said; grants are kept.
    """
    tuned, granted = role("LOGIN"), role("LOGIN")
    source = f"{fresh}_source"
    server.create_database(source)
    server.psql(source, f"{_TWO} ALTER ROLE {tuned} IN DATABASE {source} SET work_mem TO '9MB'")
    alone = back_up(server, source, tmp_path / "alone").backup.path
    server.psql(source, f"GRANT CONNECT ON DATABASE {source} TO {granted}")
    both = back_up(server, source, tmp_path / "both").backup.path
    server.drop_database(source)
    server.psql("postgres", f"DROP ROLE {tuned}; DROP ROLE {granted}")
    with pytest.raises(RestoreFailed, match="does not have: ") as caught:
        restore(server, both, fresh)
    assert ", ".join(sorted((tuned, granted))) in caught.value.cause
    assert any("--globals" in step for step in caught.value.steps)
    with pytest.raises(RestoreFailed, match=f"does not have: {granted}$") as caught:
        restore(server, both, fresh, no_owner=True)
    assert not any("--no-owner" in step for step in caught.value.steps)
    assert fresh not in databases(server)
    result = restore(server, alone, fresh, no_owner=True)
    assert any(tuned in warning for warning in result.warnings)
    mapped = {tuned: server.superuser, granted: server.superuser}
    restore(server, both, f"{fresh}_mapped", owner_map=mapped)
    restore(server, both, f"{fresh}_globals", with_globals=True)
    settings = "SELECT setrole::regrole FROM pg_db_role_setting WHERE setdatabase = {}"
    here = "(SELECT oid FROM pg_database WHERE datname = current_database())"
    assert "" == server.psql(fresh, settings.format(here))
    assert f"{server.superuser}\n" == server.psql(f"{fresh}_mapped", settings.format(here))
    assert f"{tuned}\n" == server.psql(f"{fresh}_globals", settings.format(here))


@pytest.mark.majors(18)
def test_globals_are_created_all_or_none(
    server: TestServer, role: MakeRole, fresh: str, tmp_path: Path
) -> None:
    """A role that may not be made as it was is not made at all, and neither are the others."""
    above, plain = role("SUPERUSER"), role("")
    source = f"{fresh}_source"
    server.create_database(source)
    server.psql(source, f"{_TWO} GRANT SELECT ON a TO {above}, {plain}")
    dump = back_up(server, source, tmp_path).backup.path
    server.drop_database(source)
    server.psql("postgres", f"DROP ROLE {above}; DROP ROLE {plain}")
    user = role("LOGIN CREATEDB CREATEROLE")
    with pytest.raises(AccessDenied) as caught:
        restore(server, dump, fresh, user=as_role(server, user), with_globals=True, no_owner=True)
    assert "Created roles" not in caught.value.facts
    assert "Statement" in caught.value.facts
    roles = server.psql("postgres", "SELECT rolname FROM pg_roles").splitlines()
    assert {above, plain}.isdisjoint(roles)


@pytest.mark.majors(15, 18)
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_hostile_database_name_is_restored(
    server: TestServer, database: str, fresh: str, tmp_path: Path, jobs: int
) -> None:
    """A database's name may have anything in it that PostgreSQL allows."""
    server.psql(database, _TWO)
    dump = back_up(server, database, tmp_path).backup.path
    name = f"{fresh} a=b 'c' \"d\"\n%s%%\\ü; --"
    restore(server, dump, name, jobs=jobs)
    result = restore(server, dump, name, swap=True, jobs=jobs)
    assert {"a": 100, "b": 50} == rows_by_key(server, name)
    assert result.kept_as in databases(server)


@pytest.mark.majors(18)
@pytest.mark.parametrize("name", ["template0", "template1"])
def test_template_databases_are_refused(server: TestServer, tmp_path: Path, name: str) -> None:
    """Template databases are refused before anything is read."""
    with pytest.raises(ConfigurationError, match=name):
        restore(server, tmp_path / "x.dump", name, swap=True)


@pytest.mark.majors(18)
def test_a_database_created_meanwhile_is_kept(
    server: TestServer,
    database: str,
    fresh: str,
    tmp_path: Path,
    make_database: MakeDatabase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A database that is made under the name during the restore stays, and ours is dropped."""
    server.psql(database, _TWO)
    dump = back_up(server, database, tmp_path).backup.path

    def analyze(*_arguments: object) -> None:
        make_database(server, fresh)

    monkeypatch.setattr("pgvow.operations.restore.analyze", analyze)
    with pytest.raises(RestoreFailed, match="already exists"):
        restore(server, dump, fresh)
    assert {} == rows_by_key(server, fresh)
    assert [fresh] == [each for each in databases(server) if each.startswith(fresh)]


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 24 MB for a tablespace."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with mounted(folder / "disk", "size=24m,mode=777") as inner:
            yield inner


_NO_LONGER_TRUE = """
CREATE FUNCTION f(n integer) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT true';
ALTER TABLE t ADD CHECK (f(n));
CREATE OR REPLACE FUNCTION f(n integer) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT n > 1';
"""


@needs_root
@pytest.mark.parametrize("words", [(), ("--rescue",)])
def test_a_full_disk_of_the_server_exits_5_and_drops_the_database(
    words: tuple[str, ...], start_server: StartServer, small_disk: Path, tmp_path: Path
) -> None:
    """The server's disk fills up: 5, the half-made database goes, the server goes on.

    So it is in a rescue, which loads the rows without the check that they break.
    """
    server = start_server(18)
    space = small_disk / "space"
    space.mkdir()
    shutil.chown(space, Path(f"/proc/{server.pid}").stat().st_uid)
    server.psql("postgres", f"CREATE TABLESPACE small LOCATION '{space}'")
    server.create_database("source")
    server.psql(
        "source",
        "CREATE TABLE t AS SELECT n, repeat('x', 1000) AS x FROM generate_series(1, 40000) AS n",
    )
    if words:
        server.psql("source", _NO_LONGER_TRUE)
    dump = back_up(server, "source", tmp_path).backup.path
    commands = Commands(tmp_path, settings_for(server, "postgres"))
    server.psql("postgres", f"ALTER ROLE {server.superuser} SET default_tablespace TO small")
    done = commands.pgvow("restore", dump, "--to", "fresh", "--no-tablespaces", *words)
    assert 5 == done.code, done.err
    assert not list(tmp_path.glob("fresh*"))
    assert "df -h" in done.err
    assert not [name for name in databases(server) if name.startswith("fresh")]


class Ending(Silent):
    """Kills a process of the server when a phase begins."""

    def __init__(self, phase: str, kill: Callable[[], None]) -> None:
        super().__init__()
        self._phase = phase
        self._kill = kill

    def update(self, step: Step) -> None:
        """End it if this is the step."""
        if step.phase == self._phase:
            self._kill()


def test_a_database_left_by_a_stopped_server_is_named(
    start_server: StartServer, tmp_path: Path
) -> None:
    """A database that could not be dropped, for the server was gone, is named in the error."""
    server = start_server(18)
    server.create_database("source")
    server.psql("source", _TWO)
    dump = back_up(server, "source", tmp_path).backup.path

    def stop() -> None:
        os.kill(server.pid, signal.SIGQUIT)  # immediate

    with pytest.raises((RestoreFailed, ConnectionFailed)) as caught:
        restore(server, dump, "fresh", progress=Ending("restoring", stop))
    assert "fresh_pgvow_" in caught.value.facts["Left behind"]


def test_the_next_restore_clears_what_a_crash_left(
    start_server: StartServer, tmp_path: Path
) -> None:
    """Whether or not a crash fails the restore, the next one drops its leftovers, and succeeds."""
    server = start_server(18)
    server.create_database("source")
    server.psql("source", _TWO)
    dump = back_up(server, "source", tmp_path).backup.path

    def crash() -> None:
        psutil.Process(server.pid).children()[0].kill()  # the server starts anew

    with suppress(RestoreFailed, ConnectionFailed):
        restore(server, dump, "fresh", progress=Ending("restoring", crash))
    wait_until(lambda: answers(server))
    restore(server, dump, "fresh", swap=True)
    assert {"a": 100, "b": 50} == rows_by_key(server, "fresh")
    assert not [name for name in databases(server) if name.startswith("fresh_pgvow_")]


def answers(server: TestServer) -> bool:
    """Say whether a server lets us in."""
    try:
        server.connect("postgres").close()
    except psycopg.OperationalError:
        return False
    return True
