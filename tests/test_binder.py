"""The buttons of a page that give its notebook. That Binder runs it, rehearsal/binder.py shows."""

import jupytext
import nbformat
import pytest
import yaml
from nbclient import NotebookClient
from test_book import BOOK, PAGES, TOC, Page


def code(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


NOTEBOOKS = [page for page in PAGES if "{code-cell}" in (BOOK / f"{page}.md").read_text(encoding="utf-8")]


def download(site, page):
    (link,) = {link for link in Page(site / f"{page}.html").links if link.endswith(".ipynb")}
    return site / link


@pytest.mark.parametrize("page", NOTEBOOKS)
def test_the_download_button_gives_the_notebook_of_the_page(site, page):
    notebook = nbformat.read(download(site, page), as_version=4)
    nbformat.validate(notebook)
    assert code(notebook) == code(jupytext.read(BOOK / f"{page}.md"))
    assert notebook.metadata.kernelspec.name == "python3"
    assert str(BOOK.parent) not in nbformat.writes(notebook), "a path of the machine that built it"


def test_a_downloaded_notebook_runs(site):
    """The least of them; the others' cells are those that the build has just run."""
    notebook = nbformat.read(download(site, TOC["root"]), as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(BOOK)}}).execute()


@pytest.mark.parametrize("page", PAGES)
def test_just_the_pages_with_code_have_a_binder_button_and_none_has_one_for_colab(site, page):
    """Colab opens .ipynb files of a repository only; ours holds text."""
    links = Page(site / f"{page}.html").links
    assert any(link.startswith("https://mybinder.org/") for link in links) == (page in NOTEBOOKS)
    assert not any("colab.research.google.com" in link for link in links)


def test_binder_gets_a_notebook_server_of_the_same_time_as_our_jupyterlab():
    """Binder starts `jupyter notebook`, and the one that it brings asked for an older JupyterLab than ours."""
    environment = yaml.safe_load((BOOK.parent / "environment.yml").read_text(encoding="utf-8"))
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert "notebook" in pip
