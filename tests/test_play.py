"""The scripts of the live page give the answers of the package: a layer, a training, a run, a file; in Node."""

import base64
import itertools
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from reference import present
from safetensors.torch import save_file

import zimp
from zimp.lab.experiments import RULES, SWEEPS, Results, topological_sizes
from zimp.lab.training import batches
from zimp.reports.checkpoints import open_network

BOOK = Path(__file__).parent.parent / "book"
SCRIPT = BOOK / "_static" / "zimp-play.js"
ARRAYS = {"float64": "Float64Array", "float32": "Float32Array", "int32": "Int32Array", "uint8": "Uint8Array"}
HARNESS = """
const types = %s;
const unpack = (key, value) => value && value.base64 !== undefined
  ? new globalThis[types[value.dtype]](new Uint8Array(Buffer.from(value.base64, "base64")).buffer) : value;
const pack = (key, value) => {
  if (!ArrayBuffer.isView(value)) return value;
  const dtype = Object.keys(types).find(name => types[name] === value.constructor.name);
  return { dtype, base64: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64") };
};
const refusal = function (work) {
  try { work(); } catch (error) { return error.constructor === Error ? error.message : String(error.stack); }
  return null;
};
const broken = (work) => work.then(() => null, (error) => refusal(() => { throw error; }));
const fs = require("fs");
const open = (path) => { // as a File of a page; fs.openAsBlob takes a file of 10 GB for one of 2
  const { size } = fs.statSync(path);
  const read = async (begin, end) => {
    const bytes = new Uint8Array(Math.min(end, size) - begin);
    const file = await fs.promises.open(path);
    await file.read(bytes, 0, bytes.length, begin);
    await file.close();
    return bytes.buffer;
  };
  return { size, slice: (begin, end) => ({ arrayBuffer: () => read(begin, end) }) };
};
const layerOf = async (file, tensor) => {
  const [job, shares] = [play.jobs.layer({ file, tensor }), []];
  for (let next = await job.next(); ; next = await job.next()) {
    if (next.done) return { ...next.value, shares };
    shares.push(next.value);
  }
};
const play = require(%s);
const given = JSON.parse(fs.readFileSync(0, "utf8"), unpack);
(async () => { %s })().then(
  (answer) => process.stdout.write(JSON.stringify(answer, pack)),
  (error) => { console.error(error); process.exit(1); },
);
"""


def ask(body, given=None):
    """What the body of a JavaScript function returns, run in Node with ``play`` and ``given``, arrays both ways."""
    node = shutil.which("node")
    if node is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("the tests of the live page need node")
    program = HARNESS % (json.dumps(ARRAYS), json.dumps(str(SCRIPT)), body)
    given = json.dumps(given, default=_pack)
    result = subprocess.run([node, "-e", program], input=given, capture_output=True, text=True, encoding="utf-8")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout, object_hook=_unpack)


def _pack(value):
    if isinstance(value, np.generic):
        return value.item()
    value = np.ascontiguousarray(value)
    value = value.astype({"bool": np.uint8, "int64": np.int32}.get(value.dtype.name, value.dtype))
    return {"dtype": value.dtype.name, "base64": base64.b64encode(value.tobytes()).decode()}


def _unpack(value):
    if "base64" not in value:
        return value
    return np.frombuffer(base64.b64decode(value["base64"]), value["dtype"])


# A layer

KINDS = {
    "Gaussian": lambda rng, m, n: rng.normal(size=(m, n)),
    "float32": lambda rng, m, n: rng.normal(size=(m, n)).astype(np.float32),
    "ties": lambda rng, m, n: np.round(rng.normal(size=(m, n)), 1),
    "whole numbers": lambda rng, m, n: np.round(rng.normal(size=(m, n))),
    "all equal": lambda rng, m, n: np.full((m, n), -0.3),
    "zeros of both signs": lambda rng, m, n: np.where(rng.random((m, n)) < 0.5, -0.0, 0.0),
    "mostly zero": lambda rng, m, n: rng.normal(size=(m, n)) * (rng.random((m, n)) < 0.2),
    "dead neurons": lambda rng, m, n: rng.normal(size=(m, n)) * np.outer(rng.random(m) < 0.7, rng.random(n) < 0.7),
    "tiny": lambda rng, m, n: rng.integers(-9, 10, size=(m, n)) * 5e-324,
    "huge": lambda rng, m, n: rng.uniform(-1, 1, size=(m, n)) * 1.7e308,
    "of all magnitudes": lambda rng, m, n: rng.normal(size=(m, n)) * 10.0 ** rng.integers(-300, 300, size=(m, n)),
    "next to each other": lambda rng, m, n: 1 + rng.integers(0, 4, size=(m, n)) * 2.0**-52,
}  # fmt: skip
MASKS = {
    "none": lambda rng, m, n: None,
    "half": lambda rng, m, n: rng.random((m, n)) < 0.5,
    "sparse": lambda rng, m, n: rng.random((m, n)) < 2 / (m + n),
    "empty": lambda rng, m, n: np.zeros((m, n), dtype=bool),
    "blocks": lambda rng, m, n: np.equal.outer(np.arange(m) % 3, np.arange(n) % 3),
    "neurons cut off": lambda rng, m, n: np.outer(rng.random(m) < 0.7, rng.random(n) < 0.7),
}
SHAPES = ((1, 1), (1, 9), (9, 1), (2, 2), None, None, None)  # None: random sides


def random_layers(count):
    """So many layers, of each kind with each mask in turn, and a number of weights to keep."""
    for number, (kind, masked) in zip(range(count), itertools.cycle(itertools.product(KINDS, MASKS))):
        rng = np.random.default_rng(number)
        m, n = SHAPES[number % len(SHAPES)] or rng.integers(1, 25, size=2)
        weights, mask = KINDS[kind](rng, m, n), MASKS[masked](rng, m, n)
        left = int(present(weights, mask).sum())
        tree = len(zimp.spanning_forest(weights, mask))
        thresholds = np.concatenate([rng.random(3), [0, 1, 0.5, -1, 1.5]])
        yield {
            "what": f"layer {number}: {kind}, mask {masked}, {m}x{n}", "weights": weights, "m": m, "n": n, "mask": mask,
            "keep": rng.integers(0, left, endpoint=True), "more": rng.integers(tree, left, endpoint=True),
            "thresholds": thresholds,
        }  # fmt: skip


