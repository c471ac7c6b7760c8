"""The site that needs no network, opened from its zip, and the book on paper."""

import os
import re
import subprocess
import sys
import zipfile
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest
from chromium import missing
from pypdf import PdfReader
from test_book import BOOK, PAGES

sys.path.insert(0, str(BOOK / "forms"))

import make  # noqa: E402
import pages  # noqa: E402

CDN = "https://cdn.jsdelivr.net/npm/"
MATHJAX = f'<script defer="defer" src="{CDN}mathjax@3/es5/tex.js"></script>'
WIDGETS = f'<script crossorigin="anonymous" src="{CDN}@jupyter-widgets/html-manager@1.0.15/dist/embed.js"></script>'


@pytest.fixture
def small(tmp_path):
    """A book of two pages that has been built, and of which a form was made before."""
    source, html, forms = tmp_path / "book", tmp_path / "_build" / "html", tmp_path / "_build" / "forms" / "site"
    for folder in (source, html / "_modules", forms):
        folder.mkdir(parents=True)
    (tmp_path / "LICENSE").write_text("free")
    (forms / "old").write_text("whole")
    (source / "_toc.yml").write_text("root: one\nparts:\n  - caption: More\n    chapters:\n      - file: two\n")
    for name in ("one", "two", "_modules/code"):
        (html / f"{name}.html").write_text(f"<head>{MATHJAX}</head>", encoding="utf-8")
    return make.Built(source, html.parent)


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """Put an npm on the path, and nothing else: it packs these files, or fails and says why."""

    def npm(files, fails=""):
        script = tmp_path / "bin" / "npm"
        script.parent.mkdir()
        script.write_text(
            f"#!{sys.executable}\nimport io, sys, tarfile\n"
            f"if {fails!r}: sys.exit({fails!r})\n"
            "folder = sys.argv[sys.argv.index('--pack-destination') + 1]\n"
            "with tarfile.open(folder + '/some.tgz', 'w:gz') as tar:\n"
            f"    for file in {files!r}: tar.addfile(tarfile.TarInfo('package/' + file), io.BytesIO())\n"
        )
        script.chmod(0o755)
        monkeypatch.setenv("PATH", str(script.parent))

    return npm


def packed(patterns):
    """Names of files that these patterns find."""
    return [pattern.replace("*", "some") for pattern in patterns]


EVERYTHING = packed(["es5/tex.js", "dist/embed.js", *(file for files in pages.LOADED.values() for file in files)])


def test_addresses_of_the_cdn_become_files_beside_the_pages(small, npm):
    npm(EVERYTHING)
    page = small.html / "one.html"
    page.write_text(f'<head>{MATHJAX}{WIDGETS}</head><a href="{CDN}">the CDN</a>', encoding="utf-8")
    site = make.replace("site", small) / pages.NAME
    assert (site / "one.html").read_text(encoding="utf-8") == (
        '<head><script defer="defer" src="_static/npm/mathjax@3/es5/tex.js"></script>'
        '<script src="_static/npm/@jupyter-widgets/html-manager@1.0.15/dist/embed.js"></script></head>'
        f'<a href="{CDN}">the CDN</a>'
    )
    assert 'src="../_static/npm/mathjax@3/es5/tex.js"' in (site / "_modules" / "code.html").read_text(encoding="utf-8")
    for file in ("mathjax@3/es5/tex.js", "mathjax@3/LICENSE", "@jupyter-widgets/html-manager@1.0.15/dist/some.woff2"):
        assert (site / "_static" / "npm" / file).exists()
    (widgets,) = (site / "_static" / "npm" / "@jupyter-widgets").iterdir()
    assert "Project Jupyter Contributors" in (widgets / "LICENSE").read_text(encoding="utf-8")
    assert (site / "LICENSE").read_text() == "free"
    with zipfile.ZipFile(site.parent / f"{pages.NAME}.zip") as zipped:
        files = {name for name in zipped.namelist() if not name.endswith("/")}
    assert files == {file.relative_to(site.parent).as_posix() for file in site.rglob("*") if file.is_file()}


