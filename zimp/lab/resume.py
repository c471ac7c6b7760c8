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
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load, save

from .record import write_whole

__all__ = ["Level", "RunFolder", "open_run", "fingerprint"]


@dataclass(frozen=True)
class Level:
    """What a folder holds of one level.

    Attributes
    ----------
    number : int
    states : dict of str to dict of str to dict of str to tensor
        Tensors on the CPU, by whose they are, by what they are, and by name.
    rows : list of dict
        Of the record, to this level.
    versions : dict
        Those with which the run was started.
    """

    number: int
    states: dict[str, dict[str, dict[str, torch.Tensor]]]
    rows: list[dict]
    versions: dict


@contextmanager
def open_run(folder, arguments):
    """Have a folder to oneself, for a run with these arguments.

    Parameters
    ----------
    folder : path
        Made if it is not there.
    arguments : dict
        As JSON keeps them. A run goes on only with those that it was started with.

    Yields
    ------
    RunFolder

    Raises
    ------
    NotADirectoryError
    RuntimeError
        If another run is at work there.
    ValueError
        If the run there has other arguments.

    Examples
    --------
    >>> import tempfile, torch
    >>> from zimp.lab.resume import open_run
    >>> with tempfile.TemporaryDirectory() as folder, open_run(folder, {"levels": 3}) as run:
    ...     run.write("seed_0", 0, {"0": {"weights": {"fc": torch.ones(2, 3)}}}, rows=[], versions={})
    ...     level = run.newest("seed_0")
    >>> level.number, level.states["0"]["weights"]["fc"].shape
    (0, torch.Size([2, 3]))
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"folder={str(folder)!r} is a file; a run needs a folder of its own")
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise RuntimeError(
            f"another run is at work in {folder}; wait for its end, or give this one a folder of its own"
        ) from None
    with lock:
        for unfinished in folder.glob("*.part"):  # of a run that was killed
            unfinished.unlink()
        run = RunFolder(folder, arguments)
        run.newest("*")  # of whichever seed: to refuse other arguments before any work
        yield run


class RunFolder:
    """The levels of a run in a folder; made by :func:`open_run`."""

    def __init__(self, path, arguments):
        self.path, self.arguments = path, arguments

    def write(self, name, level, states, rows, versions):
        """Keep a level, under the name of the seed or seeds whose it is; parameters as in :class:`Level`."""
        tensors = {
            f"{owner}/{part}/{key}": tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
            for owner, parts in states.items()
            for part, named in parts.items()
            for key, tensor in named.items()
        }
        header = {"arguments": self.arguments, "level": level, "rows": rows, "versions": versions}
        content = save(tensors, {"zimp": json.dumps(header)})
        try:
            write_whole(self.path / f"{name}-level_{level:04d}-{_checksum(content)}.safetensors", content)
        except OSError as error:
            error.add_note(
                f"Level {level} could not be kept in {self.path}; those before it are whole. When there is room, start "
                "again with the same arguments."
            )
            raise

    def newest(self, name) -> Level | None:
        """The newest level of this name that is whole. Files that are not are set aside, each with a warning."""
        for path in sorted(self.path.glob(f"{name}-level_*.safetensors"), reverse=True):
            try:
                level, arguments = _read(path)
            except _Corrupt as error:
                aside = path.with_name(path.name + ".corrupt")
                os.replace(path, aside)
                warnings.warn(
                    f"{path} is corrupt ({error}); it is now {aside.name}, and the run goes on from the level before",
                    stacklevel=2,
                )
                continue
            if different := _differences(arguments, self.arguments):
                more = f"; and {len(different) - 3} more" if len(different) > 3 else ""
                raise ValueError(
                    f"{self.path} holds a run with other arguments: {'; '.join(different[:3])}{more}. Give this run a "
                    "folder of its own"
                )
            return level
        return None


class _Corrupt(Exception):
    pass


def _read(path) -> tuple[Level, dict]:
    """A level, and the arguments of its run."""
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
        return Level(header["level"], states, header["rows"], header["versions"]), header["arguments"]
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise _Corrupt(f"it is not a level of a run: {error}") from None


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


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


def fingerprint(tensors) -> str:
    """The start of a SHA-256 of named tensors, from whose names, types, shapes and bits it is.

    Parameters
    ----------
    tensors : dict of str to tensor

    Returns
    -------
    str

    Examples
    --------
    >>> import torch
    >>> from zimp.lab.resume import fingerprint
    >>> fingerprint({"a": torch.zeros(2)}) == fingerprint({"a": torch.tensor([0.0, -0.0])})
    False
    """
    found = hashlib.sha256()
    for name, tensor in tensors.items():
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()[:16]
