"""pgvow.toml: accepted and refused values, and the line of each."""

from __future__ import annotations

import json
import tomllib
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgvow.errors import ConfigurationError
from pgvow.model import Compress, Compression
from pgvow.retention import RetentionRules
from pgvow.settings import Configuration, Event, Job, ScheduledJob, load_configuration
from pgvow.settings.configuration import POLICY, SECTIONS
from pgvow.settings.toml_file import lines_of

if TYPE_CHECKING:
    from pathlib import Path

    from pgvow.settings import LoadedConfiguration


def load(folder: Path, text: str, **environ: str) -> LoadedConfiguration:
    """Load a file with this text."""
    (folder / "pgvow.toml").write_text(text, encoding="utf-8")
    return load_configuration(path=None, environ=environ, directory=folder)


def complaints(folder: Path, text: str, **environ: str) -> list[str]:
    """Load an invalid file, and return its problems."""
    with pytest.raises(ConfigurationError) as caught:
        load(folder, text, **environ)
    return [f"{one.source}: {one.variable} {one.complaint}" for one in caught.value.problems]


def test_without_a_file_defaults_apply_unless_one_is_named(tmp_path: Path) -> None:
    """The defaults hold; one that is named must be there."""
    empty = load_configuration(path=None, environ={}, directory=tmp_path)
    assert Configuration() == empty.configuration
    for path, environ in ((tmp_path / "x", {}), (None, {"PGVOW_CONFIG": str(tmp_path / "x")})):
        with pytest.raises(ConfigurationError, match="there is no such file"):
            load_configuration(path=path, environ=environ, directory=tmp_path)
    with pytest.raises(ConfigurationError, match="directory"):
        load_configuration(path=tmp_path, environ={}, directory=tmp_path)


