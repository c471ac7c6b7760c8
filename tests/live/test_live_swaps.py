"""Swap by swap: from the mask of magnitude pruning to that of topological pruning."""

import re

import numpy as np
import pytest

import zimp

W = np.random.default_rng(997).normal(size=(5, 7)).round(2)
TIES = np.random.default_rng(3).integers(-2, 3, size=(6, 5)).astype(float)
APART = np.kron(np.eye(2), np.ones((3, 3))).astype(bool)  # a layer in two components, of which one loses a weight
APART[0, 0] = False

# Open an address, wait for the frame that draws it, and read the picture: which edges are there, and where bars end.
READ = """async ([k, step]) => {
  const heard = new Promise(resolve => addEventListener("hashchange", resolve, { once: true }));
  location.hash = `#swaps?k=${k}&step=${step}`;
  await heard;
  await new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  const view = document.querySelector(".zimp-live");
  const there = [...view.querySelectorAll("[data-edge]")].filter(line => !line.hasAttribute("stroke-dasharray"));
  const paths = view.querySelectorAll(".zimp-live-canvas > g:nth-of-type(3) :is([style*='tree'], [style*='bound'])");
  const bars = [...paths].flatMap(path => [...path.getAttribute("d").matchAll(/M([\\d.]+) [\\d.]+H([\\d.]+)/g)]);
  const across = view.querySelectorAll(".zimp-axes line")[1];
  return {
    edges: there.map(line => +line.dataset.edge),
    bars: bars.map(([, from, to]) => 1.12 * (to - from) /
      (across.getAttribute("x2") - across.getAttribute("x1"))),
    counts: view.querySelector(".zimp-live-counts").textContent,
    trouble: view.querySelector(".zimp-live-trouble").textContent,
  };
}"""


