"""The course's machine with a grader that runs nothing: what is found, kept, merged and shown for a class."""

import collections
import csv
import io
import json
import os
import random
import re
import runpy
import signal
import sys
import threading
import zipfile
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "book" / "assignments"))

from classroom import (  # noqa: E402
    assignments,
    building,
    by_hand,
    feedback,
    gradebook,
    grading,
    isolation,
    platforms,
    tables,
)
from classroom.submissions import Failure, find, parse  # noqa: E402

QUESTIONS = assignments.questions(assignments.masters()["hw1"])
MACHINE = [name for name, question in QUESTIONS.items() if not question.manual]


def notebook(*sources, headings=("## Question 1: six weights on paper (3 points)",), **metadata):
    cells = [nbformat.v4.new_markdown_cell(heading) for heading in headings]
    cells += [nbformat.v4.new_code_cell(source) for source in sources]
    return nbformat.writes(nbformat.v4.new_notebook(cells=cells, metadata=metadata)).encode()


@pytest.fixture
def batch(tmp_path, monkeypatch):
    """A course of one assignment, and a grader to which a notebook says its points: `points = 3` gets 3 for each."""
    (tmp_path / "built" / "autograder").mkdir(parents=True)
    (tmp_path / "class" / "hw1").mkdir(parents=True)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    with zipfile.ZipFile(tmp_path / "built" / "autograder" / "hw1.zip", "w") as archive:
        for name in MACHINE:
            archive.writestr(f"tests/{name}.py", "")

    def run(self, read, tests):
        source = read.cells[-1].source
        if "crash" in source:
            raise Failure("crashed", "Kernel died")
        points = int(re.search(r"points = (\d)", source)[1])
        messages = [] if points == 3 else ["q1: deaths has 5 numbers", "q2: 1 of 2 hidden tests failed."]
        return {"scores": dict.fromkeys(MACHINE, points), "messages": messages}

    monkeypatch.setattr(grading.Grader, "run", run)
    monkeypatch.setattr("classroom.isolation.Workroom.prepare", lambda self: None)
    return tmp_path


def hand_in(batch, name, source="points = 3"):
    path = batch / "class" / "hw1" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(source if isinstance(source, bytes) else notebook(source))
    return path


def grade(batch, *, folder="class", **options):
    grading.grade(batch / folder, built=batch / "built", output=batch / "g.csv", jobs=2, **options)
    return gradebook.read(batch / "g.csv")[0]


# What is handed in


def zipped(files):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


RIGHT = notebook("points = 3")


@pytest.mark.parametrize(
    "files",
    [
        {"a.zip": zipped({"hw1.ipynb": RIGHT, "__MACOSX/._hw1.ipynb": b"\0\5\x16\7"})},
        {"a.zip": zipped({"hw1/": b"", "hw1/hw1.ipynb": RIGHT, "hw1/.ipynb_checkpoints/hw1-checkpoint.ipynb": RIGHT})},
        {"HW1.IPYNB": RIGHT},
        {"a.zip": zipped({"HW1.IPYNB": RIGHT, "picture.png": b"PNG"})},
        {"anna/hw1.ipynb": RIGHT, "anna/notes.txt": b"x", "anna/.ipynb_checkpoints/hw1-checkpoint.ipynb": RIGHT},
        {"anna/exported.zip": zipped({"hw1.ipynb": RIGHT})},
        {"a.ipynb": json.dumps(json.loads(RIGHT)).encode("utf-16")},
        {"a.ipynb": b"\xef\xbb\xbf" + RIGHT},
    ],
)
def test_c2_zips_and_folders_as_students_make_them_are_read(batch, files):
    for name, data in files.items():
        hand_in(batch, name, data)
    (row,) = grade(batch).values()
    assert (row["status"], row["machine"]) == ("graded", f"{3 * len(MACHINE)}")


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.zip", zipped({"hw1.zip": zipped({"hw1.ipynb": RIGHT})}), "holds another zip (hw1.zip)"),
        ("a.zip", zipped({}), "The zip is empty."),
        ("a.zip", zipped({"__MACOSX/._x": b"x"}), "The zip is empty."),
        ("a.zip", zipped({"hw1.ipynb": RIGHT}).replace(RIGHT[:20], b"x" * 20), "The zip is damaged"),
        ("a.zip", zipped({"hw1.pdf": b"x"}), "holds no notebook (.ipynb), but hw1.pdf"),
        ("a.zip", zipped({"a.ipynb": RIGHT, "b.ipynb": RIGHT}), "2 files are in it (a.ipynb, b.ipynb)"),
        ("anna/a.ipynb", {"a.ipynb": RIGHT, "b.ipynb": RIGHT}, "2 files are in it (a.ipynb, b.ipynb)"),
        ("a.ipynb", RIGHT[:-30], "breaks off or is damaged"),
        ("a.ipynb", b"[1, 2]", "This is JSON, but no notebook"),
        ("a.ipynb", b"[" * 100_000, "no notebook file"),
        ("a.ipynb", b" \n", "The file is empty."),
        ("a.ipynb", b"<!doctype html>", "This is a web page"),
        ("a.ipynb", b"PK\3\4 half of a zip", "a damaged zip"),
        ("a.docx", b"\xd0\xcf\x11\xe0", "text or data of another kind"),
    ],
)
def test_c2_what_is_no_notebook_is_named_for_what_it_is(batch, name, data, message):
    for file, content in ({Path(name).name: data} if isinstance(data, bytes) else data).items():
        hand_in(batch, str(Path(name).with_name(file)), content)
    (row,) = grade(batch).values()
    assert row["status"] == "not a notebook" and message in row["message"] and row["machine"] == ""
    assert not re.search(r"Error|Exception", row["message"])


