"""Keras models: HDF5 files, alone or in the zip that ``model.save("model.keras")`` writes.

The library only tells what the arrays are called and where they lie; the numbers are then read from there. The kind of
layer that has an array is said by the configuration of the model, where there is one, and else by the name that Keras
gives to layers of this kind. A kernel is shown as torch stores it, with its outputs first. Nothing of it is run.
"""

from __future__ import annotations

import io
import json
import math
import re
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from ..checks import BFLOAT16
from .formats import HEADER
from .headers import Entry, Reader, Stamp, natural

__all__ = ["KerasFile"]

ATTENTION = ("query", "key", "value", "querydense", "keydense", "valuedense", "attentionoutput", "outputdense")
GATES = {"lstm": ("i", "f", "g", "o"), "gru": ("z", "r", "n"), "simplernn": ("",)}  # in Keras' order
CONVOLUTION = re.compile(r"(separable)?conv[123]d(transpose)?")
DEPTHWISE = ("depthwise_kernel", "pointwise_kernel")
VARIABLES = {  # of a layer, in the order of their numbers, where they are more than a kernel and what is no weight
    "embedding": ("embeddings",), "separableconv1d": DEPTHWISE, "separableconv2d": DEPTHWISE,
    **{f"{cell}cell": ("kernel", "recurrent_kernel") for cell in GATES},
}  # fmt: skip
KINDS = {"dense", *VARIABLES, *GATES, *ATTENTION, "depthwiseconv1d", "depthwiseconv2d"}


class Place(NamedTuple):
    """Where an array lies in the file, its type and its shape there, and how it is turned to torch's order."""

    start: int
    dtype: np.dtype
    shape: tuple[int, ...]
    turn: Callable[[np.ndarray], np.ndarray] | None


class KerasFile:
    """An HDF5 file of Keras', such as ``.h5`` and ``.weights.h5``, or a ``.keras`` file, in which one lies."""

    def __init__(self, path: Path, zipped: bool):
        self.name, self._path, self.stamps = str(path), path, [Stamp(path)]
        what = "a Keras model" if zipped else "an HDF5 file"
        try:
            with path.open("rb") as file:
                start, config = _unzipped(file) if zipped else (0, None)
                with h5py.File(_From(file, start), "r") as content:
                    found = _found(content, config or json.loads(content.attrs.get("model_config", "{}")))
        except Exception as error:  # whatever a wrong byte leads the library to, unless it is an error of ours
            reason = str(error).partition("\n")[0]
            if str(path) in reason:
                raise
            raise ValueError(
                f"{path} begins as {what}, but is truncated or damaged ({reason}); was it copied completely?"
            ) from None
        if not found:
            raise ValueError(
                f"{path} is {what}, but holds no arrays as Keras names them; save its weights as safetensors"
            )
        self.entries, self._places = {}, {}
        size = path.stat().st_size
        for name, entry, place in found:
            self.entries[name], self._places[name] = entry, place._replace(start=start + place.start)
            if entry.aside is None and start + place.start + math.prod(place.shape) * place.dtype.itemsize > size:
                raise ValueError(f"{path} is too short to hold {name}; was it copied completely?")

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """As :meth:`SafetensorsFile.reading`."""
        with self._path.open("rb", buffering=0) as file:

            def read(name):
                start, dtype, shape, turn = self._places[name]
                file.seek(start)
                array = np.fromfile(file, dtype, math.prod(shape))
                if array.size < math.prod(shape):
                    raise ValueError(f"{self.name} has become shorter while it was read")
                array = array.reshape(shape)
                return array if turn is None else turn(array)

            yield read


class _From(io.RawIOBase):
    """A file from a place on, as one of its own."""

    def __init__(self, file, start: int):
        self._file, self._start = file, start
        self.seek(0)

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=io.SEEK_SET):
        return self._file.seek(offset + self._start * (whence == io.SEEK_SET), whence) - self._start

    def tell(self):
        return self._file.tell() - self._start

    def readinto(self, buffer):
        return self._file.readinto(buffer)


def _unzipped(file) -> tuple[int, dict]:
    """Where the weights begin in the zip, in which Keras stores them as they are, and the configuration."""
    with zipfile.ZipFile(file) as archive:
        weights = next(item for item in archive.infolist() if item.filename.endswith("model.weights.h5"))
        if weights.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{file.name} holds its weights compressed; unzip it, and report model.weights.h5")
        config = b"{}"
        if "config.json" in archive.namelist():
            with archive.open("config.json") as text:
                config = text.read(HEADER)
    file.seek(weights.header_offset + 26)
    name, extra = struct.unpack("<HH", file.read(4))  # lengths of what comes between the header and the weights
    return weights.header_offset + 30 + name + extra, json.loads(config)


