import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import zimp


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.encode, self.decode = nn.Linear(4, 4), nn.Linear(4, 4)
        self.decode.weight = self.encode.weight


def test_prunable_weights_are_those_of_dense_layers_and_convolutions_in_model_order():
    model = nn.Sequential(
        nn.Embedding(5, 4), nn.Conv1d(4, 6, 3), nn.BatchNorm1d(6), nn.Sequential(nn.Conv2d(1, 2, 3), nn.LayerNorm(3)),
        nn.Conv3d(1, 2, 1), nn.ConvTranspose2d(2, 3, 2), nn.LSTM(3, 4), nn.Bilinear(2, 2, 2), nn.Linear(3, 2),
    )  # fmt: skip
    weights = zimp.prunable(model)
    assert list(weights) == ["1.weight", "3.0.weight", "4.weight", "8.weight"]
    parameters = dict(model.named_parameters())
    assert all(weight is parameters[name] for name, weight in weights.items())


def test_a_single_layer_is_a_model():
    layer = nn.Linear(3, 2)
    assert zimp.prunable(layer) == {"weight": layer.weight}


def test_a_shared_weight_comes_once():
    assert list(zimp.prunable(Tied())) == ["encode.weight"]


def test_a_dense_layer_is_its_own_graph_in_either_view():
    weight, mask = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)), torch.eye(3, 4).bool()
    for view in ("matrix", "channel"):
        graph = zimp.layer_graph(weight, mask, view=view)
        assert np.array_equal(graph.weights, weight.numpy()) and np.array_equal(graph.mask, mask.numpy())
        assert zimp.layer_graph(weight, view=view).mask is None


@pytest.mark.parametrize("layer", [nn.Conv1d(6, 4, 5), nn.Conv2d(6, 4, 3), nn.Conv3d(6, 4, 2)])
def test_the_matrix_of_a_convolution_has_one_column_for_each_entry_of_a_patch(layer):
    graph = zimp.layer_graph(layer.weight)
    assert np.array_equal(graph.weights, layer.weight.detach().reshape(4, -1).numpy())


def test_the_matrix_view_is_the_matrix_that_multiplies_a_patch():
    conv, patch = nn.Conv2d(3, 5, 2, bias=False), torch.randn(1, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    product = zimp.layer_graph(conv.weight).weights @ patch.ravel().numpy()
    assert product == pytest.approx(conv(patch).detach().ravel().numpy(), abs=1e-6)


def channel_edges(weight, mask):
    """For each pair of channels the heaviest of the parallel edges that exist, or None."""
    out, width = weight.shape[:2]
    return {
        (i, j): max((abs(w) for w, kept in zip(weight[i, j].flat, mask[i, j].flat) if kept), default=None)
        for i in range(out)
        for j in range(width)
    }


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 3), st.integers(0, 99), st.sampled_from([0.1, 0.5, 1]))
def test_statement_3_the_channel_view_keeps_the_heaviest_of_parallel_edges(out, width, kernel, seed, density):
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(out, width, kernel, kernel))
    mask = rng.random(weight.shape) < density
    graph = zimp.layer_graph(weight, mask, view="channel")
    for edge, heaviest in channel_edges(weight, mask).items():
        assert graph.mask[edge] == (heaviest is not None)
        assert heaviest is None or graph.weights[edge] == heaviest
    everything = zimp.layer_graph(weight, view="channel")
    assert everything.mask is None
    assert np.array_equal(everything.weights, np.abs(weight).max(axis=(2, 3)))


def test_the_channel_view_takes_the_magnitude_of_any_integer():
    weight = np.array([[[-128, 5]]], dtype=np.int8)
    assert zimp.spanning_forest(*zimp.layer_graph(weight, view="channel")).values.tolist() == [128]


def contracted(weight, mask):
    """The weights of a maximum spanning forest of channels that keeps all parallel edges, by plain union-find."""
    component = {("out", i): {("out", i)} for i in range(len(weight))}
    component |= {("in", j): {("in", j)} for j in range(weight.shape[1])}
    values = []
    for edge in sorted(np.ndindex(weight.shape), key=lambda edge: -abs(weight[edge])):
        ends = component["out", edge[0]], component["in", edge[1]]
        if mask[edge] and ends[0] is not ends[1]:
            values.append(abs(weight[edge]))
            merged = ends[0] | ends[1]
            component |= dict.fromkeys(merged, merged)
    return values


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(0, 99), st.sampled_from([0.1, 0.5, 1]))
def test_statement_3_the_channel_graph_is_the_matrix_graph_with_each_input_channel_glued(
    out, width, kernel, seed, density
):
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(out, width, kernel, kernel))
    mask = rng.random(weight.shape) < density
    channel = zimp.spanning_forest(*zimp.layer_graph(weight, mask, view="channel"))
    assert channel.values.tolist() == contracted(weight, mask)
    tree = zimp.spanning_forest(*zimp.layer_graph(weight, mask)).mask.reshape(weight.shape)
    assert contracted(weight, tree) == channel.values.tolist()  # a tree of the matrix holds one of its quotient