@pytest.mark.skipif(os.name != "posix", reason="links and pipes")
def test_c11_a_broken_link_a_pipe_and_an_empty_folder_get_a_sentence(batch):
    folder = batch / "class" / "hw1"
    (folder / "link.ipynb").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.ipynb")
    (folder / "empty").mkdir()
    said = {row["name"]: row["message"] for row in grade(batch).values()}
    assert said == {
        "link": "This is a link to a file that is not there.",
        "pipe": "This is neither a file nor a folder.",
        "empty": "The folder holds no file.",
    }


@pytest.mark.parametrize("told", ["by its metadata", "by its cells"])
def test_c4_a_notebook_of_another_assignment_is_told_by_its_cells_too(batch, told):
    """Colab drops the metadata."""
    master = assignments.cells(assignments.masters()["hw2"])
    other = nbformat.v4.new_notebook(cells=[cell for cell in master if cell.cell_type != "raw"])
    other.metadata = {"otter": {"assignment_name": "hw2"}} if told == "by its metadata" else {"colab": {}}
    for cell in other.cells:
        cell.metadata = {}
    hand_in(batch, "anna.ipynb", nbformat.writes(other).encode())
    (row,) = grade(batch).values()
    assert row["status"] == "wrong assignment" and row["machine"] == ""
    assert row["message"] == "This is a notebook of hw2, handed in for hw1."


def test_an_assignment_is_told_from_the_others_by_its_own_marks():
    for name, master in assignments.masters().items():
        sources = [cell.source for cell in assignments.cells(master) if cell.cell_type != "raw"]
        has = assignments.told_by(sources)
        assert has[name] > 2 * max(count for other, count in has.items() if other != name)


def test_moodle_and_canvas_exports_are_read_as_they_are(batch):
    """Folders or files, late or not, a text typed into Moodle beside a file, the last of two attempts."""
    expected = {
        "Müller Anna_101_assignsubmission_file/hw1.ipynb": ("101", "Müller Anna", "graded"),
        "O'Neil Bob_102_assignsubmission_file_hw1.ipynb": ("102", "O'Neil Bob", "graded"),
        "Ελένη Π_103_assignsubmission_file_a.zip": ("103", "Ελένη Π", "graded"),
        "Moodle Text_104_assignsubmission_onlinetext_onlinetext.html": ("104", "Moodle Text", "not a notebook"),
        "mulleranna_LATE_55_9001_hw1.ipynb": ("55", "mulleranna", "graded"),
        "zhangwei_56_800_hw1.ipynb": ("56", "zhangwei", "earlier attempt"),
        "zhangwei_LATE_56_1200_hw1-1.ipynb": ("56", "zhangwei", "graded"),
        "plain.ipynb": ("plain", "plain", "graded"),
    }
    for name in expected:
        data = {"zip": zipped({"x.ipynb": RIGHT}), "tml": b"<p>see file"}.get(name[-3:], RIGHT)
        hand_in(batch, name, data)
    hand_in(batch, "O'Neil Bob_102_assignsubmission_onlinetext_onlinetext.html", b"<p>see file")
    found = grade(batch)
    names = {f"hw1/{name.partition('/')[0]}": facts for name, facts in expected.items()}
    assert {name: (r["student"], r["name"], r["status"]) for name, r in found.items()} == names
    with zipfile.ZipFile(batch / "export.zip", "w") as archive:  # the same, packed
        for file in (batch / "class" / "hw1").rglob("*.*"):
            archive.write(file, file.relative_to(batch / "class" / "hw1"))
    (batch / "g.csv").rename(batch / "before.csv")
    again = grade(batch, folder="export.zip", assignment="hw1")
    assert {n: r["machine"] for n, r in again.items()} == {n: r["machine"] for n, r in found.items()}
    assert not list((batch / "tmp").iterdir())


NOTEBOOK_AND_ZIP = {".ipynb": RIGHT, ".zip": zipped({"a.csv": b"1"})}


