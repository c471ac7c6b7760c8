"""Zeroth-order persistent homology of one layer: the maximum spanning forest and what follows from it.

A layer with weights ``W`` of shape ``(m, n)`` (outputs, inputs; as ``torch.nn.Linear.weight``) is a bipartite graph
on ``m + n`` vertices whose edge ``(i, j)`` weighs ``a[i, j] = |W[i, j]| / max |W|``. Add the edges from heavy to
light: components merge, and the edges that merge two of them are the edges of the maximum spanning forest. Everything
in this module is read off that forest.

A mask says which edges exist. A pruned weight is an edge that is *absent*; a stored zero is an edge of weight 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .checks import Layer, as_layer, as_mask, check_choice, check_layer_finite, number, to_numpy
from .spanning import magnitudes, spanning_edges

__all__ = [
    "SpanningForest",
    "spanning_forest",
    "persistence_diagram",
    "betti_curve",
    "count_components",
    "safe_density",
    "neural_persistence",
    "tree_overlap",
    "TreeOverlap",
]


@dataclass(frozen=True, eq=False)
class SpanningForest:
    """The maximum spanning forest of a layer, heaviest edge first.

    Attributes
    ----------
    rows, cols : int64 arrays of shape ``(m + n - n_components,)``
        Output and input neuron of each edge.
    values : float64 array of the same shape
        ``|w|`` of each edge, descending; equal values in row-major order.
    shape : tuple of int
        ``(m, n)`` of the layer.
    scale : float
        The largest ``|w|`` among the edges that exist (0.0 if there is none): the unit in which thresholds are given.
    n_components : int
        Components of the whole graph, isolated neurons included.
    """

    rows: np.ndarray
    cols: np.ndarray
    values: np.ndarray
    shape: tuple[int, int]
    scale: float
    n_components: int

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def mask(self) -> np.ndarray:
        """Boolean array of the layer's shape, true on the edges of the forest."""
        mask = np.zeros(self.shape, dtype=bool)
        mask[self.rows, self.cols] = True
        return _frozen(mask)

    @cached_property
    def relative_values(self) -> np.ndarray:
        """``a = |w| / scale`` of each edge, in [0, 1]; an all-zero layer has ``a = 0``."""
        return _frozen(self.values / self.scale if self.scale > 0 else np.zeros_like(self.values))


def spanning_forest(weights, mask=None) -> SpanningForest:
    """The maximum spanning forest of a layer, exact for any finite weights.

    Among equal weights the edge that comes first in row-major order is taken first, so the forest is unique.

    Parameters
    ----------
    weights : array or tensor of shape ``(m, n)``, or sparse array of scipy or torch
        Any real dtype, any memory layout, any device. Never modified. Of a sparse array the stored entries are the
        edges, stored zeros too.
    mask : array or tensor of shape ``(m, n)``, optional
        True (or 1) where the edge exists. Default: everywhere. Not together with a sparse array, which says so itself.

    Returns
    -------
    SpanningForest

    Raises
    ------
    ValueError
        Weights that are not a non-empty matrix of finite real numbers, or a mask that does not fit them.

    Notes
    -----
    Large layers are read once: Kruskal's algorithm, by scipy, gets only the heaviest few edges, and Borůvka's joins the
    neurons that are left over. A tensor on another device is copied to the host. See :mod:`zimp.spanning`.

    Examples
    --------
    >>> import zimp
    >>> forest = zimp.spanning_forest([[0.9, -0.2], [0.1, 0.5], [-0.8, 0.3]])
    >>> [(int(i), int(j)) for i, j in zip(forest.rows, forest.cols)]
    [(0, 0), (2, 0), (1, 1), (2, 1)]
    >>> forest.values.tolist(), forest.n_components
    ([0.9, 0.8, 0.5, 0.3], 1)
    """
    return forest_of(_given(weights, mask))


def _given(weights, mask) -> Layer:
    if isinstance(weights, SpanningForest):
        raise ValueError("weights is a SpanningForest already; this function needs the weights of the layer")
    return as_layer(weights, mask)


def forest_of(layer: Layer) -> SpanningForest:
    """:func:`spanning_forest` of a validated layer."""
    return _forest(*_spanning(layer))


def forest_and_safe_density(layer: Layer) -> tuple[SpanningForest, float]:
    """Compute :func:`spanning_forest` and :func:`safe_density` of a validated layer together."""
    found, edges, keys = _spanning(layer)
    counted = found.rank(int(edges[-1]), int(keys[-1])) if len(edges) else 0
    return _forest(found, edges, keys), counted / math.prod(found.shape)