def test_every_section_is_read_and_environments_override(tmp_path: Path) -> None:
    """Each section is read, and an environment's own keys go before the general ones."""
    found = load(
        tmp_path,
        """
output_dir = "backups"
[backup]
jobs = "auto"
compress = "zstd:3"
inspect = false
[retention]
keep_daily = 7
keep_within = "1d12h"
[status]
max_age = "26h"
shrink = 0.5
[schedule]
timezone = "Europe/Berlin"
[[schedule.jobs]]
job = "backup"
env = "staging"
at = "0 2 * * *"
[notifications]
urls = ["json://${HOST}/x"]
on = ["failure"]
[hooks]
before = ["/bin/true", "x"]
[metrics]
file = "m.prom"
[environments.staging]
output_dir = "elsewhere"
[environments.staging.retention]
keep_daily = 2
[environments.prod.backup]
jobs = 2
""",
        HOST="example.org",
    )
    configuration = found.configuration
    assert tmp_path / "backups" == configuration.output_dir_of("prod")
    assert tmp_path / "elsewhere" == configuration.output_dir_of("staging")
    assert Compress(Compression.ZSTD, 3) == configuration.backup.compress
    assert ("auto", False) == (configuration.backup.jobs, configuration.backup.inspect)
    assert (2, False) == (configuration.backup_of("prod").jobs, configuration.backup.inspect)
    assert (
        RetentionRules(daily=7, within=timedelta(hours=36))
        == configuration.retention_of("dev").rules
    )
    assert (
        RetentionRules(daily=2, within=timedelta(hours=36))
        == configuration.retention_of("staging").rules
    )
    assert (ScheduledJob(Job.BACKUP, "0 2 * * *", "staging"),) == configuration.schedule.jobs
    assert ("json://example.org/x",) == configuration.notifications.urls
    assert frozenset({Event.FAILURE}) == configuration.notifications.on
    assert ("STAGING_DB", "STAGING_DATABASE_URL") == (
        configuration.environments["staging"].variables.prefix,
        configuration.environments["staging"].variables.url_variable,
    )
    assert "pgvow.toml line 4" == found.origins["backup.jobs"]
    assert "pgvow.toml line 16" == found.origins["schedule.jobs[0].job"]
    assert "pgvow.toml line 29" == found.origins["environments.staging.retention.keep_daily"]
    assert "example.org" not in repr(configuration)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("jobs = 2", "line 1: jobs is not known; known are"),
        ("[backup]\njob = 2", "line 2: backup.job is not known; did you mean jobs?"),
        ("[retension]\nkeep_last = 1", "line 1: retension is not known; did you mean retention?"),
        ("[backup]\njobs = 0", "line 2: backup.jobs is not a whole number of 1 to 64"),
        ("[backup]\njobs = 65", "line 2: backup.jobs is not a whole number of 1 to 64"),
        ("[backup]\njobs = true", "line 2: backup.jobs is not a whole number"),
        ('[backup]\ncompress = "gzip:99"', "line 2: backup.compress 'gzip:99' is not gzip"),
        ("[backup]\ninspect = 1", "line 2: backup.inspect is neither true nor false"),
        ('[backup]\nengine = "x"', "line 2: backup.engine is neither"),
        ('[backup]\ntable = "x"', "line 2: backup.table is not a list"),
        ("backup = 1", "line 1: backup is not a table"),
        ('[retention]\nkeep_within = "1x"', "line 2: retention.keep_within '1x' is not a length"),
        ("[status]\nshrink = 40", "line 2: status.shrink is not a share"),
        ("[hooks]\ntimeout = 0", "line 2: hooks.timeout is not a number above 0"),
        ("[notifications]\ntimeout = 0", "line 2: notifications.timeout is not a number above 0"),
        ("[status]\ndisk_days = nan", "line 2: status.disk_days is not a number"),
        ('[schedule]\ntimezone = "Mars"', "line 2: schedule.timezone is no time zone"),
        ("[schedule]\njobs = 1", "line 2: schedule.jobs is not a list of tables"),
        ('[[schedule.jobs]]\njob = "backup"', "line 1: schedule.jobs[0] says no at"),
        (
            '[[schedule.jobs]]\njob = "x"\nat = "1 2 * * *"',
            "line 2: schedule.jobs[0].job is none of backup, prune, verify, prove",
        ),
        (
            '[[schedule.jobs]]\njob = "prove"\nat = "99 2 * * *"',
            "line 3: schedule.jobs[0].at is no cron expression",
        ),
        (
            '[[schedule.jobs]]\njob = "prove"\nat = "1 2 3 4 5"\nenv = "x"',
            "line 4: schedule.jobs[0].env 'x' is none of dev, prod",
        ),
        ('[notifications]\non = ["fail"]', "line 2: notifications.on is none of failure"),
        ('[notifications]\nurls = ["${NO}"]', "line 2: notifications.urls NO is not set"),
        ('[notifications]\nping = "ftp://x"', "line 2: notifications.ping is no http"),
        ('[hooks]\nbefore = "rm -rf"', "line 2: hooks.before is not a list such as"),
        ("[environments.Prod]\n", "line 1: environments.Prod is no name"),
        ("[environments.auto]\n", "line 1: environments.auto is no name"),
        ('[environments.dev]\nprefix = "X"', "line 2: environments.dev.prefix is fixed"),
        ("[environments]\nstaging = 1", "line 2: environments.staging is not a table"),
        ("a = 1\nb =", "line 2: "),
        ("a = 1\na = 2", "line 2: "),
    ],
)
def test_an_error_has_file_line_and_nearest_key(tmp_path: Path, text: str, complaint: str) -> None:
    """Each with the file, the line, and the nearest key that is known."""
    found = complaints(tmp_path, text)
    assert f"pgvow.toml {complaint}" in "\n".join(found)
    assert 1 == len(found)


def test_all_errors_of_a_file_are_reported_at_once(tmp_path: Path) -> None:
    """One error lists every fault of the file."""
    assert 3 == len(complaints(tmp_path, "x = 1\n[backup]\njobs = -1\n[status]\nmax_age = 3"))


