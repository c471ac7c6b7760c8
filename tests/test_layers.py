import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import components, convolutions, gaussian, pixel_edges
from torch import nn

import zimp
from zimp.layers import CONVOLUTIONS


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.encode, self.decode = nn.Linear(4, 4), nn.Linear(4, 4)
        self.decode.weight = self.encode.weight


def test_prunable_weights_are_those_of_dense_convolutional_and_recurrent_layers_in_model_order():
    model = nn.Sequential(
        nn.Embedding(5, 4), nn.Conv1d(4, 6, 3), nn.BatchNorm1d(6), nn.Sequential(nn.Conv2d(1, 2, 3), nn.LayerNorm(3)),
        nn.Conv3d(1, 2, 1), nn.ConvTranspose2d(2, 3, 2), nn.LSTM(3, 4), nn.Bilinear(2, 2, 2), nn.Linear(3, 2),
    )  # fmt: skip
    weights = zimp.prunable(model)
    assert list(weights) == [
        "1.weight", "3.0.weight", "4.weight", "5.weight", "6.weight_ih_l0", "6.weight_hh_l0", "8.weight",
    ]  # fmt: skip
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
def test_the_channel_view_keeps_the_heaviest_of_parallel_edges(out, width, kernel, seed, density):
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


@pytest.mark.parametrize("view", ["matrix", "channel"])
def test_a_mask_of_a_grouped_convolution_takes_edges_away(view):
    weight = np.random.default_rng(0).normal(size=(4, 3, 2, 2))
    mask = np.ones(weight.shape, dtype=bool)
    mask[2] = False
    graph = zimp.layer_graph(weight, mask, view=view, groups=2)
    assert zimp.spanning_forest(*graph).n_components == 3
    assert graph.weights.nnz == (mask.sum() if view == "matrix" else 9)


def test_layer_graph_does_not_modify_its_input():
    weight, mask = torch.randn(4, 2, 3, 3, requires_grad=True), torch.ones(4, 2, 3, 3, dtype=torch.bool)
    copies = weight.detach().clone(), mask.clone()
    for view in ("matrix", "channel", "spatial"):
        zimp.layer_graph(weight, mask, view=view, groups=2, input_size=(5, 5))
    assert torch.equal(weight, copies[0]) and torch.equal(mask, copies[1])


def test_tree_sizes_need_no_numbers():
    assert zimp.tree_sizes(nn.Linear(10**6, 10**6, device="meta")) == {"weight": (10**12, 2 * 10**6 - 1)}


# The graph of pixels


@given(convolutions(), st.integers(1, 3), st.integers(1, 3), st.integers(0, 99), st.sampled_from([0.2, 0.6, None]))
def test_the_spatial_view_has_the_summed_kernel_of_each_filter_at_each_output_pixel(
    convolution, out, width, seed, density
):
    size, kernel, settings = convolution
    rng = np.random.default_rng(seed)
    weight = rng.integers(-3, 4, size=(out, width, *kernel)).astype(float)
    mask = np.ones(weight.shape, dtype=bool) if density is None else rng.random(weight.shape) < density
    edges = pixel_edges(size, kernel, **settings)
    graph = zimp.layer_graph(weight, None if density is None else mask, view="spatial", input_size=size, **settings)
    q = 1 + max(row for row, _ in edges)
    p = np.prod([pixels + 2 * pad for pixels, pad in zip(size, settings["padding"])])
    assert graph.mask is None and graph.weights.shape == (out * q, out * p)
    expected = {
        (f * q + row, f * p + col): np.abs(weight[(f, slice(None), *entry)])[mask[(f, slice(None), *entry)]].sum()
        for f in range(out)
        for (row, col), entry in edges.items()
        if mask[(f, slice(None), *entry)].any()  # pruned in all input channels, it is absent; zero in all, an edge
    }
    found = graph.weights.tocoo()
    assert dict(zip(zip(found.row.tolist(), found.col.tolist()), found.data.tolist())) == expected


