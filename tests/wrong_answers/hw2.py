"""Typical wrong answers to assignment 2: each is a whole answer cell, and loses points of its question only."""

WRONG = {
    "q1": {
        "the mean of the layers' ratios": """# q1
def network_compression(shapes):
    return sum(m * n / (m + n - 1) for m, n in shapes) / len(shapes)
""",
        "neurons for tree edges": """# q1
def network_compression(shapes):
    return sum(m * n for m, n in shapes) / sum(m + n for m, n in shapes)
""",
        "one tree for the whole network": """# q1
def network_compression(shapes):
    return sum(m * n for m, n in shapes) / (sum(m + n for m, n in shapes) - 1)
""",
        "the tightest layer": """# q1
def network_compression(shapes):
    return min(m * n / (m + n - 1) for m, n in shapes)
""",
        "the product of the layers' ratios": """# q1
def network_compression(shapes):
    return math.prod(m * n / (m + n - 1) for m, n in shapes)
""",
        "neurons between two layers counted once": """# q1
def network_compression(shapes):
    neurons = shapes[0][1] + sum(m for m, n in shapes)
    return sum(m * n for m, n in shapes) / (neurons - 1)
""",
    },
    "q2": {
        "the layer with the fewest weights": """# q2
def first_at_its_end(shapes, rate):
    sizes = [m * n for m, n in shapes]
    first = sizes.index(min(sizes))
    m, n = shapes[first]
    return first, math.floor(math.log((m + n - 1) / (m * n)) / math.log(1 - rate))
""",
        "the level after": """# q2
def first_at_its_end(shapes, rate):
    ratios = [m * n / (m + n - 1) for m, n in shapes]
    level = math.ceil(math.log(min(ratios)) / -math.log(1 - rate))
    return ratios.index(min(ratios)), level
""",
        "rate for what is left": """# q2
def first_at_its_end(shapes, rate):
    ratios = [m * n / (m + n - 1) for m, n in shapes]
    level = math.floor(math.log(min(ratios)) / -math.log(rate))
    return ratios.index(min(ratios)), level
""",
        "the layer with most to give": """# q2
def first_at_its_end(shapes, rate):
    ratios = [m * n / (m + n - 1) for m, n in shapes]
    level = math.floor(math.log(max(ratios)) / -math.log(1 - rate))
    return ratios.index(max(ratios)), level
""",
        "numbers of weights rounded at each level": """# q2
def first_at_its_end(shapes, rate):
    ends = []
    for m, n in shapes:
        level, left = -1, m * n
        while left >= m + n - 1:
            level, left = level + 1, round(left * (1 - rate))
        ends.append((level, m * n / (m + n - 1)))
    first = ends.index(min(ends))
    return first, ends[first][0]
""",
        "numbers of weights rounded down at each level": """# q2
def first_at_its_end(shapes, rate):
    ends = []
    for m, n in shapes:
        level, left = -1, m * n
        while left >= m + n - 1:
            level, left = level + 1, int(left * (1 - rate))
        ends.append((level, m * n / (m + n - 1)))
    first = ends.index(min(ends))
    return first, ends[first][0]
""",
        "the first of those at one level, whatever their ratios": """# q2
def first_at_its_end(shapes, rate):
    ends = []
    for m, n in shapes:
        level = 0
        while (1 - rate) ** (level + 1) * m * n >= m + n - 1:
            level += 1
        ends.append(level)
    return ends.index(min(ends)), min(ends)
""",
        "the last of those at one level": """# q2
def first_at_its_end(shapes, rate):
    first = None
    for k, (m, n) in enumerate(shapes):
        level = 0
        while (1 - rate) ** (level + 1) * m * n >= m + n - 1:
            level += 1
        if first is None or level <= first[1]:
            first = k, level
    return first
""",
        "the last of those with one ratio": """# q2
def first_at_its_end(shapes, rate):
    ratio, first = min((m * n / (m + n - 1), -k) for k, (m, n) in enumerate(shapes))
    level = 0
    while (1 - rate) ** (level + 1) * ratio >= 1:
        level += 1
    return -first, level
""",
        "more weights than tree edges, not as many": """# q2
def first_at_its_end(shapes, rate):
    ratios = [m * n / (m + n - 1) for m, n in shapes]
    level = 0
    while (1 - rate) ** (level + 1) * min(ratios) > 1:
        level += 1
    return ratios.index(min(ratios)), level
""",
    },
    "q3": {
        "the root, whether or not the block fits": """# q3
def least_rank(k, m, n):
    return math.ceil(2 * math.sqrt(k)) - 1 if k else 0
""",
        "no edges forgotten": """# q3
def least_rank(k, m, n):
    return min(a + b - 1 for a in range(1, m + 1) for b in range(1, n + 1) if a * b >= k)
""",
        "rounded down": """# q3
def least_rank(k, m, n):
    if k == 0:
        return 0
    return min(a + k // a - 1 for a in range(1, m + 1) if k // a <= n)
""",
        "neurons for edges": """# q3
def least_rank(k, m, n):
    return min(a + b for a in range(1, m + 1) for b in range(1, n + 1) if a * b >= k) if k else 0
""",
        "calls zimp": """# q3
def least_rank(k, m, n):
    return zimp.retention_bound(k, m, n)
""",
        "a square block, or the whole width": """# q3
def least_rank(k, m, n):
    if k == 0:
        return 0
    side = math.ceil(math.sqrt(k))
    if side <= min(m, n):
        return 2 * side - 1
    return min(m, n) + math.ceil(k / min(m, n)) - 1
""",
        "the number of edges itself": """# q3
def least_rank(k, m, n):
    return min(k, m + n - 1)
""",
        "zimp under another name": """# q3
bound = zimp.retention_bound


def least_rank(k, m, n):
    return bound(k, m, n)
""",
        "zimp in a helper": """# q3
class Bounds:
    def of(self, k, m, n):
        return getattr(zimp, "retention" + "_bound")(k, m, n)


def least_rank(k, m, n):
    return Bounds().of(k, m, n)
""",
    },
    "q4": {
        "random weights": """# q4
def worst_layer(k, m, n):
    return np.random.default_rng(0).normal(size=(m, n))
""",
        "a star": """# q4
def worst_layer(k, m, n):
    return np.arange(m * n, 0, -1.0).reshape(m, n)
""",
        "a square block that does not fit": """# q4
def worst_layer(k, m, n):
    side = math.ceil(math.sqrt(k))
    layer = np.full((m, n), 0.1)
    layer[:side, :side] = 1
    return layer
""",
        "a square block too small": """# q4
def worst_layer(k, m, n):
    side = math.isqrt(k)
    layer = np.full((m, n), 0.1)
    layer[:side, :side] = 1
    return layer
""",
        "large by value, not by magnitude": """# q4
def worst_layer(k, m, n):
    blocks = [(a, math.ceil(k / a)) for a in range(1, m + 1) if math.ceil(k / a) <= n]
    a, b = min(blocks, key=sum)
    layer = np.full((m, n), -2.0)
    layer[:a, :b] = 1
    return layer
""",
        "rows filled one after the other": """# q4
def worst_layer(k, m, n):
    layer = np.full((m, n), 0.1)
    layer.ravel()[:k] = 1
    return layer
""",
        "a chain of large weights": """# q4
def worst_layer(k, m, n):
    i, j = np.indices((m, n))
    return 1 / (1.0 + abs(i - j))
""",
        "the best block, but for all edges": """# q4
def worst_layer(k, m, n):
    layer = np.full((m, n), 0.1)
    a, b = min(((a, math.ceil(k / a)) for a in range(1, m) if math.ceil(k / a) <= n), key=sum)
    layer[:a, :b] = 1
    return layer
""",
    },
    "q5": {
        "always m + n - 1": """# q5
def share_kept(W, k, mask):
    m, n = W.shape
    return (m + n - zimp.count_components(zimp.magnitude_mask(W, k, mask))) / (m + n - 1)
""",
        "largest by value": """# q5
def share_kept(W, k, mask):
    order = np.argsort(np.where(mask, W, -np.inf), axis=None)[::-1]
    kept = np.zeros(W.size, dtype=bool)
    kept[order[:k]] = True
    neurons = sum(W.shape)
    after = neurons - zimp.count_components(kept.reshape(W.shape))
    return after / (neurons - zimp.count_components(mask))
""",
        "what was pruned comes back": """# q5
def share_kept(W, k, mask):
    neurons = sum(W.shape)
    after = neurons - zimp.count_components(zimp.magnitude_mask(W, k))
    return after / (neurons - zimp.count_components(mask))
""",
        "single neurons are not counted": """# q5
def share_kept(W, k, mask):
    def pieces(mask):
        used = mask[np.ix_(mask.any(axis=1), mask.any(axis=0))]
        return zimp.count_components(used)
    neurons = sum(W.shape)
    return (neurons - pieces(zimp.magnitude_mask(W, k, mask))) / (neurons - pieces(mask))
""",
        "the share of the weights": """# q5
def share_kept(W, k, mask):
    return k / mask.sum()
""",
        "zimp's forest under another name": """# q5
forest_of = zimp.spanning_forest


def share_kept(W, k, mask):
    return zimp.magnitude_mask(W, k, mask)[forest_of(W, mask).mask].mean()
""",
        "the number of pieces before over that after": """# q5
def share_kept(W, k, mask):
    return zimp.count_components(mask) / zimp.count_components(zimp.magnitude_mask(W, k, mask))
""",
        "at most k of the tree": """# q5
def share_kept(W, k, mask):
    edges = sum(W.shape) - zimp.count_components(mask)
    return min(1, k / edges)
""",
    },
    "q6": {
        "exponentials for powers": """# q6
def coupon_density(m, n, p):
    low, high = (m + n - 1) / (m * n), 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if m * math.exp(-middle * n) + n * math.exp(-middle * m) > -math.log(p):
            low = middle
        else:
            high = middle
    return high


def estimate_connected(m, n, density, trials, rng):
    keep = round(density * m * n)
    masks = (zimp.magnitude_mask(rng.random((m, n)), keep) for _ in range(trials))
    return sum(zimp.count_components(mask) == 1 for mask in masks) / trials
""",
        "fewer edges than a tree": """# q6
def coupon_density(m, n, p):
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if m * (1 - middle) ** n + n * (1 - middle) ** m > -math.log(p):
            low = middle
        else:
            high = middle
    return high


def estimate_connected(m, n, density, trials, rng):
    keep = round(density * m * n)
    masks = (zimp.magnitude_mask(rng.random((m, n)), keep) for _ in range(trials))
    return sum(zimp.count_components(mask) == 1 for mask in masks) / trials
""",
        "the sizes exchanged": """# q6
def coupon_density(m, n, p):
    low, high = (m + n - 1) / (m * n), 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if m * (1 - middle) ** m + n * (1 - middle) ** n > -math.log(p):
            low = middle
        else:
            high = middle
    return high


def estimate_connected(m, n, density, trials, rng):
    keep = round(density * m * n)
    masks = (zimp.magnitude_mask(rng.random((m, n)), keep) for _ in range(trials))
    return sum(zimp.count_components(mask) == 1 for mask in masks) / trials
""",
        "the logarithm to base ten": """# q6
def coupon_density(m, n, p):
    low, high = (m + n - 1) / (m * n), 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if m * (1 - middle) ** n + n * (1 - middle) ** m > -math.log10(p):
            low = middle
        else:
            high = middle
    return high


def estimate_connected(m, n, density, trials, rng):
    keep = round(density * m * n)
    masks = (zimp.magnitude_mask(rng.random((m, n)), keep) for _ in range(trials))
    return sum(zimp.count_components(mask) == 1 for mask in masks) / trials
""",
        "the wrong half": """# q6
def coupon_density(m, n, p):
    low, high = (m + n - 1) / (m * n), 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if m * (1 - middle) ** n + n * (1 - middle) ** m > -math.log(p):
            high = middle
        else:
            low = middle
    return high


def estimate_connected(m, n, density, trials, rng):
    keep = round(density * m * n)
    masks = (zimp.magnitude_mask(rng.random((m, n)), keep) for _ in range(trials))
    return sum(zimp.count_components(mask) == 1 for mask in masks) / trials
""",
        "only neurons without edges are looked at": """# q6
def coupon_density(m, n, p):
    low, high = (m + n - 1) / (m * n), 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if m * (1 - middle) ** n + n * (1 - middle) ** m > -math.log(p):
            low = middle
        else:
            high = middle
    return high


def estimate_connected(m, n, density, trials, rng):
    keep, good = round(density * m * n), 0
    for _ in range(trials):
        mask = zimp.magnitude_mask(rng.random((m, n)), keep)
        good += mask.any(axis=0).all() and mask.any(axis=1).all()
    return good / trials
""",
        "edges drawn with replacement": """# q6
def coupon_density(m, n, p):
    low, high = (m + n - 1) / (m * n), 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if m * (1 - middle) ** n + n * (1 - middle) ** m > -math.log(p):
            low = middle
        else:
            high = middle
    return high


def estimate_connected(m, n, density, trials, rng):
    good = 0
    for _ in range(trials):
        mask = np.zeros(m * n, dtype=bool)
        mask[rng.integers(m * n, size=round(density * m * n))] = True
        good += zimp.count_components(mask.reshape(m, n)) == 1
    return good / trials
""",
        "a generator of its own": """# q6
def coupon_density(m, n, p):
    low, high = (m + n - 1) / (m * n), 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if m * (1 - middle) ** n + n * (1 - middle) ** m > -math.log(p):
            low = middle
        else:
            high = middle
    return high


def estimate_connected(m, n, density, trials, rng):
    rng = np.random.default_rng(0)
    keep = round(density * m * n)
    masks = (zimp.magnitude_mask(rng.random((m, n)), keep) for _ in range(trials))
    return sum(zimp.count_components(mask) == 1 for mask in masks) / trials
""",
        "each edge by itself, by chance": """# q6
def coupon_density(m, n, p):
    low, high = (m + n - 1) / (m * n), 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if m * (1 - middle) ** n + n * (1 - middle) ** m > -math.log(p):
            low = middle
        else:
            high = middle
    return high


def estimate_connected(m, n, density, trials, rng):
    return sum(zimp.count_components(rng.random((m, n)) < density) == 1 for _ in range(trials)) / trials
""",
        "the number of edges rounded down": """# q6
def coupon_density(m, n, p):
    low, high = (m + n - 1) / (m * n), 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if m * (1 - middle) ** n + n * (1 - middle) ** m > -math.log(p):
            low = middle
        else:
            high = middle
    return high


def estimate_connected(m, n, density, trials, rng):
    keep = int(density * m * n + 1e-9)
    masks = (zimp.magnitude_mask(rng.random((m, n)), keep) for _ in range(trials))
    return sum(zimp.count_components(mask) == 1 for mask in masks) / trials
""",
        "the number of edges rounded up": """# q6
def coupon_density(m, n, p):
    low, high = (m + n - 1) / (m * n), 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if m * (1 - middle) ** n + n * (1 - middle) ** m > -math.log(p):
            low = middle
        else:
            high = middle
    return high


def estimate_connected(m, n, density, trials, rng):
    keep = math.ceil(density * m * n - 1e-9)
    masks = (zimp.magnitude_mask(rng.random((m, n)), keep) for _ in range(trials))
    return sum(zimp.count_components(mask) == 1 for mask in masks) / trials
""",
        "zimp's density under another name": """# q6
density_of = zimp.connectivity_density


def coupon_density(m, n, p):
    return density_of(m, n, p)


def estimate_connected(m, n, density, trials, rng):
    keep = round(density * m * n)
    masks = (zimp.magnitude_mask(rng.random((m, n)), keep) for _ in range(trials))
    return sum(zimp.count_components(mask) == 1 for mask in masks) / trials
""",
        "all edges where none is to stay": """# q6
def coupon_density(m, n, p):
    low, high = (m + n - 1) / (m * n), 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if m * (1 - middle) ** n + n * (1 - middle) ** m > -math.log(p):
            low = middle
        else:
            high = middle
    return high


def estimate_connected(m, n, density, trials, rng):
    keep, good = round(density * m * n), 0
    for _ in range(trials):
        W = rng.random((m, n))
        good += zimp.count_components(W >= np.sort(W, axis=None)[-keep]) == 1
    return good / trials
""",
    },
    "q7": {
        "groups forgotten": """# q7
def channel_trees(c_out, c_in, kernel, groups):
    return c_out + c_in * kernel**2 - 1, c_out + c_in - 1


def pixel_sizes(height, width, kernel, padding):
    height, width = height + 2 * padding, width + 2 * padding
    outputs = (height - kernel + 1) * (width - kernel + 1)
    if kernel == 1:
        return outputs, outputs
    return kernel**2 * outputs, height * width + outputs - 1
""",
        "one input per kernel, whatever the groups": """# q7
def channel_trees(c_out, c_in, kernel, groups):
    return c_out + c_in // groups * kernel**2 - 1, c_out + c_in // groups - 1


def pixel_sizes(height, width, kernel, padding):
    height, width = height + 2 * padding, width + 2 * padding
    outputs = (height - kernel + 1) * (width - kernel + 1)
    if kernel == 1:
        return outputs, outputs
    return kernel**2 * outputs, height * width + outputs - 1
""",
        "the output is as large as the image": """# q7
def channel_trees(c_out, c_in, kernel, groups):
    return c_out + c_in * kernel**2 - groups, c_out + c_in - groups


def pixel_sizes(height, width, kernel, padding):
    outputs = height * width
    padded = (height + 2 * padding) * (width + 2 * padding)
    if kernel == 1:
        return outputs, outputs
    return kernel**2 * outputs, padded + outputs - 1
""",
        "padding is no vertex": """# q7
def channel_trees(c_out, c_in, kernel, groups):
    return c_out + c_in * kernel**2 - groups, c_out + c_in - groups


def pixel_sizes(height, width, kernel, padding):
    outputs = (height + 2 * padding - kernel + 1) * (width + 2 * padding - kernel + 1)
    if kernel == 1:
        return outputs, outputs
    return kernel**2 * outputs, height * width + outputs - 1
""",
        "always in one piece": """# q7
def channel_trees(c_out, c_in, kernel, groups):
    return c_out + c_in * kernel**2 - groups, c_out + c_in - groups


def pixel_sizes(height, width, kernel, padding):
    height, width = height + 2 * padding, width + 2 * padding
    outputs = (height - kernel + 1) * (width - kernel + 1)
    return kernel**2 * outputs, height * width + outputs - 1
""",
        "kernel 1 right without padding only": """# q7
def channel_trees(c_out, c_in, kernel, groups):
    return c_out + c_in * kernel**2 - groups, c_out + c_in - groups


def pixel_sizes(height, width, kernel, padding):
    if kernel == 1:
        return height * width, height * width
    height, width = height + 2 * padding, width + 2 * padding
    outputs = (height - kernel + 1) * (width - kernel + 1)
    return kernel**2 * outputs, height * width + outputs - 1
""",
        "right without padding only": """# q7
def channel_trees(c_out, c_in, kernel, groups):
    return c_out + c_in * kernel**2 - groups, c_out + c_in - groups


def pixel_sizes(height, width, kernel, padding):
    outputs = (height - kernel + 1) * (width - kernel + 1)
    if kernel == 1:
        return outputs, outputs
    return kernel**2 * outputs, height * width + outputs - 1
""",
        "padding on one side of each row and column": """# q7
def channel_trees(c_out, c_in, kernel, groups):
    return c_out + c_in * kernel**2 - groups, c_out + c_in - groups


def pixel_sizes(height, width, kernel, padding):
    height, width = height + padding, width + padding
    outputs = (height - kernel + 1) * (width - kernel + 1)
    if kernel == 1:
        return outputs, outputs
    return kernel**2 * outputs, height * width + outputs - 1
""",
        "nothing where the kernel is larger than the image": """# q7
def channel_trees(c_out, c_in, kernel, groups):
    return c_out + c_in * kernel**2 - groups, c_out + c_in - groups


def pixel_sizes(height, width, kernel, padding):
    if kernel > min(height, width):
        return 0, 0
    height, width = height + 2 * padding, width + 2 * padding
    outputs = (height - kernel + 1) * (width - kernel + 1)
    if kernel == 1:
        return outputs, outputs
    return kernel**2 * outputs, height * width + outputs - 1
""",
        "zimp's sizes under another name": """# q7
from zimp import spatial_sizes as sizes_of


def channel_trees(c_out, c_in, kernel, groups):
    return c_out + c_in * kernel**2 - groups, c_out + c_in - groups


def pixel_sizes(height, width, kernel, padding):
    return sizes_of((height, width), kernel, padding=padding)
""",
    },
}
