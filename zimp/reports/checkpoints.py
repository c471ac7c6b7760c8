"""Open a network, given as a file of weights, as the shards of one model, or as a torch network.

What the tensors are called and how large they are comes first, without reading one; then one tensor at a time is read,
so a model may be larger than memory. A file is data and is never run: of a pickle only tensors and plain containers
are read. In place of any other object stands one that does nothing.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from torch.nn.parameter import UninitializedTensorMixin

from ..layers import kind_of, memory_of
from .formats import format_of

__all__ = ["Entry", "open_network"]

INDEX = ".index.json"
STATE_DICTS = ("state_dict", "model_state_dict", "model", "module", "network", "net", "weights", "params")
OPTIMIZER = re.compile(r"optim|scheduler|scaler", re.IGNORECASE)
PREFIXES = {"BF": "bfloat", "F": "float", "I": "int", "U": "uint", "C": "complex"}  # of dtypes in safetensors files
ENDINGS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")  # that files of weights usually have
LOADING = threading.Lock()  # what torch.load may meet is one setting for the whole process
Reader = Callable[[str], torch.Tensor]


@dataclass(frozen=True)
class Entry:
    """What we know about a tensor before we read it.

    Attributes
    ----------
    shape : tuple of int
    dtype : str
        As torch names it, e.g. ``"bfloat16"``.
    aside : str, optional
        Why the tensor is no weight of the network, where its place or its layout says so.
    memory : optional
        Equal for tensors that are the same numbers in the same memory. A safetensors file has no such.
    kind : str, optional
        Of the layer that owns it, which only a network tells.
    groups : int, optional
        Of the convolution that owns it, likewise.
    mask : str, optional
        The tensor that says which of its weights exist, where the file tells.
    """

    shape: tuple[int, ...]
    dtype: str
    aside: str | None = None
    memory: Hashable = None
    kind: str | None = None
    groups: int | None = None
    mask: str | None = None


def open_network(network) -> SafetensorsFile | TorchFile | Shards | StateDict | Module:
    """A network of any of these kinds, with ``name``, ``entries`` (a dict of :class:`Entry`) and ``reading()``.

    Parameters
    ----------
    network : torch.nn.Module, path, or dict of str to torch.Tensor
        What a file is, its first bytes say, and not its name. Of a folder the index of shards is read, or the one file
        of weights in it.

    Raises
    ------
    FileNotFoundError
    ValueError
        For a file that is truncated, of another format, or a pickle that would run code; for a folder with no file of
        weights, or with several.

    Examples
    --------
    >>> import zimp
    >>> from zimp.reports.checkpoints import open_network
    >>> network = open_network(zimp.lenet_300_100())
    >>> network.entries["fc1.weight"].shape
    (300, 784)
    >>> with network.reading() as read:
    ...     read("output.bias").shape
    torch.Size([10])
    """
    if isinstance(network, nn.Module):
        return Module(network)
    if isinstance(network, Mapping):
        return StateDict(network)
    if not isinstance(network, str | os.PathLike):
        raise ValueError(
            f"network is a {type(network).__name__}, not a torch.nn.Module, a dict of tensors, or the path of a file"
        )
    path = Path(network)
    path = _file_in(path) if path.is_dir() else path
    _check_file(path)
    return Shards(path) if format_of(path) == "index" else _open_file(path)


def _file_in(folder: Path) -> Path:
    """The one index, or else the one file of weights, in a folder."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    found = [path for path in files if path.name.endswith(INDEX)]
    found = found or [path for path in files if path.suffix.lower() in ENDINGS]
    if len(found) == 1:
        return found[0]
    held = f"holds {', '.join(path.name for path in found[:5])}; give one of them" if found else (
        f"is a folder without a file that ends in {', '.join(ENDINGS)} or {INDEX}; give the file of weights"
    )  # fmt: skip
    raise ValueError(f"{folder} {held}")


def _check_file(path: Path):
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    if not path.is_file():
        raise ValueError(f"{path} is no file: a pipe or a device cannot be read twice; copy it into a file first")


def _open_file(path: Path) -> SafetensorsFile | TorchFile:
    _check_file(path)
    kind = format_of(path)
    if kind == "index":
        raise ValueError(f"{path} is an index or other JSON, and not a file of weights")
    return SafetensorsFile(path) if kind == "safetensors" else TorchFile(path, zipped=kind == "torch zip")


