"""Every command of recipes and guides in docs/ runs on real servers, and prints its output."""

from __future__ import annotations

import contextlib
import re
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import or_skip
from tests.support.commands import ROOT, Commands, clean_environment
from tests.support.documents import agrees, blocks, parsed, run
from tests.support.servers import MAJORS, TcpServer, programs
from tests.support.tls import speak_tls

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SHOP = """
CREATE TABLE customers (id integer PRIMARY KEY, name text NOT NULL);
CREATE TABLE orders (id integer PRIMARY KEY, customer integer REFERENCES customers, total numeric);
CREATE TABLE items (order_id integer REFERENCES orders, item text, PRIMARY KEY (order_id, item));
CREATE VIEW open_orders AS SELECT id, customer FROM orders WHERE total > 0;
INSERT INTO customers SELECT n, 'customer ' || n FROM generate_series(1, 20) AS n;
INSERT INTO orders SELECT n, n % 20 + 1, n * 1.5 FROM generate_series(1, 300) AS n;
INSERT INTO items SELECT n, 'item ' || n % 7 FROM generate_series(1, 300) AS n;
CREATE SCHEMA audit;
CREATE TABLE audit."log book" (line text);
INSERT INTO audit."log book" VALUES ('first line');
ALTER TABLE customers OWNER TO shop_app;
ALTER TABLE orders OWNER TO shop_app;
ALTER TABLE items OWNER TO shop_app;
ALTER VIEW open_orders OWNER TO shop_app;
"""
_HAPPENED = {
    "dropped-table": "DROP TABLE orders CASCADE",
    "yesterdays-rows": "UPDATE orders SET total = 0 WHERE id = 7; DELETE FROM items WHERE order_id"
    " IN (8, 9); DELETE FROM orders WHERE id IN (8, 9); INSERT INTO orders VALUES (301, 1, 20)",
    "only-the-dump": None,
    "server-gone": None,
}
"""What was done to the shop; None: it is gone, with its role."""
_TWO_SERVERS = ("move", "upgrade")
_PROVIDERS = "providers"
_GUIDES = ("docs/comparing.md", "docs/inspecting.md", "docs/json.md", "docs/operations.md")
_ELSEWHERE = ("README.md", "quickstart.md", "docs/parallel.md", "docs/unattended.md")
_COMMAND = re.compile(r"(pgvow|python3?|backup_db\.py|pg_\w+|psql|createdb) [a-z-]")
_HOSTS = (
    "shop.c1a2b3.eu-central-1.rds.amazonaws.com",
    "db.abcdefghijklmnopqrst.supabase.co",
    "ep-cool-name-123456.eu-central-1.aws.neon.tech",
    "shop-rw",
)
_PROVIDER = "CREATE ROLE provider LOGIN CREATEROLE CREATEDB"
_DAY = "2026-11-27T"  # on which the recipes' backups were made, at two o'clock
_OLDEST = "shop_prod_2026-11-27T02-00-00Z"  # a second later on a slow machine
_NEWEST = "shop_prod_2026-11-28T02-00-00Z"  # the backup that a recipe has made last
_YESTERDAY = datetime.now(UTC).replace(hour=2, minute=0, second=0) - timedelta(days=1)


def databases(server: TcpServer) -> set[str]:
    """Return the names of the databases there are."""
    with server.connect("postgres") as session:
        return {name for (name,) in session.execute("SELECT datname FROM pg_database")}


def drop_role(server: TcpServer) -> None:
    """Drop the shop's role, which owns nothing any more."""
    server.psql("postgres", "DROP ROLE IF EXISTS shop_app")


@contextlib.contextmanager
def shop_on(server: TcpServer) -> Iterator[None]:
    """Make the database of the recipes and its role; afterwards all that recipes made is gone."""
    there = databases(server)
    drop_role(server)
    server.psql("postgres", "CREATE ROLE shop_app LOGIN")
    server.create_database("shop")
    server.psql("shop", _SHOP)
    try:
        yield
    finally:
        for name in databases(server) - there:
            server.drop_database(name)
        drop_role(server)


def shell_for(server: TcpServer) -> dict[str, str]:
    """Return the variables of a user's shell, with the newest programs and libpq's way to one."""
    clean = clean_environment()
    path = [str(Path(sys.executable).parent), str(server.bin), clean["PATH"]]
    own = {
        key: value
        for key, value in server.tcp_environment("postgres").items()
        if key.startswith(("PG", "LD_"))
    }
    return {**clean, **own, "PATH": ":".join(path)}


