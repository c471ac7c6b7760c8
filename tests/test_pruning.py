import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from reference import WEIGHTS, gaussian
from torch import nn
from torch.nn.utils import prune as torch_prune

import zimp

MASKS = {"magnitude": zimp.magnitude_mask, "random": zimp.random_mask, "topological": zimp.topological_mask}
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


# Masks


@given(WEIGHTS, st.sampled_from(sorted(MASKS)), st.data())
def test_a_mask_keeps_exactly_as_many_as_asked_and_only_of_those_that_are_left(weights, criterion, data):
    mask = data.draw(arrays(bool, weights.shape))
    least = len(zimp.spanning_forest(weights, mask)) if criterion == "topological" else 0
    keep = data.draw(st.integers(least, int(mask.sum())))
    kept = MASKS[criterion](weights, keep, mask)
    assert (kept.sum(), kept.dtype, kept.shape) == (keep, bool, weights.shape)
    assert not (kept & ~mask).any()


@given(WEIGHTS, st.data())
def test_the_magnitude_mask_keeps_the_heaviest_the_first_among_equals(weights, data):
    mask = data.draw(arrays(bool, weights.shape))
    keep = data.draw(st.integers(0, int(mask.sum())))
    order = sorted(np.flatnonzero(mask), key=lambda position: -abs(weights.flat[position]))
    assert set(np.flatnonzero(zimp.magnitude_mask(weights, keep, mask))) == set(order[:keep])


@pytest.mark.parametrize("keep", range(10))
def test_equal_weights_are_counted_exactly(keep):
    kept = zimp.magnitude_mask(np.full((3, 3), -0.5), keep)
    assert kept.ravel().tolist() == [True] * keep + [False] * (9 - keep)


@pytest.mark.parametrize("criterion", MASKS)
def test_numpy_gives_numpy(criterion):
    assert type(MASKS[criterion](gaussian(3, 4), 8)) is np.ndarray
    assert type(MASKS[criterion](gaussian(3, 4).tolist(), 8)) is np.ndarray


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("criterion", MASKS)
def test_torch_gives_torch_of_the_same_shape_and_device(criterion, dtype, device):
    weight = torch.tensor(gaussian(4, 3, 2, 2), dtype=dtype, device=device, requires_grad=True)
    before = weight.detach().clone()
    mask = torch.ones(weight.shape, dtype=torch.bool, device=device)
    for left in (None, mask):
        kept = MASKS[criterion](weight, 20, left)
        assert (kept.dtype, kept.shape, kept.device) == (torch.bool, weight.shape, weight.device)
        assert kept.sum() == 20
    assert torch.equal(weight, before) and mask.all()


def test_a_weight_vector_can_be_pruned_by_magnitude():
    assert zimp.magnitude_mask([0.1, -3.0, 2.0], 2).tolist() == [False, True, True]


