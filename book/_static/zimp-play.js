// One layer: what zimp.topology, zimp.pruning and zimp.bounds say of it, with the same answers. The worker runs this
// part too, and so does Node, in the tests.
//
// A layer is `weights`, a flat array of m rows (outputs) and n columns (inputs), and a `mask` of the same form, 1 where
// an edge exists; without a mask all do. An edge is its position in this array. Edges have one order, from heavy to
// light and row by row among equals, so that there is one forest and one mask.
var zimpPlay = globalThis.zimpPlay || (globalThis.zimpPlay = { parts: {}, jobs: {}, views: {} });

zimpPlay.parts.core = function (play) {
  const PASTED = 4096; // numbers in a matrix at most: 64 x 64, which every view redraws within a frame
  const CHARACTERS = 200000; // what that many numbers need, with room to spare
  const NUMBER = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i;

  // Checks: an error says the value, the rule and the likely mistake.

  const whole = (name, value, rule) => {
    if (!Number.isSafeInteger(value)) throw new Error(`${name}=${value} is not ${rule}`);
  };

  const checkSizes = (m, n) => {
    for (const [name, size] of [["m", m], ["n", n]]) {
      whole(name, size, "a whole number");
      if (size < 1) throw new Error(`${name}=${size} is not positive; a layer has at least one output and one input`);
    }
  };

  const checkEntries = (name, array, m, n) => {
    checkSizes(m, n);
    if (array && array.length !== m * n) {
      throw new Error(`${name} has ${array.length} entries, but a ${m}x${n} layer has ${m * n}; it needs one for each`);
    }
  };

  const checkKeep = (keep, left) => {
    whole("keep", keep, "a whole number; it is a count of weights, not a share");
    if (keep < 0 || keep > left) throw new Error(`keep=${keep} must lie between 0 and the ${left} remaining weights`);
  };

  const checkFinite = (weights, n, first = 0) => {
    for (let k = 0; k < weights.length; k += 1) {
      if (Number.isFinite(weights[k])) continue;
      const where = `weights[${first + Math.floor(k / n)}, ${k % n}]`;
      throw new Error(`${where} is ${weights[k]}; all weights must be finite. Did the training diverge?`);
    }
  };

  // The forest

  const count = (number, word) => `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;

  const range = (from, to) => Array.from({ length: to - from }, (_, k) => from + k);

  // The output and the input of an edge, as `pieces` numbers them.
  const ends = (edge, m, n) => [Math.floor(edge / n), m + (edge % n)];

  // The edges of a mask, ascending.
  const edgesOf = (m, n, mask) => {
    checkEntries("mask", mask, m, n);
    const edges = new Int32Array(m * n);
    let count = 0;
    for (let edge = 0; edge < m * n; edge += 1) {
      if (!mask || mask[edge]) edges[count++] = edge;
    }
    return edges.subarray(0, count);
  };

  // The edges of a layer, ascending, and their |w|.
  const layerEdges = (weights, m, n, mask) => {
    checkEntries("weights", weights, m, n);
    checkFinite(weights, n);
    const edges = edgesOf(m, n, mask);
    const magnitudes = new Float64Array(edges.length);
    for (let k = 0; k < edges.length; k += 1) magnitudes[k] = Math.abs(weights[edges[k]]);
    return { edges, magnitudes };
  };

  // Positions in the order of the edges: a radix sort, the last byte first, which is stored first on every machine that
  // runs a browser. The bits of a float of at least 0 are a whole number in the same order. Equals stay as they came.
  const heaviestFirst = magnitudes => {
    const size = magnitudes.length;
    const bytes = new Uint8Array(magnitudes.buffer, magnitudes.byteOffset, 8 * size);
    let order = new Int32Array(size);
    let sorted = new Int32Array(size);
    for (let k = 0; k < size; k += 1) order[k] = k;
    for (let byte = 0; byte < 8; byte += 1) {
      const next = new Int32Array(256); // first a count, then the position for the next one with this byte
      for (let k = byte; k < 8 * size; k += 8) next[bytes[k]] += 1;
      if (next[bytes[byte]] === size) continue; // all alike, as half the bytes of what was float32 once
      for (let value = 255, start = 0; value >= 0; value -= 1) {
        const count = next[value];
        next[value] = start;
        start += count;
      }
      for (let k = 0; k < size; k += 1) sorted[next[bytes[8 * order[k] + byte]]++] = order[k];
      [order, sorted] = [sorted, order];
    }
    return order;
  };

  // Union-find: `join` says whether its two vertices were in different components.
  const disjoint = size => {
    const parent = new Int32Array(size);
    for (let vertex = 0; vertex < size; vertex += 1) parent[vertex] = vertex;
    const find = vertex => {
      while (parent[vertex] !== vertex) {
        parent[vertex] = parent[parent[vertex]];
        vertex = parent[vertex];
      }
      return vertex;
    };
    const join = (first, second) => {
      const [a, b] = [find(first), find(second)];
      parent[a] = b;
      return a !== b;
    };
    return { find, join };
  };

  // Kruskal's algorithm: which of the `edges` (ascending) are in the forest, the heaviest first.
  const kruskal = (edges, order, m, n) => {
    const { join } = disjoint(m + n);
    const taken = [];
    for (let k = 0; k < order.length && taken.length < m + n - 1; k += 1) {
      const edge = edges[order[k]];
      if (join(Math.floor(edge / n), m + (edge % n))) taken.push(order[k]);
    }
    return taken;
  };

  const forest = (weights, m, n, mask) => {
    const { edges, magnitudes } = layerEdges(weights, m, n, mask);
    const taken = kruskal(edges, heaviestFirst(magnitudes), m, n);
    return treeOf(taken.map(k => edges[k]), taken.map(k => magnitudes[k]), m, n);
  };

  const treeOf = (edges, magnitudes, m, n) => ({
    edges,
    rows: Int32Array.from(edges, edge => Math.floor(edge / n)),
    cols: Int32Array.from(edges, edge => edge % n),
    values: Float64Array.from(magnitudes),
    components: m + n - edges.length,
  });

  // |w| of the forest's edges in units of the layer's largest, from heavy to light. A layer of zeros has no unit.
  const relativeValues = ({ values }) => (values[0] > 0 ? values.map(value => value / values[0]) : values);

  const deaths = (weights, m, n, mask) => relativeValues(forest(weights, m, n, mask)).map(value => 1 - value);

  const bettiCurve = (weights, m, n, thresholds, mask) => {
    const values = relativeValues(forest(weights, m, n, mask));
    return Int32Array.from(thresholds, threshold => {
      if (!(typeof threshold === "number" && !Number.isNaN(threshold))) {
        throw new Error(`a threshold is ${threshold}; it must be a number such as 0.5`);
      }
      const lighter = values.findIndex(value => value < threshold);
      return m + n - (lighter < 0 ? values.length : lighter);
    });
  };

  // The components of a mask, numbered by their first vertex. Vertices are the outputs 0 to m - 1 and then the inputs.
  const pieces = (m, n, mask) => {
    const { find, join } = disjoint(m + n);
    for (const edge of edgesOf(m, n, mask)) join(...ends(edge, m, n));
    const numbers = new Map();
    const labels = new Int32Array(m + n);
    for (let vertex = 0; vertex < m + n; vertex += 1) {
      const root = find(vertex);
      if (!numbers.has(root)) numbers.set(root, numbers.size);
      labels[vertex] = numbers.get(root);
    }
    const sizes = new Int32Array(numbers.size);
    for (const label of labels) sizes[label] += 1;
    return { labels, count: numbers.size, sizes };
  };

  // Masks

  const heaviest = (keep, edges, order, size) => {
    const kept = new Uint8Array(size);
    for (let k = 0; k < keep; k += 1) kept[edges[order[k]]] = 1;
    return kept;
  };

  const magnitudeMask = (weights, m, n, keep, mask) => {
    const { edges, magnitudes } = layerEdges(weights, m, n, mask);
    checkKeep(keep, edges.length);
    return heaviest(keep, edges, heaviestFirst(magnitudes), m * n);
  };

  const topologicalMask = (weights, m, n, keep, mask) => {
    const { edges, magnitudes } = layerEdges(weights, m, n, mask);
    checkKeep(keep, edges.length);
    const order = heaviestFirst(magnitudes);
    const tree = kruskal(edges, order, m, n);
    if (keep < tree.length) {
      throw new Error(
        `keep=${keep} is below the ${tree.length} weights of a spanning tree of a ${m}x${n} layer; ` +
          `topological pruning cannot go further (density ${(tree.length / (m * n)).toFixed(4)}).`,
      );
    }
    const kept = heaviest(tree.length, edges, tree, m * n);
    for (let k = 0, left = keep - tree.length; left > 0; k += 1) {
      const edge = edges[order[k]];
      left -= 1 - kept[edge];
      kept[edge] = 1;
    }
    return kept;
  };

  // Each weight gets a number, whether its edge exists or not, and the largest numbers stay.
  const randomMask = (m, n, keep, random, mask) =>
    magnitudeMask(Float64Array.from({ length: m * n }, () => random.uniform()), m, n, keep, mask);

  // Bounds, from the size alone: the formulas are explained in zimp.bounds.

  const criticalCompression = (m, n) => {
    checkSizes(m, n);
    return (m * n) / (m + n - 1);
  };

  const retentionBound = (kept, m, n) => {
    checkSizes(m, n);
    whole("kept", kept, "a whole number; it counts weights, and a density d leaves round(d * m * n) of them");
    if (kept < 0 || kept > m * n) {
      throw new Error(`kept=${kept} must lie between 0 and the ${m * n} weights of a ${m}x${n} layer`);
    }
    if (kept === 0) return 0;
    let side = Math.floor(Math.sqrt(kept));
    if (side * side > kept) side -= 1; // a root just below a whole number is rounded up to it
    const rows = Math.min(Math.max(side, Math.ceil(kept / n)), m);
    return rows + Math.ceil(kept / rows) - 1;
  };

  const connectivityDensity = (m, n, probability = 0.5) => {
    checkSizes(m, n);
    if (!(probability > 0 && probability < 1)) {
      throw new Error(`probability=${probability} must lie strictly between 0 and 1; the median is 0.5`);
    }
    const [few, many] = [Math.min(m, n), Math.max(m, n)];
    const isolated = -Math.log(probability); // so many isolated neurons are expected at this probability
    const [larger, smaller] = [many, few].map(size => Math.log(size) - Math.log(isolated));
    let [low, high] = [Math.max(0, larger), Math.max(0, larger + Math.log(2))];
    for (let round = 0; round < 60; round += 1) {
      const middle = (low + high) / 2;
      const neurons = Math.exp(larger - middle) + Math.exp(smaller - (middle * many) / few);
      if (neurons > 1) low = middle;
      else high = middle;
    }
    return Math.max(-Math.expm1(-high / few), (m + n - 1) / (m * n));
  };

  // Random numbers

  // xoshiro128** of Blackman and Vigna (2018), started by splitmix32: the same numbers in every browser.
  const random = seed => {
    whole("seed", seed, "a whole number");
    if (seed < 0 || seed >= 2 ** 32) throw new Error(`seed=${seed} must lie between 0 and ${2 ** 32 - 1}`);
    let mixed = seed;
    const state = Uint32Array.from({ length: 4 }, () => {
      mixed = (mixed + 0x9e3779b9) | 0;
      let bits = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
      bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
      return bits ^ (bits >>> 16);
    });
    const rotated = (bits, by) => (bits << by) | (bits >>> (32 - by));
    const bits32 = () => {
      const result = Math.imul(rotated(Math.imul(state[1], 5), 7), 9);
      const shifted = state[1] << 9;
      state[2] ^= state[0];
      state[3] ^= state[1];
      state[1] ^= state[2];
      state[0] ^= state[3];
      state[2] ^= shifted;
      state[3] = rotated(state[3], 11);
      return result >>> 0;
    };
    const uniform = () => ((bits32() >>> 5) * 2 ** 26 + (bits32() >>> 6)) / 2 ** 53; // in [0, 1), of 53 bits
    const below = n => Math.floor(uniform() * n);
    const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()); // Box and Muller
    const shuffle = array => {
      for (let last = array.length - 1; last > 0; last -= 1) {
        const other = below(last + 1);
        [array[last], array[other]] = [array[other], array[last]];
      }
      return array;
    };
    return { uniform, normal, below, shuffle };
  };

  // Pasted matrices

  // Lines of numbers with blanks, commas, semicolons or tabs between them, also with decimal commas; or brackets as in
  // Python and MATLAB. What can be read in two ways is refused: a wrong guess would be a wrong picture.
  const parseMatrix = text => {
    if (text.length > CHARACTERS) throw tooLarge(`the text has ${count(text.length, "character")}`);
    // The minus of typeset pages is another character, and so are some of their blanks.
    const plain = text.replace(/\u2212/g, "-").replace(/[^\S\r\n\t]+/g, " ").trim();
    if (/\.\.\.|\u2026/.test(plain)) {
      throw new Error("the dots stand for numbers that were left out in print; print the whole matrix and copy that");
    }
    const cells = /[[\]]/.test(plain) ? bracketRows(plain) : lineRows(plain);
    if (!cells.length) throw new Error("there is no number here; paste a line for each row, such as 0.9 -0.2");
    const rows = cells.map((row, i) => row.map(cell => toNumber(cell, i)));
    const [m, n] = [rows.length, rows[0].length];
    const ragged = rows.findIndex(row => row.length !== n);
    if (ragged > 0) {
      throw new Error(
        `row ${ragged + 1} has ${count(rows[ragged].length, "number")}, but row 1 has ${n}; all rows must be equally ` +
          "long. Is a number missing, or a line broken in two?",
      );
    }
    if (m * n === 1) {
      throw new Error("one number is not a matrix; a layer has a row for each output and a column for each input");
    }
    if (m * n > PASTED) throw tooLarge(`the matrix has ${count(m * n, "number")}`);
    return { weights: Float64Array.from(rows.flat()), m, n };
  };

  const tooLarge = what =>
    new Error(`${what}; a view shows at most ${PASTED}, such as 64 x 64. Paste a part, or compute the whole in Python`);

  const twoWays = line =>
    new Error(
      `"${shortened(line)}" can be read in two ways: a comma may be a decimal comma, or stand between two numbers. ` +
        "Write decimal points, and blanks between the numbers",
    );

  // The cells of each row of what stands in brackets.
  const bracketRows = text => {
    const [start, end] = [text.indexOf("["), text.lastIndexOf("]") + 1];
    const [head, inner, tail] = [text.slice(0, start), text.slice(start + 1, end - 1), text.slice(end)];
    const opened = text.split("[").length - 1;
    if (opened !== text.split("]").length - 1 || /[[\]]/.test(head + tail)) {
      throw new Error("a bracket is missing its partner; was the matrix copied to its end?");
    }
    // tensor([[...]], requires_grad=True), array([[...]]), W = [[...]];
    const before = /^(Parameter containing:\s*)?(\w+\s*=\s*)?([\w.]+\()?\s*$/;
    const after = /^(,\s*\w+=[^,]*)*\)?;?$/;
    if (!before.test(head) || !after.test(tail)) {
      throw new Error(`"${shortened(head || tail)}" is not part of a matrix; copy one matrix alone`);
    }
    if (opened === 1) return inner.trim().split(/\s*[;\n]\s*/).filter(Boolean).map(separate);
    const rows = inner.split("]").map(row => row.replace(/^[\s,]*/, ""));
    const rest = rows.pop();
    if (rest || rows.some(row => row[0] !== "[" || row.lastIndexOf("[") > 0)) {
      throw new Error("the brackets are not those of rows within a matrix; a layer has two dimensions, no more");
    }
    return rows.map(row => separate(row.slice(1).trim()));
  };

  const separate = row => row.replace(/,\s*$/, "").split(/\s*,\s*|\s+/);

  // The cells of each line of plain text.
  const lineRows = text => {
    const lines = text.split(/[\r\n]+/).map(line => line.replace(/[;, ]+$/, "")).filter(line => line.trim());
    const all = lines.join("\n");
    if (all.includes("\t")) return lines.map(line => decimals(line.split("\t")));
    if (all.includes(";")) {
      const parts = all.split(";");
      if (lines.length > 1) return lines.map(line => decimals(line.split(";")));
      if (all.includes(",")) throw twoWays(all);
      return parts.some(part => /\S\s+\S/.test(part)) ? parts.map(part => separate(part.trim())) : [parts];
    }
    return lines.map(line => {
      if (!all.includes(",")) return line.trim().split(/\s+/);
      const cells = line.trim().split(/\s*,\s*/);
      if (cells.some(cell => /\s|^0\d/.test(cell))) throw twoWays(line);
      return cells;
    });
  };

  // Between tabs or semicolons a comma can only be a decimal comma.
  const decimals = cells => cells.map(cell => cell.replace(/^(\s*[-+]?\d*),(\d)/, "$1.$2"));

  const toNumber = (cell, row) => {
    const [word, where] = [cell.trim(), `in row ${row + 1}`];
    if (!word) throw new Error(`a cell ${where} is empty; write 0 for a weight of zero`);
    const number = NUMBER.test(word) ? Number(word) : undefined;
    if (Number.isFinite(number)) return number;
    if (number !== undefined || /^[-+]?(nan|inf(inity)?)$/i.test(word)) {
      throw new Error(`${shortened(word)} ${where} is not finite; all weights must be. Did the training diverge?`);
    }
    const advice = row === 0 ? "leave out headings" : "only numbers can be weights";
    throw new Error(`"${shortened(word)}" ${where} is not a number; ${advice}`);
  };

  const shortened = text => {
    const line = text.trim().replace(/\s+/g, " ");
    return line.length > 30 ? `${line.slice(0, 29)}\u2026` : line;
  };

  Object.assign(play, {
    forest, deaths, bettiCurve, pieces, magnitudeMask, topologicalMask, randomMask, criticalCompression, retentionBound,
    connectivityDensity, random, parseMatrix,
    count, range, ends, edgesOf, heaviestFirst, kruskal, treeOf, checkFinite, NUMBER, // the steps of these
  });
};
zimpPlay.parts.core(zimpPlay);

if (typeof module === "object") {
  require("./zimp-play-train.js");
  require("./zimp-play-checkpoint.js");
  module.exports = zimpPlay;
}
