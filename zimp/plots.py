"""The book's figures. Every function draws into the ``ax`` it is given and returns it; ``show`` puts it on a page.

One palette, safe for colour-blind readers, gives the same colour to the same thing in every chapter, on a light page
and on a dark one: a figure is an SVG whose colours are CSS variables by the names of ``COLORS``.
"""

from __future__ import annotations

import hashlib
import html
import io
import re

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.gridspec import GridSpec
from matplotlib.legend import Legend
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.ticker import LogLocator, NullLocator
from scipy.stats import t as student

from .checks import as_mask, as_matrix, check_choice
from .topology import betti_curve, persistence_diagram, spanning_forest

__all__ = [
    "COLORS", "DARK", "INK", "figure", "show", "table", "bipartite", "barcode", "betti", "union_find", "masks", "curve",
    "interval", "limits",
]  # fmt: skip

COLORS = {
    "tree": "#D55E00",  # vermilion: an edge of the maximum spanning tree, and the method that keeps it
    "kept": "#2F97D6",  # sky blue: any other weight that is there
    "pruned": "#DDDDDD",  # grey: a weight that is gone
    "absent": "#8A8A8A",  # darker, for the thin dotted line of an edge that has not entered yet
    "magnitude": "#0A5CA8",  # blue: magnitude pruning, and trained weights
    "random": "#6E6E6E",  # grey: random pruning
    "shuffled": "#882255",  # wine: trained weights in random positions
    "initial": "#83832A",  # olive: weights before training
    "budget": "#B4558A",  # purple: magnitude, with the number of weights in each layer that another method chose
    "global": "#B87A00",  # orange: magnitude over the network as a whole
    "bound": "#008560",  # green: what theory says
    "ink": "#222832",  # text, axes, and a random spanning tree
    "paper": "#FFFFFF",  # the page
}
COLORS |= {"topological": COLORS["tree"], "random_tree": COLORS["ink"]}  # methods
DARK = {  # the same on a dark page
    "tree": "#FF8B3D",
    "kept": "#8CD0FA",
    "pruned": "#3A3F47",
    "absent": "#8A9099",
    "magnitude": "#5B9DFF",
    "random": "#A6A6A6",
    "shuffled": "#E07BB0",
    "initial": "#C9C95A",
    "budget": "#F0A6D2",
    "global": "#F5B93C",
    "bound": "#3ED6A4",
    "ink": "#CED6DD",
    "paper": "#121212",
}
DARK |= {"topological": DARK["tree"], "random_tree": DARK["ink"]}
LABELS = {
    "topological": "T-IMP",
    "magnitude": "IMP",
    "global": "global IMP",
    "budget": "IMP, layer sizes of T-IMP",
    "random_tree": "random tree, then magnitude",
    "random": "random",
}
MARKERS = {"topological": "o", "magnitude": "s", "global": "v", "budget": "D", "random_tree": "P", "random": "^"}


INK = LinearSegmentedColormap.from_list("ink", [to_rgba(COLORS["ink"], 0), to_rgba(COLORS["ink"], 1)])  # grey pictures
_NARROW = 3.5  # inches, what a phone shows without shrinking it
_POINTS = 9  # of all text: 12 px


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


def show(fig, alt):
    """Show a figure on a page: an SVG in the page's own colours, whose panels stack on a phone.

    All text is 12 px. Black is the page's ink and white its paper, so both suit a light page and a dark one.

    Parameters
    ----------
    fig : Figure
        Of the palette's colours only. It is closed.
    alt : str
        What a reader who does not see the figure should know: kind of plot, axes, the comparison.

    Returns
    -------
    IPython.display.HTML

    Raises
    ------
    ValueError
        Without a description, and for a colour that is not in ``COLORS``.

    Examples
    --------
    >>> from zimp import plots
    >>> fig, ax = plots.figure(width=3, height=2)
    >>> page = plots.show(plots.barcode([[0.9, 0.2], [0.1, 0.5]], ax=ax).figure, "Four bars, one of which never ends.")
    """
    if not (isinstance(alt, str) and alt.strip()):
        raise ValueError(f"alt={alt!r} must be a non-empty text; describe the figure for readers who cannot see it")
    wide = fig.get_figwidth() > _NARROW
    pictures = [_svg(fig, "zimp-wide" if wide else "")]
    if wide:
        _stack(fig)
        pictures.append(_svg(fig, "zimp-narrow"))
    plt.close(fig)
    return HTML(
        f'<div class="zimp-figure" role="img" aria-label="{html.escape(alt)}" '
        f'style="background: {_variable("paper")}">{"".join(pictures)}</div>'
    )


