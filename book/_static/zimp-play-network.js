// Your network: how far each layer can be pruned, from its size alone, which is typed or known, or comes from a file of
// weights; of a layer of a file the worker finds the tree.
//
// A layer is {name, shape, groups}, with the shape as PyTorch has it: outputs first.

zimpPlay.parts.network = function (play) {
  // What play.jobs.layer says of a layer that may be a part of a tensor, have a mask, or lie on its side.
  play.jobs.measure = async function* ({ file, layer: { m, n, tensor, mask, first, transposed } }) {
    const row = (tensor.end - tensor.begin) / tensor.shape[0];
    const [begin, end] = [first, first + m].map(output => tensor.begin + output * row);
    let matrix = { ...tensor, shape: [m, n], begin, end };
    if (mask || transposed) { // written down as the matrix that it is, with zeros for weights that do not exist
      const weights = await play.readTensor(file, tensor);
      const exists = mask && (await play.readTensor(file, mask));
      const values = Float64Array.from({ length: m * n }, (_, k) => {
        const [output, input] = [first + Math.floor(k / n), k % n];
        const place = transposed ? input * tensor.shape[1] + output : output * n + input;
        return mask && !exists[place] ? 0 : weights[place];
      });
      file = new Blob([values]);
      matrix = { ...matrix, dtype: "float64", begin: 0, end: values.byteLength };
    }
    const { ranks, values } = yield* play.jobs.layer({ file, tensor: matrix });
    const size = mask ? values.filter(Boolean).length : values.length;
    return { ranks: ranks.slice(0, size), components: m + n - size, safe: size ? ranks[size - 1] / (m * n) : 0 };
  };
};
zimpPlay.parts.network(zimpPlay);

