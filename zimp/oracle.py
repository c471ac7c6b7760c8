"""The H0 diagram from two independent libraries, ripser and GUDHI.

They compute persistent homology in all dimensions. In dimension 0 both join components by union-find, as Kruskal's
algorithm does, so that they agree with :func:`zimp.persistence_diagram` is evidence for our program. That deaths are
those of the reduced boundary matrix is checked in the book and in the tests.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array

from .checks import as_mask, as_matrix
from .topology import SpanningForest, persistence_diagram

__all__ = ["ripser_diagram", "gudhi_diagram", "cross_check"]


def ripser_diagram(weights, mask=None) -> np.ndarray:
    """H0 diagram of a layer by ripser, in the form of :func:`zimp.persistence_diagram`, to float32 precision.

    Three of ripser's habits are met here: it drops pairs of zero persistence, so every distance is raised by 1 on the
    way in and lowered on the way out; it reads only the upper triangle of a sparse matrix, so inputs are numbered after
    outputs; and it computes in float32.

    Parameters
    ----------
    weights, mask
        As :func:`zimp.spanning_forest`, but no sparse array.

    Returns
    -------
    float64 array of shape ``(m + n, 2)``

    Raises
    ------
    ValueError
        As :func:`zimp.spanning_forest`.

    References
    ----------
    Bauer 2021 (Ripser); Tralie, Saul & Bar-On 2018 (ripser.py).

    Examples
    --------
    >>> import zimp
    >>> zimp.ripser_diagram([[1.0, -0.5], [0.25, 0.75]]).tolist()
    [[0.0, 0.0], [0.0, 0.25], [0.0, 0.5], [0.0, inf]]
    """
    from ripser import ripser

    rows, cols, distances, (m, n) = _distances(weights, mask)
    graph = coo_array((1 + distances, (rows, m + cols)), shape=(m + n, m + n))
    deaths = ripser(graph.tocsr(), distance_matrix=True, maxdim=0)["dgms"][0][:, 1]
    return _diagram(deaths.astype(np.float64) - 1)


def gudhi_diagram(weights, mask=None) -> np.ndarray:
    """H0 diagram of a layer by GUDHI's simplex tree, in the form of :func:`zimp.persistence_diagram`.

    Parameters
    ----------
    weights, mask
        As :func:`zimp.spanning_forest`, but no sparse array.

    Returns
    -------
    float64 array of shape ``(m + n, 2)``

    Raises
    ------
    ValueError
        As :func:`zimp.spanning_forest`.
    ImportError
        Where GUDHI is not installed.

    Examples
    --------
    >>> import zimp
    >>> zimp.gudhi_diagram([[1.0, -0.5], [0.25, 0.75]]).tolist()
    [[0.0, 0.0], [0.0, 0.25], [0.0, 0.5], [0.0, inf]]
    """
    try:
        from gudhi import SimplexTree
    except ImportError:
        raise ImportError('gudhi_diagram needs GUDHI: pip install gudhi, or pip install "zimp[book]"') from None

    rows, cols, distances, (m, n) = _distances(weights, mask)
    complex_ = SimplexTree()
    complex_.insert_batch(np.arange(m + n).reshape(1, -1), np.zeros(m + n))
    complex_.insert_batch(np.stack([rows, m + cols]), distances)
    # -1: keep pairs of zero persistence; True: dimension 0 counts even where no edge is left
    complex_.compute_persistence(min_persistence=-1, persistence_dim_max=True)
    return _diagram(complex_.persistence_intervals_in_dimension(0)[:, 1])


def cross_check(weights, mask=None) -> dict[str, float]:
    """Compare the diagrams of ``zimp``, ripser and GUDHI as multisets.

    Parameters
    ----------
    weights, mask
        As :func:`zimp.spanning_forest`, but no sparse array.

    Returns
    -------
    dict
        For ``"ripser"`` and ``"gudhi"`` the largest difference of a death from ``zimp``'s, inf if the diagrams differ
        in their numbers of finite or essential pairs. Ripser's float32 leaves up to about 1e-7.

    Raises
    ------
    ValueError
        As :func:`zimp.spanning_forest`.

    Examples
    --------
    >>> import zimp
    >>> zimp.cross_check([[1.0, -0.5], [0.25, 0.75]])
    {'ripser': 0.0, 'gudhi': 0.0}
    """
    ours = persistence_diagram(weights, mask)[:, 1]
    theirs = {"ripser": ripser_diagram(weights, mask)[:, 1], "gudhi": gudhi_diagram(weights, mask)[:, 1]}
    return {name: _difference(ours, deaths) for name, deaths in theirs.items()}


def _difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    if len(ours) != len(theirs) or (np.isinf(ours) != np.isinf(theirs)).any():
        return float("inf")
    finite = np.isfinite(ours)
    return float(np.abs(ours[finite] - theirs[finite]).max(initial=0.0))


def _distances(weights, mask):
    """Every edge with its distance ``1 - |w| / scale``, straight from the definition."""
    if isinstance(weights, SpanningForest):
        raise ValueError("weights is a SpanningForest already; this function needs the weights of the layer")
    weights = as_matrix(weights)
    mask = as_mask(mask, weights.shape)
    rows, cols = np.nonzero(np.ones(weights.shape, dtype=bool) if mask is None else mask)
    magnitude = np.abs(weights[rows, cols]).astype(np.float64)
    scale = magnitude.max(initial=0.0)
    distances = 1 - magnitude / scale if scale > 0 else np.ones_like(magnitude)
    return rows, cols, distances, weights.shape


def _diagram(deaths: np.ndarray) -> np.ndarray:
    deaths = np.sort(deaths)
    return np.column_stack([np.zeros_like(deaths), deaths])