@pytest.mark.parametrize(
    ("files", "rows"),
    [  # Canvas packs the last attempt alone, with all its files; only one that comes again as -1 is another attempt
        ({"bob_34_100_hw1.ipynb": RIGHT, "bob_34_101_hw1.pdf": b"%PDF-1.4"}, [("34", "bob", "graded")]),
        ({"b_LATE_34_8_a.zip": zipped({"a.ipynb": RIGHT}), "b_LATE_34_9_a.png": b"PNG"}, [("34", "b", "graded")]),
        ({"bob_34_100_hw1.ipynb": RIGHT, "bob_34_101_old.ipynb": RIGHT}, [("34", "bob", "not a notebook")]),
        ({"b_34_8_a.ipynb": RIGHT, "b_34_12_a-1.ipynb": RIGHT}, [("b", "graded"), ("b", "earlier attempt")]),
        ({"bob_LATE_34_text.html": b"<p>done"}, [("34", "bob", "not a notebook")]),
        ({"mc_bob_34_100_hw1.ipynb": RIGHT}, [("34", "mc_bob", "graded")]),
        ({"bob_2024_05_hw1.ipynb": RIGHT, "eve_2024_05_hw1.ipynb": RIGHT}, [(n, "graded") for n in ("bob", "eve")]),
        ({f"B_1_assignsubmission_file_a{n}": d for n, d in NOTEBOOK_AND_ZIP.items()}, [("1", "B", "graded")]),
    ],
)  # fmt: skip
def test_files_that_are_handed_in_together_are_one_submission(batch, files, rows):
    for name, data in files.items():
        hand_in(batch, name, data)
    found = [(row["student"], row["name"], row["status"]) for row in grade(batch).values()]
    assert [row[-len(rows[0]) :] for row in sorted(found, key=lambda row: (row[2] != "graded", row))] == rows


# Grading that goes on


def test_c1_resume_grades_what_is_new_or_changed_and_nothing_else(batch, monkeypatch, capsys):
    for k in range(30):
        hand_in(batch, f"s{k:02}.ipynb", f"points = {k % 4}")
    hand_in(batch, "broken.ipynb", b"")
    first = grade(batch)
    seen, run = [], grading.Grader.run
    monkeypatch.setattr(grading.Grader, "run", lambda self, read, tests: seen.append(1) or run(self, read, tests))
    assert grade(batch, resume=True) == first and not seen
    for k in range(10):
        hand_in(batch, f"t{k}.ipynb")
    hand_in(batch, "s00.ipynb", "points = 3")
    (batch / "class" / "hw1" / "s01.ipynb").unlink()
    second = grade(batch, resume=True)
    assert len(seen) == 11 and "30 are graded already, 11 are new or changed" not in capsys.readouterr().err
    assert set(second) == set(first) - {"hw1/s01.ipynb"} | {f"hw1/t{k}.ipynb" for k in range(10)}
    assert {n for n in first.keys() & second if first[n] != second[n]} == {"hw1/s00.ipynb"}
    assert gradebook.read(gradebook.earlier(batch / "g.csv"))[0] == first
    with zipfile.ZipFile(batch / "built" / "autograder" / "hw1.zip", "a") as archive:  # other tests: all again
        archive.writestr("tests/q1.py.txt", "mended")
    seen.clear()
    grade(batch, resume=True)
    assert len(seen) == len(second) - 1


def test_c1_a_row_that_was_cut_off_is_graded_again_and_a_resaved_csv_goes_on(batch, monkeypatch):
    for name in "abc":
        hand_in(batch, f"{name}.ipynb")
    whole = grade(batch)
    data = (batch / "g.csv").read_bytes()
    (batch / "g.csv").write_bytes(data[: data.rindex(b"hw1/c") + 20])  # as a power cut leaves it
    assert grade(batch, resume=True) == whole
    table = tables.read(batch / "g.csv")
    table.delimiter, table.encoding = ";", "cp1252"  # as Excel does
    table.write(batch / "g.csv")
    monkeypatch.setattr(grading.Grader, "run", lambda *_: pytest.fail("graded again"))
    assert grade(batch, resume=True) == whole


def test_a_row_that_met_a_limit_is_graded_again_when_the_limit_is_another(batch, monkeypatch):
    hand_in(batch, "a.ipynb")
    seen = []

    def slow(self, read, tests):
        seen.append(self.timeout)
        raise Failure("timed out", "Still running")

    monkeypatch.setattr(grading.Grader, "run", slow)
    for timeout in (5, 5, 9):
        grade(batch, resume=True, timeout=timeout)
    assert seen == [5, 9]


