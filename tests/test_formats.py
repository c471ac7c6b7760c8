"""What `zimp.report` takes for a network, what it calls files that are none, and what of a file it never runs."""

import argparse
import collections
import enum
import errno
import functools
import gzip
import io
import json
import os
import pathlib
import pickle
import struct
import subprocess
import sys
import zipfile

import h5py
import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from safetensors.torch import save
from torch import nn

import zimp
from zimp.reports import table
from zimp.reports.checkpoints import open_network

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


def misled(content):
    """An archive whose directory is said to begin far behind its end: its parts then lie before the beginning."""
    place = content.index(b"PK\x06\x06") + 52
    return content[:place] + b"\x01" + content[place + 1 :]


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
    "no directory": (misled(torch_bytes(WEIGHTS)), "truncated, or no PyTorch"),
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


# ONNX: the graph says what a tensor is.


def onnx_file(path, nodes, arrays, **options):
    """A model of these nodes, ``(type, inputs, outputs, attributes)``, and these tensors."""
    made = [helper.make_node(kind, inputs, outputs, name=kind, **known) for kind, inputs, outputs, known in nodes]
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
    onnx.save(helper.make_model(helper.make_graph(made, "net", [], [], tensors)), path, **options)
    return path


def random(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def measured(network):
    """What the rows say of the layers, whatever these are called."""
    rows = zimp.report(network).rows
    return [{key: value for key, value in row.items() if key not in ("name", "tensors", "part")} for row in rows]


def dense(array):
    layer = nn.Linear(array.shape[1], array.shape[0], bias=False)
    layer.weight = nn.Parameter(torch.from_numpy(array.copy()))
    return layer


ONNX = {  # nodes from "x" on, how the weight is stored, and the layer of torch that has it as (outputs, inputs)
    "MatMul": ([("MatMul", ["x", "w"], ["y"], {})], np.transpose),
    "MatMul from the left": ([("MatMul", ["w", "x"], ["y"], {})], np.asarray),
    "Gemm": ([("Gemm", ["x", "w"], ["y"], {})], np.transpose),
    "Gemm, transposed": ([("Gemm", ["x", "w"], ["y"], {"transB": 1})], np.asarray),
    "Transpose": ([("Transpose", ["w"], ["t"], {}), ("MatMul", ["x", "t"], ["y"], {})], np.asarray),
    "Transpose and Identity": (
        [("Identity", ["w"], ["i"], {}), ("Transpose", ["i"], ["t"], {"perm": [1, 0]}),
         ("Cast", ["t"], ["c"], {"to": 1}), ("Gemm", ["x", "c"], ["y"], {})], np.asarray,
    ),
    "tied to an embedding": (
        [("Gather", ["w", "i"], ["x"], {}), ("Transpose", ["w"], ["t"], {}), ("MatMul", ["x", "t"], ["y"], {})],
        np.asarray,
    ),
}  # fmt: skip


@pytest.mark.parametrize("outside", [False, True])
@pytest.mark.parametrize("way", ONNX)
def test_a_dense_layer_of_onnx_is_the_right_way_round(way, outside, tmp_path):
    nodes, stored = ONNX[way]
    options = {"save_as_external_data": True, "location": "net.data", "size_threshold": 0} if outside else {}
    path = onnx_file(tmp_path / "net.onnx", nodes, {"w": stored(random(5, 9)), "bias": random(5)}, **options)
    assert (tmp_path / "net.data").exists() == outside
    assert measured(path) == measured(dense(random(5, 9)))
    assert [left["name"] for left in zimp.report(path).left_out] == ["bias"]


def test_a_constant_of_the_graph_is_a_weight_too(tmp_path):
    value = numpy_helper.from_array(random(5, 9).T, "")
    bias, shape = (numpy_helper.from_array(np.ones(5, dtype), "") for dtype in (np.float32, np.int64))
    nodes = [
        ("Constant", [], ["w"], {"value": value}), ("Constant", [], ["bias"], {"value": bias}),
        ("Constant", [], ["shape"], {"value": shape}), ("MatMul", ["x", "w"], ["y"], {}),
    ]  # fmt: skip
    path = onnx_file(tmp_path / "net.onnx", nodes, {})
    assert measured(path) == measured(dense(random(5, 9)))
    totals = zimp.report(path).totals  # whose coverage said 100% where all else was a constant
    assert (totals["measured"], totals["numbers"]) == (45, 50)


@pytest.mark.parametrize("layer", [nn.Conv2d(6, 8, 3, groups=2), nn.Conv1d(4, 4, 3, groups=4), nn.Conv2d(3, 5, 3),
                                   nn.ConvTranspose2d(6, 4, 3, groups=2), nn.Embedding(9, 5)])  # fmt: skip
def test_onnx_knows_groups_and_the_kinds_of_layers(layer, tmp_path):
    weight = layer.weight.detach().numpy()
    node = {nn.Embedding: ("Gather", ["w", "x"], ["y"], {})}.get(type(layer)) or (
        "ConvTranspose" if "Transpose" in type(layer).__name__ else "Conv", ["x", "w"], ["y"], {"group": layer.groups},
    )  # fmt: skip
    path = onnx_file(tmp_path / "net.onnx", [node], {"w": weight})
    assert measured(path) == measured(layer) and zimp.report(path).totals["guessed"] == []


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("both", [False, True])
def test_gates_of_a_recurrent_layer_of_onnx_are_layers(kind, both, tmp_path):
    """ONNX orders the gates in another way than torch."""
    layer = getattr(nn, kind)(5, 4, bidirectional=both, bias=False)
    order = {"LSTM": [0, 3, 1, 2], "GRU": [1, 0, 2], "RNN": [0]}[kind]
    arrays = {}
    for name in ("ih", "hh"):
        ways = [getattr(layer, f"weight_{name}_l0{end}") for end in ("", "_reverse")[: 1 + both]]
        gates = [torch.cat([way.detach().chunk(len(order))[k] for k in order]) for way in ways]
        arrays[name] = torch.stack(gates).numpy()
    known = {"hidden_size": 4, "direction": "bidirectional" if both else "forward"}
    path = onnx_file(tmp_path / "net.onnx", [(kind, ["x", "ih", "hh"], ["y"], known)], arrays)

    def parts(report, name):
        rows = [row for row in report.rows if name in row["name"]]
        return sorted(
            (row["part"].removesuffix("_reverse"), row["outputs"], row["inputs"], row["total_persistence"])
            for row in rows
        )

    for name in ("ih", "hh"):
        assert parts(zimp.report(path), name) == parts(zimp.report(layer), name)


def test_the_rows_of_an_onnx_model_are_in_the_order_of_its_layers(tmp_path):
    nodes = [("MatMul", ["x", "b"], ["y"], {}), ("MatMul", ["y", "c"], ["z"], {}), ("MatMul", ["z", "a"], ["o"], {})]
    path = onnx_file(tmp_path / "net.onnx", nodes, {name: random(4, 4) for name in ("a", "unused", "b", "c")})
    assert [row["name"] for row in zimp.report(path).rows] == ["b", "c", "a"]


def test_tensors_in_the_branches_of_an_onnx_model_are_found(tmp_path):
    def branch(name, array):
        nodes = [helper.make_node("MatMul", ["x", "w"], [name]), helper.make_node("MatMul", [name, "inner"], ["y"])]
        return helper.make_graph(nodes, name, [], [], [numpy_helper.from_array(array, "inner")])

    branches = {"then_branch": branch("a", random(5, 4)), "else_branch": branch("b", random(5, 3))}
    path = onnx_file(tmp_path / "net.onnx", [("If", ["c"], ["z"], branches)], {"w": random(9, 5)})
    report = zimp.report(path)
    assert [(row["name"], row["outputs"], row["inputs"]) for row in report.rows] == [("w", 5, 9), ("inner", 3, 5)]
    (left,) = report.left_out
    assert (left["name"], left["shape"]) == ("inner (2)", [5, 4]) and "in a branch of the graph" in left["reason"]


def test_what_is_no_layer_of_onnx_is_left_out_with_what_it_is(tmp_path):
    nodes = [
        ("MatMul", ["x", "w"], ["a"], {}), ("Add", ["a", "table"], ["b"], {}), ("MatMul", ["b", "stack"], ["c"], {}),
        ("DequantizeLinear", ["q", "scale"], ["d"], {}), ("MatMul", ["c", "d"], ["e"], {}),
        ("Gemm", ["e", "half"], ["f"], {"alpha": 0.5}),
    ]  # fmt: skip
    arrays = {
        "w": random(4, 4), "table": random(3, 4), "stack": random(2, 4, 4), "q": np.ones((4, 4), np.int8),
        "scale": np.float32(1), "half": random(4, 4), "odd.weight": random(4, 4),
    }  # fmt: skip
    report = zimp.report(onnx_file(tmp_path / "net.onnx", nodes, arrays))
    assert [row["name"] for row in report.rows] == ["w"]
    reasons = {left["name"]: left["reason"] for left in report.left_out}
    assert "an input of Add" in reasons["table"] and "an input of MatMul" in reasons["stack"]
    assert "quantised" in reasons["q"] and "an input of Gemm" in reasons["half"]
    assert "used nowhere" in reasons["odd.weight"] and reasons["scale"].startswith("vectors and numbers")


def test_bfloat16_is_read_from_onnx_and_a_name_of_the_exporters_says_where_it_is_used(tmp_path):
    halves = torch.from_numpy(random(5, 9)).bfloat16()
    bits = halves.T.contiguous().view(torch.int16).numpy().tobytes()
    tensor = helper.make_tensor("onnx::MatMul_7", onnx.TensorProto.BFLOAT16, (9, 5), bits, raw=True)
    node = helper.make_node("MatMul", ["x", "onnx::MatMul_7"], ["y"], name="/fc1/MatMul")
    onnx.save(helper.make_model(helper.make_graph([node], "net", [], [], [tensor])), tmp_path / "net.onnx")
    assert measured(tmp_path / "net.onnx") == measured({"fc.weight": halves})
    assert zimp.report(tmp_path / "net.onnx").rows[0]["name"] == "onnx::MatMul_7 (/fc1/MatMul)"


@pytest.mark.parametrize(("place", "what"), [("../net.data", "no place in its own"), ("/etc/hosts", "no place in"),
                                             ("", "no place in"), ("none.data", "does not exist"),
                                             ("short.data", "is too short to hold w")])  # fmt: skip
def test_a_tensor_outside_of_an_onnx_model_is_looked_for_in_its_folder_alone(place, what, tmp_path):
    path = tmp_path / "net.onnx"
    nodes = [("MatMul", ["x", "w"], ["y"], {})]
    onnx_file(path, nodes, {"w": random(9, 5)}, save_as_external_data=True, location="net.data", size_threshold=0)
    (tmp_path / "short.data").write_bytes((tmp_path / "net.data").read_bytes()[:-1])
    model = onnx.load(path, load_external_data=False)
    next(entry for entry in model.graph.initializer[0].external_data if entry.key == "location").value = place
    path.write_bytes(model.SerializeToString())
    with pytest.raises((OSError, ValueError), match=what) as error:
        zimp.report(path)
    assert str(path) in str(error.value)


# Keras: the name or the configuration says what an array is.


class Kernels(nn.Module):
    """A network, and what Keras would write of it."""

    def __init__(self):
        super().__init__()
        self.stem, self.dw = nn.Conv2d(3, 8, 3, groups=1), nn.Conv2d(8, 16, 3, groups=8)
        self.grouped, self.up = nn.Conv1d(16, 12, 3, groups=4), nn.ConvTranspose2d(12, 5, 2)
        self.table, self.fc = nn.Embedding(7, 5), nn.Linear(5, 4)


def keras_layers(model):
    """By name the class in Keras, its options, and the arrays as Keras stores them."""
    stored = {name: layer.weight.detach().numpy() for name, layer in model.named_children()}
    pixels = stored["dw"].reshape(8, 2, 3, 3).transpose(2, 3, 0, 1)
    return {
        "stem": ("Conv2D", {"groups": 1}, {"kernel": stored["stem"].transpose(2, 3, 1, 0), "bias": np.ones(8)}),
        "dw": ("DepthwiseConv2D", {}, {"depthwise_kernel": pixels, "bias": np.ones(16)}),
        "grouped": ("Conv1D", {"groups": 4}, {"kernel": stored["grouped"].transpose(2, 1, 0)}),
        "up": ("Conv2DTranspose", {}, {"kernel": stored["up"].transpose(2, 3, 1, 0)}),
        "table": ("Embedding", {}, {"embeddings": stored["table"]}),
        "fc": ("Dense", {}, {"kernel": stored["fc"].T, "bias": np.ones(4)}),
    }


def keras_config(layers):
    made = [{"class_name": kind, "config": {"name": name, **options}} for name, (kind, options, _) in layers.items()]
    return json.dumps({"class_name": "Sequential", "config": {"name": "net", "layers": made}})


def hdf5_of(layers, kind):
    """The HDF5 file in which Keras 2 has them, or Keras 3, alone or in a zip."""
    file = io.BytesIO()
    with h5py.File(file, "w") as content:
        if kind == ".h5":
            content.attrs["model_config"] = keras_config(layers)
            content["optimizer_weights/adam/stem_kernel_momentum"] = np.ones((3, 3))
            weights = content.create_group("model_weights")
            weights.attrs["layer_names0"] = [name.encode() for name in layers]  # as Keras cuts a long list
        for name, (_, _, arrays) in layers.items():
            for k, (variable, array) in enumerate(arrays.items()):
                place = f"model_weights/{name}/{name}/{variable}:0" if kind == ".h5" else f"layers/{name}/vars/{k}"
                content[place] = array
            if kind != ".h5":
                content[f"layers/{name}/vars"].attrs["name"] = name
    if kind != ".keras":
        return file.getvalue()
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", keras_config(layers))
        archive.writestr("model.weights.h5", file.getvalue())
    return zipped.getvalue()


@pytest.mark.parametrize("kind", [".h5", ".keras"])
def test_a_network_and_its_file_of_keras_give_the_same_rows(kind, tmp_path):
    torch.manual_seed(0)
    model = Kernels()
    (tmp_path / f"net{kind}").write_bytes(hdf5_of(keras_layers(model), kind))
    report = zimp.report(tmp_path / f"net{kind}")
    assert measured(tmp_path / f"net{kind}") == measured(model)
    assert report.totals["tree"] == zimp.report(model).totals["tree"] and not report.totals["guessed"]
    assert [row["name"] for row in report.rows][0] == "stem/kernel"
    left_out = {left["name"]: left["reason"] for left in report.left_out}
    if kind == ".h5":
        assert left_out.pop("optimizer_weights/adam/stem_kernel_momentum") == "state of the optimizer"
    assert all(reason.startswith("vectors and numbers") for reason in left_out.values()) and len(left_out) == 3


def test_weights_of_keras_without_a_configuration_are_told_by_the_names_of_the_layers(tmp_path):
    layers = keras_layers(Kernels())
    named = {"conv2d": layers["stem"], "dense_3": layers["fc"], "embedding": layers["table"], "mine": layers["fc"]}
    (tmp_path / "net.weights.h5").write_bytes(hdf5_of(named, ".weights.h5"))
    report = zimp.report(tmp_path / "net.weights.h5")
    assert {row["name"]: row["kind"] for row in report.rows} == {
        "conv2d/kernel": "convolution", "dense_3/kernel": "dense", "embedding/embeddings": "embedding",
    }  # fmt: skip
    assert {left["name"]: left["reason"] for left in report.left_out}[
        "mine/0"
    ] == "of a layer that the file does not tell"


@pytest.mark.parametrize(("cell", "gates"), [("lstm", "ifgo"), ("gru", "zrn"), ("simple_rnn", "")])
def test_gates_of_a_recurrent_layer_of_keras_are_layers(cell, gates, tmp_path):
    arrays = {"kernel": random(5, 4 * max(1, len(gates))), "recurrent": random(4, 4 * max(1, len(gates)))}
    layers = {f"{cell}_cell": (cell, {}, arrays)}
    (tmp_path / "net.weights.h5").write_bytes(hdf5_of(layers, ".weights.h5"))
    rows = zimp.report(tmp_path / "net.weights.h5").rows
    assert [row["part"] for row in rows] == 2 * list(gates or [""]) and {row["kind"] for row in rows} == {"recurrent"}
    first = zimp.spanning_forest(arrays["kernel"][:, :4].T)
    assert rows[0]["total_persistence"] == pytest.approx(np.sum(1 - first.relative_values))


def test_attention_of_keras_is_dense_layers_and_other_classes_are_left_out_by_name(tmp_path):
    arrays = {name: random(6, 2, 3) for name in ("query", "key", "value")} | {"attention_output": random(2, 3, 6)}
    layers = {name: ("EinsumDense", {}, {"kernel": array}) for name, array in arrays.items()}
    (tmp_path / "net.weights.h5").write_bytes(hdf5_of(layers, ".weights.h5"))
    rows = {row["name"]: row for row in zimp.report(tmp_path / "net.weights.h5").rows}
    for name, array in arrays.items():
        matrix = array.reshape(6, 6).T
        assert rows[f"{name}/kernel"]["safe_density"] == zimp.safe_density(matrix)
        assert rows[f"{name}/kernel"]["total_persistence"] == pytest.approx(
            measured(dense(matrix))[0]["total_persistence"]
        )
    layers = {"mixer": ("EinsumDense", {}, {"kernel": random(6, 6)}), "fc": ("Dense", {}, {"kernel": random(6, 6)})}
    (tmp_path / "net.keras").write_bytes(hdf5_of(layers, ".keras"))
    (left,) = zimp.report(tmp_path / "net.keras").left_out
    assert left["name"] == "mixer/kernel" and left["reason"] == "of the class einsumdense, which is not read"


def test_halves_of_keras_are_read_and_what_is_not_stored_as_it_is_is_left_out(tmp_path):
    halves = torch.from_numpy(random(6, 4)).bfloat16()
    with h5py.File(tmp_path / "net.weights.h5", "w") as content:
        content["layers/dense/vars/0"] = halves.view(torch.int16).numpy().view("V2")
        content.create_dataset("layers/dense_1/vars/0", data=random(6, 4), compression="gzip")
        content.create_dataset("layers/dense_2/vars/0", (1 << 20, 1 << 20), "f4")
        content["layers/dense_3/vars/0"] = h5py.ExternalLink("other.h5", "/x")
        content["layers/dense_4/vars/0"] = h5py.SoftLink("/layers/dense_4")
        content.create_dataset("layers/dense_5/vars/0", (2, 2), "f4", external=[(b"/dev/zero", 0, 16)])
    report = zimp.report(tmp_path / "net.weights.h5")
    assert measured(tmp_path / "net.weights.h5") == measured({"fc.weight": halves.T})
    reasons = {left["name"]: left["reason"] for left in report.left_out}
    assert reasons.keys() == {"dense_1/kernel", "dense_2/kernel", "dense_5/kernel"}
    assert all("h5repack" in reason for reason in reasons.values())


def test_other_hdf5_and_compressed_weights_of_keras_are_called_what_they_are(tmp_path):
    with h5py.File(tmp_path / "data.h5", "w") as content:
        content["images"] = random(3, 4)
    with pytest.raises(ValueError, match="data.h5 is an HDF5 file, but holds no arrays as Keras names them"):
        zimp.report(tmp_path / "data.h5")
    with zipfile.ZipFile(tmp_path / "net.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", hdf5_of({"dense": ("Dense", {}, {"kernel": random(6, 4)})}, ".weights.h5"))
    with pytest.raises(ValueError, match="net.keras holds its weights compressed; unzip it"):
        zimp.report(tmp_path / "net.keras")


@pytest.mark.parametrize(("name", "library"), [("net.onnx", "onnx"), ("net.h5", "h5py"), ("net.keras", "h5py")])
def test_without_the_library_a_file_is_refused_by_a_sentence_that_names_it(name, library, tmp_path):
    contents = {"onnx": NO_CHECKPOINTS["onnx"], "h5": NO_CHECKPOINTS["keras"], "keras": NO_CHECKPOINTS["keras 3"]}
    (tmp_path / name).write_bytes(contents[name.rpartition(".")[2]][0])
    (tmp_path / "good.safetensors").write_bytes(save(WEIGHTS))
    code = f"import sys; sys.modules[{library!r}] = None; from zimp.reports.command import main; main()"
    arguments = ["report", tmp_path / name, tmp_path / "good.safetensors", "--quiet"]
    ended = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert ended.returncode == 2 and "fc1.weight" in ended.stdout
    assert f"which the library {library} reads: pip install {library}, or zimp's extra formats" in ended.stderr
    assert ended.stderr.startswith(f"error: {tmp_path / name} is a") and len(ended.stderr.splitlines()) == 1


# Files that are not there, not readable, or not still


def test_what_cannot_be_opened_is_named_with_the_reason_and_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "loop.pt").symlink_to("loop.pt")
    (tmp_path / "around").symlink_to(".")
    (tmp_path / "hidden.pt").write_bytes(torch_bytes(WEIGHTS))
    (tmp_path / "closed").mkdir()
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "deeper").symlink_to("..")
    cases = {
        "loop.pt": (OSError, "cannot be read: Too many levels of symbolic links"),
        "around/around/around/none.pt": (FileNotFoundError, "does not exist; is its name right"),
        "hidden.pt/none.pt": (FileNotFoundError, "does not exist"),
        "inner": (ValueError, "is a folder without a file that ends in"),
        "x" * 300: (OSError, "cannot be read: File name too long"),
    }
    for name, (kind, what) in cases.items():
        with pytest.raises(kind, match=what) as error:
            zimp.report(tmp_path / name)
        assert str(tmp_path / name) in str(error.value)
    assert zimp.report(tmp_path / "around" / "around" / "hidden.pt").rows == ROWS
    opened = pathlib.Path.open

    def refuse(path, *arguments, **options):  # as the system does for who is not root
        if path.name in ("hidden.pt", "closed"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, *arguments, **options)

    monkeypatch.setattr(pathlib.Path, "open", refuse)
    monkeypatch.setattr(pathlib.Path, "iterdir", refuse)
    for name in ("hidden.pt", "closed"):
        with pytest.raises(PermissionError, match=f"{name} cannot be read: Permission denied; ask its owner"):
            zimp.report(tmp_path / name)


