"""The statements of the theory, one by one: for each a property that holds for any layer, and its numbers.

The twelfth, what topology buys in accuracy, is an experiment: what the book says of it is compared with the stored
results. Functions that a page defines are taken from the page.
"""

import ast
import functools
import itertools
import math
import re
from collections import Counter
from fractions import Fraction
from pathlib import Path

import jupytext
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from reference import (
    WEIGHTS,
    components,
    convolutions,
    forest_edges,
    gaussian,
    kruskal,
    layers,
    pixel_edges,
    present,
)
from scipy.stats import ttest_1samp
from torch import nn

import zimp
from zimp import plots
from zimp.lab.experiments import RULES, Results
from zimp.reports.architectures import ARCHITECTURES

SIZES = st.integers(1, 40)
BOOK = Path(__file__).parent.parent / "book"


@functools.cache
def functions_of(page):
    """The functions that a page of the book defines, without running the page."""
    cells = (cell.source for cell in jupytext.read(BOOK / f"{page}.md").cells if cell.cell_type == "code")
    found = [node for cell in cells for node in ast.parse(cell).body if isinstance(node, ast.FunctionDef)]
    namespace = {"np": np, "zimp": zimp}
    exec(compile(ast.Module(found, []), page, "exec"), namespace)
    return namespace


def all_masks(shape):
    return [np.reshape(bits, shape) for bits in itertools.product([False, True], repeat=shape[0] * shape[1])]


def heaviest_trees(weights):
    """All maximum spanning trees, by trying all masks."""
    m, n = weights.shape
    trees = [mask for mask in all_masks((m, n)) if mask.sum() == m + n - 1 and components(mask) == 1]
    heaviest = max(weights[tree].sum() for tree in trees)
    return [tree for tree in trees if weights[tree].sum() == heaviest]


# 1. H0 is the maximum spanning forest


@given(layers(), st.randoms(use_true_random=False))
def test_statement_1_the_finite_deaths_are_the_weights_of_any_maximum_spanning_forest(layer, random):
    weights, mask = layer
    exists = present(weights, mask)
    rows, cols = (random.sample(range(size), size) for size in weights.shape)  # another order of ties, another forest
    values = np.array([value for *_, value in kruskal(weights[rows][:, cols], exists[rows][:, cols])])
    scale = np.abs(weights[exists]).max(initial=0) or 1
    assert np.array_equal(zimp.persistence_diagram(weights, mask, essential=False)[:, 1], 1 - values / scale)


@settings(max_examples=30)
@given(layers())
def test_statement_1_networkx_finds_a_forest_of_the_same_weights(layer):
    networkx = pytest.importorskip("networkx")
    weights, mask = layer
    m, n = weights.shape
    graph = networkx.Graph()
    graph.add_nodes_from(range(m + n))
    graph.add_weighted_edges_from((i, m + j, abs(weights[i, j])) for i, j in np.argwhere(present(weights, mask)))
    tree = networkx.maximum_spanning_edges(graph, data=True)
    forest = zimp.spanning_forest(weights, mask)
    assert sorted((edge["weight"] for *_, edge in tree), reverse=True) == forest.values.tolist()
    assert forest.n_components == networkx.number_connected_components(graph)


@given(layers())
def test_statement_1_of_c_components_a_diagram_has_c_essential_and_the_rest_finite_pairs(layer):
    weights, mask = layer
    c = components(present(weights, mask))
    diagram = zimp.persistence_diagram(weights, mask)
    births, deaths = diagram.T
    assert diagram.shape == (sum(weights.shape), 2)
    assert np.isinf(deaths).sum() == c and np.isinf(deaths[len(deaths) - c :]).all()
    assert (births == 0).all() and (deaths[1:] >= deaths[:-1]).all() and (deaths >= 0).all()
    assert np.array_equal(zimp.persistence_diagram(weights, mask, essential=False), diagram[: len(deaths) - c])
    assert zimp.count_components(present(weights, mask)) == c


@given(WEIGHTS.filter(np.any))
def test_statement_1_the_deaths_are_those_of_homology_by_definition(weights):
    """The reduced boundary matrix knows nothing of trees; ripser and GUDHI join components by union-find as we do."""
    relative = np.abs(weights) / np.abs(weights).max()
    deaths = zimp.persistence_diagram(weights, essential=False)[:, 1]
    assert functions_of("components")["deaths_by_reduction"](relative) == deaths.tolist()


# 2. Exactly when pruning preserves H0


@pytest.mark.parametrize("shape", [(1, 3), (2, 2), (2, 4), (3, 3)])
@pytest.mark.parametrize("seed", range(4))
def test_statement_2_a_mask_preserves_the_diagram_iff_it_contains_a_maximum_spanning_tree(shape, seed):
    weights = np.random.default_rng(seed).integers(0, 2 + seed, size=shape).astype(float)
    trees, diagram = heaviest_trees(weights), zimp.persistence_diagram(weights)
    for mask in all_masks(shape):
        preserved = np.array_equal(zimp.persistence_diagram(weights, mask), diagram)
        assert preserved == any((mask >= tree).all() for tree in trees)


def test_statement_2_connected_is_not_enough():
    weights, mask = [[1.0, 0.9], [0.8, 0.1]], [[1, 1], [0, 1]]
    assert zimp.count_components(mask) == 1
    assert zimp.persistence_diagram(weights)[:, 1] == pytest.approx([0, 0.1, 0.2, np.inf])
    assert zimp.persistence_diagram(weights, mask)[:, 1] == pytest.approx([0, 0.1, 0.9, np.inf])


def test_statement_2_is_about_weights_in_one_unit_which_a_mask_without_the_heaviest_edge_changes():
    """Two disjoint spanning trees, one of weight 2 and one of weight 1: each has all its deaths at its own maximum."""
    tree = np.array([[1, 1, 1, 0], [1, 0, 0, 1], [0, 1, 0, 0]], dtype=bool)
    assert components(tree) == components(~tree) == 1
    weights = 1.0 + tree
    assert np.array_equal(zimp.persistence_diagram(weights, ~tree), zimp.persistence_diagram(weights))
    assert zimp.spanning_forest(weights, ~tree).values.tolist() == [1] * 6
    assert zimp.spanning_forest(weights).values.tolist() == [2] * 6


# 3. The critical compression ratio: dense layers, and the three graphs of a convolution


@pytest.mark.parametrize(
    ("m", "n", "ratio"), [(300, 784, 217.17452), (100, 300, 75.18797), (10, 100, 9.17431), (1, 1, 1), (1, 7, 1)]
)
def test_statement_3_the_critical_compression_of_a_dense_layer(m, n, ratio):
    assert zimp.critical_compression(m, n) == pytest.approx(ratio, abs=5e-6)
    assert zimp.critical_compression(n, m) == zimp.critical_compression(m, n)
    assert m * n / len(zimp.spanning_forest(gaussian(m, n))) == zimp.critical_compression(m, n)


def test_statement_3_the_critical_compression_of_lenet():
    sizes, trees = zip(*zimp.tree_sizes(zimp.lenet_300_100()).values())
    assert (sum(sizes), sum(trees)) == (266200, 1591)
    assert sum(sizes) / sum(trees) == pytest.approx(167.31615, abs=5e-6)
    for (out, width), size, tree in zip([(300, 784), (100, 300), (10, 100)], sizes, trees):
        assert size / tree == zimp.critical_compression(out, width)


