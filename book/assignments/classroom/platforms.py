"""Grades into the file that a learning platform exports and imports: Moodle's grading worksheet, Canvas' gradebook."""

import re
import sys
from pathlib import Path

from classroom import gradebook, tables
from classroom.assignments import masters, questions, title

GRADE = ("Grade", "Bewertung", "Note", "Calificación", "Valutazione")  # what Moodle calls the column
KEPT = ("EX", "N/A")  # what Canvas has for a student who is excused, or was not given the assignment


def export(grades, file, assignment=None, column=None, machine=False, output=None):
    """Put the totals into the grades that a platform exported, matched by the platform's number of the student."""
    rows, _ = gradebook.read(grades)
    rows = [row for row in rows.values() if row["status"] != "earlier attempt"]
    names = sorted({row["submission"].partition("/")[0] for row in rows})
    if assignment is None and len(names) > 1:
        sys.exit(f"{grades} has grades of {', '.join(names)}; say by --assignment which of them")
    assignment = assignment or names[0]
    rows = [row for row in rows if row["submission"].startswith(f"{assignment}/")]
    if not rows:
        sys.exit(f"{grades} has no grades of {assignment}")
    try:
        table = tables.read(file)
    except OSError as error:
        sys.exit(f"{file} cannot be read: {error.strerror}")
    head = header(table)
    place = grade_column(table, assignment, column, file)
    identity, students = matching(table, rows, place, file)
    possible = worth(table, head, place, students, file)
    new, changed, kept = 0, 0, []
    for row in rows:
        target = students.get(row["student"])
        value = row["machine" if machine else "total"]
        if target is None or not value:
            continue
        old = target[place].strip()
        if old in KEPT:
            kept.append(row["submission"])
            continue
        new, changed = new + (not old), changed + bool(old and not same(old, value))
        target[place] = value.replace(".", ",") if decimal_comma(table, place) else value
    output = Path(output or Path(file).with_name(f"{Path(file).stem}-graded{Path(file).suffix}"))
    table.write(output)
    where = f"column {table.rows[0][place]!r}, matched by {table.rows[0][identity]!r}"
    print(f"{output}: {where}: {new} new, {changed} changed")
    what = "points by machine" if machine else "total (are all points by hand in? --machine takes those by machine)"
    report = {
        f"without {what}": [row["submission"] for row in rows if not row["machine" if machine else "total"]],
        f"left as {' or '.join(KEPT)}": kept,
        "not in the file": [row["submission"] for row in rows if row["student"] not in students],
    }
    for why, found in report.items():
        if found:
            print(f"{len(found)} {why}: {', '.join(found[:10])}{' and others' if len(found) > 10 else ''}")
    best = sum(q.points for q in questions(masters()[assignment]).values() if not (machine and q.manual))
    if possible not in (None, best):
        print(f"note: {file} has {possible:g} points for this assignment, and these grades are out of {best:g}")


def header(table):
    """How many rows the header has: one, and in Canvas all until the points that are possible."""
    for k, row in enumerate(table.rows[:5]):
        if row and row[0].strip() == "Points Possible":
            return k + 1
    return 1


def grade_column(table, assignment, column, file):
    """Which column the grades go to."""
    columns = table.rows[0] if table.rows else []
    if column is not None:
        found = [k for k, name in enumerate(columns) if column in (name, re.sub(r" \(\d+\)$", "", name))]
    elif header(table) > 1:
        full = title(masters()[assignment])
        names = {assignment, full, full.partition(":")[0]}
        found = [k for k, name in enumerate(columns) if re.sub(r" \(\d+\)$", "", name) in names]
    else:
        found = [k for k, name in enumerate(columns) if name in GRADE]
    if len(found) != 1:
        asked = f"the column {column!r}" if column is not None else "one column for these grades"
        asked += ", but several" if found else ""
        sys.exit(f"{file} does not have {asked}; say which by --column: {', '.join(filter(None, columns))}")
    return found[0]


def worth(table, head, place, students, file):
    """The points that the file has for the assignment: Canvas above the students, Moodle beside each; None if none."""
    if head > 1:
        cell = table.rows[head - 1][place]
        try:
            return tables.number(cell)
        except ValueError:  # "(read only)", in the language of the course
            sys.exit(f"{file} has {cell} in {table.rows[0][place]!r}: Canvas does not import it; see --column")
    try:
        found = {tables.number(row[place + 1]) for row in students.values()}
    except (ValueError, IndexError):  # another column
        return None
    return found.pop() if len(found) == 1 else None


def matching(table, rows, place, file):
    """The column whose numbers are those of our students, and its rows by number: `Participant 123` is 123."""
    body = [row for row in table.rows[header(table) :] if any(row)]
    wanted, best, chosen = {row["student"] for row in rows}, (0, {}), 0
    for k, _ in enumerate(table.rows[0]):
        if k != place:
            keys = [key(row[k]) if k < len(row) else "" for row in body]
            found = {one: row for one, row in zip(keys, body) if one in wanted and keys.count(one) == 1}
            if len(found) > best[0]:
                best, chosen = (len(found), found), k
    if not best[0]:
        sys.exit(f"{file} has none of the students: no column holds numbers such as {sorted(wanted)[0]}")
    for row in rows:  # of a group Moodle gives the number of the group, which may be that of a stranger
        target = best[1].get(row["student"])
        if target and row["name"] not in target and any(row["name"] in one for one in body):
            sys.exit(f"{file} has {row['name']} in other rows than that of {row['student']}: is this a group's number?")
    return chosen, best[1]


def same(old, value):
    try:
        return tables.number(old) == float(value)
    except ValueError:  # a word of the platform
        return False


def key(text):
    match = re.fullmatch(r"\D*?(\d+)", text.strip())
    return match[1] if match else text.strip()


def decimal_comma(table, place):
    return table.delimiter == ";" and not any("." in row[place] for row in table.rows[1:] if len(row) > place)
