"""Cut it until it breaks: the view of the welcome page."""

import re
from functools import partial

import numpy as np
import pytest

import zimp
from zimp import plots, widgets

W = np.random.default_rng(1).normal(size=(6, 8)).round(2)


@pytest.fixture
def hero(alive):
    fig, _ = plots.figure(width=3)
    shown = widgets.live("hero", fig, "A layer.", settings={"weights": W.ravel().tolist(), "m": 6, "n": 8})
    return partial(alive, shown)


def test_what_it_says_is_what_zimp_counts(hero):
    view = hero()
    forest = zimp.spanning_forest(W)
    slider = view.view.get_by_role("slider", name="Weights left")
    for k in (47, 31, 20, 14, 13, 12, 5):
        slider.fill(str(k))
        for rule, words in (("largest", "the largest"), ("tree", "the tree")):
            view.view.get_by_role("radio", name=words, exact=rule == "largest").check()
            if rule == "tree" and k < 13:
                mask = zimp.magnitude_mask(W, k, forest.mask)
            else:
                mask = (zimp.magnitude_mask if rule == "largest" else zimp.topological_mask)(W, k)
            components, kept = zimp.spanning_forest(W, mask).n_components, int((mask & forest.mask).sum())
            assert re.match(
                rf"{k} weights left, {words}[^:]*: {components} components?; {kept} of the 13 ", view.sentence
            )
            assert view.state == {"k": k, "rule": rule, "seed": 0}
    assert view.view.locator(".zimp-edges line").count() == 5
    assert view.problems == []


def test_the_book_in_ten_seconds(hero):
    """At thirteen weights: three components by size, and one by the tree."""
    view = hero(hash="#hero?k=13")
    assert "3 components" in view.sentence
    hollow = view.view.locator('.zimp-neurons circle[style*="paper"]')
    assert hollow.count() == 2
    view.view.get_by_role("radio", name="the tree, then the largest").check()
    assert "1 component;" in view.sentence and "13 of the 13" in view.sentence and hollow.count() == 0


def test_by_keyboard_alone_and_by_touch(hero):
    view = hero(touch=True, width=390)
    view.page.keyboard.press("Tab")
    for _ in range(3):
        view.page.keyboard.press("ArrowLeft")
    view.page.keyboard.press("Tab")
    view.page.keyboard.press("ArrowRight")
    assert view.state == {"k": 45, "rule": "tree", "seed": 0} and view.address == "#hero?k=45&rule=tree"
    view.view.get_by_role("button", name="New weights").tap()
    assert view.state["seed"] == 1 and view.sentence.startswith("New weights. 45")
    view.view.get_by_role("button", name="Reset").tap()
    assert view.state == {"k": 48, "rule": "largest", "seed": 0}
    assert view.page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("broken", ["k=0", "k=4.5", "rule=smallest", "q=1", "k=<b>9</b>", "k=%E0%A4%A", "seed=1e9"])
def test_a_broken_address_is_named_and_changes_nothing(hero, broken):
    view = hero(hash=f"#hero?{broken}")
    assert view.trouble.startswith("The address says") and view.trouble.endswith("Nothing was changed.")
    assert view.state == {"k": 48, "rule": "largest", "seed": 0} and view.view.locator("b").count() == 0
    view.page.evaluate("location.hash = '#hero?k=20'")
    assert view.state["k"] == 20 and view.trouble == ""


def test_where_no_motion_is_wanted_a_neuron_is_aside_at_once_and_otherwise_soon(hero):
    for still in (True, False):
        view = hero(still=still, hash="#hero?k=13", theme="dark")
        view.page.wait_for_timeout(400)
        assert view.view.locator('.zimp-neurons g[transform^="translate(38 "]').count() == 1  # x2, 26 from its place
        assert view.problems == []
