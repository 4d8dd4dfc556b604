"""Facts from an archive's statements: the table of the rows, roles, locale."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from pgvow.archive import (
    ArchiveError,
    CopyTarget,
    copy_target,
    database_locale,
    read_toc,
    roles_named,
    superusers_named,
)
from tests.support.archives import Schema, Spec, build

if TYPE_CHECKING:
    from pgvow.archive import TableOfContents

_OWNER = "owner"  # of every entry that the tests' writer writes


def _toc(*parts: Schema) -> TableOfContents:
    return read_toc(io.BytesIO(build(Spec(parts=parts))))


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("COPY public.t (a, b) FROM stdin;\n", CopyTarget("public", "t", ("a", "b"))),
        ("COPY public.t  FROM stdin;\n", CopyTarget("public", "t", ())),
        ("COPY t (a) FROM stdin;\n", CopyTarget("", "t", ("a",))),
        (
            'COPY "a.b"."c ""d"" (e)" ("f, g", "h)") FROM stdin;\n',
            CopyTarget("a.b", 'c "d" (e)', ("f, g", "h)")),
        ),
        (
            'COPY s."new\nline" ("new\nline") FROM stdin;\n',
            CopyTarget("s", "new\nline", ("new\nline",)),
        ),
    ],
)
def test_copy_statements_give_unquoted_table_and_columns(
    statement: str, expected: CopyTarget
) -> None:
    """Names come back without their quotes, columns in the order of the rows."""
    assert expected == copy_target(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "",
        "COPY t FROM '/etc/passwd';\n",
        "COPY t (a FROM stdin;\n",
        "DROP TABLE t;",
        "COPY a.b.c FROM stdin;\n",
    ],
)
def test_a_statement_that_is_no_copy_is_refused(statement: str) -> None:
    """A statement that pg_dump does not write is no COPY statement of an archive."""
    with pytest.raises(ArchiveError):
        copy_target(statement)


@pytest.mark.parametrize(
    ("desc", "statement", "expected"),
    [
        ("ACL", "GRANT SELECT ON TABLE public.t TO reader;\n", {"reader"}),
        (
            "ACL",
            'REVOKE ALL ON SCHEMA public FROM PUBLIC;\nGRANT USAGE ON SCHEMA public TO "a ""b""";',
            {'a "b"'},
        ),
        (
            "ACL",
            'GRANT SELECT("TO",x),UPDATE(y) ON TABLE public.t TO one WITH GRANT OPTION;',
            {"one"},
        ),
        (
            "ACL",
            "SET SESSION AUTHORIZATION boss;\nGRANT ALL ON t TO a;\nRESET SESSION AUTHORIZATION;",
            {"boss", "a"},
        ),
        ("ACL", 'GRANT ALL ON TABLE t TO "PUBLIC";', {"PUBLIC"}),
        (
            "DEFAULT ACL",
            "ALTER DEFAULT PRIVILEGES FOR ROLE maker IN SCHEMA s GRANT SELECT ON TABLES TO reader;",
            {"maker", "reader"},
        ),
        (
            "POLICY",
            'CREATE POLICY p ON s.t FOR INSERT TO one, "two 2", three WITH CHECK ((a IN (b)));',
            {"one", "two 2", "three"},
        ),
        ("POLICY", "CREATE POLICY p ON s.t USING ((tenant = CURRENT_USER));", set()),
        (
            "POLICY",
            "CREATE POLICY p ON s.t AS RESTRICTIVE FOR ALL TO CURRENT_USER USING (true);",
            set(),
        ),
        (
            "USER MAPPING",
            "CREATE USER MAPPING FOR \"x y\" SERVER s OPTIONS (\n    password 'TO z'\n);",
            {"x y"},
        ),
        ("USER MAPPING", "CREATE USER MAPPING FOR PUBLIC SERVER s;", set()),
        ("USER MAPPING", "CREATE USER MAPPING FOR public SERVER s;", set()),
        ("FUNCTION", "CREATE FUNCTION f() AS 'GRANT a TO b';", set()),
    ],
)
def test_roles_of_owners_grants_policies_and_mappings_are_found(
    desc: str, statement: str, expected: set[str]
) -> None:
    """Owners, grantees, grantors, those of policies and mappings; no words, columns, literals."""
    assert expected | {_OWNER} == roles_named(_toc(Schema("x", desc, statement)))


def test_owners_of_event_triggers_must_be_superusers() -> None:
    """The owner of an event trigger must be a superuser; that of a table need not be."""
    assert frozenset() == superusers_named(_toc(Schema("t")))
    assert {_OWNER} == superusers_named(_toc(Schema("t", "EVENT TRIGGER")))


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (
            "CREATE DATABASE shop WITH ENCODING = 'UTF8' LOCALE_PROVIDER = libc LOCALE = 'de_DE';",
            {"LOCALE_PROVIDER": "libc", "LOCALE": "de_DE"},
        ),
        (
            "CREATE DATABASE \"LOCALE = 'x'\" WITH LC_COLLATE = 'C' ICU_LOCALE = 'de';",
            {"LC_COLLATE": "C", "ICU_LOCALE": "de"},
        ),
    ],
)
def test_locale_options_of_the_database_are_found(statement: str, expected: dict[str, str]) -> None:
    """The options that say the locale, and no other; a database's name is none."""
    assert expected == database_locale(_toc(Schema("shop", "DATABASE", statement)))
    assert {} == database_locale(_toc(Schema("t")))
