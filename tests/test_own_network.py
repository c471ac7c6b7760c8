"""A network and a training loop of one's own: hold, masks, facts, budgets, a training function."""

import copy
import math
import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, pad

import zimp


class Residual(nn.Module):
    """A small residual network with batch norm."""

    def __init__(self, width=6):
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(3))
        self.block = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(2))
        self.output = nn.Linear(width, 10)

    def forward(self, x):
        x = self.norms[0](self.stem(x)).relu()
        inner = self.norms[1](self.block[0](x)).relu()
        x = (x + self.norms[2](self.block[1](inner))).relu()
        return self.output(x.mean(dim=(2, 3)))


def shifted(x, generator):
    """Augmentation: the images moved by up to a pixel."""
    dx, dy = torch.randint(3, (2,), generator=generator).tolist()
    return pad(x, (1, 1, 1, 1))[:, :, dx : dx + x.shape[2], dy : dy + x.shape[3]]


def test_a_training_loop_as_research_has_it_prunes_a_residual_network_to_its_bare_trees(digits):
    torch.manual_seed(0)
    model, generator, masks, level = Residual(), torch.Generator().manual_seed(0), None, 0
    initial, trees = copy.deepcopy(model.state_dict()), zimp.tree_sizes(model)
    x, y = digits.train.x[:300], digits.train.y[:300]
    while masks is None or any(masks[name].sum() > tree for name, (_, tree) in trees.items()):
        if level:
            new = zimp.prune(model, masks, rate=0.4, criterion="topological")
            facts = zimp.mask_facts(model, new, masks)
            assert all(fact["h0_unchanged"] and fact["tree_kept"] == 1 for fact in facts.values())
            assert {name: fact["kept"] for name, fact in facts.items()} == {n: int(m.sum()) for n, m in new.items()}
            masks = new
            model.load_state_dict(initial)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 6)
        best, patience = math.inf, 2
        with zimp.hold(optimizer, model, masks):
            for _ in range(6):
                for batch in torch.randperm(len(y), generator=generator).split(50):
                    optimizer.zero_grad()
                    cross_entropy(model(shifted(x[batch], generator)), y[batch]).backward()
                    optimizer.step()
                schedule.step()
                with torch.no_grad():
                    loss = cross_entropy(model(digits.validation.x), digits.validation.y).item()
                best, patience = min(best, loss), 2 if loss < best else patience - 1
                if patience == 0:
                    break
        assert masks is None or all(torch.equal(mask, masks[n] & mask) for n, mask in zimp.masks_of(model).items())
        level += 1
    assert {name: int(mask.sum()) for name, mask in masks.items()} == {name: tree for name, (_, tree) in trees.items()}
    assert level > 4
    with pytest.raises(ValueError, match="topological pruning cannot go further"):
        zimp.prune(model, masks, rate=0.5, criterion="topological")


# hold


def network():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 10))


def steps(model, optimizer, split, count=3):
    for _ in range(count):
        optimizer.zero_grad()
        cross_entropy(model(split.x), split.y).backward()
        optimizer.step()


@pytest.mark.parametrize("kind", ["SGD", "AdamW", "RMSprop"])
def test_pruned_weights_are_zero_at_once_and_after_each_step_until_the_handle_is_removed(kind, digits, seeded):
    model = network()
    masks = zimp.prune(model, rate=0.6)
    optimizer = getattr(torch.optim, kind)(model.parameters(), lr=0.01, weight_decay=0.1)
    steps(model, optimizer, digits.train)  # averages of what is pruned now would move it on
    handle = zimp.hold(optimizer, model, masks)
    zero = {name: weight.detach()[~masks[name]] for name, weight in zimp.prunable(model).items()}
    assert not any(part.any() for part in zero.values())
    for _ in range(3):
        steps(model, optimizer, digits.train, 1)
        assert not any(weight[~masks[name]].any() for name, weight in zimp.prunable(model).items())
    handle.remove()
    steps(model, optimizer, digits.train)
    assert all(weight[~masks[name]].any() for name, weight in zimp.prunable(model).items())
    with zimp.hold(optimizer, model, masks):  # and again, with the masks of a level that comes later
        steps(model, optimizer, digits.train)
        assert not any(weight[~masks[name]].any() for name, weight in zimp.prunable(model).items())


def test_holding_twice_is_refused(digits, seeded):
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    zimp.hold(optimizer, model, None)
    with pytest.raises(ValueError, match="the optimizer holds masks already; remove the handle of the previous level"):
        zimp.hold(optimizer, model, None)


