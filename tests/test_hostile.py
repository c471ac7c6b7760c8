"""Hostile inputs: whatever a public function is handed, it works as with a plain array, or says what is wrong.

``tests/test_errors.py`` has the messages; here is that there is always one, and never a wrong answer instead.
"""

import json
import math
import tempfile
import traceback
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from fuzz.loaders import TARGETS, WEIGHTS, saved, try_bytes
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, scalar_dtypes
from reference import kruskal
from scipy.sparse import coo_array
from scipy.sparse.linalg import aslinearoperator
from torch import nn
from torch.masked import masked_tensor
from torch.nn.utils import parametrizations, parametrize
from torch.nn.utils import prune as torch_prune

import zimp
from zimp.lab import experiments, training
from zimp.reports.checkpoints import open_network

PLAIN = np.round(np.random.default_rng(0).normal(size=(3, 4)), 2)
TENSOR = torch.from_numpy(PLAIN)
POINTS = np.random.default_rng(0).normal(size=(12, 2))
PACKAGE = Path(zimp.__file__).parent


class Subclass(torch.Tensor):
    pass


class ArrayLike:
    def __array__(self, dtype=None, copy=None):
        return PLAIN


def misaligned(array):
    return np.frombuffer(b"x" + array.tobytes(), array.dtype, offset=1).reshape(array.shape)


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def stored(array):
    """A sparse array of all entries, zeros too."""
    return coo_array((array.ravel(), np.indices(array.shape).reshape(2, -1)), array.shape)


# One layer in many forms

FORMS = {
    "nested lists": np.ndarray.tolist,
    "rows in a tuple": lambda array: tuple(torch.from_numpy(row) for row in array.copy()),
    "stored by columns": np.asfortranarray,
    "negative strides": lambda array: array[::-1, ::-1].copy()[::-1, ::-1],
    "every third of a larger one": lambda array: np.repeat(np.repeat(array, 2, 0), 3, 1)[::2, ::3],
    "read-only": read_only,
    "misaligned": misaligned,
    "big-endian": lambda array: array.astype(">f8"),
    "np.matrix": np.matrix,
    "a masked array that hides nothing": np.ma.array,
    "tensor": lambda array: torch.from_numpy(array.copy()),
    "tensor by columns": lambda array: torch.from_numpy(array.T.copy()).T,
    "tensor that requires a gradient": lambda array: torch.from_numpy(array.copy()).requires_grad_(),
    "parameter": lambda array: nn.Parameter(torch.from_numpy(array.copy())),
    "subclass of a tensor": lambda array: torch.from_numpy(array.copy()).as_subclass(Subclass),
    "tensor with its negative bit set": lambda array: torch.complex(torch.zeros(array.shape).double(),
                                                                    -torch.from_numpy(array.copy())).conj().imag,
}  # fmt: skip
READERS = {
    "spanning_forest": zimp.spanning_forest,
    "persistence_diagram": zimp.persistence_diagram,
    "betti_curve": lambda weights: zimp.betti_curve(weights, [0.0, 0.3, 0.9]),
    "neural_persistence": zimp.neural_persistence,
    "safe_density": zimp.safe_density,
    "ripser_diagram": zimp.ripser_diagram,
    "gudhi_diagram": zimp.gudhi_diagram,
    "magnitude_mask": lambda weights: zimp.magnitude_mask(weights, 2),
    "topological_mask": lambda weights: zimp.topological_mask(weights, np.sum(np.shape(weights)) - 1),
    "topological_scores": zimp.topological_scores,
    "layer_graph": lambda weights: zimp.layer_graph(weights).weights,
    "stitched_graph": lambda weights: zimp.stitched_graph([weights]).weights.toarray(),
}
ELEMENTS = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, -0.0, 5e-324, -2e-310, 1e308, 1.0])


def plainly(result):
    """Something that compares by ``==``, of what any of these functions return."""
    if isinstance(result, zimp.SpanningForest):
        return [part.tolist() for part in (result.rows, result.cols, result.values)], result.scale, result.n_components
    return result.tolist() if hasattr(result, "tolist") else result


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # numpy's, of np.matrix
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@given(weights=arrays(np.float64, array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=5), elements=ELEMENTS))
@settings(max_examples=10)
def test_a_layer_is_the_same_in_any_form(form, weights):
    for name, read in READERS.items():
        assert plainly(read(form(weights))) == plainly(read(weights)), name


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "bsr", "dia", "dok", "lil"])
def test_a_forest_is_the_same_of_any_sparse_array(form):
    expected = plainly(zimp.spanning_forest(PLAIN))
    assert plainly(zimp.spanning_forest(stored(PLAIN).asformat(form))) == expected


