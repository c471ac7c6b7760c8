"""Draw it first: what the view says of a guess, against the stored seeds."""

import re
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t as student

from zimp import plots, widgets
from zimp.lab import experiments

RESULTS = Path(__file__).parents[2] / "book" / "results"
STORED = {
    name: experiments.Results.load(RESULTS / f"levels_{file}.json")
    for name, file in {"digits": "mlp", "MNIST": "mnist", "digits, convolutions": "conv"}.items()
}
METHODS = list(experiments.RULES)
START = {
    "task": "curve", "data": "digits", "method": "budget", "curve": [], "order": METHODS, "shown": False,
    "compare": "absolute", "left": 0,
}  # fmt: skip


def density_of(name):
    kept = STORED[name].curve("topological", "kept")[0]
    return kept / kept[0]


@pytest.fixture
def guess(alive):
    curves = {
        "labels": {method: plots.LABELS[method] for method in METHODS},
        "t": float(student.ppf(0.975, 9)),
        "sweeps": {
            name: {
                "density": density_of(name).round(6).tolist(),
                "accuracy": {method: results.curve(method, "test_accuracy").tolist() for method in METHODS},
            }
            for name, results in STORED.items()
        },
    }
    fig, _ = plots.figure(width=3)
    return partial(alive, widgets.live("guess", fig, "Two curves.", data={"curves": curves}))


def test_how_far_off_a_curve_is_is_its_distance_from_the_mean_of_the_seeds(guess):
    view, rng = guess(), np.random.default_rng(0)
    for name, results in STORED.items():
        for method in METHODS:
            mean = results.curve(method, "test_accuracy").mean(axis=0)
            drawn = rng.integers(0, 1001, size=len(mean)) / 10
            hash = f"#guess?data={name.replace(' ', '+')}&method={method}&shown=yes&curve={'+'.join(map(str, drawn))}"
            view.page.evaluate(f"location.hash = '{hash}'")
            assert view.state["curve"] == drawn.tolist() and view.state["method"] == method
            off = abs(drawn / 100 - mean)
            pattern = r"Your curve is off by ([\d.]+) on average. .* at ([\d.]+)% .* drew ([\d.]+), .* is ([\d.]+)\."
            said = re.match(pattern, view.sentence)
            worst = off.argmax()
            expected = off.mean(), 100 * density_of(name)[worst], drawn[worst] / 100, mean[worst]
            for found, value, margin in zip(map(float, said.groups()), expected, (0.00051, 0.5, 0.0051, 0.0051)):
                assert abs(found - value) <= margin
    seeds = view.view.locator(f'path[style*="zimp-{method}"][stroke-width="1"]')
    assert seeds.count() == 10 and view.problems == []


def test_an_order_is_judged_by_the_pairs_that_are_the_other_way_round(guess):
    view, rng = guess(width=354, hash="#guess?task=order"), np.random.default_rng(1)
    for name, results in STORED.items():
        for left in (0, 3, 7):
            order = rng.permutation(METHODS).tolist()
            for compare in ("absolute", "paired"):
                view.page.evaluate(
                    f"location.hash = '#guess?task=order&shown=yes&data={name.replace(' ', '+')}&left={left}"
                    f"&order={'+'.join(order)}&compare={compare}'"
                )
                accuracy = {method: results.curve(method, "test_accuracy")[:, -1 - left] for method in METHODS}
                mean = {method: values.mean() for method, values in accuracy.items()}
                if len(set(mean.values())) < 6:
                    continue
                wrong = sum(mean[a] < mean[b] for a, b in combinations(order, 2))
                assert f"{wrong} of 15 pairs" in view.sentence
                assert f"The most accurate is {plots.LABELS[max(mean, key=mean.get)]}." in view.sentence
                rows = view.view.locator("svg[role=img]:has(circle)")
                for k, method in enumerate(order):
                    place = sorted(mean.values(), reverse=True).index(mean[method]) + 1
                    assert rows.nth(k).get_attribute("aria-label") == f"{k + 1}. {plots.LABELS[method]} ({place})"
                    if compare == "paired" or method != "random":
                        continue
                    # The bar is the interval that the book's figures have, on the scale from 0 to 1.
                    x1, x2 = (float(rows.nth(k).locator("line").nth(1).get_attribute(end)) for end in ("x1", "x2"))
                    width = float(rows.nth(k).get_attribute("width")) - 24
                    center, half = plots.interval(accuracy[method])
                    ends = [(x1 - 10) / width, (x2 - 10) / width]
                    assert ends == pytest.approx([center - half, center + half], abs=1e-3)
    assert view.page.evaluate("document.documentElement.scrollWidth") <= 354
    assert view.problems == []


