"""Right answers to assignment 2 in styles other than the solution's: whole answer cells, each to get full marks."""

RIGHT = {
    "q1": {
        "single precision": """# q1
def network_compression(shapes):
    s = np.array(shapes, dtype=np.float32)
    return np.float32(s.prod(axis=1).sum()) / np.float32((s.sum(axis=1) - 1).sum())
""",
        "a loop, with a helper called tree_sizes": """# q1
def tree_sizes(m, n):
    return m + n - 1


def network_compression(shapes):
    top = bottom = 0
    for m, n in shapes:
        top += m * n
        bottom += tree_sizes(m, n)
    return top / bottom
""",
    },
    "q2": {
        "logarithms, and a key of two": """# q2
def first_at_its_end(shapes, rate):
    def end(layer):
        ratio = shapes[layer][0] * shapes[layer][1] / (sum(shapes[layer]) - 1)
        return math.floor(math.log(ratio) / -math.log(1 - rate)), ratio
    first = min(range(len(shapes)), key=end)
    return first, end(first)[0]
""",
        "level by level, in exact fractions": """# q2
def first_at_its_end(shapes, rate):
    from fractions import Fraction

    rate, level = Fraction(str(rate)), 0
    while True:
        over = [k for k, (m, n) in enumerate(shapes) if (1 - rate) ** (level + 1) * m * n < m + n - 1]
        if over:
            return min(over, key=lambda k: Fraction(shapes[k][0] * shapes[k][1], sum(shapes[k]) - 1)), level
        level += 1
""",
        "single precision": """# q2
def first_at_its_end(shapes, rate):
    m, n = np.array(shapes, dtype=np.float32).T
    left, need, level = m * n, m + n - 1, 0
    first = int(np.argmin(left / need))
    while (left * np.float32(1 - rate))[first] >= need[first]:
        left = left * np.float32(1 - rate)
        level += 1
    return first, level
""",
        "a list of numpy's integers": """# q2
def first_at_its_end(shapes, rate):
    m, n = np.transpose(shapes)
    ratio = m * n / (m + n - 1)
    levels = np.arange(1000)
    return [np.argmin(ratio), np.flatnonzero((1 - rate) ** levels * ratio.min() >= 1).max()]
""",
    },
    "q3": {
        "all blocks, one after the other": """# q3
def least_rank(k, m, n):
    best = 0 if k == 0 else m + n
    for a in range(1, m + 1):
        for b in range(1, n + 1):
            if k and a * b >= k:
                best = min(best, a + b - 1)
    return best
""",
        "numpy's tables": """# q3
def least_rank(k, m, n):
    a, b = np.ogrid[1 : m + 1, 1 : n + 1]
    return int((a + b - 1)[a * b >= k].min()) if k > 0 else 0
""",
        "a helper called retention_bound": """# q3
def retention_bound(k, m, n):
    return min(a + max(1, -(-k // a)) - 1 for a in range(1, m + 1) if a * n >= k)


def least_rank(k, m, n):
    return retention_bound(k, m, n) if k else 0
""",
    },
    "q4": {
        "single precision, all weights different": """# q4
def worst_layer(k, m, n):
    a, b = min(((a, b) for a in range(1, m + 1) for b in range(1, n + 1) if a * b >= k), key=sum)
    rng = np.random.default_rng(0)
    layer = rng.uniform(0.1, 0.2, size=(m, n)).astype(np.float32)
    layer[m - a :, n - b :] = -rng.uniform(1, 2, size=(a, b))
    return layer
""",
        "zeros around the block, as a list": """# q4
def worst_layer(k, m, n):
    rank = zimp.retention_bound(k, m, n)
    a = next(a for a in range(1, m + 1) if 1 <= rank + 1 - a <= n and a * (rank + 1 - a) >= k)
    return [[float(i < a and j < rank + 1 - a) for j in range(n)] for i in range(m)]
""",
    },
    "q5": {
        "pieces counted by hand, in a helper called spanning_forest": """# q5
def spanning_forest(mask):
    m, n = mask.shape
    label, edges = list(range(m + n)), 0
    for i, j in np.argwhere(mask):
        old, new = label[m + j], label[i]
        edges += old != new
        label = [new if x == old else x for x in label]
    return edges


def share_kept(W, k, mask):
    return spanning_forest(zimp.magnitude_mask(W, k, mask)) / spanning_forest(mask)
""",
        "single precision, and scipy's components": """# q5
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def share_kept(W, k, mask):
    def rank(edges):
        m, n = edges.shape
        i, j = np.nonzero(edges)
        graph = coo_array((np.ones(len(i)), (i, m + j)), shape=(m + n, m + n))
        return m + n - connected_components(graph, directed=False)[0]
    W = W.astype(np.float32)
    return np.float32(rank(zimp.magnitude_mask(W, k, mask))) / np.float32(rank(mask))
""",
    },
    "q6": {
        "single precision, and the masks by permutation": """# q6
def coupon_density(m, n, p):
    low, high, one = np.float32(0), np.float32(1), np.float32(1)
    for _ in range(25):
        middle = (low + high) / 2
        if m * (one - middle) ** n + n * (one - middle) ** m > -np.log(np.float32(p)):
            low = middle
        else:
            high = middle
    return max(high, np.float32((m + n - 1) / (m * n)))


def estimate_connected(m, n, density, trials, rng):
    keep, good = round(density * m * n), 0
    for _ in range(trials):
        mask = np.zeros(m * n, dtype=bool)
        mask[rng.permutation(m * n)[:keep]] = True
        good += zimp.count_components(mask.reshape(m, n)) == 1
    return np.float32(good / trials)
""",
        "a root of scipy's, and normal weights": """# q6
from scipy.optimize import bisect


def coupon_density(m, n, p):
    tree = (m + n - 1) / (m * n)
    left = lambda d: m * (1 - d) ** n + n * (1 - d) ** m + math.log(p)
    return tree if left(tree) < 0 else bisect(left, tree, 1, xtol=1e-10)


def estimate_connected(m, n, density, trials, rng):
    def connected():
        W = np.abs(rng.normal(size=(m, n)))
        keep = int(round(density * m * n))
        mask = W > np.sort(W.ravel())[-keep - 1] if keep < m * n else W >= 0
        rows, cols = {0}, set()
        while True:
            new = set(np.flatnonzero(mask[sorted(rows)].any(axis=0)).tolist())
            more = set(np.flatnonzero(mask[:, sorted(new)].any(axis=1)).tolist()) if new else set()
            if new == cols and more <= rows:
                return len(rows) == m and len(cols) == n
            rows, cols = rows | more, new
    return np.mean([connected() for _ in range(trials)])
""",
    },
    "q7": {
        "helpers called tree_sizes and layer_graph": """# q7
def tree_sizes(vertices, pieces):
    return vertices - pieces


def layer_graph(side, kernel, padding):
    padded = side + 2 * padding
    return padded, padded - kernel + 1


def channel_trees(c_out, c_in, kernel, groups):
    return tree_sizes(c_out + c_in * kernel**2, groups), tree_sizes(c_out + c_in, groups)


def pixel_sizes(height, width, kernel, padding):
    (rows, out_rows), (cols, out_cols) = (layer_graph(side, kernel, padding) for side in (height, width))
    outputs = out_rows * out_cols
    pieces = rows * cols if kernel == 1 else 1
    return outputs * kernel * kernel, tree_sizes(rows * cols + outputs, pieces)
""",
        "numpy's numbers, and the graph itself where it is in pieces": """# q7
def channel_trees(c_out, c_in, kernel, groups):
    per_group = np.array([c_out // groups + c_in // groups * kernel**2 - 1, c_out // groups + c_in // groups - 1])
    return tuple(groups * per_group)


def pixel_sizes(height, width, kernel, padding):
    size = np.array([height, width]) + 2 * padding
    out = np.prod(size - kernel + 1)
    return [out * kernel**2, out if kernel == 1 else np.prod(size) + out - 1]
""",
    },
}
