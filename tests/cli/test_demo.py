"""``pgvow demo``: as anybody, with any server or none; what is left is a backup that is to stay."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from psycopg import sql

from pgvow.operations.demo import fill
from pgvow.postgres.embedded import embedded_bin
from pgvow.postgres.private_directories import server_account
from pgvow.progress import Silent
from tests.support.commands import ROOT, clean_environment
from tests.support.held import held
from tests.support.privileges import as_nobody
from tests.support.schemas import conforming
from tests.support.servers import programs
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pgvow.progress import Step
    from tests.conftest import MakeDatabase
    from tests.support.servers import TestServer

_MESSAGES = 2000
_COUNTS = {
    "messages": _MESSAGES,
    "conversations": _MESSAGES // 25,
    "conversation_index": _MESSAGES // 25,
    "project_knowledge": 200,
}
_PGVOW = ["-m", "pgvow"]
_NOTHING = ["-m", "tests.support.nothing_installed"]
_WHO = ["root", "user"] if os.geteuid() == 0 else ["user"]


@dataclass
class Place:
    """A user's folder and a temporary directory of his own, in which nothing may be left."""

    folder: Path
    temporary: Path
    prefix: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """Settings of a user; a demo reads none of them but the folder of the programs."""
        return {
            **clean_environment(),
            "HOME": str(self.folder),
            "TMPDIR": str(self.temporary),
            "PYTHONPATH": str(ROOT),
            "DEV_DB_NAME": "never_to_be_touched",
            "DATABASE_URL": "postgresql://nobody@192.0.2.1/never_to_be_touched",
            "PGHOST": "192.0.2.1",
            **self.variables,
        }

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start the demo as at a terminal: in a process group of its own."""
        return subprocess.Popen(
            [*self.prefix, sys.executable, *words],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str) -> str:
        """Run it to its good end; returns its output."""
        done = self.start(*words, "demo", "--keep", "--messages", str(_MESSAGES))
        out, err = done.communicate(timeout=600)
        assert (0, "") == (done.returncode, err)
        return out

    @property
    def files(self) -> list[str]:
        """List the directory of backups, whatever the owner of its files."""
        directory = self.folder / "db/backups"
        return sorted(path.name for path in directory.glob("*"))

    def left_behind(self) -> list[str]:
        """Processes that have to do with the temporary directory, and what is in there."""
        found = [path.name for path in self.temporary.iterdir()]
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                line = " ".join(process.cmdline())
                if str(self.temporary) in line:
                    found.append(line)
        return found


@pytest.fixture
def place() -> Iterator[Place]:
    """A place of ours; not below pytest's own, which nobody else may enter."""
    with tempfile.TemporaryDirectory(prefix="demo-", dir="/tmp") as name:
        base = Path(name)
        for folder in (base, base / "home", base / "tmp"):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o777)
        yield Place(base / "home", base / "tmp")


def within_reach(whose: Place, program: Path, *folders: Path) -> Path:
    """Copy the folders that a program needs, if the user of a place cannot reach it.

    Returns the folder that they lie in. The user may read everything, but Linux answers a program
    that asks whether it may run another one without regard to that.
    """
    if not whose.prefix or server_account().reads(program):
        return folders[0].parent
    copies = whose.folder.parent / "lent"
    for folder in folders:
        shutil.copytree(folder, copies / folder.name)
    for path in [copies, *copies.rglob("*")]:
        path.chmod(0o755)
    return copies


@pytest.fixture(params=_WHO)
def whose(request: pytest.FixtureRequest, place: Place) -> Place:
    """Root's place, and that of a user."""
    if request.param == "user":
        place.prefix = as_nobody([])
        found = embedded_bin()
        assert found is not None
        package = found.parents[1]
        libraries = package.with_name(f"{package.name}.libs")
        lent = within_reach(place, found / "postgres", package, libraries)
        place.variables["PYTHONPATH"] = f"{ROOT}:{lent}"
    return place


