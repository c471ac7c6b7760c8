import copy
import csv
import errno
import io
import json
import math
import os
import pickle
import stat
import subprocess
import sys
import zipfile
from contextlib import nullcontext
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import scipy.special
import torch
from hypothesis import given
from hypothesis import strategies as st
from joblib import parallel_config
from rehearsal.shards import measure
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import parametrizations
from torch.nn.utils import prune as torch_prune

import zimp
from zimp.checks import as_layer
from zimp.lab.record import write_whole
from zimp.reports.command import SORTED, main
from zimp.reports.headers import Entry
from zimp.reports.layouts import find_layers
from zimp.reports.ranking import BINS, Ranking, profile
from zimp.reports.table import SORTED as TABLE_SORTED
from zimp.reports.table import ZETA3, full_name

try:
    import torch.ao.nn.quantized as quantised
except ImportError:  # a torch of the time after it
    quantised = None

ROOT = Path(__file__).parent.parent
COMMAND = [sys.executable, "-m", "zimp", "report"]


def run(*arguments):
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, encoding="utf-8", cwd=ROOT)


def tensors(**shapes):
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def saved(path, content):
    if path.suffix == ".safetensors":
        save_file({name: tensor.contiguous() for name, tensor in content.items()}, path)
    else:
        torch.save(content, path)
    return path


def rows_of(network, **options):
    return {full_name(row): row for row in zimp.report(network, **options).rows}


class GPT2(nn.Module):
    """The names and shapes of GPT-2, whose dense layers are stored as (inputs, outputs)."""

    def __init__(self, width=8):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(20, width), nn.Embedding(6, width)
        block = nn.ModuleDict({"ln_1": nn.LayerNorm(width), "attn": nn.Module(), "mlp": nn.Module()})
        for layer, name, outputs, inputs in [
            (block["attn"], "c_attn", 3 * width, width), (block["attn"], "c_proj", width, width),
            (block["mlp"], "c_fc", 4 * width, width), (block["mlp"], "c_proj", width, 4 * width),
        ]:  # fmt: skip
            setattr(layer, name, nn.Module())
            getattr(layer, name).weight = nn.Parameter(torch.randn(inputs, outputs))
            getattr(layer, name).bias = nn.Parameter(torch.randn(outputs))
        self.h = nn.ModuleList([block])


def networks():
    torch.manual_seed(0)
    return {
        "dense": zimp.lenet_300_100(16),
        "convolutions": zimp.small_conv(),
        "volumes": nn.Sequential(nn.Conv1d(3, 4, 5), nn.BatchNorm1d(4), nn.Conv3d(2, 3, 2)),
        "attention": nn.TransformerEncoderLayer(8, 2, 16),
        "gpt2": GPT2(),
        "recurrent": nn.ModuleDict({
            "lstm": nn.LSTM(5, 4, num_layers=2, bidirectional=True), "small": nn.LSTM(5, 4, proj_size=2),
            "gru": nn.GRU(5, 4), "plain": nn.RNN(5, 4), "cell": nn.LSTMCell(3, 4),
        }),
        "half": zimp.lenet_300_100(16).half(),
        "brain": zimp.lenet_300_100(16).bfloat16(),
        "double": zimp.lenet_300_100(16).double(),
        "pruned": torch_prune.l1_unstructured(nn.Linear(9, 7), "weight", amount=0.5),
        "norm over pixels": nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(0, 1), nn.LayerNorm((6, 6))),
        "weight norm": nn.Sequential(nn.Linear(3, 4), parametrizations.weight_norm(nn.Linear(4, 5))),
    }  # fmt: skip


NETWORKS = networks()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_and_its_file_in_either_format_give_the_same_rows(name, tmp_path):
    model = NETWORKS[name]
    if name == "norm over pixels":  # in a file only a name tells a norm from a layer
        model = nn.ModuleDict({"conv": model[0], "norm": model[2]})
    whole = zimp.report(model)
    for file in ("model.safetensors", "model.pt"):
        other = zimp.report(saved(tmp_path / file, model.state_dict()))
        for row in other.rows:
            row["notes"] = [note for note in row["notes"] if "depthwise" not in note and "embedding" not in note]
        assert sorted(other.rows, key=full_name) == sorted(whole.rows, key=full_name)
        assert sorted(other.left_out, key=str) == sorted(whole.left_out, key=str)
        assert other.totals == whole.totals


@pytest.mark.parametrize("name", NETWORKS)
def test_every_tensor_is_a_layer_its_mask_a_tied_one_or_left_out(name):
    report = zimp.report(NETWORKS[name])
    in_rows = {tensor for row in report.rows for tensor in row["tensors"]}
    left_out = [tensor["name"] for tensor in report.left_out]
    assert in_rows.isdisjoint(left_out) and len(left_out) == len(set(left_out))
    assert in_rows | {*left_out} == NETWORKS[name].state_dict().keys()


names = st.lists(
    st.sampled_from(
        "weight bias weight_orig weight_mask weight_g weight_v weight_ih_l0 weight_hh_l0 weight_hr_l0 in_proj_weight "
        "weight_ih_l0_orig weight_ih_l0_mask q_proj_weight bias_orig bias_mask parametrizations c_attn c_fc c_proj qkv "
        "qkv_proj wte norm ln_1 experts gate_up_proj query_key_value embed_tokens h 0 1 attn lm_head x".split()
    ),
    min_size=1, max_size=4,
).map(".".join)  # fmt: skip
entries = st.builds(
    Entry,
    shape=st.lists(st.sampled_from([0, 1, 2, 3, 4, 6, 12]), max_size=6).map(tuple),
    dtype=st.sampled_from(["float32", "bfloat16", "float64", "float8_e4m3fn", "int8", "bool", "complex64", "quint8"]),
    memory=st.sampled_from([None, None, None, 1, 2]),
)


@given(st.dictionaries(names, entries, max_size=8))
def test_no_tensor_is_skipped_whatever_it_is_called(entries):
    layers, left_out = find_layers(entries)
    in_layers = [name for layer in layers for name in layer.tensors]
    assert {*in_layers}.isdisjoint(left_out) and {*in_layers, *left_out} == entries.keys()
    assert all(reason for reason in left_out.values())
    sizes = {}
    for layer in layers:
        assert (layer.part, layer.first) not in sizes.setdefault(layer.tensor, {})
        sizes[layer.tensor][layer.part, layer.first] = layer.size
    assert {name: sum(parts.values()) for name, parts in sizes.items()} == {
        name: math.prod(entries[name].shape) for name in sizes
    }


# What is in a row


@pytest.mark.parametrize("name", NETWORKS)
def test_a_row_is_what_zimps_functions_say_of_the_layer(name):
    model = NETWORKS[name]
    report, state = zimp.report(model, density=0.3), model.state_dict()
    counted = [row for row in report.rows if row["kind"] != "embedding"]
    largest = max(row_graph(row, state)[2] for row in counted)
    assert report.totals["largest"] == largest
    for row in report.rows:
        weights, mask, scale = row_graph(row, state)
        m, n = weights.shape
        forest = zimp.spanning_forest(weights, mask)
        assert (row["outputs"], row["inputs"], row["tree"]) == (m, n, m + n - 1)
        assert row["critical_compression"] == zimp.critical_compression(m, n)
        assert row["safe_density"] == zimp.safe_density(weights, mask)
        assert row["iid_density"] == zimp.connectivity_density(m, n)
        assert row["retention"] == zimp.retention_bound(round(0.3 * m * n), m, n) / len(forest)
        assert row["balwani"] == zimp.neural_persistence(weights, mask, convention="balwani")
        assert row["total_persistence"] == pytest.approx(np.sum(1 - forest.relative_values))
        if row["kind"] == "embedding":
            assert row["rieck"] is None
        else:
            assert row["rieck"] == zimp.neural_persistence(weights, mask, scale=largest)
        square = m == n and mask is None
        zeta_3 = 1.2020569031595942
        assert row["zeta_ratio"] == (pytest.approx(row["total_persistence"] / (2 * zeta_3)) if square else None)


