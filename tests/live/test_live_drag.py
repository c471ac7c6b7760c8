"""Drag a weight: graph, forest, barcode and Betti curve of one layer, while a weight changes."""

import json
from functools import partial

import numpy as np
import pytest

import zimp

W = np.array([[0.9, -0.2], [0.1, 0.5], [-0.8, 0.3]])
TEXT = "threshold t"


@pytest.fixture
def drag(alive):
    return partial(alive, zimp.play(W, view="drag"))


def label(view, col, row):
    lowered = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
    return view.view.get_by_role("slider", name=f"weight of x{col}–y{row}".translate(lowered))


def middle(box):
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drawn(view):
    """What is drawn: the ends of the bars as distances, and the steps of the Betti curve."""
    return view.page.evaluate("""() => {
        const [bars, betti] = ["g > path[d*='H']", "path[d*='V']"].map(found =>
          [...document.querySelectorAll(`.zimp-live-canvas > ${found}`)]);
        const numbers = path => path.getAttribute("d").match(/-?[\\d.]+/g).map(Number);
        return { bars: bars.map(numbers).map(([start, , end]) => end - start), curve: numbers(betti[0]) };
    }""")


def test_an_edge_outside_the_tree_changes_nothing_until_it_passes_its_cycle_by_mouse(drag):
    view = drag()
    x, y = middle(label(view, 1, 0).bounding_box())
    view.page.mouse.move(x, y)
    view.page.mouse.down()
    view.page.mouse.move(x + 14, y, steps=3)
    assert view.state["w"] == [0.9, -0.27, 0.1, 0.5, -0.8, 0.3]
    assert view.sentence == (
        "Nothing moved. x₁–y₀ with 0.27 is outside the tree. The lightest edge of its cycle is x₁–y₂ with 0.3."
    )
    before = drawn(view)["bars"]
    view.page.mouse.move(x + 50, y, steps=5)
    view.page.mouse.up()
    assert view.state["w"][1] == -0.45 and view.state["edge"] == 1
    assert view.sentence == (
        "x₁–y₀ passed x₁–y₂ with 0.3, the lightest edge of its cycle, and took its place. "
        "One bar slid: its end moved from 0.667 to 0.5."
    )
    assert sum(a != b for a, b in zip(before, drawn(view)["bars"])) == 1
    assert view.address == "#drag?w=0.9+-0.45+0.1+0.5+-0.8+0.3&edge=1"
    view.page.mouse.move(x + 90, y)
    assert view.state["w"][1] == -0.45, "the button is up"
    view.view.get_by_role("button", name="Reset").click()
    assert view.state["w"] == W.ravel().tolist() and view.address == "#drag"
    assert view.problems == []


