"""JSON for programs: slim or full, a document or lines, each object with the schema it keeps."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator, ValidationError

from pgvow.cli.commands import COMMANDS
from pgvow.cli.commands.schema import names
from tests.support import backups
from tests.support.commands import Commands
from tests.support.schemas import conforming

if TYPE_CHECKING:
    from pathlib import Path

_NO_JSON = {"completion", "schema"}


@pytest.fixture
def shell(tmp_path: Path) -> Commands:
    """A folder with two backups."""
    directory = tmp_path / "db/backups"
    directory.mkdir(parents=True)
    backups.place(directory, backups.metadata())
    backups.place(directory, backups.metadata(database="other"))
    return Commands(tmp_path)


def test_slim_leaves_out_each_table_and_full_has_them(shell: Commands) -> None:
    """The counts stay in both; nothing else differs."""
    slim, full = shell.pgvow("list", "--json").json, shell.pgvow("list", "--json", "--full").json
    for less, more in zip(slim, full, strict=True):
        left_out = more["metadata"].keys() - less["metadata"].keys()
        assert {"tables", "sequences"} == left_out
        assert more["metadata"]["table_counts"] == less["metadata"]["table_counts"]
        for name in left_out:
            del more["metadata"][name]
        assert more == less


def test_lines_are_the_objects_of_the_list(shell: Commands) -> None:
    """--jsonl prints one object a line, the same ones, and an error as one line too."""
    lines = shell.pgvow("list", "--jsonl").out.splitlines()
    assert shell.pgvow("list", "--json").json == [json.loads(line) for line in lines]
    failed = shell.pgvow("list", "--jsonl", "--env", "nothing")
    assert 2 == failed.code
    assert "error/1" == failed.json["schema"]


def test_every_command_with_json_has_a_schema() -> None:
    """There is a schema for each command that prints JSON, and one for errors."""
    assert {*COMMANDS, "error"} - _NO_JSON == set(names())


@pytest.mark.parametrize("name", names())
def test_a_schema_is_valid_and_names_itself(name: str, tmp_path: Path) -> None:
    """The schema printed is one that validators accept, and requires its own name."""
    schema = json.loads(Commands(tmp_path).pgvow("schema", name).out)
    Draft202012Validator.check_schema(schema)
    assert f"{name}/1" == schema["properties"]["schema"]["const"]
    assert "schema" in schema["required"]


def test_a_document_that_breaks_its_schema_is_refused(shell: Commands) -> None:
    """The check of every document in the tests is red for a key too many, one missing, a type."""
    (good, _) = shell.pgvow("list", "--json").json
    conforming(good)
    for wrong in (
        {**good, "surprise": 1},
        {key: value for key, value in good.items() if key != "path"},
        {**good, "size_bytes": "many"},
        {**good, "schema": "nothing/1"},
    ):
        with pytest.raises((ValidationError, FileNotFoundError)):
            conforming(wrong)
