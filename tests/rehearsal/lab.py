"""Rehearse JupyterLab at home: a notebook that shows a layer with each view of zimp.play, opened, run, and moved.

    python tests/rehearsal/lab.py

The notebook runs in this environment; each view must come alive, move by keyboard, and again after its kernel was
killed. Needs Linux, Chromium and the package's test extra. The tests do the same, once (``tests/test_jupyterlab.py``).
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import nbformat
from binder import FLAGS, Image, rehearse
from playwright.sync_api import sync_playwright

from zimp import widgets


class Home(Image):
    """This environment in place of an image, with a home of its own, which is empty."""

    def __init__(self, folder):
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        self.environment = os.environ | {"HOME": str(self.home), "JUPYTER_PREFER_ENV_PATH": "1"}
        self.command = [sys.executable, "-m", "jupyterlab"]


def rehearse_views(folder, browser):
    """What :func:`binder.rehearse` counts in a notebook with each view."""
    layer = "import numpy as np\nimport zimp\n\nW = np.random.default_rng(0).normal(size=(3, 3)).round(2)"
    cells = [layer, *(f"zimp.play(W, view={view!r})" for view in widgets.OWN)]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    home = Home(folder)
    nbformat.write(notebook, home.home / "layer.ipynb")
    return rehearse(home, browser, "lab/tree/layer.ipynb")


def main():
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as engine:
        found = shutil.which("chromium") or shutil.which("google-chrome")
        browser = engine.chromium.launch(executable_path=found, args=FLAGS)
        counted = rehearse_views(Path(folder), browser)
        browser.close()
    print(f"{counted['views']} of {len(widgets.OWN)} views lived and moved, with a kernel and without")
    sys.exit(counted["views"] != len(widgets.OWN))


if __name__ == "__main__":
    main()
