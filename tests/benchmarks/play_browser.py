"""How fast the live views are in Chromium, opened from disk, and what the pages weigh that have some.

    python tests/benchmarks/play_browser.py

measures them alone, in a minute or two. Needs Chromium, and the book, built into ``book/_build/html``.
"""

from __future__ import annotations

import random
import re
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from play import STATIC, forest, step_of_training, write_large
from playwright.sync_api import sync_playwright
from timing import seconds_of, summary

import zimp

SITE = Path(__file__).parents[2] / "book" / "_build" / "html"
FLAGS = "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync".split()
SIDE = 64
LEVELS, STEPS = 20, 150

# Seconds from what a reader does until it is drawn, without the wait for the screen's next frame: what the event takes,
# and what the frame takes, with layout and paint.
FRAMES = """async acts => {
  const view = document.querySelector(".zimp-live");
  const enter = (name, value) => {
    const input = [...view.querySelectorAll("label")].find(label => label.textContent.trim() === name)
      .querySelector("input");
    input.value = value;
    input.dispatchEvent(new Event("change", { bubbles: true }));
    input.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
  };
  const press = name => [...view.querySelectorAll("button")].find(button => button.textContent === name).click();
  const seconds = [];
  for (const act of acts) {
    await new Promise(resolve => setTimeout(resolve, 30));
    let began;
    requestAnimationFrame(now => (began = performance.now()));
    const start = performance.now();
    for (const [name, value] of act) value === null ? press(name) : enter(name, value);
    const handled = performance.now() - start;
    await new Promise(resolve => requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = resolve;  // after the frame is painted
      port2.postMessage(null);
    }));
    seconds.push((handled + performance.now() - began) / 1000);
  }
  return seconds;
}"""

# The worker, as the views use it.
WORKER = """async ({ levels, steps, repeats }) => {
  const play = zimpPlay;
  const random = play.random(0);
  const numbers = (size, draw) => Float64Array.from({ length: size }, draw);
  const timed = async work => {
    const start = performance.now();
    await work();
    return (performance.now() - start) / 1000;
  };
  const side = 1024;
  const entry = { dtype: "F32", shape: [side, side], data_offsets: [0, 4 * side * side] };
  const header = new TextEncoder().encode(JSON.stringify({ "layer.weight": entry }));
  const length = new BigUint64Array([BigInt(header.length)]);
  const file = new File([length, header, Float32Array.from({ length: side * side }, random.normal)], "x.safetensors");
  const [tensor] = (await play.readHeader(file)).tensors;

  const split = size => ({ x: numbers(64 * size, random.uniform), y: numbers(size, () => random.below(10)) });
  const data = { train: split(1077), test: split(360) };
  const settings = { data, sizes: [64, 32, 10], rate: 0.13, method: "topological", rewind: 0, seed: 0, levels, steps };

  const large = document.querySelector("input").files[0];
  const seconds = { layer: [], run: [], header: [] };
  for (let k = 0; k < repeats; k += 1) {
    seconds.layer.push(await timed(() => play.work("layer", { file, tensor }).promise));
    seconds.header.push(await timed(() => play.readHeader(large)));
  }
  for (let k = 0; k < 3; k += 1) seconds.run.push(await timed(() => play.work("run", settings).promise));
  return seconds;
}"""

# When all views of a page have drawn themselves, in milliseconds since the page was asked for.
ALIVE = """
const watch = () => {
  const views = [...document.querySelectorAll(".zimp-live")];
  if (document.readyState !== "loading" && views.every(view => view.dataset.state)) window.alive = performance.now();
  else requestAnimationFrame(watch);
};
requestAnimationFrame(watch);
"""


def measure() -> dict:
    """Seconds (medians and quartiles) in Chromium and in loops of Python, and megabytes of each page with its files."""
    if not SITE.is_dir():
        sys.exit(f"{SITE} is not there; build the book first: jupyter-book build book")
    found = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=found, args=FLAGS)
        measured = {
            "chromium": browser.version,
            "frames": frames(browser, Path(folder)),
            "worker": worker(browser, Path(folder)),
            "pages": {path.stem: page_of(browser, path) for path in sorted(SITE.glob("*.html"))},
        }
        browser.close()
    measured["pages"] = {name: page for name, page in measured["pages"].items() if page}
    large = [random.gauss(0, 1) for _ in range(1024**2)]
    return measured | {
        "python": {
            "forest": summary([seconds_of(lambda: forest(large, 1024, 1024)) for _ in range(3)]),
            "step": summary([seconds_of(step_of_training()) for _ in range(5)]),
        },
    }


