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
SHORT, USE, DEEPER, NEIGHBOURS, PRACTICE, REFERENCE = (
    [page["file"] for page in part["chapters"]] for part in TOC["parts"]
)
PLAIN = {"open_problems"}  # a list, and not a chapter by the pattern
NUMBERED = SHORT + USE + DEEPER + NEIGHBOURS
CHAPTERS = [page for page in NUMBERED if page not in PLAIN]
PAGES = [TOC["root"], *NUMBERED, *PRACTICE, *REFERENCE]
SOURCES = {page: (BOOK / f"{page}.md").read_text(encoding="utf-8") for page in PAGES}
EXPLORERS = [page for page in PAGES if "zimp.explorer(" in SOURCES[page]]
LIVE = [page for page in PAGES if "widgets.live(" in SOURCES[page]]


class Page(HTMLParser):
    """Links and anchors of a page, images and figures of its article, and the state of its widgets."""

    def __init__(self, file):
        super().__init__()
        self.links, self.anchors, self.images, self.figures, self.state = [], set(), [], [], ""
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
        if attributes.get("role") == "img" and self._article:
            self.figures.append(attributes.get("aria-label", ""))
        self._state = tag == "script" and attributes.get("type") == "application/vnd.jupyter.widget-state+json"

    def handle_endtag(self, tag):
        self._article = self._article and tag != "article"
        self._state = False

    def handle_data(self, data):
        if self._state:
            self.state += data


@pytest.mark.parametrize("page", CHAPTERS)
def test_a_chapter_keeps_the_pattern(page):
    text = SOURCES[page]
    for part in (
        "**You will learn**",
        "**You need**",
        "**Time**",
        "{admonition} Predict",
        "{dropdown} Answer",
        "\n## Exercises",
        "{admonition} In the paper, and here",
        "**In the paper**",
        "**Ours:**",
        "**What differs:**",
        "\n## Take-away",
        "\n**Next:**",
    ):
        assert part in text, part
    assert ("**Optional.**" in text) == (page in DEEPER + NEIGHBOURS)
    assert len(exercises(text)) == 4


def exercises(text):
    """The labels of a page's exercises, each of which is followed by its solution."""
    found = re.findall(r"^:label: (ex-.*)", text, flags=re.M)
    assert found == re.findall(r"^`+\{solution(?:-start)?\} (.*)", text, flags=re.M)
    return found


def test_no_exercise_is_lost():
    assert len({label for text in SOURCES.values() for label in exercises(text)}) >= 68  # four a page, and more


def test_every_statement_has_its_proof_and_something_that_leads_up_to_it():
    """A definition needs no proof; no statement comes right after a heading."""
    labels = []
    for page, text in SOURCES.items():
        proved = re.findall(r"^```\{prf:(?:theorem|lemma)\}.*\n:label: (.*)", text, flags=re.M)
        assert len(proved) == text.count("{dropdown} Proof"), page
        assert not re.search(r"^#.*\n+(?:\(.*\)=\n+)?```\{prf:", text, flags=re.M), page
        labels += proved
    assert len(labels) == len(set(labels)) >= 20


def test_the_short_path_takes_at_most_three_hours():
    minutes = [int(re.search(r"\*\*Time\*\* (\d+) minutes", SOURCES[page])[1]) for page in SHORT]
    assert len(minutes) == 7 and sum(minutes) <= 180


@pytest.mark.parametrize("page", PAGES)
def test_every_word_that_is_linked_to_the_glossary_is_in_it_once(page):
    words = re.findall(r"^(\S.*)\n  \S", SOURCES["glossary"], flags=re.M)
    assert len(words) == len(set(words)) and words == sorted(words, key=str.lower)
    linked = re.findall(r"\{term\}`(?:[^`<]*<)?([^`>]*)>?`", SOURCES[page])
    assert {word.lower() for word in linked} <= {word.lower() for word in words}


def unfolded(text):
    """A page without its solutions."""
    return re.sub(r"^`+\{solution-start\}.*?^`+\{solution-end\}", "", text, flags=re.M | re.S)


HIDDEN = {"remove-cell", "remove-input", "hide-input", "hide-cell"}


@pytest.mark.parametrize("page", NUMBERED)
def test_a_chapter_shows_at_most_120_lines_of_code_of_at_most_72_columns(page):
    cells = [cell for cell in jupytext.reads(SOURCES[page], "md:myst").cells if cell.cell_type == "code"]
    lines = [c.source.splitlines() for c in cells if not HIDDEN & set(c.metadata.get("tags", []))]
    assert [line for cell in lines for line in cell if len(line) > 72] == []
    shown = [
        c
        for c in jupytext.reads(unfolded(SOURCES[page]), "md:myst").cells
        if c.cell_type == "code" and not HIDDEN & set(c.metadata.get("tags", []))
    ]
    assert sum(len(cell.source.splitlines()) for cell in shown) <= 120


