"""The whole book as one PDF: each page printed by Chromium, from the pages that need no network, and all joined.

Proofs, answers and solutions are unfolded; folded code is left out. An explorer or a live view is one picture. Links
between pages lead to their place in the PDF, and links to what is not in it lead to the published site.
"""

import html
import re
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import matplotlib
import yaml
from make import fail, fetch
from pages import NAME, contents, copy

INSTALL = '.venv/bin/pip install -c constraints.txt -e ".[book,forms]"'
try:
    from playwright import sync_api as playwright
    from pypdf import PdfReader, PdfWriter
    from pypdf.generic import (
        ArrayObject,
        BooleanObject,
        DictionaryObject,
        Fit,
        NameObject,
        NumberObject,
        TextStringObject,
    )
except ImportError as error:
    fail(f"paper needs {error.name}, which is not installed: {INSTALL}")

# The letters of the text; those of figures and code are the ones that matplotlib brings and has drawn with.
LETTERS = "@fontsource/source-serif-4@5.3.1"
STYLES = ["400.css", "400-italic.css", "600.css", "600-italic.css"]
DEJAVU = ["DejaVuSans", "DejaVuSans-Oblique", "DejaVuSans-Bold", "DejaVuSansMono", "DejaVuSansMono-Bold"]

# Unfold a page, number its sheets, and mark its sections and the places that other pages link to: Chromium notes where
# a place came to stand only if there is a link to it on the same page. Coloured ticks, which few fonts have, become
# plain ones. Returned are depth, title and place of each section.
PREPARE = """async ({ first, places }) => {
  for (const part of document.querySelectorAll("details:not(.hide)")) part.open = true;
  for (const part of document.querySelectorAll(".toggle-hidden")) part.classList.remove("toggle-hidden");
  for (const cell of document.querySelectorAll("td p")) cell.textContent === "✅" && cell.replaceChildren("✓");
  document.querySelectorAll("article .headerlink").forEach(link => link.remove());
  const headings = [...document.querySelectorAll("article section[id] > :is(h1, h2, h3)")];
  const sections = headings.map(one => [Number(one.tagName[1]), one.textContent.trim(), one.parentElement.id]);
  for (const place of [...places, ...sections.map(([, , place]) => place)]) {
    const link = document.createElement("a");
    link.href = "#" + place;
    link.hidden = true;
    document.body.append(link);
  }
  const style = document.createElement("style");
  style.textContent = `@page { @top-right { content: ${JSON.stringify(sections[0][1])}; } }
    html { counter-reset: page ${first - 1}; }`;
  document.head.append(style);
  if (window.MathJax?.startup) await window.MathJax.startup.promise;
  await document.fonts.ready;
  return sections;
}"""
ALIVE = "() => !document.querySelector('.zimp-still:not(.zimp-replaced)')"  # all explorers


@dataclass
class Sheets:
    """One page of the book, printed: the PDF, the number of its first sheet, and depth, title and place of sections."""

    name: str
    pdf: PdfReader
    first: int
    sections: list


def make(book, folder):
    """One PDF."""
    with browser() as chromium:
        write(book, contents(book), chromium, folder / f"{NAME}.pdf")


