"""Choose a backup by what a person types: a path, ``latest``, a time, or a name's beginning."""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pgvow.errors import ConfigurationError
from pgvow.model import BackupStatus, is_partial
from pgvow.operations.list import ListOptions, list_backups
from pgvow.store import names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pgvow.model import Backup
    from pgvow.operations.context import Context

_LATEST = re.compile(r"latest(?:~(?P<back>[0-9]{1,6}))?")
_TIME = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    # One separator throughout: T07-05:00 is seven o'clock in the zone -05:00, and T07-05-00 is not.
    r"(?:[T ](?P<hour>[0-9]{2})"
    r"(?:(?P<between>[:-])(?P<minute>[0-9]{2})(?:(?P=between)(?P<second>[0-9]{2}))?)?)?"
    r"(?P<zone>Z|[+-][0-9]{2}:[0-9]{2})?"
)
_DAYS = {"today": 0, "yesterday": 1}
_SHOWN = 8
_STEP = "See what there is: pgvow list"


class NoSuchBackup(ConfigurationError):
    """What was typed names no backup, or more than one."""

    title = "No such backup"


@dataclass(frozen=True, slots=True)
class SearchedDirectories:
    """The directories to look in, and which of their backups are meant: all if None."""

    directories: Sequence[Path]
    environment: str | None = None
    database: str | None = None

    @property
    def words(self) -> str:
        """Name them for a message."""
        parts = [f"environment {self.environment}"] if self.environment else []
        parts += [f"database {self.database}"] if self.database else []
        of = f" of {', '.join(parts)}" if parts else ""
        return f"{of} in {self.shown_directories}"

    @property
    def shown_directories(self) -> str:
        """Name the directories alone."""
        return ", ".join(map(str, self.directories))


def choose_backup(typed: str, places: SearchedDirectories, context: Context) -> Path:
    """Return the path of the dump that is meant.

    A path that exists is always meant itself. A newer backup that is not good is passed over with a
    warning. Else ``latest`` is the newest whole backup against
    which no check speaks, ``latest~1`` the one before; a time, in UTC unless it has a zone, or
    ``yesterday``, is the newest such one up to then; anything else is a name as ``list`` prints it,
    or the beginning of one alone, of another environment or database if none of these begins so: a
    restore to development is given a name of production's. Raises NoSuchBackup, and the errors of
    listing.
    """
    if may_exist(typed) or _has_metadata(Path(typed)):
        return Path(typed)
    listed = _listed(places, context)
    if match := _LATEST.fullmatch(typed):
        good = _good(listed, context)
        if (back := int(match["back"] or 0)) >= len(good):
            _too_few(good, listed, places, context)
        return _announced(good[back], listed, context)
    if (end := _end_of(typed, context.now())) is not None:
        chosen = _before(end, typed, _good(listed, context), places)
        return _announced(chosen, [each for each in listed if _is_before(each, end)], context)
    if (meant := _meant(typed, listed)) is None:
        everywhere = _listed(SearchedDirectories(places.directories), context)
        meant = _meant(typed, everywhere) or _unknown(typed, everywhere, places)
    return meant.path


def _announced(chosen: Backup, listed: Sequence[Backup], context: Context) -> Path:
    """Return the path of a backup, and warn of the newer ones that are passed over as not good."""
    newer = [each for each in listed if _is_newer(each, chosen)]
    bad = [each for each in newer if each.status is not BackupStatus.OK or _is_refuted(each)]
    for each in bad[:_SHOWN]:
        why = each.complaint or ("a check failed" if _is_refuted(each) else str(each.status))
        context.reporter.warn(
            f"{each.path.name} is newer than {chosen.path.name}, and passed over: {why}"
        )
    return chosen.path


def _is_newer(backup: Backup, chosen: Backup) -> bool:
    if backup.timestamp is None or chosen.timestamp is None:
        return False
    return backup.timestamp > chosen.timestamp


def _is_before(backup: Backup, end: datetime) -> bool:
    return backup.timestamp is not None and backup.timestamp < end


def newest_pair(places: SearchedDirectories, context: Context) -> tuple[Path, Path]:
    """Return the last two good backups of the database that was backed up last, older first.

    Raises NoSuchBackup.
    """
    good = _good(_listed(places, context), context)
    if good:
        newest = good[0]
        subject = (newest.environment, newest.database)
        for other in good[1:]:
            if (other.environment, other.database) == subject:
                return other.path, newest.path
    raise NoSuchBackup(f"there are no two backups of one database{places.words}", steps=[_STEP])


def offered(places: SearchedDirectories, context: Context) -> list[Backup]:
    """Return the good backups of the places, newest first, for a person to choose from."""
    return _good(_listed(places, context), context)


def may_exist(path: str | Path) -> bool:
    """Return whether something is at a path; yes as well if that may not be seen."""
    try:
        os.lstat(path)
    except PermissionError:
        return True  # it is meant: whoever reads it says what is wrong
    except (OSError, ValueError):
        return False
    return True