@pytest.mark.parametrize(
    ("side", "ratio"), [(32, 4.22946), (16, 3.97927), (8, 3.53374), (4, 2.82353), (2, 1.89474), (10**6, 4.5)]
)
def test_statement_3_the_critical_compression_of_a_3x3_convolution_of_pixels(side, ratio):
    assert zimp.spatial_critical_compression(side, side) == pytest.approx(ratio, abs=2e-5)


PIXELS = [
    (height, width, kernel, padding)
    for height, width, kernel, padding in itertools.product((1, 2, 3, 5), (2, 4), (2, 3), (0, 1, 2))
    if kernel <= min(height, width) + 2 * padding
]


@pytest.mark.parametrize(("height", "width", "kernel", "padding"), PIXELS)
def test_statement_3_the_spatial_formula_counts_a_connected_graph_of_pixels(height, width, kernel, padding):
    weight = gaussian(1, 3, kernel, kernel)
    graph = zimp.layer_graph(weight, view="spatial", input_size=(height, width), padding=padding).weights
    q, p = graph.shape
    assert (p, q) == (
        (height + 2 * padding) * (width + 2 * padding),
        (height + 2 * padding - kernel + 1) * (width + 2 * padding - kernel + 1),
    )
    assert components(graph) == 1
    ratio = zimp.spatial_critical_compression(height, width, kernel, padding)
    assert ratio == kernel**2 * q / (p + q - 1) == graph.nnz / len(zimp.spanning_forest(graph))


@given(convolutions())
def test_statement_3_the_edges_and_the_forest_of_any_convolution_of_pixels(convolution):
    size, kernel, settings = convolution
    edges, tree = zimp.spatial_sizes(size, kernel, **settings)
    assert edges == len(pixel_edges(size, kernel, **settings))
    assert tree == len(forest_edges((("out", q), ("in", p), 1) for q, p in pixel_edges(size, kernel, **settings)))
    graph = zimp.layer_graph(gaussian(1, 2, *kernel), view="spatial", input_size=size, **settings).weights
    assert (graph.nnz, sum(graph.shape) - components(graph)) == (edges, tree)
    assert len(zimp.spanning_forest(graph)) == tree


def test_statement_3_the_spatial_tree_of_a_resnets_first_layer():
    edges, tree = zimp.spatial_sizes((224, 224), 7, padding=3, stride=2)
    reached = 229  # 2 * 111 + 7 of the 230 rows of the padded image
    assert (edges, tree) == (49 * 112**2, 112**2 + reached**2 - 1)
    assert edges / tree == zimp.spatial_critical_compression(224, 224, kernel=7, padding=3, stride=2)


@given(convolutions())
def test_statement_3_the_corners_of_the_kernel_are_always_in_the_spatial_tree(convolution):
    size, kernel, settings = convolution
    weight = np.random.default_rng(0).uniform(1, 2, size=(1, 1, *kernel))
    corners = list(itertools.product(*({0, k - 1} for k in kernel)))
    for light, corner in enumerate(corners, 1):
        weight[0, 0][corner] = 1e-3 * light  # even as the lightest
    graph = zimp.layer_graph(weight, view="spatial", input_size=size, **settings)
    assert {weight[0, 0][corner] for corner in corners} <= set(zimp.spanning_forest(*graph).values)


def test_statement_3_other_entries_of_the_kernel_need_not_be_in_the_spatial_tree():
    weight = np.ones((1, 1, 3, 3))
    weight[0, 0, 1, 1] = 0.5
    graph = zimp.layer_graph(weight, view="spatial", input_size=(8, 8), padding=1)
    assert 0.5 not in zimp.spanning_forest(*graph).values


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


def test_statement_3_the_critical_compression_of_the_views_of_parameters():
    size, matrix = zimp.tree_sizes(CONVOLUTION)["weight"]
    size, channel = zimp.tree_sizes(CONVOLUTION, view="channel")["weight"]
    assert size / matrix == 32 * 16 * 9 / (32 + 16 * 9 - 1)
    assert size / channel == 32 * 16 * 9 / (32 + 16 - 1)


def test_statement_3_a_depthwise_layer_is_its_own_tree_only_with_one_output_a_channel():
    (size, tree), (twice, tree_of_twice) = (
        zimp.tree_sizes(nn.Conv2d(16, out, 3, groups=16))["weight"] for out in (16, 32)
    )
    assert (size, twice) == (144, 288)
    assert tree == size and tree_of_twice == 16 * (2 + 9 - 1) < twice


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


def glued(weight, mask):
    """The weights of a maximum spanning forest of channels that keeps all parallel edges."""
    edges = ((("out", edge[0]), ("in", edge[1]), abs(weight[edge])) for edge in np.ndindex(weight.shape) if mask[edge])
    return [value for *_, value in forest_edges(edges)]


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(0, 99), st.sampled_from([0.1, 0.5, 1]))
def test_statement_3_the_channel_graph_is_the_matrix_graph_with_each_input_channel_glued(
    out, width, kernel, seed, density
):
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(out, width, kernel, kernel))
    mask = rng.random(weight.shape) < density
    channel = zimp.spanning_forest(*zimp.layer_graph(weight, mask, view="channel"))
    assert channel.values.tolist() == glued(weight, mask)
    tree = zimp.spanning_forest(*zimp.layer_graph(weight, mask)).mask.reshape(weight.shape)
    assert glued(weight, tree) == channel.values.tolist()  # a tree of the matrix holds one of its quotient


# 4. Magnitude pruning is a prefix of Kruskal


@given(WEIGHTS, st.data())
def test_statement_4_the_tree_of_the_k_heaviest_weights_is_a_prefix_of_the_tree(weights, data):
    keep = data.draw(st.integers(1, weights.size))
    kept = zimp.magnitude_mask(weights, keep)
    full, part = zimp.spanning_forest(weights), zimp.spanning_forest(weights, kept)
    assert len(part) == sum(weights.shape) - zimp.count_components(kept)
    assert part.rows.tolist() == full.rows[: len(part)].tolist()
    assert part.cols.tolist() == full.cols[: len(part)].tolist()
    assert (full.mask & kept).sum() == len(part)


@given(WEIGHTS, st.data())
def test_statement_4_the_first_deaths_stay_and_the_others_become_infinite(weights, data):
    keep = data.draw(st.integers(1, weights.size))
    kept = zimp.magnitude_mask(weights, keep)
    full = zimp.persistence_diagram(weights, essential=False)[:, 1]
    part = zimp.persistence_diagram(weights, kept, essential=False)[:, 1]
    threshold = 1 - np.abs(weights)[kept].min() / (np.abs(weights).max() or 1)
    assert len(part) == sum(weights.shape) - zimp.count_components(kept)
    assert part.tolist() == full[: len(part)].tolist()
    assert (part <= threshold).all() and (full[len(part) :] >= threshold).all()


def test_statement_4_a_threshold_does_not_tell_which_deaths_stay_when_weights_tie():
    weights = np.ones((2, 2))
    kept = zimp.magnitude_mask(weights, 1)
    assert zimp.persistence_diagram(weights)[:, 1].tolist() == [0, 0, 0, np.inf]  # all at the smallest weight kept
    assert zimp.persistence_diagram(weights, kept)[:, 1].tolist() == [0, np.inf, np.inf, np.inf]


# 5. The square-root law


