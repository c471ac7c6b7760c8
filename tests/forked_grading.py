"""Scores of many wrong answers: python forked_grading.py SOLUTION.ipynb TESTS WRONG.py prints them as JSON.

A kernel for each would take ten seconds, most of them imports and training. Here the solution runs once, in one
process, which forks for each wrong answer. The fork runs that, and the cells and checks below that use what it defines,
directly or not: the others would do the same again. The tests are otter's.
"""

import ast
import contextlib
import json
import os
import runpy
import signal
import symtable
import sys
import tempfile
from pathlib import Path


def names(source):
    """The global names that a cell uses, and those it defines or assigns to."""

    def used(table):
        found = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global()}
        return found.union(*map(used, table.get_children()))

    top = symtable.symtable(source, "cell", "exec")
    made = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned()}
    return used(top) | {symbol.get_name() for symbol in top.get_symbols() if symbol.is_referenced()}, made


def main(solution, tests, wrong):
    import nbformat
    from otter.test_files import create_test_file

    cells = [cell.source for cell in nbformat.read(solution, as_version=4).cells if cell.cell_type == "code"][1:]
    wrong = runpy.run_path(wrong)["WRONG"]
    space, scores = {"__name__": "__main__"}, {}

    class grader:
        @staticmethod
        def check(question):
            test = create_test_file(str(Path(tests) / f"{question}.py"), None)
            test.run(space)
            scores[question] = test.score

    def run(source):
        with contextlib.suppress(Exception):  # as in grading: the rest still counts
            exec(source, space)

    def fork(right, mistake):
        """Scores with `mistake` in place of the cell `right`; the state of this process stays as it is."""
        with tempfile.TemporaryFile("w+") as file:
            child = os.fork()
            if not child:
                signal.alarm(120)  # an endless loop ends
                changed = names(right)[1] | names(mistake)[1]
                run(mistake)
                for source in cells[cells.index(right) + 1 :]:
                    used, made = names(source)
                    if source.startswith("grader.check"):
                        used = parameters[source.split('"')[1]]
                    if used & changed:
                        changed |= made
                        run(source)
                json.dump(scores, file)
                file.flush()
                os._exit(0)
            os.waitpid(child, 0)
            file.seek(0)
            return json.loads(file.read() or "{}")

    parameters = {}  # what the tests of a question look at
    for file in Path(tests).glob("*.py"):
        functions = [n for n in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(n, ast.FunctionDef)]
        parameters[file.stem] = {argument.arg for function in functions for argument in function.args.args}

    space["grader"] = grader
    for source in cells:
        run(source)
    of = {question: next(cell for cell in cells if cell.startswith(f"# {question}\n")) for question in wrong}
    found = {q: {mistake: fork(of[q], source) for mistake, source in wrong[q].items()} for q in wrong}
    json.dump({"right": scores, "wrong": found}, sys.__stdout__)


if __name__ == "__main__":
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # what cells print
        main(*sys.argv[1:])
