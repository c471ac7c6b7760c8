"""The course in three commands: build what students, graders and lecturers need, rehearse, grade a batch.

    python book/assignments/course.py build           # from the masters hw1.md, hw2.md, hw3.md into dist/
    python book/assignments/course.py solve           # the solutions as submissions, for a rehearsal
    python book/assignments/course.py grade FOLDER    # submissions in FOLDER/hw1, FOLDER/hw2, FOLDER/hw3 -> grades.csv

`dist/` holds `student/hwN.ipynb`, one file that runs in JupyterLab, Binder and Colab; `autograder/hwN.zip`, for this
script, `otter run`, `otter grade` and Gradescope; and `instructor/hwN.ipynb`, the solutions. All but `student/` stays
with the lecturer. The masters are public. The numbers of the hidden tests are not: they are drawn from the offering,
a random number unless it is given.

How isolated grading is: not against malice. A submission runs as you, with your files readable and writable and the
network open; whoever wants to can also raise the own score. What it gets is a process of its own, copies of all it
needs in a temporary folder, which is its home, and limits of time and memory. So accidents (endless loops, full
memory, deleted files, dead kernels) cost that submission only. For classes that you do not trust let otter grade in
containers (Docker; the first call builds the image, which needs the network and takes minutes):

    otter grade -n hw1 -a book/assignments/dist/autograder/hw1.zip --timeout 300 --no-network FOLDER/hw1
"""

import argparse
import csv
import json
import os
import re
import secrets
import shutil
import signal
import site
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import zipfile
from collections import Counter
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from importlib.metadata import version
from io import BytesIO, StringIO
from pathlib import Path

import jupytext
import nbformat
import psutil
import yaml
from packaging.requirements import Requirement

from zimp.lab.record import check_writable, write_whole

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DIST = HERE / "dist"

# For processes side by side: one thread each, and files in UTF-8, which otter leaves to the system.
QUICK = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "PYTHONUTF8"), "1")

# Otter's own report shows the source line of a failed assert, and of a stray error only the bare text.
SENTENCE = """\
def _sentence(test, error, context=0):
    return str(error) if isinstance(error, AssertionError) else f"Your code raised {type(error).__name__}: {error}"

from otter.test_files.exception_test import ExceptionTestFile
ExceptionTestFile._generate_error_message = _sentence
"""

# The checks stand in a cell. Otter keeps them in the notebook's metadata and reads them from its file by name: there is
# no such file on Colab, nor after a student has renamed it.
SETUP = """\
#@title Run this cell first: it prepares the checks. There is nothing to edit here.
import sys

if "google.colab" in sys.modules:
    %pip install -q otter-grader=={otter} {zimp}

import otter

{sentence}
def _report(test):
    failed = [result.message.split("\\n", 1)[1] for result in test.test_case_results if not result.passed]
    return "\\n".join(f"❌ {{test.name}}: {{message}}" for message in failed) or f"✅ {{test.name}}: the checks pass."

ExceptionTestFile.__repr__, ExceptionTestFile._repr_html_ = _report, None

def _prepare(checks):
    from pathlib import Path
    from tempfile import mkdtemp

    if otter.__version__ != "{otter}":
        print(f"The checks are made for otter-grader {otter}, this is {{otter.__version__}}: "
              "run `%pip install otter-grader=={otter}` in a cell and restart the kernel.")
    folder = Path(mkdtemp())
    for name, check in checks.items():  # otter reads them in the encoding of the system
        (folder / f"{{name}}.py").write_bytes(check.encode("ascii", "backslashreplace"))
    return otter.Notebook(tests_dir=str(folder))

grader = _prepare({checks})
"""

HANDING_IN = """\
## Handing in

Restart the kernel and run all cells (*Run* menu, *Restart Kernel and Run All Cells*), look once more at what the checks
say, save, and hand in this notebook file. On Colab you get the file by *File*, *Download*, *Download .ipynb*."""


def masters():
    return {file.stem: file for file in sorted(HERE.glob("hw*.md"))}


