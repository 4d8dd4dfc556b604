"""A new user's week with two servers; each of its twenty frictions does the better thing.

``tests/support/week.py`` plays it once, from Monday to Sunday. Each test looks at what one friction
of such a week left behind; its number is that of the friction.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pgvow.formats import size
from tests.conftest import or_skip
from tests.support.programs import system_program
from tests.support.receiver import receiving
from tests.support.servers import MAJORS, TcpServer
from tests.support.week import PAGE, Person, Week, play

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.servers import TestServer

_DIGEST = re.compile(r"[0-9a-f]{64}")
_MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
_SIZE = re.compile(r"[\d.]+ (?:B|kB|MB|GB|PB|[KMGT]i?B)\b")


@pytest.fixture(scope="module")
def week(pg18: TestServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Week]:
    """The whole week: production has the oldest major and a password, development the newest."""
    with contextlib.ExitStack() as stack:
        with or_skip():
            production = stack.enter_context(TcpServer.on_free_port(min(MAJORS)))
        for server, name in ((production, "shop"), (pg18, "shop_dev")):
            server.create_database(name)
            stack.callback(server.drop_database, name)
        stack.callback(pg18.psql, "postgres", "DROP DATABASE IF EXISTS shop_copy")
        person = Person(tmp_path_factory.mktemp("week"), {"PGVOW_PG_BIN": str(production.bin)})
        played = Week(person, production, pg18, stack.enter_context(receiving()))
        play(played)
        yield played


def spread(text: str) -> str:
    """Return a text that was folded or set in columns as one line."""
    return " ".join(text.split())


def test_01_monday_pgvow_alone_shows_how_to_begin(week: Week) -> None:
    """In an empty folder: no error, and the command to begin with."""
    assert (0, "") == (week.done["alone"].code, week.done["alone"].err)
    assert re.search(r"^  pgvow init +begin here", week.done["alone"].out, re.MULTILINE)


def test_02_monday_five_answers_lead_to_a_proven_backup(week: Week) -> None:
    """``pgvow init`` connects, writes settings that nobody else reads, backs up and proves."""
    screen = week.screens["init"]
    assert 0 == screen.code, screen.text
    assert "Backup proven: what comes back is what was there" in screen.text
    assert week.production.password not in screen.text
    assert 0o600 == (week.person.cwd / ".env.local").stat().st_mode & 0o777
    assert week.facts["first"].with_suffix(".proof.json").is_file()
    following = screen.text.partition("\nNext:\n")[2].splitlines()
    assert 1 == len(
        {
            line.index(word)
            for line in following
            for word in ("every night", "whether")
            if word in line
        }
    )


@pytest.mark.parametrize(
    ("mistyped", "meant"), [("command", "list"), ("option", "--database"), ("environment", "prod")]
)
def test_03_monday_a_mistyped_word_is_answered_with_the_right_one(
    week: Week, mistyped: str, meant: str
) -> None:
    """Commands, options and environments: 2, and the word that was meant."""
    done = week.done[f"mistyped {mistyped}"]
    assert (2, "") == (done.code, done.out)
    assert f"did you mean {meant}?" in done.err.lower()


def test_04_monday_help_ends_in_examples(week: Week) -> None:
    """``pgvow help COMMAND`` groups the options, and has at least two lines to copy."""
    text = week.done["help"].out
    for heading in ("What", "Where", "How fast", "Output"):
        assert f"\n{heading}:\n" in text
    examples = text.partition("\nexamples:\n")[2].splitlines()
    assert len([line for line in examples if line.startswith("  pgvow backup ")]) >= 2


def test_05_monday_production_on_this_machine_is_confirmed_once(week: Week) -> None:
    """The first run asks and names the line to write; after that line no run asks again."""
    asked = "[environments.prod] on_this_machine = true"
    assert asked in spread(week.screens["init"].text)
    later = [text for words, text in week.person.texts[1:] if words[0] != "init"]
    assert len(later) > 10
    assert not [text for text in later if "Production is on this machine" in text]
    assert "" == week.done["second backup"].err


def test_06_tuesday_latest_is_the_newest_whatever_was_touched(week: Week) -> None:
    """An older backup's files that are younger, as after a copy, are not taken for the newest."""
    older, newer = (week.facts[name] for name in ("first", "second"))
    assert older.stat().st_mtime > newer.stat().st_mtime
    assert newer.name == Path(week.done["show latest"].json["path"]).name


