import dataclasses
import itertools
import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from reference import components, gaussian, kruskal, layers, present
from scipy.sparse import coo_array, csc_matrix, csr_array, lil_array

import zimp


def assert_forest_is_kruskals(weights, mask):
    forest, expected = zimp.spanning_forest(weights, mask), kruskal(weights, mask)
    assert list(zip(forest.rows.tolist(), forest.cols.tolist(), forest.values.tolist())) == expected
    assert forest.shape == (len(weights), len(weights[0]))
    assert forest.n_components == sum(forest.shape) - len(expected)
    assert forest.scale == (expected[0][2] if expected else 0)


def largest(dtype):
    if np.issubdtype(dtype, np.integer):
        return min(np.iinfo(dtype).max, 2**53)
    return np.finfo(dtype).max


def unit(values, dtype):
    return (100 * values).astype(dtype) if np.issubdtype(dtype, np.integer) else values.astype(dtype)


KINDS = {
    "Gaussian": lambda rng, shape, dtype: unit(rng.normal(size=shape) / 8, dtype),
    "ties": lambda rng, shape, dtype: unit(rng.integers(-3, 4, size=shape) / 4, dtype),
    "all equal": lambda rng, shape, dtype: unit(np.full(shape, -0.25), dtype),
    "all zero": lambda rng, shape, dtype: np.zeros(shape, dtype),
    "stored zeros": lambda rng, shape, dtype: unit(rng.normal(size=shape) / 8 * (rng.random(shape) < 0.4), dtype),
    "huge": lambda rng, shape, dtype: (rng.uniform(-0.99, 0.99, size=shape) * largest(dtype)).astype(dtype),
    "smallest": lambda rng, shape, dtype: (
        rng.integers(-9, 10, size=shape).astype(dtype)
        * (1 if np.issubdtype(dtype, np.integer) else np.finfo(dtype).smallest_subnormal)
    ),
}


def strided(array):
    wide = np.full((2 * array.shape[0], 3 * array.shape[1]), 77, dtype=array.dtype)
    wide[::2, ::3] = array
    return wide[::2, ::3]


def read_only(array):
    array.flags.writeable = False
    return array


FORMS = {
    "float64": (np.float64, lambda array: array),
    "float32": (np.float32, lambda array: array),
    "float16": (np.float16, lambda array: array),
    "int8": (np.int8, lambda array: array),
    "int64": (np.int64, lambda array: array),
    "list": (np.float64, np.ndarray.tolist),
    "Fortran order": (np.float32, np.asfortranarray),
    "strided view": (np.float64, strided),
    "negative strides": (np.float32, lambda array: array[::-1, ::-1].copy()[::-1, ::-1]),
    "read-only": (np.float64, read_only),
    "tensor with gradient": (np.float32, lambda array: torch.tensor(array, requires_grad=True)),
    "transposed tensor": (np.float64, lambda array: torch.tensor(array.T.copy()).T),
    "bfloat16 tensor": (np.float32, lambda array: torch.tensor(array).bfloat16()),
    "float16 tensor": (np.float16, torch.tensor),
    "int64 tensor": (np.int64, torch.tensor),
}

MASKS = {
    "none": lambda rng, shape: None,
    "full": lambda rng, shape: np.ones(shape, dtype=bool),
    "dense": lambda rng, shape: rng.random(shape) < 0.8,
    "half, of 0 and 1": lambda rng, shape: rng.integers(0, 2, size=shape),
    "sparse tensor": lambda rng, shape: torch.tensor(rng.random(shape) < 0.2),
    "nearly empty list": lambda rng, shape: (rng.random(shape) < 0.03).tolist(),
    "two blocks": lambda rng, shape: np.equal.outer(np.arange(shape[0]) % 2, np.arange(shape[1]) % 2),
    "empty": lambda rng, shape: np.zeros(shape),
}

