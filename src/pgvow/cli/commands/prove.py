"""``pgvow prove``: restore a backup on a server of its own, and compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from pgvow.cli import options
from pgvow.cli.arguments import Parser, Topic, UsageProblem, add_backup
from pgvow.cli.call import call_of
from pgvow.cli.console import BAD, GOOD, WARNING, styled
from pgvow.cli.picking import backup_path, named_object, named_rows
from pgvow.cli.recording import patience_of, recording_of
from pgvow.cli.recovery_words import recovery_rows
from pgvow.cli.report import plain
from pgvow.cli.words import (
    counted,
    duration,
    loosened_lines,
    moment,
    number,
    part_rows,
    retried_line,
)
from pgvow.model import DifferenceKind
from pgvow.operations.prove import ProveOptions
from pgvow.operations.recorded import recorded
from pgvow.operations.recorded.operations import prove_file
from pgvow.quoted_texts import printable
from pgvow.runs import Operation

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from pgvow.cli.call import Call
    from pgvow.cli.report import Report
    from pgvow.model import Evidence
    from pgvow.operations.prove import ProofResult

_MOST_SHOWN = 10


def add_prove(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    prove = commands.add_parser(
        "prove",
        description="Restore a backup into a throw-away server and compare every table's rows and"
        " fingerprint, the sequences, the large objects and the schema with what was there. The"
        " outcome is kept beside the backup, with the time that the restore took. Exit code 0:"
        " proven; 8: something differs; 13: cannot be proven here, for want of an extension or a"
        " collation. Checks, generated columns and functions in the backup are code of the source's"
        " roles, and a restore runs it: here as a role that is no superuser, may run no programs"
        " and has no network. With --on too, if you are a superuser and such a role can log in as"
        " you do; else it runs with your rights, and a warning says so. Look first: pgvow show FILE"
        " --code.",
    )
    add_backup(prove)
    prove.topic(Topic.WHAT).add_argument(
        "--latest", action="store_true", help="the same as the name latest"
    )
    prove.topic(Topic.WHERE).add_argument(
        "--on",
        metavar="DSN",
        help="a server to prove it on, in databases made for it and dropped again, instead of a"
        " throw-away one; keep the password in ~/.pgpass, others see a command line",
    )
    prove.topic(Topic.SPEED).add_argument(
        "--jobs",
        metavar="N",
        type=options.count,
        help="how many workers restore, 2 at least (default: one for each processor, 8 at most)",
    )
    options.add(prove, "env", "output_dir", "database", "patience", "report", "record")


def run(arguments: argparse.Namespace, report: Report) -> int:
    """Prove a backup; returns the exit code."""
    call = call_of(arguments)
    with recorded(call.context, recording_of(call, Operation.PROVE)) as current:
        pg_bin, typed, patience = call.context.load_pg_bin(), _typed(call), patience_of(call)
        path = backup_path(call, typed)
        options = ProveOptions(on=arguments.on, jobs=arguments.jobs, pg_bin=pg_bin)
        with call.terminal.drawing():
            result = prove_file(call.context, current, path, options, patience)
        report.print(
            lambda: {**_object(result), **named_object(typed, path)},
            lambda: proof_text(result, named_rows(typed, path)),
            good=result.proven,
        )
    return current.exit_code


def _typed(call: Call) -> str | None:
    typed = call.arguments
    if typed.latest and typed.file is not None:
        raise UsageProblem("a backup, or --latest", steps=["See what there is: pgvow list"])
    return "latest" if typed.latest else typed.file


def proof_text(result: ProofResult, named: Sequence[tuple[str, str]] = ()) -> Text:
    """Return the outcome, the facts of the comparison, and the first differences.

    ``named`` has the row with the word that the backup was chosen by, if it was one.
    """
    broken = result.evidence.broken_rules
    if not result.proven:
        text = Text.assemble(styled("✗", BAD), f" Not proven: {_refusal(result)}\n\n")
    elif broken:
        places = counted(len(broken), "place")
        text = Text.assemble(
            *(styled("!", WARNING), " Backup proven: all rows come back equal; the source breaks"),
            f" its own rules in {places}\n\n",
        )
    else:
        text = Text.assemble(
            *(styled("✓", GOOD), f" Backup proven: what comes back is {_origin(result)}\n\n"),
        )
    for label, value in _facts(result, named):
        text.append(f"{label + ':':<13}{value}\n")
    for line in loosened_lines(broken):
        text.append(f"\n{line}")
    if broken:
        text.append(
            f"\n\nTo restore it: pgvow restore {printable(result.path.name)} --to NAME --rescue\n"
        )
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
    if all(each.kind is DifferenceKind.RESTORE for each in result.evidence.differences):
        return "the restore cannot be finished"
    return f"what comes back is not {_origin(result)}"


def _origin(result: ProofResult) -> str:
    """Name the thing that was compared: the source as it was, or the file alone."""
    return "what was there" if result.metadata.adopted is None else "what is in the file"


def _facts(result: ProofResult, named: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    proof = result.evidence
    yield "File", printable(str(result.path))
    yield from ((name, printable(value)) for name, value in named)
    yield "Backup of", moment(result.metadata.backup_timestamp)
    yield from ((name, printable(value)) for name, value in part_rows(result.metadata))
    place = f"at {result.address}" if result.address else "of its own, gone by now"
    yield "Server", printable(f"PostgreSQL {proof.server_version or '?'} {place}")
    yield "Compared", _compared(proof)
    if result.retried:
        yield "Retried", retried_line(each.manner for each in result.retried)
    yield "Restore", f"{duration(proof.restore_seconds or 0)} (a recovery takes that at least)"
    yield from ((name, printable(value)) for name, value in recovery_rows(proof))
    yield "Took", duration(proof.seconds)
    if result.proof is not None:
        yield "Level", result.level.value if result.level else "listed"
        yield "Proof", printable(str(result.proof_path))


def _compared(proof: Evidence) -> str:
    """Return how much was compared; rows are not if the restore ended before all were there."""
    kinds = {difference.kind for difference in proof.differences}
    if DifferenceKind.RESTORE not in kinds:
        return f"{number(proof.tables)} tables, {number(proof.rows)} rows"
    if not proof.tables:
        return "nothing: the restore ended before all rows were there"
    equal = " and equal" if kinds == {DifferenceKind.RESTORE} else ""
    return f"{number(proof.tables)} tables, {number(proof.rows)} rows: all were there{equal}"


def _object(result: ProofResult) -> dict[str, Any]:
    """Return the object of ``--json``."""
    return {
        "ok": result.proven,
        "path": str(result.path),
        "level": plain(result.level),
        "selection": list(result.metadata.selection),
        "proof_path": str(result.proof_path) if result.proof else None,
        "proof": plain(result.evidence),
        "retried": [{"name": each.entry.shown, "manner": each.manner} for each in result.retried],
        "host": result.address.host if result.address else None,
        "port": result.address.port if result.address else None,
        "warnings": list(result.warnings),
    }
