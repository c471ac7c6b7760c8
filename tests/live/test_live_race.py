"""The race: Kruskal, Prim and Borůvka side by side."""

from functools import partial

import numpy as np
import pytest

import zimp
from zimp import plots, widgets

W = (np.random.default_rng(376).permutation(20).reshape(4, 5) + 1) / 20
RUNNERS = ["Kruskal", "Prim", "Borůvka"]
START = {"step": 0, "seed": 0, "weights": "exact", "start": 4, "speed": "medium"}


@pytest.fixture
def race(alive):
    fig, _ = plots.figure(width=3)
    shown = widgets.live("race", fig, "A layer.", settings={"weights": W.ravel().tolist(), "m": 4, "n": 5})
    return partial(alive, shown)


def drawn(view):
    """Wait until what was asked for is on the screen, however busy the machine is."""
    view.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def taken(view):
    """The edges that each has taken, in its order."""
    drawn(view)
    panels = view.view.locator("section")
    assert panels.evaluate_all("all => all.map(panel => panel.getAttribute('aria-label'))") == RUNNERS
    texts = panels.evaluate_all("all => all.map(panel => panel.dataset.taken)")
    return [[int(edge) for edge in text.split()] for text in texts]


def lit(view):
    """The line of code that runs in each."""
    drawn(view)
    lines = "all => all.map(panel => [...panel.querySelectorAll('div > div')].find(line => line.style.background))"
    return view.view.locator("section").evaluate_all(f"all => ({lines})(all).map(line => line && line.textContent)")


def agree(layer, mask, runs):
    """All three find what zimp finds."""
    forest = zimp.spanning_forest(layer, mask)
    exact = forest.rows * layer.shape[1] + forest.cols
    assert runs[0] == exact.tolist()
    for run in runs:
        assert np.array_equal(np.sort(np.abs(layer).flat[run]), np.sort(forest.values))
        found = np.zeros(layer.size, dtype=bool)
        found[run] = True
        assert zimp.count_components(found.reshape(layer.shape)) == forest.n_components
    values = np.abs(layer[np.ones_like(layer, dtype=bool) if mask is None else mask])
    if len(set(values)) == len(values):
        assert set(runs[0]) == set(runs[1]) == set(runs[2])


def test_other_orders_find_the_tree_of_zimp_and_with_ties_its_deaths(race):
    view = race(hash="#race?step=999")
    runs = taken(view)
    agree(W, None, runs)
    assert runs[0] != runs[1] != runs[2] and view.sentence.startswith("Different orders, same tree.")
    differ = 0
    for seed in range(1, 13):
        for start in ("0", str(3 + seed % 6)):
            order = f"zimpPlay.random({seed}).shuffle(Array.from({{ length: 20 }}, (_, k) => (k + 1) / 20))"
            layer = np.reshape(view.page.evaluate(order), (4, 5))
            view.page.evaluate(f"location.hash = '#race?step=999&seed={seed}&start={start}'")
            agree(layer, None, taken(view))
        view.page.evaluate(f"location.hash = '#race?step=999&seed={seed}&weights=rounded'")
        runs = taken(view)
        agree(np.ceil(4 * layer) / 4, None, runs)
        differ += len({frozenset(run) for run in runs}) > 1
    assert differ > 6
    view.page.evaluate("location.hash = '#race?step=999&weights=rounded'")
    sets = {frozenset(run) for run in taken(view)}
    assert len(sets) == 3 and view.view.locator("section line[stroke-width='3']").count() > 0
    assert view.sentence.startswith("Different edges, same deaths.") and view.problems == []


def test_layers_of_ones_own_with_zeros_ties_and_masks(alive):
    rng = np.random.default_rng(0)
    for m, n, density in ((1, 144, 1), (9, 12, 0.3), (2, 2, 0)):
        layer = rng.normal(size=(m, n)).round(1) * (rng.random((m, n)) < 0.8)
        mask = None if density == 1 else rng.random((m, n)) < density
        view = alive(zimp.play(layer, mask, view="race"), hash="#race?step=999")
        agree(layer, mask, taken(view))
        deaths = zimp.persistence_diagram(layer, mask, essential=False)[:, 1]
        assert view.view.locator("section").first.locator("circle[r='3']").count() == len(deaths)
        assert view.problems == []


