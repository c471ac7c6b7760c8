"""What trains together comes out as what trains one by one, but for rounding; what cannot is refused."""

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import zimp
from zimp.lab import experiments
from zimp.lab.together import ELEMENTWISE
from zimp.reports.command import main

run = functools.partial(zimp.iterative_magnitude_pruning, progress=False, steps=8)


def tiny():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 10))


def with_norm():
    # Without a bias, whose gradient before a norm is nothing but rounding, which Adam takes as large as any.
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 12, bias=False), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 10))


def with_groups():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=2), nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(64, 10)
    )


class Tied(nn.Module):
    """Two layers of one weight, one of which is not trained in full, and a bias that is fixed."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 10)
        self.second.weight = self.first.weight
        self.last.bias.requires_grad_(False)

    def forward(self, x):
        return self.last(torch.tanh(self.second(torch.tanh(self.first(x.flatten(1))))))


NETWORKS = [tiny, with_norm, with_groups, Tied, zimp.small_conv, lambda: zimp.lenet_300_100(64)]


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.01)


def seeded(build, seeds):
    models = []
    for seed in seeds:
        torch.manual_seed(seed)
        models.append(build())
    return models


def doubled(data):
    """Training amplifies the last bit, by how much depends on the processor; that of double precision stays small.

    In single precision a convolutional network had 8 of 360 images otherwise after three levels.
    """
    return zimp.Data(data.name, *(zimp.Split(x.double(), y) for x, y in data[1:]))


def both(build, digits, *, seeds=(5, 0, 2), rate=None, **settings):
    """Networks and results, trained one by one and together; in double precision, see :func:`doubled`."""
    digits = doubled(digits)
    alone, together = ([model.double() for model in seeded(build, seeds)] for _ in range(2))
    masks = [rate and zimp.prune(model, rate=rate) for model in alone]
    settings = {"steps": 20, **settings}
    results = [zimp.train(*pair, digits.train, seed=seed, **settings) for pair, seed in zip(zip(alone, masks), seeds)]
    return alone, results, together, zimp.train_together(together, masks, digits.train, seeds=seeds, **settings)


def assert_close(first, second):
    assert first.keys() == second.keys()
    for name in first:
        assert torch.allclose(first[name].double(), second[name].double(), rtol=0, atol=1e-7), name


# Training


@pytest.mark.parametrize("rate", [None, 0.7])
@pytest.mark.parametrize("build", NETWORKS)
def test_networks_trained_together_are_those_trained_one_by_one(digits, build, rate):
    alone, results, together, results_together = both(build, digits, rate=rate, snapshot_at=7)
    for first, second in zip(alone, together):
        assert_close(first.state_dict(), second.state_dict())
        for name, weight in zimp.prunable(first).items():
            assert torch.equal(weight == 0, zimp.prunable(second)[name] == 0)
    for (loss, snapshot), (loss_together, snapshot_together) in zip(results, results_together):
        assert loss_together == pytest.approx(loss, abs=1e-7)
        assert_close(snapshot, snapshot_together)


@pytest.mark.parametrize("optimizer", ELEMENTWISE)
def test_optimizers_of_the_list_step_a_stack_as_they_step_each(digits, optimizer):
    optimizer = functools.partial(getattr(torch.optim, optimizer), lr=0.01)
    alone, _, together, _ = both(tiny, digits, rate=0.5, steps=6, optimizer=optimizer)
    for first, second in zip(alone, together):
        assert_close(first.state_dict(), second.state_dict())


def test_the_optimizer_is_chosen_by_the_shapes_of_one_network(digits):
    def decay_of_weights_alone(parameters):
        parameters = list(parameters)
        weights, biases = ([p for p in parameters if (p.ndim > 1) == matrix] for matrix in (True, False))
        return torch.optim.SGD([{"params": weights, "weight_decay": 1.0}, {"params": biases, "lr": 0.3}], lr=0.1)

    alone, _, together, _ = both(tiny, digits, optimizer=decay_of_weights_alone)
    for first, second in zip(alone, together):
        assert_close(first.state_dict(), second.state_dict())


def test_training_together_passes_over_the_batches_before_its_start_and_takes_the_small_last_one(digits):
    *_, whole = both(tiny, digits, steps=18, start=17, batch_size=60)  # the last 57 of 1077 images
    alone, results, together, results_together = both(tiny, digits, steps=40, start=17, batch_size=100, optimizer=sgd)
    for first, second in zip(alone, together):
        assert_close(first.state_dict(), second.state_dict())
    assert [loss for loss, _ in results_together] == pytest.approx([loss for loss, _ in results], abs=1e-4)
    assert len(whole) == 3 and all(snapshot is None for _, snapshot in whole)


def test_parameters_change_in_place_and_the_mode_is_that_of_training(digits):
    models = [model.eval() for model in seeded(tiny, range(2))]
    weights = [model[1].weight for model in models]
    before = [weight.detach().clone() for weight in weights]
    zimp.train_together(models, [None] * 2, digits.train, steps=2, seeds=[0, 0])
    assert all(model[1].weight is weight for model, weight in zip(models, weights))
    assert not any(map(torch.equal, before, weights)) and all(model.training for model in models)


def test_a_network_that_diverges_is_named_by_its_place(digits):
    models = seeded(tiny, range(3))
    with torch.no_grad():
        models[1][1].weight.fill_(1e38)
    with pytest.raises(zimp.TrainingDiverged, match=r"the loss is (nan|inf) at step 0; a lower learning") as stop:
        zimp.train_together(models, [None] * 3, digits.train, steps=2, seeds=range(3))
    assert stop.value.replicate == 1


def test_weights_that_are_not_finite_after_the_last_step_are_noticed(digits):
    with pytest.raises(zimp.TrainingDiverged, match=r"1.weight is not finite after step 0"):
        zimp.train_together(
            seeded(tiny, [0]), [None], digits.train, steps=1, seeds=[0],
            optimizer=functools.partial(torch.optim.SGD, lr=float("inf")),
        )  # fmt: skip


class Pools(nn.Module):
    """Max pooling of every kind: as a layer and a function, of overlapping windows, of images that are not a batch."""

    def __init__(self):
        super().__init__()
        self.first, self.pool = nn.Conv2d(1, 3, 3, padding=1), nn.MaxPool2d(3, stride=2, padding=1)
        self.last = nn.Linear(48, 10)

    def forward(self, x):
        pooled = self.pool(torch.relu(self.first(x)))
        again = nn.functional.max_pool2d(input=pooled.flatten(0, 1), kernel_size=2).view(len(x), 3, 2, 2)
        largest, _ = nn.functional.max_pool2d(again, 2, return_indices=True)
        return self.last((pooled + nn.functional.interpolate(again, scale_factor=2.0) - largest).flatten(1))


def test_pooling_together_is_pooling_each(digits):
    alone, _, together, _ = both(Pools, digits, optimizer=sgd, steps=6)
    for first, second in zip(alone, together):
        assert_close(first.state_dict(), second.state_dict())


@pytest.mark.parametrize("build", [tiny, zimp.small_conv])
def test_defaults_of_the_caller_change_nothing(digits, build):
    def trained():
        models = seeded(build, range(2))
        masks = [zimp.prune(model) for model in models]
        torch.set_default_dtype(torch.float64)
        with torch.device("meta"):
            zimp.train_together(models, masks, digits.train, steps=3, seeds=range(2))
        return [model.state_dict() for model in models]

    expected = seeded(build, range(2))
    masks = [zimp.prune(model) for model in expected]
    zimp.train_together(expected, masks, digits.train, steps=3, seeds=range(2))
    try:
        for model, state in zip(expected, trained()):
            assert all(map(torch.equal, model.state_dict().values(), state.values()))
    finally:
        torch.set_default_dtype(torch.float32)


# Runs


def assert_rows_are_close(first, second):
    """The same weights pruned, but for a tie that rounding broke; the same accuracies, but for an image or two."""
    for one, other in zip(first, second, strict=True):
        assert [one[key] for key in ("seed", "level", "kept")] == [other[key] for key in ("seed", "level", "kept")]
        assert other["train_loss"] == pytest.approx(one["train_loss"], abs=1e-3)
        for accuracy in ("validation_accuracy", "test_accuracy"):
            assert other[accuracy] == pytest.approx(one[accuracy], abs=2.5 / 360)
        for name, layer in one["layers"].items():
            for key, value in layer.items():
                tolerance = 2 if key == "beta0" else 0.02
                assert other["layers"][name][key] == pytest.approx(value, abs=tolerance) or key == "h0_unchanged"


@pytest.mark.parametrize("rewind", [0, 3, None])
@pytest.mark.parametrize("criterion", ["magnitude", "topological", "random"])
@pytest.mark.parametrize("build", [tiny, zimp.small_conv])
def test_a_run_together_is_the_run_one_by_one(digits, build, criterion, rewind):
    arguments = {"levels": 3, "criterion": criterion, "rewind": rewind, "seeds": [4, 0, 3]}
    network, data = (lambda: build().double()), doubled(digits)
    alone, together = run(network, data, **arguments), run(network, data, **arguments, together=True)
    assert together.config == alone.config
    assert_rows_are_close(alone.rows, together.rows)


def test_the_start_of_each_level_is_the_start_of_level_0_times_the_mask(digits):
    starts, masks = {}, {}

    def rule(model, given, level, generator):
        return zimp.prune(model, given, rate=0.5)

    def on_level(seed, level, model, given):
        weights = {name: weight.detach().clone() for name, weight in zimp.prunable(model).items()}
        starts[seed, level], masks[seed, level] = weights, given

    frozen = functools.partial(torch.optim.SGD, lr=0.0)  # so that what is trained is what it started from
    run(tiny, digits, levels=3, seeds=[1, 2], criterion=rule, optimizer=frozen, on_level=on_level, together=True)
    for (seed, level), weights in starts.items():
        for name, weight in weights.items():
            assert torch.equal(weight, starts[seed, 0][name] * masks[seed, level][name])


def test_rows_come_by_seed_and_then_by_level_and_callbacks_level_by_level(digits):
    calls = []
    record = run(tiny, digits, levels=1, seeds=[7, 3], together=True, on_level=lambda *call: calls.append(call[:2]))
    assert [(row["seed"], row["level"]) for row in record.rows] == [(7, 0), (7, 1), (3, 0), (3, 1)]
    assert calls == [(7, 0), (3, 0), (7, 1), (3, 1)]


def test_the_same_seeds_give_the_same_record_bit_for_bit(digits):
    first, second = (run(tiny, digits, levels=2, seeds=range(3), together=True) for _ in range(2))
    assert first == second


def test_the_rows_of_a_seed_are_close_whatever_the_other_seeds_are(digits):
    rows = [run(tiny, digits, levels=2, seeds=seeds, together=True).rows for seeds in ([3], [3, 8], [1, 5, 3])]
    first, *others = ([row for row in some if row["seed"] == 3] for some in rows)
    for other in others:
        assert_rows_are_close(first, other)


def test_an_interrupt_hands_over_the_levels_that_were_done_by_seed(digits):
    def interrupt(seed, level, model, masks):
        if (seed, level) == (1, 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        run(tiny, digits, levels=3, seeds=[2, 1, 0], on_level=interrupt, together=True)
    done = [(row["seed"], row["level"]) for row in caught.value.record.rows]
    assert done == [(2, 0), (2, 1), (1, 0), (1, 1), (0, 0)]


def test_divergence_names_the_seed_and_the_level(digits):
    def rule(model, masks, level, generator):
        return zimp.prune(model, masks)

    def on_level(seed, level, model, masks):
        if (seed, level) == (6, 1):
            with torch.no_grad():
                model[1].weight.fill_(1e38)

    message = r"seed 6, level 2: the loss is (nan|inf) at step 0; a lower learning rate may help"
    with pytest.raises(zimp.TrainingDiverged, match=message) as stop:
        run(tiny, digits, levels=3, seeds=[5, 6], criterion=rule, rewind=None, on_level=on_level, together=True)
    assert [(row["seed"], row["level"]) for row in stop.value.record.rows] == [(5, 0), (5, 1), (6, 0), (6, 1)]


def test_the_progress_bar_counts_the_levels_of_all_seeds(digits, capsys):
    zimp.iterative_magnitude_pruning(tiny, digits, levels=1, steps=2, seeds=range(3), together=True)
    assert "6/6" in capsys.readouterr().err


# Sweeps


SWEEP = experiments.Sweep("conv", tuple(experiments.RULES), levels=2, steps=4, seeds=(3, 1))


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_sweep_of_all_criteria_in_one_batch_is_that_sweep_one_by_one(jobs):
    alone, together = experiments.run(SWEEP), experiments.run(SWEEP, jobs=jobs, together=True)
    assert together.fingerprint == alone.fingerprint
    for method, quantities in alone.values.items():
        assert together.values[method].keys() == quantities.keys()
        for key in quantities:
            quantity = key.split("/")[-1]
            if quantity != "h0_unchanged":
                tolerance = {"test_accuracy": 2.5 / 360, "kept": 3, "beta0": 2}.get(quantity, 0.02)
                assert np.allclose(together.values[method][key], quantities[key], rtol=0, atol=tolerance), key


def test_the_command_trains_a_sweep_together(monkeypatch, tmp_path):
    sweep = replace(SWEEP, methods=("budget", "topological"), levels=1)
    monkeypatch.setattr(experiments, "SWEEPS", {"small": sweep})
    monkeypatch.setattr("sys.argv", ["zimp", "sweep", "small", "--together", "--output", str(tmp_path)])
    with pytest.raises(SystemExit, match="^0$"):
        main()
    results = experiments.Results.load(tmp_path / "small.json")
    assert results.values == experiments.run(sweep, together=True).values


def test_one_shot_sweeps_train_one_by_one_in_any_case():
    sweep = replace(SWEEP, methods=("trained", "initial"))
    assert experiments.run(sweep, together=True).values == experiments.run(sweep).values


# What cannot train together


class Counts(nn.Linear):
    """A buffer that is replaced, not changed in place."""

    def __init__(self):
        super().__init__(64, 10)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls = self.calls + 1
        return super().forward(x.flatten(1))


class Scaled(nn.Linear):
    """A number of its own that torch does not know of."""

    def __init__(self):
        super().__init__(64, 10)
        self.scale = float(torch.rand(()))

    def forward(self, x):
        return self.scale * super().forward(x.flatten(1))


class Branching(nn.Linear):
    def __init__(self):
        super().__init__(64, 10)

    def forward(self, x):
        return super().forward(x.flatten(1)) if x.sum() > 0 else x.flatten(1)[:, :10]


def with_dropout():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.Dropout(), nn.Linear(12, 10))


REFUSED = [
    (with_dropout, r"cannot be run for all replicates at once \(.*random.*\); random numbers, as of dropout"),
    (Branching, r"cannot be run for all replicates at once \(.*control flow.*\)"),
    (Counts, "network 0 gives different outputs when all replicates run together; .* a buffer that is replaced"),
    (Scaled, "network 1 gives different outputs when all replicates run together; a state that is neither"),
]


@pytest.mark.parametrize(("build", "message"), REFUSED)
def test_networks_that_a_batch_does_not_reproduce_are_refused_before_any_training(digits, build, message):
    with pytest.raises(ValueError, match=message) as caught:
        run(build, digits, levels=1, seeds=[0, 1], together=True)
    assert caught.value.record.rows == []


def alternating(*builds):
    builds = list(builds)
    return lambda: builds.pop(0)()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 13), nn.ReLU(), nn.Linear(13, 10)),
         r"networks 0 and 1 differ: 1 is Linear\(in_features=64, out_features=12, bias=True\) and Linear\(.*13"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.Tanh(), nn.Linear(12, 10)),
         r"2 is ReLU\(\) and Tanh\(\); only networks of one architecture"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), "2 is ReLU.* and missing|1 is Linear"),
        (lambda: tiny().requires_grad_(False), "1.weight is .* trained and .* fixed"),
        (lambda: tiny().double(), "1.weight is .*float32.* and .*float64"),
    ],
)  # fmt: skip
def test_networks_of_different_architecture_are_refused(digits, other, message):
    with pytest.raises(ValueError, match=message):
        run(alternating(tiny, other), digits, levels=1, seeds=[0, 1], together=True)


def test_networks_that_share_a_parameter_are_refused(digits):
    layer = nn.Linear(64, 10)
    with pytest.raises(ValueError, match="share a parameter or buffer; build a new network for each replicate"):
        run(lambda: nn.Sequential(nn.Flatten(), layer), digits, levels=1, seeds=[0, 1], together=True)


class Autoencoder(nn.Module):
    """The weight of the last layer is that of the first, turned: memory of its own it has none."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(64, 12), nn.Linear(12, 64), nn.Linear(64, 10)
        self.second.weight = nn.Parameter(self.first.weight.data.t())

    def forward(self, x):
        return self.last(self.second(torch.relu(self.first(x.flatten(1)))))


