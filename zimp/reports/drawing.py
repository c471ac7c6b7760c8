"""Reports as a picture: a row for each layer, and one axis of densities for all of them.

The picture grows with its rows and with their names, so that every label can be read.
"""

from __future__ import annotations

import textwrap

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

from ..plots import COLORS, limits
from .setting import printable, shortened, text_width
from .table import Report, full_name

__all__ = ["draw"]

ROOM = 48  # letters of a name, if it can be cut
TITLE = 50  # letters of a line of the title
ROW, LINE, AXIS, LEGEND = 0.17, 0.17, 0.5, 0.35  # inches of height: a layer, a line of a title, an axis, the legend
PLOT, GAP = 4.2, 0.25  # inches of width: an axis, and what is around it
LONG = 40  # layers from which the axis is written above them, too
DENSE = 144  # dots to an inch, but for a picture of more than MOST dots, which matplotlib does not draw
MOST = 60_000


def draw(reports: list[Report]) -> Figure:
    """Draw how far each layer can be pruned, for networks below each other, or side by side if their layers are alike.

    Parameters
    ----------
    reports : list of Report

    Returns
    -------
    Figure
        Of a size at which no two labels overlap.

    Examples
    --------
    >>> import zimp
    >>> from zimp.reports.drawing import draw
    >>> [float(end) for end in draw([zimp.report(zimp.lenet_300_100())]).axes[0].get_ylim()]
    [2.5, -0.5]
    """
    names = [[printable(full_name(row)) for row in found.rows] for found in reports]
    beside = len(names) > 1 and all(own == names[0] for own in names)  # such as one network before and after
    sources = [_filled(printable(found.source)) for found in reports]
    names = [shortened(own, ROOM) for own in names]
    families, missing = _fonts("".join(sources) + "".join(map("".join, names)))
    escaped = {ord(one): one.encode("ascii", "backslashreplace").decode() for one in missing}
    names = [[name.translate(escaped) for name in own] for own in names]
    heights = [ROW * len(own) for own in names]
    titles = [LINE * (1 + source.count("\n")) + AXIS / 2 * (len(own) > LONG) for source, own in zip(sources, names)]
    if beside:
        titles = [max(titles)] * len(titles)
    panels = [title + height + AXIS for title, height in zip(titles, heights)]
    with plt.rc_context({"font.family": families, "font.size": 9}):
        fig = plt.figure(dpi=DENSE)
        left = _widest(fig, {name for own in names for name in own}) + GAP
        width = left + (PLOT + GAP) * (len(names) if beside else 1)
        top = max(panels) if beside else sum(panels)
        height = top + LEGEND
        fig.set_size_inches(width, height)
        fig.set_dpi(min(DENSE, MOST / max(width, height)))
        for k, (found, own) in enumerate(zip(reports, names)):
            x, y = left + (PLOT + GAP) * k * beside, top - titles[k] - heights[k]
            box = x / width, y / height, PLOT / width, heights[k] / height
            ax = fig.add_axes(box, sharex=fig.axes[0] if k else None)
            _panel(ax, found, own, sources[k].translate(escaped))
            ax.tick_params(labelleft=not (beside and k))
            top -= 0 if beside else panels[k]
        handles, labels = fig.axes[0].get_legend_handles_labels()
        fig.legend(handles, labels, loc="upper right", ncols=3, frameon=False)
    return fig


def _panel(ax, found: Report, names: list[str], source: str):
    """A network in its axes."""
    columns = ([row[key] for row in found.rows] for key in ("safe_density", "iid_density"))
    limits(names, *columns, [row["tree"] / row["weights"] for row in found.rows], ax=ax)
    ax.get_legend().remove()
    ax.set_title(source, fontsize=9, loc="left", parse_math=False)
    ax.tick_params(labelbottom=True, labeltop=len(names) > LONG, top=len(names) > LONG)
    ax.grid(axis="x", color=COLORS["pruned"], linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def _filled(source: str) -> str:
    """The name of a network in lines as wide as an axis."""
    return textwrap.fill(source, max(10, TITLE * len(source) // max(1, text_width(source))))


def _widest(fig: Figure, texts) -> float:
    """Inches of the longest text."""
    placed = [fig.text(0, 0, text, parse_math=False) for text in texts]
    widest = max(text.get_window_extent(fig.canvas.get_renderer()).width for text in placed)
    for text in placed:
        text.remove()
    return widest / fig.dpi


def _fonts(text: str) -> tuple[list[str], set[str]]:
    """Families of fonts that together have the letters of a text, the usual one first, and letters that none has."""
    usual = findfont(FontProperties())
    families, missing = [*plt.rcParams["font.family"]], {*text} - {*"\n"}
    missing = {one for one in missing if ord(one) not in get_font(usual).get_charmap()}
    for font in fontManager.ttflist if missing else ():
        if font.name.startswith("Last Resort"):  # a box for every letter
            continue
        found = {one for one in missing if ord(one) in get_font(font.fname).get_charmap()}
        families += [font.name] if found else []
        missing -= found
    return families, missing
