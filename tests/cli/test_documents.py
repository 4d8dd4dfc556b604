"""The documents are true: their commands run, and their tables agree."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pgvow.cli.arguments import EXIT_CODES
from tests.support.commands import ROOT, clean_environment, settings_for
from tests.support.documents import blocks, run

if TYPE_CHECKING:
    from tests.conftest import MakeDatabase
    from tests.support.servers import TcpServer


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return the files of the repository as after cloning, without git."""
    names = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for name in names:
        if name.startswith(("src/", "db/")) or name in {"backup_db.py", "pyproject.toml"}:
            target = tmp_path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)
    return tmp_path


@pytest.fixture
def shell(tcp_server: TcpServer, make_database: MakeDatabase, project: Path) -> dict[str, str]:
    """A user's variables: the database of the documents, on a server that exists."""
    database = make_database(tcp_server, "project_chat")
    with tcp_server.connect(database) as session:
        session.execute("CREATE TABLE messages AS SELECT n FROM generate_series(1, 99) AS n")
    settings = {
        **settings_for(tcp_server, database, environment="dev"),
        **settings_for(tcp_server, database, environment="prod"),
        "DB_HOST": tcp_server.tcp_host,
        "DEV_DB_HOST": tcp_server.tcp_host,
    }
    clean = clean_environment()
    path = [str(Path(sys.executable).parent), str(tcp_server.bin), clean["PATH"]]
    return {
        **clean,
        **settings,
        **{
            key: value
            for key, value in tcp_server.tcp_environment("postgres").items()
            if key.startswith(("PG", "LD_"))
        },
        "PATH": ":".join(path),
    }


@pytest.mark.parametrize("document", ["README.md", "quickstart.md"])
def test_sh_blocks_of_the_documents_run(
    document: str, project: Path, shell: dict[str, str]
) -> None:
    """Every sh block, in order, in one folder; a make target only has to exist (it runs in CI)."""
    for script, _ in blocks(document, "sh"):
        if script.startswith("make "):
            target = script.split()[1]
            subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)
        else:
            run(script, project, shell)
    assert list((project / "db/backups").glob("*.dump"))
    assert not list((project / "db/backups").glob("*.partial"))


def test_cron_lines_of_the_documents_run(project: Path, shell: dict[str, str]) -> None:
    """The command behind the five fields works with cron's bare environment."""
    lines = [line for cron, _ in blocks("quickstart.md", "cron") for line in cron.splitlines()]
    commands = [line.split(maxsplit=5)[5] for line in lines if line[0].isdigit()]
    assert len(commands) == 4
    (project / "retention.sh").write_text("true\n")
    for command in commands:
        here = command.replace("/srv/project", str(project))
        here = re.sub(r"\S*\.venv/bin/python", sys.executable, here)
        run(here, project, shell)
    assert "Backup created successfully" in (project / "backup.log").read_text()


_OTHERS = (
    "other_prod_2026-10-01T00-00-99Z.dump",
    "project_chat_prod_archive_dev_2026-10-01T00-00-00Z.dump",  # another database's
)


def test_find_lines_for_retention_keep_seven_days_and_four_weeks(
    project: Path, shell: dict[str, str]
) -> None:
    """The find lines remove older backups of this database, and nothing else."""
    import os  # noqa: PLC0415 - utime alone
    import time  # noqa: PLC0415 - the clock alone

    day = 86400
    for folder in ("db/backups", "db/backups/weekly"):
        for age in (0, 6, 8, 26, 29):
            for name in (
                f"project_chat_prod_2026-10-01T00-00-{age:02}Z.dump",
                f"project_chat_prod_2026-10-01T00-00-{age:02}Z.metadata.json",
            ):
                path = project / folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
                os.utime(path, (time.time() - age * day,) * 2)
        for name in (*_OTHERS, "project_chat_prod_notes.txt"):
            (project / folder / name).touch()
            os.utime(project / folder / name, (0, 0))
    script = next(script for script, _ in blocks("quickstart.md", "sh") if "retention.sh" in script)
    run(script, project, shell)

    def ages(folder: str) -> set[str]:
        found = (project / folder).glob("project_chat_prod_2*.dump")
        return {path.name[-8:-6] for path in found}

    assert ages("db/backups") == {"00", "06"}
    assert ages("db/backups/weekly") == {"00", "06", "08", "26"}
    assert all((project / "db/backups" / name).exists() for name in _OTHERS)
    assert (project / "db/backups/weekly/project_chat_prod_notes.txt").exists()


@pytest.mark.parametrize("document", ["docs/parallel.md", "docs/unattended.md"])
def test_sh_blocks_of_the_guides_run(document: str, project: Path, shell: dict[str, str]) -> None:
    """Every sh block, in order, beside a backup that is there."""
    run("python3 backup_db.py", project, shell)
    steps = blocks(document, "sh")
    assert steps
    for script, _ in steps:
        run(script, project, shell)


def test_the_guide_lists_exactly_the_metrics_written(project: Path, shell: dict[str, str]) -> None:
    """Each metric that is written stands in the table, and each of the table is written."""
    run("python3 backup_db.py --metrics-file here.prom", project, shell)
    run("pgvow prove --latest", project, shell)
    run("pgvow backup --exclude-table-data none.none", project, shell)  # a part has its own
    run(
        "python3 backup_db.py --metrics-file here.prom || [ $? = 3 ]",
        project,
        {**shell, "DEV_DB_PORT": "1"},
    )
    written = set(re.findall(r"^# TYPE (\w+)", (project / "here.prom").read_text(), re.MULTILINE))
    guide = (ROOT / "docs/unattended.md").read_text(encoding="utf-8")
    rows = [row.split("|")[1] for row in guide.splitlines() if row.startswith("| `pgvow_")]
    told = set(re.findall(r"pgvow_\w+", " ".join(rows)))
    assert told == written
    for name in re.findall(r"expr:.*?(pgvow_\w+)", guide):
        assert name in written


def test_readme_and_help_have_the_same_exit_codes() -> None:
    """README and --help have the same codes with the same words."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for line in EXIT_CODES.splitlines()[1:]:
        code, meaning = line.split(maxsplit=1)
        row = next(row for row in readme.splitlines() if re.match(rf"\| (\d+, )?{code}\b", row))
        first_words = meaning.removeprefix("doctor: ").split(",")[0].split(" missing")[0]
        assert first_words.split()[0].lower() in row.replace("`", "").lower()


def test_git_ignores_backups_and_keeps_their_directory(tmp_path: Path) -> None:
    """db/backups is in git, files that a backup writes there are not."""
    tracked = subprocess.run(
        ["git", "ls-files", "db"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert tracked.split() == ["db/backups/.gitkeep"]
    for name in ("x.dump", "x.metadata.json", "x.globals.sql", "x.dump.partial", ".x_dev.lock"):
        done = subprocess.run(
            ["git", "check-ignore", "-q", f"db/backups/{name}"], cwd=ROOT, check=False
        )
        assert done.returncode == 0, name