def with_view():
    """A buffer that watches a weight."""
    model = tiny()
    model.register_buffer("row", model[1].weight.detach()[3])
    return model


@pytest.mark.parametrize(
    ("build", "names"), [(Autoencoder, "first.weight and second.weight"), (with_view, "1.weight and row")]
)
def test_two_tensors_of_a_network_that_share_memory_are_refused(digits, build, names):
    with pytest.raises(ValueError, match=rf"{names} of network \d share memory but are two tensors.* make them one"):
        zimp.train_together(seeded(build, range(2)), [None] * 2, digits.train, steps=1, seeds=range(2))


def test_networks_that_share_memory_are_refused(digits):
    models = seeded(tiny, range(2))
    models[1][3].bias = nn.Parameter(models[0][3].bias.data)
    with pytest.raises(ValueError, match="share a parameter or buffer; build a new network for each replicate"):
        zimp.train_together(models, [None] * 2, digits.train, steps=1, seeds=range(2))


def test_parameters_that_lie_in_one_block_but_apart_train_together(digits):
    def one_block():
        model = tiny()
        block = nn.utils.parameters_to_vector(model.parameters()).detach()
        nn.utils.vector_to_parameters(block, model.parameters())
        return model

    alone, _, together, _ = both(one_block, digits)
    for first, second in zip(alone, together):
        assert_close(first.state_dict(), second.state_dict())


