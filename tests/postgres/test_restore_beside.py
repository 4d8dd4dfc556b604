"""``restore --into``: tables of a backup stand beside the living ones, which stay as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pgvow.errors import AccessDenied, ConfigurationError, RestoreFailed
from tests.support.beside import CLEAN, Shop
from tests.support.commands import Commands, settings_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.servers import TestServer


@pytest.fixture(scope="module")
def shop(server: TestServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Make the shop and its backup, once for a server."""
    shop = Shop(server, tmp_path_factory.mktemp("shop"))
    yield shop
    shop.drop()


@pytest.mark.majors(15, 18)
def test_a_table_stands_beside_the_living_one_as_it_was(shop: Shop) -> None:
    """Rows, indexes, constraints, defaults, sequences, comments are there; nothing else moved."""
    newest = shop.newest()
    before = shop.living(newest)
    with shop.server.connect(shop.name) as other, other.transaction():
        other.execute("LOCK TABLE orders, customers, lines IN ACCESS EXCLUSIVE MODE")
        result = shop.copy("orders")  # it waits for no lock
    assert before == shop.living(newest)
    assert result.result.comparison is not None
    assert (True, 200) == (result.result.comparison.equal, result.result.comparison.rows)
    assert [(200, 19900)] == shop.ask(
        "SELECT count(*), sum(parent) FROM orders_before WHERE twice = 2 * price"
    )
    assert {
        "orders_before_pkey",
        "orders_before_number_key",
        "orders_before_by_twice",
        "orders_before_some_index",
    } == {
        name
        for (name,) in shop.ask(
            "SELECT indexname FROM pg_indexes WHERE tablename = 'orders_before'"
        )
    }
    assert [("all orders", "free text")] == shop.ask(
        "SELECT obj_description('orders_before'::regclass),"
        " col_description('orders_before'::regclass, (SELECT attnum FROM pg_attribute"
        " WHERE attrelid = 'orders_before'::regclass AND attname = 'note'))"
    )
    assert [("c", "positive"), ("f", "orders_parent_fkey")] == shop.ask(
        "SELECT contype::text, conname FROM pg_constraint WHERE contype IN ('c', 'f')"
        " AND conrelid = 'orders_before'::regclass ORDER BY 1"
    )
    with shop.server.connect(shop.name) as session:
        row = session.execute(
            "INSERT INTO orders_before (customer, price) VALUES (99, 1)"
            " RETURNING id, number, ticket, mood::text"
        ).fetchone()
        session.rollback()
    assert (201, 201, 700, "glad") == row
    shop.server.psql(shop.name, "DROP TABLE orders_before")
    assert before == shop.living(newest)
    assert CLEAN == shop.remains()


@pytest.mark.majors(18)
def test_nobody_may_read_a_copy_but_the_owner_of_the_table(shop: Shop) -> None:
    """Grants and default privileges give nothing; policies are named, and rows stay guarded."""
    result = shop.copy("orders", name="orders_then")
    reader = f"{shop.role}_reader"
    assert [(shop.role, True, False, False, False)] == shop.ask(
        "SELECT pg_get_userbyid(relowner)::text, relrowsecurity, relforcerowsecurity,"
        " has_table_privilege(%s, oid, 'SELECT'), has_any_column_privilege(%s, oid, 'SELECT')"
        " FROM pg_class WHERE relname = 'orders_then'",
        reader,
        reader,
    )
    assert [(0, 0)] == shop.ask(
        "SELECT (SELECT count(*) FROM pg_policy WHERE polrelid = 'orders_then'::regclass),"
        " (SELECT count(*) FROM pg_trigger WHERE tgrelid = 'orders_then'::regclass"
        " AND NOT tgisinternal)"
    )
    kinds = sorted(each.kind for each in result.plan.left_out)
    assert ["ACL", "FK CONSTRAINT", "POLICY", "TRIGGER"] == kinds
    key = next(each for each in result.plan.left_out if each.kind == "FK CONSTRAINT")
    assert key.statement.startswith('ALTER TABLE ONLY "public"."orders_then"\n')
    assert "FOREIGN KEY (customer) REFERENCES public.customers(id)" in key.statement
    (_, lacking), (_, drop) = result.queries
    assert list(range(191, 201)) == sorted(row[0] for row in shop.ask(lacking))
    shop.server.psql(shop.name, drop)


