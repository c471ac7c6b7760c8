import functools
import json
import os
import re

import numpy as np
import pytest
import torch
from torch import nn

import zimp

run = functools.partial(zimp.iterative_magnitude_pruning, progress=False, steps=8)


def tiny():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 10))


def with_norm_and_dropout():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.BatchNorm1d(12), nn.Dropout(), nn.Linear(12, 10))


def digits_lenet():
    return zimp.lenet_300_100(64)


def heavy_sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.01)


class Watched(torch.optim.SGD):
    """Remembers the weights from which each of its steps starts."""

    def __init__(self, parameters):
        super().__init__(parameters, lr=0.1)
        self.starts = []

    def step(self, closure=None):
        weights = [parameter for parameter in self.param_groups[0]["params"] if parameter.ndim > 1]
        self.starts.append([weight.detach().clone() for weight in weights])
        return super().step(closure)


def watched_run(digits, **arguments):
    """The optimizers of all levels, and the masks and trained weights of each."""
    optimizers, masks, trained = [], [], []

    def optimizer(parameters):
        optimizers.append(Watched(parameters))
        return optimizers[-1]

    def on_level(seed, level, model, level_masks):
        masks.append(list(level_masks.values()))
        trained.append([weight.detach().clone() for weight in zimp.prunable(model).values()])

    run(tiny, digits, levels=3, optimizer=optimizer, on_level=on_level, **arguments)
    return optimizers, masks, trained


def masked(weights, masks):
    return [weight * mask for weight, mask in zip(weights, masks)]


def same(first, second):
    return len(first) == len(second) and all(map(torch.equal, first, second))


# Training


@pytest.mark.parametrize("optimizer", [heavy_sgd, zimp.adam, torch.optim.AdamW])
def test_pruned_weights_are_zero_before_every_step_and_after_the_last(digits, optimizer):
    torch.manual_seed(0)
    model = tiny()
    masks = zimp.prune(model, rate=0.7)
    seen = []

    def checked(parameters):
        inner = optimizer(parameters)
        inner.register_step_pre_hook(lambda *_: seen.append(revived()))
        return inner

    def revived():
        return sum(int(weight[~masks[name]].count_nonzero()) for name, weight in zimp.prunable(model).items())

    zimp.train(model, masks, digits.train, steps=25, seed=0, optimizer=checked)
    assert seen == [0] * 25 and revived() == 0
    assert all(weight[masks[name]].all() for name, weight in zimp.prunable(model).items())


def test_training_changes_the_parameters_in_place(digits):
    model = tiny()
    weights = zimp.prunable(model)
    before = [weight.detach().clone() for weight in weights.values()]
    zimp.train(model, zimp.prune(model), digits.train, steps=3, seed=0)
    assert all(weight is weights[name] for name, weight in zimp.prunable(model).items())
    assert not any(map(torch.equal, before, weights.values()))


def test_a_network_in_evaluation_mode_is_trained_in_training_mode(digits):
    model = with_norm_and_dropout().eval()
    zimp.train(model, None, digits.train, steps=2, seed=0)
    assert model.training and all(layer.training for layer in model)
    assert model[2].num_batches_tracked == 2


def test_training_goes_down_the_gradient_of_the_cross_entropy_batch_by_batch(digits):
    torch.manual_seed(0)
    model, by_hand = tiny(), tiny()
    by_hand.load_state_dict(model.state_dict())
    sgd = functools.partial(torch.optim.SGD, lr=0.1)
    loss, snapshot = zimp.train(model, None, digits.train, steps=3, seed=5, batch_size=100, optimizer=sgd)
    optimizer = sgd(by_hand.parameters())
    for batch in torch.randperm(1077, generator=torch.Generator().manual_seed(5)).split(100)[:3]:
        optimizer.zero_grad()
        expected = nn.functional.cross_entropy(by_hand(digits.train.x[batch]), digits.train.y[batch])
        expected.backward()
        optimizer.step()
    assert loss == pytest.approx(expected.item()) and snapshot is None
    for trained, same in zip(model.parameters(), by_hand.parameters()):
        assert torch.allclose(trained, same, atol=1e-6)


