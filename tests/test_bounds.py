import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zimp

SIZES = st.integers(1, 40)


@pytest.mark.parametrize(
    ("m", "n", "ratio"), [(300, 784, 217.17452), (100, 300, 75.18797), (10, 100, 9.17431), (1, 1, 1), (1, 7, 1)]
)
def test_statement_3_the_critical_compression_of_a_dense_layer(m, n, ratio):
    assert zimp.critical_compression(m, n) == pytest.approx(ratio, abs=5e-6)
    assert zimp.critical_compression(n, m) == zimp.critical_compression(m, n)


@pytest.mark.parametrize(
    ("side", "ratio"), [(32, 4.22946), (16, 3.97927), (8, 3.53374), (4, 2.82353), (2, 1.89474), (10**6, 4.5)]
)
def test_statement_3_the_critical_compression_of_a_3x3_convolution_of_pixels(side, ratio):
    assert zimp.spatial_critical_compression(side, side) == pytest.approx(ratio, abs=2e-5)


def pixel_graph(height, width, kernel, padding):
    """For each pixel of the padded input (row) and of the output (column) the kernel entry that joins them, or -1."""
    height, width = height + 2 * padding, width + 2 * padding
    outputs = list(itertools.product(range(height - kernel + 1), range(width - kernel + 1)))
    graph = np.full((height * width, len(outputs)), -1)
    for output, (y, x) in enumerate(outputs):
        for entry, (dy, dx) in enumerate(itertools.product(range(kernel), repeat=2)):
            graph[(y + dy) * width + x + dx, output] = entry
    return graph


PIXELS = [
    (height, width, kernel, padding)
    for height, width, kernel, padding in itertools.product((1, 2, 3, 5), (2, 4), (2, 3), (0, 1, 2))
    if kernel <= min(height, width) + 2 * padding
]


@pytest.mark.parametrize(("height", "width", "kernel", "padding"), PIXELS)
def test_statement_3_the_spatial_formula_counts_a_connected_graph_of_pixels(height, width, kernel, padding):
    mask = pixel_graph(height, width, kernel, padding) >= 0
    assert zimp.count_components(mask) == 1
    ratio = zimp.spatial_critical_compression(height, width, kernel, padding)
    assert ratio == pytest.approx(mask.sum() / (sum(mask.shape) - 1))


@pytest.mark.parametrize(("height", "width", "kernel", "padding"), PIXELS)
def test_statement_3_the_corners_of_the_kernel_are_always_in_the_spatial_tree(height, width, kernel, padding):
    graph = pixel_graph(height, width, kernel, padding)
    entries = np.random.default_rng(0).uniform(1, 2, size=kernel * kernel)
    corners = [0, kernel - 1, kernel * (kernel - 1), kernel * kernel - 1]
    entries[corners] = 1e-3  # even as the lightest
    forest = zimp.spanning_forest(entries[graph], graph >= 0)
    assert set(corners) <= set(graph[forest.rows, forest.cols])


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


def test_statement_5_a_full_block_attains_the_bound():
    weights = np.random.default_rng(0).uniform(0, 1, size=(20, 30))
    weights[:6, :7] += 1
    kept = zimp.magnitude_mask(weights, keep=42)
    assert zimp.spanning_forest(weights).mask[kept].sum() == zimp.retention_bound(42, 20, 30) == 12


def test_retention_bound_returns_an_int():
    assert type(zimp.retention_bound(np.int64(5), 3, 3)) is int


def test_statement_6_the_connectivity_density_of_lenets_first_layer():
    assert zimp.connectivity_density(300, 784) == pytest.approx(0.0234, abs=5e-5)


@given(st.integers(3, 2000), st.integers(3, 2000), st.floats(0.01, 0.99))
def test_statement_6_the_density_solves_the_equation_of_isolated_neurons(m, n, probability):
    density = zimp.connectivity_density(m, n, probability)
    assert density == zimp.connectivity_density(n, m, probability)
    expected = math.exp(-(m * math.exp(-density * n) + n * math.exp(-density * m)))
    assert density == 1 and expected <= probability or expected == pytest.approx(probability)


def connected_share(m, n, density, trials=400):
    """Share of uniform random masks of that density whose graph is in one piece."""
    rng, layer, keep = np.random.default_rng(0), np.ones((m, n)), round(density * m * n)
    masks = (zimp.random_mask(layer, keep, generator=rng) for _ in range(trials))
    return sum(zimp.count_components(mask) == 1 for mask in masks) / trials


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_statement_6_a_random_layer_of_that_density_is_connected_that_often(probability):
    share = connected_share(60, 80, zimp.connectivity_density(60, 80, probability))
    # four standard deviations of the share, and as much again for the limit law: exp(-d n) is not yet (1 - d)**n
    assert abs(share - probability) < 8 * math.sqrt(probability * (1 - probability) / 400)


def test_statement_6_is_too_careful_for_a_small_layer_by_what_the_docstring_says():
    assert zimp.connectivity_density(10, 100) == pytest.approx(0.50, abs=0.005)
    assert connected_share(10, 100, 0.39) == pytest.approx(0.5, abs=0.1)
    assert connected_share(10, 100, 0.50) > 0.85
