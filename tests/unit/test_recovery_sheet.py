"""The recovery sheet without a server: hostile names, secrets, sources, times in proportion."""

from __future__ import annotations

import io
import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pgvow.archive import read_toc
from pgvow.errors import ConfigurationError
from pgvow.model import Evidence, Level
from pgvow.operations.context import Context
from pgvow.operations.core.needs import needs_of
from pgvow.operations.prove.measured import first_roles
from pgvow.operations.recorded.operations import sheet_after
from pgvow.operations.sheet import (
    MeasuredTime,
    RecoverySheet,
    SheetBackup,
    SheetOptions,
    SourceSheet,
    recovery_sheet,
)
from pgvow.operations.sheet.commands import CommandKind, SheetCommand, packages_of
from pgvow.operations.sheet.pages import page
from pgvow.quoted_texts import printable
from pgvow.recovery import (
    NeededExtension,
    NeededRole,
    NeededTablespace,
    RecoveryNeeds,
    RecoveryTime,
)
from pgvow.settings import load_configuration
from pgvow.settings.options import SheetFormat
from pgvow.store import StoredBackup
from tests.support.archives import Schema, Spec, build
from tests.support.backups import metadata, place
from tests.support.commands import ROOT
from tests.support.contexts import a_context

_HOSTILE = (
    "</td><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "&lt;b&gt; &amp;",
    "\x1b[31mred\x1b]0;title\x07",
    "a\n# heading\n\n```\n<b>",
    "| cell | `code` | [link](https://evil.example) ![i](x)",
    "***bold*** ~~gone~~ $x$ https://evil.example www.evil.example",
    "\u202eright to left",
    "-->]]>\udcff",
)
_MADE = datetime(2026, 11, 28, 2, tzinfo=UTC)
_TIME = RecoveryTime(
    estimated_seconds=100.0,
    stages={"definitions and rows": 80.0},
    compare_seconds=20.0,
    jobs=2,
    processors=2,
    throwaway=True,
    rows=5,
    dump_bytes=1000,
    database_bytes=5000,
)


def hostile_sheet(text: str) -> RecoverySheet:
    """A sheet in which every text that comes from outside is this one."""
    backup = SheetBackup(Path(text), _MADE, 10, text, Level.PROVEN)
    command = SheetCommand(CommandKind.CHECK, text, text)
    needs = RecoveryNeeds(
        postgresql_major=18,
        pg_restore_major=17,
        encoding=text,
        locale={text: text},
        icu=True,
        superuser=True,
        superuser_for=(text,),
        extensions=(NeededExtension(text, contrib=False, version=text),),
        roles=(NeededRole(text, archive=True, globals=False),),
        tablespaces=(NeededTablespace(text, text),),
        preload_libraries=(text,),
        dump_bytes=1,
    )
    source = SourceSheet(
        environment=text,
        database=text,
        complaint=text,
        newest=backup,
        proven=replace(backup, size_bytes=9),
        postgresql_version=text,
        globals_path=Path(text),
        needs=needs,
        time=MeasuredTime(_MADE, _TIME, 100.0),
        without_pgvow=(command,),
        with_pgvow=(command,),
        secrets=(text,),
        checked=(text,),
    )
    return RecoverySheet(_MADE, "0", (source,), (text,))