@pytest.mark.parametrize(
    "weights, mask",
    [(W, None), (TIES, None), (np.random.default_rng(4).normal(size=(6, 6)), APART), (W[:1], None)],
    ids=["any", "ties and zeros", "with a mask", "one output"],
)
def test_each_half_swap_is_what_zimp_says(alive, weights, mask):
    view = alive(zimp.play(weights, mask, view="swaps"))
    forest = zimp.spanning_forest(weights, mask)
    sizes = np.abs(weights).ravel()
    for k in np.random.default_rng(0).permutation(range(len(forest), weights.size if mask is None else mask.sum()))[:5]:
        magnitude, topological = (f(weights, k, mask) for f in (zimp.magnitude_mask, zimp.topological_mask))
        enter, leave = (np.flatnonzero(moved) for moved in (topological & ~magnitude, magnitude & ~topological))
        enter, leave = enter[np.argsort(-sizes[enter], kind="stable")], leave[np.argsort(sizes[leave], kind="stable")]
        swaps = zimp.count_components(magnitude) - forest.n_components
        assert swaps == len(enter) == len(leave)
        for step in range(2 * swaps + 1):
            shown = view.page.evaluate(READ, [int(k), step])
            assert shown["trouble"] == ""
            now = np.zeros(weights.shape, dtype=bool)
            now.ravel()[shown["edges"]] = True
            assert now.sum() == k + step % 2
            # Of equally heavy weights either may go first.
            moved = sorted(sizes[enter[: (step + 1) // 2]]), sorted(sizes[leave[: step // 2]])
            assert moved == (sorted(sizes[(now & ~magnitude).ravel()]), sorted(sizes[(magnitude & ~now).ravel()]))
            components = zimp.count_components(now)
            assert components == zimp.count_components(magnitude) - (step + 1) // 2
            piece = "component" if components == 1 else "components"
            assert f" {components} {piece} · {(step + 1) // 2} of {swaps} swap" in shown["counts"]
            if forest.scale:
                deaths = np.minimum(zimp.persistence_diagram(weights, now, scale=forest.scale)[:, 1], 1.12)
                assert np.allclose(np.sort(shown["bars"]), deaths, atol=0.01)
        assert np.array_equal(now, topological)
    assert view.problems == []


def test_why_h0_does_not_move(alive):
    """What a reader finds out: an edge that enters ends one bar; an edge that leaves moves none."""
    view = alive(zimp.play(W, view="swaps"), theme="dark", still=False)
    assert view.state == {"k": 14, "step": 0} and "leave 4 components: 3 swaps to go." in view.sentence

    def endless():
        return view.view.locator('path[style*="bound"]').get_attribute("d").count("M")

    assert endless() == 4
    press = view.view.get_by_role("button", name="Next").click
    for swap in (1, 2, 3):
        press()
        assert re.search(rf"^Swap {swap} of 3. The tree edge .* enters. It joins two components", view.sentence)
        assert endless() == 4 - swap
        press()
        assert re.search(rf"^Swap {swap} of 3. The edge .* leaves, .* no bar moves", view.sentence)
        assert endless() == 4 - swap
        lit = view.view.locator('path[style*="budget"]').first.get_attribute("d").count("M")
        assert lit % 2 == 0 and lit >= 4, "a cycle of a graph with two sides"
    assert "Now H0 is the layer's." in view.sentence
    view.page.wait_for_timeout(300)
    assert view.view.locator('circle[style*="paper"]').count() == 0, "all neurons are connected"
    press()
    assert view.sentence == "No further swap is needed." and view.state == {"k": 14, "step": 6}
    view.view.get_by_role("slider").fill("22")
    assert view.state == {"k": 22, "step": 0} and "contain the whole tree" in view.sentence
    press()
    assert view.sentence == "No further swap is needed." and view.problems == []


def test_by_keyboard_alone_and_by_touch(alive):
    view = alive(zimp.play(W, view="swaps"), touch=True, width=390)
    for key in ("Tab", "ArrowRight", "ArrowRight", "Tab", "Tab", "Enter", "Space"):
        view.page.keyboard.press(key)
    assert view.state == {"k": 16, "step": 2} and view.address == "#swaps?k=16&step=2"
    view.page.keyboard.press("Shift+Tab")
    view.page.keyboard.press("Enter")
    assert view.state["step"] == 1
    view.view.get_by_role("button", name="Next").tap()
    assert view.state["step"] == 2
    for button in view.view.get_by_role("button").all():
        assert button.bounding_box()["height"] >= 24
    view.view.get_by_role("button", name="Reset").tap()
    assert view.state == {"k": 14, "step": 0} and view.address == "#swaps"
    view.page.evaluate("document.documentElement.dataset.theme = 'dark'")
    assert view.problems == []


def test_nothing_is_cut_off(alive):
    large = np.random.default_rng(0).normal(size=(64, 64))
    for weights, width in (W, 390), (W, 760), (large, 390), (large, 760):
        view = alive(zimp.play(weights, view="swaps"), width=width, hash="#swaps?step=1")
        assert view.state["step"] == 1
        assert view.page.evaluate("document.documentElement.scrollWidth") <= width
        outside = """svg => [...svg.querySelectorAll("text, line, circle, path")].filter(part => {
          const [inner, outer] = [part, svg].map(element => element.getBoundingClientRect());
          return inner.left < outer.left - 2 || inner.right > outer.right + 2 || inner.bottom > outer.bottom + 2;
        }).map(part => part.outerHTML)"""
        assert view.view.locator(".zimp-live-canvas").evaluate(outside) == []


def test_a_broken_address_is_named_and_changes_nothing(alive):
    view = alive(zimp.play(W, view="swaps"), hash="#swaps?k=10")
    assert view.trouble == "The address says k=10; it must be a whole number from 11 to 35. Nothing was changed."
    for broken in ("k=36", "k=1.5", "step=7", "step=-1", "k=<img src=x>", "q=1", "k=12&step=%E0%A4%A"):
        view.page.evaluate("broken => location.hash = `#swaps?${broken}`", broken)
        assert view.trouble.startswith("The address says") and view.trouble.endswith("Nothing was changed.")
        assert view.state == {"k": 14, "step": 0} and view.view.locator("img").count() == 0
    view.page.evaluate("location.hash = '#swaps?k=20&step=6'")  # at 20 weights one swap is all
    assert view.trouble == "" and view.state["k"] == 20 and view.sentence.startswith("Swap 1 of 1")


def test_layers_with_nothing_to_swap(alive):
    for weights, mask in ([[2.0]], None), ([[0.0, -0.0]], None), (np.ones((2, 3)), np.zeros((2, 3))):
        view = alive(zimp.play(weights, mask, view="swaps"))
        view.view.get_by_role("button", name="Next").click()
        assert view.sentence == "No further swap is needed." and view.problems == []
