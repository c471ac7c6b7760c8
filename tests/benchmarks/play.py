"""How fast the scripts of the live page are in Node, and beside them the same by straight loops in Python.

    python tests/benchmarks/play.py

measures them alone, in a minute.
"""

import gzip
import json
import math
import os
import random
import subprocess
import tempfile
from pathlib import Path

from timing import seconds_of, summary

STATIC = Path(__file__).parents[2] / "book" / "_static"
SIDE = 1024
SIZES = (64, 32, 10)
BATCH = 60
LARGE = 10 * 2**30  # bytes

# Seconds, each a list of one number for each repeat. What is measured runs before, so that it is compiled.
PROGRAM = """
const fs = require("fs");
const play = require(process.argv[1] + "/zimp-play.js");
const seconds = (repeats, work) => Array.from({ length: repeats }, () => {
  const start = performance.now();
  work();
  return (performance.now() - start) / 1000;
});
const random = play.random(0);
const numbers = (size, draw) => Float64Array.from({ length: size }, draw);

const layer = (side) => numbers(side * side, random.normal);
const [small, large] = [layer(64), layer(Number(process.argv[2]))];
const side = Math.sqrt(large.length);
seconds(100, () => play.forest(small, 64, 64));
seconds(2, () => play.forest(large, side, side));

const split = (size) => ({ x: numbers(64 * size, random.uniform), y: numbers(size, () => random.below(10)) });
const data = { train: split(1077), test: split(360) };
const network = play.network([64, 32, 10], random);
const state = play.optimizer(network);
const order = play.batches(1077, random);
const step = () => play.step(network, state, data.train.x, data.train.y, order.next().value);
seconds(500, step);
const settings = { data, sizes: [64, 32, 10], rate: 0.13, method: "topological", rewind: 0, seed: 0 };

// As a File of a page: fs.openAsBlob takes a file of 10 GB for one of 2.
const file = {
  size: fs.statSync(process.argv[3]).size,
  slice: (begin, end) => ({ arrayBuffer: async () => {
    const [bytes, opened] = [new Uint8Array(end - begin), fs.openSync(process.argv[3])];
    fs.readSync(opened, bytes, 0, end - begin, begin);
    fs.closeSync(opened);
    return bytes.buffer;
  } }),
};

(async () => {
  const start = performance.now();
  const { tensors } = await play.readHeader(file);
  const header = (performance.now() - start) / 1000;
  console.log(JSON.stringify({
    forest_64: seconds(200, () => play.forest(small, 64, 64)),
    forest: seconds(7, () => play.forest(large, side, side)),
    step: seconds(500, step),
    run: seconds(3, () => [...play.jobs.run({ ...settings, levels: 20, steps: 150 })]),
    header: [header],
    tensors: tensors.length,
  }));
})();
"""


