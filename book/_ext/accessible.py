"""What the book's engine writes and some readers could not use, mended as each page is written.

The two buttons with such faults, search and colours, are mended by ``_templates/components``.
"""

import re

MENDED = {
    # A button is called what it says: "Show the code".
    r'<summary aria-label="Toggle hidden content">': "<summary>",
    # Sources are the items of their list; their own role has been withdrawn from the standard.
    r'(<div class="citation"[^>]*) role="doc-biblioentry"': r'\1 role="listitem"',
    # All statements of a page have the same id inside, and so have exercises and solutions.
    r'(<section[^>]*) id="(?:proof|exercise|solution)-content"': r"\1",
    # A corner of a table is no heading.
    r'<th class="head">(?:<p></p>)?</th>': "<td></td>",
}


def setup(app):
    """Mend the text of each page before its template is filled."""
    app.connect("html-page-context", mend)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def mend(app, pagename, templatename, context, doctree):
    """Replace what is wrong."""
    for wrong, right in MENDED.items():
        if "body" in context:
            context["body"] = re.sub(wrong, right, context["body"])
