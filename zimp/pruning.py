"""Masks: which weights stay. By magnitude, by magnitude around the spanning tree, or at random.

Every criterion is a score for each weight; the mask keeps the weights of the highest scores, exactly as many as asked
for, the first in row-major order among equals. The topological score is the magnitude, and infinity on the tree.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real

import numpy as np
import torch
from torch.nn.utils.prune import BasePruningMethod

from .checks import as_mask, as_matrix, as_real, check_choice, to_numpy, whole
from .layers import check_network, layer_graph, prunable_layers
from .topology import spanning_forest

__all__ = [
    "magnitude_mask",
    "random_mask",
    "topological_mask",
    "topological_scores",
    "prune",
    "TopologicalUnstructured",
]

CRITERIA = ("magnitude", "random", "topological")


def magnitude_mask(weight, keep, mask=None):
    """Keep the ``keep`` weights of largest magnitude.

    Parameters
    ----------
    weight : array or tensor of any shape
    keep : int
        How many weights stay: a count, not a share.
    mask : array or tensor of the same shape, optional
        True where a weight is still there; what was pruned stays pruned.

    Returns
    -------
    boolean array or tensor of the shape of ``weight``
        Numpy in, numpy out; torch in, torch out, on the same device. Exactly ``keep`` entries are true, all of them
        true in ``mask``.

    Raises
    ------
    ValueError
        For weights that are not finite, a mask of another shape, or a ``keep`` that is no whole number from 0 to the
        number of weights left.

    Examples
    --------
    >>> import zimp
    >>> zimp.magnitude_mask([[0.9, -0.2], [0.1, 0.5], [-0.8, 0.3]], keep=3)
    array([[ True, False],
           [False,  True],
           [ True, False]])
    """
    return _mask("magnitude", weight, keep, mask)


def random_mask(weight, keep, mask=None, generator=None):
    """Keep ``keep`` weights drawn at random: the control for every other criterion.

    Parameters
    ----------
    weight, keep, mask
        As :func:`magnitude_mask`; the values of the weights play no part.
    generator : torch.Generator or numpy.random.Generator, optional
        Where the randomness comes from. Default: torch's global generator, seeded by ``torch.manual_seed``.

    Returns
    -------
    boolean array or tensor of the shape of ``weight``
        As :func:`magnitude_mask`.

    Raises
    ------
    ValueError
        As :func:`magnitude_mask`, and for a generator that is none.

    Examples
    --------
    >>> import numpy as np, zimp
    >>> int(zimp.random_mask(np.ones((3, 2)), keep=3, generator=np.random.default_rng(0)).sum())
    3
    """
    return _mask("random", weight, keep, mask, generator=generator)


def topological_mask(weight, keep, mask=None, *, groups=1):
    """Keep the maximum spanning tree, and beyond it the weights of largest magnitude.

    Among all masks of ``keep`` weights that leave the H0 diagram as it is, this one keeps the most magnitude.

    Parameters
    ----------
    weight : array or tensor of shape ``(out, in)`` or ``(out, in // groups, *kernel)``
        A convolution is taken in its ``"matrix"`` view, see :func:`zimp.layer_graph`.
    keep, mask
        As :func:`magnitude_mask`.
    groups : int
        The ``groups`` of the convolution.

    Returns
    -------
    boolean array or tensor of the shape of ``weight``
        As :func:`magnitude_mask`.

    Raises
    ------
    ValueError
        As :func:`magnitude_mask`, and for a ``keep`` below the number of edges of the tree (of the forest, where the
        graph is not connected).

    References
    ----------
    The modified IMP of Balwani & Krzyston 2022; that it is optimal is ours.

    Examples
    --------
    >>> import zimp
    >>> zimp.topological_mask([[0.9, 0.8], [0.7, 0.1]], keep=3)
    array([[ True,  True],
           [ True, False]])
    """
    return _mask("topological", weight, keep, mask, groups=groups)


def topological_scores(weight, mask=None, *, groups=1):
    """``|w|``, and ``+inf`` on the maximum spanning forest: importance scores for ``torch.nn.utils.prune``.

    Parameters
    ----------
    weight, mask, groups
        As :func:`topological_mask`.

    Returns
    -------
    array or tensor of the shape of ``weight``
        In the dtype of ``weight`` if that has an infinity, else float64; numpy in, numpy out; torch in, torch out.

    Raises
    ------
    ValueError
        As :func:`zimp.spanning_forest`.

    Examples
    --------
    >>> import torch, zimp
    >>> from torch.nn.utils import prune
    >>> layer = torch.nn.Linear(64, 300)
    >>> scores = zimp.topological_scores(layer.weight)
    >>> _ = prune.l1_unstructured(layer, "weight", amount=0.98, importance_scores=scores)
    >>> zimp.count_components(layer.weight_mask)
    1
    """
    scores, _ = _scores("topological", weight, mask, None, groups)
    scores = scores.reshape(np.shape(weight))
    if not isinstance(weight, torch.Tensor):
        return scores
    dtype = weight.dtype if weight.is_floating_point() else None
    return torch.from_numpy(scores).to(weight.device, dtype)


def prune(model, masks=None, rate=0.2, *, criterion="magnitude", scope="layer", generator=None):
    """The masks of the next level: every layer, or the network as a whole, loses a share of its remaining weights.

    The model is only read. Train it with the masks by :func:`zimp.train`, or apply them yourself.

    Parameters
    ----------
    model : torch.nn.Module
        Its :func:`zimp.prunable` weights are scored as they are.
    masks : dict of str to tensor, optional
        The masks of this level, one for each prunable weight. Default: nothing is pruned yet.
    rate : float or dict of str to float
        Share of the *remaining* weights to prune, strictly between 0 and 1; by layer if a dict.
    criterion : {"magnitude", "random", "topological"}
        ``"topological"`` takes no layer below its spanning tree; a layer that has come down to it stays as it is.
    scope : {"layer", "global"}
        Whether ``round((1 - rate) * remaining)`` weights stay in each layer, or in the whole network.
    generator : torch.Generator, optional
        For ``"random"``, as in :func:`random_mask`.

    Returns
    -------
    dict of str to boolean tensor

    Raises
    ------
    ValueError
        For a rate outside (0, 1), an unknown criterion, scope or layer name, masks that do not fit, weights that are
        not finite, and under ``"topological"`` when every layer is a bare tree already.

    References
    ----------
    Frankle & Carbin 2019 for the rate and both scopes.

    Examples
    --------
    >>> import zimp
    >>> masks = zimp.prune(zimp.lenet_300_100(), rate=0.2)
    >>> {name: int(mask.sum()) for name, mask in masks.items()}
    {'fc1.weight': 188160, 'fc2.weight': 24000, 'output.weight': 800}
    """
    layers = prunable_layers(model)
    rates = check_prune_arguments(model, rate, criterion, scope)
    masks = check_masks(model, masks)

    scores, trees = {}, {}
    for name, layer in layers.items():
        groups = getattr(layer, "groups", 1)
        scores[name], trees[name] = _scores(criterion, layer.weight, masks[name], generator, groups)
    if criterion == "topological" and all(masks[name].sum() == trees[name] for name in layers):
        raise _bare_tree_error(layers, rates, trees, scope)

    pools = [list(layers)] if scope == "global" else [[name] for name in layers]  # what is pruned together
    chosen = {}
    for pool in pools:
        available = np.concatenate([masks[name].ravel() for name in pool])
        keep = max(share_left(available.sum(), rates[pool[0]]), sum(trees[name] for name in pool))
        kept = _best(np.concatenate([scores[name] for name in pool]), keep, available)
        ends = np.cumsum([masks[name].size for name in pool])[:-1]
        chosen.update(zip(pool, np.split(kept, ends)))
    return {name: _like(layer.weight, chosen[name]) for name, layer in layers.items()}


class TopologicalUnstructured(BasePruningMethod):
    """Prune a share of a layer's weights by magnitude, but never its maximum spanning tree.

    For networks that are pruned with ``torch.nn.utils.prune``; composes with masks that are there already.

    Parameters
    ----------
    amount : float or int
        Share of the remaining weights to prune, strictly between 0 and 1; or their number.
    groups : int
        The ``groups`` of a convolution; :meth:`apply` reads it off the module.

    References
    ----------
    The modified IMP of Balwani & Krzyston 2022.

    Examples
    --------
    >>> import torch, zimp
    >>> layer = torch.nn.Linear(64, 300)
    >>> _ = zimp.TopologicalUnstructured.apply(layer, "weight", amount=0.9)
    >>> int(layer.weight_mask.sum()), zimp.count_components(layer.weight_mask)
    (1920, 1)
    """

    # "unstructured" methods are handed the remaining weights as a flat list, in which no graph can be seen.
    PRUNING_TYPE = "global"

    def __init__(self, amount, groups=1):
        if not isinstance(amount, Integral):
            amount = check_rate(amount, "amount")
        elif amount < 0:
            raise ValueError(f"amount={amount} is negative; it is the number of weights to prune, or their share")
        self.amount, self.groups = amount, groups

    def compute_mask(self, t, default_mask):
        """The mask that keeps the tree of ``t`` and the largest others, within ``default_mask``."""
        left = int(default_mask.sum())
        keep = left - self.amount if isinstance(self.amount, Integral) else share_left(left, self.amount)
        return topological_mask(t, keep, default_mask, groups=self.groups).to(default_mask.dtype)

    @classmethod
    def apply(cls, module, name, amount, importance_scores=None):
        """Prune the parameter ``name`` of ``module`` on the fly, as every ``torch.nn.utils.prune`` method does.

        Parameters
        ----------
        module : torch.nn.Module
        name : str
        amount : float or int
        importance_scores : tensor, optional
            Read in place of the parameter.

        Returns
        -------
        torch.nn.utils.prune.BasePruningMethod

        Raises
        ------
        ValueError
            As :func:`zimp.topological_mask`, for an amount that is no share and no count, a name that is none of a
            parameter, and scores of another shape.
        """
        check_network(module)
        parameters = dict(module.named_parameters(recurse=False))
        if not isinstance(name, str) or not {name, f"{name}_orig"} & parameters.keys():
            raise ValueError(
                f"{type(module).__name__} has no parameter {name!r} to prune; give a layer and a name such as 'weight'"
            )
        groups = getattr(module, "groups", 1)
        # Torch has already taken the layer's older hooks off when it computes the mask, so an error must come before.
        weight = getattr(module, name)
        scores = weight if importance_scores is None else importance_scores
        if not isinstance(scores, torch.Tensor) or to_numpy(scores).shape != weight.shape:
            raise ValueError(
                f"importance_scores is a {type(scores).__name__}, not a tensor of shape {tuple(weight.shape)}; "
                "each weight has one score"
            )
        cls(amount, groups).compute_mask(scores, getattr(module, f"{name}_mask", torch.ones_like(weight)))
        return super().apply(module, name, amount=amount, groups=groups, importance_scores=importance_scores)


def _mask(criterion, weight, keep, mask, generator=None, groups=1):
    array = as_real(weight)
    mask = as_mask(mask, array.shape)
    scores, tree = _scores(criterion, array, mask, generator, groups)
    available = np.ones(array.size, dtype=bool) if mask is None else mask.ravel()
    keep = whole("keep", keep, "a whole number; it is a count of weights, not a share")
    left = int(available.sum())
    if not 0 <= keep <= left:
        raise ValueError(f"keep={keep} is not between 0 and the {left} weights that are left")
    if keep < tree:
        raise _below_tree_error(keep, tree, array.shape)
    return _like(weight, _best(scores, keep, available).reshape(array.shape))


def _scores(criterion, weight, mask, generator, groups) -> tuple[np.ndarray, int]:
    """The score of each weight, flat, and the number of weights that must stay."""
    array = to_numpy(weight)
    matrix = as_matrix(array.reshape(len(array), -1) if array.ndim > 2 and array.size else np.atleast_2d(array))
    if criterion == "random":
        return _random_scores(matrix.size, generator), 0
    scores = np.abs(matrix).ravel()
    if criterion == "magnitude":
        return scores, 0
    tree = _tree(array, mask, groups).ravel()
    return np.where(tree, scores.dtype.type(np.inf), scores), int(tree.sum())


def _tree(array, mask, groups) -> np.ndarray:
    """Boolean array of the shape of ``array``: the edges of its maximum spanning forest."""
    forest = spanning_forest(*layer_graph(array, mask, groups=groups))
    tree = np.zeros((len(array), array[0].size), dtype=bool)
    tree[forest.rows, forest.cols % tree.shape[1]] = True  # the blocks of the groups, back on top of each other
    return tree.reshape(array.shape)


def _random_scores(size, generator) -> np.ndarray:
    if isinstance(generator, np.random.Generator):
        return generator.random(size)
    if generator is None or isinstance(generator, torch.Generator):
        device = "cpu" if generator is None else generator.device
        return torch.rand(size, dtype=torch.float64, generator=generator, device=device).cpu().numpy()
    raise ValueError(
        f"generator={generator!r} is not a generator; a seed becomes one by torch.Generator().manual_seed(seed)"
    )


def _best(scores, keep, available) -> np.ndarray:
    """Flat mask of the ``keep`` available entries of highest score, the first among equals."""
    kept = np.zeros(len(scores), dtype=bool)
    if keep:
        candidates = np.flatnonzero(available)
        values = scores[candidates]
        cut = np.partition(values, len(values) - keep)[len(values) - keep]
        above = candidates[values > cut]
        kept[above] = True
        kept[candidates[values == cut][: keep - len(above)]] = True
    return kept


def _like(weight, kept: np.ndarray):
    if not isinstance(weight, torch.Tensor):
        return kept
    return torch.from_numpy(kept.reshape(weight.shape)).to(weight.device)


def share_left(remaining, rate) -> int:
    """How many of the remaining weights a level at that rate keeps."""
    return round((1 - rate) * int(remaining))


def _below_tree_error(keep, tree, shape) -> ValueError:
    size = np.prod(shape)
    layer = "x".join(map(str, shape))
    return ValueError(
        f"keep={keep} is below the {tree} weights of a spanning tree of a {layer} layer; "
        f"topological pruning cannot go further (density {tree / size:.4f})."
    )


def _bare_tree_error(layers, rates, trees, scope) -> ValueError:
    """Every layer is a tree already: say it of the largest layer, or of the network where that is pruned as one."""
    if scope == "layer":
        name = max(trees, key=trees.get)
        keep = min(share_left(trees[name], rates[name]), trees[name] - 1)
        return _below_tree_error(keep, trees[name], tuple(layers[name].weight.shape))
    total, size = sum(trees.values()), sum(layer.weight.numel() for layer in layers.values())
    keep = min(share_left(total, next(iter(rates.values()))), total - 1)
    return ValueError(
        f"keep={keep} is below the {total} weights of the spanning trees of {len(layers)} layers; "
        f"topological pruning cannot go further (density {total / size:.4f})."
    )


def check_masks(model, masks) -> dict[str, np.ndarray]:
    """The masks of all prunable weights as numpy arrays, whatever they come as; None means that nothing is pruned."""
    layers = prunable_layers(model)
    if masks is None:
        return {name: np.ones(layer.weight.shape, dtype=bool) for name, layer in layers.items()}
    _check_names("masks", masks, layers)
    checked = {}
    for name, layer in layers.items():
        try:
            checked[name] = as_mask(to_numpy(masks[name]), layer.weight.shape)
        except ValueError as error:
            raise ValueError(f"masks[{name!r}]: {error}") from None
    return checked


def check_prune_arguments(model, rate, criterion, scope) -> dict[str, float]:
    """Check what :func:`prune` takes besides masks, before a run spends time on training; the rate of each layer."""
    layers = prunable_layers(model)
    check_choice("criterion", criterion, CRITERIA)
    check_choice("scope", scope, ("layer", "global"))
    if not isinstance(rate, dict):
        return dict.fromkeys(layers, check_rate(rate, "rate"))
    if scope == "global":
        raise ValueError("rate is a dict, but scope='global' prunes the network as one; give one rate")
    _check_names("rate", rate, layers)
    return {name: check_rate(rate[name], f"rate[{name!r}]") for name in layers}


def _check_names(what, given, layers):
    if not isinstance(given, Mapping):
        raise ValueError(
            f"{what} is a {type(given).__name__}, not a dict; it needs an entry for each of {', '.join(layers)}"
        )
    for name in [*layers, *given]:
        if name not in given:
            raise ValueError(f"{what} has no entry for {name!r}; it needs one for each of {', '.join(layers)}")
        if name not in layers:
            raise ValueError(f"{what} has an entry for {name!r}, which is none of {', '.join(layers)}")


def check_rate(rate, name) -> float:
    """A rate as a float, strictly between 0 and 1."""
    if not (isinstance(rate, Real) and 0 < rate < 1):
        raise ValueError(f"{name}={rate!r} is not strictly between 0 and 1; 0.2 prunes a fifth of what is left")
    return float(rate)