@given(arrays(scalar_dtypes(), array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4)))
@settings(max_examples=120)
def test_what_is_no_finite_matrix_of_real_numbers_is_refused_and_all_else_has_the_right_tree(weights):
    kind, size = weights.dtype.kind, weights.dtype.itemsize
    real = kind in "iu" and all(abs(int(weight)) <= 2**53 for weight in weights.flat) or kind == "f" and size <= 8
    if weights.ndim == 2 and weights.size and real and np.isfinite(weights).all():
        forest = zimp.spanning_forest(weights)
        assert list(zip(forest.rows, forest.cols, forest.values)) == kruskal(weights)
    else:
        with pytest.raises(ValueError, match="^(weights|integer weights)"):
            zimp.spanning_forest(weights)


@pytest.mark.parametrize("shape", [(1, 4000), (4000, 1), (1, 1), (2, 2000)])
def test_layers_of_extreme_shapes_have_their_tree(shape):
    weights = np.random.default_rng(0).normal(size=shape)
    forest = zimp.spanning_forest(weights)
    assert forest.values.tolist() == [value for _, _, value in kruskal(weights)]


# Anything at all for each argument

with warnings.catch_warnings():  # of torch, about layouts that it may change
    warnings.simplefilter("ignore")
    STRANGERS = {
        "None": None,
        "a number": 3,
        "a float": 2.5,
        "a negative number": -1,
        "NaN": math.nan,
        "infinity": math.inf,
        "a huge number": 2**80,
        "text": "abc",
        "bytes": b"abc",
        "a dict": {"a": 1},
        "a set": {1.0},
        "an empty list": [],
        "a function": len,
        "ragged rows": [[1.0, 2.0], [3.0]],
        "a row and a number": [[1.0, 2.0], 3.0],
        "objects": PLAIN.astype(object),
        "words": PLAIN.astype(str),
        "dates": np.ones((3, 4), "M8[s]"),
        "a structured array": np.zeros((3, 4), [("a", float)]),
        "long doubles": PLAIN.astype(np.longdouble),
        "complex numbers": PLAIN.astype(complex),
        "NaN among numbers": np.where(PLAIN > 1, np.nan, PLAIN),
        "a masked array": np.ma.masked_array(PLAIN, PLAIN > 1),
        "all masked": np.ma.masked_all((3, 4)),
        "an array": PLAIN,
        "an array of no dimension": np.array(3.0),
        "a vector": PLAIN[0],
        "five dimensions": PLAIN[None, None, None],
        "no entries": np.ones((0, 4)),
        "an array-like": ArrayLike(),
        "a linear operator": aslinearoperator(PLAIN),
        **{f"a sparse array in {form}": stored(PLAIN).asformat(form) for form in ("csr", "coo", "dia", "dok")},
        "a sparse vector": coo_array(PLAIN[0]),
        "a tensor": TENSOR,
        "a tensor of one number": torch.tensor(3.0),
        "booleans": TENSOR > 0,
        "complex halves": TENSOR.to(torch.complex32),
        "a conjugate": TENSOR.to(torch.complex64).conj(),
        **{f"{dtype}": TENSOR.to(dtype) for dtype in (torch.float8_e4m3fn, torch.float8_e5m2, torch.uint16)},
        "a sparse tensor": TENSOR.to_sparse(),
        "a sparse tensor by rows": TENSOR.to_sparse_csr(),
        "a nested tensor": torch.nested.nested_tensor([torch.ones(2, 3), torch.ones(1, 3)]),
        "a masked tensor": masked_tensor(TENSOR.float(), TENSOR > 0),
        "a meta tensor": TENSOR.to("meta"),
        "a parameter not initialised": nn.parameter.UninitializedParameter(),
        "a layer": nn.Linear(4, 3),
        "a class of layers": nn.Linear,
    }

    if hasattr(torch, "quantize_per_tensor"):  # which torch is to lose
        STRANGERS["a quantised tensor"] = torch.quantize_per_tensor(TENSOR.float(), 0.01, 0, torch.qint8)