def test_training_in_two_parts_is_training_in_one(digits):
    """Plain SGD has no memory, so that the batches alone decide: they are those that one training would have seen."""
    torch.manual_seed(0)
    model = tiny()
    everything = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in zimp.prunable(model).items()}
    sgd = functools.partial(torch.optim.SGD, lr=0.1)
    loss, snapshot = zimp.train(
        model, everything, digits.train, steps=30, seed=3, batch_size=100, optimizer=sgd, snapshot_at=13
    )
    once = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(snapshot)
    again, _ = zimp.train(model, everything, digits.train, steps=30, seed=3, batch_size=100, optimizer=sgd, start=13)
    assert all(torch.equal(value, once[name]) for name, value in model.state_dict().items())
    assert again == loss


def test_each_epoch_takes_every_image_once_in_a_new_order(digits):
    class Spy(nn.Linear):
        def forward(self, x):
            batches.append(x[:, 0])
            return super().forward(x)

    batches, model = [], Spy(1, 10)
    numbered = digits.train._replace(x=torch.arange(1077.0)[:, None])
    zimp.train(model, None, numbered, steps=36, seed=0, batch_size=60)
    epochs = [torch.cat(batches[start : start + 18]) for start in (0, 18)]
    assert [len(batch) for batch in batches[:18]] == [60] * 17 + [57]
    assert all(torch.equal(epoch.sort().values, torch.arange(1077.0)) for epoch in epochs)
    assert not torch.equal(*epochs)


def test_accuracy_is_the_share_of_correct_labels_in_evaluation_mode():
    split = zimp.Split(torch.eye(4), torch.tensor([0, 1, 2, 0]))
    model = nn.Sequential(nn.Dropout(0.9), nn.Identity())
    assert zimp.accuracy(model, split) == 0.75


# Rewinding


def test_the_start_of_a_level_is_the_start_of_level_0_times_the_mask(digits):
    optimizers, masks, trained = watched_run(digits)
    for level, optimizer in enumerate(optimizers):
        assert same(optimizer.starts[0], masked(optimizers[0].starts[0], masks[level]))
        assert len(optimizer.starts) == 8
        assert level == 0 or not same(trained[level], trained[level - 1])


@pytest.mark.parametrize("step", [1, 5, 7])
def test_rewinding_to_a_later_step_returns_to_the_weights_of_that_step(digits, step):
    optimizers, masks, _ = watched_run(digits, rewind=step)
    for level, optimizer in enumerate(optimizers):
        assert len(optimizer.starts) == (8 if level == 0 else 8 - step)
        start = optimizers[0].starts[0 if level == 0 else step]
        assert same(optimizer.starts[0], masked(start, masks[level]))


def test_without_rewinding_a_level_trains_on_from_the_one_before(digits):
    optimizers, masks, trained = watched_run(digits, rewind=None)
    for level in (1, 2, 3):
        assert same(optimizers[level].starts[0], masked(trained[level - 1], masks[level]))
        assert len(optimizers[level].starts) == 8


@pytest.mark.parametrize(("rewind", "batches"), [(0, [8, 8, 8]), (5, [8, 8, 8]), (None, [8, 16, 24])])
def test_rewinding_takes_the_statistics_of_norms_back_too(digits, rewind, batches):
    seen = []
    run(with_norm_and_dropout, digits, levels=2, rewind=rewind,
        on_level=lambda seed, level, model, masks: seen.append(int(model[2].num_batches_tracked)))  # fmt: skip
    assert seen == batches


# Reproducibility


@pytest.mark.parametrize("build", [tiny, with_norm_and_dropout, zimp.small_conv])
@pytest.mark.parametrize("criterion", ["magnitude", "random", "topological"])
def test_the_same_seed_gives_the_same_record_bit_for_bit(digits, build, criterion):
    first, second = (run(build, digits, levels=2, criterion=criterion, rewind=2, seeds=[4]) for _ in range(2))
    assert first == second
    assert first.rows != run(build, digits, levels=2, criterion=criterion, rewind=2, seeds=[5]).rows