def refused(small, form="site"):
    """What is said; nothing is left of the form that could not be made, and the last one stays."""
    with pytest.raises(make.Problem) as problem:
        make.replace(form, small)
    (forms,) = (small.build / "forms").iterdir()
    assert (forms / "old").read_text() == "whole"
    return str(problem.value)


def test_without_npm_one_is_told_which_form_needs_it_and_what_to_install(small, monkeypatch):
    monkeypatch.setenv("PATH", str(small.source))
    assert re.match(r"site needs npm, which is not installed: install Node\.js", refused(small))


def test_npm_that_fails_or_brings_something_else(small, npm):
    npm([], fails="ENOTFOUND registry")
    said = refused(small)
    assert "site: npm could not fetch mathjax@3" in said and said.endswith("ENOTFOUND registry")


def test_a_package_that_lacks_what_pages_ask_for(small, npm):
    npm(["es5/other.js"])
    assert refused(small) == "site: mathjax@3 has no es5/tex.js."


def test_a_page_that_is_not_in_the_build(small):
    (small.html / "two.html").unlink()
    assert "no two.html" in refused(small)


@pytest.mark.parametrize(
    "file, text, named",
    [
        ("two.html", '<img alt="" src="https://colab.example/badge.svg">', "https://colab.example/badge.svg"),
        ("two.html", "<script async src=//stats.example/count.js></script>", "//stats.example/count.js"),
        ("two.html", '<link href="https://a.example/b.css" rel="stylesheet">', "https://a.example/b.css"),
        ("two.html", '<link rel="preconnect" href="https://a.example">', "https://a.example"),
        ("_modules/more.css", "@font-face { src: url('https://a.example/b.woff2') }", "https://a.example/b.woff2"),
        ("two.html", f'<script src="{CDN}lodash@4/lodash.js"></script>', "lodash@4"),
    ],
)
def test_what_a_page_would_load_from_another_host_is_named(small, npm, file, text, named):
    npm(EVERYTHING)
    (small.html / file).write_text(text, encoding="utf-8")
    said = refused(small)
    assert named in said and (file in said or "LOADED in pages.py" in said)