@pytest.mark.parametrize("view", ["matrix", "channel"])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_statement_3_groups_are_components_that_are_never_joined(view, groups):
    conv = nn.Conv2d(8, 12, 3, groups=groups)
    forest = zimp.spanning_forest(*zimp.layer_graph(conv.weight, view=view, groups=groups))
    m, n = forest.shape
    assert (m, n) == (12, 8 * (9 if view == "matrix" else 1))
    assert forest.n_components == groups
    assert len(forest) == m + n - groups
    assert (forest.rows // (m // groups) == forest.cols // (n // groups)).all()


@pytest.mark.parametrize("view", ["matrix", "channel"])
def test_a_mask_of_a_grouped_convolution_takes_edges_away(view):
    weight = np.random.default_rng(0).normal(size=(4, 3, 2, 2))
    mask = np.ones(weight.shape, dtype=bool)
    mask[2] = False
    graph = zimp.layer_graph(weight, mask, view=view, groups=2)
    assert zimp.count_components(graph.mask) == 3
    assert graph.mask.sum() == (mask.sum() if view == "matrix" else 9)


def test_layer_graph_does_not_modify_its_input():
    weight, mask = torch.randn(4, 2, 3, 3, requires_grad=True), torch.ones(4, 2, 3, 3, dtype=torch.bool)
    copies = weight.detach().clone(), mask.clone()
    for view in ("matrix", "channel"):
        zimp.layer_graph(weight, mask, view=view, groups=2)
    assert torch.equal(weight, copies[0]) and torch.equal(mask, copies[1])


CONVOLUTION = nn.Conv2d(16, 32, 3)
DEPTHWISE = nn.Conv2d(16, 16, 3, groups=16)


@pytest.mark.parametrize(
    ("layer", "view", "tree"),
    [
        (nn.Linear(784, 300), "matrix", 1083),
        (nn.Linear(784, 300), "channel", 1083),
        (CONVOLUTION, "matrix", 32 + 144 - 1),
        (CONVOLUTION, "channel", 32 + 16 - 1),
        (DEPTHWISE, "matrix", 16 + 144 - 16),
        (DEPTHWISE, "channel", 16 + 16 - 16),
        (nn.Conv1d(4, 6, 5, groups=2), "matrix", 6 + 20 - 2),
        (nn.Conv3d(4, 6, 2, groups=2), "channel", 6 + 4 - 2),
    ],
)
def test_statement_3_tree_sizes_are_those_of_the_trees_themselves(layer, view, tree):
    assert zimp.tree_sizes(layer, view=view) == {"weight": (layer.weight.numel(), tree)}
    graph = zimp.layer_graph(layer.weight, view=view, groups=getattr(layer, "groups", 1))
    assert len(zimp.spanning_forest(*graph)) == tree


def test_statement_3_the_critical_compression_of_lenet():
    sizes, trees = zip(*zimp.tree_sizes(zimp.lenet_300_100()).values())
    assert (sum(sizes), sum(trees)) == (266200, 1591)
    assert sum(sizes) / sum(trees) == pytest.approx(167.31615, abs=5e-6)
    for (out, width), size, tree in zip([(300, 784), (100, 300), (10, 100)], sizes, trees):
        assert size / tree == zimp.critical_compression(out, width)


def test_statement_3_the_critical_compression_of_both_views():
    size, matrix = zimp.tree_sizes(CONVOLUTION)["weight"]
    size, channel = zimp.tree_sizes(CONVOLUTION, view="channel")["weight"]
    assert size / matrix == 32 * 16 * 9 / (32 + 16 * 9 - 1)
    assert size / channel == 32 * 16 * 9 / (32 + 16 - 1)


def test_tree_sizes_need_no_numbers():
    assert zimp.tree_sizes(nn.Linear(10**6, 10**6, device="meta")) == {"weight": (10**12, 2 * 10**6 - 1)}