def test_a_curve_is_drawn_by_mouse_and_by_finger_alike(guess):
    view = guess()
    box = view.view.locator("svg.zimp-live-canvas").bounding_box()
    across = lambda level: box["x"] + 40 + level / 20 * (box["width"] - 56)  # noqa: E731
    down = lambda share: box["y"] + 26 + (1 - share) * 230  # noqa: E731
    mouse = view.page.mouse
    mouse.move(across(10), down(0.9))
    mouse.down()
    mouse.move(across(20), down(0.4), steps=2)  # quick: the levels between are on the line
    mouse.up()
    mouse.move(across(3), down(0.1))
    curve = view.state["curve"]
    assert len(curve) == 21 and np.allclose(curve[10:], np.linspace(90, 40, 11), atol=0.6)
    assert len(set(curve[:10])) == 1 and view.address.startswith("#guess?curve=96")
    touched = guess(touch=True, width=390)
    box = touched.view.locator("svg.zimp-live-canvas").bounding_box()
    touched.page.touchscreen.tap(box["x"] + 40 + (box["width"] - 56), box["y"] + 26 + 115)
    assert touched.state["curve"][20] == pytest.approx(50, abs=1)
    touched.view.get_by_role("checkbox", name="Show the ten seeds").tap()
    assert "off by" in touched.sentence and view.problems == touched.problems == []


def test_by_keyboard_alone(guess):
    view = guess(theme="dark")
    keys = view.page.keyboard
    view.view.get_by_role("slider", name="Your curve").focus()
    for key in ("End", "PageDown", "ArrowDown", "ArrowLeft", "ArrowUp"):
        keys.press(key)
    dense = STORED["digits"].curve("budget", "test_accuracy")[:, 0].mean()
    assert view.state["curve"][20] == round(100 * (dense - 0.12), 1)
    assert view.state["curve"][19] == round(100 * (dense + 0.02), 1)
    view.view.get_by_role("radio", name="a curve").focus()
    keys.press("ArrowRight")
    view.view.get_by_role("button", name="IMP, down", exact=True).focus()
    keys.press("Enter")
    keys.press("Enter")
    assert view.state["task"] == "order" and view.state["order"][:3] == ["global", "topological", "magnitude"]
    view.view.get_by_role("button", name="Reset").press("Enter")
    assert view.state == START and view.problems == []


def test_what_is_wrong_in_an_address_is_named_and_changes_nothing(guess):
    view = guess(hash="#guess?left=2")
    broken = "order=magnitude", "curve=1+2+101", "curve=<b>1</b>", "method=imp", "left=2.5", "shown=1", "data=MNISTX"
    for wrong in broken:
        view.page.evaluate(f"location.hash = '#guess?{wrong}'")
        assert view.trouble.startswith("The address says"), wrong
        assert view.state == {**START, "left": 2} and view.view.locator("b").count() == 0
    view.page.evaluate("location.hash = '#guess?data=digits,+convolutions&left=40&task=order&shown=yes'")
    assert view.trouble == "" and "At 100% of the weights" in view.sentence  # no sweep has so many levels
    assert view.problems == []