class SafetensorsFile:
    """A ``.safetensors`` file, in natural order of the names: the file itself keeps no order of the layers."""

    def __init__(self, path: Path):
        self.name, self._path = str(path), path
        with self._open() as file:
            slices = {name: file.get_slice(name) for name in sorted(file.keys(), key=_natural)}
            entries = {
                name: Entry(tuple(part.get_shape()), _torch_name(part.get_dtype())) for name, part in slices.items()
            }
            run = "zimp" in (file.metadata() or {})
        # A level of a run folder has names of its own; `_stored` are those that the file has.
        self.entries, self._stored = _of_level(entries) if run else (entries, {})

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """Within it, tensors are read by name; with its end the file is closed, so that memory can be given back."""
        with self._open() as file:
            yield lambda name: file.get_tensor(self._stored.get(name, name))

    @contextmanager
    def _open(self):
        try:
            with safe_open(self._path, framework="pt") as file:
                yield file
        except SafetensorError as error:
            raise ValueError(
                f"{self.name} is not a complete safetensors file ({error}); was it copied completely?"
            ) from None


def _of_level(entries) -> tuple[dict[str, Entry], dict[str, str]]:
    """The trained networks of a level of a run, with their masks: by seed, if there are several."""
    seeds = {name.partition("/")[0] for name in entries if "/weights/" in name}
    found, stored = {}, {}
    for name, entry in entries.items():
        owner, part, key = (name.split("/", 2) + ["", ""])[:3]
        prefix = f"seed {owner}: " if len(seeds) > 1 else ""
        if part == "weights":
            mask = f"{owner}/masks/{key}"
            found[prefix + key] = replace(entry, mask=mask if mask in entries else None)
            stored[prefix + key] = name
        else:
            reason = "weights before training" if part == "early" else "state of the run"
            found[name] = replace(entry, aside=entry.aside or (None if part == "masks" else reason))
    return found, stored


def _natural(name: str) -> list:
    """Sorts ``layer.10`` after ``layer.9``."""
    return [(not part.isdigit(), int(part) if part.isdigit() else part) for part in re.split(r"(\d+)", name) if part]


def _torch_name(dtype: str) -> str:
    letters, rest = re.fullmatch(r"([A-Z]+)(.*)", dtype).groups()
    return (PREFIXES.get(letters, letters) + rest).lower()


class TorchFile:
    """A file written by ``torch.save``: a state dict, alone or within a checkpoint."""

    def __init__(self, path: Path, zipped: bool):
        self.name, self._path, self._zipped = str(path), path, zipped
        # The format before torch 1.6 can only be loaded whole; and what is called safetensors, torch takes for that.
        self._mapped = zipped and path.suffix != ".safetensors"
        tensors, aside = self._load()
        self.entries = {name: _entry(tensor, aside.get(name)) for name, tensor in tensors.items()}
        self._tensors = None if self._mapped else tensors

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """As :meth:`SafetensorsFile.reading`: the file is mapped anew, or its pages would stay in memory once read."""
        yield (self._tensors or self._load()[0]).__getitem__

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
        with LOADING, ExitStack() as stack:
            file = self._path if self._mapped else stack.enter_context(self._path.open("rb"))
            unknown = torch.serialization.get_unsafe_globals_in_checkpoint(file) if self._zipped else []
            if file is not self._path:
                file.seek(0)
            stack.enter_context(torch.serialization.safe_globals([(_stand_in(name), name) for name in unknown]))
            return torch.load(file, map_location="cpu", weights_only=True, mmap=self._mapped)

    def _refused(self, code: str) -> ValueError:
        return ValueError(
            f"{self.name} holds {code}, and to load that could run code; "
            "save the weights alone: torch.save(model.state_dict(), path)"
        )


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


class Shards:
    """One model in several files, by the index that says which tensor is where."""

    def __init__(self, path: Path):
        self.name = str(path)
        try:
            places = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
            self._places = {str(name): str(shard) for name, shard in places.items()}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise ValueError(f"{path} must be an index of shards, with a weight_map from tensors to files") from None
        self._files, wrong = {}, []
        for shard in sorted(set(self._places.values()), key=_natural):
            try:
                self._files[shard] = _open_file(path.parent / shard)
            except (OSError, ValueError) as error:
                wrong.append(str(error))
        wrong += [
            f"{self._files[shard].name} lacks the tensor {name}"
            for name, shard in self._places.items()
            if shard in self._files and name not in self._files[shard].entries
        ]
        if wrong:
            raise ValueError(f"{path}: " + "; ".join(wrong))
        self.entries = {}
        for name, shard in self._places.items():
            entry = self._files[shard].entries[name]
            # Shards were mapped one after another, maybe to the same place in memory.
            self.entries[name] = replace(entry, memory=entry.memory and (shard, entry.memory))
        for shard, file in self._files.items():
            for name in file.entries.keys() - self._places.keys():
                self.entries[name] = replace(file.entries[name], aside=f"in {shard}, but not in the index")

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """As :meth:`SafetensorsFile.reading`, of the shards that are needed."""
        with ExitStack() as stack:
            readers = {}

            def read(name):
                shard = self._places[name]
                if shard not in readers:
                    readers[shard] = stack.enter_context(self._files[shard].reading())
                return readers[shard](name)

            yield read


class StateDict:
    """A dict of tensors, such as ``model.state_dict()``, maybe nested as in a checkpoint."""

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