@pytest.mark.parametrize("typed", ["yesterday", "shop_prod_2026-11-23"])
def test_07_tuesday_a_day_or_a_beginning_names_a_backup(week: Week, typed: str) -> None:
    """Monday's backup is yesterday's on Tuesday, and the only one whose name begins so."""
    shown = week.done[f"show {typed}"]
    assert 0 == shown.code, shown.err
    assert week.facts["first"].name == Path(shown.json["path"]).name


def test_08_tuesday_a_file_that_is_not_there_is_a_usage_error(week: Week) -> None:
    """2, not 8, which is a backup that is damaged; with the name that is nearest."""
    done = week.done["not there"]
    assert 2 == done.code
    assert re.search(r"Did you mean shop_prod_\S+\.dump\?", done.err)


def test_09_tuesday_a_terminal_offers_the_backups(week: Week) -> None:
    """Without a name: numbers, newest first, with age, size and level in line."""
    screen = week.screens["picked"]
    assert 0 == screen.code, screen.text
    offered = re.findall(r"^  [12]  \S+ \(.* ago\) +prod shop  .*$", screen.text, re.MULTILINE)
    assert ["decoded", "proven"] == [line.split()[-1] for line in offered]
    assert 1 == len({line.index("prod shop") for line in offered})
    assert week.facts["first"].name in spread(screen.text)


def test_10_tuesday_diff_alone_compares_the_last_two(week: Week) -> None:
    """The older first; the row that came between is counted."""
    done = week.done["diff"]
    assert 0 == done.code, done.err
    a, b = done.out.splitlines()[:2]
    assert a.startswith("A ")
    assert b.startswith("B ")
    assert (week.facts["first"].name in a, week.facts["second"].name in b) == (True, True)
    assert "orders: 2,000 → 2,001 rows" in done.out


def test_11_wednesday_sixty_columns_keep_mark_age_and_size(week: Week) -> None:
    """``list`` drops whole columns, cuts nothing, and ends in a total."""
    screen = week.screens["narrow list"]
    lines = screen.text.splitlines()
    assert [] == [line for line in lines if len(line) > 60]
    assert {"Age", "Size", "Status"} <= set(lines[0].split())
    rows = [line for line in lines if "✓" in line]
    assert 3 == len([row for row in rows if re.search(r"(min|h|d|s) +[\d.]+ kB  ✓ ok, ", row)])
    assert re.search(r"^3 backups, [\d.]+ kB$", screen.text, re.MULTILINE)


def test_12_wednesday_a_size_is_written_the_same_everywhere(week: Week) -> None:
    """Report, list and history: powers of ten, the same figure; and no whole checksum."""
    (path,) = week.backups().glob("shop_prod_2026-11-25*.dump")
    written = size(path.stat().st_size)
    assert written.endswith(" kB")
    for text in (
        week.done["third backup"].out,
        week.screens["narrow list"].text,
        week.done["history"].out,
    ):
        assert written in text
        assert not [found for found in _SIZE.findall(text) if found.endswith("iB")]
    plain = [text for words, text in week.person.texts if not {"--json", "show"} & set(words)]
    assert len(plain) > 15
    assert [] == [text for text in plain if _DIGEST.search(text)]


def test_13_wednesday_a_report_has_duration_share_and_growth(week: Week) -> None:
    """How long, how much of the database, and how it grew since the day before."""
    took = r"^Took: +[\d.]+ s, [\d.]+ % of the database's size, \+\d+\.\d % since yesterday$"
    for name in ("second backup", "third backup"):
        assert re.search(took, week.done[name].out, re.MULTILINE), week.done[name].out


def test_14_thursday_a_restore_says_which_server_it_went_to(week: Week) -> None:
    """Production's backup by its name, into development: that environment and its address."""
    done, server = week.done["restored"], week.development
    assert 0 == done.code, done.err
    assert "2001" == week.facts["rows"]
    address = f"at port {server.port} by the socket in {server.socket_dir}"
    assert re.search(r"^Environment: dev$", done.out, re.MULTILINE)
    assert re.search(rf"^Server: +PostgreSQL 18\S* {re.escape(address)}", done.out, re.MULTILINE)


