"""A run that is stopped, anywhere and by anything, ends with the record of one that is not."""

import functools
import hashlib
import itertools
import json
import multiprocessing
import os
import pickle
import platform
import random
import shutil
import signal
import subprocess
import sys
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

import zimp
from zimp.lab import resume

POSIX = os.name == "posix"
SETTINGS = {"levels": 3, "steps": 6, "rewind": 2, "criterion": "random", "seeds": [3, 1], "progress": False}

# A process of its own, without the seconds that the imports take where the system can fork one that has done them.
processes = multiprocessing.get_context("forkserver" if POSIX else "spawn")
if POSIX:
    imports = ["pytest", "sklearn.datasets", "sklearn.model_selection", "torch._dynamo", "zimp.lab.imp"]
    processes.set_forkserver_preload(imports)


class Stateful(nn.Sequential):
    """All that a network can hold between two levels: weights, a norm's statistics, a buffer that no state dict has."""

    def __init__(self):
        super().__init__(
            nn.Flatten(), nn.Linear(64, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.2), nn.Linear(12, 10)
        )
        self.register_buffer("calls", torch.zeros(()), persistent=False)

    def forward(self, x):
        self.calls += 1
        return super().forward(x) * (1 + 0.001 * self.calls)


def tiny():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 10))


def run(folder=None, build=Stateful, data=None, **arguments):
    return zimp.iterative_magnitude_pruning(
        build, data or zimp.load_data("digits"), folder=folder, **SETTINGS | arguments
    )


def noisy_rule(model, masks, level, generator):
    """Draws from torch's global generator, and from its own."""
    noise = {name: torch.rand(mask.shape) + torch.rand(mask.shape, generator=generator) for name, mask in masks.items()}
    return {name: zimp.magnitude_mask(noise[name], int(0.8 * mask.sum()), mask) for name, mask in masks.items()}


def kept(folder, pattern="*.safetensors"):
    return sorted(path.name for path in Path(folder).glob(pattern))


@pytest.fixture(scope="module")
def whole():
    return run()


@pytest.fixture(scope="module")
def done(tmp_path_factory, whole):
    """The folder of a run that is done: to be copied and not touched."""
    folder = tmp_path_factory.mktemp("run")
    assert run(folder) == whole
    return folder


@pytest.fixture
def copied(done, tmp_path):
    return Path(shutil.copytree(done, tmp_path / "copy"))


def in_process(function, *arguments):
    process = processes.Process(target=function, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 0


# Stopped


STOPPED = {
    "as it is": {},
    "trained on": {"rewind": None, "criterion": "magnitude"},
    "topological": {"rewind": 0, "criterion": "topological", "scope": "global"},
    "own rule": {"rewind": None, "criterion": noisy_rule},
    "convolutions": {"build": zimp.small_conv},
    "together": {"build": tiny, "together": True},
    "together, own rule": {"build": tiny, "together": True, "rewind": None, "criterion": noisy_rule},
}


EVERYWHERE, FIRST_AND_LATE = [(3, 0), (3, 1), (3, 3), (1, 0), (1, 2), (1, 3)], [(3, 1), (1, 2)]
STOPS = [(name, stop) for name in STOPPED for stop in (EVERYWHERE if name == "as it is" else FIRST_AND_LATE)]


@pytest.mark.parametrize(("name", "stop"), STOPS, ids=str)
def test_a_run_that_was_interrupted_ends_with_the_same_record_bit_for_bit(tmp_path, name, stop):
    arguments = STOPPED[name]

    def on_level(seed, level, model, masks):
        if (seed, level) == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        run(tmp_path, on_level=on_level, **arguments)
    record = run(tmp_path, **arguments)
    assert record == run(**arguments)
    assert [row for row in record.rows if row in caught.value.record.rows] == caught.value.record.rows


def test_an_interrupt_within_the_training_loses_that_level_only(tmp_path, whole):
    """Also while what is left runs under other conditions: with a progress bar, and with nothing of the old process."""

    class Interrupted(torch.optim.Adam):
        steps = 0

        def step(self, closure=None):
            Interrupted.steps += 1
            if Interrupted.steps == 13:  # 6 steps of level 0, 4 of level 1
                raise KeyboardInterrupt
            return super().step(closure)

    def optimizer(parameters):
        built = zimp.adam(parameters)
        built.__class__ = type("Adam", (Interrupted,), {})
        return built

    with pytest.raises(KeyboardInterrupt) as caught:
        run(tmp_path, optimizer=optimizer)
    assert len(caught.value.record.rows) == len(kept(tmp_path)) == 2
    assert run(tmp_path, progress=True) == whole


def test_levels_that_are_there_are_not_trained_again(tmp_path, whole):
    calls = []

    def on_level(seed, level, model, masks):
        calls.append((seed, level))
        if calls.count((1, 0)) == 1 and calls[-1] == (1, 0):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, on_level=on_level)
    run(tmp_path, on_level=on_level)
    assert calls == [(3, 0), (3, 1), (3, 2), (3, 3), (1, 0), (1, 0), (1, 1), (1, 2), (1, 3)]


