"""Where the weights of a layer stand among those of the whole network, which global pruning goes by.

Numbers are compared as float32. Without their sign, its bits are a whole number in the same order, here called a key;
the first sixteen put a weight into one of 32,768 bins, and only within a bin are weights looked at one by one. A
bfloat16 has no more bits than these. What ties with a threshold counts as kept.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.sparse import issparse

from ..checks import Layer as Graph

__all__ = ["Ranking", "profile"]

BINS = 1 << 15
FINE = 1 << 16  # keys in a bin
BLOCK = 1 << 18  # weights at a time: what fits into a cache


def _keys(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32, copy=False).view(np.uint32) & 0x7FFFFFFF


def _values(keys) -> np.ndarray:
    return np.asarray(keys, dtype=np.uint32).view(np.float32)


def _blocks(graph: Graph) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """The keys of some rows at a time, and where there are edges; of bfloat16 as uint16, and these are bins."""
    if issparse(graph.values):
        yield _keys(graph.values.data)[None], None
        return
    m, n = graph.values.shape
    height = max(1, BLOCK // n)
    for first in range(0, m, height):
        block = np.ascontiguousarray(graph.values[first : first + height])
        keys = block.view(np.uint16) & 0x7FFF if graph.form == "bfloat16" else _keys(block)
        yield keys, None if graph.mask is None else graph.mask[first : first + height]


def _existing(keys, mask) -> np.ndarray:
    return keys.ravel() if mask is None else keys[mask]


def profile(graph: Graph, keep: int) -> tuple[np.ndarray, float, np.ndarray]:
    """The histogram of a layer, the least of its ``keep`` largest ``|w|``, and the largest ``|w|`` of each neuron.

    Parameters
    ----------
    graph : Layer
        A validated layer, as ``zimp.checks.as_layer`` gives it.
    keep : int
        At most as many as there are edges.

    Returns
    -------
    (int64 array, float, float32 array of shape ``(m + n,)``)
        A neuron without an edge has -1; with nothing to keep the float is infinite.

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
    counts, rows, cols = np.zeros(BINS, dtype=np.int64), [], np.zeros(n, dtype=np.uint32)
    shift = 16 if graph.form == "bfloat16" else 0
    for keys, mask in _blocks(graph):
        existing = _existing(keys, mask)
        counts += np.bincount(existing if shift else existing >> 16, minlength=BINS)
        if not issparse(graph.values):
            keys = keys if mask is None else keys * mask
            rows.append(keys.max(axis=1).astype(np.uint32) << shift)
            np.maximum(cols, keys.max(axis=0).astype(np.uint32) << shift, out=cols)
    if issparse(graph.values):
        values = abs(graph.values)
        strongest = np.concatenate([values.max(axis=axis).toarray().ravel() for axis in (1, 0)]).astype(np.float32)
    else:
        strongest = _values(np.concatenate([*rows, cols]))
    if graph.mask is not None:
        strongest[np.concatenate([~graph.mask.any(axis=axis) for axis in (1, 0)])] = -1
    if keep == 0:
        return counts, np.inf, strongest
    bin_, rank = _bin_of(counts, keep)
    if shift:
        return counts, float(_values(bin_ << 16)), strongest
    inside = [existing[existing >> 16 == bin_] for existing in (_existing(*block) for block in _blocks(graph))]
    inside = np.concatenate(inside)
    return counts, float(_values(np.partition(inside, -rank)[-rank])), strongest


def _bin_of(counts: np.ndarray, keep: int) -> tuple[int, int]:
    """The bin of the ``keep``-th largest, and its rank among those in it."""
    above = np.cumsum(counts[::-1])
    place = int(np.searchsorted(above, keep))
    return len(counts) - 1 - place, keep - int(above[place - 1] if place else 0)


class Ranking:
    """All weights of a network in order, for which layers with more bits than a bin tells are read once more.

    Parameters
    ----------
    counts : int64 array
        The histogram of all layers together.
    coarse : int64 array
        That of the layers of bfloat16, which need not be added.
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
    >>> counts = sum(profile(layer, 1)[0] for layer in layers)
    >>> ranking = Ranking(counts, 0 * counts, thresholds=[0.5, 0.25], keep=2)
    >>> for layer in layers:
    ...     ranking.add(layer)
    >>> ranking.at_least().tolist(), ranking.least()
    ([3, 4], 0.75)
    """

    def __init__(self, counts, coarse, thresholds, keep):
        self._counts, self._thresholds = counts, _keys(np.asarray(thresholds, dtype=np.float32))
        self._bin, self._rank = _bin_of(counts, keep)
        self._wanted = np.zeros(BINS, dtype=bool)
        self._wanted[self._thresholds >> 16] = True
        self._ordered = np.sort(self._thresholds)
        self._passed = np.zeros(len(self._ordered) + 1, dtype=np.int64)  # weights of wanted bins, by thresholds passed
        self._fine = np.zeros(FINE, dtype=np.int64)  # of the weights in the bin of the last that is kept
        bins = np.flatnonzero(self._wanted)
        np.add.at(self._passed, np.searchsorted(self._ordered, bins << 16, side="right"), coarse[bins])
        self._fine[0] = coarse[self._bin]

    def add(self, graph: Graph):
        """Take in a layer, if it is not of bfloat16."""
        for block in _blocks(graph):
            keys = _existing(*block)
            bins = keys >> 16
            passed = np.searchsorted(self._ordered, keys[self._wanted[bins]], side="right")
            self._passed += np.bincount(passed, minlength=len(self._passed))
            self._fine += np.bincount(keys[bins == self._bin] & (FINE - 1), minlength=FINE)

    def at_least(self) -> np.ndarray:
        """For each threshold the number of weights that are as large."""
        unwanted = np.append(np.cumsum((self._counts * ~self._wanted)[::-1])[::-1], 0)  # in a bin and those above it
        passing = np.cumsum(self._passed[::-1])[::-1]
        return (
            unwanted[(self._thresholds >> 16) + 1] + passing[np.searchsorted(self._ordered, self._thresholds, "right")]
        )

    def least(self) -> float:
        """The least ``|w|`` that the global pruning keeps."""
        if self._rank == 0:
            return np.inf
        low, _ = _bin_of(self._fine, self._rank)
        return float(_values(self._bin << 16 | low))
