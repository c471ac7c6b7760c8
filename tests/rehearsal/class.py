"""A class of two hundred, graded with everything that goes wrong: python tests/rehearsal/class.py [--students 200]

Submissions are right, wrong and hostile, packed by a Mac, exported by Moodle and Canvas, with names in three alphabets
and one that is no text at all. The grading is killed three times, in three ways, and resumed. Then each row must be
right, no submission graded more often than the stops explain, and nothing left over: no process, no folder, no
original that has changed. Last, the processor time for a submission is compared with that of a notebook alone.

The assignment has two small questions, so that starting Python and a kernel is most of the work: the worst case for
what grading costs on top. It needs Linux, and takes about three seconds of one core for each student.
"""

import argparse
import hashlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from io import BytesIO
from pathlib import Path

import nbformat
import psutil

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "book" / "assignments"))

from classroom import gradebook  # noqa: E402
from classroom.inside import marked  # noqa: E402

TEST = """from otter.test_files import test_case

OK_FORMAT = False
name = "{name}"
points = 3

@test_case(points=1, hidden=False)
def test_public({argument}):
    assert {argument} is not None, "{argument} is not there yet."

@test_case(points=2, hidden=True)
def test_hidden({argument}):
    assert {argument} == {value}, "not the secret number"
"""
RIGHT = "first = 42\nsecond = 43"
KINDS = {  # the last cell; status, points, and what the message says
    "right": (RIGHT, "graded", "6", ""),
    "half": ("first = 42\nsecond = 1", "graded", "4", "q2: 1 of 1 hidden tests failed."),
    "blank": ("first = second = None", "graded", "0", "first is not there yet"),
    "raises": (RIGHT + "\n1 / 0", "graded", "6", "ZeroDivisionError"),
    "colours": (RIGHT + "\nraise ValueError('\\x1b[31mred\\x1b[0m' * 10**6)", "graded", "6", "ValueError: redred"),
    "pip": (RIGHT + "\nget_ipython().system('pip uninstall -y tqdm')\nimport tqdm", "graded", "6", ""),
    "deletes": (
        "import os, shutil\nfor place in ('.', '..', os.path.expanduser('~')):\n"
        "    shutil.rmtree(place, ignore_errors=True)\n" + RIGHT,
        "graded",
        "6",
        "",
    ),
    "rewrites tests": (
        "import pathlib, re\nfor test in pathlib.Path('..', 'tests').glob('*.py'):\n    try:\n"
        "        test.chmod(0o600)\n        test.write_text(re.sub(r'== \\d+', '== 1', test.read_text()))\n"
        "    except OSError:\n        pass\nfirst = second = 1",
        "graded",
        "2",
        "hidden tests failed",
    ),
    "leaves a process": (
        "import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(3600) # class'], "
        "env={}, start_new_session=True)\n" + RIGHT,
        "graded",
        "6",
        "",
    ),
    "kills": ("import os, signal\ntry:\n    os.kill(int(os.environ['ZIMP_GRADER']), signal.SIGKILL)\n"
              "except OSError:\n    pass\n" + RIGHT, "graded", "6", ""),
    "exits": ("import os\nos._exit(3)", "crashed", "", "Kernel died"),
    "loops": ("while True:\n    pass", "timed out", "", "endless loop"),
    "hogs": ("hog = bytearray(10**9)\nwhile True:\n    pass", "out of memory", "", "MB"),
}  # fmt: skip
USUAL = ("right", "half", "blank", "raises")
NAMES = ("Müller Anna", "Żółć Łukasz", "Ελένη Παππά", "Иванова Ольга", "O'Neil Bob", "Zhang Wei")


def packed(files):
    data = BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