def test_2000_random_layers_have_the_forests_curves_and_masks_of_the_package():
    layers = list(random_layers(2100))
    answers = ask(
        """return given.map(({ weights, m, n, mask, keep, more, thresholds }) => ({
            forest: play.forest(weights, m, n, mask),
            deaths: play.deaths(weights, m, n, mask),
            betti: play.bettiCurve(weights, m, n, [...thresholds, ...play.forest(weights, m, n, mask).values], mask),
            magnitude: play.magnitudeMask(weights, m, n, keep, mask),
            topological: play.topologicalMask(weights, m, n, more, mask),
            pieces: play.pieces(m, n, play.magnitudeMask(weights, m, n, keep, mask)),
        }));""",
        layers,
    )
    for layer, answer in zip(layers, answers, strict=True):
        weights, mask = layer["weights"], layer["mask"]
        forest, found, what = zimp.spanning_forest(weights, mask), answer["forest"], layer["what"]
        assert np.array_equal(found["rows"], forest.rows) and np.array_equal(found["cols"], forest.cols), what
        assert np.array_equal(found["values"], forest.values) and found["components"] == forest.n_components, what
        deaths = zimp.persistence_diagram(forest, essential=False)[:, 1]
        assert np.allclose(answer["deaths"], deaths, rtol=0, atol=1e-12), what
        thresholds = np.append(layer["thresholds"], forest.values)
        assert np.array_equal(answer["betti"], zimp.betti_curve(forest, thresholds)), what
        magnitude = zimp.magnitude_mask(weights, layer["keep"], mask)
        assert np.array_equal(answer["magnitude"], magnitude.ravel()), what
        topological = zimp.topological_mask(weights, layer["more"], mask)
        assert np.array_equal(answer["topological"], topological.ravel()), what
        pieces = answer["pieces"]
        assert pieces["count"] == zimp.count_components(magnitude), what
        assert np.array_equal(pieces["labels"], by_first_appearance(magnitude)), what
        assert np.array_equal(pieces["sizes"], np.bincount(pieces["labels"])), what


def by_first_appearance(mask):
    """Of each vertex, outputs first, the number of its component."""
    m, n = mask.shape
    numbers = -np.ones(m + n, dtype=int)
    for vertex in range(m + n):
        if numbers[vertex] < 0:
            number, reached = numbers.max() + 1, [vertex]
            while reached:
                at = reached.pop()
                numbers[at] = number
                edges = m + np.flatnonzero(mask[at]) if at < m else np.flatnonzero(mask[:, at - m])
                reached += [other for other in edges if numbers[other] < 0]
    return numbers


def test_thresholds_that_are_exactly_a_weight_count_it():
    layers = [np.round(np.random.default_rng(seed).normal(size=(6, 5)), 1) for seed in range(50)]
    thresholds = [zimp.spanning_forest(weights).relative_values for weights in layers]
    answers = ask(
        "return given.map(([weights, thresholds]) => play.bettiCurve(weights, 6, 5, thresholds));",
        list(zip(layers, thresholds)),
    )
    for weights, at, answer in zip(layers, thresholds, answers):
        assert np.array_equal(answer, zimp.betti_curve(weights, at))


def test_bounds_agree_for_small_large_and_thin_layers():
    rng = np.random.default_rng(0)
    sizes = [(1, 1), (1, 2), (300, 784), (20, 20000), (3, 10**6), (10**6, 10**6), *rng.integers(1, 2000, size=(300, 2))]
    cases = []
    for m, n in np.array(sizes).tolist():
        for kept in (0, 1, m * n, *rng.integers(0, m * n, size=3, endpoint=True).tolist()):
            cases.append([kept, m, n, float(rng.random()) or 0.5])
    roots = [side * side + more for side in (1, 2, 1000, 10**6, 67108864) for more in (-1, 0, 1)]
    cases += [[root, 10**8, 9 * 10**7, 0.5] for root in roots]
    answers = ask(
        """return given.map(([kept, m, n, p]) => [
            play.retentionBound(kept, m, n), play.criticalCompression(m, n),
            play.connectivityDensity(m, n, p), play.connectivityDensity(m, n),
        ]);""",
        cases,
    )
    for (kept, m, n, p), (retained, critical, density, median) in zip(cases, answers, strict=True):
        assert retained == zimp.retention_bound(kept, m, n), (kept, m, n)
        assert critical == pytest.approx(zimp.critical_compression(m, n), rel=1e-9)
        assert density == pytest.approx(zimp.connectivity_density(m, n, p), rel=1e-9)
        assert median == pytest.approx(zimp.connectivity_density(m, n), rel=1e-9)


REFUSED = {  # a call, and a part of the sentence
    "play.forest([1, NaN, 3, 4], 2, 2)": "weights[0, 1] is NaN; all weights must be finite. Did the training diverge?",
    "play.forest([1, 2, 3, -Infinity], 2, 2, [1, 1, 1, 0])": "weights[1, 1] is -Infinity; all weights must be finite",
    "play.forest([1, 2, 3], 2, 2)": "weights has 3 entries, but a 2x2 layer has 4; it needs one for each",
    "play.deaths([1, 2, 3, 4], 2, 2, [1])": "mask has 1 entries, but a 2x2 layer has 4",
    "play.forest([], 0, 2)": "m=0 is not positive; a layer has at least one output and one input",
    "play.pieces(2, 1.5)": "n=1.5 is not a whole number",
    "play.bettiCurve([1, 2], 1, 2, [NaN])": "a threshold is NaN; it must be a number such as 0.5",
    "play.magnitudeMask([1, 2], 1, 2, 0.5)": "keep=0.5 is not a whole number; it is a count of weights, not a share",
    "play.magnitudeMask([1, 2], 1, 2, 2, [1, 0])": "keep=2 must lie between 0 and the 1 remaining weights",
    "play.topologicalMask([3, 2, 1, 4], 2, 2, 2)": "keep=2 is below the 3 weights of a spanning tree of a 2x2 layer; "
                                                   "topological pruning cannot go further (density 0.7500).",
    "play.randomMask(1, 2, 3, play.random(0))": "keep=3 must lie between 0 and the 2 remaining weights",
    "play.retentionBound(5, 2, 2)": "kept=5 must lie between 0 and the 4 weights of a 2x2 layer",
    "play.retentionBound(0.1, 2, 2)": "kept=0.1 is not a whole number; it counts weights, and a density d leaves",
    "play.criticalCompression(-1, 2)": "m=-1 is not positive; a layer has at least one output and one input",
    "play.connectivityDensity(2, 2, 1)": "probability=1 must lie strictly between 0 and 1; the median is 0.5",
    "play.random(1.5)": "seed=1.5 is not a whole number",
    "play.random(-1)": "seed=-1 must lie between 0 and 4294967295",
}  # fmt: skip