@pytest.mark.parametrize(
    ("layer", "size"),
    [
        (nn.Conv1d(2, 3, 3, padding=1, stride=2), (7,)),
        (nn.Conv2d(2, 4, (2, 3), stride=(2, 1), padding=(0, 2), groups=2), (6, 5)),
        (nn.Conv2d(3, 2, 2, dilation=2), (5, 6)),
        (nn.Conv3d(2, 2, (1, 2, 3), padding=(0, 1, 1)), (2, 3, 4)),
    ],
)
def test_the_spatial_view_is_the_matrix_that_multiplies_a_padded_image(layer, size):
    """An image of equal channels, on which the convolution by ``|w|`` sums the kernels over the input channels."""
    image = torch.rand(size, generator=torch.Generator().manual_seed(0))
    settings = {"padding": layer.padding, "stride": layer.stride, "dilation": layer.dilation}
    with torch.no_grad():
        layer.weight.abs_()
        layer.bias.zero_()
        expected = layer(image.expand(1, layer.in_channels, *size)).ravel()
    graph = zimp.layer_graph(layer.weight, view="spatial", input_size=size, groups=layer.groups, **settings)
    padded = np.pad(image, [(pad, pad) for pad in layer.padding]).ravel()
    assert graph.weights @ np.tile(padded, layer.out_channels) == pytest.approx(expected.numpy(), abs=1e-5)


def test_filters_are_not_joined_in_the_spatial_view():
    weight = gaussian(3, 2, 3, 3)
    forest = zimp.spanning_forest(*zimp.layer_graph(weight, view="spatial", input_size=(6, 6), padding=1))
    alone = [zimp.layer_graph(weight[f : f + 1], view="spatial", input_size=(6, 6), padding=1) for f in range(3)]
    assert forest.n_components == 3
    assert forest.values.tolist() == sorted(
        np.concatenate([zimp.spanning_forest(*graph).values for graph in alone]), reverse=True
    )


def test_a_filter_that_is_pruned_away_leaves_its_pixels_alone():
    mask = np.ones((2, 1, 3, 3), dtype=bool)
    mask[1] = False
    graph = zimp.layer_graph(gaussian(2, 1, 3, 3), mask, view="spatial", input_size=(4, 4))
    assert zimp.spanning_forest(*graph).n_components == components(graph.weights) == 1 + 4 + 16


def test_what_is_stored_under_a_pruned_weight_does_not_matter_in_the_spatial_view():
    weight, mask = gaussian(2, 2, 2, 2), np.ones((2, 2, 2, 2), dtype=bool)
    mask[0, 1, 1, 1] = False
    graphs = []
    for stored in (7.0, -1e9, 0.0):
        weight[0, 1, 1, 1] = stored
        graphs.append(zimp.layer_graph(weight, mask, view="spatial", input_size=(3, 3)).weights.toarray())
    assert np.array_equal(graphs[0], graphs[1]) and np.array_equal(graphs[0], graphs[2])


def test_a_dense_layer_is_its_own_graph_in_the_spatial_view_too():
    weight = gaussian(3, 4)
    assert np.array_equal(zimp.layer_graph(weight, view="spatial", input_size=(8, 8)).weights, weight)


# The sizes of a network of pixels

NETWORKS = {
    "strided": (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 7, stride=2, padding=3), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3, stride=2)),
        (3, 24, 20),
    ),
    "same padding": (
        lambda: nn.Sequential(nn.Conv2d(1, 2, (2, 5), padding="same"), nn.Conv2d(2, 2, 4, padding="same", dilation=2)),
        (1, 7, 9),
    ),
    "one dimension": (lambda: nn.Sequential(nn.Conv1d(2, 4, 4, padding="same"), nn.Conv1d(4, 2, 3, stride=3)), (2, 20)),
    "three dimensions": (lambda: nn.Conv3d(1, 2, (1, 2, 3), padding=(0, 1, 2), stride=(1, 2, 1)), (1, 2, 5, 4)),
    "1x1 and depthwise": (
        lambda: nn.Sequential(nn.Conv2d(4, 8, 1, stride=2), nn.Conv2d(8, 8, 3, groups=8, padding="valid")), (4, 11, 9),
    ),
    "with norms, dropout, and a head": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.Dropout(), nn.Conv2d(4, 2, 3, dilation=3),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 5),
        ),
        (1, 9, 9),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("build", "input_size"), NETWORKS.values(), ids=NETWORKS)
