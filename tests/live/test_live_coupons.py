"""Coupons, and an adversary: how much of its tree a layer keeps, typically and at worst."""

import re
from functools import partial

import numpy as np
import pytest

import zimp
from zimp import plots, widgets

START = {"part": "coupons", "m": 12, "n": 20, "seed": 0, "layers": 0, "k": 0, "cells": []}
EMPTY = "Paint the largest weights, so that they hold as few tree edges as possible."


@pytest.fixture
def coupons(alive):
    fig, _ = plots.figure(width=3)
    return partial(alive, widgets.live("coupons", fig, "A histogram."))


def drawn(view, m, n, seed, layers):
    """The layers of the view, and of each how many edges connect it and whether one lone neuron joins last."""
    numbers = "([size, seeds]) => seeds.map(seed => Array.from({ length: size }, zimpPlay.random(seed).uniform))"
    found = view.page.evaluate(numbers, [m * n, [200 * seed + k for k in range(layers)]])
    for layer in np.reshape(found, (-1, m, n)):
        forest = zimp.spanning_forest(layer)
        i, j = forest.rows[-1], forest.cols[-1]
        lone = forest.values[-1] in (layer[i].max(), layer[:, j].max())
        yield round(zimp.safe_density(layer) * m * n), lone


@pytest.mark.parametrize("m, n, seed", [(12, 20, 0), (30, 40, 3), (4, 9, 17)])
def test_two_hundred_layers_are_what_zimp_counts(coupons, m, n, seed):
    view = coupons(hash=f"#coupons?m={m}&n={n}&seed={seed}&layers=200&k=1600")
    needed, lone = np.transpose(list(drawn(view, m, n, seed, 200)))
    half = round(zimp.connectivity_density(m, n) * m * n)
    assert view.sentence == (
        f"In {lone.sum()} of 200 layers the last to join is one lone neuron. {half} edges connect "
        f"{(needed <= half).sum()} of the layers; the formula says half."
    )
    # The bars are as high as there are layers, in the two colours.
    heights = view.view.locator("rect[style*=magnitude], rect[style*=global]").evaluate_all(
        "all => all.map(bar => [bar.style.fill.includes('magnitude'), +bar.getAttribute('height')])"
    )
    total = sum(height for _, height in heights)
    assert sum(height for is_lone, height in heights if is_lone) / total == pytest.approx(lone.mean(), abs=1e-3)
    slider = view.view.get_by_role("slider", name="edges")
    assert slider.get_attribute("max") == str(needed[-1])
    slider.fill(str(needed[-1] - 1))
    assert view.sentence == f"{needed[-1] - 1} edges of this layer have fallen. It takes {needed[-1]} to connect it."
    assert view.view.locator(".zimp-edges line").count() == needed[-1] - 1
    assert lone.mean() > (0.6 if m * n < 100 else 0.85) and view.problems == []


def test_edges_rain_until_the_layer_is_connected(coupons):
    view = coupons(still=False, theme="dark")
    view.view.get_by_role("button", name="Rain on one layer").click()
    (needed, lone), = drawn(view, 12, 20, 0, 1)  # fmt: skip
    view.page.wait_for_function(
        "document.querySelector('.zimp-live-sentence').textContent.includes('connect this layer')"
    )
    who = r"one lone neuron, [xy][₀-₉]+" if lone else r"a piece of \d+ neurons"
    assert re.fullmatch(rf"{needed} edges connect this layer\. The last to join is {who}\.", view.sentence)
    assert view.view.locator(".zimp-edges line").count() == needed
    view.view.get_by_role("button", name="Draw 200 layers").click()
    assert view.state == START | {"layers": 200, "k": 1600}
    view.view.get_by_role("button", name="Draw 200 layers").click()
    assert view.state == START | {"layers": 200, "k": 1600, "seed": 1}
    view.view.get_by_role("slider", name="outputs").fill("13")
    assert view.state == START | {"m": 13, "seed": 1} and view.problems == []


def verdict(cells, m, n):
    painted = np.zeros(m * n, dtype=bool)
    painted[cells] = True
    kept = m + n - zimp.count_components(painted.reshape(m, n))
    law = zimp.retention_bound(len(cells), m, n)
    allows = "The law allows no fewer." if kept == law else f"The law allows {law}."
    plural = "" if len(cells) == 1 else "s", "" if kept == 1 else "s"
    return f"{len(cells)} weight{plural[0]}, {kept} tree edge{plural[1]}. {allows}"


