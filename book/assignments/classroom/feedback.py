"""Pages to read: one for each student, by question and without the hidden tests, and the statistics of a grading."""

import re
import sys
from collections import Counter
from html import escape
from pathlib import Path

from classroom import by_hand, gradebook, tables
from classroom.assignments import masters, questions, title
from classroom.pages import bullets, fill, mark, table
from zimp.lab.record import write_whole


def report(grades, output=None):
    """Merge the points by hand into the grades; write a page for each student, and the statistics."""
    grades = Path(grades)
    rows, columns = gradebook.read(grades)
    assignments = sorted({name.partition("/")[0] for name in rows} & masters().keys())
    by_hand.extend(grades, rows.values())
    typed = by_hand.points(grades, assignments)
    before = {name: dict(row) for name, row in rows.items()}
    by_hand.merge(rows.values(), typed)
    for name, row in rows.items():
        for question in (column for column in columns if before[name][column] and not row[column]):
            where = by_hand.sheet(grades, name.partition("/")[0])
            sys.exit(f"{grades} has points for {question} of {name}, and {where} has none: type them there")
    tables.save(grades, gradebook.whole(columns, rows.values()))
    output = Path(output or grades.with_name(f"{grades.stem}-pages"))
    for page in [page for one in assignments for page in (output / "feedback" / one).glob("*feedback.html")]:
        page.unlink()  # the submission may have gone, as an earlier attempt does
    for name, row in rows.items():
        if row["status"] != "earlier attempt":
            page = output / "feedback" / page_name(name)
            page.parent.mkdir(parents=True, exist_ok=True)
            write_whole(page, student_page(row, typed.get(name, ({}, ""))))
    aside = gradebook.earlier(grades)
    write_whole(output / "statistics.html", statistics_page(rows, gradebook.read(aside)[0] if aside else {}))
    waiting = sum(row["status"] == "graded" and not row["total"] for row in rows.values())
    print(f"{grades} has {len(rows)} rows, {waiting} of them wait for points by hand; the pages are in {output}")


def page_name(submission):
    """The name of a student's page. Moodle takes pages back whose names begin as those it gave to the files."""
    name = re.sub(r'[<>:"\\|?*]', "_", submission)
    return f"{name}{'_' if re.search('_assignsubmission_[a-z]+$', name) else '-'}feedback.html"


def student_page(row, typed):
    """What a student gets back. The messages hold nothing of the hidden tests, except how many of them failed."""
    assignment, _, _ = row["submission"].partition("/")
    given, comment = typed
    lines = [line for line in row["message"].split("\n") if line]
    parts = [f"<h1>{escape(title(masters()[assignment]))}</h1>"]
    every = questions(masters()[assignment])
    best = sum(question.points for question in every.values())
    so_far = f"{row['machine']} of {row['out of']} by machine; the written questions are not read yet"
    total = mark(row["total"], best) if row["total"] else so_far if row["machine"] else row["status"]
    parts.append(
        f"<p><strong>{escape(row['name'])}</strong> <span class=total><strong>{escape(total)}</strong></span></p>"
    )
    if row["machine"]:
        for name, question in every.items():
            own = [line.removeprefix(f"{name}: ") for line in lines if line.startswith(f"{name}: ")]
            lines = [line for line in lines if not line.startswith(f"{name}: ")]
            heading = f"Question {name[1:]}: {question.title}"
            parts.append(f"<h2>{escape(heading)} <span>{mark(row.get(name), question.points)}</span></h2>")
            if question.manual:
                own = [
                    f"{mark(f'{points:g}', worth)}: {text}"
                    for k, (text, worth) in enumerate(question.criteria, 1)
                    if (points := given.get(f"{name}.{k}")) is not None
                ] or ["A person reads this question."]
            elif not own:
                own = ["All tests pass."]
            parts.append(bullets(own))
    if comment:
        parts.append(f"<h2>Comment</h2><p>{escape(comment)}</p>")
    if lines:
        parts.append(f"<h2>The run of your notebook</h2>{bullets(lines)}")
    return fill(f"{assignment}, {row['name']}", parts)


def statistics_page(rows, before):
    parts = ["<h1>Statistics</h1>"]
    for assignment in sorted({name.partition("/")[0] for name in rows}):
        own = [row for name, row in rows.items() if name.startswith(f"{assignment}/")]
        parts.append(f"<h2>{escape(title(masters()[assignment]))}</h2>")
        counts = Counter(row["status"] for row in own)
        parts.append(f"<p>{escape(', '.join(f'{count} {status}' for status, count in counts.most_common()))}</p>")
        parts.append(table(["question", "", "mean", "of", "at 0", ""], list(by_question(assignment, own)), 2))
        if common := commonest(own):
            parts.append("<h2>The commonest messages</h2>")
            parts.append(table(["message", "students"], common, 1))
    if before:
        parts.append("<h2>What changed against the grading before</h2>")
        parts.append(table(["submission", "points", "what"], list(changes(rows, before)), 3))
    return fill("Statistics of a grading", parts)


def by_question(assignment, rows):
    """For each question the mean, and the share of those who got nothing for it."""
    for name, question in questions(masters()[assignment]).items():
        values = [float(row[name]) for row in rows if row.get(name)]
        if not values:
            yield name, question.title, "–", f"{question.points:g}", "–", ""
            continue
        mean, zero = sum(values) / len(values), sum(value == 0 for value in values) / len(values)
        bar = f'<meter min="0" max="{question.points}" value="{mean:.2f}">{mean:.2f}</meter>'
        yield name, question.title, f"{mean:.2f}", f"{question.points:g}", f"{zero:.0%}", bar


def commonest(rows, most=10):
    """The messages that most students got; those that differ only in their numbers are one."""
    texts, counts = {}, Counter()
    for row in rows:
        alike = {}
        for line in filter(None, row["message"].split("\n")):
            alike.setdefault(re.sub(r"\d+(\.\d+)?", "#", line), line)
        counts.update(alike.keys())
        texts = alike | texts  # the first of each that any student got
    return [(texts[line], count) for line, count in counts.most_common(most)]


def changes(rows, before):
    """The submissions whose status or points are not what they were."""
    for name, row in rows.items():
        old = before.get(name)
        if old is None:
            yield name, row["machine"] or row["status"], "new"
        elif (old["status"], old["machine"]) != (row["status"], row["machine"]):
            points = [
                f"{q} {old.get(q) or '–'} → {row[q] or '–'}"
                for q in row
                if re.fullmatch(r"q\d+", q) and row[q] != old.get(q)
            ]
            was, now = (one["machine"] or one["status"] for one in (old, row))
            yield name, f"{was} → {now}", ", ".join(points)
    for name in before.keys() - rows.keys():
        yield name, before[name]["machine"], "no longer there"
