"""Run IMP yourself: the view of the chapter on lottery tickets."""

import re
from functools import cache, partial

import numpy as np
import pytest

import zimp
from zimp import plots, widgets
from zimp.lab.experiments import topological_sizes

STORED = {"density": [1, 0.8], "accuracy": [[0.1, 0.2], [0.8, 0.9]], "components": [[1, 1], [1, 2]],
          "tree": [[1, 0.9], [1, 1]]}  # fmt: skip


def packed(split):
    pixels = (16 * split.x).long().flatten().tolist()
    return {"x": "".join("0123456789abcdefg"[value] for value in pixels), "y": "".join(map(str, split.y.tolist()))}


@cache
def digits():
    data = zimp.load_data("digits")
    return {part: packed(getattr(data, part)) for part in ("train", "test")}


@pytest.fixture
def run(alive):
    def run(*, data=None, **options):
        fig, _ = plots.figure(width=3)
        data = {"digits": digits()} if data is None else data
        shown = widgets.live("run", fig, "Curves.", settings={"stored": {"magnitude": STORED}}, data=data)
        return Run(alive(shown, **options))

    return run


class Run:
    """The view, and what a reader does in it."""

    def __init__(self, alive):
        self.alive, self.page, self.view = alive, alive.page, alive.view
        self.button = partial(self.view.get_by_role, "button", exact=True)
        self.slider = partial(self.view.get_by_role, "slider")

    def start(self, press="click"):
        getattr(self.button(name="Start"), press)()
        self.button(name="Start").wait_for(timeout=60_000)

    def go(self, state):
        self.page.evaluate("hash => (location.hash = hash)", f"#run?{state}")
        return self.alive.state

    def rows(self):
        """The texts of the table, by run."""
        assert self.alive.state  # has been drawn
        read = "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
        return {row[0].strip(): row[1:4] for row in self.view.locator("tbody tr").evaluate_all(read)}

    def layers(self):
        """What the pictures of the layers show: the mask and the tree of each, and what is written above."""
        picture = self.view.locator("svg.zimp-live-canvas").last
        titles = picture.locator("text").all_text_contents()
        cells = [[(float(x), float(y)) for x, y in re.findall(r"M([\d.]+) ([\d.]+)", path.get_attribute("d") or "")]
                 for path in picture.locator("path").all()]  # fmt: skip
        found = []
        for title, pruned, kept, tree in zip(titles, cells[::3], cells[1::3], cells[2::3], strict=True):
            places = sorted({*pruned, *kept, *tree}, key=lambda place: (round(place[1], 2), place[0]))
            m = len({round(y, 2) for _, y in places})
            shape = m, len(places) // m
            mask = np.array([place in {*kept, *tree} for place in places]).reshape(shape)
            found.append((title, mask, np.array([place in set(tree) for place in places]).reshape(shape)))
        return found


@pytest.mark.parametrize(
    "method, rate, hidden, rewind, seed",
    [("magnitude", 0.8, 9, 0, 1), ("topological", 0.7, 6, 150, 0), ("global", 0.85, 12, 100, 5)],
)
def test_what_it_shows_of_each_level_is_what_zimp_says(run, method, rate, hidden, rewind, seed):
    view = run(hash=f"#run?rate={rate}&method={method}&hidden={hidden}&rewind={rewind}&seed={seed}")
    view.start()
    sizes = topological_sizes(zimp.small_mlp(hidden=hidden), 20, rate)
    sizes = [sizes[0], *(new for old, new in zip(sizes, sizes[1:]) if new != old)]
    for level, size in enumerate(sizes):
        view.slider(name="Level").fill(str(level))
        assert view.alive.state["level"] == level
        layers = view.layers()
        assert [mask.shape for _, mask, _ in layers] == [(hidden, 64), (10, hidden)]
        assert sum(mask.sum() for _, mask, _ in layers) == sum(size.values())
        if method == "topological":
            assert [mask.sum() for _, mask, _ in layers] == list(size.values())
        for title, mask, tree in layers:
            components = zimp.count_components(mask)
            assert f"{mask.sum():,} weight" in title and f"{components} component" in title
            assert tree.sum() == sum(mask.shape) - components == sum(mask.shape) - zimp.count_components(tree)
        components = zimp.count_components(layers[0][1])
        (row,) = view.rows().values()
        assert row[1] == str(components) and f"{components} component" in view.alive.sentence
    view.slider(name="Level").fill("0")
    (row,) = view.rows().values()
    assert row[1:] == ["1", "100%"]
    assert view.alive.problems == []


