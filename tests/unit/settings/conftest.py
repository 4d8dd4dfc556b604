"""A folder for settings files, fresh for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.settings_files import SettingsFolder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> SettingsFolder:
    """Give a folder without settings files, and an empty environment."""
    return SettingsFolder(tmp_path)
