"""compare on real servers: its counts are right, and its statements make the tables equal."""

from __future__ import annotations

import io
import random
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import psycopg
import pytest
from psycopg import sql

from pgvow.archive import ArchiveError
from pgvow.errors import AccessDenied, ConfigurationError
from pgvow.model import quote_part
from pgvow.operations.compare import CompareOptions, compare_backup
from pgvow.operations.compare.live import ComparisonFailed
from pgvow.operations.compare.output import OutputFormat
from pgvow.operations.extract import ExtractOptions, RowFormat, extract_table
from pgvow.store import StoredBackup
from tests.support.archives import Spec, Table, build
from tests.support.commands import clean_environment, settings_for
from tests.support.contexts import a_context
from tests.support.inprocess import back_up
from tests.support.scenarios import SCENARIOS, load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pgvow.operations.compare import BackupComparison
    from tests.support.servers import TestServer

_HOSTILE = 'odd "name" :x \\! \n\\q'
_QUOTED = quote_part(_HOSTILE)
_SCHEMA = f"""
CREATE TYPE mood AS ENUM ('sad', 'it''s', '');
CREATE DOMAIN positive AS numeric(12, 3) CHECK (VALUE > 0);
CREATE TABLE {_QUOTED} (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    "col\\""umn
    :y" text, n numeric, f float8, j jsonb, js json, a text[], b bytea, m mood, p positive,
    t timestamptz, i interval, bits bit varying,
    double bigint GENERATED ALWAYS AS (id * 2) STORED
);
CREATE TABLE pairs (k text, v integer, note text, PRIMARY KEY (v, k));
CREATE TABLE unkeyed (note text, n integer);
CREATE TABLE by_index (code text NOT NULL, note text);
CREATE UNIQUE INDEX ON by_index (code);
CREATE TABLE parents (id integer PRIMARY KEY);
CREATE TABLE children (id integer PRIMARY KEY, parent integer NOT NULL REFERENCES parents);
CREATE TABLE threads (id integer PRIMARY KEY, answers integer REFERENCES threads);
INSERT INTO threads SELECT n, nullif(n - 1, 0) FROM generate_series(1, 30) AS n;
CREATE TABLE gone (id integer PRIMARY KEY);
INSERT INTO gone VALUES (1);
INSERT INTO parents SELECT generate_series(1, 30);
INSERT INTO children SELECT n, n FROM generate_series(1, 30) AS n;
INSERT INTO unkeyed SELECT 'same', 1 FROM generate_series(1, 3);
INSERT INTO unkeyed SELECT 'row ' || n, n FROM generate_series(1, 20) AS n;
INSERT INTO by_index SELECT 'c' || n, NULL FROM generate_series(1, 20) AS n;
"""  # noqa: S608 - a name of ours
_TEXTS = [
    *(None, "", "\\N", "\\.", "NULL", "'", "''", "\\'", '"', "a\tb", "a\\\n\\! touch x", "\\q"),
    *(":id", ":'id'", ";", "--", "/*", "$$", "\r\n", "\v\f\b", "é😀", "COMMIT;\n\\! id", " \\"),
]
_ODD = {
    "n": ["NaN", "1.50", "1.5", "-0.0001", "Infinity", None],
    "f": ["NaN", "-Infinity", "0.1", "-0", "1e-300", None],
    "j": ['{"a": "\\\\ \'"}', "[1.50, null]", '"\\n"', None],
    "js": ['{"a" :  1, "a": "\\\\"}', "null", None],
    "a": ["{}", '{"a b",NULL,"NULL","c\\"d\\\\"}', "[0:1]={x,y}", None],
    "b": ["\\x00ff5c27", "\\x", None],
    "m": ["sad", "it's", "", None],
    "p": ["1.000", "99999.123", None],
    "t": ["infinity", "2024-02-29 12:00:00.5+05:30", "0044-03-15 12:00 UTC BC", None],
    "i": ["-1 days +00:00:01", "1 year -2 mons", "-00:00:00.5", None],
    "bits": ["", "101", None],
}
_TEXT_COLUMN = 'col\\"umn\n    :y'


_CONTRARY = {
    "TimeZone": "Asia/Kolkata",
    "DateStyle": "SQL, DMY",
    "IntervalStyle": "sql_standard",
    "extra_float_digits": "-5",
    "bytea_output": "escape",
    "standard_conforming_strings": "off",
    "backslash_quote": "on",
    "search_path": "nowhere",
    "client_encoding": "LATIN1",
    "xmloption": "document",
}


