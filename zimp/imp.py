"""Iterative magnitude pruning: train, prune, rewind, level after level; and the record of a run.

:func:`zimp.train` keeps pruned weights at zero, :func:`zimp.prune` chooses the next masks, and
:func:`zimp.iterative_magnitude_pruning` goes round and measures what each level did to the topology of each layer.
With ``together=True`` the networks of all seeds train in one computation, by :func:`zimp.train_together`.
"""

from __future__ import annotations

import json
import os
import platform
from collections import Counter
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from .data import Split
from .layers import layer_graph, prunable, prunable_layers
from .pruning import check_masks, check_prune_arguments, prune
from .replicates import train_together
from .topology import neural_persistence, spanning_forest
from .training import TrainingDiverged, accuracy, adam, check_count, train

__all__ = ["iterative_magnitude_pruning", "Record"]


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
    together=False,
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
    together : bool
        Whether the networks of all seeds train at once, level by level, by :func:`zimp.train_together`: the same but
        for rounding, in a fraction of the time for small networks, with the memory of all. What a rule of your own
        draws from the global generator, not from its own, then depends on the other seeds.
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
        For arguments out of range, as :func:`zimp.prune`, and as :func:`zimp.train_together` before any training.
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
    levels, steps, batch_size, rewind = check_settings(levels, steps, batch_size, rewind)
    seeds = [check_count("seeds", seed, 0) for seed in (seeds if np.iterable(seeds) else [seeds])]
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
    data = data._replace(**{
        part: Split(x.to(device), y.to(device)) for part, (x, y) in zip(data._fields[1:], data[1:])
    })  # fmt: skip
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

    with tqdm(total=len(seeds) * (levels + 1), unit="level", disable=not progress) as bar, torch.random.fork_rng():
        try:
            for group in [seeds] if together else [[seed] for seed in seeds]:
                for one, row in level_by_level(
                    [replicate(seed) for seed in group], data, levels=levels, rewind=rewind, steps=steps,
                    batch_size=batch_size, optimizer=recorded_optimizer,
                ):  # fmt: skip
                    record.rows.append(row)
                    bar.set_postfix(seed=one.seed, density=f"{row['density']:.3f}", test=f"{row['test_accuracy']:.3f}")
                    bar.update()
                    if on_level is not None:
                        on_level(one.seed, row["level"], one.model, one.masks)
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
        self.forests = self.dense_forests = None  # of the trained weights of this level, and of level 0
        self.effect = dict.fromkeys(self.masks, {"tree_kept": 1.0, "h0_unchanged": True})

    def prune(self, level):
        """Take the masks of the next level, note what that does to the H0 of the weights as they are, and rewind."""
        next_masks = self.rule(self.model, self.masks, level, self.generator)
        for name, graph in _graphs(self.model, next_masks).items():
            share = _share(self.forests[name], graph.mask)
            # A forest that is there as a whole is that of the pruned layer. Compared are the weights at which
            # components merge, not their shares of the maximum, which pruning may change too.
            unchanged = share == 1 or np.array_equal(self.forests[name].values, spanning_forest(*graph).values)
            self.effect[name] = {"tree_kept": share, "h0_unchanged": unchanged}
        self.masks = next_masks
        if self.early is not None:
            self.model.load_state_dict(self.early)

    def measure(self) -> dict[str, dict]:
        """What there is to say of each layer, after training."""
        graphs = _graphs(self.model, self.masks)
        self.forests = {name: spanning_forest(*graph) for name, graph in graphs.items()}
        self.dense_forests = self.dense_forests or self.forests
        scale = max(weight.abs().max().item() for weight in prunable(self.model).values())
        return {
            name: {
                "kept": int(self.masks[name].sum()),
                "beta0": forest.n_components,
                **self.effect[name],
                "dense_tree_kept": _share(self.dense_forests[name], graphs[name].mask),
                "neural_persistence": neural_persistence(forest, scale=scale or None),  # 0: nothing is left to scale
            }
            for name, forest in self.forests.items()
        }


def level_by_level(replicates, data, *, levels, rewind, steps, batch_size, optimizer):
    """Take replicates through the levels side by side: yields each of them and its row, level after level."""
    for level in range(levels + 1):
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


def _share(forest, mask: np.ndarray) -> float:
    """Share of the forest's edges that the mask keeps; a forest without edges loses none."""
    return float(mask[forest.rows, forest.cols].mean()) if len(forest) else 1.0


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
