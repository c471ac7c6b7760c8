"""How far a given network can be pruned: the trees, bounds and persistences of all its layers in one table.

``python -m zimp report model.safetensors`` prints it; :func:`zimp.report` returns it.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from ..bounds import connectivity_density, retention_bound
from ..checks import NotFinite, check_choice, number, whole
from ..topology import SpanningForest, forest_and_safe_density, neural_persistence
from .checkpoints import open_network
from .layouts import Layer, find_layers
from .ranking import BINS, Ranking, profile
from .setting import page, printable, text_table, wrapped

__all__ = ["Report", "report"]

COLUMNS = {  # of the table: what of a row, its heading, and what it says
    "name": ("layer", "the tensor, and in brackets the part of it that is the layer"),
    "kind": ("kind", "conv is a convolution, convT a transposed one, recur recurrent, embed an embedding"),
    "size": ("size", "outputs x inputs of the layer's graph; of the network its weights"),
    "critical_compression": ("crit", "critical compression: weights / edges of a spanning tree; beyond it H0 changes"),
    "safe_density": ("safe", "safe density: share of weights down to which magnitude pruning leaves H0 as it is"),
    "global_density": ("glob", "density of the network down to which pruning it as a whole leaves this H0 as it is"),
    "iid_density": ("iid", "safe density of independent weights, in the median; if safe is larger, H0 changes earlier"),
    "retention": ("law", "square-root law: share of the tree that magnitude pruning to {density:g} keeps at least"),
    "rieck": ("rieck", "neural persistence of Rieck et al., in units of the network's largest |w|, {largest:.4g}"),
    "balwani": ("balw", "neural persistence of Balwani & Krzyston, in units of the layer's largest |w|"),
    "total_persistence": ("total", "total persistence, the sum of 1 - |w| / max |w| over the tree"),
    "zeta_ratio": ("/2z(3)", "of a square layer: the same over 2 zeta(3), near 1 where |w| is independent and uniform"),
}  # fmt: skip
SORTED = {heading: key for key, (heading, _) in list(COLUMNS.items())[3:]}
NO_NUMBERS = ("object", "packed")
ZETA3 = 1.2020569031595942  # Apery's constant: scipy.special, which has zeta, takes long to import
SHARES = ("safe_density", "global_density", "iid_density")  # columns that have bars on a page
FEW = 5  # names in a sentence of the verdict
MOST = 0.9  # of the numbers: where fewer are measured, the verdict says what the others are
NUMBERS = re.compile(r"(?<![^.])\d+(?=[.[]|$)|(?<=_l)\d+(?=\[|$)|(?<=\[)[^]]*(?=\]$)")  # where names differ
WAYS = (("layerwise", "each layer", "safe"), ("globally", "the network as a whole", "glob"))
BATCH = 1 << 24  # weights that are read from a file before it is opened anew
DIGITS = {"critical_compression": 4, "retention": 2, "rieck": 2, "balwani": 2}
SHORT = {"convolution": "conv", "transposed convolution": "convT", "recurrent": "recur", "embedding": "embed"}


@dataclass(frozen=True, repr=False)
class Report:
    """What :func:`zimp.report` found.

    Attributes
    ----------
    source : str
        The file, or the class of the network.
    density : float
        At which the square-root law is taken, and the breaks are counted.
    rows : list of dict
        One for each layer: ``name`` and ``part`` (where a tensor holds several layers); ``tensors``, all names that the
        row stands for, with those of its mask and of tied weights; ``kind``; ``shape`` as stored; ``outputs``,
        ``inputs`` and ``groups`` of its graph; ``weights``, how many; ``density``, the share of them that its mask
        leaves; ``tree``, the edges of its spanning forest where nothing is pruned; ``components`` of its graph, as many
        as groups where it is in one piece; ``critical_compression``, ``safe_density``, ``iid_density``, ``retention``,
        ``rieck``, ``balwani``, ``total_persistence`` and ``zeta_ratio``, the columns of the table; ``global_density``,
        the density of the whole network down to which global magnitude pruning leaves the layer's H0 as it is;
        ``layerwise`` and ``globally``, what is left of the layer where each layer, or the network as a whole, is pruned
        by magnitude to ``density``: ``components``, and ``cut_off``, neurons without a weight; ``notes``. What has no
        value is None.
    totals : dict
        Of all rows but embeddings: ``layers``; ``weights``, ``tree`` and their quotient ``critical_compression``;
        ``safe_density`` of the whole, if every layer is pruned as far as is safe; ``uniform_safe_density``, if all are
        pruned to the same density, and ``first_to_break``, the layer that sets it; ``global_density`` and
        ``first_to_break_globally``, if the network is pruned as a whole; all these without ``all_tree``, the layers
        none of whose weights can go; ``retention``; ``rieck``, the mean over layers; ``largest``, the largest
        ``|w|``; ``guessed``, the layers whose groups are a guess; ``not_finite``, the layers that are left out because
        a weight of theirs is NaN or infinite; of all rows and tensors ``measured``, how many of the
        ``numbers`` stand in a row.
    left_out : list of dict
        The other tensors, and the layers that are not finite: ``name``, ``shape``, ``dtype``, ``reason``.
    """

    source: str
    density: float
    rows: list[dict]
    totals: dict
    left_out: list[dict]

    def table(self, width=None, *, legend=True, sort=None) -> str:
        """The report as text, each line of at most ``width`` characters where it can be; names are whole without one.

        A name is cut where it is like the others: at its beginning and in its middle, never at a number. ``legend``
        says what the columns are; ``sort`` is the heading of the column by which the layers are sorted, the largest
        first.
        """
        rows = self.rows
        if sort is not None:
            check_choice("sort", sort, SORTED)
            rows = sorted(rows, key=lambda row: _or_least(row[SORTED[sort]]), reverse=True)
        headings = [heading for heading, _ in COLUMNS.values()]
        lines = text_table([headings, *map(_cells, rows), _network_cells(self.totals)], width)
        columns = [f"{heading:8}{what}" for heading, what in _columns(self)]
        for indent, texts in ((8, columns if legend else []), (2, _verdict(self) + _remarks(self))):
            lines += [""] * bool(texts) + wrapped(texts, indent, width)
        return "\n".join([printable(self.source), "", *lines])

    def brief(self, width=None) -> str:
        """The verdict alone, in a few sentences."""
        return "\n".join([printable(self.source), *wrapped(_verdict(self), 2, width)])

    def __repr__(self) -> str:
        return self.table()

    def _repr_html_(self) -> str:
        """What a notebook shows: the verdict, and the table with bars for the densities."""
        rows = [*self.rows, self.totals]
        shares = [[row.get(key) if key in SHARES else None for key in COLUMNS] for row in rows]
        cells = [*map(_cells, self.rows), _network_cells(self.totals)]
        return page(printable(self.source), _verdict(self), _remarks(self), _columns(self), cells, shares)


def report(network, *, density=0.1, groups=None, jobs=1, progress=False) -> Report:
    """Measure the H0 of all layers of a network, and how far each can be pruned.

    Tensors that hold several layers are split, convolutions are seen in the ``"matrix"`` view, and what is no layer is
    left out with a reason, as is a layer of which a weight is NaN or infinite. Embeddings are measured, but not counted
    in the totals, since pruning leaves them alone. One tensor is read at a time, so a model may be larger than memory.

    Parameters
    ----------
    network : torch.nn.Module, path, or dict of str to torch.Tensor
        A network, its state dict, or a file of one, which is read by what is in it and not by its name: safetensors, a
        PyTorch checkpoint, an ONNX model, a Keras model, or the ``.index.json`` of a model's shards; or the folder of
        such a file. No code of a file is run: objects that lie beside the weights are left out by their class. A file
        of safetensors or PyTorch's does not tell which convolutions are transposed. ONNX needs the library ``onnx``,
        Keras ``h5py``; both are shown as torch stores layers, with the outputs first.
    density : float
        At which the square-root law is taken, see :func:`zimp.retention_bound`, and to which layers and network are
        pruned to count what breaks; above 0, at most 1.
    groups : dict of str to int, optional
        The groups of convolutions, which a file does not tell, by patterns of their names: ``{"*.dw.weight": 32}``. One
        with a single input channel is taken as depthwise if the layer before it has as many outputs; 1 says no.
    jobs : int
        Threads to use at a time, each with a tensor of its own in memory; -1 is one for each core.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    Report

    Raises
    ------
    FileNotFoundError
    ValueError
        For a file that is truncated, of another format, or a pickle that could run code, or that changes while it is
        read; for a network without a layer, or without one whose weights are all finite; for a density that is no
        share, groups that fit no layer, and no threads.
    ImportError
        For a file that needs a library which is not installed.

    References
    ----------
    Critical compression: Balwani & Krzyston 2022. Neural persistence: theirs, and Rieck et al. 2019. ``2 zeta(3)``:
    Frieze & McDiarmid 1989. The other columns are ours, see :mod:`zimp.bounds`.

    Examples
    --------
    >>> import zimp
    >>> report = zimp.report(zimp.lenet_300_100())
    >>> [(row["name"], round(row["critical_compression"], 2)) for row in report.rows]
    [('fc1.weight', 217.17), ('fc2.weight', 75.19), ('output.weight', 9.17)]
    >>> round(report.totals["critical_compression"], 2)
    167.32
    """
    density = number("density", density)
    if whole("jobs", jobs) == 0:
        raise ValueError("jobs=0 is not a number of threads; 1 is one at a time, -1 one for each core")
    if not 0 < density <= 1:
        raise ValueError(f"density={density} must be above 0 and at most 1: a share of weights, such as 0.1")
    network = open_network(network)
    try:
        return _report(network, density, groups, jobs, progress)
    finally:
        for stamp in network.stamps:
            stamp.check()


def _report(network, density, groups, jobs, progress) -> Report:
    layers, left_out = find_layers(network.entries, groups)
    if not layers:
        reasons = "; ".join(f"{count} {reason}" for reason, count in Counter(left_out.values()).most_common())
        raise ValueError(f"{network.name} has no layer to measure ({reasons or 'it is empty'})")

    batches = _batches(layers)
    work = _spread(lambda batch: _measure(network, batch, density), batches, jobs)
    parts, broken = [], {}
    out = [
        _left_out(name, entry.shape, entry.dtype, left_out[name])
        for name, entry in network.entries.items()
        if name in left_out
    ]
    counts = np.zeros((2, BINS), dtype=np.int64)  # of all layers that count, and of those of bfloat16 among them
    with tqdm(total=sum(layer.size for layer in layers), unit="weight", unit_scale=True, disable=not progress) as bar:
        for batch, measured in zip(batches, work):
            for layer, one in zip(batch, measured):
                bar.update(layer.size)
                if isinstance(one, str):
                    broken[layer.name] = one
                    shape = layer.shape if layer.part else layer.stored
                    out.append(_left_out(layer.name, shape, network.entries[layer.tensor].dtype, one))
                    continue
                if layer.kind != "embedding":
                    counts[: 1 + one.coarse] += one.counts
                row = _row(layer, one, density)
                values = replace(one.forest, rows=None, cols=None)  # all that is asked of it from here on
                parts.append((layer, row, one._replace(forest=values, counts=None)))
    if not parts:
        where = "; ".join(f"{name}: {reason}" for name, reason in list(broken.items())[:3])
        raise ValueError(f"{network.name} has no layer whose weights are all finite ({where})")

    rows = [row for _, row, _ in parts]
    counted = [part for part in parts if part[0].kind != "embedding"]
    largest = max((one.forest.scale for _, _, one in counted), default=0.0)
    for _, row, one in counted:
        row["rieck"] = neural_persistence(one.forest, scale=largest or None)
    _rank_all(network, counted, counts, density)
    totals = _totals([row for _, row, _ in counted], largest)
    totals["guessed"] = [layer.name for layer, _, _ in parts if layer.guessed]
    totals["not_finite"] = list(broken)
    totals["measured"] = sum(row["weights"] for row in rows)
    numbers = (math.prod(tensor["shape"]) for tensor in out if tensor["dtype"] not in NO_NUMBERS)
    totals["numbers"] = totals["measured"] + sum(numbers)
    return Report(network.name, density, rows, totals, out)


def _left_out(name, shape, dtype, reason) -> dict:
    return {"name": name, "shape": list(shape), "dtype": dtype, "reason": reason}


def _spread(function, items: list, jobs: int) -> Iterable:
    """The results of all items in their order, of which ``jobs`` are worked on at a time."""
    if jobs == 1:
        return map(function, items)
    from joblib import Parallel, delayed  # late: importing it takes as long as many a file

    # Named, or else it would be what a surrounding joblib.parallel_config says: a network goes into no other process.
    work = Parallel(n_jobs=jobs, backend="threading", return_as="generator")
    return work(delayed(function)(item) for item in items)


def _batches(layers: list[Layer]) -> list[list[Layer]]:
    """Consecutive layers that together have no more weights than the largest tensor, or than ``BATCH``.

    The file is opened anew for each: what has been read of it stays in memory as long as it is open.
    """
    of_tensors = [list(part) for _, part in groupby(layers, key=lambda layer: layer.tensor)]
    sizes = [sum(layer.size for layer in part) for part in of_tensors]
    limit = max([BATCH, *sizes])
    batches, filled = [[]], 0
    for part, size in zip(of_tensors, sizes):
        if filled + size > limit:
            batches.append([])
            filled = 0
        batches[-1] += part
        filled += size
    return batches


class Measured(NamedTuple):
    """Of a layer: forest, safe density, how many weights its mask keeps, if these are bfloat16, and its profile."""

    forest: SpanningForest
    safe: float
    kept: int
    coarse: bool
    counts: np.ndarray | None
    least: float
    strongest: np.ndarray


def _measure(network, layers: list[Layer], density: float) -> list[Measured | str]:
    """What was measured of each layer; of one with a weight that is not finite, where that is."""
    measured = []
    with network.reading() as read:
        for layer in layers:
            try:
                graph = layer.graph(read)
                forest, safe = forest_and_safe_density(graph)
            except NotFinite as error:
                measured.append(f"{layer.place(error.where)} is {error.value}")
                continue
            except ValueError as error:
                raise ValueError(f"{network.name}: {layer.name}: {error}") from None
            kept = layer.size if graph.mask is None else int(graph.mask.sum())
            if layer.groups > 1:  # a share of the whole matrix, most of which is no weight
                kept, safe = graph.values.nnz, round(safe * math.prod(layer.shape)) / layer.size
            found = profile(graph, min(kept, round(density * layer.size)))
            measured.append(Measured(forest, safe, kept, graph.form == "bfloat16", *found))
    return measured


def _rank_all(network, parts: list[tuple[Layer, dict, Measured]], counts: np.ndarray, density: float):
    """Give each row what it is worth among all: layers of more than 16 bits are read once more."""
    if not parts:
        return
    layers, rows, found = zip(*parts)
    size = sum(layer.size for layer in layers)
    keep = min(round(density * size), sum(one.kept for one in found))
    thresholds = [one.forest.values[-1] if len(one.forest) else np.inf for one in found]
    ranking = Ranking(*counts, thresholds, keep)
    for batch in _batches([layer for layer, one in zip(layers, found) if not one.coarse]):
        with network.reading() as read:
            for layer in batch:
                ranking.add(layer.graph(read))
    least = ranking.least()
    for row, one, count in zip(rows, found, ranking.at_least()):
        row["global_density"] = int(count) / size
        row["globally"] = _left(one, least)


def _left(one: Measured, least: float) -> dict[str, int]:
    """What is left of a layer when all weights below ``least`` are pruned."""
    joined = int((one.forest.values.astype(np.float32) >= np.float32(least)).sum())
    cut_off = int((one.strongest < np.float32(least)).sum())
    return {"components": sum(one.forest.shape) - joined, "cut_off": cut_off}


def _row(layer: Layer, one: Measured, density: float) -> dict:
    forest, kept = one.forest, one.kept
    (m, n), groups, size = layer.shape, layer.groups, layer.size
    whole = kept == size
    tree = m + n - groups
    persistence = math.fsum(1 - forest.relative_values)
    notes = [layer.note] if layer.note else []
    if layer.tied:
        notes.append(f"the same numbers as {', '.join(layer.tied)}")
    if not whole:
        notes.append("pruned: measured is what its mask leaves")
    if layer.length is not None:
        notes.append("weight norm: measured is g v / |v|")
    if forest.n_components > groups:
        notes.append("in pieces already: pruning has cut neurons off")
    elif len(forest) and forest.values[-1] == 0:
        notes.append("its tree needs weights that are zero: if they were pruned, it is in pieces already")
    return {
        "name": layer.tensor,
        "part": layer.part,
        "tensors": layer.tensors,
        "kind": layer.kind,
        "shape": list(layer.stored),
        "outputs": m,
        "inputs": n,
        "groups": groups,
        "weights": size,
        "density": kept / size,
        "tree": tree,
        "components": forest.n_components,
        "critical_compression": size / tree,
        "safe_density": one.safe,
        "global_density": None,
        "iid_density": connectivity_density(m // groups, n // groups, 0.5 ** (1 / groups)),
        "retention": _least_kept(layer, round(density * size), kept, len(forest)) / max(1, len(forest)),
        "rieck": None,
        "balwani": None if m + n == 2 else neural_persistence(forest, convention="balwani"),
        "total_persistence": persistence,
        "zeta_ratio": persistence / (2 * ZETA3) if m == n and groups == 1 and whole else None,
        "layerwise": _left(one, one.least),
        "globally": None,
        "notes": notes,
    }


def _least_kept(layer: Layer, left: int, kept: int, tree: int) -> int:
    """The fewest tree edges among any ``left`` of a layer's ``kept`` weights.

    With groups the fewest are those of full blocks: to move a row or a column of edges from one block to another that
    has more of the other kind loses none.
    """
    if left >= kept:
        return tree
    m, n = (size // layer.groups for size in layer.shape)
    full, rest = divmod(left, m * n)
    return full * (m + n - 1) + retention_bound(rest, m, n)


def _totals(rows: list[dict], largest: float) -> dict:
    weights, tree = sum(row["weights"] for row in rows), sum(row["tree"] for row in rows)
    edges = [row["outputs"] + row["inputs"] - row["components"] for row in rows]
    prunable = [row for row in rows if row["tree"] < row["weights"]]
    breaks = max(prunable, key=lambda row: row["safe_density"], default=None)
    breaks_globally = max(prunable, key=lambda row: row["global_density"], default=None)
    return {
        "layers": len(rows),
        "weights": weights,
        "tree": tree,
        "critical_compression": weights / tree if rows else None,
        "safe_density": math.fsum(row["safe_density"] * row["weights"] for row in rows) / weights if rows else None,
        "uniform_safe_density": breaks["safe_density"] if breaks else None,
        "first_to_break": full_name(breaks) if breaks else None,
        "global_density": breaks_globally["global_density"] if breaks else None,
        "first_to_break_globally": full_name(breaks_globally) if breaks else None,
        "all_tree": [full_name(row) for row in rows if row["tree"] == row["weights"]],
        "retention": (
            math.fsum(row["retention"] * count for row, count in zip(rows, edges)) / sum(edges) if sum(edges) else None
        ),
        "rieck": math.fsum(row["rieck"] for row in rows) / len(rows) if rows else None,
        "largest": largest,
    }


def full_name(row: dict) -> str:
    """The name of a row's layer, e.g. ``"h.0.attn.c_attn.weight[q]"``."""
    return row["name"] + (f"[{row['part']}]" if row["part"] else "")


