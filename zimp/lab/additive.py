"""Targets made of pairs of variables, and what the pruned model of :mod:`zimp.lab.shrimp` shows of the pairs.

The functions that measure belong to the studies in :mod:`zimp.lab.experiments`: each returns rows for one seed.
"""

from __future__ import annotations

from functools import partial
from itertools import product

import numpy as np
from scipy.special import gammaln
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.linear_model import Ridge

from ..topology import spanning_forest
from .shrimp import RIDGES, inner_weights, least_squares, pair_norms, prune_path, random_features, shrimp

__all__ = ["PAIRS", "accuracy", "cut", "cut_off", "gap", "packets", "ridges", "sample", "structure", "tree"]

PAIRS = {  # the target is the sum of the products of the pairs; of Friedman's only x0 and x1 interact
    "chain": [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)],
    "star": [(0, 1), (0, 2), (0, 3), (0, 4), (0, 5)],
    "blocks": [(0, 1), (2, 3), (4, 5)],
    "friedman": [(0, 1)],
    "long chain": [(i, i + 1) for i in range(9)],
}


def sample(target, points, seed, *, variables=10, noise=0.0):
    """Points, their values with noise, and test points with exact values.

    Values are standardised, and so are the variables of Friedman's target; all others are uniform on [-1, 1]. The noise
    is normal, its deviation a share of that of the values. The 1000 test points are the same for all noise.
    """
    if target == "friedman":
        x, y = make_friedman1(points + 1000, n_features=variables, random_state=seed)
        x, y = (x - 0.5) * 12**0.5, y - y[:points].mean()
    else:
        x = np.random.default_rng([seed, variables]).uniform(-1, 1, (points + 1000, variables))
        y = sum(x[:, i] * x[:, j] for i, j in PAIRS[target])
    y = y / y[:points].std()
    noisy = y[:points] + noise * np.random.default_rng([seed, 1]).normal(size=points)
    return x[:points], noisy, x[points:], y[points:]


def tree(graph) -> list[tuple[float, int, int]]:
    """The maximum spanning tree of a graph of variables: weights and ends of its edges, the heaviest first."""
    graph = graph.copy()
    np.fill_diagonal(graph, 2 * graph.max() + 1)  # now each variable is first joined to itself on the other side
    chosen = np.argwhere(spanning_forest(graph).mask)
    return sorted(((float(graph[i, j]), int(min(i, j)), int(max(i, j))) for i, j in chosen if i != j), reverse=True)


def gap(graph, pairs) -> tuple[float, float]:
    """Share of the pairs among the ``len(pairs)`` heaviest edges of the tree, and the gap that follows these edges.

    The gap is 1 minus the weight of the next edge divided by that of the last of them: 0 if there is none, 1 if no
    further edge exists. It lies between two deaths of the barcode of the variables, in units of the last weight.
    """
    edges, count = tree(graph), len(pairs)
    found = sum(weight > 0 and (i, j) in pairs for weight, i, j in edges[:count]) / count
    if edges[count - 1][0] == 0:
        return found, 0.0
    return found, float(1 - edges[count][0] / edges[count - 1][0]) if len(edges) > count else 1.0