def row_graph(row, state):
    """The layer of a row, cut from its tensor by hand; its mask; its largest weight."""
    tensor = state[row["name"]]
    mask = state[row["name"].replace("_orig", "_mask")] if row["name"].endswith("_orig") else None
    weights = tensor.flatten(1)
    if "c_" in row["name"]:
        weights = weights.T
    part = row["part"]
    if part:
        parts = "qkv" if part in "qkv" else {4: "ifgo", 3: "rzn"}[weights.shape[0] // row["outputs"]]
        weights = weights.chunk(len(parts))[parts.index(part)]
    existing = weights if mask is None else weights[mask.bool()]
    return weights, mask, float(existing.abs().max())


def test_the_totals_are_those_of_the_network():
    model = zimp.lenet_300_100()
    report = zimp.report(model)
    sizes = zimp.tree_sizes(model).values()
    weights, trees = (sum(column) for column in zip(*sizes))
    assert (report.totals["layers"], report.totals["weights"], report.totals["tree"]) == (3, weights, trees)
    assert report.totals["critical_compression"] == pytest.approx(167.31615, abs=1e-5)
    safe = [row["safe_density"] for row in report.rows]
    assert report.totals["uniform_safe_density"] == max(safe)
    assert report.totals["first_to_break"] == report.rows[int(np.argmax(safe))]["name"]
    assert report.totals["safe_density"] == pytest.approx(sum(d * size for d, (size, _) in zip(safe, sizes)) / weights)
    assert report.totals["rieck"] == pytest.approx(np.mean([row["rieck"] for row in report.rows]))


def test_magnitude_pruning_keeps_h0_down_to_the_safe_density_and_not_further():
    torch.manual_seed(0)
    layer = nn.Linear(30, 20)
    (row,) = zimp.report(layer).rows
    kept = round(row["safe_density"] * 600)
    diagram = zimp.persistence_diagram(layer.weight)
    assert np.array_equal(zimp.persistence_diagram(layer.weight, zimp.magnitude_mask(layer.weight, kept)), diagram)
    broken = zimp.persistence_diagram(layer.weight, zimp.magnitude_mask(layer.weight, kept - 1))
    assert not np.array_equal(broken, diagram)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("groups", [2, 4])
def test_groups_are_graphs_of_their_own(groups, transposed):
    torch.manual_seed(0)
    layer = (nn.ConvTranspose2d if transposed else nn.Conv2d)(8, 4, 3, groups=groups)
    (row,) = zimp.report(layer).rows
    graph = zimp.layer_graph(layer.weight, groups=groups)
    forest = zimp.spanning_forest(*graph)
    assert row["components"] == groups and row["tree"] == len(forest)
    assert row["weights"] == layer.weight.numel() and row["critical_compression"] == row["weights"] / len(forest)
    assert row["total_persistence"] == pytest.approx(np.sum(1 - forest.relative_values))
    assert row["safe_density"] * row["weights"] == pytest.approx(
        zimp.safe_density(*graph) * math.prod(graph.weights.shape)
    )
    assert (row["outputs"], row["inputs"]) == (graph.weights.shape[::-1] if transposed else graph.weights.shape)
    m, n = row["outputs"] // groups, row["inputs"] // groups
    assert row["iid_density"] == zimp.connectivity_density(m, n, 0.5 ** (1 / groups))  # all groups at once
    if not transposed:
        assert zimp.tree_sizes(layer) == {"weight": (row["weights"], row["tree"])}


def test_every_weight_of_a_depthwise_convolution_is_in_its_tree():
    (row,) = zimp.report(nn.Conv1d(6, 6, 4, groups=6).bfloat16()).rows
    assert row["critical_compression"] == row["safe_density"] == row["iid_density"] == 1


def test_the_square_root_law_of_groups_is_the_exact_minimum():
    layer = nn.Conv1d(4, 4, 1, groups=2)  # two blocks of 2x2
    blocks = [(i, j) for i in range(4) for j in range(4) if i // 2 == j // 2]
    for kept in range(1, 9):
        least = 8
        for edges in combinations(blocks, kept):
            mask = np.zeros((4, 4), dtype=bool)
            mask[tuple(zip(*edges))] = True
            least = min(least, 8 - zimp.count_components(mask))
        (row,) = zimp.report(layer, density=kept / 8).rows
        assert row["retention"] == least / 6


def test_a_pruned_layer_is_measured_as_its_mask_leaves_it():
    torch.manual_seed(0)
    layer = torch_prune.l1_unstructured(nn.Linear(20, 20), "weight", amount=0.97)
    report = zimp.report(layer, density=0.1)
    (row,) = report.rows
    assert row["tensors"] == ["weight_orig", "weight_mask"] and row["density"] == 0.03
    assert row["components"] == zimp.count_components(layer.weight_mask.bool()) > 1
    assert row["safe_density"] == zimp.safe_density(layer.weight_orig, layer.weight_mask)
    assert row["retention"] == 1 and row["zeta_ratio"] is None
    assert "in pieces already" in report.table()
    torch_prune.remove(layer, "weight")
    assert "needs weights that are zero" in zimp.report(layer).table()


def test_in_the_totals_a_layer_in_pieces_counts_by_the_edges_of_its_forest():
    torch.manual_seed(0)
    pieces = torch_prune.l1_unstructured(nn.Linear(20, 20), "weight", amount=0.97)
    report = zimp.report(nn.Sequential(pieces, nn.Linear(20, 20)))
    edges = 40 - zimp.count_components(pieces.weight_mask)
    assert [row["retention"] for row in report.rows] == [1, 12 / 39] and edges <= 12  # of 40 weights at least 12
    assert report.totals["retention"] == pytest.approx((edges + 12) / (edges + 39), rel=1e-12)


def test_a_layer_with_nothing_left_and_one_of_zeros_have_a_row():
    layer = torch_prune.l1_unstructured(nn.Linear(3, 3), "weight", amount=1.0)
    (row,) = zimp.report(layer).rows
    assert row["components"] == 6 and row["safe_density"] == 0
    zeros = nn.Linear(3, 3)
    zeros.weight.data.zero_()
    (row,) = zimp.report(zeros).rows
    assert row["total_persistence"] == 5 and row["rieck"] == zimp.neural_persistence(zeros.weight)
    (row,) = zimp.report(nn.Linear(1, 1)).rows
    assert row["balwani"] is None


# What is a layer

LAYOUTS = {  # tensors: the layers that they are, outputs x inputs
    "dense": ({"fc.weight": (3, 5)}, {"fc.weight": (3, 5)}),
    "a bare weight": ({"weight": (3, 5)}, {"weight": (3, 5)}),
    "convolutions": (
        {"a.weight": (4, 3, 5), "b.weight": (4, 3, 3, 3), "c.weight": (4, 3, 2, 2, 2)},
        {"a.weight": (4, 15), "b.weight": (4, 27), "c.weight": (4, 24)},
    ),
    "attention of torch": (
        {"in_proj_weight": (12, 4)}, {f"in_proj_weight[{part}]": (4, 4) for part in "qkv"},
    ),
    "attention with other widths": (
        {"q_proj_weight": (4, 4), "k_proj_weight": (4, 3)}, {"q_proj_weight": (4, 4), "k_proj_weight": (4, 3)},
    ),
    "GPT-2": (
        {"h.0.attn.c_attn.weight": (4, 12), "h.0.attn.c_proj.weight": (4, 4), "h.0.mlp.c_fc.weight": (4, 16),
         "h.0.mlp.c_proj.weight": (16, 4), "h.0.crossattention.c_attn.weight": (4, 8)},
        {**{f"h.0.attn.c_attn.weight[{part}]": (4, 4) for part in "qkv"}, "h.0.attn.c_proj.weight": (4, 4),
         "h.0.mlp.c_fc.weight": (16, 4), "h.0.mlp.c_proj.weight": (4, 16),
         **{f"h.0.crossattention.c_attn.weight[{part}]": (4, 4) for part in "kv"}},
    ),
    "nanoGPT": (
        {"h.0.attn.c_attn.weight": (12, 4), "h.0.mlp.c_fc.weight": (16, 4), "h.0.mlp.c_proj.weight": (4, 16)},
        {**{f"h.0.attn.c_attn.weight[{part}]": (4, 4) for part in "qkv"},
         "h.0.mlp.c_fc.weight": (16, 4), "h.0.mlp.c_proj.weight": (4, 16)},
    ),
    "fused projections": (
        {"a.qkv.weight": (12, 4), "b.qkv_proj.weight": (12, 4), "c.Wqkv.weight": (12, 4)},
        {f"{name}.weight[{part}]": (4, 4) for name in ("a.qkv", "b.qkv_proj", "c.Wqkv") for part in "qkv"},
    ),
    "gates of a feed-forward layer": (
        {"mlp.gate_up_proj.weight": (10, 4)}, {f"mlp.gate_up_proj.weight[{part}]": (5, 4) for part in ("gate", "up")},
    ),
    "grouped queries": ({"attn.qkv_proj.weight": (6, 4)}, {"attn.qkv_proj.weight": (6, 4)}),
    "interleaved heads": (
        {"query_key_value.weight": (12, 4), "h.3.attn.qkv_proj.weight": (12, 4)},
        {"query_key_value.weight": (12, 4), "h.3.attn.qkv_proj.weight": (12, 4)},
    ),
    "a recurrent layer of another kind": (
        {"weight_ih_l0": (10, 3), "weight_hh_l0": (10, 5)}, {"weight_ih_l0": (10, 3), "weight_hh_l0": (10, 5)},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("content", "expected"), LAYOUTS.values(), ids=LAYOUTS)
def test_a_layout_is_told_from_names_and_shapes(content, expected, tmp_path):
    rows = rows_of(saved(tmp_path / "model.safetensors", tensors(**content)))
    assert {name: (row["outputs"], row["inputs"]) for name, row in rows.items()} == expected


@pytest.mark.parametrize(
    ("layer", "gates"),
    [(nn.LSTM(5, 4), "ifgo"), (nn.GRU(5, 4), "rzn"), (nn.RNN(5, 4), None), (nn.LSTMCell(5, 4), "ifgo")],
)
def test_a_recurrent_layer_is_split_into_its_gates(layer, gates):
    rows = rows_of(layer)
    for name, weight in layer.named_parameters():
        if weight.ndim == 2:
            parts = [f"{name}[{gate}]" for gate in gates] if gates else [name]
            for part, block in zip(parts, weight.chunk(len(parts))):
                assert rows[part]["safe_density"] == zimp.safe_density(block)
                assert rows[part]["kind"] == "recurrent"


def test_the_projection_of_an_lstm_does_not_hide_its_gates():
    rows = rows_of(nn.LSTM(5, 4, proj_size=2))
    assert rows["weight_hh_l0[o]"]["shape"] == [16, 2] and rows["weight_hh_l0[o]"]["outputs"] == 4
    assert (rows["weight_hr_l0"]["outputs"], rows["weight_hr_l0"]["inputs"]) == (2, 4)


EMBEDDINGS = "wte wpe embed_tokens tok_embeddings word_embeddings position_embeddings token_embedding_table emb shared"


@pytest.mark.parametrize("name", EMBEDDINGS.split())
def test_embeddings_are_listed_and_not_counted(name, tmp_path):
    path = saved(tmp_path / "model.safetensors", tensors(**{f"{name}.weight": (9, 4), "head.weight": (3, 4)}))
    report = zimp.report(path)
    assert {row["name"]: row["kind"] for row in report.rows} == {f"{name}.weight": "embedding", "head.weight": "dense"}
    assert report.totals["layers"] == 1 and report.totals["weights"] == 12
    assert "Embeddings are not counted" in report.table()


def test_what_has_a_bias_is_no_embedding_whatever_its_name_and_a_name_alone_is_said_to_be_a_guess():
    report = zimp.report(
        {"embed.weight": torch.rand(9, 4), "embed.bias": torch.rand(9), "emb.weight": torch.rand(5, 4)}
    )
    assert [(row["name"], row["kind"]) for row in report.rows] == [
        ("embed.weight", "dense"),
        ("emb.weight", "embedding"),
    ]
    assert report.rows[1]["notes"] == ["taken as an embedding because of its name; in memory a network tells"]
    assert zimp.report(nn.ModuleDict({"emb": nn.Embedding(5, 4)})).rows[0]["notes"] == []


@pytest.mark.parametrize("name", ["embed_out", "class_embed", "patch_embed.proj", "time_embedding.linear_1"])
def test_dense_layers_beside_embeddings_are_no_embeddings(name, tmp_path):
    path = saved(tmp_path / "model.safetensors", tensors(**{f"{name}.weight": (9, 4)}))
    assert zimp.report(path).totals["layers"] == 1


def test_a_network_of_embeddings_alone_has_rows_and_no_totals():
    report = zimp.report(nn.Embedding(9, 4))
    assert report.totals["layers"] == 0 and report.totals["critical_compression"] is None and report.table()


def test_in_a_network_the_kind_of_a_layer_is_known():
    model = nn.ModuleDict({"shared": nn.Linear(4, 3), "lookup": nn.Embedding(5, 4), "up": nn.ConvTranspose2d(3, 2, 2)})
    kinds = {name: row["kind"] for name, row in rows_of(model).items()}
    assert kinds == {
        "shared.weight": "dense", "lookup.weight": "embedding", "up.weight": "transposed convolution",
    }  # fmt: skip


def test_a_transposed_convolution_has_the_same_graph_in_a_file_but_for_its_sides(tmp_path):
    layer = nn.ConvTranspose2d(3, 2, 2)
    (known,) = zimp.report(layer).rows
    (told,) = zimp.report(saved(tmp_path / "up.pt", layer.state_dict())).rows
    assert (known["outputs"], known["inputs"]) == (8, 3) == (told["inputs"], told["outputs"])
    same = ("weights", "tree", "critical_compression", "safe_density", "iid_density", "retention", "total_persistence")
    assert [known[key] for key in same] == [told[key] for key in same]


def test_a_file_says_where_it_cannot_know_the_groups(tmp_path):
    path = saved(tmp_path / "model.safetensors", tensors(**{"conv.weight": (8, 1, 3, 3)}))
    (row,) = zimp.report(path).rows
    assert "depthwise" in row["notes"][0]


@pytest.mark.parametrize("suffix", [".pt", None])
def test_tied_weights_are_one_row_by_the_name_of_the_dense_layer(suffix, tmp_path):
    model = nn.ModuleDict({"wte": nn.Embedding(9, 4), "lm_head": nn.Linear(4, 9, bias=False), "again": nn.Linear(4, 9)})
    model["lm_head"].weight = model["again"].weight = model["wte"].weight
    report = zimp.report(model if suffix is None else saved(tmp_path / "model.pt", model.state_dict()))
    (row,) = report.rows
    assert row["tensors"] == ["lm_head.weight", "wte.weight", "again.weight"] and row["kind"] == "dense"
    assert row["notes"] == ["the same numbers as wte.weight, again.weight"]


def test_tied_weights_with_masks_of_their_own_are_two_layers():
    model = nn.ModuleDict({"one": nn.Linear(4, 4), "two": nn.Linear(4, 4)})
    model["two"].weight = model["one"].weight
    for name, amount in (("one", 0.25), ("two", 0.5)):
        torch_prune.l1_unstructured(model[name], "weight", amount=amount)
    assert [row["density"] for row in zimp.report(model).rows] == [0.75, 0.5]


REASONS = {
    "fc.bias": (torch.ones(3), "vectors and numbers"),
    "step": (torch.tensor(1.0), "vectors and numbers"),
    "num_batches_tracked": (torch.tensor(3), "integers"),
    "q.weight": (torch.ones(3, 3, dtype=torch.int8), "integers: counters, or quantised weights"),
    "mask.weight": (torch.ones(3, 3, dtype=torch.bool), "integers"),
    "f8.weight": (torch.ones(3, 3).to(torch.float8_e4m3fn), "floats of 8 bits"),
    "c.weight": (torch.ones(3, 3, dtype=torch.complex64), "complex numbers"),
    "empty.weight": (torch.ones(0, 3), "empty"),
    "norm.weight": (torch.ones(4, 6, 6), "scales of a norm"),
    "cls_token": (torch.ones(1, 1, 4), "its name is not that of a layer's weight"),
    "lin.weight_v": (torch.ones(3, 4), "reparametrised"),
    "lin.parametrizations.weight.original": (torch.ones(3, 4), "reparametrised"),
    "lonely.weight_orig": (torch.ones(3, 4), "reparametrised"),
    "experts.up.weight": (torch.ones(2, 3, 4), "experts in one stack"),
    "six.weight": (torch.ones(1, 1, 1, 1, 2, 2), "more dimensions"),
}


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_what_is_no_layer_is_left_out_with_its_reason(suffix, tmp_path):
    content = {name: tensor for name, (tensor, _) in REASONS.items()} | tensors(**{"fc.weight": (3, 4)})
    if suffix == ".pt":
        content |= {"sparse.weight": torch.eye(3).to_sparse()}
    report = zimp.report(saved(tmp_path / f"model{suffix}", content))
    found = {tensor["name"]: tensor["reason"] for tensor in report.left_out}
    if suffix == ".pt":
        assert found.pop("sparse.weight") == "in the layout sparse_coo"
    assert found.keys() == REASONS.keys()
    for name, (_, reason) in REASONS.items():
        assert found[name].startswith(reason)
        assert name in report.table().replace("\n  ", " ")


def test_a_network_without_numbers_is_left_out():
    model = nn.ModuleDict({"real": nn.Linear(3, 3), "meta": nn.Linear(3, 3, device="meta"), "lazy": nn.LazyLinear(3)})
    model.register_buffer("weight", torch.ones(3, 3).as_subclass(type("Packed", (torch.Tensor,), {})))
    reasons = {tensor["name"]: tensor["reason"] for tensor in zimp.report(model).left_out}
    assert "meta device" in reasons["meta.weight"] and "not initialised" in reasons["lazy.weight"]
    assert reasons["weight"].startswith("of the class Packed")


QUANTISED = {  # where the weights are in its state dict, and their shapes
    "dense": (lambda: nn.Linear(5, 4), "_packed_params._packed_params", [(4, 5)]),
    "recurrent": (lambda: nn.LSTM(5, 4), "_all_weight_values.0.param", [(16, 5), (16, 4)]),
    "cell": (lambda: nn.GRUCell(5, 4), "_packed_weight_ih", [(12, 5)]),
    "16 bits": (lambda: nn.LSTM(5, 4), "_all_weight_values.0.param", [(16, 5), (16, 4)]),
    "static": (lambda: quantised.Linear(5, 4), "_packed_params._packed_params", [(4, 5)]),
    "convolution": (lambda: quantised.Conv2d(2, 3, 3), "weight", [(3, 2, 3, 3)]),
    "embedding": (lambda: quantised.Embedding(9, 4), "_packed_params._packed_weight", [(9, 4)]),
}


@pytest.mark.filterwarnings("ignore")  # torch announces the end of torch.ao
@pytest.mark.parametrize("name", QUANTISED)
def test_p8_a_layer_that_is_quantised_in_memory_is_left_out_with_its_reason(name):
    quantization = pytest.importorskip("torch.ao.quantization")
    layer, place, shapes = QUANTISED[name]
    dtype = torch.float16 if name == "16 bits" else torch.qint8
    model = quantization.quantize_dynamic(nn.ModuleDict({"q": layer(), "conv": nn.Conv2d(2, 3, 3)}), dtype=dtype)
    report = zimp.report(model)
    assert [row["name"] for row in report.rows] == ["conv.weight"]
    found = [tensor for tensor in report.left_out if tensor["name"].startswith(f"q.{place}")]
    assert [tuple(tensor["shape"]) for tensor in found if len(tensor["shape"]) > 1] == shapes
    shown = place.partition(".0.")[0]  # several names that differ in numbers are one in the table
    assert all("quantised" in tensor["reason"] for tensor in found) and f"q.{shown}" in report.table()
    with pytest.raises(ValueError, match="no layer to measure .*quantised"):
        zimp.report(model["q"])


def test_p8_tensors_in_the_extra_state_of_a_layer_are_left_out_and_what_is_no_tensor_is_no_matter():
    class Scaled(nn.Linear):
        def get_extra_state(self):
            return {"weight": torch.ones(2, 2), "step": 3, "name": "scaled"}

    report = zimp.report(nn.ModuleDict({"fc": Scaled(4, 3)}))
    assert [row["name"] for row in report.rows] == ["fc.weight"]
    reasons = {tensor["name"]: tensor["reason"] for tensor in report.left_out}
    assert reasons.pop("fc._extra_state.0") == "in the extra state of a layer" and reasons.keys() == {"fc.bias"}


# Where it comes from


def test_a_state_dict_is_found_in_a_checkpoint_and_the_optimizer_is_named(tmp_path):
    model = zimp.lenet_300_100(16)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.zeros(2, 16)).sum().backward()
    optimizer.step()
    content = {
        "epoch": 3, "optimizer": optimizer.state_dict(), "model": {"state_dict": model.state_dict()},
        "ema": [model.state_dict()],
    }  # fmt: skip
    report = zimp.report(saved(tmp_path / "last.ckpt", content))
    assert report.rows == zimp.report(model).rows
    reasons = {tensor["name"]: tensor["reason"] for tensor in report.left_out}
    assert len(report.rows) + len(reasons) == 6 + 6 + 18  # the model, its average, three of Adam's for each parameter
    assert reasons["optimizer.state.0.exp_avg"] == "state of the optimizer"
    assert reasons["ema.0.fc1.weight"] == "beside the state dict model"
    assert "Left out, 18 of these: state of the optimizer" in report.table()


def test_networks_beside_each_other_are_both_reported(tmp_path):
    one, two = zimp.lenet_300_100(8), zimp.lenet_300_100(16)
    content = {"generator": one.state_dict(), "critic": two.state_dict(), "optim_g": {"state": [torch.ones(2, 2)]}}
    report = zimp.report(saved(tmp_path / "gan.pth", content))
    assert [row["name"] for row in report.rows][::3] == ["generator.fc1.weight", "critic.fc1.weight"]
    assert report.left_out[-1]["name"] == "optim_g.state.0"


def test_a_file_of_the_format_before_torch_1_6_is_read(tmp_path):
    model = zimp.lenet_300_100(16)
    torch.save(model.state_dict(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert zimp.report(tmp_path / "old.pt").rows == zimp.report(model).rows


def shards(folder, suffix, model):
    state, stem = model.state_dict(), "model" if suffix == ".safetensors" else "pytorch_model"
    files = [f"{stem}-0000{k}-of-00002{suffix}" for k in (1, 2)]
    names = list(state)
    weight_map = {name: files[k % 2] for k, name in enumerate(names)}
    for k, file in enumerate(files):
        saved(folder / file, {name: state[name] for name in names[k::2]})
    index = folder / f"{stem}{suffix}.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return index, [folder / file for file in files]


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_the_shards_of_a_model_are_one_report(suffix, tmp_path):
    model = zimp.lenet_300_100(16)
    index, files = shards(tmp_path, suffix, model)
    report = zimp.report(index)
    assert report.rows == zimp.report(model).rows and report.source == str(index)
    places = json.loads(index.read_text())
    del places["weight_map"]["fc2.bias"]
    index.write_text(json.dumps(places))
    (left,) = [tensor for tensor in zimp.report(index).left_out if tensor["name"] == "fc2.bias"]
    assert left["reason"] == f"in {files[1].name}, but not in the index"


def test_layers_of_one_shape_in_two_shards_are_not_taken_for_tied(tmp_path):
    model = nn.Sequential(nn.Linear(64, 64, bias=False), nn.Linear(64, 64, bias=False))
    index, _ = shards(tmp_path, ".bin", model)
    assert zimp.report(index).rows == zimp.report(model).rows


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_each_wrong_shard_is_named(suffix, tmp_path):
    index, (first, second) = shards(tmp_path, suffix, zimp.lenet_300_100(16))
    first.write_bytes(first.read_bytes()[:100])
    second.unlink()
    with pytest.raises(ValueError) as error:
        zimp.report(index)
    assert str(first) in str(error.value) and f"{second} does not exist" in str(error.value)


def test_a_tensor_that_its_shard_lacks_is_named(tmp_path):
    index, (first, _) = shards(tmp_path, ".safetensors", zimp.lenet_300_100(16))
    places = json.loads(index.read_text())
    places["weight_map"]["fc9.weight"] = first.name
    index.write_text(json.dumps(places))
    with pytest.raises(ValueError, match="model-00001-of-00002.safetensors lacks the tensor fc9.weight"):
        zimp.report(index)


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_file_that_is_opened_anew_for_each_tensor_or_by_two_threads_gives_the_same_report(
    suffix, jobs, tmp_path, monkeypatch
):
    path = saved(tmp_path / f"model{suffix}", NETWORKS["gpt2"].state_dict())
    report = zimp.report(path)
    monkeypatch.setattr("zimp.reports.table.BATCH", 1)
    assert zimp.report(path, jobs=jobs) == report


# What is wrong


@pytest.mark.parametrize("backend", ["multiprocessing", "loky", "threading", "dask"])
def test_p11_a_report_uses_threads_whatever_joblib_is_told_around_it(backend, tmp_path, monkeypatch):
    monkeypatch.setattr("zimp.reports.table.BATCH", 1)
    path = saved(tmp_path / "model.safetensors", tensors(**{"a.weight": (30, 40), "b.weight": (9, 7)}))
    model = zimp.small_conv()
    expected = [zimp.report(network) for network in (path, model)]
    client = pytest.importorskip("distributed").Client(processes=False, n_workers=1) if backend == "dask" else None
    with client or nullcontext(), parallel_config(backend=backend):
        assert [zimp.report(network, jobs=2) for network in (path, model)] == expected


class Payload:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def bad_files(folder):
    """Files, and what is said of each."""
    model = zimp.lenet_300_100(16)
    whole = saved(folder / "whole.safetensors", model.state_dict()).read_bytes()
    zipped = saved(folder / "whole.pt", model.state_dict()).read_bytes()
    diverged = {"fc2.weight": torch.full((100, 300), torch.nan)}
    infinite = {"output.weight": torch.full((10, 100), -torch.inf).bfloat16()}
    payload = Payload(folder / "it ran")
    contents = {
        "truncated.safetensors": (whole[:-1], "is not a complete safetensors file"),
        "header.safetensors": (whole[:20], "is not a complete safetensors file"),
        "nothing.safetensors": (b"", "is empty; was it copied completely?"),
        "truncated.pt": (zipped[: len(zipped) // 2], "begins as torch.save or Keras writes, but is truncated"),
        "truncated.pkl": (b"\x80\x02}q", "is truncated, or no PyTorch checkpoint"),
        "text.pt": (b"not a checkpoint\n", "is plain text. report reads"),
        "raw.pkl": (pickle.dumps(payload, protocol=2), "holds"),
        "list.index.json": (b"[]", "must be an index of shards"),
        "text.index.json": (b"weight_map", "is plain text"),
    }
    for name, (content, _) in contents.items():
        (folder / name).write_bytes(content)
    saved(folder / "diverged.safetensors", diverged)
    saved(folder / "infinite.pt", infinite)
    saved(folder / "payload.pt", {"fc.weight": torch.ones(2, 2), "extra": payload})
    torch.save({"extra": payload}, folder / "old_payload.pt", _use_new_zipfile_serialization=False)
    saved(folder / "module.pt", nn.Linear(2, 2))
    with zipfile.ZipFile(folder / "script.pt", "w") as file:  # as torch.jit.save writes, as far as one can tell
        for record in ("version", "data.pkl", "constants.pkl"):
            file.writestr(f"script/{record}", "6")
    saved(folder / "vectors.safetensors", tensors(**{"fc.bias": (3,)}))
    saved(folder / "number.pt", 7)
    with zipfile.ZipFile(folder / "other.zip", "w") as file:
        file.writestr("a/b", "c")
    (folder / "folder.pt").mkdir()
    return {
        **{name: f"{folder / name} {message}" for name, (_, message) in contents.items()},
        "diverged.safetensors": "no layer whose weights are all finite (fc2.weight: [0, 0] is nan)",
        "infinite.pt": "infinite.pt has no layer whose weights are all finite (output.weight: [0, 0] is -inf",
        "payload.pt": "payload.pt holds ",
        "old_payload.pt": "old_payload.pt holds ",
        "module.pt": "module.pt holds torch.nn.modules.linear.Linear",
        "script.pt": "script.pt holds TorchScript, and",
        "vectors.safetensors": "vectors.safetensors has no layer to measure (1 vectors and numbers",
        "number.pt": "number.pt has no layer to measure (it is empty)",
        "other.zip": "other.zip is a zip archive without a checkpoint",
        "folder.pt": "folder.pt is a folder without a file",
        "missing.safetensors": "missing.safetensors does not exist",
    }


@pytest.mark.filterwarnings("ignore:'torch.load' received a zip file that looks like a TorchScript archive")
def test_bad_files_are_named_with_what_is_wrong_no_code_is_run_and_good_ones_are_reported(tmp_path):
    expected = bad_files(tmp_path)
    for name, message in expected.items():
        with pytest.raises((ValueError, OSError)) as error:
            zimp.report(tmp_path / name)
        assert message in str(error.value) and "\n" not in str(error.value)
    good = tmp_path / "whole.safetensors"
    ended = run(*(tmp_path / name for name in expected), good, "--json", tmp_path / "out.json")
    assert ended.returncode == 2
    lines = ended.stderr.splitlines()
    assert len(lines) == len(expected)
    for line, message in zip(lines, expected.values()):
        assert line.startswith("error: ") and message in line
    assert "fc1.weight" in ended.stdout and not (tmp_path / "it ran").exists()
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["errors"].keys() == {str(tmp_path / name) for name in expected}
    assert [found["source"] for found in written["reports"]] == [str(good)]


def test_a_dictionary_that_holds_itself_is_refused(tmp_path):
    loop = {}
    loop["model"] = loop
    with pytest.raises(ValueError, match="is truncated, or no PyTorch checkpoint"):
        zimp.report(saved(tmp_path / "loop.pt", loop))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"network": 7}, "network is a int, not a torch.nn.Module, a dict of tensors, or the path of a file"),
        ({"density": 0.0}, "density=0.0 must be above 0 and at most 1"),
        ({"density": math.nan}, "density=nan must be above 0 and at most 1"),
        ({"network": nn.ReLU()}, r"ReLU has no layer to measure \(it is empty\)"),
        ({"network": nn.LayerNorm(3)}, r"LayerNorm has no layer to measure \(2 vectors"),
    ],
)
def test_a_bad_argument_has_its_own_message(arguments, message):
    with pytest.raises(ValueError, match=message):
        zimp.report(**{"network": nn.Linear(2, 2)} | arguments)


def test_a_mask_of_scores_is_an_error_that_names_the_layer():
    layer = torch_prune.l1_unstructured(nn.Linear(4, 4), "weight", amount=0.5)
    layer.weight_mask.fill_(0.5)
    with pytest.raises(ValueError, match="Linear: weight_orig: mask has entries other than 0 and 1"):
        zimp.report(layer)


# What comes out


@pytest.fixture
def checkpoint(tmp_path):
    name = "a_network_with_quite_a_long_name.and_a_layer_with_a_long_name.projection.weight"
    model = nn.ModuleDict({"wte": nn.Embedding(9, 8), "attn": nn.MultiheadAttention(8, 2), "conv": nn.Conv2d(1, 4, 3)})
    return saved(tmp_path / "model.safetensors", model.state_dict() | tensors(**{name: (12, 14)}))


def test_the_table_fits_the_terminal_and_explains_itself(checkpoint):
    whole = run(checkpoint)
    assert whole.returncode == 0 and not whole.stderr and whole.stdout == zimp.report(checkpoint).table() + "\n\n"
    assert "a_network_with_quite_a_long_name.and_a_layer_with_a_long_name.projection.weight dense" in whole.stdout
    ended = run(checkpoint, "--width", 100)
    assert ended.returncode == 0 and ended.stdout == zimp.report(checkpoint).table(100) + "\n\n"
    lines = ended.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    headings = lines[2].split()
    assert all(any(line.startswith(f"{heading:8}") for line in lines) for heading in headings)
    (long,) = [line for line in lines if "12x14" in line]
    assert ".." in long and long.split()[0].endswith("projection.weight")
    assert "magnitude pruning to 0.1 keeps at least" in ended.stdout
    assert "Left out, 3 of these: vectors and numbers" in ended.stdout


def test_r5_a_cut_name_keeps_its_numbers_and_is_no_other_layers(tmp_path):
    names = [
        f"base_model.model.layers.{k}.mlp.{part}_proj.weight" for k in range(12) for part in ("up", "down", "gate")
    ]
    report = zimp.report(saved(tmp_path / "model.safetensors", tensors(**dict.fromkeys(names, (3, 4)))))
    for width in (60, 80, 100, None):
        shown = [line.split()[0] for line in report.table(width).splitlines() if " dense " in line]
        assert len(set(shown)) == len(names)
        for name, row in zip(shown, report.rows):
            number = row["name"].split(".")[3]
            assert number in name.split(".") and name.endswith(".".join(row["name"].split(".")[-2:]))
            assert width or name == row["name"]


def test_r5_names_that_would_be_cut_to_the_same_stay_whole():
    names = ["encoder.self_attention.projection.weight", "decoder.self_attention.projection.weight"]
    lines = zimp.report({name: torch.ones(3, 4) for name in names}).table(60).splitlines()
    assert [line.split()[0] for line in lines if " dense " in line] == names


def test_r9_names_that_a_terminal_cannot_show_are_escaped_and_those_with_dollars_are_drawn(tmp_path):
    names = ["模型.safetensors", "lr_$x_$y.safetensors"]
    for name in names:
        saved(tmp_path / name, tensors(**{"层.fc.weight": (3, 4), "a$b$.weight": (3, 4)}))
    command = [sys.executable, "-m", "zimp", "report", *names, "--json", "out.json", "--figure", "out.svg"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "cp1252"})
    assert ended.returncode == 0, ended.stderr
    assert rb"\u6a21\u578b.safetensors" in ended.stdout and b"lr_$x_$y.safetensors" in ended.stdout
    found = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert [report["source"] for report in found["reports"]] == names


def test_the_verdict_alone_a_sorted_table_and_one_legend_for_several_files(checkpoint, tmp_path):
    other = saved(tmp_path / "other.pt", zimp.lenet_300_100(64).state_dict())
    ended = run(checkpoint, other)
    assert ended.stdout.count("critical compression: weights / edges") == 1
    assert run(checkpoint, other, "--legend").stdout.count("critical compression: weights / edges") == 2
    brief = run(other, "--brief")
    assert brief.stdout == zimp.report(other).brief() + "\n\n" and "output.weight breaks" in brief.stdout
    assert "fc1.bias" not in brief.stdout and len(brief.stdout.splitlines()) <= 12
    lines = run(other, "--sort", "safe").stdout.splitlines()
    rows = sorted(zimp.report(other).rows, key=lambda row: -row["safe_density"])
    assert [line.split()[0] for line in lines[3:6]] == [row["name"] for row in rows]
    assert set(SORTED) == set(TABLE_SORTED)
    with pytest.raises(ValueError, match="sort='size' is unknown; it must be one of 'crit', 'safe'"):
        zimp.report(other).table(sort="size")


def test_r10_layers_that_are_all_tree_are_set_apart():
    layers = {"first.weight": torch.rand(5, 6), "last.weight": torch.rand(1, 5), "column.weight": torch.rand(6, 1)}
    report = zimp.report(layers)
    assert report.totals["all_tree"] == ["last.weight", "column.weight"]
    assert report.totals["first_to_break"] == "first.weight" and report.totals["uniform_safe_density"] < 1
    assert "all other layers keep" in report.table() and "All tree, so that no weight can go" in report.table()
    bare = zimp.report({"last.weight": torch.rand(1, 5)})
    assert bare.totals["first_to_break"] is None and "breaks" not in bare.table()


@pytest.mark.parametrize("name", ["dense", "convolutions", "half", "brain", "double", "pruned"])
@pytest.mark.parametrize("density", [0.02, 0.1, 0.5, 1.0])
def test_what_global_and_layerwise_pruning_leave_is_what_torchs_own_pruning_leaves(name, density):
    report = zimp.report(NETWORKS[name], density=density)
    modules = [
        module for module in NETWORKS[name].modules() if isinstance(getattr(module, "weight", None), torch.Tensor)
    ]
    weights = [module.weight.detach().float() for module in modules]
    kept = sum(int(weight.count_nonzero()) for weight in weights)
    size = sum(row["weights"] for row in report.rows)
    values = torch.cat([weight.abs().flatten() for weight in weights])
    least = values.sort(descending=True).values[min(round(density * size), kept) - 1]
    for row, weight in zip(report.rows, weights, strict=True):
        matrix = weight.flatten(1).abs()
        within = matrix.flatten().sort(descending=True).values
        exists = matrix >= (0 if name != "pruned" else 1e-30)
        count = min(round(density * row["weights"]), int(exists.sum()))
        for way, threshold in (("globally", least), ("layerwise", within[count - 1])):
            mask = exists & (matrix >= threshold)
            assert row[way]["components"] == zimp.spanning_forest(matrix, mask).n_components
            assert row[way]["cut_off"] == int((~mask.any(0)).sum()) + int((~mask.any(1)).sum())
        lightest = zimp.spanning_forest(matrix, exists).values[-1]
        assert row["global_density"] == int((values >= lightest).sum()) / size
    assert report.totals["global_density"] == max(row["global_density"] for row in report.rows)


def test_global_magnitude_pruning_breaks_a_network_where_the_report_says():
    torch.manual_seed(0)
    model = zimp.lenet_300_100(64)
    totals = zimp.report(model).totals
    kept = round(totals["global_density"] * totals["weights"])
    for left, broken in ((kept, 0), (kept - 1, 1)):
        pruned = copy.deepcopy(model)
        parts = [(module, "weight") for module in pruned if isinstance(module, nn.Linear)]
        torch_prune.global_unstructured(parts, torch_prune.L1Unstructured, amount=totals["weights"] - left)
        pieces = {module: zimp.spanning_forest(module.weight, module.weight_mask).n_components for module, _ in parts}
        assert sum(count > 1 for count in pieces.values()) == broken


@given(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_ranks_are_those_of_all_weights_sorted(seeds, other):
    """Ties, zeros, halves and masks included."""
    layers, chosen = [], np.random.default_rng(other)
    for seed in seeds:
        rng = np.random.default_rng(seed)
        weights = rng.normal(size=rng.integers(1, 9, 2)).astype(rng.choice([np.float16, np.float32]))
        weights = torch.from_numpy(np.round(weights, 1) if rng.random() < 0.4 else weights * (rng.random() > 0.2))
        weights = weights.bfloat16() if rng.random() < 0.4 else weights
        mask = rng.random(weights.shape) < 0.6
        layers.append((weights, mask if mask.any() else None))
    graphs = [as_layer(*layer) for layer in layers]
    magnitudes = [weights.float().abs().numpy() for weights, _ in layers]
    existing = [w.ravel() if mask is None else w[mask] for w, (_, mask) in zip(magnitudes, layers)]
    every = np.sort(np.concatenate(existing))[::-1]
    counts, thresholds, keep = np.zeros((2, BINS), dtype=np.int64), [], int(chosen.integers(1, len(every) + 1))
    for graph, values, (_, mask), whole in zip(graphs, existing, layers, magnitudes):
        count = int(chosen.integers(1, len(values) + 1))
        found, least, strongest = profile(graph, count)
        assert least == np.sort(values)[::-1][count - 1]
        whole = whole if mask is None else np.where(mask, whole, -1)
        assert strongest.tolist() == [*whole.max(1), *whole.max(0)]
        counts[: 1 + (graph.form == "bfloat16")] += found
        thresholds.append(chosen.choice(values))
    ranking = Ranking(*counts, thresholds, keep)
    for graph in graphs:
        if graph.form != "bfloat16":
            ranking.add(graph)
    assert ranking.at_least().tolist() == [int((every >= threshold).sum()) for threshold in thresholds]
    assert ranking.least() == every[keep - 1]


def test_r11_the_report_says_how_many_of_the_numbers_it_measured():
    layers = {"fc.weight": torch.rand(5, 6), "fc.bias": torch.rand(5), "flat.weight": torch.rand(5000), "n": 3}
    report = zimp.report(layers)
    assert (report.totals["measured"], report.totals["numbers"]) == (30, 5035)
    assert "Measured: 30 of 5,035 numbers (0.6%)." in report.table()
    assert "a long vector that is called a weight: was a layer flattened?: flat.weight" in report.table()


@pytest.mark.parametrize("dim", [0, 1, None])
@pytest.mark.parametrize("old", [True, False])
@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
def test_r12_weight_norm_is_measured_as_the_weight_in_use(old, dim, tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.Conv2d(2, 4, 3, groups=2))
    with torch.no_grad():
        for layer in model:
            (nn.utils.weight_norm if old else parametrizations.weight_norm)(layer, dim=dim)
            for name, parameter in layer.named_parameters():
                if name.endswith(("_g", "original0")):
                    parameter *= torch.rand_like(parameter) + 0.5
            for refresh in layer._forward_pre_hooks.values():  # of the old weight norm: what a forward pass begins with
                refresh(layer, None)
    plain = {f"{k}.weight": layer.weight.detach() for k, layer in enumerate(model)}
    told = zimp.report(saved(tmp_path / "model.pt", model.state_dict()))
    known = zimp.report(model)
    for report in (told, known):
        for row, other in zip(report.rows, zimp.report(plain).rows):
            if row["kind"] == "dense" or report is told:
                assert row["safe_density"] == other["safe_density"] and row["shape"] == other["shape"]
                assert row["total_persistence"] == pytest.approx(other["total_persistence"], rel=1e-5)
            assert row["notes"][-1] == "weight norm: measured is g v / |v|"
    assert known.rows[1]["groups"] == 2
    assert not any("weight" in tensor["name"] for tensor in told.left_out)


def test_r13_a_level_of_a_run_folder_is_the_trained_and_masked_network(tmp_path):
    record = zimp.iterative_magnitude_pruning(
        zimp.small_mlp, zimp.load_data("digits"), levels=2, steps=20, seeds=[3, 4], folder=tmp_path, progress=False
    )
    for kept in zimp.run_levels(tmp_path):
        (path,) = tmp_path.glob(f"seed_{kept.seed}-level_{kept.level:04d}-*.safetensors")
        report = zimp.report(path)
        assert sorted(row["name"] for row in report.rows) == sorted(kept.masks)
        for row in report.rows:
            mask, weight = kept.masks[row["name"]], kept.weights[row["name"]]
            forest = zimp.spanning_forest(weight, mask)
            assert row["density"] == int(mask.sum()) / mask.numel() and row["components"] == forest.n_components
            assert row["total_persistence"] == pytest.approx(np.sum(1 - forest.relative_values))
        reasons = {tensor["name"]: tensor["reason"] for tensor in report.left_out}
        assert {reason for name, reason in reasons.items() if "/early/" in name} == {"weights before training"}
    assert record.rows


def mobilenet_v2():
    """Its convolutions, named as in torchvision, with no norms and no activations."""
    yield nn.Sequential(nn.Conv2d(3, 32, 3, bias=False))
    inputs = 32
    for expansion, outputs, repeats in [
        (1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1),
    ]:  # fmt: skip
        for _ in range(repeats):
            hidden = inputs * expansion
            widen = [nn.Sequential(nn.Conv2d(inputs, hidden, 1, bias=False))] * (expansion > 1)
            depthwise = nn.Sequential(nn.Conv2d(hidden, hidden, 3, groups=hidden, bias=False))
            narrow = nn.Conv2d(hidden, outputs, 1, bias=False)
            yield nn.ModuleDict({"conv": nn.Sequential(*widen, depthwise, narrow)})
            inputs = outputs
    yield nn.Sequential(nn.Conv2d(320, 1280, 1, bias=False))


def test_r4_the_totals_of_a_depthwise_network_are_the_same_from_its_file(tmp_path):
    """MobileNetV2's file gave 25,824 edges of trees and a compression of 84.8; in memory they are 82,776 and 26.45."""
    model = nn.ModuleDict({"features": nn.Sequential(*mobilenet_v2())})
    known = zimp.report(model)
    told = zimp.report(saved(tmp_path / "model.safetensors", model.state_dict()))
    assert (known.totals["tree"], round(known.totals["critical_compression"], 2)) == (82776, 26.45)
    for key in ("layers", "weights", "tree", "critical_compression", "safe_density", "uniform_safe_density"):
        assert told.totals[key] == pytest.approx(known.totals[key])
    assert len(told.totals["guessed"]) == 17 and known.totals["guessed"] == []
    assert "These totals rest on a guess of the groups of features.*.conv.*.*.weight (17)" in told.table()


def test_r4_groups_are_told_by_patterns(tmp_path):
    content = tensors(**{"0.stem.weight": (8, 3, 3, 3), "1.dw.weight": (8, 1, 3, 3), "2.mix.weight": (8, 4, 1, 1)})
    path = saved(tmp_path / "model.safetensors", content)
    assert [row["groups"] for row in zimp.report(path).rows] == [1, 8, 1]
    report = zimp.report(path, groups={"*dw.*": 1, "2.mix.weight": 2})
    assert [row["groups"] for row in report.rows] == [1, 1, 2] and report.totals["guessed"] == []
    ended = run(path, "--groups", "*ix.weight=2", "--groups", "1.dw.weight=1", "--json", "-")
    assert json.loads(ended.stdout)["reports"][0]["rows"] == report.rows
    for groups, message in (
        ({"2*": 3}, r"'2\*' gives 2.mix.weight 3 groups, which do not divide its 8 outputs"),
        ({"conv*": 2}, r"'conv\*' fits no convolution of unknown groups"),
        ({"2*": 2.5}, "whole number"),
    ):
        with pytest.raises(ValueError, match=message):
            zimp.report(path, groups=groups)
    assert run(path, "--groups", "mix.weight").returncode == 2


@pytest.mark.parametrize(
    ("value", "shown"),
    [(999.4, "999"), (999.6, "1000"), (1000, "1000"), (1234.5678, "1235"), (0.02345, "0.0234"), (4.1e-5, "4.1e-05")],
)
def test_a_number_of_the_table_has_few_characters(value, shown):
    """What is rounded to 1000 was shown as 1e+03."""
    report = zimp.report(nn.Linear(3, 2))
    (row,) = report.rows
    table = replace(report, rows=[row | {"total_persistence": value}]).table()
    assert table.splitlines()[3].split()[-2] == shown


def test_names_that_differ_in_a_number_are_told_at_once(tmp_path):
    content = tensors(**{f"h.{k}.fc.weight": (3, 4) for k in range(12)}, **{f"h.{k}.fc.bias": (3,) for k in range(12)})
    report = zimp.report(saved(tmp_path / "model.safetensors", content))
    assert "h.*.fc.bias (12)" in report.table()
    assert [row["name"] for row in report.rows] == [f"h.{k}.fc.weight" for k in range(12)]  # 9 before 10


def test_json_csv_and_figure_hold_the_report(checkpoint, tmp_path):
    paths = [tmp_path / name for name in ("out.json", "out.csv", "out.svg")]
    ended = run(checkpoint, "--json", paths[0], "--csv", paths[1], "--figure", paths[2], "--density", 0.2, "--jobs", 2)
    assert ended.returncode == 0, ended.stderr
    report = zimp.report(checkpoint, density=0.2)

    written = json.loads(paths[0].read_text(), parse_constant=pytest.fail)
    assert written["versions"]["torch"] == torch.__version__ and written["errors"] == {}
    assert [zimp.Report(**found) for found in written["reports"]] == [report]

    lines = list(csv.DictReader(io.StringIO(paths[1].read_text())))
    assert [line["name"] for line in lines] == [row["name"] for row in report.rows]
    for line, row in zip(lines, report.rows):
        assert line["source"] == report.source and line["shape"] == "x".join(map(str, row["shape"]))
        assert line["rieck"] == ("" if row["rieck"] is None else str(row["rieck"]))
        assert float(line["safe_density"]) == row["safe_density"] and int(line["tree"]) == row["tree"]

    assert paths[2].read_text().startswith("<?xml")


@pytest.mark.parametrize("option", ["--json", "--csv"])
def test_a_hyphen_is_the_terminal_and_nothing_else_is_written_there(checkpoint, option):
    ended = run(checkpoint, option, "-")
    assert ended.returncode == 0
    if option == "--json":
        assert len(json.loads(ended.stdout)["reports"][0]["rows"]) == 7
    else:
        assert len(list(csv.DictReader(io.StringIO(ended.stdout)))) == 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: FILE"),
        (["x", "--density", "2"], "--density 2.0 must be above 0 and at most 1"),
        (["x", "--density", "nan"], "--density nan must be above 0 and at most 1"),
        (["x", "--jobs", "0"], "--jobs 0 must be a number of threads"),
        (["x", "--json", "-", "--csv", "-"], "--json - and --csv - would overwrite each other"),
        (["x", "--json", "no/such/folder/out.json"], "there is no folder no/such/folder"),
        (["x", "--figure", "out.txt"], "--figure out.txt must end in one of .png, .svg, .pdf"),
    ],
)
def test_a_bad_option_is_refused_before_any_file_is_read(arguments, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["zimp", "report", *arguments])
    with pytest.raises(SystemExit, match="2"):
        main()
    errors = capsys.readouterr().err
    assert message in errors and "does not exist" not in errors