def questions(master):
    """The points of each question of a master; None where a person gives them."""
    raw = [cell.source for cell in jupytext.read(master).cells if cell.cell_type == "raw"]
    found = [yaml.safe_load(source) for source in raw if source.startswith("# BEGIN QUESTION")]
    return {question["name"]: None if question.get("manual") else question["points"] for question in found}


# Build


def zimp_archive():
    """Where pip finds the newest `zimp` that is known to be published: a commit, else the branch."""
    repository = yaml.safe_load((ROOT / "book" / "_config.yml").read_text(encoding="utf-8"))["repository"]
    command = ["git", "rev-parse", "--verify", "--quiet", f"origin/{repository['branch']}"]
    commit = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()
    return f"{repository['url']}/archive/{commit or repository['branch']}.zip"


def container():
    """Python and packages of an autograder's container: those of Binder, in the versions of constraints.txt."""
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    python = next(line.split("=")[1] for line in environment if str(line).startswith("python="))
    (pip,) = [entry["pip"] for entry in environment if isinstance(entry, dict)]
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    needed = {Requirement(line).name for line in needed}
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [pin for pin in pins if pin.split("==")[0] in needed]
    return python, [*(line for line in pip if line.startswith("--extra-index-url")), *pins, zimp_archive()]


def build(output=DIST, offering=None):
    """Student notebook, autograder and solution of every master. Otter grades each solution, and fails below 100 %."""
    output = Path(output).resolve()
    offering = secrets.randbelow(900_000) + 100_000 if offering is None else offering
    for kind in ("student", "autograder", "instructor"):
        (output / kind).mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        failures = filter(None, pool.map(lambda master: build_one(master, output, offering), masters().values()))
        if failures := "\n".join(failures):
            sys.exit(failures)
    print(f"{', '.join(masters())} with offering {offering} are in {output}")


def build_one(master, output, offering):
    """Build from one master. Returns why that failed, if it did."""
    name = master.stem
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        notebook = jupytext.reads(master.read_text(encoding="utf-8").replace("OFFERING_SEED", str(offering)), "md:myst")
        python, requirements = container()
        (folder / "requirements.txt").write_text("\n".join(requirements), encoding="utf-8")
        cell = next(cell for cell in notebook.cells if cell.source.startswith("# ASSIGNMENT CONFIG"))
        config = {"requirements": "requirements.txt", "python_version": python, "export_cell": False}
        cell.source = "# ASSIGNMENT CONFIG\n" + yaml.safe_dump(yaml.safe_load(cell.source) | config)
        nbformat.write(notebook, folder / f"{name}.ipynb")
        command = [sys.executable, "-m", "otter", "assign", "--no-pdfs", f"{name}.ipynb", "made"]
        done = subprocess.run(command, cwd=folder, env=os.environ | QUICK, capture_output=True, encoding="utf-8")
        if done.returncode:
            return f"{master.name} does not build:\n{done.stderr[-3000:]}"
        made = folder / "made"
        (archive,) = (made / "autograder").glob("*.zip")
        shutil.copy(archive, output / "autograder" / f"{name}.zip")
        finish(made / "student" / f"{name}.ipynb", output / "student" / f"{name}.ipynb")
        finish(made / "autograder" / f"{name}.ipynb", output / "instructor" / f"{name}.ipynb")


def finish(source, target):
    """Put our first and last cell into a notebook that otter made, and take the checks out of its metadata."""
    notebook = nbformat.read(source, as_version=4)
    made = notebook.metadata.otter
    assert notebook.cells[0].source.startswith("# Initialize Otter")
    setup = SETUP.format(otter=version("otter-grader"), zimp=zimp_archive(), sentence=SENTENCE, checks=dict(made.tests))
    locked = {"editable": False, "deletable": False}
    collapsed = {"jupyter": {"source_hidden": True}, "cellView": "form"}  # in JupyterLab, and on Colab
    notebook.cells[0] = nbformat.v4.new_code_cell(setup, metadata=locked | collapsed)
    notebook.cells.append(nbformat.v4.new_markdown_cell(HANDING_IN, metadata=locked))
    assignment = {"assignment_name": made.assignment_name}
    notebook.metadata = nbformat.from_dict({"kernelspec": notebook.metadata.kernelspec, "otter": assignment})
    nbformat.write(notebook, target)


