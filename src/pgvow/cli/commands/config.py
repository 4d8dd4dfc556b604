"""``pgvow config``: what is in force, where it comes from, and whether it is right."""

from __future__ import annotations

import os
from dataclasses import fields, is_dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgvow.cli import options
from pgvow.settings.configuration import SECTIONS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from pgvow.cli.arguments import Parser
    from pgvow.settings import Configuration

_SECRETS = frozenset(
    name for section in SECTIONS.values() for name, option in section.items() if option.is_secret
)


def add_config(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    config = commands.add_parser(
        "config",
        help="show the settings, or check pgvow.toml",
        description="show: every setting that is in force and where it comes from, those of .env"
        " files too, secrets masked. check: whether pgvow.toml can be used, exit code 0 or 2.",
    )
    config.add_argument("what", choices=("show", "check"))
    options.add(config, "report")


def config(arguments: argparse.Namespace) -> int:
    """Show or check the settings; what is wrong with them was raised when they were read."""
    from rich.table import Table  # noqa: PLC0415 - --help loads no libraries
    from rich.text import Text  # noqa: PLC0415

    from pgvow.cli.console import printable  # noqa: PLC0415
    from pgvow.cli.printing import print_result  # noqa: PLC0415

    configuration = arguments.configuration
    path = configuration.path
    if arguments.what == "check":
        text = f"{path} can be used" if path else "there is no pgvow.toml: the defaults hold"
        print_result(
            arguments,
            lambda: {"path": str(path) if path else None, "usable": True},
            lambda: Text(printable(text)),
        )
        return 0
    found = [*_connections(configuration), *_effective(configuration, arguments.origins)]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Setting", "Value", "From"):
        table.add_column(heading, overflow="fold")
    for name, value, source in found:
        style = "dim" if source == "default" else ""
        table.add_row(*(Text(printable(text), style=style) for text in (name, value, source)))
    print_result(
        arguments,
        lambda: [
            {"setting": name, "value": value, "from": source} for name, value, source in found
        ],
        lambda: table,
    )
    return 0


def _connections(configuration: Configuration) -> Iterator[tuple[str, str, str]]:
    """Yield the settings of each database that is set up; of others ``doctor`` says what lacks."""
    from pgvow import settings  # noqa: PLC0415 - --help loads no libraries
    from pgvow.errors import ConfigurationError  # noqa: PLC0415
    from pgvow.model import DEV, PROD  # noqa: PLC0415

    more = configuration.environments
    for name in dict.fromkeys((DEV, PROD, *more)):
        try:
            found = settings.load(env=name, environ=os.environ, directory=Path(), environments=more)
        except ConfigurationError:
            continue
        connection = found.connection
        values = {
            "host": connection.host,
            "port": connection.ports,
            "dbname": connection.dbname,
            "user": connection.user,
            "password": None if connection.password is None else "set, not shown",
        }
        for key, value in values.items():
            yield f"connection.{name}.{key}", value or "-", found.origins[key]


def _effective(
    configuration: Configuration, origins: dict[str, str]
) -> Iterator[tuple[str, str, str]]:
    """Yield every setting: its name as in the file, its value, where it stands."""
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
    yield from _values("metrics.", {"file": configuration.metrics_file}, origins)
    for name, section in configuration.environments.items():
        prefix = f"environments.{name}"
        names = section.variables
        own = {
            "prefix": names.prefix,
            "url_variable": names.url_variable,
            "output_dir": section.output_dir,
        }
        yield from _values(f"{prefix}.", own, origins)
        if section.backup is not None:
            yield from _section(f"{prefix}.backup", section.backup, origins)
        if section.retention is not None:
            yield from _section(f"{prefix}.retention", section.retention, origins)
        if section.status is not None:
            yield from _section(f"{prefix}.status", section.status, origins)


def _section(name: str, section: Any, origins: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    values = {one.name: getattr(section, one.name) for one in fields(section)}
    yield from _values(f"{name}.", values, origins)


def _values(
    prefix: str, values: dict[str, Any], origins: dict[str, str]
) -> Iterator[tuple[str, str, str]]:
    for name, value in values.items():
        if is_dataclass(value) and name != "compress":
            continue
        if name == "jobs" and isinstance(value, tuple):
            continue
        key = f"{prefix}{name}"
        yield key, _told(name, value), origins.get(key, _inherited(key, origins))


def _inherited(key: str, origins: dict[str, str]) -> str:
    """An environment's setting that it does not name itself is the general one's."""
    if key.startswith("environments."):
        general = key.split(".", 2)[2]
        return origins.get(general, "default")
    return "default"


def _told(name: str, value: Any) -> str:
    from pgvow.operations.notify import masked  # noqa: PLC0415
    from pgvow.settings import format_duration  # noqa: PLC0415

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
