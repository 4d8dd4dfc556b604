"""Read ``pgvow.toml``, and report everything that is wrong with it at once."""

from __future__ import annotations

import difflib
import errno
import re
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgvow.errors import AccessDenied, ConfigurationError, Problem
from pgvow.model import DEV, PROD
from pgvow.settings.configuration import (
    POLICY,
    SCHEDULED_JOB,
    SECTIONS,
    SOURCE,
    TOP,
    Configuration,
    Source,
)
from pgvow.settings.declared_option import CONFIG_VARIABLE
from pgvow.settings.env_files import Variables
from pgvow.settings.options import (
    BackupSection,
    HooksSection,
    NotificationsSection,
    RecoverySheetSection,
    RetentionSection,
    ScheduledJob,
    ScheduleSection,
    StatusSection,
)
from pgvow.settings.values import AUTO, ENVIRONMENT_NAME
from pgvow.settings.variables import DEVELOPMENT_VARIABLES, PRODUCTION_VARIABLES, VariableNames
from pgvow.small_file import read_small

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pgvow.settings.declared_option import Option

NAME = "pgvow.toml"
KeyPath = tuple[str | int, ...]
_REPLACED = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class LoadedConfiguration:
    """The configuration, and the line of each key of the file.

    ``origins`` maps such as ``backup.jobs`` to ``pgvow.toml line 3``.
    """

    configuration: Configuration
    origins: Mapping[str, str] = field(default_factory=dict)


def load_configuration(
    *, path: Path | None, environ: Mapping[str, str], directory: Path
) -> LoadedConfiguration:
    """Read the settings file: ``path``, else the one PGVOW_CONFIG names, else one in a directory.

    If none is named there need not be one. Raises ConfigurationError with all that is wrong, and
    AccessDenied if it may not be read.
    """
    named = path or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    place = named or directory / NAME
    try:
        data = read_small(place)
    except FileNotFoundError:
        if named is None:
            return LoadedConfiguration(Configuration())
        raise _unreadable(named, "there is no such file") from None
    except PermissionError as error:
        raise AccessDenied(
            f"cannot read {place}: {error.strerror}", steps=[f"See who may: ls -l {place}"]
        ) from error
    except OSError as error:
        reason = "it is a directory" if error.errno == errno.EISDIR else str(error.strerror)
        raise _unreadable(place, reason) from error
    return _TomlReader(place, _decoded(place, data), environ, directory).loaded()


def _unreadable(path: Path, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"the settings file {path} cannot be read: {reason}",
        steps=[f"Name it with --config or {CONFIG_VARIABLE}, or leave both out"],
    )


