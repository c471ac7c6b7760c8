"""Iterative magnitude pruning: train, prune, rewind, level after level.

:func:`zimp.iterative_magnitude_pruning` is the loop. :func:`zimp.train` keeps pruned weights at zero,
:func:`zimp.prune` chooses the next masks, and :func:`zimp.mask_facts` says what these do to the topology of each layer.
With ``together=True`` the networks of all seeds train in one computation, by :func:`zimp.train_together`; with a folder
the run can be stopped anywhere and goes on from its last whole level (:mod:`zimp.lab.resume`).
"""

from __future__ import annotations

import copy
import json
import math
import re
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from ..blocks import weight_graph
from ..checks import as_weight, check_choice, check_count, check_seed, number
from ..layers import not_pruned, prunable_weights, tree_sizes
from ..pruning import (
    CRITERIA,
    apply_masks,
    as_masks,
    at_the_floor,
    check_prune_arguments,
    kept_edges,
    layer_facts,
    prune,
    pruned_weights,
    sizes_after,
)
from ..topology import forest_of, neural_persistence
from .data import Data, Split, check_data
from .record import Record, versions
from .resume import describe, open_run
from .together import train_together
from .training import TrainingDiverged, accuracy, adam, check_trained, hold, train

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
    train=None,
    at_floor="raise",
) -> Record:
    """Train, prune, rewind, and again: iterative magnitude pruning, or its topological or random relative.

    Parameters
    ----------
    build : function
        Returns the untrained network, e.g. ``zimp.lenet_300_100``; called anew for each seed, after seeding.
    data : Data
        From :func:`zimp.load_data`, or your own: ``zimp.Data(name, zimp.Split(x, y), validation, test)``.
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
        goes on after the last whole level, to the same record, bit for bit. A run that is done returns its record; with
        more levels or more seeds it goes on from what is there.
    progress : bool
        Whether to show a progress bar.
    on_level : function, optional
        Called as ``on_level(seed, level, model, masks)`` with the trained network of each level, before it is kept in
        the folder; not for the levels that were there already. What it returns, as numbers, words, lists and dicts, is
        kept in the row as ``on_level``, in the folder too.
    train : function, optional
        A training of your own in place of :func:`zimp.train`: ``train(model, masks, split, *, start, steps, seed,
        hold)`` takes the network from step ``start`` to step ``steps`` and returns the loss at its end. Within it
        ``hold(optimizer)`` keeps the pruned weights at zero, see :func:`zimp.hold`; it lets go by itself.
        ``batch_size`` and ``optimizer`` then play no part.
    at_floor : {"raise", "stop"}
        What to do if ``levels`` reach beyond the level at which topological pruning has left the bare trees, which the
        shapes of the layers tell: refuse before any training, or end each seed there.

    Returns
    -------
    Record

    Raises
    ------
    ValueError
        For arguments out of range, as :func:`zimp.prune`, and as :func:`zimp.train_together` before any training; for
        levels beyond the bare trees; for a folder that holds a run with other arguments, or a network that cannot be
        kept in one; and for a training of your own that returns no loss.
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
    rows so far; :func:`zimp.run_levels` reads them. An optimizer has none at the end of a level, for each level begins
    with a new one. A file that has been damaged since is set aside with a warning, and the level before is used. The
    same arguments are those of the record's ``config`` but for levels, seeds and threads, the same images and labels,
    the same network after seeding, and the same versions of zimp, torch and numpy; of functions of your own only the
    names are compared. What they, or the network, keep elsewhere, or draw from other generators than torch's, is not in
    the folder. Seeds that are added to a run ``together`` train together among themselves.

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
    plan = Plan(
        build, check_data(data), levels=levels, rate=rate, criterion=criterion, scope=scope, rewind=rewind, steps=steps,
        batch_size=batch_size, optimizer=optimizer, seeds=seeds, device=device, together=together, train=train,
        at_floor=at_floor,
    )  # fmt: skip
    record = Record(plan.config, versions())
    bar = tqdm(total=len(plan.seeds) * (plan.last + 1), unit="level", disable=not progress)
    with torch.random.fork_rng(), bar, _carried_by_errors(record, plan.seeds), open_run(folder, plan.arguments) as run:
        for group in run.groups(plan.seeds, plan.together):
            replicates = [plan.replicate(seed) for seed in group]
            done = run.resume(replicates, plan.last, record)
            bar.update(len(record.rows) - bar.n)
            for level in range(done + 1, plan.last + 1):
                if level > 0:
                    for one in replicates:
                        one.prune(level)
                for one, loss in zip(replicates, plan.train(replicates, level)):
                    row = one.row(level, loss, plan.data)
                    record.rows.append(row)
                    bar.set_postfix(plan.shown(row))
                    bar.update()
                    if on_level is not None:
                        row.update(_noted(on_level(one.seed, level, one.model, one.masks)))
                run.keep(replicates, level, record)
    return record


@contextmanager
def _carried_by_errors(record, seeds):
    """Attach the record to whatever stops a run, an interrupt too, so that hours of training are not lost."""
    try:
        yield
    except BaseException as error:
        error.record = record
        error.add_note("The levels that were done are in the attribute `record` of this error.")
        raise
    finally:
        record.rows = [row for row in record.rows if row["seed"] in seeds]  # others may have trained together with them
        record.rows.sort(key=lambda row: seeds.index(row["seed"]))  # by level within each, as they came


def _noted(value) -> dict:
    """Convert what a caller has computed at a level so that a row can keep it."""
    try:
        return {} if value is None else {"on_level": json.loads(json.dumps(value, allow_nan=False))}
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"on_level returned a {type(value).__name__} that no record can keep ({error}); return None, or finite "
            "numbers, words, and lists and dicts of them"
        ) from None


class Plan:
    """The arguments of a run, checked before anything is trained, and what follows from them for each step."""

    def __init__(
        self, build, data, *, levels, rate, criterion, scope, rewind, steps, batch_size, optimizer, seeds, device,
        together, train, at_floor,
    ):  # fmt: skip
        self.levels, self.steps = check_count("levels", levels, 0), check_count("steps", steps)
        self.batch_size = check_count("batch_size", batch_size)
        self.rewind = None if rewind is None else check_count("rewind", rewind, 0)
        if rewind is not None and self.rewind >= self.steps:
            raise ValueError(
                f"rewind={rewind} must be below steps={steps}; otherwise no training follows the rewinding"
            )
        self.seeds = [check_seed(seed, "seeds") for seed in (seeds if np.iterable(seeds) else [seeds])]
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds={self.seeds} must be distinct numbers, at least one")
        if isinstance(build, nn.Module):
            raise ValueError(
                "build is a network already; pass the function that builds it, so that the seed can be set before its "
                "weights are drawn"
            )
        if train is not None and not callable(train):
            raise ValueError(f"train={train!r} is not a function; see help(zimp.iterative_magnitude_pruning)")
        if train is not None and together:
            raise ValueError("train is a function that trains one network, so the seeds cannot train together")
        check_choice("at_floor", at_floor, ("raise", "stop"))
        if not callable(criterion):
            check_choice("criterion", criterion, CRITERIA)
        self.build, self.rate, self.criterion, self.scope = build, rate, criterion, scope
        self.optimizer, self.device, self.own_train, self.together = optimizer, device, train, bool(together)
        self.data = Data(data.name, *(Split(x.to(device), y.to(device)) for x, y in data[1:]))
        self._built = None
        self.last = self._last_level(at_floor) if criterion == "topological" else self.levels
        self.config = _plain({
            "build": _name(build), "data": data.name, "levels": levels, "rate": rate,
            "criterion": _name(criterion) if callable(criterion) else criterion, "scope": scope, "rewind": rewind,
            "steps": steps, "batch_size": batch_size, "seeds": self.seeds, "device": str(device),
            "train": train and _name(train), "threads": torch.get_num_threads(),
        })  # fmt: skip

    def _last_level(self, at_floor) -> int:
        """The last level before which some layer has more than its tree."""
        with torch.random.fork_rng():
            model = self.build()
        weights = prunable_weights(model)
        rates = check_prune_arguments(weights, self.rate, "topological", self.scope)
        left, trees = ({name: pair[k] for name, pair in tree_sizes(model).items()} for k in (0, 1))
        if self.scope == "global":
            rates, left, trees = {"": self.rate}, {"": sum(left.values())}, {"": sum(trees.values())}
        for level in range(self.levels):
            if at_the_floor(left, trees, rates):
                if at_floor == "stop":
                    return level
                raise ValueError(
                    f"levels={self.levels} is beyond level {level}, at which the {sum(left.values())} weights of the "
                    f"spanning trees are left at rate={self.rate}; topological pruning cannot go further. Give fewer "
                    "levels, or at_floor='stop' to end there"
                )
            left = sizes_after(left, trees, rates)
        return self.levels

    def replicate(self, seed) -> Replicate:
        """The network of a seed, before its training."""
        torch.manual_seed(seed)
        model = self.build()
        weights = prunable_weights(model)
        if not callable(self.criterion):
            check_prune_arguments(weights, self.rate, self.criterion, self.scope)
        if model is self._built:
            raise ValueError("build returned the network of the previous seed; it must build a new one at each call")
        self._built = model
        self.config["not_pruned"] = not_pruned(model, weights)
        return Replicate(seed, model.to(self.device), self._rule)

    def _rule(self, model, masks, level, generator):
        if callable(self.criterion):
            return _checked(self.criterion(model, masks, level, generator), model, masks)
        return prune(model, masks, self.rate, criterion=self.criterion, scope=self.scope, generator=generator)

    def train(self, replicates, level) -> list[float]:
        """Train the networks at a level; the loss of each."""
        start = 0 if level == 0 or self.rewind is None else self.rewind
        snapshot_at = self.rewind if level == 0 else None
        settings = {
            "steps": self.steps, "start": start, "snapshot_at": snapshot_at, "batch_size": self.batch_size,
            "optimizer": self._optimizer,
        }  # fmt: skip
        try:
            if self.own_train is not None:
                trained = [self._train_own(one, start, snapshot_at) for one in replicates]
            elif len(replicates) == 1:
                one = replicates[0]
                trained = [train(one.model, one.masks, self.data.train, seed=one.seed, **settings)]
            else:
                models, masks, seeds = zip(*((one.model, one.masks, one.seed) for one in replicates))
                trained = train_together(models, masks, self.data.train, seeds=seeds, **settings)
        except TrainingDiverged as error:
            seed = replicates[error.replicate].seed
            raise TrainingDiverged(f"seed {seed}, level {level}: {error}") from None
        for one, (_, snapshot) in zip(replicates, trained):
            one.early = snapshot if level == 0 else one.early
        return [loss for loss, _ in trained]

    def _train_own(self, one, start, snapshot_at):
        snapshot = None
        if snapshot_at is not None:
            if snapshot_at > start:
                self._call_own(one, start, snapshot_at)
            snapshot, start = copy.deepcopy(one.model.state_dict()), snapshot_at
        return self._call_own(one, start, self.steps), snapshot

    def _call_own(self, one, start, steps) -> float:
        held = []

        def hold_masks(optimizer, model=one.model, masks=one.masks):
            held.append(hold(optimizer, model, masks))
            return held[-1]

        apply_masks(one.model, one.masks)
        one.model.train()
        try:
            loss = self.own_train(
                one.model, one.masks, self.data.train, start=start, steps=steps, seed=one.seed, hold=hold_masks
            )
        finally:
            for handle in held:
                handle.remove()
        if loss is None:
            raise ValueError("train returned None; it must return its final loss, as a number")
        loss = number("the loss that train returned", loss)
        if not math.isfinite(loss):
            raise TrainingDiverged(f"the loss is {loss} at step {steps}; a lower learning rate may help")
        check_trained(pruned_weights(one.model, one.masks), steps)
        return loss

    def _optimizer(self, parameters):
        built = self.optimizer(parameters)
        groups = [{key: value for key, value in group.items() if key != "params"} for group in built.param_groups]
        self.config["optimizer"] = _plain({"name": type(built).__name__, "groups": groups})
        return built

    def arguments(self) -> dict:
        """The arguments that identify a run in its folder; levels, seeds and threads are not among them."""
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = self.build()
        if self.own_train is None:
            self._optimizer(network.parameters())
        known = {key: value for key, value in self.config.items() if key not in ("levels", "seeds", "threads")}
        return {**known, "together": self.together, **describe(network, self.data)}

    def shown(self, row) -> dict:
        """What the progress bar says of a row."""
        shown = {"seed": row["seed"], "density": f"{row['density']:.3f}", "test": f"{row['test_accuracy']:.3f}"}
        left_out = sum(self.config["not_pruned"].values())
        return {**shown, "not_pruned": f"{left_out:,}"} if left_out else shown


class Replicate:
    """One seed, and one rule, on the way through the levels: the network, its masks, and the trees to compare with."""

    def __init__(self, seed, model, rule):
        self.seed, self.model, self.rule = seed, model, rule
        self.generator = torch.Generator("cpu").manual_seed(seed)
        self.weights = prunable_weights(model)
        self.masks = {name: torch.ones_like(weight.parameter, dtype=bool) for name, weight in self.weights.items()}
        self.early = None  # the state to rewind to
        self.forests = None  # of the trained weights of this level
        self.dense_trees = None  # by layer the rows and columns of their edges at level 0
        self.effect = dict.fromkeys(self.masks, {"isolated": 0, "tree_kept": 1.0, "h0_unchanged": True})

    def prune(self, level):
        """Take the masks of the next level, note what that does to the H0 of the weights as they are, and rewind."""
        self.masks = self.rule(self.model, self.masks, level, self.generator)
        for name, (array, mask, groups) in self._layers().items():
            facts = layer_facts(array, mask, groups, self.forests[name])
            self.effect[name] = {key: facts[key] for key in ("isolated", "tree_kept", "h0_unchanged")}
        if self.early is not None:
            self.model.load_state_dict(self.early)

    def row(self, level, loss, data) -> dict:
        """What the record says of this level, after its training."""
        kept = sum(int(mask.sum()) for mask in self.masks.values())
        return {
            "seed": self.seed,
            "level": level,
            "kept": kept,
            "density": kept / sum(mask.numel() for mask in self.masks.values()),
            "train_loss": loss,
            "validation_accuracy": accuracy(self.model, data.validation),
            "test_accuracy": accuracy(self.model, data.test),
            "layers": self._measure(),
        }

    def _measure(self) -> dict[str, dict]:
        layers = self.grow_forests()
        self.dense_trees = self.dense_trees or {
            name: np.stack([forest.rows, forest.cols]) for name, forest in self.forests.items()
        }
        scale = max(forest.scale for forest in self.forests.values()) or None  # 0: nothing is left to scale
        measured = {}
        for name, (_, mask, _) in layers.items():
            still = kept_edges(*self.dense_trees[name], mask)
            measured[name] = {
                "kept": int(mask.sum()),
                "beta0": self.forests[name].n_components,
                **self.effect[name],
                "dense_tree_kept": float(still.mean()) if len(still) else 1.0,
                "neural_persistence": neural_persistence(self.forests[name], scale=scale),
            }
        return measured

    def grow_forests(self) -> dict:
        """Store the forests of the current weights; return the weights, the mask and the groups of each layer."""
        layers = self._layers()
        self.forests = {name: forest_of(weight_graph(*layer)) for name, layer in layers.items()}
        return layers

    def _layers(self) -> dict:
        return {
            name: (*as_weight(weight.parameter, self.masks[name]), weight.groups)
            for name, weight in self.weights.items()
        }


def _checked(next_masks, model, masks) -> dict[str, torch.Tensor]:
    """Masks from a rule that is not ours, as tensors; what is pruned stays pruned."""
    checked = as_masks(prunable_weights(model), next_masks)
    checked = {name: torch.from_numpy(mask).to(masks[name].device) for name, mask in checked.items()}
    for name, mask in checked.items():
        if (mask & ~masks[name]).any():
            raise ValueError(
                f"criterion kept weights of {name} that were pruned before; intersect its masks with those it was given"
            )
    return checked


def _name(function) -> str:
    return getattr(function, "__qualname__", re.sub(r" at 0x[0-9A-Fa-f]+", "", repr(function)))


def _plain(config) -> dict:
    """The config as it is read back from JSON: tuples are lists, numpy's and torch's numbers are Python's."""
    return json.loads(
        json.dumps(config, default=lambda value: float(value) if hasattr(value, "__float__") else repr(value))
    )
