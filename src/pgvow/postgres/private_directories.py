"""Private directories for throw-away servers: made, owned, given to an account, cleared away.

A directory belongs to whoever holds the ``flock`` on its owner file. The kernel lets go of that
lock however the owner ends, so a directory whose lock can be had is abandoned; nothing else, no
age and no process id, is taken for a sign of it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pwd
import shutil
import signal
import socket
import stat
import struct
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pgvow.errors import AccessDenied, NoSpace, PgvowError, lack_of_resources
from pgvow.signals import SignalsKeptBack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

PREFIX = "pgvow-"
SOCKET_NAME = ".s.PGSQL.{port}"
_OWNER = "owner.lock"
# The shortest sun_path of all known systems (macOS; Linux has 107).
_SOCKET_PATH_LIMIT = 103
_LONGEST_SOCKET_NAME = len(SOCKET_NAME.format(port=65535))
_RANDOM_PART = 8  # the suffix of mkdtemp
_UNPRIVILEGED = ("nobody", "postgres")
# initdb gives paths to a shell in double quotes; LD_LIBRARY_PATH and the like end at a colon.
_SPOILING = frozenset('"$`\\\n:')
_OF_NO_USE_TO_A_SERVER = {"pgxs", "doc"}
_UNKNOWN = 0
_PATIENCE = 10.0
_PAUSE = 0.05
# sys/un.h of macOS: the process at the other end of a local socket.
_DARWIN_SOL_LOCAL, _DARWIN_LOCAL_PEERPID = 0, 2


@dataclass(frozen=True, slots=True)
class Account:
    """The user a server runs as; ``switch`` is whether that is another one than ours."""

    uid: int
    gid: int
    switch: bool

    def popen_arguments(self) -> dict[str, Any]:
        """Arguments for subprocess that start a program as this user, with no other groups."""
        if not self.switch:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def give(self, path: Path) -> None:
        """Make this account the owner of one file or directory."""
        if self.switch:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def enters(self, folder: Path) -> bool:
        """Whether it may pass through every folder down to this one."""
        if not self.switch:
            return True
        ways = {p for way in (folder.absolute(), folder.resolve()) for p in (way, *way.parents)}
        return all(self._may(way, stat.S_IXOTH) for way in ways)

    def reads(self, path: Path) -> bool:
        """Whether this user may reach and read a file or folder."""
        real = path.resolve()
        return not self.switch or (self.enters(real.parent) and self._may(real, stat.S_IROTH))

    def _may(self, path: Path, needed: int) -> bool:
        status = path.stat()
        shift = 6 if status.st_uid == self.uid else 3 if status.st_gid == self.gid else 0
        return status.st_mode & (needed << shift) == needed << shift


def server_account() -> Account:
    """The account for servers: ours, or an unprivileged one if we are root.

    ``nobody`` before ``postgres``, whose files are those of the real server of this machine:
    code in a dump must not reach them. Raises AccessDenied if neither exists.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), switch=False)
    for name in _UNPRIVILEGED:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid, switch=True)
    raise AccessDenied(
        "PostgreSQL refuses to run as root, and no unprivileged user was found",
        facts={"Looked for": ", ".join(_UNPRIVILEGED)},
        steps=["Run pgvow as an ordinary user, or create one of these users"],
    )


class Scratch:
    """A private directory while the ``with`` block lasts; removed with it, however it ends."""

    path: Path

    def __init__(self, account: Account) -> None:
        self.account = account
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            try:
                with SignalsKeptBack() as signals:
                    self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_parent(self.account)))
                    stack.callback(_remove, self.path)
                    stack.callback(os.close, _own(self.path))
                    self.account.give(self.path)
            except OSError as error:
                raise translated(error) from error
            signals.deliver()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()


def translated(error: OSError) -> PgvowError:
    """Translate an error of the file system."""
    facts = {"Path": str(error.filename)} if error.filename else {}
    cause = error.strerror or str(error)
    if isinstance(error, PermissionError):
        return AccessDenied(cause, facts=facts, steps=["Check the owner and mode of this path"])
    if error.errno == errno.ENOSPC:
        return NoSpace(cause, facts=facts, steps=["Free space, or point TMPDIR at a larger disk"])
    return lack_of_resources(error) or PgvowError(cause, facts=facts)


@contextlib.contextmanager
def temporary_files() -> Iterator[None]:
    """Translate an OSError of the files that are written here, as ``translated`` does."""
    try:
        yield
    except OSError as error:
        raise translated(error) from error


def _own(path: Path) -> int:
    """Lock an owner file, and only then let it be seen: unlocked it would mean abandoned."""
    made = path / f"{_OWNER}.new"
    handle = os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(handle, f"{os.getpid()}\n".encode())
        made.rename(path / _OWNER)
    except OSError:
        os.close(handle)
        raise
    return handle


def _places() -> list[Path]:
    """Folders for our directories: TMPDIR first, /tmp if that does not serve."""
    with SignalsKeptBack() as signals:  # Python tries the directory with a file, the first time
        first = Path(tempfile.gettempdir()).absolute()
    signals.deliver()
    return list(dict.fromkeys([first, Path("/tmp")]))  # noqa: S108


