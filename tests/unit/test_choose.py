"""A backup is chosen by a path, by latest, by a time, or by the beginning of its name."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgvow.model import Difference, DifferenceKind, Evidence, Level
from pgvow.operations.choose_backup import (
    NoSuchBackup,
    SearchedDirectories,
    choose_backup,
    newest_pair,
)
from pgvow.store import StoredBackup, names
from tests.support import backups
from tests.support.contexts import a_context

if TYPE_CHECKING:
    from collections.abc import Callable

    Put = Callable[..., Path]

_NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Place a backup that was made so many hours before noon, and return its dump."""

    def place(hours: float, database: str = "shop", environment: str = "prod") -> Path:
        made = _NOON - timedelta(hours=hours)
        metadata = backups.metadata(made, database=database, environment=environment)
        backups.place(tmp_path, metadata)
        return tmp_path / metadata.backup_file

    return place


def chosen(typed: str, directory: Path, **which: str) -> Path:
    """Choose among the backups of a directory, at noon."""
    context = a_context({}, now=_NOON)
    return choose_backup(typed, SearchedDirectories([directory], **which), context)


def test_latest_counts_back_from_the_newest(put: Put, tmp_path: Path) -> None:
    """latest is the newest, latest~1 the one before it; beyond the oldest is an error."""
    older, newest = put(30), put(2)
    assert newest == chosen("latest", tmp_path)
    assert newest == chosen("latest~0", tmp_path)
    assert older == chosen("latest~1", tmp_path)
    with pytest.raises(NoSuchBackup, match="only 2 whole backups"):
        chosen("latest~2", tmp_path)


def test_latest_of_an_environment_or_a_database(put: Put, tmp_path: Path) -> None:
    """--env and --database choose among those of their own."""
    put(1, "other")
    put(2, environment="dev")
    mine = put(3)
    assert mine == chosen("latest", tmp_path, environment="prod", database="shop")
    with pytest.raises(NoSuchBackup, match="database none in"):
        chosen("latest", tmp_path, database="none")


def test_latest_of_none_names_one_of_another_environment(put: Put, tmp_path: Path) -> None:
    """Production's newest, by its name, is what a restore into development wants."""
    put(9)
    newest = put(3)
    with pytest.raises(NoSuchBackup) as caught:
        chosen("latest", tmp_path, environment="dev")
    assert f"Or one of prod by its name: {newest.stem}" == caught.value.steps[1]
    with pytest.raises(NoSuchBackup) as caught:
        chosen("latest~2", tmp_path)
    assert not [step for step in caught.value.steps if "by its name:" in step]


def test_latest_passes_over_what_is_not_good(put: Put, tmp_path: Path) -> None:
    """A dump of another size, one without metadata, and one that a check refuted are not latest."""
    good = put(9)
    cut, lost, refuted = put(3), put(2), put(1)
    cut.write_bytes(b"short")
    (tmp_path / names.metadata_name(lost.name)).unlink()
    changed = Difference(DifferenceKind.ROWS, "orders", "3", "2")
    wrong = Evidence(Level.VERIFIED, _NOON, 0.5, differences=(changed,))
    stored = StoredBackup.at(refuted)
    stored.add_evidence(stored.metadata().checksum_sha256, wrong)
    assert good == chosen("latest", tmp_path)
    assert cut == chosen(cut.name, tmp_path)  # by its name it can still be looked at


@pytest.mark.parametrize(
    ("typed", "hours"),
    [
        ("2026-11-27T09:00", 3),  # of this minute
        ("2026-11-27T08:59", 26),
        ("2026-11-27 09:00:00", 3),
        ("2026-11-27T09-00-00Z", 3),  # as in the name of a file
        ("2026-11-27T10:30+01:30", 3),
        ("2026-11-27T08", 26),
        ("2026-11-27", 3),
        ("today", 3),
        ("yesterday", 26),
        ("2026-11-26", 26),
    ],
)
def test_a_time_means_the_newest_up_to_then(
    put: Put, tmp_path: Path, typed: str, hours: int
) -> None:
    """A day, an hour, a minute or a second that was typed is within; UTC unless a zone is given."""
    made = {hours: put(hours) for hours in (3, 26, 50)}
    assert made[hours] == chosen(typed, tmp_path)


def test_a_time_before_the_first_backup_names_the_oldest(put: Put, tmp_path: Path) -> None:
    """Nothing up to then is an error, and says since when there is something."""
    put(3)
    with pytest.raises(NoSuchBackup, match="the oldest is of 2026-11-27T09:00:00Z"):
        chosen("2026-11-26", tmp_path)


@pytest.mark.parametrize("typed", ["2026-02-30", "2026-11-27T25:00", "9999-12-31"])
def test_a_time_that_does_not_exist_is_an_error(put: Put, tmp_path: Path, typed: str) -> None:
    """No day of the calendar, no hour of a day, no time that Python can count from: exit code 2."""
    put(3)
    with pytest.raises(NoSuchBackup, match="is no time"):
        chosen(typed, tmp_path)


