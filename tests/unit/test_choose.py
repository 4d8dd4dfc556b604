"""A backup is chosen by a path, by latest, by a time, or by the beginning of its name."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgvow.model import (
    Backup,
    BackupStatus,
    Difference,
    DifferenceKind,
    Evidence,
    Level,
    Proof,
)
from pgvow.operations.choose_backup import (
    NoSuchBackup,
    SearchedDirectories,
    choose_backup,
    may_exist,
    newest_pair,
)
from pgvow.operations.list import ListOptions
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
        ("2026-11-27T05-05:00", 3),  # an hour in a zone: up to 10:59:59 in UTC
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


class Kind(StrEnum):
    """A backup as it may lie there: good, or of each kind that is passed over."""

    GOOD = "good"
    PART = "part"
    DAMAGED = "damaged"
    REFUTED = "refuted"


def listed(hours: int, kind: Kind, database: str, environment: str, name: str) -> Backup:
    """Return a backup of so many hours before noon, as a listing has it."""
    made = _NOON - timedelta(hours=hours)
    facts = backups.metadata(made, database=database, environment=environment)
    changed = Difference(DifferenceKind.ROWS, "orders", "3", "2")
    wrong = Evidence(Level.VERIFIED, made, 0.5, differences=(changed,))
    return Backup(
        Path("/no-such-directory", f"{name}_{facts.backup_file}"),
        BackupStatus.SIZE_DIFFERS if kind is Kind.DAMAGED else BackupStatus.OK,
        1,
        replace(facts, selection=("--table=orders",) if kind is Kind.PART else ()),
        made,
        environment,
        database,
        proof=Proof("x", "y", failed=wrong) if kind is Kind.REFUTED else None,
    )


_LISTED = st.lists(
    st.builds(
        listed,
        st.integers(0, 80),
        st.sampled_from(Kind),
        st.sampled_from(["shop", "store"]),
        st.sampled_from(["dev", "prod"]),
        st.text("ab", max_size=2),
    ),
    max_size=9,
    unique_by=lambda backup: backup.path,
).map(lambda some: sorted(some, key=made, reverse=True))
_OPTIONS = st.builds(
    lambda environment, database: SearchedDirectories([], environment, database),
    st.sampled_from([None, "dev", "prod"]),
    st.sampled_from([None, "shop", "store"]),
)


def made(backup: Backup) -> datetime:
    """Return when a backup was made."""
    assert backup.timestamp is not None
    return backup.timestamp


def is_good(backup: Backup) -> bool:
    """Return whether a backup is whole and sound, by its making above."""
    return backup.status is BackupStatus.OK and not backup.selection and backup.proof is None


def chosen_of(typed: str, some: list[Backup], places: SearchedDirectories) -> Path | NoSuchBackup:
    """Choose among backups that lie nowhere; returns the error instead of raising it."""

    def listing(_: object, options: ListOptions, __: object) -> list[Backup]:
        return [each for each in some if options.concern(each.environment, each.database)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pgvow.operations.choose_backup.list_backups", listing)
        try:
            return choose_backup(typed, places, a_context({}, now=_NOON))
        except NoSuchBackup as error:
            return error


def good_of(some: list[Backup], places: SearchedDirectories) -> list[Path]:
    """Return the good backups that are meant, newest first."""
    options = ListOptions(places.environment, places.database)
    return [
        each.path
        for each in some
        if is_good(each) and options.concern(each.environment, each.database)
    ]


_PROPERTY = settings(max_examples=100, deadline=None)


@_PROPERTY
@given(_LISTED, _OPTIONS, st.integers(0, 10))
def test_latest_counts_the_good_ones_alone(
    some: list[Backup], places: SearchedDirectories, back: int
) -> None:
    """latest~N is the N-th good one of those that are meant, or an error if there are too few."""
    good = good_of(some, places)
    answer = chosen_of(f"latest~{back}" if back else "latest", some, places)
    if back < len(good):
        assert good[back] == answer
    else:
        assert isinstance(answer, NoSuchBackup)


@_PROPERTY
@given(_LISTED, _OPTIONS, st.integers(-3, 90), st.integers(0, 3599), st.sampled_from([9, 0, -5]))
def test_a_time_is_the_newest_good_one_up_to_then(
    some: list[Backup], places: SearchedDirectories, hours: int, seconds: int, zone: int
) -> None:
    """Whatever the time, its zone and its precision: the newest good one up to its end."""
    then = (_NOON - timedelta(hours=hours, seconds=-seconds)).astimezone(
        timezone(timedelta(hours=zone))
    )
    for pattern, unit in (("%H:%M:%S", "seconds"), ("%H:%M", "minutes"), ("%H", "hours")):
        shown = then.strftime(f"%Y-%m-%dT{pattern}%z")
        typed = f"{shown[:-2]}:{shown[-2:]}"
        begin = datetime.fromisoformat(then.isoformat(timespec=unit))
        end = begin + timedelta(**{unit: 1})
        before = [each for each in some if made(each) < end]
        good = good_of(before, places)
        answer = chosen_of(typed, some, places)
        assert good[0] == answer if good else isinstance(answer, NoSuchBackup)


@_PROPERTY
@given(_LISTED, _OPTIONS, st.data())
def test_a_beginning_is_that_one_or_the_candidates(
    some: list[Backup], places: SearchedDirectories, data: st.DataObject
) -> None:
    """The beginning of one name is that backup, of several an error that names each of them."""
    options = ListOptions(places.environment, places.database)
    own = [each for each in some if options.concern(each.environment, each.database)]
    if not some:
        return
    name = data.draw(st.sampled_from(some)).path.name
    typed = name[: data.draw(st.integers(1, len(name)))]
    answer = chosen_of(typed, some, places)
    exact = [each.path for each in some if typed in (each.path.name, each.path.stem)]
    begins = [
        [each.path for each in among if each.path.name.startswith(typed)] for among in (own, some)
    ]
    candidates = exact or begins[0] or begins[1]
    if len(candidates) == 1:
        assert candidates[0] == answer
    else:
        assert isinstance(answer, NoSuchBackup)
        assert f"is the beginning of {len(candidates)} names" in answer.cause
        shown = [path for path in candidates if str(path) in answer.cause]
        assert min(len(candidates), 8) == len(shown)


@_PROPERTY
@given(_LISTED, _OPTIONS, st.text(max_size=12) | st.from_regex(r"latest~?[0-9]*|20[0-9-]{0,9}"))
def test_no_text_chooses_a_backup_that_is_not_there(
    some: list[Backup], places: SearchedDirectories, typed: str
) -> None:
    """Whatever is typed: one of the backups, or an error with exit code 2 and a step to take."""
    answer = chosen_of(typed, some, places)
    if isinstance(answer, NoSuchBackup):
        assert (2, True) == (answer.exit_code, bool(answer.steps))
    else:
        assert may_exist(typed) or answer in [each.path for each in some]
