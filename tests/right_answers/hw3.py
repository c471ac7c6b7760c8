"""Right answers to assignment 3 in styles other than the solution's: whole answer cells, each to get full marks."""

RIGHT = {
    "q1": {
        "small letters, with blanks": """# q1
answer_1a, answer_1b, answer_1c = "c", " b", "D "
""",
    },
    "q2": {
        "a loop over a sorted list of triples": """# q2
def my_magnitude_mask(weight, keep, mask=None):
    m, n = weight.shape
    left = [(-abs(weight[i, j]), i, j) for i in range(m) for j in range(n) if mask is None or mask[i, j]]
    kept = np.zeros((m, n), dtype=bool)
    for _, i, j in sorted(left)[:keep]:
        kept[i, j] = True
    return kept
""",
        "single precision, in torch": """# q2
def my_magnitude_mask(weight, keep, mask=None):
    size = torch.tensor(weight).float().abs()
    if mask is not None:
        size[~torch.tensor(mask)] = -1
    kept = torch.zeros(size.numel(), dtype=torch.bool)
    kept[torch.sort(size.flatten(), descending=True, stable=True).indices[:keep]] = True
    return kept.view(size.shape)
""",
        "one weight after the other, in a helper called prune": """# q2
def prune(size):
    best = int(np.argmax(size))
    size[best] = -np.inf
    return best


def my_magnitude_mask(weight, keep, mask=None):
    size = np.abs(weight).astype(np.float32).ravel()
    if mask is not None:
        size[~mask.ravel()] = -np.inf
    kept = [prune(size) for _ in range(keep)]
    return np.isin(np.arange(weight.size), kept).reshape(weight.shape)
""",
        "lexsort": """# q2
def my_magnitude_mask(weight, keep, mask=None):
    mask = np.ones(weight.shape, bool) if mask is None else mask
    order = np.lexsort((np.arange(weight.size), -np.abs(weight).ravel(), ~mask.ravel()))
    rank = np.empty(weight.size, int)
    rank[order] = np.arange(weight.size)
    return (rank < keep).reshape(weight.shape)
""",
    },
    "q3": {
        "the tree's weights made the largest": """# q3
def my_topological_mask(weight, keep, mask=None):
    forest = zimp.spanning_forest(weight, mask)
    if keep < len(forest):
        raise ValueError("%d weights are asked for, and the forest has %d" % (keep, len(forest)))
    size = np.abs(weight).astype(float)
    size[forest.mask] += size.max() + 1
    if mask is not None:
        size = np.where(mask, size, -1)
    kept = np.zeros(size.size, dtype=bool)
    kept[np.argsort(-size, axis=None, kind="stable")[:keep]] = True
    return kept.reshape(size.shape)
""",
        "loops, single precision, a helper called prune, and an error of its own": """# q3
class TooFew(ValueError):
    pass


def prune(weight, rest, many):
    places = sorted(zip(*np.nonzero(rest)), key=lambda place: (-abs(weight[place]), place))
    return places[:many]


def my_topological_mask(weight, keep, mask=None):
    weight = weight.astype(np.float32)
    forest = zimp.spanning_forest(weight, mask)
    edges = int(forest.mask.sum())
    if keep < edges:
        raise TooFew(f"a forest of {edges} edges does not fit into {keep}")
    kept = forest.mask.copy()
    rest = ~kept if mask is None else mask & ~kept
    for place in prune(weight, rest, keep - edges):
        kept[place] = True
    return kept
""",
        "tensors": """# q3
def my_topological_mask(weight, keep, mask=None):
    forest = zimp.spanning_forest(weight, mask)
    kept = torch.from_numpy(np.array(forest.mask)).flatten()
    if keep < int(kept.sum()):
        raise ValueError(f"keep: {keep}, tree: {int(kept.sum())}")
    size = torch.from_numpy(np.abs(weight)).flatten()
    free = ~kept if mask is None else torch.from_numpy(mask).flatten() & ~kept
    places = torch.nonzero(free).flatten()
    order = torch.sort(size[places], descending=True, stable=True).indices
    kept[places[order[: keep - int(kept.sum())]]] = True
    return kept.reshape(weight.shape).numpy()
""",
    },
    "q4": {
        "scipy's union-find": """# q4
def swaps(weight, keep):
    from scipy.cluster.hierarchy import DisjointSet

    m, n = weight.shape
    mask = zimp.magnitude_mask(weight, keep)
    pieces = DisjointSet(range(m + n))
    for i, j in np.argwhere(mask).tolist():
        pieces.merge(i, m + j)
    direct = None
    if keep >= m + n - 1:
        direct = int(np.count_nonzero(zimp.topological_mask(weight, keep) > mask))
    return pieces.n_subsets - 1, direct
""",
        "a recursive walk, in a helper called count_components": """# q4
def count_components(mask):
    m, n = mask.shape
    seen = set()

    def visit(v):
        seen.add(v)
        for w in m + np.flatnonzero(mask[v]) if v < m else np.flatnonzero(mask[:, v - m]):
            if int(w) not in seen:
                visit(int(w))

    pieces = 0
    for v in range(m + n):
        if v not in seen:
            visit(v)
            pieces += 1
    return pieces


def swaps(weight, keep):
    heavy = zimp.magnitude_mask(weight, keep)
    counted = count_components(heavy) - 1
    try:
        tree = zimp.topological_mask(weight, keep)
    except ValueError:
        return counted, None
    return counted, int(tree.sum() - (tree & heavy).sum())
""",
        "single precision, and the eigenvalues of the Laplacian": """# q4
def swaps(weight, keep):
    weight = weight.astype(np.float32)
    m, n = weight.shape
    mask = zimp.magnitude_mask(weight, keep)
    adjacency = np.block([[np.zeros((m, m)), mask], [mask.T, np.zeros((n, n))]])
    laplacian = np.diag(adjacency.sum(axis=0)) - adjacency
    counted = int((np.abs(np.linalg.eigvalsh(laplacian)) < 1e-8).sum()) - 1
    if keep < m + n - 1:
        return np.int64(counted), None
    return counted, (zimp.topological_mask(weight, keep) & ~mask).sum()
""",
    },
    "q5": {
        "by hand, in a helper called prune": """# q5
def prune(values, mask, rate):
    keep = round((1 - rate) * int(mask.sum()))
    size = values.detach().abs().masked_fill(~mask, -1).flatten()
    kept = torch.zeros_like(size, dtype=torch.bool)
    kept[size.sort(descending=True, stable=True).indices[:keep]] = True
    return kept.view_as(mask)


def my_imp_level(model, start, masks, rate, split, steps, seed):
    zimp.train(model, masks, split, seed=seed, steps=steps)
    new = {name: prune(weight, masks[name], rate) for name, weight in zimp.prunable(model).items()}
    with torch.no_grad():
        for name, values in model.state_dict().items():
            values.copy_(start[name])
            if name in new:
                values.mul_(new[name])
    return new
""",
        "a copy of start with zeros": """# q5
def my_imp_level(model, start, masks, rate, split, steps, seed):
    import copy

    zimp.train(model, masks, split, steps=steps, seed=seed)
    weights = zimp.prunable(model)
    new = {k: zimp.magnitude_mask(w.detach(), round((1 - rate) * masks[k].sum().item()), masks[k])
           for k, w in weights.items()}
    state = copy.deepcopy(start)
    for k, mask in new.items():
        state[k] = state[k] * mask
    model.load_state_dict(state)
    return new
""",
        "numpy's masks, set into the data": """# q5
def my_imp_level(model, start, masks, rate, split, steps, seed):
    zimp.train(model, masks, split, steps=steps, seed=seed)
    new = {}
    for name, w in zimp.prunable(model).items():
        size, left = w.detach().numpy().copy(), masks[name].numpy()
        new[name] = torch.from_numpy(zimp.magnitude_mask(size, round((1 - rate) * left.sum()), left))
    for name, values in dict(model.named_parameters()).items():
        values.data[:] = start[name]
    for name, w in zimp.prunable(model).items():
        w.data[~new[name]] = 0.0
    return new
""",
    },
    "q6": {
        "a recursion, with helpers called tree_sizes and prune": """# q6
def tree_sizes(m, n):
    return m + n - 1


def prune(left, rate, floor):
    return max(floor, round((1 - rate) * left))


def my_budgets(shapes, levels, rate):
    if levels == 0:
        return [{name: m * n for name, (m, n) in shapes.items()}]
    before = my_budgets(shapes, levels - 1, rate)
    return before + [{name: prune(left, rate, tree_sizes(*shapes[name])) for name, left in before[-1].items()}]
""",
        "layer by layer, in numpy": """# q6
def my_budgets(shapes, levels, rate):
    table = {}
    for name, (m, n) in shapes.items():
        left = np.empty(levels + 1, dtype=int)
        left[0] = m * n
        for level in range(levels):
            left[level + 1] = max(m + n - 1, np.round((1 - rate) * left[level]))
        table[name] = left
    return [{name: int(table[name][level]) for name in shapes} for level in range(levels + 1)]
""",
        "what is taken away": """# q6
def my_budgets(shapes, levels, rate):
    left = {name: shape[0] * shape[1] for name, shape in shapes.items()}
    out = [dict(left)]
    while len(out) <= levels:
        for name in left:
            left[name] = round(left[name] - rate * left[name])
            if left[name] < sum(shapes[name]) - 1:
                left[name] = sum(shapes[name]) - 1
        out.append(left.copy())
    return out
""",
    },
    "q7": {
        "sums by hand": """# q7
def paired(x, y):
    import math

    import scipy.stats

    d = [a - b for a, b in zip(x, y)]
    n = len(d)
    mean = sum(d) / n
    variance = sum((value - mean) ** 2 for value in d) / (n - 1)
    return mean, scipy.stats.t.ppf(0.975, n - 1) * math.sqrt(variance / n)
""",
        "single precision, in torch, as a list": """# q7
from scipy import stats


def paired(x, y):
    d = torch.tensor(x, dtype=torch.float32) - torch.tensor(y, dtype=torch.float32)
    return [d.mean().item(), (stats.t.ppf(0.975, len(d) - 1) * d.std() / len(d) ** 0.5).item()]
""",
        "the standard error of scipy's, and the quantile of its t": """# q7
from scipy.stats import sem, t


def interval(d):
    return t.interval(0.95, len(d) - 1, loc=0, scale=sem(d))[1]


def paired(x, y):
    d = np.array(x) - y
    return d.mean(), interval(d)
""",
    },
}
