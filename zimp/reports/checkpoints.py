"""Open a network, given as a file of weights, as the shards of one model, or as a torch network.

What the tensors are called and how large they are comes first, without reading one; then one tensor at a time is read,
so a model may be larger than memory. A file is data and is never run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from ..checks import is_network, is_sparse
from .formats import HEADER, format_of
from .headers import Reader, SafetensorsFile, Stamp, check_file, natural, unreadable

__all__ = ["open_network"]

INDEX = ".index.json"
LIBRARIES = {  # what reads formats that need more than zimp itself
    "onnx": ("an ONNX model", "onnx"), "hdf5": ("an HDF5 file", "h5py"), "keras": ("a Keras model", "h5py"),
}  # fmt: skip
# That files of weights usually have.
ENDINGS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".onnx", ".keras", ".h5", ".hdf5")


def open_network(network):
    """A network of any of these kinds, with ``name``, ``entries`` (a dict of :class:`Entry`) and ``reading()``.

    Parameters
    ----------
    network : torch.nn.Module, path, or dict of str to torch.Tensor
        What a file is, its first bytes say, and not its name. Of a folder the index of shards is read, or the one file
        of weights in it.

    Raises
    ------
    OSError
        For a file that is not there, or cannot be read.
    ValueError
        For a file that is truncated, of another format, or a pickle that would run code; for a folder with no file of
        weights, or with several.
    ImportError
        For an ONNX or a Keras file, where the library that reads it is not installed.

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
    if is_network(network) or isinstance(network, Mapping) and not is_sparse(network):
        from .pickles import Module, StateDict

        return Module(network) if is_network(network) else StateDict(network)
    if not isinstance(network, str | os.PathLike):
        raise ValueError(
            f"network is a {type(network).__name__}, not a torch.nn.Module, a dict of tensors, or the path of a file"
        )
    path = Path(network)
    path = _file_in(path) if os.path.isdir(path) else path
    check_file(path)
    return Shards(path) if format_of(path) == "index" else _open_file(path)


def _file_in(folder: Path) -> Path:
    """The one index, or else the one file of weights, in a folder."""
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise unreadable(folder, error) from None
    found = [path for path in files if path.name.endswith(INDEX)]
    found = found or [path for path in files if path.suffix.lower() in ENDINGS]
    if len(found) == 1:
        return found[0]
    held = f"holds {', '.join(path.name for path in found[:5])}; give one of them" if found else (
        f"is a folder without a file that ends in {', '.join(ENDINGS)} or {INDEX}; give the file of weights"
    )  # fmt: skip
    raise ValueError(f"{folder} {held}")


def _open_file(path: Path):
    check_file(path)
    kind = format_of(path)
    if kind == "index":
        raise ValueError(f"{path} is an index or other JSON, and not a file of weights")
    if kind == "safetensors":
        return SafetensorsFile(path)
    if kind in LIBRARIES:
        what, library = LIBRARIES[kind]
        try:
            if kind == "onnx":
                from .onnx_files import OnnxFile

                return OnnxFile(path)
            from .keras_files import KerasFile

            return KerasFile(path, zipped=kind == "keras")
        except ImportError:
            raise ImportError(
                f"{path} is {what}, which the library {library} reads: pip install {library}, or zimp's extra formats"
            ) from None
    from .pickles import TorchFile  # imports torch, which takes longer than many a file

    return TorchFile(path, zipped=kind == "torch zip")


class Shards:
    """One model in several files, by the index that says which tensor is where."""

    def __init__(self, path: Path):
        self.name, self.stamps = str(path), [Stamp(path)]
        if path.stat().st_size > HEADER:
            raise ValueError(f"{path} is JSON of {path.stat().st_size:,} bytes, and too long for an index of shards")
        try:
            places = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
            self._places = {str(name): str(shard) for name, shard in places.items()}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise ValueError(f"{path} must be an index of shards, with a weight_map from tensors to files") from None
        self._files, wrong = {}, []
        for shard in sorted(set(self._places.values()), key=natural):
            try:
                self._files[shard] = _open_file(path.parent / shard)
                self.stamps += self._files[shard].stamps
            except (OSError, ValueError, ImportError) as error:
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
