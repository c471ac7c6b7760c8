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
    },
}
