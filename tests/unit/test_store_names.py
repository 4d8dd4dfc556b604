"""File names of backups, and that no two databases share one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgvow.store import names

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
# Any bytes at all, as an environment variable may hold them.
_DATABASES = st.one_of(
    _TEXT,
    st.binary(min_size=1, max_size=63).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
    st.text("aA._-%/2F", min_size=1, max_size=8),
)
_ENVIRONMENTS = st.from_regex(r"[a-z0-9-]+", fullmatch=True)
_MOMENTS = st.datetimes(
    min_value=datetime(1000, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone itself
    timezones=st.just(UTC),
).map(lambda moment: moment.replace(microsecond=0))


@pytest.mark.parametrize(
    ("database", "expected"),
    [
        ("project_chat_dev", "project_chat_dev"),
        ("Shop-2.0", "Shop-2.0"),
        (".hidden", "%2Ehidden"),
        ("-rf", "%2Drf"),
        ("..", "%2E."),
        ("a/b", "a%2Fb"),
        ("100%", "100%25"),
        ("naïve", "na%C3%AFve"),
        ("two words\n", "two%20words%0A"),
        ("\udcff", "%FF"),
    ],
)
def test_safe_name_encodes_special_characters_only(database: str, expected: str) -> None:
    """Plain names stay readable; whatever a shell or a file system minds is encoded."""
    assert expected == names.safe_name(database)


@given(_DATABASES)
def test_safe_name_decodes_to_the_name(database: str) -> None:
    """The true name can be read from the safe one, so that no two names share one."""
    assert database == names.unsafe_name(names.safe_name(database))


@given(_DATABASES, _DATABASES)
def test_safe_name_is_injective(one: str, other: str) -> None:
    """Different databases have different safe names."""
    assert (one == other) == (names.safe_name(one) == names.safe_name(other))


@given(st.binary(min_size=63, max_size=63))
def test_every_file_name_fits_255_bytes(raw: bytes) -> None:
    """PostgreSQL's longest name, with its longest suffix, fits in 255 bytes."""
    database = raw.decode("utf-8", "surrogateescape")
    stem = names.stem(database, "prod", datetime(2025, 1, 27, tzinfo=UTC))
    longest = max(len(stem + suffix + names.PARTIAL) for suffix in names.SUFFIXES)
    assert longest <= 255


@given(_DATABASES)
def test_safe_name_is_no_hidden_file_option_or_path(database: str) -> None:
    """A safe name is no hidden file, no option and no path."""
    safe = names.safe_name(database)
    assert safe.isascii()
    assert not safe.startswith((".", "-"))
    assert not set(safe) & set("/\\ \0\n'\"$*?")


@pytest.mark.parametrize("database", ["", "\ud800", "\udcc3\udca9"])
def test_safe_name_refuses_invalid_names(database: str) -> None:
    """Nothing at all, and texts that stand for no bytes or for those of another text, are refused.

    The last one's escaped bytes are those of ``é``: encoding it would give two names one file.
    """
    with pytest.raises(ValueError, match=r"not a database name|surrogates"):
        names.safe_name(database)


def test_stem_is_database_environment_and_utc_timestamp() -> None:
    """``{database_name}_{environment}_{timestamp}``, UTC, no colons."""
    east = timezone(timedelta(hours=2))
    moment = datetime(2025, 1, 27, 16, 30, 0, 999_999, tzinfo=east)
    expected = "project_chat_dev_dev_2025-01-27T14-30-00Z"
    assert expected == names.stem("project_chat_dev", "dev", moment)


def test_stem_refuses_a_naive_timestamp() -> None:
    """A local time is never taken for UTC."""
    with pytest.raises(ValueError, match="time zone"):
        names.stem("shop", "dev", datetime(2025, 1, 27))  # noqa: DTZ001 - the fault itself


@pytest.mark.parametrize("environment", ["", "Dev", "a_b", "a/b", "dev\n", "é"])
def test_stem_refuses_an_environment_with_underscore(environment: str) -> None:
    """An environment with an underscore would be taken for part of the database's name."""
    with pytest.raises(ValueError, match="environment"):
        names.stem("shop", environment, datetime(2025, 1, 27, tzinfo=UTC))


@given(_DATABASES, _ENVIRONMENTS, _MOMENTS)
def test_stem_reads_back(database: str, environment: str, moment: datetime) -> None:
    """The parts of a name can be read from it, with or without underscores in the database's."""
    stem = names.stem(database, environment, moment)
    assert (database, environment, moment) == names.parse_stem(stem)


@given(st.text("ab_-%.2Fdev0123456789TZ", max_size=40) | _TEXT)
def test_parse_stem_accepts_only_names_of_stem(text: str) -> None:
    """Whatever is parsed as ours is a name that we give; nothing raises."""
    parsed = names.parse_stem(text)
    assert parsed is None or text == names.stem(*parsed)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "shop",
        "shop_dev",
        "shop_2025-01-27T14-30-00Z",
        "_dev_2025-01-27T14-30-00Z",
        "shop__2025-01-27T14-30-00Z",
        "shop_DEV_2025-01-27T14-30-00Z",
        "shop_dev_2025-01-27T14:30:00Z",
        "shop_dev_2025-02-30T14-30-00Z",
        "shop_dev_2025-01-27T24-30-00Z",
        "shop_dev_2025-01-27T14-30-00Z\n",
        "shop_dev_٢٠٢٥-01-27T14-30-00Z",
        "%41shop_dev_2025-01-27T14-30-00Z",
        "na%c3%afve_dev_2025-01-27T14-30-00Z",
        "50%_dev_2025-01-27T14-30-00Z",
        ".shop_dev_2025-01-27T14-30-00Z",
        "-shop_dev_2025-01-27T14-30-00Z",
        "my shop_dev_2025-01-27T14-30-00Z",
    ],
)
def test_parse_stem_refuses_near_misses(text: str) -> None:
    """Near misses, and encodings that ``safe_name`` would not choose, are somebody else's."""
    assert names.parse_stem(text) is None


def test_group_of_two_databases_differs() -> None:
    """Database ``a_dev`` in ``prod`` and ``a`` in ``dev`` are locked apart."""
    pairs = [("a_dev", "prod"), ("a", "dev"), ("a_dev_prod", "dev"), ("a", "dev-prod")]
    assert len(pairs) == len({names.group(*pair) for pair in pairs})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x.dump", ("x", ".dump")),
        ("x.metadata.json", ("x", ".metadata.json")),
        ("x.globals.sql", ("x", ".globals.sql")),
        ("x.proof.json", ("x", ".proof.json")),
        ("x.dump.partial", None),
        ("x.sql", None),
        ("dump", None),
    ],
)
def test_parse_file_splits_at_our_suffixes_only(
    name: str, expected: tuple[str, str] | None
) -> None:
    """A file's name is split at the suffix that is ours, or not at all."""
    assert expected == names.parse_file(name)


@pytest.mark.parametrize(
    ("dump", "expected"),
    [("x.dump", "x.metadata.json"), ("x", "x.metadata.json"), ("x.sql", "x.sql.metadata.json")],
)
def test_metadata_has_the_dump_s_base_name(dump: str, expected: str) -> None:
    """Metadata lies beside its dump under the same base name."""
    assert expected == names.metadata_name(dump)