def test_an_error_says_the_value_the_rule_and_the_likely_mistake():
    answers = ask(f"return [{', '.join(f'refusal(() => {call})' for call in REFUSED)}];")
    for (call, sentence), answer in zip(REFUSED.items(), answers, strict=True):
        assert answer is not None and answer.startswith(sentence), f"{call}: {answer}"


def xoshiro(seed):
    """The numbers below 2**32 of xoshiro128**, started by splitmix32, in whole numbers of Python."""
    cut, state = 2**32 - 1, []
    for _ in range(4):
        seed = (seed + 0x9E3779B9) & cut
        bits = ((seed ^ seed >> 16) * 0x85EBCA6B) & cut
        bits = ((bits ^ bits >> 13) * 0xC2B2AE35) & cut
        state.append(bits ^ bits >> 16)
    rotated = lambda bits, by: (bits << by | bits >> 32 - by) & cut  # noqa: E731
    while True:
        yield rotated(state[1] * 5 & cut, 7) * 9 & cut
        shifted = state[1] << 9 & cut
        state[2] ^= state[0]
        state[3] ^= state[1]
        state[1] ^= state[2]
        state[0] ^= state[3]
        state[2] ^= shifted
        state[3] = rotated(state[3], 11)


def test_random_numbers_are_those_of_the_generator_that_is_named():
    answer = ask("""return [0, 1, 2 ** 32 - 1].map((seed) => {
        const random = play.random(seed);
        return Float64Array.from({ length: 100 }, random.uniform);
    });""")
    for seed, uniforms in zip((0, 1, 2**32 - 1), answer, strict=True):
        bits = xoshiro(seed)
        assert uniforms.tolist() == [((next(bits) >> 5) * 2**26 + (next(bits) >> 6)) / 2**53 for _ in range(100)]


def test_random_numbers_have_the_distributions_that_they_are_said_to_have():
    drawn = ask("""const random = play.random(7);
        const many = (draw) => Float64Array.from({ length: 20000 }, draw);
        const mask = () => Array.from(play.randomMask(2, 3, 2, random, [1, 1, 0, 1, 1, 1]));
        return { normal: many(random.normal), below: many(() => random.below(6)),
                 last: many(() => random.shuffle([0, 1, 2, 3, 4])[4]), shuffled: random.shuffle([3, 1, 2]),
                 kept: Array.from({ length: 2000 }, mask) };""")
    assert abs(drawn["normal"].mean()) < 0.04 and abs(drawn["normal"].std() - 1) < 0.03
    assert abs((np.abs(drawn["normal"]) < 1).mean() - 0.6827) < 0.02
    for name, sides in (("below", 6), ("last", 5)):
        counts = np.bincount(drawn[name].astype(int), minlength=sides)
        assert len(counts) == sides and np.allclose(counts / 20000, 1 / sides, atol=0.02)
    assert sorted(drawn["shuffled"]) == [1, 2, 3]
    kept = np.array(drawn["kept"])
    assert (kept.sum(axis=1) == 2).all() and not kept[:, 2].any()
    assert np.allclose(np.delete(kept, 2, axis=1).mean(axis=0), 0.4, atol=0.06)


# A pasted matrix

PASTED = {
    "0.9 -0.2\n0.1 0.5": [[0.9, -0.2], [0.1, 0.5]],
    "  1   2\r\n\r\n 3\t  4 ".replace("\t", ""): [[1, 2], [3, 4]],
    "1, 2,\n3, 4,": [[1, 2], [3, 4]],
    "1.5,2\n-3e-2,+.5": [[1.5, 2], [-0.03, 0.5]],
    "0.5\t1.5\n2\t3": [[0.5, 1.5], [2, 3]],
    "0,5\t1,5\n-2\t3,25": [[0.5, 1.5], [-2, 3.25]],
    "0,5;1,5\n2;-,25": [[0.5, 1.5], [2, -0.25]],
    "0.5;1.5": [[0.5, 1.5]],
    "1;2;\n3;4;": [[1, 2], [3, 4]],
    "1 2; 3 4": [[1, 2], [3, 4]],
    "\u22121\u00a02": [[-1, 2]],
    "[1, 2, 3]": [[1, 2, 3]],
    "[[1, 2], [3, 4]]": [[1, 2], [3, 4]],
    "[1 2; 3 4]": [[1, 2], [3, 4]],
    "W = [1, 2; 3, 4];": [[1, 2], [3, 4]],
    "[1 2\n 3 4]": [[1, 2], [3, 4]],
    "tensor([[1., 2.],\n        [3., 4.]], device='cuda:0', requires_grad=True)": [[1, 2], [3, 4]],
    "Parameter containing:\ntensor([[1., 2.],\n        [3., 4.]])": [[1, 2], [3, 4]],
    repr(np.array([[0.5, -1e-7], [2, 3]], dtype=np.float32)): np.array([[0.5, -1e-7], [2, 3]]),
    str(np.arange(80).reshape(2, 40) / 7): np.round(np.arange(80).reshape(2, 40) / 7, 8),  # lines that numpy breaks
    "\n".join([" ".join(["1"] * 64)] * 64): np.ones((64, 64)),
}
NO_MATRIX = {
    "": "there is no number here; paste a line for each row",
    "[[]": "a bracket is missing its partner; was the matrix copied to its end?",
    "[]": "there is no number here",
    ";;\n,": "there is no number here",
    "in1 in2\n1 2": '"in1" in row 1 is not a number; leave out headings',
    "1 2\n3 four": '"four" in row 2 is not a number; only numbers can be weights',
    "1 2\n0x10 1_000": '"0x10" in row 2 is not a number',
    "<img src=x onerror=alert(1)>": '"<img" in row 1 is not a number',
    "a" * 1000: '"aaaaaaaaaaaaaaaaaaaaaaaaaaaaa\u2026" in row 1 is not a number',
    "1 2 3\n4 5": "row 2 has 2 numbers, but row 1 has 3; all rows must be equally long. Is a number missing",
    "[[1, 2], [3]]": "row 2 has 1 number, but row 1 has 2",
    "1 nan": "nan in row 1 is not finite; all weights must be. Did the training diverge?",
    "1\n-inf": "-inf in row 2 is not finite",
    "1 1e999": "1e999 in row 1 is not finite",
    "7": "one number is not a matrix; a layer has a row for each output and a column for each input",
    "[[7]]": "one number is not a matrix",
    "\n".join([" ".join(["1"] * 100)] * 100): "the matrix has 10,000 numbers; a view shows at most 4096, such as",
    "1 " * 10**6: "the text has 2,000,000 characters; a view shows at most 4096",
    "1,2;3,4": '"1,2;3,4" can be read in two ways: a comma may be a decimal comma, or stand between two numbers',
    "0,5 1,5": '"0,5 1,5" can be read in two ways',
    "0,05\n0,1": '"0,05" can be read in two ways',
    "1.234,5\t2": '"1.234,5" in row 1 is not a number',
    "1\t\t2": "a cell in row 1 is empty; write 0 for a weight of zero",
    "[[1, 2], ..., [3, 4]]": "the dots stand for numbers that were left out in print; print the whole matrix",
    "[[[1, 2], [3, 4]]]": "the brackets are not those of rows within a matrix; a layer has two dimensions, no more",
    "[[1, 2]] [[3, 4]]": "the brackets are not those of rows within a matrix",
    "weights: [[1, 2]]": '"weights:" is not part of a matrix; copy one matrix alone',
    "]1 2[": "a bracket is missing its partner",
}


