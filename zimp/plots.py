"""The book's figures. Every function draws into the ``ax`` it is given and returns it.

One palette, safe for colour-blind readers, with the same colour for the same thing in every chapter. Figures stand on
white; the book's style sheet turns them for the dark mode.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.ticker import LogLocator
from scipy.stats import t as student

from .checks import as_mask, as_matrix, check_choice
from .topology import betti_curve, persistence_diagram, spanning_forest

__all__ = ["COLORS", "figure", "bipartite", "barcode", "betti", "union_find", "masks", "curve", "interval", "limits"]

COLORS = {
    "tree": "#D55E00",  # vermilion: an edge of the maximum spanning tree, and the method that keeps it
    "kept": "#56B4E9",  # sky blue: any other weight that is there
    "pruned": "#DDDDDD",  # grey: a weight that is gone
    "absent": "#999999",  # darker, for the thin dotted line of an edge that has not come in yet
    "topological": "#D55E00",
    "magnitude": "#0072B2",  # blue
    "random": "#777777",  # grey
    "shuffled": "#882255",  # wine: trained weights in random places
    "initial": "#999933",  # olive: weights before training
    "budget": "#CC79A7",  # purple: magnitude, with the number of weights in each layer that another method chose
    "global": "#E69F00",  # orange: magnitude over the network as a whole
    "random_tree": "#000000",  # black: a random spanning tree, then magnitude
    "bound": "#009E73",  # green: what theory says
}
LABELS = {
    "topological": "T-IMP",
    "magnitude": "IMP",
    "global": "global IMP",
    "budget": "IMP, layer sizes of T-IMP",
    "random_tree": "random tree, then magnitude",
    "random": "random",
}
MARKERS = {"topological": "o", "magnitude": "s", "global": "v", "budget": "D", "random_tree": "P", "random": "^"}


def figure(columns=1, width=7.0, height=3.0, **options):
    """A figure with ``columns`` axes side by side, in the book's style.

    Parameters
    ----------
    columns : int
    width, height : float
        In inches.
    **options
        As ``matplotlib.pyplot.subplots``.

    Returns
    -------
    (Figure, Axes or array of Axes)

    Examples
    --------
    >>> from zimp import plots
    >>> fig, (left, right) = plots.figure(2)
    """
    fig, axes = plt.subplots(1, columns, figsize=(width, height), dpi=144, layout="constrained", **options)
    for ax in np.atleast_1d(axes):
        ax.spines[["top", "right"]].set_visible(False)
    return fig, axes


def bipartite(weights, mask=None, *, threshold=0.0, numbers=False, ax):
    """Draw a layer as a graph: inputs on the left, outputs on the right, an edge as wide as its weight is large.

    Parameters
    ----------
    weights : array or tensor of shape ``(m, n)``
    mask : array or tensor of shape ``(m, n)``, optional
    threshold : float
        In units of the largest ``|w|``: lighter edges are drawn dotted and grey, as not there yet.
    numbers : bool
        Whether to write ``|w|`` on each edge.
    ax : Axes

    Returns
    -------
    Axes
    """
    weights = np.abs(as_matrix(weights)).astype(float)
    mask = as_mask(mask, weights.shape)
    forest = spanning_forest(weights, mask)
    relative = weights / forest.scale if forest.scale else weights
    m, n = weights.shape
    y_out, y_in = _spread(m), _spread(n)
    exists = np.argwhere(np.ones((m, n), dtype=bool) if mask is None else mask)
    for i, j in sorted(exists.tolist(), key=lambda edge: relative[*edge]):
        there = relative[i, j] >= threshold
        color = COLORS["absent"] if not there else COLORS["tree" if forest.mask[i, j] else "kept"]
        style = {"linewidth": 1 + 5 * relative[i, j]} if there else {"linewidth": 1.2, "linestyle": ":"}
        ax.plot([0, 1], [y_in[j], y_out[i]], color=color, zorder=1, solid_capstyle="round", **style)
        if numbers:
            at = 0.24 + 0.17 * i  # shifted along the edge, so that numbers of crossing edges stand apart
            box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": color}
            number = f"{weights[i, j]:g}"
            ax.text(at, y_in[j] + at * (y_out[i] - y_in[j]), number, ha="center", va="center", fontsize=9, bbox=box)
    for x, ys, letter, side in ((0, y_in, "x", -1), (1, y_out, "y", 1)):
        ax.scatter([x] * len(ys), ys, s=120, color="white", edgecolor="black", zorder=2)
        for k, y in enumerate(ys):
            name = f"${letter}_{{{k}}}$"
            ax.annotate(name, (x, y), (16 * side, 0), textcoords="offset points", ha="center", va="center")
    ax.set(xlim=(-0.3, 1.3), ylim=(-0.12, 1.12))
    ax.axis("off")
    return ax


def _spread(count: int) -> np.ndarray:
    return np.array([0.5]) if count == 1 else np.linspace(1, 0, count)


def barcode(weights, mask=None, *, threshold=None, ax):
    """Draw the H0 barcode of a layer: one bar for each component, from its birth to its death.

    Parameters
    ----------
    weights : array or tensor of shape ``(m, n)``, or SpanningForest
    mask : array or tensor of shape ``(m, n)``, optional
    threshold : float, optional
        Marked by a line, at distance ``1 - threshold``; the bars that are over by then are pale.
    ax : Axes

    Returns
    -------
    Axes
    """
    deaths = persistence_diagram(weights, mask)[:, 1]
    now = np.inf if threshold is None else 1 - threshold
    for height, death in enumerate(deaths):
        color = COLORS["bound"] if np.isinf(death) else COLORS["tree"]
        alpha = 0.35 if threshold is not None and death <= now + 1e-12 else 1
        ax.plot([0, min(death, 1.12)], [height, height], color=color, linewidth=4, alpha=alpha, solid_capstyle="butt")
        if np.isinf(death):
            ax.plot(1.12, height, marker=">", color=color, markersize=8, clip_on=False)
        elif death == 0:
            ax.plot(0, height, marker="|", color=color, markersize=8, markeredgewidth=2.5, alpha=alpha)
    if threshold is not None:
        ax.axvline(now, color="black", linewidth=1, linestyle="--")
    ax.set(xlim=(-0.02, 1.15), ylim=(-0.7, len(deaths) - 0.3), yticks=[], xlabel="distance $1 - |w| / \\max|w|$")
    ax.spines["left"].set_visible(False)
    return ax


def betti(weights, mask=None, *, threshold=None, ax):
    """Draw the Betti curve of a layer: its number of components, from the heaviest edge on to the lightest.

    Parameters
    ----------
    weights : array or tensor of shape ``(m, n)``, or SpanningForest
    mask : array or tensor of shape ``(m, n)``, optional
    threshold : float, optional
        Marked by a dot.
    ax : Axes

    Returns
    -------
    Axes
    """
    deaths = persistence_diagram(weights, mask, essential=False)[:, 1]
    steps = np.concatenate([[0], deaths, [1.15]])
    components = betti_curve(weights, 2.0, mask) - np.arange(len(deaths) + 1)
    ax.stairs(components, steps, color=COLORS["tree"], linewidth=2, baseline=None)
    if threshold is not None:
        ax.axvline(1 - threshold, color="black", linewidth=1, linestyle="--")
        ax.plot(1 - threshold, betti_curve(weights, threshold, mask), "o", color="black")
    ax.set(xlim=(-0.02, 1.15), ylim=(0, components[0] + 0.5), xlabel="distance $1 - |w| / \\max|w|$",
           ylabel="components $\\beta_0$")  # fmt: skip
    ax.yaxis.get_major_locator().set_params(integer=True)
    return ax


def union_find(weights, mask=None, *, threshold=0.0, ax):
    """Draw the pieces as union-find keeps them: at each merger the top of the smaller hangs under that of the larger.

    Parameters
    ----------
    weights : array or tensor of shape ``(m, n)``
    mask : array or tensor of shape ``(m, n)``, optional
    threshold : float
        In units of the largest ``|w|``: only the mergers by edges of at least that weight have been made.
    ax : Axes

    Returns
    -------
    Axes
    """
    forest = spanning_forest(weights, mask)
    m, n = forest.shape
    members = {v: [v] for v in range(m + n)}  # of each piece, by its top
    children = {v: [] for v in range(m + n)}
    for i, j in zip(forest.rows[forest.relative_values >= threshold], forest.cols):
        one, other = (next(top for top in members if v in members[top]) for v in (int(i), m + int(j)))
        if len(members[one]) < len(members[other]):
            one, other = other, one
        members[one] += members.pop(other)
        children[one].append(other)
    right = 0

    def place(vertex, depth):
        nonlocal right
        xs = [place(child, depth + 1) for child in children[vertex]]
        if not xs:
            right += 1
        x = np.mean(xs) if xs else right
        for child_x in xs:
            ax.plot([x, child_x], [-depth, -depth - 1], color="black", linewidth=1.2, zorder=1)
        ax.plot(x, -depth, "o", markersize=17, markerfacecolor="white", markeredgecolor="black", zorder=2)
        name = f"$y_{{{vertex}}}$" if vertex < m else f"$x_{{{vertex - m}}}$"
        ax.text(x, -depth, name, ha="center", va="center", fontsize=9, zorder=3)
        return x

    for top in members:
        place(top, 0)
    ax.set(xlim=(0.4, m + n + 0.6), ylim=(-max(3, min(m, n)) - 0.4, 0.4))
    ax.axis("off")
    return ax


def masks(mask, tree=None, *, ax):
    """Draw a mask as a picture of the weight matrix: pruned weights grey, kept ones blue, tree edges vermilion.

    Parameters
    ----------
    mask : boolean array or tensor of shape ``(m, n)``
    tree : boolean array of the same shape, optional
        Edges to mark, e.g. ``spanning_forest(weights, mask).mask``; those that are not in the mask are not drawn.
    ax : Axes

    Returns
    -------
    Axes
    """
    mask = as_mask(mask, tuple(mask.shape))
    kind = mask.astype(int) + (0 if tree is None else (mask & as_mask(tree, mask.shape)))
    colors = ListedColormap([COLORS["pruned"], COLORS["kept"], COLORS["tree"]])
    ax.imshow(kind, cmap=colors, vmin=0, vmax=2, interpolation="nearest", aspect="auto")
    ax.set(xlabel="inputs", ylabel="outputs", xticks=[], yticks=[])
    return ax


def curve(density, values, method, *, ax, **options):
    """Draw runs over density: the mean over seeds as a line, its 95 % confidence interval as a band.

    With one seed there is no interval.

    Parameters
    ----------
    density : array of shape ``(levels,)``
        The horizontal axis, logarithmic, dense on the left.
    values : array of shape ``(seeds, levels)``
    method : str
        A key of ``LABELS``, such as ``"magnitude"``. Sets colour, marker and label.
    ax : Axes
    **options
        As ``Axes.plot``, in place of the method's.

    Returns
    -------
    Axes
    """
    check_choice("method", method, LABELS)
    values = np.asarray(values, dtype=float)
    mean = values.mean(axis=0)
    style = {"color": COLORS[method], "marker": MARKERS[method], "label": LABELS[method], "markersize": 4}
    style.update(options)
    ax.plot(density, mean, **style)
    if len(values) > 1:
        _, half = interval(values)
        ax.fill_between(density, mean - half, mean + half, color=style["color"], alpha=0.2, linewidth=0)
    _logarithmic(ax)
    if not ax.xaxis_inverted():
        ax.invert_xaxis()
    ax.set_xlabel("density (share of weights left)")
    return ax


def _logarithmic(ax):
    """An axis of densities, whose ticks are written as 0.02 and not as powers."""
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    ax.xaxis.set_minor_formatter("")


def limits(names, safe, independent, tree, *, ax):
    """Draw how far each layer of a network can be pruned with its H0 intact, the first layer on top.

    Parameters
    ----------
    names : sequence of str
        Of the layers.
    safe : array of shape ``(layers,)``
        Density down to which magnitude pruning is safe, see :func:`zimp.safe_density`.
    independent : array of shape ``(layers,)``
        The same for independent weights, see :func:`zimp.connectivity_density`.
    tree : array of shape ``(layers,)``
        Density of a spanning tree, which any method needs.
    ax : Axes

    Returns
    -------
    Axes
    """
    ys = np.arange(len(names))
    ax.hlines(ys, tree, safe, color=COLORS["pruned"], linewidth=1.5, zorder=1)
    for density, color, marker, label in (
        (safe, "magnitude", "s", "magnitude pruning"),
        (independent, "random", "|", "the same, i.i.d. weights"),
        (tree, "bound", "o", "spanning tree"),
    ):
        ax.plot(density, ys, color=COLORS[color], marker=marker, markersize=5, linestyle="", label=label)
    step = -(-len(names) // 40)  # so many names can be read
    _logarithmic(ax)
    ax.set(xlabel="density at which H0 is still whole", ylim=(len(names) - 0.5, -0.5))
    ax.set_yticks(ys[::step], [name if len(name) <= 36 else f"..{name[-34:]}" for name in names[::step]], fontsize=8)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, fontsize=8, frameon=False)
    return ax


def interval(values):
    """Mean over seeds, and the half width of its 95 % confidence interval (Student's).

    Parameters
    ----------
    values : array of shape ``(seeds, ...)``
        At least two seeds.

    Returns
    -------
    (array, array) of shape ``(...)``

    Examples
    --------
    >>> from zimp import plots
    >>> mean, half = plots.interval([0.9, 0.8, 0.7])
    >>> f"{mean:.2f} +- {half:.2f}"
    '0.80 +- 0.25'
    """
    values = np.asarray(values, dtype=float)
    seeds = len(values)
    return values.mean(axis=0), student.ppf(0.975, seeds - 1) * values.std(axis=0, ddof=1) / np.sqrt(seeds)
