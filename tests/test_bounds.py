import numpy as np
import pytest
from hypothesis import given
from reference import convolutions

import zimp


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
