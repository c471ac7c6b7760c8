"""The executed notebooks: what a page says, with all that Sphinx fills in, around the cells that its build has run.

They are what Binder and Colab open, from the branch ``notebooks``, which holds just this folder. Binder reads its
``environment.yml``; on Colab the first cell installs the package at the same commit.
"""

import importlib
import json
import math
import re
import shutil
import sys
import zipfile
from pathlib import Path
from urllib.parse import quote, urljoin

import nbformat
from jupyter_book.config import get_final_config
from make import BOOK, Problem
from markdown_writer import Cell, Heading, Writer
from sphinx.application import Sphinx
from sphinx.builders import Builder
from sphinx.errors import SphinxError
from sphinx.util.docutils import docutils_namespace, patch_docutils

from zimp.widgets import slides

ROOT = BOOK.parent
INSTALL = """\
# {site}
# Where the package of the book is missing, as on Colab, this cell installs it.
from importlib.util import find_spec

if not find_spec("zimp"):
    %pip install -q "{package}"
"""
RESULTS = """
# The stored results, which this page reads, are in the package too.
import shutil
from pathlib import Path

if not Path("results").is_dir():
    package = Path(find_spec("zimp").origin).parent
    copies = package / "results", package.parent / "book" / "results"  # installed, or in a checkout
    shutil.copytree(next(filter(Path.is_dir, copies)), "results")
"""
CHECKOUT = "-e .[book,course]"  # in environment.yml
# Binder signs the notebooks, so that JupyterLab shows their figures before a cell has run.
POST_BUILD = "#!/usr/bin/env bash\nset -euo pipefail\njupyter trust *.ipynb\n"
README = """\
# {title}: the notebooks

Executed notebooks of [the book]({site}), one for each page with code, and what Binder needs to run them. They are made
from its [sources]({repository}), by `book/forms/make.py`: do not edit them here.
"""
# What Sphinx or Markdown would have read, had it been filled in.
RAW = re.compile(r"\{[\w:-]+\}`[^`]*`|^ *(?:>\s*)*(?::::+|```+|~~~+)\{[\w:-]+\}.*$", flags=re.M)
GLUED = re.compile(r"\{glue(?::\w+)?\}`([^`]+?)(?::[^`:]*)?`")
PAPERMILL = "application/papermill.record/"
FIGURE = re.compile(
    r'<div class="zimp-figure" role="img" aria-label="([^"]*)"[^>]*>'
    r"(<svg[^>]*?width: (\d+)px.*?</svg>)\s*(?:<svg.*?</svg>\s*)?</div>",
    flags=re.S,
)


class Pages(Builder):
    """Resolves references as for the pages of the site, and writes nothing."""

    name = "notebooks"
    format = "markdown"
    allow_parallel = False

    def get_outdated_docs(self):
        return []

    def get_target_uri(self, docname, typ=None):
        return f"{docname}.html"

    def get_relative_uri(self, from_, to, typ=None):
        return self.get_target_uri(to)

    def prepare_writing(self, docnames):
        pass

    def write_doc(self, docname, doctree):
        pass


def setup(app):
    """What Sphinx asks an extension for."""
    app.add_builder(Pages)
    return {"parallel_read_safe": True}


def make(book, folder):
    """Write the notebooks, what Binder needs, and a zip of the notebooks with the results that they read."""
    package, problems = address(), []
    for page, resolve in pages(book):
        try:
            notebook = write(book, page, *resolve(), package)
            nbformat.validate(notebook)
            nbformat.write(notebook, folder / f"{page}.ipynb")
        except (Problem, SphinxError) as problem:  # which names the page, too
            problems.append(str(problem))
    if problems:
        raise Problem("The notebooks cannot be filled in:\n" + "\n".join(problems))
    shutil.copytree(book.source / "results", folder / "results")
    with zipfile.ZipFile(folder / "notebooks.zip", "w", zipfile.ZIP_DEFLATED) as bundle:
        for file in sorted([*folder.glob("*.ipynb"), *folder.glob("results/*")]):
            bundle.write(file, Path("notebooks", file.relative_to(folder)))
    for name, text in binder(book).items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    (folder / "postBuild").chmod(0o755)
    for name in ("constraints.txt", "LICENSE"):
        shutil.copy(ROOT / name, folder)