SHAPES = [(1, 1), (1, 7), (9, 1), (2, 2), (3, 5), (6, 4), (5, 11), (12, 12), (12, 15)]


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")  # by the reference, one entry at a time
def test_over_2000_layers_of_all_kinds_agree_with_kruskal_exactly_and_with_ripser_and_gudhi():
    count = 0
    for kind, form, pattern, _ in itertools.product(KINDS, FORMS, MASKS, range(3)):
        rng = np.random.default_rng(count)
        shape = SHAPES[rng.integers(len(SHAPES))]
        dtype, wrap = FORMS[form]
        weights, mask = wrap(KINDS[kind](rng, shape, dtype)), MASKS[pattern](rng, shape)
        try:
            assert_forest_is_kruskals(weights, mask)
            assert max(zimp.cross_check(weights, mask).values()) < 1e-6
        except Exception as error:
            error.add_note(f"layer {count}: {kind}, {form}, mask {pattern}, shape {shape}")
            raise
        count += 1
    assert count >= 2000


def with_faint_rows():
    return gaussian(60, 80) * np.where(np.arange(60) < 3, 1e-6, 1)[:, None]


LARGE = {
    "Gaussian": (gaussian(60, 80), None),
    "faint rows": (with_faint_rows(), None),
    "faint columns": (with_faint_rows().T, None),
    "five faint rows of sixty": (gaussian(60, 80) * np.where(np.arange(60) < 5, 0.5, 1)[:, None], None),
    "ties": (np.round(gaussian(60, 80), 1), None),
    "two values": ((gaussian(60, 80) > 1.5).astype(float), None),
    "all equal": (np.ones((60, 80)), None),
    "half masked": (gaussian(60, 80), gaussian(60, 80, seed=1) > 0),
    "a neuron cut off": (gaussian(60, 80), (np.arange(60) != 30)[:, None] & np.ones(80, dtype=bool)),
    "two blocks": (gaussian(60, 80), np.equal.outer(np.arange(60) < 20, np.arange(80) < 20)),
    "float32": (gaussian(80, 60).astype(np.float32), None),
}


@pytest.mark.parametrize(("weights", "mask"), LARGE.values(), ids=LARGE)
def test_a_large_layer_is_exact_too(weights, mask):
    assert_forest_is_kruskals(weights, mask)
    assert max(zimp.cross_check(weights, mask).values()) < 1e-6


def test_a_3x2_layer_by_hand():
    forest = zimp.spanning_forest([[0.9, -0.2], [0.1, 0.5], [-0.8, 0.3]])
    assert list(zip(forest.rows, forest.cols, forest.values)) == [(0, 0, 0.9), (2, 0, 0.8), (1, 1, 0.5), (2, 1, 0.3)]
    assert (forest.shape, forest.scale, forest.n_components, len(forest)) == ((3, 2), 0.9, 1, 4)
    assert forest.mask.tolist() == [[True, False], [False, True], [True, True]]
    assert forest.relative_values.tolist() == [1, 0.8 / 0.9, 0.5 / 0.9, 0.3 / 0.9]


def test_among_equal_weights_the_first_in_row_major_order_is_taken():
    forest = zimp.spanning_forest(np.ones((3, 3)))
    assert list(zip(forest.rows, forest.cols)) == [(0, 0), (0, 1), (0, 2), (1, 0), (2, 0)]


def test_a_pruned_weight_is_absent_and_a_stored_zero_is_an_edge():
    weights = [[1.0, 0.0], [0.5, 0.0]]
    assert zimp.persistence_diagram(weights)[:, 1].tolist() == [0, 0.5, 1, np.inf]
    assert zimp.persistence_diagram(weights, [[1, 0], [1, 0]])[:, 1].tolist() == [0, 0.5, np.inf, np.inf]


def test_the_scale_is_the_largest_magnitude_among_the_edges_that_exist():
    assert zimp.spanning_forest([[-4.0, 2.0], [1.0, 0.5]]).scale == 4
    assert zimp.spanning_forest([[-4.0, 2.0], [1.0, 0.5]], [[0, 1], [1, 1]]).scale == 2


