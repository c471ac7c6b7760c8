import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest
import torch
from chromium import chromium
from hypothesis import settings

import zimp

TESTS = Path(__file__).parent
BOOK = TESTS.parent / "book"
collect_ignore = ["offline", "rehearsal", "fuzz"]  # no tests: a file that Python loads by itself, and a script

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


def pytest_collection_modifyitems(items):
    """Mark what is slow: it waits for the book or opens a browser, or builds and grades the course.

    What asks for the book comes last, since the book is built while the other tests run.
    """
    for item in items:
        if {"site", "browser"} & set(item.fixturenames) or item.path.name == "test_assignments.py":
            item.add_marker("slow")
    items.sort(key=lambda item: "site" in item.fixturenames)


def pytest_collection_finish(session):
    if any("site" in item.fixturenames for item in session.items) and not session.config.option.collectonly:
        session.config.book = Build()


def pytest_sessionfinish(session):
    if book := getattr(session.config, "book", None):
        book.end()


class Build:
    """The book, being built from clean by its command, warnings as errors."""

    def __init__(self):
        self.out = Path(tempfile.mkdtemp(prefix="zimp-book-"))
        command = Path(sysconfig.get_path("scripts")) / "jupyter-book"
        build = [command, "build", BOOK, "--path-output", self.out, "-W", "--keep-going", "--all"]
        with (self.out / "log").open("w") as log:
            self._process = subprocess.Popen(list(map(str, build)), stdout=log, stderr=subprocess.STDOUT)

    def site(self):
        """The folder of its pages, once they are there."""
        status = self._process.wait()
        log = (self.out / "log").read_text(encoding="utf-8", errors="replace")
        assert status == 0, f"the book does not build:\n{log[-9000:]}"
        return self.out / "_build" / "html"

    def end(self):
        """Leave nothing behind."""
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
