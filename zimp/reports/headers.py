"""Safetensors files: a header says what the tensors are called and where they are, so that none needs to be read.

Nothing here needs torch, which takes longer to import than a small file takes to report.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from ..checks import BFLOAT16

__all__ = ["Entry", "SafetensorsFile"]

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
    """

    shape: tuple[int, ...]
    dtype: str
    aside: str | None = None
    memory: Hashable = None
    kind: str | None = None
    groups: int | None = None
    mask: str | None = None


class SafetensorsFile:
    """A ``.safetensors`` file, in natural order of the names: the file itself keeps no order of the layers."""

    def __init__(self, path: Path):
        self.name, self._path = str(path), path
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