def test_the_adversary_is_judged_as_zimp_counts_and_a_block_is_the_worst_case(coupons):
    view = coupons(hash="#coupons?part=adversary&m=7&n=10")
    assert view.sentence == EMPTY
    rng = np.random.default_rng(0)
    for k in (1, 2, 5, 9, 12, 20, 31, 50, 69, 70):
        cells = sorted(rng.choice(70, size=k, replace=False).tolist())
        view.page.evaluate(f"location.hash = '#coupons?part=adversary&m=7&n=10&cells={'+'.join(map(str, cells))}'")
        assert view.sentence == verdict(cells, 7, 10)
        view.view.get_by_role("button", name="Show a worst case").click()
        worst = view.state["cells"]
        assert len(worst) == k and view.sentence == verdict(worst, 7, 10) and "no fewer" in view.sentence
        fills = view.view.locator("rect[rx]").evaluate_all("all => all.map(cell => cell.style.fill)")
        assert sum("tree" in fill for fill in fills) == zimp.retention_bound(k, 7, 10)
        assert sum("kept" in fill for fill in fills) == k - zimp.retention_bound(k, 7, 10)
    view.view.get_by_role("button", name="Clear").click()
    assert view.state["cells"] == [] and view.sentence == EMPTY and view.problems == []


def cell(view, k):
    box = view.view.locator("rect[rx]").nth(k).bounding_box()
    return {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}


def test_painting_by_mouse_and_by_keys(coupons):
    view = coupons(hash="#coupons?part=adversary")
    mouse, keys = view.page.mouse, view.page.keyboard
    mouse.move(**cell(view, 0))
    mouse.down()
    for k in (1, 2, 14):
        mouse.move(**cell(view, k))
    mouse.up()
    mouse.move(**cell(view, 100))
    assert view.state["cells"] == [0, 1, 2, 14] and view.address == "#coupons?part=adversary&cells=0+1+2+14"
    mouse.click(**cell(view, 1))
    assert view.state["cells"] == [0, 2, 14]
    view.view.get_by_role("button", name="Clear").focus()
    while view.page.evaluate("document.activeElement.getAttribute('role')") != "application":
        keys.press("Tab")
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "ArrowLeft"):
        keys.press(key)
    assert view.sentence == "y₁, x₂: painted."
    keys.press(" ")
    keys.press("ArrowDown")
    assert view.sentence == "y₂, x₂: empty."
    keys.press(" ")
    assert view.state["cells"] == [0, 2, 26] and view.sentence == verdict([0, 2, 26], 12, 12)
    for _ in range(20):
        keys.press("ArrowUp")
        keys.press("ArrowLeft")
    assert view.sentence == "y₀, x₀: painted." and view.problems == []


def test_on_a_phone_by_touch(coupons):
    view = coupons(touch=True, width=390)
    assert view.page.evaluate("document.documentElement.scrollWidth") <= 390
    view.view.get_by_role("radio", name="Adversary").tap()
    box = view.view.locator("rect[rx]").first.bounding_box()
    assert box["width"] >= 23 and view.page.evaluate("document.documentElement.scrollWidth") <= 390
    matrix = view.view.get_by_role("application")
    matrix.scroll_into_view_if_needed()
    finger = view.page.context.new_cdp_session(view.page)
    for kind, k in (("touchStart", 0), ("touchMove", 1), ("touchMove", 13), ("touchMove", 12), ("touchEnd", None)):
        points = [] if k is None else [cell(view, k)]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert view.state["cells"] == [0, 1, 12, 13]
    assert view.sentence == "4 weights, 3 tree edges. The law allows no fewer."
    view.view.get_by_role("button", name="Reset").click()
    assert view.state == START and view.problems == []


def test_a_broken_address_is_named_and_changes_nothing(coupons):
    view = coupons(hash="#coupons?m=3")
    for broken in ("m=3", "n=41", "part=both", "layers=201", "cells=144", "cells=1.5", "cells=1,2", "k=<u>1</u>"):
        view.page.evaluate(f"location.hash = '#coupons?{broken}'")
        assert view.trouble.startswith(f"The address says {broken[0]}") and "was changed" in view.trouble
        assert view.state == START and view.view.locator("u").count() == 0
    view.page.evaluate("location.hash = '#coupons?part=adversary&cells=0+143'")
    assert view.state == START | {"part": "adversary", "cells": [0, 143]}
    assert view.trouble == "" and view.problems == []
