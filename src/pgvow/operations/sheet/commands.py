"""The commands that bring a backup back on a bare machine, each a line for a POSIX shell.

Without pgvow they do as ``restore`` does: all rows before any condition (decision 0017), under the
settings of the database that they hang on (0015), and the rest of its settings last. With the
sections of a dump for the waves, PostgreSQL's own tools come near enough to that.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from psycopg import sql
from psycopg.conninfo import make_conninfo

from pgvow.archive import kinds, superusers_named
from pgvow.formats import counted
from pgvow.operations.restore.selection import database_definition
from pgvow.postgres.database_settings import changes_reading, createdb_locale, needed_by_restore
from pgvow.postgres.restore_order import has_statistics, refreshes
from pgvow.postgres.statements import for_database, written

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from pgvow.archive import TableOfContents
    from pgvow.model import Metadata, RecordedTable
    from pgvow.operations.restore.selection import DatabaseDefinition
    from pgvow.postgres.statements import Statement
    from pgvow.recovery import NeededExtension, RecoveryNeeds

CLUSTER = "recovered-cluster"
"""The directory of a server that is made by hand, in the working directory."""
_JOBS = "4"
_TABLES_COUNTED = 20
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
# Debian's names, with PostgreSQL's own repository; {} is the major.
_PACKAGES = {
    "age": "postgresql-{}-age", "citus": "postgresql-{}-citus", "h3": "postgresql-{}-h3",
    "hll": "postgresql-{}-hll", "hypopg": "postgresql-{}-hypopg", "ip4r": "postgresql-{}-ip4r",
    "orafce": "postgresql-{}-orafce", "pg_cron": "postgresql-{}-cron",
    "pg_partman": "postgresql-{}-partman", "pg_repack": "postgresql-{}-repack",
    "pg_similarity": "postgresql-{}-similarity", "pg_squeeze": "postgresql-{}-squeeze",
    "pgaudit": "postgresql-{}-pgaudit", "pglogical": "postgresql-{}-pglogical",
    "pgrouting": "postgresql-{}-pgrouting", "pgtap": "postgresql-{}-pgtap",
    "plperl": "postgresql-plperl-{}", "plperlu": "postgresql-plperl-{}",
    "plpython3u": "postgresql-plpython3-{}", "pltcl": "postgresql-pltcl-{}",
    "pltclu": "postgresql-pltcl-{}", "postgis": "postgresql-{}-postgis-3",
    "postgis_raster": "postgresql-{}-postgis-3", "postgis_topology": "postgresql-{}-postgis-3",
    "prefix": "postgresql-{}-prefix", "semver": "postgresql-{}-semver",
    "temporal_tables": "postgresql-{}-temporal-tables", "unit": "postgresql-{}-unit",
    "vector": "postgresql-{}-pgvector",
}  # fmt: skip


# Not on a terminal these take their arguments to be in the encoding of the database.
_CLIENTS = frozenset({"createdb", "createuser", "psql"})


class CommandKind(StrEnum):
    """The part of a recovery that a command belongs to."""

    INSTALL = "install"
    SERVER = "server"
    ROLES = "roles"
    DATABASE = "database"
    RESTORE = "restore"
    CHECK = "check"


@dataclass(frozen=True, slots=True)
class SheetCommand:
    """One line for a POSIX shell; ``note`` is for a person who types it, and may be empty."""

    kind: CommandKind
    line: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class RecoveredBackup:
    """The backup that the commands bring back; its paths are absolute.

    ``globals_path`` is None if no roles are kept beside it. The source breaks so many rules of its
    own, as the newest proof says.
    """

    environment: str
    dump: Path
    globals_path: Path | None
    metadata: Metadata
    toc: TableOfContents
    needs: RecoveryNeeds
    broken_rules: int = 0

    @property
    def database(self) -> str:
        """The name of the database, the source's own."""
        return self.metadata.database_name

    @property
    def places_known(self) -> bool:
        """Whether the directory of each tablespace is known."""
        return all(space.location for space in self.needs.tablespaces)


def stock_commands(backup: RecoveredBackup) -> tuple[SheetCommand, ...]:
    """Return the commands that need PostgreSQL alone."""
    return (
        *_install(backup.needs),
        *_server(backup.needs),
        _checksums(backup),
        *_preparations(backup),
        *_roles_of_script(backup),
        *_database(backup),
        *_restore(backup),
        *_checks(backup),
    )


