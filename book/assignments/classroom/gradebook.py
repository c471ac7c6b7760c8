"""The CSV of a grading: a row for each submission, on the disk once it is graded, and in order once all are."""

import csv
import glob
import os
import shutil
import sys
import threading
from io import StringIO
from pathlib import Path

from classroom import tables
from zimp.lab.record import check_writable, write_whole

FIRST = ["submission", "student", "name", "status", "machine", "out of", "by hand", "total"]
LAST = ["message", "file"]
MARK = "\ufeff".encode()  # by which Excel knows UTF-8


def line(columns, row):
    """A line of the CSV. What begins like a formula would be computed by a spreadsheet, so it gets a quote."""
    safe = {key: f"'{value}" if str(value)[:1] in set("=+-@\t\r") else value for key, value in row.items()}
    text = StringIO()
    csv.DictWriter(text, columns, restval="", extrasaction="ignore").writerow(safe)
    return text.getvalue().encode("utf-8", "backslashreplace")  # half of a character in a message is no accident


def whole(questions, rows):
    """The CSV as bytes."""
    columns = [*FIRST, *questions, *LAST]
    head = dict(zip(columns, columns))
    return MARK + b"".join(line(columns, row) for row in [head, *rows])


def read(path):
    """The rows of a CSV of grades by submission, and the questions among its columns."""
    try:
        table = tables.read(path)
    except OSError as error:
        sys.exit(f"{path} cannot be read: {error.strerror}")
    if table.columns[: len(FIRST)] != FIRST or table.columns[-len(LAST) :] != LAST:
        sys.exit(f"{path} is no CSV of this grader: its columns begin with {', '.join(FIRST[:3])} and end with file")
    return {row["submission"]: row for row in table.records()}, table.columns[len(FIRST) : -len(LAST)]


class Gradebook:
    """The CSV, opened before any grading.

    Grades that were there before are copied aside. The copy is removed if all of them come out the same, and kept
    otherwise; if nothing is graded, all is as it was.
    """

    def __init__(self, output, questions, kept=()):
        self.output, self.questions = output, list(questions)
        self.count, self.before, self.lock = 0, None, threading.Lock()
        try:
            check_writable(output)
            self.is_file = os.path.isfile(output) or not os.path.exists(output)  # and no device or pipe
            self.path = Path(os.path.realpath(output) if self.is_file else output)
            if self.path.is_file():
                with self.path.open("rb") as file:
                    start = file.read(32).removeprefix(MARK).removeprefix(b'"')
                if start and not start.startswith(b"submission"):
                    sys.exit(f"--output {output} is there already, and is no CSV of an earlier grading")
                self.before = unused(f"{self.path}.earlier")
                shutil.copy2(self.path, self.before)
            try:
                if self.is_file:
                    write_whole(self.path, whole(self.questions, kept))
                self.file = self.path.open("ab" if self.is_file else "wb", buffering=0)
                if not self.is_file:
                    self.append(whole(self.questions, ()))
            except BaseException:
                self.stop()
                raise
        except OSError as error:
            sys.exit(f"--output {output} cannot be written: {error.strerror}")

    def write(self, row):
        with self.lock:
            self.append(line([*FIRST, *self.questions, *LAST], row))
            self.count += 1

    def append(self, data):
        """All of a line or, if the disk is full, nothing of it."""
        end = os.fstat(self.file.fileno()).st_size
        try:
            while data:
                data = data[self.file.write(data) :]
            if self.is_file:
                os.fsync(self.file.fileno())
        except OSError:
            if self.is_file:
                self.file.truncate(end)
            raise

    def finish(self, rows):
        """All rows are there: bring them into their order. Returns where those of before are, if any differ."""
        self.file.close()
        if not self.is_file:
            return None
        write_whole(self.path, whole(self.questions, rows))
        now = tables.read(self.path).records()
        for file in aside(self.path):  # those of gradings that were stopped, too
            if all(row in now for row in tables.read(file).records()):
                file.unlink()
        return self.before if self.before and self.before.exists() else None

    def stop(self):
        """What is graded stays. If nothing is, all is as it was. Returns what to say of it."""
        if hasattr(self, "file"):
            self.file.close()
        if self.is_file and not self.count:
            if self.before:
                self.before.replace(self.path)
            else:
                self.path.unlink(missing_ok=True)
            return "nothing was graded"
        kept = f"; those of before are in {self.before}" if self.before else ""
        return f"{self.count} graded are in {self.output}{kept}; the same command with --resume goes on"


def unused(name):
    """A path that nothing has."""
    path, k = Path(name), 1
    while path.exists():
        k += 1
        path = Path(f"{name}{k}")
    return path


def aside(path):
    """The grades that were set aside, and differ from those of now."""
    path = Path(os.path.realpath(path))
    return list(path.parent.glob(f"{glob.escape(path.name)}.earlier*"))


def earlier(path):
    """The grades that were set aside last, if any were."""
    return max(aside(path), key=lambda file: file.stat().st_mtime_ns, default=None)