@contextmanager
def browser():
    """Chromium: Debian's, or Playwright's own."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    with playwright.sync_playwright() as engine:
        try:
            chromium = engine.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        except playwright.Error:
            how = "apt-get install chromium, or playwright install chromium"
            fail(f"paper needs Chromium, which is not installed: {how}")
        yield chromium
        chromium.close()


def write(book, parts, chromium, file):
    """Print the pages of these parts, then the title and the contents, and join them."""
    names = [name for _, pages in parts for name in pages]
    with tempfile.TemporaryDirectory() as aside:
        site = Path(aside, NAME)
        copy(book, site)
        dress(site)
        places = {name: set() for name in names}  # to which other pages link
        for name in names:
            text = (site / f"{name}.html").read_text(encoding="utf-8")
            for page, place in re.findall(r'href="([\w-]+)\.html#([^"]+)"', text):
                places.get(page, set()).add(place)
        printed = print_pages(chromium, site, names, places)
        about = yaml.safe_load((book.source.parent / "CITATION.cff").read_text(encoding="utf-8"))
        config = book.config
        address = config["html"]["baseurl"]
        (site / "front.html").write_text(front(config, about, edition(book, about), parts, printed), encoding="utf-8")
        printed = print_pages(chromium, site, ["front"], {"front": []}) + printed
        writer = join(printed, site.as_uri(), address)
    bookmarks(writer, parts, printed)
    writer.add_metadata(
        {
            "/Title": config["title"],
            "/Author": ", ".join(author["name"] for author in about["authors"]),
            "/Subject": about["abstract"],
            "/Keywords": ", ".join(about["keywords"]),
        }
    )
    writer.write(file)


def dress(site):
    """Have every page load the letters and the style of the PDF."""
    folder = site / "_static" / "paper"
    fetch(LETTERS, [*STYLES, "files/*-latin*-[46]00-*.woff2", "LICENSE"], folder, "paper")
    for name in DEJAVU:
        shutil.copy(Path(matplotlib.get_data_path(), "fonts", "ttf", f"{name}.ttf"), folder)
    shutil.copy(Path(__file__).parent / "paper.css", folder)
    links = "".join(f'<link rel="stylesheet" href="_static/paper/{name}"/>' for name in [*STYLES, "paper.css"])
    for page in site.glob("*.html"):
        page.write_text(page.read_text(encoding="utf-8").replace("</head>", f"{links}</head>", 1), encoding="utf-8")


def print_pages(chromium, site, names, places):
    """The sheets of these pages, numbered through; while one is printed, the next is opened already."""
    printed, number = [], 1
    with chromium.new_context(color_scheme="light", viewport={"width": 800, "height": 1100}) as context:

        def open_page(name):
            page = context.new_page()
            page.goto((site / f"{name}.html").as_uri(), wait_until="commit")
            return page

        page = open_page(names[0])
        for name, following in zip(names, [*names[1:], None]):
            ahead = open_page(following) if following else None
            try:
                page.wait_for_load_state()
                sections = page.evaluate(PREPARE, {"first": number, "places": sorted(places[name])})
                page.wait_for_function(ALIVE)
                pdf = page.pdf(prefer_css_page_size=True, scale=0.8, tagged=True)
            except playwright.Error as error:
                fail(f"paper: Chromium could not print {name}.html: {error.message}")
            page.close()
            printed.append(Sheets(name, PdfReader(BytesIO(pdf)), number, sections))
            number += len(printed[-1].pdf.pages)
            page = ahead
    return printed


def edition(book, about):
    """The version and, in a checkout, the commit with its date."""
    git = ["git", "-C", book.source, "log", "-1", "--format=commit %h of %cs"]
    done = subprocess.run(list(map(str, git)), capture_output=True, text=True) if shutil.which("git") else None
    commit = [done.stdout.strip()] if done and not done.returncode else []
    return ", ".join([f"Version {about['version']}", *commit])


def front(config, about, edition, parts, printed):
    """The page of the title and the contents."""
    sheets = {sheet.name: sheet for sheet in printed}
    lines = []
    for caption, names in parts:
        lines += [f"<h3>{html.escape(caption)}</h3>"] if caption else []
        for name in names:
            title, number = html.escape(sheets[name].sections[0][1]), sheets[name].first
            lines.append(f'<p><a href="{name}.html">{title}</a><span></span><a href="{name}.html">{number}</a></p>')
    title, authors = html.escape(config["title"]), ", ".join(author["name"] for author in about["authors"])
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"/><title>{title}</title>
{"".join(f'<link rel="stylesheet" href="_static/paper/{name}"/>' for name in [*STYLES, "paper.css"])}
</head><body><article class="paper-front"><section id="title">
<h1>{title}</h1>
<p>{html.escape(about["abstract"])}</p>
<img src="_static/cover.svg" alt=""/>
<p>{html.escape(authors)}</p>
<p>{html.escape(edition)}</p>
<p>Copyright {html.escape(str(config["copyright"]))}<br/>
<a href="{config["html"]["baseurl"]}">{config["html"]["baseurl"]}</a></p>
<p>On the site, the live views answer, the code of the figures unfolds, and each chapter opens as a notebook.</p>
</section><nav><h2>Contents</h2>
{"".join(lines)}
</nav></article></body></html>
"""


