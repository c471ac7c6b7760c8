"""The barrier between two networks, and the studies that use it."""

import copy
import time
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy

import zimp
from zimp.lab import basins
from zimp.lab.experiments import STUDIES, Results, run

DIGITS = zimp.load_data("digits")


def stored(name):
    results = Results.load(Path(__file__).parent.parent / "book" / "results" / f"{name}.json")
    assert results.fingerprint == STUDIES[name].fingerprint, f"run: python -m zimp sweep {name}"
    return results


def network(seed=0, norm=False, outputs=10):
    torch.manual_seed(seed)
    middle = [nn.BatchNorm1d(16)] if norm else []
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), *middle, nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, outputs))


def straight_loop(a, b, split, points, metric):
    """The same, written down as it is defined."""
    values = []
    for k in range(points):
        alpha, between = k / (points - 1), copy.deepcopy(a)
        between.load_state_dict({name: (1 - alpha) * value + alpha * b.state_dict()[name]
                                 for name, value in a.state_dict().items()})  # fmt: skip
        between.eval()
        with torch.no_grad():
            output = between(split.x)
        values.append(cross_entropy(output, split.y).item() if metric == "loss"
                      else 1 - zimp.accuracy(between, split))  # fmt: skip
    return values


@pytest.mark.parametrize("metric", ["error", "loss"])
@pytest.mark.parametrize("points", [2, 3, 30])
def test_a_barrier_is_what_a_straight_loop_finds(metric, points):
    a, b = network(0), network(1)
    found = zimp.barrier(a, b, DIGITS.train, points=points, metric=metric)
    expected = straight_loop(a, b, DIGITS.train, points, metric)
    assert found.alphas == pytest.approx(np.arange(points) / (points - 1), rel=0, abs=1e-12)
    # An image whose two largest outputs are all but equal may go either way.
    assert found.values == pytest.approx(expected, rel=0, abs=3 / 1077 if metric == "error" else 1e-5)


def test_the_heights_are_those_of_the_two_papers():
    found = zimp.Barrier(np.array([0, 0.25, 0.5, 0.75, 1]), np.array([0.1, 0.5, 0.4, 0.2, 0.3]))
    assert found.height == pytest.approx(0.5 - 0.2)
    assert found.height_linear == pytest.approx(0.5 - 0.15)
    slope = zimp.Barrier(np.array([0, 0.5, 1]), np.array([0.0, 0.2, 0.4]))
    assert slope.height == pytest.approx(0.2) and slope.height_linear == pytest.approx(0)


@given(st.lists(st.floats(0, 10), min_size=2, max_size=9))
def test_of_the_heights_each_bounds_the_other(values):
    found = zimp.Barrier(np.linspace(0, 1, len(values)), np.array(values))
    half = abs(values[0] - values[-1]) / 2
    assert found.height >= half - 1e-9 and found.height_linear >= -1e-9
    assert abs(found.height - found.height_linear) <= half + 1e-9
    back = zimp.Barrier(found.alphas, found.values[::-1])
    assert (back.height, back.height_linear) == pytest.approx((found.height, found.height_linear), abs=1e-9)


@pytest.mark.parametrize("metric", ["error", "loss"])
def test_between_a_network_and_itself_nothing_rises_and_in_a_linear_network_the_loss_has_no_barrier(metric):
    a = network()
    still = zimp.barrier(a, a, DIGITS.test, metric=metric)
    assert still.height == pytest.approx(0, abs=1e-6 if metric == "loss" else 2 / 360)
    torch.manual_seed(0)
    linear = [nn.Sequential(nn.Flatten(), nn.Linear(64, 10)) for _ in range(2)]  # cross-entropy is convex in them
    assert zimp.barrier(*linear, DIGITS.test, metric="loss").height_linear < 1e-5


def test_a_barrier_leaves_the_networks_as_they_are_and_is_frozen():
    a, b = network(0, norm=True), network(1, norm=True)
    a[2].eval()  # one norm that is frozen
    before = [(copy.deepcopy(model.state_dict()), [part.training for part in model.modules()]) for model in (a, b)]
    found = zimp.barrier(a, b, DIGITS.test, points=3, calibrate=DIGITS.train)
    for model, (state, modes) in zip((a, b), before):
        assert [part.training for part in model.modules()] == modes and a[2].momentum == 0.1
        assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    with pytest.raises(FrozenInstanceError):
        found.values = None
    with pytest.raises(ValueError):
        found.values[0] = 0


