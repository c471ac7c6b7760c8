"""Rehearse Binder: build what it would build, and press the Binder button of every page.

    python tests/rehearsal/binder.py [--build book/_build] [--json FILE]

1. The notebooks, and what Binder needs beside them: made from the build of the book, as for the branch ``notebooks``.
2. ``jupyter-repo2docker --no-build`` says how Binder would read that branch.
3. The image: a fresh virtual environment in place of the conda environment, with repo2docker's own packages in its
   versions, then the pip part of ``environment.yml`` with the package from this checkout, which is not published yet,
   then ``postBuild``.
4. For each page with a Binder button: the image's own command on loopback, and Chromium on the path of the button. The
   page must open as a notebook, run without an error, and move a picture by its slider and each live view by its
   controls, again after its kernel was killed. Before that, the kernel must draw a number that is typed into an
   explorer's field. The assignments are uploaded, as their pages say, and run.

Exits with 0 if every page did all this within the limits. Needs Linux, Chromium, the package's test extra, and pip's
index.
"""

import argparse
import json
import os
import re
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import venv
from contextlib import contextmanager, suppress
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil
import yaml
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[2]
MEGABYTES, SECONDS = 1200, 120  # Binder gives about 2 GB, of which the server takes its part
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
STATE = """() => {
  const panel = window.jupyterapp?.shell.currentWidget;
  if (!panel?.content?.model?.cells || !panel.sessionContext?.isReady) return null;
  const cells = [...panel.content.model.cells].map((model, index) => ({ model, index }))
    .filter(({ model }) => model.type === "code" && model.sharedModel.source.trim());
  const expected = model => (model.getMetadata("tags") || []).includes("raises-exception");
  const outputs = model => model.outputs.toJSON();
  return {
    idle: panel.sessionContext.session?.kernel?.status === "idle",
    code: cells.length,
    left: cells.filter(({ model }) => model.executionCount === null).length,
    errors: cells.filter(({ model }) => !expected(model)).flatMap(({ model }) => outputs(model))
      .filter(output => output.output_type === "error").map(output => `${output.ename}: ${output.evalue}`),
    explorers: cells.filter(({ model }) => /\\bexplorer\\(/.test(model.sharedModel.source)).map(({ index }) => index),
    views: cells.filter(({ model }) => outputs(model).some(({ data }) => /data-zimp-view=/.test(data?.["text/html"])))
      .map(({ index }) => index),
  };
}"""


# What has run once counts anew.
FORGET = """() => {
  for (const model of window.jupyterapp.shell.currentWidget.content.model.cells) {
    if (model.type === "code") model.executionCount = null;
  }
}"""
SCROLL = "cell => window.jupyterapp.shell.currentWidget.content.scrollToItem(cell, 'start')"


