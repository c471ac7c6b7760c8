"""Typical wrong answers to assignment 3: each replaces the whole answer cell and loses points of its question alone."""

WRONG = {
    "q1": {
        "the ablation read as a proof": """# q1
answer_1a = "A"
answer_1b = "B"
answer_1c = "D"
""",
        "an interval that holds zero read as equality": """# q1
answer_1a = "C"
answer_1b = "B"
answer_1c = "A"
""",
        "random pruning as the control": """# q1
answer_1a = "C"
answer_1b = "A"
answer_1c = "C"
""",
        "nothing may be said": """# q1
answer_1a = "B"
answer_1b = "B"
answer_1c = "C"
""",
        "more seeds as the control": """# q1
answer_1a = "C"
answer_1b = "C"
answer_1c = "D"
""",
    },
    "q2": {
        "w in place of |w|": """# q2
def my_magnitude_mask(weight, keep, mask=None):
    there = np.flatnonzero(np.ones(weight.shape, dtype=bool) if mask is None else mask)
    order = np.argsort(-weight.ravel()[there], kind="stable")
    chosen = np.zeros(weight.size, dtype=bool)
    chosen[there[order[:keep]]] = True
    return chosen.reshape(weight.shape)
""",
        "a threshold, so that equal weights all stay": """# q2
def my_magnitude_mask(weight, keep, mask=None):
    mask = np.ones(weight.shape, dtype=bool) if mask is None else mask
    if keep == 0:
        return np.zeros(weight.shape, dtype=bool)
    threshold = np.sort(np.abs(weight)[mask])[-keep]
    return mask & (np.abs(weight) >= threshold)
""",
        "sorted ascending and reversed, so that the last of equals stay": """# q2
def my_magnitude_mask(weight, keep, mask=None):
    there = np.flatnonzero(np.ones(weight.shape, dtype=bool) if mask is None else mask)
    order = np.argsort(np.abs(weight.ravel()[there]), kind="stable")[::-1]
    chosen = np.zeros(weight.size, dtype=bool)
    chosen[there[order[:keep]]] = True
    return chosen.reshape(weight.shape)
""",
        "pruned weights as zeros, which tie with stored zeros": """# q2
def my_magnitude_mask(weight, keep, mask=None):
    size = np.abs(weight) if mask is None else np.abs(weight) * mask
    chosen = np.zeros(weight.size, dtype=bool)
    chosen[np.argsort(-size.ravel(), kind="stable")[:keep]] = True
    return chosen.reshape(weight.shape)
""",
        "the mask forgotten": """# q2
def my_magnitude_mask(weight, keep, mask=None):
    chosen = np.zeros(weight.size, dtype=bool)
    chosen[np.argsort(-np.abs(weight).ravel(), kind="stable")[:keep]] = True
    return chosen.reshape(weight.shape)
""",
        "zimp called": """# q2
def my_magnitude_mask(weight, keep, mask=None):
    return zimp.magnitude_mask(weight, keep, mask)
""",
        "zimp under another name": """# q2
largest = zimp.magnitude_mask


def my_magnitude_mask(weight, keep, mask=None):
    return largest(weight, keep, mask)
""",
        "all of them where none is to stay": """# q2
def my_magnitude_mask(weight, keep, mask=None):
    there = np.flatnonzero(np.ones(weight.shape, dtype=bool) if mask is None else mask)[::-1]
    order = np.argsort(np.abs(weight.ravel()[there]), kind="stable")
    chosen = np.zeros(weight.size, dtype=bool)
    chosen[there[order[-keep:]]] = True
    return chosen.reshape(weight.shape)
""",
        "keep as a share": """# q2
def my_magnitude_mask(weight, keep, mask=None):
    return np.abs(weight) >= np.quantile(np.abs(weight), 1 - keep / weight.size)
""",
        "column by column among equals": """# q2
def my_magnitude_mask(weight, keep, mask=None):
    m, n = weight.shape
    left = [(-abs(weight[i, j]), j, i) for i in range(m) for j in range(n) if mask is None or mask[i, j]]
    kept = np.zeros((m, n), dtype=bool)
    for _, j, i in sorted(left)[:keep]:
        kept[i, j] = True
    return kept
""",
        "a stored 0 taken for a pruned weight": """# q2
def my_magnitude_mask(weight, keep, mask=None):
    there = np.flatnonzero(weight if mask is None else weight * mask)
    order = np.argsort(-np.abs(weight.ravel()[there]), kind="stable")
    chosen = np.zeros(weight.size, dtype=bool)
    chosen[there[order[:keep]]] = True
    return chosen.reshape(weight.shape)
""",
    },
    "q3": {
        "keep weights on top of the tree": """# q3
def my_topological_mask(weight, keep, mask=None):
    forest = zimp.spanning_forest(weight, mask)
    if keep < len(forest):
        raise ValueError(f"{keep} is below {len(forest)}")
    there = np.ones(weight.shape, dtype=bool) if mask is None else mask
    rest = there & ~forest.mask
    return forest.mask | zimp.magnitude_mask(weight, min(keep, int(rest.sum())), rest)
""",
        "the tree and the largest weights overlap": """# q3
def my_topological_mask(weight, keep, mask=None):
    forest = zimp.spanning_forest(weight, mask)
    if keep < len(forest):
        raise ValueError(f"{keep} is below {len(forest)}")
    return forest.mask | zimp.magnitude_mask(weight, keep - len(forest), mask)
""",
        "no refusal below the tree": """# q3
def my_topological_mask(weight, keep, mask=None):
    forest = zimp.spanning_forest(weight, mask)
    there = np.ones(weight.shape, dtype=bool) if mask is None else mask
    rest = there & ~forest.mask
    return forest.mask | zimp.magnitude_mask(weight, max(keep - len(forest), 0), rest)
""",
        "the tree of the full layer, not of what is left": """# q3
def my_topological_mask(weight, keep, mask=None):
    forest = zimp.spanning_forest(weight)
    if keep < len(forest):
        raise ValueError(f"{keep} is below {len(forest)}")
    there = np.ones(weight.shape, dtype=bool) if mask is None else mask
    rest = there & ~forest.mask
    return forest.mask | zimp.magnitude_mask(weight, min(keep - len(forest), int(rest.sum())), rest)
""",
        "m + n - 1 as the limit, where the layer is in several pieces": """# q3
def my_topological_mask(weight, keep, mask=None):
    forest = zimp.spanning_forest(weight, mask)
    if keep < sum(weight.shape) - 1:
        raise ValueError(f"{keep} is below a tree")
    there = np.ones(weight.shape, dtype=bool) if mask is None else mask
    return forest.mask | zimp.magnitude_mask(weight, keep - len(forest), there & ~forest.mask)
""",
        "a refusal without the numbers": """# q3
def my_topological_mask(weight, keep, mask=None):
    forest = zimp.spanning_forest(weight, mask)
    if keep < len(forest):
        raise ValueError("keep is below the forest")
    there = np.ones(weight.shape, dtype=bool) if mask is None else mask
    return forest.mask | zimp.magnitude_mask(weight, keep - len(forest), there & ~forest.mask)
""",
        "a refusal of the bare tree, too": """# q3
def my_topological_mask(weight, keep, mask=None):
    forest = zimp.spanning_forest(weight, mask)
    if keep <= len(forest):
        raise ValueError(f"{keep} is not above {len(forest)}")
    there = np.ones(weight.shape, dtype=bool) if mask is None else mask
    return forest.mask | zimp.magnitude_mask(weight, keep - len(forest), there & ~forest.mask)
""",
        "zimp's mask under another name": """# q3
from zimp import topological_mask as of


def my_topological_mask(weight, keep, mask=None):
    return of(weight, keep, mask)
""",
        "others column by column among equals": """# q3
def my_topological_mask(weight, keep, mask=None):
    forest = zimp.spanning_forest(weight, mask)
    if keep < len(forest):
        raise ValueError(f"{keep} is below {len(forest)}")
    there = np.ones(weight.shape, dtype=bool) if mask is None else mask
    rest = zimp.magnitude_mask(weight.T.copy(), keep - len(forest), (there & ~forest.mask).T.copy())
    return forest.mask | rest.T
""",
        "another error": """# q3
def my_topological_mask(weight, keep, mask=None):
    forest = zimp.spanning_forest(weight, mask)
    assert keep >= len(forest), f"{keep} is below {len(forest)}"
    there = np.ones(weight.shape, dtype=bool) if mask is None else mask
    return forest.mask | zimp.magnitude_mask(weight, keep - len(forest), there & ~forest.mask)
""",
    },
    "q4": {
        "isolated neurons forgotten": """# q4
def swaps(weight, keep):
    m, n = weight.shape
    heavy = zimp.magnitude_mask(weight, keep)
    label = list(range(m + n))
    for i, j in np.argwhere(heavy):
        a, b = label[i], label[m + j]
        label = [a if c == b else c for c in label]
    touched = [*np.flatnonzero(heavy.any(axis=1)), *(m + np.flatnonzero(heavy.any(axis=0)))]
    pieces = len({label[v] for v in touched})
    direct = None if keep < m + n - 1 else int((zimp.topological_mask(weight, keep) & ~heavy).sum())
    return pieces - 1, direct
""",
        "pieces, not pieces minus one": """# q4
def swaps(weight, keep):
    m, n = weight.shape
    heavy = zimp.magnitude_mask(weight, keep)
    label = list(range(m + n))
    for i, j in np.argwhere(heavy):
        a, b = label[i], label[m + j]
        label = [a if c == b else c for c in label]
    direct = None if keep < m + n - 1 else int((zimp.topological_mask(weight, keep) & ~heavy).sum())
    return len(set(label)), direct
""",
        "each swap counted twice": """# q4
def swaps(weight, keep):
    m, n = weight.shape
    heavy = zimp.magnitude_mask(weight, keep)
    label = list(range(m + n))
    for i, j in np.argwhere(heavy):
        a, b = label[i], label[m + j]
        label = [a if c == b else c for c in label]
    direct = None if keep < m + n - 1 else int((zimp.topological_mask(weight, keep) != heavy).sum())
    return len(set(label)) - 1, direct
""",
        "only isolated neurons counted": """# q4
def swaps(weight, keep):
    m, n = weight.shape
    heavy = zimp.magnitude_mask(weight, keep)
    alone = int((~heavy.any(axis=0)).sum() + (~heavy.any(axis=1)).sum())
    direct = None if keep < m + n - 1 else int((zimp.topological_mask(weight, keep) & ~heavy).sum())
    return alone, direct
""",
        "one side for both": """# q4
def swaps(weight, keep):
    direct = int((zimp.topological_mask(weight, keep) & ~zimp.magnitude_mask(weight, keep)).sum())
    return direct, direct
""",
        "no direct side at m + n - 1": """# q4
def swaps(weight, keep):
    m, n = weight.shape
    heavy = zimp.magnitude_mask(weight, keep)
    label = list(range(m + n))
    for i, j in np.argwhere(heavy):
        a, b = label[i], label[m + j]
        label = [a if c == b else c for c in label]
    direct = None if keep <= m + n - 1 else int((zimp.topological_mask(weight, keep) & ~heavy).sum())
    return len(set(label)) - 1, direct
""",
        "zimp's count under another name": """# q4
count = zimp.count_components


def swaps(weight, keep):
    heavy = zimp.magnitude_mask(weight, keep)
    direct = None if keep < sum(weight.shape) - 1 else int((zimp.topological_mask(weight, keep) & ~heavy).sum())
    return count(heavy) - 1, direct
""",
        "the forest's number of pieces": """# q4
def swaps(weight, keep):
    heavy = zimp.magnitude_mask(weight, keep)
    direct = None if keep < sum(weight.shape) - 1 else int((zimp.topological_mask(weight, keep) & ~heavy).sum())
    return sum(weight.shape) - len(zimp.spanning_forest(weight, heavy)) - 1, direct
""",
        "no direct side at all": """# q4
def swaps(weight, keep):
    m, n = weight.shape
    label = list(range(m + n))
    for i, j in np.argwhere(zimp.magnitude_mask(weight, keep)):
        a, b = label[i], label[m + j]
        label = [a if c == b else c for c in label]
    return len(set(label)) - 1, None
""",
    },
    "q5": {
        "not rewound": """# q5
def my_imp_level(model, start, masks, rate, split, steps, seed):
    zimp.train(model, masks, split, steps=steps, seed=seed)
    new = {}
    with torch.no_grad():
        for name, w in zimp.prunable(model).items():
            new[name] = zimp.magnitude_mask(w, round((1 - rate) * int(masks[name].sum())), masks[name])
            w.masked_fill_(~new[name], 0)
    return new
""",
        "rewound before pruning, so that the start values are ranked": """# q5
def my_imp_level(model, start, masks, rate, split, steps, seed):
    zimp.train(model, masks, split, steps=steps, seed=seed)
    model.load_state_dict(start)
    new = {}
    with torch.no_grad():
        for name, w in zimp.prunable(model).items():
            new[name] = zimp.magnitude_mask(w, round((1 - rate) * int(masks[name].sum())), masks[name])
            w.masked_fill_(~new[name], 0)
    return new
""",
        "pruned weights come back with the rewinding": """# q5
def my_imp_level(model, start, masks, rate, split, steps, seed):
    zimp.train(model, masks, split, steps=steps, seed=seed)
    new = {}
    for name, w in zimp.prunable(model).items():
        new[name] = zimp.magnitude_mask(w, round((1 - rate) * int(masks[name].sum())), masks[name])
    model.load_state_dict(start)
    return new
""",
        "the rate as a share of all weights": """# q5
def my_imp_level(model, start, masks, rate, split, steps, seed):
    zimp.train(model, masks, split, steps=steps, seed=seed)
    new = {}
    for name, w in zimp.prunable(model).items():
        keep = max(int(masks[name].sum()) - round(rate * masks[name].numel()), 0)
        new[name] = zimp.magnitude_mask(w, keep, masks[name])
    model.load_state_dict(start)
    with torch.no_grad():
        for name, w in zimp.prunable(model).items():
            w.masked_fill_(~new[name], 0)
    return new
""",
        "biases not rewound": """# q5
def my_imp_level(model, start, masks, rate, split, steps, seed):
    zimp.train(model, masks, split, steps=steps, seed=seed)
    new = {}
    with torch.no_grad():
        for name, w in zimp.prunable(model).items():
            new[name] = zimp.magnitude_mask(w, round((1 - rate) * int(masks[name].sum())), masks[name])
            w.copy_(start[name] * new[name])
    return new
""",
        "rounded down": """# q5
def my_imp_level(model, start, masks, rate, split, steps, seed):
    zimp.train(model, masks, split, steps=steps, seed=seed)
    new = {}
    for name, w in zimp.prunable(model).items():
        new[name] = zimp.magnitude_mask(w, int((1 - rate) * int(masks[name].sum()) + 1e-9), masks[name])
    model.load_state_dict(start)
    with torch.no_grad():
        for name, w in zimp.prunable(model).items():
            w.masked_fill_(~new[name], 0)
    return new
""",
        "trained without masks": """# q5
def my_imp_level(model, start, masks, rate, split, steps, seed):
    zimp.train(model, None, split, steps=steps, seed=seed)
    new = {}
    for name, w in zimp.prunable(model).items():
        new[name] = zimp.magnitude_mask(w, round((1 - rate) * int(masks[name].sum())), masks[name])
    model.load_state_dict(start)
    with torch.no_grad():
        for name, w in zimp.prunable(model).items():
            w.masked_fill_(~new[name], 0)
    return new
""",
        "what was pruned comes back": """# q5
def my_imp_level(model, start, masks, rate, split, steps, seed):
    zimp.train(model, masks, split, steps=steps, seed=seed)
    new = {}
    for name, w in zimp.prunable(model).items():
        new[name] = zimp.magnitude_mask(w + start[name] * ~masks[name], round((1 - rate) * int(masks[name].sum())))
    model.load_state_dict(start)
    with torch.no_grad():
        for name, w in zimp.prunable(model).items():
            w.masked_fill_(~new[name], 0)
    return new
""",
        "zeros written into start": """# q5
def my_imp_level(model, start, masks, rate, split, steps, seed):
    zimp.train(model, masks, split, steps=steps, seed=seed)
    new = {}
    for name, w in zimp.prunable(model).items():
        new[name] = zimp.magnitude_mask(w, round((1 - rate) * int(masks[name].sum())), masks[name])
        start[name][~new[name]] = 0
    model.load_state_dict(start)
    return new
""",
        "zimp's pruning under another name": """# q5
cut = zimp.prune


def my_imp_level(model, start, masks, rate, split, steps, seed):
    zimp.train(model, masks, split, steps=steps, seed=seed)
    new = cut(model, masks, rate)
    model.load_state_dict(start)
    with torch.no_grad():
        for name, w in zimp.prunable(model).items():
            w.masked_fill_(~new[name], 0)
    return new
""",
        "a seed of its own": """# q5
def my_imp_level(model, start, masks, rate, split, steps, seed):
    zimp.train(model, masks, split, steps=steps, seed=0)
    new = {}
    for name, w in zimp.prunable(model).items():
        new[name] = zimp.magnitude_mask(w, round((1 - rate) * int(masks[name].sum())), masks[name])
    model.load_state_dict(start)
    with torch.no_grad():
        for name, w in zimp.prunable(model).items():
            w.masked_fill_(~new[name], 0)
    return new
""",
    },
    "q6": {
        "a tree of m + n edges": """# q6
def my_budgets(shapes, levels, rate):
    sizes = [{name: m * n for name, (m, n) in shapes.items()}]
    for _ in range(levels):
        sizes.append({name: max(round((1 - rate) * size), sum(shapes[name])) for name, size in sizes[-1].items()})
    return sizes
""",
        "no tree": """# q6
def my_budgets(shapes, levels, rate):
    sizes = [{name: m * n for name, (m, n) in shapes.items()}]
    for _ in range(levels):
        sizes.append({name: round((1 - rate) * size) for name, size in sizes[-1].items()})
    return sizes
""",
        "the rate as a share of the dense layer": """# q6
def my_budgets(shapes, levels, rate):
    return [{name: max(round((1 - level * rate) * m * n), m + n - 1) for name, (m, n) in shapes.items()}
            for level in range(levels + 1)]
""",
        "rounded once, at the end": """# q6
def my_budgets(shapes, levels, rate):
    return [{name: max(round((1 - rate) ** level * m * n), m + n - 1) for name, (m, n) in shapes.items()}
            for level in range(levels + 1)]
""",
        "level 0 left out": """# q6
def my_budgets(shapes, levels, rate):
    sizes = [{name: m * n for name, (m, n) in shapes.items()}]
    for _ in range(levels):
        sizes.append({name: max(round((1 - rate) * size), sum(shapes[name]) - 1) for name, size in sizes[-1].items()})
    return sizes[1:]
""",
        "halves rounded up": """# q6
def my_budgets(shapes, levels, rate):
    sizes = [{name: m * n for name, (m, n) in shapes.items()}]
    for _ in range(levels):
        sizes.append({
            name: max(int((1 - rate) * size + 0.5), sum(shapes[name]) - 1) for name, size in sizes[-1].items()})
    return sizes
""",
        "rounded down": """# q6
def my_budgets(shapes, levels, rate):
    sizes = [{name: m * n for name, (m, n) in shapes.items()}]
    for _ in range(levels):
        sizes.append({name: max(int((1 - rate) * size), sum(shapes[name]) - 1) for name, size in sizes[-1].items()})
    return sizes
""",
        "not rounded between the levels": """# q6
def my_budgets(shapes, levels, rate):
    left, out = {name: m * n for name, (m, n) in shapes.items()}, []
    for _ in range(levels + 1):
        out.append({name: round(size) for name, size in left.items()})
        left = {name: max((1 - rate) * size, sum(shapes[name]) - 1) for name, size in left.items()}
    return out
""",
        "zimp's sizes by a network": """# q6
sizes_of = experiments.topological_sizes


def my_budgets(shapes, levels, rate):
    layers = torch.nn.ModuleDict({name.replace(".", "_"): torch.nn.Linear(n, m) for name, (m, n) in shapes.items()})
    return [dict(zip(shapes, sizes.values())) for sizes in sizes_of(layers, levels, rate)]
""",
    },
    "q7": {
        "the normal quantile": """# q7
def paired(x, y):
    d = np.subtract(x, y)
    return d.mean(), 1.96 * d.std(ddof=1) / np.sqrt(len(d))
""",
        "unpaired": """# q7
def paired(x, y):
    from scipy.stats import t
    spread = np.sqrt(np.var(x, ddof=1) + np.var(y, ddof=1))
    return np.mean(x) - np.mean(y), t.ppf(0.975, len(x) - 1) * spread / np.sqrt(len(x))
""",
        "divided by N, not N - 1": """# q7
def paired(x, y):
    from scipy.stats import t
    d = np.subtract(x, y)
    return d.mean(), t.ppf(0.975, len(d) - 1) * d.std() / np.sqrt(len(d))
""",
        "y minus x": """# q7
def paired(x, y):
    from scipy.stats import t
    d = np.subtract(y, x)
    return d.mean(), t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / np.sqrt(len(d))
""",
        "the 95 % quantile of one side": """# q7
def paired(x, y):
    from scipy.stats import t
    d = np.subtract(x, y)
    return d.mean(), t.ppf(0.95, len(d) - 1) * d.std(ddof=1) / np.sqrt(len(d))
""",
        "N degrees of freedom": """# q7
def paired(x, y):
    from scipy.stats import t
    d = np.subtract(x, y)
    return d.mean(), t.ppf(0.975, len(d)) * d.std(ddof=1) / np.sqrt(len(d))
""",
        "zimp's interval under another name": """# q7
half_of = plots.interval


def paired(x, y):
    return half_of(np.subtract(x, y))
""",
        "scipy's test": """# q7
def paired(x, y):
    from scipy import stats as s
    low, high = s.ttest_rel(x, y).confidence_interval(0.95)
    return (low + high) / 2, (high - low) / 2
""",
        "not the half width, but the whole": """# q7
def paired(x, y):
    from scipy.stats import t
    d = np.subtract(x, y)
    return d.mean(), 2 * t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / np.sqrt(len(d))
""",
    },
}
