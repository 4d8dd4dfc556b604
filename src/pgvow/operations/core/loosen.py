"""Bring back an entry in a looser form, after all else has failed, and say how to make it whole.

A foreign key or check holds for new rows alone (``NOT VALID``), a unique or primary key becomes a
plain index, rows are loaded without conditions that they break; the rest is left out. Rows that no
table takes are kept in files.
"""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

import psycopg
from psycopg import sql

from pgvow.archive import ArchiveError, kinds
from pgvow.errors import PgvowError
from pgvow.operations.core.broken_rows import BrokenRows, of_foreign_key, of_index
from pgvow.operations.core.definitions import restore_definitions
from pgvow.operations.core.set_aside import keep_rows, load_without_conditions
from pgvow.operations.core.stages import LoosenedEntry, RetriedEntry
from pgvow.postgres.entry_session import prepare_for_entry
from pgvow.postgres.failure_classes import meaning_of, no_verdict
from pgvow.postgres.restore_messages import of_surroundings
from pgvow.postgres.restore_order import Stage, Wave
from pgvow.postgres.statements import statements, words, written
from pgvow.postgres.tool_stderr import own_words, server_words
from pgvow.recovery import LoosenedObject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pgvow.archive import TocEntry
    from pgvow.operations.core.retry import Retrying
    from pgvow.operations.core.set_aside import Condition, LoadedTable
    from pgvow.operations.core.stages import FailedEntry
    from pgvow.postgres.connection import Session

_NAME = r'(?:"(?:[^"]|"")*"|[^\s"(),.;]+)'
_CONSTRAINT = re.compile(
    rf"ALTER TABLE (?:ONLY )?(?P<table>{_NAME}(?:\.{_NAME})?)\s+"
    rf"ADD CONSTRAINT (?P<name>{_NAME}) (?P<rest>.*)",
    re.DOTALL,
)
_KEY = re.compile(
    rf"(?:PRIMARY KEY|UNIQUE(?: NULLS NOT DISTINCT)?) (?P<columns>\({_NAME}(?:, *{_NAME})*\))"
    rf"(?P<include> INCLUDE \({_NAME}(?:, *{_NAME})*\))?(?: WITH \([^)]*\))?(?: DEFERRABLE.*)?"
)
_UNIQUE_INDEX = re.compile(r"CREATE UNIQUE INDEX ")
_NULLS = re.compile(r" NULLS NOT DISTINCT(?= |$)")
_NOT_VALID = " NOT VALID"
# Integrity constraint violations: a rule that the source's own rows break.
_RULES = "23"
_OF_VALUES = ("22", _RULES)
_OF_RULES = frozenset({kinds.FK_CONSTRAINT, kinds.CHECK_CONSTRAINT, kinds.CONSTRAINT, kinds.INDEX})
_LONGEST_FILE_NAME = 120
_ASIDE = "loaded without its conditions, which hold all the same"
_LOST_WITH_A_COLUMN = frozenset({kinds.INDEX, kinds.CONSTRAINT, kinds.FK_CONSTRAINT, kinds.COMMENT})


