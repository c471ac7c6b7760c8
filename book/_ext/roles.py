"""Roles of the book: a swatch for each colour of the figures, and a link that opens a page in Binder.

``{tree}`tree edges``` sets a patch of the colour before the words. ``{binder}`words <page>``` is a button.
"""

from buttons import addresses
from docutils import nodes
from sphinx.util.docutils import SphinxRole
from sphinx.util.nodes import split_explicit_title

from zimp.plots import COLORS


def setup(app):
    """Register the roles; the colours are in ``zimp.css``."""
    for name in COLORS:
        app.add_role(name, swatch)
    app.add_role("binder", Binder())
    return {"parallel_read_safe": True}


def swatch(name, rawtext, text, lineno, inliner, options=None, content=()):
    return [nodes.inline(rawtext, text, classes=["zimp-swatch", f"zimp-{name}"])], []


class Binder(SphinxRole):
    """A button for Binder in the text."""

    def run(self):
        _, words, page = split_explicit_title(self.text)
        link = addresses(self.config, page)["Binder"]
        return [nodes.reference("", words, refuri=link, classes=["sd-btn", "sd-btn-outline-primary"])], []
