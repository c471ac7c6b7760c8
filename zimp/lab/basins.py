"""The studies of the page on basins: pairs of networks, the barrier between them, and how far their trees agree.

:func:`twins` trains networks from one start with two orders of batches; :func:`successive` prunes level by level, and
compares each network with the one that it was pruned from.
"""

from __future__ import annotations

import copy
import math
from functools import partial
from itertools import islice

import torch
from torch import nn
from torch.nn.functional import cosine_similarity, cross_entropy

from ..layers import prunable
from ..pruning import magnitude_mask, prune, random_mask, topological_mask
from ..topology import spanning_forest, tree_overlap
from .connectivity import METRICS, barrier, mean_over
from .data import load_data
from .imp import iterative_magnitude_pruning
from .models import lenet_300_100
from .training import accuracy, batches, train

__all__ = ["twins", "successive", "compare"]


def twins(seed, *, data, rates, rewinds, steps) -> list[dict]:
    """Pairs of networks with one start and two orders of batches, and pairs of two starts, rate by rate.

    Parameters
    ----------
    seed : int
    data : str
        As :func:`zimp.load_data` takes it.
    rates : sequence of float
        Learning rates of Adam.
    rewinds : sequence of int
        The steps at which the twins part; -1 for two starts, which share nothing.
    steps : int
        At which they end.

    Returns
    -------
    list of dict
        One row for each rate and step of parting, of what :func:`compare` measures; and ``moved``, how far the first
        network ends from its start, in norms of the start.
    """
    data, rows = load_data(data), []
    for rate in rates:
        optimizer = partial(torch.optim.Adam, lr=rate, fused=True)
        for rewind in rewinds:
            torch.manual_seed(seed)
            start = lenet_300_100(data.train.x[0].numel())
            parting = copy.deepcopy(start)
            if rewind > 0:
                train(parting, None, data.train, steps=rewind, seed=seed, optimizer=optimizer)
            pair = [parting, copy.deepcopy(parting) if rewind >= 0 else lenet_300_100(data.train.x[0].numel())]
            for order, model in enumerate(pair, 1):
                train(model, None, data.train, start=max(rewind, 0), steps=steps, seed=1000 * order + seed,
                      optimizer=optimizer)  # fmt: skip
            moved = ((_flat(pair[0]) - _flat(start)).norm() / _flat(start).norm()).item()
            rows.append({"rate": rate, "rewind": rewind, "moved": round(moved, 4), **compare(*pair, data)})
    return rows


def successive(seed, *, data, rates, share, levels, steps, arms, repel=2.0) -> list[dict]:
    """Each trained network of a run of iterative pruning, compared with the one that it was pruned from.

    Parameters
    ----------
    seed : int
    data : str
    rates : sequence of float
        Learning rates of Adam.
    share : float
        Of the remaining weights to prune at each level, but never a tree: all arms have the layer sizes of T-IMP.
    levels, steps : int
    arms : sequence of str
        ``"magnitude"``, ``"topological"``, ``"random_tree"`` or ``"random"``, each also with ``" repelled"``: trained
        with the loss of Maene et al. 2021, which keeps it away from all earlier networks. With ``"magnitude"`` come the
        rows of ``"reinitialised"``: its masks, trained from weights that are drawn anew.
    repel : float
        The weight of that loss.

    Returns
    -------
    list of dict
        One row for each rate, arm and level, of what :func:`compare` measures between the networks before and after
        pruning.
    """
    data, rows = load_data(data), []
    build = partial(lenet_300_100, data.train.x[0].numel())
    for rate in rates:
        optimizer = partial(torch.optim.Adam, lr=rate, fused=True)
        for arm in arms:
            for name, level, measured in _arm(seed, arm, build, data, optimizer, share, levels, steps, repel):
                rows.append({"rate": rate, "arm": name, "level": level, **measured})
    return rows


def _arm(seed, arm, build, data, optimizer, share, levels, steps, repel):
    method, _, repelled = arm.partition(" ")
    optima, found = [], []

    def on_level(seed, level, model, masks):
        after = {arm: model}
        if arm == "magnitude" and optima:
            torch.manual_seed(1000 * level + seed)
            after["reinitialised"] = build()
            train(after["reinitialised"], masks, data.train, steps=steps, seed=seed, optimizer=optimizer)
        for name, network in after.items() if optima else ():
            found.append((name, level, compare(optima[-1], network, data, masks)))
        optima.append(copy.deepcopy(model))

    def rule(model, masks, level, generator):
        chosen = prune(model, masks, rate=share, criterion="topological")
        if method == "topological":
            return chosen
        sizes = {name: int(keep.sum()) for name, keep in chosen.items()}
        choose = partial(random_mask, generator=generator) if method == "random" else magnitude_mask
        if method == "random_tree":
            choose = partial(random_tree_mask, generator=generator)
        return {name: choose(w, sizes[name], masks[name]) for name, w in prunable(model).items()}

    def away(model, masks, split, *, start, steps, seed, hold):
        earlier = [_flat(optimum, masks).detach() for optimum in optima]
        stepper = optimizer(model.parameters())
        hold(stepper)
        for batch in islice(batches(len(split.y), 60, seed), start, steps):
            loss = cross_entropy(model(split.x[batch]), split.y[batch])
            for optimum in earlier:
                loss = loss + repel / len(earlier) * cosine_similarity(_flat(model), optimum, dim=0) ** 2
            stepper.zero_grad()
            loss.backward()
            stepper.step()
        return loss.item()

    iterative_magnitude_pruning(
        build, data, levels=levels, criterion=rule, steps=steps, optimizer=optimizer, seeds=seed, progress=False,
        on_level=on_level, train=away if repelled else None,
    )  # fmt: skip
    return found


