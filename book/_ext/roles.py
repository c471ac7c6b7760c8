"""Roles of the book: a swatch for each colour of the figures, and a link that opens a page in Binder.

``{tree}`tree edges``` sets a patch of the colour before the words. ``{binder}`words <page>``` is a button.
"""

from urllib.parse import quote

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
    """The theme's own Binder address, in the text: its repository stands in one place of the configuration."""

    def run(self):
        _, words, page = split_explicit_title(self.text)
        options = self.config.html_theme_options
        repository = options["repository_url"].removeprefix("https://github.com/")
        file = quote(f"{options['path_to_docs']}/{page}.md")
        address = f"{options['launch_buttons']['binderhub_url']}/v2/gh/{repository}/{options['repository_branch']}"
        link = f"{address}?urlpath=lab/tree/{file}"
        return [nodes.reference("", words, refuri=link, classes=["sd-btn", "sd-btn-outline-primary"])], []
