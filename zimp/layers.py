"""From a torch network to the graphs of its layers.

A dense layer is a bipartite graph at once. A convolution has three:

* ``"matrix"``: output channels against the entries of a patch (input channel, kernel row, kernel column); every
  weight is an edge of its own. This is the matrix by which the convolution multiplies a patch.
* ``"channel"``: output channels against input channels, with one parallel edge for each kernel entry. Of parallel
  edges only the heaviest can be in the spanning tree, so the graph keeps that one. It is the ``"matrix"`` graph with
  the entries of each input channel glued together.
* ``"spatial"``: for each filter a graph of pixels, those of the padded input against those of the output; so it needs
  the size of the image. The entries of one kernel, summed over its input channels, stand on many edges.

In the first two, groups of channels are not joined to each other: ``g`` groups are ``g`` components. The neurons
between two layers belong to both; :func:`zimp.stitched_graph` joins the layers there. Which layers lie in one weight,
such as the queries, keys and values of attention, says :mod:`zimp.blocks`.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterable, Iterator
from itertools import chain, pairwise
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import block_array, coo_array, csr_array
from torch import nn
from torch.func import functional_call
from torch.nn.parameter import UninitializedParameter
from torch.nn.utils import parametrize

from .blocks import WEIGHT, check_blocks, layout, weight_graph
from .bounds import spatial_sizes
from .checks import (
    as_array,
    as_list,
    as_mask,
    as_matrix,
    check_choice,
    check_network,
    per_dimension,
)

__all__ = ["prunable", "LayerGraph", "layer_graph", "stitched_graph", "tree_sizes"]

VIEWS = ("matrix", "channel", "spatial")
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
KINDS = {  # of modules; what is none of these is known by its name alone
    nn.Linear: "dense",
    **dict.fromkeys(CONVOLUTIONS, "convolution"),
    **dict.fromkeys(TRANSPOSED, "transposed convolution"),
    nn.RNNBase: "recurrent",
    nn.RNNCellBase: "recurrent",
    nn.MultiheadAttention: "attention",
    nn.Embedding: "embedding",
    nn.EmbeddingBag: "embedding",
    nn.LayerNorm: "norm",
    nn.RMSNorm: "norm",
    nn.Bilinear: "bilinear",
}
PRUNABLE = ("dense", "convolution", "transposed convolution", "recurrent", "attention")


def prunable(model) -> dict[str, nn.Parameter]:
    """The weights of a network that can be pruned: those of its dense, convolutional and recurrent layers.

    The projections of ``nn.MultiheadAttention`` are among them. Biases, norms, embeddings and bilinear layers are left
    out, and so are the weights of layers that are not torch's own, with a warning that names them.

    Parameters
    ----------
    model : torch.nn.Module

    Returns
    -------
    dict of str to torch.nn.Parameter
        The parameters themselves, by the names that ``model.named_parameters()`` gives them, in model order. A weight
        that two layers share, or hold in one memory, comes once, by the name of the first; one that is tied to an
        embedding comes by the name of its dense layer.

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
    found = prunable_weights(model)
    unknown = {name: module for name, _, module in _others(model, found) if kind_of(module) is None}
    names = [name for name in unknown if WEIGHT.fullmatch(name.rpartition(".")[2])]
    if names:
        classes = ", ".join(sorted({type(unknown[name]).__name__ for name in names}))
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        warnings.warn(
            f"not pruned: {', '.join(names[:3])}{more}, of the class {classes}, which zimp does not know as a layer; "
            "choose their masks by zimp.topological_mask and the like",
            stacklevel=2,
        )
    return {name: weight.parameter for name, weight in found.items()}


class Weight(NamedTuple):
    """A weight that can be pruned, the module that owns it, and how many graphs it is."""

    parameter: nn.Parameter
    module: nn.Module
    groups: int


