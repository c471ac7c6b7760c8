"""What the tests compare with: slow, plain, and straight from the definitions."""

import itertools

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.sparse import block_array, coo_array
from scipy.sparse.csgraph import connected_components

WEIGHTS = arrays(
    np.float64,
    array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.sampled_from([-1.5, -1, -0.5, 0, 0.25, 0.5, 1]) | st.floats(-10, 10, width=32),
)


@st.composite
def layers(draw):
    """Weights and a mask, or None."""
    weights = draw(WEIGHTS)
    return weights, draw(st.none() | arrays(bool, weights.shape))


@st.composite
def convolutions(draw):
    """Of a convolution in one to three dimensions: size of the image, kernel, and the other settings."""
    dimensions = draw(st.integers(1, 3))
    draw_each = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(dimensions))  # noqa: E731
    kernel, dilation, padding = draw_each(1, 3), draw_each(1, 3), draw_each(0, 2)
    least = [max(1, d * (k - 1) + 1 - 2 * pad) for k, d, pad in zip(kernel, dilation, padding)]
    size = tuple(low + more for low, more in zip(least, draw_each(0, 9 // dimensions)))
    return size, kernel, {"padding": padding, "stride": draw_each(1, 4), "dilation": dilation}


def gaussian(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def present(weights, mask):
    return np.ones(weights.shape, dtype=bool) if mask is None else mask


def forest_edges(edges):
    """Kruskal's algorithm by union-find alone: of edges (vertex, vertex, value) those of the heaviest forest."""
    parent = {}

    def root(vertex):
        while parent.setdefault(vertex, vertex) != vertex:
            parent[vertex] = vertex = parent[parent[vertex]]
        return vertex

    forest = []
    for u, v, value in sorted(edges, key=lambda edge: -edge[2]):
        if root(u) != root(v):
            parent[root(u)] = root(v)
            forest.append((u, v, value))
    return forest


def kruskal(weights, mask=None):
    """The maximum spanning forest of a layer: its edges (row, col, value), heaviest first."""
    m, n = len(weights), len(weights[0])
    edges = [(i, m + j, abs(float(weights[i][j]))) for i in range(m) for j in range(n) if mask is None or mask[i][j]]
    return [(i, vertex - m, value) for i, vertex, value in forest_edges(edges)]


def components(mask):
    """Components of the bipartite graph of a mask, or of the stored entries of a sparse array, by scipy."""
    edges = coo_array(mask)
    edges.data = np.ones(len(edges.data))  # scipy takes a stored zero for no edge
    return connected_components(block_array([[None, edges], [edges.T, None]]), directed=False)[0]


def pixel_edges(size, kernel, *, padding, stride, dilation):
    """Of one filter, the entry of its kernel on each edge (output pixel, pixel of the padded input)."""
    padded = [pixels + 2 * pad for pixels, pad in zip(size, padding)]
    outputs = [(p - d * (k - 1) - 1) // s + 1 for p, k, s, d in zip(padded, kernel, stride, dilation)]
    number = {pixel: position for position, pixel in enumerate(itertools.product(*map(range, padded)))}
    return {
        (row, number[tuple(s * i + d * a for i, a, s, d in zip(output, entry, stride, dilation))]): entry
        for row, output in enumerate(itertools.product(*map(range, outputs)))
        for entry in itertools.product(*map(range, kernel))
    }


def import_torchvision():
    """Where torchvision's wheel was compiled for another build of torch, its operators are missing and it does not
    import; once they are declared, what of it is pure Python can be tested all the same."""
    try:
        import torchvision
    except RuntimeError:
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision
    return torchvision
