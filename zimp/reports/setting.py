"""How the table of a report is set, as text and as a page: columns, lines, and names that never lose their numbers.

What stands in a file may be called anything, so names are escaped: in text what no terminal prints, on a page what is
markup.
"""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections import Counter
from html import escape

__all__ = ["page", "printable", "shortened", "text_table", "text_width", "wrapped"]

WIDTH = 100  # of the sentences, where none is asked for
ROOM = 40  # of a name on a page
ROWS = 20  # of a page; those that follow are folded
STYLE = """
.zimp-report { overflow-x: auto; font-variant-numeric: tabular-nums; }
.zimp-report table { border-collapse: collapse; margin: 0.3em 0; width: auto; }
.zimp-report caption { caption-side: top; text-align: left; font-weight: 600; padding: 0.3em 0; color: inherit; }
.zimp-report :is(th, td) { text-align: right; padding: 0.15em 0.6em; white-space: nowrap; background: none; }
.zimp-report td { min-width: 3.2em; }
.zimp-report :is(tbody, tfoot) th { font-weight: 400; min-width: var(--name); }
.zimp-report :is(th:first-child, :is(th, td):nth-child(2)) { text-align: left; }
.zimp-report thead th, .zimp-report tbody tr:last-child > * { border-bottom: 1px solid currentColor; }
.zimp-report tfoot > tr > * { font-weight: 600; }
.zimp-report td[style] { background: linear-gradient(90deg, rgb(47 151 214 / 0.35) var(--share), transparent 0);
  background-clip: padding-box; border-left: 0.5em solid transparent; }
.zimp-report ul { margin: 0.3em 0; padding-left: 1.2em; }
.zimp-report summary { cursor: pointer; padding: 0.2em 0; display: list-item; list-style: disclosure-closed inside; }
.zimp-report details[open] > summary { list-style-type: disclosure-open; }
"""


def printable(text: str) -> str:
    """The text with what has no glyph, such as the codes that steer a terminal, written as ``\\x1b``."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def text_width(text: str) -> int:
    """How many columns of a terminal a text takes: Chinese, Japanese and Korean letters take two."""
    return sum(2 if unicodedata.east_asian_width(one) in "WF" else not unicodedata.combining(one) for one in text)


def shortened(names: list[str], room: int) -> list[str]:
    """The names, those that are longer than ``room`` cut; whole where two would be cut to the same.

    Examples
    --------
    >>> from zimp.reports.setting import shortened
    >>> shortened(["model.layers.0.attention.output.weight", "head.weight"], 24)
    ['..0..output.weight', 'head.weight']
    """
    cut = [_cut(name, room) for name in names]
    alike = Counter(cut)
    return [name if alike[short] > 1 else short for name, short in zip(names, cut)]


def _cut(name: str, room: int) -> str:
    """Words without a number go, from the left, before the layer's own; two points stand for them."""
    words = name.split(".")
    for k, word in enumerate(words[:-2]):
        if text_width(_joined(words)) <= room:
            break
        if not re.search(r"\d", word):
            words[k] = ""
    short = _joined(words)
    return short if len(short) < len(name) else name


def _joined(words: list[str]) -> str:
    return re.sub(r"^\.+|\.{2,}", "..", ".".join(words))


def text_table(cells: list[list[str]], width=None) -> list[str]:
    """Lines of a table: its headings, its rows, and the row of the whole under a rule.

    Parameters
    ----------
    cells : list of list of str
        Of each line its name, its kind, and numbers.
    width : int, optional
        To which names are cut.
    """
    if width is not None:
        others = [max(map(len, column)) for column in list(zip(*cells))[1:]]
        room = max(16, width - sum(others) - len(others))
        names = shortened([row[0] for row in cells[1:-1]], room)
        cells = [cells[0], *([name, *row[1:]] for name, row in zip(names, cells[1:-1])), cells[-1]]
    widths = [max(map(text_width, column)) for column in zip(*cells)]
    lines = [_line(row, widths) for row in cells]
    return [*lines[:-1], "-" * len(lines[0]), lines[-1]]


def _line(cells: list[str], widths: list[int]) -> str:
    padding = [" " * (width - text_width(cell)) for cell, width in zip(cells, widths)]
    words = [cell + space for cell, space in list(zip(cells, padding))[:2]]
    numbers = [space + cell for cell, space in list(zip(cells, padding))[2:]]
    return " ".join(words + numbers).rstrip()


def wrapped(texts: list[str], indent: int, width=None) -> list[str]:
    """Lines of paragraphs, those after the first of each indented."""
    lines = []
    for text in texts:
        lines += textwrap.wrap(text, width or WIDTH, subsequent_indent=" " * indent, break_long_words=False)
    return lines


def page(caption: str, verdict: list[str], remarks: list[str], columns: list[tuple[str, str]], cells, shares) -> str:
    """The table as HTML, for a notebook on a light or on a dark page: sentences, the table with bars, more sentences.

    Parameters
    ----------
    caption : str
    verdict, remarks : list of str
        What stands above the table, and what is folded below it.
    columns : list of (str, str)
        The heading of each, and what it says.
    cells : list of list of str
        Of each row, the last of which is that of the whole.
    shares : list of list of (float or None)
        How much of a cell its bar fills, where it has one.
    """
    names = [row[0] for row in cells]
    short = [*shortened(names[:-1], ROOM), names[-1]]
    *rows, whole = (_html_row(*row) for row in zip(short, cells, shares))
    head = "".join(f'<th scope="col" title="{escape(what)}">{escape(heading)}</th>' for heading, what in columns)
    head = f"<thead><tr>{head}</tr></thead>"
    shown = f"<table><caption>{escape(caption)}</caption>{head}<tbody>{''.join(rows[:ROWS])}</tbody>"
    parts = [_html_list(verdict), f"{shown}<tfoot>{whole}</tfoot></table>"]
    if rows[ROWS:]:
        more = f"<table><caption>{escape(caption)}, from layer {ROWS + 1} on</caption>{head}"
        parts.append(_folded(f"{len(rows) - ROWS} more layers", f"{more}<tbody>{''.join(rows[ROWS:])}</tbody></table>"))
    terms = "".join(f"<dt>{escape(heading)}</dt><dd>{escape(what)}</dd>" for heading, what in columns)
    parts.append(_folded("What the columns say", f"<dl>{terms}</dl>"))
    if remarks:
        parts.append(_folded("Notes, and what is left out", _html_list(remarks)))
    widest = max(map(text_width, short))  # so that both tables have columns of one width
    start = f'<div class="zimp-report" style="--name: {widest}ch" tabindex="0"><style>{STYLE}</style>'
    return f"{start}{''.join(parts)}</div>"


def _html_row(short: str, cells: list[str], shares: list[float | None]) -> str:
    bars = ["" if share is None else f' style="--share: {share:.1%}"' for share in shares[1:]]
    others = "".join(f"<td{bar}>{escape(cell)}</td>" for bar, cell in zip(bars, cells[1:]))
    return f'<tr><th scope="row" title="{escape(cells[0])}">{escape(short)}</th>{others}</tr>'


def _html_list(sentences: list[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in sentences)}</ul>"


def _folded(summary: str, content: str) -> str:
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"
