"""What a submission can reach: a home, an environment and copies of its own, and where Linux allows it nothing else.

A process runs with the rights of whoever started it. Where Linux has Landlock, it gives up those to files: it then
writes only to its own folder, and reads the system, the packages and its tests, but nothing of yours. Elsewhere it is
kept from accidents only. It always shares the network.
"""

import contextlib
import importlib.util
import json
import os
import re
import secrets
import shutil
import site
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

import psutil

from classroom import landlock
from classroom.inside import end

SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/etc", "/opt", "/nix", "/proc", "/sys", "/dev")
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "/dev/ptmx", "/dev/pts", "/dev/shm")


def packages():
    """The folders from which Python imports what is installed."""
    user = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    return [*dict.fromkeys([*site.getsitepackages(), sysconfig.get_path("purelib"), *user])]


class Workroom:
    """A folder for the submissions of one grading, each with a folder inside. Its name says which process uses it.

    What an earlier grading left that was killed, or whose machine lost its power, is removed first.
    """

    def __enter__(self):
        for other in Path(tempfile.gettempdir()).glob("zimp-grading-*"):
            match = re.fullmatch(r"zimp-grading-(\d+)-(\d+)-\w+", other.name)
            if match and not alive(int(match[1]), int(match[2])):
                remove(other)
        me = psutil.Process()
        name = f"zimp-grading-{me.pid}-{me.create_time():.0f}-"
        self.folder = Path(tempfile.mkdtemp(prefix=name)).resolve()
        self.fonts = self.folder / "fonts"
        self.confined = landlock.version() > 0
        return self

    def __exit__(self, *_):
        remove(self.folder)

    def prepare(self):
        """What all submissions share is made once: matplotlib's list of fonts takes as long as a short notebook."""
        environment = os.environ | {"MPLCONFIGDIR": str(self.fonts), "HOME": str(self.folder)}
        command = [sys.executable, "-c", "import matplotlib.font_manager"]
        subprocess.run(command, env=environment, capture_output=True, stdin=subprocess.DEVNULL)

    def place(self):
        """A new folder for a submission, with a home and a Python environment of its own, and what runs it there.

        In this environment, which sees the packages of ours, pip installs into the environment, and refuses to
        uninstall what is not in it. Returns the folder, its Python, variables of the environment, and what the process
        may reach, or an empty text where that cannot be restricted.
        """
        folder = self.folder / "runs" / secrets.token_hex(8)
        for name in ("home", "tmp", "tests"):
            (folder / name).mkdir(parents=True)
        if self.fonts.is_dir():
            shutil.copytree(self.fonts, folder / "tmp" / "matplotlib")
        environment = venv.EnvBuilder(symlinks=os.name != "nt")
        environment.create(folder / "environment")
        context = environment.ensure_directories(folder / "environment")
        target = sysconfig.get_path("purelib", "venv", {"base": context.env_dir, "platbase": context.env_dir})
        lines = [f"import site; site.addsitedir({place!r})" for place in packages()]
        Path(target, "grader.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")
        kernel = Path(context.env_dir, "share", "jupyter", "kernels", "python3")
        kernel.mkdir(parents=True)  # before any of the system's
        command = [context.env_exe, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        (kernel / "kernel.json").write_text(json.dumps({"argv": command, "display_name": "", "language": "python"}))
        variables = {
            **dict.fromkeys(("HOME", "USERPROFILE"), str(folder / "home")),
            **dict.fromkeys(("TMPDIR", "TEMP", "TMP", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR"), str(folder / "tmp")),
            "MPLCONFIGDIR": str(folder / "tmp" / "matplotlib"),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PATH": os.pathsep.join([context.bin_path, os.environ.get("PATH", "")]),
            "VIRTUAL_ENV": context.env_dir,
        }
        return folder, context.env_exe, variables, json.dumps(self.reach(folder)) if self.confined else ""

    @staticmethod
    def reach(folder):
        write = [*DEVICES, *(folder / name for name in ("home", "tmp", "environment"))]
        specs = filter(None, map(importlib.util.find_spec, ("zimp", "zimp.static")))
        own = [place for spec in specs for place in spec.submodule_search_locations or ()]
        read = [*SYSTEM, sys.prefix, sys.base_prefix, *packages(), *own, Path(__file__).parent, folder]
        enter = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
        return {name: list(map(str, paths)) for name, paths in locals().items() if name in ("write", "read", "enter")}


def alive(pid, begin):
    """Whether a process still runs that began at a certain second."""
    try:
        return abs(psutil.Process(pid).create_time() - begin) < 3
    except psutil.Error:
        return False


def remove(folder):
    """Remove a folder of submissions, and end what still runs there."""
    end(str(folder))
    for place, names, _ in os.walk(folder):
        for path in (os.path.join(place, name) for name in names):
            if not os.path.islink(path):
                with contextlib.suppress(OSError):
                    os.chmod(path, 0o700)  # a submission may have locked its own folders
    shutil.rmtree(folder, ignore_errors=True)