def test_an_optimizer_of_another_network_is_refused(seeded):
    model = network()
    for parameters in (network().parameters(), [model[1].weight]):
        message = r"the optimizer does not have [13].weight; was it made of another network's parameters\?"
        with pytest.raises(ValueError, match=message):
            zimp.hold(torch.optim.SGD(parameters, lr=0.1), model, None)
    with pytest.raises(ValueError, match="optimizer is a function, not a torch.optim.Optimizer"):
        zimp.hold(zimp.adam, model, None)
    model[1].requires_grad_(False)  # a frozen layer needs no step
    zimp.hold(torch.optim.SGD(model[3].parameters(), lr=0.1), model, None).remove()


BAD_MASKS = {
    "of another network": ({"fc.weight": np.ones((12, 64))}, "masks has no entry for '1.weight'; it needs one"),
    "with a name too few": ({"1.weight": np.ones((12, 64))}, "masks has no entry for '3.weight'"),
    "with a name too many": (
        {"1.weight": np.ones((12, 64)), "3.weight": np.ones((10, 12)), "5.weight": np.ones(3)},
        "masks has an entry for '5.weight'; each entry must be for one of 1.weight, 3.weight",
    ),
    "of another shape": (
        {"1.weight": np.ones((64, 12)), "3.weight": np.ones((10, 12))},
        r"masks\['1.weight'\]: mask has shape \(64, 12\)",
    ),
    "on a device without numbers": (
        {"1.weight": torch.ones(12, 64, device="meta"), "3.weight": np.ones((10, 12))},
        r"masks\['1.weight'\]: a Tensor of torch.float32 in the layout torch.strided on meta cannot be converted to "
        "an array of numbers",
    ),
    "in a list": ([np.ones((12, 64)), np.ones((10, 12))], "masks is a list, not a dict; it needs an entry for each of"),
}  # fmt: skip


@pytest.mark.parametrize(("masks", "message"), BAD_MASKS.values(), ids=BAD_MASKS)
@pytest.mark.parametrize("door", ["hold", "apply_masks", "mask_facts", "prune"])
def test_masks_that_do_not_fit_are_refused_and_nothing_is_changed(door, masks, message, seeded):
    model = network()
    before = copy.deepcopy(model.state_dict())
    arguments = (torch.optim.SGD(model.parameters(), lr=0.1), model) if door == "hold" else (model,)
    with pytest.raises(ValueError, match=message):
        getattr(zimp, door)(*arguments, masks)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


# masks and facts


def with_weights(weights):
    weights = torch.tensor(weights)
    layer = nn.Linear(*weights.T.shape)
    layer.weight.data.copy_(weights)
    return layer


def test_masks_are_applied_and_read_back(seeded):
    model = Residual()
    masks = zimp.prune(model, rate=0.7, scope="global")
    zimp.apply_masks(model, masks)
    read = zimp.masks_of(model)
    assert read.keys() == masks.keys() and all(torch.equal(read[name], mask) for name, mask in masks.items())


def test_a_pruned_weight_that_is_not_finite_becomes_zero_too():
    layer = with_weights([[math.nan, 1.0], [-math.inf, -2.0]])
    zimp.apply_masks(layer, {"weight": np.array([[0, 1], [0, 1]])})
    assert layer.weight.tolist() == [[0, 1], [0, -2]]


def test_a_weight_counts_as_pruned_at_zero_only():
    layer = with_weights([[1e-38, 0.0], [-0.0, -1e-45]])
    assert zimp.masks_of(layer)["weight"].tolist() == [[True, False], [False, True]]


def test_facts_are_those_of_the_forests_themselves(seeded):
    model, before = Residual(), None
    for criterion in ("magnitude", "random", "topological"):
        masks = zimp.prune(model, before, rate=0.6, criterion=criterion)
        facts = zimp.mask_facts(model, masks, before)
        for name, weight in zimp.prunable(model).items():
            old = zimp.spanning_forest(*zimp.layer_graph(weight, None if before is None else before[name]))
            new = zimp.spanning_forest(*zimp.layer_graph(weight, masks[name]))
            matrix = masks[name].reshape(len(weight), -1)
            assert facts[name] == {
                "kept": int(masks[name].sum()),
                "beta0": new.n_components,
                "isolated": int((~matrix.any(1)).sum() + (~matrix.any(0)).sum()),
                "tree_kept": float(matrix.numpy()[old.rows, old.cols].mean()),
                "h0_unchanged": np.array_equal(old.values, new.values),
            }
        before = masks


