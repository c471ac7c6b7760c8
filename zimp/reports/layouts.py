"""Which layers the tensors of a network hold, told from their names and shapes.

A file says neither what owns a tensor nor how it is used, but the names are conventions:

* ``weight`` with two dimensions is a dense layer ``(outputs, inputs)``, with three to five a convolution, in the
  ``"matrix"`` view of :mod:`zimp.layers`. A transposed convolution stands there as ``(inputs, outputs * kernel)``,
  which is the same graph with its two sides exchanged.
* GPT-2 writes its dense layers as ``(inputs, outputs)``.
* One tensor may hold several layers: the queries, keys and values of attention, the gates of a recurrent cell. Which,
  says ``zimp.blocks.layout``, as for pruning.
* ``weight_orig`` with ``weight_mask`` is a layer that ``torch.nn.utils.prune`` has pruned.
* ``weight_g`` with ``weight_v``, or ``original0`` with ``original1``, is weight norm: the weight is ``g v / |v|``.

A tensor that is none of these is left out, with a reason. A file does not tell the groups of a convolution either. One
with a single input channel is taken as depthwise if the layer before it has as many outputs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np

from ..blocks import FUSED, GATES, GPT2, INTERLEAVED, WEIGHT, Layout, layout, weight_graph
from ..checks import Layer as Graph
from ..checks import as_layer, as_weight, is_tensor, to_numpy, whole
from .headers import Entry, Reader

__all__ = ["Layer", "find_layers", "rules"]

DTYPES = ("float64", "float32", "float16", "bfloat16")
EMBEDDING = re.compile(
    r"wte|wpe|shared|relative_attention_bias|(embed|emb|embedding)s?|embed_(in|tokens|positions)"
    r"|(tok|token|word|char|pos|position|positional|token_type|segment|label)_(emb|embed|embedding)s?(_table)?"
)
NORM = re.compile(r"norm|(^|_)(ln|bn)(_|\d|$)", re.IGNORECASE)
REPARAMETRISED = re.compile(r"(^|\.)parametrizations\.|(^|\.)weight_(g|v|orig)$")
EXPERTS = re.compile("expert|moe")
DIRECTION = re.compile(r"(\.?)(weight_v|parametrizations\.weight\.original1)$")  # of weight norm
DEPTHWISE = "taken as depthwise, because the layer before has as many outputs; groups= or --groups says otherwise"
NAMED = "taken as an embedding because of its name; in memory a network tells"
LONG = 4096  # numbers from which a vector that is called a weight is mentioned
INPUTS_FIRST = {"c_attn": 3, "c_fc": 2}  # of GPT-2: at least how many times as many outputs as inputs these layers have


@dataclass(frozen=True)
class Layer:
    """One layer, and where its weights are.

    Attributes
    ----------
    tensor : str
    part : str
        Such as ``"q"``, where the tensor holds several layers; else empty.
    kind : str
        ``"dense"``, ``"convolution"``, ``"transposed convolution"``, ``"recurrent"`` or ``"embedding"``.
    shape : tuple of int
        ``(m, n)``: outputs and inputs of its graph.
    stored : tuple of int
        Shape of the tensor.
    first : int
        The first of the ``m`` outputs among those of the tensor.
    transposed : bool
        Whether the tensor is stored as ``(inputs, outputs)``.
    groups : int
        Of a convolution; they are not joined to each other.
    mask : str, optional
        The tensor that says which weights exist.
    length : str, optional
        Under weight norm, the tensor of the lengths ``g`` that the directions ``v`` have.
    tied : tuple of str
        Other names of the same numbers.
    note : str
        What the names and shapes left open.
    guessed : bool
        Whether the groups are a guess.
    """

    tensor: str
    kind: str
    shape: tuple[int, int]
    stored: tuple[int, ...]
    part: str = ""
    first: int = 0
    transposed: bool = False
    groups: int = 1
    mask: str | None = None
    length: str | None = None
    tied: tuple[str, ...] = ()
    note: str = ""
    guessed: bool = False

    @property
    def name(self) -> str:
        """E.g. ``"h.0.attn.c_attn.weight[q]"``."""
        return self.tensor + (f"[{self.part}]" if self.part else "")

    @property
    def tensors(self) -> list[str]:
        """All that the layer stands for: its tensor, other names of it, its mask, its lengths."""
        return [self.tensor, *self.tied, *filter(None, (self.mask, self.length))]

    @property
    def size(self) -> int:
        """Number of weights, existing or not."""
        return math.prod(self.shape) // self.groups

    def graph(self, read: Reader) -> Graph:
        """The layer as a graph, without a copy of the tensor that ``read`` gives, but for weight norm."""
        weight, mask = read(self.tensor), None if self.mask is None else read(self.mask)
        if self.length is not None:
            weight = _normed(weight, read(self.length))
        if self.groups == 1:
            return as_layer(self._matrix(weight), None if mask is None else self._matrix(mask))
        graph = weight_graph(*as_weight(weight, mask), self.groups)
        return graph._replace(values=graph.values.T.tocsr()) if self.transposed else graph

    def place(self, where) -> str:
        """The index in the tensor, as ``"[3, 17]"``, of an entry of the graph's matrix, or of the weight in groups."""
        if self.groups == 1:
            output, other = where[0] + self.first, where[1]
            row, column = (other, output) if self.transposed else (output, other)
            where = (row, *np.unravel_index(column, self.stored[1:]))
        return f"[{', '.join(map(str, where))}]"

    def _matrix(self, tensor):
        tensor = tensor.detach() if is_tensor(tensor) else tensor
        matrix = tensor.reshape(len(tensor), -1)
        matrix = matrix.T if self.transposed else matrix
        return matrix[self.first : self.first + self.shape[0]]