def _columns(report: Report) -> list[tuple[str, str]]:
    """The heading of each column, and what it says."""
    values = {"density": report.density, "largest": report.totals["largest"]}
    return [(heading, what.format(**values)) for heading, what in COLUMNS.values()]


def _cells(row: dict) -> list[str]:
    size = f"{row['outputs']}x{row['inputs']}"
    return [printable(full_name(row)), SHORT.get(row["kind"], row["kind"]), size, *_numbers(row)]


def _network_cells(totals: dict) -> list[str]:
    return [f"network, {totals['layers']} layers", "", f"{totals['weights']:,}", *_numbers(totals)]


def _numbers(row: dict) -> list[str]:
    return [_short(row.get(key), DIGITS.get(key, 3)) for key in list(COLUMNS)[3:]]


def _short(value: float | None, digits: int) -> str:
    """A number of few characters: ``0.0234``, ``217``, ``4.1e-05``."""
    if value is None:
        return "-"
    if value >= 10**digits - 0.5:  # rounded to so many digits, it would be written as a power of ten
        return f"{value:.0f}"
    text = f"{value:.{digits}g}"
    return text if len(text) <= 7 else f"{value:.1e}"


def _or_least(value: float | None) -> float:
    return -math.inf if value is None else value


def _verdict(report: Report) -> list[str]:
    """What the report says about the network as a whole."""
    totals, remarks = report.totals, []
    if totals["not_finite"]:
        names = _names(totals["not_finite"], FEW)
        remarks.append(f"Without layers that hold NaN or infinity (did the training diverge?): {names}")
    if totals["first_to_break"]:
        remarks.append(
            "A layer breaks when its H0 changes: neurons are no longer connected. Density: share of weights kept."
        )
    if totals["all_tree"]:
        remarks.append(f"All tree, so that no weight can go without a change of H0: {_names(totals['all_tree'], FEW)}")
    if totals["first_to_break"]:
        layers = f"{'all other' if totals['all_tree'] else 'all'} layers keep their H0"
        remarks.append(
            "Each pruned by magnitude to the same density, "
            f"{_down_to(layers, totals['uniform_safe_density'], totals['first_to_break'])}{_next(report)}. Each pruned "
            f"to its own density in column safe, they keep it with {totals['safe_density']:.4g} of the weights."
        )
        remarks.append(
            "Pruned by magnitude as a whole, as prune.global_unstructured does, "
            f"{_down_to(layers, totals['global_density'], totals['first_to_break_globally'])}."
        )
        remarks.append(
            f"No method keeps the H0 of all with fewer than {totals['tree']:,} weights, a compression of "
            f"{totals['critical_compression']:.4g}."
        )
    counts = [_broken(report, way) for way, _, _ in WAYS]
    (each, _, cut_off), (whole, _, cut_off_whole) = counts
    remarks.append(
        f"At density {report.density:g}, {len(each)} of {len(report.rows)} layers break if each is pruned by magnitude "
        f"({cut_off:,} neurons cut off), and {len(whole)} if the network is pruned as a whole ({cut_off_whole:,})."
    )
    if totals["guessed"]:
        remarks.append(f"These totals rest on a guess of the groups of {_names(totals['guessed'], FEW)}")
    return [*remarks, _coverage(report)]


