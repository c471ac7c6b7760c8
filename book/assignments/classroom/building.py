"""Build from the masters what students, graders and lecturers need."""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor, as_completed
from importlib.metadata import version
from pathlib import Path

import jupytext
import nbformat
import yaml
from packaging.requirements import Requirement

from classroom.assignments import DIST, ROOT, masters
from classroom.inside import LIGHT, SENTENCE

# For processes side by side: one thread each, and files in UTF-8, which otter leaves to the system.
QUICK = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "PYTHONUTF8"), "1")

# The checks stand in a cell. Otter keeps them in the notebook's metadata and reads them from its file by name: there is
# no such file on Colab, nor after a student has renamed it.
SETUP = """\
#@title Run this cell first: it prepares the checks. There is nothing to edit here.
import sys

if "google.colab" in sys.modules:
    %pip install -q otter-grader=={otter} {packages}

try:
    import otter
    import zimp
except ModuleNotFoundError as error:
    raise SystemExit(
        f"{{error.name}} is not installed here. In the folder of the book's repository, type\\n"
        '    .venv/bin/pip install -c constraints.txt -e ".[book,course]"\\n'
        "and start JupyterLab there. Without that folder, run this in a cell and restart the kernel:\\n"
        "    %pip install otter-grader=={otter} {packages}"
    ) from None

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


def zimp_archive():
    """Where pip finds the newest `zimp` that is known to be published: a commit, else the branch."""
    repository = yaml.safe_load((ROOT / "book" / "_config.yml").read_text(encoding="utf-8"))["repository"]
    command = ["git", "rev-parse", "--verify", "--quiet", f"origin/{repository['branch']}"]
    try:
        commit = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError:  # no git: the repository came as a zip
        commit = None
    return f"{repository['url']}/archive/{commit or repository['branch']}.zip"


def container(packages):
    """Python and packages of an autograder's container: those of Binder, in the versions of constraints.txt.

    `packages` are what an assignment needs besides those of zimp.
    """
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    python = next(line.split("=")[1] for line in environment if str(line).startswith("python="))
    (pip,) = [entry["pip"] for entry in environment if isinstance(entry, dict)]
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    needed = {*packages, *(Requirement(line).name for line in needed)}
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [pin for pin in pins if pin.split("==")[0] in needed]
    return python, [*(line for line in pip if line.startswith("--extra-index-url")), *pins, zimp_archive()]


def build(output=DIST, offering=None):
    """Student notebook, autograder and solution of every master. Otter grades each solution, and fails below 100 %."""
    output = Path(output).resolve()
    offering = secrets.randbelow(900_000) + 100_000 if offering is None else offering
    for kind in ("student", "autograder", "instructor"):
        (output / kind).mkdir(parents=True, exist_ok=True)
    begin, failures = time.monotonic(), []
    print(f"building {', '.join(masters())} and grading their solutions; this takes a minute or so", flush=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        made = {pool.submit(build_one, master, output, offering): name for name, master in masters().items()}
        for future in as_completed(made):
            failures += filter(None, [future.result()])
            verdict = "does not build" if future.result() else "is built"
            print(f"{made[future]} {verdict}, after {time.monotonic() - begin:.0f} seconds", flush=True)
    if failures:
        sys.exit("\n".join(failures))
    print(f"{', '.join(masters())} with offering {offering} are in {output}")


def build_one(master, output, offering):
    """Build from one master. Returns why that failed, if it did."""
    name = master.stem
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        notebook = jupytext.reads(master.read_text(encoding="utf-8").replace("OFFERING_SEED", str(offering)), "md:myst")
        cell = next(cell for cell in notebook.cells if cell.source.startswith("# ASSIGNMENT CONFIG"))
        config = yaml.safe_load(cell.source)
        packages = config.pop("packages", [])  # a key of ours
        python, requirements = container(packages)
        (folder / "requirements.txt").write_text("\n".join(requirements), encoding="utf-8")
        config |= {"requirements": "requirements.txt", "python_version": python, "export_cell": False}
        cell.source = "# ASSIGNMENT CONFIG\n" + yaml.safe_dump(config)
        nbformat.write(notebook, folder / f"{name}.ipynb")
        otter = LIGHT + "import runpy; runpy.run_module('otter', run_name='__main__')"
        command = [sys.executable, "-c", otter, "assign", "--no-pdfs", f"{name}.ipynb", "made"]
        done = subprocess.run(command, cwd=folder, env=os.environ | QUICK, capture_output=True, encoding="utf-8")
        if done.returncode:
            return f"{master.name} does not build:\n{done.stderr[-3000:]}"
        made = folder / "made"
        (archive,) = (made / "autograder").glob("*.zip")
        shutil.copy(archive, output / "autograder" / f"{name}.zip")
        finish(made / "student" / f"{name}.ipynb", output / "student" / f"{name}.ipynb", packages)
        finish(made / "autograder" / f"{name}.ipynb", output / "instructor" / f"{name}.ipynb", packages)


def finish(source, target, packages):
    """Put our first and last cell into a notebook that otter made, and take the checks out of its metadata."""
    notebook = nbformat.read(source, as_version=4)
    made = notebook.metadata.otter
    assert notebook.cells[0].source.startswith("# Initialize Otter")
    needed = " ".join([*packages, zimp_archive()])
    setup = SETUP.format(otter=version("otter-grader"), packages=needed, sentence=SENTENCE, checks=dict(made.tests))
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
        solution = Path(built) / "instructor" / f"{name}.ipynb"
        if not solution.is_file():
            sys.exit(f"{solution} is not there; is the course built? --built says where")
        (output / name).mkdir(parents=True, exist_ok=True)
        shutil.copy(solution, output / name / "solution.ipynb")
    print(f"solutions are in {output}")
