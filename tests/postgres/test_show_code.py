"""``pgvow show FILE --code``: whose code a restore would run, without a server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.cases import load_case
from tests.support.commands import Commands
from tests.support.inprocess import back_up

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import TestServer

_MORE = """
CREATE EXTENSION hstore;
CREATE FUNCTION fires() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN new; END $$;
CREATE TRIGGER on_late BEFORE INSERT ON late FOR EACH ROW EXECUTE FUNCTION fires();
CREATE RULE quiet AS ON DELETE TO late DO INSTEAD NOTHING;
CREATE FUNCTION in_c(internal) RETURNS internal LANGUAGE internal AS 'int4in';
CREATE FUNCTION on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;
CREATE EVENT TRIGGER audit ON ddl_command_end EXECUTE FUNCTION on_ddl();
"""
_EXPECTED = {
    ("", "EXTENSION", "hstore", True),
    ("postgres", "EVENT TRIGGER", "audit", True),
    ("postgres", "FUNCTION", "public.in_c(internal)", True),
    ("postgres", "FUNCTION", "public.fires()", False),
    ("tenant", "CHECK", "public.folded", False),
    ("tenant", "CHECK", "public.watched", False),
    ("tenant", "CHECK CONSTRAINT", "public.late later", False),
    ("tenant", "FUNCTION", "public.seen(integer)", False),
    ("tenant", "GENERATED COLUMN", "public.generated", False),
    ("tenant", "INDEX EXPRESSION", "public.indexed_seen_text_idx", False),
    ("tenant", "PARTITION KEY", "public.parted", False),
    ("tenant", "RULE", "public.late quiet", False),
    ("tenant", "TRIGGER", "public.late on_late", False),
}


@pytest.mark.majors(15, 18)
def test_show_code_lists_code_by_owner(server: TestServer, tmp_path: Path) -> None:
    """Functions, triggers, rules, checks, … are listed with owners, as text and as JSON."""
    database = load_case(server, "tenant_everywhere")
    try:
        server.psql(database, _MORE)
        dump = back_up(server, database, tmp_path).backup.path
    finally:
        server.drop_database(database)
    done = Commands(tmp_path).pgvow("show", str(dump), "--code", "--json")
    assert (0, "") == (done.code, done.err)
    code = json.loads(done.out)["code"]
    found = {(one["owner"], one["kind"], one["name"], one["needs_superuser"]) for one in code}
    assert set() == _EXPECTED - found
    done = Commands(tmp_path).pgvow("show", str(dump), "--code")
    assert (0, "") == (done.code, done.err)
    assert "tenant\n" in done.out
    assert "EXTENSION         hstore  restored by a superuser\n" in done.out