def test_the_beginning_of_one_name_is_enough(put: Put, tmp_path: Path) -> None:
    """A file's name, its stem, or a beginning that no other has; else the candidates are named."""
    one, other = put(3), put(26)
    assert one == chosen(one.name, tmp_path)
    assert one == chosen(one.name.removesuffix(".dump"), tmp_path)
    assert one == chosen("shop_prod_2026-11-27", tmp_path)
    with pytest.raises(NoSuchBackup, match="beginning of 2 names") as caught:
        chosen("shop", tmp_path)
    assert str(other) in caught.value.cause


def test_a_name_is_looked_for_in_every_environment(put: Put, tmp_path: Path) -> None:
    """One of --env comes first; without any, one of another: production's, for development."""
    mine, other = put(2, environment="dev"), put(2, "store")
    assert mine == chosen("shop", tmp_path, environment="dev")
    assert other == chosen(other.stem, tmp_path, environment="dev")
    assert other == chosen("st", tmp_path, environment="dev", database="shop")
    more = put(3, "store")
    with pytest.raises(NoSuchBackup, match="is the beginning of 2 names") as caught:
        chosen("store_prod_", tmp_path, environment="dev")
    assert more.name in str(caught.value)
    with pytest.raises(NoSuchBackup, match=f"no backup of that name in {tmp_path}$"):
        chosen("nothing", tmp_path, environment="dev")


def test_a_whole_name_is_not_the_beginning_of_another(put: Put, tmp_path: Path) -> None:
    """A stem that is also the beginning of a longer name means the one it is."""
    one = put(3)
    longer = one.with_name(one.name.replace(".dump", "_copy.dump"))
    longer.write_bytes(one.read_bytes())
    assert one == chosen(one.name.removesuffix(".dump"), tmp_path)


def test_a_path_that_exists_is_meant_itself(put: Put, tmp_path: Path) -> None:
    """A file called latest, or in another directory, wins over every name."""
    put(3)
    mine = tmp_path / "latest"
    mine.touch()
    assert mine == chosen(str(mine), tmp_path)


def test_a_dump_that_its_metadata_outlived_is_chosen(put: Put, tmp_path: Path) -> None:
    """Its path names a backup that was there: the check that fails is not a word mistyped."""
    lost = put(3)
    lost.unlink()
    assert lost == chosen(str(lost), tmp_path)


def test_a_name_mistyped_is_answered_with_the_nearest(put: Put, tmp_path: Path) -> None:
    """Exit code 2, and the name that was meant."""
    one = put(3)
    with pytest.raises(NoSuchBackup) as caught:
        chosen(one.name.replace("shop", "shpo"), tmp_path)
    assert 2 == caught.value.exit_code
    assert f"Did you mean {one.name}?" == caught.value.steps[0]


def test_a_newer_backup_that_is_passed_over_is_named(put: Put, tmp_path: Path) -> None:
    """Older data are never chosen in silence: each newer bad one has a warning."""
    good, cut, lost = put(9), put(3), put(2)
    cut.write_bytes(b"short")
    (tmp_path / names.metadata_name(lost.name)).write_text("{")
    context = a_context({}, now=_NOON)
    assert good == choose_backup("latest", SearchedDirectories([tmp_path]), context)
    assert [lost.name, cut.name] == [text.split()[0] for text in context.reporter.warnings]
    context = a_context({}, now=_NOON)
    assert good == choose_backup("2026-11-27T05", SearchedDirectories([tmp_path]), context)
    assert [] == context.reporter.warnings


def test_a_newer_part_is_passed_over(put: Put, tmp_path: Path) -> None:
    """A backup of some tables is never the latest, and none of its kind is a reason to warn."""
    good, part = put(9), put(1)
    path = tmp_path / names.metadata_name(part.name)
    path.write_text(json.dumps({**json.loads(path.read_text()), "selection": ["--table=orders"]}))
    context = a_context({}, now=_NOON)
    assert good == choose_backup("latest", SearchedDirectories([tmp_path]), context)
    assert [] == context.reporter.warnings


def test_the_pair_is_of_one_database(put: Put, tmp_path: Path) -> None:
    """The last two of the database that was backed up last, the older first."""
    older, newest = put(30), put(1)
    put(2, "other")
    context = a_context({}, now=_NOON)
    assert (older, newest) == newest_pair(SearchedDirectories([tmp_path]), context)
    with pytest.raises(NoSuchBackup, match="no two backups of one database"):
        newest_pair(SearchedDirectories([tmp_path], database="other"), context)


@given(st.text(min_size=1))
def test_any_text_is_a_choice_or_an_error_of_ours(typed: str) -> None:
    """Whatever is typed, the answer is a path or NoSuchBackup, never a traceback."""
    context = a_context({}, now=_NOON)
    try:
        choose_backup(typed, SearchedDirectories([Path("no-such-directory")]), context)
    except NoSuchBackup as error:
        assert 2 == error.exit_code  # noqa: PT017 - a path that exists is none
