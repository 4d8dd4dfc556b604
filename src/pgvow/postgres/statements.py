"""The statements that pg_dump writes of a database and of roles: told apart, and renamed.

They are SQL of one narrow kind, written by PostgreSQL's own quoting functions: keywords in capitals
(a name with a capital is quoted), literals with doubled quotes (in E'…' backslashes are doubled as
well). That much is read here, and no more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TOKEN = re.compile(
    r"""
      (?P<literal> [eE]?'(?:[^']|'')*')
    | (?P<quoted> "(?:[^"]|"")*")
    | (?P<word> [^\W\d][\w$]*)
    | (?P<comment> --[^\n]*|\\[^\n]*)
    | (?P<end> ;)
    | (?P<other> \s+|.)
    """,
    re.VERBOSE | re.DOTALL,
)
# Behind these stands a role: GRANT … TO r, REVOKE … FROM r, ALTER DEFAULT PRIVILEGES FOR ROLE r,
# ALTER ROLE r IN DATABASE …, CREATE USER MAPPING FOR r, GRANTED BY r, SET SESSION AUTHORIZATION r.
_BEFORE_ROLE = frozenset({"TO", "FROM", "FOR", "ROLE", "BY", "AUTHORIZATION"})


class _Kind(Enum):
    LITERAL = "literal"
    QUOTED = "quoted"
    WORD = "word"
    COMMENT = "comment"
    END = "end"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Token:
    """One piece of a statement, as it is written."""

    kind: _Kind
    text: str

    @property
    def name(self) -> str | None:
        """The name it stands for; None if it cannot be one."""
        if self.kind is _Kind.QUOTED:
            return self.text[1:-1].replace('""', '"')
        is_name = self.kind is _Kind.WORD and self.text == self.text.lower()
        return self.text if is_name else None

    @property
    def keyword(self) -> str | None:
        """The keyword it is; None if it is none."""
        is_keyword = self.kind is _Kind.WORD and self.text.isupper()
        return self.text if is_keyword else None

    @property
    def is_blank(self) -> bool:
        """Whether it is nothing but white space."""
        return not self.text.strip()


Statement = tuple[Token, ...]


def quoted(name: str) -> str:
    """Quote a name for SQL."""
    return sql.Identifier(name).as_string(None)


def statements(text: str) -> Iterator[Statement]:
    """Yield each statement, without comments and without psql's own commands."""
    current: list[Token] = []  # a backslash outside of literals is psql's: \connect, \restrict
    for match in _TOKEN.finditer(text):
        token = Token(_Kind(match.lastgroup), match[0])
        if token.kind is _Kind.END:
            if current:
                yield tuple(current)
            current = []
        elif token.kind is not _Kind.COMMENT and (current or not token.is_blank):
            current.append(token)


def written(statement: Statement) -> bytes:
    """Write a statement for a session whose client_encoding is UTF8.

    Bytes of an unknown encoding were read as surrogates; they go back as they came.
    """
    return "".join(token.text for token in statement).encode("utf-8", "surrogateescape")


def words(statement: Statement) -> tuple[Token, ...]:
    """Leave out the white space."""
    return tuple(token for token in statement if not token.is_blank)


def for_database(statement: Statement, name: str) -> Statement:
    """Write another database's name if a statement has one, behind the word DATABASE."""
    result: list[Token] = []
    expected = renamed = False
    for token in statement:
        if expected and not token.is_blank:
            result.append(Token(_Kind.QUOTED, quoted(name)))
            expected, renamed = False, True
            continue
        expected = expected or (token.keyword == "DATABASE" and not renamed)
        result.append(token)
    return tuple(result)


def with_roles(statement: Statement, renamed: Callable[[str], str]) -> Statement:
    """Write other roles if a statement names some.

    Parentheses hold an expression, or a function's arguments, and name none.
    """
    result: list[Token] = []
    expected = False
    depth = 0
    for token in statement:
        depth += (token.text == "(") - (token.text == ")")
        name = token.name
        if token.keyword is not None or depth:
            expected = not depth and token.keyword in _BEFORE_ROLE
        elif expected and name is not None and name != renamed(name):
            result.append(Token(_Kind.QUOTED, quoted(renamed(name))))
            continue
        result.append(token)
    return tuple(result)


def roles_in(statement: Statement) -> frozenset[str]:
    """Every role that a statement names; a security label names its provider, and no role."""
    roles: set[str] = set()

    def note(name: str) -> str:
        roles.add(name)
        return name

    tokens = words(statement)
    if tokens and tokens[0].keyword != "SECURITY":
        with_roles(statement, note)
    return frozenset(roles)


def role_set(statement: Statement) -> str | None:
    """The role that ``ALTER ROLE … SET`` sets something for; None if it is another statement."""
    tokens = words(statement)
    match [token.keyword for token in tokens]:
        case ["ALTER", "ROLE", _, *_]:
            return tokens[2].name
    return None


def setting_of(statement: Statement, keyword: str) -> str | None:
    """Find the name that stands behind ``keyword =``; None if it does not."""
    place = _setting(statement, keyword)
    return None if place is None else statement[place[1]].name


def without_setting(statement: Statement, keyword: str) -> Statement:
    """Leave out ``keyword = name``."""
    place = _setting(statement, keyword)
    return statement if place is None else statement[: place[0]] + statement[place[1] + 1 :]


def _setting(statement: Statement, keyword: str) -> tuple[int, int] | None:
    """The places of a keyword and of the name it is given."""
    places = [place for place, token in enumerate(statement) if not token.is_blank]
    for first, equals, name in zip(places, places[1:], places[2:], strict=False):
        if statement[first].keyword == keyword and statement[equals].text == "=":
            return first, name
    return None
