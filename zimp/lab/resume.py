"""The folder of a run: all that it needs to go on after a level, in one file for each level.

A file is there whole or not at all, whatever kills the process: it is written beside its place, forced to the disk, and
renamed. Its name ends in the start of its SHA-256, as those of PyTorch's own files of weights do, so that a file which
has been cut off or changed since shows it. It is a safetensors file, which is data that no reader runs, with the rows
of the record and the arguments of the run as JSON in its header.

While a run is at work it holds a lock on the file ``lock`` in its folder. The operating system takes it back when the
process ends, however it does.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load, save

from .record import versions, write_whole

__all__ = ["KeptLevel", "run_levels"]

FORMAT = 2  # of the files; the first had no number


@dataclass(frozen=True)
class KeptLevel:
    """What a folder holds of one seed at one level.

    Attributes
    ----------
    seed, level : int
    row : dict
        Of the record.
    weights : dict of str to tensor
        All parameters and buffers of the trained network, pruned weights 0.
    early : dict of str to tensor
        The state to which the run rewinds; empty if it does not.
    masks : dict of str to boolean tensor
    """

    seed: int
    level: int
    row: dict
    weights: dict[str, torch.Tensor]
    early: dict[str, torch.Tensor]
    masks: dict[str, torch.Tensor]


def run_levels(folder) -> Iterator[KeptLevel]:
    """Read back what :func:`zimp.iterative_magnitude_pruning` has kept in a folder, one level after another.

    Parameters
    ----------
    folder : path
        A run may be at work in it; levels that are whole are given.

    Yields
    ------
    KeptLevel
        By seed, and by level within each; those that trained together level by level.

    Raises
    ------
    NotADirectoryError
        If there is no such folder.
    ValueError
        For a file that is damaged or of another format.

    Examples
    --------
    >>> import tempfile, zimp
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = zimp.iterative_magnitude_pruning(
    ...         zimp.small_conv, zimp.load_data("digits"), levels=1, steps=5, folder=folder, progress=False
    ...     )
    ...     [(kept.level, int(kept.masks["conv1.weight"].sum())) for kept in zimp.run_levels(folder)]
    [(0, 144), (1, 115)]
    """
    folder = as_folder(folder)
    if not folder.exists():
        raise NotADirectoryError(f"folder={str(folder)!r} does not exist; it must be the folder of a run")
    files = folder.glob("*-level_*.safetensors")
    files = sorted(files, key=lambda path: (len(_whose_file(path)), path.name))  # seed 2 before seed 10
    for path in files:
        try:
            header, states = _read(path)
        except _Corrupt as error:
            raise ValueError(f"{path} is corrupt ({error})") from None
        rows = {row["seed"]: row for row in header["rows"] if row["level"] == header["level"]}
        for seed in header["seeds"]:
            state = states[str(seed)]
            parts = (state.get(part, {}) for part in ("weights", "early", "masks"))
            yield KeptLevel(seed, header["level"], rows[seed], *parts)


@contextmanager
def open_run(folder, arguments):
    """Lock a folder for a run with these arguments.

    Parameters
    ----------
    folder : path, or None
        Made if it is not there. With None nothing is kept.
    arguments : function
        Returns them, as JSON keeps them. A run goes on only with those that it was started with.

    Yields
    ------
    Nowhere or RunFolder

    Raises
    ------
    NotADirectoryError
    RuntimeError
        If another run is at work there.
    ValueError
        If the run there has other arguments, or was kept in another format.
    """
    if folder is None:
        yield Nowhere()
        return
    folder, known = as_folder(folder), arguments()  # which refuses what no folder can keep, before there is one
    with to_itself(folder):
        for unfinished in folder.glob("*.part"):  # of a run that was killed
            unfinished.unlink()
        run = RunFolder(folder, known)
        run.check()
        yield run


def as_folder(folder) -> Path:
    """A path at which there is a folder, or nothing yet."""
    if not isinstance(folder, str | os.PathLike):
        raise ValueError(f"folder is a {type(folder).__name__}, not a path")
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"folder={str(folder)!r} is a file; a run needs a folder of its own")
    return folder


@contextmanager
def to_itself(folder: Path):
    """Make a folder if necessary, and lock it so that no other process works in it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise RuntimeError(
            f"another run is working in {folder}; wait until it ends, or give this one a folder of its own"
        ) from None
    with lock:
        yield


