"""The sweeps behind the book's measurements: every method with every seed, kept as one small file each.

``python -m zimp sweep`` reruns them all, ``python -m zimp sweep levels_conv --jobs 2`` one of them. A sweep is one line
of ``SWEEPS`` or of ``STUDIES``. There are three kinds:

* *one shot*: train once, then prune to each of many densities, and count what is left of the spanning tree. The methods
  are what the weights are: trained, the same shuffled, the initial ones; and the trained tree under a random mask.
* *levels*: train, prune, rewind, level after level, by each of the rules in ``RULES``. At each level all rules have the
  same number of weights in all (but for rounding), that of topological pruning, so that they can be compared seed by
  seed.
* *study*: any other question. A function of some module, called with each seed, returns rows.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import time
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import partial
from importlib import import_module
from numbers import Real
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from joblib import Parallel, delayed
from joblib.parallel import get_active_backend
from threadpoolctl import threadpool_limits  # a part of scikit-learn
from tqdm import tqdm

from ..checks import check_count, check_rate
from ..layers import layer_graph, prunable, tree_sizes
from ..pruning import magnitude_mask, prune, random_mask, sizes_after, topological_mask
from ..topology import count_components, safe_density, spanning_forest
from .data import load_data
from .imp import iterative_magnitude_pruning
from .models import lenet_300_100, small_conv, small_mlp
from .record import Record, load_json, machine, versions, write_whole
from .resume import as_folder, to_itself
from .training import train

__all__ = ["NETWORKS", "RULES", "SWEEPS", "STUDIES", "Sweep", "Study", "Results", "run", "topological_sizes"]

NETWORKS = {
    "mlp": partial(lenet_300_100, in_features=64),
    "conv": small_conv,
    "lenet": lenet_300_100,
    "small_mlp": partial(small_mlp, in_features=64),
}


@dataclass(frozen=True)
class Sweep:
    """One sweep: for each method and seed, a network trained for ``steps`` and pruned ``levels`` times at ``rate``."""

    network: str
    methods: tuple[str, ...]
    levels: int
    steps: int
    seeds: tuple[int, ...] = tuple(range(10))
    rate: float = 0.2
    rewind: int = 0
    batch_size: int = 60
    data: str = "digits"

    @property
    def fingerprint(self) -> str:
        """A hash of the configuration; results of a different sweep have a different hash."""
        return _hash(self)

    def __str__(self):
        return f"{len(self.methods)} methods, {len(self.seeds)} seeds, {self.levels} levels"


@dataclass(frozen=True)
class Study:
    """Any other measurement: a function that returns, for each seed, rows of a table.

    Attributes
    ----------
    measure : str
        The function and its module in zimp, such as ``"lab.additive:structure"``. It is called as
        ``measure(seed, **options)``, draws all random numbers from the seed, and returns a list of dicts with the same
        keys, whose values are finite numbers or short strings.
    options : dict
        What JSON can hold.
    seeds : tuple of int
    """

    measure: str
    options: dict = field(default_factory=dict)
    seeds: tuple[int, ...] = tuple(range(10))
    methods = ("rows",)  # no attribute of an object: the one name under which the results keep all columns

    @property
    def fingerprint(self) -> str:
        """A hash of the configuration, as that of a sweep."""
        return _hash(self)

    def __str__(self):
        return f"a study, {len(self.seeds)} seeds"


def _hash(sweep) -> str:
    return hashlib.sha256(json.dumps(asdict(sweep), sort_keys=True).encode()).hexdigest()[:16]


def layerwise_magnitude(model, masks, sizes, generator):
    """IMP: every layer keeps the same share of its remaining weights, the largest."""
    keep = _same_share(masks, sizes)
    return {name: magnitude_mask(weight, keep[name], masks[name]) for name, weight in prunable(model).items()}


def global_magnitude(model, masks, sizes, generator):
    """Global IMP: the network keeps its largest weights, wherever they are."""
    if _share(masks, sizes) == 1:  # every layer of T-IMP is a bare tree
        return masks
    return prune(model, masks, rate=1 - _share(masks, sizes), scope="global")


def topological(model, masks, sizes, generator):
    """T-IMP: every layer keeps its maximum spanning tree, then its largest weights."""
    return {name: topological_mask(weight, sizes[name], masks[name]) for name, weight in prunable(model).items()}


def magnitude_with_budget(model, masks, sizes, generator):
    """Each layer keeps the same number of weights as under T-IMP, but the largest ones."""
    return {name: magnitude_mask(weight, sizes[name], masks[name]) for name, weight in prunable(model).items()}


def random_tree(model, masks, sizes, generator):
    """T-IMP with a different tree: that of random numbers, drawn anew at each level, in place of the weights."""
    chosen, trees = {}, tree_sizes(model)
    for name, weight in prunable(model).items():
        mask, (_, edges) = masks[name], trees[name]
        numbers = torch.rand(weight.shape, dtype=torch.float64, generator=generator)
        tree = topological_mask(numbers, edges, mask)
        chosen[name] = tree | magnitude_mask(weight, sizes[name] - edges, mask & ~tree)
    return chosen


def layerwise_random(model, masks, sizes, generator):
    """Every layer keeps the same share of its remaining weights, drawn at random."""
    keep = _same_share(masks, sizes)
    return {name: random_mask(weight, keep[name], masks[name], generator) for name, weight in prunable(model).items()}


RULES = {
    "magnitude": layerwise_magnitude,
    "global": global_magnitude,
    "topological": topological,
    "budget": magnitude_with_budget,
    "random_tree": random_tree,
    "random": layerwise_random,
}

ONE_SHOT = ("trained", "shuffled", "initial", "random_mask")

SWEEPS = {
    # name                  network methods       levels     steps of each training
    "one_shot_mlp": Sweep("mlp", ONE_SHOT, levels=25, steps=150),
    "one_shot_conv": Sweep("conv", ONE_SHOT, levels=15, steps=300),
    "one_shot_mnist": Sweep("lenet", ONE_SHOT, levels=30, steps=200, data="mnist5k"),
    "levels_mlp": Sweep("mlp", tuple(RULES), levels=20, steps=150),
    "levels_conv": Sweep("conv", tuple(RULES), levels=15, steps=300),
    "levels_mnist": Sweep("lenet", tuple(RULES), levels=25, steps=200, data="mnist5k"),
    "small_mlp": Sweep("small_mlp", tuple(RULES), levels=14, steps=150),  # that of the runs in the reader's browser
}

STUDIES = {
    # name                  module:function, options, seeds
    "basins_twins": Study("lab.basins:twins", {
        "data": "digits", "rates": [0.0012, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03], "rewinds": [0, 25, 100, -1],
        "steps": 400}, seeds=tuple(range(1, 13))),
    "basins_levels": Study("lab.basins:successive", {
        "data": "digits", "rates": [0.0012], "share": 0.3, "levels": 9, "steps": 150,
        "arms": ["magnitude", "topological", "random_tree", "random", "magnitude repelled", "topological repelled",
                 "random_tree repelled"]}, seeds=tuple(range(1, 11))),
    "basins_mnist": Study("lab.basins:successive", {
        "data": "mnist5k", "rates": [0.0012, 0.03], "share": 0.4, "levels": 6, "steps": 300, "arms": ["magnitude"]},
        seeds=tuple(range(1, 11))),
    "swamp_accuracy": Study("lab.averages:accuracies", {
        "data": "mnist5k", "share": 0.65, "levels": 4, "steps": 150, "particles": 4, "crossed": 3},
        seeds=tuple(range(1, 11))),
    "swamp_trained": Study("lab.averages:accuracies", {
        "data": "mnist5k", "share": 0.65, "levels": 4, "steps": 450, "particles": 4, "crossed": 5,
        "arms": ["IMP", "SWAMP"]}, seeds=tuple(range(1, 11))),
    "swamp_shares": Study("lab.averages:shares", {
        "data": "digits", "share": 0.2, "levels": [0, 5, 10], "steps": 150, "counts": [1, 2, 4, 8],
        "keeps": [0.8, 0.3, 0.1]}, seeds=tuple(range(1, 11))),
    "swamp_shares_mnist": Study("lab.averages:shares", {
        "data": "mnist5k", "share": 0.2, "levels": [0], "steps": 200, "counts": [1, 2, 4, 8],
        "keeps": [0.8, 0.3, 0.1]}, seeds=tuple(range(1, 11))),
    "swamp_pairs": Study("lab.averages:pairs", {
        "data": "digits", "share": 0.2, "levels": [0, 10], "steps": 150, "counts": [1, 2, 4, 8]},
        seeds=tuple(range(1, 21))),
    "shrimp_accuracy": Study("lab.additive:accuracy", seeds=tuple(range(20))),
    "shrimp_structure": Study("lab.additive:structure", seeds=tuple(range(20))),
    "shrimp_ridges": Study("lab.additive:ridges", seeds=tuple(range(10))),
    "shrimp_cut_off": Study("lab.additive:cut_off", seeds=tuple(range(20))),
    "landscape_gauges": Study("lab.flatness:factors", {
        "data": "digits", "steps": 150, "density": 0.2,
        "gauges": ["as trained", 0.25, 0.5, 1.0, 2.0, "largest", "balanced"]}, seeds=tuple(range(1, 11))),
    "landscape_twins": Study("lab.flatness:twins", {
        "data": "digits", "steps": 400, "rates": [0.0012, 0.005, 0.01, 0.02, 0.03],
        "gauges": ["as trained", "largest", "balanced"]}, seeds=tuple(range(1, 13))),
    "landscape_widths": Study("lab.flatness:widths", {
        "data": "digits", "share": 0.5, "levels": [4, 6], "steps": 150, "rise": 0.1, "target": 0.2, "longest": 2500,
        "arms": ["topological", "magnitude", "random_tree", "random"], "directions": 50}, seeds=tuple(range(1, 11))),
    "landscape_stiffness": Study("lab.flatness:stiffness", {
        "data": "digits", "steps": 150, "close": 0.05, "gauges": ["as trained", "largest", "balanced"]},
        seeds=tuple(range(1, 49))),
}  # fmt: skip


@dataclass
class Results:
    """What a sweep measured.

    Attributes
    ----------
    sweep : dict
        The configuration, the seeds among it.
    fingerprint : str
        Of the configuration, see ``Sweep.fingerprint``.
    made : dict
        The date, the machine, its processor and the settings that choose among its kernels, the versions, and the
        seconds of one core that the runs took.
    values : dict
        By method and by quantity, a list for each seed of a number for each level. Quantities of a layer are named
        ``layer/quantity``; what they mean says :class:`zimp.Record`. Shares are rounded to six decimals. A study has
        one method, ``"rows"``, and for each column a list for each seed of a value for each row, with four digits.
    """

    sweep: dict
    fingerprint: str
    made: dict
    values: dict[str, dict[str, list]]

    def curve(self, method, quantity, layer=None) -> np.ndarray:
        """One quantity of one method, an array of shape ``(seeds, levels + 1)``.

        Raises
        ------
        ValueError
            For a method or a quantity that was not measured.
        """
        key = quantity if layer is None else f"{layer}/{quantity}"
        if key not in self.values.get(method, ()):
            raise ValueError(f"no {key!r} of {method!r} here; there are {', '.join(self.values)}, with "
                             f"{', '.join(next(iter(self.values.values())))}")  # fmt: skip
        return np.array(self.values[method][key])

    def table(self) -> list[dict]:
        """Return the rows of a study, each with its ``seed``, for ``pandas.DataFrame``.

        Raises
        ------
        ValueError
            For results of another kind, which have curves.
        """
        if "rows" not in self.values:
            raise ValueError("only a study has a table; these results have curves, see Results.curve")
        columns = self.values["rows"]
        return [
            {"seed": seed, **dict(zip(columns, row))}
            for seed, *parts in zip(self.sweep["seeds"], *columns.values())
            for row in zip(*parts)
        ]

    def save(self, path):
        """Write a JSON file with one line for each method and quantity; it appears complete or not at all."""
        head = {"sweep": self.sweep, "fingerprint": self.fingerprint, "made": self.made}
        head = json.dumps(head, indent=1).removesuffix("\n}")
        methods = [
            f'  {json.dumps(method)}: {{\n' + ",\n".join(
                f"   {json.dumps(key)}: {json.dumps(value)}" for key, value in quantities.items()
            ) + "}"
            for method, quantities in self.values.items()
        ]  # fmt: skip
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, head + ',\n "values": {\n' + ",\n".join(methods) + "}\n}\n")

    @classmethod
    def load(cls, path) -> Results:
        """Read what :meth:`save` wrote.

        Raises
        ------
        ValueError
            For a file that holds no results.
        """
        return load_json(
            cls, "results of a sweep", path,
            sweep=(dict, object), fingerprint=(str, str), made=(dict, object), values=(dict, dict),
        )  # fmt: skip


def run(sweep, *, jobs=1, together=False, folder=None, progress=False) -> Results:
    """Run a sweep or a study in one process or several, with the same results.

    Parameters
    ----------
    sweep : Sweep or Study
        For a part of one, ``dataclasses.replace(SWEEPS[name], seeds=(0,))``. A seed gives the same numbers whatever
        the other seeds and methods are.
    jobs : int
        Processes to use at a time, each with one thread; -1 for one on each core, or for all workers of a cluster.
    together : bool
        Whether all seeds of a method of a sweep of levels train at once, as :func:`zimp.train_together` does, in a
        fraction of the time: the same numbers but for rounding, which depends on the other seeds, too.
    folder : path, optional
        Where to keep what is done: a run of a method and seed when it is over, before that each of its levels. Called
        again with the same sweep and folder, with more methods or seeds too, the sweep goes on where it was stopped.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    Results

    Raises
    ------
    ValueError
        For a network or a method that is unknown, as :func:`zimp.iterative_magnitude_pruning`, for a folder of
        another sweep, and for a study whose function is unknown or returns something else than rows.
    RuntimeError
        If another process is at work in the folder.
    OSError
        If something cannot be written there; what is there stays as it is.

    Notes
    -----
    The runs go through joblib, which knows clusters by their name: within
    ``with joblib.parallel_config(backend="dask"):``, ``run(sweep, jobs=-1)`` uses the cluster to which a
    ``dask.distributed.Client`` is connected, and with ``backend="ray"``, after ``ray.util.joblib.register_ray()``, that
    of ray. Each of its machines needs zimp; machines of one kind, with the same versions, give the same numbers bit for
    bit. Runs in threads of one process wait for each other, so give each worker one thread. What a worker was doing
    when it died, dask has done by another.

    Whatever stops a sweep, an interrupt too, carries in its attribute ``results`` the runs that were collected before,
    in the order of methods and seeds. With a folder nothing that was done is lost, and on a cluster it is one that all
    machines see.

    Examples
    --------
    >>> from zimp.lab import experiments
    >>> sweep = experiments.Sweep("mlp", ("magnitude", "topological"), levels=2, steps=20, seeds=(0, 1))
    >>> experiments.run(sweep).curve("topological", "kept").tolist()
    [[50200, 40160, 32128], [50200, 40160, 32128]]
    """
    if isinstance(sweep, Study):
        _function(sweep)
        work_of_share = _study
    else:
        work_of_share = _one_shot if _is_one_shot(sweep) else _levels
    shares = [[(method, seed)] for method in sweep.methods for seed in sweep.seeds]
    if together and work_of_share is _levels:  # by method, not by process, because rounding depends on the others
        shares = [[(method, seed) for seed in sweep.seeds] for method in sweep.methods]
    values = {method: {} for method in sweep.methods}
    made = {"date": date.today().isoformat(), **machine(), "versions": versions(), "seconds": 0}
    results = Results(json.loads(json.dumps(asdict(sweep))), sweep.fingerprint, made, values)
    backend, _ = get_active_backend()
    return_as = "generator" if backend.supports_return_generator else "list"  # ray gives all at once
    bar = tqdm(total=len(sweep.methods) * len(sweep.seeds), unit="run", disable=not progress)
    with bar, nullcontext() if folder is None else _of_this_sweep(folder, sweep, together):
        try:
            work = Parallel(n_jobs=jobs, return_as=return_as)(
                delayed(_run_share)(work_of_share, sweep, share, folder) for share in shares
            )
            for share, (seconds, measured) in zip(shares, work):
                made["seconds"] = round(made["seconds"] + seconds)
                for (method, _), curves in zip(share, measured):
                    for quantity, curve in curves.items():
                        values[method].setdefault(quantity, []).append(curve)
                bar.update(len(share))
        except BaseException as error:  # an interrupt too: hours of training may hang on it
            error.results = results
            error.add_note("The runs that were collected before are in the attribute `results` of this error.")
            raise
    return results


def _is_one_shot(sweep) -> bool:
    """Whether it is a sweep of one shot."""
    if sweep.network not in NETWORKS:
        raise ValueError(f"network={sweep.network!r} is unknown; it must be one of {', '.join(NETWORKS)}")
    if not sweep.methods or not sweep.seeds:
        raise ValueError(f"methods={sweep.methods} and seeds={sweep.seeds}: a sweep needs at least one of each")
    check_rate(sweep.rate, "rate")
    check_count("levels", sweep.levels, 0)
    check_count("steps", sweep.steps)
    one_shot = sweep.methods[0] in ONE_SHOT
    for method in sweep.methods:
        if method not in (ONE_SHOT if one_shot else RULES):
            raise ValueError(
                f"method {method!r} is unknown; it must be one of {', '.join(RULES)}, "
                f"or all methods must be among {', '.join(ONE_SHOT)}"
            )
    return one_shot


@contextmanager
def _of_this_sweep(folder, sweep, together):
    """Lock the folder of this sweep, which is made if it does not exist."""
    folder = as_folder(folder)
    with to_itself(folder):
        known = {"together": together, **asdict(sweep), "versions": versions()}
        known = json.loads(json.dumps(known))
        for grows in ("methods",) if together else ("methods", "seeds"):  # those who train together are all together
            known.pop(grows, None)
        kept = folder / "sweep.json"
        if not kept.exists():
            write_whole(kept, json.dumps(known, indent=1))
        there = json.loads(kept.read_text(encoding="utf-8"))
        for key, value in known.items():
            if there.get(key) != value:
                raise ValueError(
                    f"{folder} holds a sweep with {key}={there.get(key)!r}, this one has {value!r}; "
                    "give it a folder of its own"
                )
        yield


def topological_sizes(model, levels, rate=0.2) -> list[dict[str, int]]:
    """How many weights topological pruning leaves in each layer at each level: its share, but never less than the tree.

    Parameters
    ----------
    model : torch.nn.Module
    levels : int
    rate : float

    Returns
    -------
    list of dict of str to int
        For levels 0 to ``levels``.

    Examples
    --------
    >>> import zimp
    >>> from zimp.lab import experiments
    >>> experiments.topological_sizes(zimp.lenet_300_100(64), levels=20)[-1]
    {'fc1.weight': 363, 'fc2.weight': 399, 'output.weight': 109}
    """
    left, trees = ({name: pair[k] for name, pair in tree_sizes(model).items()} for k in (0, 1))
    sizes, rates = [left], dict.fromkeys(left, rate)
    for _ in range(levels):
        sizes.append(sizes_after(sizes[-1], trees, rates))
    return sizes


_IN_THIS_PROCESS = Lock()


def _run_share(work, sweep, share, folder) -> tuple[float, list[dict[str, list]]]:
    """The seconds and the curves of some of the runs; those that the folder does not hold are run now.

    It is done on one thread, with no other share in this process at the same time. Small networks leave a second thread
    waiting, and sums come in another order with it. But the number of threads and the random numbers with which
    networks begin belong to the process, so its threads have to take turns.
    """
    (method, seed), *others = share
    at_work = folder and Path(folder) / (f"{method}-together" if others else f"{method}-{seed}")
    done = folder and at_work.with_suffix(".json")
    if folder and done.exists():
        return json.loads(done.read_text(encoding="utf-8"))
    with _IN_THIS_PROCESS, torch.random.fork_rng():
        threads, start = torch.get_num_threads(), time.perf_counter()
        torch.set_num_threads(1)
        try:
            measured = work(sweep, share, at_work)
        except Exception as error:
            error.add_note("This was " + ", ".join(f"method {method!r} with seed {seed}" for method, seed in share))
            raise
        finally:
            torch.set_num_threads(threads)
    rounded = _to_four_digits if work is _study else _rounded
    measured = [{key: [rounded(value) for value in curve] for key, curve in curves.items()} for curves in measured]
    seconds = time.perf_counter() - start
    if folder:
        write_whole(done, json.dumps([seconds, measured]))
        shutil.rmtree(at_work, ignore_errors=True)  # the levels of what is done
    return seconds, measured


def _study(study, share, folder) -> list[dict[str, list]]:
    ((_, seed),) = share
    with threadpool_limits(1):  # sums of numpy come in another order with more threads, too
        rows = _function(study)(seed, **study.options)
    wrong = f"{study.measure} must return a list of dicts with the same keys, whose values are finite numbers or words"
    if not (isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows)):
        raise ValueError(f"{wrong}; it returned a {type(rows).__name__}" + (" without rows" if rows == [] else ""))
    for row in rows:
        if row.keys() != rows[0].keys():
            raise ValueError(f"{wrong}; one row has {', '.join(rows[0])}, another {', '.join(row)}")
        for column, value in row.items():
            if not isinstance(value, str) and not (isinstance(value, Real) and math.isfinite(value)):
                raise ValueError(f"{wrong}; {column} is {value!r}")
    return [{column: [row[column] for row in rows] for column in rows[0]}]


def _function(study):
    module, _, function = study.measure.partition(":")
    try:
        found = getattr(import_module(f"zimp.{module}"), function)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"measure={study.measure!r} is unknown ({error}); it must be a module:function") from None
    if not study.seeds:
        raise ValueError(f"seeds={study.seeds}: a study needs at least one")
    return found


def _levels(sweep, share, folder) -> list[dict[str, list]]:
    build = NETWORKS[sweep.network]
    sizes = topological_sizes(build(), sweep.levels, sweep.rate)
    method, seeds = share[0][0], [seed for _, seed in share]

    def rule(model, masks, level, generator):
        return RULES[method](model, masks, sizes[level], generator)

    record = iterative_magnitude_pruning(
        build, load_data(sweep.data), levels=sweep.levels, criterion=rule, rewind=sweep.rewind, steps=sweep.steps,
        batch_size=sweep.batch_size, seeds=seeds, together=len(seeds) > 1, folder=folder, progress=False,
    )  # fmt: skip
    return [_curves(Record({}, {}, [row for row in record.rows if row["seed"] == seed])) for seed in seeds]


def _curves(record) -> dict[str, list]:
    measured = {quantity: record.curve(quantity)[0].tolist() for quantity in ("kept", "test_accuracy")}
    for layer in record.rows[0]["layers"]:
        for quantity in ("kept", "beta0", "tree_kept", "dense_tree_kept", "h0_unchanged"):
            measured[f"{layer}/{quantity}"] = record.curve(quantity, layer)[0].astype(float).tolist()
    return measured


def _one_shot(sweep, share, folder) -> list[dict[str, list]]:
    ((method, seed),) = share
    torch.manual_seed(seed)
    model = NETWORKS[sweep.network]()
    if method != "initial":
        train(model, None, load_data(sweep.data).train, steps=sweep.steps, seed=seed, batch_size=sweep.batch_size)
    measured = {}
    for layer, weight in prunable(model).items():
        generator = torch.Generator().manual_seed(seed)
        matrix = layer_graph(weight).weights
        if method == "shuffled":
            order = torch.randperm(matrix.size, generator=generator).numpy()
            matrix = matrix.ravel()[order].reshape(matrix.shape)
        forest = spanning_forest(matrix)
        kept, pieces, shares = [], [], []
        for level in range(sweep.levels + 1):
            kept.append(round((1 - sweep.rate) ** level * matrix.size))
            if method == "random_mask":
                mask = random_mask(matrix, kept[-1], generator=generator)
            else:
                mask = magnitude_mask(matrix, kept[-1])
            pieces.append(count_components(mask))
            shares.append(float(mask[forest.mask].mean()))
        measured |= {f"{layer}/kept": kept, f"{layer}/beta0": pieces, f"{layer}/tree_kept": shares}
        if method != "random_mask":
            measured[f"{layer}/safe_density"] = [safe_density(matrix)]
    return [measured]


def _rounded(value: float) -> float:
    return int(value) if value == int(value) else round(value, 6)


def _to_four_digits(value) -> float | str:
    if isinstance(value, str):
        return value
    return int(value) if value == int(value) else float(f"{value:.4g}")


def _share(masks, sizes) -> float:
    return sum(sizes.values()) / sum(int(mask.sum()) for mask in masks.values())


def _same_share(masks, sizes) -> dict[str, int]:
    share = _share(masks, sizes)
    return {name: round(share * int(mask.sum())) for name, mask in masks.items()}
