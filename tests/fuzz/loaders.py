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
    import h5py
    import numpy as np
    import onnx
    import safetensors.torch
    import torch
    from onnx import helper, numpy_helper

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


def onnx_bytes() -> bytes:
    """A model with a layer of each kind, one behind a transposition, and one outside."""
    arrays = {
        "conv": np.ones((4, 1, 3, 3), np.float32), "fc": np.ones((2, 3), np.float32), "lstm": np.ones((1, 8, 3)),
        "table": np.ones((5, 2), np.float16),
    }  # fmt: skip
    tensors = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    outside = helper.make_tensor("outside", onnx.TensorProto.FLOAT, [2, 2], bytes(16), raw=True)
    onnx.external_data_helper.set_external_data(outside, "net.data")
    outside.ClearField("raw_data")
    nodes = [
        helper.make_node("Conv", ["x", "conv"], ["a"], group=4), helper.make_node("Transpose", ["fc"], ["t"]),
        helper.make_node("MatMul", ["a", "t"], ["b"]), helper.make_node("LSTM", ["b", "lstm", "lstm"], ["c"]),
        helper.make_node("Gather", ["table", "x"], ["d"]), helper.make_node("Gemm", ["d", "outside"], ["e"], transB=1),
    ]  # fmt: skip
    graph = helper.make_graph(nodes, "net", [], [], tensors + [outside])
    return helper.make_model(graph).SerializeToString()


def hdf5_bytes(old: bool) -> bytes:
    """Weights as Keras 2 names them (``old``) or Keras 3."""
    file = io.BytesIO()
    with h5py.File(file, "w") as content:
        if old:
            content.attrs["layer_names"] = [b"dense", b"conv2d"]
        for name, shape in (("dense", (3, 2)), ("conv2d", (3, 3, 1, 4)), ("lstm_cell", (2, 8))):
            place = f"{name}/{name}" if old else f"layers/{name}/vars"
            content[f"{place}/{'kernel:0' if old else 0}"] = np.ones(shape, np.float32)
            content[f"{place}/{'bias:0' if old else 1}"] = np.ones(shape[-1], np.float32)
    return file.getvalue()


def keras_bytes(config: bytes) -> bytes:
    """A ``.keras`` file of this configuration."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("config.json", config)
        archive.writestr("model.weights.h5", HDF5)
    return file.getvalue()


HDF5 = hdf5_bytes(old=False)
CONFIG = json.dumps({"class_name": "Sequential", "config": {"layers": [
    {"class_name": "Conv2D", "config": {"name": "conv2d", "groups": 1}},
    {"class_name": "Dense", "config": {"name": "dense"}},
]}}).encode()  # fmt: skip
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
    "onnx": ("net.onnx", bytes, read_weights, [onnx_bytes()]),
    "hdf5": ("net.h5", bytes, read_weights, [HDF5, hdf5_bytes(old=True)]),
    "keras": ("net.keras", bytes, read_weights, [keras_bytes(CONFIG)]),
    "config": ("net.keras", keras_bytes, read_weights, [CONFIG]),
    "record": ("run.json", bytes, read_json(zimp.Record.load), [json.dumps(vars(RECORD)).encode()]),
    "results": (
        "sweep.json", bytes, read_json(Results.load),
        [json.dumps({"sweep": {}, "fingerprint": "0", "made": {}, "values": {}}).encode()],
    ),
}  # fmt: skip


def place_bytes(target: str, data: bytes, folder: Path) -> Path:
    """Write them to a file of the target's kind."""
    name, make, _, _ = TARGETS[target]
    if target == "index":
        safetensors.torch.save_file(WEIGHTS, folder / "net.safetensors")
    if target == "onnx":
        (folder / "net.data").write_bytes(bytes(16))
    (folder / name).write_bytes(make(data))
    return folder / name


def try_bytes(target: str, data: bytes, folder: Path):
    """Write them to a file of the target's kind and read it."""
    TARGETS[target][2](place_bytes(target, data, folder))


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