def _found(content, config) -> list[tuple[str, Entry, Place]]:
    """All arrays, in the order of the configuration; none if they are not named as Keras does."""
    classes = dict(_classes(config))
    order = {name: k for k, name in enumerate(classes)}
    arrays, found, keras = [], {}, False
    content.visititems(lambda path, item: arrays.append((path, item)) if isinstance(item, h5py.Dataset) else None)
    # Before Keras 3 all variables had names; the list of layers is cut into several where it is long.
    named = any(key.startswith("layer_names") for key in content.get("model_weights", content).attrs)
    for path, array in sorted(arrays, key=lambda one: natural(one[0])):
        words = path.removeprefix("model_weights/").split("/")
        owners, variable, kind, options, reason = words[:-1], words[-1], "", {}, None
        if words[0].startswith("optimizer"):
            reason = "state of the optimizer"
        elif named:
            keras, owners, variable = True, words[1:-1] or words[:1], variable.partition(":")[0]
            kind, options = _kind(owners[-1], owners[-1], classes)
            kind = kind or "unknown"
        elif variable.isdecimal() and words[-2:-1] == ["vars"]:
            keras, owners = True, _own_names(content, words[:-2])
            kind, options = _kind(owners[-1], words[-3], classes) if owners else ("", {})
            known = VARIABLES.get(kind, ("kernel",)) if kind else ()
            variable = known[int(variable)] if len(variable) < 3 and int(variable) < len(known) else variable
        name = "/".join([*owners, variable])
        name = path if name in found else name
        place = min((order[owner] for owner in owners if owner in order), default=len(order))
        found[name] = place, *_described(array, kind, variable, options, reason)
    found = {name: found[name] for name in sorted(found, key=lambda name: found[name][0])}
    return [(name, entry, place) for name, (_, entry, place) in found.items()] if keras else []


def _classes(config) -> Iterator[tuple[str, tuple[str, dict]]]:
    """By the name of each layer its class, in small letters, and what it was made with."""
    if isinstance(config, list):
        for part in config:
            yield from _classes(part)
    elif isinstance(config, dict):
        options = config.get("config")
        if isinstance(options, dict) and isinstance(options.get("name"), str) and "class_name" in config:
            yield options["name"], (str(config["class_name"]).lower(), options)
        for part in config.values():
            yield from _classes(part)


def _own_names(content, words) -> list[str]:
    """What the layers on a way call themselves, which Keras has written since 2024; else the words."""
    names = []
    for k, word in enumerate(words):
        own = content.get("/".join([*words[: k + 1], "vars"]))
        if own is not None or word != "layers":
            names.append(str(own.attrs.get("name", word)) if own is not None else word)
    return names


def _kind(own: str, word: str, classes) -> tuple[str, dict]:
    """The class of a layer, by its own name or the word that stands for it, and its options; empty if unknown."""
    if own in classes:
        return classes[own]
    for name in (own, word):
        kind = re.sub(r"_\d+$", "", name).replace("_", "")
        if kind in KINDS or CONVOLUTION.fullmatch(kind):
            return kind, {}
    return "", {}


def _described(array, kind, variable, options, reason) -> tuple[Entry, Place]:
    """What is known of an array, and where it is."""
    dtype = BFLOAT16 if array.dtype == "V2" else array.dtype  # as Keras writes it
    shape, start = array.shape or (), array.id.get_offset()
    name = "bfloat16" if dtype == BFLOAT16 else dtype.name
    weights = name in ("float64", "float32", "float16", "bfloat16") and len(shape) > 1
    known, seen, turn = _layer(kind, variable, shape, options)
    if weights and reason is None:
        if 0 not in shape and (start is None or array.external):
            reason = "compressed or in pieces: h5repack -l CONTI -f NONE writes it as it is"
        elif not known and (kind in KINDS or CONVOLUTION.fullmatch(kind)):
            reason = "beside the kernel of its layer, such as a bias"
        elif not known:
            reason = f"of the class {kind}, which is not read" if kind else "of a layer that the file does not tell"
    return Entry(seen, name, reason, **known), Place(start or 0, dtype, shape, turn)


def _layer(kind, variable, shape, options) -> tuple[dict, tuple[int, ...], Callable | None]:
    """What a variable of a layer is, its shape in torch's order, and how it is turned to that."""
    size, cell = len(shape), kind.removesuffix("cell")
    guessed = kind == "unknown"
    if variable == "embeddings" and size == 2:
        return {"kind": "embedding"}, shape, None
    if size > 2 and (variable == "depthwise_kernel" or kind.startswith("depthwiseconv") and variable == "kernel"):
        *window, inputs, multiple = shape
        known = {"kind": "convolution", "groups": inputs}
        turned = (inputs * multiple, 1, *window)
        return known, turned, lambda array: array.transpose(-2, -1, *range(size - 2)).reshape(turned)
    if size > 2 and variable in ("kernel", "pointwise_kernel") and (CONVOLUTION.fullmatch(kind) or guessed):
        groups = None if guessed or not options else options.get("groups", 1)
        if groups is not None and (type(groups) is not int or groups < 1 or shape[-1] % groups):
            raise ValueError(f"a convolution of shape {shape} has {groups} groups")
        known = {"kind": "transposed convolution" if kind.endswith("transpose") else "convolution", "groups": groups}
        return known, (shape[-1], shape[-2], *shape[:-2]), lambda array: array.transpose(-1, -2, *range(size - 2))
    if size == 2 and variable in ("kernel", "recurrent_kernel") and cell in GATES:
        return {"kind": "recurrent", "parts": GATES[cell]}, shape[::-1], np.transpose
    if size == 2 and variable == "kernel" and (kind == "dense" or guessed):
        return {"kind": "dense"}, shape[::-1], np.transpose
    if size == 3 and variable == "kernel" and kind in ATTENTION:
        inputs = math.prod(shape[:-1]) if kind.startswith(("attentionoutput", "outputdense")) else shape[0]
        turned = (math.prod(shape) // max(1, inputs), inputs)
        return {"kind": "dense"}, turned, lambda array: array.reshape(inputs, -1).T
    return {}, shape, None
