"""Iterative magnitude pruning: train, prune, rewind, level after level; and the record of a run.

:func:`zimp.train` keeps pruned weights at zero, :func:`zimp.prune` chooses the next masks, and
:func:`zimp.iterative_magnitude_pruning` goes round and measures what each level did to the topology of each layer.
"""

from __future__ import annotations

import copy
import json
import math
import os
import platform
from collections import Counter
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from itertools import islice
from operator import index
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from .data import Split
from .layers import layer_graph, prunable, prunable_layers
from .pruning import check_masks, check_prune_arguments, prune
from .topology import count_components, neural_persistence, spanning_forest

__all__ = ["iterative_magnitude_pruning", "train", "accuracy", "adam", "Record", "TrainingDiverged"]


def adam(parameters):
    """Adam with the learning rate 1.2e-3 of Frankle & Carbin (2019).

    Parameters
    ----------
    parameters : iterable of torch.nn.Parameter

    Returns
    -------
    torch.optim.Adam

    Examples
    --------
    >>> import zimp
    >>> zimp.adam(zimp.lenet_300_100().parameters()).defaults["lr"]
    0.0012
    """
    return torch.optim.Adam(parameters, lr=1.2e-3, fused=True)


class TrainingDiverged(RuntimeError):
    """The loss or a weight became NaN or infinite. Out of a run, ``record`` holds the levels that were done before."""


@dataclass
class Record:
    """What a run did: one row for each seed and level.

    Attributes
    ----------
    config : dict
        The arguments of the run; of the optimizer its name and the settings of its groups of parameters.
    versions : dict
        Of the libraries, of Python and of the platform.
    rows : list of dict
        By seed and level: ``seed``, ``level`` (0 is dense), ``kept`` (weights), ``density``, ``train_loss`` (of the
        last batch), ``validation_accuracy``, ``test_accuracy``, and ``layers``, for each layer a dict of

        * ``kept``: weights left;
        * ``beta0``: components of the graph that the mask leaves;
        * ``tree_kept``: share of the spanning forest of the previous level's trained weights that survived the pruning
          which led to this level (1 at level 0);
        * ``h0_unchanged``: whether that pruning left the H0 diagram exactly as it was, in the same unit;
        * ``dense_tree_kept``: share of the spanning tree of the dense trained layer (level 0) that is still there;
        * ``neural_persistence``: of the trained layer, convention ``"rieck"``, with the network's maximum as scale.
    """

    config: dict
    versions: dict
    rows: list[dict] = field(default_factory=list)

    def curve(self, quantity, layer=None) -> np.ndarray:
        """One quantity of all rows.

        Parameters
        ----------
        quantity : str
            A key of the rows; with ``layer``, a key of that layer.
        layer : str, optional

        Returns
        -------
        array of shape ``(seeds, levels + 1)``

        Raises
        ------
        ValueError
            For a quantity or a layer that the record does not hold, or if some seeds have fewer levels than others.
        """
        levels = Counter(row["seed"] for row in self.rows)
        if len(set(levels.values())) != 1:
            raise ValueError("the run stopped before its seeds had equally many levels; read the record's `rows`")
        try:
            values = [row[quantity] if layer is None else row["layers"][layer][quantity] for row in self.rows]
        except KeyError as error:
            raise ValueError(f"the record holds no {error.args[0]!r}; see help(zimp.Record)") from None
        return np.array(values).reshape(len(levels), -1)

    def save(self, path):
        """Write the record to one JSON file; the file appears whole or not at all.

        Parameters
        ----------
        path : path
        """
        write_whole(path, json.dumps(asdict(self), indent=1, allow_nan=False) + "\n")

    @classmethod
    def load(cls, path) -> Record:
        """Read a record that :meth:`save` wrote.

        Parameters
        ----------
        path : path

        Returns
        -------
        Record
            Equal to the one that was saved, to the last bit.

        Raises
        ------
        ValueError
            For a file that is no record.
        """
        try:
            record = cls(**json.loads(Path(path).read_text(encoding="utf-8")))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path} is not a record that zimp saved ({error})") from None
        if [type(part) for part in (record.config, record.versions, record.rows)] != [dict, dict, list]:
            raise ValueError(f"{path} is not a record that zimp saved (its parts are of other types)")
        return record