def solve(output=None, built=DIST):
    """Copy the solutions to where `grade` looks for submissions."""
    output = Path(output or Path(built) / "submissions")
    for name in masters():
        (output / name).mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(built) / "instructor" / f"{name}.ipynb", output / name / "solution.ipynb")
    print(f"solutions are in {output}")


# Grade


class Failure(Exception):
    """Why there is no grade: a status and a sentence."""


class Stopped(BaseException):
    """The grading was stopped while a submission ran, which therefore gets no row."""


class Grades:
    """The CSV: opened before any grading, and a row is on the disk once it is written.

    Grades that were there before are set aside. They are removed once all new ones are there, and put back if there
    are none.
    """

    def __init__(self, output, columns):
        self.output, self.columns = output, ["submission", "status", "total", "out of", *columns, "message"]
        self.count, self.before, self.lock = 0, None, threading.Lock()
        try:
            check_writable(output)
            self.is_file = os.path.isfile(output) or not os.path.exists(output)  # and no device or pipe
            self.path = Path(os.path.realpath(output) if self.is_file else output)
            if self.path.is_file():
                with self.path.open("rb") as file:
                    start = file.read(32).removeprefix(b"\xef\xbb\xbf").removeprefix(b'"')
                if start and not start.startswith(b"submission"):
                    sys.exit(f"--output {output} is there already, and is no CSV of an earlier grading")
                self.before = unused(f"{self.path}.earlier")
                self.path.rename(self.before)
            try:
                self.file = self.path.open("wb", buffering=0)
                if self.before:
                    shutil.copymode(self.before, self.path)
                self.append(self.head())
            except BaseException:
                self.stop()
                raise
        except OSError as error:
            sys.exit(f"--output {output} cannot be written: {error.strerror}")

    def write(self, row):
        with self.lock:
            self.append(self.line(row))
            self.count += 1

    def append(self, line):
        """All of a line or, if the disk is full, nothing of it."""
        end = os.fstat(self.file.fileno()).st_size
        try:
            while line:
                line = line[self.file.write(line) :]
            if self.is_file:
                os.fsync(self.file.fileno())
        except OSError:
            if self.is_file:
                self.file.truncate(end)
            raise

    def finish(self, rows):
        """All rows are there: bring them into their order."""
        self.file.close()
        if self.is_file:
            write_whole(self.path, b"".join([self.head(), *map(self.line, rows)]))
            if self.before:
                self.before.unlink()

    def stop(self):
        """What is graded stays. If nothing is, all is as it was. Returns what to say of it."""
        if hasattr(self, "file"):
            self.file.close()
        if self.is_file and not self.count:
            self.path.unlink(missing_ok=True)
            if self.before:
                self.before.rename(self.path)
            return "nothing was graded"
        kept = f"; those of before are in {self.before}" if self.before else ""
        return f"{self.count} graded are in {self.output}{kept}"

    def head(self):
        return self.line(dict(zip(self.columns, self.columns)))

    def line(self, row):
        text = StringIO()
        csv.DictWriter(text, self.columns, restval="").writerow(row)
        return text.getvalue().encode("utf-8", "backslashreplace")  # half of a character in a message is no accident


def unused(name):
    """A path that nothing has."""
    path, k = Path(name), 1
    while path.exists():
        k += 1
        path = Path(f"{name}{k}")
    return path


