"""``--json`` of every command on a fixed set of backups stays as it is: programs read it.

``tests/golden/backups`` and ``tests/golden/NAME.json``, each command's output and exit code, were
made before the source was rebuilt (decision 0031). Times of the run itself, the machine's paths and
its free space are left out. A change of meaning is never right; what is new is added by running
this file as a program, and read in the diff.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import ROOT, Commands, settings_for
from tests.support.servers import TestServer, programs

GOLDEN = ROOT / "tests" / "golden"
_SETTINGS = """\
output_dir = "backups"
[retention]
keep_daily = 1
keep_last = 1
[status]
max_age = "9000d"
max_proof_age = "9000d"
[[schedule.jobs]]
job = "backup"
at = "0 2 * * *"
[notifications]
on = ["failure", "alarm"]
[environments.staging]
output_dir = "staging"
"""
_DEV = "backups/shop_dev_2026-11-28T01-10-36Z.dump"
_LATER = "backups/shop_dev_2026-11-28T01-10-45Z.dump"
_PART = "backups/shop_dev_2026-11-28T01-10-50Z.dump"
_PROD = "backups/shop_live_prod_2026-11-28T01-10-40Z.dump"
_DAMAGED = "backups/shop_live_prod_2026-11-28T01-11-05Z.dump"
COMMANDS: dict[str, tuple[str, ...]] = {
    "list": ("list",),
    "list_prod": ("list", "--env", "prod"),
    "verify": ("verify", _DEV),
    "verify_deep": ("verify", "--deep", _PROD),
    "verify_damaged": ("verify", _DAMAGED),
    "verify_deep_damaged": ("verify", "--deep", _DAMAGED),
    "verify_all": ("verify", "--all"),
    "verify_missing": ("verify", "backups/none.dump"),
    "show": ("show", _DEV),
    "show_part": ("show", _PART),
    "show_code": ("show", "--code", _DEV),
    "show_damaged": ("show", _DAMAGED),
    "sheet": ("sheet",),
    "diff": ("diff", _DEV, _LATER),
    "diff_same": ("diff", _PROD, _PROD),
    "extract_missing": ("extract", _DEV, "--table", "nothing", "--output", "rows.csv"),
    "prune_dry_run": ("prune", "--dry-run"),
    "prune": ("prune",),
    "prune_typed": ("prune", "--dry-run", "--keep-last", "2", "--env", "dev"),
    "status": ("status",),
    "history": ("history",),
    "config": ("config", "show"),
    "config_check": ("config", "check"),
    "schedule": ("schedule", "show"),
    "backup_without_settings": ("backup", "--env", "dev"),
    "unknown_environment": ("list", "--env", "nothing"),
}
_OF_THE_RUN = frozenset({"age_seconds", "seconds", "free_bytes", "disk_days", "pid", "id", "next"})
_NOW = re.compile(r"\b(?!2026-11-28T01[:-]1[01])20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:.+-]+Z?")


def _without_times(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _without_times(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_times(each, name) for each in value]
    if name in _OF_THE_RUN and value is not None and not isinstance(value, str):
        return 0
    return _NOW.sub("TIME", value) if isinstance(value, str) else value


def place_backups(folder: Path) -> None:
    """Place a copy of the fixed backups, and their settings, in an empty directory."""
    shutil.copytree(GOLDEN / "backups", folder / "backups")
    (folder / "staging").mkdir()
    (folder / "pgvow.toml").write_text(_SETTINGS)
    for path in (folder / "backups").iterdir():
        path.chmod(0o600)


def _printed(folder: Path, name: str) -> str:
    """Run one command on a copy of the backups; its exit code and its JSON without times."""
    place_backups(folder)
    shell = Commands(folder, {"PGVOW_PG_BIN": str(programs(18))})
    done = shell.pgvow(*COMMANDS[name], "--json", "--full")
    text = done.out.replace(str(folder.resolve()), "FOLDER").replace(str(folder), "FOLDER")
    text = text.replace(str(programs(18)), "BIN")
    result = {"exit_code": done.code, "json": _without_times(json.loads(text)) if text else None}
    return json.dumps(result, indent=1, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_json_of_fixed_backups_is_unchanged(name: str, tmp_path: Path) -> None:
    """Every key, value and exit code is the one that today's readers know."""
    expected = (GOLDEN / f"{name}.json").read_text("utf-8")
    assert expected == _printed(tmp_path, name)


def _shape(value: Any) -> Any:
    """Keys and types, for values that differ by run: checksums, sizes, names of servers."""
    if isinstance(value, dict):
        return {key: _shape(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_shape(each) for each in value[:1]]
    return type(value).__name__


def _shapes(folder: Path, server: TestServer) -> dict[str, Any]:
    database = server.unique_name("golden")
    server.create_database(database)
    server.psql(database, "CREATE TABLE t AS SELECT n FROM generate_series(1, 9) n; ANALYZE")
    shell = Commands(folder, settings_for(server, database))
    try:
        made = shell.pgvow("backup", "--json", "--full", "--env", "dev").json
        path = made["backup_path"]
        results = {
            "backup": made,
            "prove": shell.pgvow("prove", path, "--json", "--full").json,
            "restore": shell.pgvow(
                "restore", path, "--to", f"{database}_b", "--env", "dev", "--json", "--full"
            ).json,
            "doctor": shell.pgvow("doctor", "--json", "--env", "dev").json,
        }
    finally:
        for name in (database, f"{database}_b"):
            server.drop_database(name)
    return {name: _shape(value) for name, value in results.items()}


def test_keys_and_types_of_json_from_a_server_are_unchanged(
    pg18: TestServer, tmp_path: Path
) -> None:
    """Keys and types of the commands that need a server are those that readers know."""
    expected = json.loads((GOLDEN / "shapes.json").read_text("utf-8"))
    assert expected == _shapes(tmp_path, pg18)


def _write() -> None:
    for name in COMMANDS:
        with tempfile.TemporaryDirectory() as folder:
            (GOLDEN / f"{name}.json").write_text(_printed(Path(folder), name), "utf-8")
    with tempfile.TemporaryDirectory() as folder, TestServer(18) as server:
        shapes = json.dumps(_shapes(Path(folder), server), indent=1)
        (GOLDEN / "shapes.json").write_text(shapes + "\n", "utf-8")


if __name__ == "__main__":
    _write()