@pytest.mark.parametrize(("m", "n"), [(1, 4), (2, 2), (2, 5), (3, 3), (3, 4)])
def test_statement_5_the_retention_bound_is_the_least_rank_of_any_k_edges(m, n):
    """The rank of a set of edges, its number of tree edges, is that of its incidence matrix."""
    incidence = np.hstack([np.kron(np.eye(m), np.ones((n, 1))), np.kron(np.ones((m, 1)), np.eye(n))])
    subsets = np.array(list(itertools.product([0, 1], repeat=m * n)))
    ranks = np.linalg.matrix_rank(subsets[:, :, None] * incidence)
    for kept in range(m * n + 1):
        assert zimp.retention_bound(kept, m, n) == ranks[subsets.sum(axis=1) == kept].min()


@given(SIZES, SIZES, st.data())
def test_statement_5_the_retention_bound_is_at_least_two_roots_less_one(m, n, data):
    kept = data.draw(st.integers(0, m * n))
    bound = zimp.retention_bound(kept, m, n)
    assert bound >= 2 * math.sqrt(kept) - 1 - 1e-12
    assert bound == zimp.retention_bound(kept, n, m)
    blocks = [a + b - 1 for a in range(1, m + 1) for b in range(1, n + 1) if a * b >= kept]
    assert bound == (min(blocks) if kept else 0)


@given(SIZES, SIZES, st.integers(0, 99), st.data())
def test_statement_5_no_edges_have_less_rank_be_they_random_or_in_blocks(m, n, seed, data):
    rng = np.random.default_rng(seed)
    mask = rng.random((m, n)) < data.draw(st.sampled_from([0, 0.05, 0.5]))
    corner = 0, 0
    for _ in range(data.draw(st.integers(0, 3))):  # full blocks down the diagonal: dense where they are, and apart
        size = data.draw(st.integers(0, m - corner[0])), data.draw(st.integers(0, n - corner[1]))
        corner, before = (corner[0] + size[0], corner[1] + size[1]), corner
        mask[before[0] : corner[0], before[1] : corner[1]] = True
    assert m + n - components(mask) >= zimp.retention_bound(int(mask.sum()), m, n)


@given(st.integers(1, 30), st.integers(1, 30))
def test_statement_5_a_full_block_attains_the_bound(a, b):
    weights = np.random.default_rng(0).uniform(0, 1, size=(30, 30))
    weights[:a, :b] += 1
    kept = zimp.magnitude_mask(weights, keep=a * b)
    bound = zimp.retention_bound(a * b, 30, 30)
    assert zimp.spanning_forest(weights).mask[kept].sum() == a + b - 1 >= bound
    if abs(a - b) <= 1:
        assert a + b - 1 == bound


@pytest.mark.parametrize("density", [0.01, 0.1, 0.5])
def test_statement_5_magnitude_pruning_keeps_about_the_root_of_the_density_of_a_square_layer(density):
    n = 1000
    assert zimp.retention_bound(round(density * n * n), n, n) / (2 * n - 1) == pytest.approx(density**0.5, abs=1e-3)


def test_statement_5_the_three_shares_of_a_gaussian_layer():
    weights, keep = gaussian(300, 784), round(0.05 * 300 * 784)
    tree = zimp.spanning_forest(weights).mask
    rng = np.random.default_rng(0)
    random = np.mean([zimp.random_mask(weights, keep, generator=rng)[tree].mean() for _ in range(20)])
    assert zimp.magnitude_mask(weights, keep)[tree].mean() == 1
    assert zimp.retention_bound(keep, 300, 784) == 216 == pytest.approx(0.199 * 1083, abs=1)
    assert random == pytest.approx(0.05, abs=4 * math.sqrt(0.05 / 1083 / 20))


# 6. The coupon-collector threshold


def test_statement_6_the_connectivity_density_of_lenets_first_layer():
    density = zimp.connectivity_density(300, 784)
    assert density == pytest.approx(0.0232, abs=5e-5)
    assert 1 / density == pytest.approx(43, abs=0.5)
    assert zimp.critical_compression(300, 784) == pytest.approx(217, abs=0.5)


def isolated(m, n, density):
    """The expected number of isolated neurons."""
    return m * (1 - density) ** n + n * (1 - density) ** m


@given(st.integers(2, 2000), st.integers(2, 2000), st.floats(0.01, 0.99))
def test_statement_6_the_density_solves_the_equation_of_isolated_neurons_or_is_that_of_a_tree(m, n, probability):
    density, tree = zimp.connectivity_density(m, n, probability), 1 / zimp.critical_compression(m, n)
    assert density == zimp.connectivity_density(n, m, probability) >= tree
    law = math.exp(-isolated(m, n, density))
    assert law == pytest.approx(probability) or (density == pytest.approx(tree) and law > probability)


@given(st.integers(2, 300), st.integers(2, 300), st.integers(1, 10**6))
def test_statement_6_holds_for_the_blocks_of_a_grouped_layer_taken_together(m, n, groups):
    """All of them are connected with probability 1/2: each with a probability that may be very near 1."""
    density = zimp.connectivity_density(m, n, 0.5 ** (1 / groups))
    assert groups * isolated(m, n, density) == pytest.approx(math.log(2), rel=1e-6) or (
        density == pytest.approx(1 / zimp.critical_compression(m, n))
    )


@pytest.mark.parametrize("n", [100, 1000, 10000])
def test_statement_6_magnitude_alone_costs_half_a_logarithm_in_a_square_layer(n):
    price = zimp.critical_compression(n, n) * zimp.connectivity_density(n, n)
    assert price == pytest.approx(math.log(2.9 * n) / 2, rel=0.03)


@pytest.mark.parametrize(
    ("m", "n", "median"),
    [
        (300, 784, 0.0232),
        (100, 300, 0.0589),
        (60, 80, 0.0782),
        (10, 100, 0.392),
        (10, 256, 0.446),
        (4, 256, 0.772),
        (14, 1000, 0.405),
        (17, 5000, 0.407),
        (16, 8192, 0.4435),
        (20, 20000, 0.4016),
    ],
)
def test_statement_6_a_random_layer_of_that_density_is_connected_that_often_long_and_thin_ones_too(m, n, median):
    trials = 200 if m * n < 300_000 else 40
    layers = (np.random.default_rng(seed).random((m, n)) for seed in range(trials))
    densities = np.array([zimp.safe_density(weights) for weights in layers])
    for probability in (0.1, 0.5, 0.9):
        share = (densities <= zimp.connectivity_density(m, n, probability)).mean()
        # four standard deviations of the share, and 0.03 for the law, which is one for large layers
        assert abs(share - probability) < 4 * math.sqrt(probability * (1 - probability) / trials) + 0.03
    assert zimp.connectivity_density(m, n) == pytest.approx(median, abs=5e-4)
    assert np.median(densities) == pytest.approx(median, rel=0.03)


@pytest.mark.parametrize(("m", "n"), [(14, 1000), (17, 5000)])
def test_statement_6_the_exponential_form_fails_where_one_side_is_much_the_longer(m, n):
    layers = [np.random.default_rng(seed).random((m, n)) for seed in range(60)]
    exponential = math.log(n / math.log(2)) / m  # where n exp(-m d) = log 2; the other term is nothing
    assert np.mean([zimp.safe_density(weights) <= exponential for weights in layers]) > 0.8


@pytest.mark.parametrize("n", [12, 50])
def test_statement_6_the_law_fails_for_a_single_row_which_is_in_pieces_once_a_weight_is_gone(n):
    mask = np.ones((1, n), dtype=bool)
    mask[0, 3] = False
    assert zimp.count_components(mask) == 2
    assert math.exp(-isolated(1, n, (n - 1) / n)) == pytest.approx(math.exp(-1))


