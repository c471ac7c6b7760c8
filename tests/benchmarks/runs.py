"""How long runs take: sixteen seeds together against one by one, and what IMP does besides training."""

import functools
import time
from unittest import mock

import torch
from timing import seconds_of, summary

import zimp
from zimp.lab import imp

SEEDS = 16


def measure(repeats=3) -> dict:
    """Seconds (medians and quartiles over repeats), their ratios, and shares of the time of a run.

    ``one_seed``, ``seeds_one_by_one`` and ``seeds_together`` are whole runs of LeNet-300-100 on digits, pruned ten
    times, each training of 400 steps; only ``seeds_one_by_one`` is not repeated. ``besides_training`` is the share that
    trees, masks and records take of a run of one seed on images of MNIST's size, without the accuracies, whose share is
    ``accuracies``.
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
    }


def goals(measured):
    """Each goal: what, the figure, and the bound on it."""
    yield "16 seeds together / one seed", measured["together_to_one_seed"]["median"], "<=", 4
    yield "IMP besides training / a run", measured["besides_training"]["median"], "<=", 0.05


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
