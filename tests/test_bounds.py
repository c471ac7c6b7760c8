import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import convolutions

import zimp

SIDES = st.integers(1, 500)
LONG = st.integers(1, 10**400)  # beyond all floats too


def test_retention_bound_returns_an_int():
    assert type(zimp.retention_bound(np.int64(5), 3, 3)) is int


def test_spatial_sizes_are_ints():
    sizes = zimp.spatial_sizes(np.array([8, 9]), np.int64(3), padding=np.int32(1))
    assert sizes == (9 * 72, 72 + 110 - 1) and [*map(type, sizes)] == [int, int]


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_one_number_stands_for_all_dimensions(dimensions):
    settings = {"kernel": 3, "padding": 1, "stride": 2, "dilation": 2}
    spelled_out = {name: (number,) * dimensions for name, number in settings.items()}
    assert zimp.spatial_sizes((7,) * dimensions, **settings) == zimp.spatial_sizes((7,) * dimensions, **spelled_out)


def test_a_whole_number_is_an_image_of_one_dimension():
    assert zimp.spatial_sizes(8, 3) == zimp.spatial_sizes((8,), 3) == (18, 13)


@given(convolutions())
def test_the_order_of_the_dimensions_does_not_matter(convolution):
    size, kernel, settings = convolution
    turned = {name: value[::-1] for name, value in settings.items()}
    assert zimp.spatial_sizes(size[::-1], kernel[::-1], **turned) == zimp.spatial_sizes(size, kernel, **settings)


@given(convolutions())
def test_a_dimension_of_one_pixel_under_a_kernel_of_one_changes_nothing(convolution):
    size, kernel, settings = convolution
    flat = {"padding": 0, "stride": 1, "dilation": 1}
    wider = {name: (*value, flat[name]) for name, value in settings.items()}
    assert zimp.spatial_sizes((*size, 1), (*kernel, 1), **wider) == zimp.spatial_sizes(size, kernel, **settings)


@given(convolutions())
def test_padding_is_a_larger_image(convolution):
    size, kernel, settings = convolution
    padded = [pixels + 2 * pad for pixels, pad in zip(size, settings["padding"])]
    assert zimp.spatial_sizes(padded, kernel, **settings | {"padding": 0}) == zimp.spatial_sizes(
        size, kernel, **settings
    )


@pytest.mark.parametrize(
    ("arguments", "edges", "tree"),
    [
        ({"kernel": 1}, 64, 64),  # each pixel has its own edge
        ({"kernel": 1, "stride": 2}, 16, 16),
        ({"kernel": 2, "stride": 2}, 64, 64),  # blocks side by side: 16 stars of 4 pixels
        ({"kernel": 2, "stride": 4}, 16, 16),  # blocks apart; between them are pixels that no edge reaches
        ({"kernel": 2, "dilation": 2}, 144, 96),  # 4 interleaved images, of 4x4 pixels and 3x3 outputs each
        ({"kernel": 2, "dilation": 2, "stride": 2}, 36, 24),  # one of the four: 9 + 16 - 1
        ({"kernel": 8}, 64, 64),  # a star
    ],
)
def test_spatial_sizes_of_an_image_of_8x8_by_hand(arguments, edges, tree):
    assert zimp.spatial_sizes((8, 8), **arguments) == (edges, tree)
    options = {name: value for name, value in arguments.items() if name != "kernel"}
    assert zimp.spatial_critical_compression(8, 8, arguments["kernel"], padding=0, **options) == edges / tree


@pytest.mark.parametrize(("k", "s", "d", "apart"), [(3, 1, 1, {1, 2}), (3, 2, 1, {1}), (4, 3, 2, {2}), (2, 1, 3, {3})])
def test_only_outputs_a_multiple_of_the_dilation_apart_share_inputs(k, s, d, apart):
    inputs = [{output * s + tap * d for tap in range(k)} for output in range(10)]
    assert {output for output in range(1, 10) if inputs[0] & inputs[output]} == apart
    assert all(output % d == 0 for output in apart) and d in apart


# The square-root law


@pytest.mark.parametrize("m", range(1, 15))
def test_the_retention_bound_is_the_smallest_block_of_all_small_layers(m):
    for n in range(1, 15):
        assert zimp.retention_bound(0, m, n) == 0
        for kept in range(1, m * n + 1):
            blocks = (a + b - 1 for a in range(1, m + 1) for b in range(1, n + 1) if a * b >= kept)
            assert zimp.retention_bound(kept, m, n) == min(blocks)


def test_the_retention_bound_of_a_layer_of_any_size_is_there_at_once():
    assert zimp.retention_bound(10**30, 10**18, 10**18) == 2 * 10**15 - 1
    assert zimp.retention_bound(10**30 + 1, 10**18, 10**18) == 2 * 10**15
    assert zimp.retention_bound(10**18, 10**18, 2) == 5 * 10**17 + 1
    assert zimp.retention_bound(10**36, 10**18, 10**18) == 2 * 10**18 - 1


