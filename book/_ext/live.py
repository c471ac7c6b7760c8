"""Live views on the pages: the scripts that `zimp.widgets.live` puts into a notebook become files that a page loads.

A notebook has to bring its scripts with it. A page of the site loads each once: they are taken out of the outputs of
its cells; those made by a cell, such as data, are written beside the ones that stand in ``_static`` already.
"""

import re
from pathlib import Path

INLINED = re.compile(r'<(script|style) data-zimp-file="(zimp-[\w-]+\.(?:js|css))">(.*?)</\1>\n?', flags=re.S)


def setup(app):
    """Take the scripts out when a page is written."""
    app.connect("html-page-context", load_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def load_files(app, pagename, templatename, context, doctree):
    """Replace what is inlined by files, in the order in which it stood, each once."""
    # Jupyter Book has every page load every script of `_static`, in no order.
    loaded = context.get("script_files", [])
    loaded[:] = [file for file in loaded if not Path(str(file.filename)).name.startswith("zimp-play")]
    found = {name: text for _, name, text in INLINED.findall(context.get("body", ""))}
    if not found:
        return
    context["body"] = INLINED.sub("", context["body"])
    folder = Path(app.outdir, "_static")
    folder.mkdir(exist_ok=True)
    for name, text in found.items():
        if not Path(app.srcdir, "_static", name).exists():
            (folder / name).write_text(text, encoding="utf-8")
        if name.endswith(".css"):
            app.add_css_file(name)
        else:
            app.add_js_file(name, loading_method="defer")