@given(st.integers(2, 3000), st.integers(2, 3000), st.floats(0, 8))
def test_statement_6_n_times_its_logarithm_and_c_edges_leave_few_neurons_isolated(m, n, c):
    longer = max(m, n)
    density = longer * (math.log(longer) + c) / (m * n)
    assert density > 1 or isolated(m, n, density) <= 2 * math.exp(-c) * (1 + 1e-9)


@pytest.mark.parametrize(("m", "n"), [(60, 60), (100, 300), (2000, 40)])
def test_statement_6_the_edges_that_the_book_gives_suffice_for_square_layers_and_for_long_ones(m, n):
    trials, longer = 120, max(m, n)
    densities = np.array([zimp.safe_density(np.random.default_rng(seed).random((m, n))) for seed in range(trials)])

    def share(edges):
        return (densities <= edges / (m * n)).mean()

    assert share(longer * (math.log(longer) + 3)) > 0.9 - 4 * math.sqrt(0.09 / trials)
    if m == n:  # half of (m + n) log (m + n) is in the middle of the window
        assert 0.15 < share((m + n) * math.log(m + n) / 2) < 0.6
    if (m, n) == (2000, 40):  # and all of it is not enough for long layers
        assert share((m + n) * math.log(m + n)) < 0.85


@functools.cache
def connected_graphs(m, n):
    """For each number of edges, how many bipartite graphs on ``m`` and ``n`` vertices are connected: exactly."""
    counts = [math.comb(m * n, edges) for edges in range(m * n + 1)]
    for a, b in itertools.product(range(1, m + 1), range(n + 1)):  # of the component of one of the m vertices
        if (a, b) == (m, n) or (b == 0 and a > 1):
            continue
        ways, rest = math.comb(m - 1, a - 1) * math.comb(n, b), (m - a) * (n - b)
        for (edges, count), others in itertools.product(enumerate(connected_graphs(a, b)), range(rest + 1)):
            counts[edges + others] -= ways * count * math.comb(rest, others)
    return counts


@pytest.mark.parametrize(("m", "n"), [(2, 3), (3, 3)])
def test_statement_6_connected_graphs_are_counted_as_by_listing_them(m, n):
    connected = [int(mask.sum()) for mask in all_masks((m, n)) if components(mask) == 1]
    assert connected_graphs(m, n) == [connected.count(edges) for edges in range(m * n + 1)]


@pytest.mark.parametrize(("m", "n"), [(2, 12), (3, 12), (5, 12), (8, 12), (2, 20), (4, 20)])
def test_statement_6_from_twelve_neurons_on_the_law_is_within_a_tenth_of_the_exact_probability(m, n):
    for edges in range(m + n - 1, m * n + 1):
        exact = connected_graphs(m, n)[edges] / math.comb(m * n, edges)
        law = math.exp(-isolated(m, n, edges / (m * n)))
        assert abs(exact - law) < 0.1
        if 0 < law < 1 - 1e-9:  # the digits of a float nearer to 1 do not say the density
            assert zimp.connectivity_density(m, n, law) == pytest.approx(edges / (m * n))


def test_statement_6_is_rough_for_4x4_as_the_docstring_says():
    edges = math.floor(16 * zimp.connectivity_density(4, 4))
    assert edges == 7 and connected_graphs(4, 4)[7] / math.comb(16, 7) == pytest.approx(0.36, abs=0.005)


# 7. Topological pruning


@st.composite
def layers_and_sizes(draw):
    """Weights, a mask, and how many of them to keep, at least a forest."""
    weights, mask = draw(layers())
    exists = present(weights, mask)
    forest = sum(weights.shape) - components(exists)
    return weights, draw(st.integers(forest, int(exists.sum()))), mask


@given(layers_and_sizes())
def test_statement_7_topological_pruning_keeps_the_diagram(layer):
    weights, keep, mask = layer
    kept = zimp.topological_mask(weights, keep, mask)
    assert np.array_equal(zimp.persistence_diagram(weights, kept), zimp.persistence_diagram(weights, mask))


@given(layers_and_sizes())
def test_statement_7_topological_pruning_keeps_the_tree_and_the_heaviest_others(layer):
    weights, keep, mask = layer
    tree = zimp.spanning_forest(weights, mask).mask
    others = zimp.magnitude_mask(weights, keep - int(tree.sum()), present(weights, mask) & ~tree)
    assert np.array_equal(zimp.topological_mask(weights, keep, mask), tree | others)


@pytest.mark.parametrize("shape", [(2, 2), (2, 4), (3, 3)])
@pytest.mark.parametrize("values", [np.arange(9) ** 2, [0, 1, 1, 2, 2, 2, 3, 3, 3], [0] * 4 + [1] * 5])
def test_statement_7_no_mask_that_preserves_h0_keeps_more_magnitude(shape, values):
    m, n = shape
    weights = np.random.default_rng(0).permutation(values)[: m * n].reshape(shape).astype(float)
    diagram = zimp.persistence_diagram(weights)
    preserving = [mask for mask in all_masks(shape) if np.array_equal(zimp.persistence_diagram(weights, mask), diagram)]
    for keep in range(m + n - 1, m * n + 1):
        best = max(weights[mask].sum() for mask in preserving if mask.sum() == keep)
        assert weights[zimp.topological_mask(weights, keep)].sum() == best


@given(layers_and_sizes())
def test_statement_7_topological_and_magnitude_pruning_differ_by_as_many_swaps_as_the_layer_gains_pieces(layer):
    """For a layer in one piece that is ``beta0 - 1``."""
    weights, keep, mask = layer
    by_magnitude, by_topology = zimp.magnitude_mask(weights, keep, mask), zimp.topological_mask(weights, keep, mask)
    swaps = zimp.count_components(by_magnitude) - zimp.count_components(present(weights, mask))
    assert (by_topology & ~by_magnitude).sum() == (by_magnitude & ~by_topology).sum() == swaps


def test_statement_7_there_are_swaps_once_the_layer_of_magnitude_pruning_falls_apart():
    weights = gaussian(30, 40)
    swaps = [
        int((zimp.topological_mask(weights, keep) & ~zimp.magnitude_mask(weights, keep)).sum()) for keep in (600, 69)
    ]
    assert swaps[0] == 0 and swaps[1] > 5


@given(WEIGHTS, st.data())
def test_statement_7_no_neuron_loses_its_last_weight(weights, data):
    kept = zimp.topological_mask(weights, data.draw(st.integers(sum(weights.shape) - 1, weights.size)))
    assert kept.any(axis=0).all() and kept.any(axis=1).all()
    assert zimp.count_components(kept) == 1


@given(layers())
def test_statement_7_fewer_weights_than_the_tree_has_are_refused_with_both_numbers(layer):
    weights, mask = layer
    tree = len(zimp.spanning_forest(weights, mask))
    assert zimp.topological_mask(weights, tree, mask).sum() == tree
    if tree:
        with pytest.raises(ValueError, match=f"keep={tree - 1} is below the {tree} weights of a spanning tree"):
            zimp.topological_mask(weights, tree - 1, mask)