@dataclass(frozen=True)
class Loosening:
    """The looser forms of one filling's entries.

    ``folder`` is a directory for rows that are refused. ``rules_only``: only rules that the
    source's rows break are loosened, and views that cannot be filled; every row has to come back.
    ``paths`` are the search_paths of the source's sessions, known when something was loosened;
    ``causes`` are the refusals for which it was.
    """

    folder: Path | None = None
    rules_only: bool = False
    loosened: list[LoosenedEntry] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    causes: list[FailedEntry] = field(default_factory=list)

    def run(
        self, retrying: Retrying, stage: Stage, failures: Sequence[FailedEntry]
    ) -> tuple[FailedEntry, ...]:
        """Bring entries back in a looser form; returns the failures that are left."""
        if any(each.ends for each in failures):
            return tuple(failures)
        left = tuple(each for each in failures if not self._is_loosened(retrying, stage, each))
        if self.loosened and not self.paths:
            self.paths.extend(retrying.own_paths)
        return left

    def _is_loosened(self, retrying: Retrying, stage: Stage, failure: FailedEntry) -> bool:
        entry = failure.entry
        if entry is None or entry.is_large_objects:
            return False
        leans = self._leans_on_loosened(entry)
        if self.rules_only and not (leans or _is_broken_rule(failure, entry)):
            return False
        result = _Loosened(retrying, stage, failure, entry, self.folder).find()
        if result is None:
            return False
        if not result and not self.rules_only:
            retrying.retried.append(RetriedEntry(entry, _ASIDE))
            return True
        if not result:  # a plain restore would refuse it
            reason = server_words(failure.error.complaint)
            result = [LoosenedEntry(entry, LoosenedObject(entry.shown, reason, _ASIDE), ())]
        if self.rules_only and not all(map(_is_of_rows, result)):
            return False
        if not leans:
            self.causes.append(failure)
        self.loosened.extend(result)
        return True

    def _leans_on_loosened(self, entry: TocEntry) -> bool:
        """Whether an entry needs one that is loose: a foreign key a key, a comment its object."""
        return not {each.entry.dump_id for each in self.loosened}.isdisjoint(entry.dependencies)


def _is_of_rows(each: LoosenedEntry) -> bool:
    """Whether every row is back, and the source's rows are the reason why a condition is loose."""
    return each.rejected is None and (each.sqlstate is None or each.sqlstate.startswith(_OF_VALUES))


def _is_broken_rule(failure: FailedEntry, entry: TocEntry) -> bool:
    """Whether rows of the source break a rule of the source's, and all of them can be there."""
    sqlstate = failure.error.sqlstate or ""
    if entry.is_table_data:
        return sqlstate.startswith(_OF_VALUES)
    is_rule = entry.desc in _OF_RULES and sqlstate.startswith(_RULES)
    return is_rule or entry.desc == kinds.MATERIALIZED_VIEW_DATA


