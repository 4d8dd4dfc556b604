"""What is measured: our engines, the stock pg_dump, and the floor."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.databases import ranges
from bench.timing import TARGET, Subject
from tests.support.servers import programs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pgvow.postgres.throwaway import ThrowawayServer

FLOOR = "floor"
ROOT = Path(__file__).resolve().parents[1]
_FIRST_WITH_ZSTD = 16
# 32 MB: few enough of them to cost nothing, enough to share one table out.
_BLOCKS = 4096


def baseline(major: int) -> str:
    """Return the name of what all is compared with."""
    return f"pg_dump {major} -Fc -Z 6"


def subjects(
    server: ThrowawayServer,
    shape: str,
    jobs: Sequence[int],
    majors: Sequence[int],
    options: Sequence[str],
) -> list[Subject]:
    """Return everything but the floor; ``majors`` are those of pg_dump, the server's own first."""
    return [
        *(one for major in majors for one in _stock(server, shape, max(jobs), major)),
        *_ours(server, shape, jobs, majors[0], options),
    ]


def _stock(server: ThrowawayServer, shape: str, jobs: int, major: int) -> Iterator[Subject]:
    program, environment = str(programs(major) / "pg_dump"), _tools_environment(server, shape)
    directory: tuple[str, ...] = ("-Fd", "-j", str(jobs), "-Z")
    ways: list[tuple[str, ...]] = [("-Fc", "-Z", "6"), (*directory, "1"), (*directory, "6")]
    if major >= _FIRST_WITH_ZSTD:
        ways.append((*directory, "zstd:1"))
    for way in ways:
        name = " ".join(("pg_dump", str(major), *way))
        yield Subject(name, ((program, *way, "-f", TARGET),), environment)


def _ours(
    server: ThrowawayServer, shape: str, jobs: Sequence[int], major: int, options: Sequence[str]
) -> Iterator[Subject]:
    environment = {
        **_outside(),
        "PGVOW_PG_BIN": str(server.bin),
        "DEV_DB_HOST": server.host,
        "DEV_DB_PORT": str(server.port),
        "DEV_DB_NAME": shape,
        "DEV_DB_USER": server.user,
        "DEV_DB_PASSWORD": server.password,
    }
    command = (sys.executable, str(ROOT / "backup_db.py"), "--env", "dev", "--quiet", *options)
    ways: list[tuple[str, tuple[str, ...]]] = [("pgvow, pg_dump's engine", ("--engine", "pg_dump"))]
    for algorithm in ("gzip", "zstd") if major >= _FIRST_WITH_ZSTD else ("gzip",):
        ways += [
            (
                f"pgvow, {algorithm}, {number} job{'s' if number > 1 else ''}",
                ("--engine", "parallel", "--jobs", str(number), "--compress", algorithm),
            )
            for number in jobs
        ]
    for name, way in ways:
        whole = (*command, *way, "--output-dir", TARGET)
        yield Subject(name, (whole,), environment, suffix=".dump")


def floor(server: ThrowawayServer, shape: str, jobs: int, folder: Path) -> Subject:
    """Return the COPY of everything to nowhere: one script for each of so many psql."""
    shares: list[list[str]] = [[] for _ in range(jobs)]
    for number, one in enumerate(ranges(server, shape, _BLOCKS)):
        shares[number % jobs].append(
            f"COPY (SELECT * FROM {one.name} WHERE ctid >= '({one.start},0)'"  # noqa: S608 - quoted
            f" AND ctid < '({one.end},0)') TO STDOUT;"
        )
    scripts = [folder / f"floor-{number}.sql" for number in range(jobs)]
    for script, share in zip(scripts, shares, strict=True):
        lines = ["SET synchronize_seqscans = off;", "SET extra_float_digits = 3;", *share]
        script.write_text("\n".join(lines) + "\n", encoding="utf-8")
    psql = (str(server.bin / "psql"), "-Xq", "-v", "ON_ERROR_STOP=1", "-f")
    return Subject(
        f"{FLOOR}: COPY by {jobs} psql",
        tuple((*psql, str(script)) for script in scripts),
        _tools_environment(server, shape),
    )


def clean(target: Path) -> None:
    """Remove what a run has written."""
    if target.is_dir():
        shutil.rmtree(target)
    target.unlink(missing_ok=True)


def _tools_environment(server: ThrowawayServer, shape: str) -> dict[str, str]:
    return {**_outside(), **server.environment(shape)}


def _outside() -> dict[str, str]:
    """Our own environment, without what would choose another database.

    Nor what would have Python compile each module anew: what is installed is compiled once.
    """
    ours = ("PG", "DEV_DB_", "PROD_DB_", "DATABASE_URL", "PYTHONDONTWRITEBYTECODE")
    return {key: value for key, value in os.environ.items() if not key.startswith(ours)}