def test_a_run_that_is_done_returns_its_record_without_any_training(done, whole):
    def on_level(*_):
        raise AssertionError("a level was trained")

    before = kept(done, "*")
    assert run(done, on_level=on_level) == run(str(done)) == whole
    assert kept(done, "*") == before == ["lock", *kept(done)]


@contextmanager
def counted(last=None):
    """Counts the calls that the process makes, of Python and of C, and at the last has the system kill it."""
    calls = itertools.count(1)

    def count(*_):
        if next(calls) == last:
            os.kill(os.getpid(), signal.SIGKILL if POSIX else signal.SIGTERM)  # neither can be caught there

    sys.setprofile(count)
    try:
        yield calls
    finally:
        sys.setprofile(None)


def work(folder, last):
    torch.set_num_threads(1)
    run(levels=0)  # what is imported late
    with counted(last):
        record = run(folder)
    record.save(f"{folder}.json")


@pytest.mark.slow
def test_a_run_that_is_killed_twenty_times_ends_with_the_same_record(tmp_path, whole):
    """Each kill comes at a random call of a process of its own; the next goes on in the folder that it left."""
    with counted() as calls:
        run(tmp_path / "undisturbed")
    total, moments = next(calls), random.Random(0)
    kills, runs, levels = 0, 0, set()
    while kills < (20 if POSIX else 5):  # elsewhere each process takes seconds to start
        process = processes.Process(target=work, args=(str(tmp_path / str(runs)), moments.randrange(total)))
        process.start()
        process.join()
        levels.add(len(kept(tmp_path / str(runs))))
        if process.exitcode == 0:  # less was left to do
            assert zimp.Record.load(tmp_path / f"{runs}.json") == whole
            runs += 1
        else:
            assert process.exitcode == (-signal.SIGKILL if POSIX else signal.SIGTERM)
            kills += 1
    assert run(tmp_path / str(runs)) == whole
    assert not kept(tmp_path / str(runs), "*.part")
    assert len(levels) > 3, "the kills came at too few of the levels"


def test_what_a_killed_run_was_writing_is_cleared_away(copied, whole):
    (path,) = copied.glob("seed_1-level_0003-*")
    path.rename(path.with_name(f"{path.name}.part"))
    (copied / "seed_1-level_0004-0123456789abcdef.safetensors.part").touch()
    assert run(copied) == whole
    assert kept(copied, "*.part") == [] and path.exists()


# Files that are damaged


