"""Notes beside a backup: that it is to be kept, and that a person knows of its fault."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from typing import TYPE_CHECKING

from pgvow.errors import ConfigurationError
from pgvow.notes import Acknowledgement, Keep, holds
from pgvow.retention import fault_of
from pgvow.store import backup_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from pgvow.model import Backup
    from pgvow.notes import Notes
    from pgvow.operations.context import Context
    from pgvow.store import StoredBackup

_LONGEST = 1000


class NotNoted(ConfigurationError):
    """A note that cannot be made: of no backup, of no fault, or of a time that is over."""

    title = "No note made"


@dataclass(frozen=True, slots=True)
class NoteOptions:
    """Up to when a note holds, as a length of time or a timestamp, None for ever; and its text.

    ``withdraw`` takes the note back instead.
    """

    until: timedelta | datetime | None = None
    note: str | None = None
    withdraw: bool = False


@dataclass(frozen=True, slots=True)
class Noted:
    """The backup with its new notes; ``changed`` is False if there was none to take back."""

    backup: Backup
    changed: bool = True


def keep_backup(stored: StoredBackup, options: NoteOptions, context: Context) -> Noted:
    """Keep a backup from pruning and removal, or let it go again.

    Raises NotNoted, and AccessDenied, NoSpace or PgvowError if the notes cannot be written.
    """
    keep = _keep(options, context)
    return _changed(
        stored,
        lambda notes: replace(notes, keep=keep),
        lambda backup: backup.notes.keep is not None or backup.notes.complaint is not None,
        options,
    )


def acknowledge_fault(stored: StoredBackup, options: NoteOptions, context: Context) -> Noted:
    """Note that the fault of a backup is known, or take that back; it stays as bad as it is.

    Raises as ``keep_backup``; NotNoted as well if no fault is recorded.
    """
    fault = fault_of(_listed(stored))
    if fault is None and not options.withdraw:
        raise NotNoted(
            f"no fault of {stored.name} is known: there is nothing to acknowledge",
            facts={"File": str(stored.path)},
            steps=[f"Check it: pgvow verify {shlex.quote(str(stored.path))} --deep"],
        )
    known = None
    if fault is not None and not options.withdraw:
        until, now = _until(options, context), context.now()
        known = Acknowledgement(fault, now, until, _text(options))
    return _changed(
        stored,
        lambda notes: replace(notes, acknowledged=known),
        lambda backup: backup.notes.acknowledged is not None,
        options,
    )


def _keep(options: NoteOptions, context: Context) -> Keep | None:
    if options.withdraw:
        return None
    return Keep(context.now(), _until(options, context), _text(options))


def _changed(
    stored: StoredBackup,
    change: Callable[[Notes], Notes],
    is_noted: Callable[[Backup], bool],
    options: NoteOptions,
) -> Noted:
    """Change the notes while no other run can remove the backup, and return it with them."""
    with stored.held():
        backup = _listed(stored)
        if options.withdraw and not is_noted(backup):
            return Noted(backup, changed=False)
        notes = stored.change_notes(change)
        return Noted(replace(backup, notes=notes))


def _listed(stored: StoredBackup) -> Backup:
    backup = backup_in(stored.store, stored.name)
    if backup is None or backup.path.name != stored.name:
        raise NotNoted(f"{stored.path} is no backup", steps=["See what there is: pgvow list"])
    return backup


def _until(options: NoteOptions, context: Context) -> datetime | None:
    """Return up to when the note holds, to the second; raises NotNoted if that is over."""
    until, now = options.until, context.now()
    if until is None:
        return None
    try:
        end = now + until if isinstance(until, timedelta) else until.astimezone(UTC)
    except OverflowError:
        return None  # beyond the last year there is
    if not holds(end, now):
        raise NotNoted(
            f"--until {end:%Y-%m-%dT%H:%M:%SZ} is over",
            steps=["Name a day to come, such as 2027-01-01, or a length of time such as 90d"],
        )
    return end.replace(microsecond=0)


def _text(options: NoteOptions) -> str | None:
    """Return the text of the note, None if it is empty; raises NotNoted if it is too long."""
    if options.note is not None and (len(options.note) > _LONGEST or "\0" in options.note):
        raise NotNoted(f"a note has at most {_LONGEST} characters", steps=["Shorten it: --note"])
    return options.note or None