class _Tags(HTMLParser):
    """Collects tags with their attributes, and texts."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)


def tags_of(text: str) -> _Tags:
    """Parse a page."""
    parser = _Tags()
    parser.feed(page(hostile_sheet(text), SheetFormat.HTML))
    parser.close()
    return parser


@pytest.mark.parametrize("text", _HOSTILE)
def test_no_name_breaks_out_of_html(text: str) -> None:
    """The same elements as with a harmless name, no script, and the name as a text."""
    harmless, hostile = tags_of("harmless"), tags_of(text)
    assert harmless.tags == hostile.tags
    assert not {"script", "img", "a", "link", "iframe"} & {tag for tag, _ in hostile.tags}
    assert {"lang", "charset", "http-equiv", "content"} == {
        name for _, names in hostile.tags for name in names
    }
    assert len([each for each in harmless.texts if "harmless" in each]) >= 20
    assert any(printable(text) in each for each in hostile.texts)


@pytest.mark.parametrize("page_format", SheetFormat)
@pytest.mark.parametrize("text", _HOSTILE)
def test_no_name_acts_on_a_terminal(text: str, page_format: SheetFormat) -> None:
    """Every character is printable but the line breaks, of which there are no more."""
    written = page(hostile_sheet(text), page_format)
    assert written.replace("\n", "").isprintable()
    if page_format is not SheetFormat.TEXT:  # that folds
        assert page(hostile_sheet("x"), page_format).count("\n") == written.count("\n")


@pytest.mark.parametrize("text", _HOSTILE)
def test_no_name_is_markup_in_markdown(text: str) -> None:
    """Outside of code no mark is left unescaped, and no row of a table has another cell."""
    written = page(hostile_sheet(text), SheetFormat.MARKDOWN)
    outside = re.sub(r"^(`{3,})sh\n.*\n\1$", "", written, flags=re.MULTILINE)
    for line in outside.splitlines():
        bare = re.sub(r"\\.", "", line.lstrip("# ") if line.startswith("#") else line)
        assert not re.search(r"[`*\[\]<>~&]|https?://|www\.", bare), line
        assert bare.count("|") in (0, 3), line


def test_a_command_that_cannot_be_printed_says_so() -> None:
    """Its characters are escaped, and the reader is sent to the JSON."""
    assert "--json has the command" in page(hostile_sheet("a\nb"), SheetFormat.TEXT)
    assert "--json has the command" not in page(hostile_sheet("a b"), SheetFormat.TEXT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Place the fixed backups of two sources."""
    shutil.copytree(ROOT / "tests" / "golden" / "backups", tmp_path / "backups")
    return tmp_path


def sheet_of(folder: Path, context: Context | None = None, **options: str) -> RecoverySheet:
    """Make the sheet of the fixed backups."""
    return recovery_sheet([folder / "backups"], SheetOptions(**options), context or a_context())  # type: ignore[arg-type]


def test_both_sources_are_on_one_sheet_and_one_can_be_chosen(folder: Path) -> None:
    """dev and prod, each with its newest whole backup: a part and a damaged one are none."""
    both = sheet_of(folder).sources
    assert [("dev", "shop"), ("prod", "shop_live")] == [(s.environment, s.database) for s in both]
    names = [source.newest.path.name for source in both if source.newest]
    assert "shop_dev_2026-11-28T01-10-45Z.dump" == names[0]
    assert "shop_live_prod_2026-11-28T01-11-13Z.dump" == names[1]
    (prod,) = sheet_of(folder, environment="prod").sources
    assert both[1] == prod
    assert prod.proven is not None
    assert "shop_live_prod_2026-11-28T01-10-40Z.dump" == prod.proven.path.name
    text = page(sheet_of(folder), SheetFormat.TEXT)
    assert "has not been proven itself" in text
    assert "not measured" in text


def test_one_backup_has_a_sheet_of_its_own(folder: Path) -> None:
    """A backup that is named is the one that the commands bring back, if it is whole."""
    dump = folder / "backups" / "shop_dev_2026-11-28T01-10-36Z.dump"
    options = SheetOptions(dump=dump)
    (source,) = recovery_sheet([dump.parent], options, a_context()).sources
    assert all(str(dump) in each.line for each in source.with_pgvow)
    with pytest.raises(ConfigurationError, match="is no backup"):
        recovery_sheet([dump.parent], SheetOptions(dump=folder / "none.dump"), a_context())


