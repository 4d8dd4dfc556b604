"""The figures as Markdown."""

from __future__ import annotations

import os
import statistics
from typing import TYPE_CHECKING

from bench.subjects import FLOOR, baseline

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.timing import Run

_HEAD = (
    "| {shape} | seconds, least | median | against `-Fc -Z 6` | against the floor"
    " | MB | of `-Z 6`'s | peak MB |"
)
_NONE = "-"


def markdown(
    figures: Mapping[str, Mapping[str, Sequence[Run]]], *, rounds: int, major: int, size: int
) -> str:
    """Return one table a shape, and a line that says how it was measured."""
    said = (
        f"PostgreSQL {major} on {os.cpu_count()} cores, about {size} MB of COPY text (many: a"
        f" tenth), {rounds} rounds, all in turn in one run. Against `{baseline(major)}`: how many"
        " times as fast, by medians; against the floor: how many times as long."
    )
    tables = (_table(shape, found, baseline(major)) for shape, found in figures.items())
    return "\n\n".join([*tables, said])


def _table(shape: str, found: Mapping[str, Sequence[Run]], compared_with: str) -> str:
    (lowest,) = (runs for name, runs in found.items() if name.startswith(FLOOR))
    lines = [_HEAD.format(shape=shape), "|---|" + "---:|" * 7]
    standard = found.get(compared_with)
    lines += [_line(name, runs, standard, lowest) for name, runs in found.items()]
    return "\n".join(lines)


def _line(
    name: str, runs: Sequence[Run], standard: Sequence[Run] | None, lowest: Sequence[Run]
) -> str:
    median, size = _median(runs), runs[-1].size
    cells = [
        f"`{name}`" if name.startswith("pg_dump") else name,
        f"{min(run.seconds for run in runs):.2f}",
        f"{median:.2f}",
        f"{_median(standard) / median:.2f}" if standard else _NONE,
        f"{median / _median(lowest):.2f}",
        f"{size / 1e6:.1f}" if size else _NONE,
        f"{size / standard[-1].size:.3f}" if size and standard else _NONE,
        f"{max(run.peak_memory for run in runs) / 1e6:.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


def _median(runs: Sequence[Run]) -> float:
    return statistics.median(run.seconds for run in runs)