class Nowhere:
    """What a run without a folder keeps: nothing."""

    def groups(self, seeds, together) -> list[list[int]]:
        """The seeds that train together."""
        return [list(seeds)] if together else [[seed] for seed in seeds]

    def resume(self, replicates, last, record) -> int:
        """Bring the replicates to the newest level that is there, up to ``last``; which it is, -1 if there is none."""
        return -1

    def keep(self, replicates, level, record):
        """Keep a level."""


class RunFolder(Nowhere):
    """The levels of a run in a folder; made by :func:`open_run`."""

    def __init__(self, path, arguments):
        self.path, self.arguments = path, arguments
        self.threads = []  # with which the levels of this group of seeds were computed
        self.all_threads = set()

    def check(self):
        """Refuse a folder of another run before any work: all of its levels have the same arguments."""
        self._newest("*")

    def groups(self, seeds, together) -> list[list[int]]:
        """The groups that the folder holds already; new seeds form one more."""
        if not together:
            return super().groups(seeds, together)
        there = [self._newest(owner) for owner in sorted({_whose_file(path) for path in self.path.glob("together_*")})]
        there = [header["seeds"] for header, _ in filter(None, there) if set(header["seeds"]) & set(seeds)]
        new = [seed for seed in seeds if seed not in chain(*there)]
        return [*there, *([new] if new else [])]

    def resume(self, replicates, last, record) -> int:
        kept, self.threads = self._newest(self._name(replicates), last), []
        if kept is None:
            return -1
        header, states = kept
        self._count_threads(record, header["threads"])
        record.rows += header["rows"]
        record.versions = header["versions"]
        for one in replicates:
            _load_state(one, states[str(one.seed)])
        generators = states["torch"]["generators"]
        torch.set_rng_state(generators["cpu"])
        if "device" in generators:
            device = next(replicates[0].model.parameters()).device
            torch.get_device_module(device).set_rng_state(generators["device"], *_of_device(device))
        return header["level"]

    def keep(self, replicates, level, record):
        seeds, name = [one.seed for one in replicates], self._name(replicates)
        self._count_threads(record, [torch.get_num_threads()])
        states = {"torch": {"generators": _generators(replicates[0].model)}}
        states |= {str(one.seed): _state(one) for one in replicates}
        tensors = {
            f"{owner}/{part}/{key}": tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
            for owner, parts in states.items()
            for part, named in parts.items()
            for key, tensor in named.items()
        }
        header = {
            "format": FORMAT, "arguments": self.arguments, "seeds": seeds, "level": level,
            "threads": self.threads, "versions": record.versions,
            "rows": [row for row in record.rows if row["seed"] in seeds],
        }  # fmt: skip
        content = save(tensors, {"zimp": json.dumps(header)})
        try:
            write_whole(self.path / f"{name}-level_{level:04d}-{_checksum(content)}.safetensors", content)
        except OSError as error:
            error.add_note(
                f"Level {level} could not be kept in {self.path}; those before it are whole. When there is room, start "
                "again with the same arguments."
            )
            raise

    def _name(self, replicates) -> str:
        return f"{'together' if self.arguments['together'] else 'seed'}_{replicates[0].seed}"

    def _count_threads(self, record, threads):
        self.threads = list(dict.fromkeys([*self.threads, *threads]))
        self.all_threads |= set(threads)
        record.config["threads"] = threads[0] if len(self.all_threads) == 1 else sorted(self.all_threads)

    def _newest(self, name, last=None):
        """Header and states of the newest level of this name that is whole; others are set aside, with a warning."""
        for path in sorted(self.path.glob(f"{name}-level_*.safetensors"), reverse=True):
            if last is not None and _level(path) > last:
                continue
            try:
                header, states = _read(path)
            except _Corrupt as error:
                aside = path.with_name(path.name + ".corrupt")
                os.replace(path, aside)
                warnings.warn(
                    f"{path} is corrupt ({error}); it is now {aside.name}, and the run goes on from the level before",
                    stacklevel=2,
                )
                continue
            if different := _differences(header["arguments"], self.arguments):
                more = f"; and {len(different) - 3} more" if len(different) > 3 else ""
                raise ValueError(
                    f"{self.path} holds a run with other arguments: {'; '.join(different[:3])}{more}. Give this run a "
                    "folder of its own"
                )
            return header, states
        return None


