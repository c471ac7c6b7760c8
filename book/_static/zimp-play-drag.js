// Drag a weight: the graph of a layer, its maximum spanning forest, its barcode and its Betti curve, while one weight is
// changed or the threshold falls. An edge outside the forest changes nothing until it passes the lightest edge of its
// cycle; from there on it drags one bar along.

(function (play) {
  "use strict";
  const { svg, html, update, color, round, edgeName, shownWeight } = play;
  const LARGEST = 4096;
  const LABELLED = 16;  // weights at most of a layer that is drawn as a graph with labels; a larger one as a matrix
  const NONE = -1;

  // All that is drawn of a layer. Distances are those of zimp: 1 - |w| / scale, in the order of the forest's edges.
  function study(text, scale) {
    const layer = play.readLayer(text);
    const { weights, m, n, mask } = layer;
    const { rows, cols, values, components } = play.forest(weights, m, n, mask);
    const unit = Math.max(scale, values[0] || 0);
    const relative = weight => (unit > 0 ? Math.abs(weight) / unit : 0);
    const forest = Array.from(rows, (row, k) => row * n + cols[k]);
    const distances = Array.from(values, value => 1 - relative(value));
    return { ...layer, unit, relative, forest, tree: new Set(forest), distances, components };
  }

  const exists = ({ weights, mask }, edge) => edge >= 0 && edge < weights.length && (!mask || Boolean(mask[edge]));
  const distance = (layer, edge) => 1 - layer.relative(layer.weights[edge]);

  // The edge that changes places with this one: for an edge of the forest the heaviest that could replace it, for any
  // other the lightest edge of its cycle.
  function rival(layer, edge) {
    const { weights, m, n, mask, tree, forest } = layer;
    const other = weights.slice();
    const without = mask ? mask.slice() : new Uint8Array(m * n).fill(1);
    if (tree.has(edge)) without[edge] = 0;
    else other[edge] = Number.MAX_VALUE;
    const { rows, cols } = play.forest(other, m, n, without);
    const changed = Array.from(rows, (row, k) => row * n + cols[k]);
    const found = tree.has(edge) ? changed.find(e => !tree.has(e)) : forest.find(e => !changed.includes(e));
    return found === undefined ? NONE : found;
  }

  // The cycle that an edge closes with the forest: what is left of them once all loose ends are gone.
  function cycle({ n, m, forest }, edge) {
    let edges = [...forest, edge];
    const ends = e => [Math.floor(e / n), m + (e % n)];
    for (let before = Infinity; edges.length < before; ) {
      before = edges.length;
      const degree = new Int32Array(m + n);
      for (const vertex of edges.flatMap(ends)) degree[vertex] += 1;
      edges = edges.filter(e => ends(e).every(vertex => degree[vertex] > 1));
    }
    return edges;
  }

  // Sentences.

  const digits = value => round(value, 3);

  function chosen(layer, edge) {
    const [name, size, other] = [edgeName(layer, edge), shownWeight(Math.abs(layer.weights[edge])), rival(layer, edge)];
    const against = other === NONE ? "" : `${edgeName(layer, other)} with ${shownWeight(Math.abs(layer.weights[other]))}`;
    if (!layer.tree.has(edge)) {
      return `${name} with ${size} is outside the tree. The lightest edge of its cycle is ${against}.`;
    }
    const bar = `${name} with ${size} is in the tree. Its bar ends at ${digits(distance(layer, edge))}.`;
    return `${bar} ${against ? `Below ${against}, it would lose its place.` : "No other edge can take its place."}`;
  }

  // What a change of one weight did, exactly: there is at most one exchange of edges, and at most one bar moves.
  function happened(before, after, edge) {
    const name = edgeName(after, edge);
    if (before.unit !== after.unit) {
      return `${name} is now the heaviest edge. All bars are measured by it, so the scale changed for all of them.`;
    }
    const [was, is] = [before.tree.has(edge), after.tree.has(edge)];
    if (!was && !is) return `Nothing moved. ${chosen(after, edge)}`;
    const left = before.forest.find(e => !after.tree.has(e));
    const came = after.forest.find(e => !before.tree.has(e));
    const [from, to] = [distance(before, was ? edge : left), distance(after, is ? edge : came)];
    const end = `from ${digits(from)} to ${digits(to)}`;
    const slid = from === to ? `No bar moved, since both edges weigh the same.` : `One bar slid: its end moved ${end}.`;
    const sized = e => `${edgeName(after, e)} with ${shownWeight(Math.abs(after.weights[e]))}`;
    if (was && is) return from === to ? chosen(after, edge) : `${name} is in the tree, so its bar slid ${end}.`;
    if (is) return `${name} passed ${sized(left)}, the lightest edge of its cycle, and took its place in the tree. ${slid}`;
    return `${name} fell behind ${sized(came)}, which took its place in the tree. ${slid}`;
  }

  function at(layer, t) {
    const entered = layer.weights.reduce((sum, w, e) => sum + (exists(layer, e) && layer.relative(w) >= t ? 1 : 0), 0);
    const pieces = components(layer, t);
    return `At threshold ${digits(t)}, ${entered} edge${entered === 1 ? " is" : "s are"} in, and the layer has ` +
      `${pieces} component${pieces === 1 ? "" : "s"}.`;
  }
  const components = ({ m, n, distances, forest, relative, weights }, t) =>
    m + n - forest.filter(edge => relative(weights[edge]) >= t).length;

  function build(view) {
    const { weights, m, n, mask } = view.settings;
    if (weights) {
      const layer = play.writeLayer({ weights, m, n, mask });
      const scale = Math.max(0, ...weights.filter((_, edge) => !mask || mask[edge]).map(Math.abs));
      Object.assign(view.start, { layer, scale }, view.settings.state);
      Object.assign(view.state, view.start);
    }
    const drawing = view.canvas("A layer as a graph, its barcode and its Betti curve");
    update(drawing, { role: "group" });  // it has parts that can be acted on
    let shown = null;  // what is drawn, until its shape or the width changes
    let before = null;  // the layer ahead of the last change, whose Betti curve stays to be seen
    let lit = NONE;  // the edge under the pointer
    let bar = NONE;  // the bar that the keyboard is at

    let studied = {};
    const current = () => {
      const { layer, scale } = view.state;
      if (studied.text !== layer || studied.scale !== scale) studied = { text: layer, scale, ...study(layer, scale) };
      return studied;
    };

    // Acts.

    function select(edge) {
      before = null;
      view.set({ edge }, chosen(current(), edge));
    }
    function change(edge, weight, from = current()) {
      const text = play.writeLayer({ ...from, weights: from.weights.map((w, e) => (e === edge ? weight : w)) });
      before = from;
      view.set({ layer: text, scale: Math.max(view.state.scale, Math.abs(weight)), edge });
      view.say(happened(from, current(), edge));
    }
    const top = () => current().unit || 1;
    const step = () => 10 ** Math.ceil(Math.log10(top()) - 1e-9) / 100;
    // A new size, in whole steps and at most the scale; the sign stays.
    function resize(edge, size, from) {
      const rounded = Math.min(top(), Math.max(0, +(Math.round(size / step()) * step()).toPrecision(12)));
      change(edge, from.weights[edge] < 0 ? -rounded : rounded, from);
    }
    function keys(event, edge) {
      const size = Math.abs(current().weights[edge]);
      const by = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10 }[event.key];
      if (by) resize(edge, size + by * step(), current());
      else if (event.key === "Home" || event.key === "End") resize(edge, event.key === "Home" ? 0 : top(), current());
      else if (/^[-\d.]$/.test(event.key) || event.key === "Enter") {
        weight.value = event.key === "Enter" ? weight.value : event.key;
        weight.focus();
      } else return;
      event.preventDefault();
    }
    function drag(event, edge) {
      const [from, x] = [current(), event.clientX];
      const target = event.currentTarget;
      target.setPointerCapture(event.pointerId);
      const move = ({ clientX }) =>
        clientX !== x && resize(edge, Math.abs(from.weights[edge]) + ((clientX - x) / 180) * top(), from);
      const end = () => target.removeEventListener("pointermove", move);
      target.addEventListener("pointermove", move);
      for (const over of ["pointerup", "pointercancel"]) target.addEventListener(over, end, { once: true });
    }

    // Controls.

    view.slider({ key: "t", label: "threshold t", min: 0, max: 1.05, step: 0.01, format: digits,
      sentence: ({ t }) => at(current(), t) });
    let stop = null;
    function halt() {
      if (stop) stop();
      stop = null;
      film.textContent = "Play";
    }
    const film = view.button({ label: "Play", press() {
      if (stop) return halt();
      const from = view.state.t > 0 ? view.state.t : 1.05;
      film.textContent = "Stop";
      let over = false;
      stop = view.animate(
        part => view.set({ t: round(from * (1 - part), 3) }, at(current(), round(from * (1 - part), 3))),
        8000 * from, () => (over = true, halt()),
      );
      if (over) halt();
    } });
    view.button({ label: "Next edge", press() {
      halt();
      const layer = current();
      const sizes = Array.from(layer.weights, layer.relative).filter((a, edge) => exists(layer, edge));
      const t = sizes.reduce((next, a) => (a < view.state.t && a > next ? a : next), NONE);
      if (t === NONE) return view.set({ t: 1.05 }, "All edges are in. The film starts again, with no edge.");
      const entering = layer.forest.filter(edge => layer.relative(layer.weights[edge]) === t);
      const joins = entering.map(edge => edgeName(layer, edge)).join(", ");
      const what = joins ? `${joins}: two components join.` : "An edge enters that closes a cycle: none joins.";
      view.set({ t }, `${what} ${at(layer, t)}`);
    } });
    view.root.addEventListener("input", () => stop && halt());

    const box = (label, width, attributes) => {
      const input = html("input", { style: `width: ${width}em`, autocomplete: "off", ...attributes });
      return [input, html("label", { style: "margin: 0" }, `${label} `, input)];
    };
    const [input, inputLabel] = box("edge from x", 4, { type: "number", min: 0, change: pick });
    const [output, outputLabel] = box("to y", 4, { type: "number", min: 0, change: pick });
    const [weight, weightLabel] = box("weight", 6, { keydown: event => event.key === "Enter" && type() });
    const enter = html("button", { type: "button", click: type }, "Enter");
    view.controls.append(html("div", { class: "zimp-live-field" }, inputLabel, outputLabel, weightLabel, enter));
    function pick() {
      const layer = current();
      const [col, row] = [input, output].map(field => (/^\d{1,4}$/.test(field.value) ? +field.value : NONE));
      const edge = row * layer.n + col;
      if (Math.min(row, col) < 0 || row >= layer.m || col >= layer.n) {
        return view.fail(`There is no such edge: inputs are 0 to ${layer.n - 1}, outputs 0 to ${layer.m - 1}.`);
      }
      if (!exists(layer, edge)) return view.fail(`The mask has pruned ${edgeName(layer, edge)}. Choose another edge.`);
      select(edge);
    }
    function type() {
      const { edge } = view.state;
      if (!exists(current(), edge)) return view.fail("Choose an edge first, then give it a weight.");
      const text = weight.value.trim().replace("−", "-").replace(/^(-?\d*),(\d+)$/, "$1.$2");
      if (text === "" || !Number.isFinite(+text)) {
        return view.fail(`“${weight.value.slice(0, 40)}” is not a number. Type a weight such as 0.35.`);
      }
      change(edge, +text);
    }
    const paste = view.field({ label: "One line for each output, its weights with blanks between them.", lines: 3,
      placeholder: "0.9 -0.2\n0.1 0.5\n-0.8 0.3", action: "Use this matrix", enter(text) {
        try {
          const pasted = play.parseMatrix(text);
          const scale = Math.max(...pasted.weights.map(Math.abs));
          before = null;
          view.set({ layer: play.writeLayer(pasted), scale, edge: NONE, t: 0 });
          const layer = current();
          view.say(`A ${layer.m} × ${layer.n} layer: ${layer.forest.length} of its ${layer.m * layer.n} weights are ` +
            "the tree.");
        } catch (error) {
          view.fail(`This matrix was not taken: ${error.message}.`);
        }
      } });
    const own = paste.closest(".zimp-live-field");
    own.replaceWith(html("details", {}, html("summary", { style: "min-height: 28px" }, "Paste a matrix"), own));

    // The drawing. What stays while weights change is laid out once.

    function light(edge) {
      if (edge === lit) return;
      lit = edge;
      requestAnimationFrame(() => draw(view.state));
    }
    const hover = edge => ({ pointerenter: () => light(edge), pointerleave: () => light(NONE) });

    function lay(layer, width) {
      drawing.replaceChildren();
      const wide = width >= 560;
      const side = wide ? width * 0.44 : width;
      const labels = layer.weights.length <= LABELLED;
      const halo = svg("path", { fill: "none", stroke: color("ink"), "stroke-opacity": 0.16, "stroke-width": 16,
        "stroke-linecap": "round", "stroke-linejoin": "round" });
      drawing.append(halo);
      const graph = { left: 34, top: 18, width: side - 68, height: wide ? 264 : 214 };
      const picture = labels ? labelledGraph(layer, graph) : matrix(layer, { ...graph, left: 28, width: side - 40 });
      const left = wide ? side + 34 : 26;
      const origin = wide ? 20 : 276;
      const plot = { left, width: width - left - 26, x: [0, 1] };
      const [bars, curve] = [svg("g"), svg("g")];
      drawing.append(bars, curve);
      const above = play.axes(bars, { ...plot, top: origin, height: 116, y: [0, 1], xticks: [], yticks: [],
        ylabel: "barcode" });
      const below = play.axes(curve, { ...plot, top: origin + 150, height: 96, y: [0, layer.m + layer.n],
        yticks: play.ticks(0, layer.m + layer.n).filter(Number.isInteger), ylabel: "components",
        xlabel: "distance 1 − |w| / scale" });
      const line = attributes => {
        const made = svg("path", { fill: "none", "pointer-events": "none", ...attributes });
        drawing.append(made);
        return made;
      };
      const old = line({ stroke: color("absent"), "stroke-width": 2, "stroke-dasharray": "2 3" });
      const betti = line({ stroke: color("tree"), "stroke-width": 2 });
      const slide = line({ stroke: color("ink"), "stroke-width": 1.5, "stroke-dasharray": "2 3" });
      const here = line({ "stroke-width": 2 });
      const now = line({ stroke: color("ink"), "stroke-dasharray": "5 4" });
      const dot = svg("circle", { r: 4.5, fill: color("ink"), "pointer-events": "none" });
      const count = svg("text", { "text-anchor": "middle", "pointer-events": "none" });
      const name = svg("text", { "text-anchor": "middle", "pointer-events": "none", y: origin + 131 });
      const mark = line({ stroke: color("ink"), "stroke-width": 1.5 });
      const area = { x: left - 8, width: plot.width + 30, fill: "transparent" };
      const touched = svg("rect", { ...area, y: origin, height: 116, tabindex: 0, role: "slider", "aria-valuemin": 1,
        "aria-label": "bar", pointermove: event => light(barAt(event)), pointerleave: () => light(NONE),
        click: event => choose(barAt(event)), keydown: walk, focus: () => walk({ key: "" }), blur: () => (bar = NONE) });
      const steps = svg("rect", { ...area, y: origin + 150, height: 96, pointermove: event => light(stepAt(event)),
        pointerleave: () => light(NONE), click: event => choose(stepAt(event)) });
      drawing.append(dot, count, name, touched, steps);
      drawing.fit(width, origin + 290);
      shown = { width, labels, halo, picture, above, below, origin, bars: play.barcode(bars), old, betti, slide, here, now,
        dot, count, name, mark, touched, shape: `${layer.m} ${layer.n} ${layer.mask || ""}` };
    }

    const choose = edge => edge !== NONE && select(edge);
    const point = event => {
      const box = drawing.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    function barAt(event) {
      const layer = current();
      const k = Math.floor(((point(event)[1] - shown.origin) / 116) * (layer.forest.length + layer.components));
      return k >= 0 && k < layer.forest.length ? layer.forest[k] : NONE;
    }
    function stepAt(event) {
      const layer = current();
      const far = layer.distances.map(d => Math.abs(shown.below.x(d) - point(event)[0]));
      return far.length ? layer.forest[far.indexOf(Math.min(...far))] : NONE;
    }
    function walk(event) {  // from bar to bar by the keyboard
      const { forest } = current();
      const by = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, Home: -LARGEST, End: LARGEST, "": 0 };
      if (!(event.key in by) || !forest.length) return;
      if (event.key) event.preventDefault();
      bar = Math.max(0, Math.min(forest.length - 1, bar + by[event.key]));
      select(forest[bar]);
    }

    function labelledGraph(layer, box) {
      const drawn = play.labelled(drawing, layer, box, edge => ({
        role: "slider", tabindex: 0, "aria-label": `weight of ${edgeName(layer, edge)}`, "aria-valuemin": 0,
        style: "cursor: ew-resize; touch-action: none", ...hover(edge), focus: () => edge !== view.state.edge && select(edge),
        pointerdown: event => drag(event, edge), keydown: event => keys(event, edge),
      }));
      const { inputs, outputs } = drawn.net;
      return { ...drawn, ends: edge => [inputs[edge % layer.n], outputs[Math.floor(edge / layer.n)]] };
    }
    function matrix(layer, { left, top, width, height }) {
      const [across, down] = [Math.min(24, width / layer.n), Math.min(24, height / layer.m)];
      const cells = svg("g", { role: "img", "aria-label": `The ${layer.m} × ${layer.n} layer as a matrix` });
      cells.append(...Array.from(layer.weights, (_, edge) => svg("rect", {
        x: round(left + (edge % layer.n) * across), y: round(top + Math.floor(edge / layer.n) * down),
        width: round(across), height: round(down), "shape-rendering": "crispEdges",
      })));
      const edgeAt = event => {
        const [x, y] = point(event);
        const edge = Math.floor((y - top) / down) * layer.n + Math.floor((x - left) / across);
        return exists(layer, edge) ? edge : NONE;
      };
      update(cells, { pointermove: event => light(edgeAt(event)), pointerleave: () => light(NONE),
        click: event => choose(edgeAt(event)) });
      const ring = svg("path", { fill: "none", stroke: color("ink"), "stroke-width": 2, "pointer-events": "none" });
      const words = (text, place) => svg("text", { ...place, text });
      drawing.append(cells, ring, words("inputs x", { x: left, y: top - 6 }),
        words("outputs y", { transform: `translate(${left - 8} ${top + 54}) rotate(-90)` }));
      return { cells: [...cells.children], ring, codes: new Int8Array(layer.weights.length).fill(NONE),
        frame: edge => `M${left + (edge % layer.n) * across - 1} ${top + Math.floor(edge / layer.n) * down - 1}` +
          `h${across + 2}v${down + 2}h${-across - 2}z` };
    }

    function draw(state) {
      const layer = current();
      const { t } = state;
      const shape = `${layer.m} ${layer.n} ${layer.mask || ""}`;
      if (!shown || shown.width !== view.width || shown.shape !== shape) lay(layer, view.width);
      const { above, below, origin, picture } = shown;
      const edge = exists(layer, lit) ? lit : exists(layer, state.edge) ? state.edge : NONE;
      const inTree = layer.tree.has(edge);
      const other = edge === NONE || inTree ? NONE : rival(layer, edge);
      const look = e => (layer.relative(layer.weights[e]) < t ? "absent" : layer.tree.has(e) ? "tree" : "kept");

      if (shown.labels) {
        for (const e of picture.labels.keys()) {
          const [size, place] = [Math.abs(layer.weights[e]), layer.tree.has(e) ? "in the tree" : "outside the tree"];
          picture.show(e, look(e), { framed: e === edge || e === other, words: shownWeight(layer.weights[e]), more: {
            "aria-valuenow": size, "aria-valuemax": top(), "aria-valuetext": `${shownWeight(layer.weights[e])}, ${place}`,
          } });
        }
        const around = other === NONE ? [] : cycle(layer, edge);
        update(shown.halo, { d: around.map(picture.ends).map(([a, b]) => `M${a.x} ${a.y}L${b.x} ${b.y}`).join("") });
      } else {
        // A cell is drawn anew only where it changed: 0 pruned, 1 not in yet, 2 tree, 3 and more the heavier the darker.
        layer.weights.forEach((weight, e) => {
          const a = layer.relative(weight);
          const code = !exists(layer, e) ? 0 : a < t ? 1 : layer.tree.has(e) ? 2 : 3 + Math.round(7 * a);
          if (picture.codes[e] === code) return;
          picture.codes[e] = code;
          const fill = code > 2 ? "kept" : ["pruned", "paper", "tree"][code];
          picture.cells[e].style = `fill: ${color(fill)}; fill-opacity: ${code > 2 ? 0.1 + (code - 3) / 8 : 1}`;
        });
        update(picture.ring, { d: [edge, other].filter(e => e !== NONE).map(picture.frame).join("") });
      }

      const { distances, components: never, forest } = layer;
      shown.bars({ distances, components: never, x: above.x, top: origin, height: 116 });
      const row = e => round(origin + ((forest.indexOf(e) + 0.5) / (forest.length + never)) * 116);
      const focus = inTree ? edge : other;
      update(shown.mark, { d: focus === NONE ? "" :
        `M${above.x(0) - 5} ${row(focus) - 6}H${above.x(distance(layer, focus)) + 4}v12H${above.x(0) - 5}z` });
      const moved = before && inTree && before.forest.find(e => e === edge || !layer.tree.has(e));
      update(shown.slide, { d: moved === null || moved === undefined || moved === false ? "" :
        `M${above.x(distance(layer, edge))} ${row(edge)}H${above.x(distance(before, moved))}m0 -7v14` });
      const stairs = ({ distances, m, n }) => below.path([[0, m + n]]) +
        distances.map((d, k) => `H${below.x(d)}V${below.y(m + n - k - 1)}`).join("") + `H${below.x(1.04)}`;
      update(shown.betti, { d: stairs(layer) });
      update(shown.old, { d: before && before.m === layer.m ? stairs(before) : "" });

      const x = edge === NONE ? 0 : above.x(distance(layer, edge));
      update(shown.here, { d: edge === NONE ? "" : `M${x} ${origin}V${origin + 116}M${x} ${origin + 150}v96`,
        style: `stroke: ${color(inTree ? "tree" : "kept")}`, "stroke-dasharray": inTree ? null : "1 0" });
      update(shown.name, { text: edge === NONE ? "" : edgeName(layer, edge), x });
      const line = above.x(1 - t);
      const pieces = components(layer, t);
      update(shown.now, { d: `M${line} ${origin - 4}V${origin + 246}` });
      update(shown.dot, { cx: line, cy: below.y(pieces) });
      update(shown.count, { text: `β₀ = ${pieces}`, x: Math.min(Math.max(line, above.x(0) + 20), above.x(1) - 6),
        y: below.y(pieces) - 9 });
      const at = inTree ? forest.indexOf(edge) : -1;
      update(shown.touched, { "aria-valuemax": forest.length || 1, "aria-valuenow": Math.max(1, at + 1),
        "aria-valuetext": at < 0 ? "no bar chosen" :
          `bar ${at + 1} of ${forest.length}: ${edgeName(layer, edge)}, ends at ${digits(distances[at])}` });

      const own = exists(layer, state.edge);
      update(input, { max: layer.n - 1 });
      update(output, { max: layer.m - 1 });
      const fields = own ? [state.edge % layer.n, Math.floor(state.edge / layer.n), +layer.weights[state.edge]] : ["", "", ""];
      [input, output, weight].forEach((field, k) => document.activeElement !== field && (field.value = fields[k]));
    }
    view.forget = () => (before = null);
    return draw;
  }

  play.register("drag", {
    title: "Drag a weight",
    state: {
      layer: { value: "[0.9 -0.2; 0.1 0.5; -0.8 0.3]", read: play.layerText(LARGEST) },
      scale: { value: 0.9, read: play.number(0, Number.MAX_VALUE) },
      t: { value: 0, read: play.number(0, 1.05) },
      edge: { value: NONE, read: play.whole(NONE, LARGEST - 1) },
    },
    reset: view => view.forget(),
    build,
  });
})(zimpPlay);