def test_facts_of_groups_count_each_group(seeded):
    conv = nn.Conv2d(4, 8, 3, groups=2)
    mask = torch.ones_like(conv.weight, dtype=bool)
    mask[5] = False  # one output of the second group
    (facts,) = zimp.mask_facts(conv, {"weight": mask}).values()
    assert (facts["beta0"], facts["isolated"], facts["kept"]) == (3, 1, 7 * 18) and not facts["h0_unchanged"]
    mask[4:, 1] = False  # nine inputs of the second group, but of the first one none
    (facts,) = zimp.mask_facts(conv, {"weight": mask}).values()
    assert (facts["beta0"], facts["isolated"]) == (12, 10)


def test_h0_in_another_unit_is_another_h0():
    """The trees weigh 8, 4, 2 and 4, 2, 1: in units of their own largest weights they are the same."""
    layer = with_weights([[8.0, 4.0], [2.0, 1.0]])
    (facts,) = zimp.mask_facts(layer, {"weight": np.array([[0, 1], [1, 1]])}).values()
    assert facts["beta0"] == 1 and not facts["h0_unchanged"]


def test_a_record_holds_the_facts_of_its_masks(digits):
    seen = {}

    def on_level(seed, level, model, masks):
        if level:
            weights, before = seen[level - 1]
            old = network()
            old.load_state_dict(weights)
            facts[level] = zimp.mask_facts(old, masks, before)
        seen[level] = copy.deepcopy(model.state_dict()), {name: mask.clone() for name, mask in masks.items()}

    facts = {}
    record = zimp.iterative_magnitude_pruning(
        network, digits, levels=3, rate=0.6, steps=8, on_level=on_level, progress=False
    )
    for level in (1, 2, 3):
        for name, layer in record.rows[level]["layers"].items():
            assert {key: layer[key] for key in facts[level][name]} == facts[level][name]


def test_facts_after_the_masks_were_applied_are_refused(seeded):
    model = network()
    masks = zimp.prune(model, rate=0.5)
    zimp.apply_masks(model, masks)
    message = r"the 384 weights of 1.weight that the masks remove are 0 already; call mask_facts with"
    with pytest.raises(ValueError, match=message):
        zimp.mask_facts(model, masks)
    zimp.mask_facts(model, masks, masks)  # nothing is removed
    with pytest.raises(ValueError, match="masks keep weights of 1.weight that are pruned in before; intersect masks"):
        zimp.mask_facts(model, {name: torch.ones_like(mask) for name, mask in masks.items()}, masks)


# budgets and rates


@pytest.mark.parametrize("criterion", ["magnitude", "random", "topological"])
def test_budgets_and_rates_by_layer_leave_the_others_as_they_are(criterion, seeded):
    model = network()
    first = zimp.prune(model, rate=0.5)
    masks = zimp.prune(model, first, keep={"1.weight": 100}, criterion=criterion)
    assert masks["1.weight"].sum() == 100 and torch.equal(masks["3.weight"], first["3.weight"])
    masks = zimp.prune(model, first, rate={"1.weight": 0.0, "3.weight": 0.25}, criterion=criterion)
    assert torch.equal(masks["1.weight"], first["1.weight"]) and masks["3.weight"].sum() == 45
    masks = zimp.prune(model, first, rate={"3.weight": 0.25}, criterion=criterion)
    assert torch.equal(masks["1.weight"], first["1.weight"]) and masks["3.weight"].sum() == 45


def test_a_layer_at_its_tree_does_not_stop_the_others(seeded):
    model = network()
    masks = zimp.prune(model, keep={"3.weight": 21}, criterion="topological")
    again = zimp.prune(model, masks, rate=0.5, criterion="topological")
    assert (again["1.weight"].sum(), again["3.weight"].sum()) == (384, 21)
    with pytest.raises(ValueError, match="keep=10 is below the 21 weights of a spanning tree of a 10x12 layer"):
        zimp.prune(model, masks, rate={"1.weight": 0.0, "3.weight": 0.5}, criterion="topological")
    assert zimp.prune(model, masks, rate={"1.weight": 0.0}, criterion="topological")["3.weight"].sum() == 21


# a training of one's own