def own_commands(backup: RecoveredBackup) -> tuple[SheetCommand, ...]:
    """Return the commands by pgvow; the server is there."""
    dump = str(backup.dump)
    to = [f"--to={backup.database}"] if backup.database[:1] == "-" else ["--to", backup.database]
    restore = ["pgvow", "restore", dump, "--env", backup.environment, *to]
    if backup.globals_path is not None:
        restore.append("--globals")
    if not backup.places_known:
        restore.append("--no-tablespaces")
    note = "Makes the roles, restores, and compares every table with the record."
    if backup.broken_rules:
        restore.append("--rescue")
        note += " The source breaks rules of its own: they are loosened, and every row comes back."
    return (
        *_preparations(backup),
        _command(CommandKind.CHECK, ["pgvow", "verify", dump], "The file is the one written."),
        _command(CommandKind.RESTORE, restore, note),
    )


def packages_of(extensions: Iterable[NeededExtension], major: int) -> tuple[list[str], list[str]]:
    """Return Debian's packages of some extensions, and the extensions whose package is unknown."""
    packages, unknown = set(), []
    for extension in extensions:
        if extension.name in _PACKAGES:
            packages.add(_PACKAGES[extension.name].format(major))
        elif not extension.contrib:
            unknown.append(extension.name)
    return sorted(packages), unknown


def _command(kind: CommandKind, argv: Sequence[str], note: str = "") -> SheetCommand:
    line = shlex.join(argv)
    if not line.isascii() and argv[0] in _CLIENTS:
        line = f"env PGCLIENTENCODING=UTF8 {line}"
    return SheetCommand(kind, line, note)


def _install(needs: RecoveryNeeds) -> Iterator[SheetCommand]:
    major = needs.postgresql_major
    packages, unknown = packages_of(needs.extensions, major)
    note = (
        f"On Debian and Ubuntu, as root, from PostgreSQL's own repository; PostgreSQL {major} or"
        " newer by any other way serves as well."
    )
    if unknown:
        note += f" Find the packages of these extensions besides: {', '.join(unknown)}."
    argv = ["apt-get", "install", "--yes", f"postgresql-{major}", *packages]
    yield _command(CommandKind.INSTALL, argv, note)


def _server(needs: RecoveryNeeds) -> Iterator[SheetCommand]:
    preload = ""
    if needs.preload_libraries:
        libraries = ", ".join(needs.preload_libraries)
        preload = f" Before it starts, set in postgresql.conf: shared_preload_libraries={libraries}"
    argv = ["initdb", f"--pgdata={CLUSTER}", f"--encoding={needs.encoding}", "--locale=C"]
    yield _command(
        CommandKind.SERVER,
        [*argv, "--auth-local=peer", "--auth-host=scram-sha-256"],
        "Debian's package has made a server that runs: go on as its user postgres. Elsewhere make"
        f" one, as an ordinary user, who is its superuser then.{preload}",
    )
    argv = ["pg_ctl", f"--pgdata={CLUSTER}", f"--log={CLUSTER}.log", "--wait", "start"]
    yield _command(CommandKind.SERVER, argv)


def _checksums(backup: RecoveredBackup) -> SheetCommand:
    """Compare the files with the record: psql obeys all that stands in a script of roles."""
    metadata, argv = backup.metadata, ["sha256sum", "--", str(backup.dump)]
    note = f"This prints {metadata.checksum_sha256} for the dump"
    if backup.globals_path is not None:
        argv.append(str(backup.globals_path))
        kept = metadata.globals
        note += f", and {kept.checksum_sha256} for the roles" if kept else ""
    return _command(CommandKind.CHECK, argv, f"{note}, or it is not the file that was written.")


def _preparations(backup: RecoveredBackup) -> Iterator[SheetCommand]:
    """Make the directories of tablespaces, and the roles that were not kept."""
    places = [space.location for space in backup.needs.tablespaces if space.location]
    if places and backup.globals_path is not None:
        argv = ["install", "--directory", "--mode=700", "--", *places]
        note = "The directories of the tablespaces, as the user that the server runs as."
        yield _command(CommandKind.ROLES, argv, note)
    above = superusers_named(backup.toc)
    note = "Roles that were not kept; if one is there already, that is an error without harm."
    for role in backup.needs.roles:
        if not role.globals:
            rights = ["--superuser"] if role.name in above else []
            argv = ["createuser", "--no-login", *rights, "--", role.name]
            yield _command(CommandKind.ROLES, argv, note)
            note = ""


def _roles_of_script(backup: RecoveredBackup) -> Iterator[SheetCommand]:
    if backup.globals_path is not None:
        argv = ["psql", "--no-psqlrc", "--dbname=postgres", "--file", str(backup.globals_path)]
        yield _command(
            CommandKind.ROLES,
            argv,
            "Roles, their passwords if those were kept, and tablespaces. That a role exists already"
            " is an error without harm.",
        )