def join(printed, site, published):
    """The PDFs one after the other, with the links and the tags of all of them."""
    writer, places, tagged, parents, keys = PdfWriter(), {}, ArrayObject(), ArrayObject(), 0
    for sheets in printed:
        pdf, address, start = sheets.pdf, f"{site}/{sheets.name}.html", len(writer.pages)
        places[address] = start, Fit.fit_horizontally()
        for name, place in pdf.named_destinations.items():
            at = Fit.xyz(left=place.left, top=place.top)
            places[f"{address}#{name.removeprefix('/')}"] = start + pdf.get_destination_page_number(place), at
        tags = pdf.root_object["/StructTreeRoot"]
        for page in pdf.pages:
            links = [link.get_object() for link in page.get("/Annots", [])]
            for link in links:
                if "/Dest" in link:  # by name, which pypdf would leave out
                    point(link, f"{address}#{link.pop('/Dest').removeprefix('/')}")
                link[NameObject("/StructParent")] = NumberObject(link["/StructParent"] + keys)
        writer.append(pdf, import_outline=False)
        # The numbers of pages and links among the tags follow those of the pages before.
        for page, copied in zip(pdf.pages, writer.pages[start:]):
            if "/StructParents" in page:
                copied[NameObject("/StructParents")] = NumberObject(page["/StructParents"] + keys)
        for number, parent in zip(*[iter(tags["/ParentTree"]["/Nums"])] * 2):
            parents += [NumberObject(number + keys), parent.clone(writer)]
        tagged.append(tags.raw_get("/K").clone(writer))
        keys += tags["/ParentTreeNextKey"]
    for page in writer.pages:
        for link in page.get("/Annots", []):
            link = link.get_object()
            address = link["/A"]["/URI"]
            place = places.get(address) or places.get(address.partition("#")[0])
            if place:
                del link["/A"]
                number, fit = place
                link[NameObject("/Dest")] = ArrayObject([writer.pages[number].indirect_reference, *fit.fit_args])
            elif address.startswith(site):
                point(link, address.replace(f"{site}/", published, 1))
    tag(writer, tagged, parents, keys)
    return writer


def point(link, address):
    """Have a link lead to an address."""
    action = {NameObject("/S"): NameObject("/URI"), NameObject("/URI"): TextStringObject(address)}
    link[NameObject("/A")] = DictionaryObject(action)


def tag(writer, parts, parents, keys):
    """Make one tree of the tags of all parts."""
    tree, whole = DictionaryObject(), DictionaryObject()
    root, document = writer._add_object(tree), writer._add_object(whole)
    tree.update({
        NameObject("/Type"): NameObject("/StructTreeRoot"),
        NameObject("/K"): document,
        NameObject("/ParentTree"): writer._add_object(DictionaryObject({NameObject("/Nums"): parents})),
        NameObject("/ParentTreeNextKey"): NumberObject(keys),
    })
    whole.update({
        NameObject("/Type"): NameObject("/StructElem"),
        NameObject("/S"): NameObject("/Document"),
        NameObject("/Lang"): TextStringObject("en"),
        NameObject("/P"): root,
        NameObject("/K"): parts,
    })
    for part in parts:
        part.get_object().update({NameObject("/S"): NameObject("/Part"), NameObject("/P"): document})
    marked = DictionaryObject({NameObject("/Marked"): BooleanObject(True)})
    shown = DictionaryObject({NameObject("/DisplayDocTitle"): BooleanObject(True)})
    writer.root_object.update({
        NameObject("/StructTreeRoot"): root,
        NameObject("/MarkInfo"): marked,
        NameObject("/Lang"): TextStringObject("en"),
        NameObject("/ViewerPreferences"): shown,
    })


def bookmarks(writer, parts, printed):
    """An outline of parts, pages and sections, and the numbers of the sheets."""
    begins, number = {}, 0
    for sheets in printed:
        begins[sheets.name] = number
        number += len(sheets.pdf.pages)

    by_name = {sheets.name: sheets for sheets in printed}
    for caption, names in parts:
        part = writer.add_outline_item(title=caption, page_number=begins[names[0]], is_open=False) if caption else None
        for sheets in (by_name[name] for name in names):
            above = {0: part}  # the last bookmark of each depth
            for depth, title, place in sheets.sections:
                at = sheets.pdf.named_destinations[f"/{place}"]
                sheet = begins[sheets.name] + sheets.pdf.get_destination_page_number(at)
                fit = Fit.xyz(left=at.left, top=at.top)
                parent = above[max(level for level in above if level < depth)]
                above[depth] = writer.add_outline_item(
                    title=title, page_number=sheet, parent=parent, fit=fit, is_open=False
                )
    ahead = len(printed[0].pdf.pages)
    writer.set_page_label(0, ahead - 1, style="/r")
    writer.set_page_label(ahead, number - 1, style="/D", start=1)
    writer.page_mode = "/UseOutlines"
