"""The documents are a site: it builds without a warning, and every link in it leads somewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest

from tests.support.commands import ROOT, clean_environment

if TYPE_CHECKING:
    from pathlib import Path

_LINK = re.compile(r"\]\((?!https?://)(?P<path>[^)#]+)")
_OWN_FOLDERS = re.compile(
    r"(?<![\w.])(?:/home/\w|/Users/\w|/root/|[A-Z]:\\)|" + re.escape(str(ROOT))
)
_DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "tests/support/README.md"]
)
# A small site that is whole, for one page more or another one.
_SITE = {
    "docs/index.md": "# Index\n\n## Part\n\n[page](page.md), [readme](../README.md)\n",
    "docs/page.md": "# Page\n\n## One heading\n\ntext\n",
    "README.md": "# Readme\n\n[heading](docs/page.md#one-heading)\n",
}


def build(source: Path, target: Path, builder: str = "html") -> subprocess.CompletedProcess[str]:
    """Build as ``make docs`` does."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "sphinx", "-W", "-n", "--keep-going", "-q", "-b", builder),
            *("-d", target / "doctrees", "-c", source / "docs", source, target / "html"),
        ],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the site, built with every warning an error."""
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT, folder)
    assert (0, "") == (done.returncode, done.stderr)
    return folder / "html"


def test_every_document_is_a_page_of_the_site(site: Path) -> None:
    """None is left out: decisions, recipes and generated pages neither (orphans are errors)."""
    pages = {path.relative_to(site).with_suffix("") for path in site.rglob("*.html")}
    expected = {path.relative_to(ROOT).with_suffix("") for path in _DOCUMENTS}
    assert expected <= pages
    assert "docs/index.html" in (site / "index.html").read_text(encoding="utf-8")


class _Page(HTMLParser):
    """Collects the links and the anchors of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = {""}

    def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take up one element."""
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            if name in {"href", "src"} and value:
                self.links.add(value)


def broken(folder: Path) -> set[tuple[str, str]]:
    """Return the links of a site that lead nowhere, each with its page."""
    pages = {}
    for path in folder.rglob("*.html"):
        pages[path.resolve()] = page = _Page()
        page.feed(path.read_text(encoding="utf-8"))
    wrong = set()
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[target].anchors if target in pages else {"", parts.fragment}
            if not target.is_file() or unquote(parts.fragment) not in anchors:
                wrong.add((str(path.relative_to(folder)), link))
    return wrong


def test_every_link_of_the_site_leads_to_a_file_and_an_anchor(site: Path) -> None:
    """All links in the HTML as it was written: pages, anchors, pictures, downloads, styles."""
    assert set() == broken(site)


def test_broken_links_in_html_are_seen(tmp_path: Path) -> None:
    """An anchor and a file that are not there."""
    (tmp_path / "a.html").write_text('<p id="here"><a href="#here"></a><a href="b.html#there"></a>')
    (tmp_path / "b.html").write_text('<img src="gone.png"><a href="https://example.org/x"></a>')
    assert {("a.html", "b.html#there"), ("b.html", "gone.png")} == broken(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("README.md", "# Readme\n\n[x](docs/pages.md)\n", "docs/pages.md"),
        ("README.md", "# Readme\n\n[x](docs/page.md#another-heading)\n", "another-heading"),
        ("docs/orphan.md", "# Orphan\n", "isn't included in any toctree"),
    ],
    ids=["no such page", "no such anchor", "linked from nowhere"],
)
def test_the_build_fails_for(name: str, text: str, complaint: str, tmp_path: Path) -> None:
    """A link to a page or an anchor that is not there, and a page without a place."""
    source = tmp_path / "source"
    for path, content in {**_SITE, name: text}.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text(content)
    shutil.copy(ROOT / "docs/conf.py", source / "docs")
    shutil.copytree(ROOT / "docs/_site", source / "docs/_site")
    done = build(source, tmp_path, "dummy")
    assert 1 == done.returncode
    assert complaint in done.stderr
    assert 1 == done.stderr.count("WARNING"), done.stderr


@pytest.mark.parametrize("document", _DOCUMENTS, ids=lambda path: path.name)
def test_relative_links_lead_somewhere_in_the_repository_too(document: Path) -> None:
    """A browser of the repository shows the same files, at the same places."""
    for match in _LINK.finditer(document.read_text(encoding="utf-8")):
        assert (document.parent / match["path"]).exists(), match["path"]


@pytest.mark.parametrize("document", _DOCUMENTS, ids=lambda path: path.name)
def test_no_document_names_a_folder_of_one_machine(document: Path) -> None:
    """No home directory, and not the folder in which it was written."""
    assert None is _OWN_FOLDERS.search(document.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", ["/home/anna/x", "see /root/.x", "/Users/x/y", f"{ROOT}/docs"])
def test_a_folder_of_one_machine_is_seen(path: str) -> None:
    """The test above can fail; a place that documents may name is none."""
    assert _OWN_FOLDERS.search(path)
    assert not _OWN_FOLDERS.search("/srv/project and /var/lib/node_exporter")
