"""How far a layer can be pruned, computed from its size alone.

* :func:`zimp.critical_compression`: the best that any method can do while it keeps H0
  (:func:`zimp.spatial_critical_compression` and :func:`zimp.spatial_sizes` for the paper's graph of a convolution).
* :func:`zimp.retention_bound`: the worst that magnitude pruning can do to the tree.
* :func:`zimp.connectivity_density`: where magnitude pruning typically starts to lose H0, if the weights are
  independent and identically distributed.

Sizes may be integers of any length, because no function counts up to them.
"""

from __future__ import annotations

import math

from .checks import at_least_one, number, per_dimension, whole

__all__ = [
    "critical_compression",
    "spatial_critical_compression",
    "spatial_sizes",
    "retention_bound",
    "connectivity_density",
]


def critical_compression(m, n) -> float:
    """The compression ratio of a dense layer once only a spanning tree remains, ``m n / (m + n - 1)``.

    Pruned further, the layer falls apart and its H0 changes, whatever the method.

    Parameters
    ----------
    m, n : int
        Outputs and inputs of the layer.

    Returns
    -------
    float
        Infinite where the ratio is above the largest float.

    Raises
    ------
    ValueError
        For sizes that are not positive whole numbers.

    References
    ----------
    Balwani & Krzyston 2022, their ``eta_c``. Not the "critical compression" of SynFlow (Tanaka et al. 2020).

    Examples
    --------
    >>> import zimp
    >>> round(zimp.critical_compression(300, 784), 5)
    217.17452
    """
    m, n = at_least_one("m", m), at_least_one("n", n)
    return _quotient(m * n, m + n - 1)


def spatial_critical_compression(height, width, kernel=3, padding=1, stride=1, dilation=1) -> float:
    """The critical compression ratio of a convolution seen as a graph of pixels.

    One filter joins each of the ``q`` output pixels to the ``k k`` pixels under its kernel, among the ``p`` pixels of
    the padded input. With stride and dilation 1 (and ``k > 1``) that graph is connected, and the ratio is
    ``k k q / (p + q - 1)``; see :func:`zimp.spatial_sizes` for the others. The ratio counts edges of this graph, not
    parameters: edges share their weights.

    Parameters
    ----------
    height, width : int
        Pixels of the input, without padding.
    kernel : int
        Side ``k`` of the square kernel.
    padding : int
        Rows and columns of zeros added on each side.
    stride, dilation : int

    Returns
    -------
    float

    Raises
    ------
    ValueError
        As :func:`zimp.spatial_sizes`.

    References
    ----------
    Balwani & Krzyston 2022, their ``spatial`` graph, for 3x3 kernels with padding 1.

    Examples
    --------
    >>> import zimp
    >>> round(zimp.spatial_critical_compression(32, 32), 5)
    4.22946
    """
    edges, tree = spatial_sizes((height, width), kernel, padding=padding, stride=stride, dilation=dilation)
    return _quotient(edges, tree)


def spatial_sizes(input_size, kernel, *, padding=0, stride=1, dilation=1) -> tuple[int, int]:
    """Edges of the pixel graph of one filter of a convolution, and edges of its spanning forest.

    Along one dimension there are ``q`` output positions, a kernel ``k``, a stride ``s`` and a dilation ``d``; divide
    ``s`` and ``d`` by their greatest common divisor. Two outputs can share an input only if they are a multiple of
    ``d`` apart, and those exactly ``d`` apart do if ``s < k``. So the outputs fall into ``c = min(d, q)`` components
    (``c = q`` if ``s >= k``), which reach ``r = c k + (q - c) min(s, k)`` inputs. Dimensions multiply: ``prod(q)``
    outputs and ``prod(r)`` inputs are in ``prod(c)`` components, and their forest has
    ``prod(q) + prod(r) - prod(c)`` edges. Pixels that no kernel reaches stay alone.

    Parameters
    ----------
    input_size : int or sequence of int
        Pixels of the input in each dimension, without padding.
    kernel, padding, stride, dilation : int or sequence of int
        As ``torch.nn.Conv2d`` takes them; one number stands for all dimensions.

    Returns
    -------
    (int, int)

    Raises
    ------
    ValueError
        For sizes that are not whole numbers of their range, as many as there are dimensions, or a kernel that reaches
        beyond the padded input.

    References
    ----------
    Balwani & Krzyston 2022 for the graph; the count for any stride and dilation is ours. That dimensions multiply is
    Weichsel 1962: a product of two connected bipartite graphs has just two components.

    Examples
    --------
    >>> import zimp
    >>> zimp.spatial_sizes((224, 224), kernel=7, padding=3, stride=2)  # the first layer of a ResNet
    (614656, 64984)
    """
    sizes = per_dimension("input_size", input_size, None, least=1)
    kernels, strides, dilations = (
        per_dimension(name, value, len(sizes), least=1)
        for name, value in (("kernel", kernel), ("stride", stride), ("dilation", dilation))
    )
    paddings = per_dimension("padding", padding, len(sizes), least=0)
    outputs = edges = components = reached = 1
    for size, k, pad, s, d in zip(sizes, kernels, paddings, strides, dilations):
        size += 2 * pad
        span = d * (k - 1) + 1
        if span > size:
            raise ValueError(f"a kernel that spans {span} pixels does not fit into the {size} of the padded input")
        q = (size - span) // s + 1
        common = math.gcd(s, d)
        s, d = s // common, d // common
        c = min(d, q) if s < k else q
        outputs, edges, components = outputs * q, edges * k * q, components * c
        reached *= c * k + (q - c) * min(s, k)
    return edges, reached + outputs - components


