"""Captioned outputs of cells that are tables are called so: those whose name begins with ``tab-``."""

from docutils import nodes
from sphinx.transforms import SphinxTransform
from sphinx.writers.html5 import HTML5Translator


class result_table(nodes.figure):  # noqa: N801, docutils writes its nodes so
    """A figure that is numbered with the tables."""


class NameTables(SphinxTransform):
    default_priority = 500

    def apply(self):
        for figure in list(self.document.findall(nodes.figure)):
            if any(name.startswith("tab-") for name in figure["names"]):
                table = result_table("", *figure.children, **figure.attributes)
                figure.replace_self(table)
                self.document.ids.update(dict.fromkeys(table["ids"], table))


def setup(app):
    """Register the node and what makes it."""
    html = HTML5Translator.visit_figure, HTML5Translator.depart_figure
    app.add_enumerable_node(result_table, "table", html=html)
    app.add_transform(NameTables)
    return {"parallel_read_safe": True}
