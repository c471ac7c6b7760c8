// A network in a file of the reader's, as in zimp.reports.checkpoints: its tensors' names and sizes, then one tensor at
// a time. Only slices are read, so the file may be larger than memory; nothing of it is run or leaves the browser.

zimpPlay.parts.checkpoint = function (play) {
  const LONGEST = 100e6; // bytes of a header; the safetensors library refuses more
  const BLOCK = 2 ** 22; // weights of a layer that are at work at a time
  const PREFIXES = { BF: "bfloat", F: "float", I: "int", U: "uint", C: "complex", BOOL: "bool" };
  const SAVE = 'in Python, save_file(model.state_dict(), "model.safetensors") of safetensors.torch writes one';

  const bytesOf = (file, begin, end) => file.slice(begin, end).arrayBuffer();

  // The header: eight bytes that say how long it is, and JSON

  const readHeader = async file => {
    const start = new DataView(await bytesOf(file, 0, 16));
    if (start.byteLength < 9 || start.getUint8(8) !== 123) throw otherKind(new Uint8Array(start.buffer)); // 123 is {
    const length = Number(start.getBigUint64(0, true));
    if (length > file.size - 8) {
      throw cutOff(`the header is said to have ${length} bytes, and the whole file has ${file.size}`);
    }
    if (length > LONGEST) throw damaged(`the header has ${length} bytes, and at most ${LONGEST} are allowed`);
    const entries = parse(await bytesOf(file, 8, 8 + length));
    if (entries.__metadata__?.zimp) {
      throw new Error("the file is a level of a run of zimp; python -m zimp report reads it, with its masks");
    }
    delete entries.__metadata__;
    const tensors = Object.entries(entries).map(([name, entry]) => described(name, entry, 8 + length));
    checkPlaces(tensors, 8 + length, file.size);
    return { tensors: tensors.sort((one, other) => natural(one.name, other.name)) };
  };

  const cutOff = what => new Error(`${what}; was it copied completely?`);

  const damaged = what => new Error(`${what}; the file is damaged, or no safetensors file`);

  const otherKind = start => {
    const text = String.fromCharCode(...start);
    const kinds = [
      [/^PK/, `is a zip, as torch.save writes it; choose a .safetensors file: ${SAVE}`],
      [/^\x80/, `is a pickle, as old versions of torch.save wrote it; choose a .safetensors file: ${SAVE}`],
      [/^version ht/, "is a pointer of Git LFS, without the weights; git lfs pull fetches them"],
      [/^\s*\{/, "is JSON, such as the index of shards; choose one of the files that it names"],
      [/^/, `is no safetensors file; ${SAVE}`],
    ];
    return new Error(`the file ${kinds.find(([begins]) => begins.test(text))[1]}`);
  };

  const parse = bytes => {
    try {
      return { ...JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) };
    } catch {
      throw damaged("the header is not JSON");
    }
  };

  const product = sizes => sizes.reduce((total, size) => total * size, 1);

  const isCount = value => Number.isSafeInteger(value) && value >= 0;

  // A tensor as the header has it; `begin` and `end` are places in the file.
  const described = (name, entry, base) => {
    const { dtype, shape, data_offsets: places } = entry || {};
    const [, letters, bits, rest] = /^([A-Z]+)(\d*)(.*)$/.exec(dtype) || [];
    const arrays = Array.isArray(shape) && Array.isArray(places) && places.length === 2;
    if (!letters || !arrays || ![...shape, ...places].every(isCount)) {
      throw damaged(`the header does not say what ${name} is`);
    }
    const [begin, end] = places.map(place => base + place);
    if (8 * (end - begin) !== product(shape) * Number(bits || 8)) {
      throw damaged(`${name} has ${end - begin} bytes, which does not fit ${dtype} of shape ${shape.join("x")}`);
    }
    return { name, shape, dtype: ((PREFIXES[letters] || letters) + bits + rest).toLowerCase(), begin, end };
  };

  // The tensors follow each other from the header to the end of the file.
  const checkPlaces = (tensors, base, size) => {
    let end = base;
    for (const tensor of [...tensors].sort((one, other) => one.begin - other.begin || one.end - other.end)) {
      if (tensor.begin !== end) throw damaged(`the bytes of ${tensor.name} do not begin where others end`);
      end = tensor.end;
    }
    if (end > size) throw cutOff(`the tensors need ${end} bytes, but the file has ${size}`);
    if (end < size) throw damaged(`${size - end} bytes at the end belong to no tensor`);
  };

  // Sorts layer.10 after layer.9.
  const natural = (one, other) => {
    const [a, b] = [one, other].map(name => name.split(/(\d+)/));
    const differs = a.findIndex((part, k) => part !== b[k]);
    if (differs < 0 || b[differs] === undefined) return a.length - b.length;
    if (differs % 2) return a[differs] - b[differs];
    return a[differs] < b[differs] ? -1 : 1;
  };

  // Weights

  // Floats of 16 bits, looked up in a table of them all.
  const halves = fractionBits => bytes => {
    const [one, top] = [2 ** fractionBits, 2 ** (15 - fractionBits) - 1];
    const values = Float32Array.from({ length: 2 ** 16 }, (_, bits) => {
      const [exponent, fraction] = [(bits >> fractionBits) & top, (bits % one) / one];
      const sign = bits >> 15 ? -1 : 1;
      if (exponent === top) return fraction ? NaN : sign * Infinity;
      const bias = (top - 1) / 2;
      return sign * (exponent ? 2 ** (exponent - bias) * (1 + fraction) : 2 ** (1 - bias) * fraction);
    });
    const codes = new Uint16Array(bytes);
    const weights = new Float32Array(codes.length);
    for (let k = 0; k < codes.length; k += 1) weights[k] = values[codes[k]];
    return weights;
  };

  const decoders = {
    float64: bytes => new Float64Array(bytes),
    float32: bytes => new Float32Array(bytes),
    bfloat16: halves(7),
    float16: halves(10),
  };

  // Outputs and inputs of a tensor; a convolution is taken in the "matrix" view.
  const sidesOf = ({ shape }) => [shape[0] ?? 1, product(shape.slice(1))];

  const readRows = async (file, tensor, first, last) => {
    const { name, dtype, begin, end } = tensor;
    if (!decoders[dtype]) {
      throw new Error(`${name} holds numbers of ${dtype}; the weights of a layer are floats of 16 to 64 bits`);
    }
    const [m, n] = sidesOf(tensor);
    const row = (end - begin) / Math.max(m, 1);
    const weights = decoders[dtype](await bytesOf(file, begin + first * row, begin + last * row));
    play.checkFinite(weights, n, first);
    return weights;
  };

  const readTensor = (file, tensor) => readRows(file, tensor, 0, sidesOf(tensor)[0]);

  // What zimp.report says of a layer, from two passes over its rows: the tree; the rank of each of its edges, which is
  // how many weights magnitude pruning must keep to keep it; the safe density; and the components of what is not zero,
  // since files have zeros where weights were pruned. Yields the share that is done.
  play.jobs.layer = async function* ({ file, tensor }) {
    const [m, n] = sidesOf(tensor);
    if (tensor.shape.length < 2 || m * n === 0) {
      const shape = `shape (${tensor.shape.join(", ")})`;
      throw new Error(`${tensor.name} has ${shape}; a layer is a non-empty matrix (outputs, inputs)`);
    }
    let tree = { edges: [], magnitudes: [] }; // of the rows so far, from heavy to light
    for await (const { weights, first, share } of blocks(file, tensor)) {
      tree = grown(tree, weights, first, m, n);
      yield share / 2;
    }
    const { edges, magnitudes } = tree;
    const ranks = new Float64Array(edges.length); // first, how many weights come between it and the edge before
    let kept = 0;
    for await (const { weights, first, share } of blocks(file, tensor)) {
      for (let k = 0; k < weights.length; k += 1) {
        const magnitude = Math.abs(weights[k]);
        if (magnitude > 0) kept += 1;
        if (magnitude >= magnitudes[edges.length - 1]) {
          const next = place(tree, magnitude, first * n + k);
          if (next < edges.length) ranks[next] += 1;
        }
      }
      yield 0.5 + share / 2;
    }
    for (let k = 1; k < edges.length; k += 1) ranks[k] += ranks[k - 1];
    const components = m + n - magnitudes.filter(Boolean).length;
    const safeDensity = ranks[edges.length - 1] / (m * n);
    return { ...play.treeOf(edges, magnitudes, m, n), m, n, ranks, safeDensity, kept, components };
  };

  // The rows of a layer, so many at a time, and the share of the layer that is read with them.
  const blocks = async function* (file, tensor) {
    const [m, n] = sidesOf(tensor);
    const height = Math.max(1, Math.floor(BLOCK / n));
    for (let first = 0; first < m; first += height) {
      const last = Math.min(m, first + height);
      yield { weights: await readRows(file, tensor, first, last), first, share: last / m };
    }
  };

  // How many edges of the tree come before a weight: a binary search.
  const place = ({ edges, magnitudes }, magnitude, edge) => {
    let [low, high] = [0, edges.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const before = magnitudes[middle] > magnitude || (magnitudes[middle] === magnitude && edges[middle] < edge);
      if (before) low = middle + 1;
      else high = middle;
    }
    return low;
  };

  // The tree once more rows are there. An edge of theirs that is not the heaviest of its row closes a cycle with that
  // one and the path in the tree between their inputs. If no edge of such paths is lighter, it comes last in the cycle
  // and is not in the tree: after the first rows few edges are left to sort.
  const grown = (tree, weights, first, m, n) => {
    const path = lightestBetweenInputs(tree, n);
    const order = Array.from(tree.edges.keys()).sort((one, other) => tree.edges[one] - tree.edges[other]);
    const edges = order.map(k => tree.edges[k]);
    const magnitudes = order.map(k => tree.magnitudes[k]);
    for (let start = 0; start < weights.length; start += n) {
      let heaviest = start;
      for (let k = start + 1; k < start + n; k += 1) {
        if (Math.abs(weights[k]) > Math.abs(weights[heaviest])) heaviest = k;
      }
      for (let k = start; k < start + n; k += 1) {
        const magnitude = Math.abs(weights[k]);
        if (magnitude > path || k === heaviest) {
          edges.push(first * n + k);
          magnitudes.push(magnitude);
        }
      }
    }
    const taken = play.kruskal(edges, play.heaviestFirst(Float64Array.from(magnitudes)), m, n);
    return { edges: taken.map(k => edges[k]), magnitudes: taken.map(k => magnitudes[k]) };
  };

  // The lightest edge on any path between two inputs, which goes through no output with one edge. Less than any weight
  // as long as there is no tree.
  const lightestBetweenInputs = ({ edges, magnitudes }, n) => {
    if (!edges.length) return -1;
    const counts = new Map();
    const outputs = edges.map(edge => Math.floor(edge / n));
    for (const output of outputs) counts.set(output, (counts.get(output) || 0) + 1);
    const inner = magnitudes.filter((_, k) => counts.get(outputs[k]) > 1);
    return inner.length ? inner[inner.length - 1] : Infinity;
  };

  Object.assign(play, { product, readHeader, readTensor });
};
zimpPlay.parts.checkpoint(zimpPlay);