def opened(browser, path):
    """A page from disk, without a network, and when its views lived."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.route(re.compile("^http"), lambda route: route.abort())
    page.add_init_script(ALIVE)
    page.goto(path.as_uri())
    page.wait_for_function("window.alive")
    return page


def frames(browser, folder):
    """A hundred changes of a weight in the view ``drag`` and a hundred half swaps in ``swaps``, of a layer of 64x64."""
    random_ = np.random.default_rng(0)
    weights = random_.normal(size=(SIDE, SIDE))
    changes = [
        [["edge from x", str(random_.integers(SIDE))], ["to y", str(random_.integers(SIDE))],
         ["weight", f"{random_.normal():.3f}"]]
        for _ in range(110)
    ]  # fmt: skip
    acts = {"drag": changes, "swaps": [[["Next", None]]] * 55 + [[["Back", None]]] * 55}
    seconds = {}
    for view, of_view in acts.items():
        path = folder / f"{view}.html"
        shown = zimp.play(weights, view=view).data
        path.write_text(f"<!doctype html><meta charset=utf-8><style>{colours()}</style>{shown}", encoding="utf-8")
        page = opened(browser, path)
        page.locator("input[type=range]").first.press("Home")
        seconds[view] = summary(page.evaluate(FRAMES, of_view)[-100:])
        page.close()
    return seconds


def colours():
    return (STATIC / "zimp.css").read_text(encoding="utf-8")


def worker(browser, folder):
    path, large = folder / "worker.html", folder / "model.safetensors"
    write_large(large)
    scripts = "".join(
        f'<script src="{(STATIC / f"zimp-play{part}.js").as_uri()}"></script>'
        for part in ("", "-draw", "-checkpoint", "-train")
    )
    path.write_text(f'<!doctype html><meta charset="utf-8"><input type="file">{scripts}', encoding="utf-8")
    page = opened(browser, path)
    page.locator("input").set_input_files(large)
    seconds = page.evaluate(WORKER, {"levels": LEVELS, "steps": STEPS, "repeats": 7})
    page.close()
    return {name: summary(values) for name, values in seconds.items()}


def page_of(browser, path):
    """Of a page with views: seconds until they live, and megabytes with the files that only such pages load."""
    text = path.read_text(encoding="utf-8")
    if 'class="zimp-live"' not in text:
        return None
    alive = []
    for _ in range(5):
        page = opened(browser, path)
        alive.append(page.evaluate("window.alive") / 1000)
        page.close()
    files = {SITE / "_static" / name for name in re.findall(r"_static/(zimp-[\w-]+\.(?:js|css))", text)}
    return {"alive": summary(alive), "MB": sum(file.stat().st_size for file in [path, *files]) / 1e6}


def goals(measured):
    """Each goal: what, the figure, and the bound on it."""
    parts = ("frames", "worker", "python")
    frame, work, python = ({name: times["median"] for name, times in measured[part].items()} for part in parts)
    yield "64x64, a weight changed until it is drawn, ms", 1000 * frame["drag"], "<=", 16
    yield "64x64, a swap until it is drawn, ms", 1000 * frame["swaps"], "<=", 16
    yield "1024x1024 in the browser's worker, s", work["layer"], "<=", 1
    yield "1024x1024, a loop in Python / the worker", python["forest"] / work["layer"], ">=", 3
    yield "header of a file of 10 GB in the browser, ms", 1000 * work["header"], "<=", 100
    yield "64-32-10, 20 levels of 150 steps in the worker, s", work["run"], "<=", 15
    loops = LEVELS * STEPS * python["step"]
    yield "64-32-10, loops in Python / the worker", loops / work["run"], ">=", 10
    pages = measured["pages"].values()
    yield "the slowest page until it lives, s", max(page["alive"]["median"] for page in pages), "<=", 1
    yield "the heaviest page with views, MB", max(page["MB"] for page in pages), "<=", 2.5


if __name__ == "__main__":
    measured = measure()
    for goal, figure, relation, bound in goals(measured):
        print(f"{goal:52}{figure:10.3g}  {relation} {bound:g}")
    for name, page in measured["pages"].items():
        print(f"{name:40}{page['alive']['median']:6.2f} s{page['MB']:8.2f} MB")
