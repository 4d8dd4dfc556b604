"""``pgvow init``: five questions, a connection that works, and the settings written."""

from __future__ import annotations

import getpass
import shlex
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rich.text import Text

from pgvow import DEFAULT_DIRECTORY, api
from pgvow.cli import options
from pgvow.cli.arguments import Topic, UsageProblem
from pgvow.cli.call import call_of
from pgvow.cli.commands import schedule
from pgvow.cli.commands.backup import backup_text, comparison_of, took
from pgvow.cli.commands.prove import proof_text
from pgvow.cli.console import GOOD, errors, output, print_warning, styled
from pgvow.cli.parser import parse_pgvow
from pgvow.errors import VerificationFailed
from pgvow.model import DEV, PROD
from pgvow.operations.init import (
    SETTINGS_FILE,
    Answers,
    check_free,
    is_in_git,
    test_connection,
    write_settings,
)
from pgvow.quoted_texts import keep_secret, printable

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from pgvow.cli.arguments import Parser
    from pgvow.cli.call import Call
    from pgvow.cli.report import Report
    from pgvow.operations.prove import ProofResult
    from pgvow.postgres.server import ServerFacts

_NIGHTLY = "0 2 * * *"
_TEXT = """\
Ask for a database, connect to it, and write .env.local (which nobody else can read) and pgvow.toml
into this folder. What is given as an option is not asked; without a terminal nothing is.
"""


