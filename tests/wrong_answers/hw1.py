"""Typical wrong answers to assignment 1: whole answer cells, each to lose points of its own question only."""

WRONG = {
    "q1": {
        "the four heaviest edges, cycle or not": """# q1
tree_edges = {(1, 0), (0, 0), (1, 1), (0, 1)}
deaths = (0.0, 0.25, 0.375, 0.5)
""",
        "distances not in units of the heaviest weight": """# q1
tree_edges = {(1, 0), (0, 0), (1, 1), (2, 0)}
deaths = (0.2, 0.4, 0.5, 0.7)
""",
        "the heaviest weight without abs": """# q1
tree_edges = {(0, 0), (1, 1), (0, 1), (2, 0)}
deaths = (0.0, 1 - 0.5 / 0.6, 1 - 0.4 / 0.6, 1 - 0.3 / 0.6)
""",
        "input first": """# q1
tree_edges = {(0, 1), (0, 0), (1, 1), (0, 2)}
deaths = (0.0, 0.25, 0.375, 0.625)
""",
    },
    "q2": {
        "isolated neurons forgotten": """# q2
betti = (1, 1, 1, 1, 2)
""",
        "edges with a = t left out": """# q2
betti = (6, 4, 4, 3, 3)
""",
        "a weight of 0 taken for a pruned one": """# q2
betti = (5, 4, 3, 3, 3)
""",
        "every edge joins, a cycle too": """# q2
betti = (5, 4, 3, 2, 1)
""",
    },
    "q3": {
        "compares the ends, not the roots": """# q3
def joins(v, edges):
    parent = list(range(v))
    out = []
    for u, w in edges:
        out.append(parent[u] != parent[w])
        parent[w] = parent[u]
    return out
""",
        "finds the roots, but hangs the end and not its root": """# q3
def joins(v, edges):
    parent = list(range(v))

    def find(u):
        while parent[u] != u:
            u = parent[u]
        return u

    out = []
    for u, w in edges:
        r, s = find(u), find(w)
        out.append(r != s)
        if r != s:
            parent[w] = r
    return out
""",
        "walks by recursion": """# q3
def joins(v, edges):
    parent = list(range(v))

    def find(u):
        return u if parent[u] == u else find(parent[u])

    out = []
    for u, w in edges:
        r, s = find(u), find(w)
        out.append(r != s)
        parent[r] = s
    return out
""",
        "scipy's union-find": """# q3
def joins(v, edges):
    pieces = DisjointSet(range(v))
    return [pieces.merge(u, w) for u, w in edges]
""",
        "scipy's union-find under another name": """# q3
Pieces = DisjointSet


def joins(v, edges):
    pieces = Pieces(range(v))
    return [pieces.merge(u, w) for u, w in edges]
""",
        "scipy's union-find by getattr": """# q3
def joins(v, edges):
    merge = getattr(__import__("scipy.cluster.hierarchy", fromlist=["x"]), "Disjoint" + "Set")(range(v)).merge
    return [merge(u, w) for u, w in edges]
""",
        "an edge from a vertex to itself joins": """# q3
def joins(v, edges):
    label = list(range(v))
    out = []
    for u, w in edges:
        out.append(u == w or label[u] != label[w])
        new, old = label[u], label[w]
        if new != old:
            label = [new if x == old else x for x in label]
    return out
""",
        "an edge between vertices seen before joins nothing": """# q3
def joins(v, edges):
    seen, out = set(), []
    for u, w in edges:
        out.append(u != w and not (u in seen and w in seen))
        seen |= {u, w}
    return out
""",
    },
    "q4": {
        "largest W in place of largest |W|": """# q4
def my_deaths(W, mask=None):
    m, n = W.shape
    if mask is None:
        mask = np.ones((m, n), dtype=bool)
    a = np.abs(W) / W[mask].max()
    edges = sorted([(-a[i, j], i, j) for i in range(m) for j in range(n) if mask[i, j]])
    pieces = DisjointSet(range(m + n))
    out = [1 + minus for minus, i, j in edges if pieces.merge(i, m + j)]
    return np.array(out + [np.inf] * pieces.n_subsets)
""",
        "pruned weights taken for weights of 0": """# q4
def my_deaths(W, mask=None):
    m, n = W.shape
    if mask is None:
        mask = np.ones((m, n), dtype=bool)
    a = np.abs(W * mask) / np.abs(W * mask).max()
    edges = sorted([(-a[i, j], i, j) for i in range(m) for j in range(n)])
    pieces = DisjointSet(range(m + n))
    out = [1 + minus for minus, i, j in edges if pieces.merge(i, m + j)]
    return np.array(out + [np.inf] * pieces.n_subsets)
""",
        "one infinite death, however many pieces": """# q4
def my_deaths(W, mask=None):
    m, n = W.shape
    if mask is None:
        mask = np.ones((m, n), dtype=bool)
    a = np.abs(W) / np.abs(W[mask]).max()
    edges = sorted([(-a[i, j], i, j) for i in range(m) for j in range(n) if mask[i, j]])
    pieces = DisjointSet(range(m + n))
    out = [1 + minus for minus, i, j in edges if pieces.merge(i, m + j)]
    return np.array(out + [np.inf])
""",
        "inputs numbered from n on": """# q4
def my_deaths(W, mask=None):
    m, n = W.shape
    if mask is None:
        mask = np.ones((m, n), dtype=bool)
    a = np.abs(W) / np.abs(W[mask]).max()
    edges = sorted([(-a[i, j], i, j) for i in range(m) for j in range(n) if mask[i, j]])
    pieces = DisjointSet(range(m + n))
    out = [1 + minus for minus, i, j in edges if pieces.merge(i, (n + j) % (m + n))]
    return np.array(out + [np.inf] * pieces.n_subsets)
""",
        "calls zimp": """# q4
def my_deaths(W, mask=None):
    return zimp.persistence_diagram(W, mask)[:, 1]
""",
        "zimp under another name": """# q4
_pd = zimp.persistence_diagram


def my_deaths(W, mask=None):
    return _pd(W, mask)[:, 1]
""",
        "zimp by getattr": """# q4
def my_deaths(W, mask=None):
    return getattr(zimp, "persistence_" + "diagram")(W, mask)[:, 1]
""",
        "zimp's names imported": """# q4
from zimp import *
from zimp import persistence_diagram


def helper(*layer):
    return persistence_diagram(*layer)


def my_deaths(W, mask=None):
    return helper(W, mask)[:, 1]
""",
        "scipy's spanning tree under another name": """# q4
from scipy.sparse.csgraph import minimum_spanning_tree as tree_of


def my_deaths(W, mask=None):
    a = np.abs(W)
    mask = np.ones(a.shape, dtype=bool) if mask is None else mask
    m, n = a.shape
    unit = a[mask].max()
    square = np.zeros((m + n, m + n))
    square[:m, m:] = np.where(mask, 2 - a / unit, 0)
    found = np.sort(tree_of(square).data) - 1
    return np.concatenate([found, np.full(m + n - len(found), np.inf)])
""",
        "the unit of the whole layer": """# q4
def my_deaths(W, mask=None):
    m, n = W.shape
    mask = np.ones((m, n), dtype=bool) if mask is None else mask
    a = np.abs(W) / np.abs(W).max()
    edges = sorted([(-a[i, j], i, j) for i in range(m) for j in range(n) if mask[i, j]])
    pieces = DisjointSet(range(m + n))
    out = [1 + minus for minus, i, j in edges if pieces.merge(i, m + j)]
    return np.array(out + [np.inf] * pieces.n_subsets)
""",
        "a weight of 0 is no edge": """# q4
def my_deaths(W, mask=None):
    m, n = W.shape
    mask = np.ones((m, n), dtype=bool) if mask is None else mask
    a = np.abs(W) / np.abs(W[mask]).max()
    edges = sorted([(-a[i, j], i, j) for i in range(m) for j in range(n) if mask[i, j] and W[i, j]])
    pieces = DisjointSet(range(m + n))
    out = [1 + minus for minus, i, j in edges if pieces.merge(i, m + j)]
    return np.array(out + [np.inf] * pieces.n_subsets)
""",
        "merging weights, not distances": """# q4
def my_deaths(W, mask=None):
    m, n = W.shape
    mask = np.ones((m, n), dtype=bool) if mask is None else mask
    a = np.abs(W) / np.abs(W[mask]).max()
    edges = sorted([(-a[i, j], i, j) for i in range(m) for j in range(n) if mask[i, j]])
    pieces = DisjointSet(range(m + n))
    out = sorted(-minus for minus, i, j in edges if pieces.merge(i, m + j))
    return np.array(out + [np.inf] * pieces.n_subsets)
""",
    },
    "q5": {
        "edges heavier than t only": """# q5
def my_betti(W, thresholds):
    a = np.abs(W) / np.abs(W).max()
    m, n = a.shape
    out = []
    for t in thresholds:
        pieces = DisjointSet(range(m + n))
        for i, j in np.argwhere(a > t):
            pieces.merge(i, m + j)
        out.append(pieces.n_subsets)
    return out
""",
        "neurons minus edges": """# q5
def my_betti(W, thresholds):
    a = np.abs(W) / np.abs(W).max()
    return [max(1, sum(a.shape) - int((a >= t).sum())) for t in thresholds]
""",
        "isolated neurons forgotten": """# q5
def my_betti(W, thresholds):
    a = np.abs(W) / np.abs(W).max()
    m, n = a.shape
    out = []
    for t in thresholds:
        edges = np.argwhere(a >= t)
        pieces = DisjointSet({int(i) for i, j in edges} | {m + int(j) for i, j in edges})
        for i, j in edges:
            pieces.merge(int(i), m + int(j))
        out.append(pieces.n_subsets)
    return out
""",
        "largest W in place of largest |W|": """# q5
def my_betti(W, thresholds):
    a = np.abs(W) / W.max()
    m, n = a.shape
    out = []
    for t in thresholds:
        pieces = DisjointSet(range(m + n))
        for i, j in np.argwhere(a >= t):
            pieces.merge(i, m + j)
        out.append(pieces.n_subsets)
    return out
""",
        "a weight of 0 is no edge": """# q5
def my_betti(W, thresholds):
    a = np.abs(W) / np.abs(W).max()
    m, n = a.shape
    out = []
    for t in thresholds:
        pieces = DisjointSet(range(m + n))
        for i, j in np.argwhere((a >= t) & (a > 0)):
            pieces.merge(i, m + j)
        out.append(pieces.n_subsets)
    return out
""",
        "thresholds not in units of the largest weight": """# q5
def my_betti(W, thresholds):
    m, n = W.shape
    out = []
    for t in thresholds:
        pieces = DisjointSet(range(m + n))
        for i, j in np.argwhere(np.abs(W) >= t):
            pieces.merge(i, m + j)
        out.append(pieces.n_subsets)
    return out
""",
        "zimp under another name": """# q5
curve = zimp.betti_curve


def my_betti(W, thresholds):
    return curve(W, thresholds).tolist()
""",
    },
    "q6": {
        "connected is enough": """# q6
def preserves(W, mask):
    return zimp.count_components(mask) == 1
""",
        "each diagram in its own unit": """# q6
def preserves(W, mask):
    return np.array_equal(zimp.persistence_diagram(W), zimp.persistence_diagram(W, mask))
""",
        "must hold the very tree that zimp finds": """# q6
def preserves(W, mask):
    return bool(mask[zimp.spanning_forest(W).mask].all())
""",
        "pruned weights set to 0": """# q6
def preserves(W, mask):
    return np.array_equal(zimp.spanning_forest(W).values, zimp.spanning_forest(W * mask).values)
""",
        "as many edges as a tree": """# q6
def preserves(W, mask):
    return bool(mask.sum() >= sum(W.shape) - 1)
""",
        "the heaviest merging weight, of as many": """# q6
def preserves(W, mask):
    full, pruned = zimp.spanning_forest(W), zimp.spanning_forest(W, mask)
    return len(full) == len(pruned) and bool(np.isclose(full.values.max(), pruned.values.max()))
""",
        "the finite deaths only, in the unit of the full layer, and of as many as there are": """# q6
def preserves(W, mask):
    full, pruned = zimp.spanning_forest(W).values, zimp.spanning_forest(W, mask).values
    return bool(np.array_equal(full[: len(pruned)], pruned))
""",
        "the neural persistence is the same": """# q6
def preserves(W, mask):
    return bool(np.isclose(zimp.neural_persistence(W), zimp.neural_persistence(W, mask)))
""",
    },
    "q7": {
        "divides by the bars that end": """# q7
def my_persistence(deaths, convention):
    finite = deaths[np.isfinite(deaths)]
    if convention == "rieck":
        return np.sqrt((np.isinf(deaths).sum() + (finite**2).sum()) / len(finite))
    return np.sqrt((finite**2).sum() / (len(finite) - 1))
""",
        "one bar that never ends, however many there are": """# q7
def my_persistence(deaths, convention):
    finite = deaths[np.isfinite(deaths)]
    if convention == "rieck":
        return np.sqrt((1 + (finite**2).sum()) / (len(deaths) - 1))
    return np.sqrt((finite**2).sum() / (len(deaths) - 2))
""",
        "no root": """# q7
def my_persistence(deaths, convention):
    finite = deaths[np.isfinite(deaths)]
    if convention == "rieck":
        return (len(deaths) - len(finite) + (finite**2).sum()) / (len(deaths) - 1)
    return (finite**2).sum() / (len(deaths) - 2)
""",
        "takes the deaths for weights": """# q7
def my_persistence(deaths, convention):
    finite = 1 - deaths[np.isfinite(deaths)]
    if convention == "rieck":
        return np.sqrt((len(deaths) - len(finite) + (finite**2).sum()) / (len(deaths) - 1))
    return np.sqrt((finite**2).sum() / (len(deaths) - 2))
""",
        "both conventions as that of Rieck": """# q7
def my_persistence(deaths, convention):
    finite = deaths[np.isfinite(deaths)]
    return np.sqrt((len(deaths) - len(finite) + (finite**2).sum()) / (len(deaths) - 1))
""",
        "the norm, not normalised": """# q7
def my_persistence(deaths, convention):
    finite = deaths[np.isfinite(deaths)]
    survivors = len(deaths) - len(finite) if convention == "rieck" else 0
    return np.sqrt(survivors + (finite**2).sum())
""",
        "p = 1": """# q7
def my_persistence(deaths, convention):
    finite = deaths[np.isfinite(deaths)]
    if convention == "rieck":
        return (len(deaths) - len(finite) + finite.sum()) / (len(deaths) - 1)
    return finite.sum() / (len(deaths) - 2)
""",
    },
}
