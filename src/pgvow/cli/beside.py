"""``pgvow restore --into``: show the plan of a copy, ask, copy, and report."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.text import Text

from pgvow.archive import kinds
from pgvow.cli.arguments import UsageProblem
from pgvow.cli.console import GOOD, WARNING, errors, mark, styled
from pgvow.cli.words import counted, moment, size
from pgvow.model import DEV
from pgvow.operations.core.fill import default_jobs
from pgvow.operations.restore.beside_plan import BesideOptions, plan_beside
from pgvow.operations.restore.selection import read_owner_map
from pgvow.postgres.statements import quoted
from pgvow.quoted_texts import printable
from pgvow.store import StoredBackup

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from pathlib import Path

    from pgvow.cli.call import Call
    from pgvow.operations.restore.beside import BesideResult
    from pgvow.operations.restore.beside_plan import BesidePlan, LeftOut
    from pgvow.settings import Settings

_ONLY_OF_NEW = ("swap", "terminate", "schema_only", "globals")
_ONLY_OF_LIVING = {"as_name": "--as", "as_schema": "--as-schema"}
_WIDTH = 12
_NOUNS = {
    kinds.CONSTRAINT: ("key",),
    kinds.FK_CONSTRAINT: ("foreign key",),
    kinds.INDEX: ("index", "indexes"),
    kinds.STATISTICS: ("statistics object",),
}


def beside_options(arguments: argparse.Namespace) -> BesideOptions | None:
    """Return the options of a copy; None for a restore into a new database. Raises UsageProblem."""
    if arguments.into is None:
        for name, flag in _ONLY_OF_LIVING.items():
            if getattr(arguments, name) is not None:
                raise UsageProblem(
                    f"{flag} names a table beside those of a database, and goes with --into",
                    steps=["Name the living database: --table NAME --into DATABASE"],
                )
        return None
    for name in _ONLY_OF_NEW:
        if getattr(arguments, name):
            flag = f"--{name.replace('_', '-')}"
            raise UsageProblem(
                f"{flag} is for a new database, and --into names one that exists",
                steps=["Restore into a new one: --to DATABASE", f"Or leave out {flag}"],
            )
    return BesideOptions(
        database=arguments.into,
        tables=tuple(arguments.table),
        name=arguments.as_name,
        schema=arguments.as_schema,
        jobs=arguments.jobs or default_jobs(),
        no_owner=arguments.no_owner,
        owner_map=read_owner_map(arguments.owner_map) if arguments.owner_map else {},
        confirmed=arguments.yes,
    )


def shown_and_confirmed(
    call: Call, settings: Settings, path: Path, options: BesideOptions
) -> BesideOptions:
    """Show what would be made, and ask for the database's name unless it is for development."""
    plan = plan_beside(settings, StoredBackup.at(path), options, call.context)
    if not (call.arguments.quiet or call.arguments.progress == "json"):
        errors().print(_plan_text(plan))
    if options.schema is None:  # the very name that was shown, or none
        shown = (plan.copies[0].copy_schema, plan.copies[0].copy_name)
        options = replace(options, name=".".join(map(quoted, shown)))
    if options.confirmed or settings.environment == DEV or not sys.stdin.isatty():
        return options
    errors().print(f"Type the name {printable(options.database)} to go on: ", end="")
    typed = sys.stdin.readline().rstrip("\n")
    return replace(options, confirmed=typed == options.database)