def test_the_statistics_of_batch_norm_are_those_of_the_images_given():
    a, b = network(0, norm=True), network(1, norm=True)
    found = zimp.barrier(a, b, DIGITS.test, points=3, metric="loss", calibrate=DIGITS.test)
    whole = copy.deepcopy(a)  # in training mode one batch of all images is normalised by itself
    whole[4].eval()
    with torch.no_grad():
        itself = cross_entropy(whole(DIGITS.test.x), DIGITS.test.y).item()
    assert found.values[0] == pytest.approx(itself, rel=0.01)  # the stored variance is divided by one less
    zimp.train(b, None, DIGITS.train, steps=20, seed=0)  # other buffers, but of batch norm
    assert np.isfinite(zimp.barrier(a, b, DIGITS.test, points=3, calibrate=DIGITS.train).values).all()


def test_thirty_points_on_digits_take_less_than_a_second():
    a, b = zimp.lenet_300_100(64), zimp.lenet_300_100(64)
    seconds = []
    for _ in range(3):  # others may be at work
        start = time.process_time()
        zimp.barrier(a, b, DIGITS.test)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 1


class Shifted(nn.Linear):
    def __init__(self, shift):
        super().__init__(64, 10)
        self.register_buffer("shift", torch.tensor(shift))


def flat(layer):
    return nn.Sequential(nn.Flatten(), layer)


def spoilt():
    model = network()
    with torch.no_grad():
        model[1].weight[0, 1] = float("nan")
    return model


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            lambda: (network(), network(outputs=12)),
            r"out_features=10, .* out_features=12, .*Was one of them built with",
        ),
        (
            lambda: (network(), zimp.small_mlp()),
            "model_a has .* where model_b has .*; both must be of one architecture",
        ),
        (lambda: (network(), network(norm=True)), "both must be of one architecture"),
        (lambda: (network(), network()[:-1]), "both must be of one architecture"),
        (lambda: (network(), network().double()), "torch.float32.* torch.float64"),
        (lambda: (flat(nn.Linear(64, 10)), flat(nn.Linear(64, 10, bias=False))), "bias=True.* bias=False"),
        (lambda: (flat(Shifted(0.0)), flat(Shifted(1.0))), "the buffer 1.shift of model_a differs .* Copy the one"),
        (lambda: (network, network()), "model is a function, not a torch.nn.Module; build the network first"),
        (lambda: (network(), spoilt()), r"model_b.1.weight\[0, 1\] is nan; .* Did the training diverge"),
        (lambda: (network().to("meta"), network()), "on the meta device"),
    ],
)
def test_networks_without_a_line_between_them_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        zimp.barrier(*arguments(), DIGITS.test)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": zimp.Split(DIGITS.test.x[:0], DIGITS.test.y[:0])}, "there must be at least one image"),
        ({"split": DIGITS}, "split is a Data, not a zimp.Split"),
        ({"points": 1}, "points=1 is not a whole number of at least 2"),
        ({"points": 2.5}, "points=2.5 is not a whole number of at least 2"),
        ({"metric": "accuracy"}, "metric='accuracy' is unknown; it must be one of 'error', 'loss'"),
        ({"calibrate": None}, "calibrate=None, but the network has batch norm, .* such as data.train"),
        ({"calibrate": DIGITS}, "calibrate is a Data, not a zimp.Split"),
        ({"calibrate": zimp.Split(DIGITS.test.x[:1], DIGITS.test.y[:1])}, "calibrate has 1 image; a variance needs"),
    ],
)
def test_bad_input_is_refused_with_value_rule_and_likely_mistake(changes, message):
    arguments = {"split": DIGITS.test, "calibrate": DIGITS.train} | changes
    with pytest.raises(ValueError, match=message):
        zimp.barrier(network(0, norm=True), network(1, norm=True), arguments.pop("split"), **arguments)


# The studies


def test_of_one_network_the_trees_agree_and_of_two_that_share_nothing_as_by_chance():
    models = [zimp.lenet_300_100(64) for _ in range(2)]
    same, other = basins.compare(models[0], models[0], DIGITS), basins.compare(*models, DIGITS)
    for layer in ("fc1", "fc2"):
        for kind in ("tree", "largest", "all"):
            assert same[f"{layer}_{kind}"] == 1 and abs(other[f"{layer}_{kind}"]) < 0.1
    assert same["angle"] < 0.01 and other["angle"] == pytest.approx(1, abs=0.05) and same["loss"] < 1e-3


def test_dead_neurons_are_those_that_no_image_wakes():
    model = zimp.lenet_300_100(64)
    with torch.no_grad():
        model.fc1.bias[:7] = -1e6
    inputs, first, _ = basins.living(model, DIGITS.train.x)
    assert not first[:7].any() and first[7:].float().mean() > 0.8
    assert torch.equal(inputs, (DIGITS.train.x.flatten(1) > 0).any(dim=0))
    measured = basins.compare(model, copy.deepcopy(model), DIGITS)
    assert measured["fc1_alive"] == pytest.approx(float(first.float().mean()), abs=1e-4) and measured["fc1_tree"] == 1


