"""Read ``pgvow.toml``, and report everything that is wrong with it at once."""

from __future__ import annotations

import difflib
import errno
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgvow.errors import AccessDenied, ConfigurationError, Problem
from pgvow.model import DEV, PROD
from pgvow.retention import Rules
from pgvow.settings import toml_schema as schema
from pgvow.settings.configuration import (
    BackupSection,
    Configuration,
    EnvironmentSection,
    HooksSection,
    NotificationsSection,
    RetentionSection,
    ScheduledJob,
    ScheduleSection,
    StatusSection,
)
from pgvow.settings.sources import Sources
from pgvow.settings.toml_lines import lines_of
from pgvow.small_file import read_small

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pgvow.settings.toml_schema import Key

NAME = "pgvow.toml"
VARIABLE = "PGVOW_CONFIG"
_REPLACED = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Loaded:
    """What holds, and where each key of the file stands.

    ``origins`` maps such as ``backup.jobs`` to ``pgvow.toml line 3``.
    """

    configuration: Configuration
    origins: Mapping[str, str] = field(default_factory=dict)


def load_configuration(*, path: Path | None, environ: Mapping[str, str], directory: Path) -> Loaded:
    """Read the settings file: ``path``, else the one PGVOW_CONFIG names, else one in a directory.

    Where none is named there need not be one. Raises ConfigurationError with all that is wrong, and
    AccessDenied where it may not be read.
    """
    named = path or (Path(environ[VARIABLE]) if environ.get(VARIABLE) else None)
    place = named or directory / NAME
    try:
        data = read_small(place)
    except FileNotFoundError:
        if named is None:
            return Loaded(Configuration())
        raise _unreadable(named, "there is no such file") from None
    except PermissionError as error:
        raise AccessDenied(
            f"cannot read {place}: {error.strerror}", steps=[f"See who may: ls -l {place}"]
        ) from error
    except OSError as error:
        reason = "it is a directory" if error.errno == errno.EISDIR else str(error.strerror)
        raise _unreadable(place, reason) from error
    return _Reading(place, _decoded(place, data), environ, directory).loaded()