@pytest.mark.parametrize("change", ["longer", "anew", "gone"])
@pytest.mark.parametrize("kind", ["safetensors", "torch", "onnx", "keras", "shard"])
def test_a_file_that_changes_while_it_is_read_is_refused(kind, change, tmp_path, monkeypatch):
    path = tmp_path / "model"
    watched = path
    if kind == "onnx":
        onnx_file(path, [("MatMul", ["x", "w"], ["y"], {})], {"w": random(9, 5)})
    elif kind == "keras":
        path.write_bytes(hdf5_of({"dense": ("Dense", {}, {"kernel": random(6, 4)})}, ".keras"))
    elif kind == "shard":
        path, watched = tmp_path / "model.index.json", tmp_path / "one.safetensors"
        path.write_text(json.dumps({"weight_map": dict.fromkeys(WEIGHTS, "one.safetensors")}))
        watched.write_bytes(save(WEIGHTS))
    else:
        path.write_bytes(save(WEIGHTS) if kind == "safetensors" else torch_bytes(WEIGHTS))
    found = table.find_layers

    def changed(entries, groups):
        content = watched.read_bytes()
        watched.unlink()  # what has been mapped stays
        if change != "gone":
            watched.write_bytes(content + b"\0" * (change == "longer"))
            os.utime(watched, ns=(1, 1))
        return found(entries, groups)

    monkeypatch.setattr(table, "find_layers", changed)
    with pytest.raises(ValueError, match=f"{watched.name} has changed while it was read; if it is still being written"):
        zimp.report(path)