@pytest.mark.majors(15, 18)
def test_a_table_that_was_dropped_comes_back_with_its_partitions(shop: Shop) -> None:
    """Under its own names, which are free; a partition alone becomes a table beside them."""
    newest = shop.newest()
    before = shop.living(newest)
    result = shop.copy("events")
    assert result.result.comparison is not None
    assert (True, 700) == (result.result.comparison.equal, result.result.comparison.rows)
    assert {"events", "events_24", '"Other 25"', "h0", "h1"} == {
        name
        for (name,) in shop.ask("SELECT relid::regclass::text FROM pg_partition_tree('events')")
    }
    assert [(700, 3)] == shop.ask("SELECT count(*), count(DISTINCT mood) FROM events")
    shop.copy("events")
    assert [(700,)] == shop.ask("SELECT count(*) FROM events_before")
    assert {"events_before_24", "events_before_Other 25", "events_before_h0"} <= {
        name for (name,) in shop.ask("SELECT relname FROM pg_class WHERE relispartition")
    }
    shop.copy("events_24", name="one_part")
    assert [(365, False)] == shop.ask(
        "SELECT count(*), (SELECT relispartition FROM pg_class WHERE relname = 'one_part')"
        " FROM one_part"
    )
    shop.server.psql(shop.name, "DROP TABLE events, events_before, one_part")
    assert before == shop.living(newest)


@pytest.mark.majors(15, 18)
def test_several_tables_stand_in_a_schema_of_their_own(shop: Shop) -> None:
    """It is made; names of any letters stay, a child of another table stands alone."""
    names = ('Größe "x" y.Ünï "q" z', "heir", "lines", "orders")
    result = shop.copy(*names, schema='Früher "1"')
    assert result.plan.makes_schema
    place = '"Früher ""1"""'
    assert [(2, 1, 200)] == shop.ask(
        """SELECT (SELECT count(*) FROM "Früher ""1""\"."Ünï ""q"" z" WHERE "Id" < 3),
        (SELECT count(*) FROM "Früher ""1""\".heir WHERE b = 'two'),
        (SELECT count(*) FROM "Früher ""1""\".orders)"""
    )
    # The owner of a table may use the schema, and nobody else but who made it.
    assert [(True, False)] == shop.ask(
        "SELECT has_schema_privilege(%s, oid, 'USAGE'), has_schema_privilege(%s, oid, 'USAGE')"
        " FROM pg_namespace WHERE nspname = 'Früher \"1\"'",
        shop.role,
        f"{shop.role}_reader",
    )
    assert [(0,)] == shop.ask(
        "SELECT count(*) FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid"
        " WHERE c.relnamespace = %s::regnamespace AND c.relkind = 'r'",
        place,
    )
    # A foreign key between two copies is kept: it refers to the copy.
    assert [(f"{place}.orders",)] == shop.ask(
        "SELECT confrelid::regclass::text FROM pg_constraint"
        " WHERE conrelid = %s::regclass AND contype = 'f'",
        f"{place}.lines",
    )
    shop.server.psql(shop.name, f"DROP SCHEMA {place} CASCADE")
    shop.copy("orders", schema="alone")
    assert [(shop.role,)] == shop.ask(
        "SELECT pg_get_userbyid(nspowner)::text FROM pg_namespace WHERE nspname = 'alone'"
    )
    shop.server.psql(shop.name, "DROP SCHEMA alone CASCADE")
    assert CLEAN == shop.remains()


@pytest.mark.majors(18)
def test_an_obstacle_is_named_before_anything_is_made(shop: Shop) -> None:
    """A name that is taken, a type that is missing, a role without rights, options at odds."""
    with pytest.raises(RestoreFailed, match="something named lines in the schema public"):
        shop.plan("orders", name="lines")
    with pytest.raises(RestoreFailed, match="something named mood"):
        shop.plan("orders", name="mood")
    with pytest.raises(ConfigurationError, match="totals is a materialized view"):
        shop.plan("totals")
    with pytest.raises(RestoreFailed, match="there is no database nowhere"):
        shop.plan("orders", database="nowhere")
    with pytest.raises(ConfigurationError, match="2 tables need a schema"):
        shop.plan("orders", "lines")
    with pytest.raises(ConfigurationError, match="none is named"):
        shop.plan()
    shop.server.psql(shop.name, "ALTER FUNCTION doubled(int) RENAME TO doubled_now")
    with pytest.raises(
        RestoreFailed, match=r"that the copy needs: function public.doubled\(integer\)"
    ):
        shop.copy("orders", name="orders_then")
    shop.server.psql(shop.name, "ALTER FUNCTION doubled_now(int) RENAME TO doubled")
    shop.server.psql(shop.name, "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'")
    with pytest.raises(RestoreFailed, match="invalid input value for enum") as got:
        shop.copy("orders", name="orders_then")
    assert "types and functions are today's" in got.value.steps[0]
    shop.server.psql(shop.name, "ALTER TYPE mood RENAME VALUE 'blue' TO 'sad'")
    shop.server.psql("postgres", f"ALTER ROLE {shop.role} LOGIN PASSWORD 'x'")
    user = {
        **settings_for(shop.server, "postgres"),
        "DEV_DB_USER": shop.role,
        "DEV_DB_PASSWORD": "x",
    }
    with pytest.raises(AccessDenied, match=r"CREATEDB.*CREATE on the database"):
        shop.copy("orders", name="orders_then", user=user)
    assert CLEAN == shop.remains()