def test_the_most_negative_integer_has_a_magnitude():
    assert zimp.spanning_forest(np.array([[-128, 127]], dtype=np.int8)).values.tolist() == [128, 127]


def test_a_layer_without_edges_has_only_essential_pairs():
    forest = zimp.spanning_forest(np.ones((2, 3)), np.zeros((2, 3), dtype=bool))
    assert (len(forest), forest.scale, forest.n_components) == (0, 0.0, 5)
    assert zimp.persistence_diagram(forest).tolist() == [[0, np.inf]] * 5
    assert zimp.persistence_diagram(forest, essential=False).shape == (0, 2)


def test_types_are_as_documented():
    weights = torch.ones(2, 3, dtype=torch.bfloat16)
    forest = zimp.spanning_forest(weights)
    assert [array.dtype for array in (forest.rows, forest.cols, forest.values)] == [np.int64, np.int64, np.float64]
    assert (forest.mask.dtype, forest.relative_values.dtype) == (bool, np.float64)
    assert (type(forest.scale), type(forest.n_components)) == (float, int)
    assert zimp.persistence_diagram(weights).dtype == np.float64
    assert zimp.betti_curve(weights, 0.5).dtype == np.int64
    assert type(zimp.count_components(np.ones((2, 3)))) is int
    assert type(zimp.neural_persistence(weights)) is float


def test_a_forest_is_frozen():
    forest = zimp.spanning_forest([[1.0, 2.0]])
    with pytest.raises(dataclasses.FrozenInstanceError):
        forest.scale = 3.0
    for array in (forest.rows, forest.cols, forest.values):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def sparse(weights, mask):
    """The edges of a layer as a sparse array, stored zeros among them."""
    edges = np.nonzero(present(weights, mask))
    return coo_array((weights[edges], edges), shape=weights.shape)


def same_forest(first, second):
    arrays = ("rows", "cols", "values")
    return (first.shape, first.scale, first.n_components) == (second.shape, second.scale, second.n_components) and all(
        getattr(first, name).dtype == getattr(second, name).dtype
        and np.array_equal(getattr(first, name), getattr(second, name))
        for name in arrays
    )


@given(layers())
def test_the_stored_entries_of_a_sparse_array_are_its_edges(layer):
    expected, array = zimp.spanning_forest(*layer), sparse(*layer)
    for form in (array, array.tocsr(), array.tocsc()):
        assert form.nnz == present(*layer).sum()
        assert same_forest(zimp.spanning_forest(form), expected)


@pytest.mark.parametrize(("weights", "mask"), LARGE.values(), ids=LARGE)
def test_a_large_sparse_layer_has_the_forest_of_the_dense_one(weights, mask):
    assert same_forest(zimp.spanning_forest(sparse(weights, mask)), zimp.spanning_forest(weights, mask))


def test_every_reading_takes_a_sparse_array():
    weights, mask = gaussian(6, 7), gaussian(6, 7, seed=1) > 0.5
    array = sparse(weights, mask)
    assert np.array_equal(zimp.persistence_diagram(array), zimp.persistence_diagram(weights, mask))
    assert np.array_equal(zimp.betti_curve(array, [0.1, 0.5]), zimp.betti_curve(weights, [0.1, 0.5], mask))
    assert zimp.neural_persistence(array) == zimp.neural_persistence(weights, mask)


def test_a_zero_stored_in_a_sparse_array_is_an_edge():
    array = coo_array(([1.0, 0.0], ([0, 1], [0, 0])), shape=(2, 2))
    assert zimp.persistence_diagram(array)[:, 1].tolist() == [0, 1, np.inf, np.inf]
    assert zimp.persistence_diagram(coo_array((2, 2)))[:, 1].tolist() == [np.inf] * 4


@pytest.mark.parametrize("form", [csc_matrix, lil_array, np.int8, np.float32], ids=str)
def test_sparse_arrays_of_any_form_and_real_dtype_are_layers(form):
    weights = np.array([[0, -128, 3], [5, 0, 0]])
    array = form(weights) if form in (csc_matrix, lil_array) else csr_array(weights.astype(form))
    assert same_forest(zimp.spanning_forest(array), zimp.spanning_forest(weights, weights != 0))


