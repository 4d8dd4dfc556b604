"""A new user's week, played from Monday to Sunday on two servers; ``test_week.py`` judges.

Production is the database shop, over TCP, on this machine; development is shop_dev on another
major, by its socket. Each command has the day and hour of the story, on the clock of ``on_day.py``.
"""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pgvow
from tests.support.commands import Commands, Done, clean_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.support.receiver import Receiver
    from tests.support.servers import TcpServer, TestServer
    from tests.support.terminal import Screen

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
PAGE = "https://wiki.example.org/backups"
PROD = ("--env", "prod")
_ON_DAY = Path(__file__).with_name("on_day.py")
_SPOOL = Path("/var/spool/cron/crontabs")
_UNPRIVILEGED = (
    "import os, sys; os.geteuid = lambda: 1000; from pgvow.cli import main; sys.exit(main())"
)


@dataclass
class Person(Commands):
    """A user whose commands have a time of the story; what each wrote is kept in ``texts``."""

    moment: datetime = MONDAY
    texts: list[tuple[tuple[str, ...], str]] = field(default_factory=list)

    def wait_until(self, day: int, hour: int) -> None:
        """Go on at an hour of a day of the week, of which Monday is 0."""
        self.moment = MONDAY + timedelta(days=day, hours=hour)

    def pgvow(self, *arguments: str | Path, timeout: float = 600, **more: str) -> Done:
        """Run ``pgvow`` to its end, a minute after the command before."""
        done = super().pgvow(*arguments, timeout=timeout, **more)
        self.texts.append((tuple(map(str, arguments)), done.out + done.err))
        return done

    def on_terminal(
        self,
        *arguments: str | Path,
        columns: int = 100,
        answers: Sequence[tuple[str, str]] = (),
        **more: str,
    ) -> Screen:
        """Run ``pgvow`` in a terminal, a minute after the command before."""
        screen = super().on_terminal(*arguments, columns=columns, answers=answers, **more)
        self.texts.append((tuple(map(str, arguments)), screen.text))
        return screen

    def _argv(self, words: list[str | Path]) -> list[str]:
        assert words[:2] == ["-m", "pgvow"]
        self.moment += timedelta(minutes=1)
        return super()._argv([_ON_DAY, self.moment.isoformat(), *words[2:]])


@dataclass
class Week:
    """The person, the servers, and by name each result that a test looks at."""

    person: Person
    production: TcpServer
    development: TestServer
    receiver: Receiver
    done: dict[str, Done] = field(default_factory=dict)
    screens: dict[str, Screen] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def backups(self) -> Path:
        """Return the directory of the backups."""
        return self.person.cwd / "db/backups"


def play(week: Week) -> None:
    """Play the seven days, one after the other."""
    for day in (monday, tuesday, wednesday, thursday, friday, saturday, sunday):
        day(week)


def monday(week: Week) -> None:
    """First minute: nothing is known but the name of the program; at its end a proven backup."""
    person, server = week.person, week.production
    person.wait_until(0, 9)
    server.psql("shop", "CREATE TABLE orders AS SELECT n FROM generate_series(1, 2000) AS n")
    week.done["alone"] = person.pgvow()
    week.done["help"] = person.pgvow("help", "backup")
    week.screens["init"] = person.on_terminal(
        *("init", "--port", str(server.port)),
        answers=[
            ("Server", server.tcp_host),
            ("Database", "shop"),
            ("User", server.superuser),
            ("Password", server.password),
            ("Where shall backups be?", ""),
            ("Make the first backup now", "y"),
            ("every night", "n"),
        ],
    )
    for name, words in (
        ("mistyped command", ["lits"]),
        ("mistyped option", ["list", "--databse", "shop"]),
        ("mistyped environment", ["backup", "--env", "prdo"]),
    ):
        week.done[name] = person.pgvow(*words)
    with (person.cwd / "pgvow.toml").open("a") as file:
        file.write("[environments.prod]\non_this_machine = true\n")


def tuesday(week: Week) -> None:
    """A second backup, and the names of both: no file has to be looked for with ``ls``."""
    person = week.person
    week.production.psql("shop", "INSERT INTO orders VALUES (2001)")
    person.wait_until(1, 9)
    week.done["second backup"] = person.pgvow("backup", *PROD)
    older, newer = sorted(week.backups().glob("*.dump"))
    week.facts["first"], week.facts["second"] = older, newer
    for path in week.backups().glob(f"{older.stem}.*"):  # as after a copy from another disk
        os.utime(path)
    for name in ("latest", "yesterday", "shop_prod_2026-11-23"):
        week.done[f"show {name}"] = person.pgvow("show", name, "--json")
    week.done["not there"] = person.pgvow("verify", "shop_prod_2026-11-2.dump")
    week.screens["picked"] = person.on_terminal("show", answers=[("Which one?", "2")])
    week.done["diff"] = person.pgvow("diff")


def wednesday(week: Week) -> None:
    """A day of reading, on the narrow half of a screen as well."""
    person = week.person
    week.production.psql("shop", "INSERT INTO orders SELECT n FROM generate_series(1, 9000) AS n")
    person.wait_until(2, 9)
    week.done["third backup"] = person.pgvow("backup", *PROD)
    week.screens["narrow list"] = person.on_terminal("list", columns=60)
    week.done["history"] = person.pgvow("history")


