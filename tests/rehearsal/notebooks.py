"""Rehearse the notebooks that are made from the pages: each in JupyterLab, in a folder of its own, without the book.

    python tests/rehearsal/notebooks.py [--build book/_build] [--json FILE] [PAGE ...]

The package is installed by pip from a copy of the checkout, as on Colab. Each notebook must read like its page: no raw
key, role or formula in its text, and what the page hides is folded. All cells must run, within the memory of Binder,
and explorers and views must move, with a kernel and without. Exits with 0 if all did. Needs Linux, Chromium, the
package's test extra, and pip's index.
"""

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from binder import FLAGS, ROOT, checkout, notebooks, rehearse, run
from lab import Home
from playwright.sync_api import sync_playwright

MEGABYTES = 1500
COLUMNS = ["cells", "folded", "formulas", "explorers", "views", "seconds", "MB"]
# What is left in the text of what should have been filled in or typeset.
RAW = re.compile(r".{0,40}(?:\{[\w:-]+\}`|:::|\$|\*\*|\]\(|\\[a-zA-Z]{2}|<\w).{0,40}")
READ = """() => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  const hidden = cell => (cell.model.getMetadata("tags") || []).some(tag => /^(hide|remove)-/.test(tag));
  const texts = [...notebook.node.querySelectorAll(".jp-MarkdownCell .jp-RenderedMarkdown")].map(text => {
    const words = text.cloneNode(true);
    words.querySelectorAll("mjx-container, code").forEach(part => part.remove());
    return words.textContent;
  });
  return {
    rendered: texts.length === notebook.widgets.filter(cell => cell.model.type === "markdown").length,
    text: texts.join("\\n"),
    formulas: notebook.node.querySelectorAll(".jp-MarkdownCell mjx-container").length,
    wrong: notebook.node.querySelectorAll("mjx-merror, [data-mjx-error]").length,
    open: notebook.widgets.filter(cell => hidden(cell) && !cell.inputHidden).length,
    folded: notebook.widgets.filter(cell => cell.inputHidden).length,
  };
}"""


class Alone(Home):
    """A home in which there is one notebook and nothing else."""

    def __init__(self, folder, notebook):
        super().__init__(folder)
        shutil.copy(notebook, self.home)
        settings = {
            # So that all cells are in the page, and not only those in sight.
            "lab/user-settings/@jupyterlab/notebook-extension/tracker.jupyterlab-settings": {"windowingMode": "none"},
            # Where somebody has installed it, it leaves the formulas in folded proofs raw.
            "labconfig/page_config.json": {"disabledExtensions": {"jupyterlab-myst": True}},
        }
        for name, values in settings.items():
            file = self.home / ".jupyter" / name
            file.parent.mkdir(parents=True)
            file.write_text(json.dumps(values))


def read(page):
    """Check what stands in a notebook, before a cell has run. Returns what was counted."""
    page.wait_for_function(f"() => ({READ})().rendered")
    for _ in range(100):  # formulas are typeset one after the other
        seen = page.evaluate(READ)
        raw = RAW.findall(seen["text"])
        if not raw:
            break
        page.wait_for_timeout(100)
    assert not raw, f"not filled in: {raw[:5]}"
    assert not seen["wrong"], f"{seen['wrong']} formulas with an error"
    assert not seen["open"], f"{seen['open']} cells stand open that the page hides"
    return {name: seen[name] for name in ("formulas", "folded")}


def rehearse_notebook(folder, browser, notebook, package=None):
    """Open and run one notebook; what was counted."""
    home = Alone(folder, notebook)
    if package:
        home.environment["PYTHONPATH"] = str(package)
    return rehearse(home, browser, f"lab/tree/{notebook.name}", look=read)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    build = ROOT / "book" / "_build"
    parser.add_argument("--build", type=Path, default=build, help="the book's build (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write the results to this file, too")
    parser.add_argument("pages", nargs="*", help="which pages; default: all")
    arguments = parser.parse_args()
    made = sorted(notebooks(arguments.build).glob("*.ipynb"))
    pages = {}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as engine:
        folder = Path(folder)
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", folder / "package"]
        run(*pip, checkout(folder / "source"), env=os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"})
        shutil.rmtree(folder / "source")
        found = shutil.which("chromium") or shutil.which("google-chrome")
        browser = engine.chromium.launch(executable_path=found, args=FLAGS)
        print("page".ljust(24), *(f"{name:>9}" for name in COLUMNS))
        for notebook in made:
            name = notebook.stem
            if arguments.pages and name not in arguments.pages:
                continue
            try:
                seen = pages[name] = rehearse_notebook(folder / name, browser, notebook, folder / "package")
                seen["ok"] = seen["MB"] <= MEGABYTES
                verdict = "ok" if seen["ok"] else "TOO MUCH MEMORY"
                print(name.ljust(24), *(f"{seen[column]:9.0f}" for column in COLUMNS), verdict, flush=True)
            except Exception as error:
                pages[name] = {"ok": False, "error": f"{type(error).__name__}: {error}"}
                print(f"{name:24}  FAILED  {pages[name]['error']}", flush=True)
        browser.close()
    if arguments.json:
        arguments.json.write_text(json.dumps(pages, indent=1) + "\n")
    sys.exit(not all(page["ok"] for page in pages.values()))


if __name__ == "__main__":
    main()