def retention_bound(kept, m, n) -> int:
    """The least size of a spanning forest of any ``kept`` edges of an ``m x n`` layer: the square-root law, exactly.

    Whatever the weights, the ``kept`` heaviest of them contain at least this many edges of the maximum spanning tree.
    It is the minimum of ``a + b - 1`` over the blocks ``a <= m, b <= n`` with ``a b >= kept``; a full block attains it.

    Parameters
    ----------
    kept : int
        Number of weights that are kept, from 0 to ``m n``.
    m, n : int
        Outputs and inputs of the layer.

    Returns
    -------
    int
        At least ``2 sqrt(kept) - 1``.

    Raises
    ------
    ValueError
        For sizes that are not positive whole numbers, or ``kept`` outside 0 to ``m n``.

    Examples
    --------
    >>> import zimp
    >>> zimp.retention_bound(11760, 300, 784)  # 5 % of the weights of a 300 x 784 layer: a 108 x 109 block
    216
    """
    m, n = at_least_one("m", m), at_least_one("n", n)
    kept = whole("kept", kept, "a whole number; it counts weights, and a density d leaves round(d * m * n) of them")
    if not 0 <= kept <= m * n:
        raise ValueError(f"kept={kept} must lie between 0 and the {m * n} weights of a {m}x{n} layer")
    if kept == 0:
        return 0
    # A block with a rows needs b = ceil(kept / a) columns, from a = ceil(kept / n) on, and a + b = ceil(a + kept / a).
    # That is least where the convex a + kept / a is: next to sqrt(kept), or at the end of the range near it. And of the
    # neighbours s and s + 1 the lower is never worse: for kept = s s + r they give 2 s + ceil(r / s) and
    # 2 s + ceil((r + 1) / (s + 1)), both 2 s + 1 for 0 < r <= s, and both 2 s + 2 from there to r = 2 s.
    rows = min(max(math.isqrt(kept), -(-kept // n)), m)
    return rows + -(-kept // rows) - 1


def connectivity_density(m, n, probability=0.5) -> float:
    """The density at which a layer of random weights is connected with the given probability.

    If the weights are independent and identically distributed, from a continuous distribution, magnitude pruning to
    density ``d`` leaves a uniform random bipartite graph, and what breaks off first are single neurons. An output
    loses all of its ``n`` edges with probability ``(1 - d)**n``, so the expected number of isolated neurons is
    ``m (1 - d)**n + n (1 - d)**m``. It is ``-log(probability)`` at the density that is returned, because the number of
    isolated neurons is nearly Poisson. The result is never below the density ``(m + n - 1) / (m n)`` of a spanning
    tree, since no graph with fewer edges is connected. For a single row or column that is 1.

    Parameters
    ----------
    m, n : int
        Outputs and inputs of the layer.
    probability : float
        Strictly between 0 and 1.

    Returns
    -------
    float
        Between 0 and 1. The theorem behind it is for layers of which both sides are large, and comparable. The
        approximation is good for thin layers too, except for a single row or column: with at least 12 neurons on one
        side and 2 on the other, the exact probability at a density is within 0.1 of the one given here, and from 300 x
        784 to 20 x 20000 simulated layers agree with it up to chance. In a smaller layer the probability jumps from one
        number of edges to the next: at the density for 0.5, a 4 x 4 layer is connected with probability 0.36.

    Raises
    ------
    ValueError
        For sizes that are not positive whole numbers, or a probability outside (0, 1).

    References
    ----------
    Palasti 1964; the coupon collector's law. Its use for pruned layers is ours.

    Examples
    --------
    >>> import zimp
    >>> round(zimp.connectivity_density(300, 784), 4)
    0.0232
    """
    m, n = at_least_one("m", m), at_least_one("n", n)
    share = number("probability", probability)
    if not 0 < share < 1:
        raise ValueError(f"probability={probability} must lie strictly between 0 and 1; the median is 0.5")
    few, many = min(m, n), max(m, n)
    isolated = -math.log(share)  # the expected number of isolated neurons that gives this probability
    larger, smaller = (math.log(size) - math.log(isolated) for size in (many, few))
    # With t = -few log(1 - d) the terms are many exp(-t) and few exp(-t many / few). The second is the smaller one, so
    # the first is between half of the sum and all of it, and t is at most log 2 above where the first alone would do.
    low, high, ratio = max(0.0, larger), max(0.0, larger + math.log(2)), _quotient(many, few)
    for _ in range(60):
        middle = (low + high) / 2
        if math.exp(larger - middle) + math.exp(smaller - middle * ratio) > 1:
            low = middle
        else:
            high = middle
    numerator, denominator = high.as_integer_ratio()  # because a float cannot be divided by an integer above all floats
    density = -math.expm1(-numerator / (denominator * few))
    return max(density, (m + n - 1) / (m * n))


def _quotient(a: int, b: int) -> float:
    """``a / b``, or infinity if that is above the largest float."""
    try:
        return a / b
    except OverflowError:
        return math.inf