@pytest.mark.parametrize("criterion", ["magnitude", "random"])
def test_the_rows_of_a_seed_do_not_depend_on_the_others(digits, criterion):
    together = run(with_norm_and_dropout, digits, levels=2, criterion=criterion, seeds=[3, 5, 1]).rows
    for seed in (1, 5):
        alone = run(with_norm_and_dropout, digits, levels=2, criterion=criterion, seeds=seed).rows
        assert [row for row in together if row["seed"] == seed] == alone


def test_seeds_come_from_any_iterable_of_whole_numbers(digits):
    expected = run(tiny, digits, levels=1, seeds=[0, 1])
    for seeds in (range(2), (0, 1), iter([0, 1]), np.arange(2)):
        assert run(tiny, digits, levels=1, seeds=seeds) == expected


@pytest.mark.parametrize("fails", [False, True])
def test_a_run_leaves_the_global_generator_alone(digits, fails):
    torch.manual_seed(7)
    state = torch.get_rng_state()
    if fails:
        with pytest.raises(ZeroDivisionError):
            run(with_norm_and_dropout, digits, levels=1, on_level=lambda *_: 1 / 0)
    else:
        run(with_norm_and_dropout, digits, levels=1, criterion="random")
    assert torch.equal(torch.get_rng_state(), state)


# The record


def test_a_row_says_what_the_level_did(digits):
    levels = []

    def on_level(seed, level, model, masks):
        levels.append((model[1].weight.detach().clone(), model[3].weight.detach().clone(), masks))
        row = {"validation_accuracy": zimp.accuracy(model, digits.validation)}
        row["test_accuracy"] = zimp.accuracy(model, digits.test)
        accuracies.append(row)

    accuracies = []
    record = run(tiny, digits, levels=3, rate=0.6, steps=30, on_level=on_level)
    dense = [zimp.spanning_forest(weight).mask for weight in levels[0][:2]]
    for level, row in enumerate(record.rows):
        *weights, masks = levels[level]
        largest = max(float(weight.abs().max()) for weight in weights)
        assert (row["seed"], row["level"]) == (0, level)
        assert row["kept"] == sum(int(mask.sum()) for mask in masks.values())
        assert row["density"] == row["kept"] / 888
        assert row["validation_accuracy"] == accuracies[level]["validation_accuracy"]
        assert row["test_accuracy"] == accuracies[level]["test_accuracy"]
        assert 0 < row["train_loss"] < 10
        for index, (name, layer) in enumerate(row["layers"].items()):
            mask = masks[name].numpy()
            assert layer["kept"] == mask.sum()
            assert layer["beta0"] == zimp.count_components(mask)
            assert layer["dense_tree_kept"] == pytest.approx(mask[dense[index]].mean())
            assert layer["neural_persistence"] == zimp.neural_persistence(weights[index], mask, scale=largest)
            if level == 0:
                assert (layer["tree_kept"], layer["h0_unchanged"]) == (1, True)
            else:
                before = levels[level - 1][index], levels[level - 1][2][name]
                assert layer["tree_kept"] == pytest.approx(mask[zimp.spanning_forest(*before).mask].mean())
                diagrams = zimp.persistence_diagram(*before), zimp.persistence_diagram(before[0], mask)
                assert layer["h0_unchanged"] == np.array_equal(*diagrams)
    assert not record.curve("h0_unchanged", "1.weight").all()  # so that there was something to see


