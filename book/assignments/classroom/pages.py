"""HTML pages that need nothing beside them: light or dark as the reader's system is, and to print."""

from html import escape

PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --line: #8886; }}
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.5rem; margin-bottom: 0; }}
h2 {{ font-size: 1.1rem; margin: 1.5rem 0 0.25rem; border-top: 1px solid var(--line); padding-top: 0.75rem; }}
h2 span, .total {{ float: right; font-variant-numeric: tabular-nums; }}
p, ul {{ margin: 0.25rem 0; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }}
th, td {{ text-align: left; padding: 0.25rem 0.5rem; border-bottom: 1px solid var(--line); }}
td.n, th.n {{ text-align: right; white-space: nowrap; }}
meter {{ width: 6rem; }}
pre {{ overflow-x: auto; background: #8882; padding: 0.5rem; }}
img {{ max-width: 100%; background: white; }}
@media print {{ body {{ margin: 0; max-width: none; }} h2 {{ break-after: avoid; }} }}
</style>
{script}
</head>
<body>
{body}
</body>
</html>
"""

# Where there is no network, mathematics stays as it was typed.
MATHEMATICS = """\
<script>MathJax = {tex: {inlineMath: [["$", "$"]]}};</script>
<script async src="https://cdn.jsdelivr.net/npm/mathjax@3/es5/tex-chtml.js"></script>"""


def fill(title, parts):
    body = "\n".join(parts)
    return PAGE.format(title=escape(title), body=body, script=MATHEMATICS if 'class="math"' in body else "")


def mark(value, worth):
    return f"{value or '–'} of {worth:g}"


def bullets(lines):
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def table(heads, rows, numbers):
    """A table; the columns from `numbers` on hold numbers. Cells that begin with < are HTML already."""

    def line(tag, cells):
        kinds = (f'<{tag} class="n">' if k >= numbers else f"<{tag}>" for k in range(len(cells)))
        made = (cell if str(cell).startswith("<") else escape(str(cell)) for cell in cells)
        return "<tr>" + "".join(f"{kind}{cell}</{tag}>" for kind, cell in zip(kinds, made)) + "</tr>"

    return '<div class="wide"><table>' + line("th", heads) + "".join(line("td", row) for row in rows) + "</table></div>"
