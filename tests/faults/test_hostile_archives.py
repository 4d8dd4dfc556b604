"""Archives that are meant to hurt: each reading command ends soon, small, and in plain words."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.commands import ROOT, clean_environment
from tests.support.hostile.archive import FORMATS, KINDS, sound

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import TestServer

pytestmark = pytest.mark.majors(18)

_READING = ("show", "diff", "extract", "verify", "deep")
_PLAIN = frozenset({0, 1, 2, 6, 8})
_SECONDS, _MEGABYTES = 20, 200


def written(folder: Path, raw: bytes, *, pg_dump: str = "18.6") -> Path:
    """Write an archive with metadata that its bytes fulfil, as a deceiver would."""
    path = folder / "shop_dev_2026-11-27T12-00-00Z.dump"
    path.write_bytes(raw)
    facts = {
        "backup_timestamp": "2026-11-27T12:00:00Z",
        "environment": "dev",
        "database_name": "shop",
        "backup_file": path.name,
        "backup_size_bytes": len(raw),
        "checksum_sha256": hashlib.sha256(raw).hexdigest(),
        "table_counts": {"t": 2},
        "pg_dump_version": pg_dump,
        "postgresql_version": pg_dump,
    }
    path.with_suffix(".metadata.json").write_text(json.dumps(facts))
    return path


def read(path: Path, server: TestServer, *commands: str) -> tuple[dict[str, Any], str, str]:
    """Run commands on a file in a process of their own; returns its measurements and output."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.read_hostile", str(path), *commands],
        cwd=path.parent,
        env={**clean_environment(), "PGVOW_PG_BIN": str(server.bin), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stdout, done.stderr


def test_the_unedited_archive_is_accepted(server: TestServer, tmp_path: Path) -> None:
    """The archive that all kinds are edited from passes: only the edit is refused."""
    found, _, errors = read(written(tmp_path, sound()), server, *_READING)
    assert dict.fromkeys(_READING, 0) == {name: r["code"] for name, r in found["runs"].items()}, (
        errors
    )


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_archives_are_refused_in_bounded_time_and_memory(
    kind: str, server: TestServer, tmp_path: Path
) -> None:
    """A plain end within 20 s and 200 MB, no traceback, no control character, no file written."""
    folder = tmp_path / "in"
    folder.mkdir()
    path = written(folder, KINDS[kind](sound()))
    before = sorted(tmp_path.rglob("*"))
    found, printed, errors = read(path, server, *_READING)
    assert [] == [name for name, r in found["runs"].items() if r["code"] not in _PLAIN]
    assert _SECONDS > max(r["seconds"] for r in found["runs"].values())
    assert _MEGABYTES > found["megabytes"]
    assert "Traceback" not in printed + errors
    assert "Unexpected error" not in errors
    assert "\x1b" not in printed + errors
    kept = {path.with_suffix(".proof.json"), folder / "history.jsonl"}
    assert [] == [one for one in sorted(tmp_path.rglob("*")) if one not in {*before, *kept}]


@pytest.mark.parametrize("kind", FORMATS)
def test_other_formats_exit_8_in_every_reading_command(
    kind: str, server: TestServer, tmp_path: Path
) -> None:
    """Every reading command and a proof: 8, whatever pg_restore --list makes of the file."""
    path = written(tmp_path, FORMATS[kind](sound()))
    commands = (*_READING, "prove")
    found, _, errors = read(path, server, *commands)
    codes = {name: r["code"] for name, r in found["runs"].items()}
    assert dict.fromkeys(commands, 8) == codes, errors


@pytest.mark.parametrize("kind", ["a tar", "the toc.dat of a directory", "plain SQL"])
def test_the_error_names_the_format_of_the_archive(
    kind: str, server: TestServer, tmp_path: Path
) -> None:
    """The message has the format, and that pgvow reads the custom one."""
    path = written(tmp_path, FORMATS[kind](sound()))
    for command in ("show", "verify"):
        _, printed, errors = read(path, server, command)
        words = " ".join((printed + errors).split())
        assert kind in words
        assert "pg_dump -Fc" in words


@pytest.mark.parametrize(
    ("option", "name"),
    [("-Ft", "a tar"), ("-Fd", "the toc.dat of a directory"), ("-Fp", "plain SQL")],
)
def test_verify_refuses_other_formats_of_pg_dump(
    option: str, name: str, server: TestServer, database: str, tmp_path: Path
) -> None:
    """Those that pg_dump itself writes: verify 8, though pg_restore --list accepts the tar."""
    server.psql(database, "CREATE TABLE t AS SELECT 1 AS a")
    dumped = tmp_path / "dumped"
    environment = {
        **server.environment(database),
        "LD_LIBRARY_PATH": str(server.bin.parent / "lib"),
    }
    argv = [server.bin / "pg_dump", option, "-f", dumped]
    subprocess.run(argv, env=environment, check=True)
    raw = (dumped / "toc.dat" if dumped.is_dir() else dumped).read_bytes()
    path = written(tmp_path, raw)
    listing = [server.bin / "pg_restore", "--list", path]
    accepted = (
        subprocess.run(listing, env=environment, capture_output=True, check=False).returncode == 0
    )
    assert (option == "-Ft") == accepted
    found, printed, errors = read(path, server, "verify", "deep", "show")
    assert {8} == {run["code"] for run in found["runs"].values()}
    assert 3 <= " ".join((printed + errors).split()).count(name)


def test_an_archive_of_a_newer_version_exits_6_without_a_verdict(
    server: TestServer, tmp_path: Path
) -> None:
    """Version 1.17: 6 with the version and what to do; nothing is recorded against the file."""
    path = written(tmp_path, KINDS["version 1.17"](sound()), pg_dump="20.1")
    found, _, errors = read(path, server, "show", "deep", "prove")
    assert {"show": 6, "deep": 6, "prove": 6} == {n: r["code"] for n, r in found["runs"].items()}
    assert "1.17" in errors
    assert "newer pgvow" in errors
    assert not path.with_suffix(".proof.json").exists()