ONES, LAYER = np.ones((3, 4)), lambda: nn.Linear(4, 3)
IMAGES = zimp.Split(torch.rand(6, 4, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 3)
KERNELS = np.ones((2, 2, 3, 3))


def hold_masks(layer, masks):
    return zimp.hold(zimp.adam(layer.parameters()), layer, masks)


ARGUMENTS = {  # each argument of each public function, by what takes its place
    "spanning_forest(_)": zimp.spanning_forest,
    "spanning_forest(mask=_)": lambda _: zimp.spanning_forest(ONES, _),
    "spanning_forest(tensor, mask=_)": lambda _: zimp.spanning_forest(torch.ones(3, 4), _),
    "persistence_diagram(_)": zimp.persistence_diagram,
    "persistence_diagram(scale=_)": lambda _: zimp.persistence_diagram(ONES, scale=_),
    "tree_overlap(_)": lambda _: zimp.tree_overlap(zimp.spanning_forest(ONES), _),
    "tree_overlap(mask=_)": lambda _: zimp.tree_overlap(*2 * [zimp.spanning_forest(ONES)], _),
    "betti_curve(_)": lambda _: zimp.betti_curve(_, 0.5),
    "betti_curve(thresholds=_)": lambda _: zimp.betti_curve(ONES, _),
    "count_components(_)": zimp.count_components,
    "safe_density(_)": zimp.safe_density,
    "neural_persistence(_)": zimp.neural_persistence,
    "neural_persistence(p=_)": lambda _: zimp.neural_persistence(ONES, p=_),
    "neural_persistence(scale=_)": lambda _: zimp.neural_persistence(ONES, scale=_),
    "neural_persistence(convention=_)": lambda _: zimp.neural_persistence(ONES, convention=_),
    "critical_compression(_)": lambda _: zimp.critical_compression(_, 3),
    "spatial_critical_compression(_)": lambda _: zimp.spatial_critical_compression(_, 8),
    "spatial_sizes(_)": lambda _: zimp.spatial_sizes(_, 3),
    "spatial_sizes(kernel=_)": lambda _: zimp.spatial_sizes((8, 8), _),
    "retention_bound(_)": lambda _: zimp.retention_bound(_, 3, 4),
    "connectivity_density(_)": lambda _: zimp.connectivity_density(3, _),
    "connectivity_density(probability=_)": lambda _: zimp.connectivity_density(3, 4, _),
    "cross_check(_)": zimp.cross_check,
    "ripser_diagram(_)": zimp.ripser_diagram,
    "gudhi_diagram(_)": zimp.gudhi_diagram,
    "gudhi_diagram(mask=_)": lambda _: zimp.gudhi_diagram(ONES, _),
    "prunable(_)": zimp.prunable,
    "layer_graph(_)": zimp.layer_graph,
    "layer_graph(mask=_)": lambda _: zimp.layer_graph(ONES, _),
    "layer_graph(view=_)": lambda _: zimp.layer_graph(ONES, view=_),
    "layer_graph(groups=_)": lambda _: zimp.layer_graph(ONES, groups=_),
    "layer_graph(input_size=_)": lambda _: zimp.layer_graph(KERNELS, view="spatial", input_size=_),
    "layer_graph(padding=_)": lambda _: zimp.layer_graph(KERNELS, view="spatial", input_size=(8, 8), padding=_),
    "stitched_graph(_)": zimp.stitched_graph,
    "stitched_graph([_])": lambda _: zimp.stitched_graph([_]),
    "stitched_graph(masks=_)": lambda _: zimp.stitched_graph([ONES], _),
    "tree_sizes(_)": zimp.tree_sizes,
    "tree_sizes(input_size=_)": lambda _: zimp.tree_sizes(nn.Conv2d(1, 2, 3), view="spatial", input_size=_),
    "magnitude_mask(_)": lambda _: zimp.magnitude_mask(_, 1),
    "magnitude_mask(keep=_)": lambda _: zimp.magnitude_mask(ONES, _),
    "magnitude_mask(mask=_)": lambda _: zimp.magnitude_mask(ONES, 0, _),
    "random_mask(_)": lambda _: zimp.random_mask(_, 1),
    "random_mask(generator=_)": lambda _: zimp.random_mask(ONES, 1, generator=_),
    "topological_mask(_)": lambda _: zimp.topological_mask(_, 6),
    "topological_mask(groups=_)": lambda _: zimp.topological_mask(ONES, 6, groups=_),
    "topological_scores(_)": zimp.topological_scores,
    "prune(_)": zimp.prune,
    "prune(masks=_)": lambda _: zimp.prune(LAYER(), _),
    "prune(masks={'weight': _})": lambda _: zimp.prune(LAYER(), {"weight": _}),
    "prune(rate=_)": lambda _: zimp.prune(LAYER(), rate=_),
    "prune(keep=_)": lambda _: zimp.prune(LAYER(), keep=_),
    "prune(keep={'weight': _})": lambda _: zimp.prune(LAYER(), keep={"weight": _}),
    "apply_masks(_)": lambda _: zimp.apply_masks(_, None),
    "apply_masks(masks=_)": lambda _: zimp.apply_masks(LAYER(), _),
    "masks_of(_)": zimp.masks_of,
    "mask_facts(_)": lambda _: zimp.mask_facts(_, None),
    "mask_facts(masks=_)": lambda _: zimp.mask_facts(LAYER(), _),
    "mask_facts(before=_)": lambda _: zimp.mask_facts(LAYER(), None, _),
    "hold(_)": lambda _: zimp.hold(_, LAYER(), None),
    "hold(model=_)": lambda _: zimp.hold(zimp.adam(LAYER().parameters()), _, None),
    "hold(masks=_)": lambda _: hold_masks(LAYER(), _),
    "run_levels(_)": lambda _: list(zimp.run_levels(_)),
    "prune(criterion=_)": lambda _: zimp.prune(LAYER(), criterion=_),
    "prune(scope=_)": lambda _: zimp.prune(LAYER(), scope=_),
    "TopologicalUnstructured(_)": zimp.TopologicalUnstructured,
    "TopologicalUnstructured.apply(_)": lambda _: zimp.TopologicalUnstructured.apply(_, "weight", 1),
    "TopologicalUnstructured.apply(name=_)": lambda _: zimp.TopologicalUnstructured.apply(LAYER(), _, 1),
    "TopologicalUnstructured.apply(amount=_)": lambda _: zimp.TopologicalUnstructured.apply(LAYER(), "weight", _),
    "TopologicalUnstructured.apply(importance_scores=_)": lambda _: zimp.TopologicalUnstructured.apply(
        LAYER(), "weight", 1, importance_scores=_
    ),
    "lenet_300_100(_)": zimp.lenet_300_100,
    "lenet_300_100(classes=_)": lambda _: zimp.lenet_300_100(64, _),
    "small_mlp(_)": zimp.small_mlp,
    "small_mlp(hidden=_)": lambda _: zimp.small_mlp(64, _),
    "small_conv(_)": zimp.small_conv,
    "small_conv(size=_)": lambda _: zimp.small_conv(1, _),
    "load_data(_)": zimp.load_data,
    "train(_)": lambda _: zimp.train(_, None, IMAGES, steps=1, seed=0),
    "train(masks=_)": lambda _: zimp.train(LAYER(), _, IMAGES, steps=1, seed=0),
    "train(split=_)": lambda _: zimp.train(LAYER(), None, _, steps=1, seed=0),
    "train(steps=_)": lambda _: zimp.train(LAYER(), None, IMAGES, steps=min(_, 3) if isinstance(_, int) else _, seed=0),
    "train(seed=_)": lambda _: zimp.train(LAYER(), None, IMAGES, steps=1, seed=_),
    "train(snapshot_at=_)": lambda _: zimp.train(LAYER(), None, IMAGES, steps=1, seed=0, snapshot_at=_),
    "accuracy(_)": lambda _: zimp.accuracy(_, IMAGES),
    "accuracy(split=_)": lambda _: zimp.accuracy(LAYER(), _),
    "train_together(_)": lambda _: zimp.train_together(_, [None], IMAGES, steps=1, seeds=[0]),
    "train_together(masks=_)": lambda _: zimp.train_together([LAYER()], _, IMAGES, steps=1, seeds=[0]),
    "train_together(seeds=_)": lambda _: zimp.train_together([LAYER()], [None], IMAGES, steps=1, seeds=_),
    "barrier(_)": lambda _: zimp.barrier(_, LAYER(), IMAGES),
    "barrier(split=_)": lambda _: zimp.barrier(LAYER(), LAYER(), _),
    "barrier(points=_)": lambda _: zimp.barrier(
        LAYER(), LAYER(), IMAGES, points=min(_, 3) if isinstance(_, int) else _
    ),
    "barrier(metric=_)": lambda _: zimp.barrier(LAYER(), LAYER(), IMAGES, metric=_),
    "shrimp(_)": lambda _: zimp.shrimp(_, POINTS[:, 0], order=1, features=4),
    "shrimp(y=_)": lambda _: zimp.shrimp(POINTS, _, order=1, features=4),
    "shrimp(order=_)": lambda _: zimp.shrimp(POINTS, POINTS[:, 0], order=_, features=4),
    "shrimp(features=_)": lambda _: zimp.shrimp(
        POINTS, POINTS[:, 0], order=1, features=min(_, 4) if isinstance(_, int) else _
    ),
    "shrimp(rate=_)": lambda _: zimp.shrimp(POINTS, POINTS[:, 0], order=1, features=4, rate=_),
    "shrimp(ridge=_)": lambda _: zimp.shrimp(POINTS, POINTS[:, 0], order=1, features=4, ridge=_),
    "shrimp(seed=_)": lambda _: zimp.shrimp(POINTS, POINTS[:, 0], order=1, features=4, seed=_),
    "hessian_trace(_)": lambda _: zimp.hessian_trace(_, IMAGES, probes=2, seed=0),
    "hessian_trace(split=_)": lambda _: zimp.hessian_trace(LAYER(), _, probes=2, seed=0),
    "hessian_trace(masks=_)": lambda _: zimp.hessian_trace(LAYER(), IMAGES, _, probes=2, seed=0),
    "hessian_trace(probes=_)": lambda _: zimp.hessian_trace(
        LAYER(), IMAGES, probes=min(_, 3) if isinstance(_, int) else _, seed=0
    ),
    "hessian_trace(scale=_)": lambda _: zimp.hessian_trace(LAYER(), IMAGES, probes=2, seed=0, scale=_),
    "top_eigenvalue(_)": lambda _: zimp.top_eigenvalue(_, IMAGES, seed=0),
    "top_eigenvalue(seed=_)": lambda _: zimp.top_eigenvalue(LAYER(), IMAGES, seed=_),
    "basin_radii(_)": lambda _: zimp.basin_radii(_, IMAGES, cutoff=9, directions=2, seed=0),
    "basin_radii(cutoff=_)": lambda _: zimp.basin_radii(LAYER(), IMAGES, cutoff=_, directions=2, seed=0),
    "basin_radii(directions=_)": lambda _: zimp.basin_radii(
        LAYER(), IMAGES, cutoff=9, directions=min(_, 3) if isinstance(_, int) else _, seed=0
    ),
    "loss_plane(_)": lambda _: zimp.loss_plane(_, IMAGES, extent=1, points=2, seed=0),
    "loss_plane(extent=_)": lambda _: zimp.loss_plane(LAYER(), IMAGES, extent=_, points=2, seed=0),
    "loss_plane(points=_)": lambda _: zimp.loss_plane(
        LAYER(), IMAGES, extent=1, points=min(_, 3) if isinstance(_, int) else _, seed=0
    ),
    "rescale(_)": lambda _: zimp.rescale(_, {}),
    "rescale(factors=_)": lambda _: zimp.rescale(nn.Sequential(LAYER(), nn.ReLU(), nn.Linear(3, 2)), _),
    "rescale(numbers=_)": lambda _: zimp.rescale(nn.Sequential(LAYER(), nn.ReLU(), nn.Linear(3, 2)), {"0.weight": _}),
    "report(_)": zimp.report,
    "report(density=_)": lambda _: zimp.report(LAYER(), density=_),
    "report(jobs=_)": lambda _: zimp.report(LAYER(), jobs=min(_, 2) if isinstance(_, int) else _),
    "explorer(x=_)": lambda _: zimp.explorer(lambda x: None, lambda x: "", x=_),
    "play(_)": lambda _: zimp.play(_, view="swaps"),
    "play(mask=_)": lambda _: zimp.play(ONES, _, view="swaps"),
    "play(view=_)": lambda _: zimp.play(ONES, view=_),
}
SIZES = [
    ARGUMENTS[name]
    for name in (
        "lenet_300_100(_)", "lenet_300_100(classes=_)", "small_mlp(_)", "small_mlp(hidden=_)",
        "small_conv(_)", "small_conv(size=_)",
        "layer_graph(input_size=_)", "layer_graph(padding=_)", "tree_sizes(input_size=_)",
    )
]  # fmt: skip
# Classes that hold what was checked before, and what takes a run's arguments: tests/test_errors.py has those.
ELSEWHERE = {
    "SpanningForest", "LayerGraph", "Data", "Split", "TrainingDiverged", "Report", "Record",
    "iterative_magnitude_pruning", "swamp", "adam", "KeptLevel", "TreeOverlap", "Barrier", "Shrimp",
    "HessianTrace",
}  # fmt: skip


def assert_works_or_says_what_is_wrong(call, *arguments, also=()):
    """An error is a ValueError that our own code raises, or of a documented kind."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call(*arguments)
    except also:
        pass
    except ValueError as error:
        raised_in = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
        assert PACKAGE in raised_in.parents, f"this is no error of ours: {error}"


@pytest.mark.parametrize("call", ARGUMENTS.values(), ids=ARGUMENTS)
def test_a_stranger_for_an_argument_works_or_is_named(call):
    also = {zimp.report: FileNotFoundError, ARGUMENTS["run_levels(_)"]: NotADirectoryError}.get(call, ())
    if call is ARGUMENTS["tree_sizes(input_size=_)"]:
        also = RuntimeError  # of the network, when it is run on an image that it is not made for
    for name, stranger in STRANGERS.items():
        if call in SIZES and name == "a huge number":
            continue  # of neurons or pixels: no memory holds them
        try:
            assert_works_or_says_what_is_wrong(call, stranger, also=also)
        except Exception as error:
            error.add_note(f"The argument was {name}.")
            raise


def test_each_public_function_meets_strangers():
    assert {call.partition("(")[0].partition(".")[0] for call in ARGUMENTS} == set(zimp.__all__) - ELSEWHERE


# Networks


def twice():
    layer = nn.Linear(4, 4)
    return nn.Sequential(layer, nn.ReLU(), layer, nn.Linear(4, 3))


def tied():
    network = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.Linear(4, 3))
    network[2].weight = network[0].weight
    return network


class TiedEmbedding(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.head = nn.Embedding(3, 4), nn.Linear(4, 3, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x):
        return self.head(x)


class Same(nn.Module):
    def forward(self, x):
        return x


def with_weight(change):
    def build():
        layer = nn.Linear(4, 3)
        layer.weight = nn.Parameter(change(layer.weight.detach()), requires_grad=False)
        layer.bias.requires_grad_(True)
        return layer

    return build


def hooked():
    layer = nn.Linear(4, 3)
    layer.register_forward_hook(lambda module, inputs, output: 2 * output)
    layer.weight.register_hook(lambda gradient: gradient)
    return layer


def half_frozen():
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3))
    network[0].requires_grad_(False)
    return network


def pruned():
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3))
    torch_prune.l1_unstructured(network[0], "weight", amount=3)
    return network


def without_weight():
    layer = nn.Linear(4, 3)
    layer.weight = None
    return layer


def with_parametrised_bias():
    layer = nn.Linear(4, 3)
    parametrize.register_parametrization(layer, "bias", Same())
    return layer


NETWORKS = {
    "a layer used twice": twice,
    "tied weights": tied,
    "a tied embedding": TiedEmbedding,
    "hooks": hooked,
    "a frozen layer": half_frozen,
    "all frozen": lambda: nn.Linear(4, 3).requires_grad_(False),
    "not initialised": lambda: nn.Sequential(nn.LazyLinear(4), nn.Linear(4, 3)),
    "parametrised": lambda: nn.Sequential(parametrizations.weight_norm(nn.Linear(4, 4)), nn.Linear(4, 3)),
    "a parametrised bias": with_parametrised_bias,
    "spectral norm of old": lambda: nn.Sequential(nn.utils.spectral_norm(nn.Linear(4, 4)), nn.Linear(4, 3)),
    "pruned": pruned,
    "without weight": without_weight,
    "on the meta device": lambda: nn.Linear(4, 3, device="meta"),
    "partly on the meta device": lambda: nn.Sequential(nn.Linear(4, 4, device="meta"), nn.Linear(4, 3)),
    "halves of 8 bits": with_weight(lambda weight: weight.to(torch.float8_e4m3fn)),
    "whole numbers": with_weight(lambda weight: (100 * weight).to(torch.int8)),
    "sparse weights": with_weight(torch.Tensor.to_sparse),
    "one row for all": with_weight(lambda weight: weight[:1].expand(3, 4)),
    "transposed weights": with_weight(lambda weight: weight.T.contiguous().T),
    "NaN": with_weight(lambda weight: weight / 0 * 0),
    "no weights": lambda: nn.Sequential(nn.Linear(4, 0), nn.Linear(0, 3)),
    "no layers": nn.Sequential,
    "no layer that is pruned": lambda: nn.Embedding(4, 3),
    "recurrent, with a state beside its output": lambda: nn.LSTM(4, 3),
    "compiled": lambda: torch.compile(nn.Sequential(nn.Linear(4, 3)), backend="eager"),
    "traced": lambda: torch.jit.trace(nn.Sequential(nn.Linear(4, 3)), torch.ones(1, 4)),
}
READ_ONLY = {
    "prunable": zimp.prunable,
    "tree_sizes": zimp.tree_sizes,
    "spatial tree_sizes": lambda network: zimp.tree_sizes(network, view="spatial", input_size=(4,)),
    **{
        f"prune {criterion} {scope}": lambda network, criterion=criterion, scope=scope: zimp.prune(
            network, rate=0.3, criterion=criterion, scope=scope
        )
        for criterion in ("magnitude", "topological", "random")
        for scope in ("layer", "global")
    },
    "report": lambda network: zimp.report(network).table(),
    "open_network": open_network,
}


def build(name):
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return NETWORKS[name]()


# What a network raises when it is run is its own affair.
CANNOT_RUN = ("sparse weights", "no layer that is pruned", "recurrent, with a state beside its output")


@pytest.mark.parametrize("name", NETWORKS)
def test_a_strange_network_is_read_or_refused_and_left_as_it_was(name):
    network = build(name)
    parameters = dict(network.named_parameters(remove_duplicate=False))
    for call in READ_ONLY.values():
        also = RuntimeError if name in CANNOT_RUN and call is READ_ONLY["spatial tree_sizes"] else ()
        assert_works_or_says_what_is_wrong(call, network, also=also)
        after = dict(network.named_parameters(remove_duplicate=False))
        assert after.keys() == parameters.keys()
        assert all(after[key] is parameters[key] for key in parameters)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_strange_network_is_trained_or_refused(name):
    def trained(masks_of):
        network = build(name)
        masks = masks_of(network)
        zimp.train(network, masks, IMAGES, steps=3, seed=0, batch_size=3)
        for key, mask in (masks or {}).items():
            assert not zimp.prunable(network)[key][~mask].any()

    if name == "recurrent, with a state beside its output":
        with pytest.raises(TypeError, match="must be Tensor, not tuple"):  # torch's, of the loss
            trained(lambda network: None)
        return

    def trained_together():
        zimp.train_together([build(name), build(name)], [None, None], IMAGES, steps=3, seeds=[0, 1], batch_size=3)

    assert_works_or_says_what_is_wrong(trained, lambda network: None, also=zimp.TrainingDiverged)
    assert_works_or_says_what_is_wrong(trained, lambda network: zimp.prune(network, rate=0.3))
    assert_works_or_says_what_is_wrong(trained_together, also=zimp.TrainingDiverged)


# A test for each bug that was found


def test_the_spatial_tree_sizes_leave_a_layer_that_is_used_twice_its_weights():
    # torch's functional_call, given both names of the layer, left it without numbers.
    layer = nn.Conv2d(2, 2, 3, padding=1)
    weight = layer.weight
    zimp.tree_sizes(nn.Sequential(layer, nn.ReLU(), layer), view="spatial", input_size=(2, 8, 8))
    assert layer.weight is weight and not weight.is_meta


@pytest.mark.parametrize("name", ["a layer used twice", "tied weights"])
def test_networks_with_a_layer_used_twice_train_together_as_they_do_alone(name):
    settings = {"steps": 20, "batch_size": 3}
    alone, together = build(name), [build(name), build(name)]
    zimp.train(alone, None, IMAGES, seed=0, **settings)
    zimp.train_together(together, [None, None], IMAGES, seeds=[0, 1], **settings)
    for parameter, other in zip(alone.parameters(), together[0].parameters(), strict=True):
        assert torch.allclose(parameter, other, atol=1e-5)


def test_one_number_at_several_places_is_not_trained():
    # The fused Adam writes beyond the memory of such a weight, which ends the process.
    with pytest.raises(ValueError, match=r"weight holds one number in several positions, as after expand\(\)"):
        zimp.train(build("one row for all"), None, IMAGES, steps=1, seed=0)


def test_a_masked_array_is_not_read_as_if_nothing_were_hidden():
    hidden = np.ma.masked_array([[9.0, 1.0]], [[True, False]])
    with pytest.raises(ValueError, match="a masked array hides weights that still exist"):
        zimp.spanning_forest(hidden)
    assert zimp.spanning_forest(hidden.data, ~hidden.mask).values.tolist() == [1.0]


def test_a_zip_of_several_disks_is_refused(tmp_path):
    # Python's zipfile raises an error of its own for this, even when asked only whether it is a zip.
    path = tmp_path / "net.pt"
    path.write_bytes(saved(WEIGHTS) + b"PK\x06\x07" + (1).to_bytes(4, "little") + bytes(8) + (2).to_bytes(4, "little")
                     + b"PK\x05\x06" + bytes(18))  # fmt: skip
    with pytest.raises(ValueError, match="net.pt begins as torch.save or Keras writes, but is truncated or damaged"):
        open_network(path)


def test_an_index_that_is_nested_without_end_is_refused(tmp_path):
    path = tmp_path / "net.safetensors.index.json"
    path.write_text('{"weight_map": ' + "[" * 200_000)
    with pytest.raises(ValueError, match="must be an index of shards"):
        open_network(path)


# Files


@pytest.mark.parametrize("load", [zimp.Record.load, experiments.Results.load])
@pytest.mark.parametrize("content", ['{"rows": ' + "[" * 200_000, "[" * 200_000])
def test_deeply_nested_brackets_are_no_record_and_no_results(load, content, tmp_path):
    (tmp_path / "file.json").write_text(content)
    with pytest.raises(ValueError, match="holds no record of a run|holds no results of a sweep"):
        load(tmp_path / "file.json")


@pytest.mark.parametrize(
    ("load", "content"),
    [
        (zimp.Record.load, {"config": {}, "versions": {}, "rows": [3]}),
        (experiments.Results.load, {"sweep": {}, "fingerprint": "", "made": {}, "values": [1]}),
        (experiments.Results.load, {"sweep": {}, "fingerprint": "", "made": {}, "values": {"magnitude": 1}}),
    ],
)
def test_parts_of_other_types_are_no_record_and_no_results(load, content, tmp_path):
    (tmp_path / "file.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="its (rows|values) is of another type"):
        load(tmp_path / "file.json")


@pytest.mark.parametrize("target", TARGETS)
@given(data=st.data())
@settings(max_examples=25)
def test_a_file_with_wrong_bytes_is_read_or_refused(target, data):
    content = bytearray(data.draw(st.sampled_from(TARGETS[target][-1])))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        content[start : start + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try_bytes(target, bytes(content), Path(folder))


# Subnormal numbers


@pytest.fixture
def flushing():
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor does not flush subnormal numbers")
    yield
    torch.set_flush_denormal(False)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("tensor", [False, True])
def test_a_layer_of_subnormal_weights_has_the_same_tree_where_they_are_flushed(dtype, tensor, flushing):
    multiples = np.random.default_rng(0).integers(-60, 60, (80, 50))
    torch.set_flush_denormal(False)
    weights = (multiples * float(np.finfo(dtype).smallest_subnormal)).astype(dtype)
    expected = zimp.spanning_forest(multiples)
    torch.set_flush_denormal(True)
    forest = zimp.spanning_forest(torch.from_numpy(weights) if tensor else weights)
    assert np.array_equal(forest.rows, expected.rows) and np.array_equal(forest.cols, expected.cols)


def subnormal(tensor):
    return int(((tensor != 0) & (tensor.abs() < torch.finfo(tensor.dtype).tiny)).sum())


def after_dying(monkeypatch, train, drop):
    """A network that has a dead neuron from the start, trained on for long; its weights and Adam's averages."""
    if not drop:
        monkeypatch.setattr("zimp.lab.training.drop_subnormals", lambda optimizer: None)
        monkeypatch.setattr("zimp.lab.together.drop_subnormals", lambda optimizer: None)
    torch.manual_seed(0)
    network, optimizers = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), []

    def adam(parameters):
        optimizers.append(zimp.adam(parameters))
        return optimizers[0]

    settings = {"steps": 1400, "batch_size": 3, "optimizer": adam}
    network.register_forward_pre_hook(kill_after(10))
    train(network, settings)
    averages = [state["exp_avg"] for state in optimizers[0].state.values()]
    return [parameter.detach() for parameter in network.parameters()], averages