def _has_metadata(dump: Path) -> bool:
    return dump.name.endswith(names.DUMP) and may_exist(
        dump.with_name(names.metadata_name(dump.name))
    )


def _listed(places: SearchedDirectories, context: Context) -> list[Backup]:
    return list_backups(
        places.directories, ListOptions(places.environment, places.database), context
    )


def _good(listed: Sequence[Backup], context: Context) -> list[Backup]:
    """Return those that are whole, and against which no check speaks, newest first."""
    selection_of = context.configuration.selection_of
    return [
        each
        for each in listed
        if each.status is BackupStatus.OK
        and not _is_refuted(each)
        and not is_partial(each.selection, selection_of(each.environment))
    ]


def _is_refuted(backup: Backup) -> bool:
    failed = backup.proof.failed if backup.proof else None
    return failed is not None and backup.trusted is None


def _too_few(
    good: Sequence[Backup], listed: Sequence[Backup], places: SearchedDirectories, context: Context
) -> NoReturn:
    number = f"only {len(good)} whole backups" if good else "no whole backup"
    only = ", only of parts" if not good and any(each.selection for each in listed) else ""
    steps = [_STEP, "Make one: pgvow backup", "A part is named by its own name"]
    if places.environment and not good and (others := _elsewhere(places, context)):
        steps.insert(1, f"Or one of {others[0].environment} by its name: {_stem(others[0])}")
    raise NoSuchBackup(f"there is {number}{places.words}{only}", steps=steps)


def _elsewhere(places: SearchedDirectories, context: Context) -> list[Backup]:
    """Return the good backups of every environment, newest first."""
    return offered(SearchedDirectories(places.directories, database=places.database), context)


def _end_of(typed: str, now: datetime) -> datetime | None:
    """Return the first instant after a day, minute or second that was typed; None if it is none."""
    if typed in _DAYS:
        midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight + timedelta(days=1 - _DAYS[typed])
    if (match := _TIME.fullmatch(typed)) is None:
        return None
    step = next(
        length
        for part, length in (
            ("second", timedelta(seconds=1)),
            ("minute", timedelta(minutes=1)),
            ("hour", timedelta(hours=1)),
            ("day", timedelta(days=1)),
        )
        if match[part]
    )
    clock = ":".join(match[part] or "00" for part in ("hour", "minute", "second"))
    try:
        begin = datetime.fromisoformat(f"{match['day']}T{clock}{match['zone'] or '+00:00'}")
        return begin + step
    except (ValueError, OverflowError) as error:
        raise NoSuchBackup(
            f"{typed!r} is no time", steps=["Write it as 2026-11-27T16:44, in UTC"]
        ) from error


def _before(
    end: datetime, typed: str, good: Sequence[Backup], places: SearchedDirectories
) -> Backup:
    for each in good:
        if _is_before(each, end):
            return each
    oldest = f"; the oldest is of {good[-1].timestamp:%Y-%m-%dT%H:%M:%SZ}" if good else ""
    raise NoSuchBackup(
        f"there is no whole backup up to {typed} (UTC){places.words}{oldest}", steps=[_STEP]
    )


def _meant(typed: str, listed: Sequence[Backup]) -> Backup | None:
    """Return the backup of this name, or the one alone whose name begins so; None if none does.

    Raises NoSuchBackup if several do.
    """
    exact: Callable[[Backup], bool] = lambda each: typed in (each.path.name, _stem(each))  # noqa: E731
    begins: Callable[[Backup], bool] = lambda each: each.path.name.startswith(typed)  # noqa: E731
    for is_meant in (exact, begins):
        meant = [each for each in listed if is_meant(each)] if typed else []
        if len(meant) == 1:
            return meant[0]
        if meant:
            raise _ambiguous(typed, meant)
    return None


def _unknown(typed: str, listed: Sequence[Backup], places: SearchedDirectories) -> NoReturn:
    near = difflib.get_close_matches(typed, [each.path.name for each in listed], 1)
    raise NoSuchBackup(
        f"there is no file {typed}, and no backup of that name in {places.shown_directories}",
        steps=[*(f"Did you mean {name}?" for name in near), _STEP],
    )


def _stem(backup: Backup) -> str:
    return backup.path.name.removesuffix(names.DUMP)


def _ambiguous(typed: str, meant: Sequence[Backup]) -> NoSuchBackup:
    shown = [str(each.path) for each in meant[:_SHOWN]]
    if len(meant) > len(shown):
        shown.append(f"and {len(meant) - len(shown)} more")
    return NoSuchBackup(
        f"{typed} is the beginning of {len(meant)} names:\n" + "\n".join(shown),
        steps=["Type more of it", "The newest of a database: latest --env ENV --database NAME"],
    )
