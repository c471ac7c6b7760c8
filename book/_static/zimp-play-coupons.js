// Coupons, and an adversary: how much of its tree magnitude pruning leaves to a layer, typically and at worst.
//
// Coupons: the edges of a random layer rain from heavy to light until it is connected; a histogram of how many that
// takes fills under the formula. Adversary: the reader paints the largest weights into a matrix, so that they hold as
// few tree edges as possible, and the square-root law says how few that can be.

var zimpPlay = globalThis.zimpPlay || (globalThis.zimpPlay = { parts: {}, jobs: {}, views: {} });

(function (play) {
  "use strict";
  const { html, svg, update, color } = play;
  const LAYERS = 200;
  const LARGEST = { coupons: 40, adversary: 12 }; // sides of a layer; a finger must hit a cell of the matrix
  const ALL = LARGEST.coupons ** 2; // edges that may fall: in any layer, all that are needed
  const MARGIN = 28; // for names
  const LIST = play.numbers(0, 143, 144);
  const CELLS = {
    ...LIST,
    parse: text => (/^[\d ]*$/.test(text) ? LIST.parse(text) : undefined),
    rule: "cells of the matrix, counted row by row from 0",
  };

  const name = (letter, k) => letter + String(k).replace(/\d/g, digit => "₀₁₂₃₄₅₆₇₈₉"[digit]);
  const count = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;
  const range = (from, to) => Array.from({ length: to - from }, (_, k) => from + k);
  const fill = name => `fill: ${color(name)}`;

  // A line in a plot.
  const path = (axes, points, stroke, dashes = null) => svg("path", {
    d: axes.path(points), style: `fill: none; stroke: ${color(stroke)}`, "stroke-width": 2, "stroke-dasharray": dashes,
  });

  // A layer of independent weights: its tree, how many edges connect it, the last of them, and the neurons it brings.
  function rain(m, n, seed) {
    const weights = Float64Array.from(range(0, m * n), play.random(seed).uniform);
    const { rows, cols, values } = play.forest(weights, m, n);
    const tree = new Uint8Array(m * n);
    rows.forEach((row, k) => (tree[row * n + cols[k]] = 1));
    const [row, col, lightest] = [rows, cols, values].map(list => list[list.length - 1]);
    const { labels, sizes } = play.pieces(m, n, tree.map((there, edge) => (edge === row * n + col ? 0 : there)));
    const smaller = sizes[labels[row]] <= sizes[labels[m + col]] ? labels[row] : labels[m + col];
    return {
      weights, tree, end: row * n + col,
      needed: weights.filter(weight => weight >= lightest).length,
      last: range(0, m + n).filter(neuron => labels[neuron] === smaller),
    };
  }

  // The theorem's probability that k random edges connect the layer. No fewer than a tree can.
  const connected = (k, m, n) =>
    k < m + n - 1 ? 0 : Math.exp(-m * (1 - k / (m * n)) ** n - n * (1 - k / (m * n)) ** m);

  function coupons(view, add) {
    const drawing = view.canvas("");
    add(drawing);
    const [picture, bars, curve] = [svg("g"), svg("g"), svg("g")];
    drawing.append(picture, bars, curve);
    let made = {}; // the size and seed, the layers drawn so far, and the width that the graph was drawn for
    let graph, axes, bins, step, seen; // seen: the edges that were drawn
    let shown = 0; // layers in the histogram while it fills
    let pour = false; // whether the edges fall one after the other
    let stop = () => {};
    const layer = index => (made.layers[index] ??= rain(made.m, made.n, made.seed * LAYERS + index));
    const current = ({ layers }) => layer(Math.max(0, layers - 1));

    const next = () => ({ seed: (view.state.seed + 1) % 10000 });
    const button = (label, press) => add(view.button({ label, press }));
    button("Rain on one layer", () => {
      pour = true;
      const { layers } = view.state;
      view.set({ k: ALL, ...(layers < LAYERS ? { layers: layers + 1 } : { layers: 1, ...next() }) });
    });
    button(`Draw ${LAYERS} layers`, () => {
      view.set({ layers: LAYERS, k: ALL, ...(view.state.layers === LAYERS ? next() : {}) });
    });
    const edges = view.slider({
      key: "k", label: "edges", min: 0, max: ALL, sentence,
      format: k => (made.layers ? String(Math.min(k, current(view.state).needed)) : ""),
    });
    add(edges);

    function sentence(state) {
      const { m, n, layers, k } = state;
      const { needed, last } = current(state);
      if (k === 0) return "Let edges rain on a layer, from heavy to light, until it is connected.";
      if (k < needed) return `${count(k, "edge")} of this layer have fallen. It takes ${needed} to connect it.`;
      if (layers <= 1) {
        const neuron = last[0] < m ? name("y", last[0]) : name("x", last[0] - m);
        const who = last.length === 1 ? `one lone neuron, ${neuron}` : `a piece of ${last.length} neurons`;
        return `${needed} edges connect this layer. The last to join is ${who}.`;
      }
      const drawn = range(0, layers).map(layer);
      const half = Math.round(play.connectivityDensity(m, n) * m * n);
      const lone = drawn.filter(other => other.last.length === 1).length;
      const by = drawn.filter(other => other.needed <= half).length;
      return `In ${lone} of ${layers} layers the last to join is one lone neuron. ${half} edges connect ${by} of the ` +
        "layers; the formula says half.";
    }

    function lay({ m, n }) {
      const wide = view.width >= 560;
      const [across, height] = wide ? [view.width * 0.4, 290] : [view.width, 230];
      drawing.fit(view.width, wide ? height : 2 * height + 20);
      picture.replaceChildren();
      const names = Math.max(m, n) <= 20;
      const box = { left: 30, top: 10, width: across - 60, height: height - 20 };
      graph = play.graph(picture, { m, n, ...box, names });
      seen = new Set();
      for (const { circle } of [...graph.inputs, ...graph.outputs]) update(circle, { r: names ? 6 : 3.5 });

      const from = range(m + n - 1, m * n).find(k => connected(k, m, n) > 0.0005);
      const to = range(from, m * n).find(k => connected(k, m, n) > 0.9999) || m * n;
      step = Math.ceil((to + 1 - from) / 20);
      bins = range(0, Math.ceil((to + 1 - from) / step)).map(k => from + k * step);
      const expected = bins.map(k => LAYERS * (connected(k + step - 1, m, n) - connected(k - 1, m, n)));
      const most = 1.4 * Math.max(...expected);
      axes = play.axes(drawing, {
        left: wide ? across + 40 : 34, top: wide ? 28 : height + 40, height: height - 80,
        width: (wide ? view.width - across : view.width) - 50,
        x: [from, from + bins.length * step], y: [0, most],
        xlabel: "edges until connected", ylabel: `of ${LAYERS} layers`,
      });
      const half = play.connectivityDensity(m, n) * m * n;
      curve.replaceChildren(
        path(axes, bins.map((k, bin) => [k + step / 2, expected[bin]]), "bound"),
        path(axes, [[half, 0], [half, most]], "bound", "4"),
      );
    }

    function stack(layers) {
      shown = layers;
      const counts = bins.map(() => ({ magnitude: 0, global: 0 })); // lone neurons; larger pieces
      for (const { needed, last } of range(0, layers).map(layer)) {
        const bin = Math.min(Math.floor((needed - bins[0]) / step), bins.length - 1);
        counts[bin][last.length === 1 ? "magnitude" : "global"] += 1;
      }
      const bar = (k, low, high, name) => svg("rect", {
        x: axes.x(k) + 1, width: axes.x(k + step) - axes.x(k) - 2,
        y: axes.y(high), height: axes.y(low) - axes.y(high), style: fill(name),
      });
      bars.replaceChildren(...counts.flatMap(({ magnitude, global }, bin) => [
        bar(bins[bin], 0, magnitude, "magnitude"), bar(bins[bin], magnitude, magnitude + global, "global"),
      ]));
    }

    function wet(state, k) {
      const { m, n } = state;
      const { weights, tree, end, needed, last } = current(state);
      const mask = play.magnitudeMask(weights, m, n, k);
      mask.forEach((there, edge) => {
        if (!there && !seen.has(edge)) return;
        seen.add(edge);
        const [stroke, width] = edge === end ? ["ink", 4] : tree[edge] ? ["tree", 2] : ["kept", 1];
        const look = { stroke: there ? stroke : null, width, ahead: tree[edge] === 1 };
        graph.edge(Math.floor(edge / n), edge % n, look);
      });
      const { labels, sizes } = play.pieces(m, n, mask);
      labels.forEach((label, neuron) => {
        const fill = k >= needed - 1 && last.includes(neuron) ? "tree" : sizes[label] === 1 ? "paper" : "ink";
        graph.neuron(neuron < m ? "y" : "x", neuron < m ? neuron : neuron - m, { fill });
      });
      const what = `${count(k, "edge")} of a layer in ${count(sizes.length, "piece")}`;
      const beside = `a histogram of ${count(state.layers, "layer")} by the edges that connect them, under the formula`;
      update(drawing, { "aria-label": `${what}; ${beside}` });
    }

    return function draw(state) {
      const { m, n, seed } = state;
      stop();
      const fresh = made.m !== m || made.n !== n || made.seed !== seed;
      const begun = made.layers;
      if (fresh) made = { m, n, seed, layers: [] };
      if (fresh || made.width !== view.width) lay(state);
      if (fresh) shown = begun ? 0 : state.layers; // at the start it is full already
      made.width = view.width;
      const { needed } = current(state);
      update(edges, { max: needed });
      const until = Math.min(state.k, needed);
      const from = Math.min(shown, state.layers);
      stack(from);
      const collect = () => {
        const added = state.layers - from;
        if (added) stop = view.animate(t => stack(from + Math.round(t * added)), 6 * added);
        view.say(sentence(state));
      };
      if (pour) {
        stop = view.animate(t => wet(state, Math.round(t * until)), 30 * until, collect);
        pour = false;
      } else {
        wet(state, until);
        collect();
      }
    };
  }

  // k cells in a block with the smallest forest, the most square one.
  function block(k, m, n) {
    const law = play.retentionBound(k, m, n);
    const fits = range(1, m + 1).filter(a => a * n >= k && a + Math.ceil(k / a) - 1 === law);
    const b = Math.ceil(k / fits[fits.length >> 1]);
    return range(0, k).map(cell => Math.floor(cell / b) * n + (cell % b));
  }

  function adversary(view, add) {
    const [matrix, plot] = [view.canvas(""), view.canvas("")];
    const both = html("div", { style: "display: flex; flex-wrap: wrap; gap: 1rem" }, matrix, plot);
    view.stage.append(html("div", {}, both));
    add(both.parentNode);
    const [grid, ring, marks] = [svg("g"), svg("rect"), svg("g")];
    matrix.append(grid, ring);
    plot.append(marks);
    let axes, squares, made;
    const trail = new Map(); // the weights that the reader tried, and the tree edges among them
    let [cursor, side, brush] = [0, 28, null];
    const size = ({ m, n }) => [m, n].map(count => Math.min(count, LARGEST.adversary));

    function told(state) {
      const [m, n] = size(state);
      const painted = new Set(state.cells.filter(cell => cell < m * n));
      const mask = range(0, m * n).map(cell => Number(painted.has(cell)));
      const { rows, cols } = play.forest(mask, m, n, mask); // equal weights: any tree will do
      const tree = new Set(Array.from(rows, (row, k) => row * n + cols[k]));
      return { m, n, painted, k: painted.size, tree, law: play.retentionBound(painted.size, m, n) };
    }
    function sentence(state) {
      const { k, tree, law } = told(state);
      if (!k) return "Paint the largest weights, so that they hold as few tree edges as possible.";
      const allows = tree.size === law ? "The law allows no fewer." : `The law allows ${law}.`;
      return `${count(k, "weight")}, ${count(tree.size, "tree edge")}. ${allows}`;
    }
    function paint(cell, on) {
      const { painted } = told(view.state);
      if (on) painted.add(cell);
      else painted.delete(cell);
      view.set({ cells: [...painted].sort((one, other) => one - other) });
    }
    add(view.button({
      label: "Show a worst case",
      press() {
        const { k, m, n } = told(view.state);
        view.set({ cells: block(k || 9, m, n) });
      },
    }));
    add(view.button({ label: "Clear", press: () => view.set({ cells: [] }) }));

    function under(event) {
      const [m, n] = size(view.state);
      const box = matrix.getBoundingClientRect();
      const [col, row] = [event.clientX - box.left, event.clientY - box.top]
        .map(at => Math.floor((at - MARGIN) / side));
      return row >= 0 && row < m && col >= 0 && col < n ? row * n + col : null;
    }
    function move(cell, n) {
      cursor = cell;
      const [x, y] = [cell % n, Math.floor(cell / n)].map(k => MARGIN + k * side);
      update(ring, { x, y, width: side, height: side });
    }
    const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    update(ring, { style: `fill: none; stroke: ${color("ink")}`, "stroke-width": 3, visibility: "hidden" });
    update(matrix, {
      tabindex: 0, role: "application", style: "touch-action: none; cursor: crosshair",
      "aria-label": "Matrix to paint: arrow keys move, space paints",
      focus: () => update(ring, { visibility: "visible" }),
      blur: () => update(ring, { visibility: "hidden" }),
      pointerdown(event) {
        const cell = under(event);
        if (cell === null) return;
        matrix.setPointerCapture(event.pointerId);
        move(cell, size(view.state)[1]);
        brush = !told(view.state).painted.has(cell);
        paint(cell, brush);
      },
      pointermove(event) {
        const cell = brush === null ? null : under(event);
        if (cell !== null) paint(cell, brush);
      },
      pointerup: () => (brush = null),
      pointercancel: () => (brush = null),
      keydown(event) {
        const { m, n, painted } = told(view.state);
        if (STEPS[event.key]) {
          const [down, right] = STEPS[event.key];
          const row = Math.min(m - 1, Math.max(0, Math.floor(cursor / n) + down));
          const col = Math.min(n - 1, Math.max(0, (cursor % n) + right));
          move(row * n + col, n);
          view.say(`${name("y", row)}, ${name("x", col)}: ${painted.has(cursor) ? "painted" : "empty"}.`);
        } else if (event.key === " ") paint(cursor, !painted.has(cursor));
        else return;
        event.preventDefault();
      },
    });

    function lay(m, n) {
      const wide = view.width >= 560;
      const room = wide ? view.width / 2 : view.width;
      side = Math.min(28, Math.floor((room - MARGIN - 2) / n));
      const at = k => MARGIN + k * side;
      matrix.fit(at(n) + 2, at(m) + 2);
      squares = range(0, m * n).map(cell => svg("rect", {
        x: at(cell % n) + 1, y: at(Math.floor(cell / n)) + 1, width: side - 2, height: side - 2, rx: 2,
      }));
      const label = (text, x, y) => svg("text", { x, y, text, "text-anchor": "middle" });
      grid.replaceChildren(
        ...squares,
        ...range(0, n).map(k => label(name("x", k), at(k + 0.5), MARGIN - 8)),
        ...range(0, m).map(k => label(name("y", k), MARGIN / 2, at(k + 0.5) + 4)),
      );
      move(Math.min(cursor, m * n - 1), n);
      const width = wide ? view.width - at(n) - 20 : view.width;
      plot.fit(width, 280);
      axes = play.axes(plot, {
        left: 34, top: 28, width: width - 50, height: 200, x: [0, m * n], y: [0, m + n],
        xlabel: "weights painted", ylabel: "tree edges among them",
      });
    }

    return function draw(state) {
      const { m, n, painted, k, tree, law } = told(state);
      const wanted = [m, n, view.width].join();
      if (made !== wanted) lay(m, n);
      made = wanted;
      if (!k) trail.clear();
      trail.set(k, tree.size);
      squares.forEach((square, cell) => {
        update(square, { style: fill(!painted.has(cell) ? "pruned" : tree.has(cell) ? "tree" : "kept") });
      });
      const line = (of, ...look) => path(axes, range(0, m * n + 1).map(j => [j, of(j)]), ...look);
      const dot = ([j, high], r, name) => svg("circle", { cx: axes.x(j), cy: axes.y(high), r, style: fill(name) });
      const end = (text, high) => svg("text", { x: axes.x(m * n), y: axes.y(high), text, "text-anchor": "end" });
      marks.replaceChildren(
        line(j => Math.min(j, m + n - 1), "absent", "4"),
        line(j => play.retentionBound(j, m, n), "bound"),
        ...[...trail].map(tried => dot(tried, 2.5, "random")),
        dot([k, tree.size], 6, tree.size === law ? "bound" : "tree"),
        end("at most", m + n - 0.4),
        end("square-root law", play.retentionBound(m * n >> 1, m, n) - 2.5),
      );
      update(plot, { "aria-label": `${sentence(state)} The plot has them over the square-root law` });
      view.say(sentence(state));
    };
  }

  function build(view) {
    const parts = { coupons: [], adversary: [] };
    const afresh = () => {
      view.set({ layers: 0, k: 0, cells: [] });
      return "";
    };
    view.choice({ key: "part", label: "part", options: { coupons: "Coupons", adversary: "Adversary" } });
    const add = part => element => parts[part].push(element.closest("label") || element);
    const draws = { coupons: coupons(view, add("coupons")), adversary: adversary(view, add("adversary")) };
    const sides = ["outputs", "inputs"].map((label, k) => view.slider({
      key: "mn"[k], label, min: 4, max: LARGEST.coupons, sentence: afresh,
      format: side => String(Math.min(side, LARGEST[view.state.part])),
    }));
    // Short sliders stand side by side.
    for (const slider of view.controls.querySelectorAll(".zimp-live-slider")) slider.style.flexBasis = "11rem";
    return function draw(state) {
      for (const [part, elements] of Object.entries(parts)) {
        for (const element of elements) element.style.display = part === state.part ? "" : "none";
      }
      for (const side of sides) side.max = LARGEST[state.part];
      draws[state.part](state);
    };
  }

  play.register("coupons", {
    title: "Coupons, and an adversary",
    state: {
      part: { value: "coupons", read: play.oneOf(["coupons", "adversary"]) },
      m: { value: 12, read: play.whole(4, LARGEST.coupons) },
      n: { value: 20, read: play.whole(4, LARGEST.coupons) },
      seed: { value: 0, read: play.whole(0, 9999) },
      layers: { value: 0, read: play.whole(0, LAYERS) }, // in the histogram; the last of them is shown
      k: { value: 0, read: play.whole(0, ALL) }, // edges of it that have fallen; all that it needs are the end
      cells: { value: [], read: CELLS }, // painted in the matrix
    },
    build,
  });
})(zimpPlay);
