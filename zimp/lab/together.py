"""Replicates: networks of one architecture, of several seeds or criteria, that train together in one computation.

A step of a small network is mostly waiting for Python. So the parameters of all replicates are stacked,
``torch.func.vmap`` maps the network over the stack, and one optimizer steps it: the seeds that a study needs cost a
fraction of what they cost one by one. Each replicate still computes what :func:`zimp.train` computes for it alone, but
for rounding.
"""

from __future__ import annotations

import copy
import math
from itertools import chain, islice, pairwise

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.functional import cross_entropy, max_pool2d
from torch.overrides import TorchFunctionMode

from ..checks import as_list, check_seed
from ..layers import places, prunable_weights
from ..pruning import as_masks
from .training import (
    SUBNORMALS_EVERY,
    TrainingDiverged,
    adam,
    batches,
    check_trainable,
    check_training,
    drop_subnormals,
)

__all__ = ["train_together"]

# Their step changes each weight by what it knows of that weight alone. So does Adagrad's, but it has a state of the
# shape of one network before its first step.
ELEMENTWISE = ("SGD", "Adam", "AdamW", "NAdam", "RAdam", "Adamax", "RMSprop", "Adadelta", "ASGD", "Rprop")


def train_together(
    models, masks, split, *, steps, seeds, start=0, batch_size=60, optimizer=adam, snapshot_at=None
) -> list[tuple]:
    """Train masked networks of one architecture together, in place; up to rounding, each as by :func:`zimp.train`.

    Parameters
    ----------
    models : sequence of torch.nn.Module
        The replicates: layers, and shapes of parameters and buffers, are the same in all. No random numbers are drawn
        in a forward pass (dropout).
    masks : sequence of dict of str to boolean tensor, or of None
        For each replicate, as :func:`zimp.train` takes them.
    split, steps, start, batch_size, snapshot_at
        As :func:`zimp.train`, of all replicates.
    seeds : sequence of int
        For each replicate, of the order of its batches.
    optimizer : function
        As :func:`zimp.train`. It is called once, with the parameters of the first replicate, whose place the stacks
        then take; so its step must be elementwise, as are those of SGD, Adam and their like in torch. An optimizer of
        your own says so by an attribute ``elementwise = True``.

    Returns
    -------
    list of (float, dict or None)
        What :func:`zimp.train` returns, for each replicate.

    Raises
    ------
    ValueError
        As :func:`zimp.train`; and for what cannot train together: networks that differ or share memory, forward
        passes with random numbers or with branches that depend on numbers, other optimizers, several devices.
    TrainingDiverged
        If a loss or a weight is not finite; its ``replicate`` says of which network.

    Notes
    -----
    Forward hooks see the stack, those of the first replicate for all; hooks of parameters are not called.

    For which networks it pays: sixteen on one core of an AMD EPYC train 3.8 times as fast as one by one with 1,900
    weights each (dense layers of 20), 1.5 times as LeNet-300-100 (51,000 or 267,000 weights), twice as
    :func:`zimp.small_conv`, and not at all faster with 1.8 million weights, whose products are the whole of a step.

    Examples
    --------
    >>> import torch, zimp
    >>> _ = torch.manual_seed(0)
    >>> models, data = [zimp.lenet_300_100(64) for _ in range(3)], zimp.load_data("digits")
    >>> results = zimp.train_together(models, [None] * 3, data.train, steps=300, seeds=range(3))
    >>> all(zimp.accuracy(model, data.test) > 0.9 for model in models)
    True
    """
    steps, start, batch_size = check_training(split, steps, start, batch_size, optimizer, snapshot_at)
    models, masks = as_list("models", models), as_list("masks", masks)
    seeds = [check_seed(seed) for seed in as_list("seeds", seeds)]
    if not len(models) == len(masks) == len(seeds) > 0:
        raise ValueError(
            f"there are {len(models)} models, {len(masks)} masks and {len(seeds)} seeds; "
            "each replicate needs one of each"
        )
    masks = [as_masks(prunable_weights(model), mask) for model, mask in zip(models, masks)]
    _check_alike(models, split)
    check_trainable(models[0], split)
    _check_memory(models)
    for model in models:
        model.train()
    stacked = Stacked(models)
    pruned = []
    for name, (weight, *_) in prunable_weights(models[0]).items():
        keep = np.stack([mask[name] for mask in masks])
        if not keep.all():
            stack = stacked.of(weight)
            pruned.append((stack, turned(torch.from_numpy(keep)).contiguous().to(stack)))
    _check_forward(models, stacked, split.x[:batch_size])
    optimizer = _over_stacks(optimizer(models[0].parameters()), stacked)
    snapshots = [None] * len(models)
    # Once it has freed a block of this size, glibc keeps what each step frees for the next, not asking the system anew.
    torch.empty(31 * 2**20, dtype=torch.uint8, device="cpu")
    _zero(pruned)
    orders = [batches(len(split.y), batch_size, seed) for seed in seeds]
    for step, batch in enumerate(islice(zip(*orders), start, steps), start):
        if step == snapshot_at:
            stacked.copy_back()
            snapshots = [copy.deepcopy(model.state_dict()) for model in models]
        batch = torch.cat(batch).to(split.y.device)
        scores = stacked(split.x.index_select(0, batch).unflatten(0, (len(models), -1)))
        labels = split.y.index_select(0, batch).unflatten(0, (len(models), -1))
        # The sum of the replicates' mean losses. They share no weight, so its gradient is that of each one's own.
        total = len(models) * cross_entropy(scores.mT, labels)
        if not math.isfinite(total.item()):
            losses = _losses(scores, labels)
            replicate = int(losses.argmax())  # of NaN, if there is one
            message = f"the loss is {losses[replicate].item()} at step {step}; a lower learning rate may help"
            raise TrainingDiverged(message, replicate)
        for stack in stacked.parameters.values():
            stack.grad = None
        total.backward()
        optimizer.step()
        _zero(pruned)
        if step % SUBNORMALS_EVERY == 0:
            drop_subnormals(optimizer)
    stacked.copy_back()
    for replicate, model in enumerate(models):
        for name, (weight, *_) in prunable_weights(model).items():
            if not weight.isfinite().all():
                message = f"{name} is not finite after step {step}; a lower learning rate may help"
                raise TrainingDiverged(message, replicate)
    return list(zip(_losses(scores, labels).tolist(), snapshots))