def test_an_empty_environment_takes_the_general_settings(tmp_path: Path) -> None:
    """A section that only names an environment changes nothing else."""
    found = load(tmp_path, "[retention]\nkeep_last = 3\n[environments.test]\n").configuration
    assert RetentionRules(last=3) == found.retention_of("test").rules
    assert RetentionRules(last=3) == found.retention_of(None).rules


_keys = st.text("abc-_1", min_size=1, max_size=3) | st.sampled_from(['"a b"', "'x.y'", '"\\"#"'])
_values = st.sampled_from(
    [
        "1",
        '"x"',
        "[1, 2]",
        "[\n  1, # a ] comment\n  2,\n]",
        '"""\n[no.header]\nk = 1\n"""',
        "'''\na = \"\"\"\n'''",
        "{ a = 1, b = { c = [ { d = 1 } ] } }",
        "2026-11-22T02:00:00Z",
    ]
)
_statements = st.lists(
    st.tuples(st.sampled_from(["key", "key", "table", "array", "comment", "blank"]), _keys, _values)
)


@given(_statements)
def test_every_key_has_its_line(statements: list[tuple[str, str, str]]) -> None:
    """Every key that tomllib finds has a line, on which it stands."""
    text = ""
    for kind, key, value in statements:
        more = {
            "key": f"{key} = {value}\n",
            "table": f"  [{key}.{key}]  # [x]\n",
            "array": f"[[{key}]]\n",
            "comment": f"# {key} = 1\n",
            "blank": "\n",
        }[kind]
        try:
            tomllib.loads(text + more)
        except tomllib.TOMLDecodeError:
            continue  # a key twice
        text += more
    lines = lines_of(text)
    written = text.split("\n")
    for path in _paths_of(tomllib.loads(text)):
        line = written[lines[path] - 1]
        names = [part for part in path if isinstance(part, str)]
        assert any(json.dumps(name).strip('"') in line or name in line for name in names)


def _paths_of(found: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every path of a table, but for tables that no line names by themselves."""
    paths = []
    items = found.items() if isinstance(found, dict) else enumerate(found)
    for key, value in items:
        if not isinstance(value, dict | list):
            paths.append((*path, key))
        else:
            paths.extend(_paths_of(value, (*path, key)))
    return paths


@given(st.text(max_size=200) | st.binary(max_size=50).map(lambda data: data.decode("latin-1")))
def test_any_text_raises_our_error_only(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    """Whatever stands in the file, nothing but our own error comes out."""
    folder = tmp_path_factory.mktemp("toml")
    (folder / "pgvow.toml").write_text(text, encoding="utf-8", errors="replace")
    try:
        load_configuration(path=None, environ={}, directory=folder)
    except ConfigurationError as error:
        assert error.problems  # noqa: PT017 - most texts are refused, some are not


_anything = st.recursive(
    st.sampled_from(["1", "-1", "1.5", "true", '"x"', '"30d"', "[]"]),
    lambda inner: st.lists(inner, max_size=3).map(lambda found: f"[{', '.join(found)}]"),
    max_leaves=4,
)


@given(st.sampled_from([(name, key) for name in SECTIONS for key in SECTIONS[name]]), _anything)
def test_any_value_is_accepted_or_explained(
    tmp_path_factory: pytest.TempPathFactory, place: tuple[str, str], value: str
) -> None:
    """Every key accepts a value or names its fault."""
    folder = tmp_path_factory.mktemp("toml")
    section, key = place
    try:
        load(folder, f"[{section}]\n{key} = {value}\n")
    except ConfigurationError as error:
        assert [f"{section}.{key}"] == [one.variable for one in error.problems]  # noqa: PT017


def test_sections_of_an_environment_exist_as_general_sections() -> None:
    """Sections of an environment are general sections too."""
    assert POLICY.keys() <= SECTIONS.keys()
