"""How long runs take: sixteen seeds together against one by one and against their bare arithmetic, and IMP itself.

    python tests/benchmarks/runs.py

measures sixteen seeds against their bare arithmetic alone, in a minute.
"""

import functools
import time
from unittest import mock

import torch
from timing import seconds_of, summary
from torch import nn
from torch.nn.grad import conv2d_input, conv2d_weight

import zimp
from zimp.lab import imp

SEEDS = 16
BATCH = 60
THREADS = (1, 2)
NETWORKS = {"lenet_300_100": lambda: zimp.lenet_300_100(64), "small_conv": zimp.small_conv}
BOUNDS = {"lenet_300_100": 1.4, "small_conv": 1.8}


def measure(repeats=3) -> dict:
    """Seconds (medians and quartiles over repeats), their ratios, and shares of the time of a run.

    ``one_seed``, ``seeds_one_by_one`` and ``seeds_together`` are whole runs of LeNet-300-100 on digits, pruned ten
    times, each training of 400 steps; only ``seeds_one_by_one`` is not repeated. ``besides_training`` is the share that
    trees, masks and records take of a run of one seed on images of MNIST's size, without the accuracies, whose share is
    ``accuracies``. ``bare`` is what :func:`bare` measures.
    """
    digits = zimp.load_data("digits")
    run = functools.partial(
        zimp.iterative_magnitude_pruning, lambda: zimp.lenet_300_100(64), digits, levels=10, progress=False
    )
    run(steps=30, seeds=range(SEEDS), together=True)  # first calls are slower
    one, together, ratios = [], [], []
    for _ in range(repeats):  # in turn, so that a busy moment of the machine meets both
        one.append(seconds_of(lambda: run(seeds=0)))
        together.append(seconds_of(lambda: run(seeds=range(SEEDS), together=True)))
        ratios.append(together[-1] / one[-1])
    one_by_one = seconds_of(lambda: run(seeds=range(SEEDS)))
    besides, accuracies = zip(*(_shares() for _ in range(repeats)))
    return {
        "seeds": SEEDS,
        "threads": torch.get_num_threads(),
        "one_seed": summary(one),
        "seeds_one_by_one": one_by_one,
        "seeds_together": summary(together),
        "together_to_one_seed": summary(ratios),
        "besides_training": summary(besides),
        "accuracies": summary(accuracies),
        "bare": bare(),
    }


def bare(repeats=5) -> dict:
    """Seconds (best of the repeats) of short runs and of their bare arithmetic, by network and number of threads.

    ``together`` and ``one_seed`` are runs of two levels of 150 steps, as a caller sees them. ``products`` are the same
    number of steps of what no training of all seeds can do without: the batched matrix products (for convolutions,
    grouped ones in the faster layout, channels last) forward and backward, each of them on numbers that are there, and
    Adam, fused. Biases, activations, pooling, the loss, batches, masks and measurements are not in it.
    """
    digits, threads_before = zimp.load_data("digits"), torch.get_num_threads()
    measured = {}
    for name, build in NETWORKS.items():
        run = functools.partial(
            zimp.iterative_magnitude_pruning, build, digits, levels=1, steps=150, batch_size=BATCH, progress=False
        )
        functions = {
            "together": functools.partial(run, seeds=range(SEEDS), together=True),
            "one_seed": functools.partial(run, seeds=0),
            "products": functools.partial(_repeat, _arithmetic(build, digits.train.x[:BATCH]), 2 * 150),
        }
        for threads in THREADS:
            torch.set_num_threads(threads)
            seconds = {key: [] for key in functions}
            for _ in range(1 + repeats):  # in turn, so that a busy moment of the machine meets all; the first is slower
                for key, function in functions.items():
                    seconds[key].append(seconds_of(function))
            measured[f"{name}, {threads} threads"] = {key: min(values[1:]) for key, values in seconds.items()}
    torch.set_num_threads(threads_before)
    return measured


def _repeat(function, times):
    for _ in range(times):
        function()


