"""Training of a masked network: what is pruned is zero before the first step and after each.

:func:`zimp.train` is the loop to read; :func:`zimp.train_together` does the same for many networks at once.
"""

from __future__ import annotations

import copy
import math
from itertools import islice
from operator import index

import torch
from torch.nn.functional import cross_entropy

from .layers import prunable
from .pruning import check_masks

__all__ = ["train", "accuracy", "adam", "TrainingDiverged"]


def adam(parameters):
    """Adam with the learning rate 1.2e-3 of Frankle & Carbin (2019).

    Parameters
    ----------
    parameters : iterable of torch.nn.Parameter

    Returns
    -------
    torch.optim.Adam

    Examples
    --------
    >>> import zimp
    >>> zimp.adam(zimp.lenet_300_100().parameters()).defaults["lr"]
    0.0012
    """
    return torch.optim.Adam(parameters, lr=1.2e-3, fused=True)


class TrainingDiverged(RuntimeError):
    """The loss or a weight became NaN or infinite. Out of a run, ``record`` holds the levels that were done before.

    Attributes
    ----------
    replicate : int
        Which of the networks that trained together it was.
    """

    def __init__(self, message, replicate=0):
        super().__init__(message)
        self.replicate = replicate


def train(model, masks, split, *, steps, seed, start=0, batch_size=60, optimizer=adam, snapshot_at=None):
    """Train a masked network in place; pruned weights are zero before the first step and after each.

    Parameters
    ----------
    model : torch.nn.Module
    masks : dict of str to boolean tensor, or None
        As from :func:`zimp.prune`; None where nothing is pruned.
    split : Split
        Images and labels; the loss is the cross-entropy.
    steps : int
        The step to train to.
    seed : int
        Of the order of the batches, which is the same at each call: each epoch a new permutation.
    start : int
        The step to train from; the batches before it are passed over.
    batch_size : int
    optimizer : function
        Takes the parameters, returns a ``torch.optim.Optimizer``.
    snapshot_at : int, optional
        The step before which to copy the network's state.

    Returns
    -------
    (float, dict or None)
        The loss on the last batch, and the snapshot.

    Raises
    ------
    ValueError
        If ``start`` is not below ``steps``, for counts that are not positive, or for masks that do not fit the model.
    TrainingDiverged
        If the loss or a weight is not finite.
    RuntimeError
        If something other than the optimizer has changed a pruned weight.

    Examples
    --------
    >>> import torch, zimp
    >>> _ = torch.manual_seed(0)
    >>> model, data = zimp.lenet_300_100(64), zimp.load_data("digits")
    >>> masks = zimp.prune(model, rate=0.9)
    >>> loss, _ = zimp.train(model, masks, data.train, steps=300, seed=0)
    >>> zimp.accuracy(model, data.test) > 0.9
    True
    """
    steps, start, batch_size = check_training(steps, start, batch_size)
    weights = prunable(model)
    pruned = [
        (weights[name], torch.from_numpy(~mask).to(weights[name].device))
        for name, mask in check_masks(model, masks).items()
    ]
    snapshot = None
    optimizer = optimizer(model.parameters())
    model.train()
    _zero(pruned)
    for step, batch in enumerate(islice(batches(len(split.y), batch_size, seed), start, steps), start):
        if step == snapshot_at:
            snapshot = copy.deepcopy(model.state_dict())
        loss = cross_entropy(model(split.x[batch]), split.y[batch])
        if not math.isfinite(loss.item()):
            raise TrainingDiverged(f"the loss is {loss.item()} at step {step}; a lower learning rate may help")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        _zero(pruned)  # momentum, weight decay and Adam's averages would revive what has no gradient
    for name, (weight, gone) in zip(weights, pruned):
        if not weight.isfinite().all():
            raise TrainingDiverged(f"{name} is not finite after step {step}; a lower learning rate may help")
        if weight[gone].any():
            raise RuntimeError(f"pruned weights of {name} are not zero; does a hook change the weights while training?")
    return loss.item(), snapshot


def batches(size, batch_size, seed):
    """Indices of the images of each batch, without end: epoch after epoch, each in an order of its own."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield from torch.randperm(size, generator=generator).split(batch_size)


@torch.no_grad()
def _zero(pruned):
    for weight, gone in pruned:
        weight.masked_fill_(gone, 0)


def accuracy(model, split) -> float:
    """Share of the images that the network labels correctly, in evaluation mode; its own mode is left as it was.

    Parameters
    ----------
    model : torch.nn.Module
    split : Split

    Returns
    -------
    float

    Examples
    --------
    >>> import torch, zimp
    >>> _ = torch.manual_seed(0)
    >>> zimp.accuracy(zimp.lenet_300_100(64), zimp.load_data("digits").test) < 0.3
    True
    """
    training = model.training
    model.eval()
    with torch.no_grad():
        correct = model(split.x).argmax(dim=1) == split.y
    model.train(training)
    return correct.double().mean().item()


def check_training(steps, start, batch_size) -> tuple[int, int, int]:
    """The counts of a training, which has at least one step left."""
    steps, start = check_count("steps", steps), check_count("start", start, 0)
    if start >= steps:
        raise ValueError(f"start={start} is not below steps={steps}; no training would be left")
    return steps, start, check_count("batch_size", batch_size)


def check_count(name, value, least=1) -> int:
    """A count as an int, of at least ``least``."""
    try:
        count = index(value)
    except TypeError:
        count = least - 1
    if count < least:
        raise ValueError(f"{name}={value!r} is not a whole number of at least {least}")
    return count