@pytest.mark.parametrize(
    "generator", [np.random.default_rng, lambda seed: torch.Generator().manual_seed(seed)], ids=["numpy", "torch"]
)
def test_a_random_mask_is_reproducible(generator):
    first, again, other = (zimp.random_mask(np.ones((8, 9)), 30, generator=generator(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_a_random_mask_is_drawn_by_torchs_global_generator_unless_told():
    masks = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        masks.append(zimp.random_mask(np.ones((8, 9)), 30))
    assert np.array_equal(masks[0], masks[1]) and not np.array_equal(masks[0], masks[2])


@pytest.mark.parametrize("generator", [np.random.default_rng(0), torch.Generator().manual_seed(0)])
def test_a_random_mask_takes_every_weight_equally_often(generator):
    mask = np.array([[1, 1, 0, 1], [1, 0, 1, 1]], dtype=bool)
    trials = 3000
    drawn = [zimp.random_mask(gaussian(2, 4), 2, mask, generator=generator) for _ in range(trials)]
    pairs, counts = np.unique(np.reshape(drawn, (trials, 8)), axis=0, return_counts=True)
    assert len(pairs) == 15  # of 6 weights
    assert np.abs(counts - trials / 15).max() < 5 * np.sqrt(trials / 15)


# Topological pruning


@pytest.mark.parametrize(("groups", "tree"), [(1, 8 + 36 - 1), (2, 8 + 36 - 2), (4, 8 + 36 - 4)])
def test_a_convolution_keeps_the_forest_of_its_matrix_view(groups, tree):
    weight = gaussian(8, 4 // groups, 3, 3)
    kept = zimp.topological_mask(weight, tree, groups=groups)
    forest = zimp.spanning_forest(*zimp.layer_graph(weight, groups=groups))
    graph = zimp.layer_graph(weight, kept, groups=groups)
    edges = graph.mask if groups == 1 else graph.weights.toarray() != 0
    assert np.array_equal(edges, forest.mask)
    with pytest.raises(ValueError, match=f"keep={tree - 1} is below the {tree} weights"):
        zimp.topological_mask(weight, tree - 1, groups=groups)


# Scores, and torch.nn.utils.prune


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_topological_scores_are_magnitudes_and_infinite_on_the_tree(dtype):
    weight = torch.tensor(gaussian(5, 6), dtype=dtype, requires_grad=True)
    scores, tree = zimp.topological_scores(weight), torch.tensor(zimp.spanning_forest(weight).mask)
    assert (scores.dtype, scores.requires_grad) == (dtype, False)
    assert torch.isinf(scores[tree]).all() and torch.equal(scores[~tree], weight.detach().abs()[~tree])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_topological_scores_of_numpy_are_numpy(dtype):
    weight = gaussian(5, 6).astype(dtype)
    mask = gaussian(5, 6, seed=1) > 0
    scores, tree = zimp.topological_scores(weight, mask), zimp.spanning_forest(weight, mask).mask
    assert (type(scores), scores.dtype) == (np.ndarray, dtype)
    assert np.array_equal(scores, np.where(tree, np.inf, np.abs(weight)))


@pytest.mark.parametrize("weight", [np.array([[-128, 5], [7, 1]], dtype=np.int8), torch.tensor([[-128, 5], [7, 1]])])
def test_topological_scores_of_whole_numbers_are_magnitudes_too(weight):
    assert np.asarray(zimp.topological_scores(weight)).tolist() == [[np.inf] * 2, [np.inf, 1]]
    assert np.asarray(zimp.topological_scores(weight, np.zeros((2, 2)))).tolist() == [[128, 5], [7, 1]]


@pytest.mark.parametrize("keep", [400, 200, 69])
def test_torchs_l1_pruning_by_topological_scores_is_topological_pruning(keep, seeded):
    layer = nn.Linear(40, 30)
    expected = zimp.topological_mask(layer.weight, keep)
    scores = zimp.topological_scores(layer.weight)
    torch_prune.l1_unstructured(layer, "weight", amount=1200 - keep, importance_scores=scores)
    assert torch.equal(layer.weight_mask.bool(), expected)


def test_torchs_global_pruning_by_topological_scores_is_global_topological_pruning(seeded):
    model = zimp.lenet_300_100(20)
    expected = zimp.prune(model, rate=0.97, criterion="topological", scope="global")
    layers = {name: model.get_submodule(name.removesuffix(".weight")) for name in zimp.prunable(model)}
    total = sum(layer.weight.numel() for layer in layers.values())
    kept = round(0.03 * total)
    torch_prune.global_unstructured(
        [(layer, "weight") for layer in layers.values()],
        torch_prune.L1Unstructured,
        importance_scores={(layer, "weight"): zimp.topological_scores(layer.weight) for layer in layers.values()},
        amount=total - kept,
    )
    assert sum(mask.sum() for mask in expected.values()) == kept
    for name, layer in layers.items():
        assert torch.equal(layer.weight_mask.bool(), expected[name])
        assert zimp.count_components(layer.weight_mask) == 1


@pytest.mark.parametrize(("amount", "kept"), [(0.9, 120), (0.25, 900), (0, 1200), (7, 1193), (1131, 69)])
def test_the_torch_method_prunes_a_share_or_a_number(amount, kept, seeded):
    layer = nn.Linear(40, 30)
    parameter, values = layer.weight, layer.weight.detach().clone()
    expected = zimp.topological_mask(values, kept)
    method = zimp.TopologicalUnstructured.apply(layer, "weight", amount)
    assert isinstance(method, torch_prune.BasePruningMethod) and torch_prune.is_pruned(layer)
    assert torch.equal(layer.weight_mask.bool(), expected)
    assert layer.weight_orig is parameter and torch.equal(parameter, values)
    assert torch.equal(layer.weight, values * expected)


@pytest.mark.parametrize(
    "earlier", [torch_prune.random_unstructured, torch_prune.l1_unstructured, zimp.TopologicalUnstructured.apply]
)
@pytest.mark.parametrize("amount", [0.5, 300])
def test_the_torch_method_composes_with_earlier_masks(earlier, amount, seeded):
    layer = nn.Linear(40, 30)
    earlier(layer, "weight", amount=0.4)
    before, weights = layer.weight_mask.bool(), layer.weight.detach().clone()
    zimp.TopologicalUnstructured.apply(layer, "weight", amount)
    after = layer.weight_mask.bool()
    assert before.sum() == 720
    assert after.sum() == (360 if amount == 0.5 else 420)
    assert not (after & ~before).any()
    assert np.array_equal(zimp.persistence_diagram(weights, after), zimp.persistence_diagram(weights, before))


def test_the_torch_method_sees_a_layer_that_earlier_masks_took_apart(seeded):
    layer = nn.Linear(40, 30)
    torch_prune.random_unstructured(layer, "weight", amount=1150)
    before = layer.weight_mask.bool()
    forest = len(zimp.spanning_forest(layer.weight, before))
    zimp.TopologicalUnstructured.apply(layer, "weight", 50 - forest)
    assert zimp.count_components(before) == zimp.count_components(layer.weight_mask) == 70 - forest


def test_the_torch_method_scores_by_importance_if_given(seeded):
    layer, scores = nn.Linear(8, 6), torch.rand(6, 8)
    expected = zimp.topological_mask(scores, 13)
    zimp.TopologicalUnstructured.apply(layer, "weight", 35, importance_scores=scores)
    assert torch.equal(layer.weight_mask.bool(), expected)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_the_torch_method_reads_the_groups_off_a_convolution(groups, seeded):
    conv = nn.Conv2d(4, 8, 3, groups=groups)
    tree = 8 + 36 - groups
    zimp.TopologicalUnstructured.apply(conv, "weight", conv.weight.numel() - tree)
    assert conv.weight_mask.sum() == tree
    graph = zimp.layer_graph(conv.weight_orig, conv.weight_mask, groups=groups)
    assert zimp.spanning_forest(*graph).n_components == groups
    assert conv(torch.rand(2, 4, 5, 5)).shape == (2, 8, 3, 3)


def test_the_torch_mask_holds_while_training_and_can_be_made_permanent(seeded):
    layer = nn.Linear(8, 6)
    parameter = layer.weight
    zimp.TopologicalUnstructured.apply(layer, "weight", 0.5)
    mask = layer.weight_mask.bool()
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        layer(torch.rand(4, 8)).square().sum().backward()
        optimizer.step()
    layer(torch.rand(1, 8))
    assert not layer.weight[~mask].any() and layer.weight[mask].all()
    torch_prune.remove(layer, "weight")
    assert layer.weight is parameter and not torch_prune.is_pruned(layer)
    assert not layer.weight[~mask].any() and layer.weight[mask].all()
    assert list(zimp.prunable(layer)) == ["weight"]


@pytest.mark.parametrize("earlier", [None, 0.2], ids=["first pruning", "second pruning"])
def test_a_torch_pruning_that_fails_leaves_the_layer_as_it_was(earlier, seeded):
    layer = nn.Linear(8, 6)
    if earlier:
        zimp.TopologicalUnstructured.apply(layer, "weight", earlier)
    names = list(layer.state_dict())
    state, hooks = {name: value.clone() for name, value in layer.state_dict().items()}, len(layer._forward_pre_hooks)
    with pytest.raises(ValueError, match="below the 13 weights of a spanning tree of a 6x8 layer"):
        zimp.TopologicalUnstructured.apply(layer, "weight", 0.9)
    assert sorted(layer.state_dict()) == sorted(names)
    assert all(torch.equal(value, state[name]) for name, value in layer.state_dict().items())
    assert len(layer._forward_pre_hooks) == hooks


# The next level's masks


def mixed():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 6, 3, groups=2), nn.BatchNorm2d(6), nn.Flatten(), nn.Linear(54, 10))


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.33, 0.5, np.float64(0.8)])
@pytest.mark.parametrize("criterion", MASKS)
def test_each_layer_keeps_its_rounded_share_of_what_is_left_but_no_less_than_its_tree(criterion, rate):
    model, masks, left = mixed(), None, {"0.weight": 54, "3.weight": 540}
    trees = {"0.weight": 22, "3.weight": 63} if criterion == "topological" else dict.fromkeys(left, 0)
    for _ in range(2):
        before = masks
        masks = zimp.prune(model, masks, rate, criterion=criterion)
        for name, weight in zimp.prunable(model).items():
            left[name] = max(round((1 - rate) * left[name]), trees[name])
            mask = masks[name]
            assert (mask.dtype, mask.shape, mask.device) == (torch.bool, weight.shape, weight.device)
            assert mask.sum() == left[name]
            assert before is None or not (mask & ~before[name]).any()


