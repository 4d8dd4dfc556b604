"""Find PostgreSQL's client programs, and choose the ones that fit a server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pgvow.errors import ToolUnsuitable
from pgvow.postgres.majors import NEWEST_TESTED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# Folders in which distributions keep several majors side by side.
KEPT_APART = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # Red Hat and kin, from PostgreSQL's own repository
    "/usr/libexec/postgresql*",  # Alpine
    "/usr/lib/postgresql*/bin",  # SUSE, Gentoo
    "/opt/homebrew/opt/postgresql@*/bin",  # Homebrew on Apple silicon
    "/usr/local/opt/postgresql@*/bin",  # Homebrew on Intel
    "/opt/homebrew/opt/libpq/bin",
    "/usr/local/opt/libpq/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
    "/opt/local/lib/postgresql*/bin",  # MacPorts
    "/usr/local/pgsql/bin",  # built from source
)
_VERSION = re.compile(r"\(PostgreSQL\) (?P<full>(?P<major>\d+)\S*)")
_VERSION_TIMEOUT = 20


@dataclass(frozen=True)
class Installation:
    """One folder with PostgreSQL's programs, all of one version."""

    bin: Path
    version: str
    major: int

    def program(self, name: str) -> Path:
        """Path of one program; raises ToolUnsuitable if this folder lacks it."""
        path = self.bin / name
        if not os.access(path, os.X_OK):
            raise ToolUnsuitable(
                f"{name} is not in {self.bin}",
                facts={"Folder": str(self.bin), "Version": self.version},
                steps=install_steps(self.major),
            )
        return path

    @cached_property
    def library_path(self) -> Path | None:
        """The folder of the libpq that came with these programs, if they do not find it themselves.

        An installation unpacked anywhere (a wheel, a tarball) finds the system's libpq instead of
        its own, and a pg_dump 18 does not start with the libpq of 15.
        """
        lib = self.bin.parent / "lib"
        return lib if any(lib.glob("libpq.so.*")) else None

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """The environment in which these programs run: English messages, their own libraries."""
        # PGCLIENTENCODING would make pg_dump convert the rows that it reads; an archive is in the
        # database's own encoding.
        dropped = {"PGCLIENTENCODING", "LANGUAGE"}
        result = {key: value for key, value in base.items() if key not in dropped}
        result["LC_ALL"] = "C"
        if self.library_path:
            inherited = result.get("LD_LIBRARY_PATH")
            parts = [str(self.library_path), *([inherited] if inherited else [])]
            result["LD_LIBRARY_PATH"] = ":".join(parts)
        return result


def install_steps(major: int | None) -> list[str]:
    """How to get the client programs, on the systems most people have."""
    version = str(major or NEWEST_TESTED)
    return [
        (
            f"Debian, Ubuntu: apt install postgresql-client-{version}"
            " (https://wiki.postgresql.org/wiki/Apt has every version)"
        ),
        (
            f"Red Hat and kin: dnf install postgresql{version};"
            f" macOS: brew install postgresql@{version}"
        ),
        "Or name the folder that has them: PGVOW_PG_BIN=/path/to/bin",
    ]


def examine(folder: Path, environ: Mapping[str, str]) -> Installation | None:
    """Ask the pg_dump of a folder for its version; None if none answers."""
    program = folder / "pg_dump"
    if not os.access(program, os.X_OK):
        return None
    probe = Installation(folder, "", 0)
    try:
        done = subprocess.run(
            [program, "--version"],
            env=probe.environment(environ),
            capture_output=True,
            text=True,
            timeout=_VERSION_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(done.stdout)
    if done.returncode != 0 or match is None:
        return None
    return Installation(folder, match["full"], int(match["major"]))


def find_installations(
    *, pg_bin: Path | None, environ: Mapping[str, str]
) -> tuple[Installation, ...]:
    """Find every installation on this machine, those of PATH first.

    A ``pg_bin`` names the only folder that counts. Raises ToolUnsuitable if it has no programs.
    """
    if pg_bin is not None:
        named = examine(pg_bin, environ)
        if named is None:
            raise ToolUnsuitable(
                f"no working pg_dump in {pg_bin}",
                facts={"PGVOW_PG_BIN": str(pg_bin)},
                steps=["Check the folder that PGVOW_PG_BIN names", *install_steps(None)],
            )
        return (named,)
    candidates = [*_on_path(environ), *_kept_apart()]
    installations = tuple(_examined_once(candidates, environ))
    if not installations:
        raise ToolUnsuitable(
            "pg_dump was not found, neither on PATH nor where distributions keep it",
            facts={"PATH": environ.get("PATH", "")},
            steps=install_steps(None),
        )
    return installations


def _examined_once(folders: Iterable[Path], environ: Mapping[str, str]) -> Iterator[Installation]:
    seen: set[Path] = set()
    for folder in folders:
        real = (folder / "pg_dump").resolve()
        if real in seen:
            continue
        seen.add(real)
        if (installation := examine(folder, environ)) is not None:
            yield installation


def _on_path(environ: Mapping[str, str]) -> Iterator[Path]:
    for folder in os.get_exec_path(dict(environ)):
        program = shutil.which("pg_dump", path=folder)
        # Debian's wrapper picks a version by itself, by the clusters of this machine: it is not
        # a version, and the folders it picks from are searched anyway.
        if program and Path(program).resolve().name != "pg_wrapper":
            yield Path(program).parent


def _kept_apart() -> Iterator[Path]:
    for pattern in KEPT_APART:
        yield from sorted(Path("/").glob(pattern.lstrip("/")), reverse=True)


def choose_for_server(installations: Iterable[Installation], server_major: int) -> Installation:
    """Choose the server's own major, else the nearest newer one; raises ToolUnsuitable."""
    candidates = sorted(installations, key=lambda installation: installation.major)
    for installation in candidates:
        if installation.major >= server_major:
            return installation
    newest = candidates[-1]
    raise ToolUnsuitable(
        f"pg_dump {newest.version} cannot read a PostgreSQL {server_major} server:"
        " pg_dump must be at least as new as the server",
        facts={"Server": str(server_major), "Found": f"{newest.version} in {newest.bin}"},
        steps=install_steps(server_major),
    )


def choose_newest(installations: Iterable[Installation]) -> Installation:
    """Choose the newest, which reads the archives of every older one."""
    return max(installations, key=lambda installation: installation.major)
