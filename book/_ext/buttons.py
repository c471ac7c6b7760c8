"""The buttons of a page lead to its executed notebook: in Binder, on Colab, and as a file.

Those of the theme lead to the text of the page. The notebooks are on a branch of their own, which
``.github/workflows/book.yml`` fills.
"""

from pathlib import Path
from urllib.parse import quote

BRANCH = "notebooks"


def setup(app):
    """Change the buttons once the theme has made them."""
    app.connect("html-page-context", lead_to_notebook, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def addresses(config, page):
    """Where the notebook of a page opens, by the name of the button."""
    repository = config.html_theme_options["repository_url"]
    name = repository.removeprefix("https://github.com/")
    binder = config.html_theme_options["launch_buttons"]["binderhub_url"]
    return {
        "Binder": f"{binder}/v2/gh/{name}/{BRANCH}?urlpath=lab/tree/{quote(page)}.ipynb",
        "Colab": f"https://colab.research.google.com/github/{name}/blob/{BRANCH}/{quote(page)}.ipynb",
        ".ipynb": f"{repository}/raw/{BRANCH}/{quote(page)}.ipynb",
    }


def lead_to_notebook(app, pagename, templatename, context, doctree):
    groups = {group.get("label"): group["buttons"] for group in context["header_buttons"] if group["type"] == "group"}
    if "launch-buttons" not in groups:  # a page without code
        return
    icon = "_static/images/logo_colab.png"
    groups["launch-buttons"].append({"type": "link", "text": "Colab", "tooltip": "Launch on Colab", "icon": icon})
    opens = addresses(app.config, pagename)
    Path(app.outdir, "_sources", f"{pagename}.ipynb").unlink(missing_ok=True)  # nothing leads to the theme's any more
    for button in groups["launch-buttons"] + groups["download-buttons"]:
        if button["text"] in opens:
            button["url"] = opens[button["text"]]
