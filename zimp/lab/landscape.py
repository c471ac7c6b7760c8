"""The landscape of the loss around a network: how it curves, and how far one can go before it rises.

The loss is the mean cross-entropy, a function of the prunable weights that are left; biases stay as they are.
:func:`zimp.hessian_trace` and :func:`zimp.top_eigenvalue` say how it curves, :func:`zimp.basin_radii` how far one can
go, and :func:`zimp.loss_plane` shows a slice. :func:`zimp.rescale` changes all of them and not the function, unless
each weight is measured by its own size, with ``scale="weight"``.
"""

from __future__ import annotations

import copy
import math
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.sparse.linalg import LinearOperator, eigsh
from torch.func import functional_call, grad, jvp
from torch.nn.functional import cross_entropy

from ..checks import check_choice, check_count, check_finite, check_network, check_seed, number, to_numpy
from ..layers import prunable_weights
from ..pruning import apply_masks, as_masks
from .data import check_split
from .training import EVALUATED, TRAINED, check_numbers

__all__ = ["hessian_trace", "HessianTrace", "top_eigenvalue", "basin_radii", "loss_plane"]

SCALES = ("one", "neuron", "weight")
STEP = 1.25  # by which a radius grows until the loss has passed the cutoff
FARTHEST = 1e9


class HessianTrace(NamedTuple):
    """An estimate of a trace, and its standard error."""

    estimate: float
    standard_error: float


def hessian_trace(model, split, masks=None, *, probes, seed, scale="one") -> HessianTrace:
    """The trace of the Hessian of the loss in the weights that are left, estimated by random vectors of signs.

    Parameters
    ----------
    model : torch.nn.Module
        Taken in evaluation mode, and left as it is.
    split : Split
        Images and labels over which the loss is a mean.
    masks : dict of str to tensor, optional
        For each :func:`zimp.prunable` weight, True where it is left; the others are 0. Default: all are.
    probes : int
        Random vectors, at least 2. Each costs a few times as much as a gradient.
    seed : int
    scale : {"one", "neuron", "weight"}
        What a weight's change is measured by: 1; the root mean square of the weights into its neuron; or its own size.
        With scales ``s`` the trace is the sum of ``s ** 2`` times the diagonal of the Hessian. With ``"weight"``
        :func:`zimp.rescale` does not change it.

    Returns
    -------
    HessianTrace
        The mean of ``v @ H @ v`` over the probes ``v``, and its standard error.

    Raises
    ------
    ValueError
        As :func:`zimp.prunable`; for masks that do not fit, weights that are not finite, images without labels, fewer
        than two probes, and an unknown scale. What the network itself raises is passed on.

    References
    ----------
    Hutchinson 1990 for the estimate; Kwon et al. 2021 for sharpness in which each weight is measured by its own size.

    Examples
    --------
    >>> import torch, zimp
    >>> _ = torch.manual_seed(0)
    >>> model, data = zimp.small_mlp(), zimp.load_data("digits")
    >>> trace = zimp.hessian_trace(model, data.test, probes=20, seed=0)
    >>> 0 < trace.standard_error < trace.estimate
    True
    """
    probes, seed = check_count("probes", probes, 2), check_seed(seed)
    surface = Surface(model, split, masks)
    scales, generator = surface.scales(scale), torch.Generator("cpu").manual_seed(seed)
    found = []
    for _ in range(probes):
        signs = 2 * torch.randint(0, 2, surface.weights.shape, generator=generator, device="cpu") - 1
        probe = scales * signs.to(scales)
        found.append(float(probe.double() @ surface.times_hessian(probe).double()))
    return HessianTrace(float(np.mean(found)), float(np.std(found, ddof=1) / math.sqrt(probes)))


def top_eigenvalue(model, split, masks=None, *, seed, scale="one") -> float:
    """The largest eigenvalue of the Hessian of the loss in the weights that are left, by the method of Lanczos.

    Parameters
    ----------
    model, split, masks, scale
        As :func:`zimp.hessian_trace`; the Hessian is multiplied by the scales from both sides.
    seed : int
        Of the vector to start from.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        As :func:`zimp.hessian_trace`.

    Examples
    --------
    >>> import torch, zimp
    >>> _ = torch.manual_seed(0)
    >>> model, data = zimp.small_mlp(), zimp.load_data("digits")
    >>> zimp.top_eigenvalue(model, data.test, seed=0) > 0
    True
    """
    seed = check_seed(seed)
    surface = Surface(model, split, masks)
    scales, size = surface.scales(scale), len(surface.weights)
    start = np.random.default_rng(seed).normal(size=size)

    def times(vector):
        vector = scales * torch.from_numpy(np.asarray(vector).ravel()).to(scales)
        return (scales * surface.times_hessian(vector)).double().numpy(force=True)

    first = times(start)
    if size == 1 or not first.any():  # of a flat landscape, Lanczos finds no next vector
        return float((first / start).max())
    return float(eigsh(LinearOperator((size, size), times, dtype=np.float64), 1, which="LA", v0=start, tol=1e-6,
                       return_eigenvectors=False)[0])  # fmt: skip


