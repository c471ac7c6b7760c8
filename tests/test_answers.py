"""Answers of many styles, in many offerings: right ones get full marks, wrong ones do not.

The tests of a question are read from the master and run in this process: no course is built, and an offering costs no
more than its tests.
"""

import re
import runpy
from pathlib import Path

import jupytext
import pytest
import yaml

TESTS = Path(__file__).parent
MASTERS = {file.stem: file for file in sorted((TESTS.parent / "book" / "assignments").glob("hw*.md"))}
OFFERINGS = (100_000, 999_999)  # tests/rehearsal/answers.py takes more


class Assignment:
    """A master's questions that are graded by the machine: their solutions and tests."""

    def __init__(self, name):
        cells = [cell.source for cell in jupytext.read(MASTERS[name]).cells if cell.cell_type == "code"]
        self.imports, self.solutions, self.tests = {"__name__": "__main__"}, {}, {}
        exec(cells[0], self.imports)
        for source in cells:
            if re.match(r"# q\d+\n", source):
                question = source.split()[1]
                self.solutions[question] = source
            elif source.startswith('""" # BEGIN TEST CONFIG'):
                config = yaml.safe_load(source.split('"""')[1])
                self.tests.setdefault(question, []).append((config["points"], source))
        self.solutions = {question: self.solutions[question] for question in self.tests}  # others are read by a person

    def complaints(self, question, answer, offering):
        """What the tests that cost points say to an answer, each with its source."""
        space = dict(self.imports)
        exec(answer, space)
        for points, source in self.tests[question]:
            name, parameters = re.search(r"^def (test_\w+)\((.*)\):", source, flags=re.M).groups()
            exec(source.replace("OFFERING_SEED", str(offering)), made := {})
            try:
                made[name](*(space.get(parameter) for parameter in parameters.split(", ")))
            except Exception as error:
                if points:
                    yield f"{name}: {type(error).__name__}: {error}", source

    def complaint(self, question, answer, offering):
        """The first one, or None."""
        return next((said for said, _ in self.complaints(question, answer, offering)), None)


def answers(name, kind):
    """The answers of one kind, "right" or "wrong", to an assignment, by question and description."""
    return runpy.run_path(str(TESTS / f"{kind}_answers" / f"{name}.py"))[kind.upper()]


ASSIGNMENTS = {name: Assignment(name) for name in MASTERS}
QUESTIONS = [(name, question) for name, assignment in ASSIGNMENTS.items() for question in assignment.tests]


@pytest.mark.parametrize(("name", "question"), QUESTIONS)
def test_c5_a_wrong_answer_loses_points_in_another_offering(name, question):
    """Another than that in which test_assignments.py builds the course."""
    for mistake, answer in answers(name, "wrong")[question].items():
        assert ASSIGNMENTS[name].complaint(question, answer, OFFERINGS[0]), mistake


@pytest.mark.parametrize(("name", "question"), QUESTIONS)
def test_c6_a_right_answer_of_another_style_gets_full_marks_in_every_offering(name, question):
    solution = {"the solution": ASSIGNMENTS[name].solutions[question]}
    for style, answer in (solution | answers(name, "right")[question]).items():
        for offering in OFFERINGS:
            assert not (said := ASSIGNMENTS[name].complaint(question, answer, offering)), (style, offering, said)


READY_MADE = re.compile("under another name|by getattr|in a helper|names imported|scipy's test")


def test_c6_every_test_knows_a_ready_made_object_by_whatever_name_it_goes():
    """The functions that must be the student's own are looked at by each of their tests."""
    for name, question in QUESTIONS:
        looking = [source for _, source in ASSIGNMENTS[name].tests[question] if "def ran(" in source]
        for mistake, answer in answers(name, "wrong")[question].items():
            if READY_MADE.search(mistake):
                functions = re.findall(r"^def (\w+)", answer, flags=re.M)
                function = [f for f in functions if any(f"({f})" in source for source in looking)][-1]
                complaining = [source for _, source in ASSIGNMENTS[name].complaints(question, answer, OFFERINGS[0])]
                assert {source for source in looking if f"({function})" in source} <= set(complaining), mistake


def test_t2_the_right_letter_says_what_the_interval_leaves_open():
    text = MASTERS["hw3"].read_text(encoding="utf-8")
    mean, half = map(float, re.search(r"\$(-[\d.]+) \\pm ([\d.]+)\$ \(a 95 % interval", text).groups())
    limits = re.search(r"^\* D\. A difference below about \$(.+?)\$ or above about \$(.+?)\$ ", text, flags=re.M)
    assert [float(limit) for limit in limits.groups()] == [round(mean - half, 2), round(mean + half, 2)]
