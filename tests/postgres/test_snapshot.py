"""The recorded position of a snapshot serves a later incremental backup."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.engines import target_of
from tests.support.written_late import facts_while_written, pages_are_newer

if TYPE_CHECKING:
    from tests.support.servers import TestServer


@pytest.mark.majors(15, 18)
def test_pages_written_after_the_snapshot_have_a_later_lsn(
    server: TestServer, database: str
) -> None:
    """However soon after it: by the recorded position nobody takes them for unchanged."""
    server.psql(
        database,
        "CREATE EXTENSION pageinspect; CREATE TABLE t AS SELECT n FROM generate_series(1, 50) AS n",
    )
    with server.connect(database) as session:

        def write() -> None:
            session.execute("INSERT INTO t VALUES (51)")

        facts = facts_while_written(target_of(server, database), write)
        assert {True} == pages_are_newer(session, facts)