def test_by_touch_and_by_keyboard_alone(drag):
    view = drag(touch=True, width=390)
    touch = view.page.context.new_cdp_session(view.page)
    x, y = middle(label(view, 1, 2).bounding_box())
    for kind, by in (("touchStart", 0), ("touchMove", -20), ("touchMove", -28), ("touchEnd", None)):
        points = [] if by is None else [{"x": x + by, "y": y}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        view.page.wait_for_timeout(60)
    assert view.state["w"][5] == 0.16
    assert "fell behind x₁–y₀ with 0.2" in view.sentence and "from 0.667 to 0.778" in view.sentence

    label(view, 1, 2).focus()
    for key in ("ArrowUp", "ArrowUp", "PageUp", "ArrowLeft"):
        view.page.keyboard.press(key)
    assert view.state["w"][5] == 0.27 and "x₁–y₂ is in the tree. One bar slid" in view.sentence
    view.page.keyboard.press("End")
    assert view.state["w"][5] == view.state["scale"] == 0.9
    for key in "0.4":
        view.page.keyboard.press(key)
    view.page.keyboard.press("Enter")
    assert view.state["w"][5] == 0.4
    sideways = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert not view.page.evaluate(sideways) and view.problems == []


def test_graph_barcode_and_betti_curve_are_linked(drag):
    view = drag()
    framed = "g[role=slider] > rect[style*=ink]"
    x, y = middle(view.view.locator("path[d*=H][stroke-width='8']").nth(3).bounding_box())
    view.page.mouse.move(x, y)
    view.page.wait_for_timeout(100)
    assert view.view.locator(framed).evaluate("rect => rect.nextSibling.textContent") == "0.3"
    assert view.view.locator("path[d*=H][style*=ink]").count() == 1
    view.page.mouse.move(*middle(label(view, 1, 0).bounding_box()))
    view.page.wait_for_timeout(100)
    assert view.view.locator(framed).count() == 2, "the edge, and the lightest of its cycle"
    view.page.mouse.move(x, y)
    view.page.mouse.down()
    view.page.mouse.up()
    assert view.state["edge"] == 5 and "Its bar" not in view.sentence and "its bar ends at 0.667" in view.sentence


def test_random_layers_and_thresholds_are_answered_as_by_zimp(drag):
    view = drag()
    random = np.random.default_rng(0)
    for case in range(30):
        m, n = random.integers(1, 5, size=2) if case % 5 else random.integers(5, 12, size=2)
        w = random.normal(size=(m, n)).round(random.integers(0, 3))
        scale = max(float(np.abs(w).max()), 0.5)
        t = float(random.random().__round__(2))
        numbers = "+".join(map(repr, w.ravel().tolist()))
        view.page.evaluate(f"location.hash = '#drag?w={numbers}&m={m}&own=yes&scale={scale!r}&t={t}'")
        state = view.state
        assert state["w"] == w.ravel().tolist() and state["t"] == t and view.trouble == ""
        diagram = zimp.persistence_diagram(w, scale=scale)[:, 1]
        pixels = drawn(view)
        unit = pixels["bars"][-1] / 1.04
        ends = np.minimum(diagram, 1.04)
        assert np.allclose(pixels["bars"], np.maximum(ends * unit, 1.5), atol=0.02)
        assert f"β₀ = {zimp.betti_curve(w, t, scale=scale)}" in view.view.inner_text()
    assert view.problems == []


def test_one_change_after_another_is_told_as_it_was(drag):
    """Each weight is typed; the deaths before and after say what must have been told."""
    view = drag()
    x, y, weight = view.view.locator(".zimp-live-field input").all()
    random = np.random.default_rng(1)
    w = W.copy()
    for _ in range(25):
        row, col, size = *random.integers(0, [3, 2]), random.integers(0, 90) / 100
        x.fill(str(col))
        y.fill(str(row))
        y.press("Enter")
        was = zimp.spanning_forest(w)
        w[row, col] = -size
        weight.fill(str(-size))
        weight.press("Enter")
        scale = view.state["scale"]
        before, after = (1 - f.values / scale for f in (was, zimp.spanning_forest(w)))
        gone, come = (sorted(set(a.round(9)) - set(b.round(9))) for a, b in ((before, after), (after, before)))
        told = view.sentence
        if gone and come:
            assert f"One bar slid: its end moved from {round(gone[0], 3):g} to {round(come[0], 3):g}." in told
        assert ("One bar slid" in told) == (not np.array_equal(before, after)), told
        inside = zimp.spanning_forest(w).mask[row, col]
        assert ("outside the tree" in told) <= (not inside)
    assert view.problems == []


def test_whatever_is_typed_or_pasted_gets_a_sentence_and_the_last_layer_stays(drag):
    view = drag(hash="#drag?t=0.4&edge=1")
    start = view.state
    assert start["t"] == 0.4 and "outside the tree" in view.sentence
    view.view.locator("summary").click()
    area, use = view.view.locator("textarea"), view.view.get_by_role("button", name="Use it")
    for text, words in {
        "a b\nc d": "not a number",
        "1 2\n3": "row 2 has 1 number",
        "1 nan": "not finite",
        "7": "one number is not a matrix",
        "\n".join(["1 " * 100] * 100): "10,000 numbers",
        "1,5 2\n3 4": "two ways",
        "<img src=x onerror=alert(1)>": "not a number",
        "": "no number",
    }.items():
        area.fill(text)
        use.click()
        assert words in view.trouble and view.state == start, text
    x, y, weight = view.view.locator(".zimp-live-field input").all()
    for field, value, words in (
        (x, "7", "There is no such edge: x goes from 0 to 1, y from 0 to 2."), (x, "one", "no such edge"),
        (weight, "<b>2</b>", "“<b>2</b>” is not a number"), (weight, "", "not a number"),
        (weight, "1e999", "not a number"),
    ):  # fmt: skip
        field.fill(value)
        field.press("Enter")
        assert words in view.trouble and view.state == start
    for hash, words in {
        "#drag?w=1+2+3&m=2": "3 weights do not make 2 rows",
        "#drag?w=1+x": "it must be at most 4096 numbers",
        "#drag?t=7": "it must be a number from 0 to 1.05",
        "#drag?<b>=1": "which this view does not have",
    }.items():
        view.page.evaluate("hash => { location.hash = hash; }", hash)
        assert words in view.trouble and view.state == start, hash
    assert view.view.locator("b, img").count() == 0

    for text, w in {"1;2\n3;4,5": [1, 2, 3, 4.5], "0.5\t-1\t2": [0.5, -1, 2], "[[1, 2], [3, 4]]": [1, 2, 3, 4]}.items():
        area.fill(text)
        use.click()
        state = view.state
        assert state["w"] == w and state["scale"] == max(map(abs, w)) and state["own"] and view.trouble == ""
    x.fill("1")
    y.fill("0")
    y.press("Enter")
    weight.fill("7,5")
    weight.press("Enter")
    assert view.state["w"] == [1, 7.5, 3, 4]
    assert view.sentence == "x₁–y₀ is now the heaviest edge, and the scale of all bars."
    assert view.problems == []


def test_a_layer_of_ones_own_of_64_by_64_with_a_mask(alive):
    random = np.random.default_rng(2)
    w, mask = random.normal(size=(64, 64)), random.random((64, 64)) < 0.7
    mask[3, 5] = False
    view = alive(zimp.play(w, mask, view="drag"), theme="dark")
    forest = zimp.spanning_forest(w, mask)
    assert view.state["scale"] == forest.scale
    x, y, weight = view.view.locator(".zimp-live-field input").all()
    x.fill("5")
    y.fill("3")
    y.press("Enter")
    assert "without the pruned edges" in view.trouble
    row, col = forest.rows[7], forest.cols[7]
    x.fill(str(col))
    y.fill(str(row))
    y.press("Enter")
    assert f"is in the tree: its bar ends at {1 - forest.values[7] / forest.scale:.3f}".rstrip("0") in view.sentence
    weight.fill("0")
    weight.press("Enter")
    w[row, col] = 0
    assert view.state["w"][64 * row + col] == 0
    ends = np.minimum(zimp.persistence_diagram(w, mask, scale=forest.scale)[:, 1], 1.04)
    pixels = drawn(view)["bars"]
    assert np.allclose(pixels, np.maximum(ends * pixels[-1] / 1.04, 1.5), atol=0.02)
    box = view.view.locator("g[role=img]").bounding_box()
    view.page.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5)
    assert view.state["edge"] in {64 * a + b for a in range(31, 34) for b in range(31, 34)} | {64 * row + col}
    view.page.get_by_label(TEXT).fill("0.5")
    assert f"components: {zimp.betti_curve(w, 0.5, mask, scale=forest.scale)}." in view.sentence
    assert view.problems == []


def test_the_threshold_plays_where_motion_is_wanted(drag):
    view = drag(still=False)
    view.page.get_by_role("button", name="Play").click()
    view.page.wait_for_timeout(300)
    view.page.get_by_role("button", name="Stop").click()
    t = view.state["t"]
    assert 0 < t < 1.05 and f"At threshold {t:g}" in view.sentence
    view.page.wait_for_timeout(150)
    assert json.loads(view.view.get_attribute("data-state"))["t"] == t
    still = drag()
    still.page.get_by_role("button", name="Play").click()
    assert still.state["t"] == 0 and still.page.get_by_role("button", name="Play").is_visible()
