"""PostgreSQL's programs, one of which does as the test wants."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from tests.support.waiting import wait_until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path


def programs_with(programs: Path, folder: Path, name: str, script: str) -> Path:
    """Link all programs into a folder, with a script for one of them; returns their folder."""
    made = folder / "bin"
    made.mkdir()
    (folder / "lib").symlink_to(programs.parent / "lib")
    for program in programs.iterdir():
        (made / program.name).symlink_to(program)
    (made / name).unlink()
    (made / name).write_text(f"#!/bin/sh\n{script}\n")
    (made / name).chmod(0o755)
    return made


@dataclass(frozen=True)
class Held:
    """Programs of which one tells that it was started, and waits to be let go.

    What must happen while it runs happens then, however fast the machine is.
    """

    bin: Path
    started: Path
    _gate: Path

    def let_go(self) -> None:
        """Let the program do its work."""
        self._gate.touch()


def held(programs: Path, folder: Path, name: str = "pg_dump") -> Held:
    """Hold one program back, but for ``--version``."""
    started, gate = folder / "started", folder / "gate"
    script = (
        f'if [ "$1" != --version ]; then touch {started};'
        f" while [ ! -e {gate} ]; do sleep 0.05; done; fi\n"
        f'exec {programs / name} "$@"'
    )
    return Held(programs_with(programs, folder, name, script), started, gate)


@contextmanager
def workers_stopped_midway(
    run: subprocess.Popen[str], directory: Path
) -> Iterator[list[psutil.Process]]:
    """Let a run write half a megabyte below a directory, and stop its psqls there; yields these."""

    def written() -> bool:
        assert run.poll() is None, run.communicate()
        return any(file.stat().st_size > 1 << 19 for file in directory.rglob("*.dump.partial"))

    wait_until(written)
    workers = [child for child in psutil.Process(run.pid).children() if child.name() == "psql"]
    for worker in workers:
        worker.suspend()
    try:
        yield workers
    finally:
        for worker in workers:
            with suppress(psutil.Error):
                worker.resume()


@contextmanager
def pg_dump_stopped_midway(run: subprocess.Popen[str], directory: Path) -> Iterator[None]:
    """Let the pg_dump of a run write its first bytes below a directory, and no more meanwhile."""
    wait_until(lambda: any(path.stat().st_size for path in directory.rglob("*.dump.partial")))
    children = psutil.Process(run.pid).children()
    (pg_dump,) = [child for child in children if child.name() == "pg_dump"]
    pg_dump.suspend()
    try:
        yield
    finally:
        pg_dump.resume()
