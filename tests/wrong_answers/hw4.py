"""Typical wrong answers to assignment 4: each replaces the whole answer cell and loses points of its question alone."""

WRONG = {
    "q1": {
        "outputs averaged, not weights": """# q1
outputs = (1, 5 / 4, 3 / 2, 7 / 4, 2)
heights = (1 / 2, 1 / 16)
""",
        "only the weights out of the hidden neurons averaged": """# q1
outputs = (1, 5 / 4, 3 / 2, 7 / 4, 2)
heights = (1 / 2, 0)
""",
        "the weights into B's neuron forgotten": """# q1
outputs = (1, 5 / 8, 1 / 2, 5 / 8, 2)
heights = (1 / 2, 1 / 16)
""",
        "the height taken for the largest loss": """# q1
outputs = (1, 11 / 16, 3 / 4, 19 / 16, 2)
heights = (1, 1 / 16)
""",
        "the linear height above the mean of the ends": """# q1
outputs = (1, 11 / 16, 3 / 4, 19 / 16, 2)
heights = (1 / 2, 1 / 2)
""",
        "the heights of the outputs": """# q1
outputs = (1, 11 / 16, 3 / 4, 19 / 16, 2)
heights = (1 / 2, 0)
""",
        "the two heights exchanged": """# q1
outputs = (1, 11 / 16, 3 / 4, 19 / 16, 2)
heights = (1 / 16, 1 / 2)
""",
        "the path backwards": """# q1
outputs = (2, 19 / 16, 3 / 4, 11 / 16, 1)
heights = (1 / 2, 1 / 16)
""",
    },
    "q2": {
        "biases stay": """# q2
def my_between(a, b, alpha):
    new = copy.deepcopy(a)
    goals = zimp.prunable(b)
    with torch.no_grad():
        for name, weight in zimp.prunable(new).items():
            weight.copy_((1 - alpha) * weight + alpha * goals[name])
    return new
""",
        "written into a": """# q2
def my_between(a, b, alpha):
    with torch.no_grad():
        for value, goal in zip(a.parameters(), b.parameters()):
            value.copy_((1 - alpha) * value + alpha * goal)
    return a
""",
        "written into b": """# q2
def my_between(a, b, alpha):
    with torch.no_grad():
        for value, goal in zip(a.parameters(), b.parameters()):
            goal.copy_((1 - alpha) * value + alpha * goal)
    return copy.deepcopy(b)
""",
        "backwards": """# q2
def my_between(a, b, alpha):
    new = copy.deepcopy(a)
    with torch.no_grad():
        for value, goal in zip(new.parameters(), b.parameters()):
            value.copy_(alpha * value + (1 - alpha) * goal)
    return new
""",
        "where one is pruned, the other's weight": """# q2
def my_between(a, b, alpha):
    new = copy.deepcopy(a)
    with torch.no_grad():
        for value, goal in zip(new.parameters(), b.parameters()):
            mixed = (1 - alpha) * value + alpha * goal
            mixed = torch.where(value == 0, goal, torch.where(goal == 0, value, mixed))
            value.copy_(mixed)
    return new
""",
        "where one is pruned, nothing": """# q2
def my_between(a, b, alpha):
    new = copy.deepcopy(a)
    with torch.no_grad():
        for value, goal in zip(new.parameters(), b.parameters()):
            value.copy_(torch.where(value * goal == 0, 0, (1 - alpha) * value + alpha * goal))
    return new
""",
        "the mean of the ends": """# q2
def my_between(a, b, alpha):
    new = copy.deepcopy(a)
    with torch.no_grad():
        for value, goal in zip(new.parameters(), b.parameters()):
            value.copy_((value + goal) / 2)
    return new
""",
        "a itself at the start": """# q2
def my_between(a, b, alpha):
    if alpha in (0, 1):
        return (a, b)[int(alpha)]
    new = copy.deepcopy(a)
    with torch.no_grad():
        for value, goal in zip(new.parameters(), b.parameters()):
            value.lerp_(goal, alpha)
    return new
""",
        "a copy that shares its weights with b": """# q2
def my_between(a, b, alpha):
    new = copy.deepcopy(a)
    for value, one, goal in zip(new.parameters(), a.parameters(), b.parameters()):
        value.data = goal.data if alpha == 1 else (1 - alpha) * one.data + alpha * goal.data
    return new
""",
        "added once more": """# q2
def my_between(a, b, alpha):
    new = copy.deepcopy(a)
    with torch.no_grad():
        for value, goal in zip(new.parameters(), b.parameters()):
            value.add_(alpha * goal)
    return new
""",
        "the last layer forgotten": """# q2
def my_between(a, b, alpha):
    new = copy.deepcopy(a)
    layers = [name for name, _ in a.named_parameters()]
    goals = dict(b.named_parameters())
    with torch.no_grad():
        for name, value in new.named_parameters():
            if len(layers) <= 2 or name not in layers[-2:]:
                value.lerp_(goals[name], alpha)
    return new
""",
    },
    "q3": {
        "ends left out": """# q3
def my_barrier(error, points):
    alphas = [(k + 1) / (points + 1) for k in range(points)]
    values = [error(alpha) for alpha in alphas]
    rises = [v - (1 - a) * error(0.0) - a * error(1.0) for a, v in zip(alphas, values)]
    return max(values) - (error(0.0) + error(1.0)) / 2, max(0.0, *rises)
""",
        "the end forgotten": """# q3
def my_barrier(error, points):
    alphas = [k / points for k in range(points)]
    values = [error(alpha) for alpha in alphas]
    rises = [v - (1 - a) * values[0] - a * error(1.0) for a, v in zip(alphas, values)]
    return max(values) - (values[0] + error(1.0)) / 2, max(rises)
""",
        "points steps in place of points values": """# q3
def my_barrier(error, points):
    alphas = np.linspace(0, 1, points + 1)
    values = np.array([error(alpha) for alpha in alphas])
    line = (1 - alphas) * values[0] + alphas * values[-1]
    return values.max() - values[[0, -1]].mean(), (values - line).max()
""",
        "always thirty points": """# q3
def my_barrier(error, points):
    alphas = np.linspace(0, 1, 30)
    values = np.array([error(alpha) for alpha in alphas])
    line = (1 - alphas) * values[0] + alphas * values[-1]
    return values.max() - values[[0, -1]].mean(), (values - line).max()
""",
        "half-way only": """# q3
def my_barrier(error, points):
    ends = (error(0.0) + error(1.0)) / 2
    return error(0.5) - ends, error(0.5) - ends
""",
        "above the better end": """# q3
def my_barrier(error, points):
    alphas = np.linspace(0, 1, points)
    values = np.array([error(alpha) for alpha in alphas])
    line = (1 - alphas) * values[0] + alphas * values[-1]
    return values.max() - min(values[0], values[-1]), (values - line).max()
""",
        "above the worse end": """# q3
def my_barrier(error, points):
    alphas = np.linspace(0, 1, points)
    values = np.array([error(alpha) for alpha in alphas])
    line = (1 - alphas) * values[0] + alphas * values[-1]
    return values.max() - max(values[0], values[-1]), (values - line).max()
""",
        "the largest of the inner values": """# q3
def my_barrier(error, points):
    alphas = np.linspace(0, 1, points)
    values = np.array([error(alpha) for alpha in alphas])
    line = (1 - alphas) * values[0] + alphas * values[-1]
    inner = values[1:-1] if points > 2 else values
    return inner.max() - values[[0, -1]].mean(), (values - line).max()
""",
        "the rise at the largest value": """# q3
def my_barrier(error, points):
    alphas = np.linspace(0, 1, points)
    values = np.array([error(alpha) for alpha in alphas])
    k = values.argmax()
    rise = values[k] - (1 - alphas[k]) * values[0] - alphas[k] * values[-1]
    return values.max() - values[[0, -1]].mean(), rise
""",
        "the largest distance from the line, below it too": """# q3
def my_barrier(error, points):
    alphas = np.linspace(0, 1, points)
    values = np.array([error(alpha) for alpha in alphas])
    line = (1 - alphas) * values[0] + alphas * values[-1]
    return values.max() - values[[0, -1]].mean(), np.abs(values - line).max()
""",
        "a line of the best fit": """# q3
def my_barrier(error, points):
    alphas = np.linspace(0, 1, points)
    values = np.array([error(alpha) for alpha in alphas])
    line = np.polyval(np.polyfit(alphas, values, 1), alphas)
    return values.max() - values[[0, -1]].mean(), (values - line).max()
""",
        "the line backwards": """# q3
def my_barrier(error, points):
    alphas = np.linspace(0, 1, points)
    values = np.array([error(alpha) for alpha in alphas])
    line = alphas * values[0] + (1 - alphas) * values[-1]
    return values.max() - values[[0, -1]].mean(), (values - line).max()
""",
        "zimp's heights under another name": """# q3
from zimp import Barrier as Line


def my_barrier(error, points):
    alphas = np.linspace(0, 1, points)
    line = Line(alphas, np.array([error(alpha) for alpha in alphas]))
    return line.height, line.height_linear
""",
        "zimp's linear height by getattr": """# q3
def my_barrier(error, points):
    alphas = np.linspace(0, 1, points)
    values = np.array([error(alpha) for alpha in alphas])
    line = zimp.Barrier(alphas, values)
    return values.max() - values[[0, -1]].mean(), getattr(line, "height_" + "linear")
""",
    },
    "q4": {
        "the maximum spanning tree": """# q4
def my_random_tree(weight, keep, generator):
    return zimp.topological_mask(weight, keep)
""",
        "random weights in place of a tree": """# q4
def my_random_tree(weight, keep, generator):
    few = zimp.random_mask(weight, sum(weight.shape) - 1, generator=generator)
    return few | zimp.magnitude_mask(weight, keep - few.sum(), ~few)
""",
        "the first row and the first column": """# q4
def my_random_tree(weight, keep, generator):
    tree = np.zeros(weight.shape, dtype=bool)
    tree[0] = tree[:, 0] = True
    return tree | zimp.magnitude_mask(weight, keep - tree.sum(), ~tree)
""",
        "a random row and a random column": """# q4
def my_random_tree(weight, keep, generator):
    tree = np.zeros(weight.shape, dtype=bool)
    tree[generator.integers(len(tree))] = True
    tree[:, generator.integers(tree.shape[1])] = True
    return tree | zimp.magnitude_mask(weight, keep - tree.sum(), ~tree)
""",
        "the tree of shuffled weights": """# q4
def my_random_tree(weight, keep, generator):
    shuffled = generator.permutation(weight.ravel()).reshape(weight.shape)
    tree = zimp.spanning_forest(shuffled).mask
    return tree | zimp.magnitude_mask(weight, keep - tree.sum(), ~tree)
""",
        "the tree of the weights with noise": """# q4
def my_random_tree(weight, keep, generator):
    tree = zimp.spanning_forest(weight + generator.normal(size=weight.shape)).mask
    return tree | zimp.magnitude_mask(weight, keep - tree.sum(), ~tree)
""",
        "chance from elsewhere": """# q4
def my_random_tree(weight, keep, generator):
    tree = zimp.spanning_forest(np.random.rand(*weight.shape)).mask
    return tree | zimp.magnitude_mask(weight, keep - tree.sum(), ~tree)
""",
        "always the same tree": """# q4
def my_random_tree(weight, keep, generator):
    tree = zimp.spanning_forest(np.random.default_rng(0).random(weight.shape)).mask
    return tree | zimp.magnitude_mask(weight, keep - tree.sum(), ~tree)
""",
        "another tree for another keep": """# q4
def my_random_tree(weight, keep, generator):
    generator.random(keep)
    tree = zimp.spanning_forest(generator.random(weight.shape)).mask
    return tree | zimp.magnitude_mask(weight, keep - tree.sum(), ~tree)
""",
        "keep weights on top of the tree": """# q4
def my_random_tree(weight, keep, generator):
    tree = zimp.spanning_forest(generator.random(weight.shape)).mask
    return tree | zimp.magnitude_mask(weight, min(keep, int((~tree).sum())), ~tree)
""",
        "the tree and the largest weights overlap": """# q4
def my_random_tree(weight, keep, generator):
    tree = zimp.spanning_forest(generator.random(weight.shape)).mask
    return tree | zimp.magnitude_mask(weight, keep - tree.sum())
""",
        "the others at random": """# q4
def my_random_tree(weight, keep, generator):
    tree = zimp.spanning_forest(generator.random(weight.shape)).mask
    return tree | zimp.random_mask(weight, int(keep - tree.sum()), ~tree, generator=generator)
""",
        "the others by w in place of |w|": """# q4
def my_random_tree(weight, keep, generator):
    tree = zimp.spanning_forest(generator.random(weight.shape)).mask
    return tree | zimp.magnitude_mask(weight - weight.min(), keep - tree.sum(), ~tree)
""",
        "the last of equal weights": """# q4
def my_random_tree(weight, keep, generator):
    tree = zimp.spanning_forest(generator.random(weight.shape)).mask
    rest = zimp.magnitude_mask(weight[::-1, ::-1].copy(), keep - tree.sum(), ~tree[::-1, ::-1].copy())
    return tree | rest[::-1, ::-1]
""",
        "equal weights column by column": """# q4
def my_random_tree(weight, keep, generator):
    tree = zimp.spanning_forest(generator.random(weight.shape)).mask
    return tree | zimp.magnitude_mask(weight.T.copy(), keep - tree.sum(), ~tree.T.copy()).T
""",
        "zimp's random tree under another name": """# q4
from zimp.lab.basins import random_tree_mask as ready


def my_random_tree(weight, keep, generator):
    chance = torch.Generator().manual_seed(int(generator.integers(10**6)))
    full = torch.ones(weight.shape, dtype=torch.bool)
    return ready(torch.from_numpy(weight), int(keep), full, chance).numpy()
""",
    },
    "q5": {
        "the forest of all weights": """# q5
def my_shared(a, mask_a, b, mask_b):
    one, other = zimp.spanning_forest(a), zimp.spanning_forest(b)
    chance = len(zimp.spanning_forest(a, mask_a)) * len(zimp.spanning_forest(b, mask_b)) / a.size
    return int((one.mask & other.mask).sum()), chance
""",
        "both forests in the common mask": """# q5
def my_shared(a, mask_a, b, mask_b):
    one, other = (zimp.spanning_forest(layer, mask_a & mask_b) for layer in (a, b))
    chance = len(zimp.spanning_forest(a, mask_a)) * len(zimp.spanning_forest(b, mask_b)) / a.size
    return int((one.mask & other.mask).sum()), chance
""",
        "both forests in the first mask": """# q5
def my_shared(a, mask_a, b, mask_b):
    one, other = (zimp.spanning_forest(layer, mask_a) for layer in (a, b))
    return int((one.mask & other.mask).sum()), len(one) * len(other) / a.size
""",
        "pruned weights as edges of weight 0": """# q5
def my_shared(a, mask_a, b, mask_b):
    one, other = zimp.spanning_forest(a * mask_a), zimp.spanning_forest(b * mask_b)
    return int((one.mask & other.mask).sum()), len(one) * len(other) / a.size
""",
        "a weight 0 taken for a pruned one": """# q5
def my_shared(a, mask_a, b, mask_b):
    one, other = zimp.spanning_forest(a, mask_a & (a != 0)), zimp.spanning_forest(b, mask_b & (b != 0))
    return int((one.mask & other.mask).sum()), len(one) * len(other) / a.size
""",
        "the trees of the masks, without weights": """# q5
def my_shared(a, mask_a, b, mask_b):
    one, other = zimp.spanning_forest(mask_a * 1.0, mask_a), zimp.spanning_forest(mask_b * 1.0, mask_b)
    return int((one.mask & other.mask).sum()), len(one) * len(other) / a.size
""",
        "common weights, not common edges": """# q5
def my_shared(a, mask_a, b, mask_b):
    one, other = zimp.spanning_forest(a, mask_a), zimp.spanning_forest(b, mask_b)
    return int((mask_a & mask_b).sum()) - a.size + int((one.mask & other.mask).sum()), len(one) * len(other) / a.size
""",
        "edges of either": """# q5
def my_shared(a, mask_a, b, mask_b):
    one, other = zimp.spanning_forest(a, mask_a), zimp.spanning_forest(b, mask_b)
    return int((one.mask | other.mask).sum()), len(one) * len(other) / a.size
""",
        "a share": """# q5
def my_shared(a, mask_a, b, mask_b):
    one, other = zimp.spanning_forest(a, mask_a), zimp.spanning_forest(b, mask_b)
    return int((one.mask & other.mask).sum()), len(other) / a.size
""",
        "trees of m + n - 1 edges, where there are fewer": """# q5
def my_shared(a, mask_a, b, mask_b):
    one, other = zimp.spanning_forest(a, mask_a), zimp.spanning_forest(b, mask_b)
    return int((one.mask & other.mask).sum()), (sum(a.shape) - 1) ** 2 / a.size
""",
        "the square of the first forest": """# q5
def my_shared(a, mask_a, b, mask_b):
    one, other = zimp.spanning_forest(a, mask_a), zimp.spanning_forest(b, mask_b)
    return int((one.mask & other.mask).sum()), len(one) ** 2 / a.size
""",
        "chance within the mask": """# q5
def my_shared(a, mask_a, b, mask_b):
    one, other = zimp.spanning_forest(a, mask_a), zimp.spanning_forest(b, mask_b)
    return int((one.mask & other.mask).sum()), len(one) * len(other) / max(1, mask_a.sum())
""",
        "a few random orders": """# q5
def my_shared(a, mask_a, b, mask_b):
    one, other = zimp.spanning_forest(a, mask_a), zimp.spanning_forest(b, mask_b)
    rng = np.random.default_rng(0)
    found = [(one.mask & rng.permuted(other.mask[rng.permutation(len(a))], axis=1)).sum() for _ in range(50)]
    return int((one.mask & other.mask).sum()), np.mean(found)
""",
        "zimp's overlap under another name": """# q5
from zimp import tree_overlap as agree


def my_shared(a, mask_a, b, mask_b):
    one, other = zimp.spanning_forest(a, mask_a), zimp.spanning_forest(b, mask_b)
    return round(agree(one, other).share * len(one)), len(one) * len(other) / a.size
""",
    },
    "q6": {
        "one network twice": """# q6
def my_twins(start, masks, split, apart, steps, orders):
    one = copy.deepcopy(start)
    if apart:
        zimp.train(one, masks, split, steps=apart, seed=orders[0])
    other = one
    zimp.train(one, masks, split, start=apart, steps=steps, seed=orders[1])
    zimp.train(other, masks, split, start=apart, steps=steps, seed=orders[2])
    return one, other
""",
        "the second starts where the first ended": """# q6
def my_twins(start, masks, split, apart, steps, orders):
    one = copy.deepcopy(start)
    if apart:
        zimp.train(one, masks, split, steps=apart, seed=orders[0])
    zimp.train(one, masks, split, start=apart, steps=steps, seed=orders[1])
    other = copy.deepcopy(one)
    zimp.train(other, masks, split, start=apart, steps=steps, seed=orders[2])
    return one, other
""",
        "start trained": """# q6
def my_twins(start, masks, split, apart, steps, orders):
    if apart:
        zimp.train(start, masks, split, steps=apart, seed=orders[0])
    one, other = copy.deepcopy(start), copy.deepcopy(start)
    zimp.train(one, masks, split, start=apart, steps=steps, seed=orders[1])
    zimp.train(other, masks, split, start=apart, steps=steps, seed=orders[2])
    return one, other
""",
        "start is the first twin": """# q6
def my_twins(start, masks, split, apart, steps, orders):
    if apart:
        zimp.train(start, masks, split, steps=apart, seed=orders[0])
    other = copy.deepcopy(start)
    zimp.train(start, masks, split, start=apart, steps=steps, seed=orders[1])
    zimp.train(other, masks, split, start=apart, steps=steps, seed=orders[2])
    return start, other
""",
        "no masks in the common part": """# q6
def my_twins(start, masks, split, apart, steps, orders):
    one = copy.deepcopy(start)
    if apart:
        zimp.train(one, None, split, steps=apart, seed=orders[0])
    other = copy.deepcopy(one)
    zimp.train(one, masks, split, start=apart, steps=steps, seed=orders[1])
    zimp.train(other, masks, split, start=apart, steps=steps, seed=orders[2])
    return one, other
""",
        "no masks at the end": """# q6
def my_twins(start, masks, split, apart, steps, orders):
    one = copy.deepcopy(start)
    if apart:
        zimp.train(one, masks, split, steps=apart, seed=orders[0])
    other = copy.deepcopy(one)
    zimp.train(one, None, split, start=apart, steps=steps, seed=orders[1])
    zimp.train(other, None, split, start=apart, steps=steps, seed=orders[2])
    return one, other
""",
        "steps more, from the first batch on": """# q6
def my_twins(start, masks, split, apart, steps, orders):
    one = copy.deepcopy(start)
    if apart:
        zimp.train(one, masks, split, steps=apart, seed=orders[0])
    other = copy.deepcopy(one)
    zimp.train(one, masks, split, steps=steps, seed=orders[1])
    zimp.train(other, masks, split, steps=steps, seed=orders[2])
    return one, other
""",
        "the right number of steps, with the first batches": """# q6
def my_twins(start, masks, split, apart, steps, orders):
    one = copy.deepcopy(start)
    if apart:
        zimp.train(one, masks, split, steps=apart, seed=orders[0])
    other = copy.deepcopy(one)
    zimp.train(one, masks, split, steps=steps - apart, seed=orders[1])
    zimp.train(other, masks, split, steps=steps - apart, seed=orders[2])
    return one, other
""",
        "steps after the parting": """# q6
def my_twins(start, masks, split, apart, steps, orders):
    one = copy.deepcopy(start)
    if apart:
        zimp.train(one, masks, split, steps=apart, seed=orders[0])
    other = copy.deepcopy(one)
    zimp.train(one, masks, split, start=apart, steps=apart + steps, seed=orders[1])
    zimp.train(other, masks, split, start=apart, steps=apart + steps, seed=orders[2])
    return one, other
""",
        "never in common": """# q6
def my_twins(start, masks, split, apart, steps, orders):
    one, other = copy.deepcopy(start), copy.deepcopy(start)
    zimp.train(one, masks, split, steps=steps, seed=orders[1])
    zimp.train(other, masks, split, steps=steps, seed=orders[2])
    return one, other
""",
        "each in its own order before they part": """# q6
def my_twins(start, masks, split, apart, steps, orders):
    twins = []
    for order in orders[1:]:
        model = copy.deepcopy(start)
        if apart:
            zimp.train(model, masks, split, steps=apart, seed=order)
        zimp.train(model, masks, split, start=apart, steps=steps, seed=order)
        twins.append(model)
    return twins
""",
        "the first twin goes on in the common order": """# q6
def my_twins(start, masks, split, apart, steps, orders):
    one = copy.deepcopy(start)
    if apart:
        zimp.train(one, masks, split, steps=apart, seed=orders[0])
    other = copy.deepcopy(one)
    zimp.train(one, masks, split, start=apart, steps=steps, seed=orders[0])
    zimp.train(other, masks, split, start=apart, steps=steps, seed=orders[1])
    return one, other
""",
        "no case for apart=0": """# q6
def my_twins(start, masks, split, apart, steps, orders):
    one = copy.deepcopy(start)
    zimp.train(one, masks, split, steps=apart, seed=orders[0])
    other = copy.deepcopy(one)
    zimp.train(one, masks, split, start=apart, steps=steps, seed=orders[1])
    zimp.train(other, masks, split, start=apart, steps=steps, seed=orders[2])
    return one, other
""",
        "a step in common where there is none": """# q6
def my_twins(start, masks, split, apart, steps, orders):
    apart = max(apart, 1)
    one = copy.deepcopy(start)
    zimp.train(one, masks, split, steps=apart, seed=orders[0])
    other = copy.deepcopy(one)
    for twin, order in ((one, orders[1]), (other, orders[2])):
        if steps > apart:
            zimp.train(twin, masks, split, start=apart, steps=steps, seed=order)
    return one, other
""",
        "the twins exchanged": """# q6
def my_twins(start, masks, split, apart, steps, orders):
    one = copy.deepcopy(start)
    if apart:
        zimp.train(one, masks, split, steps=apart, seed=orders[0])
    other = copy.deepcopy(one)
    zimp.train(one, masks, split, start=apart, steps=steps, seed=orders[2])
    zimp.train(other, masks, split, start=apart, steps=steps, seed=orders[1])
    return one, other
""",
    },
}