def _parent(account: Account) -> Path:
    room = _SOCKET_PATH_LIMIT - len(PREFIX) - _RANDOM_PART - _LONGEST_SOCKET_NAME - 2
    for place in _places():
        # libpq takes a comma for the end of one host and the beginning of another.
        fits = len(os.fsencode(place)) <= room and "," not in str(place) and not spoils(place)
        if fits and account.enters(place):
            return place
    raise PgvowError(
        "no temporary directory has a name short enough, without commas, colons, double quotes,"
        " dollar signs and the like, and is open to the server's user",
        facts={"Looked at": ", ".join(map(str, _places()))},
        steps=[f"Point TMPDIR at a directory of at most {room} bytes"],
    )


def spoils(path: Path) -> bool:
    """Whether a server cannot be started from below this path, whoever may read it."""
    return not _SPOILING.isdisjoint(str(path))


def reachable(folder: Path, base: Path, account: Account) -> Path:
    """Give the programs as the server's user can run them: in place, or copied into ``base``.

    Links are followed: what a server needs lies beside the program itself. Raises OSError.
    """
    real = (folder / "postgres").resolve().parent
    tree = real.parent
    needed = [folder / "initdb", folder / "postgres", tree / "lib", tree / "share"]
    if not spoils(folder) and all(account.reads(path) for path in needed if path.exists()):
        return folder
    copied = base / "programs" / "package" / "tree"
    _copy(real, copied / "bin")
    for name in ("lib", "share"):
        _copy(tree / name, copied / name)
    # The embedded package's programs look for their libraries two folders up, under this name.
    libraries = f"{tree.parent.name}.libs"
    _copy(tree.parent.parent / libraries, base / "programs" / libraries)
    for path in [base / "programs", *(base / "programs").rglob("*")]:
        account.give(path)
    return copied / "bin"


def _copy(source: Path, target: Path) -> None:
    """Copy a folder if there is one; unlike ``copytree`` with the first error as it is."""
    if not source.is_dir():
        return
    target.mkdir(parents=True)
    for path in source.iterdir():
        if path.suffix == ".a" or path.name in _OF_NO_USE_TO_A_SERVER:
            continue
        if path.is_dir():
            _copy(path, target / path.name)
        elif path.is_file():
            shutil.copy(path, target / path.name)


def clear_abandoned() -> list[Path]:
    """Remove directories whose owners died; returns their paths.

    A server still running in one is ended first. Directories of living owners, of other users, or
    without an owner file of ours are left alone, and so are those that cannot be removed.
    """
    return [path for path in _candidates() if _clear(path)]


def _candidates() -> Iterator[Path]:
    for place in _places():
        with contextlib.suppress(OSError):
            yield from sorted(place.glob(f"{PREFIX}*"))


def _clear(path: Path) -> bool:
    try:
        with _claimed(path) as claimed:
            return claimed and _end_server(path) and _remove(path)
    except OSError:
        return False


def _own_uids() -> set[int]:
    return {os.geteuid(), server_account().uid}


@contextlib.contextmanager
def _claimed(path: Path) -> Iterator[bool]:
    """Take the owner's lock; False if a living process holds it, or it is not our file."""
    handle = os.open(path / _OWNER, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(handle)
        ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
        yield ours and path.lstat().st_uid in _own_uids() and _locks(handle)
    finally:
        os.close(handle)


def _locks(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _end_server(path: Path) -> bool:
    """End the server that listens in ``path``, if one does; False if it does not end.

    A kernel with parent-death signals has ended it already. The kernel names the
    process, not a file in there, for that file is the server's to write and we may be root.
    """
    for signum in (signal.SIGQUIT, signal.SIGKILL):
        deadline = time.monotonic() + _PATIENCE
        if (pid := _listener(path)) is None:
            return True
        if pid == _UNKNOWN:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)
        while _listener(path) is not None and time.monotonic() < deadline:
            time.sleep(_PAUSE)
    return _listener(path) is None


def _listener(path: Path) -> int | None:
    for name in path.glob(SOCKET_NAME.format(port="*")):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            # A link would lead to the socket of somebody else's.
            if not stat.S_ISSOCK(name.lstat().st_mode):
                continue
            client.settimeout(_PATIENCE)
            client.connect(str(name))
            return _peer(client)
    return None


def _peer(client: socket.socket) -> int:
    """Process id of the other end; _UNKNOWN if it cannot be found out, or is no server of ours."""
    if sys.platform == "darwin":
        return client.getsockopt(_DARWIN_SOL_LOCAL, _DARWIN_LOCAL_PEERPID)
    if not hasattr(socket, "SO_PEERCRED"):
        return _UNKNOWN
    shape = struct.Struct("3i")
    answer = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, shape.size)
    pid, uid, _ = shape.unpack(answer)  # the pid is 0 in another namespace
    return int(pid) if uid == server_account().uid else _UNKNOWN


def _remove(path: Path) -> bool:
    """Remove a directory, its owner file last, so that a rest can be cleared another time.

    Everything goes through the directory's handle, for another may own it by now and have put a
    link in its place. The backends of a server that was killed may still be writing: try again.
    """
    for _ in range(int(_PATIENCE / _PAUSE)):
        with contextlib.suppress(OSError):
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                names = os.listdir(handle)  # noqa: PTH208 - pathlib knows no handles
                for name in sorted(names, key=_OWNER.__eq__):
                    _remove_entry(handle, name)
            finally:
                os.close(handle)
        with contextlib.suppress(OSError):
            path.rmdir()
        if not os.path.lexists(path):
            return True
        time.sleep(_PAUSE)
    return False


def _remove_entry(handle: int, name: str) -> None:
    if stat.S_ISDIR(os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode):
        shutil.rmtree(name, dir_fd=handle)
    else:
        os.unlink(name, dir_fd=handle)