def iterative_magnitude_pruning(
    build,
    data,
    *,
    levels,
    rate=0.2,
    criterion="magnitude",
    scope="layer",
    rewind=0,
    steps=400,
    batch_size=60,
    optimizer=adam,
    seeds=0,
    device="cpu",
    progress=True,
    on_level=None,
) -> Record:
    """Train, prune, rewind, and again: iterative magnitude pruning, or its topological or random relative.

    Parameters
    ----------
    build : function
        Returns the untrained network, e.g. ``zimp.lenet_300_100``; called anew for each seed, after seeding.
    data : Data
        From :func:`zimp.load_data`.
    levels : int
        How often to prune. The record has one row more: level 0 is the dense network.
    rate, criterion, scope
        As :func:`zimp.prune`: the share of the remaining weights to prune, by which score, by layer or globally. In
        place of them, ``criterion`` may be a rule of your own: a function that is called as ``criterion(model, masks,
        level, generator)`` with the trained network and its masks, and returns the masks of that (the next) level.
    rewind : int or None
        The step of the first training to which the unpruned weights return at each level: 0 is the initialisation, and
        None trains on from where they are (fine-tuning). Training then runs from that step to ``steps``.
    steps : int
        Optimizer steps of the first training.
    batch_size : int
    optimizer : function
        Takes the parameters, returns a ``torch.optim.Optimizer``; called anew at each level, so that no momentum
        outlives a rewinding.
    seeds : int or iterable of int
        One run for each. A seed fixes initialisation (``torch.manual_seed(seed)`` before ``build()``), order of batches
        (:func:`zimp.train`) and random masks; it gives the same rows whatever the other seeds are, bit for bit on the
        same machine.
    device : str or torch.device
    progress : bool
        Whether to show a progress bar.
    on_level : function, optional
        Called as ``on_level(seed, level, model, masks)`` with the trained network of each level.

    Returns
    -------
    Record

    Raises
    ------
    ValueError
        For arguments out of range, and as :func:`zimp.prune`.
    TrainingDiverged
        If the loss or a weight is not finite.

    Notes
    -----
    Whatever stops a run, an interrupt too, carries the levels that were done in its attribute ``record``.

    References
    ----------
    Frankle & Carbin 2019; rewinding to a later step: Frankle et al. 2019; ``criterion="topological"``: Balwani &
    Krzyston 2022.

    Examples
    --------
    >>> import zimp
    >>> record = zimp.iterative_magnitude_pruning(
    ...     lambda: zimp.lenet_300_100(64), zimp.load_data("digits"), levels=2, steps=50, progress=False
    ... )
    >>> record.curve("kept").tolist()
    [[50200, 40160, 32128]]
    """
    levels, steps, batch_size = _count("levels", levels, 0), _count("steps", steps), _count("batch_size", batch_size)
    rewind = None if rewind is None else _count("rewind", rewind, 0)
    if rewind is not None and rewind >= steps:
        raise ValueError(f"rewind={rewind} is not below steps={steps}; no training would be left after rewinding")
    seeds = [_count("seeds", seed, 0) for seed in (seeds if np.iterable(seeds) else [seeds])]
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds={seeds} are not distinct numbers, at least one")
    if isinstance(build, nn.Module):
        raise ValueError(
            "build is a network already; pass the function that builds it, so that the seed can be set before its "
            "weights are drawn"
        )
    for part, (x, y) in zip(data._fields[1:], data[1:]):
        if len(x) == 0 or y.shape != (len(x),):
            raise ValueError(
                f"data.{part} has images {tuple(x.shape)} and labels {tuple(y.shape)}; each image has one label"
            )
    training, validation, test = (Split(split.x.to(device), split.y.to(device)) for split in data[1:])
    config = {
        "build": getattr(build, "__qualname__", repr(build)), "data": data.name, "levels": levels, "rate": rate,
        "criterion": getattr(criterion, "__qualname__", criterion), "scope": scope, "rewind": rewind, "steps": steps,
        "batch_size": batch_size, "seeds": seeds, "device": str(device),
    }  # fmt: skip
    record = Record(_plain(config), versions())

    def recorded_optimizer(parameters):
        built = optimizer(parameters)
        groups = [{key: value for key, value in group.items() if key != "params"} for group in built.param_groups]
        record.config["optimizer"] = _plain({"name": type(built).__name__, "groups": groups})
        return built

    previous = None

    def rows(seed):
        nonlocal previous
        torch.manual_seed(seed)
        model = build()
        if not callable(criterion):
            check_prune_arguments(model, rate, criterion, scope)
        if model is previous:
            raise ValueError("build returned the network of the seed before; it must build a new one at each call")
        previous = model
        model.to(device)
        generator = torch.Generator().manual_seed(seed)
        masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in prunable(model).items()}
        start, early, effect, dense_trees = 0, None, None, None
        for level in range(levels + 1):
            if level > 0:
                if callable(criterion):
                    next_masks = _checked(criterion(model, masks, level, generator), model, masks)
                else:
                    next_masks = prune(model, masks, rate, criterion=criterion, scope=scope, generator=generator)
                effect, masks = _effect(model, masks, next_masks), next_masks
                if rewind is not None:
                    model.load_state_dict(early)
                    start = rewind
            try:
                loss, snapshot = train(
                    model, masks, training, steps=steps, seed=seed, start=start, batch_size=batch_size,
                    optimizer=recorded_optimizer, snapshot_at=rewind if level == 0 else None,
                )  # fmt: skip
            except TrainingDiverged as error:
                raise TrainingDiverged(f"seed {seed}, level {level}: {error}") from None
            if level == 0:
                early = snapshot
                dense_trees = _trees(model, masks)
            kept = sum(int(mask.sum()) for mask in masks.values())
            yield {
                "seed": seed,
                "level": level,
                "kept": kept,
                "density": kept / sum(mask.numel() for mask in masks.values()),
                "train_loss": loss,
                "validation_accuracy": accuracy(model, validation),
                "test_accuracy": accuracy(model, test),
                "layers": _measure(model, masks, effect, dense_trees),
            }
            if on_level is not None:
                on_level(seed, level, model, masks)

    with tqdm(total=len(seeds) * (levels + 1), unit="level", disable=not progress) as bar, torch.random.fork_rng():
        for seed in seeds:
            try:
                for row in rows(seed):
                    record.rows.append(row)
                    bar.set_postfix(seed=seed, density=f"{row['density']:.3f}", test=f"{row['test_accuracy']:.3f}")
                    bar.update()
            except BaseException as error:  # an interrupt too: hours of training may hang on it
                error.record = record
                error.add_note("The levels that were done are in the attribute `record` of this error.")
                raise
    return record


