"""Which entries only a superuser can restore."""

from __future__ import annotations

import io

import pytest

from pgvow.archive import read_toc, superuser_entries
from tests.support.archives import Schema, Spec, Table, build

_FUNCTION = "CREATE FUNCTION public.f(integer) RETURNS integer\n    LANGUAGE {}\n    AS $$x$$;\n"


def _needing(*parts: Schema | Table) -> list[str]:
    entries = read_toc(io.BytesIO(build(Spec(parts=parts)))).entries
    above = superuser_entries(entries)
    return [f"{entry.desc} {entry.tag}" for entry in entries if entry.dump_id in above]


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        (_FUNCTION.format("plpgsql"), []),
        (_FUNCTION.format("sql IMMUTABLE STRICT"), []),
        (_FUNCTION.format("c IMMUTABLE"), ["FUNCTION f"]),
        (_FUNCTION.format("internal"), ["FUNCTION f"]),
        (_FUNCTION.format('"plpython3u"'), ["FUNCTION f"]),
        (_FUNCTION.format("plpgsql LEAKPROOF"), ["FUNCTION f"]),
        (_FUNCTION.format("sql SUPPORT public.helps"), ["FUNCTION f"]),
        (
            _FUNCTION.format("plpgsql\n    SET session_replication_role TO 'replica'"),
            ["FUNCTION f"],
        ),
        (_FUNCTION.format("plpgsql\n    SET search_path TO 'public'"), []),
    ],
)
def test_functions_need_a_superuser_by_language_and_attributes(
    definition: str, expected: list[str]
) -> None:
    """By language, and by attributes and settings that only a superuser may give."""
    assert expected == _needing(Schema("f", "FUNCTION", definition))


def test_a_comment_needs_the_owner_of_its_object() -> None:
    """Only the owner may comment, and an extension's is the superuser who made it."""
    assert ["EXTENSION e", "COMMENT EXTENSION e"] == _needing(
        Schema("t"),
        Schema("e", "EXTENSION"),
        Schema("EXTENSION e", "COMMENT", depends_on=(8,)),
        Schema("TABLE t", "COMMENT", depends_on=(7,)),
    )


def test_base_types_need_a_superuser() -> None:
    """A base type needs one, with its shell; an enum, a composite and a range do not."""
    base = "CREATE TYPE public.b (\n    INTERNALLENGTH = 16,\n    INPUT = public.b_in\n);\n"
    assert ["SHELL TYPE b", "TYPE b"] == _needing(
        Schema("b", "SHELL TYPE", "CREATE TYPE public.b;\n"),
        Schema("b", "TYPE", base),
        Schema("r", "SHELL TYPE", "CREATE TYPE public.r;\n"),
        Schema("r", "TYPE", "CREATE TYPE public.r AS RANGE (\n    subtype = integer\n);\n"),
        Schema("e", "TYPE", "CREATE TYPE public.e AS ENUM (\n    'a'\n);\n"),
    )