def test_config_and_versions_say_what_ran(digits):
    record = run(tiny, digits, levels=1, rate=0.3, seeds=(1, 2), rewind=None, criterion="random", scope="global")
    optimizer = record.config.pop("optimizer")
    assert record.config == {
        "build": "tiny", "data": "digits", "levels": 1, "rate": 0.3, "criterion": "random", "scope": "global",
        "rewind": None, "steps": 8, "batch_size": 60, "seeds": [1, 2], "device": "cpu", "threads": 1, "train": None,
        "not_pruned": {},
    }  # fmt: skip
    (group,) = optimizer["groups"]
    assert (optimizer["name"], group["lr"], group["betas"]) == ("Adam", 1.2e-3, [0.9, 0.999])
    assert record.versions["torch"] == torch.__version__
    assert record.versions.keys() >= {"zimp", "numpy", "python", "platform"}


def test_a_curve_has_a_row_for_each_seed_and_a_column_for_each_level(digits):
    record = run(tiny, digits, levels=2, seeds=[6, 2])
    assert record.curve("seed").tolist() == [[6] * 3, [2] * 3]
    assert record.curve("level").tolist() == [[0, 1, 2]] * 2
    assert record.curve("kept").tolist() == [[888, 710, 568]] * 2
    assert record.curve("kept", "3.weight").tolist() == [[120, 96, 77]] * 2
    assert record.curve("test_accuracy")[1, 2] == record.rows[5]["test_accuracy"]


def test_no_levels_are_the_dense_network(digits):
    assert run(tiny, digits, levels=0).curve("density").tolist() == [[1]]


def test_saving_and_loading_is_exact_and_leaves_one_file(digits, tmp_path):
    record = run(tiny, digits, levels=2, seeds=[0, 1])
    path = tmp_path / "run.json"
    record.save(path)
    record.save(str(path))
    assert zimp.Record.load(path) == zimp.Record.load(str(path)) == record
    assert os.listdir(tmp_path) == ["run.json"]


def fail(*_):
    raise OSError("the disk is full")


@pytest.mark.parametrize("cause", ["a number that is none", "a full disk", "a failing rename"])
def test_a_record_that_cannot_be_written_leaves_the_old_file_and_nothing_else(digits, tmp_path, monkeypatch, cause):
    record = zimp.Record({"levels": 0}, {}, [])
    path = tmp_path / "run.json"
    record.save(path)
    if cause == "a number that is none":
        record.rows.append({"train_loss": float("nan")})
    elif cause == "a full disk":
        monkeypatch.setattr("pathlib.Path.write_bytes", lambda self, *_: self.touch() or fail())
    else:
        monkeypatch.setattr("os.replace", fail)
    with pytest.raises((ValueError, OSError), match="Out of range float|disk is full"):
        record.save(path)
    assert os.listdir(tmp_path) == ["run.json"]
    assert json.loads(path.read_bytes()) == {"config": {"levels": 0}, "versions": {}, "rows": []}


def test_nothing_is_printed_without_a_progress_bar(digits, capsys):
    run(tiny, digits, levels=1)
    assert capsys.readouterr() == ("", "")


def test_on_level_is_called_after_each_level(digits):
    calls = []
    run(tiny, digits, levels=2, seeds=[3, 1], on_level=lambda seed, level, model, masks: calls.append((seed, level)))
    assert calls == [(3, 0), (3, 1), (3, 2), (1, 0), (1, 1), (1, 2)]


# Criteria and scopes


@pytest.mark.parametrize("optimizer", [heavy_sgd, zimp.adam])
@pytest.mark.parametrize("rewind", [0, 3, None])
@pytest.mark.parametrize("criterion", ["magnitude", "random", "topological"])
def test_what_is_pruned_stays_pruned(digits, optimizer, rewind, criterion):
    history = []

    def on_level(seed, level, model, masks):
        for name, weight in zimp.prunable(model).items():
            assert not weight[~masks[name]].any()
            assert not history or not (masks[name] & ~history[-1][name]).any()
        history.append(masks)

    run(tiny, digits, levels=4, rate=0.4, optimizer=optimizer, rewind=rewind, criterion=criterion, on_level=on_level)
    assert len(history) == 5