def _arithmetic(build, images):
    """One step of the bare arithmetic of all seeds: a function."""
    model, layers = build(), []
    for layer in model:
        if hasattr(layer, "weight"):
            layer.register_forward_hook(lambda layer, inputs, output: layers.append((layer, *inputs, output)))
    model(images)
    stacks, products = [], []
    for layer, x, y in layers:
        of_layer = _dense if isinstance(layer, nn.Linear) else _convolution
        stack, forward_and_backward = of_layer(layer, x.detach(), y.detach(), first=not products)
        stacks.append(stack)
        products.append(forward_and_backward)
    for stack in stacks:
        stack.grad = torch.randn_like(stack) / 100
    optimizer = zimp.adam(stacks)

    def step():
        with torch.no_grad():
            for forward_and_backward in products:
                forward_and_backward()
        optimizer.step()

    return step


def _dense(layer, x, y, first):
    x, y = (part.expand(SEEDS, *part.shape).contiguous() for part in (x, y))
    weight = layer.weight.detach().mT.expand(SEEDS, -1, -1).contiguous().requires_grad_()

    def forward_and_backward():
        torch.bmm(x, weight)
        torch.bmm(x.mT, y)
        if not first:
            torch.bmm(y, weight.mT)

    return weight, forward_and_backward


def _convolution(layer, x, y, first):
    x, y = (part.repeat(1, SEEDS, 1, 1).contiguous(memory_format=torch.channels_last) for part in (x, y))
    weight = layer.weight.detach().repeat(SEEDS, 1, 1, 1).requires_grad_()
    settings = {"padding": layer.padding, "groups": SEEDS}

    def forward_and_backward():
        nn.functional.conv2d(x, weight, **settings)
        conv2d_weight(x, weight.shape, y, **settings)
        if not first:
            conv2d_input(x.shape, weight, y, **settings)

    return weight, forward_and_backward


def goals(measured):
    """Each goal: what, the figure, and the bound on it."""
    yield "16 seeds together / one seed", measured["together_to_one_seed"]["median"], "<=", 4
    yield "IMP besides training / a run", measured["besides_training"]["median"], "<=", 0.05
    yield from bare_goals(measured["bare"])


def bare_goals(measured):
    for key, seconds in measured.items():
        name, _ = key.split(", ")
        yield f"{key}: together / products", seconds["together"] / seconds["products"], "<=", BOUNDS[name]


def _shares() -> tuple[float, float]:
    """Of a run on images of MNIST's size: the share that is neither training nor accuracies, and that of accuracies."""
    spent = {"train": 0.0, "accuracy": 0.0}

    def timed(name):
        function = getattr(imp, name)

        def call(*arguments, **settings):
            start = time.perf_counter()
            try:
                return function(*arguments, **settings)
            finally:
                spent[name] += time.perf_counter() - start

        return mock.patch.object(imp, name, call)

    data = zimp.Data("synthetic", *map(_images, (6000, 500, 1000)))
    with timed("train"), timed("accuracy"):
        whole = seconds_of(lambda: zimp.iterative_magnitude_pruning(zimp.lenet_300_100, data, levels=3, progress=False))
    return 1 - sum(spent.values()) / whole, spent["accuracy"] / whole


def _images(size) -> zimp.Split:
    """Images of ten blurred classes."""
    generator = torch.Generator().manual_seed(size)
    centres = torch.randn(10, 784, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(10, (size,), generator=generator)
    images = centres[labels] / 2 + torch.randn(size, 784, generator=generator)
    return zimp.Split(images.reshape(size, 1, 28, 28), labels)


if __name__ == "__main__":
    from zimp.lab.record import machine

    print(f"{machine()['processor']}, torch {torch.__version__}")
    measured = bare()
    for (key, seconds), (_, ratio, _, bound) in zip(measured.items(), bare_goals(measured)):
        faster = SEEDS * seconds["one_seed"] / seconds["together"]
        print(f"{key:26}" + "".join(f"{name} {value:.2f} s  " for name, value in seconds.items()), end="")
        print(f"together / products {ratio:.2f} (goal {bound})  faster than {SEEDS} runs {faster:.1f} times")
