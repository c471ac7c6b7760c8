"""The decks of the lectures and the figures as files: made from the pages, whole, and right in a browser.

Needs Chromium and npm, as ``test_browser.py`` does. That npm fetches reveal.js and MathJax is the one use of the
network.
"""

import csv
import re
import shutil
import sys
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest
from chromium import missing

BOOK = Path(__file__).parent.parent / "book"
sys.path.append(str(BOOK / "forms"))

import figures  # noqa: E402
import make  # noqa: E402
import slides  # noqa: E402

DECKS = [f"{plan}-{place}" for plan, lectures in slides.PLANS.items() for place in range(1, len(lectures) + 1)]
SOURCES = sorted((BOOK / "slides").glob("*.md"))
NOTES = "\n:::{notes} 1 minute\nSay it.\n:::\n"


@pytest.fixture(scope="module")
def book(site, tmp_path_factory):
    """The built book, with a folder of its own for what is made from it."""
    build = tmp_path_factory.mktemp("build")
    for folder in ("html", "jupyter_execute"):
        (build / folder).symlink_to(site.parent / folder, target_is_directory=True)
    return make.Built(BOOK, build)


@pytest.fixture(scope="module")
def drawn(book):
    return make.replace("figures", book)


@pytest.fixture(scope="module")
def decks(book):
    shutil.which("npm") or missing("npm")
    return make.replace("slides", book)


@pytest.fixture(scope="module")
def pages(book):
    return slides.Pages(book)