def test_the_output_layer_can_be_pruned_at_half_the_rate(digits):
    record = run(tiny, digits, levels=2, rate={"1.weight": 0.2, "3.weight": 0.1})
    assert record.curve("kept", "1.weight").tolist() == [[768, 614, 491]]
    assert record.curve("kept", "3.weight").tolist() == [[120, 108, 97]]


def test_global_pruning_shares_one_budget(digits):
    record = run(tiny, digits, levels=2, scope="global", rate=0.5)
    assert record.curve("kept").tolist() == [[888, 444, 222]]
    assert record.curve("density", None).tolist() == [[1, 0.5, 0.25]]
    assert record.curve("kept", "1.weight")[0, 1] != 384


@pytest.mark.parametrize("groups", [1, 2])
def test_convolutions_keep_their_h0_under_topological_pruning(digits, groups):
    def build():
        return nn.Sequential(
            nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=groups), nn.Flatten(), nn.Linear(128, 10)
        )

    record = run(build, digits, levels=5, rate=0.4, criterion="topological")
    for name in ("0.weight", "2.weight", "4.weight"):
        assert record.curve("h0_unchanged", name).all()
        assert (record.curve("tree_kept", name) == 1).all()
        assert (record.curve("beta0", name) == (groups if name == "2.weight" else 1)).all()
    assert record.curve("kept")[0, -1] < 0.2 * record.curve("kept")[0, 0]


def test_magnitude_pruning_loses_what_topological_pruning_keeps(digits):
    losses = {}
    for criterion in ("magnitude", "topological", "random"):
        record = run(tiny, digits, levels=3, rate=0.5, criterion=criterion)
        losses[criterion] = 1 - record.curve("tree_kept", "1.weight")[0, 1:].min()
    assert losses["topological"] == 0 < losses["magnitude"] < losses["random"]


@pytest.mark.slow
def test_topological_pruning_of_lenet_keeps_h0_at_every_level_down_to_the_bare_tree_for_5_seeds(digits):
    previous = {}

    def on_level(seed, level, model, masks):
        for name, weight in zimp.prunable(model).items():
            if level > 0:
                weights, mask = previous[name]
                after = zimp.persistence_diagram(weights, masks[name])
                assert np.array_equal(after, zimp.persistence_diagram(weights, mask))
                assert not (masks[name] & ~mask).any()
            assert zimp.count_components(masks[name]) == 1
            previous[name] = weight.detach().clone(), masks[name]
        checked.append((seed, level))

    checked = []
    record = run(digits_lenet, digits, levels=20, criterion="topological", seeds=range(5), steps=20, on_level=on_level)
    assert len(checked) == 105
    for name, tree in [("fc1.weight", 363), ("fc2.weight", 399), ("output.weight", 109)]:
        assert record.curve("h0_unchanged", name).shape == (5, 21) and record.curve("h0_unchanged", name).all()
        assert record.curve("kept", name)[:, -1].tolist() == [tree] * 5
    assert record.curve("kept")[:, -1].tolist() == [871] * 5


def test_levels_beyond_the_bare_trees_are_refused_before_any_training(digits):
    """P6: this was seen at the level itself, when the seeds before it were trained and those after it lost."""
    message = (
        "levels=21 is beyond level 20, at which the 871 weights of the spanning trees are left at rate=0.2; "
        "topological pruning cannot go further. Give fewer levels, or at_floor='stop' to end there"
    )
    with pytest.raises(ValueError, match=re.escape(message)) as stop:
        run(digits_lenet, digits, levels=21, criterion="topological", seeds=2, optimizer=None)
    assert not hasattr(stop.value, "record")


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_a_run_can_stop_at_its_bare_trees(digits, scope):
    arguments = {"criterion": "topological", "rate": 0.6, "scope": scope, "steps": 3, "seeds": range(3)}
    record = run(digits_lenet, digits, levels=12, at_floor="stop", **arguments)
    last = record.rows[-1]["level"]
    assert 0 < last < 12 and record.curve("kept")[:, -1].tolist() == [871] * 3
    assert record.rows == run(digits_lenet, digits, levels=last, **arguments).rows
    with pytest.raises(ValueError, match=f"is beyond level {last}, at which"):
        run(digits_lenet, digits, levels=last + 1, **arguments)