def newest_is_set_aside(folder, name, whole):
    """The run goes on in the folder, saying so, and ends as it would have."""
    with pytest.warns(UserWarning, match=f"{name} is corrupt .* it is now {name}.corrupt, and the run goes on from"):
        assert run(folder) == whole
    assert kept(folder, "*.corrupt") == [f"{name}.corrupt"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run(folder) == whole


@pytest.mark.parametrize(
    ("damage", "level"),
    [("empty", 3), ("cut off", 3), ("longer", 3), ("a bit", 0), ("a bit", 1), ("a bit", 3), ("a page of zeros", 3)],
)
def test_a_damaged_newest_file_is_set_aside_and_the_level_before_is_used(copied, whole, damage, level):
    for later in range(level + 1, 4):
        (path,) = copied.glob(f"seed_3-level_{later:04d}-*")
        path.unlink()
    (path,) = copied.glob(f"seed_3-level_{level:04d}-*")
    content = bytearray(path.read_bytes())
    if damage == "empty":
        content = b""
    elif damage == "cut off":
        content = content[: len(content) // 2]
    elif damage == "longer":
        content += b"\0"
    elif damage == "a bit":
        content[len(content) // 2] ^= 4
    else:
        content[4096:8192] = bytes(4096)
    path.write_bytes(content)
    newest_is_set_aside(copied, path.name, whole)


def test_two_damaged_files_are_both_set_aside(copied, whole):
    paths = sorted(copied.glob("seed_1-*"))[-2:]
    for path in paths:
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.warns(UserWarning) as caught:
        assert run(copied) == whole
    assert [str(warning.message).partition(" is corrupt")[0] for warning in caught] == [str(p) for p in paths[::-1]]


def test_flipped_bits_and_cuts_all_over_a_file_are_noticed(tmp_path):
    folder = resume.RunFolder(tmp_path, {"together": False})
    weights = torch.arange(6.0).reshape(2, 3)
    for level in (0, 1):
        header = {"format": resume.FORMAT, "arguments": folder.arguments, "level": level}
        content = safetensors.torch.save({"0/weights/fc": weights}, {"zimp": json.dumps(header)})
        path = tmp_path / f"seed_0-level_{level:04d}-{hashlib.sha256(content).hexdigest()[:16]}.safetensors"
        path.write_bytes(content)
    damaged = [content[:size] for size in range(0, len(content), 11)]
    for position in range(0, 8 * len(content), 37):  # a bit of about every fifth byte, of each place in turn
        flipped = bytearray(content)
        flipped[position // 8] ^= 1 << position % 8
        damaged.append(bytes(flipped))
    for bad in damaged:
        path.write_bytes(bad)
        with pytest.warns(UserWarning, match="is corrupt"):
            header, _ = folder._newest("seed_0")
        assert header["level"] == 0
    path.write_bytes(content)
    header, states = folder._newest("seed_0")
    assert header["level"] == 1 and torch.equal(states["0"]["weights"]["fc"], weights)


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("kind", ["pickle", "torch"])
def test_a_pickle_in_the_folder_is_set_aside_and_not_run(copied, whole, tmp_path, kind):
    """Even one of the right name and with the right checksum."""
    trap = tmp_path / "the code was run"
    if kind == "pickle":
        (tmp_path / "bad").write_bytes(pickle.dumps(Malicious(trap)))
    else:
        torch.save(Malicious(trap), tmp_path / "bad")
    content = (tmp_path / "bad").read_bytes()
    pickle.loads(pickle.dumps(Malicious(trap)))
    assert trap.exists()  # had it been loaded
    trap.rmdir()
    path = copied / f"seed_3-level_0009-{hashlib.sha256(content).hexdigest()[:16]}.safetensors"
    path.write_bytes(content)
    newest_is_set_aside(copied, path.name, whole)
    assert not trap.exists()


def test_a_safetensors_file_that_is_no_level_is_set_aside(copied, whole):
    from safetensors.torch import save

    content = save({"a": torch.zeros(1)})
    path = copied / f"seed_3-level_0009-{hashlib.sha256(content).hexdigest()[:16]}.safetensors"
    path.write_bytes(content)
    newest_is_set_aside(copied, path.name, whole)


# A disk that is full


@pytest.mark.parametrize("call", ["pathlib.Path.write_bytes", "os.fsync", "os.replace"])
def test_a_level_that_cannot_be_written_leaves_those_before_it(tmp_path, monkeypatch, whole, call):
    def full(*_):
        raise OSError(28, "No space left on device")

    def on_level(seed, level, model, masks):
        if (seed, level) == (3, 2):
            monkeypatch.setattr(call, full)

    with pytest.raises(OSError, match="No space left") as caught:
        run(tmp_path, on_level=on_level)
    assert any("Level 2 could not be kept" in note for note in caught.value.__notes__)
    assert len(caught.value.record.rows) == 3
    monkeypatch.undo()
    assert [name[:17] for name in kept(tmp_path, "*")] == ["lock", "seed_3-level_0000", "seed_3-level_0001"]
    assert run(tmp_path) == whole


@pytest.mark.skipif(sys.platform != "linux", reason="small disks in memory are mounted by Linux")
def test_a_full_disk_stops_a_run_that_goes_on_when_there_is_room(tmp_path, whole):
    def mount(*arguments):
        return subprocess.run(["mount", "-t", "tmpfs", *arguments, "none", str(tmp_path)], capture_output=True)

    if shutil.which("mount") is None or mount("-o", "size=128k").returncode:
        pytest.skip("to mount a disk one must be root")
    try:
        with pytest.raises(OSError, match="No space left") as caught:
            run(tmp_path)
        assert any("could not be kept" in note for note in caught.value.__notes__)
        assert 2 <= len(kept(tmp_path)) == len(caught.value.record.rows) - 1
        assert kept(tmp_path, "*") == ["lock", *kept(tmp_path)]
        assert mount("-o", "remount,size=4m").returncode == 0
        assert run(tmp_path) == whole
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def limited(folder):
    import resource

    torch.set_num_threads(1)

    def on_level(seed, level, model, masks):
        if (seed, level) == (1, 1):
            resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))

    with pytest.raises(OSError, match="too large"):
        run(folder, on_level=on_level)


@pytest.mark.slow
@pytest.mark.skipif(not POSIX, reason="Windows has no limit of file sizes")
def test_a_limit_of_file_sizes_stops_a_run_that_goes_on_without_it(tmp_path, whole):
    in_process(limited, tmp_path)
    assert len(kept(tmp_path)) == 5 and kept(tmp_path, "*") == ["lock", *kept(tmp_path)]
    assert run(tmp_path) == whole


# Two runs


def hold(folder, begun):
    def on_level(*_):
        begun.set()
        time.sleep(600)

    run(folder, on_level=on_level)


@pytest.mark.slow
def test_a_second_run_in_the_folder_is_refused_until_the_first_is_gone_however_it_went(tmp_path, whole):
    begun = processes.Event()
    first = processes.Process(target=hold, args=(tmp_path, begun))
    first.start()
    begun.wait()
    try:
        with pytest.raises(RuntimeError, match="another run is working in .*; wait until it ends, or give this one a"):
            run(tmp_path)
    finally:
        first.kill()
        first.join()
    assert run(tmp_path) == whole


def test_a_second_run_in_the_same_process_is_refused_too(tmp_path, whole):
    def on_level(*_):
        with pytest.raises(RuntimeError, match="another run is working in"):
            run(tmp_path)

    assert run(tmp_path, on_level=on_level) == whole


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="folder='.*file' is a file; a run needs a folder of its own"):
        run(tmp_path / "file")


# Other arguments


def other_data():
    data = zimp.load_data("digits")
    return data._replace(train=data.train._replace(y=data.train.y.flip(0)))


def other_rule(*arguments):
    return noisy_rule(*arguments)


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        ({"steps": 7}, "steps is 6 there and 7 here"),
        ({"rewind": None}, "rewind is 2 there and None here"),
        ({"rate": 0.3}, "rate is 0.2 there and 0.3 here"),
        ({"rate": {"1.weight": 0.2, "5.weight": 0.1}}, "rate is 0.2 there and 'missing' here; rate.1.weight is"),
        ({"criterion": "magnitude"}, "criterion is 'random' there and 'magnitude' here"),
        ({"criterion": other_rule}, "criterion is 'random' there and 'other_rule' here"),
        ({"scope": "global"}, "scope is 'layer' there and 'global' here"),
        ({"batch_size": 61}, "batch_size is 60 there and 61 here"),
        ({"optimizer": lambda p: torch.optim.Adam(p, 1e-3, fused=True)}, "optimizer.groups.0.lr is 0.0012 there and"),
        ({"optimizer": functools.partial(torch.optim.SGD, lr=0.1)}, "optimizer.name is 'Adam' there and 'SGD' here"),
        ({"build": tiny}, "build is 'Stateful' there and 'tiny' here"),
        ({"data": other_data()}, "fingerprint of the images and labels is '.*' there and '.*' here"),
    ],
    ids=lambda value: value.partition(" is ")[0] if isinstance(value, str) else "",
)
def test_other_arguments_are_refused_with_what_differs(done, other, difference):
    before = kept(done, "*")
    with pytest.raises(ValueError, match=rf"holds a run with other arguments: {difference}.*folder of its own"):
        run(done, **other)
    assert kept(done, "*") == before