class Image:
    """What Binder would build, in a folder: a copy of the branch (its home too), an environment, a command."""

    def __init__(self, folder, branch):
        self.home, self.prefix, self.tools = folder / "home", folder / "env", folder / "tools"
        shutil.copytree(branch, self.home)
        self.source = checkout(folder / "source")
        inherited = {name: os.environ[name] for name in os.environ if not name.startswith(("JUPYTER", "PYTHON"))}
        self.environment = inherited | {
            "HOME": str(self.home),  # as in the image: what is configured there does not come from this machine
            "PATH": f"{self.prefix / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "VIRTUAL_ENV": str(self.prefix),
        }

    def read(self):
        """Ask repo2docker how it would build the image; returns its Dockerfile and its own packages."""
        venv.create(self.tools, with_pip=True)
        tools = self.tools / "bin"
        run(tools / "pip", "install", "-q", "jupyter-repo2docker")
        said = run(tools / "jupyter-repo2docker", "--no-build", "--debug", ".", cwd=self.home, stderr=subprocess.STDOUT)
        for step in ('env update -p ${NB_PYTHON_PREFIX} --file "environment.yml"', "RUN ./postBuild"):
            if step not in said:
                sys.exit(f"repo2docker would not do this: {step}")
        (python,) = re.findall(r"^Building conda environment for python=(.*)$", said, flags=re.M)
        if python != (here := "{}.{}".format(*sys.version_info)):
            sys.exit(f"Binder has Python {python}: run this script with that one, not with {here}")
        self.command = json.loads(re.findall(r"^CMD (\[.*\])$", said, flags=re.M)[-1])
        (conda,) = self.tools.glob("lib/python*/site-packages/repo2docker/buildpacks/conda")
        lock = (conda / f"environment.py-{python}-linux-64.lock").read_text()
        versions = dict(re.findall(r"/([^/]+)-([^-/]+)-[^-/]+\.(?:conda|tar\.bz2)", lock))
        packages = yaml.safe_load((conda / "environment.yml").read_text())["dependencies"]
        names = [re.split("[= ]", package)[0] for package in packages]
        pip = {"jupyterhub-singleuser": "jupyterhub"}  # where PyPI's name differs from conda's
        self.base = [f"{pip.get(n, n)}=={versions[n]}" for n in names if n not in ("python", "nodejs", "pip")]

    def build(self):
        venv.create(self.prefix, with_pip=True)
        pip = [self.prefix / "bin" / "python", "-m", "pip"]
        run(*pip, "install", "-q", *self.base, env=self.environment)
        (lines,) = [
            entry["pip"]
            for entry in yaml.safe_load((self.home / "environment.yml").read_text())["dependencies"]
            if isinstance(entry, dict)
        ]
        requirements = self.home / "mambaf"  # where mamba puts its own, so that relative paths mean the same
        here = [re.sub(r" @ https:.*", f" @ {self.source.as_uri()}", line) for line in lines]
        requirements.write_text("\n".join(here))
        run(*pip, "install", "-q", "-U", "-r", requirements, cwd=self.home, env=self.environment)
        requirements.unlink()
        run("./postBuild", cwd=self.home, env=self.environment)
        run(*pip, "check", env=self.environment)

    def weight(self):
        """Megabytes of each package, and of what pip has left in its cache."""
        code = (
            "import importlib.metadata, json, os\n"
            "size = lambda f: os.path.getsize(f.locate()) if os.path.exists(f.locate()) else 0\n"
            "packages = importlib.metadata.distributions()\n"
            "print(json.dumps({p.name: sum(map(size, p.files or [])) / 1e6 for p in packages}))"
        )
        packages = json.loads(run(self.prefix / "bin" / "python", "-c", code, env=self.environment))
        cached = [file.stat().st_size for file in (self.home / ".cache" / "pip").rglob("*") if file.is_file()]
        return packages | {"pip's cache": sum(cached) / 1e6}

    @contextmanager
    def started(self):
        """The image's command, on loopback: the process, its address, and its token."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        token = secrets.token_hex(16)
        options = (
            f"--ServerApp.ip=127.0.0.1 --ServerApp.port={port} --ServerApp.port_retries=0 --ServerApp.allow_root=True "
            f"--ServerApp.open_browser=False --IdentityProvider.token={token} --LabApp.expose_app_in_browser=True"
        ).split()
        command = [argument for argument in self.command if not re.fullmatch(r"--ip|[\d.]+", argument)]
        with tempfile.TemporaryDirectory() as fresh, open(self.home.parent / "server.log", "a") as log:
            environment = self.environment | {"JUPYTERLAB_WORKSPACES_DIR": fresh, "JUPYTER_RUNTIME_DIR": fresh}
            server = psutil.Popen([*command, *options], cwd=self.home, env=environment, stdout=log, stderr=log)
            try:
                for _ in range(600):
                    if server.poll() is not None:
                        raise RuntimeError(f"{shlex.join(command)} ended; see {log.name}")
                    with socket.socket() as probe:
                        if probe.connect_ex(("127.0.0.1", port)) == 0:
                            break
                    time.sleep(0.1)
                yield server, f"http://127.0.0.1:{port}", token
            finally:
                for process in [*server.children(recursive=True), server]:
                    process.terminate()
                server.wait(30)


def checkout(folder):
    """A copy of the repository: its files, and no others."""
    for name in run("git", "ls-files", "-coz", "--exclude-standard", cwd=ROOT).split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def notebooks(build):
    """The folder of the notebooks, made from the build of the book, which is made if it is not there."""
    forms = ROOT / "book" / "forms" / "make.py"
    run(sys.executable, forms, "notebooks", "--build", build)
    return build / "forms" / "notebooks"


def run(*command, stderr=None, **options):
    print("+", shlex.join(map(str, command)), file=sys.stderr)
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=stderr, text=True, **options)
    if done.returncode:
        sys.exit(f"{done.stdout[-5000:]}\nfailed with {done.returncode}: {shlex.join(map(str, command))}")
    return done.stdout


class Buttons(HTMLParser):
    """The path that the Binder button of a page opens, if it has one."""

    path = None

    def handle_starttag(self, tag, attributes):
        address = urlsplit(dict(attributes).get("href") or "")
        if tag == "a" and address.netloc == "mybinder.org":
            (self.path,) = parse_qs(address.query)["urlpath"]


def buttons(site):
    paths = {}
    for file in sorted(site.glob("*.html")):
        page = Buttons()
        page.feed(file.read_text(encoding="utf-8"))
        if page.path:
            paths[file.stem] = page.path
    return paths


def kernels(server):
    return [child for child in server.children(recursive=True) if "ipykernel_launcher" in " ".join(child.cmdline())]


def megabytes(process):
    """The most memory that a process and its children had so far. Shared pages count several times."""
    peaks = 0
    for member in [process, *process.children(recursive=True)]:
        with suppress(FileNotFoundError):  # a child that has ended meanwhile
            status = Path(f"/proc/{member.pid}/status").read_text()
            peaks += sum(map(int, re.findall(r"VmHWM:\s+(\d+) kB", status)))  # a zombie has none
    return peaks * 1024 / 1e6


def rehearse(image, browser, path, look=lambda page: {}):
    """Follow the path of a Binder button: what was counted on the way. Raises whatever goes wrong.

    ``look`` counts more in the page of the browser, before its cells run.
    """
    with image.started() as (server, address, token):
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        try:
            page.route(lambda url: not url.startswith((address, "blob:")), lambda route: route.abort())
            page.goto(f"{address}/{path}{'&' if '?' in path else '?'}token={token}")
            page.locator(".jp-NotebookPanel >> visible=true").wait_for(timeout=60_000)
            page.wait_for_function(f"() => ({STATE})()?.idle", timeout=60_000)
            (kernel,) = kernels(server)
            seen = look(page)

            page.evaluate(FORGET)
            page.get_by_role("menuitem", name="Run", exact=True).click()
            page.get_by_text("Run All Cells", exact=True).click()
            start, peak = time.monotonic(), 0
            while True:
                assert kernel.is_running(), "the kernel died, perhaps for want of memory"
                peak = max(peak, megabytes(kernel))
                state, seconds = page.evaluate(STATE), time.monotonic() - start
                if state["errors"] or seconds > 2 * SECONDS or state["idle"] and not state["left"]:
                    break
                page.wait_for_timeout(100)
            assert not state["errors"], state["errors"]
            assert not state["left"], f"{state['left']} of {state['code']} cells have not run after {seconds:.0f} s"
            moving = [(move, cell) for cell in state["explorers"][:1]] + [(change, cell) for cell in state["views"]]
            for moves, cell in moving:
                moves(page, cell)
            if state["explorers"]:
                ask(page, state["explorers"][0])
            if moving:
                kernel.send_signal(signal.SIGKILL)
                kernel.wait(30)
                page.locator(".jp-Dialog").get_by_role("button", name="Ok").click(timeout=60_000)  # it "has died"
            for moves, cell in moving:
                moves(page, cell)
            counts = {name: len(state[name]) for name in ("explorers", "views")}
            return {"cells": state["code"], **counts, **seen, "seconds": seconds, "MB": peak}
        finally:
            page.close()


def move(page, cell):
    """Move the first slider of a cell by keyboard until its picture changes."""
    page.evaluate(SCROLL, cell)
    explorer = page.locator(".zimp-explorer >> visible=true").first
    before = explorer.locator(".zimp-figure >> visible=true").get_attribute("aria-label")
    slider = explorer.get_by_role("slider").first
    at, last = (float(slider.get_attribute(f"aria-value{name}")) for name in ("now", "max"))
    slider.press("ArrowRight" if at < last else "ArrowLeft")
    explorer.locator(f".zimp-figure:not([aria-label={json.dumps(before)}]) >> visible=true").wait_for()
    assert explorer.locator(".zimp-figure >> visible=true").count() == 1


def change(page, cell):
    """Change the setting of a live view with the keyboard: by its slider, or what else has the focus."""
    page.evaluate(SCROLL, cell)
    view = page.locator(".jp-Cell").nth(cell).locator(".zimp-live[data-state]")
    before = view.get_attribute("data-state", timeout=10_000)
    slider, part = (
        view.locator(f"{control} >> visible=true")
        for control in ("input[type=range]", ".zimp-live-stage [tabindex='0']")
    )
    control = (slider if slider.count() else part).first
    for key in ("ArrowRight", "ArrowLeft", "ArrowUp", "Enter"):
        control.press(key, timeout=10_000)
        for _ in range(20):
            if view.get_attribute("data-state") != before:
                return
            page.wait_for_timeout(25)
    raise AssertionError(f"the view of cell {cell} does not move from {before}")


def ask(page, cell):
    """Type a number into the field of an explorer, if it has one, until the kernel has drawn it; and back."""
    page.evaluate(SCROLL, cell)
    explorer = page.locator(".zimp-explorer >> visible=true").first
    field = explorer.locator(".zimp-free input")
    if not field.count():
        return
    stored = field.first.input_value()
    low, high = (float(field.first.get_attribute(end)) for end in ("min", "max"))
    between = low + 0.37 * (high - low)
    for number in (f"{between:.2f}" if high <= 1 else f"{between:.0f}", stored):
        before = explorer.locator(".zimp-figure >> visible=true").get_attribute("aria-label")
        field.first.fill(number)
        field.first.press("Enter")
        drawn = explorer.locator(f".zimp-figure:not([aria-label={json.dumps(before)}]) >> visible=true")
        drawn.wait_for(timeout=1000 * SECONDS)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    build = ROOT / "book" / "_build"
    parser.add_argument("--build", type=Path, default=build, help="the book's build (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write the results to this file, too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as engine:
        image = Image(Path(folder), notebooks(arguments.build))
        image.read()
        image.build()
        weights = image.weight()
        print(f"\n{sum(weights.values()):.0f} MB in {len(weights) - 1} packages and pip's cache, the largest:")
        for name in sorted(weights, key=weights.get, reverse=True)[:20]:
            print(f"{weights[name]:8.1f}  {name}")

        paths = buttons(arguments.build / "html")
        course, made = image.source / "book" / "assignments" / "course.py", Path(folder) / "course"
        run(image.prefix / "bin" / "python", course, "build", "--output", made, env=image.environment)
        for notebook in sorted((made / "student").glob("*.ipynb")):
            shutil.copy(notebook, image.home)
            paths[notebook.stem] = f"lab/tree/{notebook.name}"

        found = shutil.which("chromium") or shutil.which("google-chrome")
        browser = engine.chromium.launch(executable_path=found, args=FLAGS)
        print(f"\n{'page':24}{'cells':>6}{'explorers':>11}{'views':>7}{'seconds':>9}{'peak MB':>9}")
        pages = {}
        for name, path in paths.items():
            try:
                pages[name] = rehearse(image, browser, path)
                seconds, peak = pages[name]["seconds"], pages[name]["MB"]
                pages[name]["ok"] = seconds <= SECONDS and peak <= MEGABYTES
                counted = f"{pages[name]['cells']:6}{pages[name]['explorers']:11}{pages[name]['views']:7}"
                numbers = f"{counted}{seconds:9.1f}{peak:9.0f}"
                print(f"{name:24}{numbers}  {'ok' if pages[name]['ok'] else 'OVER THE LIMIT'}", flush=True)
            except Exception as error:
                pages[name] = {"ok": False, "error": f"{type(error).__name__}: {error}"}
                print(f"{name:24}  FAILED  {pages[name]['error']}", flush=True)
        browser.close()
    if arguments.json:
        arguments.json.write_text(json.dumps({"packages": weights, "pages": pages}, indent=1) + "\n")
    sys.exit(not all(page["ok"] for page in pages.values()))


if __name__ == "__main__":
    main()