def kill_after(steps):
    """A hook by which some inputs are zero after so many steps."""
    seen = []

    def hook(module, inputs):
        seen.append(None)
        return (inputs[0] * torch.tensor([1.0, 1.0, 0.0, 0.0]),) if len(seen) > steps else None

    return hook


def alone(network, settings):
    zimp.train(network, None, IMAGES, seed=0, **settings)


def together(network, settings):
    zimp.train_together([network], [None], IMAGES, seeds=[0], **settings)


@pytest.mark.slow
@pytest.mark.parametrize("train", [alone, together])
def test_averages_do_not_stay_subnormal_after_long_training_and_no_weight_feels_it(train, monkeypatch):
    weights, averages = after_dying(monkeypatch, train, drop=True)
    same_weights, other_averages = after_dying(monkeypatch, train, drop=False)
    assert sum(map(subnormal, other_averages)) > 0, "nothing has become subnormal, so that nothing is tested"
    assert sum(map(subnormal, averages)) == 0
    assert all(map(torch.equal, weights, same_weights))


def test_halves_are_left_their_subnormals():
    # In 16 bits these are numbers of use, such as 6e-8.
    parameter = nn.Parameter(torch.ones(2, dtype=torch.float16))
    optimizer = torch.optim.SGD([parameter], lr=0.1, momentum=0.9)
    parameter.grad = torch.full((2,), 6e-8, dtype=torch.float16)
    optimizer.step()
    training.drop_subnormals(optimizer)
    assert optimizer.state[parameter]["momentum_buffer"].count_nonzero() == 2