@dataclass(frozen=True, slots=True)
class _Loosened:
    """The looser forms of one entry, tried in their order."""

    retrying: Retrying
    stage: Stage
    failure: FailedEntry
    entry: TocEntry
    folder: Path | None

    def find(self) -> list[LoosenedEntry] | None:
        """Restore the first form that the server takes; the last is to leave the entry out.

        Returns None if there is none, and an empty list if nothing had to be loosened after all.
        Raises psycopg.Error, PgvowError and OSError if the surroundings fail.
        """
        if self.entry.is_table_data:
            return self._rows()
        forms: dict[str, Callable[[], LoosenedEntry | None]] = {
            kinds.FK_CONSTRAINT: self._not_valid,
            kinds.CHECK_CONSTRAINT: self._not_valid,
            kinds.CONSTRAINT: self._plain_key,
            kinds.INDEX: self._plain_index,
            kinds.MATERIALIZED_VIEW_DATA: self._unfilled,
        }
        form = forms.get(self.entry.desc)
        result = form() if form else None
        return [result or self._left_out()]

    def _not_valid(self) -> LoosenedEntry | None:
        first, *_ = self._statements() or [""]
        match = _CONSTRAINT.fullmatch(first)
        if match is None or first.endswith(_NOT_VALID) or not self._takes(first + _NOT_VALID):
            return None
        finish = f"ALTER TABLE {match['table']} VALIDATE CONSTRAINT {match['name']};"
        broken = None
        if self.entry.desc == kinds.FK_CONSTRAINT:
            broken = self._broken(
                lambda session: of_foreign_key(session, self.entry.namespace, *_names(match))
            )
        return self._made("NOT VALID: it holds for new rows alone", (finish,), broken)

    def _plain_key(self) -> LoosenedEntry | None:
        first, *others = self._statements() or [""]
        match = _CONSTRAINT.fullmatch(first)
        key = _KEY.fullmatch(match["rest"]) if match else None
        if match is None or key is None:
            return None
        include = key["include"] or ""
        index = f"CREATE INDEX {match['name']} ON {match['table']} {key['columns']}{include}"
        return self._plain(index, match["name"], others)

    def _plain_index(self) -> LoosenedEntry | None:
        first, *others = self._statements() or [""]
        if not _UNIQUE_INDEX.match(first):
            return None
        plain = _NULLS.sub("", _UNIQUE_INDEX.sub("CREATE INDEX ", first))
        return self._plain(plain, sql.Identifier(self.entry.tag).as_string(None), others)

    def _plain(self, index: str, name: str, others: Sequence[str]) -> LoosenedEntry | None:
        if not self._takes(index):
            return None
        schema = sql.Identifier(self.entry.namespace).as_string(None)
        drop = f"DROP INDEX {schema}.{name};"
        broken = self._broken(lambda session: of_index(session, self.entry.namespace, _bare(name)))
        whole = [f"{each};" for each in (*self._statements()[:1], *others)]
        whole += self._remarks()
        return self._made("a plain index, which is not unique", (drop, *whole), broken)

    def _remarks(self) -> list[str]:
        """Return the comments on an index, which are lost when it is made anew."""
        return [
            each.defn.strip()
            for each in self.retrying.backup.entries
            if each.desc in kinds.REMARKS and self.entry.dump_id in each.dependencies
        ]

    def _unfilled(self) -> LoosenedEntry:
        return self._made("left without its rows", (self.entry.defn.strip(),), None)

    def _left_out(self) -> LoosenedEntry:
        if not self.entry.defn:  # it is there, and could not be given away
            return self._made(
                "it belongs to the role that restored it", _owner_of(self.entry), None
            )
        finish = (self.entry.defn.strip(), *_owner_of(self.entry))
        return replace(self._made("left out", finish, None), is_left_out=True)

    def _rows(self) -> list[LoosenedEntry] | None:
        if self.folder is None:
            return None
        path = self.folder / _file_name(self.entry)
        backup = self.retrying.backup
        tools = self.retrying.tools(self.stage, self.entry)
        try:
            with closing(tools.open(self.retrying.dbname)) as session:
                loaded = load_without_conditions(session, backup, self.entry, path, self._path)
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
            loaded = keep_rows(backup, self.entry, path, str(error).strip())
        except psycopg.Error as error:
            if of_surroundings(str(error), error.sqlstate):
                raise
            return None
        except ArchiveError:
            return None
        return list(self._of_rows(loaded))

    def _of_rows(self, loaded: LoadedTable) -> Iterator[LoosenedEntry]:
        """Yield the conditions that stay loose, and the rows that are kept in a file."""
        for loose in loaded.loose:
            condition = loose.condition
            query = condition.broken_by()
            broken = self._broken(partial(_given, query)) if query is not None else None
            kind = {"check": "CHECK", "domain": "CHECK of a domain", "not null": "NOT NULL"}
            shown = kind.get(condition.kind, "GENERATED COLUMN")
            name = f"{shown} {condition.schema}.{condition.name} {condition.part}"
            instead = "laid on new rows alone" if condition.loose() else "left off"
            yield LoosenedEntry(
                self.entry,
                LoosenedObject(name, loose.reason, instead, *_counted(broken)),
                (f"{condition.finish().as_string(None)};", *self._lost_with(condition)),
                condition=condition,
                sqlstate=loose.sqlstate,
            )
        rejected = loaded.rejected
        if rejected.count:
            yield LoosenedEntry(
                self.entry,
                LoosenedObject(
                    self.entry.shown,
                    rejected.first or "",
                    f"{rejected.count:,} rows that the table does not take are in a file",
                    rejected.count,
                ),
                (),
                rejected=rejected.path,
                rejected_rows=rejected.count,
            )

    def _lost_with(self, condition: Condition) -> Iterator[str]:
        """Yield, as comments, the definitions that go with a column which is made anew."""
        if condition.kind != "generated":
            return
        for entry in self.retrying.backup.entries:
            is_of_table = entry.namespace == condition.schema and (
                entry.desc in _LOST_WITH_A_COLUMN and condition.part in entry.defn
            )
            if is_of_table:
                text = " ".join(entry.defn.split())
                yield f"-- Goes with the column, if it is about it: {text}"

    @property
    def _path(self) -> str:
        return next(iter(self.retrying.paths(self.entry)), "")

    def _statements(self) -> list[str]:
        return [
            written(each).decode("utf-8", "surrogateescape").strip()
            for each in statements(self.entry.defn)
            if words(each)
        ]

    def _takes(self, statement: str) -> bool:
        """Restore another definition of the entry; returns whether the server took it."""
        form = replace(self.entry, defn=f"{statement};\n")
        for path in ("", *self.retrying.paths(self.entry)):
            result = restore_definitions(
                self.retrying.backup,
                self.retrying.tools(self.stage, self.entry),
                self.retrying.dbname,
                Wave(self.stage, (form,)),
                self.retrying.manner,
                search_path=path,
            )
            if not result.errors:
                return True
            complaint = result.errors[0].complaint
            if result.is_cut_off or of_surroundings(complaint):
                raise no_verdict(meaning_of(None, own_words(complaint)), complaint)
        return False

    def _broken(self, find: Callable[[Session], sql.Composed | None]) -> BrokenRows | None:
        """Return the rows that break the rule; None if no query can tell."""
        tools = self.retrying.tools(self.stage, self.entry)
        try:
            with closing(tools.open(self.retrying.dbname)) as session:
                prepare_for_entry(session, self.retrying.backup.toc, self.stage)
                session.execute("SET client_encoding TO UTF8")
                query = find(session)
                if query is None:
                    return None
                session.execute(
                    sql.SQL("SET search_path TO {}").format(sql.SQL(self._path or "''"))
                )
                return BrokenRows.of(session, query)
        except (psycopg.Error, PgvowError, UnicodeError):
            return None

    def _made(
        self, instead: str, finish: tuple[str, ...], broken: BrokenRows | None
    ) -> LoosenedEntry:
        reason = server_words(self.failure.error.complaint)
        name = self.entry.shown
        shown = LoosenedObject(name, reason, instead, *_counted(broken))
        return LoosenedEntry(self.entry, shown, finish)


