"""argparse as we want it: its errors are ours, and its help is plain in a pipe."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, NoReturn

from pgvow.errors import ConfigurationError
from pgvow.settings.values import typed_path

if TYPE_CHECKING:
    from collections.abc import Callable


class UsageProblem(ConfigurationError):
    """The command line cannot be understood."""

    title = "Usage error"


class Parser(argparse.ArgumentParser):
    """An argparse parser whose errors are ours, and whose help is plain in a pipe."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]

    def format_help(self) -> str:
        """Return the help, in colours where the terminal has them."""
        from rich_argparse import RawDescriptionRichHelpFormatter  # noqa: PLC0415 - slow to load

        class AsWritten(RawDescriptionRichHelpFormatter):
            """Our texts have brackets, of pgvow.toml's sections: none of them is markup."""

            help_markup = False
            text_markup = False

        self.formatter_class = AsWritten
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
