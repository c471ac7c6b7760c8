"""The record of a run, the versions it was made with, and files that are written completely or not at all."""

from __future__ import annotations

import errno
import json
import os
import platform
import re
import stat
from collections import Counter
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np  # late, below: who only writes files, such as the command line, need not wait for it

__all__ = ["Record", "check_writable", "load_json", "versions", "write_whole"]


@dataclass
class Record:
    """The results of a run, with one row for each seed and level.

    Attributes
    ----------
    config : dict
        The arguments of the run; of the optimizer its name and the settings of its groups of parameters;
        ``not_pruned``, by name how many numbers the matrices hold that pruning leaves alone, such as embeddings; and
        ``threads``, how many torch computed with, a list if a run that was stopped went on with another number.
    versions : dict
        Of the libraries, of Python and of the platform.
    rows : list of dict
        By seed and level: ``seed``, ``level`` (0 is dense), ``kept`` (weights), ``density`` (of the weights that can be
        pruned), ``train_loss`` (of the last batch), ``validation_accuracy``, ``test_accuracy``, ``on_level`` (what that
        function returned, if it did), and ``layers``, for each layer a dict of

        * ``kept``: weights left;
        * ``beta0``: components of the graph that the mask leaves;
        * ``isolated``: neurons without any edge among them;
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
        import numpy as np

        levels = Counter(row["seed"] for row in self.rows)
        if len(set(levels.values())) != 1:
            raise ValueError("the run stopped when its seeds had different numbers of levels; read the record's `rows`")
        try:
            values = [row[quantity] if layer is None else row["layers"][layer][quantity] for row in self.rows]
        except KeyError as error:
            layers = [name for name, facts in self.rows[0]["layers"].items() if layer is None and quantity in facts]
            raise ValueError(
                f"the record holds no {error.args[0]!r}"
                + (f" of the network; give a layer: {', '.join(layers)}" if layers else "; see help(zimp.Record)")
            ) from None
        return np.array(values).reshape(len(levels), -1)

    def table(self) -> list[dict]:
        """Return one flat dict for each seed, level and layer, for ``pandas.DataFrame``.

        Returns
        -------
        list of dict
            ``seed``, ``level``, ``layer`` and the facts of the layer, ``kept`` and the others; then those of the
            network: ``network_kept``, ``density``, ``train_loss``, ``validation_accuracy``, ``test_accuracy``.

        Examples
        --------
        >>> import zimp
        >>> record = zimp.iterative_magnitude_pruning(
        ...     lambda: zimp.lenet_300_100(64), zimp.load_data("digits"), levels=1, steps=5, progress=False
        ... )
        >>> [(row["level"], row["layer"], row["kept"], row["network_kept"]) for row in record.table()][:4]
        [(0, 'fc1.weight', 19200, 50200), (0, 'fc2.weight', 30000, 50200), (0, 'output.weight', 1000, 50200), \
(1, 'fc1.weight', 15360, 40160)]
        """
        network = ("density", "train_loss", "validation_accuracy", "test_accuracy")
        return [
            {"seed": row["seed"], "level": row["level"], "layer": layer, **facts, "network_kept": row["kept"]}
            | {quantity: row[quantity] for quantity in network}
            for row in self.rows
            for layer, facts in row["layers"].items()
        ]

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
        return load_json(
            cls, "record of a run", path, config=(dict, object), versions=(dict, object), rows=(list, dict)
        )


def load_json(cls, what, path, **parts):
    """An object of a class from the JSON file of its attributes.

    Parameters
    ----------
    cls : class
    what : str
        What the file should hold, in words.
    path : path
    **parts : (type, type)
        Of each attribute its type, and that of the items in it.

    Returns
    -------
    cls

    Raises
    ------
    ValueError
        For a file that holds something else.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        if type(content) is not dict or content.keys() != parts.keys():
            raise ValueError(f"it must have the parts {', '.join(parts)}")
        for name, (kind, inner) in parts.items():
            part = content[name]
            items = part.values() if type(part) is dict else part
            if type(part) is not kind or kind is not str and not all(isinstance(item, inner) for item in items):
                raise ValueError(f"its {name} is of another type")
    except (ValueError, RecursionError) as error:  # the last of deeply nested brackets
        raise ValueError(f"{path} holds no {what} ({error})") from None
    return cls(**content)


# With these set before torch is imported, training takes the same kernels on all x86 processors with AVX2.
FIXED = {"ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"}


def machine() -> dict:
    """The processor, and the settings that choose among its kernels, because results depend on them."""
    cores = f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}"
    try:
        processor = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))[1]
    except (OSError, TypeError):  # not Linux; not x86
        processor = platform.processor()
    import torch

    settings = {name: os.environ[name] for name in FIXED if name in os.environ}
    kernels = f"{processor}, {torch.backends.cpu.get_cpu_capability()}"
    return {"machine": cores, "processor": kernels, "settings": settings}


def versions() -> dict[str, str]:
    """What a result may depend on besides its configuration."""
    return {
        "zimp": version("zimp"),
        "torch": version("torch"),
        "numpy": version("numpy"),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


def write_whole(path, content):
    """Write a file completely or not at all: on a full disk the old file remains.

    A link stays, and what it leads to is written. A file that is replaced keeps its permissions. What is no file but
    can be written to, such as a device or a pipe, is written to.

    Parameters
    ----------
    path : path
    content : str or bytes

    Raises
    ------
    OSError
        If it cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> from zimp.lab.record import write_whole
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(f"{folder}/notes.txt", "whole")
    ...     os.listdir(folder)
    ['notes.txt']
    """
    content = content if isinstance(content, bytes) else content.encode("utf-8")
    mode = _mode(path)
    if mode is not None and not stat.S_ISREG(mode):
        with open(path, "wb") as file:  # a folder raises
            file.write(content)
        return
    path = Path(os.path.realpath(path))
    temporary = _beside(path)
    try:
        temporary.write_bytes(content)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())  # or else the name might reach the disk before the content
        if mode is not None:
            os.chmod(temporary, stat.S_IMODE(mode))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    if os.name == "posix":  # elsewhere a folder cannot be opened
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def check_writable(path):
    """Whether :func:`write_whole` can write a file, found out before the work whose result it holds.

    Parameters
    ----------
    path : path

    Raises
    ------
    OSError
        If it cannot.

    Examples
    --------
    >>> from zimp.lab.record import check_writable
    >>> check_writable("no/such/folder/notes.txt")
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] No such file or directory: 'no/such/folder/notes.txt'
    """
    mode = _mode(path)
    if mode is not None:
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    if mode is None or stat.S_ISREG(mode):
        probe = _beside(Path(os.path.realpath(path)))
        try:
            open(probe, "xb").close()
            probe.unlink()
        except OSError as error:
            raise type(error)(error.errno, error.strerror, str(path)) from None


def _mode(path) -> int | None:
    """Kind and permissions of what a path leads to, or None if there is nothing."""
    try:
        return os.stat(path).st_mode
    except FileNotFoundError:
        return None


def _beside(path: Path) -> Path:
    """A name in the same folder that no file has, and that is not too long if that of the file is not."""
    return path.with_name(f"{path.name[:32]}.{os.urandom(4).hex()}.part")