def test_a_sparse_layer_may_be_larger_than_any_dense_one():
    side = 200_000
    rows = np.arange(side)
    array = coo_array((1.0 + rows, (rows, rows[::-1])), shape=(side, side))
    forest = zimp.spanning_forest(array)
    assert (len(forest), forest.n_components) == (side, side)
    assert np.array_equal(forest.rows, rows[::-1]) and np.array_equal(forest.cols, rows)


def test_entries_that_a_coo_array_has_twice_are_added_by_scipy():
    array = coo_array(([1.0, 2.0, 2.5], ([0, 0, 0], [0, 0, 1])), shape=(1, 2))
    assert zimp.spanning_forest(array).values.tolist() == [3, 2.5]


def test_a_sparse_array_is_never_modified():
    array = sparse(gaussian(5, 6), None).tocsr()
    copy = array.copy()
    zimp.persistence_diagram(array)
    assert array.data.flags.writeable and all(
        np.array_equal(getattr(array, name), getattr(copy, name)) for name in ("data", "indices", "indptr")
    )


def test_every_reading_takes_a_forest_in_place_of_the_weights():
    weights, mask = gaussian(6, 7), gaussian(6, 7, seed=1) > 0
    forest = zimp.spanning_forest(weights, mask)
    assert np.array_equal(zimp.persistence_diagram(forest), zimp.persistence_diagram(weights, mask))
    assert np.array_equal(zimp.betti_curve(forest, [0.1, 0.5]), zimp.betti_curve(weights, [0.1, 0.5], mask))
    assert zimp.neural_persistence(forest) == zimp.neural_persistence(weights, mask)


def test_the_input_is_never_modified():
    array, tensor, mask = gaussian(5, 6), torch.tensor(gaussian(5, 6), requires_grad=True), np.eye(5, 6, dtype=bool)
    copies = array.copy(), tensor.detach().clone(), mask.copy()
    for weights in (array, tensor):
        zimp.persistence_diagram(weights, mask), zimp.betti_curve(weights, [0.5], mask)
        zimp.neural_persistence(weights, mask), zimp.count_components(mask), zimp.cross_check(weights, mask)
    assert np.array_equal(array, copies[0]) and torch.equal(tensor, copies[1]) and np.array_equal(mask, copies[2])
    assert tensor.requires_grad


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_layer_on_the_gpu_has_the_forest_of_its_copy():
    weights = torch.tensor(gaussian(60, 80))
    forest = zimp.spanning_forest(weights.cuda(), (weights > 0).cuda())
    assert np.array_equal(forest.mask, zimp.spanning_forest(weights, weights > 0).mask)


@given(layers())
def test_the_forest_is_kruskals(layer):
    assert_forest_is_kruskals(*layer)


@given(layers())
def test_the_transposed_layer_has_the_same_diagram(layer):
    weights, mask = layer
    transposed = zimp.persistence_diagram(weights.T, None if mask is None else mask.T)
    assert np.array_equal(zimp.persistence_diagram(weights, mask), transposed)


@given(layers(), st.randoms(use_true_random=False))
def test_the_order_of_the_neurons_does_not_matter(layer, random):
    weights, mask = layer
    rows, cols = (random.sample(range(size), size) for size in weights.shape)
    shuffled = weights[rows][:, cols], present(weights, mask)[rows][:, cols]
    assert np.array_equal(zimp.persistence_diagram(weights, mask), zimp.persistence_diagram(*shuffled))


@given(layers(), st.integers(-30, 30))
def test_scaling_by_a_power_of_two_leaves_the_diagram_identical(layer, power):
    weights, mask = layer
    assert np.array_equal(zimp.persistence_diagram(weights, mask), zimp.persistence_diagram(weights * 2.0**power, mask))


