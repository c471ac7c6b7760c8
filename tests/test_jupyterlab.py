"""Views of a layer in JupyterLab: what tests/rehearsal/lab.py does, as a test."""

import sys
from pathlib import Path

import pytest

from zimp import widgets


@pytest.mark.skipif(sys.platform != "linux", reason="the rehearsals need Linux")
def test_each_view_of_a_layer_lives_in_jupyterlab_and_outlives_its_kernel(browser, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent / "rehearsal")
    from lab import rehearse_views

    counted = rehearse_views(tmp_path, browser)
    assert (counted["cells"], counted["views"]) == (1 + len(widgets.OWN), len(widgets.OWN))
