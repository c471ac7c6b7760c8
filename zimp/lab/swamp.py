"""SWAMP: sparse weight averaging with multiple particles, iterative pruning of an average (Choi et al. 2024).

At each level several copies of the ticket, the *particles*, train with different orders of batches. Each keeps a
running mean of its weights in the last part of training (SWA, Izmailov et al. 2018); the mean of all particles is
pruned.
:func:`zimp.swamp` is :func:`zimp.iterative_magnitude_pruning` with this as its training.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from itertools import count

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.optim.swa_utils import AveragedModel, update_bn

from ..checks import check_count, number
from ..pruning import apply_masks
from .imp import iterative_magnitude_pruning
from .together import train_together, turned
from .training import EVALUATED, TrainingDiverged, adam, check_training, train

__all__ = ["swamp", "train_particles", "average"]

BETWEEN = 1_000_003  # from the order of batches of a particle to that of the next; torch heeds but 32 bits of a seed


def swamp(
    build, data, *, levels, particles=4, averaged=0.25, steps=400, batch_size=60, optimizer=adam, seeds=0, **options
):
    """Train several particles from one ticket, average them, prune, rewind, and again.

    Parameters
    ----------
    build, data, levels, steps, batch_size, optimizer, seeds
        As :func:`zimp.iterative_magnitude_pruning`. The first particle has the order of batches that the seed has
        there, each further one an order of its own.
    particles : int
        How many copies to train at each level, together, by :func:`zimp.train_together`; one is trained by
        :func:`zimp.train`, which makes this IMP with averaging.
    averaged : float
        The share of each training, at its end, over whose steps the weights of each particle are averaged, with at
        least one step: 0 takes the last weights alone.
    **options
        Further arguments of :func:`zimp.iterative_magnitude_pruning`: ``rate``, ``criterion``, ``scope``, ``rewind``,
        ``device``, ``folder``, ``progress``, ``on_level``, ``at_floor``.

    Returns
    -------
    Record
        Of the averaged networks. ``train_loss`` is the mean over the particles, each on its last batch;
        ``config["train"]`` holds the arguments of the averaging.

    Raises
    ------
    ValueError
        For less than one particle, a share outside [0, 1], and a network whose average has no statistics: there may be
        batch norm, if there are two images or more to recompute them on, but no other layer with running statistics.
        As :func:`zimp.iterative_magnitude_pruning`, and for several particles :func:`zimp.train_together`.
    TrainingDiverged
        If the loss or a weight of a particle is not finite.

    Notes
    -----
    Until the step to rewind to, a single network trains; from there on, with a new optimizer, the particles do. After
    averaging, the statistics of batch norm are recomputed on the training images. Choi et al. train at a constant rate
    while they average; here the rate is that of the optimizer throughout.

    References
    ----------
    Choi et al. 2024; averaging: Izmailov et al. 2018.

    Examples
    --------
    >>> import zimp
    >>> record = zimp.swamp(
    ...     lambda: zimp.lenet_300_100(64), zimp.load_data("digits"), levels=2, steps=50, progress=False
    ... )
    >>> record.curve("kept").tolist()
    [[50200, 40160, 32128]]
    >>> bool((record.curve("test_accuracy") > 0.8).all())
    True
    """
    trained = Particles(particles, averaged, steps, batch_size, optimizer)
    return iterative_magnitude_pruning(
        build, data, levels=levels, steps=steps, batch_size=batch_size, optimizer=optimizer, seeds=seeds, train=trained,
        **options,
    )  # fmt: skip


@dataclass(frozen=True)
class Particles:
    """The training of one level, as ``train`` of IMP; its text, which names all settings, goes into the record."""

    particles: int
    averaged: float
    steps: int
    batch_size: int
    optimizer: object

    def __post_init__(self):
        if check_count("particles", self.particles, 0) == 0:
            raise ValueError("particles=0 is below 1, so nothing is trained; one particle is IMP with averaging")
        if not 0 <= number("averaged", self.averaged) <= 1:
            raise ValueError(
                f"averaged={self.averaged!r} must lie in [0, 1]: it is the share of the training over which weights "
                "are averaged, not a number of steps"
            )

    def __call__(self, model, masks, split, *, start, steps, seed, hold):
        check_statistics(model, split)
        settings = {"start": start, "steps": steps, "batch_size": self.batch_size, "optimizer": self.optimizer}
        if steps < self.steps:  # on the way to the step to rewind to
            return train(model, masks, split, seed=seed, **settings)[0]
        models = [model, *(copy.deepcopy(model) for _ in range(1, self.particles))]
        seeds = orders(seed, self.particles)
        losses = train_particles(models, masks, split, seeds=seeds, averaged=self.averaged, **settings)
        average(models, masks, split)
        return sum(losses) / len(losses)


def orders(seed, particles) -> list[int]:
    """For each particle of a seed, the seed of its order of batches; of the first it is the seed itself."""
    return [(seed + BETWEEN * k) % 2**63 for k in range(particles)]


def train_particles(models, masks, split, *, seeds, steps, averaged=0.25, start=0, batch_size=60, optimizer=adam):
    """Train networks of one architecture under one mask, and give each the mean of its weights over its last steps.

    Parameters
    ----------
    models : list of torch.nn.Module
        Trained in place.
    masks : dict of str to boolean tensor, or None
        Of all of them.
    split, steps, start, batch_size, optimizer
        As :func:`zimp.train`.
    seeds : list of int
        For each network, of the order of its batches.
    averaged : float
        As :func:`zimp.swamp`.

    Returns
    -------
    list of float
        The loss of each, before averaging, on its last batch.

    Examples
    --------
    >>> import zimp
    >>> from zimp.lab.swamp import average, train_particles
    >>> data, models = zimp.load_data("digits"), [zimp.lenet_300_100(64)]
    >>> losses = train_particles(models, None, data.train, seeds=[0], steps=100)
    >>> zimp.accuracy(models[0], data.test) > 0.8
    True
    """
    steps, start, batch_size = check_training(split, steps, start, batch_size, optimizer, None)
    first = steps - max(1, round(averaged * (steps - start)))  # its weights, and those of all later steps
    trained, means = [], []

    def with_means(parameters):
        stepper = optimizer(parameters)
        trained.extend(_all(stepper))
        step, numbers = stepper.step, count(start)

        def step_and_average():  # in the place of step, as torch's schedulers do
            step()
            if next(numbers) >= first:
                now = nn.ParameterList(_all(stepper))  # together: the stacks of all networks
                means[:] = means or [AveragedModel(now)]
                means[0].update_parameters(now)

        stepper.step = step_and_average
        return stepper

    settings = {"steps": steps, "start": start, "batch_size": batch_size, "optimizer": with_means}
    if len(models) == 1:
        results = [train(models[0], masks, split, seed=seeds[0], **settings)]
        of_each = [means[0].module]
    else:
        try:
            results = train_together(models, [masks] * len(models), split, seeds=seeds, **settings)
        except TrainingDiverged as error:
            raise TrainingDiverged(f"particle {error.replicate}: {error}") from None
        of_each = zip(*map(turned, means[0].module))
    places = {id(parameter): place for place, parameter in enumerate(models[0].parameters())}
    with torch.no_grad():
        for model, own in zip(models, of_each):
            parameters = list(model.parameters())
            for parameter, mean in zip(trained, own):
                parameters[places[id(parameter)]].copy_(mean)
            apply_masks(model, masks)
    return [loss for loss, _ in results]


def average(models, masks, split):
    """Give the first of several networks the mean of the parameters of all, and recompute its batch norm.

    Parameters
    ----------
    models : list of torch.nn.Module
        Of one architecture, whose running statistics are those of batch norm alone.
    masks : dict of str to boolean tensor, or None
    split : Split
        Images on which to recompute the statistics of batch norm.

    Examples
    --------
    >>> import torch, zimp
    >>> from zimp.lab.swamp import average
    >>> models = [zimp.lenet_300_100(64) for _ in range(3)]
    >>> expected = sum(model.fc1.weight for model in models) / 3
    >>> average(models, None, zimp.load_data("digits").train)
    >>> torch.allclose(models[0].fc1.weight, expected)
    True
    """
    with torch.no_grad():
        for first, *others in zip(*(model.parameters() for model in models)):
            first.copy_(torch.stack([first, *others]).mean(dim=0))
    apply_masks(models[0], masks)
    update_bn(split.x.tensor_split(math.ceil(len(split.x) / EVALUATED)), models[0])


def check_statistics(model, split):
    """Refuse running statistics that cannot be recomputed for an average of networks."""
    for name, layer in model.named_modules():
        if isinstance(layer, _NormBase) and layer.track_running_stats:
            if not isinstance(layer, _BatchNorm):
                raise ValueError(
                    f"{name or 'the network'} is a {type(layer).__name__} with running statistics, which would be "
                    "wrong for an average of networks; only those of batch norm are recomputed. Build it with "
                    "track_running_stats=False"
                )
            if len(split.y) < 2:
                raise ValueError(
                    f"{name or 'the network'} is batch norm, whose statistics are recomputed for the average, but the "
                    "training split has 1 image; a variance needs at least two. Was one image meant as a batch?"
                )


def _all(optimizer) -> list:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