def _stack(fig):
    """Lay a wide figure out for a phone: as many panels side by side as keep their width, at their height."""
    axes = [ax for ax in fig.axes if ax.get_subplotspec() is not None]
    width, height = fig.get_size_inches()
    columns = max(1, min(len(axes), int(_NARROW * len(axes) / width)))
    rows = -(-len(axes) // columns)
    first = axes[0]
    for ax, spec in zip(axes, GridSpec(rows, columns, figure=fig)):
        if ax is not first and columns == 1 and first.get_shared_y_axes().joined(first, ax):
            ax.tick_params(labelleft=True)
            ax.set_ylabel(ax.get_ylabel() or first.get_ylabel())
        ax.set_subplotspec(spec)
    fig.set_size_inches(_NARROW, height * rows)


def _variable(name) -> str:
    return f"var(--zimp-{name}, {COLORS[name]})"  # the second is for pages without the book's style sheet


def _svg(fig, name) -> str:
    for text in fig.findobj(Text):
        text.set_fontsize(_POINTS)
    for legend in fig.findobj(Legend):
        legend.get_frame().set_edgecolor("none")
    buffer = io.StringIO()
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "zimp"}):
        fig.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    drawing = buffer.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>", "", drawing, flags=re.S)
    names = {color.lower(): name for name, color in reversed(COLORS.items())} | {"#000000": "ink"}
    unknown = {color for color in re.findall(r"(?<=: )#[0-9a-f]{6}", drawing) if color not in names}
    if unknown:
        raise ValueError(f"the palette does not have {', '.join(sorted(unknown))}; take colours from plots.COLORS")
    drawing = re.sub(r"(?<=: )#[0-9a-f]{6}", lambda color: _variable(names[color[0]]), drawing)
    places = r' (?:d|x|y|transform)="[^"]*"'  # to a hundredth of a point; what the text says stays
    drawing = re.sub(places, lambda place: re.sub(r"(\.\d\d)\d+", r"\1", place[0]), drawing)
    drawing = re.sub(r"; font-family: [^;\"]*", "", drawing)  # the page's
    drawing = re.sub(r'(?<=<g) id="[^"]*"|\s*(?=/?>)', "", re.sub(r"\s+", " ", drawing))
    own = hashlib.sha1(drawing.encode()).hexdigest()[:8]  # names of parts are unique on the page
    drawing = re.sub(r'(\bid="|"#|url\(#)', rf"\g<1>{own}-", drawing)
    width, height = (round(96 * inches) for inches in fig.get_size_inches())
    hidden = "display: none; " if name == "zimp-narrow" else ""
    start = (
        f'<svg class="{name}" xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'aria-hidden="true" fill="{_variable("ink")}" stroke-linejoin="round" '
        f'style="{hidden}width: {width}px; max-width: 100%; height: auto" '
        f'viewBox="0 0 {0.75 * width:g} {0.75 * height:g}">'
    )
    return re.sub(r"<svg[^>]*>", start, drawing, count=1)


def table(rows, *, digits=3, bars=(), formats=None):
    """Show a table of results on a page: numbers aligned, few digits, bars where asked for.

    Parameters
    ----------
    rows : list of dict, or DataFrame
        Column by column in the order of the first row.
    digits : int
        After the decimal point.
    bars : sequence of str
        Columns whose cells show a bar, from 0 to the column's largest number.
    formats : dict, optional
        Column name to format, such as ``"{:.0%}"``, in place of ``digits``.

    Returns
    -------
    IPython.display.HTML

    Examples
    --------
    >>> from zimp import plots
    >>> page = plots.table([{"layer": "fc1", "weights": 235200}, {"layer": "fc2", "weights": 30000}], bars=["weights"])
    """
    import pandas  # an extra: only the book needs it

    frame = pandas.DataFrame(rows)
    style = frame.style.hide(axis="index").format(precision=digits, thousands=",", na_rep="-")
    for column, form in (formats or {}).items():
        style.format(form, subset=[column])
    for column in bars:
        style.bar(
            subset=[column], color=_variable("kept"), vmin=0, height=30, props="background-position: bottom !important;"
        )
    numbers = [column for column in frame if pandas.api.types.is_numeric_dtype(frame[column])]
    right = [{"selector": "th, td", "props": "text-align: right"}]
    style.set_table_styles({column: right for column in numbers})
    own = hashlib.sha1(frame.to_json().encode()).hexdigest()[:8]
    return HTML(f'<div class="zimp-table" tabindex="0">{style.set_uuid(own).to_html()}</div>')


