"""How many of 300 random bit flips and 100 truncations each way of checking notices.

The archives are of the demo's data, made small, in every compression that the PostgreSQL at hand
writes. The checksum of the whole file is not used: it would notice all of them, and says nothing
about a file whose checksum was taken after the damage. "Noticed" is a non-zero exit status of
pg_restore, a red result of deep verification.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import tempfile
from pathlib import Path

from demo_database import demo_database
from recorded import recorded

from pgvow.operations.demo import DATABASE
from pgvow.operations.verify.inspect import decode_and_compare
from pgvow.progress import Silent
from pgvow.store import StoredBackup

FLIPS = 300
TRUNCATIONS = 100
MESSAGES = 400


def main() -> None:
    """Print one Markdown row for each compression."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    print(
        "| archive | damage | `pg_restore --list` | `pg_restore -f /dev/null` | `verify --deep` |"
    )
    print("|---|---|---|---|---|")
    with (
        tempfile.TemporaryDirectory() as folder,
        demo_database(MESSAGES) as (programs, environ),
    ):
        for method in ("gzip:6", "zstd:3", "lz4", "none") if programs.major > 15 else ("6", "0"):  # noqa: PLR2004
            path = Path(folder) / "it.dump"
            command = [str(programs.bin / "pg_dump"), "-Fc", "-Z", method, "-f", str(path)]
            command += ["-h", environ["DEV_DB_HOST"], "-U", environ["DEV_DB_USER"], DATABASE]
            environment = programs.environment(
                {**environ, "PGPASSWORD": environ["DEV_DB_PASSWORD"]}
            )
            subprocess.run(command, env=environment, check=True)
            for damage, counts in count(path, programs.bin / "pg_restore", environment).items():
                shown = " | ".join(str(number) for number in counts)
                print(f"| {programs.version}, `-Z {method}` | {damage} | {shown} |", flush=True)


def count(path: Path, pg_restore: Path, environment: dict[str, str]) -> dict[str, list[int]]:
    """Count what is noticed: by --list, by decoding to nowhere, by deep verification."""
    sound = path.read_bytes()
    metadata = recorded(path, database=DATABASE)
    chance = random.Random(path.stat().st_size)
    flips, cuts = [0, 0, 0], [0, 0, 0]
    for number in range(FLIPS + TRUNCATIONS):
        if number < FLIPS:
            damaged = bytearray(sound)
            damaged[chance.randrange(len(sound))] ^= 1 << chance.randrange(8)
            path.write_bytes(damaged)
        else:
            path.write_bytes(sound[: chance.randrange(len(sound))])
        target = flips if number < FLIPS else cuts
        target[0] += fails([str(pg_restore), "--list", str(path)], environment)
        target[1] += fails([str(pg_restore), "-f", "/dev/null", str(path)], environment)
        target[2] += not decode_and_compare(StoredBackup.at(path), metadata, Silent()).passed
    path.write_bytes(sound)
    return {f"{FLIPS} bit flips": flips, f"{TRUNCATIONS} truncations": cuts}


def fails(command: list[str], environment: dict[str, str]) -> bool:
    """Whether a command ends with anything but 0."""
    return (
        subprocess.run(command, env=environment, capture_output=True, check=False).returncode != 0
    )


if __name__ == "__main__":
    main()
