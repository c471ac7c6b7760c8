"""The studies of the page on the landscape: what the scales of neurons change, how wide basins are, and what is stiff.

:func:`factors` compares trees and curvature across gauges, :func:`twins` asks again, in fixed gauges, what the page on
basins asked; :func:`widths` compares basins of masks with and without the tree, and :func:`stiffness` tree edges with
others of their size.
"""

from __future__ import annotations

import copy
from functools import partial
from itertools import islice

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ..layers import prunable
from ..pruning import magnitude_mask, prune, random_mask
from ..topology import spanning_forest
from .basins import compare, overlaps, random_tree_mask
from .data import load_data
from .gauge import in_gauge
from .imp import iterative_magnitude_pruning
from .landscape import Surface, basin_radii, top_eigenvalue
from .models import lenet_300_100
from .training import accuracy, adam, batches, hold, train

__all__ = ["hessian_diagonal", "factors", "twins", "widths", "stiffness"]


def hessian_diagonal(model, x, masks=None) -> dict[str, torch.Tensor]:
    """The diagonal of the Hessian of the mean cross-entropy in the weights of dense layers with ReLU, exactly.

    In the weights of one layer the outputs of such a network are piecewise linear, so within a layer nothing but the
    curvature of the cross-entropy itself is left, weighted by squared slopes: the Gauss-Newton matrix. Labels play no
    part in it.

    Parameters
    ----------
    model : torch.nn.Sequential
    x : tensor
        Images.
    masks : dict of str to boolean tensor, optional
        Which weights are left; the network has zeros in the place of the others.

    Returns
    -------
    dict of str to tensor
        For each weight a tensor of its shape, with zeros where none is left.

    Examples
    --------
    >>> import torch, zimp
    >>> from zimp.lab.flatness import hessian_diagonal
    >>> _ = torch.manual_seed(0)
    >>> model, test = zimp.small_mlp(), zimp.load_data("digits").test
    >>> exact = sum(float(part.sum()) for part in hessian_diagonal(model, test.x).values())
    >>> trace = zimp.hessian_trace(model, test, probes=50, seed=0)
    >>> abs(trace.estimate - exact) < 4 * trace.standard_error
    True
    """
    inputs, sums = {}, {}
    for name, layer in model.named_children():
        if isinstance(layer, nn.Linear):
            inputs[name] = x.detach()
        x = layer(x)
        if isinstance(layer, nn.Linear):
            sums[name] = x
    shares, curvature = x.detach().softmax(dim=1), dict.fromkeys(sums, 0)
    slopes = [torch.autograd.grad(output.sum(), list(sums.values()), retain_graph=True) for output in x.T]
    for k, name in enumerate(sums):
        each = torch.stack([slope[k] for slope in slopes], dim=2)  # image, neuron, output
        mean = (each * shares[:, None]).sum(dim=2, keepdim=True)
        curvature[name] = ((each - mean).square() * shares[:, None]).sum(dim=2)
    found = {f"{name}.weight": curvature[name].T @ inputs[name].square() / len(x) for name in sums}
    return found if masks is None else {name: part * masks[name] for name, part in found.items()}


def factors(seed, *, data, steps, gauges, density) -> list[dict]:
    """One trained network in several gauges: trees, curvature, and what magnitude pruning does then.

    Parameters
    ----------
    seed : int
    data : str
    steps : int
    gauges : sequence
        As ``zimp.lab.gauge.in_gauge`` takes them.
    density : float
        To which each layer is pruned, at once.

    Returns
    -------
    list of dict
        One row for each gauge: of each layer the ``share`` of its tree that is still in it, the corrected overlap of
        the ``tree``s, and of equally many ``largest`` weights; the ``accuracy`` after pruning, and that of the
        ``ticket``: the mask, trained from the first weights; ``trace`` and ``top`` eigenvalue of the Hessian, and
        ``own_trace`` and ``own_top``, with each weight measured by its own size.
    """
    data, rows = load_data(data), []
    torch.manual_seed(seed)
    start = lenet_300_100(data.train.x[0].numel())
    model = copy.deepcopy(start)
    train(model, None, data.train, steps=steps, seed=seed)
    for gauge in gauges:
        scaled, row = in_gauge(model, gauge, seed), {"gauge": str(gauge)}
        for (name, a), b in zip(prunable(model).items(), prunable(scaled).values()):
            layer, kept = name.removesuffix(".weight"), torch.ones_like(a, dtype=torch.bool)
            row[f"{layer}_share"] = float(spanning_forest(b).mask[spanning_forest(a).mask].mean())
            row[f"{layer}_tree"], row[f"{layer}_largest"] = overlaps(a.detach(), b.detach(), kept)
        masks, ticket, split = prune(scaled, rate=1 - density), copy.deepcopy(start), data.train
        train(ticket, masks, split, steps=steps, seed=seed)
        for name, weight in prunable(pruned := copy.deepcopy(scaled)).items():
            weight.data *= masks[name]
        row |= {"accuracy": accuracy(pruned, data.test), "ticket": accuracy(ticket, data.test)}
        row["trace"], row["own_trace"], _ = _traces(scaled, split)
        for own, scale in (("", "one"), ("own_", "weight")):
            row[f"{own}top"] = top_eigenvalue(scaled, split, seed=seed, scale=scale)
        rows.append(row)
    return rows


