"""Right answers to assignment 4 in styles other than the solution's: whole answer cells, each to get full marks."""

RIGHT = {
    "q1": {
        "lists of decimals": """# q1
outputs = [1, 0.6875, 0.75, 1.1875, 2]
heights = [0.5, 0.0625]
""",
        "computed, in single precision": """# q1
share = np.linspace(0, 1, 5, dtype=np.float32)
u, v = np.outer(1 - share, [1, 0]) + np.outer(share, [0, 2]), np.outer(1 - share, [1, 0]) + np.outer(share, [0, 1])
outputs = tuple((np.maximum(u, 0) * v).sum(axis=1).astype(float))
loss = np.abs(np.array(outputs) - 1)
heights = (loss.max() - loss[[0, -1]].mean(), (loss - share * loss[-1] - (1 - share) * loss[0]).max())
""",
        "fractions": """# q1
from fractions import Fraction

outputs = tuple((1 - s) ** 2 + 2 * s**2 for s in (Fraction(k, 4) for k in range(5)))
heights = (Fraction(1, 2), Fraction(1, 16))
""",
    },
    "q2": {
        "a dict of all parameters, loaded": """# q2
def my_between(a, b, alpha):
    state, goal = a.state_dict(), b.state_dict()
    mixed = {name: (1 - alpha) * value + alpha * goal[name] for name, value in state.items()}
    new = copy.deepcopy(a)
    new.load_state_dict(mixed)
    return new
""",
        "numpy, name by name": """# q2
def my_between(a, b, alpha):
    new = copy.deepcopy(b)
    others = dict(a.named_parameters())
    for name, value in new.named_parameters():
        mine, its = others[name].detach().numpy(), value.detach().numpy()
        value.data = torch.from_numpy(((1 - alpha) * mine + alpha * its).astype(np.float32))
    return new
""",
        "one long vector": """# q2
from torch.nn.utils import parameters_to_vector, vector_to_parameters


def my_between(a, b, alpha):
    long_a, long_b = (parameters_to_vector(net.parameters()).detach() for net in (a, b))
    new = copy.deepcopy(a)
    vector_to_parameters(long_a + alpha * (long_b - long_a), new.parameters())
    return new
""",
        "layer by layer, and loops over numbers": """# q2
def my_between(a, b, alpha):
    new = copy.deepcopy(a)
    for layer, one, other in zip(new.modules(), a.modules(), b.modules()):
        for kind in ("weight", "bias"):
            if isinstance(getattr(layer, kind, None), torch.Tensor):
                flat, ones, others = (getattr(part, kind).detach().flatten() for part in (layer, one, other))
                if len(flat) < 300:
                    for k in range(len(flat)):
                        flat[k] = (1 - alpha) * float(ones[k]) + alpha * float(others[k])
                else:
                    flat.mul_(1 - alpha).add_(others, alpha=alpha)
    return new
""",
        "a class of its own, in a helper called barrier": """# q2
class Walk:
    def __init__(self, a, b):
        self.ends = [[value.detach().clone() for value in end.parameters()] for end in (a, b)]
        self.network = copy.deepcopy(a)

    def barrier(self, alpha):
        with torch.no_grad():
            for value, one, other in zip(self.network.parameters(), *self.ends):
                value.copy_(one).mul_(1 - alpha).add_(alpha * other)
        return self.network


def my_between(a, b, alpha):
    return Walk(a, b).barrier(alpha)
""",
    },
    "q3": {
        "numpy": """# q3
def my_barrier(error, points):
    alphas = np.linspace(0, 1, points)
    values = np.array([error(alpha) for alpha in alphas])
    straight = np.interp(alphas, [0, 1], values[[0, -1]])
    return values.max() - values[[0, -1]].mean(), np.max(values - straight)
""",
        "single precision, in torch, as a list": """# q3
def my_barrier(error, points):
    alphas = torch.linspace(0, 1, points)
    values = torch.tensor([error(alpha.item()) for alpha in alphas])
    ends = torch.lerp(values[0], values[-1], alphas)
    return [(values.max() - (values[0] + values[-1]) / 2).item(), (values - ends).max().item()]
""",
        "a loop that remembers the largest": """# q3
def my_barrier(error, points):
    left, right = error(0.0), error(1.0)
    top, rise = max(left, right), 0.0
    for k in range(1, points - 1):
        alpha = k / (points - 1)
        value = error(alpha)
        top = max(top, value)
        rise = max(rise, value - ((1 - alpha) * left + alpha * right))
    return top - 0.5 * left - 0.5 * right, rise
""",
        "a class of its own called Barrier": """# q3
class Barrier:
    def __init__(self, error, points):
        self.at = np.arange(points, dtype=np.float32) / np.float32(points - 1)
        self.values = np.float32([error(float(alpha)) for alpha in self.at])

    @property
    def height(self):
        return self.values.max() - np.mean([self.values[0], self.values[-1]])

    @property
    def height_linear(self):
        return (self.values - self.values[0] * (1 - self.at) - self.values[-1] * self.at).max()


def my_barrier(error, points):
    line = Barrier(error, points)
    return line.height, line.height_linear
""",
        "polyfit through the ends": """# q3
def my_barrier(error, points):
    alphas = [k / (points - 1) for k in range(points)]
    values = list(map(error, alphas))
    slope, level = np.polyfit([0, 1], [values[0], values[-1]], 1)
    rise = max(value - slope * alpha - level for alpha, value in zip(alphas, values))
    return max(values) - sum(values[:: points - 1]) / 2, rise
""",
    },
    "q4": {
        "a random walk (Aldous and Broder)": """# q4
def my_random_tree(weight, keep, generator):
    m, n = weight.shape
    kept, here, seen = np.zeros((m, n), dtype=bool), 0, {0}
    while len(seen) < m + n:
        there = m + int(generator.integers(n)) if here < m else int(generator.integers(m))
        if there not in seen:
            seen.add(there)
            kept[min(here, there), max(here, there) - m] = True
        here = there
    rest = [(-abs(weight[i, j]), i, j) for i in range(m) for j in range(n) if not kept[i, j]]
    for _, i, j in sorted(rest)[: keep - (m + n - 1)]:
        kept[i, j] = True
    return kept
""",
        "edges in random order, and labels": """# q4
def my_random_tree(weight, keep, generator):
    m, n = weight.shape
    label, tree = list(range(m + n)), np.zeros(m * n, dtype=bool)
    for edge in generator.permutation(m * n):
        i, j = divmod(int(edge), n)
        one, other = label[i], label[m + j]
        if one != other:
            tree[edge] = True
            label = [one if now == other else now for now in label]
    size = np.where(tree, np.inf, np.abs(weight).ravel().astype(np.float32))
    kept = np.zeros(m * n, dtype=bool)
    kept[np.argsort(-size, kind="stable")[:keep]] = True
    return kept.reshape(m, n)
""",
        "topological pruning of random numbers, in torch": """# q4
def my_random_tree(weight, keep, generator):
    m, n = weight.shape
    tree = zimp.topological_mask(torch.from_numpy(generator.standard_normal((m, n))), m + n - 1)
    rest = zimp.magnitude_mask(torch.from_numpy(weight), keep - m - n + 1, ~tree)
    return (tree | rest).numpy()
""",
        "scipy's tree of random costs, in a class of its own": """# q4
from scipy.sparse.csgraph import minimum_spanning_tree


class RandomTree:
    def __init__(self, shape, generator):
        m, n = shape
        costs = np.zeros((m + n, m + n))
        costs[:m, m:] = 1 + generator.random(shape)
        self.mask = minimum_spanning_tree(costs).toarray()[:m, m:] > 0

    def with_largest(self, weight, keep):
        kept = self.mask.copy()
        for place in np.argsort(-np.abs(weight), axis=None, kind="stable"):
            if kept.sum() == keep:
                break
            kept.flat[place] = True
        return kept


def my_random_tree(weight, keep, generator):
    return RandomTree(weight.shape, generator).with_largest(weight, keep)
""",
        "one neuron after the other (Prim), in a helper called random_tree_mask": """# q4
def random_tree_mask(shape, generator):
    m, n = shape
    tree, rows, cols = np.zeros(shape, dtype=bool), {int(generator.integers(m))}, set()
    while len(rows) + len(cols) < m + n:
        edges = [(i, j) for i in range(m) for j in range(n) if (i in rows) != (j in cols)]
        i, j = edges[int(generator.integers(len(edges)))]
        tree[i, j] = True
        rows.add(i)
        cols.add(j)
    return tree


def my_random_tree(weight, keep, generator):
    tree = random_tree_mask(weight.shape, generator)
    size = np.abs(weight)
    order = sorted(np.argwhere(~tree).tolist(), key=lambda place: -size[tuple(place)])
    for i, j in order[: keep - sum(weight.shape) + 1]:
        tree[i, j] = True
    return tree
""",
    },
    "q5": {
        "sets of pairs": """# q5
def my_shared(a, mask_a, b, mask_b):
    edges = []
    for layer, mask in ((a, mask_a), (b, mask_b)):
        forest = zimp.spanning_forest(layer, mask)
        edges.append(set(zip(forest.rows.tolist(), forest.cols.tolist())))
    m, n = a.shape
    return len(edges[0] & edges[1]), len(edges[0]) * len(edges[1]) / (m * n)
""",
        "loops, single precision": """# q5
def my_shared(a, mask_a, b, mask_b):
    one = zimp.spanning_forest(a.astype(np.float32), mask_a).mask
    other = zimp.spanning_forest(b.astype(np.float32), mask_b).mask
    shared = 0
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            shared += bool(one[i, j] and other[i, j])
    return shared, float(np.float32(one.mean()) * np.float32(other.mean()) * np.float32(a.size))
""",
        "tensors": """# q5
def my_shared(a, mask_a, b, mask_b):
    one, other = (torch.from_numpy(zimp.spanning_forest(torch.from_numpy(w), torch.from_numpy(k)).mask.copy())
                  for w, k in ((a, mask_a), (b, mask_b)))
    return (one * other).sum(), one.sum() * other.float().mean()
""",
        "a forest of its own, in a helper called tree_overlap": """# q5
def forest(layer, mask):
    m, n = layer.shape
    label, edges = list(range(m + n)), np.zeros((m, n), dtype=int)
    places = sorted(zip(*np.nonzero(mask)), key=lambda place: (-abs(layer[place]), place))
    for i, j in places:
        one, other = label[i], label[m + j]
        if one != other:
            edges[i, j] = 1
            label = [one if now == other else now for now in label]
    return edges


def tree_overlap(one, other):
    return np.sum(one * other)


def my_shared(a, mask_a, b, mask_b):
    one, other = forest(a, mask_a), forest(b, mask_b)
    return tree_overlap(one, other), one.sum() * other.sum() / one.size
""",
        "the mean as a sum over all positions": """# q5
def my_shared(a, mask_a, b, mask_b):
    first, second = zimp.spanning_forest(a, mask_a), zimp.spanning_forest(b, mask_b)
    by_chance = 0.0
    for _ in first.values:
        by_chance += len(second.values) / first.mask.size
    return int(second.mask[first.rows, first.cols].sum()), by_chance
""",
    },
    "q6": {
        "one after the other, as tuples": """# q6
def my_twins(start, masks, split, apart, steps, orders):
    twins = []
    for order in orders[1:]:
        model = copy.deepcopy(start)
        if apart > 0:
            zimp.train(model, masks, split, steps=apart, seed=orders[0])
        zimp.train(model, masks, split, steps=steps, start=apart, seed=order)
        twins.append(model)
    return tuple(twins)
""",
        "states that are kept and loaded": """# q6
def my_twins(start, masks, split, apart, steps, orders):
    common = copy.deepcopy(start)
    if apart != 0:
        zimp.train(common, masks, split, steps=apart, seed=orders[0])
    parted = {name: value.clone() for name, value in common.state_dict().items()}
    found = [copy.deepcopy(start), copy.deepcopy(start)]
    for model, order in zip(found, (orders[1], orders[2])):
        model.load_state_dict(parted)
        zimp.train(model, masks, split, start=apart, steps=steps, seed=order)
    return found
""",
        "an error that is expected": """# q6
def my_twins(start, masks, split, apart, steps, orders):
    one = copy.deepcopy(start)
    try:
        zimp.train(one, masks, split, steps=apart, seed=orders[0])
    except ValueError:
        if apart:
            raise
    other = copy.deepcopy(one)
    zimp.train(one, masks, split, start=apart, steps=steps, seed=orders[1])
    zimp.train(other, masks, split, start=apart, steps=steps, seed=orders[2])
    return one, other
""",
        "a loop of its own": """# q6
from itertools import islice

from zimp.lab.training import batches


class Trainer:
    def __init__(self, masks, split):
        self.masks, self.split = masks, split

    def run(self, model, first, last, order):
        model = copy.deepcopy(model)
        optimizer = torch.optim.Adam(model.parameters(), lr=1.2e-3)
        with zimp.hold(optimizer, model, self.masks):
            for batch in islice(batches(len(self.split.y), 60, order), first, last):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(self.split.x[batch]), self.split.y[batch]).backward()
                optimizer.step()
        return model


def my_twins(start, masks, split, apart, steps, orders):
    trainer = Trainer(masks, split)
    common = trainer.run(start, 0, apart, orders[0])
    return [trainer.run(common, apart, steps, order) for order in orders[1:]]
""",
    },
}