def _normed(direction, length):
    """``g v / |v|``, where ``|v|`` is taken over all axes along which there is one ``g``."""
    direction, length = to_numpy(direction), to_numpy(length)
    axes = tuple(axis for axis, size in enumerate(length.shape) if size == 1) if length.ndim else None
    return direction * (length / np.sqrt(np.sum(np.square(direction), axis=axes, keepdims=True)))


def find_layers(entries: Mapping[str, Entry], groups: Mapping[str, int] | None = None):
    """The layers among the tensors of a network, and why each of the other tensors is left out.

    Parameters
    ----------
    entries : dict of str to Entry
    groups : dict of str to int, optional
        The groups of convolutions, by patterns of their names as of files (``"*.dw.weight"``).

    Returns
    -------
    (list of Layer, dict of str to str)
        Each tensor is in one of both: as that of a layer, as its mask, as another name of it, or by its reason.

    Raises
    ------
    ValueError
        For a pattern that fits no convolution, or one whose outputs cannot be in so many groups.

    Examples
    --------
    >>> from zimp.reports.headers import Entry
    >>> from zimp.reports.layouts import find_layers
    >>> entries = {"attn.in_proj_weight": Entry((12, 4), "float32"), "attn.in_proj_bias": Entry((12,), "float32")}
    >>> layers, left_out = find_layers(entries)
    >>> [(layer.part, layer.shape) for layer in layers]
    [('q', (4, 4)), ('k', (4, 4)), ('v', (4, 4))]
    >>> left_out
    {'attn.in_proj_bias': 'vectors and numbers, such as biases and norms'}
    """
    found, left_out = {}, {}
    inputs_first = any(_is_gpt2(name, entry.shape) for name, entry in entries.items())
    masks = {name: name.removesuffix("_orig") + "_mask" for name in entries if name.endswith("_orig")}
    masks |= {name: entry.mask for name, entry in entries.items() if entry.mask}
    masks = {name: mask for name, mask in masks.items() if _fits(entries.get(mask), entries[name])}
    lengths = _lengths(entries)
    told, before = _told(entries, groups or {}), None
    for name, entry in entries.items():
        plain = DIRECTION.sub(r"\1weight", name) if name in lengths else name
        plain = plain.removesuffix("_orig") if name in masks else plain
        reason = _reason(plain, entry)
        if reason is None:
            guessed = name not in told and _looks_depthwise(entry, before)
            known = replace(entry, groups=told.get(name, entry.shape[0] if guessed else entry.groups))
            layers = _layers(plain, known, entries, inputs_first)
            found[name] = [
                replace(
                    one, tensor=name, mask=masks.get(name), length=lengths.get(name), guessed=guessed,
                    note=DEPTHWISE if guessed else one.note,
                )
                for one in layers
            ]  # fmt: skip
            before = entry.shape
        else:
            left_out[name] = reason
    for name in found:
        left_out.pop(masks.get(name), None)
        left_out.pop(lengths.get(name), None)
    for names in _tied(entries, found.keys() - masks.keys()).values():
        chosen = next((name for name in names if found[name][0].kind != "embedding"), names[0])
        others = tuple(name for name in names if name != chosen)
        found[chosen] = [replace(layer, tied=others) for layer in found[chosen]]
        for name in others:
            del found[name]
    return [layer for layers in found.values() for layer in layers], left_out


