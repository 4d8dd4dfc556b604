"""pg_dump's statements about a database and its roles are told apart and renamed soundly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgvow.postgres.statements import (
    for_database,
    quoted,
    role_set,
    roles_in,
    setting_of,
    statements,
    with_roles,
    without_setting,
    written,
)

_NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


def renamed(text: str, name: str) -> list[str]:
    """Write another database's name into each statement of a text."""
    return [written(for_database(one, name)).decode() for one in statements(text)]


def mapped(text: str, roles: dict[str, str]) -> list[str]:
    """Write other roles into each statement of a text."""
    return [
        written(with_roles(one, lambda name: roles.get(name, name))).decode()
        for one in statements(text)
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'CREATE DATABASE "a ""b" WITH TEMPLATE = template0 LOCALE = \'DATABASE x\';\n',
            ["CREATE DATABASE \"new\" WITH TEMPLATE = template0 LOCALE = 'DATABASE x'"],
        ),
        (
            "ALTER DATABASE shop SET a TO 'x; DATABASE shop';\nALTER DATABASE shop SET b TO 1;",
            [
                "ALTER DATABASE \"new\" SET a TO 'x; DATABASE shop'",
                'ALTER DATABASE "new" SET b TO 1',
            ],
        ),
        (
            "ALTER ROLE database IN DATABASE database SET a TO E'it''s \\\\';",
            ["ALTER ROLE database IN DATABASE \"new\" SET a TO E'it''s \\\\'"],
        ),
        (
            "-- DATABASE x;\nREVOKE CONNECT ON DATABASE shop FROM PUBLIC;\nRESET ALL;",
            ['REVOKE CONNECT ON DATABASE "new" FROM PUBLIC', "RESET ALL"],
        ),
        (
            "COMMENT ON DATABASE shop IS 'of DATABASE shop';",
            ["COMMENT ON DATABASE \"new\" IS 'of DATABASE shop'"],
        ),
        ("\\connect postgres\n\nSET a = b;\n\\restrict x;y\n", ["SET a = b"]),
    ],
)
def test_only_the_database_name_is_replaced(text: str, expected: list[str]) -> None:
    """Only the name behind the word DATABASE is another; literals and roles stay."""
    assert expected == renamed(text, "new")


@given(_NAMES, _NAMES, _NAMES)
def test_any_database_name_is_replaced(old: str, new: str, value: str) -> None:
    """Whatever the names and values are, the old name goes and nothing else does."""
    literal = "'" + value.replace("'", "''") + "'"
    text = f"ALTER DATABASE {quoted(old)} SET a TO {literal};\n"
    assert [f"ALTER DATABASE {quoted(new)} SET a TO {literal}"] == renamed(text, new)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GRANT ALL ON TABLE app TO app;", 'GRANT ALL ON TABLE app TO "x"'),
        ('REVOKE ALL ON TABLE t FROM "app";', 'REVOKE ALL ON TABLE t FROM "x"'),
        (
            "CREATE POLICY app ON app FOR ALL TO a, app USING ((EXISTS ( SELECT 1 FROM app)));",
            'CREATE POLICY app ON app FOR ALL TO a, "x" USING ((EXISTS ( SELECT 1 FROM app)))',
        ),
        (
            "ALTER DEFAULT PRIVILEGES FOR ROLE app IN SCHEMA app GRANT ALL ON TABLES TO b;",
            'ALTER DEFAULT PRIVILEGES FOR ROLE "x" IN SCHEMA app GRANT ALL ON TABLES TO b',
        ),
        (
            "CREATE USER MAPPING FOR app SERVER app OPTIONS (\n user 'TO app'\n);",
            "CREATE USER MAPPING FOR \"x\" SERVER app OPTIONS (\n user 'TO app'\n)",
        ),
        ("GRANT ALL ON FUNCTION f(a app) TO app;", 'GRANT ALL ON FUNCTION f(a app) TO "x"'),
        ('GRANT ALL ON TABLE t TO "App";', 'GRANT ALL ON TABLE t TO "App"'),
        ("GRANT ALL ON TABLE t TO _1 WITH x;", 'GRANT ALL ON TABLE t TO "y" WITH x'),
    ],
)  # fmt: skip
def test_only_roles_are_renamed(text: str, expected: str) -> None:
    """Roles are renamed where roles stand, and tables, columns and texts of that name are not."""
    assert [expected] == mapped(text, {"app": "x", "_1": "y"})


@pytest.mark.parametrize(
    ("text", "roles", "set_for"),
    [
        ("ALTER ROLE app IN DATABASE d SET work_mem TO '9MB'", {"app"}, "app"),
        ('ALTER ROLE "The App" IN DATABASE "TO x" SET a TO \'b\'', {"The App"}, "The App"),
        ("ALTER DATABASE d SET search_path TO 'own', 'app'", set(), None),
        ("ALTER DATABASE role CONNECTION LIMIT = 7", set(), None),
        ("GRANT CONNECT ON DATABASE d TO app WITH GRANT OPTION", {"app"}, None),
        ("REVOKE CONNECT,TEMPORARY ON DATABASE d FROM PUBLIC", set(), None),
        ("SET SESSION AUTHORIZATION app", {"app"}, None),
        ("SECURITY LABEL FOR provider ON DATABASE d IS 'secret'", set(), None),
    ],
)
def test_roles_named_by_database_statements_are_found(
    text: str, roles: set[str], set_for: str | None
) -> None:
    """Whom a statement about a database names, and for whom it sets something."""
    (statement,) = statements(f"{text};")
    assert roles == roles_in(statement)
    assert set_for == role_set(statement)


def test_undecodable_bytes_are_kept() -> None:
    """Names of a SQL_ASCII database may be any bytes."""
    text = b"ALTER DATABASE x SET a TO '\xe9';".decode("utf-8", "surrogateescape")
    (statement,) = statements(text)
    assert b"ALTER DATABASE x SET a TO '\xe9'" == written(statement)


def test_a_setting_is_found_and_removed_from_a_statement() -> None:
    """What stands behind ``KEYWORD =`` is found and left out; a name or literal alike is not."""
    rest = """CREATE DATABASE "TABLESPACE = x" WITH LOCALE = 'TABLESPACE = y' """
    (found,) = statements(rest + """TABLESPACE = "My ""own";""")
    assert 'My "own' == setting_of(found, "TABLESPACE")
    assert rest.encode() == written(without_setting(found, "TABLESPACE"))
    (without,) = statements(rest + ";")
    assert None is setting_of(without, "TABLESPACE")
    assert without == without_setting(without, "TABLESPACE")
