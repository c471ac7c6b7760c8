"""Notebooks compute with the same kernels on all x86 processors with AVX2, so that the numbers of a page do not move.

Set here, where the book's build begins, the settings reach the processes that run the notebooks.
"""

import os

from zimp.lab.record import FIXED

os.environ.update({**FIXED, **os.environ})


def setup(app):
    """Sphinx has nothing to do."""
    return {"parallel_read_safe": True}
