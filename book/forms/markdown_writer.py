"""A page, as Sphinx has resolved it, in the Markdown that JupyterLab, Colab and VS Code show alike.

What Markdown has no form for becomes a block quote (statements, boxes, exercises) or ``<details>`` (what the page
folds). A node that is not known here is written as what it contains, so that an extension needs nothing of its own.
"""

import html
import re
from dataclasses import dataclass, replace
from itertools import groupby

from docutils import nodes

from zimp.plots import COLORS

# What leaves nothing to read. Names, because not each of them can be imported.
SILENT = {"comment", "index", "meta", "substitution_definition", "target", "toctree", "tabular_col_spec", "colspec"}
LANGUAGES = {"ipython3": "python", "ipython": "python", "default": "python", "none": "", "text": ""}


@dataclass(frozen=True)
class Cell:
    """The place of a code cell, by its number in the notebook; whether it has an output, and the caption of that."""

    number: int
    has_output: bool
    caption: str
    folded: bool = False


@dataclass(frozen=True)
class Heading:
    """A heading, with which a new Markdown cell begins."""

    text: str


class Writer:
    """Writes one page. ``number(node)`` is what the site calls a node that it numbers, such as ``Theorem 3.1``."""

    def __init__(self, page, address, number, section_number):
        self.page, self.address, self.number, self.section_number = page, address, number, section_number

    # Blocks: each method returns a list of texts, which stand apart by empty lines, of headings and of cells.

    def blocks(self, parent, level=0):
        """What a node contains. Words that stand in no paragraph make one."""
        made = []
        for inline, children in groupby(parent.children, _is_inline):
            if inline:
                text = "".join(map(self.inline, children)).strip()
                made += [text] if text else []
            else:
                for child in children:
                    made += self.block(child, level)
        return made

    def block(self, node, level):
        kind = type(node).__name__
        if kind in SILENT:
            return []
        if kind == "container":
            kind = node.get("nb_element") or node.get("design_component") or kind
        elif "enumerable" in kind or "countertype" in node:
            kind = "statement"
        write = getattr(self, f"write_{kind}", None)
        return write(node, level) if write else self.blocks(node, level)

    def write_section(self, node, level):
        return self.blocks(node, level + 1)

    def write_title(self, node, level):
        number = self.section_number(node.parent)
        return [Heading(f"{'#' * min(level, 6)} {number}{self.words(node)}")]

    def write_paragraph(self, node, level):
        text = self.words(node).strip()
        # What Markdown would take for a list, a heading or a quote, where it is none.
        return [re.sub(r"^(\d+)([.)])(?=\s)|^([-+])(?=\s)", r"\1\\\2\3", text)] if text else []

    def write_rubric(self, node, level):
        return [f"**{self.words(node)}**"]

    def write_transition(self, node, level):
        return ["---"]

    def write_math_block(self, node, level):
        # On one line, since a line of a formula that begins with the sign of a quote would keep it.
        formula = " ".join(node.astext().split())
        if "\\\\" in formula and not node.get("nowrap"):  # as on the site
            formula = f"\\begin{{split}}{formula}\\end{{split}}"
        return [f"$${formula}$$"]

    def write_literal_block(self, node, level):
        text, language = node.astext(), node.get("language", "")
        fence = "`" * max(3, 1 + max(map(len, re.findall(r"`+", text)), default=0))
        return [f"{fence}{LANGUAGES.get(language, language)}\n{text}\n{fence}"]

    def write_block_quote(self, node, level):
        return [_quoted(self.blocks(node, level))]

    def write_bullet_list(self, node, level):
        return [self.items(node, level, ["- "] * len(node))]

    def write_enumerated_list(self, node, level):
        start = node.get("start", 1)
        return [self.items(node, level, [f"{start + k}. " for k in range(len(node))])]

    def items(self, node, level, marks):
        """The items of a list, close together if each is one paragraph."""
        items = [self.blocks(item, level) for item in node.children]
        gap = "\n" if all(len(item) == 1 for item in items) else "\n\n"
        return gap.join(mark + _indented("\n\n".join(item), len(mark)) for mark, item in zip(marks, items))

    def write_definition_list_item(self, node, level):
        terms = [f"**{self.words(term)}**" for term in node.findall(nodes.term)]
        return [", ".join(terms), *self.blocks(node.next_node(nodes.definition), level)]

    def write_footnote(self, node, level):
        label, *rest = node.children
        first, *others = [text for child in rest for text in self.block(child, level)]
        return [f"<sup>{label.astext()}</sup> {first}", *others]

    def write_raw(self, node, level):
        return [node.astext()] if "html" in node.get("format", "").split() else []

    def write_table(self, node, level):
        rows = [[self.entry(entry) for entry in row.findall(nodes.entry)] for row in node.findall(nodes.row)]
        head = [[""] * len(rows[0])] if node.next_node(nodes.thead) is None else []
        rows = [f"| {' | '.join(row)} |" for row in head + rows]
        titles = [self.caption(title) for title in node.children if isinstance(title, nodes.title)]
        return [*titles, "\n".join([rows[0], "|" + " --- |" * (rows[0].count(" | ") + 1), *rows[1:]])]

    def entry(self, node):
        """One cell of a table: one line, in which a bar would end it."""
        text = "<br>".join(" ".join(block.split()) for block in self.blocks(node))
        formulas = re.split(r"(\$[^$]*\$)", text)
        formulas[1::2] = [part.replace("\\|", "\\Vert ").replace("|", "\\vert ") for part in formulas[1::2]]
        return "".join(formulas).replace("|", "\\|")

    def write_figure(self, node, level):
        captions = [self.caption(child) for child in node.children if isinstance(child, nodes.caption)]
        rest = [child for child in node.children if not isinstance(child, nodes.caption)]
        return [text for child in rest for text in self.block(child, level)] + captions

    def caption(self, node):
        """A caption, after what the site calls its figure."""
        return f"**{self.number(node.parent)}.** {self.words(node)}"

    def write_image(self, node, level):
        return [f"![{node.get('alt', '')}]({self.address(node['uri'])})"]

    def write_admonition(self, node, level):
        title, *rest = node.children
        return self.boxed(self.words(title), rest, level)

    def write_statement(self, node, level):
        """A theorem, or what else has a number, with the name that may follow its number."""
        title, *rest = node.children
        name = self.words(title).strip()
        return self.boxed(f"{self.number(node)}{f' {name}' if name else ''}", rest, level)

    def boxed(self, title, content, level):
        """What the page puts into a box."""
        return [_quoted([f"**{title}**", *self.blocks(nodes.Element("", *content), level)])]

    def write_container(self, node, level):
        bold = "sd-card-title" in node["classes"]
        return [f"**{self.words(node).strip()}**"] if bold else self.blocks(node, level)

    def write_dropdown(self, node, level):
        """What the page folds. Code cells cannot be folded in: they stand after what leads to them."""
        title, *content = node.children
        summary, made = html.escape(title.astext(), quote=False), []
        blocks = self.blocks(nodes.Element("", *content), level)
        for is_text, group in groupby(blocks, lambda block: isinstance(block, str)):
            if is_text or not made:
                head = summary if not made else f"{summary}, continued"
                texts = list(group) if is_text else ["The code of the solution is in the folded cell below."]
                made.append("\n\n".join([f"<details>\n<summary><b>{head}</b></summary>", *texts, "</details>"]))
            if not is_text:
                made += [replace(cell, folded=True) for cell in group]
        return made

    write_solution_node = write_dropdown

    def write_cell_code(self, node, level):
        captions = [self.caption(caption) for caption in node.findall(nodes.caption)]
        outputs = [part for part in node.children if part.get("nb_element") == "cell_code_output"]
        return [Cell(node["cell_index"], bool(outputs), *captions or [""])]

    # Words: each method returns a text.

    def words(self, node):
        """The words in a node, on one line."""
        return "".join(map(self.inline, node.children))

    def inline(self, node):
        kind = type(node).__name__
        if kind in SILENT:
            return ""
        write = getattr(self, f"inline_{kind}", None)
        return write(node) if write else self.words(node)

    def inline_Text(self, node):  # noqa: N802, docutils names the node so
        text = " ".join(re.split(r"\s+", str(node)))
        text = re.sub(r"([\\`*_\[\]$~])", r"\\\1", text)
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    def inline_math(self, node):
        return f"${' '.join(node.astext().split())}$"

    def inline_literal(self, node):
        text = " ".join(node.astext().split())
        fence = "`" * (1 + max(map(len, re.findall(r"`+", text)), default=0))
        space = " " if text.startswith("`") or text.endswith("`") else ""
        return f"{fence}{space}{text}{space}{fence}"

    def inline_emphasis(self, node):
        return f"*{self.words(node)}*"

    def inline_strong(self, node):
        return f"**{self.words(node)}**"

    def inline_subscript(self, node):
        return f"<sub>{self.words(node)}</sub>"

    def inline_superscript(self, node):
        return f"<sup>{self.words(node)}</sup>"

    def inline_footnote_reference(self, node):
        return f"<sup>{node.astext()}</sup>"

    def inline_abbreviation(self, node):
        return f'<abbr title="{html.escape(node["explanation"])}">{self.words(node)}</abbr>'

    def inline_inline(self, node):
        (color,) = [name[5:] for name in node["classes"] if name[5:] in COLORS and name.startswith("zimp-")] or [None]
        patch = f'<span style="color: {COLORS[color]}">■</span>&nbsp;' if color else ""
        return patch + self.words(node)

    def inline_reference(self, node):
        target = node.get("refuri") or f"{self.page}.html#{node['refid']}"
        return f"[{self.words(node)}]({self.address(target)})"

    inline_number_reference = inline_reference

    def inline_image(self, node):
        return "".join(self.write_image(node, 0))

    def inline_raw(self, node):
        return "".join(self.write_raw(node, 0))


def _is_inline(node):
    return isinstance(node, (nodes.Text, nodes.Inline)) and not isinstance(node, nodes.raw)


def _quoted(blocks):
    return "\n".join(f"> {line}".rstrip() for line in "\n\n".join(blocks).split("\n"))


def _indented(text, width):
    return re.sub(r"\n(?=[^\n])", "\n" + " " * width, text)