def bipartite(weights, mask=None, *, threshold=0.0, numbers=False, ax):
    """Draw a layer as a graph: inputs on the left, outputs on the right, heavier edges wider.

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
            box = {"boxstyle": "round,pad=0.15", "facecolor": COLORS["paper"], "edgecolor": color}
            number = f"{weights[i, j]:g}"
            ax.text(at, y_in[j] + at * (y_out[i] - y_in[j]), number, ha="center", va="center", bbox=box)
    for x, ys, letter, side in ((0, y_in, "x", -1), (1, y_out, "y", 1)):
        ax.scatter([x] * len(ys), ys, s=120, color=COLORS["paper"], edgecolor=COLORS["ink"], zorder=2)
        for k, y in enumerate(ys):
            ax.annotate(
                f"{letter}{_lowered(k)}", (x, y), (16 * side, 0), textcoords="offset points", ha="center", va="center"
            )
    ax.set(xlim=(-0.3, 1.3), ylim=(-0.12, 1.12))
    ax.axis("off")
    return ax


def _lowered(number: int) -> str:
    """A subscript at the size of the text, which a phone shows large enough to read."""
    return str(number).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))


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
        ax.axvline(now, color=COLORS["ink"], linewidth=1, linestyle="--")
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
        ax.axvline(1 - threshold, color=COLORS["ink"], linewidth=1, linestyle="--")
        ax.plot(1 - threshold, betti_curve(weights, threshold, mask), "o", color=COLORS["ink"])
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
            ax.plot([x, child_x], [-depth, -depth - 1], color=COLORS["ink"], linewidth=1.2, zorder=1)
        ax.plot(x, -depth, "o", markersize=17, markerfacecolor=COLORS["paper"], markeredgecolor=COLORS["ink"], zorder=2)
        name = f"y{_lowered(vertex)}" if vertex < m else f"x{_lowered(vertex - m)}"
        ax.text(x, -depth, name, ha="center", va="center", zorder=3)
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
    tree = np.zeros_like(mask) if tree is None else mask & as_mask(tree, mask.shape)
    m, n = mask.shape
    ax.set(xlim=(0, n), ylim=(m, 0), xlabel="inputs", ylabel="outputs", xticks=[], yticks=[])
    for cells, name in ((np.ones_like(mask), "pruned"), (mask & ~tree, "kept"), (tree, "tree")):
        if cells.any():
            ax.add_patch(PathPatch(_boxes(cells), facecolor=COLORS[name], linewidth=0, snap=False))
    return ax


def _boxes(cells) -> Path:
    """The true cells of a matrix as one path, a box for each run of them in a row."""
    edges = np.diff(np.pad(cells.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    rows, starts = np.nonzero(edges == 1)
    _, ends = np.nonzero(edges == -1)
    corners = np.stack([[starts, rows], [ends, rows], [ends, rows + 1], [starts, rows + 1], [starts, rows]])
    codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
    return Path(corners.transpose(2, 0, 1).reshape(-1, 2), np.tile(codes, len(rows)))


def curve(density, values, method, *, ax, **options):
    """Draw runs over density: the mean over seeds as a line, its 95% confidence interval as a band.

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
    ax.set_xlabel("density (share of weights that remain)")
    return ax


def _logarithmic(ax):
    """An axis of densities, whose ticks are written as 0.02 and not as powers."""
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    ax.xaxis.set_minor_locator(NullLocator())


def limits(names, safe, independent, tree, *, ax):
    """Draw how far each layer of a network can be pruned with its H0 preserved, the first layer on top.

    Parameters
    ----------
    names : sequence of str
        Of the layers. All are shown: about six fit into an inch of height.
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
    _logarithmic(ax)
    ax.set(xlabel="density at which H0 is still preserved", ylim=(len(names) - 0.5, -0.5))
    ax.set_yticks(ys, names, parse_math=False)  # a name may hold a dollar
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False)
    return ax


def interval(values):
    """Mean over seeds, and the half width of its 95% confidence interval (Student's).

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