def half_of_the_tree_and_beyond(model, masks, level, generator):
    return zimp.prune(model, masks, rate=0.5, criterion="topological", generator=generator)


def random_half(model, masks, level, generator):
    return zimp.prune(model, masks, rate=0.5, criterion="random", scope="global", generator=generator)


@pytest.mark.parametrize("rewind", [0, 3, None])
@pytest.mark.parametrize(
    ("rule", "arguments"),
    [
        (half_of_the_tree_and_beyond, {"criterion": "topological"}),
        (random_half, {"criterion": "random", "scope": "global"}),
    ],
)
def test_a_rule_that_does_what_a_criterion_does_gives_the_same_rows(digits, rule, arguments, rewind):
    by_rule = run(tiny, digits, levels=3, rewind=rewind, seeds=[2, 1], criterion=rule)
    by_name = run(tiny, digits, levels=3, rewind=rewind, seeds=[2, 1], rate=0.5, **arguments)
    assert by_rule.rows == by_name.rows
    assert by_rule.config["criterion"] == rule.__name__


def test_a_rule_is_called_with_the_trained_network_its_masks_and_the_next_level(digits):
    calls, trained = [], []

    def on_level(seed, level, model, masks):
        trained.append((model, model[1].weight.detach().clone(), masks))

    def rule(model, masks, level, generator):
        calls.append(level)
        assert model is trained[-1][0] and torch.equal(model[1].weight, trained[-1][1])
        assert all(torch.equal(masks[name], trained[-1][2][name]) for name in trained[-1][2])
        assert all(mask.dtype == torch.bool for mask in masks.values())
        assert isinstance(generator, torch.Generator)
        return {name: mask.numpy() & (np.arange(mask.shape[1]) >= level) for name, mask in masks.items()}

    record = run(tiny, digits, levels=3, seeds=[0, 1], criterion=rule, on_level=on_level)
    assert calls == [1, 2, 3, 1, 2, 3]
    assert record.curve("kept").tolist() == [[888, 888 - 22, 888 - 44, 888 - 66]] * 2
    assert record.config["criterion"].endswith("rule")
    json.dumps(record.config)


def test_a_rule_without_a_name_is_recorded_too(digits):
    record = run(tiny, digits, levels=1, criterion=functools.partial(random_half))
    assert "random_half" in record.config["criterion"]


def test_a_rule_that_fails_hands_over_the_levels_that_were_done(digits):
    with pytest.raises(ZeroDivisionError) as caught:
        run(tiny, digits, levels=2, criterion=lambda model, masks, level, generator: 1 / 0)
    assert [row["level"] for row in caught.value.record.rows] == [0]


# What goes wrong


def exploding_at(call):
    calls = []

    def optimizer(parameters):
        calls.append(None)
        return torch.optim.SGD(parameters, lr=1e30 if len(calls) == call else 0.1)

    return optimizer


@pytest.mark.parametrize(("call", "seed", "level"), [(1, 5, 0), (3, 5, 2), (4, 6, 0), (6, 6, 2)])
def test_a_loss_that_is_not_finite_stops_the_run_and_hands_over_the_levels_that_were_done(digits, call, seed, level):
    message = rf"seed {seed}, level {level}: the loss is (nan|inf) at step \d+; a lower learning rate may help"
    with pytest.raises(zimp.TrainingDiverged, match=message) as stop:
        run(tiny, digits, levels=2, seeds=[5, 6], optimizer=exploding_at(call))
    record = stop.value.record
    assert len(record.rows) == call - 1
    assert record.rows == run(tiny, digits, levels=2, seeds=[5, 6], optimizer=exploding_at(0)).rows[: call - 1]
    assert any("`record`" in note for note in stop.value.__notes__)


