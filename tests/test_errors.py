import re

import numpy as np
import pytest
import torch
from scipy.sparse import coo_array, csr_array
from torch import nn
from torch.nn.utils import parametrizations
from torch.nn.utils import prune as torch_prune

import zimp
from zimp import oracle

NAN, INF = float("nan"), float("inf")
ONES = np.ones((3, 4))


def network():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def run(build=network, **arguments):
    def optimizer(parameters):
        raise AssertionError("training has begun")

    arguments = {"levels": 1, "steps": 5, "optimizer": optimizer, "progress": False} | arguments
    return zimp.iterative_magnitude_pruning(build, zimp.load_data("digits"), **arguments)


def every_other(model, masks, level, generator):
    return {name: (np.indices(mask.shape).sum(axis=0) + level) % 2 for name, mask in masks.items()}


def masks(**changes):
    masks = {"0.weight": np.ones((4, 3), dtype=bool), "1.weight": np.ones((2, 4), dtype=bool)}
    return {name: mask for name, mask in (masks | changes).items() if mask is not None}


def prune(**arguments):
    return zimp.prune(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), **arguments)


def amount(amount):
    return zimp.TopologicalUnstructured.apply(nn.Linear(4, 3), "weight", amount)


def pruned_by_torch():
    return torch_prune.l1_unstructured(nn.Linear(4, 3), "weight", amount=0.5)


IMAGES, LABELS = torch.ones(6, 64), torch.arange(6)


def train(model=None, masks=None, x=IMAGES, y=LABELS, **arguments):
    return zimp.train(model or network(), masks, zimp.Split(x, y), **{"steps": 1, "seed": 0} | arguments)


def with_weight(weight):
    layer = nn.Linear(4, 3)
    layer.weight = None if weight is None else nn.Parameter(weight, requires_grad=False)
    return layer


def apply(module, name="weight", amount=1, **arguments):
    return zimp.TopologicalUnstructured.apply(module, name, amount, **arguments)


def explorer(draw=lambda x: None, alt=lambda x: "", **settings):
    return zimp.explorer(draw, alt, **settings)


def diverged():
    layer = nn.Linear(4, 3)
    layer.weight.data[1, 2] = NAN
    return layer


# What any weights and any mask must be, wherever they are handed in

TAKES_WEIGHTS = {
    "spanning_forest": zimp.spanning_forest,
    "persistence_diagram": zimp.persistence_diagram,
    "betti_curve": lambda weights, mask=None: zimp.betti_curve(weights, 0.5, mask),
    "neural_persistence": zimp.neural_persistence,
    "safe_density": zimp.safe_density,
    "cross_check": zimp.cross_check,
    "ripser_diagram": oracle.ripser_diagram,
    "gudhi_diagram": oracle.gudhi_diagram,
    "magnitude_mask": lambda weights, mask=None: zimp.magnitude_mask(weights, 1, mask),
    "random_mask": lambda weights, mask=None: zimp.random_mask(weights, 1, mask),
    "topological_mask": lambda weights, mask=None: zimp.topological_mask(weights, 6, mask),
    "topological_scores": zimp.topological_scores,
    "play": lambda weights, mask=None: zimp.play(weights, mask, view="swaps"),
}
BAD_LAYERS = {
    "NaN": (([[1.0, NAN]],), r"weights\[0, 1\] is nan; all weights must be finite. Did the training diverge\?"),
    "NaN under a mask": (([[1.0, NAN]], [[True, False]]), r"weights\[0, 1\] is nan; all weights must be finite"),
    "infinite": ((torch.tensor([[1.0], [-INF]]),), r"weights\[1, 0\] is -inf; all weights must be finite"),
    "no outputs": ((np.ones((0, 3)),), r"shape \(0, 3\); a layer "),
    "no inputs": ((np.ones((3, 0)),), r"shape \(3, 0\); a layer "),
    "complex": ((ONES * 1j,), "dtype complex128; the weights of a layer must be real numbers"),
    "complex tensor": ((torch.ones(2, 2) * 1j,), "dtype complex64; the weights of a layer must be real numbers"),
    "a mask for weights": ((ONES > 0,), "dtype bool; .*a mask goes into the argument mask"),
    "strings": (([["a", "b"]],), "dtype <U1; the weights of a layer must be real numbers"),
    "objects": (([[None, 1.0]],), "dtype object; the weights of a layer must be real numbers"),
    "large complex numbers": (
        (ONES.astype(np.clongdouble),), "the weights of a layer must be real numbers of at most 64 bits",
    ),
    "dates": ((ONES.astype("M8[s]"),), r"dtype datetime64\[s\]; the weights of a layer must be real numbers"),
    "ragged rows": (
        ([[1.0, 2.0], [3.0]],), "a list cannot be converted to an array of numbers .*; are all rows equally long?",
    ),
    "a masked array": (
        (np.ma.masked_array(ONES, ONES > 0),),
        "a masked array hides weights that still exist; pass array.data, and for the mask",
    ),
    "floats of 8 bits": ((torch.ones(3, 4).to(torch.float8_e4m3fn),), r"a Tensor of torch.float8_e4m3fn .* or"),
    "complex halves": (
        (torch.ones(3, 4).to(torch.complex32),),
        "a Tensor of torch.complex32 .* cannot be converted to an array of numbers",
    ),
    "a meta tensor": (
        (torch.ones(3, 4, device="meta"),),
        "torch.float32 in the layout torch.strided on meta cannot be converted to an array",
    ),
    "a parameter not initialised": (
        (nn.parameter.UninitializedParameter(),),
        "an? UninitializedParameter of torch.float32 .* cannot be converted to an array of numbers",
    ),
    "mask of another shape": ((ONES, ONES.T), r"mask has shape \(4, 3\), but the weights have shape \(3, 4\)"),
    "mask of fewer dimensions": ((ONES, ONES[0]), r"mask has shape \(4,\), but the weights have shape \(3, 4\)"),
    "mask of other entries": ((ONES, 2 * ONES), "mask has entries other than 0 and 1"),
    "mask of weights": ((ONES, 0.5 * ONES), "mask has entries other than 0 and 1"),
    "mask of NaN": ((ONES, NAN * ONES), "mask has entries other than 0 and 1"),
    "mask of words": (
        (ONES, ONES.astype(str)), "mask has dtype <U32; it must be boolean, or hold only the numbers 0 and 1",
    ),
    "mask of objects": (
        (ONES, ONES.astype(object)), "mask has dtype object; it must be boolean, or hold only the numbers 0",
    ),
    "complex mask": (
        (ONES, 1j * ONES), "mask has dtype complex128; it must be boolean, or hold only the numbers 0 and 1",
    ),
    "masked mask": ((ONES, np.ma.masked_array(ONES, ONES > 0)), "a masked array hides weights that still exist"),
    "sparse mask": ((ONES, csr_array(ONES)), r"the mask is a sparse array; give it dense, as its toarray\(\) or"),
    "sparse tensor for a mask": ((ONES, torch.ones(3, 4).to_sparse()), "the mask is a sparse array; give it dense"),
    "a layer of torch": (
        (nn.Linear(4, 3),), "weights is a Linear, but must be an array of numbers; give the weight of one layer",
    ),
    "a graph": (
        (zimp.layer_graph(ONES),), r"weights is a LayerGraph, but must be an array of numbers; unpack it: \*graph",
    ),
}  # fmt: skip
if np.longdouble(0).itemsize > 8:  # not on Windows, and not on Apple's processors
    BAD_LAYERS["long doubles"] = (ONES.astype(np.longdouble),), "real numbers of at most 64 bits"


