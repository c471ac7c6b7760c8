"""Zeroth-order persistent homology of one layer: the maximum spanning forest and what is read off it.

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

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .checks import as_mask, check_choice, not_finite, number, to_numpy
from .spanning import magnitudes, spanning_edges

__all__ = [
    "SpanningForest",
    "spanning_forest",
    "persistence_diagram",
    "betti_curve",
    "count_components",
    "safe_density",
    "neural_persistence",
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
    weights : array or tensor of shape ``(m, n)``, or scipy sparse array
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
    return _forest(*_spanning_edges(weights, mask))


def _spanning_edges(weights, mask):
    refuse_forest(weights)
    layer = magnitudes(weights, mask)
    edges, keys = spanning_edges(layer)
    # The heaviest edge is in the forest, so it shows whether all are finite; but for weights whose edges do not exist.
    if (len(keys) and keys[0] >= layer.infinity) or (mask is not None and not layer.are_finite()):
        raise not_finite(weights)
    return layer, edges, keys


def _forest(layer, edges, keys) -> SpanningForest:
    m, n = layer.shape
    rows, cols = np.divmod(edges, n)
    values = layer.values(keys)
    scale = float(values[0]) if len(values) else 0.0
    return SpanningForest(_frozen(rows), _frozen(cols), _frozen(values), (m, n), scale, m + n - len(values))


def forest_and_safe_density(weights, mask=None) -> tuple[SpanningForest, float]:
    """What :func:`spanning_forest` and :func:`safe_density` give, at once."""
    layer, edges, keys = _spanning_edges(weights, mask)
    counted = layer.rank(int(edges[-1]), int(keys[-1])) if len(edges) else 0
    return _forest(layer, edges, keys), counted / math.prod(layer.shape)


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def persistence_diagram(weights, mask=None, *, essential=True) -> np.ndarray:
    """The H0 persistence diagram of a layer, in the distance form of ripser and persim.

    Every neuron is born at 0; a component dies at distance ``1 - |w| / scale`` of the edge that merges it into another.

    Parameters
    ----------
    weights : array or tensor of shape ``(m, n)``, or SpanningForest
    mask : array or tensor of shape ``(m, n)``, optional
        True where the edge exists. Not together with a forest, which has its own.
    essential : bool
        Whether to append the pairs ``(0, inf)``, one for each component that never dies.

    Returns
    -------
    float64 array of shape ``(m + n, 2)``, or ``(m + n - n_components, 2)`` without the essential pairs
        Deaths ascending.

    Raises
    ------
    ValueError
        As :func:`spanning_forest`.

    Examples
    --------
    >>> import zimp
    >>> zimp.persistence_diagram([[1.0, -0.5], [0.25, 0.75]]).tolist()
    [[0.0, 0.0], [0.0, 0.25], [0.0, 0.5], [0.0, inf]]
    """
    forest = _as_forest(weights, mask)
    deaths = 1 - forest.relative_values
    if essential:
        deaths = np.append(deaths, np.full(forest.n_components, np.inf))
    return np.column_stack([np.zeros_like(deaths), deaths])


def betti_curve(weights, thresholds, mask=None) -> np.ndarray:
    """Number of components of the superlevel graph ``{|w| / scale >= t}`` for each threshold ``t``.

    Parameters
    ----------
    weights : array or tensor of shape ``(m, n)``, or SpanningForest
    thresholds : float or array of floats
        In units of the layer's largest ``|w|``, compared with ``|w| / scale`` in float64; above 1 no edge is left, at 0
        or below all are there.
    mask : array or tensor of shape ``(m, n)``, optional

    Returns
    -------
    int64 array of the shape of ``thresholds``

    Raises
    ------
    ValueError
        As :func:`spanning_forest`, and for a threshold that is NaN or no real number.

    Examples
    --------
    >>> import zimp
    >>> zimp.betti_curve([[1.0, -0.5], [0.25, 0.75]], [1.0, 0.8, 0.6, 0.4]).tolist()
    [3, 3, 2, 1]
    """
    thresholds = to_numpy(thresholds)
    if thresholds.dtype.kind not in "iuf":
        raise ValueError(f"thresholds have dtype {thresholds.dtype}; a threshold is a number such as 0.5")
    thresholds = thresholds.astype(np.float64)
    if np.isnan(thresholds).any():
        raise ValueError("thresholds contain NaN; a threshold is a number such as 0.5")
    forest = _as_forest(weights, mask)
    merges = np.searchsorted(-forest.relative_values, -thresholds, side="right")  # edges with a >= t
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
    mask = to_numpy(mask)
    if mask.ndim != 2 or mask.size == 0:
        raise ValueError(f"mask has shape {mask.shape}; a layer is a non-empty matrix (outputs, inputs)")
    m, n = mask.shape
    rows, cols = np.nonzero(as_mask(mask, mask.shape))
    graph = coo_array((np.ones(len(rows)), (rows, m + cols)), shape=(m + n, m + n))
    return int(connected_components(graph, directed=False, return_labels=False))


def safe_density(weights, mask=None) -> float:
    """The density down to which magnitude pruning leaves the H0 of a layer as it is.

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
    return forest_and_safe_density(weights, mask)[1]


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
    p, scale = number("p", p), None if scale is None else number("scale", scale)
    if not 1 <= p < np.inf:
        raise ValueError(f"p={p} is not a finite number of at least 1; the usual choice is 2")
    if scale is None:
        persistences = 1 - forest.relative_values
    elif not forest.scale <= scale < np.inf or scale == 0:
        raise ValueError(
            f"scale={scale} is not a positive number of at least the layer's largest |w| ({forest.scale:.6g}); "
            "pass the maximum over the whole network, of absolute values"
        )
    else:
        persistences = 1 - forest.values / scale
    total = float(np.sum(persistences**p))
    if convention == "rieck":
        total, normaliser = forest.n_components + total, m + n - 1
    else:
        normaliser = m + n - 2
    if not normalized:
        return total ** (1 / p)
    if normaliser == 0:
        raise ValueError("convention='balwani' divides by m + n - 2, which is 0 for a 1x1 layer; use normalized=False")
    return (total / normaliser) ** (1 / p)


def _as_forest(weights, mask) -> SpanningForest:
    if not isinstance(weights, SpanningForest):
        return spanning_forest(weights, mask)
    if mask is not None:
        raise ValueError("mask was given together with a SpanningForest; build the forest with the mask instead")
    return weights


def refuse_forest(weights):
    """For the calls that need the layer, of which a forest is too little."""
    if isinstance(weights, SpanningForest):
        raise ValueError("weights is a SpanningForest already; this call needs the layer itself")
