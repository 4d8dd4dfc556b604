"""``pgvow verify``: check a backup, or all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from pgvow.cli import options
from pgvow.cli.arguments import Parser, add_backup
from pgvow.cli.call import call_of
from pgvow.cli.console import BAD, GOOD, mark, styled
from pgvow.cli.picking import backup_path, named_object, named_rows
from pgvow.cli.recording import patience_of, recording_of
from pgvow.cli.report import plain
from pgvow.cli.words import (
    counted,
    moment,
    namer,
    none_in,
    part_rows,
    selected,
    short_digest,
    size,
    without_digests,
)
from pgvow.operations.recorded import recorded
from pgvow.operations.recorded.operations import verify_directories, verify_file
from pgvow.operations.verify import VerifyOptions
from pgvow.quoted_texts import printable
from pgvow.runs import Operation

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from pgvow.cli.call import Call
    from pgvow.cli.report import Report
    from pgvow.operations.recorded import RecordedRun
    from pgvow.operations.verify.inspect import DeepCheck
    from pgvow.operations.verify.verification import Check, Verification

_LINES_SHOWN = 5
_LABELS = {
    "file": "File",
    "metadata": "Metadata",
    "backup_file": "Named in metadata",
    "size": "Size",
    "checksum": "Checksum",
    "structure": "Structure",
    "globals": "Globals",
    "contents": "Contents",
    "proof": "Proof",
    "verdict": "No verdict",
}


def add_verify(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    verify = commands.add_parser(
        "verify",
        description="Check one backup: size, SHA-256, metadata, and that pg_restore can read it.",
    )
    add_backup(verify)
    options.add(verify, *options.OF_COMMAND["verify"])


def run(arguments: argparse.Namespace, report: Report) -> int:
    """Verify one backup, or all; returns the exit code."""
    call = call_of(arguments)
    with recorded(call.context, recording_of(call, Operation.VERIFY)) as current:
        verify = _verify_all if call.arguments.all else _verify_one
        verify(call, current, report)
    return current.exit_code


def _verify_one(call: Call, current: RecordedRun, report: Report) -> None:
    path, patience = backup_path(call, call.arguments.file), patience_of(call)
    options = VerifyOptions(call.context.load_pg_bin(), deep=call.arguments.deep)
    with call.terminal.drawing():
        result = verify_file(call.context, current, path, options, patience)
    typed = call.arguments.file
    report.print(
        lambda: {**_object(result), **named_object(typed, path)},
        lambda: verification_text(result, named_rows(typed, path)),
        good=result.passed,
    )


def _verify_all(call: Call, current: RecordedRun, report: Report) -> None:
    pg_bin, patience, directories = call.context.load_pg_bin(), patience_of(call), call.directories
    options = VerifyOptions(pg_bin, deep=call.arguments.deep, environment=call.environment)
    with call.terminal.drawing():
        results = verify_directories(call.context, current, directories, options, patience)
    report.print(
        lambda: [_object(result) for result in results],
        lambda: _all_text(results, directories),
        good=not current.exit_code,
    )


def verification_text(result: Verification, named: Sequence[tuple[str, str]] = ()) -> Text:
    """Return every check with its facts, and the overall result above.

    ``named`` has the row with the word that the backup was chosen by, if it was one.
    """
    return _passed(result, named) if result.passed else _failed(result, named)


def _passed(result: Verification, named: Sequence[tuple[str, str]]) -> Text:
    text = Text.assemble(styled("✓", GOOD), " Backup verification passed\n\n")
    for name, value in (("File", str(result.path)), *named):
        text.append(f"{name + ':':<12} {printable(value)}\n")
    metadata = result.metadata
    if metadata is not None:
        good = mark(good=True)
        digest = short_digest(metadata.checksum_sha256)
        text.append(f"{'Checksum:':<12} ").append(good).append(f" Match ({digest})\n")
        text.append(f"{'Structure:':<12} ").append(good)
        text.append(" Valid (pg_restore --list succeeded)\n")
        if result.check("globals") is not None:
            text.append(f"{'Globals:':<12} ").append(good).append(" Match\n")
        if result.deep is not None:
            text.append(f"{'Contents:':<12} ").append(good).append(f" {_decoded(result.deep)}\n")
        for name, value in part_rows(metadata):
            text.append(f"{name + ':':<12} {printable(value)}\n")
        text.append(f"{'Size:':<12} {size(metadata.backup_size_bytes)}\n")
        text.append(f"{'Timestamp:':<12} {moment(metadata.backup_timestamp)}")
    elif result.deep is not None:
        text.append(_passed_alone(result, result.deep))
    return text


def _passed_alone(result: Verification, deep: DeepCheck) -> Text:
    """Return the checks of a dump without metadata, and what none of them can show."""
    rows, tables = counted(deep.rows, "row"), counted(len(deep.tables), "table")
    good = mark(good=True)
    text = Text.assemble(f"{'Structure:':<12} ", good, " Valid (pg_restore --list succeeded)\n")
    text.append(f"{'Contents:':<12} ").append(good)
    text.append(f" Every byte decodes: {rows} in {tables}\n")
    text.append(f"{'Size:':<12} {size(result.size_bytes or 0)}\n\n")
    text.append("No metadata are beside it, so it cannot be checked\n")
    for fact in result.unchecked:
        text.append(f"  {fact}\n")
    return text.append("\nMake it a backup of yours: pgvow adopt FILE")


def _decoded(deep: DeepCheck) -> str:
    known = "as recorded" if deep.complete else "rows as recorded; fingerprints are not recorded"
    rows, tables = counted(deep.rows, "row"), counted(len(deep.tables), "table")
    return f"Every byte decodes: {rows} in {tables}, {known}"


def _failed(result: Verification, named: Sequence[tuple[str, str]]) -> Text:
    text = Text.assemble(styled("✗", BAD), " Backup verification failed\n\n")
    for name, value in (("File", str(result.path)), *named):
        text.append(f"{name}: {printable(value)}\n")
    text.append("\n")
    for check in result.checks:
        text.append(mark(good=check.passed)).append(f" {_line(check)}\n")
    text.append("\nTroubleshooting:\n")
    for number, step in enumerate(_steps(result), 1):
        text.append(f"  {number}. {step}\n")
    text.rstrip()
    return text


def _line(check: Check) -> str:
    label = _LABELS[check.name]
    if check.passed:
        return f"{label}: {without_digests(printable(check.found))}"
    lines = [without_digests(printable(line)) for line in check.found.splitlines()]
    if len(lines) > _LINES_SHOWN:
        left = len(lines) - _LINES_SHOWN
        lines[_LINES_SHOWN:] = [f"and {left} more (all of them with --json)"]
    actual = "\n              ".join(lines)
    expected = without_digests(printable(check.expected))
    return f"{label}\n    expected: {expected}\n    found:    {actual}"


def _steps(result: Verification) -> list[str]:
    if result.refusal is not None and result.refusal.steps:
        return list(result.refusal.steps)
    failed = {check.name for check in result.checks if not check.passed}
    if "file" in failed:
        return ["Check the path", "See what there is: python3 backup_db.py --list"]
    if "metadata" in failed:
        return [
            "Look for the metadata where the backup was made; it belongs beside the dump",
            "Do not rely on this file: make a new backup, python3 backup_db.py",
        ]
    return [
        "Do not restore from this file; keep it until another backup is verified",
        "Copy it anew from where it came from, if it was copied",
        "Verify the one before it, and make a new one: python3 backup_db.py",
        "Check the disk: dmesg | tail, smartctl -a",
    ]


def _all_text(results: Sequence[Verification], directories: Sequence[Path]) -> Text:
    """Return a line a backup, and below it the checks that failed."""
    if not results:
        return none_in(directories)
    name_of = namer([result.path for result in results])
    text = Text()
    for result in results:
        text.append(mark(good=result.passed)).append(f" {name_of(result.path)}{_part(result)}\n")
        if result.acknowledged is not None:
            text.append(f"  {printable(result.acknowledged)}\n")
        for check in result.checks:
            if not check.passed:
                text.append(f"  {_line(check)}\n")
    unknown = sum(result.no_verdict is not None for result in results)
    known = sum(result.acknowledged is not None for result in results)
    bad = sum(result.failed for result in results) - unknown
    text.append(f"\n{len(results) - unknown} verified, {bad} failed")
    if known:
        text.append(f", {known} as acknowledged")
    return text.append(f", {unknown} without a verdict") if unknown else text


def _part(result: Verification) -> str:
    selection = result.metadata.selection if result.metadata else ()
    return f" (only a part: {printable(selected(selection))})" if selection else ""


def _object(result: Verification) -> dict[str, Any]:
    """Return the object of ``--json``."""
    return {
        "ok": result.passed,
        "path": str(result.path),
        "size_bytes": result.size_bytes,
        "checks": plain(result.checks),
        "level": plain(result.proof.level) if result.proof else None,
        "unreadable": result.unreadable,
        "no_verdict": result.no_verdict,
        "acknowledged": result.acknowledged,
        "unchecked": list(result.unchecked),
        "warnings": list(result.warnings),
        "metadata": plain(result.metadata),
        "tables": plain(result.deep.tables) if result.deep else None,
        "differences": list(result.deep.differences) if result.deep else None,
    }