def train(model, masks, split, *, steps, seed, start=0, batch_size=60, optimizer=adam, snapshot_at=None):
    """Train a masked network in place; pruned weights are zero before the first step and after each.

    Parameters
    ----------
    model : torch.nn.Module
    masks : dict of str to boolean tensor, or None
        As from :func:`zimp.prune`; None where nothing is pruned.
    split : Split
        Images and labels; the loss is the cross-entropy.
    steps : int
        The step to train to.
    seed : int
        Of the order of the batches, which is the same at each call: each epoch a new permutation.
    start : int
        The step to train from; the batches before it are passed over.
    batch_size : int
    optimizer : function
        Takes the parameters, returns a ``torch.optim.Optimizer``.
    snapshot_at : int, optional
        The step before which to copy the network's state.

    Returns
    -------
    (float, dict or None)
        The loss on the last batch, and the snapshot.

    Raises
    ------
    ValueError
        If ``start`` is not below ``steps``, for counts that are not positive, or for masks that do not fit the model.
    TrainingDiverged
        If the loss or a weight is not finite.
    RuntimeError
        If something other than the optimizer has changed a pruned weight.

    Examples
    --------
    >>> import torch, zimp
    >>> _ = torch.manual_seed(0)
    >>> model, data = zimp.lenet_300_100(64), zimp.load_data("digits")
    >>> masks = zimp.prune(model, rate=0.9)
    >>> loss, _ = zimp.train(model, masks, data.train, steps=300, seed=0)
    >>> zimp.accuracy(model, data.test) > 0.9
    True
    """
    steps, start, batch_size = _count("steps", steps), _count("start", start, 0), _count("batch_size", batch_size)
    if start >= steps:
        raise ValueError(f"start={start} is not below steps={steps}; no training would be left")
    weights = prunable(model)
    pruned = [
        (weights[name], torch.from_numpy(~mask).to(weights[name].device))
        for name, mask in check_masks(model, masks).items()
    ]
    snapshot = None
    optimizer = optimizer(model.parameters())
    model.train()
    _zero(pruned)
    for step, batch in enumerate(islice(_batches(len(split.y), batch_size, seed), start, steps), start):
        if step == snapshot_at:
            snapshot = copy.deepcopy(model.state_dict())
        loss = cross_entropy(model(split.x[batch]), split.y[batch])
        if not math.isfinite(loss.item()):
            raise TrainingDiverged(f"the loss is {loss.item()} at step {step}; a lower learning rate may help")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        _zero(pruned)  # momentum, weight decay and Adam's averages would revive what has no gradient
    for name, (weight, gone) in zip(weights, pruned):
        if not weight.isfinite().all():
            raise TrainingDiverged(f"{name} is not finite after step {step}; a lower learning rate may help")
        if weight[gone].any():
            raise RuntimeError(f"pruned weights of {name} are not zero; does a hook change the weights while training?")
    return loss.item(), snapshot