def test_another_network_under_the_same_name_is_refused(tmp_path):
    builders = [
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.ReLU()),
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Tanh()),
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10, bias=False), nn.ReLU()),
    ]
    run(tmp_path, build=builders[0], levels=0)
    with pytest.raises(ValueError, match=r"layers.2 is 'ReLU\(\)' there and 'Tanh\(\)' here"):
        run(tmp_path, build=builders[1], levels=0)
    with pytest.raises(ValueError, match=r"layers.1 is 'Linear\(.*bias=True\)' there and .* fingerprint of the untr"):
        run(tmp_path, build=builders[2], levels=0)


def test_seeds_together_and_one_by_one_are_not_the_same_run(tmp_path):
    run(tmp_path, build=tiny, levels=0)
    with pytest.raises(ValueError, match="together is False there and True here"):
        run(tmp_path, build=tiny, levels=0, together=True)


def test_other_versions_of_what_computes_are_refused_and_another_system_is_not(copied, whole, monkeypatch):
    monkeypatch.setattr(platform, "platform", lambda: "the same machine with a newer kernel")
    assert run(copied) == whole  # whose versions say where it began
    monkeypatch.setattr(resume, "versions", lambda: whole.versions | {"torch": "99.0"})
    with pytest.raises(ValueError, match="torch is '.*' there and '99.0' here"):
        run(copied)


