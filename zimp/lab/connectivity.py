"""Is there a barrier between two networks? Error or loss on the straight line between their parameters."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from torch.nn.modules.batchnorm import _BatchNorm

from ..checks import check_choice, check_count, check_finite, check_network, to_numpy
from .data import check_split
from .training import EVALUATED, check_numbers

__all__ = ["barrier", "Barrier"]

METRICS = {
    "error": lambda output, y: (output.argmax(dim=1) != y).sum(),
    "loss": lambda output, y: cross_entropy(output, y, reduction="sum"),
}


@dataclass(frozen=True, eq=False)
class Barrier:
    """What lies between two networks.

    Attributes
    ----------
    alphas : float array of shape ``(points,)``
        From 0, the first network, to 1, the second.
    values : float array of shape ``(points,)``
        Error or loss of the network with the parameters ``(1 - alpha) a + alpha b``.
    """

    alphas: np.ndarray
    values: np.ndarray

    @property
    def height(self) -> float:
        """The largest value minus the mean of the two ends (Frankle et al. 2020)."""
        return float(self.values.max() - (self.values[0] + self.values[-1]) / 2)

    @property
    def height_linear(self) -> float:
        """The largest excess over the straight line between the values at the ends (Entezari et al. 2022)."""
        return float((self.values - (1 - self.alphas) * self.values[0] - self.alphas * self.values[-1]).max())


def barrier(model_a, model_b, split, *, points=30, metric="error", calibrate=None) -> Barrier:
    """Error or loss along the straight line between all parameters of two networks, both ends included.

    Parameters
    ----------
    model_a, model_b : torch.nn.Module
        Of one architecture. They are left as they are. A pruned weight counts as 0, so networks with different masks
        can be compared.
    split : Split
        Images and labels to measure on.
    points : int
        On the line, at equal distances; at least 2.
    metric : {"error", "loss"}
        The share of the images with a wrong label, or the mean cross-entropy.
    calibrate : Split, optional
        Images on which to recompute the means and variances of batch norm at each point, the ends too; required if
        there is batch norm that keeps them.

    Returns
    -------
    Barrier
        With ``alphas``, ``values``, ``height`` and ``height_linear``.

    Raises
    ------
    ValueError
        For networks of different architecture, or whose buffers differ apart from batch norm's; parameters that are not
        finite; a split without images; fewer than two points; an unknown metric; batch norm without ``calibrate``. What
        the network itself raises is passed on.

    Notes
    -----
    The two heights agree if both ends have the same value. Otherwise ``height`` is at least half their difference even
    on a straight slope, where ``height_linear`` is 0. In between batch norm's stored statistics would be those of
    neither network, hence ``calibrate``.

    References
    ----------
    Frankle et al. 2020 for the line, its 30 points, and ``height``; Entezari et al. 2022 for ``height_linear``.

    Examples
    --------
    >>> import torch, zimp
    >>> data, models = zimp.load_data("digits"), []
    >>> for order in (0, 1):
    ...     _ = torch.manual_seed(0)
    ...     models.append(zimp.lenet_300_100(64))
    ...     _ = zimp.train(models[-1], None, data.train, steps=150, seed=order)
    >>> between = zimp.barrier(*models, data.test)
    >>> between.values.shape, between.height < 0.02
    ((30,), True)
    """
    points = check_count("points", points, 2)
    check_choice("metric", metric, METRICS)
    check_split(split)
    for name, model in (("model_a", model_a), ("model_b", model_b)):
        check_network(model)
        check_numbers(model, split)
        for parameter, value in model.named_parameters():
            check_finite(to_numpy(value), f"{name}.{parameter}")
    between = copy.deepcopy(model_a).eval()
    norms = [layer for layer in between.modules() if isinstance(layer, _BatchNorm) and layer.running_mean is not None]
    _check_alike(model_a, model_b)
    if norms:
        if calibrate is None:
            raise ValueError(
                "calibrate=None, but the network has batch norm, whose statistics are wrong between two networks; "
                "pass a split to recompute them on, such as data.train"
            )
        check_split(calibrate, "calibrate")
        if len(calibrate.y) < 2:
            raise ValueError("calibrate has 1 image; a variance needs at least two. Was one image meant as a batch?")
    alphas, values = np.linspace(0, 1, points), np.empty(points)
    for k, alpha in enumerate(alphas.tolist()):
        with torch.no_grad():
            for here, a, b in zip(between.parameters(), model_a.parameters(), model_b.parameters()):
                here.copy_((1 - alpha) * a + alpha * b)
            _recompute(norms, between, calibrate)
            values[k] = mean_over(METRICS[metric], between, split)
    alphas.flags.writeable = values.flags.writeable = False
    return Barrier(alphas, values)


@torch.no_grad()
def mean_over(metric, model, split) -> float:
    """The mean of a sum over images, some hundred at a time."""
    batches = zip(split.x.split(EVALUATED), split.y.split(EVALUATED))
    return sum(metric(model(x), y).item() for x, y in batches) / len(split.y)


def _recompute(norms, model, calibrate):
    """Set the statistics of each batch norm to those of some images: the mean over batches of nearly equal size."""
    for layer in norms:
        layer.reset_running_stats()
        layer.momentum = None  # a mean, not a moving one
        layer.train()
    if norms:
        for x in calibrate.x.tensor_split(math.ceil(len(calibrate.x) / EVALUATED)):
            model(x)
    for layer in norms:
        layer.eval()


def _check_alike(model_a, model_b):
    """One architecture, and the same buffers but for the statistics of batch norm."""
    parts_a, parts_b = ([(name, type(part).__name__, part.extra_repr()) for name, part in model.named_modules()]
                        for model in (model_a, model_b))  # fmt: skip
    shapes_a, shapes_b = ([(name, *value.shape, value.dtype, value.device) for name, value in values]
                          for values in (_tensors(model_a), _tensors(model_b)))  # fmt: skip
    for one, other in ((parts_a, parts_b), (shapes_a, shapes_b)):
        if one != other:
            first = next((pair for pair in zip(one, other) if pair[0] != pair[1]), (len(one), len(other)))
            raise ValueError(
                f"model_a has {first[0]} where model_b has {first[1]}; both must be of one architecture, because each "
                "parameter needs its partner. Was one of them built with other sizes, or is it another network?"
            )
    statistics = {f"{name}.{key}".lstrip(".") for name, part in model_a.named_modules() if isinstance(part, _BatchNorm)
                  for key in ("running_mean", "running_var", "num_batches_tracked")}  # fmt: skip
    for (name, a), (_, b) in zip(model_a.named_buffers(), model_b.named_buffers()):
        if name not in statistics and not torch.equal(a, b):
            raise ValueError(
                f"the buffer {name} of model_a differs from that of model_b; a buffer is no parameter, so there is no "
                "line between the two. Copy the one that both should have"
            )


def _tensors(model) -> list:
    return [*model.named_parameters(), *model.named_buffers()]