def test_a_source_without_any_backup_is_on_the_sheet(folder: Path) -> None:
    """An environment of pgvow.toml that was never backed up is the first thing to know."""
    toml = folder / "pgvow.toml"
    toml.write_text('[environments.staging]\noutput_dir = "staging"\n')
    loaded = load_configuration(path=toml, environ={}, directory=folder)
    context = replace(a_context(), configuration=loaded.configuration)
    staging = sheet_of(folder, context).sources[-1]
    assert ("staging", None, "there is no backup") == (
        staging.environment,
        staging.database,
        staging.complaint,
    )
    with pytest.raises(ConfigurationError, match="no backup to write about"):
        sheet_of(folder, environment="nothing")


def test_the_password_is_named_and_never_shown(folder: Path) -> None:
    """The variable and the line of its file are there; the password is not."""
    (folder / ".env.local").write_text(
        "DB_NAME=shop_live\nDB_HOST=db.example\nDB_USER=app\nDB_PASSWORD=correct-horse-battery\n"
    )
    sheet = sheet_of(folder, Context(a_context().configuration, {}, folder))
    for page_format in SheetFormat:
        text = page(sheet, page_format)
        assert "correct-horse" not in text
        assert re.search(r"DB\\?_PASSWORD from \.env\.local line 4", text)
    assert "correct-horse" not in repr(sheet)


def test_a_larger_backup_is_expected_to_take_longer(folder: Path) -> None:
    """The measured time is stretched by the sizes of the dumps, and never shortened."""
    dump = folder / "backups" / "shop_dev_2026-11-28T01-10-36Z.dump"
    backup = StoredBackup.at(dump)
    for dump_bytes, factor in ((6000, 12815 / 6000), (10**9, 1.0)):
        recovery = replace(_TIME, dump_bytes=dump_bytes)
        evidence = Evidence(Level.PROVEN, _MADE, 1.0, restore_seconds=80.0, recovery=recovery)
        backup.add_evidence(backup.metadata().checksum_sha256, evidence)
        time = sheet_of(folder, environment="dev").sources[0].time
        assert time is not None
        assert round(100 * factor, 1) == time.expected_seconds
        assert recovery == time.measured


def test_a_sheet_that_cannot_be_written_is_a_warning(folder: Path) -> None:
    """The proof stands; without the setting nothing is written."""
    toml = folder / "pgvow.toml"
    toml.write_text('[recovery_sheet]\nafter_proof = true\noutput = "none/sheet.txt"\n')
    loaded = load_configuration(path=toml, environ={}, directory=folder)
    context = replace(a_context(), configuration=loaded.configuration)
    sheet_after(context, folder / "backups")
    assert 1 == len(context.reporter.warnings)
    assert "the recovery sheet was not written" in context.reporter.warnings[0]
    sheet_after(a_context(), folder / "backups")
    assert not list(folder.rglob("sheet*"))


def test_a_sheet_after_each_proof_needs_a_file(folder: Path) -> None:
    """The settings file is refused, with the line to write."""
    toml = folder / "pgvow.toml"
    toml.write_text("[recovery_sheet]\nafter_proof = true\n")
    with pytest.raises(ConfigurationError, match="says no output"):
        load_configuration(path=toml, environ={}, directory=folder)


def test_packages_are_named_for_the_major_and_unknown_ones_are_told_apart() -> None:
    """One package for two extensions of it; PostgreSQL's own need none."""
    names = ("postgis", "postgis_topology", "plpython3u", "hstore", "ours")
    contrib = {"plpython3u", "hstore"}
    extensions = [NeededExtension(name, contrib=name in contrib) for name in names]
    packages = ["postgresql-16-postgis-3", "postgresql-plpython3-16"]
    assert (packages, ["ours"]) == packages_of(extensions, 16)