def test_a_pasted_matrix_is_read_as_python_numpy_spreadsheets_and_people_write_it():
    answers = ask(
        "return given.map((text) => refusal(() => play.parseMatrix(text)) || play.parseMatrix(text));", list(PASTED)
    )
    for (text, matrix), answer in zip(PASTED.items(), answers, strict=True):
        assert isinstance(answer, dict), f"{text}: {answer}"
        assert np.array_equal(answer["weights"].reshape(answer["m"], answer["n"]), matrix), text


def test_what_is_no_matrix_is_refused_with_a_sentence():
    answers = ask("return given.map((text) => refusal(() => play.parseMatrix(text)));", list(NO_MATRIX))
    for (text, sentence), answer in zip(NO_MATRIX.items(), answers, strict=True):
        assert answer is not None and answer.startswith(sentence), f"{text[:50]}: {answer}"


def test_whatever_is_pasted_gives_a_matrix_or_a_sentence():
    rng = np.random.default_rng(0)
    parts = ["1", "0,5", "-2.5e3", " ", "\n", "\t", ",", ";", "[", "]", "[[", "]]", "], [", "nan", "x", "...", "(", ")"]
    texts = ["".join(rng.choice(parts, size=rng.integers(1, 15))) for _ in range(5000)]
    answers = ask(
        """return given.map((text) => {
            const sentence = refusal(() => play.parseMatrix(text));
            if (sentence !== null) return !/\\n/.test(sentence); // of the stack of an error that is not ours
            const { weights, m, n } = play.parseMatrix(text);
            return weights.length === m * n && weights.every(Number.isFinite);
        });""",
        texts,
    )
    assert [text for text, fine in zip(texts, answers, strict=True) if fine is not True] == []


# A network

SMALL = (64, 32, 10)
MARGIN = 1e-9  # after 100 steps; seen was 1e-15, but processors sum in different orders
RUN = """
    const { start, order, uniforms, data, settings } = given;
    const network = { ...start, weights: start.weights.map((weight) => weight.slice()) };
    let drawn = 0;
    const rows = play.iterativeMagnitudePruning({
        network, data, order: () => order, random: { uniform: () => uniforms[drawn++] }, ...settings,
    });
    return [...rows];
"""


@pytest.fixture(scope="module")
def data(digits):
    return {part: {"x": getattr(digits, part).x.numpy().ravel(), "y": getattr(digits, part).y.numpy()}
            for part in ("train", "validation", "test")}  # fmt: skip


def in_64_bits(digits):
    return zimp.Data("digits", *(zimp.Split(split.x.double(), split.y) for split in digits[1:]))


def start_of(seed):
    """A network of torch in 64 bits as the script has it."""
    torch.manual_seed(seed)
    layers = [layer for layer in zimp.small_mlp().double() if hasattr(layer, "weight")]
    # Biases that are not all alike say more than those of zeros.
    weights, biases = ([getattr(layer, name).detach().numpy().ravel() for layer in layers]
                       for name in ("weight", "bias"))  # fmt: skip
    return {"sizes": SMALL, "weights": weights, "biases": biases}


def run_both(digits, data, method, *, rate=0.2, rewind=0, levels=2, steps=100, seed=0):
    """The rows of the package and of the script, from the same start, batches and random numbers, both in 64 bits."""
    trained = []

    def build():
        return zimp.small_mlp().double()

    sizes = topological_sizes(build(), levels, rate)
    record = zimp.iterative_magnitude_pruning(
        build, in_64_bits(digits), levels=levels, steps=steps, rewind=rewind, seeds=seed, progress=False,
        criterion=lambda model, masks, level, generator: RULES[method](model, masks, sizes[level], generator),
        on_level=lambda seed, level, model, masks: trained.append(
            [(weight.detach().numpy().copy(), masks[name].numpy()) for name, weight in zimp.prunable(model).items()]
        ),
    )  # fmt: skip
    generator = torch.Generator().manual_seed(seed)
    drawn = [torch.rand(m * n, dtype=torch.float64, generator=generator).numpy()
             for _ in range(levels) for m, n in ((32, 64), (10, 32))]  # fmt: skip
    order = [batch.numpy() for batch in itertools.islice(batches(len(digits.train.y), 60, seed), steps)]
    rows = ask(RUN, {
        "start": start_of(seed), "order": order, "uniforms": np.concatenate(drawn), "data": data,
        "settings": {"rate": rate, "method": method, "rewind": rewind, "levels": levels, "steps": steps},
    })  # fmt: skip
    return record.rows, trained, rows


