"""Programs that we start: their errors are kept, and none of them outlives us."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from pgvow.errors import ToolUnsuitable
from pgvow.postgres import process
from pgvow.postgres.process import RunningTool, ToolExit, run, run_quietly
from tests.support import children
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

_READY = "import signal, sys, time; print('ready', flush=True); "
_SLEEP = "time.sleep(3600)"
_STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN); " + _READY + _SLEEP
_ENVIRONMENT = {"PATH": os.defpath}

# Starts a program as we do, tells its process id, and waits to be killed.
_PARENT = """
    import subprocess, sys, time
    from pgvow.postgres.process import RunningTool
    path = {"PATH": "/usr/bin:/bin"}
    with RunningTool(["sleep", "3600"], env=path, stdout=subprocess.DEVNULL) as tool:
        print("ready", flush=True)
        print(tool.pid, flush=True)
        time.sleep(3600)
"""


def python(code: str) -> list[str]:
    """A program that is a line of Python."""
    return [sys.executable, "-c", "import signal, sys, time; " + code]


def started(code: str) -> RunningTool:
    """Start one that says when it is ready."""
    tool = RunningTool(python(code), env=_ENVIRONMENT, stdout=subprocess.PIPE)
    assert tool.stdout.readline() == b"ready\n"
    return tool


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody waited for has ended as well."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    return True


def test_output_status_and_stderr_are_returned() -> None:
    """All of its output, its status, and its standard error."""
    output = run(python("print('x' * 200000); sys.exit('no: \\u00fc')"), env=_ENVIRONMENT)
    assert b"x" * 200000 + b"\n" == output.stdout
    assert ToolExit(1, "no: ü") == output.ended


def test_a_status_only_program_has_its_output_discarded() -> None:
    """Its output goes nowhere, its complaints are kept."""
    assert ToolExit(0, "") == run_quietly(python("print('x' * 200000)"), env=_ENVIRONMENT)
    assert ToolExit(3, "why") == run_quietly(
        python("print('why', file=sys.stderr); sys.exit(3)"), env=_ENVIRONMENT
    )


def test_beginning_and_end_of_stderr_are_kept() -> None:
    """Either may tell why; however much there is, it takes neither memory nor time."""
    code = "[print(n, 'y' * 500, file=sys.stderr) for n in range(20000)]"
    ended = run_quietly(python(code), env=_ENVIRONMENT)
    numbers = [line.split()[0] for line in ended.stderr.splitlines()]
    assert [*map(str, range(100)), "…", *map(str, range(19800, 20000))] == numbers


def test_undecodable_stderr_is_shown() -> None:
    """A message in an unknown encoding is shown as far as it goes."""
    ended = run_quietly(python("sys.stderr.buffer.write(b'caf\\xe9')"), env=_ENVIRONMENT)
    assert "caf�" == ended.stderr


def test_the_program_gets_only_the_given_environment() -> None:
    """Nothing of ours leaks into it, and there is no terminal to read from."""
    code = "import os; print(sorted(os.environ), repr(sys.stdin.read()))"
    output = run(python(code), env={"PGPASSWORD": "secret", "LC_ALL": "C"})
    words = output.stdout.decode()
    assert "PGPASSWORD" in words
    assert "HOME" not in words
    assert "''" in words


def test_no_shell_reads_the_arguments(tmp_path: Path) -> None:
    """Characters that a shell interprets arrive unchanged."""
    word = f"$(touch {tmp_path}/made); `id` > {tmp_path}/made & *"
    output = run([*python("print(sys.argv[1])"), word], env=_ENVIRONMENT)
    assert word == output.stdout.decode().rstrip("\n")
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "mode", "words"),
    [("missing", None, "No such file"), ("closed", 0o644, "Permission denied")],
)
def test_a_program_that_cannot_be_started_raises_our_error(
    name: str, mode: int | None, words: str, tmp_path: Path
) -> None:
    """Our own error, with the program's path and the system's words."""
    path = tmp_path / name
    if mode is not None:
        path.touch(mode)
    with pytest.raises(ToolUnsuitable, match=words) as caught:
        run_quietly([str(path)], env=_ENVIRONMENT)
    assert {"Program": str(path)} == caught.value.facts


def test_poll_waits_no_longer_than_asked() -> None:
    """None while it runs, the end as soon as there is one, the same again afterwards."""
    code = "signal.signal(signal.SIGUSR1, lambda *_: sys.exit(4)); " + _READY + _SLEEP
    with started(code) as tool:
        assert tool.poll(0.05) is None  # it would be the end of it otherwise
        os.kill(tool.pid, signal.SIGUSR1)
        assert ToolExit(4, "") == tool.poll(600)
        assert ToolExit(4, "") == tool.wait()


def test_stop_sends_sigterm_first() -> None:
    """SIGTERM is obeyed at once, and the program's last output is kept."""
    code = "signal.signal(signal.SIGTERM, lambda *_: sys.exit('cancelled')); " + _READY + _SLEEP
    with started(code) as tool:
        tool.stop()
        assert ToolExit(1, "cancelled") == tool.wait()


def test_stop_kills_a_program_that_ignores_sigterm(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that ignores SIGTERM is killed after a while; stopping again is harmless."""
    monkeypatch.setattr(process, "_PATIENCE", 0.3)
    with started(_STUBBORN) as tool:
        tool.stop()
        assert -signal.SIGKILL == tool.wait().returncode
        tool.stop()


def test_leaving_the_block_ends_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """However it is left, by an interruption as well; nothing of the program stays open."""
    monkeypatch.setattr(process, "_PATIENCE", 0.3)
    before = psutil.Process().num_fds()
    with pytest.raises(KeyboardInterrupt), started(_STUBBORN) as tool:
        raise KeyboardInterrupt
    assert is_gone(tool.pid)
    assert before == psutil.Process().num_fds()


def test_a_grandchild_with_the_pipe_does_not_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A program that leaves a child behind, with its standard error: we go on after a while."""
    monkeypatch.setattr(process, "_PATIENCE", 0.3)
    code = "import os; child = os.fork(); print(child, file=sys.stderr) if child else " + _SLEEP
    ended = run_quietly(python(code), env=_ENVIRONMENT)
    child = psutil.Process(int(ended.stderr))
    assert child.is_running()
    child.kill()


def test_a_child_dies_with_its_parent() -> None:
    """``kill -9`` of us: the kernel ends our children."""
    parent = children.start(children.command(_PARENT))
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert not is_gone(pid)
    children.end(parent)
    wait_until(lambda: is_gone(pid))


def test_ctrl_c_does_not_reach_the_program() -> None:
    """The program is in a session of its own: we decide when it ends."""
    with started(_READY + _SLEEP) as tool:
        assert os.getsid(tool.pid) == tool.pid
        assert os.getpgid(tool.pid) != os.getpgid(0)


def test_unrequested_output_cannot_be_read() -> None:
    """Standard output is there to be read only if it is a pipe."""
    with (
        RunningTool(python("pass"), env=_ENVIRONMENT, stdout=subprocess.DEVNULL) as tool,
        pytest.raises(ValueError, match="not a pipe"),
    ):
        _ = tool.stdout