class Setting(NamedTuple):
    """A backup, and the database that it was made of, as it is now."""

    server: TestServer
    database: str
    dump: Path

    def compare(
        self, *tables: str, output: OutputFormat | None = None, deletes: bool = False
    ) -> tuple[BackupComparison, str]:
        """Compare with the database, and return the result and the text that was written."""
        sink = io.BytesIO()
        environ = {**clean_environment(), **settings_for(self.server, self.database)}
        options = CompareOptions(
            "dev", tables=tables, output=output, deletes=deletes, sink=sink if output else None
        )
        result = compare_backup(StoredBackup.at(self.dump), options, a_context(environ))
        return result, sink.getvalue().decode("utf-8", "surrogateescape")

    def run(self, script: str) -> None:
        """Run statements with psql, in an empty directory, until the first error."""
        self.server.psql(self.database, script)

    def be_contrary(self) -> None:
        """Give the database settings under which values are written and read otherwise."""
        with self.server.connect("postgres") as session:
            for name, value in _CONTRARY.items():
                change = sql.SQL("ALTER DATABASE {} SET {} = {}")
                parts = sql.Identifier(self.database), sql.Identifier(name), sql.Literal(value)
                session.execute(change.format(*parts))

    def connect(self) -> psycopg.Connection:
        """Connect to the database."""
        return self.server.connect(self.database)


def _fill(session: psycopg.Connection, chance: random.Random, ids: range) -> None:
    """Insert rows with odd values into the table with an odd name."""
    names = sql.SQL(", ").join(map(sql.Identifier, ("id", _TEXT_COLUMN, *_ODD)))
    for number in ids:
        values = [number, chance.choice(_TEXTS), *map(chance.choice, _ODD.values())]
        session.execute(
            sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ({})").format(
                sql.Identifier(_HOSTILE), names, sql.SQL(", ").join(map(sql.Literal, values))
            )
        )