def _unreadable(path: Path, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"the settings file {path} cannot be read: {reason}",
        steps=[f"Name it with --config or {VARIABLE}, or leave both out"],
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
        complaint, _, where = str(error).partition(" (at ")
        found = re.match(r"line (\d+)", where)
        # "at end of document", that is
        line = int(found[1]) if found else data.rstrip(b"\n").count(b"\n") + 1
        source, complaint = f"{place.name} line {line}", f"is not TOML: {complaint}"
        raise ConfigurationError.of([Problem(str(place), source, complaint)]) from error
    return text


class _Reading:
    """One reading of a file: its values, and what is wrong with them."""

    def __init__(self, place: Path, text: str, environ: Mapping[str, str], directory: Path) -> None:
        self._place = place
        self._found = tomllib.loads(text)
        self._lines = lines_of(text)
        self._sources = Sources.read(environ=environ, directory=directory)
        self._problems: list[Problem] = []
        self._origins: dict[str, str] = {}

    def loaded(self) -> Loaded:
        """Read all of it; raises ConfigurationError."""
        top = self._table((), self._found, schema.TOP, [*schema.SECTIONS, "environments"])
        general = {
            name: self._section((name,), self._found.get(name), keys)
            for name, keys in schema.SECTIONS.items()
        }
        jobs = tuple(self._jobs())
        environments = dict(self._environments(general))
        self._check_jobs(jobs, environments)
        secret = self._secrets(general["notifications"])
        if self._problems:
            raise ConfigurationError.of(self._problems)
        metrics = general["metrics"].get("file")
        configuration = Configuration(
            path=self._place,
            output_dir=self._placed(top.get("output_dir")),
            backup=BackupSection(**general["backup"]),
            retention=_retention(general["retention"]),
            status=StatusSection(**general["status"]),
            schedule=ScheduleSection(**general["schedule"], jobs=jobs),
            notifications=NotificationsSection(**secret),
            hooks=HooksSection(**general["hooks"]),
            metrics_file=self._placed(metrics),
            environments=environments,
        )
        return Loaded(configuration, self._origins)

    def _section(
        self, path: tuple[str | int, ...], found: object, keys: Mapping[str, Key]
    ) -> dict[str, Any]:
        if found is None:
            return {}
        if not isinstance(found, dict):
            self._complain(path, "is not a table", f"[{_dotted(path)}]")
            return {}
        more = ["jobs"] if path == ("schedule",) else []
        return self._table(path, found, keys, more)

    def _table(
        self,
        path: tuple[str | int, ...],
        found: Mapping[str, Any],
        keys: Mapping[str, Key],
        tables: list[str],
    ) -> dict[str, Any]:
        """Read the keys of one table; those that are tables themselves are read by others."""
        values = {}
        for name, value in found.items():
            if name in tables:
                continue
            if name not in keys:
                self._unknown((*path, name), [*keys, *tables])
                continue
            try:
                values[name] = keys[name].parse(value)
            except ValueError as error:
                self._complain((*path, name), str(error), f"{name} = {keys[name].example}")
                continue
            self._origins[_dotted((*path, name))] = self._where((*path, name))
        return values

    def _jobs(self) -> Iterator[ScheduledJob]:
        section = self._found.get("schedule")
        listed = section.get("jobs", []) if isinstance(section, dict) else []
        if not isinstance(listed, list):
            self._complain(("schedule", "jobs"), "is not a list of tables", "[[schedule.jobs]]")
            return
        for number, table in enumerate(listed):
            path = ("schedule", "jobs", number)
            values = self._section(path, table, schema.SCHEDULED_JOB)
            missing = {"job", "at"} - (table.keys() if isinstance(table, dict) else {"job", "at"})
            for name in sorted(missing):
                example = schema.SCHEDULED_JOB[name].example
                self._complain(path, f"says no {name}", f"{name} = {example}")
            if {"job", "at"} <= values.keys():
                yield ScheduledJob(**values)

    def _check_jobs(
        self, jobs: tuple[ScheduledJob, ...], environments: Mapping[str, EnvironmentSection]
    ) -> None:
        known = {DEV, PROD, *environments}
        for number, job in enumerate(jobs):
            if job.env is not None and job.env not in known:
                path = ("schedule", "jobs", number, "env")
                self._complain(path, f"{job.env!r} is none of {', '.join(sorted(known))}", None)

    def _environments(
        self, general: Mapping[str, dict[str, Any]]
    ) -> Iterator[tuple[str, EnvironmentSection]]:
        found = self._found.get("environments", {})
        if not isinstance(found, dict):
            self._complain(("environments",), "is not a table", "[environments.staging]")
            return
        for name, table in found.items():
            path = ("environments", name)
            if not schema.ENVIRONMENT_NAME.fullmatch(name) or name in ("auto", *_LONG_NAMES):
                self._complain(path, "is no name for an environment: a-z, 0-9 and -", None)
            elif not isinstance(table, dict):
                self._complain(path, "is not a table", f"[environments.{name}]")
            else:
                yield name, self._environment(name, table, general)

    def _environment(
        self, name: str, table: Mapping[str, Any], general: Mapping[str, dict[str, Any]]
    ) -> EnvironmentSection:
        path = ("environments", name)
        own = self._table(path, table, schema.ENVIRONMENT, list(schema.OVERRIDDEN))
        for key in ("prefix", "url_variable"):
            if name in (DEV, PROD) and key in own:
                self._complain((*path, key), "is fixed for dev and prod", None)
        merged = {
            section: {
                **general[section],
                **self._section((*path, section), table.get(section), schema.SECTIONS[section]),
            }
            for section in schema.OVERRIDDEN
        }
        upper = name.upper().replace("-", "_")
        return EnvironmentSection(
            name=name,
            prefix=own.get("prefix", f"{upper}_DB").rstrip("_"),
            url_variable=own.get("url_variable", f"{upper}_DATABASE_URL"),
            output_dir=self._placed(own.get("output_dir")),
            backup=BackupSection(**merged["backup"]) if "backup" in table else None,
            retention=_retention(merged["retention"]) if "retention" in table else None,
            status=StatusSection(**merged["status"]) if "status" in table else None,
        )

    def _secrets(self, values: dict[str, Any]) -> dict[str, Any]:
        """Replace ``${VARIABLE}`` in what may hold a secret."""
        path = ("notifications",)
        found = dict(values)
        if "urls" in found:
            found["urls"] = tuple(self._filled((*path, "urls"), url) for url in found["urls"])
        if "ping" in found:
            found["ping"] = self._filled((*path, "ping"), found["ping"])
            if not found["ping"].startswith(("http://", "https://")):
                self._complain((*path, "ping"), "is no http:// or https:// URL", None)
        return found

    def _filled(self, path: tuple[str | int, ...], text: str) -> str:
        def value_of(match: re.Match[str]) -> str:
            sourced = self._sources.get(match[1])
            if sourced is None or not sourced.value:
                complaint = f"{match[1]} is not set, neither in the environment nor in .env files"
                self._complain(path, complaint, f"{match[1]}='https://…' in .env.local")
                return "unset"
            return sourced.value

        return _REPLACED.sub(value_of, text)

    def _placed(self, path: Path | None) -> Path | None:
        """A path of the file is relative to it; in the current directory it stays as written."""
        if path is None or self._place.parent == Path():
            return path
        return self._place.parent / path

    def _unknown(self, path: tuple[str | int, ...], known: list[str]) -> None:
        near = difflib.get_close_matches(str(path[-1]), known, 1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
        self._complain(path, f"is not known; {hint}", None)

    def _complain(self, path: tuple[str | int, ...], complaint: str, example: str | None) -> None:
        self._problems.append(Problem(_dotted(path), self._where(path), complaint, example))

    def _where(self, path: tuple[str | int, ...]) -> str:
        while path and path not in self._lines:
            path = path[:-1]
        return f"{self._place.name} line {self._lines.get(path, 1)}"


_LONG_NAMES = ("development", "production")


def _dotted(path: tuple[str | int, ...]) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def _retention(values: Mapping[str, Any]) -> RetentionSection:
    rules = {
        name.removeprefix("keep_"): value
        for name, value in values.items()
        if name.startswith("keep_")
    }
    return RetentionSection(
        rules=Rules(**rules), prune_after_backup=values.get("prune_after_backup", False)
    )
