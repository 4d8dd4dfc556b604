"""The messages of a pg_restore that goes on after errors."""

from __future__ import annotations

from pgvow.postgres.restore_messages import RestoreMessages


def _refused(number: int, words: str) -> list[str]:
    return [
        f"pg_restore: from TOC entry {number}; 0 1 TABLE DATA t postgres\n",
        f"pg_restore: error: {words}\n",
        "CONTEXT:  COPY t, line 1\n",
    ]


def _heard(lines: list[str]) -> RestoreMessages:
    messages = RestoreMessages()
    for line in lines:
        messages.add(line)
    return messages


def test_every_refused_entry_is_known_however_many_there_are() -> None:
    """Texts are shortened beyond ten thousand, and no number is lost."""
    lines = [line for n in range(12_000) for line in _refused(n, "could not execute query")]
    messages = _heard([*lines, "pg_restore: warning: errors ignored on restore: 12000\n"])
    assert list(range(12_000)) == messages.refused
    assert messages.goes_on
    assert None is messages.end()


def test_a_full_disk_ends_it_however_late() -> None:
    """Its error is found among all others, and names its entry."""
    lines = [line for n in range(11_000) for line in _refused(n, "could not execute query")]
    messages = _heard(lines)
    assert None is messages.end()
    for line in _refused(11_000, "could not extend file: No space left on device"):
        messages.add(line)
    end = messages.end()
    assert end is not None
    assert 11_000 == end.dump_id


def test_what_verbose_tells_is_not_kept_and_warnings_are() -> None:
    """Names with line breaks in them do not pass for warnings either."""
    messages = _heard(
        [
            "pg_restore: processing item 7 TABLE t\n",
            "rest of a name\n",
            "pg_restore: warning: something to know\n",
            "pg_restore: finished item 7 TABLE t\n",
        ]
    )
    assert "pg_restore: warning: something to know" == messages.text()