def test_a_stopped_grading_goes_on_where_it_was_and_loses_no_row(batch, monkeypatch):
    """600 of a class, stopped three times: every row right, no submission graded twice."""
    sources = {f"s{k:03}.ipynb": f"points = {k % 4}" if k % 10 else "crash" for k in range(600)}
    for name, source in sources.items():
        hand_in(batch, name, source)
    graded, run, lock, stopping = [], grading.Grader.run, threading.Lock(), []

    def stops(self, read, tests):
        if self in stopping:  # on a slow machine others would reach the next stop before they hear of this one
            assert self.stopped.wait(60)
        with lock:
            if len(graded) in stop:
                stop.remove(len(graded))
                stopping.append(self)
                raise KeyboardInterrupt
            graded.append(read.cells[-1].source)
        return run(self, read, tests)

    monkeypatch.setattr(grading.Grader, "run", stops)
    stop = {100, 250, 599}
    for left in (2, 1, 0):
        with pytest.raises(SystemExit, match="--resume goes on"):
            grade(batch, resume=True)
        assert len(stop) == left
    rows = grade(batch, resume=True)
    assert len(graded) == 600
    for name, source in sources.items():
        want = "" if source == "crash" else f"{int(source[-1]) * len(MACHINE)}"
        assert rows[f"hw1/{name}"]["machine"] == want
    assert {path.name for path in batch.glob("g*")} == {"g.csv", "g-by-hand-hw1.csv"}
    assert not list((batch / "tmp").iterdir())


def test_points_that_a_submission_makes_up_are_no_grade(batch, monkeypatch):
    hand_in(batch, "a.ipynb")
    for scores in ({"q1": 1e9}, {"q1": -1}, {"q77": 1}, {"q1": float("nan")}):
        monkeypatch.setattr(grading.Grader, "run", lambda *_, scores=scores: {"scores": scores, "messages": []})
        (row,) = grade(batch).values()
        assert row["status"] == "crashed" and row["machine"] == "" and "points that there are not" in row["message"]


def test_c1_what_a_killed_grading_left_behind_is_removed_at_the_next_start_and_only_that(batch):
    left = batch / "tmp" / "zimp-grading-999999999-0-abc"
    (left / "runs" / "1" / "home" / "locked").mkdir(parents=True)
    (left / "runs" / "1" / "home" / "locked" / "file").touch()
    (left / "runs" / "1" / "home" / "locked").chmod(0)
    with isolation.Workroom() as used:
        assert [path.name for path in (batch / "tmp").iterdir()] == [used.folder.name]
        hand_in(batch, "a.ipynb")
        grade(batch)
        assert used.folder.is_dir()
    assert not list((batch / "tmp").iterdir())


def test_the_time_left_is_right_within_a_quarter_after_twenty():
    """Simulated classes: three assignments of different lengths, on two cores, a tenth of the students far slower."""
    for seed in range(50):
        draw = random.Random(seed)
        lengths = {name: [draw.uniform(0.8, 1.2) * base for _ in range(200)] for name, base in zip("abc", (4, 5, 9))}
        lengths = {name: [s * draw.choice([1] * 9 + [2]) for s in found] for name, found in lengths.items()}
        order = grading.alternate([[(name, s) for s in found] for name, found in lengths.items()])
        assert sorted(order) == sorted((name, s) for name, found in lengths.items() for s in found)
        took, left = {}, collections.Counter(name for name, _ in order[20:])
        for name, seconds in order[:20]:
            took.setdefault(name, []).append(seconds)
        said = grading.remaining(sum(s for _, s in order[:20]) / 2, took, left)
        assert abs(said * 2 / sum(s for _, s in order[20:]) - 1) < 0.25
    assert grading.remaining(3, {"a": [3]}, left) is None
    assert [grading.in_words(seconds) for seconds in (None, 25, 150)] == ["", ", 25 seconds left", ", 2 minutes left"]


def test_progress_names_each_submission_and_how_many_are_left(batch, capsys):
    for name in "abc":
        hand_in(batch, f"{name}.ipynb")
    grade(batch)
    said = capsys.readouterr().out
    assert "1 of 3: hw1/" in said and "3 of 3: hw1/" in said and "graded 21 of 24" in said and "3 graded" in said


def test_c9_messages_are_plain_and_short():
    long = grading.plain(["\x1b[31mred\x1b[0m\tand\nmore\0", "x" * 10**6])
    assert long.startswith("red and more\nxxx") and len(long) <= 1000 and long.endswith("…")
    many = grading.plain([f"q{k}: message {'long ' * 40}" for k in range(50)])
    assert len(many) <= 1000 and many.endswith("\n…") and "\x1b" not in many


def test_c11_the_csv_opens_in_excel_with_umlauts_and_without_formulas(batch):
    hand_in(batch, "=HYPERLINK(Müller).ipynb")
    grade(batch)
    data = (batch / "g.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbf") and "Müller".encode() in data
    assert next(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))["name"] == "'=HYPERLINK(Müller)"


# Points by hand


def fill(batch, **points):
    """Type points into the sheet: for each student those of all criteria, in their order."""
    table = tables.read(by_hand.sheet(batch / "g.csv", "hw1"))
    for row in table.rows[1:]:
        for name, values in points.items():
            if row[1] == name:
                row[3 : 3 + len(values)] = values
    table.write(by_hand.sheet(batch / "g.csv", "hw1"))