def prunable_weights(model) -> dict[str, Weight]:
    """What :func:`prunable` gives, with the modules and the groups."""
    check_network(model)
    found, seen = {}, set()
    for prefix, module in model.named_modules():
        for attribute, parameter in _weights_of(module):
            name = f"{prefix}.{attribute}" if prefix else attribute
            if parameter is None:
                raise ValueError(f"{name} is computed, not stored, so pruning it would have no effect{_mend(module)}")
            if isinstance(parameter, UninitializedParameter):
                raise ValueError(f"{name} is not initialised yet; run one batch through the lazy layers first")
            if parameter.numel() == 0:
                shape = tuple(parameter.shape)
                raise ValueError(f"{name} has shape {shape}; a layer needs at least one output and input")
            if (memory := memory_of(parameter)) not in seen:
                seen.add(memory)
                found[name] = Weight(parameter, module, groups_of(module, name, parameter))
    if not found:
        raise ValueError(
            f"{type(model).__name__} has no dense, convolutional or recurrent layer; there is nothing to prune"
        )
    return found


def kind_of(module) -> str | None:
    """What kind of layer a module is, None if it is not one of torch's."""
    return next((kind for cls, kind in KINDS.items() if isinstance(module, cls)), None)


def groups_of(module, name, weight) -> int:
    """How many graphs a weight of a module is, by ``layout``."""
    known = {"groups": getattr(module, "groups", None), "units": getattr(module, "hidden_size", None)}
    return layout(name, tuple(weight.shape), kind=kind_of(module), **known).groups


def memory_of(tensor):
    """A value that is equal for tensors with the same numbers in the same memory, transposed or not."""
    if tensor.is_meta or tensor.layout != torch.strided or isinstance(tensor, UninitializedParameter):
        return id(tensor)
    axes = tuple(sorted(zip(tensor.stride(), tensor.shape)))
    return tensor.untyped_storage().data_ptr(), tensor.storage_offset(), axes, tensor.dtype


def not_pruned(model, found) -> dict[str, int]:
    """How many numbers the matrices hold, by name, that are no prunable weights."""
    return {name: matrix.numel() for name, matrix, _ in _others(model, found)}


def _others(model, found) -> Iterator[tuple[str, nn.Parameter, nn.Module]]:
    """The matrices that are not among the prunable weights, their names, and the modules that own them."""
    seen = {memory_of(weight.parameter) for weight in found.values()}
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1 and memory_of(parameter) not in seen:
            yield name, parameter, model.get_submodule(name.rpartition(".")[0])


def _weights_of(module) -> Iterator[tuple[str, nn.Parameter | None]]:
    """The weights of one module by their attribute; None for one that is computed from something else."""
    kind = kind_of(module)
    if kind in ("recurrent", "attention"):
        names = [re.sub("_(orig|g|v)$", "", name) for name in module._parameters]
        names += getattr(module, "parametrizations", {}).keys()
        names = [name for name in dict.fromkeys(names) if WEIGHT.fullmatch(name)]
        # Attention has either one projection or three; the others are None.
        yield from ((name, module._parameters.get(name)) for name in names if getattr(module, name, None) is not None)
    elif kind in PRUNABLE:
        yield "weight", module._parameters.get("weight")


def _mend(module) -> str:
    """Say how to remove the module that computes the weight."""
    if parametrize.is_parametrized(module):
        return "; make it permanent first: torch.nn.utils.parametrize.remove_parametrizations(layer, name)"
    ends = {name.rpartition("_")[2] for name in chain(module._parameters, module._buffers)}
    for end, mend in (("mask", "prune.remove(layer, name)"), ("g", "remove_weight_norm(layer, name)")):
        if end in ends:
            return f"; make it permanent first: torch.nn.utils.{mend}"
    return "; make it permanent first: torch.nn.utils.remove_spectral_norm(layer)" if "orig" in ends else ""


class LayerGraph(NamedTuple):
    """A layer as :func:`zimp.spanning_forest` takes it: ``spanning_forest(*layer_graph(weight))``.

    Attributes
    ----------
    weights : array of shape ``(m, n)``, or scipy sparse array
        The dense array is read-only, since it may share memory with the layer. Of the sparse array, which layers with
        groups, the ``"spatial"`` view and stitched networks are, the stored entries are the edges.
    mask : boolean array of shape ``(m, n)``, or None where all edges exist
    """

    weights: np.ndarray | csr_array
    mask: np.ndarray | None


