"""Notebooks in JupyterLab: what lab.py and, for one page, notebooks.py do in tests/rehearsal."""

import sys
from pathlib import Path

import pytest

from zimp import widgets

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the rehearsals need Linux")


@pytest.fixture(autouse=True)
def rehearsals(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent / "rehearsal")


def test_each_view_of_a_layer_lives_in_jupyterlab_and_outlives_its_kernel(browser, tmp_path):
    from lab import rehearse_views

    counted = rehearse_views(tmp_path, browser)
    assert (counted["cells"], counted["views"]) == (1 + len(widgets.OWN), len(widgets.OWN))


def test_the_notebook_of_a_page_reads_like_it_and_runs_without_the_book(browser, branch, tmp_path):
    """One that has all there is: hidden cells, folded solutions, an explorer, a live view, and stored results."""
    from notebooks import MEGABYTES, rehearse_notebook

    counted = rehearse_notebook(tmp_path, browser, branch / "topological_imp.ipynb")
    assert counted["explorers"] and counted["views"] and counted["folded"] and counted["formulas"] > 50
    assert counted["MB"] <= MEGABYTES
    assert len(list((tmp_path / "home" / "results").iterdir())) > 20  # which the first cell has put there