@pytest.mark.parametrize("format", ["torch", "safetensors"])
def test_a_file_that_becomes_shorter_in_place_is_named_and_ends_no_process(format, tmp_path):
    """A checkpoint was read through a map, and where that has no file below it the process is ended by a signal."""
    path = tmp_path / "model"
    large = {f"fc{k}.weight": torch.ones(200, 300) for k in range(4)}
    path.write_bytes(save(large) if format == "safetensors" else torch_bytes(large))
    with open_network(path).reading() as read:
        assert read("fc0.weight").shape == (200, 300)
        os.truncate(path, 300_000)
        with pytest.raises(ValueError, match="model has become shorter while it was read"):
            read("fc3.weight")


def test_tensors_that_are_views_are_read_where_they_lie_in_a_checkpoint(tmp_path):
    base = torch.randn(40, 50, generator=torch.Generator().manual_seed(0))
    views = {
        "whole.weight": base, "turned.weight": base.T, "part.weight": base[3:20, 5:9], "steps.weight": base[::3, 1::7],
        "half.weight": base.bfloat16()[1:, 2:], "double.weight": base.double()[5:],
        "expanded.weight": base[:, :1].expand(40, 6),
    }  # fmt: skip
    torch.save(views, tmp_path / "views.pt")
    network = open_network(tmp_path / "views.pt")
    with network.reading() as read:
        for name, view in views.items():
            assert torch.equal(read(name), view) and read(name).dtype == view.dtype
    assert zimp.report(tmp_path / "views.pt").totals == zimp.report(views).totals


