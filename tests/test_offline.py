"""No network at import, in a run, in the tests, or in building the book, which is built under the same block.

conftest.py puts the block up, for the tests and for all Python that they start. It stands in offline/sitecustomize.py.
"""

import re
import shutil
import socket
import subprocess
import sys
from textwrap import dedent

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ATTEMPTS = {  # 192.0.2.1 is kept for documentation: nobody has it
    "connection": "socket.create_connection(('192.0.2.1', 80), timeout=1)",
    "name": "socket.getaddrinfo('example.org', 443)",
    "old call for a name": "socket.gethostbyname('example.org')",
    "datagram": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'', ('192.0.2.1', 53))",
    "attempt that makes do without": dedent("""\
        import urllib.request
        try:
            urllib.request.urlopen("http://192.0.2.1", timeout=1)
        except Exception:
            pass
        """),
}
attempts = pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS)
REFUSED = r"socket\.\w+ to (192\.0\.2\.1|example\.org)"


@attempts
def test_the_network_is_blocked_in_the_tests(attempt):
    with pytest.raises(BaseException, match=f"^{REFUSED}$"):
        exec(attempt, {"socket": socket})


@attempts
def test_the_network_is_blocked_in_children_of_children(attempt):
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {'import socket; ' + attempt!r}])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert re.search(f"NetworkUsed: {REFUSED}$", done.stderr, flags=re.M), done.stderr


@pytest.mark.slow
def test_the_network_is_blocked_in_the_kernels_that_run_the_chapters():
    cell = nbformat.v4.new_code_cell("import socket; " + ATTEMPTS["name"])
    with pytest.raises(CellExecutionError, match=f"NetworkUsed.*{REFUSED}"):
        NotebookClient(nbformat.v4.new_notebook(cells=[cell]), kernel_name="python3").execute()


RUN = """
import importlib, sys
import zimp
for module in zimp.MODULES:
    importlib.import_module("zimp." + module)
data = zimp.load_data("digits")
record = zimp.iterative_magnitude_pruning(lambda: zimp.lenet_300_100(64), data, levels=1, steps=2, progress=False)
sys.exit(0 if record.curve("kept").tolist() == [[50200, 40160]] else "not the record of two levels")
"""


@pytest.mark.slow
def test_every_module_and_a_short_run_do_without_the_network():
    subprocess.run([sys.executable, "-c", RUN], check=True)


@pytest.mark.slow
def test_every_module_and_a_short_run_do_without_the_network_in_a_namespace_of_their_own():
    """The system itself, not Python, holds the network back."""
    isolated = ["unshare", "--map-root-user", "--net"]
    if not shutil.which("unshare") or subprocess.run([*isolated, "true"], capture_output=True).returncode:
        pytest.skip("needs Linux, and the right to make a network namespace")
    subprocess.run([*isolated, sys.executable, "-c", RUN], check=True)
