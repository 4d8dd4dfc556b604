"""The settings of a database itself (ALTER DATABASE … SET) that its restore needs.

Checks, indexes and materialized views are computed anew by a restore, and what an expression
yields may hang on a setting: ``at::date`` on the time zone, ``current_setting('app.tenant')`` on
one of the application's. ``pg_restore -C`` has them from the beginning, and so do we, but for those
that would stop a restore or say where and with how much it works.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.archive import kinds
from pgvow.postgres.restore_order import Stage
from pgvow.postgres.statements import statements, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pgvow.archive import TocEntry
    from pgvow.postgres.statements import Statement

_WORDS_BEFORE = 5  # ALTER DATABASE name SET setting
_HELD_BACK = frozenset(
    {
        # pg_restore sets these itself; in sessions of ours they would only be in the way.
        "check_function_bodies", "client_encoding", "client_min_messages", "default_tablespace",
        "default_table_access_method", "idle_in_transaction_session_timeout", "lock_timeout",
        "row_security", "search_path", "standard_conforming_strings", "statement_timeout",
        "transaction_timeout", "xmloption",
        # These stop it, or make it another's.
        "default_transaction_deferrable", "default_transaction_isolation",
        "default_transaction_read_only", "exit_on_error", "idle_session_timeout", "role",
        "session_authorization", "session_replication_role", "temp_file_limit",
        "transaction_deferrable", "transaction_isolation", "transaction_read_only",
        # A library that is missing forbids to connect at all.
        "jit_provider", "local_preload_libraries", "session_preload_libraries",
        # What the source's machine could afford, and where it had room.
        "autovacuum_work_mem", "hash_mem_multiplier", "logical_decoding_work_mem",
        "maintenance_work_mem", "max_parallel_maintenance_workers", "max_parallel_workers",
        "max_parallel_workers_per_gather", "temp_buffers", "temp_tablespaces", "work_mem",
    }
)  # fmt: skip


# Settings on which it depends how a text is read, with the values that pg_dump wrote it under.
# pg_restore itself sets client_encoding, standard_conforming_strings and xmloption. All others only
# change how a value is printed (bytea_output, extra_float_digits, xmlbinary, lc_time), or what an
# expression yields (timezone, default_text_search_config, settings of an application): a check of
# a table leans on those while rows come, so they stay the database's own; so does lc_monetary,
# under which the source wrote its money. DateStyle and IntervalStyle are not needed to read what
# pg_dump writes, but they are to read it as it was meant, whatever a later server makes of them.
_OF_DEFINITIONS = {
    "array_nulls": "on",  # off, NULL in an array is the word
    "transform_null_equals": "off",  # on, "= NULL" is read as IS NULL
    "backslash_quote": "safe_encoding",
}
_OF_ROWS = {**_OF_DEFINITIONS, "DateStyle": "ISO", "IntervalStyle": "postgres"}
_READ_UNDER: dict[Stage, dict[str, str]] = {
    Stage.ROWS: _OF_ROWS,
    Stage.INDEXES: _OF_DEFINITIONS,
    Stage.CONDITIONS: _OF_DEFINITIONS,
}
_READING = frozenset(name.lower() for name in _OF_ROWS)


def options_for(stage: Stage) -> str:
    """Return the options for the server under which a stage's texts are read as pg_dump meant."""
    return " ".join(f"-c {name}={value}" for name, value in _READ_UNDER.get(stage, {}).items())


def changes_reading(statement: Statement) -> bool:
    """Return whether a statement sets something that changes how the text of rows is read."""
    return setting_name(statement) in _READING


def settings_for_restore(entries: Iterable[TocEntry]) -> tuple[Statement, ...]:
    """Find in an archive what its database has to be set to before anything comes into it."""
    properties = (entry for entry in entries if entry.desc == kinds.DATABASE_PROPERTIES)
    return needed_by_restore(each for entry in properties for each in statements(entry.defn))


def needed_by_restore(properties: Iterable[Statement]) -> tuple[Statement, ...]:
    """Choose those of a database's statements that set what a restore needs."""
    return tuple(_needed(properties))


def _needed(properties: Iterable[Statement]) -> Iterator[Statement]:
    for statement in properties:
        name = setting_name(statement)
        if name is not None and name not in _HELD_BACK:
            yield statement


def setting_name(statement: Statement) -> str | None:
    """The setting, in small letters, that a statement gives a database for all roles; else None."""
    said = words(statement)
    keywords = [token.keyword for token in said[:_WORDS_BEFORE]]
    if len(said) <= _WORDS_BEFORE or keywords[:2] != ["ALTER", "DATABASE"] or keywords[3] != "SET":
        return None
    name = said[_WORDS_BEFORE - 1].name
    return None if name is None else name.lower()
