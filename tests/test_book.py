"""The sources of the book, and the pages that are built from them. What needs a browser is in test_browser.py."""

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import jupytext
import pytest
import yaml

from zimp.lab.record import FIXED

BOOK = Path(__file__).parent.parent / "book"
TOC = yaml.safe_load((BOOK / "_toc.yml").read_text(encoding="utf-8"))
CHAPTERS = [chapter["file"] for chapter in TOC["parts"][0]["chapters"]]
PAGES = [TOC["root"], *(chapter["file"] for part in TOC["parts"] for chapter in part["chapters"])]


class Page(HTMLParser):
    """Links and anchors of a page, images of its article, and the state of its widgets."""

    def __init__(self, file):
        super().__init__()
        self.links, self.anchors, self.images, self.state = [], set(), [], ""
        self._state = self._article = False
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors.update(filter(None, (attributes.get("id"), attributes.get("name"))))
        if tag == "a" and attributes.get("href"):
            self.links.append(attributes["href"])
        self._article = self._article or tag == "article"
        if tag == "img" and self._article:
            self.images.append(attributes)
        self._state = tag == "script" and attributes.get("type") == "application/vnd.jupyter.widget-state+json"

    def handle_endtag(self, tag):
        self._article = self._article and tag != "article"
        self._state = False

    def handle_data(self, data):
        if self._state:
            self.state += data


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_keeps_the_pattern(chapter):
    text = (BOOK / f"{chapter}.md").read_text(encoding="utf-8")
    for part in (
        "**You will learn**",
        "**You need**",
        "**Time**",
        "zimp.explorer(",
        "{admonition} Predict",
        "{dropdown} Answer",
        "{prf:",
        "## Exercises",
        "## In the paper, and here",
        "**In the paper**",
        "**Ours:**",
        "**Differs because**",
        "## Take-away",
    ):
        assert part in text, part
    exercises = re.findall(r"^:label: (ex-.*)", text, flags=re.M)
    solutions = re.findall(r"^`+\{solution(?:-start)?\} (.*)", text, flags=re.M)
    assert exercises == solutions and 3 <= len(exercises) <= 6
    assert len(re.findall(r"\{prf:(?:theorem|lemma)\}", text)) == text.count("{dropdown} Proof")


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_shows_at_most_200_lines_of_code(chapter):
    cells = jupytext.read(BOOK / f"{chapter}.md").cells
    hidden = {"remove-cell", "remove-input", "hide-input"}
    shown = [c for c in cells if c.cell_type == "code" and not hidden & set(c.metadata.get("tags", []))]
    assert sum(len(cell.source.splitlines()) for cell in shown) <= 200


def test_sources_are_text_and_hold_no_outputs():
    made = {"_build", "dist", "__pycache__"}
    sources = [file.relative_to(BOOK) for file in BOOK.rglob("*") if file.is_file() and not made & set(file.parts)]
    assert {file.suffix for file in sources} <= {".md", ".yml", ".bib", ".css", ".js", ".svg", ".json", ".py"}
    assert {file.parent.name for file in sources if file.suffix == ".json"} == {"results"}
    code = {file.as_posix() for file in sources if file.suffix == ".py"}
    assert code == {"_ext/fixed_kernels.py", "assignments/course.py"}


NOT_PROSE = r"\$\$.*?\$\$|\$[^$]+\$|\{[\w:]+\}`[^`]*`|`[^`]*`"  # mathematics, roles (glue among them), code
TYPED = r"\d+\.\d\d+|\d+(?:\.\d+)? ?(?:%|per cent|seconds|minutes)|± ?\d|\d ?±"


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_no_measured_number_is_typed_into_the_prose(chapter):
    """Results come by glue. A number made by hand, in an example or a definition, stands as mathematics."""
    for cell in jupytext.read(BOOK / f"{chapter}.md").cells:
        if cell.cell_type == "markdown":
            typed = re.findall(TYPED, re.sub(NOT_PROSE, " ", cell.source, flags=re.S))
            allowed = {"95 %", *re.findall(r"\*\*Time\*\* (\d+ minutes)", cell.source)}
            assert set(typed) <= allowed, cell.source


def test_every_page_was_built_and_weighs_at_most_two_and_a_half_megabytes(site):
    for page in PAGES:
        assert (site / f"{page}.html").stat().st_size <= 2.5e6, page


@pytest.mark.parametrize("page", PAGES)
def test_every_picture_says_in_words_what_is_to_be_seen(site, page):
    parsed = Page(site / f"{page}.html")
    models = json.loads(parsed.state)["state"].values() if parsed.state else ()
    values = [str(model["state"].get("value")) for model in models]
    frames = [re.search(r'alt="([^"]*)"', value).group(1) for value in values if "<img" in value]
    assert bool(frames) == (page in CHAPTERS)
    assert len(set(frames)) == len(frames), "each frame of an explorer has a description of its own"
    for alt in [*frames, *(image.get("alt", "") for image in parsed.images)]:
        assert len(alt.split()) >= 5 and not alt.startswith(("_images", "../")), alt


def test_every_internal_link_leads_to_a_page_and_an_anchor(site):
    parsed = {file: Page(file) for file in site.rglob("*.html")}
    for file, page in parsed.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            assert target.exists(), f"{file.name}: {link}"
            if parts.fragment and target in parsed:
                assert unquote(parts.fragment) in parsed[target].anchors, f"{file.name}: {link}"


def test_the_page_of_run_times_lists_every_chapter(site):
    text = (site / "reproducing.html").read_text(encoding="utf-8")
    for chapter in CHAPTERS:
        assert f"{chapter}.html" in text or f">{chapter}<" in text, chapter


def test_no_page_shows_a_path_of_the_machine_that_built_it(site):
    for file in site.glob("*.html"):
        assert str(BOOK.parent) not in file.read_text(encoding="utf-8"), file.name


def test_binder_buttons_open_the_very_file(site):
    for chapter in CHAPTERS:
        links = Page(site / f"{chapter}.html").links
        binder = [link for link in links if link.startswith("https://mybinder.org/")]
        assert binder and all(unquote(link).endswith(f"lab/tree/book/{chapter}.md") for link in binder)


def test_the_build_sets_the_kernels_with_which_notebooks_compute():
    """Numbers of a page were those of the processor on which it was built."""
    config = yaml.safe_load((BOOK / "_config.yml").read_text(encoding="utf-8"))["sphinx"]
    assert config["local_extensions"] == {"fixed_kernels": "_ext/"}
    assert config["config"]["extensions"][0] == "fixed_kernels"  # the list replaces Jupyter Book's, and ours with it
    code = "import os, fixed_kernels; print(*(os.environ[name] for name in fixed_kernels.FIXED))"
    environment = {name: value for name, value in os.environ.items() if name not in FIXED} | {"MKL_CBWR": "COMPATIBLE"}
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=BOOK / "_ext", env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["avx2", "COMPATIBLE", "AVX2"]  # what the caller has set stays
