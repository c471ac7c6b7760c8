"""Find the edges of a layer's maximum spanning forest in a few times the time that reading its weights takes.

A forest has fewer edges than the layer has neurons, so most weights need only be looked at once:

1. *Select.* A sample of the weights tells a threshold that about four edges for each neuron reach. One pass over the
   layer picks these.
2. *Kruskal.* Their forest joins nearly all neurons in one piece.
3. *Borůvka.* Every piece but the largest takes the heaviest edge that leaves it, which stands in a row or a column of
   one of its own neurons; and so on, until no edge leaves a piece.

All three go by one order of the edges: from heavy to light, and in row-major order among equals. No two edges are equal
in it, so there is one forest, whatever the sample was; the sample affects the time alone.

A *key* is the magnitude of an edge as a whole number, see :class:`Magnitudes`; a *piece* is a component of the graph of
those edges that have been taken so far.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.sparse import csr_array, issparse
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

from .checks import Layer

SMALL = 1024  # weights of a layer that is not worth sampling
EDGES_PER_NEURON = 4  # to select: with more there is more to sort, with fewer more neurons are left over
SAMPLED = 32  # weights of the sample that reach the threshold; a sixth is one standard deviation of what is selected

FORMATS = {  # of a float: the whole numbers of its size, and the bits of infinity
    "float16": ("int16", 0x7C00),
    "bfloat16": ("int16", 0x7F80),
    "float32": ("int32", 0x7F800000),
    "float64": ("int64", 0x7FF0000000000000),
}


def magnitudes(layer: Layer) -> Magnitudes:
    """The keys of a layer; whether they are finite is still to be checked."""
    values, form = layer.values, layer.form
    if issparse(values):
        rows = np.repeat(np.arange(values.shape[0], dtype=np.int64), np.diff(values.indptr))
        edges = rows * values.shape[1] + values.indices
        return StoredMagnitudes(values.data.view(FORMATS[form][0]), form, values.shape, edges)
    bits = values.view(FORMATS[form][0])
    by_columns = abs(bits.strides[0]) < abs(bits.strides[1])
    return (TransposedMagnitudes if by_columns else Magnitudes)(bits, form, layer.mask)


def spanning_edges(layer: Magnitudes) -> tuple[np.ndarray, np.ndarray]:
    """The forest's edges as flat indices (int64), from heavy to light, and their keys."""
    edges, keys, are_all = layer.select()
    forest = kruskal(edges, keys, layer.shape)
    if not are_all and len(forest) < sum(layer.shape) - 1:
        forest.sort()
        edges, keys = boruvka(layer, edges[forest], keys[forest])
        forest = heaviest_first(keys)
    return edges[forest], keys[forest]


def kruskal(edges, keys, shape) -> np.ndarray:
    """Positions, heaviest first, of the forest's edges among ``edges``, which are ascending flat indices.

    Scipy's minimum spanning tree is given ranks, not weights: ranks are distinct, so the tree is unique, and start at
    1, because scipy takes a stored zero for "no edge".
    """
    order = heaviest_first(keys)
    ranks = np.empty(len(order))
    ranks[order] = np.arange(1, len(order) + 1)
    tree = minimum_spanning_tree(_graph(edges, ranks, shape), overwrite=True)
    return order[np.sort(tree.data).astype(np.int64) - 1]


def boruvka(layer: Magnitudes, edges, keys) -> tuple[np.ndarray, np.ndarray]:
    """Complete a part of the forest; return the edges as ascending flat indices, and their keys."""
    m, n = layer.shape
    whole = np.zeros(m + n, dtype=bool)  # neurons of pieces that no edge leaves
    while len(edges) < m + n - 1:
        _, piece = connected_components(_graph(edges, np.ones(len(edges)), layer.shape), directed=False)
        loose = (piece != np.bincount(piece).argmax()) & ~whole
        owners, leaving, their_keys = layer.leaving(piece, loose)
        # By piece, in each the heaviest first, and among equals the first of the matrix.
        order = np.lexsort((leaving, -their_keys, owners))
        first = order[np.flatnonzero(np.diff(owners[order], prepend=-1))]  # of each piece, its heaviest edge
        whole |= np.isin(piece, owners[first[their_keys[first] < 0]])  # the first edge of a piece does not exist
        first = first[their_keys[first] >= 0]
        if len(first) == 0:
            break
        edges, at = np.unique(np.append(edges, leaving[first]), return_index=True)  # two pieces may take the same edge
        keys = np.append(keys, their_keys[first].astype(keys.dtype))[at]
    return edges, keys


def heaviest_first(keys) -> np.ndarray:
    """Positions in the order of the edges, where ``keys`` are those of edges with ascending indices."""
    if keys.itemsize == 8:
        return np.argsort(-keys, kind="stable")
    # Key and position in one number: to sort these is ten times as fast as a stable argsort.
    return np.sort((-keys.astype(np.int64) << 32) + np.arange(len(keys))) & 0xFFFFFFFF