def measure() -> dict:
    """Bytes of the scripts with gzip, and seconds (medians and quartiles) in Node and in loops of Python."""
    scripts = [path.read_bytes() for path in sorted(STATIC.glob("zimp-play*.js"))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        tensors = write_large(path)
        command = ["node", "-e", PROGRAM, str(STATIC), str(SIDE), str(path)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert found.pop("tensors") == tensors
    weights = [random.gauss(0, 1) for _ in range(SIDE * SIDE)]
    return {
        "gzipped": {
            "as one": len(gzip.compress(b"".join(scripts), 9)),
            "each by itself": sum(len(gzip.compress(script, 9)) for script in scripts),
        },
        "node": {name: summary(seconds) for name, seconds in found.items()},
        "python": {
            "forest": summary([seconds_of(lambda: forest(weights, SIDE, SIDE)) for _ in range(3)]),
            "step": summary([seconds_of(step_of_training()) for _ in range(5)]),
        },
    }


def goals(measured):
    """Each goal: what, the figure, and the bound on it."""
    node, python = ({name: times["median"] for name, times in measured[part].items()} for part in ("node", "python"))
    yield "scripts of the live pages, compressed as one, kB", measured["gzipped"]["as one"] / 1000, "<=", 60
    yield f"{SIDE}x{SIDE} in JavaScript, s", node["forest"], "<=", 1
    yield f"{SIDE}x{SIDE}, a loop in Python / JavaScript", python["forest"] / node["forest"], ">=", 5
    yield "64x64 in JavaScript, ms", 1000 * node["forest_64"], "<=", 16
    yield "64-32-10 in JavaScript, ms a step", 1000 * node["step"], "<=", 1
    yield "64-32-10, loops in Python / JavaScript", python["step"] / node["step"], ">=", 20
    yield "64-32-10, 20 levels of 150 steps, s", node["run"], "<=", 15
    yield "header of a file of 10 GB, ms", 1000 * node["header"], "<=", 100


def write_large(path) -> int:
    """A sparse file with the header of a large model, which takes next to no space; how many tensors it has."""
    shapes = {f"model.layers.{layer}.{name}": [4096, 4096] for layer in range(80) for name in "qkvo"}
    header, end = {}, 0
    for name, shape in shapes.items():
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end + 2 * math.prod(shape)]}
        end += 2 * math.prod(shape)
    assert end >= LARGE
    header = json.dumps(header).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(path, 8 + len(header) + end)
    return len(shapes)


def forest(weights, m, n):
    """Kruskal's algorithm."""
    parent = list(range(m + n))

    def root(vertex):
        while parent[vertex] != vertex:
            parent[vertex] = parent[parent[vertex]]
            vertex = parent[vertex]
        return vertex

    taken = []
    for edge in sorted(range(m * n), key=lambda edge: -abs(weights[edge])):
        a, b = root(edge // n), root(m + edge % n)
        if a != b:
            parent[a] = b
            taken.append(edge)
    return taken


def step_of_training():
    """One step of Adam on one batch, from a random start."""
    (n, h, m), draw = SIZES, random.Random(0)
    first, second = (
        [[draw.gauss(0, 0.2) for _ in range(cols)] for _ in range(rows)] for rows, cols in ((h, n), (m, h))
    )
    images = [([draw.random() for _ in range(n)], draw.randrange(m)) for _ in range(BATCH)]
    layers = (first, second)
    averages = [[[[0.0, 0.0] for _ in row] for row in weight] for weight in layers]

    def step():
        gradients = [[[0.0] * len(row) for row in weight] for weight in layers]
        for image, label in images:
            hidden = [max(0.0, sum(w * x for w, x in zip(row, image))) for row in first]
            scores = [sum(w * x for w, x in zip(row, hidden)) for row in second]
            powers = [math.exp(score - max(scores)) for score in scores]
            errors = [power / sum(powers) - (k == label) for k, power in enumerate(powers)]
            behind = [
                sum(error * row[j] for error, row in zip(errors, second)) if signal else 0.0
                for j, signal in enumerate(hidden)
            ]
            for gradient, errors_there, signals in ((gradients[0], behind, image), (gradients[1], errors, hidden)):
                for row, error in zip(gradient, errors_there):
                    if error:
                        for j, signal in enumerate(signals):
                            row[j] += error * signal
        for weight, gradient, average in zip(layers, gradients, averages):
            for values, slopes, pairs in zip(weight, gradient, average):
                for j, (slope, pair) in enumerate(zip(slopes, pairs)):
                    slope /= BATCH
                    pair[0] += 0.1 * (slope - pair[0])
                    pair[1] += 0.001 * (slope * slope - pair[1])
                    values[j] -= 1.2e-3 * pair[0] / 0.1 / (math.sqrt(pair[1] / 0.001) + 1e-8)

    return step


if __name__ == "__main__":
    for goal, figure, relation, bound in goals(measure()):
        print(f"{goal:52}{figure:10.3g}  {relation} {bound:g}")