def own_training(model, masks, split, *, start, steps, seed, hold):
    """That of zimp, by hand."""
    optimizer = zimp.adam(model.parameters())
    hold(optimizer)
    generator, order = torch.Generator().manual_seed(seed), []
    for step in range(steps):
        if not order:
            order = list(torch.randperm(len(split.y), generator=generator).split(60))
        batch = order.pop(0)
        if step >= start:
            loss = cross_entropy(model(split.x[batch]), split.y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return loss.item()


@pytest.mark.parametrize("rewind", [0, None])
@pytest.mark.parametrize("criterion", ["magnitude", "topological"])
def test_a_training_function_that_does_the_same_gives_the_same_record(digits, rewind, criterion):
    arguments = {"levels": 2, "steps": 25, "rewind": rewind, "criterion": criterion, "seeds": [2, 0], "progress": False}
    own = zimp.iterative_magnitude_pruning(network, digits, train=own_training, **arguments)
    assert own.rows == zimp.iterative_magnitude_pruning(network, digits, **arguments).rows
    assert own.config["train"] == "own_training" and "optimizer" not in own.config


def test_a_training_function_may_use_one_optimizer_for_all_levels(digits):
    """The masks of a level are let go at its end, or else those of the next could not be held."""
    optimizers = []

    def train(model, masks, split, *, start, steps, seed, hold):
        if not optimizers:
            optimizers.append(torch.optim.SGD(model.parameters(), lr=0.1))
        hold(optimizers[0])
        return 0.5

    record = zimp.iterative_magnitude_pruning(network, digits, levels=2, train=train, progress=False)
    assert record.curve("level").tolist() == [[0, 1, 2]]
    assert not optimizers[0]._optimizer_step_post_hooks


def test_a_training_function_is_stopped_where_the_run_rewinds_to(digits, tmp_path):
    calls = []

    def train(model, masks, split, *, start, steps, seed, hold):
        calls.append((start, steps))
        return own_training(model, masks, split, start=start, steps=steps, seed=seed, hold=hold)

    arguments = {"levels": 2, "steps": 9, "rewind": 4, "progress": False, "train": train}
    record = zimp.iterative_magnitude_pruning(network, digits, folder=tmp_path, **arguments)
    assert calls == [(0, 4), (4, 9), (4, 9), (4, 9)]
    assert zimp.iterative_magnitude_pruning(network, digits, folder=tmp_path, **arguments) == record


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (None, ValueError, "train returned None; it must return its final loss, as a number"),
        ("low", ValueError, "the loss that train returned='low' is not a number"),
        (float("nan"), zimp.TrainingDiverged, "seed 4, level 0: the loss is nan at step 5"),
    ],
)
def test_a_training_function_that_returns_no_loss_is_refused(result, error, message, digits):
    with pytest.raises(error, match=message):
        zimp.iterative_magnitude_pruning(
            network, digits, levels=1, steps=5, seeds=4, train=lambda *_, **__: result, progress=False
        )


def test_a_training_function_that_does_not_hold_the_masks_is_noticed(digits):
    def train(model, masks, split, *, start, steps, seed, hold):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        steps_ = copy.copy(steps) - start
        globals()["steps"](model, optimizer, split, steps_)
        return 1.0

    with pytest.raises(RuntimeError, match="pruned weights of 1.weight are not zero"):
        zimp.iterative_magnitude_pruning(network, digits, levels=1, steps=3, train=train, progress=False)


def test_a_training_function_is_refused_where_it_cannot_be_used(digits):
    with pytest.raises(ValueError, match="train='adam' is not a function"):
        zimp.iterative_magnitude_pruning(network, digits, levels=1, train="adam")
    with pytest.raises(ValueError, match="train is a function that trains one network, so the seeds cannot train tog"):
        zimp.iterative_magnitude_pruning(network, digits, levels=1, train=own_training, together=True)
    with pytest.raises(ValueError, match="at_floor='end' is unknown; it must be one of 'raise', 'stop'"):
        zimp.iterative_magnitude_pruning(network, digits, levels=1, at_floor="end")


# the record


def test_the_table_has_a_row_for_each_seed_level_and_layer(digits):
    record = zimp.iterative_magnitude_pruning(network, digits, levels=2, steps=5, seeds=[4, 1], progress=False)
    table = record.table()
    assert [(row["seed"], row["level"], row["layer"]) for row in table] == [
        (seed, level, layer) for seed in (4, 1) for level in range(3) for layer in ("1.weight", "3.weight")
    ]
    for row in table:
        (of_network,) = (r for r in record.rows if (r["seed"], r["level"]) == (row["seed"], row["level"]))
        assert {key: row[key] for key in of_network["layers"][row["layer"]]} == of_network["layers"][row["layer"]]
        assert row["network_kept"] == of_network["kept"] and row["density"] == of_network["density"]
        assert row["test_accuracy"] == of_network["test_accuracy"]


def test_a_curve_of_a_layers_quantity_says_that_it_needs_the_layer(digits):
    record = zimp.iterative_magnitude_pruning(network, digits, levels=0, steps=1, progress=False)
    message = "the record holds no 'beta0' of the network; give a layer: 1.weight, 3.weight"
    with pytest.raises(ValueError, match=re.escape(message)):
        record.curve("beta0")
