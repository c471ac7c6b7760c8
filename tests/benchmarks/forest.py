"""The spanning forest beside one pass over the weights, beside other libraries, and from small to large."""

import tracemalloc

import igraph
import networkx
import numpy as np
from gph import ripser_parallel
from gudhi import SimplexTree
from ripser import ripser
from scipy.sparse import coo_array
from scipy.sparse.csgraph import minimum_spanning_tree
from timing import medians

import zimp

SIDES = (64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
THREADS = 2


def gaussian(m, n, seed=0):
    return np.random.default_rng(seed).standard_normal((m, n), dtype=np.float32)


def hard_layers(side):
    w = gaussian(side, side)
    chosen = np.random.default_rng(1).random(w.shape)
    yield "Gaussian", w
    yield "rounded to 0.1", np.round(w, 1)
    yield "rounded to 1", np.round(w)
    yield "all equal", np.ones_like(w)
    yield "sorted", np.sort(w, axis=None).reshape(w.shape)
    yield "99 % zeros", np.where(chosen < 0.99, np.float32(0), w)
    yield "every 7th row times 1e-6", w * np.where(np.arange(side) % 7, 1, 1e-6).astype(np.float32)[:, None]
    yield "every 7th column times 1e-6", w * np.where(np.arange(side) % 7, 1, 1e-6).astype(np.float32)


# Other libraries. Each is given the distances 2 - a in the form that it takes, made beforehand, and finds the deaths.


def square(entries):
    """The layer as an upper block of a sparse square matrix."""
    m, n = entries.shape
    rows, cols = np.divmod(np.arange(m * n), n)
    return coo_array((entries.ravel(), (rows, m + cols)), shape=(m + n, m + n)).tocsr()


def full(entries):
    """The layer as a dense symmetric matrix; neurons of one side are infinitely far from each other."""
    m, n = entries.shape
    matrix = np.full((m + n, m + n), np.inf)
    matrix[:m, m:], matrix[m:, :m] = entries, entries.T
    np.fill_diagonal(matrix, 0)
    return matrix


def by_scipy(graph):
    return lambda: minimum_spanning_tree(graph).data


def by_scipy_from_the_layer(w):
    def deaths():
        magnitude = np.abs(w)
        return minimum_spanning_tree(square(2 - magnitude / magnitude.max())).data

    return deaths


def by_ripser(matrix):
    return lambda: ripser(matrix, distance_matrix=True, maxdim=0)["dgms"][0][:-1, 1]


def by_giotto(matrix):
    def deaths():
        diagram = ripser_parallel(matrix, metric="precomputed", maxdim=0, n_threads=THREADS)["dgms"][0][:, 1]
        return diagram[np.isfinite(diagram)]

    return deaths


def by_gudhi(distances):
    m, n = distances.shape
    rows, cols = np.divmod(np.arange(m * n), n)
    complex_ = SimplexTree()
    complex_.insert_batch(np.arange(m + n).reshape(1, -1), np.zeros(m + n))
    complex_.insert_batch(np.stack([rows, m + cols]), distances.ravel().astype(float))

    def deaths():
        complex_.compute_persistence(min_persistence=-1, persistence_dim_max=True)
        return complex_.persistence_intervals_in_dimension(0)[:-1, 1]

    return deaths


def by_igraph(distances):
    m, n = distances.shape
    rows, cols = np.divmod(np.arange(m * n), n)
    graph = igraph.Graph(n=m + n, edges=np.stack([rows, m + cols], axis=1))
    values = distances.ravel().astype(float)
    weights = values.tolist()
    return lambda: values[graph.spanning_tree(weights=weights, return_tree=False)]


def by_networkx(distances):
    m, n = distances.shape
    graph = networkx.Graph()
    graph.add_weighted_edges_from((i, m + j, float(distances[i, j])) for i in range(m) for j in range(n))
    return lambda: np.array([edge["weight"] for *_, edge in networkx.minimum_spanning_edges(graph)])


def peers(w):
    """Each library's name, and the function that finds the deaths of the layer, raised by 1."""
    magnitude = np.abs(w)
    distances = 2 - magnitude / magnitude.max()
    return {
        "scipy, from the layer": by_scipy_from_the_layer(w),
        "scipy": by_scipy(square(distances)),
        "ripser, dense": by_ripser(full(distances)),
        "ripser, sparse": by_ripser(square(distances)),
        "giotto-ph, dense, 2 threads": by_giotto(full(distances)),
        "giotto-ph, sparse, 2 threads": by_giotto(square(distances).tocoo()),
        "GUDHI": by_gudhi(distances),
        "igraph": by_igraph(distances),
        "networkx": by_networkx(distances),
    }


def check_equal(w, compared):
    """Every library finds the same deaths, or nothing is measured."""
    ours = zimp.persistence_diagram(w, essential=False)[:, 1]
    for name, deaths in compared.items():
        theirs = np.sort(deaths()) - 1
        assert theirs.shape == ours.shape and np.allclose(theirs, ours, atol=2e-6), f"{name} finds another diagram"


def beside_the_peers(side, repeats):
    w = gaussian(side, side)
    compared = peers(w)
    check_equal(w, compared)
    return medians({"zimp": lambda: zimp.spanning_forest(w), **compared}, repeats)


def beside_scipy(m, n, repeats):
    """Small layers: scipy from the layer to the tree, and the tree alone."""
    w = gaussian(m, n)
    magnitude = np.abs(w)
    compared = {
        "scipy, from the layer": by_scipy_from_the_layer(w),
        "scipy": by_scipy(square(2 - magnitude / magnitude.max())),
    }
    check_equal(w, compared)
    return medians({"zimp": lambda: zimp.spanning_forest(w), **compared}, repeats)


def beside_one_pass(side, repeats):
    layers = dict(hard_layers(side))
    functions = {name: lambda w=w: zimp.spanning_forest(w) for name, w in layers.items()}
    return medians({"W.max()": layers["Gaussian"].max, **functions}, repeats)


def by_size():
    times = {}
    for side in SIDES:
        w = gaussian(side, side)
        functions = {"W.max()": w.max, "zimp": lambda w=w: zimp.spanning_forest(w)}
        times[side] = medians(functions, 21 if side < 8192 else 5)
    return times


def exponent(times, least=256):
    """Of the time in the number of weights: the slope of the line through the medians, both axes logarithmic."""
    sides = [side for side in times if side >= least]
    weights, seconds = np.square(sides), [times[side]["zimp"]["median"] for side in sides]
    return float(np.polyfit(np.log(weights), np.log(seconds), 1)[0])


def peak_memory(side):
    """Bytes that the forest of a large layer takes at most beyond the layer itself, as numpy reports them."""
    w = gaussian(side, side)
    tracemalloc.start()
    zimp.spanning_forest(w)
    beyond = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {"layer": w.nbytes, "beyond": beyond}


def measure():
    by_side = by_size()
    return {
        "one_pass": beside_one_pass(4096, 21),
        "by_size": {str(side): times for side, times in by_side.items()},
        "exponent": exponent(by_side),
        "peers": {str(side): beside_the_peers(side, 7 if side < 1024 else 3) for side in SIDES if side <= 1024},
        "small": {f"{m}x{n}": beside_scipy(m, n, 41) for m, n in ((10, 100), (300, 784))},
        "memory": peak_memory(16384),
    }


def goals(measured):
    """Each goal: what, the figure, and the bound on it."""
    one_pass = {name: times["median"] for name, times in measured["one_pass"].items()}
    yield "4096x4096 Gaussian / W.max()", one_pass["Gaussian"] / one_pass["W.max()"], "<=", 5
    alone = measured["by_size"]["4096"]
    yield "the same, the two alone, in cache", alone["zimp"]["median"] / alone["W.max()"]["median"], "<=", 5
    for name in list(one_pass)[2:]:
        yield f"4096x4096 {name} / Gaussian", one_pass[name] / one_pass["Gaussian"], "<=", 3
    at_1024 = {name: times["median"] for name, times in measured["peers"]["1024"].items()}
    for name, bound in {"ripser, dense": 100, "ripser, sparse": 100, "giotto-ph, dense, 2 threads": 30,
                        "giotto-ph, sparse, 2 threads": 30}.items():  # fmt: skip
        yield f"1024x1024, {name} / zimp", at_1024[name] / at_1024["zimp"], ">=", bound
    yield "exponent of time in mn, side 256 to 16384", measured["exponent"], "<=", 1.1
    memory = measured["memory"]
    yield "16384x16384, memory beyond the layer / layer", memory["beyond"] / memory["layer"], "<=", 1.3
    for shape, bound in (("300x784", 20), ("10x100", 2)):
        times = measured["small"][shape]
        yield f"{shape}, scipy / zimp", times["scipy, from the layer"]["median"] / times["zimp"]["median"], ">=", bound
    for shape, bound in (("300x784", 1.5), ("10x100", 0.15)):
        yield f"{shape}, ms (a guide)", 1000 * measured["small"][shape]["zimp"]["median"], "<=", bound