@pytest.fixture
def opened(browser, decks):
    """Open a deck with no network; the page comes with the list of what went wrong on it."""
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    problems = []
    context.route(re.compile("^(http|ws)s?:"), lambda route: (problems.append(route.request.url), route.abort()))

    def opened(name, end=""):
        page = context.new_page()
        page.problems = problems
        page.on("console", lambda message: message.type == "error" and problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto((decks / f"{name}.html").as_uri() + end)
        page.wait_for_function("window.Reveal && Reveal.isReady()")
        return page

    yield opened
    context.close()


# Each slide, shown with its answers: what sticks out of it, what is not typeset, and what its notes say.
EACH_SLIDE = """() => Reveal.getSlides().map((slide, k) => {
  Reveal.slide(k, 0, 99);
  const frame = slide.querySelector(".frame");
  const box = frame.getBoundingClientRect();
  const seen = [...frame.querySelectorAll("*")].filter(e => e.getClientRects().length && !e.closest("mjx-container"));
  const scale = e => (e.getScreenCTM ? Math.hypot(e.getScreenCTM().a, e.getScreenCTM().b) : 1);
  const size = e => scale(e) * parseFloat(getComputedStyle(e).fontSize);
  const out = seen.filter(e => {
    const { left, right, top, bottom } = e.getBoundingClientRect();
    return left < box.left - 1 || right > box.right + 1 || top < box.top - 1 || bottom > box.bottom + 1;
  });
  return {
    out: out.map(e => e.outerHTML.slice(0, 60)),
    raw: /\\{\\w+\\}|\\\\\\(|\\\\\\[|\\$\\S/.test(slide.textContent),
    errors: slide.querySelectorAll("mjx-merror, [data-mjx-error]").length,
    words: [...frame.children].filter(e => !e.matches("svg, .chapter, h1")).map(e => e.textContent).join(" "),
    smallest: Math.min(...seen.filter(e => e.matches("p, li, td, th, h2, pre, text")).map(size)),
    notes: slide.querySelector(".notes").textContent,
  };
})"""


@pytest.mark.parametrize("name", DECKS)
def test_every_slide_fits_and_says_what_to_ask(opened, name):
    page = opened(name)
    shown = page.evaluate(EACH_SLIDE)
    assert 20 <= len(shown) <= 45
    for place, slide in enumerate(shown, 1):
        assert not slide["out"], (place, slide["out"])
        assert not slide["raw"] and not slide["errors"], (place, slide["words"])
        assert slide["smallest"] >= 15, (place, slide["smallest"], slide["words"])
        assert len(slide["notes"]) > 40, place
        if "?" in slide["words"]:
            assert re.search("Ask|Answer|Let", slide["notes"]), (place, slide["words"])
    assert page.locator("mjx-container").count() > 20
    assert page.problems == []


@pytest.mark.parametrize("name", DECKS)
def test_the_live_views_of_a_deck_are_alive(opened, name):
    page = opened(name)
    places = "Reveal.getSlides().map((slide, k) => slide.querySelector('iframe') ? k : -1).filter(k => k >= 0)"
    found = page.evaluate(places)
    assert found
    for place in found:
        page.evaluate(f"Reveal.slide({place})")
        view = page.locator("section.present iframe").element_handle().content_frame()
        view.wait_for_selector(".zimp-live[data-state]")
        assert view.locator(".zimp-live-trouble").text_content() == ""
        height, room = view.evaluate("[document.documentElement.scrollHeight, innerHeight]")
        assert height <= room + 1, place
    view.locator("button >> visible=true").first.focus()  # a remote control turns the slide all the same
    page.keyboard.press("PageDown")
    page.wait_for_function(f"Reveal.getIndices().h === {place + 1}")
    assert page.problems == []


def test_a_setting_of_a_view_is_that_of_the_address(opened):
    page = opened("two-lectures-1")
    page.evaluate("Reveal.slide(Reveal.getSlides().findIndex(slide => slide.querySelector('[data-src*=drag]')))")
    view = page.locator("section.present iframe").element_handle().content_frame()
    view.wait_for_selector(".zimp-live[data-state]")
    assert '"edge":1' in view.locator(".zimp-live").get_attribute("data-state")


def test_the_speaker_view_has_the_notes_with_formulas_and_turns_the_slides(opened):
    page = opened("four-lectures-2")
    page.evaluate("Reveal.slide(2)")
    with page.context.expect_page() as window:
        page.keyboard.press("s")
    notes = window.value.locator(".speaker-controls-notes .value")
    notes.locator("mjx-container svg").first.wait_for()
    assert "Idea of the proof" in notes.text_content() and not notes.locator("mjx-assistive-mml").count()
    before = notes.text_content()
    page.keyboard.press("ArrowRight")
    value = "document.querySelector('.speaker-controls-notes .value').textContent"
    window.value.wait_for_function(f"old => {value} !== old", arg=before)
    assert page.problems == []


def test_on_paper_a_deck_has_a_page_for_each_slide_and_pictures_for_its_views(opened):
    page = opened("four-lectures-1", "?print-pdf")
    page.wait_for_selector(".pdf-page")
    assert page.locator(".pdf-page").count() == page.locator("section").count()
    stills = page.locator(".live .still svg.zimp-wide")
    assert stills.count() == 2 and all(still.is_visible() for still in stills.all())
    assert not any(frame.is_visible() for frame in page.locator("iframe").all())


def test_the_decks_come_in_one_zip_with_all_that_they_load(decks):
    inside = zipfile.ZipFile(decks / "zimp-slides.zip").namelist()
    files = {f"zimp-slides/{f.relative_to(decks).as_posix()}" for f in decks.rglob("*") if f.is_file()}
    assert set(inside) == files - {"zimp-slides/zimp-slides.zip"}
    for page in [*decks.glob("*.html"), *decks.glob("views/*.html")]:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|link)[^>]* (?:src|href)="([^"]+)"|data-src="([^"#]+)', text)
        assert loaded and all((page.parent / (one or other)).is_file() for one, other in loaded)


def test_every_figure_is_a_file_that_opens_anywhere(drawn):
    named = {name for page in BOOK.glob("*.md") for name in re.findall(r"name: (fig-[\w-]+)", page.read_text("utf-8"))}
    assert named == {file.stem for file in drawn.glob("*.svg")}
    for file in drawn.glob("*.svg"):
        text = file.read_text(encoding="utf-8")
        root = ElementTree.fromstring(text.encode())
        assert "var(" not in text and "display: none" not in text
        assert root.get("viewBox") and root.get("width").endswith("pt") and root.get("height").endswith("pt")
        assert root.find("{*}desc").text.strip()
    rows = list(csv.DictReader((drawn / "figures.csv").open(encoding="utf-8-sig")))
    assert {row["file"] for row in rows} == {file.name for file in drawn.glob("*.svg")}
    assert all(
        re.fullmatch(r"Fig\. [\d.]+", row["number"]) and row["caption"] and "<" not in row["caption"] for row in rows
    )
    assert "CC BY 4.0" in (drawn / "LICENCE.txt").read_text(encoding="utf-8")
    inside = zipfile.ZipFile(drawn / "zimp-figures.zip").namelist()
    assert len(inside) == len(rows) + 2


def test_files_of_figures_look_as_the_figures_do(browser, drawn):
    page = browser.new_page()
    page.goto((drawn / "fig-components-film.svg").as_uri())
    assert page.evaluate("getComputedStyle(document.querySelector('text')).fontSize") == "9px"
    box = page.evaluate("(box => [box.width, box.height])(document.documentElement.getBoundingClientRect())")
    points = [float(length) for length in page.evaluate("document.documentElement.getAttribute('viewBox')").split()[2:]]
    assert box == pytest.approx([4 / 3 * length for length in points], abs=1)
    page.close()


def test_a_drawing_gets_colours_size_and_description_of_its_own():
    body = (
        '<div class="zimp-figure" aria-label="Two &quot;dots&quot;."><svg class="zimp-wide" aria-hidden="true" '
        'fill="var(--zimp-ink, #222832)" style="width: 8px" viewBox="0 0 6 3"><path style="fill: var(--zimp-tree, '
        '#D55E00)"/></svg><svg class="zimp-narrow"></svg></div>'
    )
    drawing = figures.standalone(figures.Figure("fig-x", "Fig. 1.1", "page", "", body))
    root = ElementTree.fromstring(drawing.encode())
    assert root.attrib["width"] == "6pt" and root.attrib["height"] == "3pt" and root.attrib["fill"] == "#222832"
    assert root.find("{*}path").get("style") == "fill: #D55E00"
    assert root.find("{*}desc").text == 'Two "dots".'


@pytest.mark.parametrize(
    "words, wrong",
    [
        (":::{figure} fig-components-flim\n:::", "figure 'fig-components-flim'"),
        (":::{live} fig-components-drug 1.2\n:::", "figure 'fig-components-drug'"),
        (":::{live} fig-components-film 1.2\n:::", "must name a live view"),
        (":::{live} fig-components-drag\n:::", "must name a live view"),
        (":::{notes} many minutes\n:::", "notes of 'many minutes'"),
        (":::{statement} thm-forrest\n:::", "statement 'thm-forrest'"),
        (":::{words} def-control\n:::", "no words after 'def-control'"),
        (":::{predict} Which of these\n:::", "question 'Which of these'"),
        (":::{code} def find_all(\n:::", "cell 'def find_all('"),
        (":::{table} tab-x\n:::", "block 'table'"),
        ("{glue}`components-conected`", "value 'components-conected'"),
        ("{ref}`thm-forrest`", "statement 'thm-forrest'"),
        ("{page}`componets`", "page 'componets'"),
        ("{trie}`tree edges`", "role 'trie'"),
    ],
)
def test_what_the_book_lacks_stops_the_form_with_deck_slide_and_name(pages, words, wrong):
    deck = slides.Deck(pages, "two-lectures-1", 0)
    with pytest.raises(make.Problem, match="two-lectures-1.*components_film.md.*'A slide'") as stopped:
        deck.slide("components_film", f"## A slide\n\n{words}\n{NOTES}")
    assert wrong in str(stopped.value)


def test_a_slide_without_notes_stops_the_form(pages):
    with pytest.raises(make.Problem, match="'A slide'.*notes"):
        slides.Deck(pages, "two-lectures-1", 0).slide("accuracy", "## A slide\n")


def test_minutes_that_are_not_those_of_the_plan_stop_the_form(pages):
    title, parts, after = pages.plan("two-lectures")[0]
    parts[0] = (parts[0][0], 21, parts[0][2])
    with pytest.raises(make.Problem, match="20 minutes for lottery_tickets.*21"):
        slides.Deck(pages, "two-lectures-1", 0).values((title, parts, after), ["lottery_tickets"], "")


def test_numbers_and_references_are_those_of_the_book(pages):
    minutes, slide = slides.Deck(pages, "x", 1).slide(
        "components_tree", f"{{glue}}`components-connected:.1f` {{ref}}`thm-forest` {{tree}}`edges`{NOTES}"
    )
    assert minutes == 1 and "19.0 Theorem 3.1" in slide and 'class="zimp-swatch zimp-tree">edges' in slide


def test_every_source_of_slides_is_in_a_deck():
    used = {source for lectures in slides.PLANS.values() for sources in lectures for source in sources}
    assert used == {file.stem for file in SOURCES}


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.stem)
def test_slides_have_hardly_any_text(file):
    for words in re.split(r"^---\n", file.read_text(encoding="utf-8"), flags=re.M):
        shown = re.sub(r":::\{.*?^:::$", "", words, flags=re.M | re.S)
        assert len(re.findall(r"[\w'-]+", shown)) <= 80, shown


def test_without_npm_the_form_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(make.Problem, match="slides needs npm.*Node.js"):
        make.fetch("reveal.js@6.0.2", ["LICENSE"], tmp_path / "reveal", "slides")
    assert not (tmp_path / "reveal").exists()


def test_what_npm_cannot_fetch_is_named(tmp_path):
    shutil.which("npm") or missing("npm")
    with pytest.raises(make.Problem, match="could not fetch .*no-such-package.*network"):
        make.fetch(str(tmp_path / "no-such-package"), ["LICENSE"], tmp_path / "reveal", "slides")
