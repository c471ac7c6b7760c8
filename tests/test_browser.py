"""The pages as a reader has them: in a real browser, light and dark, on a phone, by keyboard, and without the CDN.

A page is opened once for each of these, since that takes the time, and asked all that is to be known there.

Needs Chromium and npm. The two scripts that the pages load from a CDN are served from their npm packages, and axe-core,
which looks for what keeps readers out, is put into the pages; that npm fetches these is the one use of the network in
the tests.
"""

import json
import re
import shutil
import subprocess
import time
from io import BytesIO
from urllib.parse import quote

import pytest
from chromium import missing
from PIL import Image
from test_book import EXPLORERS, NUMBERED, PAGES, SHORT, SOURCES

from zimp import plots

PACKAGES = {  # what the pages ask for: which package has it
    "https://cdn.jsdelivr.net/npm/@jupyter-widgets/html-manager@1.0.15/": "@jupyter-widgets/html-manager",
    "https://cdn.jsdelivr.net/npm/mathjax@3/": "mathjax",
}


@pytest.fixture(scope="session")
def modules(tmp_path_factory):
    npm = shutil.which("npm") or missing("npm")
    folder = tmp_path_factory.mktemp("cdn")
    (folder / "package.json").write_text("{}")
    scripts = ["@jupyter-widgets/html-manager@1.0.15", "mathjax@3", "axe-core@4"]
    install = [npm, "install", "--silent", "--ignore-scripts", *scripts]
    if subprocess.run(install, cwd=folder).returncode:
        missing("what npm could not fetch")
    return folder / "node_modules"


@pytest.fixture
def visit(browser, modules, site):
    """Open a page of the book; the page comes with the list of what went wrong on it."""
    opened = []

    def serve(route, cdn, delay):
        url = route.request.url
        for prefix, package in PACKAGES.items():
            if cdn and url.startswith(prefix):
                time.sleep(delay)
                return route.fulfill(path=str(modules / package / url.removeprefix(prefix).split("?")[0]))
        return route.continue_() if url.startswith(("file:", "data:", "blob:")) else route.abort()

    def visit(name, theme="light", width=1280, cdn=True, javascript=True, delay=0):
        page = browser.new_page(
            viewport={"width": width, "height": 900}, color_scheme=theme, java_script_enabled=javascript
        )
        page.problems = []
        page.on("console", lambda message: message.type == "error" and page.problems.append(message.text))
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.route("**/*", lambda route: serve(route, cdn, delay))
        page.add_init_script(f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}')")
        page.goto((site / f"{name}.html").as_uri())
        if cdn and javascript and name in EXPLORERS:
            page.locator(".zimp-explorer .zimp-figure >> visible=true").first.wait_for()
        opened.append(page)
        return page

    yield visit
    for page in opened:
        page.close()


# The colours of all that is drawn in the figures of a page, by the names that they have in the source.
DRAWN = r"""() => [...document.querySelectorAll("main .zimp-figure svg")].filter(svg => svg.checkVisibility())
  .flatMap(svg => [...svg.querySelectorAll("*")]).flatMap(part => ["fill", "stroke"].flatMap(kind => {
    const name = (part.getAttribute("style") || "").match(new RegExp(`(?:^|[; ])${kind}: var\\(--zimp-(\\w+)`));
    return name ? [[name[1], getComputedStyle(part)[kind]]] : [];
  }))"""

# Open code that is wider than its box.
WIDE = """() => [...document.querySelectorAll("article .cell_input pre")].filter(code => code.checkVisibility())
  .filter(code => code.scrollWidth > code.clientWidth + 1).map(code => code.textContent)"""

# The smallest letters of a figure, subscripts and exponents set aside.
LETTERS = """() => [...document.querySelectorAll("main .zimp-figure svg")].filter(svg => svg.checkVisibility())
  .flatMap(svg => [...svg.querySelectorAll("text")].filter(text => !text.querySelector("tspan")).map(text => {
    const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    return [parseFloat(getComputedStyle(text).fontSize) * scale, text.textContent];
  })).filter(([size]) => size < 11)"""


# Text of a figure that reaches beyond its drawing, and is cut off there.
CUT = """() => [...document.querySelectorAll("main .zimp-figure svg")].filter(svg => svg.checkVisibility())
  .flatMap(svg => [...svg.querySelectorAll("text")].filter(text => !text.querySelector("tspan")).filter(text => {
    const [inner, outer] = [text, svg].map(part => part.getBoundingClientRect());
    return inner.left < outer.left - 4 || inner.right > outer.right + 4 ||
      inner.top < outer.top - 4 || inner.bottom > outer.bottom + 4;
  }).map(text => text.textContent))"""


