"""A stop whose exception Python or a library swallows comes again; clearing up is left in peace."""

from __future__ import annotations

import pytest

from tests.support import children

_BEGIN = """
    import os, signal, sys, time, weakref
    from pgvow.signals import Stopped, StopSignals
    signals = StopSignals()
    signals.obey()

    class Thing:
        pass

    def struck(*_):
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(1000):
            pass
"""
_IGNORED = """
    thing = Thing()
    reference = weakref.ref(thing, struck)
    try:
        del thing  # what is raised in the callback is printed and forgotten
        print("went on", flush=True)
        time.sleep(20)
    except Stopped as stopped:
        signals.heeded()
        print(stopped.signum)
"""
_SWALLOWED = """
    try:
        try:
            struck()
        except BaseException:
            pass
        time.sleep(20)
    except Stopped as stopped:
        signals.heeded()
        print(stopped.signum)
"""
_CLEARING_UP = """
    try:
        try:
            struck()
        finally:
            time.sleep(1)
            os.kill(os.getpid(), signal.SIGINT)  # a second one is not heeded
            print("cleared up")
    except Stopped as stopped:
        signals.heeded()
        time.sleep(1)
        print(stopped.signum)
"""


@pytest.mark.parametrize(
    ("code", "said"),
    [(_IGNORED, "went on\n15\n"), (_SWALLOWED, "15\n"), (_CLEARING_UP, "cleared up\n15\n")],
)
def test_a_swallowed_stop_is_raised_again_once(code: str, said: str) -> None:
    """Whatever becomes of its exception: once, with nothing of it on standard error."""
    done = children.run(children.command(_BEGIN + code))
    assert (0, said, "") == (done.returncode, done.stdout, done.stderr)