def test_another_number_of_threads_is_recorded_and_not_refused(tmp_path, whole):
    def stop(seed, level, model, masks):
        if (seed, level) == (1, 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, on_level=stop)
    torch.set_num_threads(2)
    try:
        record = run(tmp_path)
        assert run(tmp_path) == record
    finally:
        torch.set_num_threads(1)
    assert record.config["threads"] == [1, 2] and len(record.rows) == len(whole.rows)


# Grown


@pytest.mark.parametrize("arguments", STOPPED.values(), ids=STOPPED)
def test_a_run_grows_by_levels_as_if_it_had_had_them(tmp_path, arguments):
    run(tmp_path, **arguments | {"levels": 1})
    assert run(tmp_path, **arguments) == run(**arguments)
    fewer = run(tmp_path, **arguments | {"levels": 2})  # what is there is not lost, and not too much is given
    assert fewer.rows == run(**arguments | {"levels": 2}).rows
    assert run(tmp_path, **arguments) == run(**arguments)


def test_a_run_grows_by_seeds(copied, whole):
    calls = []
    record = run(copied, seeds=[7, 3, 1], on_level=lambda seed, *_: calls.append(seed))
    assert calls == [7] * 4 and record.rows == run(seeds=[7]).rows + whole.rows
    assert run(copied, seeds=[1]).rows == whole.rows[4:]


def test_seeds_that_are_added_train_together_among_themselves(tmp_path):
    arguments = {"build": tiny, "together": True}
    first = run(tmp_path, **arguments)
    record = run(tmp_path, seeds=[3, 5, 1, 4], **arguments)
    rows = {seed: [row for row in record.rows if row["seed"] == seed] for seed in (3, 5, 1, 4)}
    assert rows[3] + rows[1] == first.rows and rows[5] + rows[4] == run(seeds=[5, 4], **arguments).rows
    assert run(tmp_path, seeds=[1], **arguments).rows == rows[1]


def test_what_is_computed_at_each_level_is_not_lost(tmp_path):
    def on_level(seed, level, model, masks):
        if (seed, level) == (1, 2) and stop:
            raise KeyboardInterrupt
        return {"largest": max(float(weight.abs().max()) for weight in zimp.prunable(model).values())}

    stop = True
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, on_level=on_level)
    stop = False
    record = run(tmp_path, on_level=on_level)
    assert record.rows == run(on_level=on_level).rows == run(tmp_path).rows
    assert all(row["on_level"]["largest"] > 0 for row in record.rows)


@pytest.mark.parametrize("value", [0, 0.0, False, "", [], {}], ids=repr)
def test_what_is_empty_or_zero_is_kept_and_none_is_not(value):
    (row,) = run(on_level=lambda *_: value, levels=0, seeds=0).rows
    assert row["on_level"] == value and type(row["on_level"]) is type(value)
    (row,) = run(on_level=lambda *_: None, levels=0, seeds=0).rows
    assert "on_level" not in row


@pytest.mark.parametrize("value", [float("nan"), {1: object()}, np.ones(2), {"x": float("inf")}])
def test_what_no_record_can_keep_is_refused(value):
    with pytest.raises(ValueError, match=r"on_level returned a \w+ that no record can keep .*; return None, or finite"):
        run(on_level=lambda *_: value, levels=0)


# Read back


def test_what_a_folder_holds_can_be_read_back(tmp_path):
    seen = {}

    def on_level(seed, level, model, masks):
        weights = {name: weight.detach().clone() for name, weight in model.named_parameters()}
        seen[seed, level] = weights, {name: mask.clone() for name, mask in masks.items()}

    record = run(tmp_path, on_level=on_level)
    levels = list(zimp.run_levels(tmp_path))
    assert [level.row for level in sorted(levels, key=lambda one: one.seed != 3)] == record.rows
    for kept in levels:
        weights, masks = seen[kept.seed, kept.level]
        assert all(torch.equal(kept.weights[name], weight) for name, weight in weights.items())
        assert all(torch.equal(kept.masks[name], mask) for name, mask in masks.items())
        assert kept.early.keys() >= weights.keys()


