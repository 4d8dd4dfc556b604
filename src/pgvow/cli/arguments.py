"""argparse with our own errors, and with help that is plain in a pipe."""

from __future__ import annotations

import argparse
import re
import sys
from difflib import get_close_matches
from enum import StrEnum
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, NoReturn

from rich.text import Text
from rich_argparse import RawDescriptionRichHelpFormatter

from pgvow.cli.folding import folded
from pgvow.errors import ConfigurationError
from pgvow.settings.values import typed_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

EXIT_CODES = """\
exit codes:
  0    done
  1    anything not below
  2    configuration or usage
  3    cannot connect, or refused by the server's authentication
  4    permission denied, by the database or the file system
  5    not enough disk space
  6    pg_dump, pg_restore or another tool missing, or too old
  7    making the backup failed
  8    verification or proof failed
  9    another backup of this database into this directory is running
  10   restore failed
  11   doctor, status: something needs attention
  12   doctor, status: something is wrong
  13   cannot be proven here: an extension or a collation is not to be had
  14   restored by --rescue, with something loosened
  130  interrupted by Ctrl-C
  143  interrupted by SIGTERM
"""


_INVALID_CHOICE = re.compile(r"invalid choice: '(?P<word>[^']*)' \(choose from (?P<known>.*)\)$")
_QUOTED = re.compile(r"[\w.:-]+")


class Topic(StrEnum):
    """A heading of ``--help``, in the order in which they stand there."""

    WHAT = "what"
    WHERE = "where"
    SPEED = "how fast"
    LIMITS = "limits and checks"
    OUTPUT = "output"


class UsageProblem(ConfigurationError):
    """The command line cannot be understood."""

    title = "Usage error"


class _NoMarkup(RawDescriptionRichHelpFormatter):
    """Formats help in colours. Our texts have brackets, of pgvow.toml's sections: no markup."""

    group_name_formatter = str.capitalize
    help_markup = False
    text_markup = False


class Parser(argparse.ArgumentParser):
    """An argparse parser whose errors are ours, and whose help is plain in a pipe."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._topics: dict[Topic, argparse._ArgumentGroup] = {}

    def topic(self, topic: Topic) -> argparse._ArgumentGroup:
        """Return the group of the options under a heading of ``--help``."""
        if topic not in self._topics:
            self._topics = {name: self._group_of(name) for name in Topic}
        return self._topics[topic]

    def _group_of(self, topic: Topic) -> argparse._ArgumentGroup:
        return self._topics.get(topic) or self.add_argument_group(topic)

    def format_help(self) -> str:
        """Return the help, in colours if the terminal has them."""
        self.formatter_class = _NoMarkup
        if sys.stdout.isatty():
            self.description, self.epilog = _fitting(self.description), _fitting(self.epilog)
        return super().format_help()

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse; an option that does not exist is an error that names one like it."""
        parsed, strange = self.parse_known_args(args, namespace)
        if strange:
            self._chosen(parsed).refuse(strange)
        return parsed

    def _chosen(self, parsed: argparse.Namespace) -> Parser:
        """Return the parser of the command that was chosen, else this one."""
        for action in self._actions:
            if isinstance(action.choices, dict):  # the commands
                chosen: Parser = action.choices[getattr(parsed, action.dest)]
                return chosen
        return self

    def refuse(self, strange: Sequence[str]) -> NoReturn:
        """Raise UsageProblem for words that no option takes."""
        meant = [like(word.split("=", 1)[0], self._option_string_actions) for word in strange]
        self.error(f"unrecognized arguments: {' '.join(strange)}", *filter(None, meant))

    def error(self, message: str, *meant: str) -> NoReturn:
        """Raise UsageProblem instead of ending the process; ``meant`` may have been meant."""
        if not meant and (choice := _INVALID_CHOICE.search(message)):
            meant = tuple(filter(None, [like(choice["word"], _QUOTED.findall(choice["known"]))]))
        steps = [f"Did you mean {name}?" for name in meant]
        raise UsageProblem(message, steps=[*steps, f"See what there is: {self.prog} --help"])


def _fitting(text: str | None) -> str | None:
    """Fold a text of ``--help`` as argparse folds the help of options; it leaves these as is."""
    width = get_terminal_size().columns - 2
    return folded(Text(text), width).plain if text else text


def like(word: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like a word, or None if none is."""
    close = get_close_matches(word, list(known), n=1)
    return close[0] if close else None


def argument(of_text: Callable[[str], Any]) -> Callable[[str], Any]:
    """Let argparse show the message of a ValueError, and not one of its own."""

    def read(text: str) -> Any:
        try:
            return of_text(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


path = argument(typed_path)


def _typed_name(text: str) -> str:
    if not text:
        raise ValueError("the name or path is empty")
    return text


backup_name = argument(_typed_name)
"""Read the name of a backup from the command line, for argparse."""


BACKUP_HELP = (
    "a path, a name as pgvow list has it or its beginning, latest, latest~1, or a time in UTC such"
    " as 2026-11-27T16:44 or yesterday: the newest whole backup up to then"
)
"""What may stand wherever a backup is asked for."""


def add_backup(parser: argparse.ArgumentParser, name: str = "file", metavar: str = "NAME") -> None:
    """Add the argument that names a backup; without it a terminal offers those that there are."""
    parser.add_argument(name, metavar=metavar, type=backup_name, nargs="?", help=BACKUP_HELP)
