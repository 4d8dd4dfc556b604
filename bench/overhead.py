"""What a backup costs beyond the bare ``pg_dump -Fc -Z 6`` of the same database.

Both run in turn, round after round, against one throw-away server with the demo's data, so that a
machine whose speed drifts slows both alike. Reading the file once for its checksum is measured by
itself, since the contract allows for it. Peak memory is that of our process alone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg
from demo_database import demo_database

from pgvow.operations.demo import DATABASE

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Measure, print a table, and write it as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000, help="rows of the largest table")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--inspect", action="store_true", help="with the reading back as well")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pgvow-bench-") as folder:
        figures = measure(
            Path(folder),
            messages=chosen.messages,
            rounds=chosen.rounds,
            extra=[] if chosen.inspect else ["--no-inspect"],
        )
    print(table(figures))
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n")


def measure(folder: Path, *, messages: int, rounds: int, extra: list[str]) -> dict[str, Any]:
    """Run all rounds; times are seconds, sizes bytes."""
    times: dict[str, list[float]] = {"pg_dump": [], "read": [], "backup": []}
    with demo_database(messages) as (programs, environ):
        for number in range(rounds):
            bare = folder / f"bare-{number}.dump"
            seconds, _ = timed(bare_command(programs.bin, environ, bare), environ)
            times["pg_dump"].append(seconds)
            times["read"].append(timed_read(bare))
            ours = [sys.executable, str(ROOT / "backup_db.py"), "--quiet"]
            ours += ["--output-dir", str(folder / "ours"), *extra]
            seconds, peak = timed(ours, environ)
            times["backup"].append(seconds)
            dump_size = bare.stat().st_size
            bare.unlink()
        with psycopg.connect(dsn(environ)) as session:
            row = session.execute("SELECT pg_database_size(current_database())").fetchone()
    ratios = [
        (backup - read) / dump
        for dump, read, backup in zip(times["pg_dump"], times["read"], times["backup"], strict=True)
    ]
    return {
        "server": programs.version,
        "database_bytes": row[0] if row else 0,
        "dump_bytes": dump_size,
        "seconds": times,
        "ratio_beyond_reading": ratios,
        "median_ratio": statistics.median(ratios),
        "peak_bytes": peak,
    }


def dsn(environ: dict[str, str]) -> str:
    """Connection string of the demo's database."""
    return psycopg.conninfo.make_conninfo(
        host=environ["DEV_DB_HOST"],
        port=environ["DEV_DB_PORT"],
        user=environ["DEV_DB_USER"],
        password=environ["DEV_DB_PASSWORD"],
        dbname=DATABASE,
    )


def bare_command(folder: Path, environ: dict[str, str], target: Path) -> list[str]:
    """The contract's own command line, and nothing else."""
    return [
        *(str(folder / "pg_dump"), "-Fc", "-Z", "6", "-f", str(target)),
        *("-h", environ["DEV_DB_HOST"], "-p", environ["DEV_DB_PORT"]),
        *("-U", environ["DEV_DB_USER"], DATABASE),
    ]


def timed(command: list[str], environ: dict[str, str]) -> tuple[float, int]:
    """Seconds from start to end of a command that must succeed, and its peak memory in bytes."""
    started = time.perf_counter()
    environment = {**environ, "PGPASSWORD": environ["DEV_DB_PASSWORD"]}
    pid = os.posix_spawn(command[0], command, environment)
    _, status, usage = os.wait4(pid, 0)
    if status != 0:
        sys.exit(f"{command[0]} failed with wait status {status}")
    return time.perf_counter() - started, usage.ru_maxrss * 1024


def timed_read(path: Path) -> float:
    """Seconds to read a file once for its SHA-256."""
    started = time.perf_counter()
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256")
    return time.perf_counter() - started


def table(figures: dict[str, Any]) -> str:
    """The figures as Markdown."""
    seconds = figures["seconds"]
    lines = ["| what | seconds, each round | median |", "|---|---|---|"]
    for name, values in seconds.items():
        shown = ", ".join(f"{value:.2f}" for value in values)
        lines.append(f"| {name} | {shown} | {statistics.median(values):.2f} |")
    lines.append("")
    lines.append(
        f"PostgreSQL {figures['server']}, {figures['database_bytes']:,} bytes of database,"
        f" {figures['dump_bytes']:,} of dump; a backup without reading it once takes"
        f" {figures['median_ratio']:.3f} times the bare pg_dump;"
        f" peak memory of our process {figures['peak_bytes']:,} bytes"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
