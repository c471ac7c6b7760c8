"""In the process of a submission: run its notebook and the tests, and write what came of it.

It is started as a script, by the Python of the submission's own environment, and imports nothing of this package.
"""

import contextlib
import ctypes
import json
import os
import runpy
import shutil
import sys
import threading
import time
from pathlib import Path

import psutil

# If jsonschema, which nbformat imports, finds this package, it compiles a grammar of web addresses at each start. That
# takes a second, and no notebook has such addresses.
LIGHT = """\
import sys
sys.modules.setdefault("rfc3987_syntax", None)
"""

# Otter's own report shows the source line of a failed assert, and of a stray error only the bare text.
SENTENCE = """\
def _sentence(test, error, context=0):
    return str(error) if isinstance(error, AssertionError) else f"Your code raised {type(error).__name__}: {error}"

from otter.test_files.exception_test import ExceptionTestFile
ExceptionTestFile._generate_error_message = _sentence
"""

# The tests are read before the first cell of the submission runs: whoever rewrites their files later changes nothing.
# A question's tests run where its check stands; if `grader` is a name for something else by then, at the end.
BEFORE = """\
def _begin(tests):
    import otter
    from otter.execute import Checker, checker
    from otter.nbmeta_config import NBMetadataConfig
    from otter.test_files import create_test_file

    found = {{test: create_test_file(test, NBMetadataConfig()) for test in tests}}
    checker.create_test_file = lambda path, *_, **__: found[path]
    otter.Notebook.init_grading_mode({folder!r})

_begin({tests!r})
"""
AFTER = """\
from otter.execute import Checker as _Checker
for _test in {tests!r}:
    _Checker.check_if_not_already_checked(_test)

def _explain(test):
    # Why a question lost points. Of hidden tests only that they failed: the message may go to the student.
    failed = [result for result in test.test_case_results if not result.passed]
    for result in failed:
        if not result.test_case.hidden:
            yield f"{{test.name}}: {{result.message.split(chr(10), 1)[1]}}"
    if hidden := sum(result.test_case.hidden for result in failed):
        of = sum(case.hidden for case in test.test_cases)
        yield f"{{test.name}}: {{hidden}} of {{of}} hidden tests failed."

import json as _json
_results = {{test.name: test for test in _Checker.get_results()}}
with open({report!r}, "w", encoding="utf-8", errors="backslashreplace") as _file:
    _json.dump({{
        "scores": {{name: test.score for name, test in _results.items()}},
        "messages": [message for test in _results.values() for message in _explain(test)],
    }}, _file)
"""


def end(mark):
    """Kill whatever carries the mark. Kernels start sessions of their own, daemons leave the tree; neither loses it."""
    repeat(lambda: [member for member in psutil.process_iter() if marked(member, mark)])


def marked(member, mark):
    try:
        return member.pid != os.getpid() and member.environ().get("ZIMP_GRADING", "").startswith(mark)
    except (psutil.Error, OSError):
        return False


def repeat(find):
    """Kill the processes that are found until none is, since more may start meanwhile."""
    for _ in range(20):
        members = find()
        for member in members:
            with contextlib.suppress(psutil.Error):
                member.kill()
        if not members:
            break
        psutil.wait_procs(members, timeout=0.05)


def adopt():
    """On Linux, orphans of this process become its children: none leaves its tree, whatever its environment."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


def outlive(grader, folder):
    """Wait until the grader is gone, killed itself, and then leave nothing of the submission behind."""
    while os.getppid() == grader and psutil.pid_exists(grader):
        time.sleep(1)
    end(os.environ["ZIMP_GRADING"])
    shutil.rmtree(folder, ignore_errors=True)
    if not any(folder.parent.iterdir()):
        shutil.rmtree(folder.parent.parent, ignore_errors=True)
    os._exit(1)


def main(folder, confine):
    folder = Path(folder)
    threading.Thread(target=outlive, args=(int(os.environ["ZIMP_GRADER"]), folder), daemon=True).start()
    adopt()
    with (folder / "report.json").open("w", encoding="utf-8", errors="backslashreplace") as file:
        if confine:  # from here on; not the thread above
            runpy.run_path(str(Path(__file__).with_name("landlock.py")))["confine"](**json.loads(confine))
        json.dump(report(folder), file)
    repeat(lambda: psutil.Process().children(recursive=True))
    os._exit(0)  # without waiting for threads


def report(folder):
    """Scores and messages, or why there are none."""
    exec(LIGHT)
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(folder / "submission.ipynb", as_version=4)
    tests, result = sorted(str(file) for file in (folder / "tests").glob("*.py")), folder / "tmp" / "result.json"
    before = LIGHT + SENTENCE + BEFORE.format(folder=str(folder / "tests"), tests=tests)
    after = AFTER.format(tests=tests, report=str(result))
    cells = [nbformat.v4.new_code_cell(source) for source in (before, after)]
    notebook.cells = [cells[0], *notebook.cells, cells[1]]
    client = NotebookClient(notebook, timeout=None, allow_errors=True, kernel_name="python3")
    try:
        client.execute(cwd=os.getcwd())
    except Exception as error:
        return {"crashed": sentence(f"{type(error).__name__}: {error}")}
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    errors = [f"{output.ename}: {output.evalue}" for output in outputs if output.output_type == "error"]
    try:
        found = json.loads(result.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        last = f"; the last error was {errors[-1]}" if errors else ""
        return {"crashed": sentence(f"The tests did not come to an end{last}")}
    found["messages"] += [sentence(f"A cell raised {error}") for error in dict.fromkeys(errors)]
    return found


def sentence(text):
    return text.rstrip(" .:") + "."


if __name__ == "__main__":
    main(*sys.argv[1:])
