"""The settings of a database itself (ALTER DATABASE … SET) that its restore needs.

Checks, indexes and materialized views are computed anew by a restore, and the value that an
expression yields may hang on a setting: ``at::date`` on the time zone,
``current_setting('app.tenant')`` on one of the application's. ``pg_restore -C`` has them from the
beginning, and so do we, but for those that would stop a restore or name its directories and its
resources.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.archive import database_locale, kinds
from pgvow.postgres.restore_order import Stage
from pgvow.postgres.statements import statements, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pgvow.archive import TableOfContents, TocEntry
    from pgvow.postgres.statements import Statement

_CREATEDB = {
    "LOCALE_PROVIDER": "--locale-provider",
    "LOCALE": "--locale",
    "LC_COLLATE": "--lc-collate",
    "LC_CTYPE": "--lc-ctype",
    "ICU_LOCALE": "--icu-locale",
    "ICU_RULES": "--icu-rules",
    "BUILTIN_LOCALE": "--builtin-locale",
}
_PROVIDER = "LOCALE_PROVIDER"
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
        # Resources of the source's machine, and its directories.
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
# under which the source wrote its money. So do DateStyle and IntervalStyle: whatever pg_dump writes
# every style reads alike (docs/decisions/0017), and a check may ask for the text.
_SETTINGS_OF_TEXTS = {
    "array_nulls": "on",  # off, NULL in an array is the word
    "transform_null_equals": "off",  # on, "= NULL" is read as IS NULL
    "backslash_quote": "safe_encoding",
}
_READING_STAGES = frozenset({Stage.ROWS, Stage.INDEXES, Stage.CONDITIONS})


def settings_for(stage: Stage) -> Mapping[str, str]:
    """Return the settings under which a stage's texts are read as pg_dump meant them."""
    return _SETTINGS_OF_TEXTS if stage in _READING_STAGES else {}


def options_for(stage: Stage) -> str:
    """Return ``settings_for`` as options for the server."""
    return " ".join(f"-c {name}={value}" for name, value in settings_for(stage).items())


def changes_reading(statement: Statement) -> bool:
    """Return whether a statement sets something that changes how the text of rows is read."""
    return setting_name(statement) in _SETTINGS_OF_TEXTS


def settings_for_restore(entries: Iterable[TocEntry]) -> tuple[Statement, ...]:
    """Find the settings in an archive that its database needs before anything is restored."""
    properties = (entry for entry in entries if entry.desc == kinds.DATABASE_PROPERTIES)
    return needed_by_restore(each for entry in properties for each in statements(entry.defn))


def needed_by_restore(properties: Iterable[Statement]) -> tuple[Statement, ...]:
    """Choose the ALTER DATABASE … SET statements that a restore needs."""
    return tuple(_needed(properties))


def _needed(properties: Iterable[Statement]) -> Iterator[Statement]:
    for statement in properties:
        name = setting_name(statement)
        if name is not None and name not in _HELD_BACK:
            yield statement


def setting_name(statement: Statement) -> str | None:
    """The setting, in small letters, that a statement gives a database for all roles; else None."""
    tokens = words(statement)
    keywords = [token.keyword for token in tokens[:_WORDS_BEFORE]]
    if (
        len(tokens) <= _WORDS_BEFORE
        or keywords[:2] != ["ALTER", "DATABASE"]
        or keywords[3] != "SET"
    ):
        return None
    name = tokens[_WORDS_BEFORE - 1].name
    return None if name is None else name.lower()


def role_setting_name(statement: Statement) -> str | None:
    """The setting that ``ALTER ROLE … IN DATABASE … SET`` gives a role in a database; else None."""
    tokens = words(statement)
    match [token.keyword for token in tokens]:
        case ["ALTER", "ROLE", _, "IN", "DATABASE", _, "SET", _, *_]:
            name = tokens[7].name
            return None if name is None else name.lower()
    return None


def createdb_locale(toc: TableOfContents) -> list[str]:
    """Return createdb's options for the locale of an archive's database."""
    locale = database_locale(toc)
    if locale.get(_PROVIDER) == "libc":  # the default, and unknown to createdb before 15
        del locale[_PROVIDER]
    return [f"{_CREATEDB[name]}={value}" for name, value in locale.items() if name in _CREATEDB]