def thursday(week: Week) -> None:
    """Development is wanted with production's rows, while a migration has locked a table there."""
    person, server = week.person, week.development
    person.wait_until(3, 9)
    done = subprocess.run(
        person._argv([
            *("-m", "pgvow", "init", "--env", "dev", "--dbname", "shop_dev"),
            *("--host", str(server.socket_dir), "--port", str(server.port)),
            *("--user", server.superuser, "--password-stdin"),
        ]),
        cwd=person.cwd,
        env=person._environment({}),
        input=f"{server.password}\n",
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    week.done["init dev"] = Done(done.returncode, done.stdout, done.stderr)
    week.done["restored"] = person.pgvow(
        "restore", "shop_prod_2026-11-24", "--env", "dev", "--to", "shop_copy"
    )
    week.facts["rows"] = server.psql("shop_copy", "SELECT count(*) FROM orders").strip()
    with week.production.connect("shop") as session, session.transaction(force_rollback=True):
        session.execute("SET LOCAL application_name = 'the migration'")
        session.execute("ALTER TABLE orders ADD paid boolean")
        week.facts["pid"] = session.info.backend_pid
        week.done["locked"] = person.pgvow("backup", *PROD, "--lock-wait-timeout", "1")
    week.done["doctor"] = person.pgvow("doctor", *PROD, "--json")


def friday(week: Week) -> None:
    """Programs come: a hook, a page that shows progress, a script in Python."""
    person, port = week.person, week.receiver.port
    hook = person.cwd / "hook"
    hook.write_text('#!/bin/sh\ncd /\nenv > "$0.env"\ncat > "$0.json"\n')
    hook.chmod(0o755)
    with (person.cwd / "pgvow.toml").open("a") as file:
        file.write(
            f'[hooks]\nafter = ["{hook}"]\n'
            f'[notifications]\nurls = ["json://127.0.0.1:{port}/notify"]\npage_url = "{PAGE}"\n'
        )
    person.wait_until(4, 9)
    week.done["for programs"] = person.pgvow("backup", *PROD, "--json", "--progress", "json")
    lines = (person.cwd / "hook.env").read_text().splitlines()
    week.facts["hook variables"] = dict(line.partition("=")[::2] for line in lines)
    week.facts["hook facts"] = json.loads((person.cwd / "hook.json").read_text())
    environ = {**clean_environment(), **person.variables}
    context = pgvow.open_context(person.cwd, environ=environ)
    context = replace(context, clock=lambda: person.moment + timedelta(minutes=1))
    week.facts["api"] = pgvow.verify(context, pgvow.list(context, "prod")[0].path)
    week.done["history after api"] = person.pgvow("history", "--json", "--last", "1")


def saturday(week: Week) -> None:
    """The nightly job is set up with cron, and, months later as it were, with systemd again.

    Only where crontab can have a spool of its own: for root.
    """
    if shell := _with_crontab(week.person):
        words = ("schedule", "install", *PROD, "--at", "0 2 * * *")
        week.done["scheduled"] = shell.pgvow(*words)
        command = ["-c", _UNPRIVILEGED, *words, "--with", "systemd"]
        week.done["scheduled again"] = shell._run([*command], 60, {})
        week.done["unscheduled"] = shell.pgvow("schedule", "remove", *PROD)
        week.done["nothing scheduled"] = shell.pgvow("schedule", "show", "--json")


def sunday(week: Week) -> None:
    """At night the database does not let anybody in; in the morning somebody reads the page."""
    person, server = week.person, week.production
    with _closed(server):
        for hour in (2, 3):
            person.wait_until(6, hour)
            week.done[f"night, {hour}"] = person.pgvow("backup", *PROD)
            week.facts[f"messages, {hour}"] = week.receiver.bodies()
    person.wait_until(6, 9)
    week.done["failed runs"] = person.pgvow("history", "--failed", "--since", "1d", "--json")
    week.done["morning"] = person.pgvow("backup", *PROD)
    week.facts["messages, 9"] = week.receiver.bodies()
    week.done["wide"] = person.pgvow("status", "--wide")


@contextmanager
def _closed(server: TestServer) -> Iterator[None]:
    """Let nobody connect to production's database meanwhile."""
    server.psql("postgres", "ALTER DATABASE shop ALLOW_CONNECTIONS false")
    try:
        yield
    finally:
        server.psql("postgres", "ALTER DATABASE shop ALLOW_CONNECTIONS true")


def _with_crontab(person: Person) -> Commands | None:
    """Return a shell whose crontab, and whose units of systemd, are its own; None if none can be.

    The real crontab, with a folder of the test mounted over its spool.
    """
    if os.geteuid() != 0 or not _SPOOL.is_dir():
        return None
    spool = person.cwd.with_name(f"{person.cwd.name}-spool")
    spool.mkdir()
    status = _SPOOL.stat()
    os.chown(spool, status.st_uid, status.st_gid)
    spool.chmod(status.st_mode & 0o7777)
    script = f'mount --bind "{spool}" {_SPOOL} && exec "$@"'
    return Commands(
        person.cwd,
        {**person.variables, "XDG_CONFIG_HOME": f"{spool}-units"},
        ("unshare", "--mount", "sh", "-c", script, "sh"),
    )
