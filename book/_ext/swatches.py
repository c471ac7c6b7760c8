"""A role for each colour of the figures: ``{tree}`tree edges``` sets a patch of the colour before the words."""

from docutils import nodes

from zimp.plots import COLORS


def setup(app):
    """Register the roles; the colours are in ``zimp.css``."""
    for name in COLORS:
        app.add_role(name, swatch)
    return {"parallel_read_safe": True}


def swatch(name, rawtext, text, lineno, inliner, options=None, content=()):
    return [nodes.inline(rawtext, text, classes=["zimp-swatch", f"zimp-{name}"])], []