def test_the_criteria_of_every_written_question_make_up_its_points():
    for master in assignments.masters().values():
        for question in assignments.questions(master).values():
            if question.manual:
                assert sum(points for _, points in question.criteria) == question.points
    assert [points for _, points in QUESTIONS["q8"].criteria] == [1, 1, 1]
    table = "| | points |\n|---|---|\n| a proof | 2 |\n| a layer | 1 |\n"
    assert assignments.criteria_of(table, 3) == (("a proof", 2), ("a layer", 1))
    assert assignments.criteria_of("* a control (2 points);\n* a figure (1 point).", 3)[0] == ("a control", 2)
    assert assignments.criteria_of(table, 4) == (("the whole question", 4),)


def test_c8_points_by_hand_are_merged_and_summed_and_kept_when_graded_again(batch):
    for name in ("anna", "bob", "cem"):
        hand_in(batch, f"{name}.ipynb", "points = 2")
    assert {row["total"] for row in grade(batch).values()} == {""}
    fill(batch, anna=["1", "0,5", "1", "1", "1", "0"], bob=["1", "1"])
    table = tables.read(by_hand.sheet(batch / "g.csv", "hw1"))
    assert table.rows[0][3].startswith("q8.1 (of 1) you take a spanning tree")
    feedback.report(batch / "g.csv")
    hand_in(batch, "dora.ipynb")
    for again in (False, True):
        rows = grade(batch, resume=again)
        anna, bob = rows["hw1/anna.ipynb"], rows["hw1/bob.ipynb"]
        assert (anna["machine"], anna["q8"], anna["q9"], anna["by hand"], anna["total"]) == (
            "14",
            "2.5",
            "2",
            "4.5",
            "18.5",
        )
        assert (bob["q8"], bob["by hand"], bob["total"]) == ("", "", "")
        assert len(tables.read(by_hand.sheet(batch / "g.csv", "hw1")).records()) == 4


def test_c8_points_that_are_typed_into_the_csv_are_not_lost_in_silence(batch):
    hand_in(batch, "anna.ipynb")
    grade(batch)
    table = tables.read(batch / "g.csv")
    table.rows[1][table.columns.index("q8")] = "2"
    table.write(batch / "g.csv")
    before = (batch / "g.csv").read_bytes()
    with pytest.raises(SystemExit, match=r"has points for q8 of hw1/anna.ipynb, and .*g-by-hand-hw1.csv has none"):
        feedback.report(batch / "g.csv")
    assert (batch / "g.csv").read_bytes() == before


def test_c8_points_stay_with_a_student_who_hands_in_again_and_the_sheet_says_so(batch):
    hand_in(batch, "anna_7_100_hw1.ipynb")
    grade(batch)
    fill(batch, **{"7": ["1"] * 6})
    hand_in(batch, "anna_7_200_hw1-1.ipynb", "points = 1")
    rows = grade(batch)
    assert rows["hw1/anna_7_200_hw1-1.ipynb"]["total"] == "13"
    (record,) = tables.read(by_hand.sheet(batch / "g.csv", "hw1")).records()
    assert record["look again"] == "handed in again" and record["submission"] == "hw1/anna_7_200_hw1-1.ipynb"
    fill(batch, **{"7": ["1"] * 6 + ["", ""]})
    with zipfile.ZipFile(batch / "built" / "autograder" / "hw1.zip", "a") as archive:
        archive.writestr("mended.txt", "")
    grade(batch)  # with other tests the answer is still what was read
    assert tables.read(by_hand.sheet(batch / "g.csv", "hw1")).records()[0]["look again"] == ""


@pytest.mark.parametrize("again", ["report", "grade"])
def test_c8_points_stay_with_a_name_that_a_spreadsheet_could_not_save(batch, again):
    """Excel may save a CSV in the code page of Windows, with a question mark for each other letter."""
    hand_in(batch, "Müller Anna_101_assignsubmission_file_hw1.ipynb")
    hand_in(batch, "Иванова Мария_201_assignsubmission_file_hw1.ipynb")
    grade(batch)
    fill(batch, **{"201": ["1"] * 6})
    sheet = by_hand.sheet(batch / "g.csv", "hw1")
    sheet.write_bytes(sheet.read_text(encoding="utf-8-sig").encode("cp1252", "replace"))
    if again == "report":
        feedback.report(batch / "g.csv")
    else:
        grade(batch, resume=True)
    row, record = [*gradebook.read(batch / "g.csv")[0].values()][-1], tables.read(sheet).records()[-1]
    assert (row["total"], row["name"], record["look again"]) == ("27", "Иванова Мария", "")
    assert record["name"] == row["name"]