@pytest.mark.parametrize("retrain", [False, True], ids=["weights stay", "weights change"])
def test_statement_7_level_after_level_ends_at_a_bare_tree(retrain):
    torch.manual_seed(0)
    model, masks, sizes = nn.Linear(20, 12), None, []
    with pytest.raises(ValueError, match="below the 31 weights of a spanning tree of a 12x20 layer"):
        while True:
            masks = zimp.prune(model, masks, 0.3, criterion="topological")
            sizes.append(int(masks["weight"].sum()))
            assert zimp.count_components(masks["weight"]) == 1
            if retrain:
                nn.init.normal_(model.weight)
    assert sizes == [168, 118, 83, 58, 41, 31]


def chance_of_tree(tree):
    """The probability that Kruskal's algorithm finds this tree in a layer of independent weights, exactly.

    Whatever it has taken, the next edge is equally likely to be any of those that join two components.
    """
    m, n = tree.shape
    chance = Fraction(0)
    for order in itertools.permutations(np.argwhere(tree).tolist()):
        piece, ways = np.arange(m + n), 1
        for i, j in order:
            ways *= int((piece[:m, None] != piece[m:]).sum())
            piece = np.where(piece == piece[i], piece[m + j], piece)
        chance += Fraction(1, ways)
    return chance


@pytest.mark.parametrize(("m", "n", "uniform"), [(2, 3, True), (3, 3, False)])
def test_statement_7_the_maximum_tree_of_random_weights_is_not_uniform_from_3x3_on(m, n, uniform):
    trees = [mask for mask in all_masks((m, n)) if mask.sum() == m + n - 1 and components(mask) == 1]
    chances = [chance_of_tree(tree) for tree in trees]
    assert len(trees) == m ** (n - 1) * n ** (m - 1) and sum(chances) == 1
    assert (len(set(chances)) == 1) == uniform


def test_statement_7_chances_of_trees_are_those_of_all_orders_of_the_weights():
    orders = itertools.permutations(range(1, 7))
    trees = Counter(zimp.spanning_forest(np.reshape(order, (2, 3))).mask.tobytes() for order in orders)
    for tree, count in trees.items():
        assert chance_of_tree(np.frombuffer(tree, dtype=bool).reshape(2, 3)) == Fraction(count, 720)


def test_statement_7_the_random_tree_of_the_book_is_a_tree():
    tree = functions_of("topological_imp")["random_tree"]((4, 5), seed=0)
    assert tree.sum() == 8 and components(tree) == 1


# 8. Stability


def diagram_in_unit(forest, scale):
    """The diagram of a forest with another layer's unit for its weights."""
    deaths = np.append(1 - forest.values / scale, np.full(forest.n_components, np.inf))
    return np.column_stack([np.zeros_like(deaths), deaths])


def bottleneck(one, other):
    """By Hera, exactly; it wants no points on the diagonal, which cost nothing. Compared with :func:`in_order`."""
    hera = pytest.importorskip("gudhi.hera")
    found = hera.bottleneck_distance(*(diagram[diagram[:, 1] > 0] for diagram in (one, other)), 0)
    assert found == pytest.approx(in_order(one, other), abs=1e-12)
    return found


def in_order(one, other):
    """All births are 0: for the best k the k largest deaths are matched in order, all others with the diagonal.

    If a death on the diagonal is larger than a matched one, it takes its place where its partner is larger still, and
    otherwise all three go to the diagonal: neither costs more.
    """
    if np.isinf(one).sum() != np.isinf(other).sum():
        return np.inf
    a, b = (np.sort(diagram[np.isfinite(diagram[:, 1]), 1])[::-1] for diagram in (one, other))
    return min(
        np.concatenate([np.abs(a[:k] - b[:k]), a[k:] / 2, b[k:] / 2]).max(initial=0)
        for k in range(min(len(a), len(b)) + 1)
    )


@pytest.mark.parametrize(
    "one, other, expected",
    [
        ([0.28, 0.37, 0.4875, 0.51], [1, 1, 1, 1], 0.5),
        ([0.1, 0.1, 0.1, 0.6], [0.6, 0.6, 0.7, 1], 0.4),
        ([0.2, 0.2], [0.2, 0.2], 0),
        ([], [], 0),
    ],
    ids=["with e=0", "with every e", "equal", "empty"],
)
def test_the_bottleneck_distance_is_right_where_gudhi_3_13_is_wrong(one, other, expected):
    """``gudhi.bottleneck_distance``: 0.5125 with e=0; 0.5 with any e; 1e-308 by default. See GUDHI's PR 1367."""
    diagrams = [np.column_stack([np.zeros(len(deaths)), deaths]) for deaths in (one, other)]
    assert bottleneck(*diagrams) == pytest.approx(expected, abs=1e-12)


def distance(weights, pruned_weights, pruned_mask=None):
    """The bottleneck distance between the diagrams of a layer and of what is left of it."""
    full, part = zimp.spanning_forest(weights), zimp.spanning_forest(pruned_weights, pruned_mask)
    diagrams = [diagram_in_unit(forest, full.scale or 1) for forest in (full, part)]
    found = bottleneck(*diagrams)
    if full.n_components == part.n_components:  # persim leaves out what never dies
        persim = pytest.importorskip("persim")
        assert persim.bottleneck(*(diagram[np.isfinite(diagram[:, 1])] for diagram in diagrams)) == pytest.approx(found)
    return found


def heaviest_pruned(weights, mask):
    return np.abs(weights[~mask]).max(initial=0) / (np.abs(weights).max() or 1)


def movement(one, other, scale=None):
    """How far each death moves at most, and the bottleneck distance, at one scale or at each layer's own."""
    forests = [zimp.spanning_forest(weights) for weights in (one, other)]
    diagrams = [diagram_in_unit(forest, scale or forest.scale or 1) for forest in forests]
    deaths = [diagram[np.isfinite(diagram[:, 1]), 1] for diagram in diagrams]
    return np.abs(deaths[0] - deaths[1]).max(initial=0), bottleneck(*diagrams)


@given(WEIGHTS, st.data(), st.sampled_from([1, 1.5, 4]))
def test_statement_8_no_death_moves_further_than_the_weights_at_a_fixed_scale_by_small_changes(weights, data, factor):
    change = data.draw(arrays(float, weights.shape, elements=st.floats(-0.5, 0.5).map(lambda x: round(x, 2))))
    moved = weights + change * np.abs(weights).max()
    scale = factor * max(np.abs(weights).max(), np.abs(moved).max()) or 1
    epsilon = np.abs(np.abs(moved) - np.abs(weights)).max() / scale
    deaths, distance = movement(weights, moved, scale)
    assert distance <= deaths + 1e-9 and deaths <= epsilon + 1e-9


@given(WEIGHTS.filter(np.any), st.data())
def test_statement_8_nor_than_twice_that_at_the_layers_own_scales_by_small_changes(weights, data):
    change = data.draw(arrays(float, weights.shape, elements=st.floats(-0.5, 0.5).map(lambda x: round(x, 2))))
    moved = weights + change * np.abs(weights).max()
    eta = np.abs(np.abs(moved) - np.abs(weights)).max()
    deaths, distance = movement(weights, moved)
    assert distance <= deaths + 1e-9
    assert deaths <= 2 * eta / max(np.abs(weights).max(), np.abs(moved).max()) + 1e-9


def test_statement_8_both_bounds_are_sharp_for_small_changes():
    assert movement([[1.0, 0.3]], [[1.0, 0.2]], scale=1) == pytest.approx((0.1, 0.1))
    deaths, distance = movement([[1.0, 0.98]], [[1.001, 0.979]])  # in the limit of b near 1 and eta small against 1 - b
    assert deaths == distance == pytest.approx(1.98 * 0.001 / 1.001)


