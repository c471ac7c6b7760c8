"""Zeroth-order persistent homology of one layer: the maximum spanning forest and what is read off it.

A layer with weights ``W`` of shape ``(m, n)`` (outputs, inputs; as ``torch.nn.Linear.weight``) is a bipartite graph
on ``m + n`` vertices whose edge ``(i, j)`` weighs ``a[i, j] = |W[i, j]| / max |W|``. Add the edges from heavy to
light: components merge, and the edges that merge two of them are the edges of the maximum spanning forest. Everything
in this module is read off that forest.

A mask says which edges exist. A pruned weight is an edge that is *absent*; a stored zero is an edge of weight 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import coo_array, csr_array, issparse
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

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
    Kruskal's algorithm is done once the layer is connected, and the heaviest few edges usually do that. So scipy builds
    the tree of those, and of four times as many where they were too few.

    Examples
    --------
    >>> import zimp
    >>> forest = zimp.spanning_forest([[0.9, -0.2], [0.1, 0.5], [-0.8, 0.3]])
    >>> [(int(i), int(j)) for i, j in zip(forest.rows, forest.cols)]
    [(0, 0), (2, 0), (1, 1), (2, 1)]
    >>> forest.values.tolist(), forest.n_components
    ([0.9, 0.8, 0.5, 0.3], 1)
    """
    return _forest(*_edges(weights, mask))


def _forest(shape, edges, magnitude) -> SpanningForest:
    m, n = shape
    enough = int((m + n) * np.log(m + n + 1))  # what connects a layer of independent weights, see connectivity_density
    while enough < len(edges):
        threshold = np.partition(magnitude, len(edges) - enough)[len(edges) - enough]
        heavy = np.flatnonzero(magnitude >= threshold)  # ">=": all edges that tie, so that this is a superlevel set
        picked = _kruskal(edges[heavy], magnitude[heavy], m, n)
        if len(picked) == m + n - 1:
            heavy = heavy[picked]
            break
        enough *= 4
    else:
        heavy = _kruskal(edges, magnitude, m, n)

    values = magnitude[heavy].astype(np.float64)
    rows, cols = np.divmod(edges[heavy], n)
    scale = float(values[0]) if len(values) else 0.0
    return SpanningForest(_frozen(rows), _frozen(cols), _frozen(values), (m, n), scale, m + n - len(values))


def _edges(weights, mask) -> tuple[tuple[int, int], np.ndarray, np.ndarray]:
    """Shape of the layer, its edges as ascending flat indices (int64), and their ``|w|``."""
    if issparse(weights):
        return _sparse_edges(weights, mask)
    weights = as_matrix(weights)
    mask = as_mask(mask, weights.shape)
    magnitude = np.abs(weights).ravel()
    if mask is None:
        return weights.shape, np.arange(weights.size), magnitude
    edges = np.flatnonzero(mask)
    return weights.shape, edges, magnitude[edges]