def rules() -> dict:
    """The names by which :func:`find_layers` tells layers, as JSON holds them, for the live view that reads a file.

    Returns
    -------
    dict
        Patterns of names, and what several layers in one tensor are called.

    Examples
    --------
    >>> from zimp.reports.layouts import rules
    >>> rules()["fused"]["gate_up_proj"]
    ('gate', 'up')
    """
    patterns = {
        "embedding": EMBEDDING, "norm": NORM, "reparametrised": REPARAMETRISED, "experts": EXPERTS,
        "interleaved": INTERLEAVED, "weight": WEIGHT,
    }  # fmt: skip
    names = {"fused": FUSED, "gates": GATES, "gpt2": GPT2, "inputs_first": INPUTS_FIRST, "dtypes": DTYPES}
    return {name: pattern.pattern for name, pattern in patterns.items()} | names


def _looks_depthwise(entry: Entry, before) -> bool:
    shape = entry.shape
    alone = entry.groups is None and len(shape) > 2 and shape[1] == 1 < shape[0]
    return alone and before is not None and before[0] == shape[0]


def _told(entries, groups: Mapping[str, int]) -> dict[str, int]:
    """For each convolution that a pattern fits its groups."""
    told = {}
    for pattern, count in groups.items():
        count = whole(f"groups[{pattern!r}]", count)
        fitting = [
            name
            for name, entry in entries.items()
            if fnmatchcase(name, pattern) and len(entry.shape) > 2 and entry.groups is None and not entry.aside
        ]
        if not fitting:
            raise ValueError(
                f"groups: {pattern!r} fits no convolution of unknown groups; patterns are as those of files, such as "
                "'*.depthwise.weight', and a network in memory tells its groups itself"
            )
        for name in fitting:
            if count < 1 or entries[name].shape[0] % count:
                raise ValueError(
                    f"groups: {pattern!r} gives {name} {count} groups, which do not divide its "
                    f"{entries[name].shape[0]} outputs; does the pattern fit too much?"
                )
            told[name] = count
    return told


def _lengths(entries) -> dict[str, str]:
    """The directions of weight norm, and the tensor of their lengths: it has one axis of theirs, or none."""
    found = {}
    for name, entry in entries.items():
        if DIRECTION.search(name):
            length = name.removesuffix("weight_v") + "weight_g" if name.endswith("v") else name[:-1] + "0"
            shape = entries[length].shape if length in entries else None
            if shape == () or shape and len(shape) == len(entry.shape) and all(
                size in (1, full) for size, full in zip(shape, entry.shape)
            ):  # fmt: skip
                found[name] = length
    return found


def _is_gpt2(name: str, shape) -> bool:
    """Whether a layer with more outputs than inputs is stored as ``(inputs, outputs)``."""
    least = INPUTS_FIRST.get(_owner(name))
    return least is not None and len(shape) == 2 and shape[1] >= least * shape[0]


def _owner(name: str) -> str:
    """The layer that has the weight: ``"c_fc"`` of ``"h.0.mlp.c_fc.weight"``."""
    return ("." + name).split(".")[-2]


