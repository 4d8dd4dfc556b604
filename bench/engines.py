"""How fast a database becomes an archive: our engines, the stock pg_dump, and the floor.

Everything runs in turn, round after round, against one throw-away server, so that a machine whose
speed drifts slows all alike. Ours is ``backup_db.py`` in a fresh process, with locks, witness,
reading back and checksum. The floor is the COPY of all tables to nowhere, by as many psql as there
are jobs. Peak memory is that of a command and its children, looked at five times a second.

``python -m bench.engines --help`` in the repository's folder; ``make bench`` runs it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from bench.databases import SHAPES, bench_server, database_size, make_database
from bench.report import markdown
from bench.subjects import clean, floor, subjects
from bench.timing import Run, timed

if TYPE_CHECKING:
    from pgvow.postgres.throwaway import ThrowawayServer

# Each of 5,000 tables is small: as much in all as the other shapes have would take long to make.
MANY_SHARE = 10


def main() -> None:
    """Measure, print a table, and write it as Markdown and JSON where asked."""
    chosen = _parser().parse_args()
    figures: dict[str, dict[str, list[Run]]] = {}
    with bench_server(chosen.major) as server:
        for shape in chosen.shape or SHAPES:
            megabytes = max(1, chosen.size // (MANY_SHARE if shape == "many" else 1))
            _say(f"{shape}: making {megabytes} MB")
            make_database(server, shape, megabytes)
            _say(f"{shape}: the database takes {database_size(server, shape):,} bytes")
            figures[shape] = measure(server, shape, chosen)
            server.drop_database(shape)
    text = markdown(figures, rounds=chosen.rounds, major=chosen.major, size=chosen.size)
    print(text)
    if chosen.markdown:
        chosen.markdown.write_text(text + "\n", encoding="utf-8")
    if chosen.json:
        chosen.json.write_text(_as_json(figures, chosen), encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m bench.engines")
    add = parser.add_argument
    cores = os.cpu_count() or 1
    add("--major", type=int, default=18, help="PostgreSQL's, 15 to 18 (default: 18)")
    add("--shape", action="append", choices=SHAPES, help="repeatable (default: all)")
    add("--size", type=int, default=300, help="MB of COPY text; many has a tenth (default: 300)")
    add("--rounds", type=int, default=3, help="(default: 3)")
    add("--jobs", type=_numbers, default=f"1,2,{cores}", help=f"of ours (default: 1,2,{cores})")
    add("--tools", type=_numbers, default=[], help="majors of further pg_dump, as 16,18")
    add("--only", action="append", metavar="WORDS", help="what has these in its name; repeatable")
    add("--option", action="append", default=[], help="one more of backup_db.py's; repeatable")
    add("--markdown", type=Path, help="write the table there as well")
    add("--json", type=Path, help="write all figures there")
    return parser


def measure(
    server: ThrowawayServer, shape: str, chosen: argparse.Namespace
) -> dict[str, list[Run]]:
    """Run all rounds; returns the runs of each subject by its name."""
    majors = [chosen.major, *(major for major in chosen.tools if major != chosen.major)]
    known = subjects(server, shape, chosen.jobs, majors, chosen.option)
    wanted = [one for one in known if any(words in one.name for words in chosen.only or [""])]
    with tempfile.TemporaryDirectory(prefix="pgvow-bench-") as name:
        folder = Path(name)
        target = folder / "target"
        lowest = floor(server, shape, max(chosen.jobs), folder)
        timed(lowest, target)  # so that the first round finds as much in memory as the others
        found: dict[str, list[Run]] = {subject.name: [] for subject in (lowest, *wanted)}
        for number in range(chosen.rounds):
            for subject in (lowest, *wanted):
                run = timed(subject, target)
                clean(target)
                _say(f"{shape}, round {number + 1}, {subject.name}: {run.seconds:.2f} s")
                found[subject.name].append(run)
    return found


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _as_json(figures: dict[str, dict[str, list[Run]]], chosen: argparse.Namespace) -> str:
    told = {
        "major": chosen.major,
        "cores": os.cpu_count(),
        "megabytes": chosen.size,
        "rounds": chosen.rounds,
        "shapes": {
            shape: {name: [asdict(run) for run in runs] for name, runs in found.items()}
            for shape, found in figures.items()
        },
    }
    return json.dumps(told, indent=2) + "\n"


def _numbers(words: str) -> list[int]:
    """Read numbers with commas between them."""
    return sorted({int(word) for word in words.split(",")})


if __name__ == "__main__":
    main()