@pytest.mark.parametrize("value", ["3", "-1", "one", "1.5.0", "nan"])
def test_c8_what_is_no_number_of_points_is_said_before_anything_is_graded(batch, value, monkeypatch):
    hand_in(batch, "anna.ipynb")
    grade(batch)
    fill(batch, anna=[value])
    monkeypatch.setattr(grading.Grader, "run", lambda *_: pytest.fail("has begun to grade"))
    before = {path: path.read_bytes() for path in batch.glob("*.csv")}
    with pytest.raises(SystemExit, match=f"anna.ipynb, column q8.1: '{value}' is no number of points from 0 to 1"):
        grade(batch)
    assert {path: path.read_bytes() for path in batch.glob("*.csv")} == before


def test_the_answers_to_a_question_are_on_one_page_without_scripts_and_without_what_was_given(batch):
    heading, other = "## Question 8: an edge that no tree wants (3 points, read by a person)", "## Question 9: what"
    texts = [f"<!-- BEGIN QUESTION -->\n\n{heading}", "<!-- END QUESTION -->", other]
    given = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text) for text in texts])
    for kind in ("student", "instructor"):
        (batch / "built" / kind).mkdir()
        nbformat.write(given, batch / "built" / kind / "hw1.ipynb")
    mine = nbformat.from_dict(given)
    mine.cells.insert(1, nbformat.v4.new_markdown_cell("Take a *tree* <script>alert(1)</script> with $e_1 < e_2$."))
    mine.cells.append(nbformat.v4.new_markdown_cell("Not of this question"))
    hand_in(batch, "Müller Anna_101_assignsubmission_file_hw1.ipynb", nbformat.writes(mine).encode())
    hand_in(batch, "blank.ipynb", nbformat.writes(given).encode())
    by_hand.answers(batch / "class", output=batch / "pages", built=batch / "built")
    page = (batch / "pages" / "hw1-q8.html").read_text(encoding="utf-8")
    assert "Müller Anna, 101" in page and "Take a <em>tree</em>" in page and "<script>alert" not in page
    assert '<span class="math">$e_1 &lt; e_2$</span>' in page
    assert "Not of this question" not in page and page.count("No answer under the heading") == 2


# Pages


def test_a_page_for_each_student_by_question_and_without_hidden_tests(batch):
    hand_in(batch, "Müller & Co_101_assignsubmission_file/hw1.ipynb", "points = 1")
    hand_in(batch, "crashed.ipynb", "crash")
    grade(batch)
    fill(batch, **{"101": ["1", "0", "1", "1", "1", "1"]})
    feedback.report(batch / "g.csv")
    folder = batch / "g-pages" / "feedback" / "hw1"
    page = (folder / "Müller & Co_101_assignsubmission_file_feedback.html").read_text(encoding="utf-8")
    assert "Müller &amp; Co" in page and "12 of 30" in page and "deaths has 5 numbers" in page
    assert "1 of 2 hidden tests failed." in page and "Question 8: an edge that no tree wants" in page
    assert page.count("<h2>") == len(QUESTIONS) and "0 of 1: you find an edge of the cycle" in page
    assert "Kernel died" in (folder / "crashed.ipynb-feedback.html").read_text(encoding="utf-8")
    for kind in ("file", "onlinetext"):  # Moodle takes what is between two underscores for the name of a plugin
        name = f"hw1/A_1_assignsubmission_{kind}"
        assert feedback.page_name(name) == f"{name}_feedback.html"


def test_who_hands_in_again_has_one_page(batch):
    first = hand_in(batch, "anna_LATE_7_100_hw1-1.ipynb", "points = 1")
    grade(batch)
    feedback.report(batch / "g.csv")
    first.rename(first.with_name("anna_LATE_7_200_hw1-2.ipynb"))
    grade(batch, resume=True)
    feedback.report(batch / "g.csv")
    pages = [page.name for page in (batch / "g-pages" / "feedback" / "hw1").iterdir()]
    assert pages == ["anna_LATE_7_200_hw1-2.ipynb-feedback.html"]


def test_statistics_say_means_zeros_messages_and_what_changed(batch):
    for k, points in enumerate((0, 0, 3, 3)):
        hand_in(batch, f"s{k}.ipynb", f"points = {points}")
    grade(batch)
    hand_in(batch, "s0.ipynb", "points = 3")
    hand_in(batch, "new.ipynb")
    grade(batch, resume=True)
    feedback.report(batch / "g.csv")
    page = (batch / "g-pages" / "statistics.html").read_text(encoding="utf-8")
    assert '<td class="n">2.40</td><td class="n">3</td><td class="n">20%</td>' in page  # of 0, 3, 3, 3, 3
    assert '<td>q1: deaths has 5 numbers</td><td class="n">1</td>' in page
    assert "<td>hw1/s0.ipynb</td><td>0 → 21</td><td>q1 0 → 3, q2 0 → 3" in page
    assert "<td>hw1/new.ipynb</td><td>21</td><td>new</td>" in page and "s1.ipynb" not in page


# To the learning platform