def _fits(mask: Entry | None, weight: Entry) -> bool:
    return mask is not None and mask.shape == weight.shape and mask.aside is None


def _reason(name: str, entry: Entry) -> str | None:
    """Why a tensor is no layer, or None if it is one; its name is that of the weight in use."""
    attribute = name.rpartition(".")[2]
    named = attribute == "weight" or entry.kind is not None
    if entry.aside:
        return entry.aside
    if entry.dtype not in DTYPES:
        if entry.dtype.startswith("float"):
            return "floats of 8 bits or fewer, whose scale is stored elsewhere"
        return "complex numbers" if entry.dtype.startswith("complex") else "integers: counters, or quantised weights"
    if 0 in entry.shape:
        return "empty"
    if len(entry.shape) < 2:
        if named and math.prod(entry.shape) >= LONG and entry.kind is None and not NORM.search(_owner(name)):
            return "a long vector that is called a weight: was a layer flattened?"
        return "vectors and numbers, such as biases and norms"
    if entry.kind == "norm" or entry.kind is None and named and NORM.search(_owner(name)):
        return "scales of a norm"
    if entry.kind == "bilinear":
        return "bilinear: each weight joins three neurons"
    if REPARAMETRISED.search(name):
        return "reparametrised: the weight in use is computed from it"
    if len(entry.shape) > 2 and named and entry.kind is None and EXPERTS.search(name):
        return "experts in one stack, whose layout is not clear from its name"
    if named or WEIGHT.fullmatch(attribute):
        return None if len(entry.shape) <= (5 if named else 2) else "more dimensions than a layer of this name can have"
    return "its name is not that of a layer's weight"


def _layers(name: str, entry: Entry, entries, inputs_first: bool) -> list[Layer]:
    """A row for each layer that ``zimp.blocks.layout`` finds in the tensor."""
    stored, attribute = entry.shape, name.rpartition(".")[2]
    named_embedding = entry.kind is None and attribute == "weight" and EMBEDDING.fullmatch(_owner(name))
    named_embedding = named_embedding and name.removesuffix("weight") + "bias" not in entries  # which only a layer has
    kind, units = "embedding" if named_embedding else entry.kind, _units(name, entries)
    found = layout(name, stored, kind=kind, groups=entry.groups, units=units, inputs_first=inputs_first)
    if entry.parts is not None:
        parts = entry.parts if entry.parts and stored[0] % len(entry.parts) == 0 else ()
        found = Layout(kind, max(1, len(parts)), parts)
    m, n = stored[0], math.prod(stored[1:])
    if found.parts:
        m, n = (n, m) if found.transposed else (m, n)
        m //= found.groups
        whole = Layer(name, found.kind, (m, n), stored, transposed=found.transposed, note=found.note)
        return [replace(whole, part=part, first=k * m) for k, part in enumerate(found.parts)]
    transposed = found.transposed or found.kind == "transposed convolution"  # stored with its inputs first, both
    shape = (found.groups * n, m) if transposed else (m, found.groups * n)
    note = NAMED if named_embedding else found.note
    return [Layer(name, found.kind, shape, stored, transposed=transposed, groups=found.groups, note=note)]


def _units(name: str, entries) -> int | None:
    """Of a recurrent layer, which its recurrent weights tell."""
    hidden = _entry_of(entries, name.replace("weight_ih", "weight_hh"))
    projection = _entry_of(entries, name.replace("weight_ih", "weight_hr").replace("weight_hh", "weight_hr"))
    return hidden and (projection or hidden).shape[-1]


def _entry_of(entries, name: str) -> Entry | None:
    entry = entries.get(name, entries.get(f"{name}_orig"))
    return entry if entry is not None and len(entry.shape) == 2 else None


def _tied(entries, found) -> dict:
    """The names of layers that are the same numbers in the same memory."""
    groups = {}
    for name, entry in entries.items():
        if name in found and entry.memory is not None:
            groups.setdefault(entry.memory, []).append(name)
    return {memory: names for memory, names in groups.items() if len(names) > 1}