@pytest.mark.parametrize("library", ["playwright", "pypdf"])
def test_paper_without_a_library_says_what_to_install(small, monkeypatch, library):
    monkeypatch.delitem(sys.modules, "paper", raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    assert re.match(rf"paper needs {library}, which is not installed: .*\[book,forms\]", refused(small, "paper"))


@pytest.mark.slow
def test_paper_without_chromium_says_what_to_install(tmp_path):
    code = "import make, paper\nwith paper.browser(): pass"
    environment = os.environ | {"PATH": str(tmp_path), "PLAYWRIGHT_BROWSERS_PATH": str(tmp_path)}
    python = [sys.executable, "-c", code]
    done = subprocess.run(python, cwd=BOOK / "forms", env=environment, capture_output=True, text=True)
    assert "paper needs Chromium, which is not installed: apt-get install chromium" in done.stderr


class Loaded(HTMLParser):
    """The addresses from which a page loads something."""

    def __init__(self, file):
        super().__init__()
        self.addresses = []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag not in ("a", "link"):
            self.addresses += [attributes[name] for name in ("src", "data", "poster") if attributes.get(name)]
        if tag == "link" and not {"canonical", "index", "search", "next", "prev"} & {*attributes["rel"].split()}:
            self.addresses.append(attributes["href"])


@pytest.fixture(scope="module")
def unpacked(site, tmp_path_factory):
    """The site that needs no network, as it comes out of its zip."""
    try:
        made = make.replace("site", make.Built(BOOK, site.parent))
    except make.Problem as problem:
        if "npm" not in str(problem):
            raise
        missing(str(problem))
    folder = tmp_path_factory.mktemp("unpacked")
    file = made / f"{pages.NAME}.zip"
    assert file.stat().st_size < 40e6
    with zipfile.ZipFile(file) as zipped:
        zipped.extractall(folder)
    (top,) = folder.iterdir()
    return top


def test_no_page_of_the_zip_loads_anything_from_elsewhere_and_all_that_it_loads_is_there(unpacked):
    assert {f"{name}.html" for name in [*PAGES, "index", "search"]} <= {file.name for file in unpacked.iterdir()}
    for page in unpacked.rglob("*.html"):
        if "_static" in page.parts:
            continue  # a template that the theme leaves there
        for address in {*Loaded(page).addresses}:
            parts = urlsplit(address)
            assert parts.scheme in ("", "data") and not parts.netloc, f"{page.name}: {address}"
            if parts.path and not parts.scheme:
                assert (page.parent / parts.path).exists(), f"{page.name}: {address}"
    for sheet in unpacked.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", sheet.read_text(encoding="utf-8")), sheet.name


@pytest.fixture
def read(browser, unpacked):
    """Open a page of the zip with the network refused; what it asked for outside its folder is noted."""
    context = browser.new_context(offline=True, viewport={"width": 1280, "height": 900})

    def read(name):
        page = context.new_page()
        page.add_init_script("localStorage.setItem('mode', 'light')")  # without it the theme complains
        page.problems, page.asked = [], []
        page.on("console", lambda message: message.type == "error" and page.problems.append(message.text))
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on("request", lambda asked: asked.url.startswith("http") and page.asked.append(asked.url))
        page.goto((unpacked / f"{name}.html").as_uri())
        return page

    yield read
    context.close()


def test_with_the_network_refused_mathematics_is_typeset_and_a_live_view_answers(read):
    page = read("components")
    page.locator("article mjx-container").first.wait_for()
    assert page.locator("article .math").count() == page.locator("article mjx-container").count() > 50
    assert page.evaluate("[...document.fonts].some(font => font.family.startsWith('MJX') && font.status === 'loaded')")
    view = page.locator('.zimp-live[data-zimp-view="drag"][data-state]')
    before = view.get_attribute("data-state")
    view.get_by_role("slider").first.press("ArrowRight")
    view.and_(page.locator(f".zimp-live:not([data-state='{before}'])")).wait_for()
    assert page.problems == page.asked == []


def test_with_the_network_refused_an_explorer_moves(read):
    page = read("layer_graph")
    picture = page.locator(".zimp-explorer .zimp-figure >> visible=true").first
    picture.wait_for()
    assert page.locator(".zimp-still >> visible=true").count() == 0
    before = picture.get_attribute("aria-label")
    page.locator(".zimp-explorer").get_by_role("slider").first.press("ArrowRight")
    page.locator(f'.zimp-explorer .zimp-figure:not([aria-label="{before}"]) >> visible=true').first.wait_for()
    assert page.problems == page.asked == []


def test_with_the_network_refused_the_welcome_opens_first_and_the_search_finds(read):
    page = read("index")
    page.wait_for_url("**/intro.html")
    page.goto(page.url.replace("intro.html", "search.html?q=filtration"))
    page.locator("#search-results li a").first.wait_for()
    assert page.asked == []


PRINTED = [("", ["intro"]), ("The short path: three hours", ["components"]), ("Reference", ["bibliography"])]


@pytest.fixture(scope="module")
def printed(browser, site, tmp_path_factory):
    """Three pages of the book on paper."""
    import paper

    file = tmp_path_factory.mktemp("paper") / "book.pdf"
    try:
        paper.write(make.Built(BOOK, site.parent), PRINTED, browser, file)
    except make.Problem as problem:
        if "npm" not in str(problem):
            raise
        missing(str(problem))
    return PdfReader(file)


@pytest.fixture(scope="module")
def words(printed):
    """What is written on each sheet."""
    return [sheet.extract_text() for sheet in printed.pages]


def outline(items, depth=0):
    """Pairs of depth and bookmark."""
    for item in items:
        if isinstance(item, list):
            yield from outline(item, depth + 1)
        else:
            yield depth, item


def test_paper_begins_with_title_and_contents_and_numbers_its_sheets(printed, words):
    title, contents = words[:2]
    assert "The zimp authors" in title and "CC BY 4.0" in title and "Contents" in contents
    assert printed.page_labels[:3] == ["i", "ii", "1"]
    assert printed.page_labels[-1] == str(len(printed.pages) - 2)
    assert all(label in sheet.split() for label, sheet in zip(printed.page_labels[1:], words[1:]))
    for heading in ("3. Components that live and die", "Bibliography"):
        number = int(re.search(rf"{heading}\s+(\d+)", contents).group(1))
        assert heading in words[number + 1]


def test_the_bookmarks_of_paper_are_parts_pages_and_sections(printed, words):
    found = [(depth, item.title, printed.get_destination_page_number(item)) for depth, item in outline(printed.outline)]
    titles = {title: (depth, sheet) for depth, title, sheet in found}
    assert [title for depth, title, _ in found if depth == 0][1:] == [caption for caption, _ in PRINTED[1:]]
    assert titles["3. Components that live and die"] == (1, titles["The short path: three hours"][1])
    assert titles["Exercises"][0] == 2
    assert [sheet for _, _, sheet in found] == sorted(sheet for _, _, sheet in found)
    for title in ("3. Components that live and die", "Take-away", "Bibliography"):
        assert title in words[titles[title][1]]


def links(pdf):
    """Of each link: the words of its address, or the number of the sheet to which it leads."""
    for page in pdf.pages:
        for link in page.get("/Annots", []):
            link = link.get_object()
            yield link["/A"]["/URI"] if "/A" in link else pdf.get_page_number(link["/Dest"][0].get_object())


def test_links_of_paper_lead_into_it_or_to_the_published_site(printed):
    inside = {link for link in links(printed) if isinstance(link, int)}
    outside = {link for link in links(printed) if isinstance(link, str)}
    starts = [sheet for sheet, label in enumerate(printed.page_labels) if label == "1"]
    assert {*starts, len(printed.pages) - 1} <= inside and len(inside) > 5
    assert all(link.startswith("http") for link in outside)
    config = (BOOK / "_config.yml").read_text(encoding="utf-8")
    published = re.search(r"baseurl: (\S+)", config).group(1)
    assert f"{published}layer_graph.html" in outside  # not among the three pages
    assert not {link for link in outside if re.match(rf"{published}(intro|components|bibliography)\.html", link)}


def test_on_paper_proofs_and_solutions_are_unfolded_and_nothing_is_to_be_pressed(words):
    text = " ".join(" ".join(words).split())
    for said in ("the same argument", "Four. Five neurons start as five pieces", "From heavy to light:"):
        assert said in text, said
    for said in ("Show the code", "Hide the code", "Click to", "Start reading", "needs JavaScript", "\\("):
        assert said not in text, said


def test_the_letters_of_paper_are_in_the_file_and_it_says_what_it_is(printed):
    names = set()
    for page in printed.pages:
        for font in page["/Resources"].get("/Font", {}).values():
            font = font.get_object()
            if font["/Subtype"] == "/Type0":
                font = font["/DescendantFonts"][0].get_object()
            names.add(font.get("/BaseFont", "").partition("+")[2])
            files = {"/FontFile", "/FontFile2", "/FontFile3"}  # Type 3 is drawn in the file itself
            assert font["/Subtype"] == "/Type3" or files & font["/FontDescriptor"].keys()
    assert any(name.startswith("SourceSerif4") for name in names)
    assert printed.metadata.title == "Why pruning keeps a network's topology"
    assert printed.metadata.author == "The zimp authors"
    root = printed.root_object
    assert root["/Lang"] == "en" and root["/MarkInfo"]["/Marked"]


def test_the_tags_of_paper_are_one_tree_that_all_sheets_refer_to(printed):
    tree = printed.root_object["/StructTreeRoot"]
    numbers = tree["/ParentTree"]["/Nums"]
    keys = numbers[::2]
    assert keys == sorted({*keys}) and max(keys) < tree["/ParentTreeNextKey"]
    assert {page["/StructParents"] for page in printed.pages} <= {*keys}
    assert len({page["/StructParents"] for page in printed.pages}) == len(printed.pages)
    (document,) = [tree["/K"].get_object()]
    assert document["/S"] == "/Document" and len(document["/K"]) == 1 + len(PRINTED)
    # A figure says in words what is on it.
    described, waiting = 0, [document]
    while waiting:
        part = waiting.pop()
        below = part.get("/K", [])
        below = below if isinstance(below, list) else [below]
        waiting += [item for item in (item.get_object() for item in below) if hasattr(item, "get")]
        described += part.get("/S") == "/Figure" and bool(part.get("/Alt"))
    assert described >= 5
