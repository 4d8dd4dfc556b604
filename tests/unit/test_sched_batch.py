"""While rows are copied we do not push the server off its processor."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NoReturn

import pytest

from pgvow.engine.server_source import sched_batch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

pytestmark = pytest.mark.skipif(
    not hasattr(os, "SCHED_BATCH"), reason="only Linux has such policies"
)


@pytest.fixture
def thread() -> Iterator[Executor]:
    """A thread to do it in: its policy ends with it."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


def policy() -> int:
    """Return the policy of the calling thread."""
    return os.sched_getscheduler(0)


def policy_of_a_child() -> int:
    """The policy that a program gets that is started now."""
    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            return os.sched_getscheduler(child.pid)
        finally:
            child.kill()


def policies_in_batch() -> tuple[int, int, int, int]:
    """Our own, of a thread and of a program that begin in the block, and ours after it."""
    with sched_batch():
        with ThreadPoolExecutor(1) as pool:
            others = pool.submit(policy).result()
        inside = (policy(), others, policy_of_a_child())
    return (*inside, policy())


def test_threads_and_programs_run_under_sched_batch(thread: Executor) -> None:
    """Threads and programs that copy are batch processes; afterwards all is as before."""
    expected = (os.SCHED_BATCH,) * 3 + (os.SCHED_OTHER,)
    assert expected == thread.submit(policies_in_batch).result()


def test_a_policy_set_by_the_user_is_kept(thread: Executor) -> None:
    """``chrt --idle 0 pgvow backup`` stays idle."""
    thread.submit(os.sched_setscheduler, 0, os.SCHED_IDLE, os.sched_param(0)).result()
    assert (os.SCHED_IDLE,) * 4 == thread.submit(policies_in_batch).result()


def test_a_forbidden_policy_does_not_fail_the_backup(
    thread: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sandbox that refuses costs time, not the backup."""

    def refused(*_: object) -> NoReturn:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refused)
    assert (os.SCHED_OTHER,) * 4 == thread.submit(policies_in_batch).result()
