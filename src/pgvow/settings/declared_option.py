"""An option, declared once: type, default, meaning and spellings.

The fields in ``sections`` and ``configuration`` are options of ``pgvow.toml``, most of them of the
command line too; ``TYPED`` has those of several commands that the file does not have.
argparse, the reader of the file, ``pgvow config show``, the modes of ``backup_db.py`` and
docs/configuration.md are made of these declarations.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any

from pgvow.model import Level
from pgvow.settings.values import COUNT, FLAG, PATH, SINCE, TEXT, UNTIL, ValueKind

_METADATA = "option"
CONFIG_VARIABLE = "PGVOW_CONFIG"


def flag_of(name: str) -> str:
    """Return the flag of an option by its name: ``--lock-wait-timeout``."""
    return f"--{name.replace('_', '-')}"


@dataclass(frozen=True, slots=True)
class Option:
    """One option; a spelling that is left empty does not exist.

    ``default`` is a value, ``shown`` its text in documents, which replaces ``{default}`` in
    ``help``. ``group`` names the options that a command takes together; without one it is no option
    of a command line. ``opposite`` is the help of the flag that turns a flag on again. ``key`` is
    the key in ``pgvow.toml`` if that is not ``name``; without ``meaning`` there is none.
    ``by_environment``: if not typed, the section of each environment counts.
    """

    kind: ValueKind
    name: str = ""
    default: Any = None
    shown: str = ""
    group: str = ""
    help: str = ""
    short: str = ""
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    opposite: str = ""
    meaning: str = ""
    key: str = ""
    example: str = ""
    is_secret: bool = False
    by_environment: bool = False

    @property
    def is_negated(self) -> bool:
        """Whether it is a flag that is on by default: its flag is ``--no-NAME``."""
        return self.kind is FLAG and self.default is True

    @property
    def typed_name(self) -> str:
        """Return its attribute among the parsed arguments."""
        return f"no_{self.name}" if self.is_negated else self.name

    @property
    def typed_default(self) -> Any:
        """Return the value of that attribute if neither typed nor in ``pgvow.toml``."""
        return None if self.by_environment else False if self.is_negated else self.default

    @property
    def help_text(self) -> str:
        """Return its line in ``--help``."""
        return self.help.replace("{default}", self.shown.strip('"'))


def option(
    kind: ValueKind,
    *,
    default: Any = None,
    required: bool = False,
    secret: bool = False,
    shown: str = "",
    **declared: Any,
) -> Any:
    """Declare a field of a section; the default is written as in ``pgvow.toml``, or None.

    The value of a secret is not in the section's ``repr``, and masked where it is shown.
    """
    value = None if default is None else kind.of_value(default)
    shown = shown or ("required" if required else _shown(default))
    metadata = {_METADATA: Option(kind, default=value, shown=shown, is_secret=secret, **declared)}
    return field(default=MISSING if required else value, repr=not secret, metadata=metadata)


def _shown(default: Any) -> str:
    if default is None or default == []:
        return "none"
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, int | float) else f'"{default}"'


def options_of(section: type) -> dict[str, Option]:
    """Collect the options that the fields of a section declare, by their keys in ``pgvow.toml``."""
    declared = (
        replace(own.metadata[_METADATA], name=own.name)
        for own in fields(section)
        if _METADATA in own.metadata
    )
    return {declaration.key or declaration.name: declaration for declaration in declared}


TYPED = (
    Option(
        TEXT,
        "env",
        "auto",
        group="env",
        metavar="{dev,prod,auto}",
        help="which database; development and production are accepted too, and the environments"
        " of pgvow.toml (default: auto)",
    ),
    Option(
        FLAG,
        "deep",
        default=False,
        group="deep",
        help="decode every byte and compare every table with the metadata",
    ),
    Option(
        FLAG,
        "all",
        default=False,
        group="deep",
        help="verify every backup there is; the worst result decides the exit code",
    ),
    Option(TEXT, "database", group="database", metavar="NAME", help="only those of this database"),
    Option(COUNT, "last", group="newest", metavar="N", help="only the N newest"),
    Option(
        SINCE,
        "since",
        group="newest",
        metavar="WHEN",
        help="only the newer ones: 7d, 12h, a date such as 2026-11-27, or a time in UTC such as"
        " 2026-11-27T16:44",
    ),
    Option(
        UNTIL,
        "until",
        group="note",
        metavar="WHEN",
        help="up to the end of a day such as 2027-01-01, a time, or a length of time such as 90d"
        " (default: for ever)",
    ),
    Option(TEXT, "note", group="note", metavar="TEXT", help="why, for those who read it later"),
    Option(
        TEXT,
        "level",
        group="level",
        choices=tuple(map(str, Level)),
        help="only those that reached this level at least, and lost it by no later check",
    ),
    Option(
        FLAG,
        "failed",
        default=False,
        group="failed",
        help="only runs that failed, died or were interrupted; not those mistyped at a terminal",
    ),
    Option(
        FLAG,
        "wide",
        default=False,
        group="wide",
        help="every column, however narrow the terminal",
    ),
    Option(
        FLAG,
        "json",
        default=False,
        group="report",
        help="print the result as JSON, and nothing else on standard output",
    ),
    Option(
        FLAG,
        "full",
        default=False,
        group="report",
        help="with --json: the facts of each table and sequence too",
    ),
    Option(
        FLAG,
        "jsonl",
        default=False,
        group="report",
        help="as --json, but for a list one line of JSON for each",
    ),
    Option(FLAG, "quiet", default=False, group="report", help="print nothing on success"),
    Option(
        PATH,
        "config",
        group="report",
        metavar="FILE",
        help=f"the settings file (default: {CONFIG_VARIABLE}, else pgvow.toml here where there is"
        " one)",
    ),
    Option(
        PATH,
        "log_file",
        group="record",
        metavar="FILE",
        help="append how it went to this file: for cron",
    ),
    Option(
        TEXT,
        "progress",
        "auto",
        shown="auto",
        group="record",
        choices=("auto", "json", "none"),
        help="on standard error: a bar if it is a terminal ({default}), lines of JSON for programs,"
        " or none",
    ),
    Option(
        TEXT,
        "log_format",
        "text",
        shown="text",
        group="record",
        choices=("text", "json"),
        help="lines for people or for programs (default: {default})",
    ),
)
"""The options of several commands that ``pgvow.toml`` does not have."""
