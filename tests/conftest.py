import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from pathlib import Path

import pytest
import torch
from chromium import chromium
from hypothesis import settings

import zimp

TESTS = Path(__file__).parent
BOOK = TESTS.parent / "book"
collect_ignore = ["offline", "rehearsal", "fuzz", "right_answers", "wrong_answers"]  # no tests

# All tests, and the book that they build, do without a network: here, and in the processes that are started from here.
_block = importlib.util.spec_from_file_location("offline", TESTS / "offline" / "sitecustomize.py")
_block.loader.exec_module(importlib.util.module_from_spec(_block))
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(TESTS / "offline"), os.environ.get("PYTHONPATH")]))

torch.set_num_threads(1)  # networks this small leave threads waiting for each other

settings.register_profile("reproducible", deadline=None, derandomize=True, database=None)
# The same search, shorter, for the daily run.
settings.register_profile("quick", settings.get_profile("reproducible"), max_examples=30)


def pytest_configure(config):
    settings.load_profile("quick" if config.option.markexpr == "not slow" else "reproducible")
    if not hasattr(config, "workerinput"):  # not one of the processes among which pytest-xdist shares out the tests
        os.environ["ZIMP_TESTED_BOOK"] = tempfile.mkdtemp(prefix="zimp-book-")
    config.book = Build(Path(os.environ["ZIMP_TESTED_BOOK"]))


def pytest_collection_modifyitems(items):
    """Mark what is slow: it waits for the book or opens a browser, or builds and grades the course.

    What asks for the book comes last, since the book is built while the other tests run. The tests of the assignments
    stay in one process, since they share a course that takes a minute to build.
    """
    for item in items:
        if {"site", "browser"} & set(item.fixturenames) or item.path.name == "test_assignments.py":
            item.add_marker("slow")
        if item.path.name == "test_assignments.py":
            item.add_marker(pytest.mark.xdist_group("assignments"))
    items.sort(key=lambda item: "site" in item.fixturenames)


def pytest_collection_finish(session):
    if any("site" in item.fixturenames for item in session.items) and not session.config.option.collectonly:
        session.config.book.wanted.touch()
        if not hasattr(session.config, "workerinput"):
            session.config.book.begin()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node):
    if node.config.book.wanted.exists():
        node.config.book.begin()


def pytest_sessionfinish(session):
    if not hasattr(session.config, "workerinput"):
        session.config.book.end()


class Build:
    """The book, being built from clean by its command, warnings as errors, once for all processes that run tests."""

    def __init__(self, out):
        self.out = out
        self.wanted, self._status = out / "wanted", out / "status"
        self._process = None

    def begin(self):
        """Build it in the background, unless it is being built."""
        if self._process is None:
            command = Path(sysconfig.get_path("scripts")) / "jupyter-book"
            build = [command, "build", BOOK, "--path-output", self.out, "-W", "--keep-going", "--all"]
            with (self.out / "log").open("w") as log:
                self._process = subprocess.Popen(list(map(str, build)), stdout=log, stderr=subprocess.STDOUT)
            threading.Thread(target=self._tell, daemon=True).start()

    def _tell(self):
        """Write down how it ended, whole, for the processes that wait."""
        written = self.out / "ended"
        written.write_text(str(self._process.wait()))
        written.rename(self._status)

    def site(self):
        """The folder of its pages, once they are there."""
        while not self._status.exists():
            time.sleep(0.5)
        log = (self.out / "log").read_text(encoding="utf-8", errors="replace")
        assert self._status.read_text() == "0", f"the book does not build:\n{log[-9000:]}"
        return self.out / "_build" / "html"

    def end(self):
        """Leave nothing behind."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.out, ignore_errors=True)


@pytest.fixture(scope="session")
def digits():
    return zimp.load_data("digits")


@pytest.fixture(scope="session")
def site(request):
    """The folder of the book's pages."""
    return request.config.book.site()


@pytest.fixture(scope="session")
def branch(site):
    """What the workflow pushes to the branch `notebooks`: made by its command from the book that is built once."""
    command = [sys.executable, BOOK / "forms" / "make.py", "notebooks", "--build", site.parent]
    subprocess.run(list(map(str, command)), check=True)
    return site.parent / "forms" / "notebooks"


@pytest.fixture
def seeded():
    """For networks that are built in a test."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def browser():
    yield from chromium()
