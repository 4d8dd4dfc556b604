"""Every store keeps the promises of the port: one suite over all of them."""

from __future__ import annotations

import io
import stat
import threading
from typing import TYPE_CHECKING

import pytest

from pgvow.store import DirectoryStore, read_whole
from pgvow.store.port import LARGEST_UPDATED, MemoryStore

if TYPE_CHECKING:
    from pathlib import Path

    from pgvow.store import Store

_NAME = "shop_dev_2025-01-27T14-30-00Z.dump"
_DATA = bytes(range(256)) * 1000
_PORT = {"delete", "held", "list", "local_path", "open", "put", "stat", "update"}


@pytest.fixture(params=["directory", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each kind."""
    if request.param == "memory":
        return MemoryStore()
    (tmp_path / "store").mkdir()
    return DirectoryStore(tmp_path / "store")


def _put(store: Store, name: str = _NAME, data: bytes = _DATA) -> None:
    store.put(name, io.BytesIO(data))


def test_the_port_has_eight_methods(store: Store) -> None:
    """A store is small enough to write another: eight methods, and the words for where it is."""
    public = {name for name in dir(store) if not name.startswith("_")}
    assert _PORT == {name for name in public if callable(getattr(store, name))}
    assert _PORT | {"location"} == public


def test_an_empty_store_lists_nothing(store: Store) -> None:
    """No file is there before one is put."""
    assert [] == sorted(store.list())


def test_a_file_that_was_put_is_listed_whole(store: Store) -> None:
    """Name, size and bytes are those that were put, and nothing else lies around."""
    _put(store)
    assert [_NAME] == sorted(store.list())
    assert (len(_DATA), True) == (store.stat(_NAME).size, store.stat(_NAME).is_regular)
    with store.open(_NAME) as file:
        assert _DATA == file.read()


def test_put_starts_at_the_position_of_the_file(store: Store) -> None:
    """The bytes already read are not put: the rest of an open file is."""
    source = io.BytesIO(b"head,tail")
    source.seek(5)
    store.put(_NAME, source)
    assert b"tail" == read_whole(store, _NAME, largest=100)


def test_put_is_idempotent(store: Store) -> None:
    """A second try leaves one file with the last bytes."""
    _put(store, data=b"old")
    _put(store)
    _put(store)
    assert [_NAME] == sorted(store.list())
    assert _DATA == read_whole(store, _NAME, largest=len(_DATA))


def test_a_put_that_fails_leaves_the_old_file(store: Store) -> None:
    """An error of the source goes through, and nothing of the new file is there."""

    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:  # noqa: ARG002 - as io has it
            raise RuntimeError("the source is gone")

    _put(store, data=b"old")
    with pytest.raises(RuntimeError, match="the source is gone"):
        store.put(_NAME, Failing())
    assert [_NAME] == sorted(store.list())
    assert b"old" == read_whole(store, _NAME, largest=100)


@pytest.mark.parametrize(("offset", "size"), [(0, 10), (255, 2), (200_000, 60_000), (300_000, 5)])
def test_an_open_file_is_read_at_any_place(store: Store, offset: int, size: int) -> None:
    """Ranges are those of the bytes, empty only after the end."""
    _put(store)
    with store.open(_NAME) as file:
        assert offset == file.seek(offset)
        assert _DATA[offset : offset + size] == file.read(size)
        assert len(_DATA) == file.seek(0, 2)


def test_two_readers_do_not_disturb_each_other(store: Store) -> None:
    """Each open file has a position of its own."""
    _put(store)
    with store.open(_NAME) as first, store.open(_NAME) as second:
        assert _DATA[:10] == first.read(10)
        assert _DATA[:5] == second.read(5)
        assert _DATA[10:20] == first.read(10)


@pytest.mark.parametrize("ends", ["delete", "put"])
def test_an_open_file_stays_readable_after_delete(store: Store, ends: str) -> None:
    """A reader goes on with the bytes that it opened when the file is deleted or replaced."""
    _put(store)
    with store.open(_NAME) as file:
        assert _DATA[:3] == file.read(3)
        if ends == "delete":
            store.delete(_NAME)
        else:
            _put(store, data=b"new")
        file.seek(100_000)
        assert _DATA[100_000:] == file.read()


def test_a_missing_file_is_file_not_found(store: Store) -> None:
    """Every read of a name that is not there ends in FileNotFoundError."""
    _put(store, "other.dump")
    with pytest.raises(FileNotFoundError):
        store.stat(_NAME)
    with pytest.raises(FileNotFoundError):
        store.open(_NAME)
    with pytest.raises(FileNotFoundError):
        read_whole(store, _NAME, largest=1)


def test_delete_is_idempotent(store: Store) -> None:
    """A deleted file is not listed; deleting it again changes nothing."""
    _put(store)
    _put(store, "other.dump")
    store.delete(_NAME)
    store.delete(_NAME)
    assert ["other.dump"] == sorted(store.list())


def test_a_file_larger_than_allowed_is_not_read(store: Store) -> None:
    """The bound is in bytes, and a file just as large is read."""
    _put(store)
    assert _DATA == read_whole(store, _NAME, largest=len(_DATA))
    assert read_whole(store, _NAME, largest=len(_DATA) - 1) is None


def test_update_gives_the_bytes_that_are_there(store: Store) -> None:
    """The first change gets None, the next the bytes of the first."""
    given: list[bytes | None] = []

    def change(data: bytes | None) -> bytes:
        given.append(data)
        return (data or b"") + b"x"

    store.update("a.proof.json", change)
    store.update("a.proof.json", change)
    assert [None, b"x"] == given
    assert b"xx" == read_whole(store, "a.proof.json", largest=10)
    assert ["a.proof.json"] == sorted(store.list())


def test_update_gives_none_for_a_huge_file(store: Store) -> None:
    """Memory is bounded: a file past the limit is replaced unread."""
    _put(store, "a.proof.json", bytes(LARGEST_UPDATED + 1))
    given: list[bytes | None] = []
    store.update("a.proof.json", lambda data: given.append(data) or b"new")  # type: ignore[func-returns-value]
    assert [None] == given
    assert b"new" == read_whole(store, "a.proof.json", largest=10)


def test_a_failed_update_changes_nothing(store: Store) -> None:
    """An error of the change goes through, and the file stays as it was."""

    def fail(_: bytes | None) -> bytes:
        raise RuntimeError("no change")

    _put(store, "a.proof.json", b"old")
    with pytest.raises(RuntimeError, match="no change"):
        store.update("a.proof.json", fail)
    assert b"old" == read_whole(store, "a.proof.json", largest=10)
    assert ["a.proof.json"] == sorted(store.list())


def test_no_update_is_lost(store: Store) -> None:
    """Eight threads that add a byte each, ten times, add eighty."""

    def add() -> None:
        for _ in range(10):
            store.update("a.proof.json", lambda data: (data or b"") + b"x")

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert b"x" * 80 == read_whole(store, "a.proof.json", largest=100)


def test_any_number_of_readers_hold_a_file(store: Store) -> None:
    """Any number of readers hold a file; of a missing one nothing is held."""
    _put(store)
    with store.held(_NAME), store.held(_NAME), store.open(_NAME) as file:
        assert _DATA == file.read()
    with store.held("missing.dump"):
        pass


def test_a_local_path_is_readable_by_its_owner_only(store: Store) -> None:
    """A program can open the file by its path, under its own name, and only its owner can."""
    _put(store)
    with store.local_path(_NAME) as path:
        assert (_NAME, _DATA) == (path.name, path.read_bytes())
        assert 0o600 == stat.S_IMODE(path.stat().st_mode)


def test_a_private_copy_is_gone_after_the_block(tmp_path: Path) -> None:
    """A directory gives the file itself; elsewhere a copy is made, alone in a folder, and removed.

    It is removed after an error as well.
    """
    directory, memory = DirectoryStore(tmp_path), MemoryStore()
    _put(directory)
    _put(memory)
    with directory.local_path(_NAME) as path:
        assert tmp_path / _NAME == path
    assert path.exists()

    def use() -> Path:
        with memory.local_path(_NAME) as copy:
            seen.append(copy)
            assert 0o700 == stat.S_IMODE(copy.parent.stat().st_mode)
            assert [copy] == list(copy.parent.iterdir())
            raise RuntimeError("the program failed")

    seen: list[Path] = []
    with pytest.raises(RuntimeError, match="the program failed"):
        use()
    assert [False] == [copy.parent.exists() for copy in seen]