def binder(book):
    """What stands beside the notebooks on their branch, by the name of the file."""
    environment = (ROOT / "environment.yml").read_text(encoding="utf-8")
    if environment.count(CHECKOUT) != 1:
        raise Problem(f"environment.yml does not install {CHECKOUT!r} once; notebooks.py has to put the package there")
    config = book.config
    title, site, repository = config["title"], config["html"]["baseurl"], config["repository"]["url"]
    return {
        "environment.yml": environment.replace(CHECKOUT, address("notebooks,course")),
        "postBuild": POST_BUILD,
        "README.md": README.format(title=title, site=site, repository=repository),
    }


def address(extras="notebooks"):
    """What pip installs: the package as it was when these pages were built, as for the notebooks of the course."""
    sys.path.append(str(BOOK / "assignments"))
    return f"zimp[{extras}] @ {importlib.import_module('classroom.building').zimp_archive()}"


def pages(book):
    """Each page that has cells: its name, and a function that returns its doctree, resolved, and the Sphinx.

    Sphinx reads no page and writes none: what the build has read is in its doctrees.
    """
    overrides = {"external_toc_path": str(book.source / "_toc.yml"), "latex_individualpages": False}
    config, _ = get_final_config(user_yaml=book.source / "_config.yml", sourcedir=book.source, cli_config=overrides)
    config["extensions"] = [*config["extensions"], __name__]
    config["nb_mime_priority_overrides"] = [(Pages.name, "text/plain", 0)]  # outputs come from the executed notebook
    with patch_docutils(None), docutils_namespace():
        app = Sphinx(
            book.source, None, book.build / "forms", book.doctrees, Pages.name, config,
            status=None, warning=None, warningiserror=True,
        )  # fmt: skip
        if not app.env.all_docs:
            raise Problem(f"{book.build} was not built from {book.source}, by the versions that are installed here")
        for page in sorted(app.env.found_docs):
            if (book.executed / f"{page}.ipynb").exists():
                yield page, lambda page=page: (app.env.get_and_resolve_doctree(page, app.builder), app)


