"""What a dump does to those who write meanwhile: transactions a second of pgbench, in turn.

pgbench runs all the while, in the database that is dumped, and says each second how many
transactions ended in it. Of each subject count the seconds that lie wholly within its run.

``python -m bench.load --help`` in the repository's folder.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench.databases import bench_server, make_database
from bench.subjects import clean, subjects
from bench.timing import timed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pgvow.postgres.throwaway import ThrowawayServer

_SHAPE = "chat"
_NOTHING = "nothing else"
_SAID = "said"
_PROGRESS = re.compile(r"^progress: (?P<end>[0-9.]+) s, (?P<rate>[0-9.]+) tps", re.MULTILINE)


def main() -> None:
    """Print one Markdown row for each subject."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m bench.load")
    parser.add_argument("--major", type=int, default=15)
    parser.add_argument("--size", type=int, default=500, help="MB of COPY text")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--clients", type=int, default=2, help="of pgbench")
    parser.add_argument("--scale", type=int, default=10, help="of pgbench")
    parser.add_argument("--idle", type=float, default=10, help="seconds without any dump")
    chosen = parser.parse_args()
    windows: dict[str, list[tuple[float, float]]] = {}
    with bench_server(chosen.major) as server, tempfile.TemporaryDirectory() as folder:
        make_database(server, _SHAPE, chosen.size)
        environment = dict(server.environment(_SHAPE))
        pgbench = str(server.bin / "pgbench")
        fill = [pgbench, "-i", "-q", "-s", str(chosen.scale)]
        subprocess.run(fill, env=environment, check=True, stderr=subprocess.DEVNULL)
        with _writing(pgbench, environment, chosen.clients, Path(folder)):
            for _ in range(chosen.rounds):
                _measure(server, chosen, windows)
        seconds = _seconds(Path(folder))
    _report(windows, seconds)


@contextmanager
def _writing(
    pgbench: str, environment: dict[str, str], clients: int, folder: Path
) -> Iterator[None]:
    """Have clients write, one transaction after the other, until the block ends."""
    command = [pgbench, "-n", "-c", str(clients), "-T", "100000"]
    command += ["--progress=1", "--progress-timestamp"]
    with (
        (folder / _SAID).open("w") as said,
        subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=said
        ) as process,
    ):
        time.sleep(3)
        try:
            yield
            time.sleep(2)  # the last second is told when it is over
        finally:
            process.terminate()


def _measure(
    server: ThrowawayServer,
    chosen: argparse.Namespace,
    windows: dict[str, list[tuple[float, float]]],
) -> None:
    begin = time.time()
    time.sleep(chosen.idle)
    windows.setdefault(_NOTHING, []).append((begin, time.time()))
    for subject in subjects(server, _SHAPE, [chosen.jobs], [chosen.major], []):
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "target"
            begin = time.time()
            timed(subject, target)
            windows.setdefault(subject.name, []).append((begin, time.time()))
            clean(target)


def _seconds(folder: Path) -> dict[float, float]:
    """Return how many transactions ended in each second, by its end."""
    found = _PROGRESS.finditer((folder / _SAID).read_text())
    return {float(line["end"]): float(line["rate"]) for line in found}


def _report(windows: dict[str, list[tuple[float, float]]], seconds: dict[float, float]) -> None:
    print("| meanwhile | seconds, each round | transactions a second, each round | left |")
    print("|---|---|---|---|")
    alone = 0.0
    for name, spans in windows.items():
        rates = [_rate(seconds, *span) for span in spans]
        alone = alone or statistics.median(rates)
        took = ", ".join(f"{end - begin:.1f}" for begin, end in spans)
        told = ", ".join(f"{rate:.0f}" for rate in rates)
        print(f"| {name} | {took} | {told} | {statistics.median(rates) / alone:.2f} |")


def _rate(seconds: dict[float, float], begin: float, end: float) -> float:
    within = [rate for over, rate in seconds.items() if begin <= over - 1 and over <= end]
    return statistics.mean(within) if within else float("nan")


if __name__ == "__main__":
    main()