# Of one parser for matrices and of one for layers of any shape: what passes neither here passes neither elsewhere.
PARSERS = ["spanning_forest", "magnitude_mask"]


@pytest.mark.parametrize("function", PARSERS)
@pytest.mark.parametrize(("arguments", "message"), BAD_LAYERS.values(), ids=BAD_LAYERS)
def test_a_bad_layer_is_refused_with_what_is_wrong(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        TAKES_WEIGHTS[function](*arguments)


@pytest.mark.parametrize("function", [door for door in TAKES_WEIGHTS if door not in PARSERS])
@pytest.mark.parametrize("bad", ["NaN", "no inputs", "mask of another shape"])
def test_a_layer_is_checked_at_every_door(function, bad):
    arguments, message = BAD_LAYERS[bad]
    with pytest.raises(ValueError, match=message):
        TAKES_WEIGHTS[function](*arguments)


MATRICES_ONLY = [
    "spanning_forest", "persistence_diagram", "betti_curve", "neural_persistence", "cross_check", "play",
]  # fmt: skip


@pytest.mark.parametrize("function", MATRICES_ONLY)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4), (2, 3, 3, 3)])
def test_a_graph_is_made_of_a_matrix(function, shape):
    message = re.escape(f"weights have shape {shape}; a layer is a matrix (outputs, inputs). A convolution becomes one")
    with pytest.raises(ValueError, match=message):
        TAKES_WEIGHTS[function](np.ones(shape))