@given(LONG, LONG, st.fractions(0, 1))
def test_no_block_next_to_that_of_the_retention_bound_is_smaller(m, n, share):
    kept = math.ceil(share * m * n)
    neurons = zimp.retention_bound(kept, m, n) + 1
    if kept:
        a = min(max(neurons // 2, neurons - max(m, n)), min(m, n))  # of blocks with so many neurons the largest
        assert a * (neurons - a) >= kept
        a = min((neurons - 1) // 2, m, n)
        assert a * min(neurons - 1 - a, max(m, n)) < kept  # with one fewer there is no room


def test_a_density_for_the_number_of_weights_kept_is_named():
    with pytest.raises(ValueError, match=r"kept=0\.05 is not a whole number; .* leaves round\(d \* m \* n\) of them"):
        zimp.retention_bound(0.05, 300, 784)


# The other bounds for sizes beyond all floats


def test_the_critical_compression_of_a_layer_of_any_size():
    assert zimp.critical_compression(10**400, 3) == 3
    assert zimp.critical_compression(10**18, 10**18) == 5e17
    assert zimp.critical_compression(10**400, 10**400) == math.inf


def test_the_spatial_sizes_of_an_image_of_any_size():
    assert zimp.spatial_sizes(10**400, 3) == (3 * (10**400 - 2), 2 * 10**400 - 3)
    assert zimp.spatial_critical_compression(10**400, 10**400) == 4.5
    assert zimp.spatial_critical_compression(10**400, 10**400, kernel=10**200) == math.inf


@given(LONG, LONG, st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_the_connectivity_density_of_a_layer_of_any_size_is_a_density(m, n, probability):
    density = zimp.connectivity_density(m, n, probability)
    assert (m + n - 1) / (m * n) <= density <= 1


@pytest.mark.parametrize(
    ("m", "n", "density"),
    [
        (10**18, 10**18, math.log(2e18 / math.log(2)) / 1e18),
        (2, 10**20, 1 - (math.log(2) / 1e20) ** 0.5),
        (100, 10**400, -math.expm1(-(400 * math.log(10) - math.log(math.log(2))) / 100)),
    ],
)
def test_the_connectivity_density_of_sizes_for_which_the_equation_is_solved_by_hand(m, n, density):
    assert zimp.connectivity_density(m, n) == pytest.approx(density, rel=1e-12)


# The connectivity density


@pytest.mark.parametrize("size", [1, 2, 300, 10**400])
@pytest.mark.parametrize("probability", [1e-300, 0.5, 1 - 1e-16])
def test_a_single_row_or_column_needs_all_of_its_edges(size, probability):
    assert zimp.connectivity_density(1, size, probability) == zimp.connectivity_density(size, 1, probability) == 1


@pytest.mark.parametrize(("m", "n", "density"), [(2, 2, 3 / 4), (2, 3, 4 / 6), (3, 3, 5 / 9)])
def test_no_layer_is_connected_below_the_density_of_its_tree(m, n, density):
    """These have their median there: the trees are 1, 0.8 and 0.64 of the graphs with so many edges."""
    assert zimp.connectivity_density(m, n) == zimp.connectivity_density(m, n, 1e-300) == density


@given(SIDES, SIDES, st.floats(1e-12, 1 - 1e-12), st.floats(1e-12, 1 - 1e-12))
def test_to_be_connected_more_often_takes_more_edges(m, n, one, other):
    low, high = sorted((one, other))
    assert zimp.connectivity_density(m, n, low) <= zimp.connectivity_density(m, n, high)


@given(SIDES, SIDES, st.floats(1e-12, 1 - 1e-12))
def test_a_neuron_more_on_the_shorter_side_allows_for_a_lower_density(m, n, probability):
    m, n = sorted((m, n + 1))
    if m < n:
        assert zimp.connectivity_density(m + 1, n, probability) < zimp.connectivity_density(m, n, probability) + 1e-15


@given(SIDES, SIDES, st.integers(2, 50), st.floats(0.5, 1 - 1e-12))
def test_a_layer_enlarged_on_both_sides_allows_for_a_lower_density(m, n, factor, probability):
    large = zimp.connectivity_density(factor * m, factor * n, probability)
    assert large < zimp.connectivity_density(m, n, probability)


@given(SIDES, SIDES, st.floats(1e-12, 1 - 1e-12))
def test_the_exponential_form_asks_for_a_higher_density(m, n, probability):
    """Because 1 - d < exp(-d): at this density it expects more isolated neurons."""
    density = zimp.connectivity_density(m, n, probability)
    if density > (m + n - 1) / (m * n):
        expected = m * math.exp(-density * n) + n * math.exp(-density * m)
        assert expected > -math.log(probability) * (1 - 1e-9)