def grade(folder, assignment=None, jobs=None, timeout=300, memory=2000, output="grades.csv", built=DIST):
    """Grade every entry of `folder`; a row of the CSV for each, whatever became of it. Returns the rows."""
    if jobs is not None and jobs < 1:
        sys.exit(f"--jobs {jobs} is not a number of submissions to grade at a time, at least 1")
    folders = {assignment: Path(folder)} if assignment else {name: Path(folder) / name for name in masters()}
    folders = {name: place for name, place in folders.items() if place.is_dir()}
    if not folders:
        sys.exit(f"{folder} holds none of {', '.join(masters())}; or say which by --assignment")
    points = {name: questions(masters()[name]) for name in folders}
    tests = {name: autograder(name, built, points[name]) for name in folders}
    tasks = [(name, file) for name, place in folders.items() for file in entries(place, output)]
    if not tasks:
        sys.exit(f"there are no submissions in {', '.join(map(str, folders.values()))}")
    grades = Grades(output, dict.fromkeys(question for name in points for question in points[name]))
    stopped, rows = threading.Event(), []

    def work(name, file):
        row = grade_one(name, file, tests[name], points[name], timeout, memory, stopped)
        grades.write(row)  # here, where no interrupt arrives
        say(f"{row['submission']}: {row['status']} {row.get('total', '')}")
        return row

    try:
        with ThreadPoolExecutor(jobs or os.cpu_count()) as pool:
            try:
                futures = [pool.submit(work, *task) for task in tasks]
                waiting = futures
                while waiting:  # not for ever, which on Windows no Ctrl-C would end
                    done, waiting = wait(waiting, timeout=1, return_when=FIRST_EXCEPTION)
                    for future in done:
                        future.result()
                rows = [future.result() for future in futures]
            except BaseException:
                stopped.set()
                pool.shutdown(cancel_futures=True)
                raise
        grades.finish(rows)
    except BaseException as error:
        kept = grades.stop()
        if isinstance(error, KeyboardInterrupt):
            sys.exit(f"stopped: {kept}")
        if isinstance(error, OSError):  # of the CSV: one of a submission is in its row
            sys.exit(f"{output} could not be written further ({error.strerror}): {kept}")
        raise
    counts = Counter(row["status"] for row in rows)
    say(f"{output}: " + ", ".join(f"{count} {status}" for status, count in counts.items()))
    return rows


def autograder(name, built, points):
    """The zip with the hidden tests, as bytes."""
    file = Path(built) / "autograder" / f"{name}.zip"
    try:
        with zipfile.ZipFile(file) as archive:
            found = {Path(test).stem for test in tests_of(archive)}
    except (OSError, zipfile.BadZipFile) as error:
        sys.exit(f"{file} cannot be read ({error}); is the course built? --built says where")
    if other := found - points.keys():
        sys.exit(f"{file} has other questions than {name}.md ({', '.join(sorted(other))}); build the course again")
    return file.read_bytes()


def tests_of(archive):
    return [file for file in archive.namelist() if file.startswith("tests/") and file.endswith(".py")]


def entries(place, output):
    """The submissions in a folder; the CSV may be there, too."""
    own = Path(output).name if Path(output).absolute().parent.resolve() == place.resolve() else None
    for file in sorted(place.iterdir()):
        if not file.name.startswith(".") and not (own and re.fullmatch(rf"{re.escape(own)}(\.earlier\d*)?", file.name)):
            yield file


def say(text):
    try:
        print(text, flush=True)
    except BrokenPipeError:  # the reader, such as head, has seen enough; the CSV goes on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def grade_one(name, file, tests, points, timeout, memory, stopped):
    """The row of one submission. Without a grade there is no number in it: 0 would look like one."""
    shown = os.fsencode(file.name).decode("utf-8", "backslashreplace")  # the name may be of another encoding
    row = {"submission": f"{name}/{shown}", "out of": sum(filter(None, points.values()))}
    try:
        report = run(read(file, name), tests, timeout, memory, stopped)
        total = sum(report["scores"].values())
        row |= {"status": "graded", "total": f"{total:g}", "message": " ".join(report["messages"])}
        row |= {question: f"{score:g}" for question, score in report["scores"].items()}
    except Failure as failure:
        row |= dict(zip(("status", "message"), failure.args))
    except Exception as error:  # one submission must not end the batch
        row |= {"status": "crashed", "message": f"The grader itself failed: {type(error).__name__}: {error}"}
    row["message"] = " ".join(row["message"].split())
    return row