@pytest.fixture(scope="module")
def yesterdays(tcp_server: TcpServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with settings for production, and yesterday's backup of the shop."""
    folder = tmp_path_factory.mktemp("recipes")
    (folder / "pgvow.toml").write_text("[environments.prod]\non_this_machine = true\n")
    settings = folder / ".env.local"
    settings.write_text(
        f"DB_HOST={tcp_server.tcp_host}\nDB_PORT={tcp_server.port}\nDB_NAME=shop\n"
        f"DB_USER={tcp_server.superuser}\nDB_PASSWORD='{tcp_server.password}'\n"
    )
    settings.chmod(0o600)
    with shop_on(tcp_server):
        made = Commands(folder, shell_for(tcp_server)).run_module(
            "tests.support.on_day", _YESTERDAY.isoformat(), "backup", "--env", "prod",
            PYTHONPATH=str(ROOT),
        )  # fmt: skip
    assert 0 == made.code, made.err
    return folder


@pytest.fixture
def folder(yesterdays: Path, tmp_path: Path) -> Path:
    """Return a copy of that folder, for one recipe."""
    shutil.copytree(yesterdays, tmp_path / "folder")
    return tmp_path / "folder"


def follow(
    document: str, folder: Path, shell: Mapping[str, str], meant: Mapping[str, str] | None = None
) -> None:
    """Run a document's blocks in order; ``meant`` has the addresses of its servers here."""
    steps = blocks(document, "sh")
    assert steps
    for script, output in steps:
        made = sorted(path.stem for path in folder.glob("db/backups/shop_prod_*.dump"))
        names = {
            **_named(made[-1]),
            _OLDEST: made[0],
            _DAY: f"{_YESTERDAY:%Y-%m-%dT}",
            **(meant or {}),
        }
        for name, address in names.items():
            script = script.replace(name, address)  # noqa: PLW2901
        printed = run(script, folder, shell)
        assert output is None or agrees(output, printed), f"{script}\n{printed}"


def _named(newest: str) -> dict[str, str]:
    """Return the backups that documents name, as they are called here."""
    path = f"db/backups/{newest}"
    stand_ins = dict.fromkeys(("db/backups/NAME", "db/backups/OLDER", "db/backups/NEWER"), path)
    files = {f"NAME.{kind}": f"{path}.{kind}" for kind in ("dump", "globals.sql")}
    return {_NEWEST: newest, **stand_ins, **files}


@pytest.fixture(scope="module")
def old_server() -> Iterator[TcpServer]:
    """Give a server of the oldest major, by TCP."""
    with contextlib.ExitStack() as stack:
        with or_skip():
            server = stack.enter_context(TcpServer.on_free_port(min(MAJORS)))
        yield server


@pytest.mark.parametrize("recipe", _TWO_SERVERS)
def test_recipes_for_two_servers(
    recipe: str, tcp_server: TcpServer, old_server: TcpServer, folder: Path
) -> None:
    """Each block runs and prints its output; the shop is on the old server alone."""
    with shop_on(old_server), shop_on(tcp_server):
        tcp_server.drop_database("shop")
        drop_role(tcp_server)
        follow(
            f"docs/howto/{recipe}.md",
            folder,
            {**shell_for(tcp_server), **passwords(folder, tcp_server, old_server)},
            {
                "old.example.net:5432": f"{old_server.tcp_host}:{old_server.port}",
                "new.example.net:5432": f"{tcp_server.tcp_host}:{tcp_server.port}",
            },
        )


def passwords(folder: Path, *servers: TcpServer) -> dict[str, str]:
    """Write the servers' passwords as ~/.pgpass has them; returns the variables that count."""
    file = folder.parent / "pgpass"
    lines = [f"*:{server.port}:*:*:{server.password}\n" for server in servers]
    file.write_text("".join(lines))
    file.chmod(0o600)
    return {"PGPASSFILE": str(file), "PGPASSWORD": ""}


def test_the_recipe_for_providers(old_server: TcpServer, folder: Path) -> None:
    """Each block runs, by a role without rights; the providers' hosts are a server with TLS.

    The host names stay as they are: libpq checks them against the certificate, and is led here.
    """
    certificate = speak_tls(old_server, *_HOSTS)
    for name in ("global-bundle.pem", "supabase.crt", "cluster-ca.crt"):
        (folder / name).write_bytes(certificate.read_bytes())
    shell = {**shell_for(old_server), **passwords(folder, old_server), "PGUSER": "provider"}
    shell["PATH"] = f"{programs(max(MAJORS))}:{shell['PATH']}"
    with shop_on(old_server):
        old_server.psql("postgres", f"{_PROVIDER} PASSWORD '{old_server.password}'")
        old_server.psql("postgres", "GRANT pg_read_all_data TO provider WITH ADMIN OPTION")
        try:
            follow(
                f"docs/howto/{_PROVIDERS}.md",
                folder,
                {**shell, "PGHOSTADDR": old_server.tcp_host},
                {":5432/": f":{old_server.port}/", "'secret'": f"'{old_server.password}'"},
            )
        finally:
            old_server.psql("postgres", "DROP ROLE IF EXISTS backup, provider")
    before_and_container = 2
    made = list(folder.glob("db/backups/*.metadata.json"))
    assert len(_HOSTS) + before_and_container == len(made)


@pytest.mark.parametrize("recipe", _HAPPENED)
def test_recipes_for_one_server(recipe: str, tcp_server: TcpServer, folder: Path) -> None:
    """Each block runs and prints its output, after what the recipe says has happened."""
    with shop_on(tcp_server):
        if happened := _HAPPENED[recipe]:
            tcp_server.psql("shop", happened)
        else:
            tcp_server.drop_database("shop")
            drop_role(tcp_server)
        address = f"{tcp_server.tcp_host}:{tcp_server.port}"
        document = f"docs/howto/{recipe}.md"
        follow(document, folder, shell_for(tcp_server), {"db2.example.net:5432": address})


@pytest.mark.parametrize("guide", _GUIDES)
def test_blocks_of_guides_run(guide: str, tcp_server: TcpServer, folder: Path) -> None:
    """Each block runs, with yesterday's backup for the names of files that stand there."""
    with shop_on(tcp_server):
        follow(guide, folder, shell_for(tcp_server))


def test_the_python_guide_runs(tcp_server: TcpServer, folder: Path) -> None:
    """All of it, as one program."""
    (program,) = blocks("docs/python.md", "python")
    with shop_on(tcp_server):
        run(f"python3 - <<'PROGRAM'\n{program.script}\nPROGRAM", folder, shell_for(tcp_server))
        assert "shop_yesterday" in databases(tcp_server)


def test_every_document_with_commands_is_run() -> None:
    """No page that has commands is without a test, here or in ``test_documents.py``."""
    recipes = {f"docs/howto/{name}.md" for name in (*_HAPPENED, *_TWO_SERVERS, _PROVIDERS)}
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    names = {page.relative_to(ROOT).as_posix() for page in pages}
    assert {*recipes, *_GUIDES, *_ELSEWHERE} == {name for name in names if blocks(name, "sh")}
    for name in names:
        others = [block for kind in ("", "shell", "bash") for block in blocks(name, kind)]
        assert [] == [block for block in others if _COMMAND.match(block.script)], name


@pytest.mark.parametrize(
    ("shown", "printed", "expected"),
    [
        ("Compared: 620 rows", "Compared:   620 rows\n", True),
        ("Compared: 620 rows", "Compared:   619 rows\n", False),
        ("Size: 6.3 kB, in 0.4 s", "Size: 7.1 MB, in 12 s", True),
        ("…\nNothing changed", "A 1\n\nB 2\nNothing changed", True),
        ("…\nNothing changed", "Nothing changed\n", True),
        ("…\nNothing changed", "Nothing changed\n  ~ orders", False),
        ("kept as shop_before_…", "kept as shop_before_20261128T091304Z", True),
    ],
)
def test_output_agrees_but_for_values_that_vary(
    shown: str, printed: str, *, expected: bool
) -> None:
    """Another count, or a line too many, is a difference; another size or duration is none."""
    assert expected == agrees(shown, printed)


def test_blocks_are_read_with_their_output() -> None:
    """The output belongs to the block above it; a block that is not meant to be run is none."""
    text = (
        "```sh\none\n```\n\n```console\nfirst\n```\n\n```sh\ntwo\n```\ntext\n"
        "<!-- not run: why -->\n```sh\nthree\n```\n"
    )
    assert [("one", "first\n"), ("two", None)] == [*parsed(text, "sh")]
