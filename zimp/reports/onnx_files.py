"""ONNX models: a graph that says how each tensor is used, so that no layer is guessed from names.

A tensor is shown as torch stores it, a dense layer with its outputs first, and with the numbers of the model: exporters
multiply a batch norm into the convolution before it, whose weights are then no longer those of the network. Nothing is
run. Besides the model only those files are read that it names as the places of its large tensors, in its own folder.
"""

from __future__ import annotations

import math
import os.path
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from onnx import helper, inliner, numpy_helper

from ..checks import BFLOAT16
from .headers import Entry, Reader, Stamp, check_file

__all__ = ["OnnxFile"]

GATES = {"LSTM": ("i", "o", "f", "g"), "GRU": ("z", "r", "n"), "RNN": ("",)}  # in ONNX's order
INPUTS = {"Conv": (1,), "ConvTranspose": (1,), "Gemm": (0, 1), "MatMul": (0, 1), "Gather": (0,)}  # that may be weights
INPUTS |= dict.fromkeys(GATES, (1, 2))
SIZES = [onnx.TensorProto.DataType.Value(name) for name in ("INT32", "INT64", "BOOL", "STRING")]  # of what is no weight
PASSING = ("Identity", "Cast", "Transpose", "DequantizeLinear")  # through which a weight may go to its layer


class Use(NamedTuple):
    """How a tensor is a layer's weight; ``flipped`` where it is stored with the inputs first."""

    kind: str
    node: str
    flipped: bool = False
    groups: int | None = None
    parts: tuple[str, ...] | None = None


class OnnxFile:
    """An ``.onnx`` file. It is held in memory, but for the tensors that lie in files beside it."""

    def __init__(self, path: Path):
        self.name, self._path, self.stamps = str(path), path, [Stamp(path)]
        self.entries, self._found = {}, {}
        try:
            model = onnx.load(path, load_external_data=False)
            self._list(inliner.inline_local_functions(model) if model.functions else model)
        except Exception as error:  # whatever a wrong byte leads the library to, unless it is an error of ours
            raise (error if isinstance(error, OSError) or self.name in str(error) else self._damaged(error)) from None

    def _list(self, model):
        """Fill in what the tensors are, and what uses them."""
        graphs = list(_graphs(model.graph))
        nodes = [node for graph in graphs for node in graph.node]
        tensors, again = {}, []
        for tensor in (tensor for graph in graphs for tensor in graph.initializer):
            again += [tensor] * (tensor.name in tensors)
            tensors.setdefault(tensor.name, tensor)
        for node in nodes:
            tensor = _attributes(node).get("value") if node.op_type == "Constant" and node.output else None
            if tensor is not None and tensor.dims and tensor.data_type not in SIZES:
                tensors.setdefault(node.output[0], tensor)
        uses = _uses(nodes, tensors)
        takers = {name: (k, node.op_type) for k, node in reversed([*enumerate(nodes)]) for name in node.input}
        last = len(nodes), None
        for name in sorted(tensors, key=lambda name: takers.get(name, last)[0]):
            tensor, use = tensors[name], uses.get(name)
            # What the exporter has transposed has only a number left of its name.
            shown = f"{name} ({use.node})" if use and name.startswith("onnx::") else name
            self.entries[shown] = self._entry(tensor, use, takers.get(name, last)[1])
            self._found[shown] = tensor, use
        for k, tensor in enumerate(again):
            entry = Entry(tuple(tensor.dims), _dtype(tensor), "in a branch of the graph, under the name of another")
            self.entries[f"{tensor.name} ({k + 2})"] = entry
        for graph in graphs:
            for tensor in graph.sparse_initializer:
                entry = Entry(tuple(tensor.dims), _dtype(tensor.values), "in a sparse layout")
                self.entries[tensor.values.name] = entry

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """As :meth:`SafetensorsFile.reading`; the file has been read."""
        yield self._read

    def _read(self, name):
        tensor, use = self._found[name]
        try:
            array = self._outside(tensor) if _is_outside(tensor) else numpy_helper.to_array(tensor)
        except (KeyError, ValueError, TypeError) as error:
            raise self._damaged(error) from None
        if array.dtype.name == "bfloat16":
            array = array.view(BFLOAT16)
        if use is None or use.parts is None:
            return array.T if use and use.flipped else array
        return array.reshape(-1, array.shape[-1])

    def _entry(self, tensor, use: Use | None, taker: str | None) -> Entry:
        shape, dtype = tuple(tensor.dims), _dtype(tensor)
        if not isinstance(tensor.name, str):
            raise self._damaged("a name is not UTF-8")
        groups = use.groups if use and use.groups is not None else 1
        if any(size < 0 for size in shape) or groups < 1 or shape and shape[0] % groups:
            raise self._damaged(f"{tensor.name} has the shape {shape}")
        if _is_outside(tensor):
            self._check_outside(tensor)
        if use is None:
            unused = len(shape) > 1 and dtype.startswith(("float", "bfloat"))
            what = f"no weight of a layer: {f'an input of {taker}' if taker else 'used nowhere'}"
            return Entry(shape, dtype, what if unused else None)
        if use.parts is not None:
            shape = (shape[0] * shape[1], shape[2])
        shape = shape[::-1] if use.flipped else shape
        return Entry(shape, dtype, kind=use.kind, groups=use.groups, parts=use.parts)

    def _check_outside(self, tensor):
        """Have a file beside the model that holds the tensor."""
        path, offset = self._place(tensor)
        if not any(stamp.path == path for stamp in self.stamps):
            try:
                check_file(path)
            except (OSError, ValueError) as error:
                raise type(error)(f"{self.name} keeps {tensor.name} in another file: {error}") from None
            self.stamps.append(Stamp(path))
        needed = offset + math.prod(tensor.dims) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        if path.stat().st_size < needed:
            raise ValueError(f"{self.name}: {path} is too short to hold {tensor.name}; was it copied completely?")

    def _place(self, tensor) -> tuple[Path, int]:
        places = {entry.key: entry.value for entry in tensor.external_data}
        location, offset = places.get("location", ""), places.get("offset", "0")
        inside = os.path.normpath(location)
        if not location or os.path.isabs(inside) or inside.startswith("..") or not offset.isdecimal():
            raise ValueError(
                f"{self.name} keeps {tensor.name} in {location!r}, which is no place in its own folder; "
                "save the model anew with onnx.save"
            )
        return self._path.parent / inside, int(offset)

    def _outside(self, tensor) -> np.ndarray:
        path, offset = self._place(tensor)
        dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        count = math.prod(tensor.dims) * dtype.itemsize
        return np.fromfile(path, np.uint8, count, offset=offset).view(dtype).reshape(tensor.dims)

    def _damaged(self, error) -> ValueError:
        reason = str(error).partition("\n")[0]
        return ValueError(
            f"{self.name} begins as an ONNX model, but is truncated or damaged ({reason}); was it copied completely?"
        )


