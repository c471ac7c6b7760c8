"""Iterative magnitude pruning: train, prune, rewind, level after level; and the record of a run.

:func:`zimp.train` keeps pruned weights at zero, :func:`zimp.prune` chooses the next masks, and
:func:`zimp.iterative_magnitude_pruning` goes round and measures what each level did to the topology of each layer.
With ``together=True`` the networks of all seeds train in one computation, by :func:`zimp.train_together`; with a folder
the run can be stopped anywhere and goes on from its last whole level (:mod:`zimp.lab.resume`).
"""

from __future__ import annotations

import json
import re
from contextlib import ExitStack
from itertools import chain

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from ..checks import check_count, check_seed
from ..layers import layer_graph, prunable, prunable_layers
from ..pruning import check_masks, check_prune_arguments, prune
from ..topology import neural_persistence, spanning_forest
from .data import Split
from .record import Record, versions
from .resume import fingerprint, open_run
from .together import train_together
from .training import TrainingDiverged, accuracy, adam, check_split, train

__all__ = ["iterative_magnitude_pruning"]


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
    together=False,
    folder=None,
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
        same machine with the same number of threads: gradients of convolutions, among others, are summed in as many
        parts as there are threads. ``torch.set_num_threads(1)`` makes them one on any machine.
    device : str or torch.device
    together : bool
        Whether the networks of all seeds train at once, level by level, by :func:`zimp.train_together`: the same but
        for rounding, in a fraction of the time for small networks, with the memory of all. What a rule of your own
        draws from the global generator, not from its own, then depends on the other seeds.
    folder : path, optional
        Where to keep each level when it is done (see Notes). Started again with the same arguments and folder, the run
        goes on after the last whole level, to the same record, bit for bit. A run that is done returns its record.
    progress : bool
        Whether to show a progress bar.
    on_level : function, optional
        Called as ``on_level(seed, level, model, masks)`` with the trained network of each level, before it is kept in
        the folder; not for the levels that were there already.

    Returns
    -------
    Record

    Raises
    ------
    ValueError
        For arguments out of range, as :func:`zimp.prune`, and as :func:`zimp.train_together` before any training; and
        for a folder that holds a run with other arguments, or a network that cannot be kept in one.
    RuntimeError
        If another run is at work in the folder.
    TrainingDiverged
        If the loss or a weight is not finite.
    OSError
        If a level cannot be written; those before it stay as they are.

    Notes
    -----
    Whatever stops a run, an interrupt too, carries the levels that were done in its attribute ``record``.

    In the folder there is a safetensors file for each seed and level (with ``together`` for each level): parameters and
    buffers, the state to rewind to, masks, the trees of the dense network, the states of torch's generators, and the
    rows so far. An optimizer has none at the end of a level, for each level begins with a new one. A file that has been
    damaged since is set aside with a warning, and the level before is used. The same arguments are those of the
    record's ``config``, the same images and labels, the same network after seeding, and the same versions of zimp,
    torch and numpy; of a ``criterion`` of your own only the name is compared. What it, or the network, keeps elsewhere,
    or draws from other generators than torch's, is not in the folder.

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

    A run that was stopped goes on where it was:

    >>> import tempfile
    >>> def run(folder, on_level=None):
    ...     return zimp.iterative_magnitude_pruning(
    ...         zimp.small_conv, zimp.load_data("digits"), levels=2, steps=5, folder=folder, progress=False,
    ...         on_level=on_level,
    ...     )
    >>> def stop(seed, level, model, masks):
    ...     if level == 2:
    ...         raise KeyboardInterrupt
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     try:
    ...         run(folder, stop)
    ...     except KeyboardInterrupt:
    ...         resumed = run(folder)
    >>> resumed == run(folder=None)
    True
    """
    levels, steps, batch_size, rewind = check_settings(levels, steps, batch_size, rewind)
    seeds = [check_seed(seed, "seeds") for seed in (seeds if np.iterable(seeds) else [seeds])]
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds={seeds} are not distinct numbers, at least one")
    if isinstance(build, nn.Module):
        raise ValueError(
            "build is a network already; pass the function that builds it, so that the seed can be set before its "
            "weights are drawn"
        )
    for part, (x, y) in zip(data._fields[1:], data[1:]):
        check_split(Split(x, y), f"data.{part}")
    data = data._replace(**{
        part: Split(x.to(device), y.to(device)) for part, (x, y) in zip(data._fields[1:], data[1:])
    })  # fmt: skip
    config = {
        "build": _name(build), "data": data.name, "levels": levels, "rate": rate,
        "criterion": _name(criterion) if callable(criterion) else criterion, "scope": scope, "rewind": rewind,
        "steps": steps, "batch_size": batch_size, "seeds": seeds, "device": str(device),
        "threads": torch.get_num_threads(),
    }  # fmt: skip
    record = Record(_plain(config), versions())

    def recorded_optimizer(parameters):
        built = optimizer(parameters)
        groups = [{key: value for key, value in group.items() if key != "params"} for group in built.param_groups]
        record.config["optimizer"] = _plain({"name": type(built).__name__, "groups": groups})
        return built

    def rule(model, masks, level, generator):
        if callable(criterion):
            return _checked(criterion(model, masks, level, generator), model, masks)
        return prune(model, masks, rate, criterion=criterion, scope=scope, generator=generator)

    previous = None

    def replicate(seed):
        nonlocal previous
        torch.manual_seed(seed)
        model = build()
        if not callable(criterion):
            check_prune_arguments(model, rate, criterion, scope)
        if model is previous:
            raise ValueError("build returned the network of the seed before; it must build a new one at each call")
        previous = model
        return Replicate(seed, model.to(device), rule)

    def arguments():
        network = replicate(seeds[0]).model
        recorded_optimizer(network.parameters())
        return _arguments(record.config, together, network, data)

    with (
        torch.random.fork_rng(),
        ExitStack() as stack,
        tqdm(total=len(seeds) * (levels + 1), unit="level", disable=not progress) as bar,
    ):
        try:
            run = None
            if folder is not None:
                run = stack.enter_context(open_run(folder, arguments()))
            for group in [seeds] if together else [[seed] for seed in seeds]:
                name = "together" if together else f"seed_{group[0]}"
                kept = run and run.newest(name)
                if kept:
                    record.rows += kept.rows
                    record.versions = kept.versions
                    bar.update(len(kept.rows))
                    if kept.number == levels:
                        continue
                replicates = [replicate(seed) for seed in group]
                if kept:
                    _restore(replicates, kept.states)
                for one, row in level_by_level(
                    replicates, data, first=kept.number + 1 if kept else 0, levels=levels, rewind=rewind, steps=steps,
                    batch_size=batch_size, optimizer=recorded_optimizer,
                ):  # fmt: skip
                    record.rows.append(row)
                    bar.set_postfix(seed=one.seed, density=f"{row['density']:.3f}", test=f"{row['test_accuracy']:.3f}")
                    bar.update()
                    if on_level is not None:
                        on_level(one.seed, row["level"], one.model, one.masks)
                    if run and one is replicates[-1]:
                        rows = [row for row in record.rows if row["seed"] in group]
                        run.write(name, row["level"], _states(replicates), rows, record.versions)
        except BaseException as error:  # an interrupt too: hours of training may hang on it
            error.record = record
            error.add_note("The levels that were done are in the attribute `record` of this error.")
            raise
        finally:
            record.rows.sort(key=lambda row: seeds.index(row["seed"]))  # by level within each, as they came
    return record


class Replicate:
    """One seed, and one rule, on the way through the levels: the network, its masks, and the trees to compare with."""

    def __init__(self, seed, model, rule):
        self.seed, self.model, self.rule = seed, model, rule
        self.generator = torch.Generator().manual_seed(seed)
        self.masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in prunable(model).items()}
        self.early = None  # the state to rewind to
        self.forests = None  # of the trained weights of this level
        self.dense_trees = None  # their edges at level 0, by layer an array of rows and columns
        self.effect = dict.fromkeys(self.masks, {"tree_kept": 1.0, "h0_unchanged": True})

    def prune(self, level):
        """Take the masks of the next level, note what that does to the H0 of the weights as they are, and rewind."""
        next_masks = self.rule(self.model, self.masks, level, self.generator)
        for name, graph in _graphs(self.model, next_masks).items():
            share = _share(_edges(self.forests[name]), graph.mask)
            # A forest that is there as a whole is that of the pruned layer. Compared are the weights at which
            # components merge, not their shares of the maximum, which pruning may change too.
            unchanged = share == 1 or np.array_equal(self.forests[name].values, spanning_forest(*graph).values)
            self.effect[name] = {"tree_kept": share, "h0_unchanged": unchanged}
        self.masks = next_masks
        if self.early is not None:
            self.model.load_state_dict(self.early)

    def measure(self) -> dict[str, dict]:
        """What there is to say of each layer, after training."""
        graphs = self._grow_forests()
        self.dense_trees = self.dense_trees or {name: _edges(forest) for name, forest in self.forests.items()}
        scale = max(weight.abs().max().item() for weight in prunable(self.model).values())
        return {
            name: {
                "kept": int(self.masks[name].sum()),
                "beta0": forest.n_components,
                **self.effect[name],
                "dense_tree_kept": _share(self.dense_trees[name], graphs[name].mask),
                "neural_persistence": neural_persistence(forest, scale=scale or None),  # 0: nothing is left to scale
            }
            for name, forest in self.forests.items()
        }

    def state(self) -> dict[str, dict[str, torch.Tensor]]:
        """All that the levels after this one depend on."""
        return {
            "weights": _tensors(self.model),
            "early": self.early or {},
            "masks": self.masks,
            "dense_trees": {name: torch.from_numpy(edges) for name, edges in self.dense_trees.items()},
            "generator": {"state": self.generator.get_state()},
        }

    @torch.no_grad()
    def load_state(self, state):
        """Go on from a :meth:`state`."""
        tensors = _tensors(self.model)
        for name, tensor in state["weights"].items():
            tensors[name].copy_(tensor)
        self.early = state.get("early")
        self.masks = {name: state["masks"][name].to(mask.device) for name, mask in self.masks.items()}
        self.dense_trees = {name: edges.numpy() for name, edges in state["dense_trees"].items()}
        self.generator.set_state(state["generator"]["state"])
        self._grow_forests()

    def _grow_forests(self):
        graphs = _graphs(self.model, self.masks)
        self.forests = {name: spanning_forest(*graph) for name, graph in graphs.items()}
        return graphs


def level_by_level(replicates, data, *, levels, rewind, steps, batch_size, optimizer, first=0):
    """Take replicates through the levels side by side: yields each of them and its row, level after level."""
    for level in range(first, levels + 1):
        if level > 0:
            for replicate in replicates:
                replicate.prune(level)
        try:
            trained = _train(
                replicates, data.train, steps=steps, start=0 if level == 0 or rewind is None else rewind,
                batch_size=batch_size, optimizer=optimizer, snapshot_at=rewind if level == 0 else None,
            )  # fmt: skip
        except TrainingDiverged as error:
            seed = replicates[error.replicate].seed
            raise TrainingDiverged(f"seed {seed}, level {level}: {error}") from None
        for replicate, (loss, snapshot) in zip(replicates, trained):
            replicate.early = snapshot if level == 0 else replicate.early
            kept = sum(int(mask.sum()) for mask in replicate.masks.values())
            yield replicate, {
                "seed": replicate.seed,
                "level": level,
                "kept": kept,
                "density": kept / sum(mask.numel() for mask in replicate.masks.values()),
                "train_loss": loss,
                "validation_accuracy": accuracy(replicate.model, data.validation),
                "test_accuracy": accuracy(replicate.model, data.test),
                "layers": replicate.measure(),
            }


def _train(replicates, split, **settings) -> list[tuple]:
    if len(replicates) == 1:
        (alone,) = replicates
        return [train(alone.model, alone.masks, split, seed=alone.seed, **settings)]
    return train_together(
        [replicate.model for replicate in replicates],
        [replicate.masks for replicate in replicates],
        split,
        seeds=[replicate.seed for replicate in replicates],
        **settings,
    )


def check_settings(levels, steps, batch_size, rewind) -> tuple[int, int, int, int | None]:
    """The counts of a run, which has at least one step of training at each level."""
    levels, steps = check_count("levels", levels, 0), check_count("steps", steps)
    batch_size = check_count("batch_size", batch_size)
    rewind = None if rewind is None else check_count("rewind", rewind, 0)
    if rewind is not None and rewind >= steps:
        raise ValueError(f"rewind={rewind} is not below steps={steps}; no training would be left after rewinding")
    return levels, steps, batch_size, rewind


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


def _graphs(model, masks):
    return {
        name: layer_graph(layer.weight, masks[name], groups=getattr(layer, "groups", 1))
        for name, layer in prunable_layers(model).items()
    }


def _edges(forest) -> np.ndarray:
    return np.stack([forest.rows, forest.cols])


def _share(edges, mask: np.ndarray) -> float:
    """Share of the edges that the mask keeps; of none, none is lost."""
    return float(mask[tuple(edges)].mean()) if edges.size else 1.0


def _tensors(model) -> dict[str, torch.Tensor]:
    """Parameters and buffers, those too that a state dict leaves out."""
    return dict(chain(model.named_parameters(), model.named_buffers()))


def _arguments(config, together, network, data) -> dict:
    """By what a run is known in its folder: the network is one that has not been trained."""
    for name, value in network.state_dict().items():
        if not isinstance(value, torch.Tensor):
            raise ValueError(f"{name} of the network is a {type(value).__name__}; a folder keeps tensors only")
    images = {f"{part}.{name}": x for part, split in zip(data._fields[1:], data[1:]) for name, x in zip("xy", split)}
    found = versions()
    return {
        **config,
        "together": bool(together),
        "fingerprint of the images and labels": fingerprint(images),
        "layers": {
            name: f"{type(layer).__name__}({_without_addresses(layer.extra_repr())})"
            for name, layer in network.named_modules()
        },
        "fingerprint of the untrained network": fingerprint(_tensors(network)),
        **{name: found[name] for name in ("zimp", "torch", "numpy")},
    }


def _states(replicates) -> dict:
    """Of replicates between two levels, and of torch's global generators."""
    generators = {"cpu": torch.get_rng_state()}
    device = next(replicates[0].model.parameters()).device
    if device.type != "cpu":
        generators["device"] = torch.get_device_module(device).get_rng_state(*_whose(device))
    return {"torch": {"generators": generators}} | {str(one.seed): one.state() for one in replicates}


def _restore(replicates, states):
    for one in replicates:
        one.load_state(states[str(one.seed)])
    generators = states["torch"]["generators"]
    torch.set_rng_state(generators["cpu"])
    device = next(replicates[0].model.parameters()).device
    if device.type != "cpu":
        torch.get_device_module(device).set_rng_state(generators["device"], *_whose(device))


def _whose(device):
    return [] if device.type == "mps" else [device]  # there is but one of those


def _name(function) -> str:
    return getattr(function, "__qualname__", _without_addresses(repr(function)))


def _without_addresses(text) -> str:
    """Of objects in memory, which are others in each process."""
    return re.sub(r" at 0x[0-9A-Fa-f]+", "", text)


def _plain(config) -> dict:
    """The config as it is read back from JSON: tuples are lists, numpy's and torch's numbers are Python's."""
    return json.loads(
        json.dumps(config, default=lambda value: float(value) if hasattr(value, "__float__") else repr(value))
    )
