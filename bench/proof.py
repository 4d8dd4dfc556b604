"""What a proof costs beyond the ``pg_restore -j`` that it contains.

Both are run in turn, round after round, of one backup of the demo's data: ``pgvow prove``, as a
process from its start to its end, and ``pg_restore -j`` alone, into an empty database of a server
that runs already and has the same settings.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from demo_database import demo_database

from pgvow.archive import read_toc
from pgvow.operations.context import Context
from pgvow.operations.prove import ProveOptions
from pgvow.operations.prove.server import proof_server
from pgvow.settings import Configuration

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Measure, print a table, and write it as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000, help="rows of the largest table")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dump", type=Path, help="measure with this backup instead")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pgvow-bench-") as folder:
        dump = chosen.dump or backed_up(Path(folder), chosen.messages)
        figures = measure(dump, chosen.rounds)
    print(table(figures))
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n")


def backed_up(folder: Path, messages: int) -> Path:
    """Back up the demo's database, and return the dump's path."""
    with demo_database(messages) as (_, environ):
        command = [sys.executable, str(ROOT / "backup_db.py"), "--quiet", "--output-dir", folder]
        subprocess.run(command, env=environ, check=True)
    (dump,) = folder.glob("*.dump")
    return dump


def measure(dump: Path, rounds: int) -> dict[str, Any]:
    """Run all rounds; times are seconds."""
    times: dict[str, list[float]] = {"prove": [], "its pg_restore": [], "pg_restore alone": []}
    for _ in range(rounds):
        alone = restored_alone(dump)
        seconds, contained = proven(dump)
        times["pg_restore alone"].append(alone)
        times["prove"].append(seconds)
        times["its pg_restore"].append(contained)
    return {
        "dump_bytes": dump.stat().st_size,
        "workers": ProveOptions().workers,
        "seconds": times,
        "ratio_to_its_own": ratio(times["prove"], times["its pg_restore"]),
        "ratio_to_alone": ratio(times["prove"], times["pg_restore alone"]),
    }


def ratio(whole: list[float], part: list[float]) -> float:
    """The median of the rounds' ratios."""
    return statistics.median(one / other for one, other in zip(whole, part, strict=True))


def proven(dump: Path) -> tuple[float, float]:
    """Seconds of a whole ``pgvow prove``, and of the pg_restore in it."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "pgvow", "prove", str(dump), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    seconds = time.perf_counter() - started
    return seconds, json.loads(done.stdout)["proof"]["restore_seconds"]


def restored_alone(dump: Path) -> float:
    """Seconds of ``pg_restore -j`` into a new database of a server like the one of a proof."""
    options = ProveOptions()
    with dump.open("rb") as file:
        toc = read_toc(file)
    with proof_server(toc, options, Context(Configuration(), os.environ)) as proving:
        server = proving.tools.place
        server.create_database("restored")  # type: ignore[attr-defined]
        program = proving.tools.installation.program("pg_restore")
        connection, environment = proving.tools.reach("restored")
        jobs = f"--jobs={options.workers}"
        command = [program, jobs, "--no-owner", "--no-privileges", f"--dbname={connection}", dump]
        started = time.perf_counter()
        subprocess.run(command, env=dict(environment), check=True)
        return time.perf_counter() - started


def table(figures: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = ["| what | seconds, each round | median |", "|---|---|---|"]
    for name, values in figures["seconds"].items():
        shown = ", ".join(f"{value:.2f}" for value in values)
        lines.append(f"| {name} | {shown} | {statistics.median(values):.2f} |")
    lines.append("")
    lines.append(
        f"{figures['dump_bytes']:,} bytes of dump, {figures['workers']} workers; a proof takes"
        f" {figures['ratio_to_its_own']:.2f} times the pg_restore in it,"
        f" {figures['ratio_to_alone']:.2f} times a pg_restore alone"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