@pytest.mark.majors(18)
def test_a_role_that_may_create_databases_is_enough(shop: Shop) -> None:
    """No superuser is needed: the copy belongs to the role, default privileges give nothing."""
    grant = f"CREATE ON DATABASE {shop.name}"
    shop.server.psql(
        shop.name,
        f"ALTER ROLE {shop.role} LOGIN PASSWORD 'x' CREATEDB; GRANT {grant} TO {shop.role};"
        f" GRANT CREATE ON SCHEMA public TO {shop.role};"
        f" ALTER DEFAULT PRIVILEGES FOR ROLE {shop.role}"
        f" GRANT ALL ON TABLES TO {shop.role}_reader, PUBLIC",
    )
    user = {
        **settings_for(shop.server, "postgres"),
        "DEV_DB_USER": shop.role,
        "DEV_DB_PASSWORD": "x",
    }
    shop.copy("orders", name="mine", user=user)
    assert [(shop.role, False)] == shop.ask(
        "SELECT pg_get_userbyid(relowner)::text,"
        " has_table_privilege(%s, oid, 'SELECT') FROM pg_class WHERE relname = 'mine'",
        f"{shop.role}_reader",
    )
    shop.server.psql(
        shop.name,
        f"DROP TABLE mine; ALTER DEFAULT PRIVILEGES FOR ROLE {shop.role}"
        f" REVOKE ALL ON TABLES FROM {shop.role}_reader, PUBLIC;"
        f" REVOKE {grant} FROM {shop.role}; REVOKE CREATE ON SCHEMA public FROM {shop.role};"
        f" ALTER ROLE {shop.role} NOCREATEDB",
    )
    assert CLEAN == shop.remains()


@pytest.mark.majors(18)
def test_the_command_shows_its_plan_and_wants_a_yes(shop: Shop) -> None:
    """In production nothing is made unconfirmed; the JSON names the copy, the text the queries."""
    prod = settings_for(shop.server, "postgres", environment="prod")
    commands = Commands(shop.dump.parent, prod)
    words = ("restore", shop.dump, "--env", "prod", "--table", "orders", "--into", shop.name)
    refused = commands.pgvow(*words)
    assert 10 == refused.code, refused.err
    assert "public.orders_before, 200 rows of public.orders" in refused.err
    assert "Left out: foreign key public.orders orders_customer_fkey" in refused.err
    assert "Left out: grants on public.orders\n" in refused.err
    assert "2 keys, 1 foreign key, 2 indexes, 3 sequences, 1 statistics object" in refused.err
    assert "--yes" in refused.err
    assert [(None,)] == shop.ask("SELECT to_regclass('orders_before')::text")
    answered = commands.on_terminal(*words, answers=[("to go on: ", f"{shop.name}\n")])
    assert 0 == answered.code, answered.text
    assert f"1 table restored into {shop.name}" in answered.text
    assert 'ALTER TABLE ONLY "public"."orders_before"' in answered.text
    made = commands.pgvow(*words, "--as", "again", "--yes", "--json")
    assert 0 == made.code, made.err
    copy = made.json["beside"]
    assert ("public", "again", 200, shop.role) == (
        copy["copy_schema"],
        *(copy["tables"][0][key] for key in ("copy_name", "rows", "owner")),
    )
    purposes = ["rows of the backup that public.orders lacks", "when the copy is no longer needed"]
    assert purposes == [each["purpose"] for each in copy["queries"]]
    shop.server.psql(shop.name, "DROP TABLE orders_before, again")


@pytest.mark.majors(18)
def test_code_of_the_backup_does_not_run_with_the_rights_of_a_superuser(shop: Shop) -> None:
    """A check that would notice is evaluated in the living database by a role that is none."""
    shop.copy("guarded", name="guarded_too")
    assert [(1,)] == shop.ask("SELECT id FROM guarded_too")
    shop.server.psql(shop.name, "DROP TABLE guarded_too")
    assert CLEAN == shop.remains()