def layer_graph(
    weight, mask=None, *, view="matrix", groups=1, input_size=None, padding=0, stride=1, dilation=1
) -> LayerGraph:
    """The bipartite graph of a dense layer or a convolution.

    Parameters
    ----------
    weight : array or tensor of shape ``(out, in)`` or ``(out, in // groups, *kernel)``
    mask : array or tensor of the same shape, optional
        True where the weight exists.
    view : {"matrix", "channel", "spatial"}
        Which graph of a convolution; for a dense layer they are the same.
    groups : int
        The ``groups`` of a convolution, or how many layers a fused weight holds.
    input_size : sequence of int
        Pixels of the input image, for ``"spatial"`` only, and so are the next three.
    padding, stride, dilation : int or sequence of int
        Of the convolution, as ``torch.nn.Conv2d`` takes them.

    Returns
    -------
    LayerGraph
        With ``groups > 1`` the blocks of the groups stand on the diagonal of a sparse array. In the ``"spatial"`` view
        so do the graphs of the filters, in one of shape ``(out * q, out * p)`` for ``q`` output pixels and ``p`` padded
        input pixels; ``weight[:1]`` gives the graph of the first filter alone.

    Raises
    ------
    ValueError
        For weights of fewer than two dimensions, a mask of another shape, an unknown view, groups that do not divide
        the outputs, or an image that is missing or does not fit the kernel.

    Examples
    --------
    >>> import torch, zimp
    >>> conv = torch.nn.Conv2d(8, 16, kernel_size=3)
    >>> zimp.layer_graph(conv.weight).weights.shape
    (16, 72)
    >>> zimp.layer_graph(conv.weight, view="channel").weights.shape
    (16, 8)
    >>> zimp.layer_graph(conv.weight[:1], view="spatial", input_size=(8, 8), padding=1).weights.shape
    (64, 100)
    """
    _check_view(view, input_size)
    weight = as_array(weight, "weight")
    mask = as_mask(mask, weight.shape)
    groups = check_blocks(weight, groups)
    if view == "spatial" and weight.ndim > 2:
        return _pixel_graph(weight, mask, input_size, padding, stride, dilation)
    if view == "channel" and weight.ndim > 2:
        magnitude = np.abs(weight).reshape(*weight.shape[:2], -1)
        if mask is None:
            weight = magnitude.max(axis=2)
        else:
            kept = mask.reshape(magnitude.shape)
            weight, mask = np.where(kept, magnitude, 0).max(axis=2), kept.any(axis=2)
    graph = weight_graph(weight, mask, groups)
    if isinstance(graph.values, np.ndarray):
        graph.values.flags.writeable = False
    return LayerGraph(graph.values, graph.mask)


def _pixel_graph(weight, mask, input_size, padding, stride, dilation) -> LayerGraph:
    """All filters' graphs of pixels on the diagonal of one sparse array."""
    kernel = weight.shape[2:]
    sizes = per_dimension("input_size", input_size, len(kernel), least=1)
    spatial_sizes(sizes, kernel, padding=padding, stride=stride, dilation=dilation)  # checks all of them
    padding, stride, dilation = (np.broadcast_to(value, len(kernel)) for value in (padding, stride, dilation))
    sizes = np.array(sizes) + 2 * padding
    outputs = (sizes - dilation * (np.array(kernel) - 1) - 1) // stride + 1
    # Along each dimension, the input pixel under kernel entry a at output pixel i is stride * i + dilation * a.
    grids = np.indices((*outputs, *kernel)).reshape(2, len(kernel), -1)
    rows = np.ravel_multi_index(grids[0], outputs)
    cols = np.ravel_multi_index(stride[:, None] * grids[0] + dilation[:, None] * grids[1], sizes)
    entries = np.ravel_multi_index(grids[1], kernel)

    magnitude = np.abs(weight).astype(np.float64).reshape(*weight.shape[:2], -1)
    exists = np.ones(magnitude.shape, dtype=bool) if mask is None else mask.reshape(magnitude.shape)
    values, exists = (magnitude * exists).sum(axis=1)[:, entries], exists.any(axis=1)[:, entries]
    filters, edges = np.nonzero(exists)
    q, p = math.prod(outputs.tolist()), math.prod(sizes.tolist())
    shape = len(weight) * q, len(weight) * p
    graph = coo_array((values[exists], (filters * q + rows[edges], filters * p + cols[edges])), shape=shape)
    return LayerGraph(graph.tocsr(), None)


