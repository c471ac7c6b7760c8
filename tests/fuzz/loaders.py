"""Fuzz the loaders of files: whatever the bytes, a file is read as what it is, or refused by an error of ours.

Coverage-guided, by atheris, which is no dependency of the project, and comes as a wheel for Linux alone. With it
installed beside the project:

    python tests/fuzz/loaders.py TARGET SECONDS [CORPUS]

TARGET is one of the keys of ``TARGETS``. Inputs of interest are kept in the folder CORPUS, to go on from; one that ends
the run by an error is written to the working directory as ``crash-*``, and is run alone when given in place of SECONDS.
``tests/test_hostile.py`` mutates the same seeds without atheris.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
import warnings
import zipfile
from collections import OrderedDict
from contextlib import nullcontext
from pathlib import Path

if __name__ == "__main__":
    import atheris

    imports = atheris.instrument_imports(include=["zimp", "json", "safetensors", "torch._weights_only_unpickler"])
else:
    imports = nullcontext()

with imports:
    import safetensors.torch
    import torch

    import zimp
    from zimp.lab.experiments import Results
    from zimp.reports.checkpoints import open_network

WEIGHTS = OrderedDict(
    {"fc.weight": torch.arange(6.0).reshape(2, 3), "fc.bias": torch.ones(2), "half": torch.ones(2, 2).bfloat16()}
)


def read_weights(path):
    """Open a file of weights, read all of its tensors, report on it: each may refuse, and then names the file."""
    try:
        network = open_network(path)
        with network.reading() as read:
            for name, entry in network.entries.items():
                assert entry.aside or tuple(read(name).shape) == entry.shape, f"{name} is not as it was announced"
        zimp.report(path).table()
    except (OSError, ValueError) as error:
        assert str(path) in str(error), f"the message does not name the file: {error}"


def read_json(load):
    """Load a file of results: it may be refused by a message that names it."""

    def read(path):
        try:
            load(path)
        except ValueError as error:
            assert str(path) in str(error), f"the message does not name the file: {error}"

    return read


def saved(content, **options) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def repacked(pickle: bytes) -> bytes:
    """A checkpoint whose pickle is replaced, all else being whole: what is mutated gets past the format of the zip."""
    old, new = zipfile.ZipFile(io.BytesIO(saved(WEIGHTS))), io.BytesIO()
    with zipfile.ZipFile(new, "w") as file:
        for name in old.namelist():
            file.writestr(name, pickle if name.endswith("data.pkl") else old.read(name))
    return new.getvalue()


def headed(header: bytes) -> bytes:
    """A safetensors file with another header, whose length is right."""
    return len(header).to_bytes(8, "little") + header + SAFETENSORS[8 + HEADER :]


def pickled(content) -> bytes:
    file = zipfile.ZipFile(io.BytesIO(saved(content)))
    return file.read(next(name for name in file.namelist() if name.endswith("data.pkl")))


NESTED = {"epoch": 3, "model": WEIGHTS, "optimizer": {"state": {0: {"exp_avg": torch.ones(2, 3)}}}}
RECORD = zimp.Record({"levels": 1}, {"zimp": "0"}, [{"seed": 0, "level": 0, "layers": {"fc": {"kept": 6}}}])
SAFETENSORS = safetensors.torch.save(WEIGHTS)
HEADER = int.from_bytes(SAFETENSORS[:8], "little")  # its length
TARGETS = {  # the file's name, what its bytes are made of, how it is read, and whole ones to start from
    "safetensors": ("net.safetensors", bytes, read_weights, [SAFETENSORS]),
    "header": ("net.safetensors", headed, read_weights, [SAFETENSORS[8 : 8 + HEADER]]),
    "torch": ("net.pt", bytes, read_weights, [saved(WEIGHTS)]),
    "pickle": ("net.pt", repacked, read_weights, [pickled(WEIGHTS), pickled(NESTED)]),
    "legacy": ("net.pt", bytes, read_weights, [saved(WEIGHTS, _use_new_zipfile_serialization=False)]),
    "index": (
        "net.safetensors.index.json", bytes, read_weights,
        [json.dumps({"weight_map": dict.fromkeys(WEIGHTS, "net.safetensors")}).encode()],
    ),
    "record": ("run.json", bytes, read_json(zimp.Record.load), [json.dumps(vars(RECORD)).encode()]),
    "results": (
        "sweep.json", bytes, read_json(Results.load),
        [json.dumps({"sweep": {}, "fingerprint": "0", "made": {}, "values": {}}).encode()],
    ),
}  # fmt: skip


def try_bytes(target: str, data: bytes, folder: Path):
    """Write them to a file of the target's kind and read it."""
    name, make, read, _ = TARGETS[target]
    if target == "index":
        safetensors.torch.save_file(WEIGHTS, folder / "net.safetensors")
    (folder / name).write_bytes(make(data))
    read(folder / name)


def main(target, seconds_or_file, corpus=None):
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        seeds = Path(corpus or folder) / "seeds"
        seeds.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(TARGETS[target][3]):
            (seeds / str(number)).write_bytes(seed)
        alone = Path(seconds_or_file).is_file()
        options = [seconds_or_file] if alone else [f"-max_total_time={seconds_or_file}", "-max_len=8192", str(seeds)]
        atheris.Setup([sys.argv[0], *options], lambda data: try_bytes(target, data, Path(folder)))
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
