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
    },
}
