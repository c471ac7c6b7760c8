// A network of dense layers, trained and pruned: zimp.lab.training, and the loop of zimp.lab.imp with the rules of
// zimp.lab.experiments. Plain loops are fast enough, and from the same start and batches they end where torch ends.
//
// A network is `sizes`, such as [64, 32, 10], and the `weights` (outputs x inputs, flat) and `biases` of each layer.
// Images are a typed array `x`, image after image, with labels `y`.

zimpPlay.parts.train = function (play) {
  const BATCH = 60;
  const ADAM = { rate: 1.2e-3, mean: 0.9, square: 0.999, least: 1e-8 }; // zimp.adam, named after what they decay

  const sum = values => values.reduce((total, value) => total + value, 0);

  // One value for each layer, of its outputs m and its inputs n.
  const ofLayers = (sizes, value) => sizes.slice(1).map((m, k) => value(m, sizes[k], k));

  // The start of zimp.small_mlp: weights from the Gaussian Glorot distribution, biases of 0.
  const network = (sizes, random) => ({
    sizes,
    weights: ofLayers(sizes, (m, n) =>
      Float64Array.from({ length: m * n }, () => random.normal() * Math.sqrt(2 / (m + n))),
    ),
    biases: ofLayers(sizes, m => new Float64Array(m)),
  });

  const slices = arrays => arrays.map(array => array.slice());
  const copy = ({ sizes, weights, biases }) => ({ sizes, weights: slices(weights), biases: slices(biases) });

  // What leaves each layer for an image of x, the image itself first; the last are the scores of the classes.
  const forward = ({ sizes: [pixels], weights, biases }, x, image) => {
    const signals = [x.subarray(image * pixels, (image + 1) * pixels)];
    weights.forEach((weight, k) => {
      const [bias, input, last] = [biases[k], signals[k], k === weights.length - 1];
      const output = new Float64Array(bias.length);
      for (let i = 0, edge = 0; i < bias.length; i += 1) {
        let total = bias[i];
        for (let j = 0; j < input.length; j += 1, edge += 1) total += weight[edge] * input[j];
        output[i] = total < 0 && !last ? 0 : total;
      }
      signals.push(output);
    });
    return signals;
  };

  // The derivatives of the loss by what enters a layer, from those by what leaves it.
  const behind = (weight, errors, input) =>
    input.map((signal, j) => {
      if (!(signal > 0)) return 0; // the neuron is off
      let total = 0;
      for (let i = 0, edge = j; i < errors.length; i += 1, edge += input.length) total += errors[i] * weight[edge];
      return total;
    });

  // Adds to the gradients what one image says; returns its cross-entropy.
  const backward = ({ weights }, signals, label, gradients) => {
    const scores = signals[weights.length];
    const largest = Math.max(...scores);
    const powers = scores.map(score => Math.exp(score - largest));
    const total = sum(powers);
    let errors = powers.map(power => power / total); // the derivative of the loss by each score
    errors[label] -= 1;
    for (let k = weights.length - 1; k >= 0; k -= 1) {
      const [input, byWeight, byBias] = [signals[k], gradients.weights[k], gradients.biases[k]];
      for (let i = 0; i < errors.length; i += 1) {
        const error = errors[i];
        if (error === 0) continue;
        byBias[i] += error;
        for (let j = 0, edge = i * input.length; j < input.length; j += 1, edge += 1) {
          byWeight[edge] += error * input[j];
        }
      }
      if (k > 0) errors = behind(weights[k], errors, input);
    }
    return Math.log(total) + largest - scores[label];
  };

  // Adam's averages of the gradients and of their squares; every level begins with new ones.
  const optimizer = ({ weights, biases }) => {
    const zeros = arrays => arrays.map(array => new Float64Array(array.length));
    const average = () => ({ weights: zeros(weights), biases: zeros(biases) });
    return { steps: 0, gradient: average(), mean: average(), square: average() };
  };

  // One step of Adam on the images of a batch; returns their mean loss. A pruned weight is zero after it.
  const step = (network, state, x, y, batch, masks) => {
    const { gradient, mean, square } = state;
    let loss = 0;
    for (const image of batch) {
      loss += backward(network, forward(network, x, image), y[image], gradient) / batch.length;
    }
    state.steps += 1;
    const rate = ADAM.rate / (1 - ADAM.mean ** state.steps);
    const unit = Math.sqrt(1 - ADAM.square ** state.steps);
    for (const kind of ["weights", "biases"]) {
      network[kind].forEach((values, k) => {
        const [slopes, means, squares] = [gradient[kind][k], mean[kind][k], square[kind][k]];
        const mask = masks && kind === "weights" ? masks[k] : null;
        for (let at = 0; at < values.length; at += 1) {
          const slope = slopes[at] / batch.length;
          slopes[at] = 0;
          means[at] += (1 - ADAM.mean) * (slope - means[at]);
          squares[at] += (1 - ADAM.square) * (slope * slope - squares[at]);
          values[at] -= (rate * means[at]) / (Math.sqrt(squares[at]) / unit + ADAM.least);
          if (mask && !mask[at]) values[at] = 0;
        }
      });
    }
    return loss;
  };

  const accuracy = (network, x, y) => {
    let correct = 0;
    for (let image = 0; image < y.length; image += 1) {
      const scores = forward(network, x, image).pop();
      if (scores.indexOf(Math.max(...scores)) === y[image]) correct += 1;
    }
    return correct / y.length;
  };

  // The images of each batch, epoch after epoch, each in an order of its own.
  const batches = function* (size, random) {
    for (;;) {
      const order = random.shuffle(Int32Array.from({ length: size }, (_, image) => image));
      for (let start = 0; start < size; start += BATCH) yield order.subarray(start, start + BATCH);
    }
  };

  // Trains from step `start` to `steps`; returns the last loss and the network as it was before the step `rewind`.
  const train = (network, masks, { x, y }, order, { start, steps, rewind }) => {
    const state = optimizer(network);
    network.weights = network.weights.map((weight, k) => weight.map((value, at) => (masks[k][at] ? value : 0)));
    let [at, loss, snapshot] = [0, 0, null];
    for (const batch of order) {
      if (at === rewind) snapshot = copy(network);
      if (at >= start) loss = step(network, state, x, y, batch, masks);
      if (!Number.isFinite(loss)) throw new Error(`the loss is ${loss} at step ${at}; are the images numbers?`);
      at += 1;
      if (at === steps) break;
    }
    return { loss, snapshot };
  };

  // Pruning

  const rounded = value => {
    const rest = value - Math.floor(value); // a half is rounded to the even number, as Python does
    return Math.floor(value) + (rest > 0.5 || (rest === 0.5 && Math.floor(value) % 2) ? 1 : 0);
  };

  // How many weights topological pruning leaves in each layer, level after level, until only the trees remain.
  const topologicalSizes = (sizes, levels, rate) => {
    const trees = ofLayers(sizes, (m, n) => m + n - 1);
    const all = [ofLayers(sizes, (m, n) => m * n)];
    for (let level = 0; level < levels && all[level].some((size, k) => size > trees[k]); level += 1) {
      all.push(all[level].map((size, k) => Math.max(rounded((1 - rate) * size), trees[k])));
    }
    return all;
  };

  // How many weights each layer keeps if all keep the same share, as many in all as `keep` says.
  const sameShare = (masks, keep) => {
    const left = masks.map(sum);
    return left.map(count => rounded((sum(keep) / sum(left)) * count));
  };

  // The masks of the next level by each rule. So that accuracies can be compared, all keep as many weights in all as
  // topological pruning; `keep` is how many it leaves in each layer.
  const rules = {
    magnitude({ sizes, weights }, masks, keep) {
      const counts = sameShare(masks, keep);
      return ofLayers(sizes, (m, n, k) => play.magnitudeMask(weights[k], m, n, counts[k], masks[k]));
    },
    global({ weights }, masks, keep) {
      const [all, exist] = [weights, masks].map(arrays => arrays.flatMap(array => [...array]));
      const kept = play.magnitudeMask(all, 1, all.length, sum(keep), exist);
      let start = 0;
      return weights.map(({ length }) => kept.slice(start, (start += length)));
    },
    topological({ sizes, weights }, masks, keep) {
      return ofLayers(sizes, (m, n, k) => play.topologicalMask(weights[k], m, n, keep[k], masks[k]));
    },
    // As many as topological pruning leaves in each layer, but the largest.
    budget({ sizes, weights }, masks, keep) {
      return ofLayers(sizes, (m, n, k) => play.magnitudeMask(weights[k], m, n, keep[k], masks[k]));
    },
    // Topological pruning around the tree of random numbers in place of that of the weights.
    random_tree({ sizes, weights }, masks, keep, random) {
      return ofLayers(sizes, (m, n, k) => {
        const edges = m + n - 1;
        const tree = play.topologicalMask(Float64Array.from(weights[k], random.uniform), m, n, edges, masks[k]);
        const others = masks[k].map((exists, edge) => exists && !tree[edge]);
        const largest = play.magnitudeMask(weights[k], m, n, keep[k] - edges, others);
        return tree.map((kept, edge) => kept || largest[edge]);
      });
    },
    random({ sizes }, masks, keep, random) {
      const counts = sameShare(masks, keep);
      return ofLayers(sizes, (m, n, k) => play.randomMask(m, n, counts[k], random, masks[k]));
    },
  };

  // Iterative pruning

  const check = ({ network, rate, method, rewind, levels, steps }) => {
    if (!(rate > 0 && rate < 1)) {
      throw new Error(`rate=${rate} must lie strictly between 0 and 1; 0.2 prunes a fifth of the remaining weights`);
    }
    if (!Object.keys(rules).includes(method)) {
      throw new Error(`method=${method} is unknown; it must be one of ${Object.keys(rules).join(", ")}`);
    }
    const counts = { levels: [levels, 0], steps: [steps, 1], ...(rewind === null ? {} : { rewind: [rewind, 0] }) };
    network.sizes.forEach((size, k) => (counts[`sizes[${k}]`] = [size, 1]));
    for (const [name, [count, least]] of Object.entries(counts)) {
      if (!Number.isSafeInteger(count) || count < least) {
        throw new Error(`${name}=${count} is not a whole number of at least ${least}`);
      }
    }
    if (rewind !== null && rewind >= steps) {
      throw new Error(`rewind=${rewind} must be below steps=${steps}; otherwise no training follows the rewinding`);
    }
  };

  // Train, prune, rewind, and again. `order()` begins the batches anew, the same at each level; `random` makes random
  // masks; `rewind` is a step of the first training, or null to train on. Yields what zimp.Record says of each level,
  // with masks and trained weights; returns the last level, which is below `levels` if only the trees remain.
  const iterativeMagnitudePruning = function* ({ network, data, order, random, rate, method, rewind, levels, steps }) {
    check({ network, rate, method, rewind, levels, steps });
    const { sizes } = network;
    const budgets = topologicalSizes(sizes, levels, rate);
    let masks = ofLayers(sizes, (m, n) => new Uint8Array(m * n).fill(1));
    let [early, forests, dense] = [null, null, null]; // the network to rewind to; the trees of this level, of level 0
    const share = (trees, m, n, k) => {
      const { edges } = trees[k];
      return edges.length ? sum(edges.map(edge => masks[k][edge])) / edges.length : 1;
    };
    for (let level = 0; level < budgets.length; level += 1) {
      if (level) {
        masks = rules[method](network, masks, budgets[level], random);
        network = early ? copy(early) : network;
      }
      const start = level && early ? rewind : 0;
      const { loss, snapshot } = train(network, masks, data.train, order(), { start, steps, rewind });
      early = early || snapshot;
      const before = forests;
      forests = ofLayers(sizes, (m, n, k) => play.forest(network.weights[k], m, n, masks[k]));
      dense = dense || forests;
      const kept = masks.map(sum);
      yield {
        level,
        kept: sum(kept),
        density: sum(kept) / sum(budgets[0]),
        loss,
        accuracy: accuracy(network, data.test.x, data.test.y),
        layers: ofLayers(sizes, (m, n, k) => ({
          kept: kept[k],
          components: forests[k].components,
          treeKept: before ? share(before, m, n, k) : 1, // of the tree of the level before
          denseTreeKept: share(dense, m, n, k),
          weights: network.weights[k].slice(),
          mask: masks[k],
        })),
      };
    }
    return budgets.length - 1;
  };

  // A run from a seed, which fixes the start, the batches and the random masks, each by numbers of its own.
  play.jobs.run = function* ({ data, sizes, rate, method, rewind, seed, levels, steps }) {
    const [start, order, masks] = [0, 1, 2].map(stream => 3 * seed + stream);
    return yield* iterativeMagnitudePruning({
      network: network(sizes, play.random(start)), random: play.random(masks),
      order: () => batches(data.train.y.length, play.random(order)),
      data, rate, method, rewind, levels, steps,
    });
  };

  Object.assign(play, { network, optimizer, step, accuracy, batches, topologicalSizes, iterativeMagnitudePruning });
};
zimpPlay.parts.train(zimpPlay);