def assert_same_run(digits, data, method, **settings):
    """The same masks, and so the same trees; weights but for rounding, which differs between processors."""
    expected, trained, rows = run_both(digits, data, method, **settings)
    assert len(rows) == len(expected) == len(trained)
    for row, found, layers in zip(expected, rows, trained):
        assert (found["level"], found["kept"], found["density"]) == (row["level"], row["kept"], row["density"])
        assert found["loss"] == pytest.approx(row["train_loss"], abs=MARGIN)
        assert found["accuracy"] == pytest.approx(row["test_accuracy"], abs=1.5 / 360)  # one image may be on the verge
        for facts, of_layer, (weight, mask) in zip(row["layers"].values(), found["layers"], layers, strict=True):
            assert np.allclose(of_layer["weights"], weight.ravel(), rtol=0, atol=MARGIN)
            assert not nearly_equal(weight), "take another seed: rounding may exchange two weights"
            assert np.array_equal(of_layer["mask"], mask.ravel())
            assert (of_layer["kept"], of_layer["components"]) == (facts["kept"], facts["beta0"])
            assert of_layer["treeKept"] == pytest.approx(facts["tree_kept"], abs=1e-12)
            assert of_layer["denseTreeKept"] == pytest.approx(facts["dense_tree_kept"], abs=1e-12)


def nearly_equal(weight):
    """Whether rounding may exchange two weights of a layer."""
    magnitudes = np.sort(np.abs(weight[weight != 0]))
    return np.diff(magnitudes).min() < 1e-11


@pytest.mark.parametrize("method", RULES)
def test_two_levels_by_each_method_are_those_of_the_package(method, digits, data):
    assert_same_run(digits, data, method)


@pytest.mark.parametrize("rewind", [0, 30, None])
def test_rewinding_is_that_of_the_package(rewind, digits, data):
    assert_same_run(digits, data, "magnitude", rate=0.5, rewind=rewind, seed=1)


def test_a_run_ends_once_only_the_trees_remain(digits, data):
    _, _, rows = run_both(digits, data, "topological", rate=0.7, levels=3, steps=2)
    assert len(rows) == 4
    rows = ask(RUN.replace("return [...rows];", "const all = []; for (let row = rows.next(); ; row = rows.next()) "
                           "{ all.push(row.value); if (row.done) return all; }"),
               {"start": start_of(0), "order": [np.arange(9)], "uniforms": [], "data": data,
                "settings": {"rate": 0.7, "method": "budget", "rewind": 0, "levels": 9, "steps": 1}})  # fmt: skip
    *rows, last = rows
    sizes = topological_sizes(zimp.small_mlp(), 9, 0.7)
    assert last == len(rows) - 1 == next(level for level in range(9) if sizes[level] == sizes[level + 1])
    assert [[layer["kept"] for layer in row["layers"]] for row in rows] == [
        list(size.values()) for size in sizes[: last + 1]
    ]


def test_a_deep_network_with_masks_trains_as_in_torch(digits, data):
    torch.manual_seed(0)
    sizes = (64, 24, 16, 10)
    layers = [torch.nn.Linear(n, m, dtype=torch.float64) for n, m in itertools.pairwise(sizes)]
    model = torch.nn.Sequential(torch.nn.Flatten(), layers[0], torch.nn.ReLU(), layers[1], torch.nn.ReLU(), layers[2])
    masks = zimp.prune(model, rate=0.6, criterion="random")
    order = [batch.numpy() for batch in itertools.islice(batches(len(digits.train.y), 60, 0), 100)]
    start = {"sizes": sizes, "weights": [layer.weight.detach().numpy().ravel().copy() for layer in layers],
             "biases": [layer.bias.detach().numpy().copy() for layer in layers]}  # fmt: skip
    given = {"start": start, "order": order, "data": data, "masks": [mask.numpy().ravel() for mask in masks.values()]}
    for weight, mask in zip(start["weights"], given["masks"]):
        weight[~mask] = 0
    answer = ask(
        """const { start, order, data, masks } = given;
        const state = play.optimizer(start);
        const losses = order.map((batch) => play.step(start, state, data.train.x, data.train.y, batch, masks));
        return { ...start, loss: losses.pop(), accuracy: play.accuracy(start, data.test.x, data.test.y) };""",
        given,
    )
    split = in_64_bits(digits)
    loss, _ = zimp.train(model, masks, split.train, steps=100, seed=0)
    assert answer["loss"] == pytest.approx(loss, abs=MARGIN)
    assert answer["accuracy"] == pytest.approx(zimp.accuracy(model, split.test), abs=1.5 / 360)
    for layer, weight, bias in zip(layers, answer["weights"], answer["biases"], strict=True):
        assert np.allclose(weight, layer.weight.detach().numpy().ravel(), rtol=0, atol=MARGIN)
        assert np.allclose(bias, layer.bias.detach().numpy(), rtol=0, atol=MARGIN)


def test_a_seed_fixes_a_run_and_another_seed_gives_another(data):
    settings = {"data": data, "sizes": SMALL, "rate": 0.3, "method": "random", "rewind": 2, "levels": 2, "steps": 5}
    runs = ask("return [0, 0, 1].map((seed) => [...play.jobs.run({ ...given, seed })]);", settings)
    first, again, other = [[row["layers"][0] for row in rows] for rows in runs]
    for one, same, different in zip(first, again, other, strict=True):
        assert np.array_equal(one["weights"], same["weights"]) and np.array_equal(one["mask"], same["mask"])
        assert not np.array_equal(one["weights"], different["weights"])
    assert [row["kept"] for row in runs[0]] == [2368, 1658, 1161]


def test_a_start_and_its_batches_have_the_distributions_of_the_package():
    answer = ask("""const all = play.batches(150, play.random(3));
        const order = Array.from({ length: 6 }, () => all.next().value);
        return { ...play.network([300, 200, 10], play.random(0)), order };""")
    for weight, bias, (n, m) in zip(answer["weights"], answer["biases"], ((300, 200), (200, 10)), strict=True):
        assert len(weight) == m * n and bias.tolist() == [0] * m
        assert weight.std() == pytest.approx((2 / (m + n)) ** 0.5, rel=0.05)
    epochs = np.concatenate(answer["order"]).reshape(2, 150)
    assert [len(batch) for batch in answer["order"]] == [60, 60, 30] * 2
    assert np.array_equal(np.sort(epochs), [range(150)] * 2) and not np.array_equal(*epochs)


