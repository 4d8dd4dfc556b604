"""Roles and tablespaces beside a dump: whatever goes wrong with them is a warning."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from pgvow.errors import PgvowError
from pgvow.postgres.globals import GlobalsCutShort, GlobalsDump, may_read_role_passwords

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from pgvow.model import GlobalsFacts
    from pgvow.postgres.binaries import Installation
    from pgvow.postgres.connection import ConnectionTarget, Session
    from pgvow.progress import Progress
    from pgvow.spool import Draft


def passwords_kept(target: ConnectionTarget, session: Session, progress: Progress) -> bool | None:
    """Tell whether roles can be kept with their passwords; None where nothing can be told."""
    try:
        return may_read_role_passwords(target, session)
    except PgvowError as error:
        _warn(progress, error)
        return None


def dumping_globals(
    target: ConnectionTarget,
    installation: Installation,
    progress: Progress,
    *,
    passwords: bool | None,
) -> AbstractContextManager[GlobalsDump | None]:
    """Start pg_dumpall; None where there is nothing to be had."""
    if passwords is None:
        return nullcontext()
    try:
        return GlobalsDump(target, installation, role_passwords=passwords)
    except PgvowError as error:
        _warn(progress, error)
        return nullcontext()


def keep_globals(
    draft: Draft, roles: GlobalsDump, user: str, progress: Progress
) -> GlobalsFacts | None:
    """Wait for pg_dumpall, and keep what it wrote beside the dump; raises GlobalsCutShort."""
    try:
        found = roles.result()
    except GlobalsCutShort:
        raise  # success that is none: nothing that this run made is to be believed
    except PgvowError as error:
        _warn(progress, error)
        return None
    if not found.role_passwords:
        progress.warn(
            f"roles are kept without their password hashes: {user} may not read pg_authid"
        )
    return draft.write_globals(found.script, role_passwords=found.role_passwords)


def _warn(progress: Progress, error: PgvowError) -> None:
    progress.warn(f"roles and tablespaces could not be kept: {error.cause}")