def with_hook(parameters):
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    optimizer.register_step_pre_hook(lambda *_: None)
    return optimizer


class Own(torch.optim.SGD):
    """A class that torch does not have."""


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (torch.optim.LBFGS, "optimizer is LBFGS; together train only SGD, Adam, .* elementwise = True"),
        (torch.optim.Adagrad, "optimizer is Adagrad; "),
        (Own, "optimizer is Own; "),
        (with_hook, "optimizer is SGD with hooks; "),
    ],
)
def test_optimizers_that_may_not_step_each_weight_alone_are_refused_before_any_training(digits, optimizer, message):
    with pytest.raises(ValueError, match=message) as caught:
        run(tiny, digits, levels=1, seeds=[0, 1], optimizer=optimizer, together=True)
    assert caught.value.record.rows == []


def test_an_optimizer_of_your_own_may_say_that_it_is_elementwise(digits, monkeypatch):
    monkeypatch.setattr(Own, "elementwise", True, raising=False)
    alone, _, together, _ = both(tiny, digits, optimizer=functools.partial(Own, lr=0.1))
    for first, second in zip(alone, together):
        assert_close(first.state_dict(), second.state_dict())


def test_several_devices_are_refused(digits):
    split = zimp.Split(digits.train.x.to("meta"), digits.train.y.to("meta"))
    with pytest.raises(ValueError, match=r"on several devices \(cpu, meta\); move them to one"):
        zimp.train_together(seeded(tiny, range(2)), [None] * 2, split, steps=1, seeds=range(2))


@pytest.mark.parametrize(("masks", "seeds"), [([None], [0, 1]), ([None] * 2, [0])])
def test_each_replicate_has_one_mask_and_one_seed(digits, masks, seeds):
    with pytest.raises(
        ValueError, match=r"there are 2 models, \d masks and \d seeds; each replicate needs one of each"
    ):
        zimp.train_together(seeded(tiny, range(2)), masks, digits.train, steps=1, seeds=seeds)


def test_counts_and_masks_are_checked_as_for_one_network(digits):
    models = seeded(tiny, range(2))
    with pytest.raises(ValueError, match="start=3 must be below steps=3"):
        zimp.train_together(models, [None] * 2, digits.train, steps=3, start=3, seeds=range(2))
    with pytest.raises(ValueError, match="masks has no entry for '1.weight'"):
        zimp.train_together(models, [None, {}], digits.train, steps=3, seeds=range(2))