# For each piece of text in the article, unfolded: its contrast by WCAG 2 with what is behind it. Whatever has no letter
# or digit is a mark, not text.
CONTRASTS = """() => {
  document.querySelectorAll("article details").forEach(details => details.open = true);
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const over = (color, background) => {
    for (const layer of [background, color]) {
      context.fillStyle = layer;
      context.fillRect(0, 0, 1, 1);
    }
    return `rgb(${context.getImageData(0, 0, 1, 1).data.slice(0, 3).join()})`;
  };
  const behind = element => element
    ? over(getComputedStyle(element).backgroundColor, behind(element.parentElement))
    : "white";
  const luminance = color => {
    const [r, g, b] = color.match(/[0-9]+/g).map(x => x / 255)
      .map(x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  return [...document.querySelectorAll("article *")]
    .filter(element => element.checkVisibility({ opacityProperty: true, visibilityProperty: true }))
    .filter(element => [...element.childNodes].some(node => node.nodeType === 3 && /[\\p{L}\\p{N}]/u.test(node.data)))
    .map(element => {
      const background = behind(element);
      const style = getComputedStyle(element);
      const color = element.closest("svg") ? style.fill : style.color;
      const [dark, light] = [over(color, background), background].map(luminance)
        .sort((a, b) => a - b);
      const name = `${element.tagName}.${element.className} in ${element.parentElement.className}`;
      return [(light + 0.05) / (dark + 0.05), `${name}: ${element.textContent.trim().slice(0, 40)}`];
    });
}"""


# Wait until no colour is on its way to another, however slow the machine is.
FADED = "() => Promise.allSettled(document.getAnimations().map(animation => animation.finished))"


# What axe finds serious or critical. It need not look into formulas, code and still figures: each figure has one
# description, and the contrasts of all text are measured by CONTRASTS. In the dark the same elements have other
# colours, so only these are looked at.
AXE = """async theme => {
  const exclude = [["mjx-container"], [".highlight"], [".zimp-figure > svg"]];
  const rules = theme === "dark" ? { runOnly: ["color-contrast"] } : {};
  const { violations } = await axe.run({ exclude }, { resultTypes: ["violations"], ...rules });
  return violations.filter(({ impact }) => ["serious", "critical"].includes(impact))
    .flatMap(({ id, nodes }) => nodes.map(({ target, html }) => `${id}: ${target} is ${html.slice(0, 200)}`));
}"""
GENERATED = ["genindex", "prf-prf", "py-modindex", "search"]  # by the engine


@pytest.fixture
def axe(modules):
    """Ask axe about a page."""
    script = (modules / "axe-core" / "axe.min.js").read_text(encoding="utf-8")

    def axe(page, theme):
        page.evaluate(script)
        return page.evaluate(AXE, theme)

    return axe


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_page_in_light_and_dark(visit, axe, name, theme):
    """In the dark mode of the first edition, blue for magnitude and sky blue for kept weights had changed places."""
    page = visit(name, theme)
    page.wait_for_timeout(300)
    page.evaluate(FADED)
    assert page.problems == []
    background = max(Image.open(BytesIO(page.screenshot())).convert("L").getcolors())[1]
    assert background > 230 if theme == "light" else background < 60

    palette = plots.COLORS if theme == "light" else plots.DARK
    for colour, rendered in {tuple(pair) for pair in page.evaluate(DRAWN)}:
        assert rendered == f"rgb{tuple(int(palette[colour][i : i + 2], 16) for i in (1, 3, 5))}", colour
    for figure in page.locator("main article .zimp-figure >> visible=true").all():
        darkest, lightest = Image.open(BytesIO(figure.screenshot())).convert("L").getextrema()
        assert lightest - darkest > 120, "lines must stand out from the background"
    assert page.evaluate(CUT) == []

    if name in NUMBERED and theme == "light":
        assert page.evaluate(WIDE) == []
        # In screens of 900 px at a width of 1280, with everything folded.
        height = page.evaluate("document.querySelector('article').getBoundingClientRect().height")
        assert height / 900 <= (12 if name in SHORT else 14)
    pictures = page.locator("main :is(img, [role=img]):not([aria-hidden=true], [aria-hidden=true] *)")
    words = "picture => (picture.alt || picture.ariaLabel || picture.querySelector('title')?.textContent || '').trim()"
    for picture in pictures.all():
        assert picture.evaluate(words), picture.evaluate("picture => picture.outerHTML")

    assert axe(page, theme) == []  # takes a second or so

    contrasts = page.evaluate(CONTRASTS)  # unfolds what is folded
    assert len(contrasts) > 5
    assert [] == [text for contrast, text in contrasts if contrast < 4.5]