def test_numbers_in_the_byte_order_of_another_processor_are_turned(tmp_path):
    weights = {"a.weight": torch.randn(20, 30, generator=torch.Generator().manual_seed(0))}
    with zipfile.ZipFile(io.BytesIO(torch_bytes(weights))) as native:
        parts = {name: native.read(name) for name in native.namelist()}
    with zipfile.ZipFile(tmp_path / "other.pt", "w") as other:
        for name, content in parts.items():
            if name.endswith("/byteorder"):
                content = b"big" if sys.byteorder == "little" else b"little"
            elif name.endswith("/data/0"):
                content = np.frombuffer(content, np.float32).byteswap().tobytes()
            other.writestr(name, content)
    with open_network(tmp_path / "other.pt").reading() as read:
        assert torch.equal(read("a.weight"), weights["a.weight"])


def test_an_index_of_shards_that_is_too_long_to_be_one_is_not_read(tmp_path):
    with open(tmp_path / "model.index.json", "wb") as file:
        file.write(b"{")
        file.truncate(1 << 40)  # holds nothing on the disk
    with pytest.raises(ValueError, match="JSON of 1,099,511,627,776 bytes, and too long for an index"):
        zimp.report(tmp_path / "model.index.json")


FUZZ = pathlib.Path(__file__).parent / "fuzz"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="waits for pipes")
def test_a_few_of_the_mutated_files_harm_nobody():
    ended = subprocess.run([sys.executable, FUZZ / "mutate.py", "100", "hdf5"], capture_output=True, text=True)
    assert ended.returncode == 0
    assert ended.stdout == "hdf5: 100 inputs, nothing wrong\n"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="waits for pipes")
