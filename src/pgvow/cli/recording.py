"""How a run is recorded, and how long it may take, by the options of a command."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from pgvow.errors import PgvowError
from pgvow.operations.recorded import Recording
from pgvow.operations.recorded.around import LogFile
from pgvow.postgres.silence import Patience

if TYPE_CHECKING:
    from pgvow.cli.call import Call
    from pgvow.runs import Operation


def recording_of(call: Call, operation: Operation) -> Recording:
    """Return how the call is recorded: beside the file that it names, or in its directory."""
    arguments = call.arguments
    environment = None
    with suppress(PgvowError):  # a name that is wrong fails the run, and not its record
        environment = call.environment
    log = arguments.log_file
    return Recording(
        operation=operation,
        directory=call.output_dir if arguments.file is None else arguments.file.parent,
        environment=environment,
        metrics_file=arguments.metrics_file or call.context.configuration.metrics_file,
        log=None if log is None else LogFile(log, as_json=arguments.log_format == "json"),
        is_quiet=arguments.quiet,
    )


def patience_of(call: Call) -> Patience:
    """Return how long the call waits for a server or a tool, and for its own end."""
    limit = call.arguments.run_timeout
    return Patience(
        stall=call.arguments.stall_timeout.total_seconds(),
        run=None if limit is None else limit.total_seconds(),
    )