def _spanning(layer: Layer):
    found = magnitudes(layer)
    edges, keys = spanning_edges(found)
    # The heaviest edge is in the forest, so it shows whether all are finite; but for weights whose edges do not exist.
    if (len(keys) and keys[0] >= found.infinity) or (layer.mask is not None and not found.are_finite()):
        check_layer_finite(layer)
    return found, edges, keys


def _forest(found, edges, keys) -> SpanningForest:
    m, n = found.shape
    rows, cols = np.divmod(edges, n)
    values = found.values(keys)
    scale = float(values[0]) if len(values) else 0.0
    return SpanningForest(_frozen(rows), _frozen(cols), _frozen(values), (m, n), scale, m + n - len(values))


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def persistence_diagram(weights, mask=None, *, essential=True, scale=None) -> np.ndarray:
    """The H0 persistence diagram of a layer, in the distance form of ripser and persim.

    Every neuron is born at 0; a component dies at distance ``1 - |w| / scale`` of the edge that merges it into another.

    Parameters
    ----------
    weights : array or tensor of shape ``(m, n)``, or SpanningForest
    mask : array or tensor of shape ``(m, n)``, optional
        True where the edge exists. Not together with a forest, which has its own.
    essential : bool
        Whether to append the pairs ``(0, inf)``, one for each component that never dies.
    scale : float, optional
        The unit, what ``|w|`` is divided by. Default: the layer's own maximum, so that a layer and its double have one
        diagram; to compare diagrams across layers or levels give all of them the same scale.

    Returns
    -------
    float64 array of shape ``(m + n, 2)``, or ``(m + n - n_components, 2)`` without the essential pairs
        Deaths ascending.

    Raises
    ------
    ValueError
        As :func:`spanning_forest`, and for a scale below the layer's maximum.

    Examples
    --------
    >>> import zimp
    >>> zimp.persistence_diagram([[1.0, -0.5], [0.25, 0.75]]).tolist()
    [[0.0, 0.0], [0.0, 0.25], [0.0, 0.5], [0.0, inf]]
    >>> zimp.persistence_diagram([[1.0, -0.5], [0.25, 0.75]], scale=2).tolist()
    [[0.0, 0.5], [0.0, 0.625], [0.0, 0.75], [0.0, inf]]
    """
    forest = _as_forest(weights, mask)
    deaths = 1 - _in_unit(forest, scale)
    if essential:
        deaths = np.append(deaths, np.full(forest.n_components, np.inf))
    return np.column_stack([np.zeros_like(deaths), deaths])


def betti_curve(weights, thresholds, mask=None, *, scale=None) -> np.ndarray:
    """Number of components of the superlevel graph ``{|w| / scale >= t}`` for each threshold ``t``.

    Parameters
    ----------
    weights : array or tensor of shape ``(m, n)``, or SpanningForest
    thresholds : float or array of floats
        In units of ``scale``, compared with ``|w| / scale`` in float64; above 1 no edge is left, at 0 or below all are
        there.
    mask : array or tensor of shape ``(m, n)``, optional
    scale : float, optional
        As :func:`persistence_diagram`.

    Returns
    -------
    int64 array of the shape of ``thresholds``

    Raises
    ------
    ValueError
        As :func:`persistence_diagram`, and for a threshold that is NaN or no real number.

    Examples
    --------
    >>> import zimp
    >>> zimp.betti_curve([[1.0, -0.5], [0.25, 0.75]], [1.0, 0.8, 0.6, 0.4]).tolist()
    [3, 3, 2, 1]
    """
    thresholds = to_numpy(thresholds, "thresholds")
    if thresholds.dtype.kind not in "iuf":
        raise ValueError(f"thresholds have dtype {thresholds.dtype}; a threshold is a number such as 0.5")
    thresholds = thresholds.astype(np.float64)
    if np.isnan(thresholds).any():
        raise ValueError("thresholds contain NaN; a threshold is a number such as 0.5")
    forest = _as_forest(weights, mask)
    merges = np.searchsorted(-_in_unit(forest, scale), -thresholds, side="right")  # edges with a >= t
    return np.asarray(sum(forest.shape) - merges, dtype=np.int64)