@given(layers(), st.data())
def test_signs_do_not_matter(layer, data):
    weights, mask = layer
    signs = np.where(data.draw(arrays(bool, weights.shape)), -1, 1)
    assert np.array_equal(zimp.spanning_forest(weights, mask).mask, zimp.spanning_forest(weights * signs, mask).mask)


@given(layers())
def test_what_is_stored_under_a_pruned_weight_does_not_matter(layer):
    weights, mask = layer
    overwritten = np.where(present(weights, mask), weights, 1e9)
    assert np.array_equal(zimp.persistence_diagram(weights, mask), zimp.persistence_diagram(overwritten, mask))


@given(layers(), st.lists(st.floats(-0.5, 1.5), max_size=4))
def test_the_betti_curve_counts_the_components_of_each_superlevel_graph(layer, thresholds):
    weights, mask = layer
    exists = present(weights, mask)
    scale = np.abs(weights[exists]).max(initial=0)
    relative = np.abs(weights) / scale if scale else np.zeros(weights.shape)
    thresholds = np.array([*thresholds, 0, 1, *relative[exists]])
    expected = [components(exists & (relative >= threshold)) for threshold in thresholds]
    assert zimp.betti_curve(weights, thresholds, mask).tolist() == expected


def test_a_threshold_is_compared_with_the_weight_in_the_given_unit_and_not_the_other_way_round():
    """The product of the threshold and the scale may be rounded up, here to more than 7."""
    assert 7 / 25 * 25 > 7
    assert zimp.betti_curve([[7.0]], [7 / 25, np.nextafter(7 / 25, 1)], scale=25).tolist() == [1, 2]


def test_a_betti_curve_has_the_shape_of_its_thresholds():
    weights, grid = gaussian(4, 5), np.linspace(0, 1, 6).reshape(2, 3)
    curve = zimp.betti_curve(weights, grid)
    assert curve.tolist() == [[int(zimp.betti_curve(weights, t)) for t in row] for row in grid]
    assert zimp.betti_curve(weights, 0.5).shape == ()
    assert zimp.betti_curve(weights, []).shape == (0,)


def test_neural_persistence_divides_by_the_layers_own_largest_magnitude_unless_told():
    weights = [[-4.0, 2.0], [1.0, 1.0]]
    assert zimp.neural_persistence(weights) == zimp.neural_persistence(weights, scale=4)
    assert zimp.neural_persistence(weights, scale=8) > zimp.neural_persistence(weights)


@given(layers())
def test_neural_persistence_in_riecks_convention_is_the_same_for_a_pruned_weight_and_a_stored_zero(layer):
    weights, mask = layer
    zeroed = np.where(present(weights, mask), weights, 0)
    assert zimp.neural_persistence(weights, mask) == pytest.approx(zimp.neural_persistence(zeroed))


def test_torch_is_not_imported_before_it_is_needed():
    code = "import sys, zimp"
    for call in ("spanning_forest([[1.0]])", "critical_compression(2, 3)", "oracle.cross_check([[1.0]])"):
        code += f"\nzimp.{call}\nassert 'torch' not in sys.modules, 'zimp.{call}'"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_every_public_name_is_there():
    for name in zimp.__all__:
        assert callable(getattr(zimp, name))
    assert set(zimp.__all__) <= set(dir(zimp))
    with pytest.raises(AttributeError, match="module 'zimp' has no attribute 'tree'"):
        zimp.tree  # noqa: B018


def test_scale_thresholds_and_order_may_be_tensors_and_numpy_numbers():
    layer = torch.nn.Parameter(torch.tensor([[1.0, -0.5], [0.25, 0.75]]))
    assert zimp.neural_persistence(layer, scale=layer.abs().max()) == zimp.neural_persistence(layer)
    value = zimp.neural_persistence(layer, p=np.float16(2))
    assert type(value) is float and value == zimp.neural_persistence(layer)
    thresholds = torch.tensor([1.0, 0.5, 0.25], requires_grad=True)
    assert zimp.betti_curve(layer, thresholds.bfloat16()).tolist() == [3, 1, 1]


