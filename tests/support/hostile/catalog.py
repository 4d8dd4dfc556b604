"""Texts that a server could hold to reach a lexer, a shell, a terminal or a path: a kind a line.

To add a kind, add a line to the table it belongs to: every test over the hostile catalog has it.
"""

from __future__ import annotations

CANARY = "pgvow-was-here"
"""The file that a text would make if anything ran it."""

NAMES = {
    "psql command": f"a\n\\! touch {CANARY}\n",
    "psql variable": "a:HOME b:'HOME' c:\"HOME\"",
    "psql separator": "a\\; SELECT 1 \\g",
    "backquotes": f"a`touch {CANARY}`$(touch {CANARY})",
    "quotes": "a\"b'c\"\"d''e\\'f\\\"g",
    "comment": "a -- b /* c */",
    "dollars": "a$$b$x$c",
    "escape sequence": "a\x1b]0;owned\x07\x1b[2J",
    "one-byte control": "a\x9b2Jb\x7f",
    "bidi": "a\u202egnp.exe\u2066b",
    "line separators": "a\u2028b\u0085c\rd\te",
    "markup": "[red]a[/red][link=http://x]b[/link]",
    "path": "../../../a/b",
    "shell": f"a; touch {CANARY} | touch {CANARY} & b",
    "percent": "a%s%n{0}",
    "connection string": "dbname=a host=b",
    "japanese": "あ表\\",
    "option": "--file=a",
}
"""Names for schemas, tables and columns."""

FILTERS = {
    "psql command": f"WHERE true\n\\! touch {CANARY}\n",
    "psql execute": f"WHERE true \\g | touch {CANARY}",
    "second statement": "WHERE true; CREATE TABLE pgvow_was_here ()",
    "program": "WHERE true) TO PROGRAM 'touch {canary}' --",
    "program, the rest eaten": "WHERE true) TO PROGRAM 'touch {canary}' WITH (NULL '",
    "open comment": "WHERE true /*",
    "open quote": "WHERE true AND 'a",
    "open name": 'WHERE true AND "a',
    "open dollar": "WHERE true AND $$a",
    "parenthesis": "WHERE (true",
}
"""Filters (``pg_extension.extcondition``) that are no condition of one query: refused by name.

``{canary}`` stands for a path that the server may write to.
"""

SOUND_FILTERS = {
    "condition": ("WHERE a > 1", 2),
    "comment": ("WHERE a > 1 -- and more", 2),
    "psql variable in a literal": ("WHERE ':HOME' <> E'\\n\\\\! touch x' AND a > 2", 1),
    "backslash line in a literal": ("WHERE a > 1 AND 'a\n\\! touch pgvow-was-here\n' <> ''", 2),
    "limit": ("ORDER BY a LIMIT 1", 1),
    "beyond ascii": ("WHERE 'あ表' <> '' AND a > 0", 3),
}
"""Filters that are, with the rows they leave of 1, 2, 3."""

REGISTER = """
CREATE TABLE cfg AS SELECT a FROM generate_series(1, 3) AS a;
INSERT INTO pg_depend
  VALUES ('pg_class'::regclass, 'cfg'::regclass, 0, 'pg_extension'::regclass,
          (SELECT oid FROM pg_extension WHERE extname = 'plpgsql'), 0, 'e');
"""
"""Make a table ``cfg`` that an extension owns; ``set_filter`` makes its rows part of a dump."""

SET_FILTER = """
UPDATE pg_extension
SET extconfig = ARRAY['cfg'::regclass::oid], extcondition = ARRAY[%s::text]
WHERE extname = 'plpgsql'
"""

OBEYED = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
"""What a terminal acts upon, or what turns the text around it; a regular expression."""