def _state(replicate) -> dict[str, dict[str, torch.Tensor]]:
    """All that the levels after this one depend on."""
    return {
        "weights": _parameters_and_buffers(replicate.model),
        "early": replicate.early or {},
        "masks": replicate.masks,
        "dense_trees": {name: torch.from_numpy(edges) for name, edges in replicate.dense_trees.items()},
        "generator": {"state": replicate.generator.get_state()},
    }


@torch.no_grad()
def _load_state(replicate, state):
    tensors = _parameters_and_buffers(replicate.model)
    for name, tensor in state["weights"].items():
        tensors[name].copy_(tensor)
    replicate.early = state.get("early")
    replicate.masks = {name: state["masks"][name].to(mask.device) for name, mask in replicate.masks.items()}
    replicate.dense_trees = {name: edges.numpy() for name, edges in state["dense_trees"].items()}
    replicate.generator.set_state(state["generator"]["state"])
    replicate.grow_forests()


def _generators(model) -> dict[str, torch.Tensor]:
    """The states of torch's global generators."""
    device = next(model.parameters()).device
    if device.type == "cpu":
        return {"cpu": torch.get_rng_state()}
    there = torch.get_device_module(device).get_rng_state(*_of_device(device))
    return {"cpu": torch.get_rng_state(), "device": there}


def _of_device(device):
    return [] if device.type == "mps" else [device]  # there is but one of those


def _parameters_and_buffers(model) -> dict[str, torch.Tensor]:
    """Parameters and buffers, those too that a state dict leaves out."""
    return dict(chain(model.named_parameters(), model.named_buffers()))


def describe(network, data) -> dict:
    """Fingerprints of an untrained network, the images and the libraries."""
    for name, value in network.state_dict().items():
        if not isinstance(value, torch.Tensor):
            raise ValueError(f"{name} of the network is a {type(value).__name__}; a folder keeps tensors only")
    images = {f"{part}.{name}": x for part, split in zip(data._fields[1:], data[1:]) for name, x in zip("xy", split)}
    found = versions()
    return {
        "fingerprint of the images and labels": _fingerprint(images),
        "layers": {
            name: f"{type(layer).__name__}({re.sub(r' at 0x[0-9A-Fa-f]+', '', layer.extra_repr())})"
            for name, layer in network.named_modules()
        },
        "fingerprint of the untrained network": _fingerprint(_parameters_and_buffers(network)),
        **{name: found[name] for name in ("zimp", "torch", "numpy")},
    }


def _fingerprint(tensors) -> str:
    """The start of a SHA-256 of named tensors: of their names, types, shapes and bits."""
    found = hashlib.sha256()
    for name, tensor in tensors.items():
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()[:16]


class _Corrupt(Exception):
    pass


def _read(path) -> tuple[dict, dict]:
    """Header and states of a level."""
    content = path.read_bytes()
    if _checksum(content) != path.stem.rpartition("-")[2]:
        raise _Corrupt("its checksum is not the one in its name")
    try:
        states = {}
        for name, tensor in load(content).items():
            owner, part, key = name.split("/", 2)
            states.setdefault(owner, {}).setdefault(part, {})[key] = tensor
        size = int.from_bytes(content[:8], "little")  # of the header, which `load` keeps for itself
        header = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["zimp"])
        number = header.get("format", 1)
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _Corrupt(f"it is not a level of a run: {error}") from None
    if number != FORMAT:
        raise ValueError(
            f"{path} was kept in the format {number} of another version of zimp, this one has {FORMAT}; finish the run "
            "with that version, or give it a new folder"
        )
    return header, states


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _whose_file(path) -> str:
    """Whose level a file is, by its name."""
    return path.name.partition("-")[0]


def _level(path) -> int:
    return int(re.search(r"-level_(\d+)-", path.name)[1])


def _differences(there, here) -> list[str]:
    there, here = dict(_flat(there)), dict(_flat(here))
    return [
        f"{key} is {there.get(key, 'missing')!r} there and {here.get(key, 'missing')!r} here"
        for key in there | here
        if key not in there or key not in here or there[key] != here[key]
    ]


def _flat(value, name=""):
    """The leaves of nested settings, by name: ``optimizer.groups.0.lr``."""
    if isinstance(value, list) and any(isinstance(part, dict) for part in value):
        value = dict(enumerate(value))
    if not isinstance(value, dict):
        yield name, value
        return
    for key, part in value.items():
        yield from _flat(part, f"{name}.{key}" if name else str(key))