def read(file, name):
    """The notebook in `file`, a .ipynb or a zip with one, such that it runs with the kernel that we have."""
    try:
        data = file.read_bytes()
        if zipfile.is_zipfile(BytesIO(data)):
            with zipfile.ZipFile(BytesIO(data)) as archive:
                (inside,) = [entry for entry in archive.namelist() if entry.endswith(".ipynb")]
                data = archive.read(inside)
        notebook = nbformat.reads(data.decode("utf-8-sig"), as_version=4)
        kept = [{"cell_type": c.cell_type, "source": c.source, "metadata": c.metadata} for c in notebook.cells]
        found = notebook.metadata.get("otter", {}).get("assignment_name", name)  # Colab drops it
    except Exception as error:
        raise Failure("not a notebook", f"This is no notebook file ({type(error).__name__}).") from error
    if found != name:
        raise Failure("wrong assignment", f"This is a notebook of {found}, handed in for {name}.")
    cells = [nbformat.v4.new_code_cell(SENTENCE)]
    for cell in kept:
        if cell["cell_type"] == "code":
            cells.append(nbformat.v4.new_code_cell(cell["source"], metadata=cell["metadata"]))
    return nbformat.v4.new_notebook(cells=cells)


def run(notebook, tests, timeout, memory, stopped):
    """What `inner` says of a notebook. It gets a home of its own, and copies, so that it can spoil only these."""
    with tempfile.TemporaryDirectory(prefix="grade-", ignore_cleanup_errors=True) as folder:
        folder = Path(folder)
        for name in ("home", "tmp"):
            (folder / name).mkdir()
        with zipfile.ZipFile(BytesIO(tests)) as archive:
            archive.extractall(folder, tests_of(archive))
        nbformat.write(notebook, folder / "submission.ipynb")
        mark = secrets.token_hex()
        environment = (
            os.environ
            | QUICK
            | {
                "ZIMP_GRADING": mark,  # by which we know the processes that a submission leaves behind
                "ZIMP_GRADER": str(os.getpid()),
                **dict.fromkeys(("HOME", "USERPROFILE"), str(folder / "home")),
                **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder / "tmp")),
                **dict.fromkeys(("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "MPLCONFIGDIR"), str(folder / "tmp")),
                "PYTHONUSERBASE": site.getuserbase(),  # `pip install --user` counts, although home is elsewhere
            }
        )
        quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        command = [sys.executable, __file__, "inner", folder]
        # A Ctrl-C is for us. We end what runs; if it ended by itself, it would look like a submission that crashed.
        apart = {"start_new_session": True, "creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
        process = psutil.Popen([*map(str, command)], cwd=folder / "home", env=environment, **quiet, **apart)
        try:
            watch(process, timeout, memory, stopped)
        finally:
            end(mark)
            process.wait()
        try:
            report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise Failure("crashed", f"The run ended with code {process.returncode} and without a report.") from error
    if "crashed" in report:
        raise Failure("crashed", report["crashed"])
    return report


def watch(process, timeout, memory, stopped):
    """Wait for a process and all that descend from it, as long as they keep the limits (seconds, megabytes)."""
    deadline = time.monotonic() + timeout
    while process.poll() is None:
        if stopped.is_set():
            raise Stopped
        if time.monotonic() > deadline:
            raise Failure("timed out", f"Still running after {timeout:g} seconds: is there an endless loop?")
        used = 0
        try:
            for member in (process, *process.children(recursive=True)):
                used += member.memory_info().rss
        except psutil.Error:  # it ended while we looked
            pass
        if used > memory * 1e6:
            raise Failure("out of memory", f"More than {memory:g} MB were in use.")
        time.sleep(0.1)


def end(mark):
    """Kill whatever carries the mark. Kernels start sessions of their own, daemons leave the tree; neither loses it."""
    for _ in range(20):  # more may start while we kill
        killed = 0
        for member in psutil.process_iter():
            try:
                if member.pid != os.getpid() and member.environ().get("ZIMP_GRADING") == mark:
                    member.kill()
                    killed += 1
            except (psutil.Error, OSError):
                pass
        if not killed:
            break
        time.sleep(0.05)


def outlive(grader, folder):
    """Wait until the grader is gone, killed itself, and then leave nothing of the submission behind."""
    while os.getppid() == grader and psutil.pid_exists(grader):
        time.sleep(1)
    end(os.environ["ZIMP_GRADING"])
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def inner(folder):
    """In the process of a submission: run its notebook and the tests, and write what came of it.

    The tests stand outside of the working directory, so a notebook that changes or empties it is still graded. Otter
    runs a question's tests where its check stands, whatever `grader` is by then a name for, else at the end.
    """
    from otter.execute import grade_notebook

    folder = Path(folder)
    threading.Thread(target=outlive, args=(int(os.environ["ZIMP_GRADER"]), folder), daemon=True).start()
    tests = sorted(str(file) for file in (folder / "tests").glob("*.py"))
    try:
        graded = grade_notebook(
            str(folder / "submission.ipynb"), tests_glob=tests, test_dir=str(folder / "tests"), cwd=os.getcwd()
        )
        outputs = [output for cell in graded.notebook.cells for output in cell.get("outputs", [])]
        errors = [f"{output.ename}: {output.evalue}" for output in outputs if output.output_type == "error"]
        if graded.has_catastrophic_failure():
            report = {"crashed": sentence(f"The tests did not come to an end; the last error was {errors[-1]}")}
        else:
            messages = [message for test in graded.results.values() for message in explain(test)]
            messages += [sentence(f"A cell raised {error}") for error in dict.fromkeys(errors)]
            scores = {name: test.score for name, test in graded.results.items()}
            report = {"scores": scores, "messages": messages}
    except Exception as error:
        report = {"crashed": sentence(f"{type(error).__name__}: {error}")}
    (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
    os._exit(0)  # otter's logging server would keep us for another second


def sentence(text):
    return text.rstrip(" .:") + "."


def explain(test):
    """Why a question lost points. Of hidden tests only that they failed: the message may go to the student."""
    failed = [result for result in test.test_case_results if not result.passed]
    for result in failed:
        if not result.test_case.hidden:
            yield f"{test.name}: {result.message.split(chr(10), 1)[1]}"
    if hidden := sum(result.test_case.hidden for result in failed):
        of = sum(case.hidden for case in test.test_cases)
        yield f"{test.name}: {hidden} of {of} hidden tests failed."


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="{build,solve,grade}")
    command = commands.add_parser("build", help=build.__doc__.replace("%", "%%"))
    command.add_argument("--offering", type=int, help="from which the hidden numbers are drawn (default: random)")
    command.add_argument("--output", default=DIST, help="(default: %(default)s)")
    command.set_defaults(do=build)
    command = commands.add_parser("solve", help=solve.__doc__)
    command.add_argument("--output", help="(default: submissions in the folder of the built course)")
    command.set_defaults(do=solve)
    grading = commands.add_parser("grade", help=grade.__doc__)
    grading.add_argument("folder", help="holds hw1/, hw2/, hw3/; with --assignment the submissions themselves")
    grading.add_argument("--assignment", choices=masters(), help="what the submissions in FOLDER are for")
    grading.add_argument("--jobs", type=int, help="how many at a time (default: one for each core)")
    grading.add_argument("--timeout", type=float, default=300, help="seconds for a submission (default: %(default)s)")
    grading.add_argument("--memory", type=float, default=2000, help="MB for a submission (default: %(default)s)")
    grading.add_argument("--output", default="grades.csv", help="(default: %(default)s)")
    grading.set_defaults(do=grade)
    for reader in (command, grading):
        reader.add_argument("--built", default=DIST, help="where the built course is (default: %(default)s)")
    command = commands.add_parser("inner")
    command.add_argument("folder")
    command.set_defaults(do=inner)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # names of files may hold what the terminal cannot show
    for name in ("SIGTERM", "SIGHUP"):  # ended in another way than by Ctrl-C, with the same care
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) == signal.SIG_DFL:  # nohup ignores it
            signal.signal(number, signal.default_int_handler)
    arguments = vars(parser.parse_args())
    arguments.pop("do")(**arguments)


if __name__ == "__main__":
    main()
