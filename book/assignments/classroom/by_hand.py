"""Points that a person gives: a sheet for each assignment with a column for each criterion, and the answers to read.

The sheet lies beside the CSV of the grades. Grading again adds rows to it and changes no points.
"""

import re
import sys
import textwrap
from html import escape
from pathlib import Path

import nbformat
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

from classroom import tables
from classroom.assignments import DIST, masters, questions
from classroom.isolation import Workroom
from classroom.pages import bullets, fill
from classroom.submissions import Failure, find, parse, places
from zimp.lab.record import write_whole

FIRST, LAST = ["submission", "student", "name"], ["comment", "look again", "file"]
UNREAD = {"not a notebook", "wrong assignment", "earlier attempt"}  # in which there is nothing to read


def sheet(grades, assignment):
    """Where the sheet of an assignment is."""
    grades = Path(grades).resolve()
    return grades.with_name(f"{grades.stem}-by-hand-{assignment}.csv")


def criteria(assignment):
    """The criteria of all written questions: by the name of a column, its question, text and points."""
    written = [question for question in questions(masters()[assignment]).values() if question.manual]
    return {f"{q.name}.{k}": (q.name, *one) for q in written for k, one in enumerate(q.criteria, 1)}


def read(grades, assignment):
    """The sheet, if there is one, and where it has each criterion."""
    path = sheet(grades, assignment)
    if not path.is_file():
        return None, {}
    table = tables.read(path)
    heads = headings(table)
    if missing := [name for name in [*FIRST, *criteria(assignment), "comment"] if name not in heads]:
        sys.exit(f"{path} has no column {missing[0]}; was it renamed? Move the sheet away to get a new one")
    return table, heads


def headings(table):
    """The columns of a sheet by their first words; what follows there is for people."""
    return {column.partition(" (")[0]: column for column in table.columns}


def points(grades, assignments):
    """What is typed in the sheets: for each submission the points by criterion, None where a cell is empty."""
    found = {}
    for assignment in assignments:
        table, heads = read(grades, assignment)
        for record in table.records() if table else ():
            typed = {}
            for name, (_, _, worth) in criteria(assignment).items():
                value = record.get(heads[name], "")
                try:
                    typed[name] = tables.number(value)
                    right = typed[name] is None or 0 <= typed[name] <= worth
                except ValueError:
                    right = False
                if not right:
                    where = f"{sheet(grades, assignment)}, {record['submission']}, column {name}"
                    sys.exit(f"{where}: {value!r} is no number of points from 0 to {worth}")
            found[record["submission"]] = (typed, record.get("comment", ""))
    return found


def extend(grades, rows):
    """Add the submissions that are not in the sheets yet. A later attempt takes the place of the earlier one."""
    for assignment in dict.fromkeys(row["submission"].partition("/")[0] for row in rows):
        if not criteria(assignment):
            continue
        table, heads = read(grades, assignment)
        if table is None:
            columns = [
                f"{name} (of {one[2]}) {textwrap.shorten(one[1], 60)}" for name, one in criteria(assignment).items()
            ]
            table = tables.Table([[*FIRST, *columns, *LAST]])
            heads = headings(table)
        records = table.records()
        now = {row["submission"] for row in rows if row["status"] not in UNREAD}
        known = {record["submission"]: record for record in records}
        gone = {r["student"]: r for r in records if r["student"].isdigit() and r["submission"] not in now}
        for row in rows:
            if row["submission"].partition("/")[0] != assignment or row["status"] in UNREAD:
                continue
            facts = {name: row[name] for name in FIRST} | {"file": row["file"].partition("-")[0]}
            record = known.get(row["submission"]) or gone.get(row["student"])
            if record is None:
                records.append(facts)
                continue
            again = record.get("file") != facts["file"]
            if again or row["submission"] not in known:  # or a spreadsheet has spoilt its name
                begun = again and any(record.get(heads[name], "").strip() for name in criteria(assignment))
                record |= facts | ({"look again": "handed in again"} if begun else {})
        table.rows = [table.columns, *([record.get(column, "") for column in table.columns] for record in records)]
        if table.encoding != "utf-16":  # a spreadsheet may have saved it in one that lacks the letters of a name
            table.encoding = "utf-8-sig"
        if records:
            table.write(sheet(grades, assignment))


