"""Which entries of an archive only a superuser can restore; all others an ordinary role can."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pgvow.archive.toc import Entry

# None of these runs an expression or a function that an ordinary role of the source wrote, but for
# an extension's own script. A cast needs the ownership of a type that may be a superuser's.
_KINDS = frozenset(
    {
        "ACCESS METHOD", "CAST", "EVENT TRIGGER", "EXTENSION", "FOREIGN DATA WRAPPER",
        "FOREIGN TABLE", "OPERATOR CLASS", "OPERATOR FAMILY", "PROCEDURAL LANGUAGE", "PUBLICATION",
        "PUBLICATION TABLE", "PUBLICATION TABLES IN SCHEMA", "SECURITY LABEL", "SERVER",
        "SUBSCRIPTION", "SUBSCRIPTION TABLE", "TEXT SEARCH PARSER", "TEXT SEARCH TEMPLATE",
        "TRANSFORM", "USER MAPPING",
    }
)  # fmt: skip
_ROUTINES = frozenset({"FUNCTION", "PROCEDURE"})
_TYPES = frozenset({"SHELL TYPE", "TYPE"})
_TOLD_OF_IT = frozenset({"COMMENT"})
_LANGUAGE = re.compile(r"^\s*LANGUAGE (\"[^\"]+\"|\w+)", re.MULTILINE)
_TRUSTED = frozenset({"sql", "plpgsql", "plperl", "pltcl", "plv8", "pllua", "pljava", "plr"})
# These attributes, and a function's own value for a setting of superusers, want one. Where the body
# of a function merely has the words, a superuser creates it: that runs none of it.
_ATTRIBUTES = re.compile(
    r"\b(?:LEAKPROOF|SUPPORT)\b|^\s*SET (?:session_replication_role|log_|track_|lc_messages|jit_"
    r"|deadlock_timeout|zero_damaged_pages|ignore_|max_stack_depth|temp_file_limit|update_process"
    r"|compute_query_id|dynamic_library_path|session_preload|allow_system|backtrace|event_triggers"
    r"|lo_compat|commit_delay|wal_|auto_explain|pg_stat|pgaudit)",
    re.MULTILINE,
)
_BASE_TYPE = re.compile(r"^CREATE TYPE .*\(\n\s+(?:INTERNALLENGTH|INPUT) = ", re.MULTILINE)


def superuser_entries(entries: Iterable[Entry]) -> frozenset[int]:
    """Return the numbers of the entries that need a superuser, with the comments on those."""
    entries = tuple(entries)
    base = {one.name for one in entries if one.desc == "TYPE" and _BASE_TYPE.search(one.defn)}
    found = {one.dump_id for one in entries if _needs_superuser(one, base)}
    return frozenset(found) | {
        one.dump_id
        for one in entries
        if one.desc in _TOLD_OF_IT and not found.isdisjoint(one.dependencies)
    }


def _needs_superuser(entry: Entry, base: set[str]) -> bool:
    if entry.desc in _ROUTINES:
        languages = {name.strip('"') for name in _LANGUAGE.findall(entry.defn)}
        return bool(languages - _TRUSTED) or bool(_ATTRIBUTES.search(entry.defn))
    if entry.desc in _TYPES:
        return entry.name in base
    return entry.desc in _KINDS
