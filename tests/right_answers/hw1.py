"""Right answers to assignment 1 in styles other than the solution's: whole answer cells, each to get full marks."""

RIGHT = {
    "q1": {
        "lists, and numpy's numbers": """# q1
tree_edges = [(0, 0), (2, 0), (1, 0), (1, 1)]
a = np.array([0.8, 0.6, 0.5, 0.3], dtype=np.float32)
deaths = list(1 - a / a[0])
""",
    },
    "q2": {
        "numpy's integers in a list": """# q2
betti = list(np.array([5, 4, 3, 3, 2]))
""",
    },
    "q3": {
        "a class of the student's own, called DisjointSet": """# q3
class DisjointSet:
    def __init__(self, v):
        self.parent = list(range(v))

    def find(self, u):
        while self.parent[u] != u:
            self.parent[u] = self.parent[self.parent[u]]
            u = self.parent[u]
        return u

    def merge(self, u, w):
        u, w = self.find(u), self.find(w)
        self.parent[u] = w
        return u != w


def joins(v, edges):
    pieces = DisjointSet(v)
    return [pieces.merge(*edge) for edge in edges]
""",
        "labels that are written anew, in numpy": """# q3
def joins(v, edges):
    label = np.arange(v)
    result = []
    for u, w in edges:
        result.append(bool(label[u] != label[w]))
        label[label == label[w]] = label[u]
    return result
""",
        "sets that are united, the smaller into the larger": """# q3
def connected_components(v):
    return {u: {u} for u in range(v)}


def joins(v, edges):
    piece_of, said = connected_components(v), []
    for u, w in edges:
        small, large = sorted((piece_of[u], piece_of[w]), key=len)
        said.append(small is not large)
        if small is not large:
            large |= small
            for vertex in small:
                piece_of[vertex] = large
    return said
""",
        "a callable object that hangs the lower root under the higher": """# q3
class Joins:
    def __call__(self, v, edges):
        parent, rank = [-1] * v, [0] * v
        out = []
        for edge in edges:
            roots = []
            for u in edge:
                while parent[u] >= 0:
                    u = parent[u]
                roots.append(u)
            low, high = sorted(roots, key=rank.__getitem__)
            out.append(low != high)
            if low != high:
                parent[low] = high
                rank[high] = max(rank[high], rank[low] + 1)
        return out


joins = Joins()
""",
        "numpy's truth values, and lists of members": """# q3
def joins(v, edges):
    label, members = np.arange(v), {u: [u] for u in range(v)}
    out = []
    for u, w in np.array(edges):
        a, b = sorted((label[u], label[w]), key=lambda k: -len(members[k]))
        out.append(a != b)
        if a != b:
            label[members[b]] = a
            members[a] += members.pop(b)
    return out
""",
    },
    "q4": {
        "single precision": """# q4
def my_deaths(W, mask=None):
    W = np.abs(W).astype(np.float32)
    m, n = W.shape
    mask = np.ones((m, n), dtype=bool) if mask is None else mask
    a = W / W[mask].max()
    edges = sorted([(-a[i, j], i, j) for i in range(m) for j in range(n) if mask[i, j]])
    pieces = DisjointSet(range(m + n))
    out = [1 + minus for minus, i, j in edges if pieces.merge(i, m + j)]
    return np.array(out + [np.inf] * pieces.n_subsets, dtype=np.float32)
""",
        "torch, in single precision, as a list": """# q4
def my_deaths(W, mask=None):
    W = torch.tensor(np.asarray(W)).float().abs()
    mask = torch.ones_like(W, dtype=torch.bool) if mask is None else torch.tensor(mask)
    m, n = W.shape
    unit = W[mask].max()
    rows, cols = torch.nonzero(mask, as_tuple=True)
    order = torch.argsort(W[rows, cols], descending=True)
    pieces, deaths = DisjointSet(range(m + n)), []
    for i, j in zip(rows[order].tolist(), cols[order].tolist()):
        if pieces.merge(i, m + j):
            deaths.append(float(1 - W[i, j] / unit))
    return deaths + [float("inf")] * (m + n - len(deaths))
""",
        "a union-find of the student's own, called DisjointSet": """# q4
class DisjointSet:
    def __init__(self, v):
        self.parent, self.n = list(range(v)), v

    def find(self, u):
        return u if self.parent[u] == u else self.find(self.parent[u])

    def merge(self, u, w):
        u, w = self.find(u), self.find(w)
        self.parent[u] = w
        self.n -= u != w
        return u != w


def my_deaths(W, mask=None):
    m, n = np.shape(W)
    W = np.abs(W)
    where = list(zip(*np.nonzero(np.ones((m, n)) if mask is None else mask)))
    where.sort(key=lambda e: W[e], reverse=True)
    pieces = DisjointSet(m + n)
    out = [1 - W[i, j] / W[where[0]] for i, j in where if pieces.merge(int(i), m + int(j))]
    return np.concatenate([out, np.full(pieces.n, np.inf)])
""",
        "Prim's algorithm from every piece": """# q4
def minimum_spanning_tree(W, mask):
    m, n = W.shape
    left, merges = set(range(m + n)), []
    while left:
        inside = {left.pop()}
        while True:
            best = None
            for i in range(m):
                for j in range(n):
                    if mask[i, j] and (i in inside) != (m + j in inside) and (best is None or W[i, j] > best[0]):
                        best = W[i, j], i, m + j
            if best is None:
                break
            merges.append(best[0])
            inside |= set(best[1:])
            left -= inside
    return merges


def my_deaths(W, mask=None):
    W = np.abs(W)
    mask = np.ones(W.shape, dtype=bool) if mask is None else mask
    merges = minimum_spanning_tree(W, mask)
    deaths = sorted(1 - w / W[mask].max() for w in merges)
    return np.array(deaths + [np.inf] * (sum(W.shape) - len(deaths)))
""",
    },
    "q5": {
        "scipy's components of a matrix of blocks": """# q5
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components


def my_betti(W, thresholds):
    a = np.abs(W) / np.abs(W).max()
    m, n = a.shape
    out = []
    for t in thresholds:
        square = np.zeros((m + n, m + n))
        square[:m, m:] = a >= t
        out.append(connected_components(csr_array(square), directed=False)[0])
    return out
""",
        "a walk through the graph, in single precision, as an array": """# q5
def n_components(edges):
    m, n = edges.shape
    seen, pieces = set(), 0
    for start in range(m + n):
        if start in seen:
            continue
        pieces += 1
        stack = [start]
        while stack:
            v = stack.pop()
            if v not in seen:
                seen.add(v)
                stack += [m + j for j in range(n) if edges[v, j]] if v < m else [i for i in range(m) if edges[i, v - m]]
    return pieces


def my_betti(W, thresholds):
    a = np.abs(W).astype(np.float32)
    a /= a.max()
    return np.array([n_components(a >= np.float32(t)) for t in thresholds])
""",
        "the rank of the incidence matrix, in torch": """# q5
def my_betti(W, thresholds):
    a = torch.tensor(np.abs(W) / np.abs(W).max())
    m, n = a.shape
    numbers = []
    for t in thresholds:
        laplacian = torch.zeros(m + n, m + n, dtype=torch.float64)
        for i, j in torch.nonzero(a >= t).tolist():
            for v, w, sign in ((i, i, 1), (m + j, m + j, 1), (i, m + j, -1), (m + j, i, -1)):
                laplacian[v, w] += sign
        numbers.append(m + n - int(torch.linalg.matrix_rank(laplacian)))
    return numbers
""",
    },
    "q6": {
        "the diagrams in one unit": """# q6
def preserves(W, mask):
    unit = np.abs(W).max()
    full, pruned = (zimp.persistence_diagram(W, m, scale=unit) for m in (None, mask))
    return np.array_equal(full, pruned)
""",
        "components at every weight, by hand": """# q6
def pieces(edges):
    m, n = edges.shape
    label = np.arange(m + n)
    for i, j in np.argwhere(edges):
        label[label == label[m + j]] = label[i]
    return len(set(label.tolist()))


def preserves(W, mask):
    size = np.abs(W)
    return all(pieces(size >= t) == pieces((size >= t) & mask) for t in np.unique(size))
""",
        "Betti curves, with the components of the mask": """# q6
def preserves(W, mask):
    unit = np.abs(W).max()
    levels = np.unique(np.abs(W) / unit)
    return bool((zimp.betti_curve(W, levels, scale=unit) == zimp.betti_curve(W, levels, mask, scale=unit)).all())
""",
    },
    "q7": {
        "a loop, and Python's floats": """# q7
def my_persistence(deaths, convention):
    total, survivors = 0.0, 0
    for death in deaths:
        if math.isinf(death):
            survivors += 1
        else:
            total += float(death) ** 2
    if convention == "rieck":
        return math.sqrt((survivors + total) / (len(deaths) - 1))
    return math.sqrt(total / (len(deaths) - 2))


import math
""",
        "single precision, in torch": """# q7
def my_persistence(deaths, convention):
    d = torch.tensor(np.asarray(deaths), dtype=torch.float32)
    s = (d[~d.isinf()] ** 2).sum()
    if convention == "rieck":
        return torch.sqrt((d.isinf().sum() + s) / (len(d) - 1)).item()
    return torch.sqrt(s / (len(d) - 2)).item()
""",
        "norms, as numpy's float32": """# q7
def my_persistence(deaths, convention):
    d = np.array(deaths, dtype=np.float32)
    if convention == "rieck":
        return np.float32(np.linalg.norm(np.where(np.isinf(d), 1, d)) / np.sqrt(np.float32(d.size - 1)))
    return np.float32(np.linalg.norm(np.where(np.isinf(d), 0, d)) / np.sqrt(np.float32(d.size - 2)))
""",
    },
}
