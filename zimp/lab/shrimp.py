"""SHRIMP: random features that see few variables each, fitted by least squares and pruned by magnitude.

A network of two layers of which only the second is fitted, so that pruning needs no rewinding: the problem is convex,
and each level is solved again from the start. Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from scipy.linalg import cho_factor, cho_solve, lstsq

from ..checks import as_list, check_count, check_finite, check_rate, check_seed, is_sparse, number, to_numpy

__all__ = ["RIDGES", "Path", "Shrimp", "inner_weights", "least_squares", "prune_path", "random_features", "shrimp"]

RIDGES = tuple(10.0**power for power in range(-12, 1, 2))  # among which validation chooses


@dataclass(frozen=True, eq=False)
class Shrimp:
    """A fitted model, and how pruning led to it.

    Attributes
    ----------
    order, ridge : int and float
        As given, or as validation chose them.
    kept : int array of shape ``(levels + 1,)``
        Outer weights at each level, from all of them down to one.
    train_error, validation_error : float array of shape ``(levels + 1,)``
        Mean squared errors, of fits without the validation points.
    best : int
        The level of least validation error.
    inner : float array of shape ``(features, variables)``
        Inner weights. Column ``k`` of the features is the cosine of row ``k``, column ``features + k`` its sine.
    gone : int array of shape ``(2 * features,)``
        For each column the first level without it; ``len(kept)`` for the one that is never pruned.
    outer : float array of shape ``(2 * features,)``
        Outer weights of the best level, fitted again to all points; 0 where they are pruned.
    """

    order: int
    ridge: float
    kept: np.ndarray
    train_error: np.ndarray
    validation_error: np.ndarray
    best: int
    inner: np.ndarray
    gone: np.ndarray
    outer: np.ndarray

    def predict(self, x) -> np.ndarray:
        """Return the values of the model.

        Parameters
        ----------
        x : array of shape ``(points, variables)``

        Returns
        -------
        float array of shape ``(points,)``

        Raises
        ------
        ValueError
            For points of other variables, or values that are not finite.
        """
        x = _as_points(x)
        if x.shape[1] != self.inner.shape[1]:
            raise ValueError(
                f"x has {x.shape[1]} variables, but the model was fitted to {self.inner.shape[1]}; "
                "give the same columns in the same order"
            )
        return random_features(x, self.inner) @ self.outer

    def variable_graph(self) -> np.ndarray:
        """Return the graph of the variables: two are joined if a feature that is left sees both.

        Returns
        -------
        float array of shape ``(variables, variables)``
            Symmetric. The weight of a pair is the norm of the outer weights of all features that see both variables;
            on the diagonal stands that of all features that see the variable, so no edge of it is heavier.

        Examples
        --------
        >>> import numpy as np, zimp
        >>> x = np.random.default_rng(0).uniform(-1, 1, (200, 4))
        >>> model = zimp.shrimp(x, x[:, 0] * x[:, 1] + x[:, 2] * x[:, 3], order=2, ridge=1e-6, features=300)
        >>> graph = model.variable_graph()
        >>> bool(min(graph[0, 1], graph[2, 3]) > 5 * max(graph[0, 2], graph[0, 3], graph[1, 2], graph[1, 3]))
        True
        """
        return pair_norms(self.inner, self.outer)


@dataclass(frozen=True, eq=False)
class Path:
    """What :func:`prune_path` did; all as in :class:`Shrimp`."""

    kept: np.ndarray
    train_error: np.ndarray
    validation_error: np.ndarray
    gone: np.ndarray

    @property
    def best(self) -> int:
        """The level of least validation error."""
        return int(np.argmin(self.validation_error))


def shrimp(x, y, *, order, features=1000, rate=0.2, ridge=1e-10, seed=0) -> Shrimp:
    """Fit random features of few variables each, and prune their outer weights by magnitude.

    A tenth of the points, drawn at random, is for validation. At each level the share ``rate`` of the outer weights
    goes, the smallest, and the rest is fitted anew, until one is left. The level of least validation error is fitted
    again to all points.

    Parameters
    ----------
    x : array of shape ``(points, variables)``
        Variables on a scale of about 1, because the inner weights have a standard deviation of ``1 / sqrt(order)``.
    y : array of shape ``(points,)``
    order : int, or sequence of int
        How many variables each feature sees; of several orders validation chooses one.
    features : int
        Rows of inner weights. Each gives a cosine and a sine, hence two outer weights.
    rate : float
        Share of the outer weights that each level prunes.
    ridge : float or None
        The fit minimises the mean squared error plus ``ridge`` times the sum of squared outer weights; with 0 it is the
        least-squares fit of minimum norm. If None, validation chooses one of ``zimp.lab.shrimp.RIDGES``.
    seed : int
        Of the inner weights and of the split.

    Returns
    -------
    Shrimp

    Raises
    ------
    ValueError
        For an order below 1 or above the number of variables; values that are not finite; fewer than ten points, of
        which none would be left for validation; a constant ``y``; and what is no table of numbers.

    Notes
    -----
    The authors' code drops the ridge in the last fit, to all points; here a ``ridge`` above 0 stays. By default it
    prunes a quarter at a time and tries the orders 1 to 5. Features that cannot be divided evenly among all sets of
    variables go to random ones.

    References
    ----------
    Xie, Shi, Schaeffer & Ward 2022, as their code has it.

    Examples
    --------
    >>> import numpy as np, zimp
    >>> x = np.random.default_rng(0).uniform(-1, 1, (200, 4))
    >>> model = zimp.shrimp(x, x[:, 0] * x[:, 1], order=(1, 2), features=300)
    >>> model.order, bool(model.validation_error[model.best] < 1e-4)
    (2, True)
    """
    x, y = _as_points(x), _as_targets(y)
    if len(x) != len(y):
        raise ValueError(f"x has {len(x)} points and y has {len(y)}; each point needs one value")
    if len(x) < 10:
        raise ValueError(f"there are {len(x)} points; a tenth of them is for validation, so give at least 10")
    orders = as_list("order", order) if isinstance(order, Iterable) and not isinstance(order, str) else [order]
    orders = [check_count("order", one) for one in orders]
    if not orders or max(orders) > x.shape[1]:
        raise ValueError(f"order={order!r} must hold numbers of variables from 1 to {x.shape[1]}, the columns of x")
    features, rate, seed = check_count("features", features), check_rate(rate, "rate"), check_seed(seed)
    ridges = RIDGES if ridge is None else (_as_ridge(ridge),)

    shuffled = np.random.default_rng(seed).permutation(len(x))
    held_out, rest = np.split(shuffled, [len(x) // 10])
    best = None
    for one in orders:
        inner = inner_weights(x.shape[1], one, features, seed)
        columns = random_features(x, inner)
        for penalty in ridges:
            path = prune_path(columns[rest], y[rest], columns[held_out], y[held_out], rate=rate, ridge=penalty)
            if best is None or path.validation_error.min() < best[0]:
                best = path.validation_error.min(), one, penalty, path, inner, columns
    _, one, penalty, path, inner, columns = best
    left, outer = path.gone > path.best, np.zeros(2 * features)
    outer[left] = least_squares(columns[:, left], y, penalty)
    errors = path.kept, path.train_error, path.validation_error
    return Shrimp(one, penalty, *errors, path.best, inner, path.gone, outer)


def inner_weights(variables, order, features, seed=0) -> np.ndarray:
    """Inner weights, a matrix ``(features, variables)``: normal numbers for ``order`` variables in each row, else 0.

    If there are enough rows, every set of variables gets equally many of them, and random sets those left over;
    otherwise the set of each row is random, independent of the others.
    """
    draw = np.random.default_rng([seed, order])
    inner, sets = np.zeros((features, variables)), comb(variables, order)
    if sets <= features:
        chosen = np.array(list(combinations(range(variables), order)))
        more = draw.choice(sets, features % sets, replace=False)
        chosen = np.concatenate([np.repeat(chosen, features // sets, axis=0), chosen[more]])
    else:
        chosen = draw.random((features, variables)).argsort(axis=1)[:, :order]
    np.put_along_axis(inner, chosen, draw.normal(scale=order**-0.5, size=(features, order)), axis=1)
    return inner


def random_features(x, inner) -> np.ndarray:
    """Cosines, then sines, of ``x @ inner.T``, divided by the square root of the number of rows of ``inner``."""
    angles = x @ inner.T
    return np.hstack([np.cos(angles), np.sin(angles)]) / len(inner) ** 0.5


def least_squares(columns, y, ridge) -> np.ndarray:
    """Minimise the mean squared error plus ``ridge`` times the sum of squares; the least norm if ``ridge`` is 0."""
    points, width = columns.shape
    if ridge == 0:
        return lstsq(columns, y, check_finite=False)[0]
    small = columns.T @ columns if width <= points else columns @ columns.T
    small.flat[:: len(small) + 1] += points * ridge
    factor = cho_factor(small, overwrite_a=True, check_finite=False)
    return cho_solve(factor, columns.T @ y) if width <= points else columns.T @ cho_solve(factor, y)


def prune_path(train, y_train, validation, y_validation, *, rate, ridge, choose=None, levels=None) -> Path:
    """Fit, prune and fit again, until one column is left.

    ``choose(outer, count)`` gives the indices of the ``count`` outer weights to keep; by default the largest. After
    ``levels`` levels, if given, it stops.
    """
    left, width = np.arange(train.shape[1]), train.shape[1]
    gone = np.full(width, np.iinfo(int).max)
    kept, errors = [], []
    while True:
        outer = least_squares(train, y_train, ridge)
        kept.append(len(left))
        errors.append([np.mean((train @ outer - y_train) ** 2), np.mean((validation @ outer - y_validation) ** 2)])
        if len(left) == 1 or len(kept) - 1 == levels:
            break
        stay = (choose or largest)(outer, max(1, int((1 - rate) * len(left))))
        gone[np.delete(left, stay)] = len(kept)
        left, train, validation = left[stay], train[:, stay], validation[:, stay]
    gone[left] = len(kept)
    return Path(np.array(kept), *np.array(errors).T, gone)


def largest(outer, count) -> np.ndarray:
    """The indices of the ``count`` largest of the weights, in ascending order; of equal ones the first."""
    return np.sort(np.argsort(-np.abs(outer), kind="stable")[:count])


def pair_norms(inner, outer) -> np.ndarray:
    """For each pair of variables the norm of the outer weights of the features that see both."""
    sees = np.tile(inner != 0, (2, 1)).astype(float)
    return np.sqrt(sees.T @ (outer[:, None] ** 2 * sees))


def _as_points(x) -> np.ndarray:
    x = _as_numbers(x, "x")
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"x has shape {x.shape}; it must be a table (points, variables) with at least one of each")
    if np.abs(x).max() > 1e6:
        raise ValueError(f"x reaches {np.abs(x).max():.3g}; standardise the columns, as the features are cosines")
    return x


def _as_targets(y) -> np.ndarray:
    y = _as_numbers(y, "y")
    if y.ndim != 1:
        raise ValueError(f"y has shape {y.shape}; it must have one number for each point. Perhaps y.ravel() is meant")
    if len(y) and y.min() == y.max():
        raise ValueError(f"y is constant: all of it is {y[0]}; there is nothing to fit. Is it the right column?")
    if len(y) and np.abs(y).max() > 1e100:
        raise ValueError(f"y reaches {np.abs(y).max():.3g}, whose square is no float; divide it by its deviation")
    return y


def _as_numbers(values, name) -> np.ndarray:
    if is_sparse(values):
        raise ValueError(f"{name} is a sparse array; give it dense, as its toarray()")
    values = to_numpy(values, name)
    if values.dtype.kind not in "biuf":
        raise ValueError(f"{name} has dtype {values.dtype}; it must hold real numbers. Encode words as numbers first")
    advice = "Leave out or fill in the points with missing values"
    return check_finite(values.astype(np.float64), name, "numbers", advice)


def _as_ridge(ridge) -> float:
    ridge = number("ridge", ridge)
    if not 0 <= ridge < np.inf:
        raise ValueError(f"ridge={ridge} must be a number from 0 on, or None for validation to choose")
    return ridge