def _traces(model, split, masks=None) -> tuple[float, float, int]:
    """The Hessian's trace in the weights left, that with each measured by its own size, and how many have a part."""
    left, weights = hessian_diagonal(model, split.x, masks), prunable(model)
    return (sum(part.sum().item() for part in left.values()),
            sum((part * weights[name].detach().square()).sum().item() for name, part in left.items()),
            sum(int((part > 0).sum()) for part in left.values()))  # fmt: skip


def twins(seed, *, data, rates, steps, gauges) -> list[dict]:
    """Pairs of networks with one start and two orders of batches, compared in several gauges.

    Parameters
    ----------
    seed : int
    data : str
    rates : sequence of float
        Learning rates of Adam.
    steps : int
    gauges : sequence
        As ``zimp.lab.gauge.in_gauge`` takes them.

    Returns
    -------
    list of dict
        One row for each rate and gauge, of what :func:`zimp.lab.basins.compare` measures. The twins are those of
        :func:`zimp.lab.basins.twins` that part at step 0.
    """
    data, rows = load_data(data), []
    for rate in rates:
        torch.manual_seed(seed)
        pair = [lenet_300_100(data.train.x[0].numel())]
        pair.append(copy.deepcopy(pair[0]))
        for order, model in enumerate(pair, 1):
            train(model, None, data.train, steps=steps, seed=1000 * order + seed,
                  optimizer=partial(torch.optim.Adam, lr=rate, fused=True))  # fmt: skip
        for gauge in gauges:
            rows.append({"rate": rate, "gauge": str(gauge),
                         **compare(*(in_gauge(model, gauge) for model in pair), data)})  # fmt: skip
    return rows


def widths(seed, *, data, share, levels, steps, arms, rise, target, longest, directions) -> list[dict]:
    """How wide the basin of a ticket is, with the tree and without, at equal layer sizes.

    Parameters
    ----------
    seed : int
    data : str
    share : float
        Of the remaining weights to prune at each level, but never a tree: all arms have the layer sizes of T-IMP.
    levels : sequence of int
        At which to measure.
    steps : int
        Of each training between the levels.
    arms : sequence of str
        ``"topological"``, ``"magnitude"``, ``"random"``, or ``"random_tree"``: a random tree, then the largest weights.
        ``"random"`` is measured at the first of the levels only; later it hardly trains.
    rise : float
        The cutoff lies so far above the training loss.
    target : float
        To measure, the mask is trained once more, from the first weights, until the training loss is no larger.
    longest : int
        Steps after which that training gives up.
    directions : int

    Returns
    -------
    list of dict
        One row for each arm and level: the training ``loss``, test ``accuracy``, and steps ``taken``; the mean of the
        logarithm of the radius and its ``spread`` over the directions, scaled by ``neuron`` and by ``weight``;
        ``trace`` and ``own_trace`` per weight; the share of the weights that are ``idle``, because no image reaches
        them or they reach no output; and the share of the tree before pruning that the masks of both hidden layers
        ``kept``.
    """
    data, rows = load_data(data), []
    build = partial(lenet_300_100, data.train.x[0].numel())
    for arm in arms:
        rows += _arm(seed, arm, build, data, share, levels, steps, rise, target, longest, directions)
    return rows