def count_components(mask) -> int:
    """Components of the graph whose edges are the true entries of ``mask``, isolated neurons included.

    Parameters
    ----------
    mask : array or tensor of shape ``(m, n)``

    Returns
    -------
    int
        ``beta0`` of the pruned layer.

    Raises
    ------
    ValueError
        As :func:`spanning_forest`.

    Examples
    --------
    >>> import zimp
    >>> zimp.count_components([[True, False], [False, True], [False, False]])
    3
    """
    mask = to_numpy(mask, "mask")
    if mask.ndim != 2 or mask.size == 0:
        raise ValueError(f"mask has shape {mask.shape}; a layer is a non-empty matrix (outputs, inputs)")
    return int(connected_components(_as_graph(as_mask(mask, mask.shape)), directed=False, return_labels=False))


def _as_graph(mask: np.ndarray) -> coo_array:
    """The graph on ``m + n`` vertices, outputs first."""
    m, n = mask.shape
    rows, cols = np.nonzero(mask)
    return coo_array((np.ones(len(rows)), (rows, m + cols)), shape=(m + n, m + n))


def safe_density(weights, mask=None) -> float:
    """The lowest density at which magnitude pruning still preserves the H0 of a layer.

    It keeps the heaviest weights, so H0 is intact until the lightest edge of the spanning forest goes.

    Parameters
    ----------
    weights : array or tensor of shape ``(m, n)``
    mask : array or tensor of shape ``(m, n)``, optional
        True where the edge exists.

    Returns
    -------
    float
        Share of all ``m n`` weights, those counted that come no later than that edge: from heavy to light, and in
        row-major order among equals.

    Raises
    ------
    ValueError
        As :func:`spanning_forest`.

    Examples
    --------
    >>> import zimp
    >>> zimp.safe_density([[0.9, 0.7], [0.2, 0.1], [0.8, 0.6]])  # the tree needs 0.2, the fifth of six weights
    0.8333333333333334
    """
    return forest_and_safe_density(_given(weights, mask))[1]


def neural_persistence(weights, mask=None, *, p=2, convention="rieck", normalized=True, scale=None) -> float:
    """Neural persistence of a layer: the p-norm of its H0 persistences, in one of the two published conventions.

    With ``S = sum of (1 - a_e)**p`` over the edges of the forest and ``c`` components:

    * ``"rieck"``: ``(c + S)**(1/p)``, each survivor counting as the pair (1, 0); normalised by ``(m + n - 1)**(1/p)``.
    * ``"balwani"``: ``S**(1/p)``, survivors left out; normalised by ``(m + n - 2)**(1/p)``.

    Parameters
    ----------
    weights : array or tensor of shape ``(m, n)``, or SpanningForest
    mask : array or tensor of shape ``(m, n)``, optional
    p : float
        Order of the norm, at least 1.
    convention : {"rieck", "balwani"}
    normalized : bool
    scale : float, optional
        What ``|w|`` is divided by. Default: the layer's own maximum, as in ``"balwani"``. Rieck et al. divide by the
        maximum of the whole network: pass that.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        As :func:`spanning_forest`, and for an unknown convention, ``p`` below 1, or a scale below the layer's maximum.

    References
    ----------
    Rieck et al. 2019 (ICLR) for ``"rieck"``, there with ``c = 1``; we count all ``c``, so that a pruned weight and a
    stored zero give the same value. Balwani & Krzyston 2022, their code, for ``"balwani"``.

    Examples
    --------
    >>> import zimp
    >>> round(zimp.neural_persistence([[-1.0] * 4] * 2), 10)
    0.4472135955
    """
    forest = _as_forest(weights, mask)
    m, n = forest.shape
    check_choice("convention", convention, ("rieck", "balwani"))
    p = number("p", p)
    if not 1 <= p < np.inf:
        raise ValueError(f"p={p} must be a finite number of at least 1; the usual choice is 2")
    persistences = 1 - _in_unit(forest, scale)
    if convention == "rieck":
        largest, essential, normaliser = 1.0, forest.n_components, m + n - 1
    else:  # in units of the largest, whose powers do not underflow
        largest, essential, normaliser = persistences.max(initial=0.0) or 1.0, 0, m + n - 2
    total = essential + float(np.sum((persistences / largest) ** p))
    if normalized and normaliser == 0:
        raise ValueError("convention='balwani' divides by m + n - 2, which is 0 for a 1x1 layer; use normalized=False")
    return float(largest * (total / (normaliser if normalized else 1)) ** (1 / p))