_DATABASE = (
    "CREATE DATABASE shop WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = icu"
    " LOCALE = 'C' ICU_LOCALE = 'de-AT' TABLESPACE = fast;\n"
)
_PROPERTIES = (
    "ALTER DATABASE shop SET session_preload_libraries TO 'auto_explain', 'ours';\n"
    "ALTER ROLE reporter IN DATABASE shop SET work_mem TO '7MB';\n"
)
_PARTS = (
    Schema("shop", desc="DATABASE", defn=_DATABASE, section=2),
    Schema("shop", desc="DATABASE PROPERTIES", defn=_PROPERTIES),
    Schema("timescaledb", desc="EXTENSION", defn="CREATE EXTENSION timescaledb;\n"),
    Schema("citext", desc="EXTENSION", defn="CREATE EXTENSION citext;\n"),
    Schema("watch", desc="EVENT TRIGGER", defn="CREATE EVENT TRIGGER watch;\n"),
)
_SCRIPT = (
    b"CREATE ROLE clerk;\nCREATE TABLESPACE fast OWNER clerk LOCATION '/srv/it''s fast';\n"
    b"CREATE TABLESPACE other OWNER clerk LOCATION '/srv/other';\n"
)


def needs_with(folder: Path, script: bytes | None) -> RecoveryNeeds:
    """Return the needs of an archive, with these roles beside it."""
    dump = build(Spec(_PARTS))
    facts = metadata(dump=dump)
    path = place(folder, facts, dump)
    if script is not None:
        path.with_name(path.name.replace(".dump", ".globals.sql")).write_bytes(script)
    return needs_of(StoredBackup.at(path), facts, read_toc(io.BytesIO(dump)))


def test_needs_are_read_from_the_archive_and_the_roles_beside_it(tmp_path: Path) -> None:
    """Libraries, ICU, roles of settings, tablespaces with their directories, and a superuser."""
    needs = needs_with(tmp_path, _SCRIPT)
    assert ("auto_explain", "ours", "timescaledb") == needs.preload_libraries
    assert (True, "de-AT") == (needs.icu, needs.locale["ICU_LOCALE"])
    roles = {role.name: (role.archive, role.globals) for role in needs.roles}
    assert (True, False) == roles["reporter"]
    assert (False, True) == roles["clerk"]
    assert (NeededTablespace("fast", "/srv/it's fast"),) == needs.tablespaces
    assert ("EVENT TRIGGER", "EXTENSION timescaledb") == needs.superuser_for
    extensions = (
        NeededExtension("citext", contrib=True),
        NeededExtension("timescaledb", contrib=False),
    )
    assert extensions == needs.extensions


def test_without_the_roles_beside_it_their_places_are_unknown(tmp_path: Path) -> None:
    """Nothing is invented: the tablespace has no directory, no role is kept."""
    needs = needs_with(tmp_path, None)
    assert (NeededTablespace("fast"),) == needs.tablespaces
    assert not any(role.globals for role in needs.roles)


def test_commands_leave_out_a_tablespace_whose_directory_is_unknown(folder: Path) -> None:
    """pg_restore and pgvow put all into the default one then, and createdb names none."""
    backups = folder / "backups"
    for path in backups.iterdir():
        path.unlink()
    needs_with(backups, None)
    (source,) = sheet_of(folder).sources
    assert source.complaint is None
    restores = [each for each in source.without_pgvow if each.line.startswith("pg_restore ")]
    assert 3 == len([each for each in restores if "--no-tablespaces" in each.line])
    assert "--no-tablespaces" in source.with_pgvow[-1].line
    (created,) = [each for each in source.without_pgvow if each.line.startswith("createdb ")]
    assert "--tablespace" not in created.line
    assert "--icu-locale=de-AT" in created.line


def test_a_proof_keeps_the_roles_of_the_archive_first() -> None:
    """A server of 3,000 roles makes no proof that is slow to read, and no needed one is lost."""
    roles = [NeededRole(f"r{n:04}", archive=n % 300 == 7, globals=True) for n in range(3000)]
    kept = first_roles(roles)
    assert 1000 == len(kept)
    assert [role for role in roles if role.archive] == list(kept[:10])