def basin_radii(model, split, *, cutoff, directions, masks=None, seed, scale="one") -> np.ndarray:
    """For each random direction, the radius at which the training loss passes the cutoff.

    Parameters
    ----------
    model, split, masks
        As :func:`zimp.hessian_trace`.
    cutoff : float
        A loss above that of the network itself.
    directions : int
    seed : int
        The first directions are the same, however many there are.
    scale : {"one", "neuron", "weight"}
        ``"one"``: a direction has length 1, and a radius is a distance. ``"neuron"``: the part of each neuron is as
        long as its incoming weights, so at radius 1 each has moved by its own length. ``"weight"``: each weight moves
        by a normal number times its own size, and a radius is the root mean square of these relative changes;
        :func:`zimp.rescale` then changes the directions along with the weights, and no radius.

    Returns
    -------
    float array of shape ``(directions,)``
        Infinite where no radius up to a billion passes.

    Raises
    ------
    ValueError
        As :func:`zimp.hessian_trace`, and for a cutoff that the loss of the network has reached already.

    Notes
    -----
    The radius grows, or shrinks, by a quarter until the cutoff lies between two of them, and is then found by Brent's
    method. Where the loss passes the cutoff several times, it need not be the first of them.

    References
    ----------
    The radii are those whose powers average to a volume, as in Huang et al. 2020; scaling by neuron is as in Li et al.
    2018, where neurons are filters.

    Examples
    --------
    >>> import torch, zimp
    >>> _ = torch.manual_seed(0)
    >>> model, data = zimp.small_mlp(), zimp.load_data("digits")
    >>> radii = zimp.basin_radii(model, data.test, cutoff=5, directions=3, seed=0)
    >>> radii.shape, bool((radii > 1).all())
    ((3,), True)
    """
    directions, seed, cutoff = check_count("directions", directions), check_seed(seed), number("cutoff", cutoff)
    check_choice("scale", scale, SCALES)
    surface = Surface(model, split, masks)
    here = surface.loss(surface.weights)
    if not here < cutoff < math.inf:
        raise ValueError(
            f"cutoff={cutoff} must lie above {here:.4g}, the loss of the network itself, and be finite; a cutoff is a "
            "loss, not an increase: add the two"
        )
    generator, radius, radii = torch.Generator("cpu").manual_seed(seed), 0.01, []
    for _ in range(directions):
        direction = surface.direction(scale, generator)

        def excess(radius, direction=direction):
            loss = surface.loss(surface.weights + radius * direction)
            return min(loss, 2 * cutoff - here) - cutoff if math.isfinite(loss) else cutoff - here

        if direction.any():
            radius = _crossing(excess, radius)
        radii.append(radius if direction.any() else math.inf)
        radius = radius if math.isfinite(radius) else 0.01  # the next search begins where this one ended
    return np.array(radii)


def _crossing(excess, radius):
    """A radius at which a function passes from at most 0 to above."""
    if excess(radius) > 0:
        while excess(radius / STEP) > 0:
            radius /= STEP
        return brentq(excess, radius / STEP, radius, rtol=1e-5)
    while excess(STEP * radius) <= 0:
        radius *= STEP
        if radius > FARTHEST:
            return math.inf
    return brentq(excess, radius, STEP * radius, rtol=1e-5)


