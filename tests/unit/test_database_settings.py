"""Which of a database's own settings a restore has from its beginning."""

from __future__ import annotations

import pytest

from pgvow.postgres.database_settings import needed_by_restore, setting_name
from pgvow.postgres.statements import statements, written


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("ALTER DATABASE shop SET \"TimeZone\" TO 'Asia/Tokyo'", "timezone"),
        ('ALTER DATABASE "a SET b" SET "my.Own" TO \'x\'', "my.own"),
        ("ALTER DATABASE shop SET search_path TO '$user', 'own'", "search_path"),
        ("ALTER ROLE app IN DATABASE shop SET work_mem TO '9MB'", None),
        ("ALTER DATABASE shop CONNECTION LIMIT = 7", None),
        ("ALTER DATABASE shop IS_TEMPLATE = true", None),
        ("GRANT CONNECT ON DATABASE shop TO app", None),
        ("SECURITY LABEL FOR x ON DATABASE shop IS 'y'", None),
    ],
)
def test_only_settings_for_all_roles_have_a_name(statement: str, expected: str | None) -> None:
    """Only what sets something for all roles of the database has a name."""
    (found,) = statements(f"{statement};\n")
    assert expected == setting_name(found)


def test_settings_that_expressions_depend_on_are_needed_by_a_restore() -> None:
    """What an expression may depend on is needed, what stops a restore or is of the machine not."""
    text = (
        "ALTER DATABASE d SET \"TimeZone\" TO 'UTC';\n"
        "ALTER DATABASE d SET default_transaction_read_only TO 'on';\n"
        "ALTER DATABASE d SET role TO 'app';\n"
        "ALTER DATABASE d SET session_preload_libraries TO 'nowhere';\n"
        "ALTER DATABASE d SET maintenance_work_mem TO '64GB';\n"
        "ALTER DATABASE d SET \"app.tenant\" TO '7';\n"
        "ALTER ROLE app IN DATABASE d SET \"TimeZone\" TO 'Asia/Tokyo';\n"
    )
    found = [written(one).decode() for one in needed_by_restore(statements(text))]
    assert [
        "ALTER DATABASE d SET \"TimeZone\" TO 'UTC'",
        "ALTER DATABASE d SET \"app.tenant\" TO '7'",
    ] == found