@pytest.mark.slow
def test_runs_in_the_browser_lie_in_the_band_of_the_stored_sweep(data):
    """Their starts and batches are others, so only the means of ten seeds can be compared. That is IMP; the masks of
    each other method are compared with the package's above."""
    method = "magnitude"
    sweep = SWEEPS["small_mlp"]
    stored = Results.load(BOOK / "results" / "small_mlp.json")
    assert stored.fingerprint == sweep.fingerprint and len(sweep.seeds) == 10
    settings = {"data": data, "sizes": SMALL, "rate": sweep.rate, "method": method, "rewind": sweep.rewind,
                "levels": sweep.levels, "steps": sweep.steps}  # fmt: skip
    runs = ask(
        """return Array.from({ length: 10 }, (_, seed) => [...play.jobs.run({ ...given, seed })].map((row) => ({
            kept: row.kept, accuracy: row.accuracy, components: row.layers.map((layer) => layer.components),
        })));""",
        settings,
    )
    measured = {"test_accuracy": [[row["accuracy"] for row in rows] for rows in runs]}
    for k, layer in enumerate(("fc1.weight", "output.weight")):
        measured[f"{layer}/beta0"] = [[row["components"][k] for row in rows] for rows in runs]
    assert all([row["kept"] for row in rows] == stored.curve(method, "kept")[0].tolist() for rows in runs)
    for quantity, here in measured.items():
        here, there = np.array(here), stored.curve(method, quantity)
        means = here.mean(axis=0)
        error = np.sqrt((here.var(axis=0, ddof=1) + there.var(axis=0, ddof=1)) / 10)
        assert (abs(means - there.mean(axis=0)) <= 3 * error).all(), quantity
        if quantity == "test_accuracy":
            assert (there.min(axis=0) <= means).all() and (means <= there.max(axis=0)).all()


BAD_RUNS = {
    "rate: 0": "rate=0 must lie strictly between 0 and 1; 0.2 prunes a fifth of the remaining weights",
    "rate: NaN": "rate=NaN must lie strictly between 0 and 1",
    'method: "constructor"': "method=constructor is unknown; it must be one of magnitude, global, topological, budget",
    "sizes: [64, 0, 10]": "sizes[1]=0 is not a whole number of at least 1",
    "levels: -1": "levels=-1 is not a whole number of at least 0",
    "steps: 0.5": "steps=0.5 is not a whole number of at least 1",
    "rewind: 5": "rewind=5 must be below steps=5; otherwise no training follows the rewinding",
    "rewind: undefined": "rewind=undefined is not a whole number of at least 0",
    "seed: -1": "seed=-3 must lie between 0 and",
    "data: { train: { x: new Float64Array(640).fill(NaN), y: new Uint8Array(10) } }": "the loss is NaN at step 0",
}


def test_a_run_that_cannot_be_is_refused_before_any_training(data):
    answers = ask(f"""
        const settings = {{ data: given, sizes: [64, 4, 10], rate: 0.2, method: "magnitude", rewind: 0, seed: 0,
                            levels: 1, steps: 5 }};
        return [{", ".join(f"refusal(() => play.jobs.run({{ ...settings, {wrong} }}).next())" for wrong in BAD_RUNS)}];
    """, data)  # fmt: skip
    for (wrong, sentence), answer in zip(BAD_RUNS.items(), answers, strict=True):
        assert answer is not None and answer.startswith(sentence), f"{wrong}: {answer}"


def test_parts_need_nothing_but_their_text_as_in_a_worker(data):
    settings = {"data": data, "sizes": SMALL, "rate": 0.3, "method": "topological", "rewind": 0, "seed": 1, "levels": 1,
                "steps": 2}  # fmt: skip
    there, here = ask(
        """const text = Object.values(play.parts).map((part) => `(${part})(zimpPlay);`).join("\\n");
        const worker = `const zimpPlay = { parts: {}, jobs: {} };\\n${text}\\nzimpPlay;`;
        return [require("vm").runInNewContext(worker), play].map((play) => [...play.jobs.run(given)].pop().loss);""",
        settings,
    )
    assert there == here > 0


# A file


def saved(path, tensors):
    save_file({name: torch.as_tensor(tensor).contiguous() for name, tensor in tensors.items()}, path)
    return str(path)


def of_every_bit_pattern(dtype):
    """All finite numbers of 16 bits, subnormals and both zeros among them."""
    numbers = torch.arange(2**16, dtype=torch.int32).to(torch.int16).view(dtype)
    return numbers[numbers.isfinite()].reshape(-1, 16)


def test_headers_and_weights_are_those_that_the_library_reads(tmp_path):
    generator = torch.Generator().manual_seed(0)
    single = torch.randn(7, 5, generator=generator) * 10.0 ** torch.arange(-43, 37, 16)
    tensors = {
        "layer.10.weight": of_every_bit_pattern(torch.float16),
        "layer.9.weight": of_every_bit_pattern(torch.bfloat16),
        "layer.2.conv.weight": single.reshape(7, 5, 1, 1),
        "layer.2.weight": single.double() / 3,
        "layer.2": torch.ones(3), "10": torch.ones(2, 1), "9": torch.ones(2, 1), "": torch.ones(1),
        "<img src=x onerror=alert(1)>": torch.eye(2),
        "__proto__": torch.zeros(2, 3), "constructor": torch.zeros(0, 3), "\u00e9\U0001f600": torch.tensor(2.0),
        "whole": torch.arange(3), "flags": torch.ones(3, dtype=torch.bool), "bytes": torch.ones(3, dtype=torch.uint8),
        "eighth": torch.ones(4).to(torch.float8_e4m3fn),
    }  # fmt: skip
    path = saved(tmp_path / "all.safetensors", tensors)
    answer = ask(
        """const file = open(given);
        const { tensors } = await play.readHeader(file);
        const read = (tensor) => /^b?float(16|32|64)$/.test(tensor.dtype)
          ? play.readTensor(file, tensor) : broken(play.readTensor(file, tensor));
        return { tensors, weights: await Promise.all(tensors.map(read)) };""",
        path,
    )
    entries = open_network(path).entries
    assert [tensor["name"] for tensor in answer["tensors"]] == list(entries)
    for tensor, weights in zip(answer["tensors"], answer["weights"], strict=True):
        name, entry = tensor["name"], entries[tensor["name"]]
        assert (tuple(tensor["shape"]), tensor["dtype"]) == (entry.shape, entry.dtype)
        if entry.dtype in ("float16", "bfloat16", "float32", "float64"):
            assert weights.dtype == ("float64" if entry.dtype == "float64" else "float32")
            expected = tensors[name].double().numpy().ravel()
            assert np.array_equal(weights, expected) and np.array_equal(np.signbit(weights), np.signbit(expected))
        else:
            assert weights == (
                f"{name} holds numbers of {entry.dtype}; the weights of a layer are floats of 16 to 64 bits"
            )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_weights_that_are_not_finite_are_refused_as_by_the_package(dtype, tmp_path):
    for value in (np.nan, np.inf, -np.inf):
        weights = torch.ones(40, 30, dtype=dtype)
        weights[31, 7] = value
        path = saved(tmp_path / "weights.safetensors", {"fc.weight": weights})
        answers = ask(
            """const file = open(given);
            const [tensor] = (await play.readHeader(file)).tensors;
            return [await broken(play.readTensor(file, tensor)), await broken(layerOf(file, tensor))];""",
            path,
        )
        with pytest.raises(ValueError) as error:
            zimp.spanning_forest(weights)
        spelt = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
        assert answers == [str(error.value).replace(f"is {value};", f"is {spelt};")] * 2


