"""Wait for a condition, and fail if it does not come true."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def wait_until(holds: Callable[[], T], seconds: float = 180.0) -> T:
    """Return the value of ``holds()`` as soon as it is true; AssertionError when the time is up.

    The time is for a machine that is busy with all the other tests: it is no measure of speed.
    """
    deadline = time.monotonic() + seconds
    while not (said := holds()):
        assert time.monotonic() < deadline, f"still not so after {seconds} s"
        time.sleep(0.02)
    return said