MOODLE = (
    '\ufeffIdentifier,"Full name","ID number","Email address",Status,Grade,"Maximum grade",'
    '"Grade can be changed","Last modified (submission)","Feedback comments"\r\n'
    '"Participant 101","Müller, Anna",0101,a@x.org,"Submitted for grading",,30.00,Yes,"Monday, 3 May, 9:00 AM",\r\n'
    '"Participant 102",Bob,0102,b@x.org,"No submission",5.00,30.00,Yes,-,"keep, ""this"""\r\n'
    '"Participant 103",Cem,0103,c@x.org,"Submitted for grading",21.00,30.00,Yes,-,\r\n'
)
CANVAS = (
    "Student,ID,SIS User ID,SIS Login ID,Section,Quiz (9),Assignment 1: Persistence by hand (4711),Final Score\n"
    ",,,,,Manual Posting,,(read only)\n"
    "    Points Possible,,,,,10,30,(read only)\n"
    "\"Müller, Anna\",55,u1,anna,A,7,,71.2\n"
    "\"Zhang, Wei\",56,u2,wei,A,,12,60\n"
    "\"Student, Test\",99,,,A,,,\n"
)  # fmt: skip


def handed_in_on(batch, names):
    for name, points in names.items():
        hand_in(batch, name, f"points = {points}")
    grade(batch)
    students = [row["student"] for row in gradebook.read(batch / "g.csv")[0].values()]
    fill(batch, **{student: ["1", "1", "1", "1", "1", "0.5"] for student in students})
    feedback.report(batch / "g.csv")


def cells_that_differ(before, after):
    left, right = ([*csv.reader(io.StringIO(text))] for text in (before, after))
    assert [len(row) for row in left] == [len(row) for row in right]
    return {
        (k, i): new for k, rows in enumerate(zip(left, right)) for i, (old, new) in enumerate(zip(*rows)) if old != new
    }


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_grades_are_merged_into_moodles_worksheet_and_nothing_else_changes(batch, encoding, capsys):
    names = {"Müller Anna_101_assignsubmission_file_a.ipynb": 3, "Cem_103_assignsubmission_file_a.ipynb": 2}
    handed_in_on(batch, names | {"Left_777_assignsubmission_file_a.ipynb": 1})
    (batch / "sheet.csv").write_bytes(MOODLE.lstrip("\ufeff" * (encoding != "utf-8")).encode(encoding))
    platforms.export(batch / "g.csv", batch / "sheet.csv")
    data = (batch / "sheet-graded.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbf" if encoding == "utf-8" else b"\xff\xfe")
    text = "\ufeff" + data.decode(encoding).lstrip("\ufeff")
    assert cells_that_differ(MOODLE, text) == {(1, 5): "26.5", (3, 5): "19.5"}
    said = capsys.readouterr().out
    assert (
        "column 'Grade', matched by 'Identifier': 1 new, 1 changed" in said
        and "1 not in the file: hw1/Left_777" in said
    )


def test_grades_are_merged_into_canvas_gradebook_below_its_header(batch, capsys):
    handed_in_on(batch, {"mulleranna_55_9001_hw1.ipynb": 3, "zhangwei_LATE_56_1200_hw1-1.ipynb": 1})
    (batch / "book.csv").write_bytes(CANVAS.encode())
    platforms.export(batch / "g.csv", batch / "book.csv", output=batch / "out.csv")
    text = (batch / "out.csv").read_bytes().decode()
    assert cells_that_differ(CANVAS, text) == {(3, 6): "26.5", (4, 6): "12.5"} and "\r" not in text
    said = capsys.readouterr().out
    assert "matched by 'ID': 1 new, 1 changed" in said and "note:" not in said
    platforms.export(batch / "g.csv", batch / "book.csv", machine=True, output=batch / "out.csv")
    assert "has 30 points for this assignment, and these grades are out of 24" in capsys.readouterr().out


def test_who_is_excused_in_canvas_stays_excused(batch, capsys):
    handed_in_on(batch, {"mulleranna_55_9001_hw1.ipynb": 3, "zhangwei_56_1200_hw1.ipynb": 1})
    text = CANVAS.replace(",A,7,,", ",A,7,EX,").replace(",A,,12,", ",A,,N/A,")
    (batch / "book.csv").write_text(text, encoding="utf-8")
    platforms.export(batch / "g.csv", batch / "book.csv", output=batch / "out.csv")
    assert (batch / "out.csv").read_text(encoding="utf-8") == text
    assert "2 left as EX or N/A: hw1/mulleranna_55" in capsys.readouterr().out


def test_moodle_skips_grades_above_its_maximum_so_another_maximum_is_said(batch, capsys):
    handed_in_on(batch, {"Anna_101_assignsubmission_file_a.ipynb": 3})
    (batch / "sheet.csv").write_text(MOODLE.replace("30.00", '"24,00"'), encoding="utf-8")
    platforms.export(batch / "g.csv", batch / "sheet.csv")
    assert "has 24 points for this assignment, and these grades are out of 30" in capsys.readouterr().out
    (batch / "sheet.csv").write_text(MOODLE, encoding="utf-8")
    platforms.export(batch / "g.csv", batch / "sheet.csv")
    assert "note:" not in capsys.readouterr().out