def add_init(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("init", description=_TEXT)
    what = parser.topic(Topic.WHAT)
    what.add_argument(
        "--env", choices=(PROD, DEV), default=PROD, help="which database it is (default: prod)"
    )
    what.add_argument(
        "--url",
        metavar="URL",
        help="postgresql://USER@HOST:PORT/DATABASE, in the place of the next",
    )
    what.add_argument("--host", metavar="HOST", help="the server, or its socket's folder")
    what.add_argument("--port", metavar="PORT", help="its port (default: 5432)")
    what.add_argument("--dbname", metavar="NAME", help="the database")
    what.add_argument("--user", metavar="ROLE", help="the role that makes backups")
    what.add_argument(
        "--password-stdin",
        action="store_true",
        help="read the password from standard input; without one ~/.pgpass and the like count",
    )
    what.add_argument(
        "--now", action="store_true", help="make the first backup now, and prove that it comes back"
    )
    parser.topic(Topic.WHERE).add_argument(
        "--output-dir", metavar="DIR", dest="backups", help=f"default: {DEFAULT_DIRECTORY}"
    )
    options.add(parser, "report")


@dataclass(frozen=True, slots=True)
class _Begun:
    """The settings that were written, the server that answered, and the first backup, if made."""

    files: list[Path]
    server: ServerFacts
    backup: Path | None = None
    proof: ProofResult | None = None


def run(arguments: argparse.Namespace, report: Report) -> int:
    """Ask, connect, write, and make the first backup if it is wanted; returns the exit code."""
    call = call_of(arguments)
    is_asking = sys.stdin.isatty() and not arguments.password_stdin and not arguments.json
    check_free(Answers(arguments.env), call.context)
    answers = _answers(call, is_asking=is_asking)
    server = test_connection(answers, call.context)
    begun = _Begun(write_settings(answers, call.context), server)
    if not arguments.json:
        output().print(_written(begun))
    if is_in_git(call.context):
        print_warning(f"git does not ignore {SETTINGS_FILE}: echo {SETTINGS_FILE} >> .gitignore")
    if arguments.now or (is_asking and _agrees("Make the first backup now, and prove it?")):
        begun = _first_backup(call, begun)
    if is_asking and _agrees(f"Make one every night at two, by cron ({_NIGHTLY})?"):
        words = ["schedule", "install", "--env", arguments.env, "--at", _NIGHTLY]
        schedule.run(parse_pgvow(words), report)
    report.print(lambda: _object(begun), lambda: _next(arguments.env, begun))
    return 0 if begun.proof is None or begun.proof.proven else VerificationFailed.exit_code


def _answers(call: Call, *, is_asking: bool) -> Answers:
    typed = call.arguments
    given = Answers(
        environment=typed.env,
        url=typed.url or "",
        host=typed.host or "",
        port=typed.port or "",
        dbname=typed.dbname or "",
        user=typed.user or "",
        output_dir=typed.backups or "",
    )
    if typed.password_stdin:
        given = replace(given, password=sys.stdin.readline().rstrip("\n"))
    answers = _asked(given) if is_asking else given
    keep_secret(answers.password)
    if not answers.url and not answers.dbname:
        raise UsageProblem(
            "which database is not said, and there is no terminal to ask",
            steps=["pgvow init --url postgresql://USER@HOST/DATABASE", "pgvow init --help"],
        )
    return answers


def _asked(given: Answers) -> Answers:
    """Ask for the five answers that no option gave."""
    answers = given
    if not answers.url and not answers.host:
        host = _ask("Server (a name, an address, a socket's folder, or a URL)", "127.0.0.1")
        is_url = host.startswith(("postgresql://", "postgres://"))
        answers = replace(answers, url=host) if is_url else replace(answers, host=host)
    if not answers.url:
        answers = replace(answers, dbname=answers.dbname or _ask("Database"))
        answers = replace(answers, user=answers.user or _ask("User", getpass.getuser()))
        typed = getpass.getpass("Password (not shown; none: ~/.pgpass and the like count): ")
        answers = replace(answers, password=typed)
    if not answers.output_dir:
        answers = replace(answers, output_dir=_ask("Where shall backups be?", DEFAULT_DIRECTORY))
    return answers


def _ask(question: str, default: str = "") -> str:
    """Ask until there is an answer; an empty line is the default."""
    while True:
        hint = f" [{printable(default)}]" if default else ""
        errors().print(f"{question}{hint}: ", end="")
        line = sys.stdin.readline()
        if answer := line.strip() or default:
            return answer
        if not line:
            raise UsageProblem("there was no answer", steps=["pgvow init --help"])


def _agrees(question: str) -> bool:
    errors().print(f"{question} [Y/n]: ", end="")
    return sys.stdin.readline().strip().lower() in {"", "y", "yes"}


def _first_backup(call: Call, begun: _Begun) -> _Begun:
    env, directory = call.arguments.env, call.context.directory

    def context() -> api.Context:
        return api.open_context(directory, environ=call.context.environ, progress=call.terminal)

    with call.terminal.drawing():
        made = api.backup(context(), env)
    if not call.arguments.json:
        rows = [("Took", took(made, comparison_of(made, call.context.now())))]
        output().print(Text("\n").append(backup_text(made, rows)).append("\n"))
    with call.terminal.drawing():
        proof = api.prove(context(), made.backup.path)
    if not call.arguments.json:
        output().print(Text("\n").append(proof_text(proof)))
    return replace(begun, backup=made.backup.path, proof=proof)


def _written(begun: _Begun) -> Text:
    server, names = begun.server, ", ".join(str(path) for path in begun.files)
    text = Text.assemble(styled("✓", GOOD), f" Connected: PostgreSQL {server.version}, ")
    text.append(f"{printable(server.database)} as {printable(server.user)}\n")
    return text.append_text(styled("✓", GOOD)).append(f" Written: {printable(names)}")


def _next(env: str, begun: _Begun) -> Text:
    schedule_words = f'pgvow schedule install --env {env} --at "{_NIGHTLY}"'
    steps = [
        (schedule_words, "every night at two, by cron"),
        ("pgvow status", "whether all is well"),
    ]
    if begun.backup is None:
        steps = [
            (f"pgvow backup --env {env}", "the first one"),
            ("pgvow prove latest", "restore it elsewhere, and compare"),
            *steps,
        ]
    else:
        restore = f"pgvow restore {shlex.quote(str(begun.backup))} --env {env} --to NEW_DATABASE"
        steps.append((restore, ""))
    width = len(schedule_words)
    lines = [f"  {printable(words):<{width}}   {meaning}".rstrip() for words, meaning in steps]
    return Text("\nNext:\n" + "\n".join(lines))


def _object(begun: _Begun) -> dict[str, Any]:
    return {
        "ok": begun.proof is None or begun.proof.proven,
        "files": [str(path) for path in begun.files],
        "database": begun.server.database,
        "user": begun.server.user,
        "postgresql_version": begun.server.version,
        "backup": str(begun.backup) if begun.backup else None,
        "proven": begun.proof.proven if begun.proof else None,
    }