@given(WEIGHTS, st.data())
def test_statement_8_the_diagram_moves_no_further_than_the_heaviest_weight_set_to_zero(weights, data):
    mask = data.draw(arrays(bool, weights.shape))
    assert distance(weights, np.where(mask, weights, 0)) <= heaviest_pruned(weights, mask) + 1e-9


@given(WEIGHTS, st.integers(0, 99), st.sampled_from([0, 0.2, 0.6]))
def test_statement_8_nor_than_the_heaviest_weight_pruned_while_the_layer_stays_in_one_piece(weights, seed, density):
    rng = np.random.default_rng(seed)
    mask = zimp.spanning_forest(rng.random(weights.shape)).mask | (rng.random(weights.shape) < density)
    assert distance(weights, weights, mask) <= heaviest_pruned(weights, mask) + 1e-9


def test_statement_8_is_sharp():
    assert distance([[1.0, 0.3]], [[1.0, 0.0]]) == pytest.approx(0.3)


@pytest.mark.parametrize("seed", range(4))
def test_statement_8_the_distance_is_0_iff_a_maximum_spanning_tree_is_kept_and_infinite_if_the_layer_falls_apart(seed):
    weights = np.random.default_rng(seed).integers(1, 3 + seed, size=(2, 4)).astype(float)
    trees = heaviest_trees(weights)
    for mask in all_masks(weights.shape):
        absent, zeroed = distance(weights, weights, mask), distance(weights, weights * mask)
        preserved = any((mask >= tree).all() for tree in trees)
        assert (absent == 0) == (zeroed == 0) == preserved
        assert (absent == np.inf) == (components(mask) > 1)
        assert np.isfinite(zeroed)
        assert absent == zeroed or absent == np.inf


@pytest.mark.parametrize("keep", [2000, 800, 400, 139])
def test_statement_8_magnitude_pruning_moves_the_diagram_and_topological_pruning_does_not(keep):
    weights = gaussian(60, 80)
    by_magnitude, by_topology = zimp.magnitude_mask(weights, keep), zimp.topological_mask(weights, keep)
    assert distance(weights, weights, by_topology) == 0
    moved = distance(weights, np.where(by_magnitude, weights, 0))
    assert (moved > 0) == (zimp.count_components(by_magnitude) > 1)
    assert moved <= heaviest_pruned(weights, by_magnitude) < 1


# 9. Neural persistence and its conventions


def test_statement_9_the_published_check_values():
    assert zimp.neural_persistence(-np.ones((2, 4))) == pytest.approx(0.4472135955, abs=1e-10)
    assert zimp.neural_persistence(-np.ones((2, 2))) == pytest.approx(0.5773502692, abs=1e-10)


ORDERS = st.sampled_from([1, 1.5, 2, 3])


@given(layers(), ORDERS, st.sampled_from([1, 2.5]))
def test_statement_9_neural_persistence_is_the_p_norm_of_either_convention(layer, p, enlarged):
    weights, mask = layer
    m, n = weights.shape
    values = np.array([value for *_, value in kruskal(weights, mask)])
    c, scale = m + n - len(values), enlarged * (values.max(initial=0) or 1)
    total = ((1 - values / scale) ** p).sum()
    given = {"p": p, "scale": scale}
    assert zimp.neural_persistence(weights, mask, **given, normalized=False) == pytest.approx((c + total) ** (1 / p))
    assert zimp.neural_persistence(weights, mask, **given) == pytest.approx(((c + total) / (m + n - 1)) ** (1 / p))
    given["convention"] = "balwani"
    assert zimp.neural_persistence(weights, mask, **given, normalized=False) == pytest.approx(total ** (1 / p))
    if m + n > 2:
        assert zimp.neural_persistence(weights, mask, **given) == pytest.approx((total / (m + n - 2)) ** (1 / p))


@given(WEIGHTS.filter(np.any), ORDERS)
def test_statement_9_the_cut_property_bounds_the_total_persistence(weights, p):
    """A neuron's heaviest edge is in the tree; the heaviest edge of the layer, which persists 0, counts for two."""
    relative = np.abs(weights) / np.abs(weights).max()
    total = zimp.neural_persistence(relative, p=p, convention="balwani", normalized=False) ** p
    heaviest = np.concatenate([relative.max(axis=0), relative.max(axis=1)])
    assert ((1 - heaviest) ** p).sum() - 1e-9 <= total <= sum(weights.shape) - 2 + 1e-9


@given(WEIGHTS.filter(np.any), ORDERS, st.sampled_from([1, 1.5, 4]))
def test_statement_9_with_a_larger_scale_one_end_of_the_heaviest_edge_is_left_out(weights, p, enlarged):
    scale = enlarged * np.abs(weights).max()
    total = zimp.neural_persistence(weights, p=p, scale=scale, convention="balwani", normalized=False) ** p
    relative = np.abs(weights) / scale
    lengths = (1 - np.concatenate([relative.max(axis=0), relative.max(axis=1)])) ** p
    assert lengths.sum() - lengths.min() - 1e-9 <= total <= (sum(weights.shape) - 1) + 1e-9


def test_statement_9_with_a_larger_scale_the_roots_term_does_not_vanish():
    total = zimp.neural_persistence([[0.5]], p=1, scale=1.0, convention="balwani", normalized=False)
    assert total == 0.5 < (1 - 0.5) + (1 - 0.5)


@given(WEIGHTS, st.integers(0, 99))
def test_statement_9_a_shuffle_within_rows_keeps_the_heaviest_edge_of_each_output(weights, seed):
    mixed = np.random.default_rng(seed).permuted(weights, axis=1)
    assert np.array_equal(np.abs(mixed).max(axis=1), np.abs(weights).max(axis=1))


def test_statement_9_both_bounds_are_attained():
    star, lone_edge = [[1.0, 0.5, 0.25]], [[1.0, 0.0], [0.0, 0.0]]
    options = {"p": 1, "convention": "balwani", "normalized": False}
    assert zimp.neural_persistence(star, **options) == 0.5 + 0.75  # of the three leaves: 0, 0.5 and 0.75
    assert zimp.neural_persistence(lone_edge, **options) == 2


@given(layers(), ORDERS, st.sampled_from(["rieck", "balwani"]))
def test_statement_9_neural_persistence_is_that_of_the_transposed_layer(layer, p, convention):
    weights, mask = layer
    transposed = weights.T, None if mask is None else mask.T
    options = {"p": p, "convention": convention, "normalized": False}
    assert zimp.neural_persistence(weights, mask, **options) == zimp.neural_persistence(*transposed, **options)


# 10. The zeta(3) null model


ZETA = 2 * 1.2020569031595943


def total_persistence(weights):
    return zimp.neural_persistence(weights, p=1, convention="balwani", normalized=False)


def rectangle(m, n, terms=150):
    """The limit for uniform layers of the proportions of ``m x n``: the expected number of components that are trees of
    a outputs and b inputs, of which ``K_ab`` has ``a**(b - 1) b**(a - 1)``, at all densities together."""
    sizes = ((a, k - a) for k in range(2, terms) for a in range(1, k))
    logarithms = (
        a * math.log(m) + b * math.log(n) - math.lgamma(a + 1) - math.lgamma(b + 1) + math.lgamma(a + b)
        + (b - 1) * math.log(a) + (a - 1) * math.log(b) - (a + b) * math.log(a * n + b * m)
        for a, b in sizes
    )  # fmt: skip
    return m / n + n / m + sum(map(math.exp, logarithms))