def test_where_hardly_an_edge_is_outside_the_trees_an_overlap_is_undefined():
    weights = torch.rand(5, 4, generator=torch.Generator().manual_seed(0))
    tree = torch.tensor(zimp.spanning_forest(weights).mask)
    assert basins.overlaps(weights, -weights, tree) == ("undefined", "undefined")
    assert basins.overlaps(weights, -weights, torch.zeros(5, 4, dtype=torch.bool)) == ("undefined", "undefined")
    assert basins.overlaps(weights, -weights, torch.ones(5, 4, dtype=torch.bool)) == (1, 1)


def test_twins_share_their_steps_and_part():
    rows = basins.twins(3, data="digits", rates=[0.0012], rewinds=[0, 40, -1], steps=50)
    assert [row["rewind"] for row in rows] == [0, 40, -1]
    assert rows[1]["angle"] < rows[0]["angle"] < 0.5 < 0.9 < rows[2]["angle"]
    assert rows[1]["fc1_tree"] > rows[0]["fc1_tree"] > 0.4 > 0.1 > rows[2]["fc1_tree"]


def test_all_arms_are_measured_at_each_level_and_a_repelled_network_turns_away():
    arms = ["magnitude", "topological", "random", "magnitude repelled"]
    rows = basins.successive(3, data="digits", rates=[0.0012], share=0.4, levels=2, steps=60, arms=arms)
    assert [(row["arm"], row["level"]) for row in rows] == [
        (arm, level) for group in (["magnitude", "reinitialised"], *([arm] for arm in arms[1:]))
        for level in (1, 2) for arm in group
    ]  # fmt: skip
    angle = {arm: np.mean([row["angle"] for row in rows if row["arm"] == arm]) for arm in [*arms, "reinitialised"]}
    assert angle["magnitude"] < 0.3 < angle["magnitude repelled"] and angle["reinitialised"] > 0.85


# Between the kernels that PyTorch has for different processors, and their numbers of threads, training amplifies the
# last bit of a sum: the margins are at least twice what was seen.
BEGINNINGS = {
    "basins_twins": {"rates": [0.0012], "rewinds": [0, 25]},
    "basins_levels": {"levels": 1, "arms": ["magnitude", "magnitude repelled"]},
    "basins_mnist": {"rates": [0.0012], "levels": 1},
}
MARGINS = {"tree": 0.12, "largest": 0.12, "all": 0.12, "alive": 0.08, "angle": 0.06, "moved": 0.05, "error": 0.03,
           "accuracy": 0.02, "train_loss": 0.03, "loss": 0.05, "middle": 0.05}  # fmt: skip


@pytest.mark.parametrize(
    "name", ["basins_twins", "basins_levels", pytest.param("basins_mnist", marks=pytest.mark.slow)]
)
def test_a_rerun_of_the_beginning_of_a_seed_agrees_with_what_is_stored(name):
    study = STUDIES[name]
    again = run(replace(study, options=study.options | BEGINNINGS[name], seeds=study.seeds[:1])).table()
    names = [column for column in ("seed", "rate", "rewind", "arm", "level") if column in again[0]]
    known = {tuple(row[column] for column in names): row for row in stored(name).table()}
    for row in again:
        expected = known[tuple(row[column] for column in names)]
        for column in row.keys() - {*names}:
            margin = MARGINS[column.split("_")[-1] if column.startswith("fc") else column]
            if row["arm" if "arm" in row else "rewind"] == "reinitialised" and column in ("error", "loss", "middle"):
                margin = 0.5
            assert row[column] == pytest.approx(expected[column], rel=0, abs=margin), f"{row}, {column}"


@pytest.mark.parametrize("name", BEGINNINGS)
def test_the_stored_rows_are_of_every_seed_and_setting_and_all_numbers_are_defined(name):
    study, rows = STUDIES[name], stored(name).table()
    options, first = study.options, rows[: len(rows) // len(study.seeds)]
    if "rewinds" in options:
        expected = [{"rate": rate, "rewind": step} for rate in options["rates"] for step in options["rewinds"]]
    else:
        groups = [["magnitude", "reinitialised"] if arm == "magnitude" else [arm] for arm in options["arms"]]
        expected = [{"rate": rate, "arm": arm, "level": level} for rate in options["rates"] for group in groups
                    for level in range(1, options["levels"] + 1) for arm in group]  # fmt: skip
    for k, seed in enumerate(study.seeds):
        part = rows[k * len(first) :][: len(first)]
        assert [{column: row[column] for column in expected[0]} for row in part] == expected
        assert {row["seed"] for row in part} == {seed}
    assert not any(value == "undefined" for row in rows for value in row.values())
