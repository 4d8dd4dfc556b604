"""pg_restore: which one, how it is run, and what it means when it fails."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pgvow.errors import RestoreFailed, ToolUnsuitable
from pgvow.postgres.binaries import install_steps
from pgvow.postgres.connection import take_your_time, watch_for_our_death
from pgvow.postgres.databases import on_database
from pgvow.postgres.majors import TRANSACTION_TIMEOUT_SINCE
from pgvow.postgres.outcomes import Meaning, end_of_restore, meaning_of
from pgvow.postgres.tool_stderr import own_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pgvow.archive import TocEntry
    from pgvow.errors import PgvowError
    from pgvow.postgres.binaries import Installation
    from pgvow.postgres.connection import Session, Target
    from pgvow.postgres.pg_restore import RestoreError

_LONGEST_CAUSE = 4000
_MAJOR = re.compile(r"\d+")
_LOCK_TABLE = re.compile("max_locks_per_transaction")  # what a restore needs, not memory
_NOT_OURS = re.compile(r"permission denied|must be (?:a |a member|able|owner|superuser)")


def major_of(version: str) -> int:
    """The major version: 15 for ``15.18``, 18 for ``18beta1``."""
    match = _MAJOR.match(version)
    return int(match[0]) if match else 0


def choose_pg_restore(
    installations: Iterable[Installation], *, server_major: int, made_by: int
) -> Installation:
    """Choose a pg_restore that reads the archive and writes what the server understands.

    The server's own major is preferred, then an older one, then a newer one. Raises RestoreFailed
    where the server is older than the pg_dump that made the archive, ToolUnsuitable where there is
    no pg_restore that fits.
    """
    if server_major < made_by:
        raise RestoreFailed(
            f"the archive was made by pg_dump {made_by}, and the server is PostgreSQL"
            f" {server_major}: it may not understand what stands in the archive",
            steps=[f"Restore into a server of PostgreSQL {made_by} or newer"],
        )
    found = list(installations)
    fitting = [
        one
        for one in found
        if one.major >= made_by
        and (one.major <= server_major or _speaks_alike(one.major, server_major))
    ]
    if not fitting:
        have = ", ".join(f"{one.version} in {one.bin}" for one in found)
        raise ToolUnsuitable(
            f"no pg_restore fits an archive of pg_dump {made_by}"
            f" and a PostgreSQL {server_major} server",
            facts={"Found": have},
            steps=install_steps(server_major),
        )
    return min(fitting, key=lambda one: (abs(one.major - server_major), one.major))


def _speaks_alike(newer: int, server_major: int) -> bool:
    since = TRANSACTION_TIMEOUT_SINCE
    return (newer >= since) == (server_major >= since)


def restore_failure(
    error: RestoreError,
    entries: Sequence[TocEntry],
    installation: Installation,
    target: Target,
    *,
    lost: str | None = None,
) -> PgvowError:
    """Translate what stopped pg_restore.

    It is RestoreFailed unless the words, or ``lost``, the error of a session beside it, are about
    the surroundings. pg_restore has no SQLSTATE, and words in another language are not understood.
    """
    cause = error.complaint[:_LONGEST_CAUSE]
    facts = {**target.facts, "pg_restore": f"{installation.version} in {installation.bin}"}
    entry = next((one for one in entries if one.dump_id == error.dump_id), None)
    if entry is not None:
        facts["Object"] = f"{entry.desc} {entry.name}"
    if error.stage is not None:
        facts["Stage"] = error.stage.value
    meaning = meaning_of(error.sqlstate, own_words(cause))
    if lost is not None and meaning not in {Meaning.DISK, Meaning.MEMORY}:
        meaning, cause = Meaning.CONNECTION, f"{cause}\nthe server did not stay intact: {lost}"
    ended = end_of_restore(meaning, cause, facts=facts) if not _LOCK_TABLE.search(cause) else None
    return ended or RestoreFailed(cause, facts=facts, steps=_steps(cause))


def _steps(cause: str) -> list[str]:
    """Steps by what pg_restore said; it quotes the server, which may speak any language."""
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
        "Read what pg_restore said above: it names the object and the statement",
        (
            "A function that leans on search_path fails under the empty one of a restore: write"
            " its schema into it, or ALTER FUNCTION … SET search_path, and back up again"
        ),
        "What was half restored has been dropped; nothing else was touched",
    ]


def role_steps(*, no_owner: bool = False) -> list[str]:
    """Steps when a role that the archive names is not there, though ``no_owner`` was asked for."""
    steps = [
        "Create the roles that were kept beside the dump: --globals",
        "Or give what is theirs to other roles: --owner-map FILE, a line old=new each",
    ]
    if not no_owner:
        whose = "Or let everything belong to the role that restores: --no-owner (grants are kept)"
        steps.append(whose)
    return steps


def tablespace_steps() -> list[str]:
    """Steps when a tablespace that the archive names is not there."""
    return [
        "Create the tablespaces, or let --globals do it where their directories exist",
        "Or put everything into the server's default tablespace: --no-tablespaces",
    ]


def owner_steps() -> list[str]:
    """Steps when the role that restores may not give objects to their owners."""
    return [
        "Let everything belong to the role that restores: --no-owner (grants are kept)",
        "Or give what others own to roles that it is a member of: --owner-map FILE",
    ]


def open_restored(target: Target, name: str) -> Session:
    """Open a session in a database that was restored; the server notices if we die.

    Its search_path is empty: operators that the backup has in ``public`` could take the place of
    the catalog's in our own queries, and run as us.
    """
    session = on_database(target, name).open("restore")
    watch_for_our_death(session)
    take_your_time(session)
    session.execute("SET client_encoding TO UTF8")
    session.execute("SET search_path TO ''")
    return session