def test_readers_that_run_code_fail_hang_and_die_are_found(tmp_path):
    harms = "[lambda: os.mkdir('made'), lambda: {}['key'], lambda: time.sleep(99), os.abort, lambda: None]"
    (tmp_path / "loaders.py").write_text(
        f"import os, time\nharms = iter({harms})\n"
        "def place_bytes(target, data, folder): return folder\n"
        "def read(path): harms.__next__()()\n"
        "TARGETS = {'bad': ('', bytes, read, [b'seed'])}\n"
    )
    code = (FUZZ / "mutate.py").read_text().replace("LIMIT = 30", "LIMIT = 2")
    # A process that goes on behind an input that ended one has read none of those before.
    code = code.replace(
        "        for number in range(first, last):",
        "        [*zip(range(first), harms)]\n        for number in range(first, last):",
    )
    code = code.replace("from loaders import TARGETS, place_bytes", "from loaders import TARGETS, harms, place_bytes")
    (tmp_path / "mutate.py").write_text(code)
    ended = subprocess.run([sys.executable, "mutate.py", "5", "bad"], capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 1 and not (tmp_path / "made").exists()
    said = [line.partition(" ")[2].partition(" (")[0] for line in ended.stdout.splitlines()]
    found = ["0: ran os.mkdir", "1: raised KeyError: 'key'", "2: hangs", "3: died of 6"]
    assert all(line.startswith(start) for line, start in zip(said, found)) and said[4].startswith("5 inputs, {'ran': 1")