@pytest.fixture(scope="module")
def backed_up(server: TestServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    """One backup for all tests of a server; each test has its changes rolled forward again."""
    name = server.unique_name("compare")
    server.create_database(name)
    with server.connect(name) as session:
        session.execute(_SCHEMA)
        _fill(session, random.Random(1), range(1, 121))
        for number, text in enumerate(_TEXTS):
            session.execute("INSERT INTO pairs VALUES (%s, %s, %s)", [text or "", number, text])
        session.execute("VACUUM")
    made = back_up(server, name, tmp_path_factory.mktemp("compare"))
    yield Setting(server, name, made.backup.path)
    server.drop_database(name)


@pytest.fixture
def setting(backed_up: Setting) -> Iterator[Setting]:
    """The backup and a copy of its database, for a test that changes it."""
    server, name = backed_up.server, backed_up.server.unique_name("live")
    with server.connect("postgres") as session:
        copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        session.execute(copy.format(sql.Identifier(name), sql.Identifier(backed_up.database)))
    yield Setting(server, name, backed_up.dump)
    server.drop_database(name)


def _counts(result: BackupComparison, title: str) -> tuple[int, int, int]:
    (counts,) = [table.counts for table in result.tables if table.title == title]
    assert counts is not None
    return counts.only_in_backup, counts.only_in_database, counts.different


@pytest.mark.majors(15, 18)
def test_what_was_backed_up_is_equal(setting: Setting) -> None:
    """Every table, by its key; one without a key by whole rows, and a unique index as a key."""
    result, written = setting.compare()
    assert (True, "", ()) == (result.equal, written, result.warnings)
    keys = {table.name: table.key for table in result.tables}
    assert keys[_HOSTILE] == ("id",)
    assert (("v", "k"), ("code",), ()) == (keys["pairs"], keys["by_index"], keys["unkeyed"])


@pytest.mark.majors(15, 18)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_statements_make_the_tables_equal(setting: Setting, seed: int) -> None:
    """Rows are deleted, changed and added at random: psql runs the statements, and all is equal.

    So it is in a database whose own settings have values written and read otherwise.
    """
    chance = random.Random(seed)
    with setting.connect() as session:
        odd = sql.Identifier(_HOSTILE)
        for column, values in {_TEXT_COLUMN: _TEXTS, **_ODD}.items():
            change = sql.SQL("UPDATE {} SET {} = {} WHERE id % 7 = {}")
            wanted = sql.Literal(chance.choice(values)), sql.Literal(chance.randrange(7))
            session.execute(change.format(odd, sql.Identifier(column), *wanted))
        session.execute(sql.SQL("DELETE FROM {} WHERE id % 5 = 0").format(odd))
        _fill(session, chance, range(200, 230))
        session.execute("DELETE FROM pairs WHERE v % 3 = 0")
        session.execute("UPDATE pairs SET note = k || note || 'x' WHERE v % 3 = 1")
        session.execute("INSERT INTO pairs VALUES (E'new\\n\\\\', 1, '')")
        session.execute("DELETE FROM children WHERE id > 5")
        session.execute("DELETE FROM parents WHERE id > 20")
        session.execute("INSERT INTO parents SELECT generate_series(100, 110)")
        session.execute("INSERT INTO children SELECT n, n FROM generate_series(100, 110) AS n")
        session.execute("UPDATE by_index SET note = 'changed' WHERE code < 'c15'")
        session.execute("DELETE FROM threads WHERE id > 8")
        session.execute("UPDATE threads SET answers = 8 WHERE id = 3")
    if seed == 2:
        setting.be_contrary()
    names = (_QUOTED, "pairs", "children", "parents", "by_index", "threads")
    before, script = setting.compare(*names, output=OutputFormat.SQL, deletes=True)
    assert not before.equal
    assert (10, 11, 0) == _counts(before, "parents")
    setting.run(script)
    after, nothing = setting.compare(output=OutputFormat.SQL)
    assert after.equal, [table for table in after.tables if not table.equal]
    assert not any(word in nothing for word in ("INSERT", "UPDATE", "DELETE"))


@pytest.mark.majors(15, 18)
def test_nothing_is_deleted_unless_it_is_asked_for(setting: Setting) -> None:
    """Without --deletes rows that only the database has stay, and the others are brought back."""
    with setting.connect() as session:
        session.execute("DELETE FROM pairs WHERE v < 4")
        session.execute("INSERT INTO pairs VALUES ('new', 1000, 'new')")
    _, script = setting.compare("pairs", output=OutputFormat.SQL)
    assert "DELETE" not in script
    setting.run(script)
    assert (0, 1, 0) == _counts(setting.compare("pairs")[0], "pairs")


@pytest.mark.majors(18)
def test_rows_without_a_key_are_a_multiset(setting: Setting) -> None:
    """Copies of a row count; INSERTs bring them back, and a DELETE is refused with the reason."""
    with setting.connect() as session:
        session.execute(
            "DELETE FROM unkeyed WHERE ctid IN"
            " (SELECT ctid FROM unkeyed WHERE note = 'same' LIMIT 2) OR n = 7"
        )
        session.execute("INSERT INTO unkeyed VALUES ('row 8', 8)")
    result, script = setting.compare("unkeyed", output=OutputFormat.SQL)
    assert (3, 1, 0) == _counts(result, "unkeyed")
    assert 2 == script.count("VALUES ('same', '1')")
    with pytest.raises(ConfigurationError, match="unkeyed: it has no key"):
        setting.compare("unkeyed", output=OutputFormat.SQL, deletes=True)
    setting.run(script)
    assert (0, 1, 0) == _counts(setting.compare("unkeyed")[0], "unkeyed")


@pytest.mark.majors(18)
def test_csv_has_both_sides_of_each_row(setting: Setting) -> None:
    """A column says how a row differs; NULL is an empty field, an empty text is quoted."""
    with setting.connect() as session:
        session.execute("UPDATE by_index SET note = '' WHERE code = 'c1'")
        session.execute("DELETE FROM by_index WHERE code = 'c2'")
        session.execute("INSERT INTO by_index VALUES ('a,b', 'say \"x\"')")
    _, written = setting.compare("by_index", output=OutputFormat.CSV)
    assert (
        "difference,backup.code,database.code,backup.note,database.note\r\n"
        'only in database,,"a,b",,"say ""x"""\r\n'
        'different,c1,c1,,""\r\n'
        "only in backup,c2,,,\r\n"
    ) == written
    with pytest.raises(ConfigurationError, match="2 tables are no table of CSV"):
        setting.compare("by_index", "pairs", output=OutputFormat.CSV)


@pytest.mark.majors(15, 18)
def test_columns_and_tables_of_one_side_are_told(setting: Setting) -> None:
    """The columns that both have are compared; a table that is gone is named, and no error."""
    with setting.connect() as session:
        session.execute("ALTER TABLE pairs DROP COLUMN note, ADD COLUMN added integer DEFAULT 1")
        session.execute("ALTER TABLE by_index RENAME COLUMN code TO coded")
        session.execute("DROP TABLE gone")
    result, script = setting.compare("pairs", "by_index", "gone", output=OutputFormat.SQL)
    pairs, by_index, gone = result.tables
    assert (("note",), ("added",)) == (pairs.only_in_backup, pairs.only_in_database)
    assert (False, True) == (pairs.equal, pairs.counts is not None and pairs.counts.equal)
    assert ("v", "k") == pairs.key
    assert ((), ("code",)) == (by_index.key, by_index.only_in_backup)
    assert gone.counts is None
    assert "no such table" in (gone.not_compared or "")
    assert not result.equal
    for remark in ("pairs: only the database has the column added", "gone was not compared: the"):
        assert any(remark in each for each in result.warnings)
        assert f"-- {remark}" in script


@pytest.mark.majors(18)
def test_several_rows_of_one_key_are_counted_and_not_written(setting: Setting) -> None:
    """A database that lost its primary key: rows are paired; one UPDATE would change them all."""
    with setting.connect() as session:
        session.execute("ALTER TABLE pairs DROP CONSTRAINT pairs_pkey")
        session.execute("INSERT INTO pairs SELECT k, v, 'second' FROM pairs WHERE v = 3")
    result, _ = setting.compare("pairs")
    assert (0, 1, 0) == _counts(result, "pairs")
    with setting.connect() as session:
        session.execute("UPDATE pairs SET note = 'first' WHERE v = 3 AND note <> 'second'")
    with pytest.raises(ConfigurationError, match="several rows of one key"):
        setting.compare("pairs", output=OutputFormat.SQL)


@pytest.mark.majors(18)
def test_the_database_is_only_read(setting: Setting) -> None:
    """No transaction of ours has an id that only one which writes has."""
    with setting.connect() as session:
        before = session.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()
    setting.compare(output=OutputFormat.SQL)
    with setting.connect() as session:
        after = session.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()
    assert before is not None
    assert after == (before[0] + 1,)


@pytest.mark.majors(18)
def test_a_locked_table_ends_the_comparison_in_time(setting: Setting) -> None:
    """Another session's ACCESS EXCLUSIVE lock: an error that names the table, and no rows."""
    environ = {**clean_environment(), **settings_for(setting.server, setting.database)}
    context = a_context(environ)
    section = context.configuration.backup
    object.__setattr__(section, "lock_wait_timeout", 0.3)
    sink = io.BytesIO()
    try:
        with setting.connect() as session, session.transaction():
            session.execute("LOCK TABLE pairs")
            options = CompareOptions("dev", output=OutputFormat.SQL, sink=sink)
            with pytest.raises(ComparisonFailed, match="keeps the table pairs locked"):
                compare_backup(StoredBackup.at(setting.dump), options, context)
    finally:
        object.__setattr__(section, "lock_wait_timeout", 60)
    assert b"" == sink.getvalue()


@pytest.mark.majors(18)
def test_a_database_is_named_in_each_way(setting: Setting) -> None:
    """An environment, a name on the server of --env, a URL, and a connection string."""
    server, name = setting.server, setting.database
    environ = {**clean_environment(), **settings_for(server, "postgres")}
    string = f"host={server.socket_dir} port={server.port} dbname={name} user={server.superuser}"
    url = (
        f"postgresql://{server.superuser}:{server.password}@/{name}"
        f"?host={server.socket_dir}&port={server.port}"
    )
    for live in (name, string + f" password={server.password}", url):
        options = CompareOptions(live, "dev", ("parents",))
        result = compare_backup(StoredBackup.at(setting.dump), options, a_context(environ))
        assert (True, name, None) == (result.equal, result.server.database, result.environment)
        assert server.password not in repr(options)
    for wrong in ("postgresql://u@h:x/d", "host=h user", "service=mine dbname=x", "host=h"):
        options = CompareOptions(wrong, "dev", ("parents",))
        with pytest.raises(ConfigurationError, match="--with"):
            compare_backup(StoredBackup.at(setting.dump), options, a_context(environ))


@pytest.mark.majors(18)
def test_a_role_that_may_not_read_is_refused(setting: Setting) -> None:
    """Without SELECT, or where row security hides rows: permission denied, and no counts."""
    server = setting.server
    environ = {**clean_environment(), **settings_for(server, setting.database)}
    role = server.unique_name("reader")
    with setting.connect() as session:
        session.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")  # type: ignore[arg-type]
        session.execute(f"GRANT SELECT ON pairs TO {role}")  # type: ignore[arg-type]
        session.execute("ALTER TABLE pairs ENABLE ROW LEVEL SECURITY")
        try:
            environ |= {"DEV_DB_USER": role, "DEV_DB_PASSWORD": "secret"}
            for table in ("parents", "pairs"):
                with pytest.raises(AccessDenied):
                    compare_backup(
                        StoredBackup.at(setting.dump),
                        CompareOptions("dev", tables=(table,)),
                        a_context(environ),
                    )
        finally:
            session.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")  # type: ignore[arg-type]


@pytest.mark.majors(18)
def test_statements_fail_if_row_security_hides_a_row(setting: Setting) -> None:
    """An UPDATE that silently changed nothing would pass for rows brought back."""
    role = setting.server.unique_name("writer")
    with setting.connect() as session:
        session.execute("UPDATE pairs SET note = 'other' WHERE v = 5")
        _, script = setting.compare("pairs", output=OutputFormat.SQL)
        session.execute("ALTER TABLE pairs ENABLE ROW LEVEL SECURITY")
        session.execute(f"CREATE ROLE {role}")  # type: ignore[arg-type]
        session.execute(f"GRANT SELECT, UPDATE ON pairs TO {role}")  # type: ignore[arg-type]
        session.execute(f"SET ROLE {role}")  # type: ignore[arg-type]
        try:
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
                session.execute(script)  # type: ignore[arg-type]
        finally:
            session.execute("ROLLBACK; RESET ROLE")
            session.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")  # type: ignore[arg-type]


@pytest.mark.majors(18)
def test_a_damaged_archive_prints_nothing(setting: Setting, tmp_path: Path) -> None:
    """A row with a field too few behind good ones: damage, with the table's name, and no rows."""
    copy = "COPY public.pairs (k, v, note) FROM stdin;\n"
    path = tmp_path / "damaged.dump"
    path.write_bytes(build(Spec((Table("pairs", b"new\t-1\tx\nshort\t5\n", copy_stmt=copy),))))
    sink = io.BytesIO()
    environ = {**clean_environment(), **settings_for(setting.server, setting.database)}
    options = CompareOptions("dev", output=OutputFormat.SQL, sink=sink)
    with pytest.raises(ArchiveError, match="3 columns") as damage:
        compare_backup(StoredBackup.at(path), options, a_context(environ))
    assert ("public.pairs", b"") == (damage.value.table, sink.getvalue())


@pytest.mark.majors(15, 18)
def test_extracted_inserts_fill_an_empty_table(setting: Setting) -> None:
    """extract --format insert: psql runs it into the emptied table, and nothing differs."""
    key = _QUOTED
    sink = io.BytesIO()
    options = ExtractOptions(key, RowFormat.INSERT, sink)
    extract_table(StoredBackup.at(setting.dump), options, a_context({}))
    with setting.connect() as session:
        session.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier(_HOSTILE)))
    setting.run(sink.getvalue().decode())
    assert setting.compare(key)[0].equal


