"""Run as a batch: whoever has something for us goes on until it is full, before we wake up."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Linux has these; elsewhere all stays as it is.
_BATCH: int | None = getattr(os, "SCHED_BATCH", None)
_ORDINARY: int | None = getattr(os, "SCHED_OTHER", None)


@contextmanager
def batch() -> Iterator[None]:
    """Have this thread, and what it starts meanwhile, never push another off its processor.

    A server sends 8 KB at a time. Who is woken by each and takes the server's processor for it
    makes both slower: a tenth of the whole time (docs/decisions/0014). SCHED_BATCH takes away
    that, and nothing of the share. A policy that somebody has chosen for us stays.
    """
    if _BATCH is None or _ORDINARY is None or os.sched_getscheduler(0) != _ORDINARY:
        yield
        return
    _choose(_BATCH)
    try:
        yield
    finally:
        _choose(_ORDINARY)


def _choose(policy: int) -> None:
    with suppress(OSError):  # a sandbox may forbid it
        os.sched_setscheduler(0, policy, os.sched_param(0))