@pytest.mark.parametrize("rate", [0.1, 0.33, 0.5])
@pytest.mark.parametrize("criterion", MASKS)
def test_the_network_keeps_its_rounded_share_of_what_is_left(criterion, rate):
    model, masks, left = mixed(), None, 594
    for _ in range(2):
        before, left = masks, round((1 - rate) * left)
        masks = zimp.prune(model, masks, rate, criterion=criterion, scope="global")
        assert sum(int(mask.sum()) for mask in masks.values()) == left
        assert before is None or not any((masks[name] & ~before[name]).any() for name in masks)


def test_layers_can_have_rates_of_their_own():
    masks = zimp.prune(mixed(), rate={"0.weight": 0.5, "3.weight": 0.1})
    assert {name: int(mask.sum()) for name, mask in masks.items()} == {"0.weight": 27, "3.weight": 486}


@pytest.mark.parametrize("criterion", ["magnitude", "topological"])
def test_a_layer_is_pruned_as_by_its_mask_function(criterion):
    model = mixed()
    first = zimp.prune(model, rate=0.3, criterion=criterion)
    second = zimp.prune(model, first, rate=0.3, criterion=criterion)
    for (name, weight), groups in zip(zimp.prunable(model).items(), [2, 1]):
        options = {"groups": groups} if criterion == "topological" else {}
        expected = MASKS[criterion](weight, int(second[name].sum()), first[name], **options)
        assert torch.equal(second[name], expected)