def hand_in(folder, students):
    """Write the submissions. Returns what the row of each must hold."""
    expected = {}
    hostile = [kind for kind in KINDS if kind not in USUAL]
    for k in range(students):
        kind = hostile[k // 8 % len(hostile)] if k % 8 == 0 else USUAL[k % len(USUAL)]
        source, status, points, message = KINDS[kind]
        cells = [nbformat.v4.new_code_cell(text) for text in (f"student = {k}", source)]
        data = nbformat.writes(nbformat.v4.new_notebook(cells=cells)).encode()
        name, number = NAMES[k % len(NAMES)], 1000 + k
        slug, junk = re.sub(r"\W", "", name).lower(), {"__MACOSX/._hw1.ipynb": b"x"}
        files = {
            0: {f"{name}_{number}_assignsubmission_file/hw1.ipynb": data},
            1: {f"{name}_{number}_assignsubmission_file_HW1.IPYNB": data},
            2: {f"{name}_{number}_assignsubmission_file/hw1.zip": packed({"hw1.ipynb": data} | junk)},
            3: {f"{slug}_{number}_{9000 + k}_hw1.ipynb": data},
            4: {f"{slug}_LATE_{number}_{9000 + k}_hw1-1.ipynb": data,
                f"{slug}_{number}_{8000 + k}_hw1.ipynb": data},
            5: {f"{name} {k}.ipynb": data.decode().encode("utf-16")},
            6: {f"{name} {k}.pdf": b"%PDF"},
            7: {f"{name} {k}.zip": packed({"inner.zip": packed({"hw1.ipynb": data})})},
        }[k % 20 if k % 20 in (6, 7) else k % 6]  # fmt: skip
        for file, content in files.items():
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_bytes(content)
            top = file.partition("/")[0]
            expected[f"hw1/{top}"] = (status, points, message)
            if file.endswith((".pdf", ".zip")) and "assignsubmission" not in file:
                expected[f"hw1/{top}"] = ("not a notebook", "", "This is a PDF" if "pdf" in file else "another zip")
            if f"_{8000 + k}_" in file:
                expected[f"hw1/{top}"] = ("earlier attempt", "", "is a later attempt")
    os.rename(folder / f"{NAMES[5]} 5.ipynb", os.fsencode(folder) + b"/M\xfcller.ipynb")
    expected["hw1/M\\xfcller.ipynb"] = expected.pop(f"hw1/{NAMES[5]} 5.ipynb")
    return expected


def start(folder, jobs, *options):
    command = [sys.executable, ROOT / "book" / "assignments" / "course.py", "grade", folder / "class"]
    command += ["--built", folder / "built", "--output", folder / "g.csv", "--jobs", jobs, "--memory", 900]
    command += ["--timeout", 120, *options]
    return subprocess.Popen(
        list(map(str, command)),
        env=os.environ | {"TMPDIR": str(folder / "tmp")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        start_new_session=True,
    )


def follow(process, stop_at, end):
    """Read what a grading says, and end it after so many submissions. Returns its lines, each with its time."""
    lines = []
    for line in process.stdout:
        lines.append(Said(line.rstrip()))
        if stop_at and re.match(rf"{stop_at} of \d+", line):
            end(process)
            stop_at = None
    process.wait()
    return lines


class Said(str):
    """A line, and when it was said."""

    def __init__(self, line):
        self.time = time.monotonic()


def estimated(lines):
    """The seconds left that were shown after twenty submissions, over those that it took from there."""
    done = [line for line in lines if re.match(r"\d+ of \d+", line)]
    if len(done) <= 20 or not (said := re.search(r"(\d+) (minutes|seconds) left", done[19])):
        return None
    return round(int(said[1]) * (60 if said[2] == "minutes" else 1) / (done[-1].time - done[19].time), 2)


def left_over(folder):
    of_ours = [p for p in psutil.process_iter() if marked(p, str(folder / "tmp"))]
    orphans = [p for p in psutil.process_iter(["cmdline"]) if "# class" in " ".join(p.info["cmdline"] or ())]
    return of_ours + orphans, list((folder / "tmp").iterdir())


def processor_time(command, **options):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(list(map(str, command)), check=True, capture_output=True, **options)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


ALONE = """import sys
from classroom.inside import AFTER, BEFORE, LIGHT, SENTENCE
exec(LIGHT)
import nbformat
from nbclient import NotebookClient
from pathlib import Path
notebook = nbformat.read(sys.argv[1], as_version=4)
tests = sorted(map(str, Path(sys.argv[2]).glob("*.py")))
notebook.cells.insert(0, nbformat.v4.new_code_cell(LIGHT + SENTENCE + BEFORE.format(folder=sys.argv[2], tests=tests)))
notebook.cells.append(nbformat.v4.new_code_cell(AFTER.format(tests=tests, report=sys.argv[3])))
NotebookClient(notebook, allow_errors=True).execute()
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--students", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder).resolve()
        for name in ("built/autograder", "class/hw1", "tmp", "one/hw1"):
            (folder / name).mkdir(parents=True)
        tests = {"q1": ("first", 42), "q2": ("second", 43)}
        with zipfile.ZipFile(folder / "built" / "autograder" / "hw1.zip", "w") as archive:
            for name, (argument, value) in tests.items():
                archive.writestr(f"tests/{name}.py", TEST.format(name=name, argument=argument, value=value))
        expected = hand_in(folder / "class" / "hw1", options.students)
        before = digests(folder / "class")
        stops = [  # of all as by a power cut; as by Ctrl-C; of the grader alone
            (options.students // 4, lambda p: os.killpg(p.pid, signal.SIGKILL)),
            (options.students // 4, lambda p: p.terminate()),
            (options.students // 4, lambda p: p.kill()),
        ]
        begin, lines = time.monotonic(), []
        for stop_at, end in stops:
            said = follow(start(folder, options.jobs, "--resume"), stop_at, end)
            assert not any("Traceback" in line for line in said), said
            lines += said
            rows = gradebook.read(folder / "g.csv")[0]
            print(f"stopped with {len(rows)} rows after {time.monotonic() - begin:.0f} s", flush=True)
        last = follow(start(folder, options.jobs, "--resume"), None, None)
        lines += last
        seconds = time.monotonic() - begin
        rows, wrong = gradebook.read(folder / "g.csv")[0], {}
        assert rows.keys() == expected.keys(), rows.keys() ^ expected.keys()
        for name, (status, points, message) in expected.items():
            row = rows[name]
            if (row["status"], row["machine"]) != (status, points) or message not in row["message"]:
                wrong[name] = (row["status"], row["machine"], row["message"], status, points, message)
        graded = sum(bool(re.match(r"\d+ of \d+", line)) for line in lines)
        processes, folders = left_over(folder)
        result = {
            "submissions": len(expected),
            "rows wrong": len(wrong),
            "gradings": graded,
            "seconds": round(seconds),
            "jobs": options.jobs,
            "processes left": len(processes),
            "folders left": [path.name for path in folders],
            "originals changed": sum(before[path] != now for path, now in digests(folder / "class").items()),
            "load": os.getloadavg()[0],
            "time estimated after twenty / time it took": estimated(last),
        }
        (folder / "one" / "hw1" / "a.ipynb").write_bytes(
            nbformat.writes(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(RIGHT)])).encode()
        )
        with zipfile.ZipFile(folder / "built" / "autograder" / "hw1.zip") as archive:
            archive.extractall(folder / "one")
        environment = os.environ | {"PYTHONPATH": f"{ROOT / 'book' / 'assignments'}:{ROOT}", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", ALONE, folder / "one" / "hw1" / "a.ipynb", folder / "one" / "tests"]
        alone = min(processor_time([*command, folder / "r.json"], env=environment) for _ in range(3))
        course = ROOT / "book" / "assignments" / "course.py"
        places = ["--built", folder / "built", "--output", folder / "o.csv", "--jobs", 1]
        for k in range(5):
            (folder / "one" / "hw1" / f"b{k}.ipynb").write_bytes((folder / "one" / "hw1" / "a.ipynb").read_bytes())
        six = processor_time([sys.executable, course, "grade", folder / "one", *places])
        for k in range(5):
            (folder / "one" / "hw1" / f"b{k}.ipynb").unlink()
        one = processor_time([sys.executable, course, "grade", folder / "one", *places])
        result["processor seconds of a notebook alone"] = round(alone, 2)
        result["processor seconds of a submission"] = round((six - one) / 5, 2)
        print(json.dumps(result, indent=1))
        for name, facts in wrong.items():
            print(name, *facts, sep="\n    ")
        sys.exit(bool(wrong or processes or folders or result["originals changed"]))


def digests(folder):
    return {path: hashlib.sha256(path.read_bytes()).digest() for path in folder.rglob("*") if path.is_file()}


if __name__ == "__main__":
    main()