@torch.no_grad()
def _losses(scores, labels):
    """The mean loss of each replicate."""
    return cross_entropy(scores.mT, labels, reduction="none").mean(dim=1)


class Stacked:
    """Networks as one: each parameter and buffer is the stack of those of all replicates."""

    def __init__(self, models):
        self.models = models
        try:
            parameters, self.buffers = stack_module_state(models)
        except (RuntimeError, TypeError) as error:  # parametrisations make a class of their own for each layer
            raise ValueError(f"the networks cannot be stacked ({error}); they need training one by one") from error
        # A dense weight's gradient comes as (in, out); a stack that lies in memory so is spared a copy at each step.
        self.parameters = {
            name: turned(stack).detach().contiguous().requires_grad_(stack.requires_grad)
            for name, stack in parameters.items()
        }
        own = chain(models[0].named_parameters(), models[0].named_buffers())
        order = {id(tensor): position for position, (_, tensor) in enumerate(own)}
        where = {place: order[id(tensor)] for place, tensor in places(models[0]).items()}  # tied ones stand at several

        def forward(x, *tensors):  # one by one, because vmap would walk through a dict at each step
            state = {place: tensors[position] for place, position in where.items()}
            return functional_call(models[0], state, x, tie_weights=False)

        self.forward = vmap(forward)
        self.pools = any(isinstance(layer, nn.MaxPool2d) for layer in models[0].modules())

    def __call__(self, images, buffers=None):
        """What each network makes of its images, where both are stacked."""
        tensors = *map(turned, self.parameters.values()), *(buffers or self.buffers).values()
        if not (self.pools and images.ndim == 5):
            return self.forward(images, *tensors)
        # The channels of all replicates side by side in memory: convolutions, and all else, leave them so.
        images = images.movedim((0, 2), (-2, -1)).contiguous().movedim((-2, -1), (0, 2))
        with PoolingTogether():
            return self.forward(images, *tensors)

    def of(self, parameter):
        """The stack to which a parameter of the first network belongs."""
        return next(self.parameters[name] for name, own in self.models[0].named_parameters() if own is parameter)

    @torch.no_grad()
    def copy_back(self):
        """Give each network its numbers."""
        for replicate, model in enumerate(self.models):
            for name, parameter in model.named_parameters():
                parameter.copy_(turned(self.parameters[name])[replicate])
            for name, buffer in model.named_buffers():
                buffer.copy_(self.buffers[name][replicate])


class PoolingTogether(TorchFunctionMode):
    """Max pooling of all channels of all replicates at once.

    ``vmap`` itself makes one pile of the images of all replicates, a copy in which the channels are no longer side by
    side in memory; pooling that takes ten times as long, and longer than all convolutions of a small network.
    """

    def __torch_function__(self, function, types, arguments=(), settings=None):
        if function is max_pool2d:
            return MaxPool.apply(*arguments, settings)
        return function(*arguments, **(settings or {}))


class MaxPool(torch.autograd.Function):
    """``max_pool2d`` with a rule of its own for ``vmap``: replicates are more channels."""

    @staticmethod
    def forward(images, size, settings):
        return max_pool2d(images, size, **settings)

    @staticmethod
    def setup_context(ctx, inputs, output):
        """Nothing is kept: autograd goes through what :meth:`vmap` computes."""

    @staticmethod
    def vmap(info, in_dims, images, size, settings):
        pooled = max_pool2d(images.movedim(in_dims[0], -4).flatten(-4, -3), size, **settings)
        pooled = pooled.unflatten(-3, (info.batch_size, -1))
        return pooled, pooled.ndim - 4


