"""Layers that lie in one weight, told from its name and its shape.

One weight may hold several layers that lie one below the other: the queries, keys and values of attention, the gates of
a recurrent layer. They are graphs of their own, and so are the groups of a convolution: what ``layout`` says of a
weight holds for the whole package, for networks in memory and in files. It needs no torch.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from .checks import Layer, whole

__all__ = []

QKV, KV = ("q", "k", "v"), ("k", "v")
FUSED = {
    "in_proj_weight": QKV,  # torch.nn.MultiheadAttention
    "c_attn": QKV,  # GPT-2
    "qkv": QKV,  # timm's vision transformers
    "qkv_proj": QKV,  # Phi-3
    "Wqkv": QKV,  # MPT, ModernBERT
    "query_key_value": QKV,  # GPT-NeoX, BLOOM, Falcon
    "gate_up_proj": ("gate", "up"),  # Phi-3
}
# Head after head, each with its queries, keys and values, so that the parts are no blocks: GPT-NeoX, BLOOM; CodeGen.
INTERLEAVED = re.compile(r"query_key_value|h\.\d+\.attn\.qkv_proj")
GPT2 = ("c_attn", "c_fc", "c_proj", "q_attn")
GATES = {1: (), 3: ("r", "z", "n"), 4: ("i", "f", "g", "o")}  # of a plain cell, a GRU, an LSTM; torch's order
WEIGHT = re.compile(r"weight|weight_(ih|hh|hr)(_l\d+(_reverse)?)?|(in|q|k|v)_proj_weight")  # names of what is a layer


class Layout(NamedTuple):
    """How layers are stored in a weight.

    Attributes
    ----------
    kind : str
    groups : int
        Equal blocks of outputs that are graphs of their own: groups of channels, or layers that are fused.
    parts : tuple of str
        Names of the blocks, such as ``("q", "k", "v")``, where each is a layer.
    transposed : bool
        Whether the weight is stored as ``(inputs, outputs)``.
    note : str
        What name and shape left open.
    """

    kind: str
    groups: int = 1
    parts: tuple[str, ...] = ()
    transposed: bool = False
    note: str = ""


def layout(name, shape, *, kind=None, groups=None, units=None, inputs_first=False) -> Layout:
    """Decide which layers a weight holds, from its name, its shape and what else is known.

    Parameters
    ----------
    name : str
        In the network, e.g. ``"h.0.attn.c_attn.weight"``.
    shape : tuple of int
    kind : str, optional
        Of the layer, as :mod:`zimp.layers` calls it; a file does not tell.
    groups : int, optional
        Of the convolution, likewise.
    units : int, optional
        Of the recurrent layer, by which its gates are counted.
    inputs_first : bool
        Whether the network is GPT-2's kind, which stores dense layers as ``(inputs, outputs)``.

    Returns
    -------
    Layout

    Examples
    --------
    >>> from zimp.blocks import layout
    >>> layout("encoder.attn.qkv.weight", (48, 16)).parts
    ('q', 'k', 'v')
    >>> layout("lstm.weight_hh_l0", (32, 8), units=8).groups
    4
    """
    owner, _, attribute = name.rpartition(".")
    layer = owner.rpartition(".")[2]
    if len(shape) > 2:
        depthwise = groups is None and shape[1] == 1 < shape[0]
        note = "one input channel; if the convolution is depthwise, tell its groups by groups= or --groups"
        return Layout(kind or "convolution", groups or 1, note=note * depthwise)
    if attribute.startswith(("weight_ih", "weight_hh", "weight_hr")):
        if attribute.startswith("weight_hr"):  # the projection of an LSTM
            return Layout("recurrent")
        gates = GATES.get(shape[0] // units) if units and shape[0] % units == 0 else None
        if gates is None:
            return Layout("recurrent", note="several layers together: their sizes are not told by the shape")
        return Layout("recurrent", max(1, len(gates)), gates)
    if kind == "embedding":
        return Layout(kind)
    transposed = inputs_first and kind is None and layer in GPT2
    outputs, inputs = reversed(shape) if transposed else shape
    whole_layer = Layout("dense", transposed=transposed)
    parts = FUSED.get(attribute if attribute == "in_proj_weight" else layer)
    if parts is None:
        return whole_layer
    if parts == QKV and layer == "c_attn" and outputs == 2 * inputs:
        parts = KV  # cross-attention, with its queries in q_attn
    if INTERLEAVED.search(owner):
        return whole_layer._replace(note="queries, keys and values together: they alternate from head to head")
    # With grouped queries there are fewer keys and values.
    if outputs != len(parts) * inputs if parts in (QKV, KV) else outputs % len(parts):
        return whole_layer._replace(note="several layers together: their sizes are not told by the shape")
    sure = layer == "c_attn" or attribute == "in_proj_weight"
    note = "" if sure else "taken as one of equal blocks of outputs, which is usual under this name"
    return Layout("dense", len(parts), parts, transposed, note)


def check_blocks(weight: np.ndarray, groups, name="weight") -> int:
    """The number of groups, of a weight that has outputs and inputs."""
    if weight.ndim < 2 or weight.size == 0:
        raise ValueError(f"{name} has shape {weight.shape}; a layer has outputs and inputs, at least one of each")
    groups = whole("groups", groups)
    if groups < 1 or len(weight) % groups:
        raise ValueError(f"groups={groups} does not divide the {len(weight)} outputs of the layer")
    return groups


def weight_graph(weight: np.ndarray, mask: np.ndarray | None, groups: int) -> Layer:
    """The ``"matrix"`` view of a validated weight."""
    weight = weight.reshape(len(weight), -1)
    mask = None if mask is None else mask.reshape(weight.shape)
    if groups == 1:
        return Layer(weight, weight.dtype.name, mask)
    # A dense array would hold `groups` times the weights.
    rows, width = weight.shape
    cols = np.arange(rows)[:, None] // (rows // groups) * width + np.arange(width)
    exists = np.ones(weight.shape, dtype=bool) if mask is None else mask
    starts = np.append(0, np.cumsum(exists.sum(axis=1)))
    values = weight[exists]
    values = values.astype(np.promote_types(values.dtype, np.float32))  # scipy has no halves
    return Layer(csr_array((values, cols[exists], starts), shape=(rows, groups * width)), values.dtype.name, None)