def loss_plane(model, split, masks=None, *, extent, points=21, seed, scale="neuron") -> np.ndarray:
    """The loss on a square through the network, spanned by two random directions.

    Parameters
    ----------
    model, split, masks, scale
        As :func:`zimp.basin_radii`.
    extent : float
        The square goes from ``-extent`` to ``extent`` in both directions, in units of radii.
    points : int
        In each direction, at equal distances; if their number is odd, the network itself is the one in the middle.
    seed : int
        The directions are the first two of :func:`zimp.basin_radii`.

    Returns
    -------
    float array of shape ``(points, points)``
        Along the rows goes the first direction.

    Raises
    ------
    ValueError
        As :func:`zimp.hessian_trace`, for fewer than two points, and for an extent that is not positive and finite.

    References
    ----------
    Li et al. 2018.

    Examples
    --------
    >>> import torch, zimp
    >>> _ = torch.manual_seed(0)
    >>> model, data = zimp.small_mlp(), zimp.load_data("digits")
    >>> zimp.loss_plane(model, data.test, extent=1, points=5, seed=0).shape
    (5, 5)
    """
    points, seed, extent = check_count("points", points, 2), check_seed(seed), number("extent", extent)
    if not 0 < extent < math.inf:
        raise ValueError(f"extent={extent} must be positive and finite; it is half the side of the square")
    check_choice("scale", scale, SCALES)
    surface, generator = Surface(model, split, masks), torch.Generator("cpu").manual_seed(seed)
    first, second = (surface.direction(scale, generator) for _ in range(2))
    ticks = np.linspace(-extent, extent, points).tolist()
    return np.array([[surface.loss(surface.weights + a * first + b * second) for b in ticks] for a in ticks])


class Surface:
    """The loss as a function of the weights that are left, which are one vector."""

    def __init__(self, model, split, masks):
        check_network(model)
        check_split(split)
        weights = prunable_weights(model)
        check_numbers(model, split)
        for name, (weight, *_) in weights.items():
            if weight.dtype not in TRAINED or weight.layout != torch.strided:
                raise ValueError(f"{name} is of {weight.dtype}, {weight.layout}; a loss curves in floats, so make it a "
                                 "dense tensor of 16 to 64 bits")  # fmt: skip
            check_finite(to_numpy(weight), name, "weights")
        self.masks = {name: torch.from_numpy(mask).to(weights[name].parameter.device)
                      for name, mask in as_masks(weights, masks).items()}  # fmt: skip
        if not any(mask.any() for mask in self.masks.values()):
            raise ValueError("masks keep no weight, so there is nothing that the loss could depend on")
        self.split, self.model = split, copy.deepcopy(model).eval().requires_grad_(False)
        apply_masks(self.model, self.masks)
        self.matrices = {name: weight.parameter for name, weight in prunable_weights(self.model).items()}
        self.weights = self._left(self.matrices)

    def _left(self, matrices):
        return torch.cat([matrix[self.masks[name]] for name, matrix in matrices.items()])

    def _matrices(self, vector):
        parts = vector.split([int(mask.sum()) for mask in self.masks.values()])
        return {name: torch.zeros_like(matrix).masked_scatter(self.masks[name], part)
                for (name, matrix), part in zip(self.matrices.items(), parts)}  # fmt: skip

    def _batches(self):
        """For some hundred images at a time, their part of the loss as a function of the matrices."""
        for x, y in zip(self.split.x.split(EVALUATED), self.split.y.split(EVALUATED)):
            share = len(y) / len(self.split.y)
            yield (
                lambda matrices, x=x, y=y, share=share: (
                    share * cross_entropy(functional_call(self.model, matrices, (x,)), y)
                )
            )

    @torch.no_grad()
    def loss(self, vector) -> float:
        matrices = self._matrices(vector)
        return sum(part(matrices).item() for part in self._batches())

    def times_hessian(self, vector):
        tangents = self._matrices(vector)
        return sum(self._left(jvp(grad(part), (self.matrices,), (tangents,))[1]) for part in self._batches())

    def scales(self, scale):
        """What a change of each weight is measured by."""
        check_choice("scale", scale, SCALES)
        if scale == "neuron":
            rows = {name: matrix.flatten(1) for name, matrix in self.matrices.items()}
            counts = {name: mask.flatten(1).sum(dim=1).clamp(min=1) for name, mask in self.masks.items()}
            sizes = {name: (row.square().sum(dim=1) / counts[name]).sqrt() for name, row in rows.items()}
            return self._left({name: sizes[name].view(-1, *[1] * (matrix.ndim - 1)).expand_as(matrix)
                               for name, matrix in self.matrices.items()})  # fmt: skip
        return self.weights.abs() if scale == "weight" else torch.ones_like(self.weights)

    def direction(self, scale, generator):
        """A random direction; its length is that of a radius of 1."""
        draws = torch.randn(self.weights.shape, generator=generator, device="cpu").to(self.weights)
        if scale == "one":
            return draws / draws.norm()
        if scale == "weight":
            return self.weights.abs() * draws * math.sqrt(len(draws)) / draws.norm()
        made = self._matrices(draws)
        for name, matrix in self.matrices.items():
            part, own = (row.flatten(1).norm(dim=1) for row in (made[name], matrix))
            made[name] *= torch.where(part > 0, own / part, 0).view(-1, *[1] * (matrix.ndim - 1))
        return self._left(made)