@pytest.mark.parametrize("name", GENERATED)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_generated_page_keeps_nobody_out(visit, axe, name, theme):
    assert axe(visit(name, theme), theme) == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_on_a_phone(visit, name):
    page = visit(name, width=390)
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    assert page.evaluate(LETTERS) == []
    assert page.evaluate(CUT) == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_with_mathematics_says_so_without_the_cdn(visit, name):
    page = visit(name, cdn=False)
    article, note = page.locator("article"), page.get_by_role("note").filter(has_text="Mathematics")
    mathematics = article.locator(".math").all()
    assert note.count() == bool(mathematics)
    assert len(article.inner_text().split()) > 50
    for formula in mathematics:
        assert formula.text_content().strip().startswith(("\\(", "\\["))
    for theme in ("light", "dark"):
        page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
        page.evaluate(FADED)
        assert [] == [text for contrast, text in page.evaluate(CONTRASTS) if contrast < 4.5]
    if mathematics:
        page.emulate_media(media="print")
        assert note.is_visible()


@pytest.mark.parametrize("name", SHORT[:3])
def test_with_a_cdn_even_a_slow_one_no_note_is_shown(visit, name):
    page = visit(name, delay=0.5)
    page.locator("mjx-container").first.wait_for(state="attached")
    assert page.locator(".zimp-note").count() == 0


@pytest.mark.parametrize("name", EXPLORERS)
def test_every_slider_says_its_name_and_its_value_and_moves_its_picture(visit, name):
    page = visit(name)
    explorers, stills = page.locator("main .zimp-explorer"), page.locator(".zimp-still")
    assert explorers.count() == stills.count() >= 1
    for still in stills.all():
        still.wait_for(state="hidden")
    for explorer in explorers.all():
        picture = explorer.locator(".zimp-figure >> visible=true")
        sliders = explorer.locator(".widget-slider")
        assert sliders.count() >= 1
        for slider in sliders.all():
            handle = slider.get_by_role("slider", name=slider.locator(".widget-label").inner_text(), exact=True)
            shown, value = picture.get_attribute("aria-label"), handle.get_attribute("aria-valuetext")
            assert value == slider.locator(".widget-readout").inner_text()
            handle.press("ArrowRight")
            other = explorer.locator(f".zimp-figure:not([aria-label={json.dumps(shown)}])")
            explorer.locator(".zimp-figure >> visible=true").and_(other).wait_for()
            assert picture.count() == 1
            assert value != handle.get_attribute("aria-valuetext") == slider.locator(".widget-readout").inner_text()


def test_heading_sizes_are_in_order(visit):
    page = visit("components")
    size = "heading => parseFloat(getComputedStyle(heading).fontSize)"
    sizes = [page.locator(f"article {level}").first.evaluate(size) for level in ("h1", "h2")]
    assert sizes == sorted(sizes, reverse=True) and sizes[1] > 16


@pytest.mark.parametrize("name", EXPLORERS)
@pytest.mark.parametrize("without", ["cdn", "javascript"])
def test_without_widgets_the_still_picture_stays_and_says_so(visit, name, without):
    stills = visit(name, **{without: False}).locator(".zimp-still").all()
    assert stills
    for still in stills:
        assert still.locator(".zimp-figure").is_visible() and still.locator(".zimp-figure").get_attribute("aria-label")
        assert "needs JavaScript" in still.inner_text()