def test_line_by_line_by_keyboard_and_back(race):
    view = race()
    tab = partial(view.page.keyboard.press, "Tab")
    for _ in range(3):
        tab()
    view.page.keyboard.press("Enter")
    assert lit(view) == ["order = sorted(edges)", "piece = {start}", "    e[p] = best_leaving(p)"]
    assert view.sentence.startswith("Kruskal: Sorts 20 weights. Prim: Starts at x₀. Borůvka: Round 1: a lone neuron")
    view.page.keyboard.press("Enter")
    assert lit(view)[:2] == ["  if joins_two_pieces(e):", "  e = best_leaving(piece)"]
    assert [len(run) for run in taken(view)] == [0, 0, 0]
    view.page.keyboard.press("Enter")
    assert lit(view)[:2] == ["    take(e)", "  take(e)"] and view.address == "#race?step=3"
    assert [len(run) for run in taken(view)] == [1, 1, 0]
    view.page.keyboard.press("Shift+Tab")
    view.page.keyboard.press("Enter")
    assert view.state["step"] == 2 and [len(run) for run in taken(view)] == [0, 0, 0]
    tab(), tab()
    view.page.keyboard.press("End")
    assert [len(run) for run in taken(view)] == [8, 8, 8] and lit(view) == [None, None, None]
    assert view.sentence.startswith("Different orders, same tree. Kruskal: done after ")
    tab(), tab()
    view.page.keyboard.press("ArrowRight")
    assert view.state["weights"] == "rounded" and view.sentence.startswith("Different edges, same deaths.")
    tab()
    view.page.keyboard.press("Enter")
    assert view.state == START | {"seed": 1, "weights": "rounded"}
    tab()
    view.page.keyboard.press("Home")
    assert view.state["start"] == 0 and view.sentence.startswith("Press Play, or go line by line. Of equal weights,")


def test_it_runs_by_itself_and_stops(race):
    view = race(still=False, hash="#race?speed=fast", theme="dark")
    run = view.view.locator("button").first
    run.click()
    view.page.wait_for_function("JSON.parse(document.querySelector('.zimp-live').dataset.state).step >= 2")
    run.click()
    step = view.state["step"]
    view.page.wait_for_timeout(400)
    assert view.state["step"] == step and run.inner_text() == "Play"
    view.page.evaluate("location.hash = '#race?step=18&speed=fast'")
    run.click()
    view.page.wait_for_function("document.querySelector('.zimp-live button').textContent === 'Play'")
    assert [len(run) for run in taken(view)] == [8, 8, 8] and view.problems == []


def test_on_a_phone_by_touch(race):
    view = race(touch=True, width=390)
    tops = view.view.locator("section").evaluate_all("all => all.map(panel => panel.getBoundingClientRect().top)")
    assert tops == sorted(tops) and len(set(tops)) == 3, "one below the other"
    view.view.get_by_role("button", name="Play").tap()  # at once at the end, for readers who want no motion
    assert [len(run) for run in taken(view)] == [8, 8, 8]
    view.view.get_by_role("radio", name="rounded, with ties").tap()
    view.view.get_by_role("button", name="New weights").tap()
    assert view.state == START | {"seed": 1, "weights": "rounded"}
    assert view.page.evaluate("document.documentElement.scrollWidth") <= 390
    view.view.get_by_role("button", name="Reset").tap()
    assert view.state == START and view.problems == []


def test_a_broken_address_is_named_and_changes_nothing(race):
    view = race(hash="#race?start=9")
    for broken in ("start=9", "step=-1", "weights=none", "seed=1.5", "z=1", "speed=<i>slow</i>"):
        view.page.evaluate(f"location.hash = '#race?{broken}'")
        assert view.trouble.startswith(f"The address says {broken[0]}") and view.trouble.endswith("was changed.")
        assert view.state == START and view.view.locator("i").count() == 0
    view.page.evaluate("location.hash = '#race?step=3&start=8'")
    assert view.state == START | {"step": 3, "start": 8} and view.trouble == "" and view.problems == []
