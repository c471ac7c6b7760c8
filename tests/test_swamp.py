"""SWAMP: its training beside a plain loop, its averages, and the studies of its page."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from test_connectivity import stored
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel

import zimp
from zimp.lab import averages
from zimp.lab.experiments import STUDIES, run
from zimp.lab.swamp import Particles, average, orders, train_particles
from zimp.lab.training import batches

DIGITS = zimp.load_data("digits")
SMALL = {"levels": 2, "rate": 0.4, "steps": 20, "progress": False}


def network(norm=None):
    middle = [] if norm is None else [norm]
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 12, bias=not middle), *middle, nn.ReLU(), nn.Linear(12, 10))


def normed():
    return network(nn.BatchNorm1d(12))


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9)  # Adam takes steps even of what is rounding alone


def averaging(steps, last):
    """A training as anybody would write it with torch: the weights of the last steps are averaged."""

    def train(model, masks, split, *, start, steps: int, seed, hold, whole=steps):
        optimizer, mean = zimp.adam(model.parameters()), AveragedModel(model)
        hold(optimizer)
        order = batches(len(split.y), 60, seed)
        for _ in range(start):
            next(order)
        for step in range(start, steps):
            batch = next(order)
            loss = cross_entropy(model(split.x[batch]), split.y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if steps == whole and step >= steps - last:
                mean.update_parameters(model)
        if steps == whole:
            with torch.no_grad():
                for own, averaged in zip(model.parameters(), mean.module.parameters()):
                    own.copy_(averaged)
        return loss.item()

    return train


def of_all_levels(method, **arguments):
    states = []
    record = method(data=DIGITS, on_level=lambda *parts: states.append(copy.deepcopy(parts[2].state_dict())),
                    **SMALL | arguments)  # fmt: skip
    return record, states


@pytest.mark.parametrize("build", [lambda: zimp.lenet_300_100(64), zimp.small_conv])
@pytest.mark.parametrize(("rewind", "last"), [(0, 5), (7, 3)])
def test_with_one_particle_it_is_imp_with_averaging_bit_for_bit(build, rewind, last):
    arguments = {"build": build, "rewind": rewind, "seeds": (3, 0)}
    found, states = of_all_levels(zimp.swamp, particles=1, **arguments)
    plain, expected = of_all_levels(zimp.iterative_magnitude_pruning, train=averaging(20, last), **arguments)
    assert found.rows == plain.rows and len(states) == len(expected) == 6
    for one, other in zip(states, expected):
        assert all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("rewind", [0, None])
def test_with_one_particle_and_its_last_weights_it_is_imp(rewind):
    arguments = {"build": lambda: zimp.small_mlp(64), "rewind": rewind, "seeds": 1}
    found, states = of_all_levels(zimp.swamp, particles=1, averaged=0, **arguments)
    plain, expected = of_all_levels(zimp.iterative_magnitude_pruning, **arguments)
    assert found.rows == plain.rows
    assert all(torch.equal(one[name], other[name]) for one, other in zip(states, expected) for name in one)


@pytest.mark.parametrize("averaged", [0, 0.3, 1])
def test_particles_are_what_each_is_alone_and_the_network_is_their_mean(averaged):
    torch.manual_seed(0)
    model = zimp.small_mlp(64)
    masks = zimp.prune(model, rate=0.5)
    alone = [copy.deepcopy(model) for _ in range(3)]
    for one, seed in zip(alone, orders(5, 3)):
        train_particles([one], masks, DIGITS.train, seeds=[seed], steps=20, averaged=averaged, optimizer=sgd)
    settings = {"start": 0, "steps": 20, "seed": 5, "hold": None}
    loss = Particles(3, averaged, 20, 60, sgd)(model, masks, DIGITS.train, **settings)
    assert 0 < loss < 3
    for name, value in model.state_dict().items():
        values = torch.stack([one.state_dict()[name] for one in alone])
        assert torch.allclose(value, values.mean(dim=0), atol=1e-5)
        assert (values[0] - values[1]).abs().max() > 1e-3  # other orders of batches
    assert all(not weight[~masks[name]].any() for name, weight in zimp.prunable(model).items())


@given(st.integers(0, 2**63 - 1), st.integers(1, 9))
def test_each_particle_has_an_order_of_batches_of_its_own(seed, particles):
    found = orders(seed, particles)
    assert found[0] == seed and max(found) < 2**63
    heeded = {one % 2**32 for one in found}  # torch's generator on the CPU heeds no more of a seed
    assert len(heeded) == particles


def test_until_the_step_to_rewind_to_there_is_one_network():
    early = {}

    def build():
        return zimp.small_mlp(64)

    for particles in (1, 3):
        with torch.random.fork_rng():
            torch.manual_seed(2)
            model = build()
        settings = {"start": 0, "steps": 5, "seed": 2, "hold": None}
        Particles(particles, 0.5, 20, 60, zimp.adam)(model, None, DIGITS.train, **settings)
        early[particles] = model.state_dict()
    assert all(torch.equal(value, early[3][name]) for name, value in early[1].items())


def test_the_statistics_of_batch_norm_are_those_of_the_average_on_the_training_images():
    found, states = of_all_levels(zimp.swamp, build=normed, particles=3, levels=1, steps=150)
    assert found.rows[-1]["test_accuracy"] > 0.5
    for state in states:
        model = normed()
        model.load_state_dict(state)
        with torch.no_grad():
            inner = model[1](DIGITS.train.x.flatten(1))
        assert torch.allclose(model[2].running_mean, inner.mean(dim=0), atol=1e-5)
        assert torch.allclose(model[2].running_var, inner.var(dim=0), rtol=0.02, atol=1e-5)


def test_an_average_leaves_the_others_as_they_are():
    models = [zimp.small_mlp(64) for _ in range(3)]
    before = [copy.deepcopy(model.state_dict()) for model in models]
    masks = zimp.prune(models[0], rate=0.5)
    average(models, masks, DIGITS.train)
    for model, state in zip(models[1:], before[1:]):
        assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    for name, weight in zimp.prunable(models[0]).items():
        mean = sum(state[name] for state in before) / 3
        assert torch.allclose(weight, mean * masks[name], atol=1e-6)


def test_the_record_and_the_folder_know_the_settings(tmp_path):
    build, folder = zimp.small_conv, tmp_path / "run"
    arguments = {"build": build, "particles": 2, "folder": folder}
    record, _ = of_all_levels(zimp.swamp, **arguments | {"levels": 1})
    assert "Particles(particles=2, averaged=0.25, steps=20, batch_size=60" in record.config["train"]
    resumed, states = of_all_levels(zimp.swamp, **arguments)
    assert len(states) == 1 and resumed.rows == of_all_levels(zimp.swamp, build=build, particles=2)[0].rows
    for other in ({"particles": 3}, {"averaged": 0.5}, {"optimizer": torch.optim.Adam}):
        with pytest.raises(ValueError, match="train"):
            of_all_levels(zimp.swamp, **arguments | other)


def test_a_divergence_names_the_particle_the_seed_and_the_level():
    def wild(parameters):
        return torch.optim.SGD(parameters, lr=1e30)

    with pytest.raises(zimp.TrainingDiverged, match="seed 4, level 0: particle [01]: .* a lower learning rate"):
        zimp.swamp(normed, DIGITS, particles=2, optimizer=wild, seeds=4, **SMALL)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"particles": 0}, "particles=0 is below 1, so nothing is trained; one particle is IMP with averaging"),
        ({"particles": -1}, "particles=-1 is not a whole number of at least 0"),
        ({"particles": 1.5}, "particles=1.5 is not a whole number"),
        ({"particles": True}, "particles=True is not a whole number"),
        ({"averaged": 25}, r"averaged=25 must lie in \[0, 1\]: .* not a number of steps"),
        ({"averaged": -0.1}, r"averaged=-0.1 must lie in \[0, 1\]"),
        ({"averaged": float("nan")}, r"averaged=nan must lie in \[0, 1\]"),
        ({"averaged": "0.25"}, "averaged='0.25' is not a number"),
        ({"steps": 0}, "steps=0 is not a whole number of at least 1"),
        ({"rewind": 20}, "rewind=20 must be below steps=20"),
        ({"together": True}, "train is a function that trains one network, so the seeds cannot train together"),
        ({"build": lambda: network(nn.InstanceNorm1d(12, track_running_stats=True))}, "2 is a InstanceNorm1d with run"),
        ({"build": normed, "data": DIGITS._replace(train=zimp.Split(DIGITS.train.x[:1], DIGITS.train.y[:1]))},
         "2 is batch norm, .* the training split has 1 image; a variance needs at least two. Was one image meant"),
        ({"build": lambda: network(nn.Dropout(0.5))}, "cannot be run for all replicates at once"),
        ({"optimizer": torch.optim.Adagrad}, "optimizer is Adagrad; together train only"),
        ({"optimizer": "adam"}, "optimizer='adam' is not a function"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_with_value_rule_and_likely_mistake(changes, message):
    arguments = {"build": network, "data": DIGITS} | SMALL | changes
    with pytest.raises(ValueError, match=message):
        zimp.swamp(arguments.pop("build"), arguments.pop("data"), **arguments)


# What the page says of averages

LAYERS = arrays(np.float64, (6, 4, 3), elements=st.floats(-1, 1, width=16))


@given(LAYERS, st.integers(1, 3))
def test_the_deaths_of_two_averages_differ_at_most_as_their_weights_do(particles, count):
    one, other = particles[:count].mean(axis=0), particles[3 : 3 + count].mean(axis=0)
    values = [zimp.spanning_forest(weights).values for weights in (one, other)]
    assert np.abs(values[0] - values[1]).max() <= np.abs(one - other).max() + 1e-12


def test_the_difference_of_two_averages_falls_as_one_over_the_root_of_the_number_of_particles():
    rng = np.random.default_rng(0)
    noise = rng.exponential(size=(4000, 2, 8, 12)) - 1  # skewed, of variance 1
    for count in (1, 2, 4, 8):
        one, other = noise[:, 0, :count].mean(axis=1), noise[:, 1, :count].mean(axis=1)
        assert np.sqrt(np.mean((one - other) ** 2)) == pytest.approx(np.sqrt(2 / count), rel=0.03)


def test_an_edge_in_the_trees_of_both_particles_may_be_in_none_of_their_average():
    one, other = np.array([[2, 1], [9, 9]]), np.array([[2, 9], [1, 9]])
    assert [zimp.spanning_forest(weights).mask[0, 0] for weights in (one, other, (one + other) / 2)] == [1, 1, 0]


# The studies. Between the kernels that PyTorch has for different processors, and their numbers of threads, training
# amplifies the last bit of a sum: the margins are at least twice what was seen.


def test_the_arms_of_the_study_of_accuracy_are_what_they_are_called():
    options = {"data": "digits", "share": 0.4, "levels": 1, "steps": 30, "particles": 2}
    rows = {(row["arm"], row["level"]): row for row in averages.accuracies(7, **options)}
    arms = {arm for arm, _ in rows}
    assert len(arms) == 8 and len(rows) == 16
    assert all(rows[arm, 0]["agree"] == rows[arm, 0]["pieces"] == 1 for arm in arms)
    assert rows["IMP", 1]["agree"] == rows["IMP mask, SWAMP weights", 1]["agree"] == 1
    assert rows["SWAMP mask, IMP weights", 1]["agree"] == rows["SWAMP", 1]["agree"] < 1
    assert rows["IMP, other order", 1]["agree"] < 0.95
    record = zimp.iterative_magnitude_pruning(
        lambda: zimp.lenet_300_100(64), DIGITS, levels=1, rate=0.4, steps=30, seeds=7, progress=False
    )
    expected = record.curve("test_accuracy")[0]
    assert [rows["IMP", level]["accuracy"] for level in (0, 1)] == pytest.approx(expected, abs=1e-6)
    # Under the dense mask the particles of IMP's and of SWAMP's are the same.
    assert rows["IMP mask, SWAMP weights", 0]["accuracy"] == rows["SWAMP", 0]["accuracy"]
    assert rows["SWAMP mask, IMP weights", 0]["accuracy"] == rows["IMP", 0]["accuracy"]


def test_groups_of_particles_agree_more_than_single_ones():
    options = {"data": "digits", "share": 0.2, "levels": [0], "steps": 40, "counts": [1, 4]}
    rows = {(row["weights"], row["particles"]): row for row in averages.pairs(7, **options)}
    assert rows.keys() == {("averaged", 1), ("averaged", 4), ("last", 1), ("last", 4)}
    for weights in ("averaged", "last"):
        one, four = rows[weights, 1], rows[weights, 4]
        assert four["fc1_typical"] == pytest.approx(one["fc1_typical"] / 2, rel=0.25)
        assert four["fc1_tree"] > one["fc1_tree"] and four["fc1_largest"] > one["fc1_largest"]
        assert all(row["fc1_deaths"] <= row["fc1_change"] + 1e-6 for row in (one, four))


BEGINNINGS = {
    "swamp_accuracy": ({"levels": 1}, ("arm", "level")),  # not the crossed ones
    "swamp_trained": ({"levels": 1}, ("arm", "level")),
    "swamp_shares": ({"levels": [0]}, ("level", "arm")),
    "swamp_shares_mnist": ({"levels": [0]}, ("level", "arm")),
    "swamp_pairs": ({"levels": [0]}, ("level", "weights", "particles")),
}
MARGINS = {"accuracy": 0.03, "pieces": 3, "agree": 0.1, "tree": 0.1, "largest": 0.1, "all": 0.1, "alive": 0.08,
           "deaths": 0.03, "change": 0.2, "typical": 0.02, "0.8": 0.03, "0.3": 0.05, "0.1": 0.08}  # fmt: skip
QUICK = ("swamp_shares", "swamp_pairs")


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in BEGINNINGS]
)
def test_a_rerun_of_the_beginning_of_a_seed_agrees_with_what_is_stored(name):
    study, (part, keys) = STUDIES[name], BEGINNINGS[name]
    again = run(replace(study, options=study.options | part, seeds=study.seeds[:1])).table()
    known = {tuple(row[key] for key in ("seed", *keys)): row for row in stored(name).table()}
    for row in again:
        expected = known[tuple(row[key] for key in ("seed", *keys))]
        for column in row.keys() - {"seed", *keys}:
            if row.get("arm") == "starts" and column == "accuracy":
                continue  # of a network that labels by chance
            margin = MARGINS[column.rpartition("_")[2]]
            assert row[column] == pytest.approx(expected[column], rel=0, abs=margin), f"{row}, {column}"


@pytest.mark.parametrize("name", BEGINNINGS)
def test_the_stored_rows_are_of_every_seed_and_question_and_all_numbers_are_defined(name):
    study, (_, keys), rows = STUDIES[name], BEGINNINGS[name], stored(name).table()
    places = [tuple(row[key] for key in ("seed", *keys)) for row in rows]
    assert len(set(places)) == len(places) and {seed for seed, *_ in places} == set(study.seeds)
    assert len(study.seeds) >= 10 and len(places) % len(study.seeds) == 0
    assert not any(value == "undefined" for row in rows for value in row.values())
