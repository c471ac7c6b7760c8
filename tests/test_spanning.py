"""The fast path, the slow path and scipy give one and the same forest, whatever the layer and wherever they switch."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import gaussian, present
from scipy.sparse import coo_array
from scipy.sparse.csgraph import minimum_spanning_tree

import zimp
from zimp import spanning
from zimp.checks import as_layer
from zimp.spanning import EDGES_PER_NEURON, Magnitudes, TransposedMagnitudes, few_true, magnitudes, spanning_edges


def by_scipy(weights, mask):
    """The forest straight from scipy, on all edges, by ranks that break ties in row-major order: flat indices."""
    m, n = weights.shape
    rows, cols = np.nonzero(present(weights, mask))
    ranks = np.empty(len(rows))
    ranks[np.lexsort((rows * n + cols, -np.abs(weights[rows, cols].astype(float))))] = np.arange(1, len(rows) + 1)
    tree = minimum_spanning_tree(coo_array((ranks, (rows, m + cols)), shape=(m + n, m + n)).tocsr()).tocoo()
    return np.sort(tree.row.astype(np.int64) * n + tree.col - m)


def keys_of(weights, mask=None):
    return magnitudes(as_layer(weights, mask))


def by_slow_path(weights, mask):
    """Kruskal on all edges, in order."""
    exists = present(weights, mask)
    edges = coo_array((weights[exists].astype(np.float64), np.nonzero(exists)), weights.shape)  # scipy has no halves
    return spanning_edges(keys_of(edges))[0]


def assert_all_agree(weights, mask=None):
    layer = keys_of(weights, mask)
    edges, keys = spanning_edges(layer)
    assert edges.dtype == np.int64
    assert np.array_equal(np.sort(edges), by_scipy(weights, mask))
    assert np.array_equal(edges, by_slow_path(weights, mask))
    assert np.array_equal(layer.values(keys), np.abs(weights.ravel()[edges]).astype(np.float64))
    by_columns = keys_of(*(array if array is None else np.asfortranarray(array) for array in (weights, mask)))
    assert isinstance(by_columns, TransposedMagnitudes) or 1 in weights.shape
    other_edges, other_keys = spanning_edges(by_columns)
    assert np.array_equal(other_edges, edges) and np.array_equal(other_keys, keys)


KINDS = {
    "Gaussian": lambda rng, m, n: rng.normal(size=(m, n)),
    "uniform": lambda rng, m, n: rng.uniform(-1, 1, size=(m, n)),
    "rounded": lambda rng, m, n: np.round(rng.normal(size=(m, n)), 1),
    "whole numbers": lambda rng, m, n: np.round(rng.normal(size=(m, n))),
    "all equal": lambda rng, m, n: np.full((m, n), -0.5),
    "all zero": lambda rng, m, n: np.where(rng.random((m, n)) < 0.5, -0.0, 0.0),
    "mostly zero": lambda rng, m, n: rng.normal(size=(m, n)) * (rng.random((m, n)) < 0.01),
    "two values": lambda rng, m, n: (rng.random((m, n)) < 0.03) + 1.0,
    "ascending": lambda rng, m, n: np.sort(rng.random(m * n)).reshape(m, n),
    "descending": lambda rng, m, n: np.sort(rng.random(m * n))[::-1].reshape(m, n),
    "ascending by column": lambda rng, m, n: np.sort(rng.random(m * n)).reshape(n, m).T,
    "every 7th row faint": lambda rng, m, n: rng.normal(size=(m, n)) * np.where(np.arange(m) % 7, 1, 1e-6)[:, None],
    "every 7th column faint": lambda rng, m, n: rng.normal(size=(m, n)) * np.where(np.arange(n) % 7, 1, 1e-6),
    "checkerboard": lambda rng, m, n: rng.normal(size=(m, n)) * np.where(np.indices((m, n)).sum(axis=0) % 2, 1, 1e-3),
    "chain of blocks": lambda rng, m, n: np.exp(-abs(np.subtract.outer(np.arange(m) * n, np.arange(n) * m)) / (m + n)),
    "heavy-tailed": lambda rng, m, n: rng.standard_cauchy(size=(m, n)),
    "subnormal": lambda rng, m, n: rng.integers(-9, 10, size=(m, n)) * 1e-45,
}  # fmt: skip
MASKS = {
    "none": lambda rng, m, n: None,
    "half": lambda rng, m, n: rng.random((m, n)) < 0.5,
    "sparse": lambda rng, m, n: rng.random((m, n)) < 2 / (m + n),
    "blocks": lambda rng, m, n: np.equal.outer(np.arange(m) % 3, np.arange(n) % 3),
    "neurons cut off": lambda rng, m, n: np.outer(rng.random(m) < 0.7, rng.random(n) < 0.7),
}
SETTINGS = list(itertools.product([1, 30, 10**6], [1, 2, 4], [0, 1024]))  # weights in a block, edges a neuron, small


def set_switches(patch, block, edges, small):
    patch.setattr(Magnitudes, "BLOCK", block)
    patch.setattr(spanning, "EDGES_PER_NEURON", edges)
    patch.setattr(spanning, "SMALL", small)


@pytest.mark.parametrize("kind", KINDS)
def test_layers_of_all_hard_kinds(kind, monkeypatch):
    """Small ones, with the switches moved so that each path is taken on them."""
    for masked, form, seed in itertools.product(MASKS, [np.float16, np.float32, np.float64], range(2)):
        rng = np.random.default_rng([*kind.encode(), *masked.encode(), np.dtype(form).itemsize, seed])
        settings = SETTINGS[rng.integers(len(SETTINGS))]
        set_switches(monkeypatch, *settings)
        m, n = rng.integers(1, 40, size=2)
        with np.errstate(over="ignore"):
            weights = np.clip(KINDS[kind](rng, m, n), -60000, 60000).astype(form)
        try:
            assert_all_agree(weights, MASKS[masked](rng, m, n))
        except AssertionError as error:
            error.add_note(f"mask {masked}, {form.__name__}, {m}x{n}, seed {seed}, {settings}")
            raise


@pytest.mark.parametrize(
    ("m", "n"),
    [
        *[(10, 10), (10, 11), (9, 11), (1, 100), (101, 1)],  # all edges up to 100 weights
        *[(6, 40), (7, 40), (40, 6)],  # or if it is no more than twice what is selected
        *[(20, 30), (21, 30), (2, 600), (2, 601), (601, 2)],  # one block of 600 weights, or two
    ],
)
def test_layers_about_each_switch_between_paths(m, n, monkeypatch):
    set_switches(monkeypatch, 600, 2, 100)
    for kind in KINDS:
        assert_all_agree(KINDS[kind](np.random.default_rng(m), m, n).astype(np.float32))


def test_large_layers_at_the_switches_as_they_are():
    rng = np.random.default_rng(0)
    for masked in MASKS:
        assert_all_agree(rng.normal(size=(500, 600)).astype(np.float32), MASKS[masked](rng, 500, 600))
    assert_all_agree(rng.normal(size=(3, Magnitudes.BLOCK // 2)).astype(np.float32))


@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(1, 200))
def test_the_forest_does_not_depend_on_what_is_selected(seed, edges_per_neuron, sampled):
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=rng.integers(2, 60, size=2)).round(int(rng.integers(1, 4)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spanning, "EDGES_PER_NEURON", edges_per_neuron)
        patch.setattr(spanning, "SAMPLED", sampled)
        patch.setattr(spanning, "SMALL", 0)
        assert_all_agree(weights)


def test_about_as_much_is_selected_as_is_wanted():
    wanted = EDGES_PER_NEURON * 1100
    for mask in (None, np.random.default_rng(0).random((500, 600)) < 0.1):
        edges, _, are_all = keys_of(gaussian(500, 600), mask).select()
        assert wanted / 2 < len(edges) < 2 * wanted and not are_all
    for weights in (np.ones((500, 600)), gaussian(500, 600).round(), gaussian(500, 600).round(1), np.zeros((500, 600))):
        edges, _, are_all = keys_of(weights).select()
        assert wanted / 2 < len(edges) < 4 * wanted and not are_all


@pytest.mark.parametrize("share", [0, 0.001, 0.03, 0.5, 1])
def test_true_flags_are_found_whether_they_are_few_or_many(share):
    rng = np.random.default_rng(0)
    for size in (0, 1, 7, 8, 9, 4000, 4001):
        flags = rng.random(size) < share
        assert np.array_equal(few_true(flags), np.flatnonzero(flags))


def test_what_is_selected_comes_first_in_the_order():
    for weights in (gaussian(200, 300), gaussian(200, 300).round(1), np.ones((200, 300))):
        edges, keys, _ = keys_of(weights).select()
        order = np.argsort(-np.abs(weights), axis=None, kind="stable")
        assert np.array_equal(edges, np.sort(order[: len(edges)]))
        assert np.array_equal(keys_of(weights).values(keys), np.abs(weights.ravel()[edges]))


def test_neurons_that_no_edge_reaches_are_looked_at_once(monkeypatch):
    set_switches(monkeypatch, 500, 1, 0)
    mask = np.outer(np.arange(40) > 3, np.arange(50) > 4)
    layer, looked_at = keys_of(gaussian(40, 50), mask), []
    inner = layer.leaving
    monkeypatch.setattr(layer, "leaving", lambda piece, loose: looked_at.append(loose) or inner(piece, loose))
    spanning_edges(layer)
    cut_off = np.append(np.arange(40) <= 3, np.arange(50) <= 4)
    assert len(looked_at) > 1 and np.array_equal(np.sum(looked_at, axis=0)[cut_off], np.ones(9))


def test_the_layer_is_not_copied():
    for weights in (gaussian(50, 60), gaussian(50, 60).astype(np.float32), torch.tensor(gaussian(50, 60)).bfloat16()):
        bits = weights.view(torch.int16).numpy() if isinstance(weights, torch.Tensor) else weights
        assert np.shares_memory(keys_of(weights).bits, bits)
    assert np.shares_memory(keys_of(bits[::2, ::3].view(np.float16)).bits, bits)


def test_selecting_takes_no_memory_to_speak_of():
    import tracemalloc

    weights = np.random.default_rng(0).standard_normal((2000, 3000), dtype=np.float32)
    tracemalloc.start()
    zimp.spanning_forest(weights)
    zimp.safe_density(weights)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < weights.nbytes / 4


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_tensors_of_each_precision_have_the_forest_of_their_values(dtype):
    weights = torch.tensor(gaussian(70, 80)).to(dtype)
    first, second = zimp.spanning_forest(weights), zimp.spanning_forest(weights.double())
    assert np.array_equal(first.mask, second.mask) and np.array_equal(first.values, second.values)


def test_bytes_in_the_other_order_are_read_as_such():
    weights = gaussian(70, 80)
    swapped = weights.astype(weights.dtype.newbyteorder())
    assert np.array_equal(zimp.spanning_forest(swapped).mask, zimp.spanning_forest(weights).mask)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -np.nan])
def test_one_weight_that_is_not_finite_is_found_wherever_it_is(value, monkeypatch):
    monkeypatch.setattr(Magnitudes, "BLOCK", 500)
    for shape, dtype, masked in itertools.product([(5, 6), (70, 80)], [np.float16, np.float32, np.float64], [0, 1]):
        rng = np.random.default_rng(shape)
        weights, mask = rng.normal(size=shape).astype(dtype), np.zeros(shape, dtype=bool) if masked else None
        row, col = rng.integers(shape)
        weights[row, col] = value
        for layer in (weights, torch.tensor(weights), np.asfortranarray(weights), torch.tensor(weights).bfloat16()):
            for function in (zimp.spanning_forest, zimp.safe_density):
                with pytest.raises(ValueError, match=rf"weights\[{row}, {col}\] is .*; all weights must be finite"):
                    function(layer, mask)


@pytest.mark.parametrize("kind", KINDS)
def test_the_safe_density_counts_the_edges_up_to_the_last_of_the_tree(kind, monkeypatch):
    monkeypatch.setattr(Magnitudes, "BLOCK", 500)
    for m, n in ((7, 9), (40, 60)):
        rng = np.random.default_rng(m)
        weights = KINDS[kind](rng, m, n).astype(np.float32)
        for mask in (None, rng.random((m, n)) < 0.5):
            exists = present(weights, mask)
            order = np.argsort(-np.where(exists, np.abs(weights), -1), axis=None, kind="stable")
            forest, safe = zimp.topology.forest_and_safe_density(as_layer(weights, mask))
            last = np.flatnonzero(np.isin(order, forest.rows * n + forest.cols)).max()
            assert safe == zimp.safe_density(weights, mask) == (last + 1) / (m * n)
            assert type(safe) is float and zimp.safe_density(np.asfortranarray(weights), mask) == safe
            assert zimp.safe_density(coo_array((weights[exists], np.nonzero(exists)), (m, n))) == safe
            assert zimp.safe_density(torch.tensor(weights.T.copy()).T, mask) == safe
