"""The studies of the page on SWAMP: what averaging does to accuracy, to the share of the tree kept, and to the tree.

:func:`accuracies` runs SWAMP beside its relatives; :func:`shares` prunes averages of more and more particles of one
ticket; :func:`pairs` compares the averages of two groups of particles that have none in common.
"""

from __future__ import annotations

import copy
from functools import partial

import torch

from ..layers import prunable
from ..pruning import magnitude_mask
from ..topology import count_components, spanning_forest
from .basins import living, overlaps
from .data import load_data
from .imp import iterative_magnitude_pruning
from .models import lenet_300_100
from .swamp import Particles, average, orders, swamp, train_particles
from .training import accuracy, adam, train

__all__ = ["accuracies", "shares", "pairs"]

ARMS = ("IMP", "IMP, averaged", "IMP, longer", "IMP, other order", "SWAMP")


def accuracies(seed, *, data, share, levels, steps, particles, crossed=0, arms=ARMS) -> list[dict]:
    """Iterative pruning by SWAMP, and by methods that have only a part of what makes it.

    Parameters
    ----------
    seed : int
    data : str
        As :func:`zimp.load_data` takes it.
    share : float
        Of the remaining weights of each layer to prune at each level.
    levels, steps, particles : int
    crossed : int
        The level from which on networks are trained under the masks of others.
    arms : sequence of str
        Which of ``ARMS`` to run; IMP is among them. The ensemble needs IMP with the other order.

    Returns
    -------
    list of dict
        One row for each arm and level: test ``accuracy``, ``pieces`` of the mask of the first layer, and ``agree``, how
        many of its weights IMP has kept too, corrected for chance. The arms: ``"IMP"``; ``"IMP, averaged"``, SWAMP with
        one particle; ``"IMP, longer"``, with as many steps as all particles have together; ``"IMP, other order"`` of
        batches, and the ``"ensemble"`` of this and of IMP; ``"SWAMP"``. Two train anew under the masks of others:
        ``"IMP mask, SWAMP weights"`` by particles, ``"SWAMP mask, IMP weights"`` by a single training.
    """
    data, masks, outputs = load_data(data), {}, {}
    build = partial(lenet_300_100, data.train.x[0].numel())

    def other_order(model, masks, split, *, start, steps, seed, hold):
        return train(model, masks, split, start=start, steps=steps, seed=orders(seed, 2)[1])[0]

    def note(arm, seed, level, model, kept):
        masks[arm, level] = {name: mask.clone() for name, mask in kept.items()}
        outputs[arm, level] = _probabilities(model, data.test.x)

    methods = {
        "IMP": (iterative_magnitude_pruning, {"steps": steps}),
        "IMP, averaged": (swamp, {"steps": steps, "particles": 1}),
        "IMP, longer": (iterative_magnitude_pruning, {"steps": steps * particles}),
        "IMP, other order": (iterative_magnitude_pruning, {"steps": steps, "train": other_order}),
        "SWAMP": (swamp, {"steps": steps, "particles": particles}),
    }
    for arm in arms:
        (method, settings), on_level = methods[arm], partial(note, arm)
        method(build, data, levels=levels, rate=share, seeds=seed, progress=False, on_level=on_level, **settings)
    for level in range(levels + 1):
        if "IMP, other order" in arms:
            masks["ensemble", level] = masks["IMP", level]
            outputs["ensemble", level] = outputs["IMP", level] + outputs["IMP, other order", level]
        if level < crossed:
            continue
        for arm, particles_used, averaged, of in (
            ("IMP mask, SWAMP weights", particles, 0.25, "IMP"),
            ("SWAMP mask, IMP weights", 1, 0, "SWAMP"),
        ):
            torch.manual_seed(seed)
            model = build()
            again = Particles(particles_used, averaged, steps, 60, adam)
            again(model, masks[of, level], data.train, start=0, steps=steps, seed=seed, hold=None)
            note(arm, seed, level, model, masks[of, level])
    rows = []
    for (arm, level), output in outputs.items():
        mine, its = masks[arm, level]["fc1.weight"], masks["IMP", level]["fc1.weight"]
        density = float(its.float().mean())
        common = float((mine & its).sum() / its.sum())
        rows.append({
            "arm": arm, "level": level, "accuracy": float((output.argmax(dim=1) == data.test.y).float().mean()),
            "pieces": count_components(mine), "agree": 1.0 if density == 1 else (common - density) / (1 - density),
        })  # fmt: skip
    return rows


@torch.no_grad()
def _probabilities(model, x):
    return model.eval()(x).softmax(dim=1)


def _masks_at(levels, seed, data, build, share, steps) -> dict:
    """The masks of a run of IMP at some of its levels."""
    masks = {}

    def keep(seed, level, model, kept):
        masks[level] = {name: mask.clone() for name, mask in kept.items()}

    iterative_magnitude_pruning(
        build, data, levels=max(levels), rate=share, steps=steps, seeds=seed, progress=False, on_level=keep
    )
    return {level: masks[level] for level in levels}


