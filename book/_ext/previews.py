"""What a link to a page brings along where it is shared: its first words, and a picture drawn like the cover."""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from docutils import nodes

import zimp
from zimp import plots

FILE = "_static/card.png"
LAYER = np.array([[0.8, 0.6], [0.25, 0.15], [0.7, 0.5]])
PLAIN = {r"\times": "×", r"\dots": "…", r"\lvert": "|", r"\rvert": "|", "\\": "", "{": "", "}": ""}


def setup(app):
    """Prepare what ``sphinxext.opengraph`` writes into each page, and draw the picture."""
    app.connect("config-inited", name_card)
    app.connect("html-page-context", read_aloud, priority=400)  # before opengraph reads the page
    app.connect("build-finished", draw_card)
    app.connect("build-finished", lead_in, priority=400)  # before a bare page is written in its place
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def name_card(app, config):
    """Give the previews the site's address, which stands in one place of the configuration, and its picture."""
    config.ogp_site_url = config.html_baseurl
    config.ogp_site_name = config.html_title
    config.ogp_image = FILE
    config.ogp_image_alt = "A layer of six weights, its tree, and its largest weights, which leave a neuron cut off."
    config.ogp_custom_meta_tags = [
        '<meta property="og:image:width" content="1200" />',
        '<meta property="og:image:height" content="630" />',
        '<meta name="twitter:card" content="summary_large_image" />',
    ]


def read_aloud(app, pagename, templatename, context, doctree):
    """Put plain words in the place of formulas, in a page whose text has been written already."""
    for formula in list(doctree.findall(nodes.math)) if doctree else ():
        text = formula.astext()
        for tex, plain in PLAIN.items():
            text = text.replace(tex, plain)
        formula.replace_self(nodes.Text(text))
    for formula in list(doctree.findall(nodes.math_block)) if doctree else ():
        formula.parent.remove(formula)


def draw_card(app, exception):
    """1200 by 630 pixels, as the networks ask for."""
    if exception or app.builder.name != "html":
        return
    tree = sum(LAYER.shape) - 1
    masks = None, zimp.topological_mask(LAYER, tree), zimp.magnitude_mask(LAYER, tree)
    fig, axes = plots.figure(3, width=6, height=3.15)
    for ax, mask, name in zip(axes, masks, ("a layer", "its tree", "its largest weights")):
        plots.bipartite(LAYER, mask, ax=ax).set_title(name, y=-0.2)
    fig.get_layout_engine().set(rect=(0.03, 0.05, 0.94, 0.88))
    fig.suptitle(app.config.html_title, size=15, weight="bold", y=0.96)
    fig.savefig(Path(app.outdir, FILE), dpi=200)
    plt.close(fig)


def lead_in(app, exception):
    """The site's bare address leads to the first page, and brings along what that page does."""
    if exception or app.builder.name != "html":
        return
    first = app.builder.get_target_uri(app.config.root_doc)
    head = Path(app.outdir, first).read_text(encoding="utf-8").split("</head>")[0]
    said = re.findall(r'<title>.*?</title>|<meta (?:property|name)="(?:og:|twitter:|description)[^>]*>', head)
    lines = ['<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8" />', *said]
    lines += [f'<meta http-equiv="refresh" content="0; url={first}" />\n</head>']
    lines += [f'<body><a href="{first}">{app.config.html_title}</a></body>\n</html>\n']
    Path(app.outdir, "index.html").write_text("\n".join(lines), encoding="utf-8")