@pytest.mark.parametrize(("n", "trials"), [(64, 300), (128, 200), (256, 100), (512, 80)])
def test_statement_10_the_total_persistence_of_uniform_square_layers_tends_to_2_zeta_3(n, trials):
    totals = [total_persistence(np.random.default_rng(seed).random((n, n))) for seed in range(trials)]
    error = np.std(totals) / math.sqrt(trials)
    assert error < 0.02
    assert ZETA == pytest.approx(2.404113, abs=1e-6)
    assert np.mean(totals) + 4.4 / n == pytest.approx(ZETA, abs=3 * error)  # n = 64 is still 0.07 below its limit


def test_statement_10_holds_for_layers_straight_from_their_default_initialisation():
    torch.manual_seed(0)
    totals = [total_persistence(nn.Linear(512, 512).weight) for _ in range(80)]
    assert np.mean(totals) == pytest.approx(ZETA, abs=3 * np.std(totals) / math.sqrt(80) + 4.4 / 512)
    assert total_persistence(nn.Linear(1024, 1024).weight) == pytest.approx(2.398, abs=4 * 0.053)


def test_statement_10_rectangular_layers_have_another_constant():
    torch.manual_seed(0)
    totals = [total_persistence(nn.Linear(784, 300).weight) for _ in range(80)]
    assert rectangle(1, 1) == pytest.approx(ZETA, abs=1e-4)
    assert rectangle(300, 784) == pytest.approx(3.3615, abs=1e-4)
    assert np.mean(totals) == pytest.approx(rectangle(300, 784), abs=3 * np.std(totals) / math.sqrt(80) + 0.01)
    assert abs(np.mean(totals) - 3.38) < np.std(totals)  # the one layer of which the theory tells


def test_statement_10_gaussian_layers_are_not_universal():
    totals = {n: [total_persistence(gaussian(n, n, seed=seed)) for seed in range(5)] for n in (256, 512, 1024)}
    means = [np.mean(totals[n]) for n in totals]
    assert means[1] > 1.6 * means[0] and means[2] > 1.6 * means[1]  # they grow with the layer
    assert min(totals[1024]) - np.std(totals[1024]) < 600.8 < max(totals[1024])
    assert np.std(totals[1024]) > 20  # with the maximum of the layer


# 11. The stitched network


@st.composite
def chains(draw):
    """The weights of a chain of dense layers, all distinct, and masks, or None."""
    widths = draw(st.lists(st.integers(1, 6), min_size=2, max_size=6))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    weights = [rng.normal(size=(out, width)) for width, out in itertools.pairwise(widths)]
    density = draw(st.sampled_from([None, 0.3, 0.8]))
    return weights, density and [rng.random(weight.shape) < density for weight in weights]


@given(chains())
def test_statement_11_one_tree_over_all_neurons_needs_fewer_weights_than_a_tree_a_layer(chain):
    weights, _ = chain
    widths = [weights[0].shape[1], *map(len, weights)]
    stitched = len(zimp.spanning_forest(*zimp.stitched_graph(weights)))
    by_layer = sum(len(zimp.spanning_forest(weight)) for weight in weights)
    assert stitched == sum(widths) - 1
    assert by_layer == sum(before + after - 1 for before, after in itertools.pairwise(widths))
    assert by_layer - stitched == sum(width - 1 for width in widths[1:-1])


@given(chains())
def test_statement_11_the_stitched_tree_is_that_of_the_union_and_contained_in_the_trees_of_the_layers(chain):
    weights, masks = chain
    edges = [
        ((layer + 1, i), (layer, j), abs(weight[i, j]))
        for layer, weight in enumerate(weights)
        for i, j in np.argwhere(present(weight, masks and masks[layer])).tolist()
    ]
    stitched = zimp.spanning_forest(*zimp.stitched_graph(weights, masks))
    assert stitched.values.tolist() == [value for *_, value in forest_edges(edges)]
    trees = [zimp.spanning_forest(weight, masks and masks[layer]).values for layer, weight in enumerate(weights)]
    assert set(stitched.values) <= set(np.concatenate(trees))  # all weights differ, so that they name their edges


@pytest.mark.parametrize("chosen", range(3))
def test_statement_11_the_scale_of_the_layers_can_put_the_whole_tree_of_any_one_of_them_into_the_networks(chosen):
    weights = [gaussian(5, 4), gaussian(3, 5, seed=1), gaussian(6, 3, seed=2)]
    smallest = np.abs(weights[chosen]).min()
    scaled = [weight * (100 / smallest if layer == chosen else 1) for layer, weight in enumerate(weights)]
    tree = zimp.spanning_forest(scaled[chosen]).values
    whole = zimp.spanning_forest(*zimp.stitched_graph(scaled)).values
    assert set(tree) <= set(whole) and len(whole) == 4 + 5 + 3 + 6 - 1


def test_chance_alone_gives_the_inverse_of_the_critical_compression_as_the_overlap_of_trees():
    tree = zimp.spanning_forest(gaussian(2, 3))
    placed = [zimp.spanning_forest(np.reshape(order, (2, 3))) for order in itertools.permutations(range(1, 7))]
    overlaps = [Fraction(zimp.tree_overlap(tree, other).share).limit_denominator(9) for other in placed]
    assert sum(overlaps) / len(overlaps) == Fraction(2 + 3 - 1, 2 * 3)


def test_statement_11_lenet_needs_398_weights_fewer():
    model = zimp.lenet_300_100()
    assert len(zimp.spanning_forest(*zimp.stitched_graph(zimp.prunable(model).values()))) == 784 + 300 + 100 + 10 - 1
    assert sum(tree for _, tree in zimp.tree_sizes(model).values()) - 1193 == 299 + 99


def test_deep_graph_persistence_depends_on_the_scale_which_the_book_says():
    """The best paths of a network need not have its heaviest weight, so their matrix has another maximum."""
    page = functions_of("longer_proofs")
    layers = page["standardised"]([gaussian(6, 5), gaussian(4, 6, seed=1)])
    paths = page["collapse"](*layers)
    brute = np.max([[np.minimum(layers[1][:, [h]], layers[0][[h], :])] for h in range(6)], axis=0)[0]
    assert np.array_equal(paths, brute)
    assert max(layer.max() for layer in layers) == 1 > paths.max()
    assert zimp.neural_persistence(paths, scale=1.0) > zimp.neural_persistence(paths) + 0.01


# 12. What topology buys: what the book concludes from the stored results


@functools.cache
def stored(name):
    return Results.load(BOOK / "results" / f"{name}.json")


def p_value(difference):
    return ttest_1samp(difference, 0).pvalue


def holm(p_values):
    """Corrected p-values, in the order given."""
    order = np.argsort(p_values)
    corrected = np.empty(len(order))
    corrected[order] = np.maximum.accumulate(np.arange(len(order), 0, -1) * np.array(p_values)[order])
    return corrected


def test_holms_correction_on_the_numbers_of_a_textbook():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@pytest.mark.parametrize("kept", range(7))
def test_a_random_mask_keeps_of_any_chosen_weights_the_share_that_it_keeps_of_all(kept):
    """On average, and exactly: over all masks of a 2x3 layer with as many weights."""
    masks = [mask for mask in all_masks((2, 3)) if mask.sum() == kept]
    for chosen in all_masks((2, 3)):
        assert sum((mask & chosen).sum() for mask in masks) * 6 == chosen.sum() * kept * len(masks)