def shares(seed, *, data, share, levels, steps, counts, keeps) -> list[dict]:
    """The share of the tree that pruning keeps, of averages of more and more particles under one mask.

    Parameters
    ----------
    seed : int
    data : str
    share : float
        Of the remaining weights that IMP prunes at each level.
    levels : list of int
        Of IMP, whose masks are the tickets.
    steps : int
    counts : list of int
        Of particles.
    keeps : list of float
        Shares of the weights that are left of a layer; its largest are kept.

    Returns
    -------
    list of dict
        One row for each level and arm: test ``accuracy``, and for each layer and each of ``keeps`` the share of the
        layer's tree among the weights kept. The arms: ``"last"``, the last weights of one training; the ``counts``;
        ``"longer"``, one training with the steps of all; ``"starts"``, the average over as many different starts.
    """
    data, rows, most = load_data(data), [], max(counts)
    build = partial(lenet_300_100, data.train.x[0].numel())
    seeds = orders(seed, most)
    for level, masks in _masks_at(levels, seed, data, build, share, steps).items():
        settings = {"masks": masks, "split": data.train}
        starts = []
        for one in seeds:
            torch.manual_seed(one)
            starts.append(build())
        networks = {"last": copy.deepcopy(starts[0]), "longer": copy.deepcopy(starts[0])}
        particles = [copy.deepcopy(starts[0]) for _ in seeds]
        train(networks["last"], **settings, steps=steps, seed=seed)
        train_particles(particles, **settings, steps=steps, seeds=seeds)
        for count in counts:
            networks[str(count)] = _average(particles[:count], **settings)
        train(networks["longer"], **settings, steps=steps * most, seed=seed)
        train_particles(starts, **settings, steps=steps, seeds=seeds)
        networks["starts"] = _average(starts, **settings)
        for arm, model in networks.items():
            row = {"level": level, "arm": arm, "accuracy": accuracy(model, data.test)}
            for name, weight in prunable(model).items():
                tree, mask = spanning_forest(weight, masks[name]).mask, masks[name]
                for keep in keeps:
                    kept = magnitude_mask(weight, round(keep * int(mask.sum())), mask)
                    row[f"{name.removesuffix('.weight')}_{keep}"] = float(kept.numpy()[tree].mean())
            rows.append(row)
    return rows


def pairs(seed, *, data, share, levels, steps, counts) -> list[dict]:
    """How far two averages agree, of two groups of particles of one ticket that have none in common.

    Parameters
    ----------
    seed, data, share, levels, steps
        As :func:`shares`.
    counts : list of int
        Of particles in each group; there are twice the largest, and smaller groups are formed as often as they fit.

    Returns
    -------
    list of dict
        One row for each level, for averages over the last quarter of the ``steps`` or ``"last"`` weights, and for each
        count, of means over the pairs. For each hidden layer between neurons that live in both: the corrected overlap
        of the ``tree``s, that of equally many ``largest`` weights, and the share ``alive``; of all neurons the overlap
        of the trees, ``all``. For the whole layer, in units of its largest weight: ``deaths``, the largest difference
        of the sorted deaths, ``change``, that of a weight, and ``typical``, the root of the mean square over weights.
    """
    data, rows, most = load_data(data), [], max(counts)
    build = partial(lenet_300_100, data.train.x[0].numel())
    for level, masks in _masks_at(levels, seed, data, build, share, steps).items():
        for weights, averaged in (("averaged", 0.25), ("last", 0)):
            torch.manual_seed(seed)
            start = build()
            particles = [copy.deepcopy(start) for _ in range(2 * most)]
            seeds = orders(seed, 2 * most)
            train_particles(particles, masks, data.train, steps=steps, seeds=seeds, averaged=averaged)
            for count in counts:
                measured = [
                    _compare(*(_average(particles[first : first + count], masks, data.train)
                               for first in (begin, most + begin)), masks, data)
                    for begin in range(0, most, count)
                ]  # fmt: skip
                means = {key: sum(one[key] for one in measured) / len(measured) for key in measured[0]}
                rows.append({"level": level, "weights": weights, "particles": count, **means})
    return rows


def _average(models, masks, split):
    """The average of networks, which stay as they are."""
    mean = copy.deepcopy(models[0])
    average([mean, *models[1:]], masks, split)
    return mean


def _compare(one, other, masks, data) -> dict:
    alive = [a & b for a, b in zip(living(one, data.train.x), living(other, data.train.x))]
    measured = {}
    for (name, a), b, rows, cols in zip(prunable(one).items(), prunable(other).values(), alive[1:], alive):
        a, b, mask, layer = a.detach(), b.detach(), masks[name], name.removesuffix(".weight")
        tree, largest = overlaps(*(part[rows][:, cols] for part in (a, b, mask)))
        forests = [spanning_forest(weights, mask) for weights in (a, b)]
        scale = max(forest.scale for forest in forests)
        change = (a.abs() - b.abs())[mask].double() / scale
        measured |= {
            f"{layer}_tree": tree, f"{layer}_largest": largest, f"{layer}_alive": float(rows.float().mean()),
            f"{layer}_all": overlaps(a, b, mask)[0],
            f"{layer}_deaths": float(abs(forests[0].values - forests[1].values).max() / scale),
            f"{layer}_change": float(change.abs().max()), f"{layer}_typical": float(change.square().mean().sqrt()),
        }  # fmt: skip
    return measured