def with_header(header, zeros=16, length=None):
    """The bytes of a file: the length of the header, the header, and weights of zero."""
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(header) if length is None else length).to_bytes(8, "little") + header + bytes(zeros)


def entry(shape=(2, 2), dtype="F32", places=(0, 16)):
    return {"dtype": dtype, "shape": shape, "data_offsets": places}


DAMAGED = "the file is damaged, or no safetensors file"
BROKEN_FILES = {
    "empty": (b"", "the file is no safetensors file; in Python, save_file("),
    "short": (b"1234567", "the file is no safetensors file"),
    "text": (b"hello, this is a readme\n", "the file is no safetensors file; in Python, save_file("),
    "zip": (b"PK\x03\x04" + b"\0" * 99, "the file is a zip, as torch.save writes it; choose a .safetensors file: in"),
    "pickle": (b"\x80\x02\x8a\nl\xfc\x9cF", "the file is a pickle, as old versions of torch.save wrote it; choose"),
    "index": (b'{"metadata": {}, "weight_map": {}}', "the file is JSON, such as the index of shards; choose one"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\n", "the file is a pointer of Git LFS, without the"),
    "longer than the file": (with_header({}, 0, length=10**12), "the header is said to have 1000000000000 bytes, and "
                             "the whole file has 10; was it copied completely?"),
    "longer than any": (with_header({}, length=2**63), "the header is said to have 9223372036854776000 bytes"),
    "shorter than it is": (with_header({"a": entry()}, length=20), f"the header is not JSON; {DAMAGED}"),
    "no JSON": (with_header(b"{]"), f"the header is not JSON; {DAMAGED}"),
    "no UTF-8": (with_header(b'{"\xff": 1}'), f"the header is not JSON; {DAMAGED}"),
    "no entry": (with_header({"a": None}), f"the header does not say what a is; {DAMAGED}"),
    "no shape": (with_header({"<b>": {"dtype": "F32", "data_offsets": [0, 0]}}), "the header does not say what <b> is"),
    "no places": (with_header({"a": entry(places=None)}), "the header does not say what a is"),
    "negative": (with_header({"a": entry(shape=(-2, -2))}), "the header does not say what a is"),
    "halves": (with_header({"a": entry(shape=(0.5, 8))}), "the header does not say what a is"),
    "no dtype": (with_header({"a": entry(dtype=32)}), "the header does not say what a is"),
    "other size": (with_header({"a": entry(dtype="F16")}), "a has 16 bytes, which does not fit F16 of shape 2x2"),
    "huge shape": (with_header({"a": entry(shape=(2**52,) * 3)}), "a has 16 bytes, which does not fit F32 of shape"),
    "backwards": (with_header({"a": entry(places=(16, 0))}), "a has -16 bytes, which does not fit F32"),
    "overlap": (with_header({"a": entry(), "b": entry(places=(8, 24))}, 24), "the bytes of b do not begin where"),
    "gap": (with_header({"a": entry(), "b": entry(places=(20, 36))}, 36), "the bytes of b do not begin where"),
    "truncated": (with_header({"a": entry(), "b": entry(places=(16, 32))}, 20), "the tensors need 171 bytes, but "
                  "the file has 159; was it copied completely?"),
    "rest": (with_header({"a": entry()}, 20), f"4 bytes at the end belong to no tensor; {DAMAGED}"),
}  # fmt: skip


def test_a_broken_file_or_one_of_another_kind_is_refused_with_a_sentence(tmp_path):
    answers = ask("return Promise.all(given.map((bytes) => broken(play.readHeader(new Blob([bytes])))));",
                  [np.frombuffer(content, np.uint8) for content, _ in BROKEN_FILES.values()])  # fmt: skip
    for (name, (content, sentence)), answer in zip(BROKEN_FILES.items(), answers, strict=True):
        assert answer is not None and answer.startswith(sentence), f"{name}: {answer}"
        path = tmp_path / "broken.safetensors"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=re.escape(str(path))):
            zimp.report(path)


def test_a_level_of_a_run_whose_early_weights_are_no_layers_is_left_to_the_report():
    header = {"__metadata__": {"zimp": "{}"}, "0/weights/fc.weight": entry()}
    answer = ask("return broken(play.readHeader(new Blob([given])));", np.frombuffer(with_header(header), np.uint8))
    assert answer == "the file is a level of a run of zimp; python -m zimp report reads it, with its masks"


def test_files_of_torch_get_a_sentence_that_says_what_to_do(tmp_path):
    for zipped in (True, False):
        path = tmp_path / f"{zipped}.pt"
        torch.save(torch.nn.Linear(2, 2).state_dict(), path, _use_new_zipfile_serialization=zipped)
        answer = ask("return broken(play.readHeader(open(given)));", str(path))
        assert "choose a .safetensors file: in Python, save_file(model.state_dict()" in answer