@pytest.mark.parametrize("name", EXPLORERS)
@pytest.mark.parametrize("cdn", [True, False])
def test_on_paper_an_explorer_is_one_whole_picture(visit, name, cdn):
    page = visit(name, "dark", cdn=cdn, width=718)  # A4 with a margin of 1 cm
    page.emulate_media(media="print")
    pictures = page.locator(":is(.zimp-explorer, .zimp-still) .zimp-figure >> visible=true")
    assert pictures.count() == page.locator(".zimp-still").count() >= 1
    words = ".widget-slider :is(.widget-label, .widget-readout)" if cdn else ".zimp-still figcaption"
    assert page.locator(words).count() and all(word.is_visible() for word in page.locator(words).all())
    assert not page.locator("main .slider-container >> visible=true").count()
    for picture in pictures.all():
        box = picture.bounding_box()
        assert 0 <= box["x"] and box["x"] + box["width"] <= 718 and box["height"] < 900
        assert picture.evaluate("""i => {
            for (let e = i.parentElement; e !== document.documentElement; e = e.parentElement)
                if (getComputedStyle(e).overflowX !== "visible" && e.scrollWidth > e.clientWidth) return false;
            return true;
        }"""), "no box around it may cut it"  # fmt: skip
        assert Image.open(BytesIO(picture.screenshot())).convert("L").getpixel((0, 0)) > 230, "paper is white"


def test_a_proof_unfolds(visit):
    page = visit("components")
    proof = page.locator("details.sd-dropdown").first
    text = proof.locator(".sd-summary-content")
    assert not text.is_visible()
    proof.locator("summary").click()
    assert text.is_visible()


def test_search_finds_every_term_of_the_glossary(visit):
    terms = re.findall(r"^(\S.*)\n  \S", SOURCES["glossary"], flags=re.M)
    assert "filtration" in terms and len(terms) >= 20
    page = visit("search")
    address, unfound = page.url, []
    for term in terms:
        page.goto(f"{address}?q={quote(term)}")
        page.get_by_text(re.compile("Search finished|did not match")).wait_for()
        if not page.locator("#search-results li a").count():
            unfound.append(term)
    assert not unfound


TIPS = {  # of links of the page on components
    "barcode": "The persistence diagram drawn as bars",
    "Definition 2.1": "Graph of a layer",
    "Table 3.1": "One edge, three numbers.",
    "Kruskal, 1956": "On the shortest spanning subtree",
    "zimp.persistence_diagram()": "persistence diagram of a layer",
    "Theorem 3.1": "the maximum spanning forest",
}


def linked(page, text):
    """The first link with this text that can be seen."""
    links = page.locator("article a.internal", has_text=re.compile(f"^{re.escape(text)}$"))
    return links.and_(page.locator(":visible")).first


def apart(link, tip):
    """Whether one is above the other."""
    link, tip = link.bounding_box(), tip.bounding_box()
    return link["y"] + link["height"] <= tip["y"] or tip["y"] + tip["height"] <= link["y"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_by_keyboard_a_tip_shows_what_a_link_leads_to_until_escape(visit, axe, theme):
    page = visit("components", theme)
    tip = page.get_by_role("tooltip")
    page.keyboard.press("Tab")  # what has the focus from now on, has it by keyboard
    for text, words in TIPS.items():
        link = linked(page, text)
        link.focus()
        assert words in tip.inner_text()
        assert link.get_attribute("aria-describedby") == tip.get_attribute("id")
        assert link.get_attribute("title") is None, "the browser's own tip"
        assert apart(link, tip)
    tip.locator("mjx-container").first.wait_for()
    assert apart(link, tip) and page.problems == [] and axe(page, theme) == []
    page.keyboard.press("Escape")
    assert not tip.is_visible() and link.get_attribute("aria-describedby") is None
    link.press("Enter")
    assert page.url.endswith("#thm-forest")


def test_by_mouse_a_tip_stays_while_the_mouse_is_on_it_and_touch_has_none(visit):
    page = visit("components", width=390)
    tip = page.get_by_role("tooltip")
    link = linked(page, "barcode")
    link.dispatch_event("pointerover", {"pointerType": "touch", "bubbles": True})
    page.wait_for_timeout(500)
    assert not tip.is_visible()
    link.hover()
    tip.wait_for()
    assert apart(link, tip)
    box = tip.bounding_box()
    assert 0 <= box["x"] and box["x"] + box["width"] <= 390
    tip.hover()
    page.wait_for_timeout(500)
    assert tip.is_visible()
    page.emulate_media(media="print")
    assert not tip.is_visible()
    page.emulate_media(media="screen")
    page.mouse.move(2, 2)
    tip.wait_for(state="hidden")
    link.click()
    assert page.url.endswith("glossary.html#term-barcode")
