"""Write docs/configuration.md from the schema: ``python tools/configuration_reference.py``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pgvow.settings.configuration import POLICY, SCHEDULED_JOB, SECTIONS, SOURCE, TOP

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pgvow.settings.declared_option import Option

PAGE = Path(__file__).resolve().parents[1] / "docs/configuration.md"
_HEAD = """\
# pgvow.toml

Written by `make reference` from the code that reads the file: change it there.

Optional: `pgvow.toml` in the current directory, or what `--config` or `PGVOW_CONFIG` names. The
connection and all secrets stay in `.env.local`, `.env` or the environment
([settings](settings.md)). An option that is typed counts before the file, the file before the
default. Paths are relative to the file. A key that is not known and a value that does not fit are
errors (2), each with its line: `pgvow config check`. What is in force, and where it comes from:
`pgvow config show`.
"""
_ABOUT = {
    "backup": "Defaults of `pgvow backup` and `backup_db.py`.",
    "retention": "What `pgvow prune` keeps ([unattended](unattended.md)).",
    "status": "When `pgvow status` speaks up.",
    "schedule": "For `pgvow schedule run`, and for the next run that `pgvow status` shows.",
    "notifications": "`${VARIABLE}` is replaced, from the environment and the `.env` files.",
    "hooks": "Lists of arguments: no shell is in between.",
    "recovery_sheet": "For `pgvow sheet`, and for `pgvow prove` ([operations](operations.md)).",
    "metrics": "",
}


def reference() -> str:
    """Make the page."""
    return "\n".join([_HEAD, *_sections(), "## All of it\n", "```toml", *_example(), "```\n"])


def _sections() -> Iterator[str]:
    yield from _table("At the top", "", TOP)
    for name, keys in SECTIONS.items():
        yield from _table(f"`[{name}]`", _ABOUT[name], keys)
        if name == "schedule":
            yield from _table("`[[schedule.jobs]]`", "As many as like.", SCHEDULED_JOB)
    own = ", ".join(f"`[environments.NAME.{name}]`" for name in POLICY)
    about = (
        "More environments than `dev` and `prod`, for `--env NAME`; for these two as well, but that"
        f" their variables are fixed. {own} count before the general sections, key by key."
    )
    yield from _table("`[environments.NAME]`", about, SOURCE)


def _table(title: str, about: str, keys: Mapping[str, Option]) -> Iterator[str]:
    yield f"## {title}\n"
    if about:
        yield f"{about}\n"
    yield "| key | default | meaning | example |"
    yield "|---|---|---|---|"
    for name, key in keys.items():
        default = key.shown if key.shown[0].isalpha() else f"`{key.shown}`"
        yield f"| `{name}` | {default} | {key.meaning} | `{name} = {key.example}` |"
    yield ""


def _example() -> Iterator[str]:
    yield from _lines(TOP)
    for name, keys in SECTIONS.items():
        yield from ("", f"[{name}]", *_lines(keys))
        if name == "schedule":
            yield from ("", "[[schedule.jobs]]", *_lines(SCHEDULED_JOB))
    yield from ("", "[environments.staging]", *_lines(SOURCE))
    yield from ("", "[environments.staging.retention]", "keep_last = 2")


def _lines(keys: Mapping[str, Option]) -> Iterator[str]:
    yield from (f"{name} = {key.example}" for name, key in keys.items())


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