@pytest.mark.parametrize(
    ("name", "server"),
    [
        *[(name, 18) for name in ("types", "hostile_names", "generated_identity", "foreign_keys")],
        *[(name, 18) for name in ("encoding_latin1", "encoding_sql_ascii", "no_columns")],
        ("types", 15),
        ("generated_identity", 15),
    ],
    indirect=["server"],
)
def test_deleted_rows_of_every_scenario_come_back(
    server: TestServer, name: str, tmp_path: Path
) -> None:
    """A third of the rows of each table are deleted: psql runs the statements, and all is equal."""
    (scenario,) = [each for each in SCENARIOS if each.name == name]
    database = load(server, scenario)
    try:
        setting = Setting(server, database, back_up(server, database, tmp_path).backup.path)
        assert setting.compare()[0].equal
        with setting.connect() as session:
            if name == "encoding_sql_ascii":
                session.execute("SET client_encoding = 'LATIN1'")
            tables = session.execute(
                "SELECT n.nspname, c.relname FROM pg_class AS c"
                " JOIN pg_namespace AS n ON n.oid = c.relnamespace"
                " WHERE c.relkind = 'r' AND n.nspname !~ '^(pg_|information)'"
            ).fetchall()
            session.execute("SET session_replication_role = replica")
            for table in tables:
                with suppress(psycopg.Error):
                    session.execute(
                        sql.SQL("DELETE FROM ONLY {} WHERE hashtext(ctid::text) % 3 = 0").format(
                            sql.Identifier(*table)
                        )
                    )
        before, script = setting.compare(output=OutputFormat.SQL)
        assert not before.equal
        setting.be_contrary()
        path = tmp_path / "script.sql"
        # Its foreign keys are a circle, which no order of statements respects.
        begin = "SET session_replication_role = replica;\n" if name == "foreign_keys" else ""
        path.write_bytes((begin + script).encode("utf-8", "surrogateescape"))
        server.psql(database, path)
        after, _ = setting.compare()
        assert after.equal, [table for table in after.tables if not table.equal]
    finally:
        server.drop_database(database)
