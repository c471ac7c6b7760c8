"""All figures of the book as SVG files that open anywhere, with a list of them and a note on their licence."""

import csv
import html
import re
import zipfile
from dataclasses import dataclass

LICENCE = """\
The figures of "{title}" ({address}), by {author}.

They are licensed under CC BY 4.0, https://creativecommons.org/licenses/by/4.0/: you may use and change them, in talks,
papers and courses too, if you name their source and say what you have changed. This line is enough:

    {author}, "{title}", Figure 3.1, {address}, CC BY 4.0

figures.csv lists, for each file, the number and the page of the figure, its caption, and a description for readers who
do not see it. The size of a file is the size in which its text has 9 points.
"""
FIGURE = re.compile(r'<figure [^>]*id="([^"]+)">\n(.*?)<figcaption>\n(.*?)</figcaption>', flags=re.S)
NUMBER = re.compile(r'<span class="caption-number">(.*?) </span>')
CAPTION = re.compile(r'<span class="caption-text">(.*)</span><a class="headerlink"', flags=re.S)
SVG = re.compile(r'<svg class="(?:zimp-wide)?".*?</svg>', flags=re.S)  # the narrow one is for phones
FONT = "Helvetica, Arial, sans-serif"  # the pages' own font comes from their reader's system


@dataclass(frozen=True)
class Figure:
    """A numbered figure or table of a page, and its HTML."""

    name: str
    number: str
    page: str
    caption: str
    body: str

    @property
    def drawing(self):
        """Its SVG as it is on a wide page; None for a table."""
        found = SVG.search(self.body)
        return found and found[0]

    @property
    def alt(self):
        """What it shows, for readers who do not see it."""
        return html.unescape(re.search(r'aria-label="([^"]*)"', self.body)[1])


def make(book, folder):
    """Write the files, the list, the note, and one zip of all."""
    drawn = [figure for figure in figures(book).values() if figure.drawing]
    for figure in drawn:
        (folder / f"{figure.name}.svg").write_text(standalone(figure), encoding="utf-8")
    about = settings(book)
    with (folder / "figures.csv").open("w", encoding="utf-8-sig", newline="") as file:  # Excel asks for the mark
        rows = csv.writer(file)
        rows.writerow(["file", "number", "page", "caption", "description"])
        for figure in drawn:
            address = f"{about['address']}{figure.page}.html#{figure.name}"
            rows.writerow([f"{figure.name}.svg", figure.number, address, text(figure.caption), figure.alt])
    (folder / "LICENCE.txt").write_text(LICENCE.format_map(about), encoding="utf-8")
    archive(folder, "zimp-figures")


def settings(book):
    """What the book's configuration says of its title, its authors and its address."""
    given = book.config
    return {"title": given["title"], "author": given["author"], "address": given["html"]["baseurl"]}


def figures(book):
    """All figures and tables that have a name, by name, in the order of the pages' names."""
    found = {}
    for page in sorted(book.html.glob("*.html")):
        for name, body, caption in FIGURE.findall(page.read_text(encoding="utf-8")):
            found[name] = Figure(name, NUMBER.search(caption)[1], page.stem, CAPTION.search(caption)[1], body)
    return found


def standalone(figure):
    """The drawing with colours, size and font of its own, which on a page come from the style sheet."""
    drawing = re.sub(r"var\(--[\w-]+, (#[0-9A-Fa-f]{6})\)", r"\1", figure.drawing)  # the light one
    ink, box = (re.search(rf'<svg[^>]* {name}="([^"]*)"', drawing)[1] for name in ("fill", "viewBox"))
    _, _, width, height = box.split()
    start = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" role="img" fill="{ink}" '
        f'stroke-linejoin="round" font-family="{FONT}" width="{width}pt" height="{height}pt" viewBox="{box}">\n'
        f"<title>{html.escape(figure.name)}</title>\n<desc>{html.escape(figure.alt)}</desc>\n"
    )
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + re.sub("<svg[^>]*>", lambda _: start, drawing, count=1) + "\n"


def text(markup):
    """The words of a piece of HTML."""
    return html.unescape(re.sub("<[^>]*>", "", markup))


def archive(folder, name):
    """Put one zip of all that is in the folder beside it."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    with zipfile.ZipFile(folder / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as made:
        for file in files:
            made.write(file, f"{name}/{file.relative_to(folder).as_posix()}")
