"""Faults that users met, each with the kind that it stands for: what failed, and what is right."""

import copy
import re
import tracemalloc
import warnings

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch import nn
from torch.nn.utils import parametrizations
from torch.nn.utils import prune as torch_prune

import zimp
from zimp import plots
from zimp.lab import training

# Weights under torch.nn.utils.prune are refreshed in the forward pass only


@pytest.mark.parametrize("stale", ["after training", "after loading", "after a change by hand"])
def test_the_torch_method_keeps_the_tree_of_the_weights_as_they_are(stale, seeded):
    """It kept that of the last forward pass: 304 of 363 edges after 20 steps, 185 after load_state_dict."""
    layer = nn.Linear(64, 300)
    zimp.TopologicalUnstructured.apply(layer, "weight", amount=0.5)
    if stale == "after training":
        optimizer = torch.optim.Adam(layer.parameters(), lr=0.01)
        for _ in range(20):
            optimizer.zero_grad()
            layer(torch.rand(8, 64)).square().sum().backward()
            optimizer.step()
    elif stale == "after loading":
        layer.load_state_dict({**layer.state_dict(), "weight_orig": torch.randn(300, 64)})
    else:
        with torch.no_grad():
            layer.weight_orig.copy_(torch.randn(300, 64))
    tree = zimp.spanning_forest(layer.weight_orig, layer.weight_mask).mask
    zimp.TopologicalUnstructured.apply(layer, "weight", amount=0.95)
    assert layer.weight_mask.bool()[torch.from_numpy(tree)].all() and tree.sum() == 363


# What is absent stays absent