def stitched_graph(weights, masks=None) -> LayerGraph:
    """The graph of a chain of dense layers, whose hidden neurons are the outputs of one and the inputs of the next.

    Layers alternate between the two sides, so that the network is a bipartite graph again: rows are the neurons that
    an odd number of layers away from the input, columns the others, each side from the input on.

    Parameters
    ----------
    weights : sequence of arrays or tensors of shape ``(m, n)``
        In order; the inputs of each layer are the outputs of the one before. Weights are compared across layers as they
        are: divide each layer by a scale of its own first, if that is meant.
    masks : sequence of masks of the same shapes, optional

    Returns
    -------
    LayerGraph
        A sparse array, whose stored entries are the edges.

    Raises
    ------
    ValueError
        For an empty sequence, layers that do not fit together, or as :func:`zimp.spanning_forest`.

    Examples
    --------
    >>> import zimp
    >>> weights = zimp.prunable(zimp.lenet_300_100()).values()
    >>> graph = zimp.stitched_graph(weights)
    >>> graph.weights.shape, len(zimp.spanning_forest(*graph))
    ((310, 884), 1193)
    """
    weights = [as_matrix(weight) for weight in as_list("weights", weights)]
    masks = [None] * len(weights) if masks is None else as_list("masks", masks)
    if not weights or len(masks) != len(weights):
        raise ValueError(
            f"there are {len(weights)} layers and {len(masks)} masks; give at least one layer, and one mask for each"
        )
    for before, after in pairwise(weights):
        if before.shape[0] != after.shape[1]:
            raise ValueError(
                f"a layer of {before.shape[0]} outputs comes before one of {after.shape[1]} inputs; "
                "only chains of dense layers can be stitched"
            )
    widths = [weights[0].shape[1], *(len(weight) for weight in weights)]  # neurons, from the input on
    blocks = [[None] * (len(widths) // 2 + len(widths) % 2) for _ in range(len(widths) // 2)]
    for layer, (weight, mask) in enumerate(zip(weights, masks)):
        mask = as_mask(mask, weight.shape)
        edges = np.nonzero(np.ones(weight.shape, dtype=bool) if mask is None else mask)
        values = weight[edges].astype(np.promote_types(weight.dtype, np.float32), copy=False)  # scipy has no halves
        block = coo_array((values, edges), shape=weight.shape)
        even, odd = (layer, layer + 1) if layer % 2 == 0 else (layer + 1, layer)
        blocks[odd // 2][even // 2] = block if layer % 2 == 0 else block.T
    return LayerGraph(block_array(blocks, format="csr"), None)


def tree_sizes(model, *, view="matrix", input_size=None) -> dict[str, tuple[int, int]]:
    """For each prunable layer its number of edges and the number of them that a spanning forest needs.

    Their quotient is the layer's critical compression ratio; the quotient of their sums is the network's. Only shapes
    are read, so networks on the ``meta`` device, which hold no numbers, will do.

    Parameters
    ----------
    model : torch.nn.Module
    view : {"matrix", "channel", "spatial"}
        As in :func:`layer_graph`. In the first two an edge is a weight; in ``"spatial"`` a convolution enters with the
        edges of one of its filters, as in the paper.
    input_size : sequence of int
        Shape ``(channels, *pixels)`` of one input of the network, for ``"spatial"`` only: the network is run on the
        ``meta`` device, to see the size of the image at each convolution.

    Returns
    -------
    dict of str to (int, int)

    Raises
    ------
    ValueError
        As :func:`prunable`, for an unknown view, a missing input size, and convolutions that the network did not run.
        What the network itself raises, run on an input of that size, comes with a note that says so.

    References
    ----------
    Balwani & Krzyston 2022 for dense layers, the ``"spatial"`` view and the sum over a network; the other views of
    convolutions are ours.

    Examples
    --------
    >>> import zimp
    >>> zimp.tree_sizes(zimp.lenet_300_100())
    {'fc1.weight': (235200, 1083), 'fc2.weight': (30000, 399), 'output.weight': (1000, 109)}
    >>> zimp.tree_sizes(zimp.small_conv(), view="spatial", input_size=(1, 8, 8))
    {'conv1.weight': (576, 163), 'conv2.weight': (144, 51), 'output.weight': (1280, 137)}
    """
    _check_view(view, input_size)
    weights = prunable_weights(model)
    if view == "spatial" and not isinstance(input_size, Iterable):
        raise ValueError(
            f"input_size={input_size!r} must be the shape of an input, channels and pixels, such as (3, 32, 32)"
        )
    images = _images(model, weights, input_size) if view == "spatial" else {}
    sizes = {}
    for name, (weight, module, groups) in weights.items():
        if name in images:
            settings = {"padding": 0, "stride": module.stride, "dilation": module.dilation}
            sizes[name] = spatial_sizes(images[name], module.kernel_size, **settings)
            continue
        out, width = weight.shape[:2]  # width: inputs of one group
        if view == "matrix":
            width = weight.numel() // out
        sizes[name] = (weight.numel(), out + groups * width - groups)
    return sizes


def _images(model, weights, input_size) -> dict[str, tuple[int, ...]]:
    """The size of the padded image that each convolution sees when the network is given an input.

    A transposed convolution is the graph of the convolution that goes the other way, from the image that it makes.
    """
    images, hooks, input_size = {}, [], per_dimension("input_size", input_size, None, least=1)
    convolutions = {name: weight.module for name, weight in weights.items() if "convolution" in kind_of(weight.module)}
    for name, layer in convolutions.items():

        def see(layer, inputs, named, name=name):
            (image,) = inputs[:1] or named.values()
            size = np.array(image.shape[2:])
            if isinstance(layer, TRANSPOSED):
                padded = (size - 1) * layer.stride + np.multiply(layer.dilation, np.subtract(layer.kernel_size, 1)) + 1
            else:  # what "same" adds on both sides together, or the given numbers, of the last dimension first
                padded = size + np.reshape(layer._reversed_padding_repeated_twice, (-1, 2)).sum(axis=1)[::-1]
            images[name] = tuple(padded.tolist())

        hooks.append(layer.register_forward_pre_hook(see, with_kwargs=True))
    state = {place: torch.empty_like(value, device="meta") for place, value in places(model).items()}
    dtype = next(iter(weights.values())).parameter.dtype
    batch = torch.empty(2, *input_size, dtype=dtype, device="meta")  # two images: a batch norm refuses one
    try:
        functional_call(model, state, batch, tie_weights=False)
    except Exception as error:  # of whatever layer
        error.add_note(f"The network was run on an image of input_size={input_size}, which is channels and pixels.")
        raise
    finally:
        for hook in hooks:
            hook.remove()
    for name in convolutions:
        if name not in images:
            raise ValueError(f"the network did not run its convolution {name}, so the size of its image is not known")
    return images


def places(model) -> dict[str, torch.Tensor]:
    """Parameters and buffers by all their names; a layer that is used twice has only its first name.

    Of such a layer ``functional_call`` given both names would not put back what it had replaced.
    """
    return {
        name: value
        for prefix, layer in model.named_modules()
        for name, value in chain(
            layer.named_parameters(prefix, recurse=False, remove_duplicate=False),
            layer.named_buffers(prefix, recurse=False, remove_duplicate=False),
        )
    }


def _check_view(view, input_size):
    check_choice("view", view, VIEWS)
    if view == "spatial" and input_size is None:
        raise ValueError(
            "view='spatial' needs input_size, the size of the input image, because the weights of a convolution do not "
            "determine it; e.g. input_size=(32, 32) for layer_graph, (3, 32, 32) for tree_sizes"
        )