def accuracy(model, split) -> float:
    """Share of the images that the network labels correctly, in evaluation mode; its own mode is left as it was.

    Parameters
    ----------
    model : torch.nn.Module
    split : Split

    Returns
    -------
    float

    Examples
    --------
    >>> import torch, zimp
    >>> _ = torch.manual_seed(0)
    >>> zimp.accuracy(zimp.lenet_300_100(64), zimp.load_data("digits").test) < 0.3
    True
    """
    training = model.training
    model.eval()
    with torch.no_grad():
        correct = model(split.x).argmax(dim=1) == split.y
    model.train(training)
    return correct.double().mean().item()


def _checked(next_masks, model, masks) -> dict[str, torch.Tensor]:
    """Masks from a rule that is not ours, as tensors; what is pruned stays pruned."""
    checked = {
        name: torch.from_numpy(mask).to(masks[name].device) for name, mask in check_masks(model, next_masks).items()
    }
    for name, mask in checked.items():
        if (mask & ~masks[name]).any():
            raise ValueError(
                f"criterion brought back pruned weights of {name}; intersect its masks with those it was given"
            )
    return checked


def _batches(size, batch_size, seed):
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield from torch.randperm(size, generator=generator).split(batch_size)


@torch.no_grad()
def _zero(pruned):
    for weight, gone in pruned:
        weight.masked_fill_(gone, 0)


def _graphs(model, masks):
    return {
        name: layer_graph(layer.weight, masks[name], groups=getattr(layer, "groups", 1))
        for name, layer in prunable_layers(model).items()
    }


def _trees(model, masks) -> dict[str, np.ndarray]:
    return {name: spanning_forest(*graph).mask for name, graph in _graphs(model, masks).items()}


def _effect(model, masks, next_masks) -> dict[str, dict]:
    """What going from ``masks`` to ``next_masks`` does to the H0 of the weights as they are."""
    before, after = _graphs(model, masks), _graphs(model, next_masks)
    effect = {}
    for name in before:
        forest, next_forest = spanning_forest(*before[name]), spanning_forest(*after[name])
        effect[name] = {
            "tree_kept": _share(forest.mask, after[name].mask),
            # The weights at which components merge, not their shares of the maximum, which pruning may change too.
            "h0_unchanged": np.array_equal(forest.values, next_forest.values),
        }
    return effect


def _measure(model, masks, effect, dense_trees) -> dict[str, dict]:
    scale = max(weight.abs().max().item() for weight in prunable(model).values())
    measures = {}
    for name, graph in _graphs(model, masks).items():
        measures[name] = {
            "kept": int(masks[name].sum()),
            "beta0": count_components(graph.mask),
            **(effect[name] if effect else {"tree_kept": 1.0, "h0_unchanged": True}),
            "dense_tree_kept": _share(dense_trees[name], graph.mask),
            "neural_persistence": neural_persistence(*graph, scale=scale or None),  # 0: nothing is left to scale
        }
    return measures


def _share(tree: np.ndarray, mask: np.ndarray) -> float:
    """Share of the tree's edges that the mask keeps; a forest without edges loses none."""
    return float(mask[tree].mean()) if tree.any() else 1.0


def _count(name, value, least=1) -> int:
    try:
        count = index(value)
    except TypeError:
        count = least - 1
    if count < least:
        raise ValueError(f"{name}={value!r} is not a whole number of at least {least}")
    return count


def _plain(config) -> dict:
    """The config as it is read back from JSON: tuples are lists, numpy's and torch's numbers are Python's."""
    return json.loads(
        json.dumps(config, default=lambda value: float(value) if hasattr(value, "__float__") else repr(value))
    )


def write_whole(path, text):
    """Write a text file such that it appears whole or not at all: a full disk leaves what stood there before."""
    path = Path(path)
    temporary = path.with_name(path.name + ".part")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def versions() -> dict[str, str]:
    """What a result may depend on besides its configuration."""
    return {
        "zimp": version("zimp"),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