def turned(stack):
    """Dense weights of shape ``(replicates, out, in)`` as ``(replicates, in, out)``, and back; all else as it is."""
    return stack.mT if stack.ndim == 3 else stack


@torch.no_grad()
def _zero(pruned):
    for stack, keep in pruned:
        stack.mul_(keep)  # numbers, 1 or 0: several times faster than booleans, and than to fill as `train` does


def _over_stacks(optimizer, stacked):
    """The optimizer of the first replicate's parameters, made one of the stacks."""
    hooks = optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks
    known = type(optimizer) in [getattr(torch.optim, name) for name in ELEMENTWISE] and not hooks
    if not getattr(optimizer, "elementwise", known):
        raise ValueError(
            f"optimizer is {type(optimizer).__name__}{' with hooks' * bool(hooks)}; together train only "
            f"{', '.join(ELEMENTWISE)} of torch.optim, or an optimizer that says by an attribute elementwise = True "
            "that it steps each weight without regard to the others"
        )
    for group in optimizer.param_groups:
        group["params"] = [stacked.of(parameter) for parameter in group["params"]]
    return optimizer


def _check_alike(models, split):
    first = _description(models[0])
    for replicate, model in enumerate(models):
        other = _description(model)
        for name in first | other:
            if first.get(name) != other.get(name):
                raise ValueError(
                    f"networks 0 and {replicate} differ: {name or 'the network'} is {first.get(name, 'missing')} and "
                    f"{other.get(name, 'missing')}; only networks of one architecture train together"
                )
    parts = chain(*((*model.parameters(), *model.buffers()) for model in models))
    devices = {str(part.device) for part in (*parts, *split)}
    if len(devices) > 1:
        raise ValueError(f"networks and images are on several devices ({', '.join(sorted(devices))}); move them to one")


def _check_memory(models):
    """Refuse tensors that share memory, because the stacks would hold separate copies of them."""
    parts = [
        (*_memory(part), replicate, name)
        for replicate, model in enumerate(models)
        for name, part in chain(model.named_parameters(), model.named_buffers())
        if part.layout == torch.strided and part.numel()
    ]
    for (_, end, replicate, name), (start, _, other_replicate, other) in pairwise(sorted(parts)):
        if start < end and replicate != other_replicate:
            raise ValueError("two of the networks share a parameter or buffer; build a new network for each replicate")
        if start < end:
            raise ValueError(
                f"{name} and {other} of network {replicate} share memory but are two tensors, each of which would be "
                "trained alone; make them one parameter, as in decoder.weight = encoder.weight, or train one by one"
            )


def _memory(part) -> tuple[int, int]:
    """The addresses of its first number and of the byte after its last."""
    last = sum((size - 1) * stride for size, stride in zip(part.shape, part.stride()))
    return part.data_ptr(), part.data_ptr() + (last + 1) * part.element_size()


def _description(model) -> dict[str, str]:
    """Kind and settings of each layer, and everything about each tensor except its numbers."""
    layers = {name: f"{type(layer).__name__}({layer.extra_repr()})" for name, layer in model.named_modules()}
    tensors = chain(model.named_parameters(), model.named_buffers())
    return layers | {
        name: f"{tuple(part.shape)} {part.dtype} {'trained' if part.requires_grad else 'fixed'}"
        for name, part in tensors
    }  # fmt: skip


@torch.no_grad()
def _check_forward(models, stacked, images):
    """In the batch each network computes what it computes alone: tried on a few images, for any layers there may be."""
    alone = [copy.deepcopy(model) for model in models]
    expected = [model(images) for model in alone]
    buffers = {name: buffer.clone() for name, buffer in stacked.buffers.items()}
    try:
        scores = stacked(images.expand(len(models), *images.shape), buffers)
    except RuntimeError as error:
        raise ValueError(
            f"the network cannot be run for all replicates at once ({error}); random numbers, as of dropout, and "
            "branches that depend on numbers need training one by one"
        ) from error
    for replicate, model in enumerate(alone):
        pairs = [(expected[replicate], scores[replicate])]
        pairs += [(buffer, buffers[name][replicate]) for name, buffer in model.named_buffers()]
        if not all(map(_close, *zip(*pairs))):
            raise ValueError(
                f"network {replicate} gives different outputs when all replicates run together; a state that is "
                "neither parameter nor buffer, or a buffer that is replaced and not changed in place, needs training "
                "one by one"
            )


def _close(first, second) -> bool:
    if first.shape != second.shape:
        return False
    finite = first.isfinite() & second.isfinite()  # a network that diverges is for the training to notice
    first, second = first[finite].double(), second[finite].double()
    return len(first) == 0 or bool((first - second).abs().max() <= 1e-3 * first.abs().max())
