"""A settings file that holds a password and that others can read earns a warning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pgvow.settings import load, readable_by_others

if TYPE_CHECKING:
    from pathlib import Path

_NAME = "DEV_DB_NAME=shop\n"


def _warnings(directory: Path, file: str, text: str, mode: int) -> list[str]:
    path = directory / file
    path.write_text(text)
    path.chmod(mode)
    settings = load(env="dev", environ={}, directory=directory)
    return [warning for warning in settings.exposed if "every user of this machine" in warning]


@pytest.mark.parametrize("file", [".env", ".env.local"])
@pytest.mark.parametrize(
    "secret",
    ["DEV_DB_PASSWORD=secret", "DB_PASSWORD=secret", "PGPASSWORD=secret"],
)
@pytest.mark.parametrize("mode", [0o644, 0o604])
def test_a_password_readable_by_others_earns_a_warning(
    tmp_path: Path, file: str, secret: str, mode: int
) -> None:
    """The warning names the file and the command that mends it, and never the password."""
    path = tmp_path / file
    expected = (
        f"{path} has a password in it, and every user of this machine may read it: chmod 600 {path}"
    )
    assert [expected] == _warnings(tmp_path, file, f"{_NAME}{secret}\n", mode)


def test_a_password_within_a_url_earns_a_warning(tmp_path: Path) -> None:
    """A URL with a password in it is a password as well."""
    text = "DEV_DATABASE_URL=postgresql://app:secret@db/shop\n"
    assert 1 == len(_warnings(tmp_path, ".env", text, 0o644))


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        (f"{_NAME}DEV_DB_PASSWORD=secret\n", 0o600),
        (f"{_NAME}DEV_DB_PASSWORD=secret\n", 0o640),
        (f"{_NAME}DEV_DB_PASSWORD=\n", 0o644),
        (_NAME, 0o644),
        ("DEV_DATABASE_URL=postgresql://app@db/shop\n", 0o644),
    ],
)
def test_private_files_and_files_without_password_earn_no_warning(
    tmp_path: Path, text: str, mode: int
) -> None:
    """A file for its owner and group, and one without a password, earn none."""
    assert [] == _warnings(tmp_path, ".env", text, mode)


def test_a_missing_file_or_directory_earns_no_warning(tmp_path: Path) -> None:
    """No file and a directory are no file that others can read."""
    assert not readable_by_others(tmp_path / "missing")
    assert not readable_by_others(tmp_path)