def _sparse_edges(weights, mask):
    if mask is not None:
        raise ValueError("mask was given together with a sparse array; its stored entries are the edges already")
    if weights.ndim != 2 or 0 in weights.shape:
        raise ValueError(f"weights have shape {weights.shape}; a layer is a non-empty matrix (outputs, inputs)")
    weights = csr_array(weights)
    if not weights.has_canonical_format:
        raise ValueError("the sparse array has entries twice or out of order; call its sum_duplicates() first")
    m, n = weights.shape
    magnitude = np.abs(as_real(weights.data))
    if not np.isfinite(magnitude).all():
        raise ValueError("a stored entry of the sparse array is not finite; did the training diverge?")
    rows = np.repeat(np.arange(m, dtype=np.int64), np.diff(weights.indptr))
    return (m, n), rows * n + weights.indices, magnitude


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def _kruskal(edges: np.ndarray, magnitude: np.ndarray, m: int, n: int) -> np.ndarray:
    """Positions, heaviest first, of the forest's edges among ``edges`` (flat indices in ascending order).

    Scipy's minimum spanning tree is given ranks, not weights: ranks are distinct, so the tree is unique, and start at
    1, because scipy takes a stored zero for "no edge".
    """
    descending = np.argsort(-magnitude, kind="stable")
    ranks = np.arange(1, len(edges) + 1, dtype=np.float64)
    rows, cols = np.divmod(edges[descending], n)
    graph = coo_array((ranks, (rows, m + cols)), shape=(m + n, m + n)).tocsr()
    kept = np.sort(minimum_spanning_tree(graph).data).astype(np.int64) - 1
    return descending[kept]


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
        As :func:`spanning_forest`, and for a threshold that is NaN.

    Examples
    --------
    >>> import zimp
    >>> zimp.betti_curve([[1.0, -0.5], [0.25, 0.75]], [1.0, 0.8, 0.6, 0.4]).tolist()
    [3, 3, 2, 1]
    """
    thresholds = np.asarray(to_numpy(thresholds), dtype=np.float64)
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
    (m, n), edges, magnitude = _edges(weights, mask)
    forest = _forest((m, n), edges, magnitude)
    if len(forest) == 0:
        return 0.0
    last = forest.rows[-1] * n + forest.cols[-1]  # lightest, and of those the last in row-major order
    heavier, equal = magnitude > forest.values[-1], magnitude == forest.values[-1]
    return float(np.count_nonzero(heavier | (equal & (edges <= last)))) / (m * n)


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
    if convention not in ("rieck", "balwani"):
        raise ValueError(f"convention={convention!r} is unknown; it is 'rieck' or 'balwani'")
    p, scale = float(p), None if scale is None else float(scale)
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


def as_matrix(weights) -> np.ndarray:
    """``weights`` as a finite numpy matrix that compares exactly as the original does; the door of this package.

    A view where it can be, so not to be written to.
    """
    if isinstance(weights, SpanningForest):
        raise ValueError("weights is a SpanningForest already; this call needs the layer itself")
    weights = as_real(weights)
    if weights.size == 0:
        raise ValueError(f"weights have shape {weights.shape}; a layer needs at least one output and one input")
    if weights.ndim != 2:
        raise ValueError(
            f"weights have shape {weights.shape}; a layer is a matrix (outputs, inputs). "
            "A convolution becomes one with zimp.layer_graph"
        )
    if not np.isfinite(weights).all():
        row, col = np.argwhere(~np.isfinite(weights))[0]
        raise ValueError(
            f"weights[{row}, {col}] is {weights[row, col]}; all weights must be finite. Did the training diverge?"
        )
    return weights


def as_real(weights) -> np.ndarray:
    """``weights`` as a numpy array of floats, of any shape. Integers are widened, which changes no order."""
    weights = to_numpy(weights)
    if weights.dtype.kind in "iu":
        if weights.size and max(int(weights.max()), -int(weights.min())) > 2**53:
            raise ValueError("integer weights above 2**53 are not exact as floats; divide them by a common factor")
        weights = weights.astype(np.float64)
    if weights.dtype.kind != "f" or weights.dtype.itemsize > 8:
        raise ValueError(
            f"weights have dtype {weights.dtype}; a layer's weights are real numbers of at most 64 bits "
            "(a mask goes into the argument mask)"
        )
    return weights


def as_mask(mask, shape: tuple[int, ...]) -> np.ndarray | None:
    """``mask`` as a boolean numpy array of ``shape``, or None if there is none."""
    if mask is None:
        return None
    mask = to_numpy(mask)
    if mask.shape != tuple(shape):
        raise ValueError(f"mask has shape {mask.shape}, the weights have {tuple(shape)}; a mask has one entry a weight")
    if mask.dtype != bool:
        if not np.isin(mask, (0, 1)).all():
            raise ValueError("mask has entries other than 0 and 1; it says which weights exist, not how large they are")
        mask = mask.astype(bool)
    return mask


def to_numpy(array) -> np.ndarray:
    """A numpy array with the entries of ``array``: of any array-like, or of a torch tensor on any device."""
    if hasattr(array, "detach"):  # a torch tensor, recognised without importing torch
        array = array.detach().cpu()
        array = array.float().numpy() if "bfloat16" in str(array.dtype) else array.numpy()
    return np.asarray(array)


def _as_forest(weights, mask) -> SpanningForest:
    if not isinstance(weights, SpanningForest):
        return spanning_forest(weights, mask)
    if mask is not None:
        raise ValueError("mask was given together with a SpanningForest; build the forest with the mask instead")
    return weights
