"""Add options to argparse's parsers, from their declarations in the settings.

A parser's default of each is SUPPRESS, so that a parsed namespace has just the options that were
typed: by that ``backup_db.py`` recognises an option of another mode. ``filled`` adds the rest.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgvow import DEFAULT_DIRECTORY
from pgvow.cli.arguments import Parser, Topic, argument
from pgvow.settings.configuration import SECTIONS, TOP
from pgvow.settings.declared_option import TYPED, flag_of
from pgvow.settings.values import FLAG, PATTERNS, SELECTING, selecting_options, typed_count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pgvow.settings.declared_option import Option

OF_COMMAND = {
    "backup": (
        "env",
        "output_dir",
        "limits",
        "statistics",
        "checks",
        "dump",
        "speed",
        "patience",
        "report",
        "record",
    ),
    "verify": ("deep", "env", "output_dir", "database", "patience", "report", "record"),
    "list": ("env", "database", "newest", "level", "output_dir", "wide", "report"),
}
"""The groups of options of the commands that ``backup_db.py`` has too, in the order of --help."""


_TOPICS = {
    "output_dir": Topic.WHERE,
    "limits": Topic.LIMITS,
    "checks": Topic.LIMITS,
    "patience": Topic.LIMITS,
    "speed": Topic.SPEED,
    "wide": Topic.OUTPUT,
    "sheet": Topic.OUTPUT,
    "report": Topic.OUTPUT,
    "record": Topic.OUTPUT,
}
"""The headings of the groups of options in ``--help``; of the others it is ``WHAT``."""


def _declared() -> Iterator[Option]:
    for section in (TOP, *SECTIONS.values()):
        yield from section.values()
    yield from TYPED


_OPTIONS = tuple(option for option in _declared() if option.group)
DEFAULTS: dict[str, Any] = {
    **{option.typed_name: option.typed_default for option in _OPTIONS},
    "output_dir": Path(DEFAULT_DIRECTORY),
    "file": None,
}


def of_groups(*groups: str) -> Iterator[Option]:
    """Yield the options of some groups, in the order of ``--help``."""
    for group in groups:
        yield from (option for option in _OPTIONS if option.group == group)


def add(parser: Parser, *groups: str, first: bool = False) -> None:
    """Add groups of options to the parser of a command, under their headings or before all."""
    for option in of_groups(*groups):
        topic = _TOPICS.get(option.group, Topic.WHAT)
        _add(parser if first else parser.topic(topic), option)


def _add(parser: argparse._ActionsContainer, option: Option) -> None:
    spelled = [option.short] * bool(option.short) + [flag_of(option.typed_name)]
    words: dict[str, Any] = {"default": argparse.SUPPRESS, "help": option.help_text}
    if option.kind is FLAG:
        words["action"] = "store_true"
    elif option.choices:
        words["choices"] = option.choices
    else:
        words |= {"metavar": option.metavar, "type": argument(option.kind.of_text)}
    if option.kind is PATTERNS:
        words["action"] = "append"
    parser.add_argument(*spelled, **words)
    if option.opposite:
        parser.add_argument(
            flag_of(option.name),
            dest=option.typed_name,
            action="store_false",
            default=argparse.SUPPRESS,
            help=option.opposite,
        )


count = argument(typed_count)
"""Read a whole number of 1 or more, for argparse."""


def selection(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Collect pg_dump's own options that select a part of the database."""
    return selecting_options({name: getattr(arguments, name) for name in SELECTING})


def filled(namespace: argparse.Namespace) -> argparse.Namespace:
    """Add the default of everything that was not typed, and ``typed``, the names of the rest."""
    typed = frozenset(vars(namespace)) & DEFAULTS.keys() - {"all", "file"}
    return argparse.Namespace(**{**DEFAULTS, **vars(namespace), "typed": typed})
