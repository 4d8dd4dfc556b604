"""Recorded runs without a command line, as a page or a scheduler makes them."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from pgvow.errors import BackupFailed
from pgvow.operations.backup import BackupOptions
from pgvow.operations.context import Context
from pgvow.operations.prune import PruneOptions
from pgvow.operations.recorded import Recording, recorded
from pgvow.operations.recorded.operations import (
    back_up,
    prune_directories,
    verify_directories,
    verify_file,
)
from pgvow.operations.recorded.side_effects import LogFile
from pgvow.operations.verify import VerifyOptions
from pgvow.postgres.watchdog import Patience
from pgvow.retention import RetentionRules
from pgvow.runs import Operation, Outcome
from pgvow.settings import Configuration, load
from pgvow.settings.configuration import HooksSection, RetentionSection
from pgvow.store.history import History
from tests.support.commands import clean_environment, settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from pgvow.operations.recorded.operations import BackupAndPruning
    from pgvow.runs import Run
    from tests.support.servers import TestServer

pytestmark = pytest.mark.majors(18)

_PATIENCE = Patience(stall=600)


def context(server: TestServer, database: str, configuration: Configuration) -> Context:
    """A context for a database: another one for each run, with warnings and phases of its own."""
    environ = {**clean_environment(), **settings_for(server, database)}
    return Context(configuration, environ)


def backed_up(context: Context, directory: Path, recording: Recording) -> BackupAndPruning:
    """Make a recorded backup into ``directory/backups``."""
    settings = load(env="dev", environ=context.environ, directory=directory)
    options = BackupOptions(output_dir=recording.directory, space_factor=0)
    with recorded(context, recording) as run:
        return back_up(context, run, settings, options, _PATIENCE)


def runs(directory: Path) -> tuple[Run, ...]:
    """Read the history."""
    return History(directory).read().runs


def test_a_recorded_backup_writes_history_log_metrics_and_prunes(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """History, log, metrics and hooks are there, and backups that no rule keeps are pruned."""
    heard = tmp_path / "heard"
    hook = ("/bin/sh", "-c", f"cat >> {heard}")
    configuration = Configuration(
        hooks=HooksSection(before=hook, after=hook),
        retention=RetentionSection(keep_last=1, prune_after_backup=True),
    )
    recording = Recording(
        Operation.BACKUP,
        tmp_path / "backups",
        metrics_file=tmp_path / "metrics",
        log=LogFile(tmp_path / "log", as_json=True),
    )
    first = backed_up(context(server, database, configuration), tmp_path, recording)
    second = backed_up(context(server, database, configuration), tmp_path, recording)
    assert second.pruned is not None
    assert [first.result.backup.path.name] == [one.path.name for one in second.pruned.removed]
    kept = runs(recording.directory)
    assert [(Outcome.SUCCEEDED, 0, "dev", database, 1)] == [
        (run.outcome, run.exit_code, run.environment, run.database, run.removed) for run in kept[1:]
    ]
    assert {"lock", "integrity"} <= kept[1].seconds.keys()
    facts = [json.loads(line) for line in heard.read_text().splitlines()]
    assert [None, "succeeded"] * 2 == [each.get("outcome") for each in facts]
    events = [json.loads(line)["event"] for line in (tmp_path / "log").read_text().splitlines()]
    assert ["began", "succeeded"] * 2 == events
    assert "pgvow_last_run_failed" in (tmp_path / "metrics").read_text()


def test_a_failing_hook_cancels_the_backup(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """The run fails with the hook's words, and nothing was made."""
    hooks = HooksSection(before=("/bin/sh", "-c", "echo not tonight; exit 1"))
    recording = Recording(Operation.BACKUP, tmp_path / "backups")
    with pytest.raises(BackupFailed, match="not tonight"):
        backed_up(context(server, database, Configuration(hooks=hooks)), tmp_path, recording)
    (run,) = runs(recording.directory)
    assert (Outcome.FAILED, 7, database) == (run.outcome, run.exit_code, run.database)
    assert [] == list(recording.directory.glob("*.dump"))


def test_a_damaged_backup_fails_verify_and_verify_all(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """A damaged backup fails its verification, alone and among all; the clock is the context's."""
    directory, configuration = tmp_path / "backups", Configuration()
    made = backed_up(
        context(server, database, configuration), tmp_path, Recording(Operation.BACKUP, directory)
    )
    path = made.result.backup.path
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1)
    recording = Recording(Operation.VERIFY, directory)
    own = context(server, database, configuration)
    with recorded(own, recording) as run:
        single = verify_file(own, run, path, VerifyOptions(server.bin), _PATIENCE)
    own = context(server, database, configuration)
    with recorded(own, recording) as run:
        every = verify_directories(own, run, [directory], VerifyOptions(server.bin), _PATIENCE)
    assert [False, False] == [single.passed, every[0].passed]
    later = datetime(2040, 1, 1, tzinfo=UTC)
    own = Context(configuration, {}, clock=lambda: later)
    options = PruneOptions(directory, lambda _: RetentionRules(last=1), dry_run=True)
    with recorded(own, Recording(Operation.PRUNE, directory)) as run:
        prune_directories(own, run, options, [directory])
    outcomes = [(run.operation, run.outcome, run.exit_code) for run in runs(directory)[1:]]
    assert [
        (Operation.VERIFY, Outcome.FAILED, 8),
        (Operation.VERIFY, Outcome.FAILED, 8),
        (Operation.PRUNE, Outcome.SUCCEEDED, 0),
    ] == outcomes
    assert later == runs(directory)[-1].ended


def test_recorded_runs_import_no_parser_and_no_terminal_library() -> None:
    """Importing recorded runs loads no parser, and nothing that draws on a terminal."""
    code = (
        "import sys, pgvow.operations.recorded.operations, pgvow.operations.recorded.operations,"
        " pgvow.operations.recorded.operations;"
        "print([m for m in sys.modules if m.split('.')[0] in ('argparse', 'rich')"
        " or m.startswith('pgvow.cli')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[]\n" == done.stdout