def _database(backup: RecoveredBackup) -> Iterator[SheetCommand]:
    definition = database_definition(backup.toc)
    tablespace = definition.tablespace
    locale = createdb_locale(backup.toc)
    argv = ["createdb", "--template=template0", f"--encoding={backup.toc.encoding}", *locale]
    if tablespace and backup.places_known:
        argv.append(f"--tablespace={tablespace}")
    if definition.owner:
        argv.append(f"--owner={definition.owner}")
    note = "The server's system must have this locale: locale -a." if locale else ""
    yield _command(CommandKind.DATABASE, [*argv, "--", backup.database], note)
    early = needed_by_restore(definition.properties)
    yield from _psql(
        backup, (each for each in early if not changes_reading(each)), CommandKind.DATABASE
    )


def _restore(backup: RecoveredBackup) -> Iterator[SheetCommand]:
    toc = backup.toc
    note = (
        "Definitions, then all rows, then indexes and conditions. pg_restore goes on after an error"
        " and counts them; that the schema public exists already is one without harm."
    )
    if backup.broken_rules:
        broken = counted(backup.broken_rules, "rule")
        note += f" The source breaks {broken} of its own: as many more errors are no loss of rows."
    common = ["--no-password", f"--dbname={connected(backup.database)}"]
    common += [] if backup.places_known else ["--no-tablespaces"]
    security = ["--enable-row-security"] if refreshes(toc.entries) else []
    for section, options in (
        ("pre-data", []),
        ("data", [f"--jobs={_JOBS}"]),
        ("post-data", [f"--jobs={_JOBS}", *security]),
    ):
        argv = ["pg_restore", f"--section={section}", *options, *common, "--", str(backup.dump)]
        yield _command(CommandKind.RESTORE, argv, note)
        note = ""
    if not has_statistics(toc.entries):
        argv = ["psql", "--no-psqlrc", f"--dbname={connected(backup.database)}"]
        yield _command(CommandKind.RESTORE, [*argv, "--command", "ANALYZE"])
    yield from _psql(backup, _late(database_definition(toc)), CommandKind.RESTORE)


def _late(definition: DatabaseDefinition) -> Iterator[Statement]:
    """Yield settings, grants and the comment of the database that rows do not hang on."""
    early = {id(each) for each in needed_by_restore(definition.properties)}
    for statement in definition.properties:
        if id(statement) not in early or changes_reading(statement):
            yield statement
    if definition.comment is not None:
        yield definition.comment


def _psql(
    backup: RecoveredBackup, statements: Iterable[Statement], kind: CommandKind
) -> Iterator[SheetCommand]:
    """Run statements about the database in one psql; none without any."""
    texts = [
        written(for_database(each, backup.database)).decode("utf-8", "replace").strip()
        for each in statements
    ]
    if texts:
        argv = ["psql", "--no-psqlrc", f"--dbname={connected(backup.database)}"]
        note = "The settings and grants of the database itself."
        given = [word for text in texts for word in ("--command", text)]
        yield _command(kind, [*argv, *given], note)


def connected(database: str) -> str:
    """Name a database for ``--dbname``, which takes a name with an equals sign for more."""
    return database if _PLAIN.fullmatch(database) else make_conninfo("", dbname=database)


def counted_tables(backup: RecoveredBackup) -> tuple[RecordedTable, ...]:
    """Return the tables whose rows are counted, the largest first.

    Not the tables of extensions, which have rows of their own besides.
    """
    made = {
        (entry.namespace, entry.tag) for entry in backup.toc.entries if entry.desc == kinds.TABLE
    }
    with_rows = {(entry.namespace, entry.tag) for entry in backup.toc.table_data}
    known = [
        table
        for table in backup.metadata.tables
        if (table.schema, table.name) in made & with_rows and _is_utf8(table.key)
    ]
    return tuple(sorted(known, key=lambda table: (-table.rows, table.key)))


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _checks(backup: RecoveredBackup) -> Iterator[SheetCommand]:
    tables = counted_tables(backup)
    if not tables:
        return
    shown = tables[:_TABLES_COUNTED]
    counts = sql.SQL(" UNION ALL ").join(map(_count, shown)).as_string(None)
    note = "Count the rows: each line ends in t, for equal."
    if len(shown) < len(tables):
        note += f" These are the largest {len(shown)} of {len(tables)} tables; the numbers of all"
        note += " are under table_counts in the metadata beside the dump."
    argv = ["psql", "--no-psqlrc", f"--dbname={connected(backup.database)}"]
    yield _command(CommandKind.CHECK, [*argv, "--command", counts], note)


def _count(table: RecordedTable) -> sql.Composed:
    statement = sql.SQL(
        "SELECT {} AS name, count(*) AS rows, {} AS expected, count(*) = {} AS equal FROM ONLY {}"
    )
    rows = sql.Literal(table.rows)
    name = sql.Identifier(table.schema, table.name)
    # Dollars need no quoting inside of the shell's own quotes, and are easier to type.
    is_plain = "$" not in table.key
    key = sql.SQL(f"$${table.key}$$") if is_plain else sql.Literal(table.key)
    return statement.format(key, rows, rows, name)