def test_sources_are_text_and_hold_no_outputs():
    made = {"_build", "dist", "__pycache__"}
    sources = [file.relative_to(BOOK) for file in BOOK.rglob("*") if file.is_file() and not made & set(file.parts)]
    assert {file.suffix for file in sources} <= {".md", ".yml", ".bib", ".css", ".js", ".svg", ".json", ".py", ".html"}
    assert {file.parent.name for file in sources if file.suffix == ".json"} == {"results"}
    folders = {file.parent.as_posix() for file in sources if file.suffix == ".py"}
    assert folders == {"_ext", "assignments", "assignments/classroom", "forms"}
    assert {file.parent.name for file in sources if file.suffix == ".html"} == {"_templates", "slides"}


NOT_PROSE = r"\$\$.*?\$\$|\$[^$]+\$|\{[\w:]+\}`[^`]*`|`[^`]*`"  # mathematics, roles (glue among them), code
TYPED = r"\d+\.\d\d+|\d+(?:\.\d+)? ?(?:%|per cent|seconds|minutes)|± ?\d|\d ?±"


@pytest.mark.parametrize("page", NUMBERED)
def test_no_measured_number_is_typed_into_the_prose(page):
    """Results come by glue. A number made by hand, in an example or a definition, stands as mathematics."""
    for cell in jupytext.reads(SOURCES[page], "md:myst").cells:
        if cell.cell_type == "markdown":
            typed = re.findall(TYPED, re.sub(NOT_PROSE, " ", cell.source, flags=re.S))
            allowed = {"95%", *re.findall(r"\*\*Time\*\* (\d+ minutes)", cell.source)}
            assert set(typed) <= allowed, cell.source


def test_every_page_was_built_and_weighs_at_most_two_and_a_half_megabytes(site):
    for page in PAGES:
        assert (site / f"{page}.html").stat().st_size <= 2.5e6, page


@pytest.mark.parametrize("page", PAGES)
def test_every_picture_says_in_words_what_is_to_be_seen(site, page):
    parsed = Page(site / f"{page}.html")
    models = json.loads(parsed.state)["state"].values() if parsed.state else ()
    values = [str(model["state"].get("value")) for model in models]
    frames = [re.search(r'aria-label="([^"]*)"', value).group(1) for value in values if "<svg" in value]
    assert bool(frames) == (page in EXPLORERS)
    assert len(set(frames)) == len(frames), "each frame of an explorer has a description of its own"
    for alt in [*frames, *parsed.figures, *(image.get("alt", "") for image in parsed.images)]:
        assert 5 <= len(alt.split()) <= 40 and not alt.startswith(("_images", "../")), alt


@pytest.mark.parametrize("page", PAGES)
def test_every_figure_and_table_has_a_caption_of_at_most_60_words(site, page):
    captions = re.findall(
        r"<figcaption>(.*?)</figcaption>", (site / f"{page}.html").read_text(encoding="utf-8"), flags=re.S
    )
    number_or_tag, mathematics = r"<span class=\"caption-number\">.*?</span>|<[^>]*>", r"\\\(.*?\\\)"
    captions = [re.sub(mathematics, "X", re.sub(number_or_tag, "", caption)) for caption in captions]
    assert [] == [caption for caption in captions if not 4 <= len(caption.split()) <= 60]
    shown = len(re.findall(r"^plots\.(?:show|table)\(", unfolded(SOURCES[page]), flags=re.M))  # not in solutions
    assert len([caption for caption in captions if "needs JavaScript" not in caption]) >= shown


def test_old_addresses_lead_to_the_new_pages(site):
    for old, new in (("beyond_one_layer", "whole_network"), ("notation", "glossary")):
        assert f"url={new}.html" in (site / f"{old}.html").read_text(encoding="utf-8") and new in PAGES


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
    for chapter in NUMBERED:
        assert f"{chapter}.html" in text or f">{chapter}<" in text, chapter


def test_no_page_shows_a_path_of_the_machine_that_built_it(site):
    for file in site.glob("*.html"):
        assert str(BOOK.parent) not in file.read_text(encoding="utf-8"), file.name


def test_the_build_sets_the_kernels_with_which_notebooks_compute():
    """Numbers of a page were those of the processor on which it was built."""
    config = yaml.safe_load((BOOK / "_config.yml").read_text(encoding="utf-8"))["sphinx"]
    assert config["local_extensions"]["fixed_kernels"] == "_ext/"
    assert config["config"]["extensions"][0] == "fixed_kernels"  # the list replaces Jupyter Book's, and ours with it
    code = "import os, fixed_kernels; print(*(os.environ[name] for name in fixed_kernels.FIXED))"
    environment = {name: value for name, value in os.environ.items() if name not in FIXED} | {"MKL_CBWR": "COMPATIBLE"}
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=BOOK / "_ext", env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["avx2", "COMPATIBLE", "AVX2"]  # what the caller has set stays