def _graphs(graph) -> Iterator[onnx.GraphProto]:
    """A graph and those in its nodes, such as the branches of an If."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                if inner.node:
                    yield from _graphs(inner)


def _uses(nodes, tensors) -> dict[str, Use]:
    """Which tensors are the weights of layers."""
    makers = {name: node for node in nodes for name in node.output}
    uses = {}
    for node in sorted(nodes, key=lambda node: node.op_type == "Gather"):  # what is a layer too, is no embedding
        for k in INPUTS.get(node.op_type, ()):
            name, flipped = _source(node.input[k] if k < len(node.input) else "", makers, tensors)
            use = _use(node, k, flipped, len(tensors[name].dims)) if name in tensors else None
            if use is not None:
                uses.setdefault(name, use)
    return uses


def _source(name: str, makers, tensors) -> tuple[str, bool]:
    """The tensor from which an input comes, and whether it is transposed on its way."""
    flipped, seen = False, set()
    while name not in tensors and name not in seen and name in makers and makers[name].op_type in PASSING:
        seen.add(name)
        node = makers[name]
        if node.op_type == "Transpose":
            axes = list(_attributes(node).get("perm", (1, 0)))
            if axes not in ([0, 1], [1, 0]):
                break
            flipped ^= axes == [1, 0]
        name = node.input[0] if node.input else ""
    return name, flipped


def _attributes(node) -> dict:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _use(node, k: int, flipped: bool, dimensions: int) -> Use | None:
    kind, known = node.op_type, _attributes(node)
    name = node.name or node.op_type
    if kind in ("Conv", "ConvTranspose") and dimensions > 2 and not flipped:
        kind = "convolution" if kind == "Conv" else "transposed convolution"
        return Use(kind, name, groups=known.get("group", 1))
    if kind in GATES and dimensions == 3:
        directions = ("", "_reverse") if known.get("direction") == b"bidirectional" else ("",)
        return Use("recurrent", name, parts=tuple(gate + way for way in directions for gate in GATES[kind]))
    if dimensions != 2:
        return None
    if kind == "Gather" and known.get("axis", 0) == 0:
        return Use("embedding", name, flipped)
    if kind == "Gemm" and known.get("alpha", 1.0) == 1:
        return Use("dense", name, flipped ^ (k == 1) ^ bool(known.get("transB" if k else "transA", 0)))
    return Use("dense", name, flipped ^ (k == 1)) if kind == "MatMul" else None


def _is_outside(tensor) -> bool:
    return tensor.data_location == onnx.TensorProto.EXTERNAL


def _dtype(tensor) -> str:
    try:
        return helper.tensor_dtype_to_np_dtype(tensor.data_type).name
    except KeyError:
        return f"type {tensor.data_type}"
