import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import zimp
from zimp import oracle

ORACLES = [oracle.ripser_diagram, oracle.gudhi_diagram]


@pytest.mark.parametrize("diagram", ORACLES)
@pytest.mark.parametrize(
    ("weights", "mask", "deaths"),
    [
        ([[-2.0]], None, [0, np.inf]),
        ([[0.0]], None, [1, np.inf]),
        ([[1.0]], [[0]], [np.inf, np.inf]),
        ([[1.0, -0.5], [0.25, 0.75]], None, [0, 0.25, 0.5, np.inf]),
        ([[1.0, -0.5], [0.25, 0.75]], [[1, 0], [1, 0]], [0, 0.75, np.inf, np.inf]),
        ([[4.0, -2.0], [0.0, 1.0]], [[0, 1], [1, 1]], [0, 0.5, 1, np.inf]),
        ([[1.0, 1.0], [1.0, 1.0]], None, [0, 0, 0, np.inf]),
        ([[0.0, 0.0]], None, [1, 1, np.inf]),
    ],
)
def test_an_oracle_keeps_the_heaviest_edge_stored_zeros_and_every_essential_pair(diagram, weights, mask, deaths):
    assert np.array_equal(diagram(weights, mask), [[0, death] for death in deaths])


@pytest.mark.parametrize("diagram", ORACLES)
def test_an_oracle_has_the_shape_and_dtype_of_a_persistence_diagram(diagram):
    result = diagram(np.float16([[1, 2, 3], [4, 5, 6]]))
    assert (result.shape, result.dtype) == ((5, 2), np.float64)


@pytest.mark.parametrize("name", ["ripser", "gudhi"])
@pytest.mark.parametrize(
    "wrong",
    [
        [[0, 0], [0, 0.25], [0, 0.6], [0, np.inf]],
        [[0, 0], [0, 0.25], [0, np.inf], [0, np.inf]],
        [[0, 0.25], [0, 0.5], [0, np.inf]],
    ],
    ids=["a death", "an essential pair too many", "a pair too few"],
)
def test_the_cross_check_notices_what_is_wrong(name, wrong, monkeypatch):
    monkeypatch.setattr(oracle, "persistence_diagram", lambda weights, mask: np.array(wrong))
    assert zimp.cross_check([[1.0, -0.5], [0.25, 0.75]])[name] >= 0.1 - 1e-6


@given(arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.floats(-5, 5)), st.data())
def test_three_libraries_agree_on_any_layer(weights, data):
    mask = data.draw(st.none() | arrays(bool, weights.shape))
    differences = zimp.cross_check(weights, mask)
    assert differences.keys() == {"ripser", "gudhi"}
    assert max(differences.values()) < 1e-6


def test_without_gudhi_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "gudhi", None)
    with pytest.raises(ImportError, match="pip install gudhi"):
        oracle.gudhi_diagram([[1.0]])
