import importlib.util
import os
import subprocess
import sysconfig
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
    """What asks for the book waits for it to be built, or opens a browser; the tests of the course build and grade."""
    for item in items:
        if {"site", "browser"} & set(item.fixturenames) or item.path.name == "test_assignments.py":
            item.add_marker("slow")


@pytest.fixture(scope="session")
def digits():
    return zimp.load_data("digits")


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The book, built from clean by its command, warnings as errors: the folder of its pages."""
    out = tmp_path_factory.mktemp("book")
    command = Path(sysconfig.get_path("scripts")) / "jupyter-book"
    build = [command, "build", BOOK, "--path-output", out, "-W", "--keep-going", "--all"]
    result = subprocess.run(list(map(str, build)), capture_output=True, text=True, encoding="utf-8", errors="replace")
    assert result.returncode == 0, f"the book does not build:\n{result.stdout[-3000:]}\n{result.stderr[-6000:]}"
    return out / "_build" / "html"


@pytest.fixture
def seeded():
    """For networks that are built in a test."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def browser():
    yield from chromium()
