"""The book in its other forms, all made from one build of its pages.

    python book/forms/make.py notebooks site slides figures paper

The build is that of the README's first command. If it is missing, or older than what it was made from, it is made
first. Each form is made aside and takes its place in ``book/_build/forms`` only when it is whole.
"""

import argparse
import importlib
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

BOOK = Path(__file__).resolve().parent.parent
# What each form is, by its name, which is that of its module but for one. The module's function ``make(book, folder)``
# fills the empty folder.
FORMS = {
    "notebooks": "executed notebooks that read like the pages, and one zip of them",
    "site": "the pages with all that they load, for reading without a network, and one zip of them",
    "slides": "a deck for each lecture",
    "figures": "all figures as SVG files",
    "paper": "the whole book as one PDF",
}


class Problem(Exception):
    """A form cannot be made; the message says what to do."""


@dataclass(frozen=True)
class Built:
    """A book that has been built: its sources, and what the build left beside the pages."""

    source: Path
    build: Path

    @property
    def config(self):
        """The book's configuration: its title, its address, and the like."""
        return yaml.safe_load((self.source / "_config.yml").read_text(encoding="utf-8"))

    @property
    def html(self):
        """The pages."""
        return self.build / "html"

    @property
    def doctrees(self):
        """The pages as Sphinx has read them, with all outputs."""
        return self.build / ".doctrees"

    @property
    def executed(self):
        """The executed notebooks."""
        return self.build / "jupyter_execute"


def main(arguments=None):
    """Make the forms that the command line names."""
    parser = argparse.ArgumentParser(prog="make.py", description="The book in its other forms.")
    epilog = "; ".join(f"{name}: {what}" for name, what in FORMS.items())
    parser.add_argument("forms", nargs="+", choices=[*FORMS, "all"], metavar="FORM", help=epilog + "; all: all of them")
    parser.add_argument("--build", type=Path, default=BOOK / "_build", help="the folder of the build (book/_build)")
    options = parser.parse_args(arguments)
    names = list(FORMS) if "all" in options.forms else list(dict.fromkeys(options.forms))
    book = Built(BOOK, options.build.resolve())
    try:
        build(book)
        for name in names:
            began = time.perf_counter()
            target = replace(name, book)
            size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file()) / 1e6
            print(f"{name}: {target}, {size:.1f} MB, {time.perf_counter() - began:.0f} s", flush=True)
    except Problem as problem:
        sys.exit(f"{problem}")


def build(book):
    """Build the pages, unless they are newer than all their sources."""
    last = book.html / "searchindex.js"  # what a build writes last
    sources = [BOOK.parent / "CHANGELOG.md", *BOOK.glob("*.*"), *(BOOK.parent / "zimp").rglob("*.py")]
    for folder in ("_ext", "_static", "_templates", "results"):
        sources += (file for file in (BOOK / folder).iterdir() if file.is_file())
    if last.exists() and last.stat().st_mtime > max(file.stat().st_mtime for file in sources):
        return
    print("building the pages, which takes some minutes", flush=True)
    command = Path(sysconfig.get_path("scripts")) / "jupyter-book"
    arguments = ["build", BOOK, "--path-output", book.build.parent, "-W", "--keep-going", "--all"]
    if subprocess.run(list(map(str, [command, *arguments]))).returncode:
        raise Problem("The book does not build, so no form was made. What is wrong stands above.")


def replace(name, book):
    """Make one form aside, then put it in the place of the last one."""
    forms = book.build / "forms"
    forms.mkdir(exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=forms))
    try:
        module = {"site": "pages"}.get(name, name)  # Python has a `site` of its own
        importlib.import_module(module).make(book, aside)
        aside.chmod(0o755)
        shutil.rmtree(forms / name, ignore_errors=True)
        return aside.rename(forms / name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def tool(name, form, install):
    """The path of a program that a form needs."""
    return shutil.which(name) or fail(f"{form} needs {name}, which is not installed: {install}")


def fetch(package, patterns, folder, form):
    """Put those files of a package of npm into a folder."""
    npm = tool("npm", form, "install Node.js (https://nodejs.org), of which it is a part")
    with tempfile.TemporaryDirectory() as aside:
        pack = [npm, "pack", "--silent", "--prefer-offline", "--pack-destination", aside, package]
        done = subprocess.run(pack, capture_output=True, text=True, encoding="utf-8")
        if done.returncode:
            fail(f"{form}: npm could not fetch {package}; the network is needed this once. {done.stderr.strip()}")
        (archive,) = Path(aside).iterdir()
        with tarfile.open(archive) as tar:
            tar.extractall(aside, filter="data")
        root = Path(aside) / "package"
        for pattern in patterns:
            for file in list(root.glob(pattern)) or fail(f"{form}: {package} has no {pattern}."):
                to = folder / file.relative_to(root)
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, to)


def fail(sentence):
    """Stop, with a sentence."""
    raise Problem(sentence)


if __name__ == "__main__":
    sys.modules["make"] = sys.modules["__main__"]  # the forms import this module
    main()