def _plan_text(plan: BesidePlan) -> Text:
    place = f"{plan.options.database} on {plan.address} ({plan.environment})"
    text = Text(f"To be made in the database {printable(place)}; nothing in it is changed:\n\n")
    if plan.makes_schema:
        text.append(f"  the schema {printable(plan.schema)}\n")
    for copy in plan.copies:
        text.append(f"  {printable(_copied(copy.copy_schema, copy.copy_name))}, ")
        text.append(f"{copy.rows:,} rows of {printable(_copied(copy.schema, copy.name))}")
        text.append(f", {size(copy.size_bytes)}")
        if copy.partitions:
            text.append(f", {counted(len(copy.partitions), 'partition')}")
        text.append("\n")
    if plan.objects:
        made = ", ".join(
            counted(count, *_NOUNS.get(kind, (kind.lower(),)))
            for kind, count in sorted(plan.objects.items())
        )
        text.append(f"  with {made}\n")
    for each in plan.left_out:
        text.append(f"Left out: {printable(_named(each))}\n")
    return text


def _named(each: LeftOut) -> str:
    if each.kind == kinds.ACL:  # its tag has the kind of the object before the name
        return f"grants on {each.name.replace('.TABLE ', '.', 1)}"
    return f"{_NOUNS.get(each.kind, (each.kind.lower(),))[0]} {each.name}"


def _copied(schema: str, name: str) -> str:
    return f"{schema}.{name}"


def beside_text(result: BesideResult) -> Text:
    """Return the report: the copies, the comparison, and the statements that come next."""
    facts = result.result
    good = facts.not_compared is None
    text = Text.assemble(
        styled("✓", GOOD) if good else styled("!", WARNING),
        f" {counted(len(result.plan.copies), 'table')} restored into {printable(facts.database)}",
        "\n\n" if good else ", but not compared\n\n",
    )
    for name, value in _rows(result):
        text.append(f"{name + ':':<{_WIDTH}} {printable(value)}\n")
    text.append(f"{'Compared:':<{_WIDTH}} ").append(mark(good=good)).append(f" {_compared(result)}")
    keys = [each for each in result.plan.left_out if each.kind == kinds.FK_CONSTRAINT]
    of_keys = [("a foreign key, if today's rows fit", each.statement) for each in keys]
    for purpose, statement in (*of_keys, *result.queries):
        text.append(f"\n\n{printable(purpose[:1].upper() + purpose[1:])}:\n{printable(statement)}")
    return text


def _rows(result: BesideResult) -> Iterator[tuple[str, str]]:
    facts, plan = result.result, result.plan
    metadata = facts.metadata
    made = f"{metadata.database_name} ({metadata.environment}), {moment(metadata.backup_timestamp)}"
    yield "Backup", f"{facts.file} of {made}"
    yield "Database", f"{facts.database} at {facts.address} ({facts.environment})"
    for copy in plan.copies:
        new, old = _copied(copy.copy_schema, copy.copy_name), _copied(copy.schema, copy.name)
        yield "Table", f"{new}, {copy.rows:,} rows of {old}"
    owners = sorted({copy.owner or plan.server.user for copy in plan.copies})
    yield "Readable by", f"{', '.join(owners)}, the owner, alone: grants are left out"
    for each in plan.left_out:
        yield "Left out", _named(each)


def _compared(result: BesideResult) -> str:
    comparison = result.result.comparison
    if comparison is None:
        return printable(f"Not possible here: {result.result.not_compared}")
    return f"{comparison.rows:,} rows: nothing differs from the backup"


def beside_object(result: BesideResult) -> dict[str, Any]:
    """Return the copies as ``--json`` has them."""
    plan = result.plan
    return {
        "copy_schema": plan.schema,
        "made_schema": plan.makes_schema,
        "tables": [
            {
                "schema": copy.schema,
                "name": copy.name,
                "copy_name": copy.copy_name,
                "owner": copy.owner or plan.server.user,
                "rows": copy.rows,
                "partitions": [
                    {"schema": schema, "name": name, "copy_name": new}
                    for schema, name, new in copy.partitions
                ],
            }
            for copy in plan.copies
        ],
        "left_out": [
            {"kind": each.kind, "name": each.name, "statement": each.statement}
            for each in plan.left_out
        ],
        "queries": [
            {"purpose": purpose, "statement": statement} for purpose, statement in result.queries
        ],
    }