def _given(query: sql.Composed, _: Session) -> sql.Composed:
    return query


def _counted(broken: BrokenRows | None) -> tuple[int | None, str | None]:
    return (broken.rows, broken.query) if broken else (None, None)


def _names(match: re.Match[str]) -> tuple[str, str]:
    """Return the names of the table and of the constraint, without schema and quotes."""
    table = re.findall(_NAME, match["table"])[-1]
    return _bare(table), _bare(match["name"])


def _bare(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _owner_of(entry: TocEntry) -> tuple[str, ...]:
    """Return the statement that gives an object to its owner, made as pg_restore makes it."""
    drop = entry.drop.strip()
    if (
        not entry.owner
        or entry.desc not in kinds.OWNED
        or not drop.startswith("DROP ")
        or drop.count(";") != 1
    ):
        return ()
    owner = sql.Identifier(entry.owner).as_string(None)
    return (f"ALTER {drop.removeprefix('DROP ').removesuffix(';')} OWNER TO {owner};",)


def _file_name(entry: TocEntry) -> str:
    """Return a file's name for a table's rows; no name of the archive's leads elsewhere."""
    name = quote(f"{entry.namespace}.{entry.tag}", safe="", errors="surrogateescape")
    return f"{name[:_LONGEST_FILE_NAME]}-{entry.dump_id}.copy"