def _arm(seed, arm, build, data, share, levels, steps, rise, target, longest, directions):
    found, split = [], data.train

    def rule(model, masks, level, generator):
        chosen = prune(model, masks, rate=share, criterion="topological")
        if arm == "topological":
            return chosen
        choose = {"random": partial(random_mask, generator=generator), "magnitude": magnitude_mask,
                  "random_tree": partial(random_tree_mask, generator=generator)}[arm]  # fmt: skip
        return {name: choose(w, int(chosen[name].sum()), masks[name]) for name, w in prunable(model).items()}

    def on_level(seed, level, model, masks):
        if level not in (levels[:1] if arm == "random" else levels):
            return
        torch.manual_seed(seed)
        again = build()
        taken = _train_to(again, masks, split, target, longest, seed)
        surface = Surface(again, split, masks)
        loss, row = surface.loss(surface.weights), {"arm": arm, "level": level, "taken": taken}
        row |= {"loss": loss, "accuracy": accuracy(again, data.test)}
        for scale in ("neuron", "weight"):
            logs = np.log(basin_radii(again, split, cutoff=loss + rise, directions=directions, masks=masks, seed=seed,
                                      scale=scale))  # fmt: skip
            row |= {scale: float(logs.mean()), f"{scale}_spread": float(logs.std(ddof=1))}
        trace, own, curved = _traces(again, split, masks)
        row |= {"trace": trace / len(surface.weights), "own_trace": own / len(surface.weights)}
        found.append(row | {"idle": 1 - curved / len(surface.weights)})

    last = levels[0] if arm == "random" else max(levels)
    record = iterative_magnitude_pruning(build, data, levels=last, criterion=rule, steps=steps, seeds=seed,
                                         progress=False, on_level=on_level)  # fmt: skip
    for row in found:
        layers = record.rows[row["level"]]["layers"]
        row["kept"] = float(np.mean([layers[name]["tree_kept"] for name in ("fc1.weight", "fc2.weight")]))
    return found


def _train_to(model, masks, split, target, longest, seed) -> int:
    """Train until the loss over all images is at most the target; the steps that it took."""
    optimizer = adam(model.parameters())
    with hold(optimizer, model, masks):
        for step, batch in enumerate(islice(batches(len(split.y), 60, seed), longest), 1):
            optimizer.zero_grad()
            cross_entropy(model(split.x[batch]), split.y[batch]).backward()
            optimizer.step()
            if step % 10 == 0:
                with torch.no_grad():
                    if cross_entropy(model(split.x), split.y) <= target:
                        return step
    return longest


def stiffness(seed, *, data, steps, gauges, close) -> list[dict]:
    """Tree edges, and for each the weight of the same neuron that is closest in size and in no tree: which is stiffer?

    Parameters
    ----------
    seed : int
    data : str
    steps : int
    gauges : sequence
        As ``zimp.lab.gauge.in_gauge`` takes them.
    close : float
        Pairs whose sizes differ by a larger share are left out.

    Returns
    -------
    list of dict
        One row for each gauge and layer: the ``pairs``' share of the tree; the mean difference of the logarithms of
        their diagonal entries of the Hessian, ``matched``; and the same with any other weight of the
        neuron, drawn at random, ``unmatched``.
    """
    data, rows = load_data(data), []
    torch.manual_seed(seed)
    model = lenet_300_100(data.train.x[0].numel())
    train(model, None, data.train, steps=steps, seed=seed)
    for gauge in gauges:
        scaled, generator = in_gauge(model, gauge, seed), np.random.default_rng(seed)
        for name, curvature in hessian_diagonal(scaled, data.train.x).items():
            size, stiff = prunable(scaled)[name].detach().abs().numpy(), curvature.numpy()
            used = stiff > 0  # not from a pixel that is always 0, nor into a dead neuron
            tree, logs = spanning_forest(size).mask, np.log(np.where(used, stiff, 1))
            found = {"matched": [], "unmatched": []}
            for row, col in zip(*np.nonzero(tree & used)):
                others = np.flatnonzero(~tree[row] & used[row])
                if len(others):
                    nearest = others[np.abs(size[row, others] - size[row, col]).argmin()]
                    if abs(size[row, nearest] / size[row, col] - 1) <= close:
                        found["matched"].append(logs[row, col] - logs[row, nearest])
                    found["unmatched"].append(logs[row, col] - logs[row, generator.choice(others)])
            rows.append({"gauge": str(gauge), "layer": name.removesuffix(".weight"),
                         "pairs": len(found["matched"]) / int(tree.sum()),
                         **{key: float(np.mean(values)) for key, values in found.items()}})  # fmt: skip
    return rows
