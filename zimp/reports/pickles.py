"""What torch holds: files that ``torch.save`` wrote, state dicts, and networks in memory.

A file is data and is never run: of a pickle only tensors and plain containers are read. In place of any other object
stands one that does nothing.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import UninitializedTensorMixin

from ..layers import kind_of, memory_of
from .headers import Entry, Reader, Stamp

__all__ = ["TorchFile", "StateDict", "Module"]

STATE_DICTS = ("state_dict", "model_state_dict", "model", "module", "network", "net", "weights", "params")
OPTIMIZER = re.compile(r"optim|scheduler|scaler", re.IGNORECASE)
LOADING = threading.Lock()  # what torch.load may meet is one setting for the whole process


class TorchFile:
    """A file written by ``torch.save``: a state dict, alone or within a checkpoint."""

    def __init__(self, path: Path, zipped: bool):
        self.name, self._path, self._zipped, self.stamps = str(path), path, zipped, [Stamp(path)]
        self._maps: list[torch.UntypedStorage] = []
        self._tensors, aside = self._load()
        self.entries = {name: _entry(tensor, aside.get(name)) for name, tensor in self._tensors.items()}

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """As :meth:`SafetensorsFile.reading`.

        What is mapped is read from the file all the same: where a file has become shorter, the map would end the whole
        process, and what was read through a map stays in memory.
        """
        with self._path.open("rb", buffering=0) as file:

            def read(name):
                tensor = self._tensors[name]
                for whole in self._maps:
                    start = tensor.data_ptr() - whole.data_ptr()
                    if tensor.numel() and 0 <= start < whole.nbytes():
                        return self._read(file, start, tensor)
                return tensor

            yield read

    def _read(self, file, start: int, tensor: torch.Tensor) -> torch.Tensor:
        span = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride()))
        file.seek(start)
        found = np.fromfile(file, np.uint8, span * tensor.itemsize)
        if found.size < span * tensor.itemsize:
            raise ValueError(f"{self.name} has become shorter while it was read")
        return torch.from_numpy(found).view(tensor.dtype).as_strided(tensor.shape, tensor.stride())

    def _load(self):
        try:
            content = self._content()
            tensors, aside = _state_dict(content)
        except OSError:
            raise
        except Exception as error:  # whatever a wrong byte leads the unpickler to
            if code := re.search(r"GLOBAL ([\w.]+)", str(error)):
                raise self._refused(code[1]) from None
            reason = f"{type(error).__name__}: {error}".partition("\n")[0].partition(". ")[0]
            raise ValueError(f"{self.name} is truncated, or no PyTorch checkpoint ({reason.rstrip(': ')})") from None
        if tensors and all(isinstance(tensor, StandIn) for tensor in tensors.values()):
            raise self._refused(next(iter(tensors.values())).stands_for)
        return tensors, aside

    def _content(self):
        """What was saved; classes and functions that are not known as harmless are neither imported nor called."""
        # The format before torch 1.6 can only be loaded whole, as can numbers in the order of another processor and a
        # name that is not UTF-8; and what is called safetensors, torch takes for that.
        named = self._path.suffix != ".safetensors" and str(self._path).isprintable()
        mapped = self._zipped and named and _native(self._path)
        with LOADING, ExitStack() as stack:
            file = self._path if mapped else stack.enter_context(self._path.open("rb"))
            unknown = torch.serialization.get_unsafe_globals_in_checkpoint(file) if self._zipped else []
            if file is not self._path:
                file.seek(0)
            stack.enter_context(torch.serialization.safe_globals([(_stand_in(name), name) for name in unknown]))
            stack.enter_context(_noting_maps(self._path, self._maps))
            return torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)

    def _refused(self, code: str) -> ValueError:
        return ValueError(
            f"{self.name} holds {code}, and to load that could run code; "
            "save the weights alone: torch.save(model.state_dict(), path)"
        )


def _native(path: Path) -> bool:
    """Whether the numbers in a file have their bytes in the order of this processor."""
    try:
        with ZipFile(path) as archive:
            orders = [archive.read(name).decode() for name in archive.namelist() if name.endswith("/byteorder")]
    except OSError as error:  # of a damaged directory that leads to a place before the beginning
        raise ValueError(error) from None
    return set(orders) <= {sys.byteorder}


@contextmanager
def _noting_maps(path: Path, maps: list[torch.UntypedStorage]):
    """Within it, the map of a file that torch makes is put into a list: torch does not tell where in it a tensor is."""
    from_file = torch.UntypedStorage.from_file

    def noting(mapped, *options):
        storage = from_file(mapped, *options)
        if mapped == str(path):  # another thread may map another file
            maps.append(storage)
        return storage

    torch.UntypedStorage.from_file = noting
    try:
        yield
    finally:
        torch.UntypedStorage.from_file = from_file


class StandIn:
    """An object in place of one whose class is not loaded: it takes whatever it is given, and does nothing."""

    stands_for = ""

    def __new__(cls, *arguments, **options):
        return object.__new__(cls)

    def __init__(self, *arguments, **options):
        pass

    def __setstate__(self, state):
        pass


def _stand_in(name: str):
    if name == "collections.defaultdict":
        return lambda *arguments: {}  # a function, which may return what holds weights; a dict without a default
    return type("StandIn", (StandIn,), {"stands_for": name})


def _state_dict(content) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """All tensors and stand-ins of a checkpoint by name, and the reason for each that is not in its state dict.

    A state dict may be nested: ``{"epoch": 3, "model": {...}, "optimizer": {...}}``. Its own names come without prefix.
    """
    tensors, aside, path = {}, {}, ""

    def put_aside(key, value, reason):
        reason = "state of the optimizer" if OPTIMIZER.search(key) else reason
        for name, tensor in _tensors(value, f"{path}{key}"):
            tensors[name], aside[name] = tensor, reason

    while isinstance(content, Mapping):
        nested = [key for key in STATE_DICTS if isinstance(content.get(key), Mapping) and _has_tensors(content[key])]
        if not nested:
            break
        for key, value in content.items():
            if key != nested[0]:
                put_aside(str(key), value, f"beside the state dict {path}{nested[0]}")
        content, path = content[nested[0]], f"{path}{nested[0]}."
    for key, value in content.items() if isinstance(content, Mapping) else [("tensor", content)]:
        if OPTIMIZER.search(str(key)) and not isinstance(value, torch.Tensor):
            put_aside(str(key), value, None)
        else:
            tensors |= _tensors(value, str(key))
    return tensors, aside


def _has_tensors(value) -> bool:
    return any(isinstance(tensor, torch.Tensor) for _, tensor in _tensors(value))


def _tensors(value, name: str = "") -> Iterator[tuple[str, torch.Tensor | StandIn]]:
    if isinstance(value, torch.Tensor | StandIn):
        yield name, value
    elif isinstance(value, Mapping | list | tuple):
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, part in items:
            yield from _tensors(part, f"{name}.{key}")


class StateDict:
    """A dict of tensors, such as ``model.state_dict()``, maybe nested as in a checkpoint."""

    stamps = ()

    def __init__(self, content: Mapping):
        self.name = "state dict"
        self._tensors, aside = _state_dict(content)
        self.entries = {name: _entry(tensor, aside.get(name)) for name, tensor in self._tensors.items()}

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """As :meth:`SafetensorsFile.reading`; there is nothing to open."""
        yield self._tensors.__getitem__


class Module:
    """A torch network: the tensors of its state dict, and what its layers know of them."""

    stamps = ()

    def __init__(self, model: nn.Module):
        self.name, self._tensors = type(model).__name__, model.state_dict()
        layers = dict(model.named_modules(remove_duplicate=False))
        self.entries = {}
        for name, tensor in self._tensors.items():
            if not isinstance(tensor, torch.Tensor):
                self.entries |= _packed(name, tensor)
            else:
                owner, _, attribute = name.replace("parametrizations.weight.original1", "weight_v").rpartition(".")
                layer = layers.get(owner) if attribute in ("weight", "weight_orig", "weight_v") else None
                self.entries[name] = _entry(tensor, kind=kind_of(layer), groups=getattr(layer, "groups", None))

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """As :meth:`SafetensorsFile.reading`; there is nothing to open."""
        yield self._tensors.__getitem__


def _packed(name: str, value) -> dict[str, Entry]:
    """What a state dict holds besides tensors, such as the weights of a layer that torch has quantised in memory."""
    extra = name.rpartition(".")[2] == "_extra_state"
    aside = "in the extra state of a layer" if extra else "quantised in memory: report the network as it was before"
    try:
        tensors = list(_unpacked(value))
    except Exception:  # whatever else torch packs, and does not unpack
        tensors = []
    if not tensors and isinstance(value, torch.ScriptObject):
        return {name: Entry((), "packed", aside)}
    return {f"{name}.{k}": _entry(tensor, aside) for k, tensor in enumerate(tensors)}


def _unpacked(value) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.ScriptObject):
        value = value.__getstate__()
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _unpacked(part)


def _entry(tensor: torch.Tensor | StandIn, aside=None, **of_layer) -> Entry:
    if isinstance(tensor, StandIn):
        return Entry((), "object", f"of the class {tensor.stands_for}, which is not loaded")
    dtype = str(tensor.dtype).removeprefix("torch.")
    if isinstance(tensor, UninitializedTensorMixin):
        return Entry((), dtype, "not initialised yet: run one batch through the lazy layers first")
    memory = None
    if tensor.is_meta:
        aside = aside or "on the meta device, where there are no numbers"
    elif tensor.layout != torch.strided:
        aside = aside or f"in the layout {str(tensor.layout).removeprefix('torch.')}"
    elif type(tensor) not in (torch.Tensor, nn.Parameter):
        aside = aside or f"of the class {type(tensor).__name__}, which may store its numbers in another way"
    else:
        memory = memory_of(tensor)
    return Entry(tuple(tensor.shape), dtype, aside, memory, **of_layer)