def _down_to(layers: str, density: float, first: str) -> str:
    if density == 1:
        return f"the loss of the smallest weight already breaks {printable(first)}"
    return f"{layers} down to a density of {density:.4g}; then {printable(first)} breaks"


def _next(report: Report) -> str:
    """The layer that would break first if the first one were spared."""
    first = report.totals["first_to_break"]
    others = [row for row in report.rows if row["kind"] != "embedding" and row["tree"] < row["weights"]]
    others = [row for row in others if full_name(row) != first]
    if not others:
        return ""
    row = max(others, key=lambda row: row["safe_density"])
    return f", and next {printable(full_name(row))}, at {row['safe_density']:.4g}"


def _broken(report: Report, way: str) -> tuple[list[dict], int, int]:
    """The layers that are in more pieces than before, how many more, and how many neurons are cut off there."""
    broken = [row for row in report.rows if row[way] and row[way]["components"] > row["components"]]
    pieces = sum(row[way]["components"] - row["components"] for row in broken)
    return broken, pieces, sum(row[way]["cut_off"] for row in broken)


def _coverage(report: Report) -> str:
    """How many of the numbers are measured, and what most of the others are."""
    totals, others = report.totals, Counter()
    for tensor in report.left_out:
        if tensor["dtype"] not in NO_NUMBERS:
            others[tensor["reason"]] += math.prod(tensor["shape"])
    share = totals["measured"] / totals["numbers"]
    text = f"Measured: {totals['measured']:,} of {totals['numbers']:,} numbers ({share:.1%})."
    if share < MOST:
        (reason, count), *_ = others.most_common(1)
        text += f" Of the others {count:,} are left out: {reason}."
    return text


