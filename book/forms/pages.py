"""The pages with all that they load, for reading without a network, and one zip of them.

What the pages load from a CDN comes from the same packages of npm, of the versions that the pages' own addresses name.
"""

import re
import shutil
from importlib.metadata import files
from pathlib import Path

import yaml
from make import fail, fetch

NAME = "zimp-book"  # of the folder, which is what is published, and of its zip
CDN = "https://cdn.jsdelivr.net/npm/"
# An address there: the package with its version, and the file.
ADDRESS = re.compile(rf"{CDN}((?:@[\w.-]+/)?[\w.-]+@[\w.-]+)/([\w./-]+)")
# What the file that a page asks for loads in its turn, by package. MathJax: its fonts, the commands that it loads when
# a formula needs them, and what reads formulas aloud in English. The widgets: the icons of buttons.
LOADED = {
    "mathjax": [
        "es5/output/chtml/fonts/woff-v2/*",
        "es5/input/tex/extensions/*",
        "es5/a11y/*",
        "es5/sre/mathmaps/base.json",
        "es5/sre/mathmaps/en.json",
        "es5/sre/mathmaps/nemeth.json",
        "LICENSE",
    ],
    "@jupyter-widgets/html-manager": ["dist/*.woff2", "dist/*.LICENSE.txt"],
}
# Where a page, or a style sheet, would load something from another host.
FOREIGN = re.compile(
    r"<(?:script|img|iframe|source|audio|video|embed|track|input)\b[^>]*?\ssrc=[\"']?(?:https?:)?//[^\"'\s>]*"
    r"|<link\b(?=[^>]*\srel=[\"']?(?:stylesheet|icon|preload|prefetch|preconnect|dns-prefetch|modulepreload|manifest))"
    r"[^>]*?\shref=[\"']?(?:https?:)?//[^\"'\s>]*"
    r"|(?:url\(|@import )\s*[\"']?(?:https?:)?//[^\"')\s]*"
)


def make(book, folder):
    """The folder of the pages, and a zip of it."""
    copy(book, folder / NAME)
    shutil.make_archive(folder / NAME, "zip", folder, NAME)


def contents(book):
    """The parts of the book: their captions, and the names of their pages. The first part is the welcome."""
    toc = yaml.safe_load((book.source / "_toc.yml").read_text(encoding="utf-8"))
    parts = [("", [toc["root"]])]
    parts += [(part["caption"], [page["file"] for page in part["chapters"]]) for part in toc["parts"]]
    for _, names in parts:
        for name in names:
            if not (book.html / f"{name}.html").exists():
                fail(f"The build has no {name}.html, which is in the table of contents. Build the book again.")
    return parts


def copy(book, folder):
    """Copy the pages, and put beside them what they would load from elsewhere."""
    contents(book)  # all pages are there
    shutil.copytree(book.html, folder, ignore=shutil.ignore_patterns(".*"))
    shutil.copy(book.source.parent / "LICENSE", folder)
    wanted = {}  # the files that pages ask for, by package
    for page in folder.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        for package, file in ADDRESS.findall(text):
            wanted.setdefault(package, set()).add(file)
        here = "../" * len(page.relative_to(folder).parent.parts) + "_static/npm/"
        # A script from disk may be loaded, but not as one of another host.
        local = re.sub(rf'( crossorigin="\w+")?( src="){CDN}', rf"\2{here}", text)
        if local != text:
            page.write_text(local, encoding="utf-8")
    for package, asked in wanted.items():
        name = package.rpartition("@")[0]
        if name not in LOADED:
            fail(f"site: a page loads {package}, and LOADED in {Path(__file__).name} does not say what that needs.")
        fetch(package, [*sorted(asked), *LOADED[name]], folder / "_static" / "npm" / package, "site")
        licence = folder / "_static" / "npm" / package / "LICENSE"
        if not licence.exists():  # the widgets' package has none: it is that of ipywidgets, whose part it is
            (theirs,) = (file for file in files("ipywidgets") if file.name == "LICENSE")
            shutil.copy(theirs.locate(), licence)
    for file in [*folder.rglob("*.html"), *folder.rglob("*.css")]:
        if foreign := FOREIGN.search(file.read_text(encoding="utf-8")):
            name = file.relative_to(folder).as_posix()
            fail(f"site: {name} loads from another host: {foreign[0][:200]}. Without a network it would miss that.")

