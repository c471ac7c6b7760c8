"""What `zimp.report` takes for a network, what it calls files that are none, and what of a file it never runs."""

import argparse
import collections
import enum
import functools
import gzip
import io
import json
import os
import pathlib
import pickle
import struct
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import nn

import zimp

WEIGHTS = {"fc1.weight": torch.arange(12.0).reshape(3, 4), "fc2.weight": torch.arange(6.0).reshape(2, 3)}
ROWS = zimp.report(WEIGHTS).rows


def torch_bytes(content, **options):
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def npy_bytes(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def zip_bytes(*names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "6")
    return file.getvalue()


NO_CHECKPOINTS = {
    "onnx": (b"\x08\x08\x12\x07pytorch\x1a\x052.6.0:\x80\x01", "an ONNX model"),
    "keras": (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file"),
    "keras 3": (zip_bytes("config.json", "model.weights.h5"), "a Keras model"),
    "numpy": (npy_bytes(np.ones((3, 4))), "a NumPy array"),
    "npz": (zip_bytes("fc1.npy", "fc2.npy"), "a file of NumPy arrays"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4\n", "a pointer of Git LFS"),
    "page": (b"\n<!DOCTYPE html><html><body>Sign in</body></html>", "a web page"),
    "text": ("Gewichte für später\n".encode() * 40, "plain text"),
    "gguf": (b"GGUF\x03\0\0\0" + bytes(50), "a GGUF file"),
    "gzip": (gzip.compress(b"weights"), "compressed with gzip"),
    "zip": (zip_bytes("a/b"), "a zip archive without a checkpoint"),
    "noise": (bytes(range(128, 256)), "of no format that is known here"),
    "script": (zip_bytes("script/data.pkl", "script/constants.pkl"), "TorchScript"),
    "half": (torch_bytes(WEIGHTS)[:300], "truncated or damaged"),
    "nothing": (b"", "empty"),
}


@pytest.mark.parametrize("name", ["model.safetensors", "model.pt", "model", "model.index.json"])
@pytest.mark.parametrize("kind", NO_CHECKPOINTS)
def test_r7_what_is_no_checkpoint_is_called_what_it_is_whatever_its_name(kind, name, tmp_path):
    content, what = NO_CHECKPOINTS[kind]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=what) as error:
        zimp.report(tmp_path / name)
    assert str(tmp_path / name) in str(error.value) and len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["model.safetensors", "model.SAFETENSORS", "model.pt", "model.ckpt", "model"])
@pytest.mark.parametrize(
    "content",
    [save(WEIGHTS), torch_bytes(WEIGHTS), torch_bytes(WEIGHTS, _use_new_zipfile_serialization=False)],
    ids=["safetensors", "torch", "torch before 1.6"],
)
def test_r8_a_file_of_weights_is_read_by_what_is_in_it(content, name, tmp_path):
    (tmp_path / name).write_bytes(content)
    assert zimp.report(tmp_path / name).rows == ROWS


@pytest.mark.parametrize("content", [b"\x80", b"\x08", b"P", b"{", b"\0", b"\x80\x02", b"\x08\x03"])
def test_a_file_of_a_byte_or_two_is_refused_with_a_sentence(content, tmp_path):
    """The kinds that two bytes tell raised an IndexError."""
    (tmp_path / "model").write_bytes(content)
    with pytest.raises(ValueError, match=str(tmp_path / "model")):
        zimp.report(tmp_path / "model")


def with_header(header, numbers):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(numbers)


def test_a_safetensors_file_whose_metadata_are_null_is_read(tmp_path):
    header = {"__metadata__": None, "fc.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}
    (tmp_path / "model.safetensors").write_bytes(with_header(header, 24))
    assert [row["weights"] for row in zimp.report(tmp_path / "model.safetensors").rows] == [6]


def test_a_mask_of_a_kind_that_is_not_read_is_named(tmp_path):
    header = {
        "fc.weight_orig": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "fc.weight_mask": {"dtype": "F8_E4M3", "shape": [2, 3], "data_offsets": [24, 30]},
    }
    (tmp_path / "model.safetensors").write_bytes(with_header(header, 30))
    with pytest.raises(ValueError, match="fc.weight_mask is of F8_E4M3; weights are floats of 16 to 64 bits"):
        zimp.report(tmp_path / "model.safetensors")


class Color(enum.Enum):
    RED = 1


class Config:
    """As a project's own class: it must neither be imported nor told its state."""

    def __init__(self):
        self.rate = 0.1

    def __setstate__(self, state):
        raise AssertionError("its code ran")


BESIDE = {
    "a numpy scalar": np.float64(0.25),
    "a numpy array": np.arange(3),
    "a namespace": argparse.Namespace(rate=0.1, name="run"),
    "a path": pathlib.PurePosixPath("runs/1"),
    "a defaultdict": collections.defaultdict(list, losses=[1.0, 2.0]),
    "a set": {1, 2},
    "an enum": Color.RED,
    "a partial": functools.partial(max, 1),
    "a class": Config,
    "an object": Config(),
    "a slice": slice(1, 2),
    "a complex number": 1j,
    "a module": nn.ReLU(),
    "an optimizer": torch.optim.SGD([nn.Parameter(torch.ones(2))], lr=0.1),
}


@pytest.mark.parametrize("what", BESIDE)
def test_r6_a_training_checkpoint_is_read_whatever_lies_beside_the_weights(what, tmp_path):
    path = tmp_path / "epoch=3.ckpt"
    torch.save({"epoch": 3, "beside": BESIDE[what], "state_dict": WEIGHTS}, path)
    report = zimp.report(path)
    assert report.rows == ROWS
    left_out = {tensor["name"]: tensor["reason"] for tensor in report.left_out}
    if what in ("a namespace", "a path", "an object", "an optimizer"):
        assert "not loaded" in left_out["beside"] and type(BESIDE[what]).__name__ in left_out["beside"]


def test_r6_weights_in_a_defaultdict_are_found(tmp_path):
    torch.save({"model": collections.defaultdict(list, WEIGHTS)}, tmp_path / "model.pt")
    assert zimp.report(tmp_path / "model.pt").rows == ROWS


def test_r6_a_whole_network_that_was_pickled_is_refused(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "network.pt")
    with pytest.raises(ValueError, match=r"holds torch.nn.modules.linear.Linear, .*torch.save\(model.state_dict"):
        zimp.report(tmp_path / "network.pt")


def harm(path):
    raise AssertionError("it ran")


class Reduced:
    """What a pickle calls, and with what."""

    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


def hostile(folder):
    """Objects whose pickles would make a folder, start a process, import or read something."""
    mark = str(folder / "it ran")
    command = f"mkdir '{mark}'"
    built = f"__import__('os').mkdir({mark!r})"
    inner = Reduced(os.mkdir, (mark,))
    calls = [
        (os.mkdir, (mark,)), (os.system, (command,)), (eval, (built,)), (exec, (built,)), (harm, (mark,)),
        (compile, (built, "f", "exec")), (__import__, ("antigravity",)), (getattr, (Reduced, "mkdir")),
        (open, (mark, "w")), (io.open, (mark, "w")), (pathlib.Path.mkdir, (pathlib.PosixPath(mark),)),
        (functools.partial, (os.mkdir, mark)), (map, (os.mkdir, [mark])), (pickle.loads, (pickle.dumps(inner),)),
        (torch.load, (mark,)), (torch.storage._load_from_bytes, (torch_bytes(inner),)), (np.load, (mark,)),
        (np.save, (mark, 1)), (bytearray, (1 << 40,)), (zipfile.ZipFile, (mark, "w")), (argparse.FileType, ("w",)),
        (Config, (), {"a": 1}), (collections.OrderedDict, ([(1, 2)],), None, None, iter([(mark, os.mkdir)])),
    ]  # fmt: skip
    return [Reduced(*call) for call in calls]


@pytest.mark.parametrize("zipped", [True, False])
def test_r6_of_twenty_hostile_pickles_none_is_run(zipped, tmp_path, monkeypatch):
    monkeypatch.setattr(Config, "__init__", harm)
    cases = hostile(tmp_path)
    assert len(cases) >= 20
    for k, payload in enumerate(cases):
        path = tmp_path / f"{k}.pt"
        torch.save({"model": WEIGHTS, "extra": payload}, path, _use_new_zipfile_serialization=zipped)
        try:
            assert zimp.report(path).rows == ROWS
        except ValueError as error:
            assert str(path) in str(error) and "it ran" not in str(error).replace(str(tmp_path), "")
        torch.save(payload, path, _use_new_zipfile_serialization=zipped)
        with pytest.raises(ValueError, match="holds |no layer|truncated"):
            zimp.report(path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".pt"}


def test_a_dict_of_tensors_is_a_network():
    model = zimp.lenet_300_100(16)
    assert zimp.report(model.state_dict()).rows == zimp.report(model).rows
    nested = zimp.report({"epoch": 3, "model": WEIGHTS, "optimizer": {"state": {0: torch.ones(3, 4)}}})
    assert nested.rows == ROWS and nested.source == "state dict"
    assert [tensor["reason"] for tensor in nested.left_out] == ["state of the optimizer"]
    with pytest.raises(ValueError, match="state dict has no layer to measure"):
        zimp.report({})


def test_of_a_folder_the_index_or_the_only_file_of_weights_is_read(tmp_path):
    with pytest.raises(ValueError, match="a folder without a file that ends in"):
        zimp.report(tmp_path)
    (tmp_path / "README.md").write_text("A model.")
    (tmp_path / "model.safetensors").write_bytes(save(WEIGHTS))
    assert zimp.report(tmp_path).rows == ROWS
    (tmp_path / "model.pt").write_bytes(torch_bytes(WEIGHTS))
    with pytest.raises(ValueError, match=r"holds model.pt, model.safetensors; give one of them"):
        zimp.report(tmp_path)
    index = {"weight_map": dict.fromkeys(WEIGHTS, "model.safetensors")}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert zimp.report(tmp_path).rows == ROWS


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.pt")
    with pytest.raises(ValueError, match="is no file: a pipe or a device"):
        zimp.report(tmp_path / "pipe.pt")


def test_a_header_that_lies_about_its_length_is_named(tmp_path):
    whole = save(WEIGHTS)
    for length in (len(whole), 1 << 26):
        (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", length) + whole[8:])
        with pytest.raises(ValueError, match="is not a complete safetensors file"):
            zimp.report(tmp_path / "model.safetensors")