# Overlap of trees


def spanning_forests_of(mask):
    """All spanning forests of a graph, as masks."""
    edges, size = np.argwhere(mask), sum(mask.shape) - zimp.count_components(mask)
    for chosen in combinations(edges, size):
        forest = np.zeros(mask.shape, dtype=bool)
        if chosen:
            forest[tuple(np.transpose(chosen))] = True
        if sum(mask.shape) - zimp.count_components(forest) == size:
            yield forest


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (2, 2), (3, 2), (2, 4), (3, 3)])
@pytest.mark.parametrize("density", [0.5, 0.8, 1.0])
def test_the_chance_of_an_overlap_is_that_of_a_uniform_spanning_forest(shape, density):
    """Counted over all forests of small graphs, in pieces or not."""
    rng = np.random.default_rng(sum(shape))
    for _ in range(4):
        mask = rng.random(shape) < density
        share = np.mean(list(spanning_forests_of(mask)), axis=0)
        a, b = (zimp.spanning_forest(rng.normal(size=shape), mask) for _ in range(2))
        overlap = zimp.tree_overlap(a, b, mask)
        assert overlap.chance == pytest.approx(share[b.rows, b.cols].mean() if len(b) else 1)
        assert overlap.share == (np.mean(b.mask[a.mask]) if len(a) else 1)
        if overlap.chance < 1 - 1e-9:
            assert overlap.corrected == pytest.approx((overlap.share - overlap.chance) / (1 - overlap.chance))
        else:
            assert np.isnan(overlap.corrected)


@pytest.mark.parametrize("shape", [(40, 7), (7, 40), (30, 30)])
def test_without_a_mask_all_edges_are_as_likely(shape):
    rng = np.random.default_rng(0)
    a, b = (zimp.spanning_forest(rng.normal(size=shape)) for _ in range(2))
    given, whole = zimp.tree_overlap(a, b), zimp.tree_overlap(a, b, np.ones(shape))
    assert given == pytest.approx(whole) and given.chance == (sum(shape) - 1) / (shape[0] * shape[1])
    assert zimp.tree_overlap(a, a) == (1, given.chance, 1)


def test_random_trees_overlap_as_by_chance():
    """Of independent weights: 0 after the correction, on the average."""
    rng = np.random.default_rng(0)
    pairs = [[zimp.spanning_forest(rng.normal(size=(6, 9))) for _ in range(2)] for _ in range(300)]
    shares = [zimp.tree_overlap(*pair).share for pair in pairs]
    chance = zimp.tree_overlap(*pairs[0]).chance
    assert abs(np.mean(shares) - chance) < 4 * np.std(shares) / np.sqrt(len(shares))


def test_forests_that_cannot_overlap_are_refused():
    a, b = zimp.spanning_forest(np.ones((2, 3))), zimp.spanning_forest(np.ones((3, 2)))
    with pytest.raises(
        ValueError, match=r"a belongs to a layer of shape \(2, 3\), but b to one of shape \(3, 2\); both"
    ):
        zimp.tree_overlap(a, b)
    with pytest.raises(ValueError, match="b is a ndarray, not a zimp.SpanningForest; give spanning_forest"):
        zimp.tree_overlap(a, np.ones((2, 3)))
    with pytest.raises(ValueError, match="a has edges that are not in the mask; were they grown in another graph"):
        zimp.tree_overlap(a, a, np.eye(2, 3))


def test_the_overlap_is_the_share_of_the_first_forest():
    whole, part = zimp.spanning_forest([[3.0, 2.0], [1.0, 0.5]]), zimp.spanning_forest(np.eye(2), np.eye(2))
    none = zimp.spanning_forest(np.eye(2), np.zeros((2, 2)))
    assert zimp.tree_overlap(whole, part).share == 1 / 3 and zimp.tree_overlap(part, whole).share == 1 / 2
    assert zimp.tree_overlap(none, whole).share == 1 and zimp.tree_overlap(whole, none).share == 0
