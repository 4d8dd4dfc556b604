"""argparse with our own errors, and with help that is plain in a pipe."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, NoReturn

from rich_argparse import RawDescriptionRichHelpFormatter

from pgvow.errors import ConfigurationError
from pgvow.settings.values import typed_path

if TYPE_CHECKING:
    from collections.abc import Callable

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
  130  interrupted by Ctrl-C
  143  interrupted by SIGTERM
"""


class UsageProblem(ConfigurationError):
    """The command line cannot be understood."""

    title = "Usage error"


class _NoMarkup(RawDescriptionRichHelpFormatter):
    """Formats help in colours. Our texts have brackets, of pgvow.toml's sections: no markup."""

    help_markup = False
    text_markup = False


class Parser(argparse.ArgumentParser):
    """An argparse parser whose errors are ours, and whose help is plain in a pipe."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]

    def format_help(self) -> str:
        """Return the help, in colours if the terminal has them."""
        self.formatter_class = _NoMarkup
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        """Raise ConfigurationError instead of ending the process."""
        raise UsageProblem(message, steps=[f"See what there is: {self.prog} --help"])


def argument(of_text: Callable[[str], Any]) -> Callable[[str], Any]:
    """Let argparse show the message of a ValueError, and not one of its own."""

    def read(text: str) -> Any:
        try:
            return of_text(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


path = argument(typed_path)
