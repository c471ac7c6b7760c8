"""The pages as a reader has them: in a real browser, light and dark, on a phone, by keyboard, and without the CDN.

Needs Chromium and npm. The two scripts that the pages load from a CDN are served from their npm packages.
"""

import os
import shutil
import subprocess
from io import BytesIO

import pytest
from PIL import Image
from test_book import CHAPTERS, PAGES

playwright = pytest.importorskip("playwright.sync_api")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
PACKAGES = {  # what the pages ask for: which package has it
    "https://cdn.jsdelivr.net/npm/@jupyter-widgets/html-manager@1.0.15/": "@jupyter-widgets/html-manager",
    "https://cdn.jsdelivr.net/npm/mathjax@3/": "mathjax",
}


def missing(what):
    (pytest.fail if os.environ.get("CI") else pytest.skip)(f"the browser tests need {what}")


@pytest.fixture(scope="session")
def modules(tmp_path_factory):
    npm = shutil.which("npm") or missing("npm")
    folder = tmp_path_factory.mktemp("cdn")
    (folder / "package.json").write_text("{}")
    install = [npm, "install", "--silent", "--ignore-scripts", "@jupyter-widgets/html-manager@1.0.15", "mathjax@3"]
    if subprocess.run(install, cwd=folder).returncode:
        missing("what npm could not fetch")
    return folder / "node_modules"


@pytest.fixture(scope="session")
def browser():
    found = shutil.which("chromium") or shutil.which("google-chrome")
    with playwright.sync_playwright() as engine:
        try:
            browser = engine.chromium.launch(executable_path=found, args=FLAGS)
        except playwright.Error:
            missing("Chromium: apt-get install chromium, or playwright install chromium")
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, modules, site):
    """Open a page of the book; the page comes with the list of what went wrong on it."""
    opened = []

    def serve(route, cdn):
        url = route.request.url
        for prefix, package in PACKAGES.items():
            if cdn and url.startswith(prefix):
                return route.fulfill(path=str(modules / package / url.removeprefix(prefix).split("?")[0]))
        return route.continue_() if url.startswith(("file:", "data:", "blob:")) else route.abort()

    def visit(name, theme="light", width=1280, cdn=True, javascript=True):
        page = browser.new_page(
            viewport={"width": width, "height": 900}, color_scheme=theme, java_script_enabled=javascript
        )
        page.problems = []
        page.on("console", lambda message: message.type == "error" and page.problems.append(message.text))
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.route("**/*", lambda route: serve(route, cdn))
        page.add_init_script(f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}')")
        page.goto((site / f"{name}.html").as_uri())
        if cdn and javascript and name in CHAPTERS:
            page.locator(".zimp-explorer img >> visible=true").first.wait_for()
        opened.append(page)
        return page

    yield visit
    for page in opened:
        page.close()


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_page_opens_without_a_complaint(visit, name, theme):
    page = visit(name, theme)
    page.wait_for_timeout(500)
    assert page.problems == []


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_slider_moved_by_keyboard_changes_its_picture(visit, name):
    page = visit(name)
    sliders = page.locator("main [role=slider]")
    assert sliders.count() >= 1
    for k in range(sliders.count()):
        picture = page.locator("main .zimp-explorer").first.locator("img >> visible=true")
        assert picture.count() == 1
        before = picture.get_attribute("src")
        sliders.nth(k).focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_function("before => ![...document.querySelectorAll('main .zimp-explorer img')].some("
                               "i => i.offsetParent && i.src === before)", arg=before)  # fmt: skip
        assert picture.count() == 1 and picture.get_attribute("alt")


@pytest.mark.parametrize("name", CHAPTERS)
def test_figures_and_explorers_are_dark_in_the_dark_and_light_in_the_light(visit, name):
    for theme in ("light", "dark"):
        page = visit(name, theme)
        for figure in page.locator("main .cell_output img >> visible=true, main .zimp-explorer >> visible=true").all():
            edge = Image.open(BytesIO(figure.screenshot())).convert("L").crop((0, 0, 400, 3))  # nothing is drawn there
            assert edge.getextrema()[0] > 230 if theme == "light" else edge.getextrema()[1] < 60, theme


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_figure_in_the_dark_is_not_empty(visit, name):
    page = visit(name, "dark")
    for figure in page.locator("main .cell_output img >> visible=true").all():
        darkest, lightest = Image.open(BytesIO(figure.screenshot())).convert("L").getextrema()
        assert lightest - darkest > 120, "lines must stand out from the background"


@pytest.mark.parametrize("name", PAGES)
def test_nothing_overflows_on_a_phone(visit, name):
    page = visit(name, width=390)
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_still_picture_gives_way_to_the_living_explorer(visit, name):
    still = visit(name).locator(".zimp-still")
    still.wait_for(state="hidden")
    assert still.count() == 1


@pytest.mark.parametrize("name", CHAPTERS)
@pytest.mark.parametrize("without", ["cdn", "javascript"])
def test_without_widgets_the_still_picture_stays_and_says_so(visit, name, without):
    still = visit(name, **{without: False}).locator(".zimp-still")
    assert still.locator("img").is_visible() and still.locator("img").get_attribute("alt")
    assert "needs JavaScript" in still.inner_text()


def test_a_proof_unfolds(visit):
    page = visit("components")
    proof = page.locator("details.sd-dropdown").first
    text = proof.locator(".sd-summary-content")
    assert not text.is_visible()
    proof.locator("summary").click()
    assert text.is_visible()


def test_search_finds_a_term_of_the_notation(site, browser):
    page = browser.new_page()
    page.goto((site / "search.html").as_uri() + "?q=filtration")
    page.locator("#search-results li a").first.wait_for()
    assert page.locator("#search-results li").count() >= 1
    page.close()