def random_tree_mask(weight, keep, mask, generator):
    """A spanning tree of random numbers in place of the weights, and the largest of the other weights."""
    numbers = torch.rand(weight.shape, dtype=torch.float64, generator=generator)
    edges = sum(weight.shape) - 1  # all masks before were connected
    tree = topological_mask(numbers, edges, mask)
    return tree | magnitude_mask(weight, keep - edges, mask & ~tree)


def compare(before, after, data, masks=None) -> dict:
    """Barriers between two LeNets, and how far they agree; a word stands for a number that is not defined.

    Parameters
    ----------
    before, after : torch.nn.Module
    data : Data
    masks : dict of str to boolean tensor, optional
        Of ``after``: what ``before`` was pruned to. Trees are grown in it on both sides.

    Returns
    -------
    dict
        ``error`` and ``loss``, the barriers on test images, as ``height`` and ``height_linear``; ``middle``, the excess
        of the loss half-way; the test ``accuracy`` of ``after``; ``train_loss``, the larger of both;
        ``angle`` between the weights of both, from 0 to 1 (Maene et al. 2021). For each hidden layer ``alive``, the
        share of its neurons that are not dead in either; between living neurons the corrected overlap of the ``tree``s
        and that of equally many ``largest`` weights; and that of the trees with the dead, ``all``.
    """
    line, loss = (barrier(before, after, data.test, points=21, metric=metric) for metric in METRICS)
    cosine = cosine_similarity(_flat(before, masks), _flat(after), dim=0).item()
    row = {
        "error": line.height, "loss": loss.height_linear, "middle": loss.values[10] - loss.values[[0, -1]].mean(),
        "accuracy": accuracy(after, data.test),
        "train_loss": max(mean_over(METRICS["loss"], model.eval(), data.train) for model in (before, after)),
        "angle": 2 / math.pi * math.acos(min(1.0, max(-1.0, cosine))),
    }  # fmt: skip
    alive = [a & b for a, b in zip(living(before, data.train.x), living(after, data.train.x))]
    for (name, a), b, rows, cols in zip(prunable(before).items(), prunable(after).values(), alive[1:], alive):
        layer, keep = name.removesuffix(".weight"), torch.ones_like(a, dtype=torch.bool)
        keep = keep if masks is None else masks[name]
        tree, largest = overlaps(*(part[rows][:, cols] for part in (a.detach(), b.detach(), keep)))
        row |= {f"{layer}_alive": float(rows.float().mean()), f"{layer}_tree": tree, f"{layer}_largest": largest}
        row[f"{layer}_all"] = overlaps(a.detach(), b.detach(), keep)[0]
    return {key: value if isinstance(value, str) else round(value, 4) for key, value in row.items()}


def _flat(model, masks=None):
    """All prunable weights in one row, those outside the masks as 0."""
    weights = prunable(model).items()
    return torch.cat([(weight if masks is None else weight * masks[name]).flatten() for name, weight in weights])


@torch.no_grad()
def living(model, x) -> list:
    """For the inputs and each hidden layer, which are not 0 for every image; the outputs are not asked."""
    alive = []
    for layer in model:
        if isinstance(layer, nn.Linear):
            alive.append((x != 0).any(dim=0))
        x = layer(x)
    return alive


def overlaps(a, b, mask) -> tuple:
    """Corrected overlap of the trees of two layers in one mask, and of equally many largest weights."""
    undefined = "undefined"
    if mask.sum() < 2:
        return undefined, undefined
    forests = [spanning_forest(weights, mask) for weights in (a, b)]
    tree = tree_overlap(*forests, mask)
    size, chance = len(forests[0]), len(forests[0]) / int(mask.sum())
    share = int((magnitude_mask(a, size, mask) & magnitude_mask(b, size, mask)).sum()) / size
    if max(chance, tree.chance) > 0.95:  # hardly any edges besides the trees
        return undefined, undefined
    return tree.corrected, (share - chance) / (1 - chance)
