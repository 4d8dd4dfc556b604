"""How a proof looks, proven or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from pgvow.cli.console import BAD, GOOD, printable, styled
from pgvow.cli.render.as_json import plain
from pgvow.cli.render.parts import part_rows
from pgvow.cli.render.units import duration, moment
from pgvow.model import DifferenceKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pgvow.model import Evidence
    from pgvow.operations.prove import ProofResult

_MOST_SHOWN = 10


def proof_text(result: ProofResult) -> Text:
    """Render the outcome, what was compared, and the first differences."""
    text = (
        Text.assemble(styled("✓", GOOD), " Backup proven: what comes back is what was there\n\n")
        if result.proven
        else Text.assemble(styled("✗", BAD), f" Not proven: {_refusal(result)}\n\n")
    )
    for label, value in _facts(result):
        text.append(f"{label + ':':<13}{value}\n")
    differences = result.evidence.differences
    if differences:
        text.append("\nDifferences:\n")
    for difference in differences[:_MOST_SHOWN]:
        text.append(f"  {printable(str(difference))}\n")
    if len(differences) > _MOST_SHOWN:
        text.append(f"  and {len(differences) - _MOST_SHOWN} more, in {result.proof_path.name}\n")
    text.rstrip()
    return text


def _refusal(result: ProofResult) -> str:
    if all(one.kind is DifferenceKind.RESTORE for one in result.evidence.differences):
        return "the restore cannot be finished"
    return "what comes back is not what was there"


def _facts(result: ProofResult) -> Iterator[tuple[str, str]]:
    proof = result.evidence
    yield "File", printable(str(result.path))
    yield "Backup of", moment(result.metadata.backup_timestamp)
    yield from ((name, printable(value)) for name, value in part_rows(result.metadata))
    yield "Server", f"PostgreSQL {printable(proof.server_version or '?')}"
    yield "Compared", _compared(proof)
    yield "Restore", f"{duration(proof.restore_seconds or 0)} (a recovery takes that at least)"
    yield "Took", duration(proof.seconds)
    if result.proof is not None:
        yield "Level", result.level.value if result.level else "listed"
        yield "Proof", printable(str(result.proof_path))


def _compared(proof: Evidence) -> str:
    """Return how much was compared; rows are not if the restore ended before all were there."""
    kinds = {difference.kind for difference in proof.differences}
    if DifferenceKind.RESTORE not in kinds:
        return f"{proof.tables:,} tables, {proof.rows:,} rows"
    if not proof.tables:
        return "nothing: the restore ended before all rows were there"
    equal = " and equal" if kinds == {DifferenceKind.RESTORE} else ""
    return f"{proof.tables:,} tables, {proof.rows:,} rows: all were there{equal}"


def proof_object(result: ProofResult) -> dict[str, Any]:
    """Return what ``--json`` prints."""
    return {
        "ok": result.proven,
        "path": str(result.path),
        "level": plain(result.level),
        "selection": list(result.metadata.selection),
        "proof_path": str(result.proof_path) if result.proof else None,
        "proof": plain(result.evidence),
        "warnings": list(result.warnings),
    }
