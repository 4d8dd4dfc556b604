"""How Sphinx makes a site of the documents: ``make docs``.

The source is the repository itself, so README, quickstart and the like are pages at their own
places, and every link means the same on the site as in a browser of the repository. The order of
the pages is that of the links in the index pages: there is no second list of them.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from pygments.lexers.shell import BashLexer

from pgvow import __version__

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "pgvow"
author = "The pgvow maintainers"
version = release = __version__

extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md", "tests/support/README.md"]
exclude_patterns = ["docs/_build", "src", "db", "bench", ".*"]

myst_heading_anchors = 4  # as the anchors of a repository's browser
pygments_style = "friendly"
highlight_language = "none"

html_theme = "furo"
html_title = f"pgvow {__version__}"
html_extra_path = ["_site"]  # index.html, which leads to docs/index.html
html_copy_source = False
html_show_sphinx = False

_PAGE = re.compile(r"\]\((?P<path>[^)#:]+)\.md\)")


def with_contents(_app: Sphinx, name: str, source: list[str]) -> None:
    """Add to an index page a table of contents of the pages that each section links to."""
    if posixpath.basename(name) != "index":
        return
    folder = posixpath.dirname(name)
    for section in re.split(r"(?m)^#+ ", source[0])[1:]:
        title, _, body = section.partition("\n")
        pages = [
            "/" + posixpath.normpath(posixpath.join(folder, link["path"]))
            for link in _PAGE.finditer(body)
        ]
        if pages:
            head = ["", "```{toctree}", ":hidden:", f":caption: {title}", ""]
            source[0] += "\n".join([*head, *pages, "```", ""])


def setup(app: Sphinx) -> None:
    """Connect the handler, and colour lines of crontabs as a shell's."""
    app.connect("source-read", with_contents)
    app.add_lexer("cron", BashLexer)
