"""Safetensors files: a header says what the tensors are called and where they are, so that none needs to be read.

Nothing here needs torch, which takes longer to import than a small file takes to report.
"""

from __future__ import annotations

import json
import math
import re
import stat
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from ..checks import BFLOAT16

__all__ = ["Entry", "SafetensorsFile", "Stamp", "check_file", "unreadable"]

PREFIXES = {"BF": "bfloat", "F": "float", "I": "int", "U": "uint", "C": "complex"}  # of dtypes in safetensors files
READ = {  # what is ever read: weights and masks
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": BFLOAT16, "BOOL": "?",
    **{f"{sign}{8 * size}": f"<{sign.lower()}{size}" for sign in "IU" for size in (1, 2, 4, 8)},
}  # fmt: skip
Reader = Callable[[str], Any]  # a tensor of torch's or an array by its name


@dataclass(frozen=True)
class Entry:
    """What we know about a tensor before we read it.

    Attributes
    ----------
    shape : tuple of int
    dtype : str
        As torch names it, e.g. ``"bfloat16"``.
    aside : str, optional
        Why the tensor is no weight of the network, where its place or its layout says so.
    memory : optional
        Equal for tensors that are the same numbers in the same memory. A safetensors file has no such.
    kind : str, optional
        Of the layer that owns it, which only a network tells.
    groups : int, optional
        Of the convolution that owns it, likewise.
    mask : str, optional
        The tensor that says which of its weights exist, where the file tells.
    parts : tuple of str, optional
        The layers that lie one below the other in it, such as the gates of a recurrent layer, where the file tells.
    """

    shape: tuple[int, ...]
    dtype: str
    aside: str | None = None
    memory: Hashable = None
    kind: str | None = None
    groups: int | None = None
    mask: str | None = None
    parts: tuple[str, ...] | None = None


def check_file(path: Path):
    """Raise if there is no file to read at a path, or one that could never end."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ValueError(f"{path} is no file: a pipe or a device cannot be read twice; copy it into a file first")
        path.open("rb").close()
    except OSError as error:
        raise unreadable(path, error) from None


def unreadable(path: Path, error: OSError) -> OSError:
    """The error of a path that cannot be read, in words."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return FileNotFoundError(f"{path} does not exist; is its name right, and the folder you are in?")
    advice = "ask its owner for permission" if isinstance(error, PermissionError) else "copy it to where it can be"
    return type(error)(f"{path} cannot be read: {error.strerror or error}; {advice}")


class Stamp:
    """What tells that a file has been written to since: which file it is, its size, and its time."""

    def __init__(self, path: Path):
        self.path = path
        self._found = self._look()

    def _look(self):
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    def check(self):
        """Raise if it is another file now."""
        if self._look() != self._found:
            raise ValueError(
                f"{self.path} has changed while it was read; if it is still being written, wait, and report it again"
            )


class SafetensorsFile:
    """A ``.safetensors`` file, in natural order of the names: the file itself keeps no order of the layers."""

    def __init__(self, path: Path):
        self.name, self._path, self.stamps = str(path), path, [Stamp(path)]
        self._check()
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
        run = "zimp" in (header.pop("__metadata__", None) or {})
        self._header, self._start = header, 8 + length
        entries = {
            name: Entry(tuple(header[name]["shape"]), _torch_name(header[name]["dtype"]))
            for name in sorted(header, key=natural)
        }
        # A level of a run folder has names of its own; `_stored` are those that the file has.
        self.entries, self._stored = _of_level(entries) if run else (entries, {})

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """Within it, tensors are read by name, as arrays; with its end the file is closed."""
        with self._path.open("rb", buffering=0) as file:

            def read(name):
                found = self._header[self._stored.get(name, name)]
                if found["dtype"] not in READ:
                    raise ValueError(
                        f"{name} is of {found['dtype']}; weights are floats of 16 to 64 bits, and masks 0 and 1"
                    )
                file.seek(self._start + found["data_offsets"][0])
                array = np.fromfile(file, READ[found["dtype"]], math.prod(found["shape"]))
                if array.size < math.prod(found["shape"]):
                    raise ValueError(f"{self.name} has become shorter while it was read")
                return array.reshape(found["shape"])

            yield read

    def _check(self):
        """Have the library look at the whole header: the places of all tensors, and the length of the file."""
        try:
            with safe_open(self._path, framework="np") as file:
                file.keys()
        except SafetensorError as error:
            raise ValueError(
                f"{self.name} is not a complete safetensors file ({error}); was it copied completely?"
            ) from None


def _of_level(entries) -> tuple[dict[str, Entry], dict[str, str]]:
    """The trained networks of a level of a run, with their masks: by seed, if there are several."""
    seeds = {name.partition("/")[0] for name in entries if "/weights/" in name}
    found, stored = {}, {}
    for name, entry in entries.items():
        owner, part, key = (name.split("/", 2) + ["", ""])[:3]
        prefix = f"seed {owner}: " if len(seeds) > 1 else ""
        if part == "weights":
            mask = f"{owner}/masks/{key}"
            found[prefix + key] = replace(entry, mask=mask if mask in entries else None)
            stored[prefix + key] = name
        else:
            reason = "weights before training" if part == "early" else "state of the run"
            found[name] = replace(entry, aside=entry.aside or (None if part == "masks" else reason))
    return found, stored


def natural(name: str) -> list:
    """Sorts ``layer.10`` after ``layer.9``."""
    return [(not part.isdigit(), int(part) if part.isdigit() else part) for part in re.split(r"(\d+)", name) if part]


def _torch_name(dtype: str) -> str:
    letters, rest = re.fullmatch(r"([A-Z]+)(.*)", dtype).groups()
    return (PREFIXES.get(letters, letters) + rest).lower()