def _remarks(report: Report) -> list[str]:
    """Sentences on single layers and tensors."""
    remarks = []
    for way, what, column in WAYS:
        broken, pieces, _ = _broken(report, way)
        if broken:
            remarks.append(
                f"Broken at density {report.density:g} ({column} above it), {what} pruned by magnitude, into "
                f"{pieces:,} more pieces: {_names([full_name(row) for row in broken])}"
            )
    if len(report.rows) > report.totals["layers"]:
        remarks.append("Embeddings are not counted in the network: pruning leaves them alone.")
    notes = [(note, full_name(row)) for row in report.rows for note in row["notes"]]
    remarks += [f"Note: {note}: {_names(names)}" for note, names in _grouped(notes)]
    left_out = _grouped((tensor["reason"], tensor["name"]) for tensor in report.left_out)
    remarks += [f"Left out, {len(names)} of these: {reason}: {_names(names)}" for reason, names in left_out]
    return remarks


def _grouped(pairs) -> list[tuple[str, list[str]]]:
    groups = {}
    for key, name in pairs:
        groups.setdefault(key, []).append(name)
    return list(groups.items())


def _names(names: list[str], most: int | None = None) -> str:
    """The names, at most so many; those that differ only in numbers or parts are one: ``h.*.ln_1.weight (12)``."""
    patterns = _grouped((NUMBERS.sub("*", name), name) for name in names)
    texts = [f"{pattern} ({len(alike)})" if len(alike) > 1 else alike[0] for pattern, alike in patterns]
    if most is not None and len(texts) > most + 1:
        texts[most:] = [f"and {sum(len(alike) for _, alike in patterns[most:])} more"]
    return printable(", ".join(texts))
