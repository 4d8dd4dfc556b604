"""Deep verification against ``pg_restore -f /dev/null`` of the same archive.

Whole commands, ``pgvow verify FILE --deep`` with the start of Python, the checksum and
``pg_restore --list`` included; in turn, round after round. Three shapes: several tables, one giant
table, many small ones. Peak memory is that of our process. With ``--archives`` they are kept in a
directory, and taken from there the next time: so that it can be measured in short pieces.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

from recorded import recorded
from shapes import SHAPES, database_of_shapes, dump

from pgvow.operations.demo import DATABASE
from pgvow.operations.throwaway_programs import find_server_programs
from pgvow.store.metadata import encode

# The first pg_dump that writes zstd, and takes a method's name.
NAMES_METHODS = 16


def main() -> None:
    """Print one Markdown row for each shape and method."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=300, help="COPY text of each shape")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", help="what -Z of pg_dump takes")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=SHAPES)
    parser.add_argument("--archives", type=Path, help="keep and find the archives there")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pgvow-bench-") as folder:
        measure(chosen, chosen.archives or Path(folder))


def measure(chosen: argparse.Namespace, folder: Path) -> None:
    """Make what archives there are not yet, and compare on each."""
    programs = find_server_programs(os.environ)
    methods = ["gzip:6", "zstd:3"] if programs.major >= NAMES_METHODS else ["6"]
    wanted = {
        (shape, method): folder
        / f"{shape}-{programs.major}-{re.sub(r'[^a-z0-9]', '', method)}.dump"
        for method in chosen.methods or methods
        for shape in chosen.shapes
    }
    make({key: path for key, path in wanted.items() if not path.exists()}, chosen.megabytes)
    environment = dict(programs.environment(os.environ))
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed is compiled once
    figures = []
    print("| archive | MB | `pg_restore`, seconds | `verify --deep`, seconds | ratio | peak, MB |")
    print("|---|---|---|---|---|---|")
    for (shape, method), path in wanted.items():
        pg_restore = [str(programs.bin / "pg_restore"), "-f", "/dev/null", str(path)]
        found = compare(pg_restore, path, environment, chosen.rounds)
        found |= {"archive": f"{programs.version}, `-Z {method}`, {shape}"}
        found |= {"bytes": path.stat().st_size}
        figures.append(found)
        print(row(found), flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n")


def make(missing: dict[tuple[str, str], Path], megabytes: int) -> None:
    """Dump them, each with the metadata that a backup would have beside it."""
    if not missing:
        return
    with database_of_shapes(megabytes) as (programs, environ):
        for (shape, method), path in missing.items():
            dump(programs, environ, shape, method, path)
            metadata = recorded(path, database=DATABASE)
            path.with_suffix(".metadata.json").write_bytes(encode(metadata))


def compare(
    pg_restore: list[str], path: Path, environment: dict[str, str], rounds: int
) -> dict[str, object]:
    """Run both in turn; ratios are those of each round."""
    ours = [sys.executable, "-m", "pgvow", "verify", "--deep", str(path)]
    pairs = [(timed(pg_restore, environment), timed(ours, environment)) for _ in range(rounds)]
    ratios = [theirs[0] / mine[0] for theirs, mine in pairs]
    return {
        "pg_restore": [theirs[0] for theirs, _ in pairs],
        "verify": [mine[0] for _, mine in pairs],
        "ratios": ratios,
        "median_ratio": statistics.median(ratios),
        "peak_bytes": max(mine[1] for _, mine in pairs),
    }


def timed(command: list[str], environment: dict[str, str]) -> tuple[float, int]:
    """Seconds from start to end of a command that must succeed, and its peak memory in bytes."""
    started = time.perf_counter()
    nowhere = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawn(command[0], command, environment, file_actions=nowhere)
    _, status, usage = os.wait4(pid, 0)
    if status != 0:
        sys.exit(f"{command} failed with wait status {status}")
    return time.perf_counter() - started, usage.ru_maxrss * 1024


def row(found: dict[str, object]) -> str:
    """One line of the table."""

    def shown(values: object) -> str:
        return ", ".join(f"{value:.2f}" for value in values)  # type: ignore[attr-defined]

    return (
        f"| {found['archive']} | {found['bytes'] / 1e6:.0f} | {shown(found['pg_restore'])}"  # type: ignore[operator]
        f" | {shown(found['verify'])} | {found['median_ratio']:.2f}"
        f" | {found['peak_bytes'] / 1e6:.0f} |"  # type: ignore[operator]
    )


if __name__ == "__main__":
    main()