def test_a_file_cut_anywhere_is_refused_and_damage_gives_tensors_or_a_sentence(tmp_path):
    rng = np.random.default_rng(0)
    whole = with_header({"a": entry(), "b.weight": entry(shape=(3,), dtype="F16", places=(16, 22))}, 22)
    cut = [whole[:size] for size in range(len(whole))]
    damaged = []
    for _ in range(1000):
        content = bytearray(whole)
        for at in rng.integers(8, len(whole) - 22, size=rng.integers(1, 4)):
            content[at] = rng.choice(list(b'0123456789"{}[]:,abFI\x00\xff'))
        damaged.append(bytes(content))
    answers = ask(
        """return Promise.all(given.map(async (bytes) => {
            const file = new Blob([bytes]);
            return (await broken(play.readHeader(file))) ?? (await play.readHeader(file)).tensors;
        }));""",
        [np.frombuffer(content, np.uint8) for content in [whole, *cut, *damaged]],
    )
    assert not isinstance(answers[0], str) and all(isinstance(answer, str) for answer in answers[1 : 1 + len(cut)])
    path = tmp_path / "damaged.safetensors"
    for content, answer in zip(damaged, answers[1 + len(cut) :], strict=True):
        path.write_bytes(content)
        if isinstance(answer, str):
            assert "\n    at " not in answer, answer  # the stack of an error that is not ours
        else:
            entries = open_network(path).entries
            assert {tensor["name"]: (tuple(tensor["shape"]), tensor["dtype"]) for tensor in answer} == {
                name: (entry.shape, entry.dtype) for name, entry in entries.items()
            }


IN_BLOCKS = """
    // As a worker is made: from the text of the part, here with blocks of fewer weights.
    const text = String(play.parts.checkpoint);
    if (!text.includes("2 ** 22")) throw new Error("where is the size of a block?");
    (0, eval)(`(${text.replace("2 ** 22", given.block)})`)(play);
    const file = open(given.path);
    const { tensors } = await play.readHeader(file);
    return Promise.all(tensors.map((tensor) => layerOf(file, tensor)));
"""


@pytest.mark.parametrize("block", [1, 30, 200, 10**6])
def test_a_layer_read_in_blocks_has_the_tree_the_safe_density_and_the_pieces_of_the_package(block, tmp_path):
    """Float32, since files hold such; small layers of all kinds, and one large enough for blocks as they are."""
    tensors = {}
    for number, kind in enumerate(KINDS):
        for again in range(4):
            rng = np.random.default_rng([number, again])
            m, n = ((1, 9), (9, 1), (40, 6), rng.integers(1, 30, size=2))[again]
            with np.errstate(over="ignore"):
                weights = np.clip(KINDS[kind](rng, m, n), -3e38, 3e38).astype(np.float32)
            tensors[f"{number}.{again}"] = weights
    rng = np.random.default_rng(0)
    tensors["convolution"] = rng.normal(size=(16, 4, 3, 3)).astype(np.float32)
    tensors["descending"] = np.sort(rng.random(600))[::-1].reshape(30, 20).astype(np.float32)
    tensors["ascending"] = np.sort(rng.random(600)).reshape(30, 20).astype(np.float32)
    path = saved(
        tmp_path / "layers.safetensors", {name: torch.tensor(weights.copy()) for name, weights in tensors.items()}
    )
    names = list(open_network(path).entries)
    for name, found in zip(names, ask(IN_BLOCKS, {"path": path, "block": str(block)}), strict=True):
        weights = tensors[name].reshape(len(tensors[name]), -1)
        forest = zimp.spanning_forest(weights)
        assert (found["m"], found["n"]) == weights.shape
        assert np.array_equal(found["rows"], forest.rows) and np.array_equal(found["cols"], forest.cols), name
        assert np.array_equal(found["values"], forest.values)
        ranks = np.empty(weights.size)
        ranks[np.argsort(-np.abs(weights), axis=None, kind="stable")] = np.arange(1, weights.size + 1)
        assert np.array_equal(found["ranks"], ranks[forest.rows * weights.shape[1] + forest.cols])
        assert found["safeDensity"] == pytest.approx(zimp.safe_density(weights), abs=1e-12)
        assert found["kept"] == np.count_nonzero(weights)
        assert found["components"] == zimp.count_components(weights != 0)
        assert found["shares"] == sorted(found["shares"]) and found["shares"][-1] == 1


def test_what_is_no_layer_is_refused(tmp_path):
    path = saved(
        tmp_path / "no_layers.safetensors", {"bias": torch.ones(3), "none": torch.ones(0, 3), "one": torch.tensor(1.0)}
    )
    answers = ask("""const file = open(given);
        const { tensors } = await play.readHeader(file);
        return Promise.all(tensors.map((tensor) => broken(layerOf(file, tensor))));""", path)  # fmt: skip
    shapes = {"bias": "(3)", "none": "(0, 3)", "one": "()"}
    assert answers == [f"{name} has shape {shape}; a layer is a non-empty matrix (outputs, inputs)"
                       for name, shape in shapes.items()]  # fmt: skip


def test_of_a_file_of_10_gb_only_the_header_and_the_layer_are_read(tmp_path):
    """The file is sparse: it takes no more space on the disk than what is written to it."""
    path, last = tmp_path / "large.safetensors", np.random.default_rng(0).normal(size=(30, 20)).astype(np.float32)
    size = 10 * 2**30
    first = (size // 2 - last.nbytes) // 2
    tensors = {"embed.weight": entry((first, 2), "BF16", (0, 4 * first)),
               "output.weight": entry(last.shape, "F32", (4 * first, 4 * first + last.nbytes))}  # fmt: skip
    header = with_header(tensors, 0)
    path.write_bytes(header)
    os.truncate(path, len(header) + 4 * first)
    with path.open("ab") as file:
        file.write(last.tobytes())
    assert path.stat().st_size > 0.99 * size
    answer = ask(
        """const whole = open(given);
        let read = 0;
        const slice = (begin, end) => { read += end - begin; return whole.slice(begin, end); };
        const file = { size: whole.size, slice };
        const { tensors } = await play.readHeader(file);
        return { tensors, header: read, layer: await layerOf(file, tensors[1]), read };""",
        str(path),
    )
    assert [tensor["name"] for tensor in answer["tensors"]] == list(tensors)
    assert answer["header"] <= len(header) + 16 and answer["read"] <= len(header) + 16 + 2 * last.nbytes
    assert np.array_equal(answer["layer"]["values"], zimp.spanning_forest(last).values)