def test_global_magnitude_pruning_keeps_what_torchs_does():
    model = mixed()
    masks = zimp.prune(model, rate=0.6, scope="global")
    parameters = [(model[0], "weight"), (model[3], "weight")]
    torch_prune.global_unstructured(parameters, torch_prune.L1Unstructured, amount=0.6)
    assert torch.equal(masks["0.weight"], model[0].weight_mask.bool())
    assert torch.equal(masks["3.weight"], model[3].weight_mask.bool())


def test_global_topological_pruning_goes_down_to_the_trees_of_all_layers():
    model = mixed()
    masks = zimp.prune(model, rate=0.99, criterion="topological", scope="global")
    assert {name: int(mask.sum()) for name, mask in masks.items()} == {"0.weight": 22, "3.weight": 63}


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.sampled_from([0.2, 0.6, 0.8]))
def test_global_topological_pruning_preserves_the_diagram_of_each_layer(seed, rate):
    model = mixed()
    for weight in zimp.prunable(model).values():
        nn.init.normal_(weight, std=0.1, generator=torch.Generator().manual_seed(seed))
    masks = zimp.prune(model, rate=rate, criterion="topological", scope="global")
    for (name, weight), groups in zip(zimp.prunable(model).items(), [2, 1]):
        before, after = (zimp.layer_graph(weight, mask, groups=groups) for mask in (None, masks[name]))
        assert np.array_equal(zimp.persistence_diagram(*before), zimp.persistence_diagram(*after))


def test_a_layer_that_is_a_bare_tree_stays_while_others_can_give(seeded):
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 40))
    masks = zimp.prune(model, None, 0.3, criterion="topological")
    again = zimp.prune(model, masks, 0.3, criterion="topological")
    assert [int(mask.sum()) for mask in masks.values()] == [3, 56]
    assert [int(mask.sum()) for mask in again.values()] == [3, 41]
    assert torch.equal(masks["0.weight"], again["0.weight"])


@pytest.mark.parametrize(
    ("scope", "message"),
    [
        ("layer", "keep=50 is below the 63 weights of a spanning tree of a 10x54 layer; .* (density 0.1167)"),
        ("global", "keep=68 is below the 85 weights of the spanning trees of 2 layers; .* (density 0.1431)"),
    ],
)
def test_bare_trees_cannot_be_pruned(scope, message):
    model = mixed()
    masks = zimp.prune(model, rate=0.99, criterion="topological")
    with pytest.raises(ValueError, match=message.replace("(", r"\(").replace(")", r"\)")):
        zimp.prune(model, masks, criterion="topological", scope=scope)
    zimp.prune(model, masks, criterion="magnitude", scope=scope)


def test_random_pruning_is_reproducible_by_its_generator():
    generators = (torch.Generator().manual_seed(seed) for seed in (1, 1, 2))
    first, again, other = (zimp.prune(mixed(), criterion="random", generator=generator) for generator in generators)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("criterion", MASKS)
@pytest.mark.parametrize("scope", ["layer", "global"])
def test_pruning_only_reads_the_model_and_the_masks(criterion, scope):
    model = mixed()
    weights = zimp.prunable(model)
    values = {name: value.clone() for name, value in model.state_dict().items()}
    masks = zimp.prune(model, criterion=criterion, scope=scope)
    copies = {name: mask.clone() for name, mask in masks.items()}
    zimp.prune(model, masks, criterion=criterion, scope=scope)
    assert all(weight is weights[name] for name, weight in zimp.prunable(model).items())
    assert all(torch.equal(value, values[name]) for name, value in model.state_dict().items())
    assert all(torch.equal(mask, copies[name]) for name, mask in masks.items())
