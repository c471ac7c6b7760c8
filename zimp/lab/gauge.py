"""The scales of neurons: a ReLU network has many settings of its weights with one function.

:func:`zimp.rescale` goes from one to another. A *gauge* is a rule that chooses one of them, see ``in_gauge``.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from ..checks import check_finite, check_network, to_numpy
from ..layers import CONVOLUTIONS, memory_of, prunable, prunable_weights

__all__ = ["rescale", "in_gauge"]

POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d,
         nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)  # fmt: skip
# For what is c times as large these give c times as much, if c > 0, and they leave the channels where they are.
HOMOGENEOUS = (nn.ReLU, nn.LeakyReLU, nn.Identity, nn.Dropout, nn.Flatten, *POOLS)
SWEEPS = 200  # over the hidden layers, which depend on each other when they are balanced


@torch.no_grad()
def rescale(model, factors):
    """A copy of a network with the same function, in which hidden neurons have other scales.

    The weights into a neuron, and its bias, are multiplied by its factor; the weights out of it are divided by it. A
    ReLU passes the factor on, because ``max(c * z, 0) = c * max(z, 0)`` for positive ``c``.

    Parameters
    ----------
    model : torch.nn.Sequential
        Of dense layers and convolutions without groups, also nested.
    factors : dict of str to array or tensor of shape ``(outputs,)``
        By the name of a :func:`zimp.prunable` weight, a positive number for each output neuron, or channel. Between it
        and the next layer there must be a ReLU (or a leaky one), and nothing but pooling, dropout and flattening
        besides.

    Returns
    -------
    torch.nn.Sequential

    Raises
    ------
    ValueError
        For factors that are not positive, or of the wrong length; for a layer that no ReLU follows, or that is followed
        by something through which a factor does not pass; and for a network that is no chain.

    References
    ----------
    Dinh et al. 2017, who make a minimum arbitrarily sharp in this way.

    Examples
    --------
    >>> import torch, zimp
    >>> model, data = zimp.small_mlp(), zimp.load_data("digits")
    >>> other = zimp.rescale(model, {"fc1.weight": torch.linspace(0.5, 2, 32)})
    >>> torch.allclose(model(data.test.x), other(data.test.x), atol=1e-5)
    True
    >>> torch.equal(model.fc1.weight, other.fc1.weight)
    False
    """
    check_network(model)
    if not isinstance(model, nn.Sequential):
        raise ValueError(
            f"model is a {type(model).__name__}, not a torch.nn.Sequential; only a chain tells which layer comes next"
        )
    weights = prunable_weights(model)
    if not isinstance(factors, Mapping):
        raise ValueError(
            f"factors is a {type(factors).__name__}, not a dict; give {{'{next(iter(weights))}': numbers}}"
        )
    known = followers(model)
    checked = {}
    for name, given in factors.items():
        if name not in weights:
            raise ValueError(f"factors has an entry for {name!r}; each entry must be for one of {', '.join(weights)}")
        if name not in known:
            raise ValueError(f"{name} is followed by no ReLU and layer through which its factors could pass; "
                             "the outputs of a network, and what goes into a norm, cannot be rescaled")  # fmt: skip
        checked[name] = _check_factors(name, given, len(weights[name].parameter))
    scaled = copy.deepcopy(model)
    for name, numbers in checked.items():
        layer, after = (scaled.get_submodule(place) for place in (name.rpartition(".")[0], known[name]))
        numbers = numbers.to(layer.weight.device)
        layer.weight.copy_((layer.weight * numbers.view(-1, *[1] * (layer.weight.ndim - 1))).to(layer.weight.dtype))
        if layer.bias is not None:
            layer.bias.copy_((layer.bias * numbers).to(layer.bias.dtype))
        pixels = after.weight.shape[1] // len(numbers)  # of a channel, where its image was flattened
        numbers = numbers.repeat_interleave(pixels).view(-1, *[1] * (after.weight.ndim - 2))
        after.weight.copy_((after.weight / numbers).to(after.weight.dtype))
    return scaled


def _check_factors(name, given, outputs) -> torch.Tensor:
    numbers = to_numpy(given, f"factors[{name!r}]")
    if numbers.shape != (outputs,) or numbers.dtype.kind not in "iuf":
        raise ValueError(f"factors[{name!r}] has shape {numbers.shape} and dtype {numbers.dtype}; it must be a number "
                         f"for each of the {outputs} output neurons of {name}")  # fmt: skip
    numbers = check_finite(numbers.astype(np.float64), f"factors[{name!r}]", "factors", "Is one of them 1 / 0?")
    if not (numbers > 0).all():
        where = int(np.argmin(numbers))
        raise ValueError(f"factors[{name!r}][{where}] is {numbers[where]}; a factor must be positive, or the ReLU does "
                         "not pass it on. Are these logarithms? Then give their exponentials")  # fmt: skip
    return torch.from_numpy(numbers)


def followers(model) -> dict[str, str]:
    """For the name of each weight whose factors can pass on, the place of the layer that they pass to."""
    chain = [(place, part) for place, part in model.named_modules(remove_duplicate=False)
             if not isinstance(part, nn.Sequential)]  # fmt: skip
    layers = [k for k, (_, part) in enumerate(chain) if isinstance(part, (nn.Linear, *CONVOLUTIONS))]
    memories = [memory_of(chain[k][1].weight) for k in layers]  # of a layer used twice, and of tied weights, equal
    found = {}
    for k, after in pairwise(layers):
        place, between = chain[k][0], [part for _, part in chain[k + 1 : after]]
        one_use = all(memories.count(memory_of(chain[at][1].weight)) == 1 for at in (k, after))
        passes = one_use and getattr(chain[after][1], "groups", 1) == 1
        if passes and all(isinstance(part, HOMOGENEOUS) for part in between):
            if any(isinstance(part, (nn.ReLU, nn.LeakyReLU)) for part in between):
                found[f"{place}.weight"] = chain[after][0]
    return found


def in_gauge(model, gauge, seed=0):
    """A copy of a network with the same function, whose neurons have the scales that a rule gives them.

    Parameters
    ----------
    model : torch.nn.Sequential
        Of dense layers with ReLU.
    gauge : {"as trained", "largest", "balanced"} or float
        ``"largest"``: the largest weight into each hidden neuron is 1; ``"balanced"``: the weights into it have the
        same Euclidean norm as those out of it. A number: random factors, whose logarithms are normal with this spread.
    seed : int
        Of random factors.

    Returns
    -------
    torch.nn.Sequential
        A neuron whose weights on one of the sides that a rule asks about are all 0 keeps its scale.

    Examples
    --------
    >>> import zimp
    >>> from zimp.lab.gauge import in_gauge
    >>> model = in_gauge(zimp.small_mlp(), "largest")
    >>> bool((model.fc1.weight.abs().amax(dim=1) - 1).abs().max() < 1e-6)
    True
    """
    if gauge == "as trained":
        return copy.deepcopy(model)
    sizes = {name: len(prunable(model)[name]) for name in followers(model)}
    if gauge not in ("largest", "balanced"):
        generator = torch.Generator().manual_seed(seed)
        return rescale(model, {name: torch.exp(float(gauge) * torch.randn(size, generator=generator))
                               for name, size in sizes.items()})  # fmt: skip
    scaled = copy.deepcopy(model).double()
    for _ in range(1 if gauge == "largest" else SWEEPS):
        for name, after in followers(model).items():
            into, out = prunable(scaled)[name].detach(), prunable(scaled)[f"{after}.weight"].detach()
            if gauge == "largest":
                numbers = 1 / into.abs().amax(dim=1)
            else:
                numbers = (out.norm(dim=0) / into.norm(dim=1)).sqrt()
            scaled = rescale(scaled, {name: torch.where(numbers.isfinite() & (numbers > 0), numbers, 1)})
    return scaled.to(next(model.parameters()).dtype)