def test_the_spatial_tree_sizes_of_a_network_are_those_of_the_graphs_themselves(build, input_size):
    model = build()
    sizes = zimp.tree_sizes(model, view="spatial", input_size=input_size)
    assert list(sizes) == list(zimp.prunable(model))
    modules = [model] if isinstance(model, CONVOLUTIONS) else list(model)
    image = torch.zeros(1, *input_size)
    found = []
    for module in modules:
        if isinstance(module, nn.Linear):
            found.append((module.weight.numel(), sum(module.weight.shape) - 1))
        elif isinstance(module, CONVOLUTIONS):
            padding = module.padding
            if padding == "same":  # in all as many pixels as the kernel spans, less one, be that odd or even
                padded = [s + d * (k - 1) for s, d, k in zip(image.shape[2:], module.dilation, module.kernel_size)]
            else:
                padding = (0,) * len(module.kernel_size) if padding == "valid" else padding
                padded = [s + 2 * pad for s, pad in zip(image.shape[2:], padding)]
            graph = zimp.layer_graph(
                module.weight[:1], view="spatial", input_size=padded, stride=module.stride, dilation=module.dilation
            )
            assert graph.weights.shape[0] == module(image)[0, 0].numel()
            found.append((graph.weights.nnz, len(zimp.spanning_forest(*graph))))
        image = module.eval()(image)
    assert [*sizes.values()] == found


@pytest.mark.parametrize(("stride", "dilation", "pixels"), [(1, 1, (7, 6)), (3, 1, (15, 12)), (2, 3, (15, 13))])
def test_a_transposed_convolution_has_the_pixels_of_the_image_that_it_makes(stride, dilation, pixels):
    model = nn.ConvTranspose2d(2, 3, 3, stride=stride, dilation=dilation)
    assert model(torch.zeros(1, 2, 5, 4)).shape[2:] == pixels
    graph = zimp.layer_graph(model.weight[:1], view="spatial", input_size=pixels, stride=stride, dilation=dilation)
    assert graph.weights.shape[0] == 20
    sizes = zimp.tree_sizes(model, view="spatial", input_size=(2, 5, 4))
    assert sizes == {"weight": (graph.weights.nnz, len(zimp.spanning_forest(*graph)))}


def hooks(model):
    return sum(len(module._forward_pre_hooks) + len(module._forward_hooks) for module in model.modules())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("fails", [False, True])
def test_a_network_is_left_as_it_was_by_the_spatial_tree_sizes(training, fails):
    model = NETWORKS["with norms, dropout, and a head"][0]().train(training)
    parameters, buffers = dict(model.named_parameters()), dict(model.named_buffers())
    state = {name: value.clone() for name, value in model.state_dict().items()}
    generator = torch.get_rng_state()
    if fails:
        with pytest.raises(RuntimeError, match="(?i)channel"):
            zimp.tree_sizes(model, view="spatial", input_size=(3, 9, 9))
    else:
        zimp.tree_sizes(model, view="spatial", input_size=(1, 9, 9))
    assert hooks(model) == 0
    assert all(module.training is training for module in model.modules())
    assert all(value is parameters[name] and value.grad is None for name, value in model.named_parameters())
    assert all(value is buffers[name] for name, value in model.named_buffers())
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), generator)


class Partial(nn.Module):
    def __init__(self):
        super().__init__()
        self.run, self.spare = nn.Conv2d(1, 2, 3), nn.Conv2d(1, 2, 3)

    def forward(self, x):
        return self.run(x)


def test_a_convolution_that_is_never_run_has_no_image():
    model = Partial()
    with pytest.raises(ValueError, match="the network did not run its convolution spare.weight, so the size of its"):
        zimp.tree_sizes(model, view="spatial", input_size=(1, 5, 5))
    assert hooks(model) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_networks_of_any_precision_have_spatial_sizes(dtype):
    sizes = zimp.tree_sizes(zimp.small_conv().to(dtype), view="spatial", input_size=(1, 8, 8))
    assert sizes["conv1.weight"] == (576, 163)


def test_a_network_on_the_meta_device_has_spatial_sizes():
    with torch.device("meta"):
        sizes = zimp.tree_sizes(nn.Conv2d(1, 10**6, 3), view="spatial", input_size=(1, 1000, 1000))
    assert sizes == {"weight": (9 * 998**2, 998**2 + 1000**2 - 1)}