def named_backup(place: Place, out: str) -> Path:
    """The backup that the demo names, which is all that is there, and verifies."""
    match = re.search(
        r"^Backup File: (db/backups/project_chat_dev_dev_\S+)\.dump$", out, re.MULTILINE
    )
    assert match is not None
    stem = Path(match[1]).name
    suffixes = (".dump", ".globals.sql", ".metadata.json", ".proof.json")
    assert [stem + suffix for suffix in suffixes] == place.files
    return place.folder / f"{match[1]}.dump"


def check_shown(place: Place, out: str) -> Path:
    """All acts of the play, in order; returns the dump."""
    acts = [
        r"── A throw-away PostgreSQL \S+ server, 2,000 messages",
        r"── pgvow backup",
        r"✓ Backup created successfully",
        r"Tables: +4 \(2000 messages, 200 project_knowledge, 80 conv",
        r"── pgvow list",
        r"project_chat_dev .* ✓ ok",
        r"── pgvow verify db/backups/project_chat_dev_dev_\S+\.dump",
        r"✓ Backup verification passed",
        r"── The same, of a copy in which one bit of byte [\d,]+ is changed",
        r"✗ Backup verification failed",
        r"✗ Checksum\n +expected: [0-9a-f]{12}\.\.\.\n +found: +[0-9a-f]{12}\.\.\.\n",
        r"── pgvow prove db/backups/project_chat_dev_dev_\S+\.dump",
        r"✓ Backup proven",
        r"Compared: +4 tables, 2,360 rows",
        r"── psql: DROP TABLE messages CASCADE; SELECT",
        r'✗ relation "messages" does not exist\n',
        r"── pgvow restore db/backups/\S+\.dump --to project_chat_dev --swap",
        r"✓ Backup restored",
        r"✓ 2,000 rows: the table is back",
        r"── The server is gone; the backup stays",
        r"init +# .*\n.* backup +# .*\n.* list +# .*\n\Z",
    ]
    assert re.search(".*".join(acts), out, re.DOTALL), out
    dump = named_backup(place, out)
    assert [] == place.left_behind()
    verified = subprocess.run(
        [sys.executable, *_PGVOW, "verify", dump, "--json"],
        env={**clean_environment(), "PGVOW_PG_BIN": str(programs(18))},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == verified.returncode, verified.stdout + verified.stderr
    return dump


def entries(dump: Path) -> str:
    """The table of contents, as pg_restore shows it."""
    listed = [programs(18) / "pg_restore", "--list", dump]
    return subprocess.run(listed, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("major", [15, 18])
def test_demo_runs_on_the_installed_server(major: int, whose: Place) -> None:
    """As root and as a user, with the major that is installed; vectors where they can be had."""
    tree = programs(major).parent
    tree = within_reach(whose, tree / "bin" / "postgres", tree) / tree.name
    whose.variables["PGVOW_PG_BIN"] = str(tree / "bin")
    out = whose.run(*_PGVOW)
    assert f"PostgreSQL {major}." in out
    dump = check_shown(whose, out)
    assert (major == 18) == ("EXTENSION - vector" in entries(dump))


def test_demo_runs_on_the_embedded_package(whose: Place) -> None:
    """As root and as a user: the embedded package serves, and has vectors of its own."""
    (whose.folder / "bin").mkdir()
    whose.variables["PATH"] = str(whose.folder / "bin")
    if whose.prefix:
        whose.prefix[0] = shutil.which(whose.prefix[0]) or whose.prefix[0]
    out = whose.run(*_NOTHING)
    assert "EXTENSION - vector" in entries(check_shown(whose, out))


@pytest.mark.parametrize("words", [(), ("--keep",), ("--output-dir", "elsewhere", "--json")])
def test_only_a_backup_that_is_to_stay_is_left(words: tuple[str, ...], place: Place) -> None:
    """A demo leaves no backup and no folder without ``--keep`` or ``--output-dir``.

    With ``--json`` its outcome alone is on standard output.
    """
    place.variables["PGVOW_PG_BIN"] = str(programs(18))
    done = place.start(*_PGVOW, "demo", "--messages", "10", *words)
    out, err = done.communicate(timeout=600)
    assert (0, "") == (done.returncode, err)
    dumps = list(place.folder.rglob("*.dump"))
    if "--json" in words:
        result = conforming(json.loads(out))
        assert (True, True, True) == tuple(
            result[name] for name in ("verified", "damage_found", "proven")
        )
        assert (10, 10) == (result["messages"], result["rows_restored"])
        assert [place.folder / result["backup_path"]] == dumps
    else:
        assert ("The server is gone; the backup stays" in out) == bool(words)
    assert bool(words) == (len(dumps) == 1)
    if not words:
        assert [] == list(place.folder.iterdir())
    assert [] == place.left_behind()


def test_the_demo_takes_less_than_a_minute(place: Place) -> None:
    """With all its messages, from the command to the table that is back."""
    place.variables["PGVOW_PG_BIN"] = str(programs(18))
    begun = time.monotonic()
    done = place.start(*_PGVOW, "demo")
    out, err = done.communicate(timeout=600)
    assert (0, "") == (done.returncode, err)
    assert "✓ 100,000 rows: the table is back" in out
    assert time.monotonic() - begun < 60


def test_a_client_only_pg_bin_is_passed_over_by_the_demo(place: Place) -> None:
    """A folder with pg_dump and no server is the user's for backups; the demo finds another."""
    folder = place.folder / "bin"
    folder.mkdir()
    for name in ("pg_dump", "pg_restore", "pg_dumpall"):
        (folder / name).symlink_to(programs(15) / name)
    place.variables["PGVOW_PG_BIN"] = str(folder)
    check_shown(place, place.run(*_NOTHING))


def test_a_pg_bin_without_programs_is_an_error(place: Place) -> None:
    """A folder that is named wrongly is told, and not passed over."""
    place.variables["PGVOW_PG_BIN"] = str(place.folder)
    done = place.start(*_PGVOW, "demo")
    _, err = done.communicate(timeout=600)
    assert 6 == done.returncode
    assert f"no working pg_dump in {place.folder}" in err
    assert [] == [*place.files, *place.left_behind()]


@pytest.mark.parametrize(
    ("stage", "number"),
    [
        ("starting", signal.SIGINT),
        ("initialising", signal.SIGINT),
        ("filling", signal.SIGINT),
        ("dumping", signal.SIGINT),
        ("dumping", signal.SIGTERM),
    ],
)
def test_an_interrupted_demo_leaves_nothing(
    stage: str, number: signal.Signals, place: Place
) -> None:
    """Ctrl-C in the midst: 130 and a word, no process, no file, no directory."""
    folder = place.folder.parent / "tools"
    folder.mkdir()
    place.variables["PGVOW_PG_BIN"] = str(held(programs(18), folder).bin)
    run = place.start(*_PGVOW, "demo", "--messages", "30000")
    assert run.stdout is not None
    run.stdout.readline()
    assert "A throw-away PostgreSQL" in run.stdout.readline()
    signs = {
        "starting": "*",
        "initialising": "tmp/pgvow-*/data/PG_VERSION",
        "filling": "tmp/pgvow-*/.s.PGSQL.5432",
        "dumping": "tmp/pgvow-demo-*/*.dump.partial",
    }
    wait_until(lambda: list(place.folder.parent.glob(signs[stage])))
    os.killpg(run.pid, number)
    _, err = run.communicate(timeout=600)
    assert 128 + number == run.returncode
    assert "✗ Demo failed: Interrupted" in err
    assert [] == [*place.files, *place.left_behind()]


def next_steps(out: str) -> dict[str, str]:
    """Return the commands of the last lines: init, backup and list."""
    lines = [line.split("#")[0].strip() for line in out.splitlines()[-3:]]
    return {line.split()[-1]: line for line in lines}


@pytest.mark.parametrize("on_path", [False, True])
def test_the_commands_that_the_demo_suggests_work(on_path: bool, place: Place) -> None:  # noqa: FBT001
    """However it was started, the commands that it ends with work, there and in another folder."""
    script = Path(sys.executable).parent / "pgvow"
    place.variables["PGVOW_PG_BIN"] = str(programs(18))
    search = place.environment["PATH"]
    without = [one for one in search.split(os.pathsep) if not (Path(one) / "pgvow").exists()]
    place.variables["PATH"] = os.pathsep.join([str(script.parent)] * on_path + without)
    relative = os.path.relpath(script, place.folder)
    started = ["pgvow" if on_path else relative, "demo", "--keep", "--messages", "10"]
    done = subprocess.run(
        started, cwd=place.folder, env=place.environment, capture_output=True, text=True, check=True
    )
    steps = next_steps(done.stdout)
    assert {"init", "backup", "list"} == set(steps)
    assert ("pgvow" if on_path else shlex.quote(str(script))) == steps["list"].split()[0]
    elsewhere = place.folder / "project"
    elsewhere.mkdir()
    typed = subprocess.run(
        ["sh", "-c", f"{steps['list']} --output-dir ../db/backups"],
        cwd=elsewhere,
        env=place.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "project_chat_dev" in typed.stdout


def fingerprints(server: TestServer, database: str, seed: int) -> dict[str, str]:
    """Fill a database and take a digest of every table's rows."""
    with server.connect(database) as session:
        with session.transaction():
            fill(session, messages=500, progress=Silent(), seed=seed)
        found = {}
        for table in _COUNTS:
            query = sql.SQL("SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {} AS t")
            row = session.execute(query.format(sql.Identifier(table))).fetchone()
            found[table] = str(row and row[0])
        return found


@pytest.mark.majors(15, 18)
def test_the_same_seed_makes_the_same_rows(server: TestServer, make_database: MakeDatabase) -> None:
    """Every row of every table, with vectors and without; another seed makes others."""
    first, second, other = (fingerprints(server, make_database(server), seed) for seed in (1, 1, 2))
    assert first == second
    assert set() == set(first.values()) & set(other.values())


@pytest.mark.majors(18)
def test_demo_tables_have_the_requested_rows_and_types(server: TestServer, database: str) -> None:
    """As many rows as were asked for; JSON, bytea, vectors, and text that breaks careless tools."""
    with server.connect(database) as session:
        with session.transaction():
            fill(session, messages=_MESSAGES, progress=Silent())
        for table, rows in _COUNTS.items():
            count = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
            assert (rows,) == session.execute(count).fetchone()
        assert ("vector",) == session.execute(
            "SELECT format_type(atttypid, -1) FROM pg_attribute"
            " WHERE attrelid = 'conversation_index'::regclass AND attname = 'embedding'"
        ).fetchone()
        assert (True, True, 40) == session.execute(
            "SELECT bool_or(content ~ 'naïve'), bool_or(payload ? 'tags'), count(attachment)"
            " FROM messages"
        ).fetchone()


class _Listening(Silent):
    """Keeps every message."""

    def __init__(self) -> None:
        super().__init__()
        self.details: list[str] = []

    def update(self, step: Step) -> None:
        """Keep it."""
        self.details.append(step.detail)


@pytest.mark.majors(18)
def test_progress_counts_the_messages_inserted(server: TestServer, database: str) -> None:
    """It says how many messages there are already."""
    progress = _Listening()
    with server.connect(database) as session, session.transaction():
        fill(session, messages=1500, progress=progress)
    assert [f"{done:,} of 1,500 messages" for done in (0, 500, 1000)] == progress.details


def test_the_embedded_package_is_installed() -> None:
    """The package that the tests above need is installed with the development tools."""
    assert embedded_bin() is not None