def test_runs_are_compared_where_a_tenth_is_left(run):
    """What the reader finds out: small steps keep less of the first tree."""
    view = run(still=False)
    names = view.view.get_by_role("radio").all()
    assert [name.locator("xpath=..").inner_text() for name in names] == [
        plots.LABELS[name.get_attribute("value")] for name in names
    ]
    assert view.alive.sentence.startswith("Press Start.")
    view.start()
    assert "IMP at 0.2 is done. IMP at 0.2, level 11, density 0.09" in view.alive.sentence
    view.slider(name="Pruning rate").fill("0.9")
    view.start()
    assert view.alive.address == "#run?rate=0.9"
    rows = view.rows()
    small, large = rows["IMP at 0.2"], rows["IMP at 0.9"]
    assert int(small[2][:-1]) < int(large[2][:-1]) - 5
    assert 0.3 < float(large[0]) < 0.8
    view.slider(name="Level").fill("0")
    assert view.rows()["IMP at 0.2"] == view.rows()["IMP at 0.9"]  # the same start, the same batches
    view.view.get_by_role("radio", name="IMP at 0.2").check()
    view.slider(name="Level").fill("1")
    assert "The ten stored runs have accuracies from 0.20 to 0.90." in view.alive.sentence
    view.start()
    assert "is there already" in view.alive.trouble
    view.button(name="Remove IMP at 0.2").click()
    assert list(view.rows()) == ["IMP at 0.9"] and view.alive.problems == []
    view.button(name="Reset").click()
    assert view.rows() == {} and view.alive.state["rate"] == 0.2


def test_by_keyboard_a_run_pauses_goes_on_and_is_stopped(run):
    view = run(hash="#run?rate=0.05&seed=2")
    press = view.page.keyboard.press
    for _ in range(4):  # rate, seed, method, details
        press("Tab")
    press("Tab")
    press("Enter")
    view.button(name="Pause").wait_for()
    progress = view.view.get_by_role("progressbar")
    view.page.wait_for_function("document.querySelector('.zimp-live progress').value > 2")
    press("Enter")
    view.button(name="Resume").wait_for()
    assert "pauses" in view.alive.sentence
    view.page.wait_for_timeout(400)  # the level that it was at
    paused = progress.get_attribute("value")
    view.page.wait_for_timeout(400)
    assert progress.get_attribute("value") == paused
    press("Enter")
    grown = "paused => document.querySelector('.zimp-live progress').value > paused"
    view.page.wait_for_function(grown, arg=int(paused))
    press("Tab")
    press("Enter")  # Stop
    assert "is stopped" in view.alive.sentence and list(view.rows()) == ["IMP at 0.05, seed 2"]
    assert view.page.evaluate("document.activeElement.textContent") == "Start"
    assert not progress.is_visible()


def test_by_touch_on_a_phone_nothing_is_cut_off(run):
    view = run(touch=True, width=390, theme="dark", hash="#run?rate=0.9&hidden=64&rewind=150&seed=999")
    view.view.get_by_role("radio", name="random tree, then magnitude").tap()
    view.start("tap")
    assert list(view.rows()) == ["random tree, then magnitude at 0.9, 64 neurons, not rewound, seed 999"]
    assert view.page.evaluate("document.documentElement.scrollWidth") <= 390
    box = view.view.bounding_box()
    for part in view.view.locator("svg, table, button, input, text").all():
        at = part.bounding_box() if part.is_visible() else None
        assert at is None or at["x"] + at["width"] <= box["x"] + box["width"] + 0.5
    assert view.alive.problems == []


def test_a_broken_address_is_named_and_changes_nothing(run):
    view = run(hash="#run?seed=3&rate=1", data={})
    assert view.alive.trouble.endswith("Nothing was changed.") and view.alive.state["seed"] == 0
    for broken in ("rate=0", "method=best", "hidden=65", "rewind=-1", "seed=1.5", "level=", "run=<b>1", "%E0%A4%A=<i>"):
        view.go("seed=7")
        assert view.go(f"seed=4&{broken}")["seed"] == 7
        assert view.alive.trouble.endswith("Nothing was changed.") and view.view.locator("b, i").count() == 0
    state = view.go("method=random&rate=0.123456")
    assert state["method"] == "random" and state["rate"] == 0.123456 and view.alive.trouble == ""
    view.button(name="Start").click()
    assert view.alive.trouble.startswith("The digits did not come")