@given(WEIGHTS)
def test_magnitude_pruning_preserves_h0_from_the_safe_density_on(layer):
    """The verdict on a layer: with k weights, if and only if k is at least the safe density's."""
    full = zimp.spanning_forest(layer)
    needed = round(zimp.safe_density(layer) * layer.size)
    for k in range(1, layer.size + 1):
        pruned = zimp.spanning_forest(layer, zimp.magnitude_mask(layer, k))
        same = pruned.n_components == full.n_components and np.array_equal(pruned.values, full.values)
        assert same == (k >= needed)


def test_statement_12_the_safe_density_of_shuffled_weights_is_that_of_random_orders():
    """Whatever the weights are: exactly, over all orders of a 2x3 layer and all sets of its positions."""
    for values in (np.arange(1.0, 7.0), np.exp(3 * np.arange(6.0))):
        orders = itertools.permutations(values)
        found = [round(6 * zimp.safe_density(np.reshape(order, (2, 3)))) for order in orders]
        for k in range(1, 7):
            sets = [mask for mask in all_masks((2, 3)) if mask.sum() == k]
            connected = sum(zimp.count_components(mask) == 1 for mask in sets)
            assert sum(safe <= k for safe in found) * len(sets) == connected * len(found)
    sets = [mask for mask in all_masks((3, 3)) if mask.sum() == 5]
    assert (sum(zimp.count_components(mask) == 1 for mask in sets), len(sets)) == (81, 126)


SIX_LAYERS = [
    ("mlp", "fc1.weight", 300, 64), ("mlp", "fc2.weight", 100, 300), ("mlp", "output.weight", 10, 100),
    ("conv", "conv1.weight", 16, 9), ("conv", "conv2.weight", 32, 144), ("conv", "output.weight", 10, 128),
]  # fmt: skip


def test_statement_12_which_layer_loses_its_tree_clearly_early_depends_on_the_comparison():
    """So the book names none."""
    to_chance, to_shuffle = [], []
    for network, name, m, n in SIX_LAYERS:
        trained, shuffled = (
            stored(f"one_shot_{network}").curve(kind, "safe_density", name)[:, 0] for kind in ("trained", "shuffled")
        )
        rng = np.random.default_rng(0)
        to_chance.append(p_value(trained - np.mean([zimp.safe_density(rng.random((m, n))) for _ in range(600)])))
        to_shuffle.append(p_value(trained - shuffled))
        assert (trained - shuffled).mean() > 0
    assert np.flatnonzero(holm(to_shuffle) < 0.05).tolist() == [5]
    assert holm(to_chance)[1] < 0.06 and holm(to_chance)[5] > 0.05


@pytest.mark.parametrize(("network", "sign", "levels"), [("mlp", -1, range(9, 15)), ("conv", 1, range(7, 16))])
def test_statement_12_the_output_layers_fall_apart_unlike_random_ones_in_opposite_directions(network, sign, levels):
    imp, chance = (stored(f"levels_{network}").curve(m, "beta0", "output.weight") for m in ("magnitude", "random"))
    mean, half = plots.interval(imp - chance)
    clear = np.flatnonzero(np.abs(mean) > half)
    assert clear.tolist() == list(levels) and (sign * mean[clear] > 0).all()


def test_statement_12_the_controls_of_topological_pruning_by_four_and_by_thirty_comparisons():
    ends, every = {}, {}
    for network in ("mlp", "conv"):
        results = stored(f"levels_{network}")
        ours = results.curve("topological", "test_accuracy")
        last = ours.shape[1] - 1
        for method, level in itertools.product(set(RULES) - {"topological"}, (last // 2, 3 * last // 4, last)):
            difference = (ours - results.curve(method, "test_accuracy"))[:, level]
            every[network, method, level] = p_value(difference)
            if level == last and method in ("budget", "random_tree"):
                ends[network, method, level] = every[network, method, level]
            mean, half = plots.interval(difference)
            if method == "budget":  # the margin within which magnitude alone is as accurate, before the trees are bare
                assert mean < -half if level == last else mean + half < 0.005
            if (network, method, level) == ("mlp", "random_tree", last):
                assert mean - half < -0.03 and 0 < mean + half < 0.01  # room for a large loss, hardly any for a gain
    assert len(every) == 30
    four, thirty = dict(zip(ends, holm(list(ends.values())))), dict(zip(every, holm(list(every.values()))))
    conv = next(key for key in ends if key[:2] == ("conv", "budget"))
    assert four[conv] == pytest.approx(0.018, abs=5e-4) and thirty[conv] == pytest.approx(0.11, abs=5e-3)
    mlp = next(key for key in ends if key[:2] == ("mlp", "budget"))
    assert four[mlp] < thirty[mlp] < 0.05


@given(st.integers(2, 12), st.integers(0, 99))
def test_pairing_removes_what_the_results_have_in_common(seeds, seed):
    x, y = np.random.default_rng(seed).normal(size=(2, seeds))
    r, s_x, s_y = np.corrcoef(x, y)[0, 1], x.std(ddof=1), y.std(ddof=1)
    assert (x - y).var(ddof=1) == pytest.approx(s_x**2 + s_y**2 - 2 * r * s_x * s_y)


# What the pages say besides


def test_a_hidden_neuron_without_incoming_weights_does_not_spoil_the_normal_form():
    normal_form = functions_of("pieces_and_symmetries")["normal_form"]
    first, second = np.array([[0.0, 0.0], [2.0, -4.0]]), np.array([[3.0, 5.0]])
    one, other = normal_form(first, second)
    assert one.tolist() == [[0, 0], [0.5, -1]] and other.tolist() == [[3, 20]]


def pages():
    return {file.name: file.read_text(encoding="utf-8") for file in BOOK.glob("*.md")}


def test_every_picture_of_a_mask_has_outputs_as_rows():
    assert not [name for name, text in pages().items() if re.search(r"plots\.masks\([^)]*\.T\b", text)]


def test_every_source_has_an_entry_and_every_entry_is_a_source():
    entries = re.findall(r"^@\w+\{(\w+),", (BOOK / "references.bib").read_text(encoding="utf-8"), flags=re.M)
    cited = {key.strip() for text in pages().values() for keys in re.findall(r"\{cite\}`([^`]+)`", text)
             for key in keys.split(",")}  # fmt: skip
    assert len(entries) == len(set(entries)) and set(entries) == cited
    for architecture in ARCHITECTURES.values():
        for author, year in re.findall(r"(\w+)(?: et al\.| & \w+) (\d{4})", architecture.source):
            assert [key for key in entries if key.startswith(author.lower() + year)], architecture.source


@pytest.mark.parametrize(
    ("name", "count", "in_their_table"),
    [("LeNet-300-100", 266_200, 266e3), ("Conv-2", 4_300_992, 4.3e6), ("Conv-4", 2_425_024, 2.4e6)],
)
def test_the_networks_of_frankle_and_carbin_have_the_weights_of_their_table(name, count, in_their_table):
    assert sum(size for size, _ in zimp.tree_sizes(ARCHITECTURES[name].on_meta()).values()) == count
    assert count == pytest.approx(in_their_table, rel=0.02)


def test_all_but_conv_6_as_the_book_says():
    assert sum(size for size, _ in zimp.tree_sizes(ARCHITECTURES["Conv-6"].on_meta()).values()) == 2_261_184
    assert "the table says 1.7M" in pages()["critical_compression.md"]
