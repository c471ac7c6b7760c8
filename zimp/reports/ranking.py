"""Where the weights of a layer stand among those of the whole network, which global pruning goes by.

Numbers are compared as float32, whose bits are in their order: the first sixteen put a weight into one of 65,536 bins,
and only within a bin are weights looked at one by one. What ties with a threshold counts as kept.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.sparse import issparse

from ..checks import Layer as Graph

__all__ = ["Ranking", "profile"]

BINS = 1 << 16
BLOCK = 1 << 20  # weights that are converted at a time


def _blocks(graph: Graph) -> Iterator[np.ndarray]:
    """``|w|`` as float32, some rows at a time; -1 where there is no edge."""
    if issparse(graph.values):
        yield np.abs(graph.values.data.astype(np.float32))[None]
        return
    m, n = graph.values.shape
    for first in range(0, m, max(1, BLOCK // n)):
        rows = slice(first, first + max(1, BLOCK // n))
        block = graph.values[rows]
        if graph.form == "bfloat16":  # the upper half of a float32, as an integer
            block = (block.astype(np.uint16).astype(np.uint32) << 16).view(np.float32)
        block = np.abs(block.astype(np.float32))
        if graph.mask is not None:
            block[~graph.mask[rows]] = -1
        yield block


def _bins(block: np.ndarray) -> np.ndarray:
    return (np.ascontiguousarray(block).view(np.uint32) >> 16).ravel()


def profile(graph: Graph, keep: int) -> tuple[np.ndarray, float, np.ndarray]:
    """The histogram of a layer, the least of its ``keep`` largest ``|w|``, and the largest ``|w|`` of each neuron.

    Parameters
    ----------
    graph : Layer
        As from :func:`zimp.checks.as_layer`.
    keep : int
        At most as many as there are edges.

    Returns
    -------
    (int64 array, float, float32 array of shape ``(m + n,)``)

    Examples
    --------
    >>> import numpy as np
    >>> from zimp.checks import as_layer
    >>> from zimp.reports.ranking import profile
    >>> _, least, strongest = profile(as_layer(np.array([[0.9, -0.2], [0.1, 0.5]])), 2)
    >>> least, [round(float(w), 1) for w in strongest]
    (0.5, [0.9, 0.5, 0.9, 0.5])
    """
    m, n = graph.values.shape
    counts, rows, cols = np.zeros(BINS, dtype=np.int64), [], np.full(n, -1, dtype=np.float32)
    for block in _blocks(graph):
        counts += np.bincount(_bins(block), minlength=BINS)
        if not issparse(graph.values):
            rows.append(block.max(axis=1))
            np.maximum(cols, block.max(axis=0), out=cols)
    counts[BINS // 2 :] = 0  # -1, no edge
    if issparse(graph.values):
        values = abs(graph.values)
        rows, cols = ([values.max(axis=axis).toarray().ravel().astype(np.float32)] for axis in (1, 0))
        (cols,) = cols
    bin_, rank = _bin_of(counts, keep)
    inside = np.concatenate([block.ravel()[_bins(block) == bin_] for block in _blocks(graph)])
    least = float(np.partition(inside, -rank)[-rank]) if keep else np.inf
    return counts, least, np.concatenate([*rows, cols])


def _bin_of(counts: np.ndarray, keep: int) -> tuple[int, int]:
    """The bin of the ``keep``-th largest, and its rank among those in it."""
    above = np.cumsum(counts[::-1])
    place = int(np.searchsorted(above, keep))
    return BINS - 1 - place, keep - int(above[place - 1] if place else 0)


class Ranking:
    """All weights of a network in order, for which its layers are read once more.

    Parameters
    ----------
    counts : int64 array
        The histogram of all layers together.
    thresholds : array of float
        Of which the ranks are asked.
    keep : int
        How many of the largest weights a global pruning keeps.

    Examples
    --------
    >>> import numpy as np
    >>> from zimp.checks import as_layer
    >>> from zimp.reports.ranking import Ranking, profile
    >>> layers = [as_layer(np.array([[0.9, 0.2], [0.1, 0.5]])), as_layer(np.array([[0.75, 0.25]]))]
    >>> ranking = Ranking(sum(profile(layer, 1)[0] for layer in layers), thresholds=[0.5, 0.25], keep=2)
    >>> for layer in layers:
    ...     ranking.add(layer)
    >>> ranking.at_least().tolist(), ranking.least()
    ([3, 4], 0.75)
    """

    def __init__(self, counts, thresholds, keep):
        self._counts, self._thresholds = counts, np.asarray(thresholds, dtype=np.float32)
        self._bin, self._rank = _bin_of(counts, keep)
        self._wanted = np.zeros(BINS, dtype=bool)
        self._wanted[_bins(self._thresholds)] = True
        self._ordered = np.sort(self._thresholds)
        self._found = np.zeros(len(self._ordered) + 1, dtype=np.int64)  # how many weights pass so many thresholds
        self._fine = np.zeros(BINS, dtype=np.int64)  # of the weights in the bin of the last that is kept

    def add(self, graph: Graph):
        """Take in a layer."""
        for block in _blocks(graph):
            flat, bins = block.ravel(), _bins(block)
            passed = np.searchsorted(self._ordered, flat[self._wanted[bins]], side="right")
            self._found += np.bincount(passed, minlength=len(self._found))
            last = flat[bins == self._bin]
            self._fine += np.bincount(last.view(np.uint32) & (BINS - 1), minlength=BINS)

    def at_least(self) -> np.ndarray:
        """For each threshold the number of weights that are as large."""
        above = np.cumsum(self._counts[::-1])[::-1]  # in a bin and those above it
        selected = np.cumsum((self._counts * self._wanted)[::-1])[::-1]
        bins = _bins(self._thresholds)
        whole = np.append(above, 0)[bins + 1] - np.append(selected, 0)[bins + 1]
        passing = np.cumsum(self._found[::-1])[::-1]
        return whole + passing[np.searchsorted(self._ordered, self._thresholds, side="right")]

    def least(self) -> float:
        """The least ``|w|`` that the global pruning keeps."""
        if self._rank == 0:
            return np.inf
        low, _ = _bin_of(self._fine, self._rank)
        return float(np.array([(self._bin << 16) | low], dtype=np.uint32).view(np.float32)[0])