def test_titles_with_commas_leave_the_semicolons_what_they_are(tmp_path):
    (tmp_path / "a.csv").write_text("Student;ID;Read a, b, c, d (1)\n    Points Possible;;3\nAnna;55;\n")
    assert tables.read(tmp_path / "a.csv").rows[2] == ["Anna", "55", ""]


def test_a_german_worksheet_gets_decimal_commas(batch):
    handed_in_on(batch, {"Anna_101_assignsubmission_file_a.ipynb": 3})
    text = "ID;Vollständiger Name;Status;Bewertung\r\nTeilnehmer/in101;Müller;Zur Bewertung abgegeben;\r\n"
    (batch / "sheet.csv").write_bytes(text.encode("cp1252"))
    platforms.export(batch / "g.csv", batch / "sheet.csv")
    assert (batch / "sheet-graded.csv").read_bytes() == text.replace("abgegeben;", "abgegeben;26,5").encode("cp1252")


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (
            "Identifier,Name\nParticipant 101,A\n",
            {},
            "does not have one column for these grades; say which by --column",
        ),
        (MOODLE, {"column": "Points"}, "does not have the column 'Points'"),
        (MOODLE.replace("10", "20"), {}, "has none of the students"),
        (MOODLE, {"assignment": "hw2"}, "has no grades of hw2"),
        (MOODLE.replace(",Bob,", ",Anna,"), {}, "has Anna in other rows than that of 101: is this a group's number?"),
        (CANVAS.replace(",55,", ",101,"), {"column": "Final Score"}, "has (read only) in 'Final Score'"),
        (CANVAS.replace("Quiz (9)", "Assignment 1 (9)"), {}, "does not have one column for these grades, but several"),
    ],
)
def test_a_merge_that_cannot_be_right_writes_nothing_and_says_why(batch, text, options, message):
    handed_in_on(batch, {"Anna_101_assignsubmission_file_a.ipynb": 3})
    (batch / "sheet.csv").write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit, match=re.escape(message)):
        platforms.export(batch / "g.csv", batch / "sheet.csv", **options)
    assert not (batch / "sheet-graded.csv").exists()


# The student's first cell


def test_c10_the_first_cell_says_what_to_install(monkeypatch):
    source = building.SETUP.format(otter="7", packages="mlxtend https://x.org/zimp.zip", sentence="", checks={})
    source = "\n".join(line for line in source.splitlines() if "%pip install -q" not in line and "colab" not in line)
    monkeypatch.setitem(sys.modules, "otter", None)
    with pytest.raises(SystemExit) as raised:
        exec(source, {})
    said = str(raised.value)
    assert "otter is not installed here" in said and 'pip install -c constraints.txt -e ".[book,course]"' in said
    assert "%pip install otter-grader==7 mlxtend https://x.org/zimp.zip" in said


def test_a_tilde_that_the_shell_leaves_is_the_home(batch, monkeypatch):
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(batch))
    hand_in(batch, "a.ipynb")
    grade(batch)
    monkeypatch.setattr(sys, "argv", ["course.py", "report", "~/g.csv", "--output", "~/pages"])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    runpy.run_path(str(ROOT / "book" / "assignments" / "course.py"), run_name="__main__")
    assert (batch / "pages" / "statistics.html").is_file()


def test_c11_messages_of_the_commands_are_sentences(batch, tmp_path):
    hand_in(batch, "a.ipynb")
    with pytest.raises(SystemExit, match="is the course built"):
        building.solve(tmp_path / "out", tmp_path / "none")
    with pytest.raises(SystemExit, match="is no folder"):
        grading.grade(tmp_path / "none", built=batch / "built", output=batch / "g.csv")
    with pytest.raises(SystemExit, match="cannot be read"):
        feedback.report(tmp_path / "none.csv")
    (batch / "folder.csv").mkdir()
    with pytest.raises(SystemExit, match="cannot be written"):
        tables.Table([["a"]]).write(batch / "folder.csv")
    (batch / "x.csv").write_text("a,b\n")
    with pytest.raises(SystemExit, match="is no CSV of this grader"):
        feedback.report(batch / "x.csv")


def test_a_file_with_a_mark_of_another_assignment_only_in_its_name_is_graded():
    assert parse(notebook("answer = 42", headings=()), "hw1").cells
    with pytest.raises(Failure):
        parse(notebook("x", otter={"assignment_name": "hw3"}), "hw1")


def test_submissions_of_the_same_folder_are_found_in_the_order_of_their_names(tmp_path):
    for name in ("b.ipynb", "a.zip", ".DS_Store", "__MACOSX", "Thumbs.db"):
        (tmp_path / name).touch()
    assert [one.shown for one in find("hw1", tmp_path)] == ["hw1/a.zip", "hw1/b.ipynb"]