class Fits:
    """All paths of one sample: for each ridge the fits by each method, validated on the same tenth of the points."""

    def __init__(self, x, y, *, order=2, features=1000, rate=0.2, seed=0):
        self.y, self.rate, self.seed = y, rate, seed
        self.inner = inner_weights(x.shape[1], order, features, seed)
        self.columns = random_features(x, self.inner)
        self.validation, self.train = np.split(np.random.default_rng(seed).permutation(len(x)), [len(x) // 10])
        self.paths = {}

    def path(self, ridge, method="shrimp"):
        """The path of one ridge by one method; each is walked once."""
        if (ridge, method) not in self.paths:
            choose = partial(_at_random, np.random.default_rng([self.seed, 2])) if method == "random" else None
            data = [part[rows] for rows in (self.train, self.validation) for part in (self.columns, self.y)]
            self.paths[ridge, method] = prune_path(
                *data, rate=self.rate, ridge=ridge, choose=choose, levels=0 if method == "dense" else None
            )
        return self.paths[ridge, method]

    def fit(self, method, ridge=None):
        """Kept columns, ridge and outer weights, fitted to all points; without a ridge validation chooses it.

        The methods: ``"shrimp"``; ``"dense"``, without pruning; ``"random"``, which prunes at random; ``"one shot"``,
        which prunes the dense fit at once to as many columns as ``"shrimp"`` ends with.
        """
        walked = "shrimp" if method == "one shot" else method
        candidates = RIDGES if ridge is None else (ridge,)
        ridge = min(candidates, key=lambda one: self.path(one, walked).validation_error.min())
        path = self.path(ridge, walked)
        left = np.flatnonzero(path.gone > path.best)
        if method == "one shot":
            first = least_squares(self.columns[self.train], self.y[self.train], ridge)
            left = np.argsort(-np.abs(first), kind="stable")[: len(left)]
        outer = np.zeros(self.columns.shape[1])
        outer[left] = least_squares(self.columns[:, left], self.y, ridge)
        return len(left), ridge, outer

    def row(self, fit, pairs, x, y):
        """What is measured of a fit: its kept columns, test error, pairs found, and gap."""
        kept, _, outer = fit
        found, clear = gap(pair_norms(self.inner, outer), pairs)
        error = np.mean((random_features(x, self.inner) @ outer - y) ** 2)
        return {"kept": kept, "error": float(error), "found": found, "gap": clear}


def structure(seed, *, targets=("chain", "star", "blocks", "friedman"), noises=(0.0, 0.1, 0.2), points=200):
    """Find or lay bare: by target, noise and method the pairs that the tree of the variables finds, and the gap.

    Besides the methods of :class:`Fits` there are ``"order 1"`` and ``"order 3"``, SHRIMP with features of one or three
    variables, and ``"permuted"``, SHRIMP with shuffled values. Validation chooses all ridges and levels.
    """
    rows = []
    for target, noise in product(targets, noises):
        x, y, x_test, y_test = sample(target, points, seed, noise=noise)
        fits = Fits(x, y, seed=seed)
        made = [(method, fits, fits.fit(method)) for method in ("shrimp", "dense", "random", "one shot")]
        others = {f"order {order}": Fits(x, y, order=order, seed=seed) for order in (1, 3)}
        others["permuted"] = Fits(x, _shuffled(y, seed), seed=seed)
        made += [(name, other, other.fit("shrimp")) for name, other in others.items()]
        for method, one, fit in made:
            measured = one.row(fit, PAIRS[target], x_test, y_test) | {"ridge": fit[1]}
            rows.append({"target": target, "noise": noise, "method": method, **measured})
    return rows


def ridges(seed, *, targets=("chain", "star", "blocks", "friedman"), noises=(0.0, 0.1), powers=range(-12, -1, 2)):
    """Which ridge is accurate, and which is clear: by ridge ``10**power`` the same as :func:`structure`."""
    rows = []
    for target, noise in product(targets, noises):
        x, y, x_test, y_test = sample(target, 200, seed, noise=noise)
        fits, permuted = Fits(x, y, seed=seed), Fits(x, _shuffled(y, seed), seed=seed)
        for power, method in product(powers, ("shrimp", "dense", "one shot", "permuted")):
            one, walked = (permuted, "shrimp") if method == "permuted" else (fits, method)
            measured = one.row(one.fit(walked, 10.0**power), PAIRS[target], x_test, y_test)
            rows.append({"target": target, "noise": noise, "method": method, "power": power, **measured})
    return rows


def cut_off(seed, *, sizes=((10, 990), (20, 950), (50, 1225)), points=(100, 200), target="blocks", noise=0.1):
    """When a variable is cut off: how well the order tells the six relevant variables from the others.

    By number of variables, points and method: ``auc``, the probability that a relevant variable is cut off after an
    irrelevant one; ties count half. The methods are SHRIMP with ridge 1e-6 and, as ``"light"``, 1e-10; ``"random"``
    pruning; ``"permuted"``, SHRIMP with shuffled values; and without pruning ``"energy"``, the norm of the dense fit's
    outer weights on each variable, with ridge 1e-6, and ``"tuned energy"``, whose ridge validation chooses. ``middle``
    is how many columns are left when the middle one of the irrelevant variables is gone.
    """
    rows = []
    for (variables, features), count in product(sizes, points):
        x, y, *_ = sample(target, count, seed, variables=variables, noise=noise)
        fits, permuted = (Fits(x, z, features=features, seed=seed) for z in (y, _shuffled(y, seed)))
        dense = {"energy": fits.fit("dense", 1e-6), "tuned energy": fits.fit("dense")}
        walked = {"shrimp": fits.path(1e-6), "light": fits.path(1e-10), "random": fits.path(1e-6, "random"),
                  "permuted": permuted.path(1e-6)}  # fmt: skip
        for method in (*walked, *dense):
            if method in walked:
                order, left = cut(walked[method], fits.inner)
            else:
                order, left = np.diag(pair_norms(fits.inner, dense[method][2])), np.zeros(variables)
            measured = {"auc": auc(order[:6], order[6:]), "middle": float(np.median(left[6:]))}
            rows.append({"variables": variables, "points": count, "method": method, **measured})
    return rows


def cut(path, inner) -> tuple[np.ndarray, np.ndarray]:
    """For each variable the first level at which no column sees it, and how many columns are left there."""
    sees = np.tile(inner != 0, (2, 1))
    level = np.where(sees, path.gone[:, None], 0).max(axis=0)
    return level, np.append(path.kept, 0)[level]


def packets(kept, columns, share) -> float:
    """The probability that none of ``kept`` columns, drawn from ``columns``, sees a variable that a ``share`` sees."""
    without = round((1 - share) * columns)
    above, below = (without, columns - kept), (without - kept, columns)  # infinite where more are kept than can miss it
    return float(np.exp(sum(gammaln(n + 1) for n in above) - sum(gammaln(n + 1) for n in below)))


def auc(ones, others) -> float:
    """The probability that one of the ones is above one of the others; ties count half."""
    difference = np.subtract.outer(ones, others)
    return float(np.mean((difference > 0) + (difference == 0) / 2))


def accuracy(seed):
    """Test errors, as shares of the variance, on the chain of ten, Friedman's target and a table of diabetes patients.

    ``"shrimp"`` has orders 1 to 3 and the ridge by validation; ``"light"`` the ridge 1e-10, near those of the authors'
    examples; ``"dense"`` and ``"random"`` are those of :class:`Fits` with order 2; ``"linear"`` is ridge regression on
    the variables themselves, its ridge by validation on the same points.
    """
    rows = []
    for table, points, noise in (("long chain", 140, 0.0), ("friedman", 200, 0.1), ("diabetes", 0, 0.0)):
        x, y, x_test, y_test = sample(table, points, seed, noise=noise) if points else _diabetes(seed)
        fits, made = Fits(x, y, seed=seed), {}
        for method, ridge in (("shrimp", None), ("light", 1e-10)):
            model = shrimp(x, y, order=(1, 2, 3), ridge=ridge, seed=seed)
            made[method] = model.predict(x_test), int(model.kept[model.best]), model.order, model.ridge
        for method in ("dense", "random"):
            kept, ridge, outer = fits.fit(method)
            made[method] = random_features(x_test, fits.inner) @ outer, kept, 2, ridge
        linear = {10.0**power: Ridge(10.0**power).fit(x[fits.train], y[fits.train]) for power in range(-3, 5)}
        x_held, y_held = x[fits.validation], y[fits.validation]
        ridge = min(linear, key=lambda one: np.mean((linear[one].predict(x_held) - y_held) ** 2))
        made["linear"] = Ridge(ridge).fit(x, y).predict(x_test), x.shape[1], 1, ridge
        for method, (values, kept, order, ridge) in made.items():
            error = float(np.mean((values - y_test) ** 2) / y_test.var())
            rows.append(
                {"table": table, "method": method, "error": error, "kept": kept, "order": order, "ridge": ridge}
            )
    return rows


def _diabetes(seed):
    x, y = load_diabetes(return_X_y=True)
    train, test = np.split(np.random.default_rng(seed).permutation(len(x)), [len(x) * 7 // 10])
    x, y = x / x.std(axis=0), (y - y[train].mean()) / y[train].std()
    return x[train], y[train], x[test], y[test]


def _shuffled(y, seed):
    return np.random.default_rng([seed, 3]).permutation(y)


def _at_random(generator, outer, count):
    return np.sort(generator.permutation(len(outer))[:count])
