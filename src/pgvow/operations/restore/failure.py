"""The errors of a restore that stopped, and the steps for those that have some."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pgvow.errors import RestoreFailed
from pgvow.postgres.failure_classes import FailureClass, end_of_restore, meaning_of
from pgvow.postgres.tool_stderr import own_words

if TYPE_CHECKING:
    from pgvow.errors import PgvowError
    from pgvow.operations.core.stages import FailedEntry
    from pgvow.postgres.pg_restore import RestoreTools

_LONGEST_CAUSE = 4000
DROPPED = "What was half restored has been dropped; nothing else was touched"
_LOCK_TABLE = re.compile("max_locks_per_transaction")  # a need of the restore, not memory
_NOT_OURS = re.compile(r"permission denied|must be (?:a |a member|able|owner|superuser)")


def restore_failure(
    failed: FailedEntry, tools: RestoreTools, *, lost: str | None = None
) -> PgvowError:
    """Make the error for an entry that was refused.

    It is RestoreFailed unless the message, or ``lost``, the error of a session beside it, is about
    the surroundings. pg_restore has no SQLSTATE; messages in another language are not understood.
    """
    cause = failed.error.complaint[:_LONGEST_CAUSE]
    installation = tools.installation
    facts = {
        **tools.target.facts,
        "pg_restore": f"{installation.version} in {installation.bin}",
    }
    if failed.entry is not None:
        facts["Object"] = failed.entry.shown
    if failed.error.stage is not None:
        facts["Stage"] = failed.error.stage.value
    meaning = meaning_of(failed.error.sqlstate, own_words(cause))
    if lost is not None and meaning not in {FailureClass.DISK, FailureClass.MEMORY}:
        meaning, cause = FailureClass.CONNECTION, f"{cause}\nthe server did not stay intact: {lost}"
    ended = end_of_restore(meaning, cause, facts=facts) if not _LOCK_TABLE.search(cause) else None
    return ended or RestoreFailed(cause, facts=facts, steps=_steps(cause))


def _steps(cause: str) -> list[str]:
    """Choose steps by pg_restore's message; it quotes the server, in any language."""
    if "role " in cause and "does not exist" in cause:
        return role_steps()
    if _LOCK_TABLE.search(cause):
        return ["Restore with --jobs 2 or more: --jobs 1 locks all tables in one transaction"]
    if "CREATE EXTENSION" in cause:
        return ["Install the extension's package on the server, of the same major as the server"]
    if "tablespace" in cause:
        return tablespace_steps()
    if _NOT_OURS.search(cause):
        return ["Restore as a superuser: the statement above is not for every role", *owner_steps()]
    return [
        (
            "Read the server's message above: it was tried after the others as well, and under the"
            " search_path of the source"
        ),
        DROPPED,
    ]


def role_steps(*, no_owner: bool = False) -> list[str]:
    """Return the steps if a role of the archive is missing, though ``no_owner`` was asked for."""
    steps = [
        "Create the roles that were kept beside the dump: --globals",
        "Or give what is theirs to other roles: --owner-map FILE, a line old=new each",
    ]
    if not no_owner:
        whose = "Or let everything belong to the role that restores: --no-owner (grants are kept)"
        steps.append(whose)
    return steps


def tablespace_steps() -> list[str]:
    """Return the steps if a tablespace of the archive is missing."""
    return [
        "Create the tablespaces, or let --globals do it where their directories exist",
        "Or put everything into the server's default tablespace: --no-tablespaces",
    ]


def owner_steps() -> list[str]:
    """Return the steps if the role that restores may not give objects to their owners."""
    return [
        "Let everything belong to the role that restores: --no-owner (grants are kept)",
        "Or give what others own to roles that it is a member of: --owner-map FILE",
    ]