def few_true(flags) -> np.ndarray:
    """``np.flatnonzero``, faster where few flags are true: eight that are not are passed over at a time."""
    if len(flags) % 8 == 0:
        eights = flags.view(np.int64)
        some = np.flatnonzero(eights != 0)
        if len(some) < len(eights) / 4:
            among = np.flatnonzero(eights[some].view(bool))
            return 8 * some[among // 8] + among % 8
    return np.flatnonzero(flags)


def _graph(edges, data, shape) -> csr_array:
    """The layer as a graph on ``m + n`` vertices, outputs first; ``edges`` are ascending flat indices."""
    m, n = shape
    starts = np.full(m + n + 1, len(edges), dtype=np.int32)  # no rows for the inputs: one triangle is enough
    starts[:m] = np.searchsorted(edges, np.arange(m, dtype=np.int64) * n)
    return csr_array((data, (edges % n + m).astype(np.int32), starts), shape=(m + n, m + n))


class Magnitudes:
    """The *keys* of a layer: its magnitudes as whole numbers in the same order, without a copy of the layer.

    Without the bit of the sign, the bits of a float are a whole number, and these numbers are in the order of ``|w|``.
    So they compare exactly, in any precision; NaN and infinity come out above all others. The key of an edge that does
    not exist is -1.
    """

    BLOCK = 1 << 18  # weights at work at a time: they stay in the processor's cache

    def __init__(self, bits, form: str, mask=None):
        self.bits, self.form, self.mask, self.shape = bits, form, mask, tuple(bits.shape)
        self.infinity = FORMATS[form][1]
        self.unsigned = int(np.iinfo(FORMATS[form][0]).max)

    def values(self, keys) -> np.ndarray:
        """``|w|`` of some keys, float64."""
        if self.form == "bfloat16":  # the upper half of a float32
            return (keys.astype(np.int32) << 16).view(np.float32).astype(np.float64)
        return keys.view(self.form).astype(np.float64)

    def are_finite(self) -> bool:
        """Whether all weights are, those of edges that do not exist too."""
        return all(bool((self.bits[rows] & self.unsigned).max() < self.infinity) for rows in self._blocks())

    def rank(self, edge: int, key: int) -> int:
        """The rank of an edge: how many edges come no later in the order."""
        rank = 0
        for rows in self._blocks():
            keys = self._keys(rows).ravel()
            until = max(0, edge + 1 - rows.start * self.shape[1])
            rank += np.count_nonzero(keys > key) + np.count_nonzero(keys[:until] == key)
        return int(rank)

    def select(self) -> tuple[np.ndarray, np.ndarray, bool]:
        """The first edges in the order, as ascending flat indices; their keys; and whether these are all edges."""
        m, n = self.shape
        wanted = EDGES_PER_NEURON * (m + n)
        if m * n <= max(SMALL, 2 * wanted):
            return self._reaching(0, m * n)
        step = max(1, wanted // SAMPLED)
        last = wanted // step  # of the sample to be selected
        return self._reaching(max(0, int(np.partition(self._sample(step), -last)[-last])), wanted)

    def leaving(self, piece, loose) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For each loose neuron its piece, the first edge in the order that leads to another piece, and its key.

        Where there is none the key is -1.
        """
        m, n = self.shape
        rows, cols = np.flatnonzero(loose[:m]), np.flatnonzero(loose[m:])
        alone = np.bincount(piece)[piece] == 1

        of_rows, keys_of_rows = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
        step = max(1, self.BLOCK // n)
        for part in (slice(start, start + step) for start in range(0, len(rows), step)):
            keys = self._leaving_keys(rows[part], None, piece, alone)
            of_rows[part] = keys.argmax(axis=1)
            keys_of_rows[part] = keys[np.arange(len(keys)), of_rows[part]]

        # Columns are read by rows all the same, as the weights stand in memory: first where, and then who.
        block, keys_of_cols = np.zeros(len(cols), np.int64), np.full(len(cols), -1)
        step = max(1, self.BLOCK // max(1, len(cols)))
        for start in range(0, m if len(cols) else 0, step):
            heaviest = self._leaving_keys(slice(start, start + step), cols, piece, alone).max(axis=0)
            better = heaviest > keys_of_cols
            block[better], keys_of_cols[better] = start, heaviest[better]
        of_cols = np.empty(len(cols), np.int64)
        for start in np.unique(block):
            part = np.flatnonzero(block == start)
            keys = self._leaving_keys(slice(start, start + step), cols[part], piece, alone)
            of_cols[part] = start + keys.argmax(axis=0)

        edges = np.append(rows * n + of_rows, of_cols * n + cols)
        return np.append(piece[rows], piece[m + cols]), edges, np.append(keys_of_rows, keys_of_cols)

    def _leaving_keys(self, rows, cols, piece, alone):
        """The keys of some rows and all columns, or the other way round; -1 inside a piece."""
        keys, (m, _) = self._keys(rows, cols), self.shape
        outs, ins = piece[:m][rows], piece[m:] if cols is None else piece[m:][cols]
        if cols is None:  # neurons alone in their piece, which most are, have no edge inside it
            own = np.flatnonzero(~alone[rows])
            keys[own] = np.where(outs[own, None] == ins, -1, keys[own])
        else:
            own = np.flatnonzero(~alone[m + cols])
            keys[:, own] = np.where(outs[:, None] == ins[own], -1, keys[:, own])
        return keys

    def _reaching(self, threshold: int, wanted: int) -> tuple[np.ndarray, np.ndarray, bool]:
        """The edges above the threshold, and of those at it all, or if these are too many, the first."""
        level, count, edges, keys = threshold, 0, [], []
        room = np.empty(
            (next(self._blocks()).stop, self.shape[1]), self.bits.dtype
        )  # one for all: it stays in the cache
        for rows in self._blocks():
            block = self._keys(rows, out=room).ravel()
            reached = few_true(block >= level)
            found = block[reached]
            count += len(found)
            # So many tie with it; all of the layer may. Blocks come in row-major order, so those kept are the first.
            if level == threshold and count > 2 * wanted:
                fit = found > threshold
                fit[np.flatnonzero(~fit)[:wanted]] = True
                reached, found, level = reached[fit], found[fit], threshold + 1
            edges.append(reached + rows.start * self.shape[1])
            keys.append(found)
        return np.concatenate(edges), np.concatenate(keys), level == 0

    def _sample(self, step) -> np.ndarray:
        """The keys of one weight in ``step``, each anywhere in its stretch, in the order in which they are stored."""
        starts = np.arange(0, math.prod(self.shape) - step + 1, step)
        rows, cols = np.divmod(starts + np.random.default_rng(0).integers(0, step, len(starts)), self.shape[1])
        keys = self.bits[rows, cols] & self.unsigned
        return keys if self.mask is None else np.where(self.mask[rows, cols], keys, -1)

    def _blocks(self):
        m, n = self.shape
        step = max(1, self.BLOCK // n)
        return (slice(start, min(start + step, m)) for start in range(0, m, step))

    def _keys(self, rows, cols=None, out=None):
        def part(matrix):
            return matrix[rows] if cols is None else matrix[rows].take(cols, axis=1)

        bits = part(self.bits)
        keys = np.bitwise_and(bits, self.unsigned, out=None if out is None else out[: len(bits)])
        if self.mask is not None:
            keys |= part(self.mask).view(np.int8) - 1  # by 0, or by -1 which is all bits; np.where is far slower
        return keys


class TransposedMagnitudes(Magnitudes):
    """The keys of a layer that is stored column by column, read in that order because it is much faster."""

    def __init__(self, bits, form, mask=None):
        super().__init__(bits, form, mask)
        self.columns = Magnitudes(bits.T, form, None if mask is None else mask.T)

    def are_finite(self):
        return self.columns.are_finite()

    def rank(self, edge, key):
        row, col = divmod(edge, self.shape[1])
        rank = 0
        for cols in self.columns._blocks():
            keys = self.columns._keys(cols)
            rank += np.count_nonzero(keys > key) + np.count_nonzero(keys[:, :row] == key)
            rank += np.count_nonzero(keys[: max(0, col + 1 - cols.start), row] == key)
        return int(rank)

    def select(self):
        edges, keys, are_all = self.columns.select()
        if not are_all:  # of those that tie with the last, the first by columns were taken: leave them all to Borůvka
            few = keys > keys.min()
            edges, keys = edges[few], keys[few]
        edges = self._edges(edges)
        order = np.argsort(edges)
        return edges[order], keys[order], are_all

    def leaving(self, piece, loose):
        m = self.shape[0]
        owners, edges, keys = self.columns.leaving(np.append(piece[m:], piece[:m]), np.append(loose[m:], loose[:m]))
        return owners, self._edges(edges), keys

    def _edges(self, of_columns):
        cols, rows = np.divmod(of_columns, self.shape[0])
        return rows * self.shape[1] + cols


class StoredMagnitudes(Magnitudes):
    """The keys of a sparse array, whose stored entries are the edges; all of them are selected."""

    def __init__(self, bits, form, shape, edges):
        super().__init__(bits, form)
        self.shape, self.edges = shape, edges

    def rank(self, edge, key):
        keys = self._all_keys()
        return int(np.count_nonzero((keys > key) | ((keys == key) & (self.edges <= edge))))

    def select(self):
        return self.edges, self._all_keys(), True

    def _all_keys(self):
        return self.bits & self.unsigned