def test_a_network_that_is_pruned_away_entirely_still_has_a_record(digits):
    record = run(tiny, digits, levels=5, rate=0.9)
    assert record.curve("kept")[0, -1] == 0
    assert record.curve("neural_persistence", "1.weight")[0, -1] == pytest.approx((76 / 75) ** 0.5)


def test_a_bad_argument_is_refused_before_any_training(digits):
    def optimizer(parameters):
        raise AssertionError("training has begun")

    for bad in ({"criterion": "best"}, {"rate": 1}, {"scope": "net"}, {"rate": {"9.weight": 0.2}}):
        with pytest.raises(ValueError):
            run(tiny, digits, levels=1, optimizer=optimizer, **bad)


def test_a_run_can_be_repeated_by_hand_from_its_seed(digits):
    """What the docstring says of seeds; the controls of the book rest on it."""
    record = zimp.iterative_magnitude_pruning(
        lambda: zimp.lenet_300_100(64), digits, levels=1, steps=10, seeds=3, progress=False
    )
    torch.manual_seed(3)
    model = zimp.lenet_300_100(64)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in zimp.prunable(model).items()}
    for row in record.rows:
        loss, _ = zimp.train(model, masks, digits.train, steps=10, seed=3)
        assert (loss, zimp.accuracy(model, digits.test)) == (row["train_loss"], row["test_accuracy"])
        masks = zimp.prune(model, masks)
        model.load_state_dict(start)


def test_an_interrupt_hands_over_the_levels_that_were_done(digits):
    def interrupt(seed, level, model, masks):
        if level == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        run(tiny, digits, levels=3, on_level=interrupt)
    assert [row["level"] for row in caught.value.record.rows] == [0, 1]


def test_the_record_has_the_settings_of_each_group_and_not_the_defaults(digits):
    record = run(tiny, digits, levels=0, optimizer=lambda p: torch.optim.SGD([{"params": list(p), "lr": 0.05}], lr=0.1))
    assert [group["lr"] for group in record.config["optimizer"]["groups"]] == [0.05]


def test_accuracy_leaves_the_mode_of_the_network_as_it_was(digits):
    model = tiny()
    for training in (True, False):
        zimp.accuracy(model.train(training), digits.test)
        assert model.training is training


def test_accuracy_leaves_a_frozen_layer_frozen_and_the_modes_whatever_the_network_raises(digits):
    """A norm that was in evaluation mode, for fine-tuning, came back in training mode."""
    model = nn.Sequential(with_norm_and_dropout(), nn.Identity())
    model[0][2].eval()
    modes = [layer.training for layer in model.modules()]
    assert 0 < sum(modes) < len(modes)
    zimp.accuracy(model, digits.test)
    assert [layer.training for layer in model.modules()] == modes
    with pytest.raises(RuntimeError):
        zimp.accuracy(model, zimp.Split(digits.test.x[:, :, 1:], digits.test.y))
    assert [layer.training for layer in model.modules()] == modes


def test_training_takes_numpy_masks_and_masks_of_zeros_and_ones(digits):
    torch.manual_seed(0)
    model = tiny()
    masks = {name: zimp.magnitude_mask(w, w.numel() // 2).float() for name, w in zimp.prunable(model).items()}
    masks["3.weight"] = masks["3.weight"].numpy()
    zimp.train(model, masks, digits.train, steps=3, seed=0)
    for name, weight in zimp.prunable(model).items():
        assert (weight.detach().numpy()[np.asarray(masks[name]) == 0] == 0).all()


def test_a_builder_that_hands_out_one_network_is_refused_at_the_second_seed(digits):
    network = tiny()
    with pytest.raises(ValueError, match="build returned the network of the previous seed") as caught:
        run(lambda: network, digits, levels=0, seeds=[0, 1])
    assert len(caught.value.record.rows) == 1


def test_a_file_with_other_contents_is_no_record(tmp_path):
    (tmp_path / "other.json").write_text('{"config": 1, "versions": 2, "rows": 5}')
    with pytest.raises(ValueError, match="holds no record of a run"):
        zimp.Record.load(tmp_path / "other.json")
