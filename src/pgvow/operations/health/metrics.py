"""The state of the backups for the textfile collector of Prometheus' node exporter.

Names and units follow https://prometheus.io/docs/practices/naming/, the format
https://prometheus.io/docs/instrumenting/exposition_formats/.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pgvow import __version__
from pgvow.file_errors import refusals
from pgvow.model import in_one_order
from pgvow.operations.health.alarms import ended_at
from pgvow.runs import Operation

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from pgvow.operations.health.status import SeriesStatus, StatusReport
    from pgvow.runs import Run

_MODE = 0o644  # the exporter is another user, and there is no secret in it


@dataclass
class _Gauge:
    name: str
    help: str
    samples: dict[tuple[tuple[str, str], ...], float] = field(default_factory=dict)

    def add(self, value: float | None, **labels: str) -> None:
        """Add a sample, unless it is None or there is one with the same labels."""
        if value is not None:
            self.samples.setdefault(tuple(labels.items()), value)

    def lines(self) -> Iterator[str]:
        """Write it, unless it has no samples."""
        if self.samples:
            yield f"# HELP {self.name} {self.help}"
            yield f"# TYPE {self.name} gauge"
            for labels, value in self.samples.items():
                inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
                yield f"{self.name}{{{inside}}} {_number(value)}"


def metrics_text(report: StatusReport, history: Sequence[Run], now: datetime) -> str:
    """Write all of it; ``history`` is that of the directory in which something was just done."""
    gauges = {
        name: _Gauge(f"pgvow_{name}", text)
        for name, text in (
            ("last_success_timestamp_seconds", "When the last successful backup began."),
            ("last_failure_timestamp_seconds", "When the last backup that failed began."),
            ("last_run_failed", "1 if the last backup failed, else 0."),
            ("backup_timestamp_seconds", "When the newest good backup was made."),
            ("backup_size_bytes", "Size of the newest good backup."),
            ("backup_rows", "Rows in the newest good backup."),
            ("backup_level", "Its level: 0 listed, 1 verified, 2 decoded, 3 proven."),
            ("last_proof_timestamp_seconds", "When a backup was last proven."),
            ("partial_backup_timestamp_seconds", "When the newest good one of a part was made."),
            ("partial_backup_size_bytes", "Size of the newest good backup of a part."),
            ("partial_backups", "How many good backups of a part there are."),
            ("free_bytes", "Free space where the backups are."),
            ("alarms", "Alarms of pgvow status, by kind."),
        )
    }
    for series in report.series:
        _add_series(gauges, series)
    phases = _Gauge("pgvow_run_duration_seconds", "How long each phase of the last run took.")
    whole = {in_one_order(each.newest.selection) for each in report.series if each.newest}
    _add_phases(phases, history, {(), *whole})
    about = _Gauge("pgvow_info", "Version, and when this was written.")
    about.add(1, version=__version__)
    written = _Gauge("pgvow_written_timestamp_seconds", "When this file was written.")
    written.add(now.timestamp())
    every = (*gauges.values(), phases, about, written)
    return "".join(f"{line}\n" for gauge in every for line in gauge.lines())


def _add_series(gauges: dict[str, _Gauge], series: SeriesStatus) -> None:
    labels = {"environment": series.environment or "", "database": series.database or ""}
    success = series.last_success.started.timestamp() if series.last_success else None
    failure = series.last_failure.started.timestamp() if series.last_failure else None
    if success is None and series.newest is not None and series.newest.timestamp is not None:
        success = series.newest.timestamp.timestamp()  # made before there was a history
    values: dict[str, float | None] = {
        "last_success_timestamp_seconds": success,
        "last_failure_timestamp_seconds": failure,
        "last_run_failed": float(_last_failed(series)),
        "last_proof_timestamp_seconds": series.proven_at.timestamp() if series.proven_at else None,
        "free_bytes": series.free_bytes,
    }
    if series.newest is not None and series.newest.metadata is not None:
        level, moment = series.newest.trusted, series.newest.timestamp
        values |= {
            "backup_timestamp_seconds": moment.timestamp() if moment else None,
            "backup_size_bytes": series.newest.size_bytes,
            "backup_rows": sum(series.newest.metadata.table_counts.values()),
            "backup_level": level.rank if level else 0,
        }
    for name, value in values.items():
        gauges[name].add(value, **labels)
    for part in series.parts:
        # Under names of their own: a query over the others must not take a part for the whole.
        of_part = {**labels, "selection": " ".join(part.selection)}
        made = part.newest.timestamp
        gauges["partial_backup_timestamp_seconds"].add(
            made.timestamp() if made else None, **of_part
        )
        gauges["partial_backup_size_bytes"].add(part.newest.size_bytes, **of_part)
        gauges["partial_backups"].add(part.count, **of_part)
    for kind in sorted({alarm.kind for alarm in series.alarms}):
        count = sum(alarm.kind == kind for alarm in series.alarms)
        gauges["alarms"].add(count, **labels, kind=str(kind))


def _last_failed(series: SeriesStatus) -> bool:
    """Return whether the backup that ended last failed, whichever began first."""
    if series.last_failure is None:
        return False
    if series.last_success is not None:
        return ended_at(series.last_failure) > ended_at(series.last_success)
    made = series.newest.timestamp if series.newest else None  # before there was a history
    return made is None or ended_at(series.last_failure) > made


def _add_phases(gauge: _Gauge, history: Sequence[Run], whole: Collection[tuple[str, ...]]) -> None:
    """Add the phases of the last run of each operation, environment and database that ended.

    Those of a part have its selection as one label more.
    """
    last = {run.subject: run for run in history if run.ended is not None}
    for run in last.values():
        labels = {
            "operation": str(Operation(run.operation)),
            "environment": run.environment or "",
            "database": run.database or "",
        }
        if in_one_order(run.selection) not in whole:
            labels["selection"] = " ".join(run.selection)
        for phase, seconds in run.seconds.items():
            gauge.add(seconds, **labels, phase=phase)
        if run.ended is not None:
            gauge.add((run.ended - run.started).total_seconds(), **labels, phase="total")


def write_metrics(path: Path, text: str) -> None:
    """Write the file in one step, readable for the exporter; raises AccessDenied, PgvowError."""
    # The collector reads every *.prom: not this one, while it is half written.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with refusals("write", path):
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
        try:
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                os.fchmod(file.fileno(), _MODE)
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


def _escaped(text: str) -> str:
    clean = text.encode("utf-8", "backslashreplace").decode()
    return clean.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:.3f}"