(function (play) {
  "use strict";

  const { html, svg, color, fill, label, show, control, clamp, count, product } = play;
  const { known, rules } = play.data.networks;
  const SHOWN = 8; // rows, unless all are asked for
  const ROW = 36;
  const GRAPHS = ["matrix", "channel"];

  const whole = value => value.toLocaleString("en");
  const fold = ratio => ratio.toLocaleString("en", { maximumFractionDigits: 1 });
  const by = shape => shape.map(whole).join(" × ");

  const widths = {
    parse(text) {
      const parts = text.trim().split(/\s*[-–→;x×]\s*|,?\s+/);
      const fit = parts.length > 1 && parts.length <= 100 && parts.every(part => /^[1-9]\d{0,6}$/.test(part));
      return fit ? parts.map(Number) : undefined;
    },
    write: list => list.join("-"),
    rule: "2 to 100 numbers of neurons from the input on, such as 784-300-100-10",
  };

  // A layer with its weights and the edges of its tree; `graph` says what of a convolution are the neurons.
  function sized(layer, graph = layer.graph) {
    const { shape, groups = 1 } = layer;
    const weights = product(shape);
    const width = graph === "channel" ? shape[1] : weights / shape[0];
    const tree = shape[0] + groups * width - groups;
    return { ...layer, weights, tree, ratio: weights / tree };
  }

  // Which tensors of a file are layers, as in zimp.reports.layouts, whose patterns and names are in `rules`.
  play.findLayers = function (tensors) {
    const named = new Map(tensors.map(tensor => [tensor.name, tensor]));
    const search = (rule, text, flags = "") => new RegExp(rules[rule], flags).test(text);
    const matches = (rule, text) => new RegExp(`^(${rules[rule]})$`).test(text);
    const [attribute, owner] = [1, 2].map(k => name => `.${name}`.split(".").at(-k));
    const flat = ({ shape }) => shape.length === 2;

    const maskOf = ({ name, shape }) => {
      const mask = name.endsWith("_orig") && named.get(name.replace(/_orig$/, "_mask"));
      return mask && `${mask.shape}` === `${shape}` ? mask : null;
    };
    const inputsFirst = tensors.some(tensor => {
      const least = rules.inputs_first[owner(tensor.name)];
      return least && flat(tensor) && tensor.shape[1] >= least * tensor.shape[0];
    });

    function isLayer({ name: full, shape, dtype }, name, mask) {
      const weight = attribute(name) === "weight";
      return rules.dtypes.includes(dtype) && !shape.includes(0) && shape.length >= 2 &&
        shape.length <= (weight ? 5 : 2) && matches("weight", attribute(name)) &&
        !(weight && search("norm", owner(full), "i")) && !(search("reparametrised", full) && !mask) &&
        !(shape.length > 2 && weight && search("experts", full));
    }

    // The names of the layers that lie one below the other in a tensor; none where it is one layer.
    function partsOf(name, outputs, inputs) {
      const end = attribute(name);
      if (end.startsWith("weight_hr")) return [];
      if (/^weight_[ih]h/.test(end)) {
        const units = ["weight_hr", "weight_hh"].map(other => {
          const place = name.replace(/weight_[ih]h/, other);
          const found = named.get(place) || named.get(`${place}_orig`);
          return found && flat(found) && found.shape[1];
        }).find(Boolean);
        return rules.gates[outputs / units] || [];
      }
      if (search("interleaved", name.slice(0, -end.length - 1))) return [];
      let parts = rules.fused[end === "in_proj_weight" ? end : owner(name)] || [];
      const attention = parts.includes("k");
      if (attention && owner(name) === "c_attn" && outputs === 2 * inputs) parts = parts.slice(1);
      return (attention ? outputs === parts.length * inputs : outputs % parts.length === 0) ? parts : [];
    }

    let before = 0; // outputs of the layer before
    return tensors.flatMap(tensor => {
      const mask = maskOf(tensor);
      const name = mask ? tensor.name.slice(0, -5) : tensor.name;
      if (!isLayer(tensor, name, mask)) return [];
      const embedding = attribute(name) === "weight" && matches("embedding", owner(name)) &&
        !named.has(`${name.slice(0, -6)}bias`);
      const dense = flat(tensor) && !embedding;
      const transposed = dense && inputsFirst && rules.gpt2.includes(owner(name)) && !/^weight_/.test(attribute(name));
      // A file does not tell groups. With one input channel, after a layer with as many outputs, it is depthwise.
      const depthwise = !flat(tensor) && tensor.shape[1] === 1 && tensor.shape[0] > 1 && tensor.shape[0] === before;
      const groups = depthwise ? before : 1;
      before = tensor.shape[0];
      const sides = [tensor.shape[0], groups * product(tensor.shape.slice(1))];
      const [outputs, n] = transposed ? sides.reverse() : sides;
      const parts = dense ? partsOf(name, outputs, n) : [];
      const m = outputs / (parts.length || 1);
      return (parts.length ? parts : [""]).map((part, k) => ({
        name: tensor.name + (part && `[${part}]`), shape: flat(tensor) ? [m, n] : tensor.shape, m, n, first: k * m,
        tensor, mask, transposed, embedding, groups,
      }));
    });
  };

  function build(view) {
    let opened = null; // the file, its layers, and what was measured of them
    let work = null;

    const only = (...kinds) => ({ of }) => kinds.includes(of);
    const kinds = { sizes: "sizes", known: "a known one", convolution: "a convolution", file: "a file of yours" };
    view.choice({ key: "of", label: "Network", options: kinds });
    const field = view.field({
      label: "Neurons, from the input on", when: only("sizes"),
      enter(text) {
        const sizes = widths.parse(text);
        if (sizes) view.set({ sizes });
        else view.fail(`"${text.slice(0, 40)}" cannot be read; it must be ${widths.rule}.`);
      },
    });
    view.bound.push(({ sizes }) => (field.value = widths.write(sizes)));
    view.select({ key: "known", label: "Which", options: Object.keys(known), when: only("known") });
    const choose = html("input", { type: "file", accept: ".safetensors", change: () => open(choose.files[0]) });
    const uploads = "A .safetensors file; your browser reads it here, and nothing is uploaded";
    view.add(control("field", uploads, choose), only("file"));
    const when = only("convolution");
    view.slider({ key: "outputs", label: "Outputs", min: 1, max: 512, when });
    view.slider({ key: "inputs", label: "Inputs", min: 1, max: 512, when });
    view.slider({ key: "kernel", label: "Kernel side", min: 1, max: 11, when });
    view.switch({ key: "depthwise", label: "Depthwise: one input each", when });
    view.choice({ key: "graph", label: "Graph of a convolution", options: GRAPHS, when: only("known", "file") });
    view.slider({ // of equal factors
      key: "density", label: "Density", min: 0, max: 400,
      place: density => -100 * Math.log10(density), read: place => +(10 ** (-place / 100)).toPrecision(3),
      format: density => `${density}, ${fold(1 / density)}-fold`,
    });
    const all = view.switch({ key: "all", label: "Show all sizes" });

    const drawing = view.canvas("How far each layer can be pruned, the tightest first");
    const note = { class: "zimp-live-note" };
    const [told, result] = [html("p", note), html("p", { ...note, "aria-live": "polite" })];
    const layer = html("select", { change: () => view.set({}) });
    const start = play.button("", () => (work ? stop() : measure()));
    const progress = html("progress", { "aria-label": "Progress" });
    const measuring = html("div", { class: "zimp-live-field" }, control("field", "Layer", layer), start, progress);
    view.stage.append(told, measuring, result);

    async function open(file) {
      if (!file) return;
      try {
        const { tensors } = await play.readHeader(file);
        const found = play.findLayers(tensors);
        const layers = found.filter(({ embedding }) => !embedding).map(layer => sized(layer));
        if (!layers.length) {
          const held = `${file.name} holds ${count(tensors.length, "tensor")}`;
          throw new Error(`${held}, none of which is named and shaped like a layer; is it a file of weights?`);
        }
        stop();
        opened = { file, layers, measured: new Map() };
        const others = tensors.length - new Set(layers.flatMap(({ tensor, mask }) => [tensor, mask || tensor])).size;
        const left = others ? ` Left out: ${count(others, "tensor")}, such as biases, norms and embeddings.` : "";
        const norm = tensors.some(({ name }) => /weight(_v|\.original1)$/.test(name));
        const more = norm ? " Weight norm is not read here; python -m zimp report reads it." : "";
        told.textContent = `${file.name}: ${count(layers.length, "layer")}.${left}${more}`;
        const tight = [...layers].sort((a, b) => a.ratio - b.ratio);
        const alone = tight.filter(({ groups }) => groups === 1); // nothing can be pruned of a depthwise one
        const options = alone.map(({ name, shape }) => html("option", { value: name }, `${name}: ${by(shape)}`));
        layer.replaceChildren(...options);
        view.set({ of: "file" });
      } catch (error) {
        view.fail(error.message);
      }
    }
    play.update(view.root, {
      dragover: event => event.preventDefault(),
      drop(event) {
        event.preventDefault();
        open(event.dataTransfer.files[0]);
      },
    });

    const chosen = () => opened.layers.find(({ name }) => name === layer.value);
    function stop() {
      work?.stop();
      work = null;
      view.set({});
    }
    function measure() {
      const [{ file, measured }, layer] = [opened, chosen()];
      progress.value = 0;
      work = view.work("measure", { file, layer }, done => (progress.value = done));
      work.promise.then(found => measured.set(layer.name, found)).finally(stop)
        .catch(error => view.fail(`${layer.name}: ${error.message}`));
      view.set({});
    }
    function resultOf({ density }, { name, m, n, weights }, { ranks, components, safe }) {
      const lost = ranks.filter(rank => rank > Math.round(density * weights)).length;
      const best = play.criticalCompression(m, n);
      return (
        `${name}: its tree has ${count(ranks.length, "edge")}. Magnitude pruning preserves its H0 down to the safe ` +
        `density ${+safe.toPrecision(3)}, or ${fold(1 / safe)}-fold (the diamond). The best mask goes up to ` +
        `${fold(best)}-fold. At density ${density} magnitude pruning leaves ${count(components + lost, "piece")}.`
      );
    }

    function layersOf(state) {
      const { sizes, outputs, inputs, kernel, depthwise, graph } = state;
      const last = sizes.length - 1;
      return {
        sizes: () => sizes.slice(1).map((size, k) => ({
          name: k + 1 === last ? "the output layer" : `layer ${k + 1}`, shape: [size, sizes[k]],
        })),
        known: () => known[state.known].map(([name, shape, groups]) => ({ name, shape, groups, graph })),
        convolution: () => GRAPHS.map(graph => ({
          name: `its ${graph} graph`, shape: [outputs, depthwise ? 1 : inputs, kernel, kernel],
          groups: depthwise ? outputs : 1, graph,
        })),
        file: () => (opened ? opened.layers.map(layer => ({ ...layer, graph })) : []),
      }[state.of]().map(layer => sized(layer)).map(layer => {
        const kept = Math.round(state.density * layer.weights);
        return { ...layer, kept, broken: kept < layer.tree };
      });
    }

    // A row for all layers of a size, the tightest first.
    function rowsOf(layers) {
      const rows = new Map();
      for (const layer of layers) {
        const key = `${layer.shape} ${layer.groups} ${layer.graph}`;
        if (!rows.has(key)) rows.set(key, { ...layer, alike: [] });
        rows.get(key).alike.push(layer.name);
      }
      return [...rows.values()].sort((a, b) => a.ratio - b.ratio);
    }

    function sentenceOf({ of, density }, layers, [{ name, shape, kept, tree, ratio, broken }], average) {
      const lost = layers.filter(layer => layer.broken).length;
      const all = count(layers.length, of === "convolution" ? "graph" : "layer");
      const tight = of === "known" ? `a layer of ${by(shape)}` : `${name} (${by(shape)})`;
      const hidden = of === "convolution" ? "" : ` The average over the network is ${fold(average)}-fold.`;
      const said = broken
        ? `${whole(lost)} of ${all} must be in pieces, whatever the method. The tightest, ${tight}, keeps ` +
          `${count(kept, "weight")}, and its tree needs ${whole(tree)}.`
        : `${whole(layers.length)} of ${all} can be in one piece. The first to break is ${tight}, beyond ` +
          `${fold(ratio)}-fold.`;
      return `At density ${density}, ${said}${hidden}`;
    }

    return function draw(state) {
      const layers = layersOf(state);
      const total = key => layers.reduce((sum, layer) => sum + layer[key], 0);
      const average = total("weights") / total("tree");
      const rows = rowsOf(layers);
      const network = { name: "the network, on average", ratio: average, alike: [] };
      const shown = state.all ? [...rows] : rows.slice(0, SHOWN);
      if (state.of !== "convolution" && rows.length) shown.push(network);
      show(all, rows.length > SHOWN);
      show(drawing, rows.length);

      const [top, height, width] = [22, ROW * shown.length, view.width];
      const end = Math.log10(Math.max(10, ...rows.concat(network).map(({ ratio }) => 1.1 * (ratio || 1))));
      drawing.replaceChildren();
      drawing.fit(width, top + height + 40);
      const { x } = play.axes(drawing, {
        left: 4, top, width: width - 12, height, x: [0, end], yticks: [], xlabel: "compression ratio",
        xticks: [0, 1, 2, 3, 4].filter(power => power <= end), format: power => whole(10 ** power),
      });
      const across = ratio => x(Math.min(end, Math.log10(ratio)));
      const line = (ratio, thick, more) =>
        play.path("ink", thick, { d: `M${across(ratio)} ${top}v${height}`, ...more });
      const cut = clamp(across(1 / state.density), 40, width - 40);
      const [bars, front] = [svg("g"), svg("g", {}, label(`${fold(1 / state.density)}-fold`, cut, 14, "middle"))];
      drawing.append(bars);
      if (shown.includes(network)) drawing.append(line(average, 1, { "stroke-dasharray": "2 4" }));
      drawing.append(line(1 / state.density, 2), front);
      for (const [k, { name, shape, ratio, broken, alike }] of shown.entries()) {
        const y = top + ROW * k;
        const size = shape ? by(shape) + (alike.length > 1 ? `, ${count(alike.length, "layer")}` : "") : "";
        const room = Math.floor((width - 90) / 6.6) - size.length - 2;
        const short = name.length > room ? `…${name.slice(Math.min(-1, 1 - room))}` : name;
        const words = shape && (state.of === "known" || room < 6) ? size : `${short}${shape ? `: ${size}` : ""}`;
        const style = fill(!shape ? "ink" : broken ? "tree" : "kept");
        bars.append(svg("rect", { x: 4, y: y + 19, height: 10, width: across(ratio) - 3, style }));
        const value = `${broken ? "breaks, " : ""}${fold(ratio)}`;
        front.append(label(words, 10, y + 14), label(value, width - 4, y + 14, "end"));
        if (state.of !== "file" || state.graph !== "matrix") continue;
        for (const { safe } of alike.map(name => opened.measured.get(name)).filter(Boolean)) {
          const d = `M${across(1 / safe)} ${y + 16}l8 8l-8 8l-8 -8z`;
          front.append(svg("path", { d, style: fill("magnitude"), stroke: color("paper") }));
        }
      }

      const prompt = "Choose a .safetensors file, or drop it here.";
      view.say(rows.length ? sentenceOf(state, layers, rows, average) : prompt);
      const own = state.of === "file" && opened;
      for (const control of [told, measuring, result]) show(control, own);
      if (!own) return;
      start.textContent = work ? "Stop" : "Find its tree";
      layer.disabled = Boolean(work);
      show(progress, work);
      const measured = opened.measured.get(layer.value);
      result.textContent = measured ? resultOf(state, chosen(), measured) : "";
    };
  }

  play.register("network", {
    title: "Your network",
    state: () => ({
      of: { value: "sizes", read: play.oneOf(["sizes", "known", "convolution", "file"]) },
      sizes: { value: [784, 300, 100, 10], read: widths },
      known: { value: "ResNet-50", read: play.oneOf(Object.keys(known)) },
      outputs: { value: 64, read: play.whole(1, 512) },
      inputs: { value: 64, read: play.whole(1, 512) },
      kernel: { value: 3, read: play.whole(1, 11) },
      depthwise: { value: false, read: play.flag() },
      graph: { value: "matrix", read: play.oneOf(GRAPHS) },
      density: { value: 0.2, read: play.number(0.0001, 1) },
      all: { value: false, read: play.flag() },
    }),
    build,
  });
})(zimpPlay);
