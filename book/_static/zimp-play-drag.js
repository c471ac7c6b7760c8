// Drag a weight: graph, forest, barcode and Betti curve of a layer while one weight changes. An edge outside the forest
// changes nothing until it passes the lightest edge of its cycle; then it takes one bar along.

(function (play) {
  "use strict";
  const { svg, html, update, color, label, round, exists, edgeName, shown } = play;
  const LARGEST = 4096;
  const LABELLED = 12; // weights of a layer that is a graph with labels; a larger one is a matrix
  const NONE = -1;
  const BARS = 104; // pixels, the height of the barcode

  const grow = ({ weights, m, n, mask }) => play.forest(weights, m, n, mask).edges;

  // All that is drawn of a layer; distances are 1 - |w| / scale, in the order of the forest's edges.
  function study(layer, scale) {
    const { weights, m, n } = layer;
    const forest = grow(layer);
    const unit = forest.length ? Math.max(scale, Math.abs(weights[forest[0]])) : scale;
    const size = edge => (unit ? Math.abs(weights[edge]) / unit : 0);
    const distances = forest.map(edge => 1 - size(edge));
    return { ...layer, unit, size, forest, tree: new Set(forest), distances, components: m + n - forest.length };
  }

  // What an edge changes places with: in the forest the heaviest that could replace it, outside the lightest of its
  // cycle.
  function rival(layer, edge) {
    const { weights, tree, forest } = layer;
    if (tree.has(edge)) {
      return grow({ ...layer, mask: weights.map((_, e) => e !== edge && exists(layer, e)) }).find(e => !tree.has(e));
    }
    const changed = grow({ ...layer, weights: weights.map((w, e) => (e === edge ? Number.MAX_VALUE : w)) });
    return forest.find(e => !changed.includes(e));
  }

  // The edges of the forest on the cycle of an edge outside it.
  function cycle({ m, n, forest, components }, edge) {
    const without = left => play.range(0, m * n).map(e => e !== left && (e === edge || forest.includes(e)));
    return forest.filter(left => play.pieces(m, n, without(left)).count === components);
  }

  // Sentences.
  const digits = value => round(value, 3);
  const named = (layer, edge) => `${edgeName(layer, edge)} with ${shown(Math.abs(layer.weights[edge]))}`;
  const components = ({ m, n, forest, size }, t) => m + n - forest.filter(edge => size(edge) >= t).length;

  function chosen(layer, edge) {
    const other = rival(layer, edge);
    const against = other === undefined ? "" : named(layer, other);
    if (!layer.tree.has(edge)) {
      return `${named(layer, edge)} is outside the tree. The lightest edge of its cycle is ${against}.`;
    }
    return `${named(layer, edge)} is in the tree: its bar ends at ${digits(1 - layer.size(edge))}. ` +
      (against ? `Below ${against}, it would lose its place.` : "No other edge can take its place.");
  }

  // What a change did: at most one exchange of edges, and at most one bar that slides.
  function happened(before, after, edge) {
    const name = edgeName(after, edge);
    if (before.unit !== after.unit) return `${name} is now the heaviest edge, and the scale of all bars.`;
    const [was, is] = [before, after].map(({ tree }) => tree.has(edge));
    if (!was && !is) return `Nothing moved. ${chosen(after, edge)}`;
    const left = before.forest.find(e => e === edge || !after.tree.has(e));
    const came = after.forest.find(e => e === edge || !before.tree.has(e));
    const [from, to] = [1 - before.size(left), 1 - after.size(came)];
    const slid = from === to ? "No bar moved." : `One bar slid: its end moved from ${digits(from)} to ${digits(to)}.`;
    if (was && is) return `${name} is in the tree. ${slid}`;
    if (was) return `${name} fell behind ${named(after, came)}, which took its place in the tree. ${slid}`;
    return `${name} passed ${named(after, left)}, the lightest edge of its cycle, and took its place. ${slid}`;
  }

  function film(layer, t) {
    const entered = play.edgesOf(layer.m, layer.n, layer.mask).filter(edge => layer.size(edge) >= t).length;
    return `At threshold ${digits(t)}: edges that are in: ${entered}; components: ${components(layer, t)}.`;
  }

  function build(view) {
    const drawing = view.canvas("A layer, its barcode and its Betti curve");
    update(drawing, { role: "group", style: "touch-action: pan-y" }); // it has parts that can be acted on
    let laid = {}; // what is drawn, until the shape of the layer or the width changes
    let lit = NONE; // the edge under the pointer
    let studied = {};
    let before = null; // the layer ahead of the last change, to show where the bar ended
    view.clear = () => (before = null);

    function current() {
      const layer = play.layerOf(view);
      const { state } = view;
      if (studied.state !== state) studied = { ...study(layer, state.scale), state };
      return studied;
    }

    // What a reader can do to an edge.
    function select(edge) {
      if (edge === undefined || edge === NONE) return;
      [before, lit] = [null, NONE];
      view.set({ edge }, chosen(current(), edge));
    }
    function change(edge, value, from) {
      [before, lit] = [from, NONE];
      weight.value = value;
      const w = from.weights.map((old, e) => (e === edge ? value : old));
      view.set({ w, edge, scale: Math.max(view.state.scale, Math.abs(value)) });
      view.say(happened(from, current(), edge));
    }
    const top = () => current().unit || 1;
    const step = () => 10 ** Math.ceil(Math.log10(top()) - 1e-9) / 100;
    function resize(edge, size, from = current()) { // in whole steps, at most to the scale; the sign stays
      const rounded = +(Math.round(play.clamp(size, 0, top()) / step()) * step()).toPrecision(12);
      change(edge, from.weights[edge] < 0 ? -rounded : rounded, from);
    }
    function press(event, edge) {
      const size = Math.abs(current().weights[edge]);
      const [right, down] = play.ARROWS[event.key] || [0, 0];
      const by = right - down || { PageUp: 10, PageDown: -10 }[event.key];
      const end = { Home: 0, End: top() }[event.key];
      if (by || end !== undefined) resize(edge, by ? size + by * step() : end);
      else if (/^[-\d.]$/.test(event.key)) {
        weight.value = event.key;
        weight.focus();
      } else return;
      event.preventDefault();
    }
    function drag({ currentTarget: label, pointerId, clientX: start }, edge) {
      const from = current();
      label.setPointerCapture(pointerId);
      label.onpointermove = ({ clientX: x }) =>
        x !== start && resize(edge, Math.abs(from.weights[edge]) + ((x - start) / 180) * top(), from);
      label.onpointerup = label.onpointercancel = () => (label.onpointermove = null);
    }

    // Controls: the threshold, an edge by its neurons, a matrix.
    view.slider({ key: "t", label: "threshold t", min: 0, max: 1.05, step: 0.01, format: digits,
      sentence: ({ t }) => film(current(), t) });
    function halt() {
      view.rest();
      update(player, { text: "Play" });
    }
    const player = view.button({ label: "Play", press() {
      if (player.textContent === "Stop") return halt();
      const from = view.state.t || 1.05;
      update(player, { text: "Stop" });
      const show = t => view.set({ t: round(t, 3) }, film(current(), t));
      view.animate(part => show(from * (1 - part)), 8000 * from, halt);
    } });
    view.root.addEventListener("input", halt);

    const fields = [0, 1, 2].map(k => html("input", {
      autocomplete: "off", inputmode: k < 2 && "numeric",
      keydown(event) {
        if (event.key === "Enter") (k < 2 ? pick : type)();
        else if (k === 2 && /^(Arrow|Page)(Up|Down)$/.test(event.key)) press(event, view.state.edge);
      },
      change: () => k < 2 && x.value && y.value && pick(),
    }));
    const [x, y, weight] = fields;
    const labels = ["edge from x", "to y", "weight"].map((label, k) => html("label", {}, label, fields[k]));
    view.add(html("div", { class: "zimp-live-field" }, ...labels, play.button("Enter", type)));
    function pick() {
      const layer = current();
      const [col, row] = [x, y].map(({ value }) => (/^\d+$/.test(value) ? +value : Infinity));
      const edge = row * layer.n + col;
      if (col < layer.n && exists(layer, edge)) return select(edge);
      const pruned = layer.mask ? ", without the pruned edges" : "";
      view.fail(`There is no such edge: x goes from 0 to ${layer.n - 1}, y from 0 to ${layer.m - 1}${pruned}.`);
    }
    function type() {
      const text = weight.value.trim().replace("−", "-").replace(/^(-?\d*),(\d+)$/, "$1.$2");
      if (!exists(current(), view.state.edge)) return view.fail("Choose an edge first.");
      if (play.number(-1e300, 1e300).parse(text) === undefined) {
        return view.fail(`“${weight.value.slice(0, 40)}” is not a number. Type a weight such as 0.35.`);
      }
      change(view.state.edge, +text, current());
    }
    const paste = view.field({ label: "A line for each output, blanks between its weights", lines: 3, action: "Use it",
      enter(text) {
        try {
          const { weights, m, n } = play.parseMatrix(text);
          const w = Array.from(weights);
          before = null;
          view.set({ w, m, own: true, scale: Math.max(...w.map(Math.abs)), edge: NONE },
            `A ${m} × ${n} layer. Its tree has ${m + n - 1} of the ${m * n} weights.`);
        } catch (error) {
          view.fail(`The matrix was not taken: ${error.message}.`);
        }
      } }).closest("div");
    const folded = html("details", {}, html("summary", {}, "Paste a matrix"));
    view.add(folded).append(paste);

    // The drawing. What stays while a weight changes is laid out once.
    function light(edge = NONE) {
      if (edge === lit) return;
      lit = edge;
      requestAnimationFrame(() => draw());
    }
    // Pointing lights the edge that `find` gives for a point, a click chooses it.
    const linked = find => ({
      pointermove: event => light(find(...play.offset(drawing, event))), pointerleave: () => light(),
      click: event => select(find(...play.offset(drawing, event))),
    });

    function lay(layer, width) {
      const { m, n } = layer;
      drawing.replaceChildren();
      const { wide } = view;
      const side = wide ? width * 0.44 : width;
      const line = (...look) => drawing.appendChild(play.path(...look));
      const halo = line("ink", 16, { "stroke-opacity": 0.16, "stroke-linecap": "round" });
      const box = { left: 34, top: 18, width: side - 68, height: wide ? 246 : 210 };
      const picture = (layer.weights.length <= LABELLED ? graph : matrix)(layer, box);
      const left = wide ? side + 34 : 26;
      const origin = wide ? 20 : 270;
      const [above, below, bars] = [svg("g"), svg("g"), svg("g")];
      drawing.append(above, below, bars);
      const plot = { left, width: width - left - 26 };
      const { x } = play.axes(above, { ...plot, top: origin, height: BARS, xticks: [], yticks: [],
        ylabel: "barcode" });
      const { y } = play.axes(below, { ...plot, top: origin + 138, height: 90, y: [0, m + n], ylabel: "components",
        yticks: play.ticks(0, m + n).filter(Number.isInteger), xlabel: "distance 1 − |w| / scale" });
      const betti = line("tree", 2);
      const slide = line("ink", 1, { "stroke-dasharray": "2 3" });
      const here = line("ink", 2);
      const now = line("ink", 1, { "stroke-dasharray": "5 4" });
      const dot = play.dot(0, 0, 4.5, "ink");
      const [name, count] = [1, 2].map(() => label("", 0, 0, "middle"));
      const area = { x: left - 8, width: plot.width + 30, fill: "transparent" };
      drawing.append(dot, name, count, svg("rect", { ...area, y: origin, height: 228, ...linked((across, down) => {
        const { forest, components, distances } = current(); // a bar, or the nearest step of the curve
        const far = distances.map(d => Math.abs(x(d) - across));
        const bar = Math.floor((1 - (down - origin) / BARS) * (forest.length + components));
        return forest[bar < 0 ? far.indexOf(Math.min(...far)) : bar];
      }) }));
      drawing.fit(width, origin + 270);
      return { width, layer, picture, x, y, origin, halo, bars, betti, slide, here, now, dot, name, count };
    }
    const graph = (layer, box) => play.labelled(drawing, layer, box, edge => ({
      role: "slider", tabindex: 0, "aria-label": `weight of ${edgeName(layer, edge)}`, "aria-valuemin": 0,
      style: "cursor: ew-resize", pointerenter: () => light(edge), pointerleave: () => light(),
      focus: () => edge !== view.state.edge && select(edge), keydown: event => press(event, edge),
      pointerdown: event => drag(event, edge),
    }));
    function matrix(layer, { left, top, width, height }) {
      const { m, n } = layer;
      const [across, down] = [Math.min(40, width / n), Math.min(40, height / m)];
      const gap = across > 9 ? 1 : 0;
      const squares = layer.weights.map((_, edge) =>
        play.square(left + (edge % n) * across, top + Math.floor(edge / n) * down, across - gap, down - gap));
      // One path for each look, since a thousand elements take longer than a frame: pruned, not in yet, of the tree,
      // and the others, the heavier the darker.
      const looks = ["pruned", "paper", "tree", ...Array(8).fill("kept")];
      const paths = looks.map((look, k) => svg("path", { fill: color(look), opacity: k < 3 ? 1 : (k - 2) / 8 }));
      const ring = play.path("ink", 2);
      const found = linked((x, y) => {
        const [col, row] = [Math.floor((x - left) / across), Math.floor((y - top) / down)];
        return exists(layer, row * n + col) ? row * n + col : NONE;
      });
      found.role = "img";
      found["aria-label"] = `The ${m} × ${n} layer as a matrix`;
      drawing.append(svg("g", { "shape-rendering": "crispEdges", ...found }, ...paths), ring,
        label("inputs x", left, top - 6),
        label("outputs y", 0, 0, "start", { transform: `translate(${left - 8} ${top + 54}) rotate(-90)` }));
      return { paths, squares, ring };
    }

    function draw(_, changed = {}) {
      const layer = current();
      const { forest, tree, distances, components: never, m, n, size, state } = layer;
      const { t } = state;
      const { layer: old } = laid;
      if (!old || laid.width !== view.width || old.m !== m || old.n !== n || old.mask !== layer.mask) {
        laid = lay(layer, view.width);
      }
      const { picture, x, origin } = laid;
      const edge = [lit, state.edge].find(e => exists(layer, e)) ?? NONE;
      const inside = tree.has(edge);
      const other = edge === NONE || inside ? NONE : rival(layer, edge);

      if (picture.show) {
        for (const e of picture.edges) {
          const now = shown(layer.weights[e]);
          picture.show(e, size(e) < t ? "absent" : tree.has(e) ? "tree" : "kept", e === edge || e === other, now, {
            "aria-valuenow": Math.abs(layer.weights[e]), "aria-valuemax": top(),
            "aria-valuetext": `${now}, ${tree.has(e) ? "in the tree" : "outside the tree"}`,
          });
        }
        const around = other === NONE ? [] : [edge, ...cycle(layer, edge)].map(picture.endsOf);
        update(laid.halo, { d: around.map(([a, b]) => `M${a.x} ${a.y}L${b.x} ${b.y}`).join("") });
      } else {
        const d = picture.paths.map(() => "");
        picture.squares.forEach((square, e) => {
          d[!exists(layer, e) ? 0 : size(e) < t ? 1 : tree.has(e) ? 2 : 3 + Math.round(7 * size(e))] += square;
        });
        picture.paths.forEach((path, k) => update(path, { d: d[k] }));
        update(picture.ring, { d: [edge, other].filter(e => e !== NONE).map(e => picture.squares[e]).join("") });
      }

      const marked = forest.indexOf(inside ? edge : other);
      play.bars(laid.bars, distances, never, { x, top: origin, height: BARS, marked });
      const end = x(1 - size(edge));
      const moved = before && inside ? before.forest.find(e => e === edge || !tree.has(e)) : undefined;
      const row = round(origin + BARS - ((marked + 0.5) / (forest.length + never)) * BARS);
      const path = (line, d) => update(laid[line], { d });
      path("slide", moved === undefined ? "" : `M${end} ${row}h${round(x(1 - before.size(moved)) - end)}m0 -7v14`);
      path("betti", `M${x(0)} ${laid.y(m + n)}` +
        distances.map((d, k) => `H${x(d)}V${laid.y(m + n - k - 1)}`).join("") + `H${x(1.04)}`);
      path("here", edge === NONE ? "" : `M${end} ${origin}v${BARS}m0 34v90`);
      update(laid.here, { style: play.stroke(inside ? "tree" : "kept") });
      update(laid.name, { text: edge === NONE ? "" : edgeName(layer, edge), x: end || 0, y: origin + BARS + 15 });
      const [now, pieces] = [x(1 - t), components(layer, t)];
      path("now", `M${now} ${origin - 4}v232`);
      update(laid.dot, { cx: now, cy: laid.y(pieces) });
      update(laid.count, { text: `β₀ = ${pieces}`, x: Math.max(now, x(0) + 20), y: laid.y(pieces) - 9 });

      const own = exists(layer, state.edge) && state.edge;
      const values = own === false ? ["", "", ""] : [own % n, Math.floor(own / n), layer.weights[own]];
      fields.forEach((field, k) => document.activeElement !== field && (field.value = values[k]));
      if ("w" in changed && "t" in changed) { // at the start, and where an address was opened
        view.say(own === false ? "Drag the weight of an edge, to the right to make it heavier." : chosen(layer, own));
      }
    }
    return draw;
  }

  play.register("drag", {
    title: "Drag a weight",
    state(settings) {
      const { weights = [0.9], mask } = settings;
      const heaviest = Math.max(0, ...weights.map((w, edge) => (!mask || mask[edge] ? Math.abs(w) : 0)));
      return {
        ...play.layerState(LARGEST, settings),
        scale: { value: heaviest, read: play.number(0, 1e300) },
        t: { value: 0, read: play.number(0, 1.05) },
        edge: { value: NONE, read: play.whole(NONE, LARGEST - 1) },
      };
    },
    build,
  });
})(zimpPlay);