def _decoded(place: Path, data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
        tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problem = Problem(str(place), f"{place.name} line {line}", "is not UTF-8")
        raise ConfigurationError.of([problem]) from error
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits is no TOML error
        complaint, _, place_in_text = str(error).partition(" (at ")
        at_line = re.match(r"line (\d+)", place_in_text)
        # Without a number it is "at end of document".
        line = int(at_line[1]) if at_line else data.rstrip(b"\n").count(b"\n") + 1
        source, complaint = f"{place.name} line {line}", f"is not TOML: {complaint}"
        raise ConfigurationError.of([Problem(str(place), source, complaint)]) from error
    return text


class _TomlReader:
    """Reads the values of one file, and collects the problems with them."""

    def __init__(self, place: Path, text: str, environ: Mapping[str, str], directory: Path) -> None:
        self._place = place
        self._document = tomllib.loads(text)
        self._lines = lines_of(text)
        self._variables = Variables.read(environ=environ, directory=directory)
        self._problems: list[Problem] = []
        self._origins: dict[str, str] = {}

    def loaded(self) -> LoadedConfiguration:
        """Read all of it; raises ConfigurationError."""
        top = self._table((), self._document, TOP, [*SECTIONS, "environments"])
        general = {
            name: self._section((name,), self._document.get(name), keys)
            for name, keys in SECTIONS.items()
        }
        jobs = tuple(self._jobs())
        environments = dict(self._environments(general))
        self._check_jobs(jobs, environments)
        notifications = self._filled(general["notifications"])
        sheet = self._sheet(general["recovery_sheet"])
        if self._problems:
            raise ConfigurationError.of(self._problems)
        configuration = Configuration(
            path=self._place,
            output_dir=self._placed(top.get("output_dir")),
            backup=BackupSection(**general["backup"]),
            retention=RetentionSection(**general["retention"]),
            status=StatusSection(**general["status"]),
            schedule=ScheduleSection(**general["schedule"], jobs=jobs),
            notifications=NotificationsSection(**notifications),
            hooks=HooksSection(**general["hooks"]),
            recovery_sheet=RecoverySheetSection(**sheet),
            metrics_file=self._placed(general["metrics"].get("file")),
            environments=environments,
        )
        return LoadedConfiguration(configuration, self._origins)

    def _sheet(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Place the sheet's file beside this one; a sheet after each proof needs a file."""
        if values.get("after_proof") and "output" not in values:
            example = 'output = "recovery-sheet.txt"'
            self._complain(("recovery_sheet",), "says no output for after_proof", example)
        return {**values, "output": self._placed(values.get("output"))}

    def _section(
        self, path: KeyPath, section: object, keys: Mapping[str, Option]
    ) -> dict[str, Any]:
        if section is None:
            return {}
        if not isinstance(section, dict):
            self._complain(path, "is not a table", f"[{_dotted(path)}]")
            return {}
        return self._table(path, section, keys, ["jobs"] if path == ("schedule",) else [])

    def _table(
        self,
        path: KeyPath,
        table: Mapping[str, Any],
        keys: Mapping[str, Option],
        tables: list[str],
    ) -> dict[str, Any]:
        """Read the keys of one table; the caller reads those that are ``tables`` themselves."""
        values = {}
        for name, value in table.items():
            if name in tables:
                continue
            if name not in keys:
                self._unknown((*path, name), [*keys, *tables])
                continue
            try:
                values[name] = keys[name].kind.of_value(value)
            except ValueError as error:
                self._complain((*path, name), str(error), f"{name} = {keys[name].example}")
                continue
            self._origins[_dotted((*path, name))] = self._line((*path, name))
        return values

    def _jobs(self) -> Iterator[ScheduledJob]:
        section = self._document.get("schedule")
        listed = section.get("jobs", []) if isinstance(section, dict) else []
        if not isinstance(listed, list):
            self._complain(("schedule", "jobs"), "is not a list of tables", "[[schedule.jobs]]")
            return
        for number, table in enumerate(listed):
            path = ("schedule", "jobs", number)
            values = self._section(path, table, SCHEDULED_JOB)
            missing = {"job", "at"} - (table.keys() if isinstance(table, dict) else {"job", "at"})
            for name in sorted(missing):
                example = SCHEDULED_JOB[name].example
                self._complain(path, f"says no {name}", f"{name} = {example}")
            if {"job", "at"} <= values.keys():
                yield ScheduledJob(**values)

    def _check_jobs(
        self, jobs: tuple[ScheduledJob, ...], environments: Mapping[str, Source]
    ) -> None:
        known = {DEV, PROD, *environments}
        for number, job in enumerate(jobs):
            if job.env is not None and job.env not in known:
                path = ("schedule", "jobs", number, "env")
                self._complain(path, f"{job.env!r} is none of {', '.join(sorted(known))}", None)

    def _environments(self, general: Mapping[str, dict[str, Any]]) -> Iterator[tuple[str, Source]]:
        tables = self._document.get("environments", {})
        if not isinstance(tables, dict):
            self._complain(("environments",), "is not a table", "[environments.staging]")
            return
        for name, table in tables.items():
            path = ("environments", name)
            if not ENVIRONMENT_NAME.fullmatch(name) or name in (AUTO, *_LONG_NAMES):
                self._complain(path, "is no name for an environment: a-z, 0-9 and -", None)
            elif not isinstance(table, dict):
                self._complain(path, "is not a table", f"[environments.{name}]")
            else:
                yield name, self._source(name, table, general)

    def _source(
        self, name: str, table: Mapping[str, Any], general: Mapping[str, dict[str, Any]]
    ) -> Source:
        path = ("environments", name)
        own = self._table(path, table, SOURCE, list(POLICY))
        for key in ("prefix", "url_variable"):
            if name in _FIXED and key in own:
                self._complain((*path, key), "is fixed for dev and prod", None)
        sections = {
            section: {
                **general[section],
                **self._section((*path, section), table.get(section), SECTIONS[section]),
            }
            for section in POLICY
        }
        upper = name.upper().replace("-", "_")
        prefix = own.get("prefix", f"{upper}_DB").rstrip("_")
        url_variable = own.get("url_variable", f"{upper}_DATABASE_URL")
        return Source(
            name=name,
            variables=_FIXED.get(name) or VariableNames(prefix, url_variable),
            output_dir=self._placed(own.get("output_dir")),
            on_this_machine=own.get("on_this_machine", False),
            **{
                section: make(**sections[section])
                for section, make in POLICY.items()
                if section in table
            },
        )

    def _filled(self, values: dict[str, Any]) -> dict[str, Any]:
        """Replace ``${VARIABLE}`` in the values that may hold a secret."""
        path = ("notifications",)
        filled = dict(values)
        if "urls" in filled:
            filled["urls"] = tuple(self._replaced((*path, "urls"), url) for url in filled["urls"])
        if "ping" in filled:
            filled["ping"] = self._replaced((*path, "ping"), filled["ping"])
            if not filled["ping"].startswith(("http://", "https://")):
                self._complain((*path, "ping"), "is no http:// or https:// URL", None)
        return filled

    def _replaced(self, path: KeyPath, text: str) -> str:
        def value_of(match: re.Match[str]) -> str:
            value = self._variables.get(match[1])
            if value is None or not value.value:
                complaint = f"{match[1]} is not set, neither in the environment nor in .env files"
                self._complain(path, complaint, f"{match[1]}='https://…' in .env.local")
                return "unset"
            return value.value

        return _REPLACED.sub(value_of, text)

    def _placed(self, path: Path | None) -> Path | None:
        """A path of the file is relative to it; in the current directory it stays as written."""
        if path is None or self._place.parent == Path():
            return path
        return self._place.parent / path

    def _unknown(self, path: KeyPath, known: list[str]) -> None:
        near = difflib.get_close_matches(str(path[-1]), known, 1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
        self._complain(path, f"is not known; {hint}", None)

    def _complain(self, path: KeyPath, complaint: str, example: str | None) -> None:
        self._problems.append(Problem(_dotted(path), self._line(path), complaint, example))

    def _line(self, path: KeyPath) -> str:
        while path and path not in self._lines:
            path = path[:-1]
        return f"{self._place.name} line {self._lines.get(path, 1)}"


_LONG_NAMES = ("development", "production")
_FIXED = {DEV: DEVELOPMENT_VARIABLES, PROD: PRODUCTION_VARIABLES}


def _dotted(path: KeyPath) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def lines_of(text: str) -> dict[KeyPath, int]:
    """Map the path of every table and key to its line, from 1; ``text`` must be valid TOML.

    Elements of an array of tables have their number in the path. The keys inside an inline table or
    an array have the line on which the statement around it begins.
    """
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    counts: Counter[KeyPath] = Counter()
    for number, statement in _statements(text):
        parsed = tomllib.loads(statement)
        if statement.lstrip().startswith("["):
            table = _header(parsed, counts)
            lines.setdefault(table, number)
            continue
        for path in _paths(parsed):
            lines.setdefault((*table, *path), number)
    return lines


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Cut into statements: each is as many lines as it takes to be valid by itself."""
    pending, start = "", 0
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if not pending and (not line.strip() or line.lstrip().startswith("#")):
            continue
        start = start if pending else number
        pending += line + "\n"
        try:
            tomllib.loads(pending)
        except tomllib.TOMLDecodeError:
            continue
        yield start, pending
        pending = ""


def _header(parsed: Mapping[str, Any], counts: Counter[KeyPath]) -> KeyPath:
    """The path of ``[a.b]`` or ``[[a.b]]``; tables inside an array's element get its number."""
    path: KeyPath = ()
    value: Any = parsed
    while isinstance(value, dict) and value:
        (name, value), *_ = value.items()
        path = (*path, name)
        if isinstance(value, list):
            counts[path] += 1
            return (*path, counts[path] - 1)
        if counts[path]:
            path = (*path, counts[path] - 1)
    return path


def _paths(parsed: Mapping[str, Any]) -> Iterator[KeyPath]:
    for name, value in parsed.items():
        yield (name,)
        if isinstance(value, dict):
            yield from ((name, *path) for path in _paths(value))
        if isinstance(value, list):
            yield from _elements(name, value)


def _elements(name: str, values: list[Any]) -> Iterator[KeyPath]:
    for number, value in enumerate(values):
        yield (name, number)
        if isinstance(value, dict):
            yield from ((name, number, *path) for path in _paths(value))
