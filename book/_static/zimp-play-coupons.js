// Coupons, and an adversary: how much of its tree magnitude pruning leaves to a layer, typically and at worst.
//
// Coupons: the edges of a random layer rain from heavy to light until it is connected; a histogram of how many that
// takes fills under the formula. Adversary: the reader paints the largest weights into a matrix, so that they hold as
// few tree edges as possible, and the square-root law says how few that can be.

var zimpPlay = globalThis.zimpPlay || (globalThis.zimpPlay = { parts: {}, jobs: {}, views: {} });

(function (play) {
  "use strict";
  const { svg, update, color } = play;
  const LAYERS = 200;
  const LARGEST = { coupons: 40, adversary: 12 }; // sides of a layer; a finger must hit a cell of the matrix
  const ALL = LARGEST.coupons ** 2; // edges that may fall: in any layer, all that are needed

  const name = (letter, k) => letter + String(k).replace(/\d/g, digit => "₀₁₂₃₄₅₆₇₈₉"[digit]);
  const count = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;
  const range = (from, to) => Array.from({ length: to - from }, (_, k) => from + k);
  const fill = name => `fill: ${color(name)}`;
  const curve = (axes, points, stroke, dashes) => svg("path", {
    d: axes.path(points), style: `fill: none; stroke: ${color(stroke)}`, "stroke-width": 2, "stroke-dasharray": dashes,
  });

  // A layer of independent weights: its tree, how many edges connect it, the last of them, and the neurons it brings.
  function rain(m, n, seed) {
    const weights = Float64Array.from(range(0, m * n), play.random(seed).uniform);
    const { rows, cols, values } = play.forest(weights, m, n);
    const [row, col, lightest] = [rows, cols, values].map(list => list[list.length - 1]);
    const tree = new Uint8Array(m * n);
    rows.forEach((row, k) => (tree[row * n + cols[k]] = 1));
    const end = row * n + col;
    const { labels, sizes } = play.pieces(m, n, tree.map((there, edge) => there && edge !== end));
    const smaller = sizes[labels[row]] <= sizes[labels[m + col]] ? labels[row] : labels[m + col];
    const last = range(0, m + n).filter(neuron => labels[neuron] === smaller);
    return { weights, tree, end, last, needed: weights.filter(weight => weight >= lightest).length };
  }

  // The theorem's probability that k random edges connect the layer. No fewer than a tree can.
  const connected = (k, m, n) =>
    k < m + n - 1 ? 0 : Math.exp(-m * (1 - k / (m * n)) ** n - n * (1 - k / (m * n)) ** m);

  function coupons(view, add) {
    const drawing = add(view.canvas(""));
    const [picture, bars, formula] = ["g", "g", "g"].map(tag => svg(tag));
    drawing.append(picture, bars, formula);
    let made = {}; // the size and seed, the layers drawn so far, and the width that the graph was drawn for
    let graph, axes, bins, step, seen; // seen: the edges that were drawn
    let shown = 0; // layers in the histogram, while it fills
    let pour = false; // whether the edges fall one after the other
    let stop = () => {};
    const layer = index => (made.layers[index] ??= rain(made.m, made.n, made.seed * LAYERS + index));
    const current = ({ layers }) => layer(Math.max(0, layers - 1));

    const draw = (layers, full) => {
      const more = full ? { seed: (view.state.seed + 1) % 10000 } : {};
      view.set({ layers, k: ALL, ...more });
    };
    add(view.button({
      label: "Rain on one layer",
      press() {
        pour = true;
        const full = view.state.layers === LAYERS;
        draw(full ? 1 : view.state.layers + 1, full);
      },
    }));
    add(view.button({ label: `Draw ${LAYERS} layers`, press: () => draw(LAYERS, view.state.layers === LAYERS) }));
    const edges = add(view.slider({
      key: "k", label: "edges", min: 0, max: ALL,
      format: k => String(made.layers ? Math.min(k, current(view.state).needed) : k),
    }));

    function sentence({ m, n, layers, k }, { needed, last }) {
      if (k === 0) return "Let edges rain on a layer, from heavy to light, until it is connected.";
      if (k < needed) return `${count(k, "edge")} of this layer have fallen. It takes ${needed} to connect it.`;
      if (layers <= 1) {
        const neuron = last[0] < m ? name("y", last[0]) : name("x", last[0] - m);
        const who = last.length === 1 ? `one lone neuron, ${neuron}` : `a piece of ${last.length} neurons`;
        return `${needed} edges connect this layer. The last to join is ${who}.`;
      }
      const drawn = range(0, layers).map(layer);
      const half = Math.round(play.connectivityDensity(m, n) * m * n);
      const lone = drawn.filter(({ last }) => last.length === 1).length;
      const by = drawn.filter(({ needed }) => needed <= half).length;
      return `In ${lone} of ${layers} layers the last to join is one lone neuron. ${half} edges connect ${by} of the ` +
        "layers; the formula says half.";
    }

    function lay({ m, n }) {
      const wide = view.width >= 560;
      const [across, height] = wide ? [view.width * 0.4, 290] : [view.width, 230];
      drawing.fit(view.width, wide ? height : 2 * height + 20);
      picture.replaceChildren();
      seen = new Set();
      const names = Math.max(m, n) <= 20;
      graph = play.graph(picture, { m, n, left: 30, top: 10, width: across - 60, height: height - 20, names });
      for (const { circle } of [...graph.inputs, ...graph.outputs]) update(circle, { r: names ? 6 : 3.5 });

      const from = m + n - 1;
      const to = range(from, m * n).find(k => connected(k, m, n) > 0.9999) || m * n;
      step = Math.ceil((to - from) / 20);
      bins = range(0, Math.floor((to - from) / step) + 1).map(k => from + k * step);
      const expected = bins.map(k => LAYERS * (connected(k + step - 1, m, n) - connected(k - 1, m, n)));
      const most = 1.4 * Math.max(...expected);
      axes = play.axes(drawing, {
        left: wide ? across + 40 : 34, top: wide ? 28 : height + 40, height: height - 80,
        width: (wide ? view.width - across : view.width) - 50,
        x: [from, from + bins.length * step], y: [0, most],
        xlabel: "edges until connected", ylabel: `of ${LAYERS} layers`,
      });
      const half = play.connectivityDensity(m, n) * m * n;
      formula.replaceChildren(
        curve(axes, bins.map((k, bin) => [k + step / 2, expected[bin]]), "bound", null),
        curve(axes, [[half, 0], [half, most]], "bound", "4"),
      );
    }

    function stack(layers) {
      shown = layers;
      const stacks = bins.map(() => [0, 0]); // those where a lone neuron joins last, and all
      for (const { needed, last } of range(0, layers).map(layer)) {
        const bin = stacks[Math.min(Math.floor((needed - bins[0]) / step), bins.length - 1)];
        bin[0] += last.length === 1;
        bin[1] += 1;
      }
      const bar = (k, low, high, name) => svg("rect", {
        x: axes.x(k) + 1, width: axes.x(k + step) - axes.x(k) - 2,
        y: axes.y(high), height: axes.y(low) - axes.y(high), style: fill(name),
      });
      bars.replaceChildren(...stacks.flatMap(([lone, all], bin) =>
        [bar(bins[bin], 0, lone, "magnitude"), bar(bins[bin], lone, all, "global")]));
    }

    function wet({ m, n, layers }, { weights, tree, end, needed, last }, k) {
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
      const beside = `a histogram of ${count(layers, "layer")} by the edges that connect them, under the formula`;
      const what = `${count(k, "edge")} of a layer in ${count(sizes.length, "piece")}; ${beside}`;
      update(drawing, { "aria-label": what });
    }

    return function draw(state) {
      const { m, n, seed, layers, k } = state;
      stop();
      const key = [m, n, seed].join();
      const begun = made.key;
      if (begun !== key) made = { key, m, n, seed, layers: [] };
      if (made.width !== view.width) lay(state);
      made.width = view.width;
      if (begun !== key) shown = begun ? 0 : layers; // at the start it is full already
      const now = current(state);
      const until = Math.min(k, now.needed);
      update(edges, { max: now.needed });
      const from = Math.min(shown, layers);
      stack(from);
      const collect = () => {
        view.say(sentence(state, now));
        const added = layers - from;
        if (added) stop = view.animate(t => stack(from + Math.round(t * added)), 6 * added);
      };
      if (pour) stop = view.animate(t => wet(state, now, Math.round(t * until)), 30 * until, collect);
      else {
        wet(state, now, until);
        collect();
      }
      pour = false;
    };
  }

  // k cells in the block that attains the square-root law: a square, or what of one fits into the matrix.
  function block(k, m, n) {
    const a = Math.min(m, Math.max(Math.floor(Math.sqrt(k)), Math.ceil(k / n)));
    const b = Math.ceil(k / a);
    return range(0, k).map(cell => Math.floor(cell / b) * n + (cell % b));
  }

  function adversary(view, add) {
    const [matrix, plot] = [view.canvas(""), view.canvas("")];
    const both = play.html("div", { style: "display: flex; flex-wrap: wrap; gap: 1rem" }, matrix, plot);
    view.stage.append(add(play.html("div", {}, both)));
    const [grid, ring, marks] = ["g", "rect", "g"].map(tag => svg(tag));
    matrix.append(grid, ring);
    plot.append(marks);
    let axes, squares, made, spoken, at; // at: where a row or column begins
    let [cursor, brush] = [0, null];

    function told({ m, n, cells }) {
      [m, n] = [m, n].map(count => Math.min(count, LARGEST.adversary));
      const painted = new Set(cells.filter(cell => cell < m * n));
      const mask = range(0, m * n).map(cell => Number(painted.has(cell)));
      const { rows, cols } = play.forest(mask, m, n, mask); // equal weights: any tree will do
      const tree = new Set(Array.from(rows, (row, k) => row * n + cols[k]));
      return { m, n, painted, k: painted.size, tree, law: play.retentionBound(painted.size, m, n) };
    }
    function tell(state) {
      const { k, tree, law } = told(state);
      const allows = tree.size === law ? "The law allows no fewer." : `The law allows ${law}.`;
      const said = `${count(k, "weight")}, ${count(tree.size, "tree edge")}. ${allows}`;
      update(plot, { "aria-label": `${said} The plot has them over the square-root law` });
      view.say(k ? said : "Paint the largest weights, so that they hold as few tree edges as possible.");
      spoken = state.cells;
    }
    // What happened is said at once: before the next frame the reader may have moved on.
    function show(cells) {
      view.set({ cells });
      tell(view.state);
    }
    function paint(cell, on) {
      const { painted } = told(view.state);
      if (on) painted.add(cell);
      else painted.delete(cell);
      show([...painted].sort((one, other) => one - other));
    }
    add(view.button({
      label: "Show a worst case",
      press() {
        const { k, m, n } = told(view.state);
        show(block(k || 9, m, n));
      },
    }));
    add(view.button({ label: "Clear", press: () => show([]) }));

    const under = event => squares.indexOf(document.elementFromPoint(event.clientX, event.clientY));
    const move = (cell, { n }) => {
      cursor = cell;
      update(ring, { x: at(cell % n), y: at(Math.floor(cell / n)) });
    };
    const lift = () => (brush = null);
    const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    update(ring, { style: `fill: none; stroke: ${color("ink")}; pointer-events: none`, "stroke-width": 3 });
    update(matrix, {
      tabindex: 0, role: "application", style: "touch-action: none; cursor: crosshair",
      "aria-label": "Matrix to paint: arrow keys move, space paints",
      focus: () => (ring.style.display = ""),
      blur: () => (ring.style.display = "none"),
      pointerdown(event) {
        const cell = under(event);
        if (cell < 0) return;
        matrix.setPointerCapture(event.pointerId);
        const now = told(view.state);
        move(cell, now);
        brush = !now.painted.has(cell);
        paint(cell, brush);
      },
      pointermove(event) {
        const cell = brush === null ? -1 : under(event);
        if (cell >= 0) paint(cell, brush);
      },
      pointerup: lift,
      pointercancel: lift,
      keydown(event) {
        const now = told(view.state);
        const step = STEPS[event.key];
        if (!step && event.key !== " ") return;
        event.preventDefault();
        if (!step) return paint(cursor, !now.painted.has(cursor));
        const [y, x] = [Math.floor(cursor / now.n) + step[0], (cursor % now.n) + step[1]];
        if (y < 0 || y === now.m || x < 0 || x === now.n) return;
        move(y * now.n + x, now);
        view.say(`${name("y", y)}, ${name("x", x)}: ${now.painted.has(cursor) ? "painted" : "empty"}.`);
      },
    });
    ring.style.display = "none";

    function lay({ m, n }) {
      const wide = view.width >= 560;
      const margin = 28; // for names
      const side = Math.min(28, Math.floor(((wide ? view.width / 2 : view.width) - margin - 2) / n));
      at = k => margin + k * side;
      matrix.fit(at(n) + 2, at(m) + 2);
      squares = range(0, m * n).map(cell => svg("rect", {
        x: at(cell % n) + 1, y: at(Math.floor(cell / n)) + 1, width: side - 2, height: side - 2, rx: 2,
      }));
      const label = (text, x, y) => svg("text", { x, y, text, "text-anchor": "middle" });
      grid.replaceChildren(
        ...squares,
        ...range(0, n).map(k => label(name("x", k), at(k + 0.5), margin - 8)),
        ...range(0, m).map(k => label(name("y", k), margin / 2, at(k + 0.5) + 4)),
      );
      update(ring, { width: side, height: side });
      move(Math.min(cursor, m * n - 1), { n });
      const width = wide ? view.width - at(n) - 20 : view.width;
      plot.fit(width, 280);
      axes = play.axes(plot, {
        left: 34, top: 28, width: width - 50, height: 200, x: [0, m * n], y: [0, m + n],
        xlabel: "weights painted", ylabel: "tree edges among them",
      });
    }

    return function draw(state, changed) {
      const now = told(state);
      const { m, n, painted, k, tree, law } = now;
      const key = [m, n, view.width].join();
      if (made !== key) lay(now);
      made = key;
      squares.forEach((square, cell) => {
        update(square, { style: fill(!painted.has(cell) ? "pruned" : tree.has(cell) ? "tree" : "kept") });
      });
      const line = (of, ...look) => curve(axes, range(0, m * n + 1).map(j => [j, of(j)]), ...look);
      const end = (text, high) => svg("text", { x: axes.x(m * n), y: axes.y(high), text, "text-anchor": "end" });
      marks.replaceChildren(
        line(j => Math.min(j, m + n - 1), "absent", "4"),
        line(j => play.retentionBound(j, m, n), "bound", null),
        svg("circle", { cx: axes.x(k), cy: axes.y(tree.size), r: 6, style: fill(tree.size > law ? "tree" : "bound") }),
        end("at most", m + n - 0.4),
        end("square-root law", play.retentionBound((m * n) >> 1, m, n) - 2.5),
      );
      if (changed.part || spoken !== state.cells) tell(state);
    };
  }

  const LIST = play.numbers(0, 143, 144);
  const CELLS = {
    ...LIST,
    parse: text => (/^[\d ]*$/.test(text) ? LIST.parse(text) : undefined),
    rule: "cells of the matrix, counted row by row from 0",
  };

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

    build(view) {
      const parts = { coupons: [], adversary: [] };
      const add = part => element => {
        parts[part].push(element.closest("label") || element);
        return element;
      };
      view.choice({ key: "part", label: "part", options: { coupons: "Coupons", adversary: "Adversary" } });
      const draws = { coupons: coupons(view, add("coupons")), adversary: adversary(view, add("adversary")) };
      const sides = ["outputs", "inputs"].map((label, k) => view.slider({
        key: "mn"[k], label, min: 4, max: LARGEST.coupons,
        format: side => String(Math.min(side, LARGEST[view.state.part])),
        sentence: () => void view.set({ layers: 0, k: 0, cells: [] }),
      }));
      for (const slider of [...sides, view.controls.querySelector("input[type=range]")]) {
        slider.style.cssText = "width: 4rem; min-width: 4rem"; // three stand side by side
        slider.parentNode.style.flexBasis = "11rem";
      }
      return function draw(state, changed) {
        for (const [part, elements] of Object.entries(parts)) {
          for (const element of elements) element.style.display = part === state.part ? "" : "none";
        }
        for (const side of sides) side.max = LARGEST[state.part];
        draws[state.part](state, changed);
      };
    },
  });
})(zimpPlay);