class TreeOverlap(NamedTuple):
    """How far two spanning forests of one layer agree.

    Attributes
    ----------
    share : float
        Of the edges of the first that are in the second; 1 if it has none.
    chance : float
        Mean probability of the second's edges in a uniform spanning forest: the share to expect of a random one.
    corrected : float
        ``(share - chance) / (1 - chance)``: 0 as by chance, 1 for the same edges; NaN where ``chance`` is 1.
    """

    share: float
    chance: float
    corrected: float


def tree_overlap(a, b, mask=None) -> TreeOverlap:
    """Share of the edges of one forest that are in another, beside the share that chance alone would give.

    Parameters
    ----------
    a, b : SpanningForest
        Of layers of one shape, such as one layer at two levels, or of two seeds.
    mask : array or tensor of shape ``(m, n)``, optional
        Which edges exist for both. Default: all, of which each is in a uniform spanning tree with probability
        ``(m + n - 1) / (m n)``.

    Returns
    -------
    TreeOverlap
        Of numbers ``share``, ``chance`` and ``corrected``.

    Raises
    ------
    ValueError
        For what is no forest, forests of different shapes, and forests with edges outside the mask.

    References
    ----------
    Kirchhoff 1847: an edge is in a uniform spanning tree with a probability that is its effective resistance, the graph
    taken as a network of unit resistors. With a mask this solves a linear system as large as the layer's smaller side.

    Examples
    --------
    >>> import zimp
    >>> a, b = zimp.spanning_forest([[3.0, 2.0], [1.0, 0.5]]), zimp.spanning_forest([[3.0, 0.5], [1.0, 2.0]])
    >>> overlap = zimp.tree_overlap(a, b)
    >>> round(overlap.share, 3), overlap.chance, round(overlap.corrected, 3)
    (0.667, 0.75, -0.333)
    """
    for name, forest in (("a", a), ("b", b)):
        if not isinstance(forest, SpanningForest):
            raise ValueError(f"{name} is a {type(forest).__name__}, not a zimp.SpanningForest; give spanning_forest(w)")
    if a.shape != b.shape:
        raise ValueError(
            f"a belongs to a layer of shape {a.shape}, but b to one of shape {b.shape}; "
            "both must be forests of the same layer"
        )
    mask = as_mask(mask, a.shape)
    share = float(b.mask[a.rows, a.cols].mean()) if len(a) else 1.0
    if mask is None:
        chance = (sum(b.shape) - 1) / math.prod(b.shape)
    else:
        for name, forest in (("a", a), ("b", b)):
            if not mask[forest.rows, forest.cols].all():
                raise ValueError(f"{name} has edges that are not in the mask; were they grown in another graph?")
        chance = float(_resistances(mask)[b.rows, b.cols].mean()) if len(b) else 1.0
    return TreeOverlap(share, chance, (share - chance) / (1 - chance) if chance < 1 - 1e-12 else math.nan)


def _resistances(mask: np.ndarray) -> np.ndarray:
    """The effective resistance of each edge of the mask."""
    if mask.shape[0] > mask.shape[1]:
        return _resistances(mask.T).T
    m, n = mask.shape
    edges = mask.astype(np.float64)
    degrees = np.maximum(edges.sum(axis=0), 1)  # of inputs; those without an edge are in no pair
    _, piece = connected_components(_as_graph(mask), directed=False)
    _, first = np.unique(piece[:m], return_index=True)  # one output of each component is tied to the ground
    grounded = edges.sum(axis=1)
    grounded[first] += 1
    potentials = np.linalg.inv(np.diag(grounded) - (edges / degrees) @ edges.T)  # the inputs eliminated
    mixed = potentials @ (edges / degrees)
    inputs = 1 / degrees + ((edges / degrees) * mixed).sum(axis=0)
    return np.diag(potentials)[:, None] + inputs - 2 * mixed


def _in_unit(forest: SpanningForest, scale) -> np.ndarray:
    """``|w|`` of the forest's edges divided by the scale, or by the layer's own maximum if the scale is None."""
    if scale is None:
        return forest.relative_values
    scale = number("scale", scale)
    if not forest.scale <= scale < np.inf or scale == 0:
        raise ValueError(
            f"scale={scale} is not a positive number of at least the layer's largest |w| ({forest.scale:.6g}); "
            "pass the maximum over the whole network, of absolute values"
        )
    return forest.values / scale


def _as_forest(weights, mask) -> SpanningForest:
    if not isinstance(weights, SpanningForest):
        return spanning_forest(weights, mask)
    if mask is not None:
        raise ValueError("mask was given together with a SpanningForest; build the forest with the mask instead")
    return weights