# Outputs. A command that is refused has read nothing and written nothing.


@pytest.fixture
def inputs(tmp_path, monkeypatch):
    """The folder of two files of weights and one model in shards, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    for name in ("one.pt", "two.pt"):
        saved(tmp_path / name, tensors(**{"fc.weight": (3, 4)}))
    (tmp_path / "shards").mkdir()
    shards(tmp_path / "shards", ".safetensors", nn.ModuleDict({"a": nn.Linear(3, 3), "b": nn.Linear(4, 3)}))
    return tmp_path


def contents(folder):
    return {str(path): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def refused(monkeypatch, capsys, *arguments):
    """What the command says of arguments that it refuses, and leaves all files as they are."""
    before = contents(".")
    monkeypatch.setattr("zimp.reports.table.report", lambda *_, **__: pytest.fail("has begun to work"))
    monkeypatch.setattr(sys, "argv", ["zimp", *map(str, arguments)])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert contents(".") == before
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["one.pt", "--json", "one.pt"], "--json one.pt would overwrite one of the files to read"),
        (["two.pt", "one.pt", "--csv", "./shards/../one.pt"], "would overwrite one of the files to read"),
        (["--csv", "one.pt", "two.pt"], "--csv one.pt would overwrite a file that zimp did not write"),
        (["--csv", "weights.csv", "one.pt"], "would overwrite a file that zimp did not write"),
        (["--json", "shards/model.safetensors.index.json", "one.pt"], "a file that zimp did not write"),
        (["link.pt", "--csv", "one.pt"], "would overwrite one of the files to read"),
        (["one.pt", "--csv", "link.pt"], "would overwrite one of the files to read"),
        (["one.pt", "--csv", "hard.csv"], "would overwrite one of the files to read"),
        (["one.pt", "--figure", "figure.svg"], "--figure figure.svg would overwrite one of the files to read"),
        (["two.pt", "--figure", "figure.svg"], "would overwrite a file that zimp did not write"),
        (
            ["shards/model.safetensors.index.json", "--csv", "shards/model-00001-of-00002.safetensors"],
            "would overwrite a shard of",
        ),
        (["missing.pt", "--csv", "missing.pt"], "would overwrite one of the files to read"),
    ],
)
def test_r1_an_output_that_is_an_input_or_other_weights_is_refused(inputs, arguments, what, monkeypatch, capsys):
    Path("link.pt").symlink_to("one.pt")
    Path("figure.svg").symlink_to(inputs / "one.pt")
    os.link("one.pt", "hard.csv")
    saved(inputs / "w.safetensors", tensors(a=(2, 2))).rename("weights.csv")
    said = refused(monkeypatch, capsys, "report", *arguments)
    assert what in said and "the word after --" in said and "is the output file, so write --" in said


def test_r1_weights_that_the_standard_output_is_appended_to_are_refused(inputs):
    before = contents(".")
    with open("one.pt", "ab") as out:
        ended = subprocess.run([*COMMAND, "one.pt"], stdout=out, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 2 and "the output goes into one.pt" in ended.stderr and contents(".") == before


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--json", "f", "--csv", "f"], "--json f and --csv f are one file"),
        (["--json", "f.svg", "--figure", "./f.svg"], "--json f.svg and --figure ./f.svg are one file"),
        (["--json", "old.csv", "--csv", "link.csv"], "are one file"),
        (["--json", "new.csv", "--csv", "dangling.csv"], "are one file"),
        (["--json", "folder"], "--json folder is a folder; give the name of a file in it"),
        (["--csv", "to_folder"], "--csv to_folder is a folder"),
        (["--csv", "none/such/f.csv"], "there is no folder none/such"),
        (["--csv", "old.csv/f.csv"], "there is no folder old.csv"),
        (["--csv", ""], "--csv needs the name of a file, but it is empty; is a variable of the shell not set?"),
        (["--csv", "loop.csv"], "--csv loop.csv cannot be written"),
        (["--csv", "x" * 300], "cannot be written: File name too long"),
        (["--csv", "/proc/f.csv"], "--csv /proc/f.csv cannot be written"),
    ],
)
def test_r3_an_output_that_cannot_be_written_is_refused_before_the_work(inputs, arguments, what, monkeypatch, capsys):
    if "/proc" in what and not os.path.isdir("/proc"):
        pytest.skip("needs a folder in which even root writes nothing")
    Path("folder").mkdir()
    Path("to_folder").symlink_to("folder")
    Path("loop.csv").symlink_to("loop.csv")
    Path("old.csv").write_text("source\n")
    Path("link.csv").symlink_to("old.csv")
    Path("dangling.csv").symlink_to("new.csv")
    assert what in refused(monkeypatch, capsys, "report", "one.pt", *arguments)


def test_r3_a_read_only_file_is_refused_before_the_work(inputs, monkeypatch, capsys):
    Path("old.csv").write_text("source\n")
    Path("old.csv").chmod(0o444)
    if os.access("old.csv", os.W_OK):  # root may write to it
        monkeypatch.setattr(os, "access", lambda path, mode: False)
    said = refused(monkeypatch, capsys, "report", "one.pt", "--csv", "old.csv")
    assert "--csv old.csv cannot be written: Permission denied" in said


def test_r3_an_output_that_fails_after_all_takes_no_other_along(inputs, monkeypatch, capsys):
    def full(path, content):
        if path == "out.json":
            raise OSError(28, "No space left on device")
        write_whole(path, content)

    monkeypatch.setattr("zimp.lab.record.write_whole", full)
    monkeypatch.setattr(sys, "argv", ["zimp", "report", "one.pt", "--json", "out.json", "--csv", "out.csv"])
    with pytest.raises(SystemExit, match="2"):
        main()
    said = capsys.readouterr()
    assert said.err == "error: --json out.json cannot be written: No space left on device\n" and "fc.w" in said.out
    assert "fc.weight" in Path("out.csv").read_text()


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--output", "one.pt"], "--output one.pt is a file; it must be the folder"),
        (["--output", "one.pt/results"], "--output one.pt/results cannot be written to"),
        (["--output", "dangling"], "--output dangling cannot be written to"),
        (["--output", "taken"], "--output taken cannot be written to"),
        (["--jobs", "0"], "--jobs 0 is not a number of processes"),
    ],
)
def test_r3_a_sweep_that_could_not_be_written_is_refused_before_training(inputs, arguments, what, monkeypatch, capsys):
    monkeypatch.setattr("zimp.lab.experiments.run", lambda *_, **__: pytest.fail("has begun to train"))
    Path("taken/levels_mlp.json").mkdir(parents=True)
    Path("dangling").symlink_to("nowhere")
    said = refused(monkeypatch, capsys, "sweep", "levels_mlp", *arguments)
    assert what in said


def test_r2_a_link_as_output_stays_and_its_target_is_replaced_whole_with_its_permissions(inputs, monkeypatch):
    Path("elsewhere").mkdir()
    Path("elsewhere/old.csv").write_text("source\n")
    Path("elsewhere/old.csv").chmod(0o640)
    Path("link.csv").symlink_to("elsewhere/old.csv")
    Path("new.json").symlink_to("elsewhere/new.json")
    Path("one.svg").symlink_to("elsewhere/one.svg")
    outputs = ["--csv", "link.csv", "--json", "new.json", "--figure", "one.svg"]
    monkeypatch.setattr(sys, "argv", ["zimp", "report", "one.pt", *outputs])
    with pytest.raises(SystemExit, match="0"):
        main()
    assert all(Path(link).is_symlink() for link in outputs[1::2])
    assert (
        "fc.weight" in Path("elsewhere/old.csv").read_text()
        and Path("elsewhere/old.csv").stat().st_mode & 0o777 == 0o640
    )
    assert json.loads(Path("elsewhere/new.json").read_text())["reports"]
    assert Path("elsewhere/one.svg").read_text().startswith("<?xml")
    assert {path.name for path in Path("elsewhere").iterdir()} == {"old.csv", "new.json", "one.svg"}


def test_r2_a_file_beside_the_output_that_ends_in_part_is_left_alone(inputs):
    path = saved(inputs / "out.csv.part", tensors(a=(2, 2)))
    before = path.read_bytes()
    write_whole("out.csv", "text")
    assert path.read_bytes() == before and Path("out.csv").read_text() == "text"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_r2_a_pipe_as_output_is_written_to_and_stays(inputs):
    os.mkfifo("pipe.csv")
    command = [*COMMAND, "one.pt", "--csv", "pipe.csv"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        reader = os.open("pipe.csv", os.O_RDONLY | os.O_NONBLOCK)  # blocks nobody if the command ends early
        errors = process.communicate()[1]
        text = os.read(reader, 1 << 16).decode()
        os.close(reader)
    assert process.returncode == 0, errors
    assert list(csv.DictReader(io.StringIO(text)))[0]["name"] == "fc.weight"
    assert stat.S_ISFIFO(os.stat("pipe.csv").st_mode)


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="would harm the machine, if it failed as root")
def test_r2_a_device_as_output_is_written_to_and_stays(inputs):
    ended = run(inputs / "one.pt", "--csv", os.devnull, "--json", os.devnull)
    assert ended.returncode == 0 and "fc.weight" in ended.stdout
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


@pytest.mark.parametrize("to_file", [True, False])
def test_r2_the_standard_output_under_its_other_name_is_the_standard_output(inputs, to_file):
    if not os.path.exists("/proc/self/fd/1"):
        pytest.skip("has no such name here")
    Path("stdout").symlink_to("/proc/self/fd/1")  # as /dev/stdout is, which a mistake should not replace
    with open("out.csv", "w+") as out:
        ended = subprocess.run([*COMMAND, "one.pt", "--csv", "stdout"], stdout=out if to_file else subprocess.PIPE)
        text = Path("out.csv").read_text() if to_file else ended.stdout.decode()
    assert ended.returncode == 0 and os.readlink("stdout") == "/proc/self/fd/1"
    assert [line["name"] for line in csv.DictReader(io.StringIO(text))] == ["fc.weight"]


def test_r2_a_reader_that_stops_reading_loses_no_file(inputs):
    command = [*COMMAND, "one.pt", "--json", "-", "--csv", "out.csv"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert "fc.weight" in Path("out.csv").read_text()


def test_r14_a_safetensors_file_is_reported_without_torch(tmp_path):
    model = zimp.lenet_300_100(16)
    halves = {name: tensor.bfloat16() for name, tensor in model.state_dict().items()}
    for name, content in (("model", model.state_dict()), ("halves", halves)):
        saved(tmp_path / f"{name}.safetensors", content)
    program = (
        "import sys, zimp\n"
        "reports = [zimp.report(file) for file in sys.argv[1:]]\n"
        "assert 'torch' not in sys.modules\n"
        "print([report.rows for report in reports])"
    )
    files = [tmp_path / "model.safetensors", tmp_path / "halves.safetensors"]
    ended = subprocess.run([sys.executable, "-c", program, *files], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == str([zimp.report(content).rows for content in (model.state_dict(), halves)])


def test_the_constant_is_zeta_of_three():
    assert ZETA3 == scipy.special.zeta(3)


def test_help_and_mistakes_wait_for_no_library(inputs):
    code = (
        "import sys; from zimp.reports.command import main\n"
        "try: main()\n"
        "except SystemExit as ended: code = ended.code\n"
        "print(code, sorted({'torch', 'numpy', 'scipy', 'joblib', 'matplotlib'} & {*sys.modules}))"
    )
    for arguments, status in [
        (["--help"], 0), (["report", "--help"], 0), (["sweep", "--help"], 0),
        ([], 2), (["report"], 2), (["repport"], 2),
        (["report", "one.pt", "--density", "2"], 2), (["report", "one.pt", "--csv", "one.pt"], 2),
        (["report", "--json", "one.pt", "two.pt"], 2), (["report", "one.pt", "--csv", "shards"], 2),
        (["sweep", "--seeds", "0"], 2), (["sweep", "--output", "one.pt"], 2),
    ]:  # fmt: skip
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
        assert done.stdout.endswith(f"{status} []\n"), (arguments, done.stdout, done.stderr)


def test_a_reader_that_stops_reading_is_no_error(checkpoint):
    with subprocess.Popen(
        [*COMMAND, checkpoint], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == ""


# Weights that are not finite: the layer is left out by name, and the rest is reported.


def broken_network():
    """A network, and where in it a number is not finite."""
    torch.manual_seed(0)
    model = nn.ModuleDict({
        "conv": nn.Conv2d(2, 3, 3), "grouped": nn.Conv1d(4, 4, 3, groups=2), "attn": nn.MultiheadAttention(4, 2),
        "fc": nn.Linear(20, 30), "last": nn.Linear(30, 9).bfloat16(), "table": nn.Embedding(5, 4),
        "good": nn.Linear(9, 4),
    })  # fmt: skip
    places = {
        "conv.weight": [2, 1, 0, 2], "grouped.weight": [3, 1, 2], "attn.in_proj_weight": [5, 3], "fc.weight": [3, 17],
        "last.weight": [8, 0], "table.weight": [4, 2],
    }  # fmt: skip
    with torch.no_grad():
        for k, (name, place) in enumerate(places.items()):
            model.state_dict()[name][tuple(place)] = [torch.nan, torch.inf, -torch.inf][k % 3]
    return model, places


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", None])
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_layer_that_is_not_finite_is_left_out_with_the_index_and_the_rest_is_reported(suffix, jobs, tmp_path):
    model, places = broken_network()
    network = saved(tmp_path / f"model{suffix}", model.state_dict()) if suffix else model
    if suffix:
        del places["grouped.weight"]  # whose groups a file does not tell, so that it is another graph there
    report = zimp.report(network, jobs=jobs)
    reasons = {left["name"].partition("[")[0]: left["reason"] for left in report.left_out}
    for name, place in places.items():
        value = float(model.state_dict()[name][tuple(place)])
        assert reasons[name] == f"{place} is {value}"
    named = {"attn.in_proj_weight[k]" if "in_proj" in name else name for name in places}
    assert named <= {*report.totals["not_finite"]}
    good = {name: tensor for name, tensor in model.state_dict().items() if name not in places}
    expected = {
        full_name(row): row["safe_density"] for row in zimp.report(good).rows if row["name"] != "grouped.weight"
    }
    found = {full_name(row): row["safe_density"] for row in report.rows}
    assert expected.items() <= found.items() and {"attn.in_proj_weight[q]", "attn.in_proj_weight[v]"} <= found.keys()
    assert report.totals["layers"] == len(report.rows)
    lost = sum(math.prod(left["shape"]) for left in report.left_out)
    assert report.totals["numbers"] == report.totals["measured"] + lost
    for text in (report.table(), report.brief()):
        assert "Without layers that hold NaN or infinity (did the training diverge?): " in text and "fc.weight" in text


def test_the_totals_are_those_of_the_layers_that_are_finite():
    model = zimp.lenet_300_100(16)
    whole = zimp.report({name: weight for name, weight in model.state_dict().items() if "fc2" not in name})
    model.state_dict()["fc2.weight"][0, 0] = torch.nan
    totals = zimp.report(model).totals
    for key in ("layers", "weights", "tree", "safe_density", "global_density", "first_to_break_globally", "largest"):
        assert totals[key] == whole.totals[key]


def test_a_weight_under_its_mask_and_one_behind_inputs_first_are_found_where_they_are_stored():
    layer = torch_prune.l1_unstructured(nn.Linear(4, 3), "weight", amount=0.5)
    layer.weight_mask[1, 2] = 0
    with torch.no_grad():
        layer.weight_orig[1, 2] = torch.nan
    gpt2 = {"h.0.mlp.c_fc.weight": torch.rand(4, 16), "h.0.attn.c_attn.weight": torch.rand(4, 12)}
    gpt2["h.0.attn.c_attn.weight"][3, 7] = torch.inf  # of the keys
    report = zimp.report(nn.ModuleList([layer, nn.Linear(2, 2)]))
    assert {left["name"]: left["reason"][:13] for left in report.left_out}["0.weight_orig"] == "[1, 2] is nan"
    assert [(left["name"], left["reason"][:13]) for left in zimp.report(gpt2).left_out] == [
        ("h.0.attn.c_attn.weight[k]", "[3, 7] is inf")
    ]


def test_the_command_exits_with_2_where_a_layer_is_not_finite_and_says_it_in_all_outputs(tmp_path, monkeypatch, capsys):
    path = saved(tmp_path / "model.safetensors", tensors(**{"fc1.weight": (3, 4), "fc2.weight": (5, 20)}))
    content = {
        name: tensor.clone() for name, tensor in tensors(**{"fc1.weight": (3, 4), "fc2.weight": (5, 20)}).items()
    }
    content["fc2.weight"][3, 17] = torch.nan
    saved(path, content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        sys, "argv", ["zimp", "report", str(path), "--json", "out.json", "--csv", "out.csv", "--figure", "a.svg"]
    )
    with pytest.raises(SystemExit, match="2"):
        main()
    said = capsys.readouterr()
    assert said.err == f"error: {path}: fc2.weight is left out: [3, 17] is nan; did the training diverge?\n"
    (report,) = json.loads(Path("out.json").read_text())["reports"]
    (left,) = report["left_out"]
    assert (left["name"], left["shape"], left["reason"][:14]) == ("fc2.weight", [5, 20], "[3, 17] is nan")
    first, second = csv.DictReader(io.StringIO(Path("out.csv").read_text()))
    assert first["name"] == "fc1.weight" and first["left_out"] == "" and float(first["safe_density"]) > 0
    assert second["name"] == "fc2.weight" and second["left_out"].startswith("[3, 17] is nan")
    assert second["shape"] == "5x20" and second["safe_density"] == "" and Path("a.svg").exists()


# Output: full disks, names of any kind


def test_the_help_says_what_the_exit_codes_mean(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["zimp", "report", "--help"])
    with pytest.raises(SystemExit, match="0"):
        main()
    said = " ".join(capsys.readouterr().out.split())
    assert "Exits with 0 if all that was asked for was done, and with 2 if it was not" in said


def test_a_disk_that_is_full_at_the_end_leaves_the_old_file_and_nothing_else(inputs, monkeypatch, capsys):
    Path("out.json").write_text('{\n "versions": {}}')

    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setattr(sys, "argv", ["zimp", "report", "one.pt", "--json", "out.json", "--csv", "out.csv"])
    before = contents(".")
    with pytest.raises(SystemExit, match="2"):
        main()
    said = capsys.readouterr()
    assert said.err.splitlines() == [
        f"error: --{option} out.{option} cannot be written: No space left on device" for option in ("json", "csv")
    ]
    assert "fc.weight" in said.out and contents(".") == before


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="has no such device")
@pytest.mark.parametrize("option", [[], ["--json", "-"]])
def test_a_terminal_that_is_a_full_disk_costs_no_file(option, inputs):
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [*COMMAND, "one.pt", *option, "--csv", "out.csv"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert ended.returncode == 2
    assert ended.stderr == "error: the output cannot be written: No space left on device\n"
    assert "fc.weight" in Path("out.csv").read_text()


@pytest.mark.parametrize("option", ["--json", "--csv", "--figure"])
def test_an_output_given_twice_is_refused(option, inputs, monkeypatch, capsys):
    said = refused(monkeypatch, capsys, "report", "one.pt", option, "a.svg", option, "b.svg")
    assert f"{option} is given twice; it is one file, for the reports of all files together" in said


@pytest.mark.parametrize("content", ['{"a": 1}', "name,grade\n", "notes"])
def test_a_file_of_somebody_elses_is_not_overwritten(content, inputs, monkeypatch, capsys):
    Path("notes").write_text(content)
    for option in ("--json", "--csv", "--figure"):
        path = "notes" if option != "--figure" else "notes.svg"
        Path(path).write_text(content)
        said = refused(monkeypatch, capsys, "report", "one.pt", option, path)
        assert f"{option} {path} would overwrite a file that zimp did not write" in said


def test_files_of_one_name_and_one_file_twice_are_reports_of_their_own(inputs, monkeypatch):
    for folder in ("a", "b"):
        Path(folder).mkdir()
        saved(Path(folder) / "model.pt", tensors(**{f"{folder}.weight": (3, 4)}))
    files = ["a/model.pt", "b/model.pt", "a/model.pt"]
    monkeypatch.setattr(sys, "argv", ["zimp", "report", *files, "--json", "out.json", "--csv", "out.csv"])
    with pytest.raises(SystemExit, match="0"):
        main()
    found = json.loads(Path("out.json").read_text())["reports"]
    assert [(report["source"], report["rows"][0]["name"]) for report in found] == [
        (file, f"{file[0]}.weight") for file in files
    ]
    lines = csv.DictReader(io.StringIO(Path("out.csv").read_text()))
    assert [line["source"] for line in lines] == files


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are text there")
def test_names_that_are_not_utf_8_are_escaped_in_every_output(inputs):
    path = os.fsdecode(b"gewichte_\xfc.pt")
    torch.save({os.fsdecode(b"fc_\xff.weight"): torch.rand(3, 4)}, "plain.pt")
    os.rename("plain.pt", path)
    outputs = ["--json", "out.json", "--csv", "out.csv", "--figure", "out.svg"]
    ended = subprocess.run([*COMMAND, path, os.fsdecode(b"none_\xfc.pt"), *outputs], capture_output=True, text=True)
    assert ended.returncode == 2 and "Traceback" not in ended.stderr
    assert r"gewichte_\udcfc.pt" in ended.stdout and r"none_\udcfc.pt does not exist" in ended.stderr
    assert json.loads(Path("out.json").read_text())["reports"][0]["source"] == path
    (line,) = csv.DictReader(io.StringIO(Path("out.csv").read_text()))
    assert line["source"] == r"gewichte_\udcfc.pt" and line["name"] == r"fc_\udcff.weight"


def test_what_a_name_would_do_to_a_terminal_is_escaped():
    name = "\x1b[2Jfc\nnetwork, 9 layers.weight"
    report = zimp.report({name: torch.rand(3, 4), "\x07.bias": torch.rand(3)})
    text = report.table() + report.brief()
    assert "\x1b" not in text and "\x07" not in text and r"\x1b[2Jfc\nnetwork, 9 layers.weight dense" in text
    assert report.rows[0]["name"] == name


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        ("*.none=2", "'*.none' fits no convolution of unknown groups"), ("*=3", "gives b.weight 3 groups"),
        ("*=0", "gives a.weight 0 groups"), ("fc.weight=2", "'fc.weight' fits no convolution"),
        *[(text, "must be a pattern of names and a number")
          for text in ("a.weight", "=2", "a.weight=", "a.weight=two", "a.weight=-2", "a.weight=2.0")],
    ],
)  # fmt: skip
def test_patterns_of_groups_that_fit_nothing_or_too_much_are_refused(pattern, what, tmp_path, monkeypatch, capsys):
    path = saved(tmp_path / "a.pt", tensors(**{"a.weight": (6, 2, 3), "b.weight": (4, 2, 3), "fc.weight": (6, 6)}))
    monkeypatch.setattr(sys, "argv", ["zimp", "report", str(path), "--groups", pattern])
    with pytest.raises(SystemExit, match="2"):
        main()
    said = capsys.readouterr()
    assert what in said.err and not said.out


@pytest.mark.parametrize("density", ["0", "-0.1", "1.0000001", "inf", "nan", "1e400"])
def test_a_density_that_is_no_share_is_refused(density, inputs, monkeypatch, capsys):
    said = refused(monkeypatch, capsys, "report", "one.pt", f"--density={density}")
    assert "must be above 0 and at most 1" in said


@pytest.mark.skipif(sys.platform == "win32", reason="tells no peak of memory")
def test_a_large_model_takes_no_more_memory_than_its_largest_layer_twice_and_150_mb():
    """Of sparse files, so that it takes no disk; in a small one of a single layer as much is taken."""
    few, many = (measure(layers * 2 * 2048 * 2048, (2048, 2048)) for layers in (1, 24))
    assert (few["layers"], many["layers"]) == (1, 24)
    assert many["peak"] <= min(few["peak"] + 40e6, many["bound"])