def test_seeds_that_trained_together_are_read_back_one_by_one(tmp_path):
    record = run(tmp_path, build=tiny, together=True)
    levels = sorted(zimp.run_levels(tmp_path), key=lambda kept: (kept.seed != 3, kept.level))
    assert [level.row for level in levels] == record.rows


@pytest.mark.parametrize(
    ("together", "order"),
    [(False, [(2, 0), (2, 1), (10, 0), (10, 1)]), (True, [(10, 0), (2, 0), (10, 1), (2, 1)])],
)
def test_levels_are_read_back_by_seed_and_those_of_seeds_together_by_level(tmp_path, together, order):
    """Seeds came as words are sorted, 10 before 2."""
    run(tmp_path, build=tiny, seeds=[10, 2], levels=1, together=together)
    assert [(kept.seed, kept.level) for kept in zimp.run_levels(tmp_path)] == order


def test_what_is_no_folder_of_a_run_cannot_be_read_back(tmp_path, copied):
    with pytest.raises(NotADirectoryError, match="does not exist; it must be the folder of a run"):
        list(zimp.run_levels(tmp_path / "nothing"))
    path = sorted(copied.glob("*.safetensors"))[2]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=f"{path.name} is corrupt"):
        list(zimp.run_levels(copied))


def test_a_folder_of_the_first_format_is_refused_by_name(tmp_path):
    content = safetensors.torch.save({"0/weights/fc": torch.ones(2)}, {"zimp": json.dumps({"arguments": {}})})
    name = f"seed_3-level_0000-{hashlib.sha256(content).hexdigest()[:16]}.safetensors"
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name} was kept in the format 1 of another version of zimp, this one has 2"):
        run(tmp_path)
    assert (tmp_path / name).exists()


# The same arguments


@pytest.mark.parametrize("part", ["build", "criterion", "optimizer"])
def test_partial_functions_are_the_same_arguments_in_another_process(tmp_path, part):
    """Their text has an address in memory, which stood in the record."""

    def partial():  # anew, as another process makes it
        return {
            "build": functools.partial(lambda size: nn.Sequential(nn.Flatten(), nn.Linear(size, 10)), 64),
            "criterion": functools.partial(lambda *arguments: noisy_rule(*arguments)),
            "optimizer": functools.partial(lambda parameters: zimp.adam(parameters)),
        }[part]

    held = partial()
    first = run(tmp_path, **{"build": tiny, "levels": 1} | {part: held})
    assert "0x" not in str(first.config)
    assert run(tmp_path, **{"build": tiny, "levels": 1} | {part: partial()}) == first


def test_a_network_with_a_state_that_is_no_tensor_is_refused(tmp_path):
    class Extra(nn.Linear):
        def get_extra_state(self):
            return {"calls": 1}

        def set_extra_state(self, state):
            pass

    with pytest.raises(ValueError, match="1._extra_state of the network is a dict; a folder keeps tensors only"):
        run(tmp_path / "run", build=lambda: nn.Sequential(nn.Flatten(), Extra(64, 10)))
    assert not (tmp_path / "run").exists()


def test_a_folder_keeps_tied_weights_and_other_layouts(tmp_path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3, padding=1).to(memory_format=torch.channels_last)
            self.first, self.output = nn.Linear(256, 256), nn.Linear(256, 10)
            self.second = nn.Linear(256, 256)
            self.second.weight = self.first.weight

        def forward(self, x):
            return self.output(self.second(self.first(self.conv(x).flatten(1)).relu()))

    def on_level(seed, level, model, masks):
        if level == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, build=Tied, on_level=on_level)
    assert run(tmp_path, build=Tied) == run(build=Tied)


# Determinism


NETWORKS = {"dense": functools.partial(zimp.lenet_300_100, 64), "conv": zimp.small_conv}


def measure(network, threads, path=None):
    torch.set_num_threads(threads)
    record = run(build=NETWORKS[network], levels=1, seeds=0)
    if path is None:
        return record
    record.save(path)


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("threads", [1, 2])
def test_a_run_is_the_same_in_this_process_and_in_another(tmp_path, network, threads):
    try:
        here, again = measure(network, threads), measure(network, threads)
    finally:
        torch.set_num_threads(1)
    in_process(measure, network, threads, tmp_path / "there.json")
    assert here == again == zimp.Record.load(tmp_path / "there.json")
    assert here.config["threads"] == threads
