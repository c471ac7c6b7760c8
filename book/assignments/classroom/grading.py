"""Grade a batch: each submission in a process of its own, within limits, and a row for it whatever becomes of it."""

import json
import os
import re
import subprocess
import sys
import threading
import time
import zipfile
from collections import Counter, defaultdict
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import nbformat
import psutil

from classroom import by_hand, gradebook, inside
from classroom.assignments import DIST, masters, questions
from classroom.building import QUICK
from classroom.isolation import Workroom, remove
from classroom.submissions import Failure, find, fingerprint, parse, places

LONGEST = 1000  # characters of a message
LIMITED = {"timed out", "out of memory"}  # what other limits may change


class Stopped(BaseException):
    """The grading was stopped while a submission ran, which therefore gets no row."""


@dataclass
class Grader:
    """What grading one submission needs, and what all of them share."""

    room: Workroom
    tests: dict  # the autograder of each assignment, as bytes
    timeout: float
    memory: float
    stopped: threading.Event = field(default_factory=threading.Event)

    def row(self, submission):
        """The row of a submission. Without a grade there is no number in it: 0 would look like one."""
        name = submission.assignment
        row = {"submission": submission.shown, "student": submission.student, "name": submission.name}
        worth = {q.name: q.points for q in questions(masters()[name]).values() if not q.manual}
        row |= {"out of": f"{sum(worth.values()):g}", "file": ""}
        try:
            row["file"] = self.made_from(submission)
            report = self.run(clean(parse(submission.data(), name)), self.tests[name])
            if not all(0 <= score <= worth.get(question, -1) for question, score in report["scores"].items()):
                raise Failure("crashed", "The run reported points that there are not: read this notebook.")
            row |= {"status": "graded", "machine": f"{sum(report['scores'].values()):g}"}
            row |= {question: f"{score:g}" for question, score in report["scores"].items()}
            row["message"] = plain(report["messages"])
        except Failure as failure:
            row |= {"status": failure.args[0], "message": plain(failure.args[1:])}
        except Exception as error:  # one submission must not end the batch
            said = f"The grader itself failed: {type(error).__name__}: {error}"
            row |= {"status": "crashed", "message": plain([said])}
        row["file"] += self.limits(row)
        return row

    def made_from(self, submission):
        """What tells a submission from what it was before, and the tests from others."""
        try:
            data = submission.data()
        except Failure as failure:
            data = " ".join(failure.args).encode("utf-8", "backslashreplace")
        return f"{fingerprint(data)}-{fingerprint(self.tests[submission.assignment])}"

    def limits(self, row):
        """The limits, if a row came of one of them."""
        return f"-{self.timeout:g}s-{self.memory:g}MB" if row["status"] in LIMITED else ""

    def keeps(self, submission, row):
        """Whether the row of an earlier grading is still right."""
        return bool(row) and row.get("file") == self.made_from(submission) + self.limits(row)

    def run(self, notebook, tests):
        """What `inside` says of a notebook. It gets a home of its own, and copies, so that it can spoil only these."""
        folder, python, variables, reach = self.room.place()
        try:
            with zipfile.ZipFile(BytesIO(tests)) as archive:
                archive.extractall(folder, tests_of(archive))
            nbformat.write(notebook, folder / "submission.ipynb")
            own = {"ZIMP_GRADING": str(folder), "ZIMP_GRADER": str(os.getpid())}  # the first marks all its processes
            quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
            # A Ctrl-C is for us. We end what runs; if it ended by itself, it would look like one that crashed.
            apart = {"start_new_session": True, "creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
            process = psutil.Popen(
                [python, inside.__file__, str(folder), reach],
                cwd=folder / "home",
                env=os.environ | QUICK | variables | own,
                **quiet,
                **apart,
            )
            try:
                self.watch(process)
            finally:
                if process.is_running():  # its orphans are its children, as long as it is there
                    inside.repeat(lambda: process.children(recursive=True))
                    process.kill()
                process.wait()
            try:
                report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                said = f"The run ended with code {process.returncode} and without a report."
                raise Failure("crashed", said) from error
        finally:
            remove(folder)
        if "crashed" in report:
            raise Failure("crashed", report["crashed"])
        return report

    def watch(self, process):
        """Wait for a process and all that descend from it, as long as they keep the limits (seconds, megabytes)."""
        deadline = time.monotonic() + self.timeout
        while process.poll() is None:
            if self.stopped.is_set():
                raise Stopped
            if time.monotonic() > deadline:
                raise Failure("timed out", f"Still running after {self.timeout:g} seconds: is there an endless loop?")
            used = 0
            try:
                for member in (process, *process.children(recursive=True)):
                    used += member.memory_info().rss
            except psutil.Error:  # it ended while we looked
                pass
            if used > self.memory * 1e6:
                raise Failure("out of memory", f"More than {self.memory:g} MB were in use.")
            time.sleep(0.1)


def clean(notebook):
    """The code of a notebook, such that it runs with the kernel that we have."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    kept = [nbformat.v4.new_code_cell(cell.source, metadata=cell.metadata) for cell in cells]
    return nbformat.v4.new_notebook(cells=kept)


def plain(messages):
    """Messages for a cell of a table, one a line: without colours and control characters, and not endless."""
    texts = (re.sub(r"\x1b\[[0-9;?]*[ -/]*[@-~]", "", message) for message in messages)
    texts = [" ".join("".join(c if c.isprintable() else " " for c in text[: 5 * LONGEST]).split()) for text in texts]
    share = max(LONGEST // max(len(texts), 1), 150)
    texts = [text if len(text) <= share else f"{text[: share - 1]}…" for text in texts]
    while len("\n".join(texts)) > LONGEST:
        *texts, _ = texts[:-1] if texts[-1] == "…" else texts
        texts.append("…")
    return "\n".join(texts)


class Progress:
    """How far the grading is, and how long it still takes."""

    def __init__(self, tasks):
        self.left, self.took = Counter(task.assignment for task in tasks), defaultdict(list)
        self.total, self.begin, self.lock = len(tasks), time.monotonic(), threading.Lock()

    def __call__(self, task, row, seconds):
        with self.lock:
            self.left[task.assignment] -= 1
            self.took[task.assignment].append(seconds)
            points = f" {row['machine']} of {row['out of']}" if row.get("machine") else ""
            left = in_words(remaining(time.monotonic() - self.begin, self.took, self.left))
            done = self.total - self.left.total()
            say(f"{done} of {self.total}{left}: {row['submission']}: {row['status']}{points}")


def remaining(spent, took, left):
    """The seconds left, from how long those of each assignment took that are done; None while these are too few."""
    done = [seconds for one in took.values() for seconds in one]
    if len(done) < 5 or not left.total():
        return None
    mean = sum(done) / len(done)
    work = sum(count * (sum(took[name]) / len(took[name]) if took.get(name) else mean) for name, count in left.items())
    return spent * work / sum(done)


def in_words(seconds):
    if seconds is None:
        return ""
    return f", {seconds / 60:.0f} minutes left" if seconds > 100 else f", {seconds:.0f} seconds left"


def say(text):
    try:
        print(text, flush=True)
    except BrokenPipeError:  # the reader, such as head, has seen enough; the CSV goes on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def grade(folder, assignment=None, jobs=None, timeout=300, memory=2000, output="grades.csv", built=DIST, resume=False):
    """Grade every submission in `folder`; a row of the CSV for each, whatever became of it. Returns the rows."""
    for option, value in {"--jobs": jobs, "--timeout": timeout, "--memory": memory}.items():
        if value is not None and not value > 0:
            sys.exit(f"{option} {value:g} must be greater than 0")
    with Workroom() as room:
        folders = places(Path(folder), assignment, room.folder / "export")
        points = {name: questions(masters()[name]) for name in folders}
        grader = Grader(room, {name: autograder(name, built, points[name]) for name in folders}, timeout, memory)
        found = {name: list(find(name, place, own_files(place, output))) for name, place in folders.items()}
        if not any(found.values()):
            sys.exit(f"there are no submissions in {', '.join(map(str, folders.values()))}")
        tasks = alternate(found.values())
        before = {}
        if resume and os.path.isfile(output) and os.path.getsize(output):
            before = gradebook.read(output)[0]
        kept = {t.shown: before[t.shown] for t in tasks if grader.keeps(t, before.get(t.shown))}
        tasks = [task for task in tasks if task.shown not in kept]
        by_hand.points(output, folders)  # what cannot be read there is said before the work
        columns = dict.fromkeys(question for name in points for question in points[name])
        book = gradebook.Gradebook(output, columns, kept.values())
        if resume:
            say(f"{len(kept)} are graded already, {len(tasks)} are new or changed")
        if not room.confined:
            say("note: this system cannot keep submissions from reading and writing your files; see the guide")
        rows = kept | run_all(tasks, grader, book, jobs or os.cpu_count())
        rows = [rows[s.shown] for name in found for s in found[name]]
        try:
            if book.is_file:
                by_hand.extend(book.path, rows)
                by_hand.merge(rows, by_hand.points(book.path, folders))
            aside = book.finish(rows)
        except OSError as error:
            sys.exit(f"{output} could not be written further ({error.strerror}): {book.stop()}")
    counts = Counter(row["status"] for row in rows)
    say(f"{output}: " + ", ".join(f"{count} {status}" for status, count in counts.items()))
    if aside:
        say(f"some of the earlier grades changed; they are in {aside}")
    return rows


def run_all(tasks, grader, book, jobs):
    """Grade tasks side by side, and write each row at once. Returns the rows by name."""
    progress = Progress(tasks)

    def work(task):
        begin = time.monotonic()
        row = grader.row(task)
        book.write(row)  # here, where no interrupt arrives
        progress(task, row, time.monotonic() - begin)
        return task.shown, row

    try:
        if tasks:
            grader.room.prepare()
        with ThreadPoolExecutor(jobs) as pool:
            try:
                futures = [pool.submit(work, task) for task in tasks]
                waiting = futures
                while waiting:  # not for ever, which on Windows no Ctrl-C would end
                    done, waiting = wait(waiting, timeout=1, return_when=FIRST_EXCEPTION)
                    for future in done:
                        future.result()
                return dict(future.result() for future in futures)
            except BaseException:
                grader.stopped.set()
                pool.shutdown(cancel_futures=True)
                raise
    except BaseException as error:
        kept = book.stop()
        if isinstance(error, KeyboardInterrupt):
            sys.exit(f"stopped: {kept}")
        if isinstance(error, OSError):  # of the CSV: one of a submission is in its row
            sys.exit(f"{book.output} could not be written further ({error.strerror}): {kept}")
        raise


def own_files(place, output):
    """What of this grading may lie among the submissions: the CSV, those of before, sheets and pages."""
    output = Path(output)
    if output.absolute().parent.resolve() != place.resolve():
        return set()
    own = re.compile(rf"{re.escape(output.name)}(\.earlier\d*)?|{re.escape(output.stem)}-(by-hand-hw\d+\.csv|pages)")
    return {file.name for file in place.iterdir() if own.fullmatch(file.name)}


def alternate(lists):
    """One of each in turn, in proportion: the first ones then tell how long all take."""
    marked = ((k / len(found), item) for found in lists for k, item in enumerate(found))
    return [item for _, item in sorted(marked, key=lambda pair: pair[0])]


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
