"""The settings in force, each with its origin."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pgvow import settings
from pgvow.errors import ConfigurationError
from pgvow.model import DEV, PROD
from pgvow.operations.notify.post import masked
from pgvow.settings import format_duration
from pgvow.settings.configuration import SECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pgvow.operations.context import Context
    from pgvow.settings import Configuration

_SECRETS = frozenset(
    name for section in SECTIONS.values() for name, option in section.items() if option.is_secret
)


def settings_in_force(
    origins: Mapping[str, str], context: Context
) -> Iterator[tuple[str, str, str]]:
    """Yield every setting: its name as in the file, its value, secrets masked, and its origin.

    ``origins`` maps keys of the settings file to their lines.
    """
    yield from _connections(context)
    yield from _effective(context.configuration, origins)


def _connections(context: Context) -> Iterator[tuple[str, str, str]]:
    """Yield the settings of each database that is set up; ``doctor`` reports what others lack."""
    known = context.configuration.environments
    for name in dict.fromkeys((DEV, PROD, *known)):
        try:
            loaded = settings.load(
                env=name,
                environ=context.environ,
                directory=context.directory,
                environments=known,
            )
        except ConfigurationError:
            continue
        connection = loaded.connection
        values = {
            "host": connection.host,
            "port": connection.ports,
            "dbname": connection.dbname,
            "user": connection.user,
            "password": None if connection.password is None else "set, not shown",
        }
        for key, value in values.items():
            yield f"connection.{name}.{key}", value or "-", loaded.origins[key]


def _effective(
    configuration: Configuration, origins: Mapping[str, str]
) -> Iterator[tuple[str, str, str]]:
    """Yield every setting: its name as in the file, its value, and its origin."""
    yield from _values("", {"output_dir": configuration.output_dir}, origins)
    yield from _section("backup", configuration.backup, origins)
    yield from _section("retention", configuration.retention, origins)
    yield from _section("status", configuration.status, origins)
    schedule = configuration.schedule
    yield from _values("schedule.", {"timezone": schedule.timezone}, origins)
    for number, job in enumerate(schedule.jobs):
        yield from _section(f"schedule.jobs[{number}]", job, origins)
    yield from _section("notifications", configuration.notifications, origins)
    yield from _section("hooks", configuration.hooks, origins)
    yield from _section("recovery_sheet", configuration.recovery_sheet, origins)
    yield from _values("metrics.", {"file": configuration.metrics_file}, origins)
    for name, section in configuration.environments.items():
        prefix = f"environments.{name}"
        names = section.variables
        own = {
            "prefix": names.prefix,
            "url_variable": names.url_variable,
            "output_dir": section.output_dir,
            "on_this_machine": section.on_this_machine,
        }
        yield from _values(f"{prefix}.", own, origins)
        if section.backup is not None:
            yield from _section(f"{prefix}.backup", section.backup, origins)
        if section.retention is not None:
            yield from _section(f"{prefix}.retention", section.retention, origins)
        if section.status is not None:
            yield from _section(f"{prefix}.status", section.status, origins)


def _section(name: str, section: Any, origins: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    values = {field.name: getattr(section, field.name) for field in fields(section)}
    yield from _values(f"{name}.", values, origins)


def _values(
    prefix: str, values: dict[str, Any], origins: Mapping[str, str]
) -> Iterator[tuple[str, str, str]]:
    for name, value in values.items():
        if is_dataclass(value) and name != "compress":
            continue
        if name == "jobs" and isinstance(value, tuple):
            continue
        key = f"{prefix}{name}"
        yield key, _text(name, value), origins.get(key, _inherited(key, origins))


def _inherited(key: str, origins: Mapping[str, str]) -> str:
    """An environment's setting that it does not name itself is the general one's."""
    if key.startswith("environments."):
        general = key.split(".", 2)[2]
        return origins.get(general, "default")
    return "default"


def _text(name: str, value: Any) -> str:
    if value is None or value == ():
        return "-"
    if name in _SECRETS:
        return ", ".join(map(masked, value if isinstance(value, tuple) else (value,)))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, tuple | frozenset):
        return " ".join(sorted(map(str, value)) if isinstance(value, frozenset) else value)
    return str(value)
