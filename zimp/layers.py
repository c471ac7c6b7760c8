"""From a torch network to the graphs of its layers.

A dense layer is a bipartite graph at once. A convolution has several graphs; two of them need its weights alone:

* ``"matrix"``: output channels against the entries of a patch (input channel, kernel row, kernel column); every
  weight is an edge of its own. This is the matrix by which the convolution multiplies a patch.
* ``"channel"``: output channels against input channels, with one parallel edge for each kernel entry. Of parallel
  edges only the heaviest can be in the spanning tree, so the graph keeps that one. It is the ``"matrix"`` graph with
  the entries of each input channel glued together.

Groups of channels are not joined to each other: a convolution of ``g`` groups is a graph of ``g`` components.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from torch import nn
from torch.nn.parameter import UninitializedParameter

from .topology import as_mask, as_real

__all__ = ["prunable", "LayerGraph", "layer_graph", "tree_sizes"]

PRUNABLE = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
VIEWS = ("matrix", "channel")


def prunable(model) -> dict[str, nn.Parameter]:
    """The weights of a network that pruning is about: those of its dense layers and convolutions.

    Biases, norms and embeddings are left out, and so are recurrent layers, transposed convolutions and the fused
    in-projection of ``nn.MultiheadAttention``, whose weights hold several layers at once.

    Parameters
    ----------
    model : torch.nn.Module

    Returns
    -------
    dict of str to torch.nn.Parameter
        The parameters themselves, by the names that ``model.named_parameters()`` gives them, in model order. A weight
        that two layers share comes once, by the name of the first; one that is tied to an embedding comes by the name
        of its dense layer.

    Raises
    ------
    ValueError
        If there is none, if one is empty, if one has not been initialised (lazy layers), or if one is wrapped by
        ``torch.nn.utils.prune`` or a parametrisation, so that the parameter is not the weight in use.

    Examples
    --------
    >>> import zimp
    >>> {name: tuple(weight.shape) for name, weight in zimp.prunable(zimp.lenet_300_100()).items()}
    {'fc1.weight': (300, 784), 'fc2.weight': (100, 300), 'output.weight': (10, 100)}
    """
    return {name: layer.weight for name, layer in prunable_layers(model).items()}


def prunable_layers(model) -> dict[str, nn.Module]:
    """The layers that own the weights of :func:`prunable`, by the names of those weights."""
    if not isinstance(model, nn.Module):
        raise ValueError(f"model is a {type(model).__name__}, not a torch.nn.Module; build the network first")
    layers, seen = {}, set()
    for prefix, layer in model.named_modules():
        if not isinstance(layer, PRUNABLE):
            continue
        name = f"{prefix}.weight" if prefix else "weight"
        if "weight" not in layer._parameters:
            raise ValueError(
                f"{name} is computed by torch.nn.utils.prune or a parametrisation, not stored; "
                "make it permanent first, e.g. torch.nn.utils.prune.remove(layer, 'weight')"
            )
        if isinstance(layer.weight, UninitializedParameter):
            raise ValueError(f"{name} is not initialised yet; run one batch through the lazy layers first")
        if layer.weight.numel() == 0:
            raise ValueError(
                f"{name} has shape {tuple(layer.weight.shape)}; a layer needs at least one output and input"
            )
        if id(layer.weight) not in seen:
            seen.add(id(layer.weight))
            layers[name] = layer
    if not layers:
        raise ValueError(f"{type(model).__name__} has no dense layer and no convolution; there is nothing to prune")
    return layers


class LayerGraph(NamedTuple):
    """A layer as :func:`zimp.spanning_forest` takes it: ``spanning_forest(*layer_graph(weight))``.

    Attributes
    ----------
    weights : array of shape ``(m, n)``
        Read-only, since it may share memory with the layer.
    mask : boolean array of shape ``(m, n)``, or None where all edges exist
    """

    weights: np.ndarray
    mask: np.ndarray | None


def layer_graph(weight, mask=None, *, view="matrix", groups=1) -> LayerGraph:
    """The bipartite graph of a dense layer or a convolution.

    Parameters
    ----------
    weight : array or tensor of shape ``(out, in)`` or ``(out, in // groups, *kernel)``
    mask : array or tensor of the same shape, optional
        True where the weight exists.
    view : {"matrix", "channel"}
        Which graph of a convolution; for a dense layer they are the same.
    groups : int
        The ``groups`` of the convolution.

    Returns
    -------
    LayerGraph
        With ``groups > 1`` the blocks of the groups stand on the diagonal, and the mask says that nothing else exists.

    Raises
    ------
    ValueError
        For weights of fewer than two dimensions, a mask of another shape, an unknown view, or groups that do not divide
        the outputs.

    Examples
    --------
    >>> import torch, zimp
    >>> conv = torch.nn.Conv2d(8, 16, kernel_size=3)
    >>> zimp.layer_graph(conv.weight).weights.shape
    (16, 72)
    >>> zimp.layer_graph(conv.weight, view="channel").weights.shape
    (16, 8)
    """
    _check_view(view)
    weight = as_real(weight)
    mask = as_mask(mask, weight.shape)
    if weight.ndim < 2 or weight.size == 0:
        raise ValueError(f"weight has shape {weight.shape}; a layer has outputs and inputs, at least one of each")
    out = weight.shape[0]
    if groups < 1 or out % groups:
        raise ValueError(f"groups={groups} does not divide the {out} outputs of the layer")
    if view == "channel" and weight.ndim > 2:
        magnitude = np.abs(weight).reshape(*weight.shape[:2], -1)
        if mask is None:
            weight = magnitude.max(axis=2)
        else:
            kept = mask.reshape(magnitude.shape)
            weight, mask = np.where(kept, magnitude, 0).max(axis=2), kept.any(axis=2)
    weight = weight.reshape(out, -1)
    mask = None if mask is None else mask.reshape(out, -1)
    if groups > 1:
        mask = _block_diagonal(np.ones(weight.shape, dtype=bool) if mask is None else mask, groups)
        weight = _block_diagonal(weight, groups)
    weight.flags.writeable = False
    return LayerGraph(weight, mask)


def _block_diagonal(matrix: np.ndarray, groups: int) -> np.ndarray:
    rows, width = matrix.shape
    blocks = np.zeros((groups, rows // groups, groups, width), dtype=matrix.dtype)
    group = np.arange(groups)
    blocks[group, :, group, :] = matrix.reshape(groups, rows // groups, width)
    return blocks.reshape(rows, groups * width)


def tree_sizes(model, *, view="matrix") -> dict[str, tuple[int, int]]:
    """For each prunable layer its number of weights and the number of them that a spanning forest needs.

    Their quotient is the layer's critical compression ratio; the quotient of their sums is the network's. Only shapes
    are read, so networks on the ``meta`` device, which hold no numbers, will do.

    Parameters
    ----------
    model : torch.nn.Module
    view : {"matrix", "channel"}
        As in :func:`layer_graph`.

    Returns
    -------
    dict of str to (int, int)

    Raises
    ------
    ValueError
        As :func:`prunable`, and for an unknown view.

    References
    ----------
    Balwani & Krzyston 2022 for dense layers and the sum over a network; both views of convolutions are ours.

    Examples
    --------
    >>> import zimp
    >>> zimp.tree_sizes(zimp.lenet_300_100())
    {'fc1.weight': (235200, 1083), 'fc2.weight': (30000, 399), 'output.weight': (1000, 109)}
    """
    _check_view(view)
    sizes = {}
    for name, layer in prunable_layers(model).items():
        groups = getattr(layer, "groups", 1)
        out, width = layer.weight.shape[:2]  # width: inputs of one group
        if view == "matrix":
            width = layer.weight.numel() // out
        sizes[name] = (layer.weight.numel(), out + groups * width - groups)
    return sizes


def _check_view(view):
    if view == "spatial":
        raise ValueError(
            "view='spatial' needs the size of the input image, which the weights of a convolution do not tell; "
            "zimp.spatial_critical_compression takes it"
        )
    if view not in VIEWS:
        raise ValueError(f"view={view!r} is unknown; it is one of {', '.join(map(repr, VIEWS))}")