def write(book, page, doctree, app, package):
    """The notebook of a page."""
    site = app.config.html_baseurl
    glued, keys = book.executed / f"{page}.glue.json", GLUED.findall((book.source / f"{page}.md").read_text("utf-8"))
    missing = set(keys) - set(json.loads(glued.read_text(encoding="utf-8")) if glued.exists() else ())
    if missing:
        raise Problem(f"{page}.md: no cell glues {', '.join(sorted(missing))}")

    def number(node):
        kind = node.get("countertype") or app.env.get_domain("std").get_enumerable_node_type(node)
        digits = app.env.toc_fignumbers.get(page, {}).get(kind, {}).get(node["ids"][0])
        if digits is None:
            raise Problem(f"{page}: {node['ids'][0]} has no number")
        digits = ".".join(map(str, digits))
        if "realtype" in node:
            return f"{node['realtype'].title()} {digits}"
        return app.config.numfig_format[kind] % digits

    def section_number(section):
        anchor = "" if section.parent is doctree else f"#{section['ids'][0]}"
        digits = app.env.toc_secnumbers.get(page, {}).get(anchor, ())
        return f"{'.'.join(map(str, digits))}. " if digits else ""

    writer = Writer(page, lambda target: urljoin(site, target), number, section_number)
    executed = nbformat.read(book.executed / f"{page}.ipynb", as_version=4)
    reads = any("results/" in cell.source for cell in executed.cells if cell.cell_type == "code")
    first = INSTALL.format(site=urljoin(site, f"{page}.html"), package=package) + (RESULTS if reads else "")
    cells = [code(nbformat.v4.new_code_cell(first.rstrip()), source=True)]
    texts, done = [], 0

    def end_text():
        text = "\n\n".join(texts)
        if raw := RAW.search(re.sub(r"^( *(?:> ?)*)(```+)\w*\n.*?^\1\2$", "", text, flags=re.M | re.S)):
            raise Problem(f"{page}: {raw.group()} is not filled in")
        if text:
            cells.append(nbformat.v4.new_markdown_cell(text))
        texts.clear()

    def add_cells(until):
        nonlocal done
        for cell in executed.cells[done:until]:
            if cell.cell_type == "code":
                cells.append(finish(cell, executed.metadata))
        done = until

    for block in writer.blocks(doctree):
        if isinstance(block, Cell):
            if block.has_output and not executed.cells[block.number].outputs:
                raise Problem(f"{page}: its executed notebook has no outputs; build the book without a cache of them")
            end_text()
            add_cells(block.number + 1)  # with those before it that the page leaves out
            code(cells[-1], block.folded, block.folded)
            texts += [block.caption] if block.caption else []
        else:
            if isinstance(block, Heading):
                end_text()
            texts.append(block.text if isinstance(block, Heading) else block)
    end_text()
    add_cells(len(executed.cells))
    for k, cell in enumerate(cells):
        cell.id = f"{page}-{k}"[-64:].replace("_", "-")
    metadata = {"kernelspec": executed.metadata.kernelspec, "language_info": {"name": "python"}}
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def finish(cell, metadata):
    """A cell as the page shows it: folded if it is hidden there, and with nothing left of what Sphinx needed."""
    outputs = []
    for output in cell.outputs:
        data = output.get("data", {})
        if any(kind.startswith(PAPERMILL) for kind in data):
            continue  # a value that the text has by now
        if view := data.get("application/vnd.jupyter.widget-view+json"):
            outputs.pop()  # its still picture
            data.clear()
            data |= {"text/html": as_slides(view["model_id"], metadata.widgets), "text/plain": "An explorer"}
        elif "text/html" in data:
            data["text/html"] = FIGURE.sub(as_image, data["text/html"])
        outputs.append(output)
    tags = {name: tags for name, tags in cell.metadata.items() if name == "tags"}
    made = nbformat.v4.new_code_cell(cell.source, outputs=outputs, execution_count=cell.execution_count, metadata=tags)
    tags = set(tags.get("tags", ()))
    return code(made, tags & {"hide-input", "remove-input", "remove-cell"}, "remove-cell" in tags)


def code(cell, source=False, outputs=False):
    """Fold the source of a cell, in JupyterLab and on Colab, or its outputs too."""
    if source:
        cell.metadata |= {"jupyter": {"source_hidden": True}, "cellView": "form"}
    if outputs:
        cell.metadata.jupyter["outputs_hidden"] = True
    return cell


def as_image(figure):
    """A figure as an image: of a notebook that is not trusted, JupyterLab and GitHub show no SVG but its words."""
    alt, svg, width = figure.groups()
    svg = svg.replace('style="', 'style="font-family: sans-serif; ', 1)  # in place of the page's
    svg = quote(svg, safe=" :/;,=()")
    return f'<div class="zimp-figure"><img alt="{alt}" width="{width}" src="data:image/svg+xml,{svg}"></div>'


def as_slides(box, widgets):
    """An explorer from its stored widgets, as :func:`zimp.explorer` shows it where these widgets do not exist."""
    models = widgets["application/vnd.jupyter.widget-state+json"]["state"]

    def at(reference):
        model = models[reference.removeprefix("IPY_MODEL_")]
        return model["model_name"], model["state"]

    def pictures(reference):
        name, state = at(reference)
        if name == "HTMLModel":
            return [FIGURE.sub(as_image, state["value"])]
        return sum(map(pictures, state["children"]), [])

    sliders = {}
    for child in models[box]["state"]["children"]:
        name, state = at(child)
        if name == "SelectionSliderModel":
            sliders[state["description"]] = state["_options_labels"]
        elif name == "StackModel":
            frames = pictures(child)
    return slides(sliders, frames[: math.prod(map(len, sliders.values()))])  # without the one that a kernel would draw
