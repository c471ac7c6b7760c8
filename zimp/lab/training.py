"""Train a masked network: pruned weights are zero before the first step and after each step.

:func:`zimp.train` is the loop to read; :func:`zimp.train_together` does the same for many networks at once.
"""

from __future__ import annotations

import copy
import math
from itertools import islice
from weakref import WeakSet

import torch
from torch.nn.functional import cross_entropy

from ..checks import check_count, check_network, check_seed
from ..layers import prunable_weights
from ..pruning import pruned_weights
from .data import check_split

__all__ = ["train", "hold", "accuracy", "adam", "TrainingDiverged"]

SUBNORMALS_EVERY = 100  # steps after which averages that have decayed to subnormal numbers are set to zero
EVALUATED = 500  # images at a time, of whose activations there is memory
TRAINED = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def adam(parameters):
    """Adam with the learning rate 1.2e-3 of Frankle & Carbin (2019).

    Parameters
    ----------
    parameters : iterable of torch.nn.Parameter

    Returns
    -------
    torch.optim.Adam

    Raises
    ------
    TypeError, ValueError
        As ``torch.optim.Adam``, for what are no parameters.

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
        If ``start`` is not below ``steps``, for counts that are not positive, for masks that do not fit the model,
        images without labels, an ``optimizer`` that is no function, and a network without anything to train.
    TrainingDiverged
        If the loss or a weight is not finite.
    IndexError
        For a label for which the network has no output.
    RuntimeError
        If something other than the optimizer has changed a pruned weight. What the network itself raises, given images
        of a size or a dtype that it is not made for, is passed on.

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
    steps, start, batch_size = check_training(split, steps, start, batch_size, optimizer, snapshot_at)
    seed = check_seed(seed)
    check_network(model)
    check_trainable(model, split)
    snapshot = None
    optimizer = optimizer(model.parameters())
    model.train()
    with hold(optimizer, model, masks) as held:
        for step, batch in enumerate(islice(batches(len(split.y), batch_size, seed), start, steps), start):
            if step == snapshot_at:
                snapshot = copy.deepcopy(model.state_dict())
            loss = cross_entropy(model(split.x[batch]), split.y[batch])
            if not math.isfinite(loss.item()):
                raise TrainingDiverged(f"the loss is {loss.item()} at step {step}; a lower learning rate may help")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step % SUBNORMALS_EVERY == 0:
                drop_subnormals(optimizer)
    check_trained(held.pruned, step)
    return loss.item(), snapshot


def hold(optimizer, model, masks) -> Hold:
    """Keep pruned weights at zero in your own training loop: now, and after each step of the optimizer.

    Zeroed gradients would not do: momentum and Adam's averages of earlier gradients would revive pruned weights.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        Of the network's parameters.
    model : torch.nn.Module
    masks : dict of str to tensor, or None
        For each :func:`zimp.prunable` weight, True where it stays; on any device. None where nothing is pruned.

    Returns
    -------
    Hold
        A handle: with its ``remove()``, or at the end of a ``with`` block, the weights are free again. The next level
        needs masks of its own: remove this one first.

    Raises
    ------
    ValueError
        For what is no optimizer, an optimizer that steps none of some pruned weight, masks that do not fit the network,
        and an optimizer that holds masks already.

    Notes
    -----
    An optimizer that evaluates the loss several times within a step (LBFGS) is put right at the end of the step only.

    Examples
    --------
    >>> import torch, zimp
    >>> model, data = zimp.lenet_300_100(64), zimp.load_data("digits")
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    >>> masks = zimp.prune(model, rate=0.9)
    >>> with zimp.hold(optimizer, model, masks):
    ...     for _ in range(3):
    ...         optimizer.zero_grad()
    ...         torch.nn.functional.cross_entropy(model(data.train.x), data.train.y).backward()
    ...         optimizer.step()
    >>> int(model.fc1.weight.count_nonzero()) == int(masks["fc1.weight"].sum())
    True
    """
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise ValueError(
            f"optimizer is a {type(optimizer).__name__}, not a torch.optim.Optimizer; masks are held after its steps"
        )
    pruned = pruned_weights(model, masks)
    stepped = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    for name, (weight, _) in pruned.items():
        if weight.requires_grad and id(weight) not in stepped:
            raise ValueError(f"the optimizer does not have {name}; was it made of another network's parameters?")
    if optimizer in _HOLDING:
        raise ValueError("the optimizer holds masks already; remove the handle of the previous level first")
    return Hold(optimizer, pruned)


class Hold:
    """What :func:`hold` returns."""

    def __init__(self, optimizer, pruned):
        self.optimizer, self.pruned = optimizer, pruned
        self._hook = optimizer.register_step_post_hook(lambda *_: self._zero())
        _HOLDING.add(optimizer)
        self._zero()

    def remove(self):
        """Stop keeping pruned weights at zero."""
        self._hook.remove()
        _HOLDING.discard(self.optimizer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()

    @torch.no_grad()
    def _zero(self):
        for weight, gone in self.pruned.values():
            weight.masked_fill_(gone, 0)


_HOLDING = WeakSet()  # optimizers


def check_trained(pruned, step):
    """Check the result of a training: finite weights, and zeros where weights are pruned."""
    for name, (weight, gone) in pruned.items():
        if not weight.isfinite().all():
            raise TrainingDiverged(f"{name} is not finite after step {step}; a lower learning rate may help")
        if weight[gone].any():
            raise RuntimeError(f"pruned weights of {name} are not zero; does a hook change the weights while training?")


def batches(size, batch_size, seed):
    """Indices of the images of each batch, without end: epoch after epoch, each in an order of its own."""
    generator = torch.Generator("cpu").manual_seed(seed)
    while True:  # on the CPU, also where the caller has set another default
        yield from torch.randperm(size, generator=generator, device="cpu").split(batch_size)


@torch.no_grad()
def drop_subnormals(optimizer):
    """Set to zero the averages of gradients that are subnormal numbers, with which processors are many times slower.

    Where a neuron is dead its gradients are zero, and their average decays until it can no further. What is dropped
    would move a weight by less than 1e-30.
    """
    for state in optimizer.state.values():
        for average in (state.get("exp_avg"), state.get("momentum_buffer")):
            if average is not None and average.dtype in (torch.float32, torch.float64):
                average.masked_fill_(average.abs() < torch.finfo(average.dtype).tiny, 0)


def accuracy(model, split) -> float:
    """Share of the images that the network labels correctly, in evaluation mode; each layer's own is left as it was.

    Images go through the network some hundred at a time, so that a large split needs no more memory than a small one.

    Parameters
    ----------
    model : torch.nn.Module
    split : Split

    Returns
    -------
    float

    Raises
    ------
    ValueError
        For a model that is no network, and images without labels. What the network itself raises is passed on.

    Examples
    --------
    >>> import torch, zimp
    >>> _ = torch.manual_seed(0)
    >>> zimp.accuracy(zimp.lenet_300_100(64), zimp.load_data("digits").test) < 0.3
    True
    """
    check_network(model)
    check_split(split)
    check_numbers(model, split)
    modes = {layer: layer.training for layer in model.modules()}
    model.eval()
    correct = 0
    try:
        with torch.no_grad():
            for x, y in zip(split.x.split(EVALUATED), split.y.split(EVALUATED)):
                correct += int((model(x).argmax(dim=1) == y).sum())
    finally:
        for layer, training in modes.items():  # each its own: a norm may be frozen; those within come after their owner
            if layer.training != training:
                layer.train(training)
    return correct / len(split.y)


def check_training(split, steps, start, batch_size, optimizer, snapshot_at) -> tuple[int, int, int]:
    """What a training takes besides networks; the counts, by which at least one step is left."""
    check_split(split)
    if not callable(optimizer):
        raise ValueError(
            f"optimizer={optimizer!r} is not a function; pass one that takes the parameters, such as zimp.adam"
        )
    steps, start = check_count("steps", steps), check_count("start", start, 0)
    if start >= steps:
        raise ValueError(f"start={start} must be below steps={steps}; otherwise there is nothing to train")
    if snapshot_at is not None and not start <= check_count("snapshot_at", snapshot_at, 0) < steps:
        raise ValueError(f"snapshot_at={snapshot_at} must be at least start={start} and below steps={steps}")
    return steps, start, check_count("batch_size", batch_size)


def check_numbers(model, split):
    """Check that network and images hold numbers, not shapes alone."""
    if any(part.is_meta for part in (*model.parameters(), split.x, split.y)):
        raise ValueError("the network or its images are on the meta device, where there are no numbers")


def check_trainable(model, split):
    """There is something to train, in a form in which pruned weights can be set to zero and optimizers step."""
    check_numbers(model, split)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError("no parameter of the network requires a gradient, so there is nothing to train")
    for name, (weight, *_) in prunable_weights(model).items():
        if weight.layout != torch.strided or weight.dtype not in TRAINED:
            raise ValueError(
                f"{name} is of {weight.dtype}, {weight.layout}; it must be a dense tensor of floats of 16 to 64 bits"
            )
        # Of those the fused Adam writes beyond the memory that there is.
        if any(stride == 0 and size > 1 for stride, size in zip(weight.stride(), weight.shape)):
            raise ValueError(f"{name} holds one number in several positions, as after expand(); clone it first")
