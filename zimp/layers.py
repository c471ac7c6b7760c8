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
between two layers belong to both; :func:`zimp.stitched_graph` joins the layers there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import chain, pairwise
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import block_array, coo_array, csr_array
from torch import nn
from torch.func import functional_call
from torch.nn.parameter import UninitializedParameter

from .bounds import spatial_sizes
from .checks import as_list, as_mask, as_matrix, as_real, check_choice, per_dimension, whole

__all__ = ["prunable", "LayerGraph", "layer_graph", "stitched_graph", "tree_sizes"]

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
PRUNABLE = (nn.Linear, *CONVOLUTIONS)
VIEWS = ("matrix", "channel", "spatial")


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
    check_network(model)
    layers, seen = {}, set()
    for prefix, layer in model.named_modules():
        if not isinstance(layer, PRUNABLE):
            continue
        name = f"{prefix}.weight" if prefix else "weight"
        if layer._parameters.get("weight") is None:
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


def check_network(model):
    """A network is a module, not its class, and not the function that builds it."""
    if not isinstance(model, nn.Module):
        raise ValueError(f"model is a {type(model).__name__}, not a torch.nn.Module; build the network first")


class LayerGraph(NamedTuple):
    """A layer as :func:`zimp.spanning_forest` takes it: ``spanning_forest(*layer_graph(weight))``.

    Attributes
    ----------
    weights : array of shape ``(m, n)``, or scipy sparse array
        The dense array is read-only, since it may share memory with the layer. Of the sparse array, which the
        ``"spatial"`` view and stitched networks are, the stored entries are the edges.
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
        The ``groups`` of the convolution.
    input_size : sequence of int
        Pixels of the input image, for ``"spatial"`` only, and so are the next three.
    padding, stride, dilation : int or sequence of int
        Of the convolution, as ``torch.nn.Conv2d`` takes them.

    Returns
    -------
    LayerGraph
        With ``groups > 1`` the blocks of the groups stand on the diagonal, and the mask says that nothing else exists.
        In the ``"spatial"`` view so do the graphs of the filters, in a sparse array of shape ``(out * q, out * p)`` for
        ``q`` output pixels and ``p`` padded input pixels; ``weight[:1]`` gives the graph of the first filter alone.

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
    weight = as_real(weight)
    mask = as_mask(mask, weight.shape)
    if weight.ndim < 2 or weight.size == 0:
        raise ValueError(f"weight has shape {weight.shape}; a layer has outputs and inputs, at least one of each")
    out, groups = weight.shape[0], whole("groups", groups)
    if groups < 1 or out % groups:
        raise ValueError(f"groups={groups} does not divide the {out} outputs of the layer")
    if view == "spatial" and weight.ndim > 2:
        return _pixel_graph(weight, mask, input_size, padding, stride, dilation)
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
            f"there are {len(weights)} layers and {len(masks)} masks; give at least one layer, a mask each"
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


def _block_diagonal(matrix: np.ndarray, groups: int) -> np.ndarray:
    rows, width = matrix.shape
    blocks = np.zeros((groups, rows // groups, groups, width), dtype=matrix.dtype)
    group = np.arange(groups)
    blocks[group, :, group, :] = matrix.reshape(groups, rows // groups, width)
    return blocks.reshape(rows, groups * width)


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
    layers = prunable_layers(model)
    if view == "spatial" and not isinstance(input_size, Iterable):
        raise ValueError(
            f"input_size={input_size!r} is not the shape of an input; give channels and pixels: (3, 32, 32)"
        )
    images = _images(model, layers, input_size) if view == "spatial" else {}
    sizes = {}
    for name, layer in layers.items():
        if name in images:
            settings = {"padding": 0, "stride": layer.stride, "dilation": layer.dilation}
            sizes[name] = spatial_sizes(images[name], layer.kernel_size, **settings)
            continue
        groups = getattr(layer, "groups", 1)
        out, width = layer.weight.shape[:2]  # width: inputs of one group
        if view == "matrix":
            width = layer.weight.numel() // out
        sizes[name] = (layer.weight.numel(), out + groups * width - groups)
    return sizes


def _images(model, layers, input_size) -> dict[str, tuple[int, ...]]:
    """The size of the padded image that each convolution sees when the network is given an input."""
    images, hooks, input_size = {}, [], per_dimension("input_size", input_size, None, least=1)
    for name, layer in layers.items():
        if isinstance(layer, CONVOLUTIONS):

            def see(layer, inputs, named, name=name):
                # What "same" adds on both sides together, or the given numbers, of the last dimension first.
                added = np.reshape(layer._reversed_padding_repeated_twice, (-1, 2)).sum(axis=1)[::-1]
                (image,) = inputs or named.values()
                images[name] = tuple(int(size + more) for size, more in zip(image.shape[2:], added))

            hooks.append(layer.register_forward_pre_hook(see, with_kwargs=True))
    state = {place: torch.empty_like(value, device="meta") for place, value in places(model).items()}
    dtype = next(iter(layers.values())).weight.dtype
    batch = torch.empty(2, *input_size, dtype=dtype, device="meta")  # two images: a batch norm refuses one
    try:
        functional_call(model, state, batch, tie_weights=False)
    except Exception as error:  # of whatever layer
        error.add_note(f"The network was run on an image of input_size={input_size}, which is channels and pixels.")
        raise
    finally:
        for hook in hooks:
            hook.remove()
    missed = [name for name, layer in layers.items() if isinstance(layer, CONVOLUTIONS) and name not in images]
    if missed:
        raise ValueError(f"the network did not run its convolution {missed[0]}, so the size of its image is not known")
    return images


def places(model) -> dict[str, torch.Tensor]:
    """Parameters and buffers by all their names, but for those of a layer that is used twice, whose first name counts.

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
            "view='spatial' needs input_size, the size of the input image, which the weights of a convolution do not "
            "tell; e.g. input_size=(32, 32) for layer_graph, (3, 32, 32) for tree_sizes"
        )