def sparse_tensors():
    eye = torch.eye(6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the layouts are in beta
        return {
            "coo": eye.to_sparse(), "csr": eye.to_sparse_csr(), "csc": eye.to_sparse_csc(),
            "bsr": eye.to_sparse_bsr((2, 2)), "half": eye.half().to_sparse(), "bfloat16": eye.bfloat16().to_sparse(),
        }  # fmt: skip


@pytest.mark.parametrize(("layout", "pieces"), [(name, 3 if name == "bsr" else 6) for name in sparse_tensors()])
def test_a_sparse_tensor_is_taken_as_scipys_array_is(layout, pieces):
    """Torch's were to be made dense, by which absent edges became edges of weight 0: one piece."""
    tensor = sparse_tensors()[layout]
    assert zimp.spanning_forest(tensor).n_components == pieces
    assert zimp.persistence_diagram(tensor, essential=False).shape == (12 - pieces, 2)
    assert zimp.safe_density(tensor) <= 1 and zimp.betti_curve(tensor, 2.0) == 12
    assert zimp.neural_persistence(tensor) > 0


def test_stored_zeros_of_a_sparse_tensor_are_edges():
    tensor = torch.sparse_coo_tensor([[0, 1], [0, 0]], [1.0, 0.0], (2, 1)).coalesce()
    assert zimp.spanning_forest(tensor).values.tolist() == [1, 0]


def test_sparse_tensors_that_are_ambiguous_are_refused():
    twice = torch.sparse_coo_tensor([[0, 0], [0, 0]], [1.0, 2.0], (1, 2))
    with pytest.raises(ValueError, match="the sparse tensor may have entries twice; call its coalesce"):
        zimp.spanning_forest(twice)
    with pytest.raises(ValueError, match="mask was given together with a sparse array"):
        zimp.spanning_forest(torch.eye(3).to_sparse(), np.ones((3, 3)))
    with pytest.raises(ValueError, match="a stored entry of the sparse array is not finite"):
        zimp.spanning_forest((torch.eye(3) * float("nan")).to_sparse())
    hybrid = torch.sparse_coo_tensor([[0, 2]], torch.ones(2, 4), (3, 4)).coalesce()
    with pytest.raises(
        ValueError, match="in the layout torch.sparse_coo on cpu cannot be converted to an array of numbers"
    ):
        zimp.spanning_forest(hybrid)


@pytest.mark.parametrize("weights", [csr_array(np.eye(5)), torch.eye(5).to_sparse()], ids=["scipy", "torch"])
def test_the_advice_for_sparse_weights_keeps_what_is_absent_absent(weights):
    message = "give a dense one, together with a mask of the stored entries"
    with pytest.raises(ValueError, match=message):
        zimp.topological_mask(weights, 5)
    dense = weights.toarray() if isinstance(weights, csr_array) else weights.to_dense().numpy()
    assert zimp.topological_mask(dense, 5, mask=dense != 0).sum() == 5


# One rule of what a layer is


class Everything(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.proj = nn.Linear(16, 48), nn.Linear(16, 16)
        self.attn, self.lstm, self.cell = nn.MultiheadAttention(8, 2), nn.LSTM(5, 7), nn.GRUCell(3, 4)
        self.conv, self.up = nn.Conv2d(4, 6, 3, groups=2), nn.ConvTranspose2d(6, 4, 2, groups=2)
        self.wide = nn.ConvTranspose1d(3, 5, 4)
        self.lstm_small = nn.LSTM(4, 6, proj_size=2, bidirectional=True)
        self.tied = nn.Linear(16, 16)
        self.tied.weight = self.proj.weight


def test_prunable_trees_masks_and_the_report_agree_on_what_a_layer_is(seeded):
    """`tree_sizes` said 63 of a layer called qkv, `report` 93: whole by the one, a mask was in pieces by the other."""
    model = Everything()
    sizes, rows = zimp.tree_sizes(model), zimp.report(model).rows
    assert list(sizes) == list(zimp.prunable(model))
    assert sizes["qkv.weight"] == (48 * 16, 93) and sizes["attn.in_proj_weight"] == (24 * 8, 45)
    assert sizes["lstm.weight_hh_l0"] == (28 * 7, 4 * 13) and sizes["cell.weight_ih"] == (12 * 3, 3 * 6)
    by_report = {}
    for row in rows:
        weights, tree = by_report.get(row["name"], (0, 0))
        by_report[row["name"]] = weights + row["weights"], tree + row["tree"]
    assert by_report == sizes

    bare = zimp.prune(model, keep={name: tree for name, (_, tree) in sizes.items()}, criterion="topological")
    facts = zimp.mask_facts(model, bare)
    assert all(fact["h0_unchanged"] and fact["isolated"] == 0 for fact in facts.values())
    zimp.apply_masks(model, bare)
    for name, mask in bare.items():
        owner = model.get_submodule(name.rpartition(".")[0])
        groups = 3 if name == "qkv.weight" else None  # what a dense layer is called, its parent knows alone
        zimp.TopologicalUnstructured.apply(owner, name.rpartition(".")[2], int((~mask).sum()), groups=groups)
        assert torch.equal(getattr(owner, name.rpartition(".")[2] + "_mask").bool(), mask), name


def test_a_record_has_the_trees_of_fused_weights(digits):
    class Fused(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv, self.output = nn.Linear(64, 192), nn.Linear(64, 10)

        def forward(self, x):
            q, k, v = self.qkv(x.flatten(1)).chunk(3, dim=1)
            return self.output((q * k).tanh() + v)

    record = zimp.iterative_magnitude_pruning(
        Fused, digits, levels=30, rate=0.5, steps=2, criterion="topological", at_floor="stop", progress=False
    )
    assert record.rows[-1]["layers"]["qkv.weight"]["kept"] == 3 * 127
    assert all(row["layers"]["qkv.weight"]["beta0"] == 3 for row in record.rows)


# What is left out is named


class Conv1D(nn.Module):
    """As GPT-2's: a dense layer stored as (inputs, outputs)."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs))

    def forward(self, x):
        return x @ self.weight


def test_weights_that_are_not_pruned_are_named_and_counted(digits, capsys):
    """The record said a density of 0.25, while 94 % of the weights were never touched, and nothing told."""

    def build():
        return nn.Sequential(nn.Flatten(), Conv1D(64, 12), nn.Linear(12, 10))

    with pytest.warns(
        UserWarning, match="not pruned: 1.weight, of the class Conv1D, which zimp does not know as a layer"
    ):
        assert list(zimp.prunable(build())) == ["2.weight"]
    record = zimp.iterative_magnitude_pruning(build, digits, levels=1, steps=2)
    assert record.config["not_pruned"] == {"1.weight": 768}
    assert "not_pruned=768" in capsys.readouterr().err


def test_embeddings_are_counted_without_a_warning(recwarn):
    model = nn.Sequential(nn.Embedding(5, 4), nn.Bilinear(2, 3, 4), nn.LayerNorm((2, 2)), nn.Linear(4, 3))
    assert list(zimp.prunable(model)) == ["3.weight"] and not recwarn.list


def test_a_recurrent_layer_is_pruned_as_its_gates(digits):
    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.output = nn.LSTM(8, 16, batch_first=True), nn.Linear(16, 10)

        def forward(self, x):
            return self.output(self.lstm(x[:, 0])[0][:, -1])

    record = zimp.iterative_magnitude_pruning(Reader, digits, levels=2, rate=0.5, steps=5, progress=False)
    assert record.config["not_pruned"] == {}
    assert record.curve("density")[0].tolist() == [1, 0.5, 0.25]


# One memory, two parameters


def test_a_transposed_tie_is_one_layer(digits):
    """It was counted twice, and pruned at random the masks disagreed with the weights."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.Linear(32, 64), nn.Linear(64, 10))
    model[2].weight = nn.Parameter(model[1].weight.data.t())
    assert list(zimp.prunable(model)) == ["1.weight", "3.weight"]
    assert [row["name"] for row in zimp.report(model).rows] == ["1.weight", "3.weight"]
    masks = zimp.prune(model, rate=0.5, criterion="random", generator=torch.Generator().manual_seed(0))
    zimp.train(model, masks, digits.train, steps=3, seed=0)
    assert torch.equal(model[1].weight != 0, masks["1.weight"])
    assert torch.equal(model[2].weight != 0, masks["1.weight"].T)
    q, k, v = torch.randn(6, 4).chunk(3)  # parts of one memory that do not overlap are layers of their own
    model = nn.Sequential(*(nn.Linear(4, 2) for _ in range(3)))
    for layer, part in zip(model, (q, k, v)):
        layer.weight = nn.Parameter(part)
    assert len(zimp.prunable(model)) == 3


# Numbers


@pytest.mark.parametrize("p", [2, 50, 2000, 1e6])
def test_neural_persistence_does_not_underflow(p):
    """For p = 2000 it was 0."""
    assert zimp.neural_persistence([[1, 0.5]], p=p, convention="balwani", normalized=False) == pytest.approx(0.5)
    assert zimp.neural_persistence([[1, 0.5]], p=p, convention="rieck", normalized=False) == pytest.approx(1, abs=0.12)


def test_the_unit_of_diagrams_can_be_that_of_the_network():
    """A layer and its double had one diagram, so that distances between levels compared different units."""
    weights = np.random.default_rng(0).normal(size=(5, 7))
    scale = 2 * np.abs(weights).max()
    ours, doubled = (
        zimp.persistence_diagram(factor * weights, scale=scale, essential=False)[:, 1] for factor in (1, 2)
    )
    assert doubled == pytest.approx(2 * ours - 1) and not np.allclose(ours, doubled)
    thresholds = np.linspace(0, 1, 9)
    own_unit = zimp.betti_curve(weights, 2 * thresholds)
    assert np.array_equal(zimp.betti_curve(weights, thresholds, scale=scale), own_unit)
    assert np.array_equal(zimp.persistence_diagram(weights, scale=scale / 2), zimp.persistence_diagram(weights))
    for scale in (0, 1.0, float("nan")):
        for function in (zimp.persistence_diagram, lambda w, scale: zimp.betti_curve(w, 0.5, scale=scale)):
            with pytest.raises(ValueError, match=r"is not a positive number of at least the layer's largest \|w\|"):
                function(3 * np.ones((2, 2)), scale=scale)


@pytest.mark.parametrize("groups", [512, 4096])
def test_a_mask_of_many_groups_needs_memory_in_proportion_to_its_weights(groups):
    """4096 groups of 4 weights took 320 MB: a dense matrix with the groups on its diagonal."""
    weight = torch.randn(groups, 1, 4, generator=torch.Generator().manual_seed(0))
    zimp.topological_mask(weight[:4], 16, groups=4)
    tracemalloc.start()
    mask = zimp.topological_mask(weight, 4 * groups, groups=groups)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert mask.all() and peak < 1000 * weight.numel()


def test_accuracy_takes_images_in_batches(digits):
    """It ran a whole split at once: 0.9 GB for 3,000 images and 32 channels."""
    seen = []
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    expected = (model(digits.train.x).argmax(1) == digits.train.y).double().mean().item()
    model.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    assert zimp.accuracy(model, digits.train) == expected
    assert seen == [training.EVALUATED, training.EVALUATED, 1077 - 2 * training.EVALUATED]


# Advice that can be followed


def old_weight_norm():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.utils.weight_norm(nn.Linear(4, 3))


COMPUTED = {
    "weight norm": lambda: parametrizations.weight_norm(nn.Linear(4, 3)),
    "orthogonal": lambda: parametrizations.orthogonal(nn.Linear(4, 3)),
    "of a recurrent layer": lambda: parametrizations.weight_norm(nn.LSTM(3, 4), "weight_hh_l0"),
    "old weight norm": old_weight_norm,
    "old spectral norm": lambda: nn.utils.spectral_norm(nn.Conv2d(4, 3, 2)),
    "pruned": lambda: torch_prune.l1_unstructured(nn.Linear(4, 3), "weight", 0.5),
    "pruned recurrent layer": lambda: torch_prune.l1_unstructured(nn.GRU(3, 4), "weight_ih_l0", 0.5),
}


@pytest.mark.parametrize("build", COMPUTED.values(), ids=COMPUTED)
def test_the_advice_for_weights_that_are_computed_works(build, seeded):
    """It said `prune.remove` of weights that had never been pruned, which raises."""
    layer = build()
    with pytest.raises(
        ValueError, match="is computed, not stored, so pruning it would have no effect; make it"
    ) as refused:
        zimp.prunable(layer)
    name = str(refused.value).partition(" ")[0]
    eval(str(refused.value).partition("first: ")[2], {"torch": torch, "layer": layer, "name": name})
    assert name in zimp.prunable(layer)


# Errors in our words


def test_a_transform_of_torch_is_told_apart_from_weights():
    with pytest.raises(
        ValueError,
        match="a Tensor of torch.float32 .* cannot be converted to an array of numbers .*outside of any transf",
    ):
        torch.func.grad(lambda w: torch.tensor(zimp.neural_persistence(w)))(torch.ones(2, 2))


def test_a_curve_of_an_unknown_method_is_refused():
    fig, ax = plots.figure()
    with pytest.raises(ValueError, match="method='grasp' is unknown; it must be one of 'topological', 'magnitude'"):
        plots.curve([1, 0.5], [[0, 1]], "grasp", ax=ax)
    plots.plt.close(fig)


def test_a_weight_of_a_group_that_is_not_finite_is_named_by_its_index():
    """It was "a stored entry of the sparse array", of which the caller had none."""
    conv = nn.Conv2d(4, 6, 3, groups=2)
    conv.weight.data[5, 1, 0, 2] = float("nan")
    for function in (lambda: zimp.topological_mask(conv.weight, 90, groups=2), lambda: zimp.report(conv)):
        with pytest.raises(ValueError, match=re.escape("[5, 1, 0, 2] is nan")):
            function()


TRUTHS = {
    "keep": lambda: zimp.magnitude_mask(np.ones((2, 2)), True),
    "levels": lambda: zimp.iterative_magnitude_pruning(nn.Linear, zimp.load_data(), levels=True),
    "seed": lambda: zimp.train(nn.Linear(64, 10), None, zimp.load_data().train, steps=1, seed=False),
    "m": lambda: zimp.critical_compression(True, 3),
    "probability": lambda: zimp.connectivity_density(3, 4, np.True_),
    "scale": lambda: zimp.persistence_diagram([[0.5]], scale=np.True_),
    "a tensor": lambda: zimp.critical_compression(torch.tensor(True), 3),
}


@pytest.mark.parametrize("call", TRUTHS.values(), ids=TRUTHS)
def test_true_is_no_number(call):
    with pytest.raises(ValueError, match="True|False"):
        call()


def apply(layer=None, name="weight", amount=0.5, **arguments):
    return zimp.TopologicalUnstructured.apply(layer or nn.Linear(8, 5), name, amount, **arguments)


def test_the_words_of_the_torch_method_name_what_is_wrong(seeded):
    layer = nn.Linear(8, 5)
    with pytest.raises(ValueError, match=r"importance_scores\[\d, \d\] is inf; .* This method finds the tree"):
        apply(layer, importance_scores=zimp.topological_scores(layer.weight))
    with pytest.raises(
        ValueError, match=r"bias has shape \(5,\), but a graph needs at least two dimensions; prune the weight"
    ):
        apply(layer, "bias")
    with pytest.raises(ValueError, match="amount=41 is above the 40 remaining weights"):
        apply(layer, amount=41)
    with pytest.raises(ValueError, match="keep=0 is below the 12 weights of a spanning tree"):
        apply(layer, amount=1.0)
    assert not hasattr(layer, "weight_orig")  # nothing was done
    for nothing in (0, 0.0):
        apply(nn.Linear(8, 5), amount=nothing)
    apply(layer, amount=0.0)
    assert layer.weight_mask.all()


@pytest.mark.parametrize("amount", [0.5, 0.1, 0.37, 0.62])
@pytest.mark.parametrize("shape", [(25, 15), (8, 5), (7, 9)])
def test_the_torch_method_leaves_as_many_weights_as_torchs_own(shape, amount, seeded):
    """At 0.5 it kept 188 of 375, torch's keep 187."""
    ours, theirs = nn.Linear(*shape), nn.Linear(*shape)
    zimp.TopologicalUnstructured.apply(ours, "weight", amount)
    torch_prune.l1_unstructured(theirs, "weight", amount)
    assert ours.weight_mask.sum() == theirs.weight_mask.sum()


# Limits of torch, and the way round


def test_attention_trains_and_is_copied_with_held_masks(seeded):
    """Its output layer, pruned by torch's hook, fails at the second backward pass."""
    attention = nn.MultiheadAttention(8, 2)
    optimizer = torch.optim.SGD(attention.parameters(), lr=0.1)
    masks = zimp.prune(attention, rate=0.5, criterion="topological")
    x = torch.rand(3, 1, 8)
    with zimp.hold(optimizer, attention, masks):
        for _ in range(3):
            optimizer.zero_grad()
            attention(x, x, x)[0].square().sum().backward()
            optimizer.step()
    copied = copy.deepcopy(attention)
    assert all(torch.equal(mask, masks[name]) for name, mask in zimp.masks_of(copied).items())


# Surroundings


def study():
    digits = zimp.load_data("digits")
    rows = [
        zimp.iterative_magnitude_pruning(
            lambda: zimp.lenet_300_100(64), digits, levels=1, steps=4, seeds=[0, 1], progress=False, **arguments
        ).rows
        for arguments in ({}, {"criterion": "random"}, {"together": True})
    ]
    mask = zimp.random_mask(np.ones((3, 4)), 5, generator=torch.Generator("cpu").manual_seed(0))
    return rows, mask.tolist(), zimp.spanning_forest(torch.ones(2, 3, device="cpu")).values.tolist()


def test_a_default_type_that_the_caller_has_set_changes_nothing():
    expected = study()
    torch.set_default_dtype(torch.float64)
    try:
        assert study() == expected
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_default_device_that_the_caller_has_set_changes_nothing():
    """Images were looked up at places that are on no device: memory that is not ours."""
    network, digits = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), zimp.load_data("digits")
    again = copy.deepcopy(network)
    expected = zimp.train(network, zimp.prune(network, rate=0.5), digits.train, steps=4, seed=0)
    torch.set_default_device("meta")
    try:
        found = zimp.train(again, zimp.prune(again, rate=0.5), digits.train, steps=4, seed=0)
        assert zimp.load_data("digits").train.x.device.type == "cpu"
        mask = zimp.random_mask(again[1].weight, 100)
        zimp.apply_masks(again, {"1.weight": mask})
        zimp.train_together([again], [{"1.weight": mask}], digits.train, steps=2, seeds=[0])
    finally:
        torch.set_default_device(None)
    assert found == expected and not again[1].weight[~mask].any()
