"""The masters of the assignments: their questions, points and criteria, and what tells one from another."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jupytext
import yaml

HERE = Path(__file__).resolve().parent.parent
ROOT = HERE.parent.parent
DIST = HERE / "dist"

COUNTS = {"One": 1, "Two": 2, "Three": 3}
CRITERION = (  # how the masters write a criterion and its points
    re.compile(r"^\| (?P<text>.+?) \| (?P<points>\d+) \|$", flags=re.M),
    re.compile(r"^\* (?P<text>.+?) \((?P<points>\d+) points?\)[;.]?$", flags=re.M),
    re.compile(rf"(?P<points>{'|'.join(COUNTS)}) points?: (?P<text>.+?)(?= (?:{'|'.join(COUNTS)}) points?: |$)", re.M),
)


@dataclass(frozen=True)
class Question:
    """A question of an assignment; `criteria` are pairs of a text and its points, for a person to judge."""

    name: str
    title: str
    points: float
    criteria: tuple

    @property
    def manual(self):
        return bool(self.criteria)


def masters():
    return {file.stem: file for file in sorted(HERE.glob("hw*.md"))}


@cache
def cells(master):
    return jupytext.read(master).cells


def title(master):
    return re.search(r"^# (.+)$", "\n".join(c.source for c in cells(master) if c.cell_type == "markdown"), re.M)[1]


@cache
def questions(master):
    """The questions of a master by name, in their order."""
    found, config, text, titles = {}, None, "", []
    for cell in cells(master):
        if cell.cell_type == "raw" and cell.source.startswith("# BEGIN QUESTION"):
            config, text = yaml.safe_load(cell.source), ""
        elif cell.cell_type == "raw" and cell.source.startswith(("# BEGIN SOLUTION", "# END QUESTION")) and config:
            criteria = criteria_of(text, config["points"]) if config.get("manual") else ()
            found[config["name"]] = Question(config["name"], titles[-1] if titles else "", config["points"], criteria)
            config = None
        elif cell.cell_type == "markdown":
            titles += re.findall(r"^## Question \d+: (.+?)(?: \(\d.*\))?$", cell.source, flags=re.M)
            text += cell.source + "\n"
    return found


def criteria_of(text, points):
    """The criteria that a question states, if their points make up those of the question; else the question itself."""
    for pattern in CRITERION:
        found = tuple(
            (m["text"].replace("$", ""), COUNTS.get(m["points"]) or int(m["points"])) for m in pattern.finditer(text)
        )
        if sum(worth for _, worth in found) == points:
            return found
    return (("the whole question", points),)


@cache
def marks(master):
    """What only a notebook of this assignment has: the headings of its questions, and the names its tests look at."""
    sources = [cell.source for cell in cells(master)]
    headings = {line for source in sources for line in source.splitlines() if line.startswith("## Question")}
    tests = [re.search(r"^def test_\w+\((.+?)\):", source, flags=re.M) for source in sources]
    return headings | {name.strip() for test in tests if test for name in test[1].split(",")}


def told_by(sources):
    """How many of its marks each assignment has in the cells of a notebook."""
    words = {word for source in sources for word in re.findall(r"\w+", source)}
    words |= {line for source in sources for line in source.splitlines() if line.startswith("## Question")}
    return {name: len(marks(master) & words) for name, master in masters().items()}