def test_tied_weights_come_once_among_spatial_sizes():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 8), nn.Linear(8, 8))
    model[3].weight = model[2].weight
    sizes = zimp.tree_sizes(model, view="spatial", input_size=(1, 4, 4))
    assert sizes == {"0.weight": (36, 19), "2.weight": (64, 15)}


class WithPassingBuffer(nn.Conv2d):
    """A buffer that is no part of the state, as the positions of some transformers."""

    def __init__(self):
        super().__init__(1, 2, 3)
        self.register_buffer("shift", torch.ones(2, 2), persistent=False)

    def forward(self, x):
        return super().forward(x) + self.shift


def test_buffers_that_are_no_part_of_the_state_do_not_hinder_spatial_sizes():
    assert zimp.tree_sizes(WithPassingBuffer(), view="spatial", input_size=(1, 4, 4)) == {"weight": (36, 19)}


# Stitched networks


def stitched_edges(weights, masks=None):
    """Row and column of the stitched graph, of each edge of each layer, from the definition."""
    widths = [weights[0].shape[1], *map(len, weights)]
    place = {}
    for side in (0, 1):
        neurons = [(layer, neuron) for layer in range(side, len(widths), 2) for neuron in range(widths[layer])]
        place |= {neuron: position for position, neuron in enumerate(neurons)}
    edges = {}
    for layer, weight in enumerate(weights):
        for i, j in np.ndindex(weight.shape):
            if masks is None or masks[layer] is None or masks[layer][i, j]:
                ends = place[layer, j], place[layer + 1, i]
                edges[ends[::-1] if layer % 2 == 0 else ends] = weight[i, j]
    return (sum(widths[1::2]), sum(widths[::2])), edges


CHAINS = {1: [3, 4], 2: [3, 4, 2], 3: [2, 3, 4, 5], 4: [1, 5, 2, 2, 3], 5: [2, 1, 3, 1, 2, 4]}


@pytest.mark.parametrize("masked", ["not", "all", "some"])
@pytest.mark.parametrize("depth", CHAINS)
def test_a_stitched_graph_has_each_weight_between_its_neurons(depth, masked):
    weights = [np.round(gaussian(out, width, seed=out)) for width, out in zip(CHAINS[depth], CHAINS[depth][1:])]
    masks = [gaussian(*weight.shape, seed=1) > 0 for weight in weights]
    masks = {"not": None, "all": masks, "some": [None, *masks[1:]]}[masked]
    shape, edges = stitched_edges(weights, masks)
    graph = zimp.stitched_graph(weights, masks)
    found = graph.weights.tocoo()
    assert graph.mask is None and graph.weights.shape == shape
    assert dict(zip(zip(found.row.tolist(), found.col.tolist()), found.data.tolist())) == edges  # zeros among them
    assert 0 in edges.values() and found.nnz == len(edges)


def test_one_layer_is_its_own_stitched_graph():
    weight, mask = gaussian(4, 5), gaussian(4, 5, seed=1) > 0
    forests = zimp.spanning_forest(*zimp.stitched_graph([weight], [mask])), zimp.spanning_forest(weight, mask)
    assert forests[0].rows.tolist() == forests[1].rows.tolist() and forests[0].cols.tolist() == forests[1].cols.tolist()


@pytest.mark.parametrize("dtypes", [(torch.float16,) * 2, (torch.bfloat16, torch.float32), (torch.int64,) * 2])
def test_a_stitched_graph_takes_any_weights_that_a_forest_takes(dtypes):
    weights = [torch.tensor([[3, -2]], dtype=dtypes[0]), torch.tensor([[1], [4]], dtype=dtypes[1])]
    assert zimp.spanning_forest(*zimp.stitched_graph(weights)).values.tolist() == [4, 3, 2, 1]


def test_a_network_can_be_stitched_with_its_masks():
    torch.manual_seed(0)
    model = zimp.lenet_300_100(20)
    masks = zimp.prune(model, rate=0.9)
    weights = zimp.prunable(model)
    graph = zimp.stitched_graph(weights.values(), masks.values())
    assert graph.weights.nnz == sum(int(mask.sum()) for mask in masks.values())
    assert graph.weights.shape == (310, 120)