def test_15_thursday_who_holds_a_lock_is_named(week: Week) -> None:
    """Pid, program, since when and doing what, and the command that ends it."""
    done, pid = week.done["locked"], week.facts["pid"]
    assert 7 == done.code
    held = rf"Held by: +pid {pid} \(\w+, the migration\), idle in transaction for \d+ s, since "
    doing = ": ALTER TABLE orders ADD paid boolean"
    assert re.search(held + _MOMENT + doing, done.err), done.err
    assert f"pg_terminate_backend({pid})" in done.err


def test_16_thursday_the_space_check_says_how_it_reckons(week: Week) -> None:
    """By the last backup's size, which it names, and no more by twice the database's."""
    (space,) = (each for each in week.done["doctor"].json["checks"] if each["name"] == "space")
    (path,) = week.backups().glob("shop_prod_2026-11-25*.dump")
    assert f"the last backup's {size(path.stat().st_size)} and 10 %" in space["text"]


def test_17_friday_a_hook_finds_the_files_and_gets_numbers(week: Week) -> None:
    """From any directory: absolute paths that exist; sizes, rows and codes are numbers."""
    variables, facts = week.facts["hook variables"], week.facts["hook facts"]
    for name in ("PATH", "METADATA_PATH", "GLOBALS_PATH"):
        path = Path(variables[f"PGVOW_{name}"])
        assert (True, True) == (path.is_absolute(), path.is_file())
        assert str(path) == facts[name.lower()]
    size_bytes = Path(facts["path"]).stat().st_size
    assert [size_bytes, 11001, 0] == [facts[key] for key in ("bytes", "rows", "exit_code")]


def test_18_friday_programs_read_progress_and_python_does_the_same(week: Week) -> None:
    """``--progress json`` is JSON line by line; a run from Python is in the same history."""
    done = week.done["for programs"]
    assert (0, True) == (done.code, done.json["ok"])
    phases = [json.loads(line)["phase"] for line in done.err.splitlines()]
    assert "lock" == phases[0]
    assert "integrity" == phases[-1]
    assert week.facts["api"].passed
    (run,) = week.done["history after api"].json
    assert ("verify", "succeeded") == (run["operation"], run["outcome"])
    assert week.facts["api"].path.name == Path(run["file"]).name


def test_19_saturday_one_job_in_two_schedulers_is_a_warning(week: Week) -> None:
    """Cron and then systemd: where both are is said at once; one removal takes both."""
    if "scheduled" not in week.done:
        system_program("crontab", package="cron")
        pytest.skip("a crontab of its own needs root")
    once, twice = week.done["scheduled"], week.done["scheduled again"]
    assert (0, False) == (once.code, "scheduled twice" in once.out)
    assert (0, True) == (twice.code, "scheduled twice: in the crontab and in " in spread(twice.out))
    assert "pgvow schedule remove --job backup --env prod" in spread(twice.out)
    assert 0 == week.done["unscheduled"].code
    assert [] == week.done["nothing scheduled"].json


def test_20_sunday_the_page_at_night_says_what_and_what_next(week: Week) -> None:
    """One message for two failures: type, machine, database, cause once, steps, a link; its end."""
    assert [3, 3, 0] == [week.done[name].code for name in ("night, 2", "night, 3", "morning")]
    where = f"prod shop on {socket.gethostname()}"
    first, second, third = (
        [each for each in week.facts[f"messages, {hour}"] if each["title"].startswith("pgvow: b")]
        for hour in (2, 3, 9)
    )
    (failure,) = first
    assert first == second
    assert ("failure", f"pgvow: backup {where} failed") == (failure["type"], failure["title"])
    cause = 'database "shop" is not currently accepting connections'
    assert 1 == (failure["title"] + failure["message"]).count(cause)
    assert re.search(r"^Next:\n1\. .*\n2\. Try by hand: psql -h ", failure["message"], re.MULTILINE)
    assert re.search(rf"^began: {_MOMENT}$", failure["message"], re.MULTILINE)
    assert failure["message"].endswith(PAGE)
    assert [("success", f"pgvow: backup {where} works again")] == [
        (each["type"], each["title"]) for each in third[1:]
    ]
    assert [3, 3] == [run["exit_code"] for run in week.done["failed runs"].json]
    assert re.search(
        r"^✓ +prod +shop .* [▁-█]{5,} +[▁-█]{5,}$", week.done["wide"].out, re.MULTILINE
    )