BAD = {
    # topology
    **{
        f"the integer {value}": (
            lambda value=value: zimp.spanning_forest([[value, 0]]), r"integer weights above 2\*\*53 are not exact",
        )
        for value in (2**53 + 1, -(2**53) - 1, 2**62)
    },
    "a mask beside a forest": (
        lambda: zimp.persistence_diagram(zimp.spanning_forest(ONES), ONES),
        "mask was given together with a SpanningForest; build the forest with the mask instead",
    ),
    "a forest of a forest": (
        lambda: zimp.spanning_forest(zimp.spanning_forest(ONES)), "weights is a SpanningForest already",
    ),
    "a cross-check of a forest": (
        lambda: zimp.cross_check(zimp.spanning_forest(ONES)), "weights is a SpanningForest already",
    ),
    "a mask beside a sparse array": (
        lambda: zimp.spanning_forest(csr_array(ONES), ONES),
        "mask was given together with a sparse array; its stored entries are the edges already",
    ),
    **{
        f"a sparse array of shape {shape}": (
            lambda shape=shape: zimp.spanning_forest(coo_array(shape)),
            re.escape(f"weights have shape {shape}; a layer is a non-empty matrix (outputs, inputs)"),
        )
        for shape in [(0, 3), (3, 0), (3,), (2, 3, 4)]
    },
    **{
        f"a sparse {value}": (
            lambda value=value: zimp.persistence_diagram(csr_array([[1.0, value]])),
            "a stored entry of the sparse array is not finite; did the training diverge",
        )
        for value in (NAN, INF, -INF)
    },
    "a complex sparse array": (
        lambda: zimp.spanning_forest(csr_array(1j * ONES)),
        "dtype complex128; the weights of a layer must be real numbers",
    ),
    "a sparse mask for weights": (lambda: zimp.spanning_forest(csr_array(ONES > 0)), "dtype bool; the weights of a"),
    "a sparse array with an entry twice": (
        lambda: zimp.spanning_forest(csr_array(([1.0, 2.0], [0, 0], [0, 2]), shape=(1, 2))),
        re.escape("the sparse array has entries twice or out of order; call its sum_duplicates() first"),
    ),
    "a sparse array out of order": (
        lambda: zimp.spanning_forest(csr_array(([1.0, 2.0], [1, 0], [0, 2]), shape=(1, 2))), "entries twice or out of",
    ),
    "a NaN threshold": (lambda: zimp.betti_curve(ONES, [0.5, NAN]), "thresholds contain NaN"),
    "components of a vector": (lambda: zimp.count_components([True]), r"mask has shape \(1,\); a layer is a non-empty"),
    "components of nothing": (lambda: zimp.count_components([[]]), r"mask has shape \(1, 0\); a layer is a non-empty"),
    "components of weights": (lambda: zimp.count_components([[0.5]]), "mask has entries other than 0 and 1"),
    "unknown convention": (
        lambda: zimp.neural_persistence(ONES, convention="mean"),
        "convention='mean' is unknown; it must be one of 'rieck', 'balwani'",
    ),
    "p below 1": (lambda: zimp.neural_persistence(ONES, p=0.5), "p=0.5 must be a finite number of at least 1"),
    "p = 0": (lambda: zimp.neural_persistence(ONES, p=0), "p=0.0 must be a finite number of at least 1"),
    "infinite p": (lambda: zimp.neural_persistence(ONES, p=INF), "p=inf must be a finite number of at least 1"),
    "NaN p": (lambda: zimp.neural_persistence(ONES, p=NAN), "p=nan must be a finite number of at least 1"),
    "a scale below the layer's": (
        lambda: zimp.neural_persistence(-2 * ONES, scale=1.5),
        r"scale=1.5 is not a positive number of at least the layer's largest \|w\| \(2\); pass the maximum",
    ),
    "max(W) for max|W|": (lambda: zimp.neural_persistence(-ONES, scale=-1.0), "scale=-1.0 is not a positive number"),
    "a scale of 0": (lambda: zimp.neural_persistence(0 * ONES, scale=0), "scale=0.0 is not a positive number"),
    "a NaN scale": (lambda: zimp.neural_persistence(ONES, scale=NAN), "scale=nan is not a positive number"),
    "an infinite scale": (lambda: zimp.neural_persistence(ONES, scale=INF), "scale=inf is not a positive number"),
    "balwani of 1x1": (
        lambda: zimp.neural_persistence([[1.0]], convention="balwani"),
        r"divides by m \+ n - 2, which is 0 for a 1x1 layer; use normalized=False",
    ),
    "a threshold in words": (lambda: zimp.betti_curve(ONES, "0.5"), "thresholds have dtype <U3; a threshold is a"),
    "a complex threshold": (lambda: zimp.betti_curve(ONES, 0.5j), "thresholds have dtype complex128; a threshold is a"),
    "no threshold": (lambda: zimp.betti_curve(ONES, None), "thresholds have dtype object; a threshold is a number"),
    "p in words": (lambda: zimp.neural_persistence(ONES, p="2"), "p='2' is not a number"),
    "a p for each layer": (lambda: zimp.neural_persistence(ONES, p=[1, 2]), r"p=\[1, 2\] is not a number"),
    "a complex scale": (lambda: zimp.neural_persistence(ONES, scale=1j), "scale=1j is not a number"),
    "a scale beyond all floats": (lambda: zimp.neural_persistence(ONES, scale=10**400), "scale=1000.* is not a number"),
    "a convention that is an array": (
        lambda: zimp.neural_persistence(ONES, convention=ONES), "is unknown; it must be one of",
    ),
    "ripser of a sparse array": (
        lambda: zimp.ripser_diagram(csr_array(ONES)),
        "this function takes no sparse array; give a dense one, together with a mask of the stored entries, "
        "because absent entries would otherwise become weights of 0",
    ),
    "heaviest of a sparse array": (
        lambda: zimp.magnitude_mask(csr_array(ONES), 1), "this function takes no sparse array; give",
    ),
    "components of a sparse array": (lambda: zimp.count_components(csr_array(ONES)), "the mask is a sparse array;"),
    # bounds
    "a probability in words": (
        lambda: zimp.connectivity_density(3, 4, "half"), "probability='half' is not a number",
    ),
    "no probability": (lambda: zimp.connectivity_density(3, 4, None), "probability=None is not a number"),
    "outputs in a vector": (lambda: zimp.critical_compression(np.array([3, 4]), 4), "m=array.* is not a whole number"),
    "no outputs": (lambda: zimp.critical_compression(0, 3), "m=0 is not positive; a layer has at least one output"),
    "negative inputs": (lambda: zimp.critical_compression(3, -1), "n=-1 is not positive"),
    "outputs in floats": (lambda: zimp.critical_compression(3.0, 4), "m=3.0 is not a whole number"),
    "inputs in words": (lambda: zimp.critical_compression(3, "4"), "n='4' is not a whole number"),
    "pixels of no height": (
        lambda: zimp.spatial_critical_compression(0, 8), re.escape("input_size=(0, 8) is below 1"),
    ),
    "half a pixel": (lambda: zimp.spatial_critical_compression(8, 8.5), "input_size=8.5 is not a whole number"),
    "an image of no dimensions": (lambda: zimp.spatial_sizes((), 3), re.escape("input_size=() has 0 numbers")),
    "a kernel of 0": (lambda: zimp.spatial_critical_compression(8, 8, kernel=0), "kernel=0 is below 1"),
    "a kernel beyond the image": (
        lambda: zimp.spatial_critical_compression(8, 2, kernel=5),
        "a kernel that spans 5 pixels does not fit into the 4 of the padded input",
    ),
    "a dilated kernel beyond the image": (
        lambda: zimp.spatial_sizes((8, 6), 3, dilation=3), "spans 7 pixels does not fit into the 6 of the padded input",
    ),
    "a kernel of other dimensions": (
        lambda: zimp.spatial_sizes((8, 8), (3, 3, 3)),
        re.escape("kernel=(3, 3, 3) has 3 numbers; it needs one for each of 2 dimensions"),
    ),
    "one stride of two": (
        lambda: zimp.spatial_sizes((8, 8), 3, stride=(2,)), re.escape("stride=(2,) has 1 numbers; it needs one for"),
    ),
    "no stride": (lambda: zimp.spatial_sizes((8, 8), 3, stride=0), "stride=0 is below 1"),
    "no dilation": (lambda: zimp.spatial_sizes((8, 8), 3, dilation=(1, 0)), re.escape("dilation=(1, 0) is below 1")),
    "negative padding": (lambda: zimp.spatial_critical_compression(8, 8, padding=-1), "padding=-1 is below 0"),
    "fractional padding": (lambda: zimp.spatial_critical_compression(8, 8, padding=0.5), "padding=0.5 is not a whole"),
    "more kept than there are": (
        lambda: zimp.retention_bound(13, 3, 4), "kept=13 must lie between 0 and the 12 weights of a 3x4 layer",
    ),
    "negatively many kept": (lambda: zimp.retention_bound(-1, 3, 4), "kept=-1 must lie between 0 and the 12 weights"),
    "a share kept": (lambda: zimp.retention_bound(0.5, 3, 4), "kept=0.5 is not a whole number"),
    "a layer of no inputs": (lambda: zimp.retention_bound(0, 3, 0), "n=0 is not positive"),
    **{
        f"probability {value}": (
            lambda value=value: zimp.connectivity_density(3, 4, value),
            f"probability={value} must lie strictly between 0 and 1; the median is 0.5",
        )
        for value in (0, 1, -0.5, 1.5, NAN)
    },
    "density of no layer": (lambda: zimp.connectivity_density(3, 0), "n=0 is not positive"),
    # layers
    "no module": (lambda: zimp.prunable(ONES), "model is a ndarray, not a torch.nn.Module; build the network first"),
    "a builder for a module": (lambda: zimp.prunable(network), "model is a function, not a torch.nn.Module"),
    "no layers": (lambda: zimp.prunable(nn.ReLU()), "ReLU has no dense, convolutional or recurrent layer"),
    "only norms": (
        lambda: zimp.prunable(nn.Sequential(nn.LayerNorm(3), nn.Embedding(3, 2))), "Sequential has no dense, convol",
    ),
    "a lazy layer": (lambda: zimp.prunable(nn.LazyLinear(3)), "weight is not initialised yet; run one batch through"),
    "pruned by torch": (
        lambda: zimp.prunable(nn.Sequential(pruned_by_torch())),
        re.escape(
            "0.weight is computed, not stored, so pruning it would have no effect; make it permanent first: "
            "torch.nn.utils.prune.remove(layer, name)"
        ),
    ),
    "parametrised": (
        lambda: zimp.prunable(parametrizations.weight_norm(nn.Linear(4, 3))),
        re.escape("make it permanent first: torch.nn.utils.parametrize.remove_parametrizations(layer, name)"),
    ),
    "a layer without weights": (
        lambda: zimp.prunable(with_weight(None)), "weight is computed, not stored, so pruning it would have no effect$",
    ),
    "a class for a module": (lambda: zimp.prunable(nn.Linear), "model is a type, not a torch.nn.Module; build the"),
    "half a group": (lambda: zimp.layer_graph(ONES, groups=1.5), "groups=1.5 is not a whole number"),
    "a view that is a list": (
        lambda: zimp.layer_graph(ONES, view=["matrix"]), r"view=\['matrix'\] is unknown; it must be one of",
    ),
    "a layer to stitch": (lambda: zimp.stitched_graph(nn.Linear(4, 3)), "weights is a Linear, but must be a sequence;"),
    "one mask to stitch": (
        lambda: zimp.stitched_graph([ONES], True), "masks is a bool, but must be a sequence; give a",
    ),
    "an image in words": (
        lambda: zimp.tree_sizes(zimp.small_conv(), view="spatial", input_size="888"), "input_size='8' is not a whole",
    ),
    "an image of no height": (
        lambda: zimp.tree_sizes(zimp.small_conv(), view="spatial", input_size=(1, 0, 8)),
        re.escape("input_size=(1, 0, 8) is below 1"),
    ),
    "unknown view": (
        lambda: zimp.layer_graph(ONES, view="pixel"), "view='pixel' is unknown; it must be one of 'matrix', 'channel'",
    ),
    "spatial view without an input size": (
        lambda: zimp.layer_graph(ONES, view="spatial"), "view='spatial' needs input_size, the size of the input image",
    ),
    "spatial sizes without an input size": (
        lambda: zimp.tree_sizes(zimp.small_conv(), view="spatial"), "view='spatial' needs input_size, .*for tree_sizes",
    ),
    "spatial sizes of an image without channels": (
        lambda: zimp.tree_sizes(nn.Conv1d(1, 2, 3), view="spatial", input_size=8), "input_size=8",
    ),
    "a kernel beyond the image of its graph": (
        lambda: zimp.layer_graph(np.ones((2, 1, 5, 5)), view="spatial", input_size=(8, 4)),
        "a kernel that spans 5 pixels does not fit into the 4 of the padded input",
    ),
    "an image with channels, of one filter": (
        lambda: zimp.layer_graph(np.ones((2, 1, 3, 3)), view="spatial", input_size=(1, 8, 8)),
        re.escape("input_size=(1, 8, 8) has 3 numbers; it needs one for each of 2 dimensions"),
    ),
    "same padding of a graph": (
        lambda: zimp.layer_graph(np.ones((2, 1, 3, 3)), view="spatial", input_size=(8, 8), padding="same"),
        "padding='.*' is not a whole number",
    ),
    "spatial groups that do not divide": (
        lambda: zimp.layer_graph(np.ones((4, 1, 3, 3)), view="spatial", input_size=(8, 8), groups=3),
        "groups=3 does not divide the 4 outputs",
    ),
    "nothing to stitch": (lambda: zimp.stitched_graph([]), "there are 0 layers and 0 masks; give at least one layer"),
    "a mask too few to stitch": (
        lambda: zimp.stitched_graph([ONES, ONES.T], [None]),
        "there are 2 layers and 1 masks; .*, and one mask for each",
    ),
    "layers that do not fit together": (
        lambda: zimp.stitched_graph([ONES, ONES]),
        "a layer of 3 outputs comes before one of 4 inputs; only chains of dense layers can be stitched",
    ),
    "a stitched convolution": (
        lambda: zimp.stitched_graph([np.ones((2, 1, 3, 3))]), r"shape \(2, 1, 3, 3\); a layer is a matrix",
    ),
    "a stitched mask": (
        lambda: zimp.stitched_graph([ONES], [ONES.T]), r"mask has shape \(4, 3\), but the weights have shape \(3, 4\)",
    ),
    "a stitched NaN": (lambda: zimp.stitched_graph([ONES, [[1.0, NAN, 1.0]]]), r"weights\[0, 1\] is nan"),
    "unknown view of a network": (lambda: zimp.tree_sizes(network(), view=None), "view=None is unknown"),
    "a graph of a vector": (lambda: zimp.layer_graph([1.0, 2.0]), r"weight has shape \(2,\); a layer has outputs and"),
    "a graph of nothing": (lambda: zimp.layer_graph(np.ones((0, 3, 3, 3))), r"weight has shape \(0, 3, 3, 3\); a"),
    "a graph's mask": (
        lambda: zimp.layer_graph(ONES, ONES[1:]), r"mask has shape \(2, 4\), but the weights have shape \(3, 4\)",
    ),
    **{
        f"{groups} groups": (
            lambda groups=groups: zimp.layer_graph(np.ones((4, 2, 3, 3)), groups=groups),
            f"groups={groups} does not divide the 4 outputs of the layer",
        )
        for groups in (0, -1, 3, 8)
    },
    # pruning
    **{
        f"keep={keep!r} {name}": (
            lambda mask_of=mask_of, keep=keep: mask_of(ONES, keep), re.escape(f"keep={keep!r} {what}")
        )
        for name, mask_of in [("heaviest", zimp.magnitude_mask), ("random", zimp.random_mask)]
        for keep, what in [
            (13, "must lie between 0 and the 12 remaining weights"),
            (-1, "must lie between 0 and the 12 remaining weights"),
            (0.5, "is not a whole number; it is a count of weights, not a share"),
            (6.0, "is not a whole number"),
            (None, "is not a whole number"),
        ]
    },
    "keep above what the mask leaves": (
        lambda: zimp.magnitude_mask(ONES, 4, np.eye(3, 4)), "keep=4 must lie between 0 and the 3 remaining weights",
    ),
    "keep below the tree": (
        lambda: zimp.topological_mask(np.ones((300, 784)), 900),
        "^" + re.escape(
            "keep=900 is below the 1083 weights of a spanning tree of a 300x784 layer; topological pruning cannot go "
            "further (density 0.0046)."
        ) + "$",
    ),
    "keep below the forest": (
        lambda: zimp.topological_mask(ONES, 1, np.eye(3, 4)), "keep=1 is below the 3 weights of a spanning tree",
    ),
    "a tree of a vector": (lambda: zimp.topological_mask([1.0, 2.0], 1), r"weight has shape \(2,\)"),
    "a tree of groups that do not divide": (
        lambda: zimp.topological_mask(np.ones((4, 2, 3, 3)), 60, groups=3), "groups=3 does not divide the 4 outputs",
    ),
    "a convolution of no outputs": (
        lambda: zimp.magnitude_mask(np.ones((0, 3, 3)), 0), r"shape \(0, 3, 3\); a layer needs at least one output",
    ),
    "a seed for a generator": (
        lambda: zimp.random_mask(ONES, 3, generator=0),
        r"generator=0 must be a generator; make one from a seed by torch.Generator\(\).manual_seed\(seed\)",
    ),
    "a seed for prune's generator": (lambda: prune(criterion="random", generator=0), "generator=0 must be a generator"),
    **{
        f"rate={rate!r}": (
            lambda rate=rate: prune(rate=rate),
            re.escape(f"rate={rate!r} must lie strictly between 0 and 1; 0.2 prunes a fifth of the remaining weights"),
        )
        for rate in (0, 1, -0.1, 1.5, NAN, INF, "a", None, [0.2])
    },
    "a rate of a layer": (
        lambda: prune(rate={"0.weight": 0.2, "1.weight": 20}),
        r"rate\['1.weight'\]=20 must lie strictly between 0 and 1",
    ),
    "a budget above what is left": (
        lambda: prune(keep={"1.weight": 9}), r"keep\['1.weight'\]=9 must lie between 0 and the 8 remaining weights",
    ),
    "a budget below the tree": (
        lambda: prune(keep={"0.weight": 5}, criterion="topological"),
        "keep=5 is below the 6 weights of a spanning tree of a 4x3 layer, 0.weight; topological pruning cannot go",
    ),
    "a budget that is a share": (lambda: prune(keep={"0.weight": 0.5}), r"keep\['0.weight'\]=0.5 is not a whole num"),
    "a budget of no layer": (
        lambda: prune(keep={"fc": 5}), "keep has an entry for 'fc'; each entry must be for one of 0.weight, 1",
    ),
    "one budget": (lambda: prune(keep=5), "keep is a int, not a dict; it needs an entry for each of 0.weight, 1.weig"),
    "budgets and rates": (
        lambda: prune(keep={"0.weight": 5}, rate=0.5), "keep was given together with rate=0.5; give only one",
    ),
    "budgets of a network": (
        lambda: prune(keep={"0.weight": 5}, scope="global"), "but scope='global' prunes the network as one",
    ),
    "True weights": (lambda: zimp.magnitude_mask(ONES, True), "keep=True is not a whole number; it is a count of"),
    "a rate too many": (
        lambda: prune(rate={"0.weight": 0.2, "1.weight": 0.2, "1.bias": 0.2}),
        "rate has an entry for '1.bias'; each entry must be for one of 0.weight, 1.weight",
    ),
    "rates of a network": (
        lambda: prune(rate={"0.weight": 0.2, "1.weight": 0.2}, scope="global"),
        "rate is a dict, but scope='global' prunes the network as one; give one rate",
    ),
    "unknown criterion": (
        lambda: prune(criterion="l1"),
        "criterion='l1' is unknown; it must be one of 'magnitude', 'random', 'topological'",
    ),
    "unknown scope": (lambda: prune(scope="local"), "scope='local' is unknown; it must be one of 'layer', 'global'"),
    "a missing mask": (lambda: prune(masks=masks(**{"1.weight": None})), "masks has no entry for '1.weight'"),
    "no masks": (lambda: prune(masks={}), "masks has no entry for '0.weight'; it needs one for each of 0.weight, 1"),
    "a mask too many": (
        lambda: prune(masks=masks(**{"2.weight": ONES})),
        "masks has an entry for '2.weight'; each entry must be for one of",
    ),
    "a mask of another layer": (
        lambda: prune(masks=masks(**{"0.weight": ONES})),
        r"masks\['0.weight'\]: mask has shape \(3, 4\), but the weights have shape \(4, 3\)",
    ),
    "a mask of scores": (
        lambda: prune(masks=masks(**{"1.weight": 0.3 * np.ones((2, 4))})),
        r"masks\['1.weight'\]: mask has entries other than 0 and 1",
    ),
    "a mask that is None": (lambda: prune(masks=dict.fromkeys(masks())), r"masks\['0.weight'\]"),
    "prune no module": (lambda: zimp.prune(ONES), "model is a ndarray, not a torch.nn.Module"),
    "a diverged network": (
        lambda: zimp.prune(diverged()), r"weights\[1, 2\] is nan; all weights must be finite. Did the training",
    ),
    "amount 1.0": (lambda: amount(1.0), "keep=0 is below the 6 weights of a spanning tree of a 3x4 layer"),
    "amount 1.1": (lambda: amount(1.1), "amount=1.1 must be a share from 0 to 1, or the number of weights to prune"),
    "amount True": (lambda: amount(True), "amount=True must be a share from 0 to 1, or the number of weights to prune"),
    "amount NaN": (lambda: amount(NAN), "amount=nan must be a share from 0 to 1, or the number of weights to prune"),
    "amount -1": (lambda: amount(-1), "amount=-1 is negative; it is the number of weights to prune, or their share"),
    "amount in words": (lambda: amount("half"), "amount='half' must be a share from 0 to 1, or"),
    "amount above what is left": (lambda: amount(13), "amount=13 is above the 12 remaining weights"),
    "amount beyond the tree": (lambda: amount(7), "keep=5 is below the 6 weights of a spanning tree of a 3x4 layer"),
    "masks of one layer": (
        lambda: prune(masks=ONES), "masks is a ndarray, not a dict; it needs an entry for each of 0.weight, 1.weight",
    ),
    "masks in a list": (lambda: prune(masks=[ONES, ONES]), "masks is a list, not a dict; it needs an entry for each"),
    "a criterion that is a list": (
        lambda: prune(criterion=["random"]), r"criterion=\['random'\] is unknown; it must be one of",
    ),
    "a scope that is an array": (lambda: prune(scope=ONES), "is unknown; it must be one of 'layer', 'global'"),
    "a network on the meta device": (
        lambda: zimp.prune(nn.Linear(4, 3, device="meta")),
        "torch.float32 in the layout torch.strided on meta cannot be converted to an array",
    ),
    "a parameter that is not there": (
        lambda: apply(nn.Linear(4, 3), "weights"),
        "Linear has no parameter 'weights' to prune; give a layer and a name such as 'weight'",
    ),
    "a bias that is None": (lambda: apply(nn.Linear(4, 3, bias=False), "bias"), "Linear has no parameter 'bias' to"),
    "the network for its layer": (lambda: apply(network()), "Sequential has no parameter 'weight' to prune; give a"),
    "weights for a module": (lambda: apply(ONES), "model is a ndarray, not a torch.nn.Module"),
    "importance in an array": (
        lambda: apply(nn.Linear(4, 3), importance_scores=ONES),
        re.escape(
            "importance_scores is a ndarray, not a tensor of shape (3, 4); it must have one score for each weight"
        ),
    ),
    "importance of another layer": (
        lambda: apply(nn.Linear(4, 3), importance_scores=torch.ones(4, 3)),
        re.escape("importance_scores is a Tensor, not a tensor of shape (3, 4)"),
    ),
    # models, training
    "no classes": (lambda: zimp.lenet_300_100(64, 0), "classes=0 is not positive; a layer has at least one output"),
    "no hidden units": (lambda: zimp.small_mlp(64, hidden=0), "hidden=0 is not positive; a layer has at least one"),
    "features in a shape": (lambda: zimp.lenet_300_100((8, 8)), re.escape("in_features=(8, 8) is not a whole number")),
    "negative channels": (lambda: zimp.small_conv(-1), "channels=-1 is not positive"),
    "an image too small": (lambda: zimp.small_conv(1, 3), "size=3 is below 4; pooled twice, nothing is left of the"),
    "no split": (
        lambda: zimp.train(network(), None, zimp.load_data("digits"), steps=1, seed=0),
        "split is a Data, not a zimp.Split of two tensors, images and labels",
    ),
    "a split in arrays": (
        lambda: train(x=np.ones((6, 64))), "split.x is a ndarray, not a tensor; make it one by torch.from_numpy or the",
    ),
    "a data set of torch": (
        lambda: zimp.iterative_magnitude_pruning(
            network, torch.utils.data.TensorDataset(IMAGES, LABELS), levels=1
        ),
        "data is a TensorDataset, not a zimp.Data; make one of tensors: zimp.Data",
    ),
    "data in a tuple": (
        lambda: zimp.iterative_magnitude_pruning(network, (IMAGES, LABELS), levels=1), "data is a tuple, not a zimp.D",
    ),
    "fewer labels than images": (
        lambda: train(y=torch.arange(5)),
        re.escape("split has images (6, 64) and labels (5,); there must be at least one image, and one label for each"),
    ),
    "no images": (lambda: train(x=torch.ones(0, 64), y=torch.arange(0)), re.escape("images (0, 64) and labels (0,)")),
    "labels in floats": (
        lambda: train(y=torch.ones(6)), re.escape("split has labels of torch.float32; they must be whole numbers:"),
    ),
    "a negative label": (
        lambda: train(y=torch.arange(6) - 1), "split has the label -1; classes must be numbered from 0",
    ),
    "an optimizer in words": (
        lambda: train(optimizer="adam"), "optimizer='adam' is not a function; pass one that takes the parameters, such",
    ),
    "an optimizer that is built": (lambda: train(optimizer=zimp.adam(network().parameters())), "is not a function;"),
    "a seed in words": (lambda: train(seed="0"), "seed='0' is not a whole number of at least 0"),
    "a negative seed": (lambda: train(seed=-1), "seed=-1 is not a whole number of at least 0"),
    "a seed of 64 bits": (lambda: train(seed=2**63), "seed=9223372036854775808 has more than 63 bits; torch accepts"),
    "a snapshot after the end": (
        lambda: train(snapshot_at=1), "snapshot_at=1 must be at least start=0 and below steps=1",
    ),
    "a snapshot at half a step": (lambda: train(snapshot_at=0.5), "snapshot_at=0.5 is not a whole number of at least"),
    "a start after the end": (
        lambda: train(start=1), "start=1 must be below steps=1; otherwise there is nothing to train",
    ),
    "a frozen network": (
        lambda: train(network().requires_grad_(False)),
        "no parameter of the network requires a gradient, so there is nothing to train",
    ),
    "training on the meta device": (
        lambda: train(nn.Linear(64, 10, device="meta")), "the network or its images are on the meta device, where",
    ),
    "training of floats of 8 bits": (
        lambda: train(with_weight(torch.ones(3, 64).to(torch.float8_e5m2))),
        "weight is of torch.float8_e5m2, torch.strided; it must be a dense tensor of floats of 16 to 64 bits",
    ),
    "training of sparse weights": (
        lambda: train(with_weight(torch.ones(3, 64).to_sparse())), "weight is of torch.float32, torch.sparse_coo;",
    ),
    "training of an expanded weight": (
        lambda: train(with_weight(torch.ones(1, 64).expand(3, 64))),
        re.escape("weight holds one number in several positions, as after expand(); clone it first"),
    ),
    "accuracy of a function": (
        lambda: zimp.accuracy(network, zimp.load_data("digits").test), "model is a function, not a torch.nn.Module",
    ),
    "accuracy on images alone": (lambda: zimp.accuracy(network(), ONES), "split is a ndarray, not a zimp.Split of two"),
    "one network to train together": (
        lambda: zimp.train_together(
            nn.Linear(64, 10), [None], zimp.load_data("digits").train, steps=1, seeds=[0]
        ),
        "models is a Linear, but must be a sequence; give a list",
    ),
    "one seed to train together": (
        lambda: zimp.train_together([network()], [None], zimp.load_data("digits").train, steps=1, seeds=0),
        "seeds is a int, but must be a sequence; give a list",
    ),
    # reports, explorers
    "a density in words": (lambda: zimp.report(network(), density="0.1"), "density='0.1' is not a number"),
    "a density in percent": (
        lambda: zimp.report(network(), density=10), "density=10.0 must be above 0 and at most 1: a share of",
    ),
    "no threads": (lambda: zimp.report(network(), jobs=0), "jobs=0 is not a number of threads; 1 is one at a time, -1"),
    "half a thread": (lambda: zimp.report(network(), jobs=0.5), "jobs=0.5 is not a whole number"),
    "networks in a list": (
        lambda: zimp.report([network()]), "network is a list, not a torch.nn.Module, a dict of tensors, or the path of",
    ),
    "a slider of one number": (lambda: explorer(x=1), "x is a int, but must be a sequence; give a list"),
    "a slider without values": (lambda: explorer(x=[]), "x has no values; a slider needs at least one"),
    "no slider": (lambda: explorer(), r"explorer needs at least one setting, such as threshold=\[1.0, 0.5\]"),
    "a drawing that returns nothing": (
        lambda: explorer(x=[1]), r"at {'x': 1}, draw returned a NoneType and alt a str; draw must return a matplotlib",
    ),
    # views of a layer
    "an unknown view": (
        lambda: zimp.play(ONES, view="swap"),
        "view='swap' is unknown; it must be one of 'drag', 'masks', 'race', 'swaps'",
    ),
    "a view of a page of the book": (lambda: zimp.play(ONES, view="hero"), "view='hero' is unknown; it must be one of"),
    "a layer too large for a view": (
        lambda: zimp.play(np.ones((65, 64)), view="swaps"),
        re.escape("a 65x64 layer of 4160 weights, but the view 'swaps' shows at most 4096; show a part of it, such as"),
    ),
    "too many masks for a view": (
        lambda: zimp.play(ONES, view="masks"), "a 3x4 layer of 12 weights, but the view 'masks' shows at most 10; show",
    ),
    # swamp
    "no particles": (
        lambda: zimp.swamp(network, zimp.load_data("digits"), levels=1, particles=0),
        "particles=0 is below 1, so nothing is trained; one particle is IMP with averaging",
    ),
    "steps to average over": (
        lambda: zimp.swamp(network, zimp.load_data("digits"), levels=1, averaged=100),
        re.escape("averaged=100 must lie in [0, 1]: it is the share of the training over which weights are averaged"),
    ),
    # imp
    **{
        f"{name}={value!r}": (
            lambda name=name, value=value: run(**{name: value}),
            re.escape(f"{name}={value!r} is not a whole number of at least {least}"),
        )
        for name, value, least in [
            ("levels", -1, 0), ("levels", 1.5, 0), ("levels", None, 0), ("steps", 0, 1), ("steps", 5.0, 1),
            ("batch_size", 0, 1), ("batch_size", "60", 1), ("rewind", -1, 0), ("rewind", 0.5, 0),
        ]
    },
    "rewinding to the end": (
        lambda: run(rewind=5), "rewind=5 must be below steps=5; otherwise no training follows the rewinding",
    ),
    "no seeds": (lambda: run(seeds=[]), r"seeds=\[\] must be distinct numbers, at least one"),
    "a seed twice": (lambda: run(seeds=[1, 2, 1]), r"seeds=\[1, 2, 1\] must be distinct numbers"),
    "a seed that is no whole number": (lambda: run(seeds=1.5), "seeds=1.5"),
    "seeds that are no whole numbers": (lambda: run(seeds=[0.5, 1.5]), "seeds=0.5 is not a whole number"),
    "a split without images": (
        lambda: zimp.iterative_magnitude_pruning(
            network,
            zimp.load_data("digits")._replace(validation=zimp.Split(torch.zeros(0, 64), torch.zeros(0))),
            levels=1,
        ),
        r"data.validation has images \(0, 64\) and labels \(0,\)",
    ),
    "an empty layer": (lambda: zimp.prunable(nn.Linear(5, 0)), r"weight has shape \(0, 5\)"),
    "training with masks of another network": (
        lambda: zimp.train(network(), {"fc.weight": None}, zimp.load_data("digits").train, steps=1, seed=0),
        "masks has no entry for '1.weight'; it needs one for each of 1.weight",
    ),
    "a network for a builder": (
        lambda: run(network()), "build is a network already; pass the function that builds it, so that the seed can be",
    ),
    "a run's criterion": (lambda: run(criterion="l1"), "criterion='l1' is unknown"),
    "a run's criterion that is an array": (lambda: run(criterion=ONES), "is unknown; it must be one of 'magnitude'"),
    "a rule that brings weights back": (
        lambda: run(optimizer=zimp.adam, levels=2, criterion=every_other),
        "criterion kept weights of 1.weight that were pruned before; intersect its masks with those it was given",
    ),
    **{
        f"a rule that returns {what}": (
            lambda masks=masks: run(optimizer=zimp.adam, criterion=lambda *_: masks), message
        )
        for what, masks, message in [
            ("no masks", {}, "masks has no entry for '1.weight'"),
            ("other names", {"1.weight": np.ones((10, 64)), "fc": ONES}, "masks has an entry for 'fc'; each entry"),
            ("other shapes", {"1.weight": ONES}, r"masks\['1.weight'\]: mask has shape \(3, 4\)"),
            ("scores", {"1.weight": np.full((10, 64), 0.5)}, "mask has entries other than 0 and 1"),
        ]
    },
    "a run's scope": (lambda: run(scope="l1"), "scope='l1' is unknown"),
    "a run's rate": (lambda: run(rate=1.0), "rate=1.0 must lie strictly between 0 and 1"),
    "a run's rates": (lambda: run(rate={"fc1": 0.2}), "rate has an entry for 'fc1'; each entry must be for one of 1"),
    # data and records
    "data that is a list": (
        lambda: zimp.load_data(["digits"]), r"name=\['digits'\] is unknown; it must be one of 'digits'",
    ),
    "unknown data": (
        lambda: zimp.load_data("imagenet"),
        "name='imagenet' is unknown; it must be one of 'digits', 'mnist5k', 'mnist', 'fashion-mnist', 'cifar10'",
    ),
    "a quantity that is not recorded": (
        lambda: zimp.Record({}, {}, [{"seed": 0, "layers": {}}]).curve("loss"),
        r"the record holds no 'loss'; see help\(zimp.Record\)",
    ),
    "a curve of seeds of unequal length": (
        lambda: zimp.Record({}, {}, [{"seed": seed} for seed in (0, 0, 0, 1)]).curve("seed"),
        "the run stopped when its seeds had different numbers of levels; read the record's `rows`",
    ),
    "a layer that is not recorded": (
        lambda: zimp.Record({}, {}, [{"seed": 0, "layers": {}}]).curve("kept", "fc9.weight"),
        "the record holds no 'fc9.weight'",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("call", "message"), BAD.values(), ids=BAD)
def test_a_bad_argument_has_its_own_message(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_table_has_at_least_60_bad_inputs_each_with_a_message():
    assert len(BAD) >= 60 and len({message for _, message in BAD.values()}) >= 60
    assert len(BAD_LAYERS) >= 20 and len({message for _, message in BAD_LAYERS.values()}) >= 20


@pytest.mark.parametrize("content", ["", "zimp", "[]", "{}", "7", '{"config": {}}', '{"config": {}, "x": 1}'])
def test_a_file_that_is_no_record_is_refused(content, tmp_path):
    path = tmp_path / "notes.json"
    path.write_text(content)
    with pytest.raises(ValueError, match="notes.json holds no record of a run"):
        zimp.Record.load(path)


def test_a_record_with_a_part_too_many_is_refused(tmp_path):
    path = tmp_path / "notes.json"
    path.write_text('{"config": {}, "versions": {}, "rows": [], "x": 1}')
    with pytest.raises(
        ValueError, match=r"notes.json holds no record of a run \(it must have the parts config, versions"
    ):
        zimp.Record.load(path)


def test_a_binary_file_is_no_record(tmp_path):
    path = tmp_path / "image.png"
    path.write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(ValueError, match="image.png holds no record of a run"):
        zimp.Record.load(path)


def test_a_record_that_is_not_there_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        zimp.Record.load(tmp_path / "run.json")