def merge(rows, typed):
    """Put the points of the sheets into the rows of the grades, and sum them."""
    for row in rows:
        assignment = row["submission"].partition("/")[0]
        given, parts = typed.get(row["submission"], ({}, ""))[0], {}
        for name, (question, _, _) in criteria(assignment).items():
            parts.setdefault(question, []).append(given.get(name))
        sums = {question: None if None in values else sum(values) for question, values in parts.items()}
        row |= {question: "" if value is None else f"{value:g}" for question, value in sums.items()}
        whole = None not in sums.values()
        row["by hand"] = f"{sum(sums.values()):g}" if whole and sums else ""
        row["total"] = f"{float(row['machine']) + sum(sums.values()):g}" if whole and row.get("machine") else ""


def answers(folder, assignment=None, output="answers", built=DIST):
    """Write pages with all answers to a written question, one below the other, to read beside the sheet."""
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    with Workroom() as room:
        for name, place in places(Path(folder), assignment, room.folder / "export").items():
            given, model = (read_built(built, kind, name) for kind in ("student", "instructor"))
            notebooks = [("Model answer", model), *opened(name, place)]
            for question in questions(masters()[name]).values():
                if question.manual:
                    judged = [
                        f"{question.name}.{k} (of {w}): {text}" for k, (text, w) in enumerate(question.criteria, 1)
                    ]
                    parts = [f"<h1>{escape(f'{name}, {question.name}: {question.title}')}</h1>", bullets(judged)]
                    for who, notebook in notebooks:
                        parts.append(f"<h2>{escape(who)}</h2>{rendered(answer(notebook, question.name, given))}")
                    page = output / f"{name}-{question.name}.html"
                    write_whole(page, fill(f"{name}, {question.name}", parts))
                    print(f"{page}: {len(notebooks) - 1} answers", flush=True)


def read_built(built, kind, name):
    file = Path(built) / kind / f"{name}.ipynb"
    if not file.is_file():
        sys.exit(f"{file} is not there; is the course built? --built says where")
    return nbformat.read(file, as_version=4)


def opened(name, place):
    """The notebooks among the submissions, with the names of their students."""
    for submission in find(name, place):
        try:
            notebook = parse(submission.data(), name)
        except Failure:
            continue
        known = submission.name != submission.student
        yield f"{submission.name}, {submission.student}" if known else submission.name, notebook


def answer(notebook, question, given):
    """The cells under the heading of a question, without those that were given to everybody."""
    known = {cell.source.strip() for cell in given.cells}
    found, inside = [], False
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and (heading := re.search(r"^## .*", cell.source, flags=re.M)):
            inside = heading[0].startswith(f"## Question {question[1:]}:")
        if inside and cell.source.strip() not in known and cell.source.strip() != "<!-- END QUESTION -->":
            found.append(cell)
    return found


def rendered(cells):
    """Cells as HTML, which a student's own HTML is no part of: it would run in the browser of whoever reads it."""
    text = MarkdownIt("js-default", {"html": False}).use(dollarmath_plugin, renderer=tex)
    parts = []
    for cell in cells:
        parts.append(text.render(cell.source) if cell.cell_type == "markdown" else f"<pre>{escape(cell.source)}</pre>")
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                parts.append(f'<img alt="" src="data:image/png;base64,{escape("".join(data["image/png"].split()))}">')
            elif said := output.get("text") or data.get("text/plain") or output.get("evalue"):
                parts.append(f"<pre>{escape(said[:5000])}</pre>")
    return "".join(parts) or "<p><em>No answer under the heading of this question.</em></p>"


def tex(content, options):
    """Mathematics as it was typed, for MathJax."""
    sign = "$$" if options["display_mode"] else "$"
    return f'<span class="math">{sign}{escape(content)}{sign}</span>'
