"""Masks, which say which weights to keep: by magnitude, by magnitude around the spanning tree, or at random.

Every criterion is a score for each weight; the mask keeps the weights of the highest scores, exactly as many as asked
for, the first in row-major order among equals. The topological score is the magnitude, and infinity on the tree.

The masks of a network, wherever they come from, are a dict from the names of its :func:`zimp.prunable` weights to
boolean tensors: :func:`zimp.prune` chooses the next ones, :func:`zimp.apply_masks` sets what is pruned to zero,
:func:`zimp.masks_of` reads them off zeros, and :func:`zimp.mask_facts` says what they do to each layer's H0.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real

import numpy as np
import torch
from torch.nn.utils.prune import BasePruningMethod

from .blocks import check_blocks, weight_graph
from .checks import as_mask, as_weight, check_choice, check_network, check_rate, to_numpy, whole
from .layers import groups_of, prunable_weights
from .topology import SpanningForest, forest_of

__all__ = [
    "magnitude_mask",
    "random_mask",
    "topological_mask",
    "topological_scores",
    "prune",
    "apply_masks",
    "masks_of",
    "mask_facts",
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
    """Keep the maximum spanning tree, and of the other weights those of largest magnitude.

    Among all masks of ``keep`` weights that leave the H0 diagram as it is, this one keeps the most magnitude.

    Parameters
    ----------
    weight : array or tensor of shape ``(out, in)`` or ``(out, in // groups, *kernel)``
        A convolution is taken in its ``"matrix"`` view, see :func:`zimp.layer_graph`.
    keep, mask
        As :func:`magnitude_mask`.
    groups : int
        The ``groups`` of a convolution; 3 for fused queries, keys and values, 4 for the gates of an LSTM.

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

    Notes
    -----
    Torch does as it is told: an ``amount`` that leaves fewer weights than the tree has takes some of them, and no word
    is said. Of a layer that torch prunes already, score ``layer.weight_orig * layer.weight_mask``: ``layer.weight`` is
    what it was at the last forward pass.

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
    array, mask = as_weight(weight, mask)
    scores, _ = _scores("topological", array, mask, groups=check_blocks(array, groups))
    scores = scores.reshape(array.shape)
    if not isinstance(weight, torch.Tensor):
        return scores
    dtype = weight.dtype if weight.is_floating_point() else None
    return torch.from_numpy(scores).to(weight.device, dtype)


def prune(model, masks=None, rate=0.2, *, keep=None, criterion="magnitude", scope="layer", generator=None):
    """The masks of the next level: every layer, or the network as a whole, loses a share of its remaining weights.

    The model is only read. Train it with the masks by :func:`zimp.train`, or :func:`zimp.hold` them in a loop of your
    own.

    Parameters
    ----------
    model : torch.nn.Module
        Its :func:`zimp.prunable` weights are scored as they are.
    masks : dict of str to tensor, optional
        The masks of this level, one for each prunable weight. Default: nothing is pruned yet.
    rate : float or dict of str to float
        Share of the *remaining* weights to prune, strictly between 0 and 1. In a dict, by layer, it may be 0, and
        layers that are not named stay as they are.
    keep : dict of str to int, optional
        In place of the rate, how many weights stay in each layer; layers that are not named stay as they are.
    criterion : {"magnitude", "random", "topological"}
        ``"topological"`` takes no layer below its spanning tree; a layer that has come down to it stays as it is.
    scope : {"layer", "global"}
        Whether ``round((1 - rate) * remaining)`` weights stay in each layer, or in the whole network. (Torch's own
        methods prune ``round(rate * remaining)``, which at a half can be one weight more or less.)
    generator : torch.Generator, optional
        For ``"random"``, as in :func:`random_mask`.

    Returns
    -------
    dict of str to boolean tensor

    Raises
    ------
    ValueError
        For a rate outside (0, 1), an unknown criterion, scope or layer name, masks that do not fit, weights that are
        not finite; for budgets above what is left, and under ``"topological"`` below a tree; and under
        ``"topological"`` when no layer can give a weight any more.

    References
    ----------
    Frankle & Carbin 2019 for the rate and both scopes.

    Examples
    --------
    >>> import zimp
    >>> model = zimp.lenet_300_100()
    >>> {name: int(mask.sum()) for name, mask in zimp.prune(model, rate=0.2).items()}
    {'fc1.weight': 188160, 'fc2.weight': 24000, 'output.weight': 800}
    >>> {name: int(mask.sum()) for name, mask in zimp.prune(model, keep={"fc1.weight": 1083}).items()}
    {'fc1.weight': 1083, 'fc2.weight': 30000, 'output.weight': 1000}
    """
    weights = prunable_weights(model)
    rates = check_prune_arguments(weights, rate, criterion, scope)
    masks = as_masks(weights, masks)
    arrays = {name: as_weight(weight.parameter)[0] for name, weight in weights.items()}

    scores, trees = {}, {}
    for name, weight in weights.items():
        scores[name], trees[name] = _scores(criterion, arrays[name], masks[name], weight.groups, generator)
    left = {name: int(mask.sum()) for name, mask in masks.items()}
    if keep is not None:
        budgets = _check_budgets(keep, rate, scope, left, trees, weights)
    elif criterion == "topological" and at_the_floor(left, trees, rates):
        raise _bare_tree_error(weights, rates, trees, scope)

    pools = [list(weights)] if scope == "global" else [[name] for name in weights]  # what is pruned together
    chosen = {}
    for pool in pools:
        if keep is None:
            count = share_left(sum(left[name] for name in pool), rates[pool[0]])
            count = max(count, sum(trees[name] for name in pool))
        else:
            count = budgets[pool[0]]
        available = np.concatenate([masks[name].ravel() for name in pool])
        kept = _best(np.concatenate([scores[name] for name in pool]), count, available)
        ends = np.cumsum([masks[name].size for name in pool])[:-1]
        chosen.update(zip(pool, np.split(kept, ends)))
    return {name: _like(weight.parameter, chosen[name]) for name, weight in weights.items()}


@torch.no_grad()
def apply_masks(model, masks):
    """Set the pruned weights of a network to zero, in place.

    Once only: an optimizer that goes on may move them again. :func:`zimp.hold` keeps them at zero.

    Parameters
    ----------
    model : torch.nn.Module
    masks : dict of str to tensor
        For each :func:`zimp.prunable` weight, True where it stays.

    Raises
    ------
    ValueError
        For masks that do not fit the network.

    Examples
    --------
    >>> import zimp
    >>> model = zimp.lenet_300_100()
    >>> zimp.apply_masks(model, zimp.prune(model, rate=0.9))
    >>> int(model.fc1.weight.count_nonzero())
    23520
    """
    for weight, gone in pruned_weights(model, masks).values():
        weight.masked_fill_(gone, 0)


def masks_of(model) -> dict[str, torch.Tensor]:
    """The masks of a network whose pruned weights are zeros: True where a weight is not zero.

    A weight that is zero by chance counts as pruned, as it does to whoever stores the network.

    Parameters
    ----------
    model : torch.nn.Module

    Returns
    -------
    dict of str to boolean tensor

    Raises
    ------
    ValueError
        As :func:`zimp.prunable`, and for weights that are not finite.

    Examples
    --------
    >>> import zimp
    >>> model = zimp.lenet_300_100()
    >>> zimp.apply_masks(model, zimp.prune(model, rate=0.9))
    >>> int(zimp.masks_of(model)["fc1.weight"].sum())
    23520
    """
    return {
        name: _like(weight.parameter, as_weight(weight.parameter)[0] != 0)
        for name, weight in prunable_weights(model).items()
    }


def mask_facts(model, masks, before=None) -> dict[str, dict]:
    """Measure what masks of any origin do to the H0 of each layer.

    Call it with the trained weights, before the new masks are applied to them.

    Parameters
    ----------
    model : torch.nn.Module
    masks : dict of str to tensor
        For each :func:`zimp.prunable` weight, True where it will stay.
    before : dict of str to tensor, optional
        The masks of the level before. Default: nothing was pruned.

    Returns
    -------
    dict of str to dict
        For each layer

        * ``kept``: weights left;
        * ``beta0``: components of the graph that the mask leaves;
        * ``isolated``: neurons without any edge among them;
        * ``tree_kept``: share of the spanning forest of the weights in ``before`` that is left;
        * ``h0_unchanged``: whether the H0 diagram is exactly that of the weights in ``before``, in the same unit.

    Raises
    ------
    ValueError
        For masks that do not fit the network or bring back what was pruned before; for weights that are not finite; and
        for a layer all of whose newly pruned weights are zero already: the masks have been applied, and what they did
        cannot be seen any more.

    Examples
    --------
    >>> import zimp
    >>> model = zimp.lenet_300_100()
    >>> facts = zimp.mask_facts(model, zimp.prune(model, rate=0.99, criterion="topological"))
    >>> facts["fc1.weight"]
    {'kept': 2352, 'beta0': 1, 'isolated': 0, 'tree_kept': 1.0, 'h0_unchanged': True}
    """
    weights = prunable_weights(model)
    masks, before = as_masks(weights, masks), as_masks(weights, before, "before")
    facts = {}
    for name, weight in weights.items():
        array, _ = as_weight(weight.parameter)
        gone = before[name] & ~masks[name]
        if (masks[name] & ~before[name]).any():
            raise ValueError(f"masks keep weights of {name} that are pruned in before; intersect masks with before")
        if gone.any() and not array[gone].any():
            raise ValueError(
                f"the {int(gone.sum())} weights of {name} that the masks remove are 0 already; "
                "call mask_facts with the trained weights, before apply_masks or hold"
            )
        forest = forest_of(weight_graph(array, before[name], weight.groups))
        facts[name] = layer_facts(array, masks[name], weight.groups, forest)
    return facts


def layer_facts(array, mask, groups, before: SpanningForest) -> dict:
    """:func:`mask_facts` of one layer, whose forest is known."""
    kept = kept_edges(before.rows, before.cols, mask)
    after = before if kept.all() else forest_of(weight_graph(array, mask, groups))
    matrix = mask.reshape(groups, len(mask) // groups, -1)
    return {
        "kept": int(mask.sum()),
        "beta0": after.n_components,
        "isolated": int((~matrix.any(axis=2)).sum() + (~matrix.any(axis=1)).sum()),
        "tree_kept": float(kept.mean()) if len(kept) else 1.0,  # of none, none is lost
        # Compared are the weights at which components merge, not their shares of the maximum, which may change too.
        "h0_unchanged": after is before or np.array_equal(before.values, after.values),
    }


def kept_edges(rows, cols, mask: np.ndarray) -> np.ndarray:
    """Which edges of a layer's graph the mask of its weight keeps."""
    matrix = mask.reshape(len(mask), -1)
    return matrix[rows, cols % matrix.shape[1]]  # the blocks of the groups, back on top of each other


class TopologicalUnstructured(BasePruningMethod):
    """Prune a share of a layer's weights by magnitude, but never its maximum spanning tree.

    For networks that are pruned with ``torch.nn.utils.prune``; composes with masks that are there already. The tree is
    always that of the weights as they are, those of the optimizer's last step.

    Parameters
    ----------
    amount : float or int
        Share of the remaining weights to prune, from 0 to 1, or their number; rounded as torch rounds, so that
        ``round(amount * remaining)`` weights go.
    groups : int
        How many graphs the weight is; :meth:`apply` knows.

    Notes
    -----
    These are limits of torch's hooks. The pruned ``out_proj`` of an ``nn.MultiheadAttention`` cannot be trained for a
    second step, since the attention reads its weight without calling it; a network cannot be copied by ``deepcopy``
    after a forward pass in training. Masks held by :func:`zimp.hold` have neither limit.

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
        if isinstance(amount, Integral) and not isinstance(amount, bool):
            if amount < 0:
                raise ValueError(f"amount={amount} is negative; it is the number of weights to prune, or their share")
        elif not isinstance(amount, Real) or isinstance(amount, bool) or not 0 <= amount <= 1:
            raise ValueError(f"amount={amount!r} must be a share from 0 to 1, or the number of weights to prune")
        self.amount, self.groups = amount, groups

    def compute_mask(self, t, default_mask):
        """The mask that keeps the tree of ``t`` and the largest others, within ``default_mask``."""
        left = int(default_mask.sum())
        gone = self.amount if isinstance(self.amount, Integral) else round(self.amount * left)  # torch's rounding
        if gone > left:
            raise ValueError(f"amount={self.amount} is above the {left} remaining weights")
        return topological_mask(t, left - gone, default_mask, groups=self.groups).to(default_mask.dtype)

    @classmethod
    def apply(cls, module, name, amount, importance_scores=None, groups=None):
        """Prune the parameter ``name`` of ``module`` on the fly, as every ``torch.nn.utils.prune`` method does.

        Parameters
        ----------
        module : torch.nn.Module
        name : str
        amount : float or int
        importance_scores : tensor, optional
            Read in place of the parameter; the tree is then theirs.
        groups : int, optional
            How many graphs the weight is. Default: as :func:`zimp.prune` takes it, from the module; a dense layer that
            holds queries, keys and values does not know, and needs 3.

        Returns
        -------
        torch.nn.utils.prune.BasePruningMethod

        Raises
        ------
        ValueError
            As :func:`zimp.topological_mask`, for an amount that is no share and no count, a name that is none of a
            weight, and scores of another shape.
        """
        check_network(module)
        parameters = dict(module.named_parameters(recurse=False))
        if not isinstance(name, str) or not {name, f"{name}_orig"} & parameters.keys():
            raise ValueError(
                f"{type(module).__name__} has no parameter {name!r} to prune; give a layer and a name such as 'weight'"
            )
        # The attribute `name` of a pruned layer is what it was at the last forward pass.
        mask = getattr(module, f"{name}_mask", None)
        weight = parameters[name] if mask is None else (parameters[f"{name}_orig"] * mask).detach()
        if weight.ndim < 2:
            shape = tuple(weight.shape)
            raise ValueError(
                f"{name} has shape {shape}, but a graph needs at least two dimensions; prune the weight of a layer"
            )
        groups = groups_of(module, name, weight) if groups is None else groups
        # Torch has already taken the layer's older hooks off when it computes the mask, so an error must come before.
        scores = weight if importance_scores is None else importance_scores
        if not isinstance(scores, torch.Tensor) or to_numpy(scores).shape != weight.shape:
            raise ValueError(
                f"importance_scores is a {type(scores).__name__}, not a tensor of shape {tuple(weight.shape)}; "
                "it must have one score for each weight"
            )
        if importance_scores is not None:
            try:
                as_weight(scores, name="importance_scores")
            except ValueError as error:
                raise ValueError(f"{error} This method finds the tree by itself; topological_scores are for torch's "
                                 "own methods") from None  # fmt: skip
        cls(amount, groups).compute_mask(scores, torch.ones_like(weight) if mask is None else mask)
        return super().apply(module, name, amount=amount, groups=groups, importance_scores=scores)


def _mask(criterion, weight, keep, mask, generator=None, groups=1):
    array, mask = as_weight(weight, mask)
    groups = check_blocks(array, groups) if criterion == "topological" else 1
    scores, tree = _scores(criterion, array, mask, groups, generator)
    available = np.ones(array.size, dtype=bool) if mask is None else mask.ravel()
    keep = whole("keep", keep, "a whole number; it is a count of weights, not a share")
    left = int(available.sum())
    if not 0 <= keep <= left:
        raise ValueError(f"keep={keep} must lie between 0 and the {left} remaining weights")
    if keep < tree:
        raise _below_tree_error(keep, tree, array.shape)
    return _like(weight, _best(scores, keep, available).reshape(array.shape))


def _scores(criterion, weight, mask, groups=1, generator=None) -> tuple[np.ndarray, int]:
    """The score of each weight, flat, and the number of weights that must stay."""
    if criterion == "random":
        return _random_scores(weight.size, generator), 0
    scores = np.abs(weight).ravel()
    if criterion == "magnitude":
        return scores, 0
    forest = forest_of(weight_graph(weight, mask, groups))
    width = weight.size // len(weight)
    scores[forest.rows * width + forest.cols % width] = np.inf  # the blocks of the groups, back on top of each other
    return scores, len(forest)


def _random_scores(size, generator) -> np.ndarray:
    if isinstance(generator, np.random.Generator):
        return generator.random(size)
    if generator is None or isinstance(generator, torch.Generator):
        device = "cpu" if generator is None else generator.device
        return torch.rand(size, dtype=torch.float64, generator=generator, device=device).cpu().numpy()
    raise ValueError(
        f"generator={generator!r} must be a generator; make one from a seed by torch.Generator().manual_seed(seed)"
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


def at_the_floor(left, trees, rates) -> bool:
    """Whether no layer that is to lose weights has more than its tree."""
    pruned = [name for name, rate in rates.items() if rate]
    return bool(pruned) and all(left[name] <= trees[name] for name in pruned)


def sizes_after(left, trees, rates) -> dict[str, int]:
    """How many weights topological pruning leaves in each layer: its share, but never less than the tree."""
    return {name: max(share_left(size, rates[name]), trees[name]) for name, size in left.items()}


def share_left(remaining, rate) -> int:
    """The number of remaining weights that a level at this rate keeps."""
    return round((1 - rate) * int(remaining))


def _below_tree_error(keep, tree, shape, name="") -> ValueError:
    layer = "x".join(map(str, shape))
    return ValueError(
        f"keep={keep} is below the {tree} weights of a spanning tree of a {layer} layer{name}; "
        f"topological pruning cannot go further (density {tree / np.prod(shape):.4f})."
    )


def _bare_tree_error(weights, rates, trees, scope) -> ValueError:
    """The error once only the trees remain: it names the largest layer, or the network if that is pruned as one."""
    if scope == "layer":
        name = max((name for name in trees if rates[name]), key=trees.get)
        keep = min(share_left(trees[name], rates[name]), trees[name] - 1)
        return _below_tree_error(keep, trees[name], tuple(weights[name].parameter.shape))
    total, size = sum(trees.values()), sum(weight.parameter.numel() for weight in weights.values())
    keep = min(share_left(total, next(iter(rates.values()))), total - 1)
    return ValueError(
        f"keep={keep} is below the {total} weights of the spanning trees of {len(weights)} layers; "
        f"topological pruning cannot go further (density {total / size:.4f})."
    )


def as_masks(weights, masks, what="masks") -> dict[str, np.ndarray]:
    """The masks of all prunable weights as numpy arrays, whatever they come as; None means that nothing is pruned."""
    if masks is None:
        return {name: np.ones(weight.parameter.shape, dtype=bool) for name, weight in weights.items()}
    _check_names(what, masks, weights)
    checked = {}
    for name, weight in weights.items():
        try:
            checked[name] = as_mask(masks[name], weight.parameter.shape)
        except ValueError as error:
            raise ValueError(f"{what}[{name!r}]: {error}") from None
        if checked[name] is None:
            raise ValueError(f"{what}[{name!r}] is None; if nothing is pruned in a layer, give a mask of ones")
    return checked


def pruned_weights(model, masks) -> dict[str, tuple[torch.nn.Parameter, torch.Tensor]]:
    """Each prunable weight, and the tensor on its device that says which of its entries are pruned."""
    weights = prunable_weights(model)
    return {
        name: (weights[name].parameter, torch.from_numpy(~mask).to(weights[name].parameter.device))
        for name, mask in as_masks(weights, masks).items()
    }


def check_prune_arguments(weights, rate, criterion, scope) -> dict[str, float]:
    """Check what :func:`prune` takes besides masks, before a run spends time on training; the rate of each layer."""
    check_choice("criterion", criterion, CRITERIA)
    check_choice("scope", scope, ("layer", "global"))
    if not isinstance(rate, Mapping):
        return dict.fromkeys(weights, check_rate(rate, "rate"))
    if scope == "global":
        raise ValueError("rate is a dict, but scope='global' prunes the network as one; give one rate")
    _check_names("rate", rate, weights, all_of_them=False)
    return {name: check_rate(rate[name], f"rate[{name!r}]") if rate.get(name, 0) != 0 else 0.0 for name in weights}


def _check_budgets(keep, rate, scope, left, trees, weights) -> dict[str, int]:
    """How many weights stay in each layer."""
    if rate != 0.2:
        raise ValueError(f"keep was given together with rate={rate!r}; give only one of the two")
    if scope == "global":
        raise ValueError("keep is a number for each layer, but scope='global' prunes the network as one")
    _check_names("keep", keep, weights, all_of_them=False)
    budgets = dict(left)
    for name in keep:
        budget = whole(f"keep[{name!r}]", keep[name], "a whole number; it is a count of weights, not a share")
        if not 0 <= budget <= left[name]:
            raise ValueError(f"keep[{name!r}]={budget} must lie between 0 and the {left[name]} remaining weights")
        if budget < trees[name]:
            raise _below_tree_error(budget, trees[name], tuple(weights[name].parameter.shape), f", {name}")
        budgets[name] = budget
    return budgets


def _check_names(what, given, weights, all_of_them=True):
    names = ", ".join(weights)
    if not isinstance(given, Mapping):
        raise ValueError(f"{what} is a {type(given).__name__}, not a dict; it needs an entry for each of {names}")
    for name in [*(weights if all_of_them else ()), *given.keys()]:
        if name not in given:
            raise ValueError(f"{what} has no entry for {name!r}; it needs one for each of {names}")
        if name not in weights:
            raise ValueError(f"{what} has an entry for {name!r}; each entry must be for one of {names}")
