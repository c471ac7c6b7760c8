// Coupons, and an adversary: how much of its tree magnitude pruning leaves to a layer, typically and at worst.
//
// Coupons: the edges of a random layer rain until it is connected; a histogram of how many it takes fills under the
// formula. Adversary: the reader paints the largest weights, to hold as few tree edges as the square-root law allows.

(function (play) {
  "use strict";
  const { svg, update, fill, label, show, range, count, neuronName } = play;
  const LAYERS = 200;
  const LARGEST = { coupons: 40, adversary: 12 }; // sides of a layer; a finger must hit a cell of the matrix
  const ALL = LARGEST.coupons ** 2; // edges: in any layer, all that are needed

  const curve = (axes, points, ink, dashes = null) =>
    play.path(ink, 2, { d: axes.path(points), "stroke-dasharray": dashes });

  // A random layer: its tree, how many edges connect it, the last of them, and the neurons that it brings.
  function rain(m, n, seed) {
    const weights = Float64Array.from(range(0, m * n), play.random(seed).uniform);
    const { edges, values } = play.forest(weights, m, n);
    const [end, lightest] = [edges, values].map(list => list[list.length - 1]);
    const tree = new Uint8Array(m * n);
    for (const edge of edges) tree[edge] = 1;
    const { labels, sizes } = play.pieces(m, n, tree.map((there, edge) => there && edge !== end));
    const [one, other] = play.ends(end, m, n).map(neuron => labels[neuron]);
    const smaller = sizes[one] <= sizes[other] ? one : other;
    const last = range(0, m + n).filter(neuron => labels[neuron] === smaller);
    return { weights, tree, end, last, needed: weights.filter(weight => weight >= lightest).length };
  }

  // The theorem's probability that k random edges connect the layer; fewer than a tree cannot.
  const connected = (k, m, n) =>
    k < m + n - 1 ? 0 : Math.exp(-m * (1 - k / (m * n)) ** n - n * (1 - k / (m * n)) ** m);

  function coupons(view, when) {
    const drawing = view.canvas("A layer, and how many edges connect 200 like it");
    const [picture, bars, formula] = ["g", "g", "g"].map(tag => svg(tag));
    drawing.append(picture, bars, formula);
    let made = {}; // the size and seed, the layers drawn so far, and the width of the graph
    let graph, axes, bins, step, seen; // seen: the edges that were drawn
    let shown = 0; // layers in the histogram, while it fills
    let pour = false; // whether the edges fall one after the other
    const layer = index => (made.layers[index] ??= rain(made.m, made.n, made.seed * LAYERS + index));
    const current = ({ layers }) => layer(Math.max(0, layers - 1));

    const draw = (layers, full) => {
      const more = full ? { seed: (view.state.seed + 1) % 10000 } : {};
      view.set({ layers, k: ALL, ...more });
    };
    view.button({
      label: "Rain on one layer", when,
      press() {
        pour = true;
        const full = view.state.layers === LAYERS;
        draw(full ? 1 : view.state.layers + 1, full);
      },
    });
    view.button({ label: `Draw ${LAYERS} layers`, when, press: () => draw(LAYERS, view.state.layers === LAYERS) });
    const edges = view.slider({
      key: "k", label: "edges", min: 0, max: ALL, when,
      format: k => (made.layers ? Math.min(k, current(view.state).needed) : k),
    });

    function sentence({ m, n, layers, k }, { needed, last }) {
      if (k === 0) return "Let edges rain on a layer, from heavy to light, until it is connected.";
      if (k < needed) return `${count(k, "edge")} of this layer have fallen. It takes ${needed} to connect it.`;
      if (layers <= 1) {
        const lone = last.length === 1;
        const who = lone ? `one lone neuron, ${neuronName(last[0], m)}` : `a piece of ${last.length} neurons`;
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
      const { wide } = view;
      const [across, height] = [wide ? view.width * 0.4 : view.width, 290];
      drawing.fit(view.width, wide ? height : 2 * height + 20);
      picture.replaceChildren();
      seen = new Set();
      const names = Math.max(m, n) <= 20;
      const box = { left: 30, top: 10, width: across - 60, height: height - 20 };
      graph = play.graph(picture, { m, n, ...box, names, r: names ? 6 : 3.5 });

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
        curve(axes, bins.map((k, bin) => [k + step / 2, expected[bin]]), "bound"),
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
        const [ink, width] = edge === end ? ["ink", 4] : tree[edge] ? ["tree", 2] : ["kept", 1];
        graph.edge(edge, { ink: there ? ink : null, width, ahead: tree[edge] === 1 });
      });
      const { labels, sizes } = play.pieces(m, n, mask);
      labels.forEach((label, neuron) => {
        const joins = k >= needed - 1 && last.includes(neuron);
        graph.neuron(neuron, { ink: joins ? "tree" : sizes[label] === 1 ? "paper" : "ink" });
      });
      const beside = `a histogram of ${count(layers, "layer")} by the edges that connect them, under the formula`;
      const what = `${count(k, "edge")} of a layer in ${count(sizes.length, "piece")}; ${beside}`;
      update(drawing, { "aria-label": what });
    }

    return function draw(state) {
      const { m, n, seed, layers, k } = state;
      show(drawing, when(state));
      if (!when(state)) return;
      view.rest();
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
        if (added) view.animate(t => stack(from + Math.round(t * added)), 6 * added);
      };
      if (pour) view.animate(t => wet(state, now, Math.round(t * until)), 30 * until, collect);
      else {
        wet(state, now, until);
        collect();
      }
      pour = false;
    };
  }

  // k cells in the block that attains the square-root law: a square, if it fits.
  function block(k, m, n) {
    const a = Math.min(m, Math.max(Math.floor(Math.sqrt(k)), Math.ceil(k / n)));
    const b = Math.ceil(k / a);
    return range(0, k).map(cell => Math.floor(cell / b) * n + (cell % b));
  }

  function adversary(view, when) {
    const [matrix, plot] = ["A matrix to paint", "The tree edges in it"].map(view.canvas, view);
    const both = play.html("div", { class: "zimp-live-beside" }, matrix, plot);
    view.stage.append(both);
    const [grid, ring, marks] = ["g", "rect", "g"].map(tag => svg(tag));
    matrix.append(grid, ring);
    plot.append(marks);
    let axes, squares, made, spoken, at; // at: where a row or column begins
    let [cursor, brush] = [0, null];

    function told({ m, n, cells }) {
      [m, n] = [m, n].map(count => Math.min(count, LARGEST.adversary));
      const painted = new Set(cells.filter(cell => cell < m * n));
      const mask = range(0, m * n).map(cell => Number(painted.has(cell)));
      const tree = new Set(play.forest(mask, m, n, mask).edges); // equal weights: any tree will do
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
    function take(cells) {
      view.set({ cells });
      tell(view.state);
    }
    function paint(cell, on) {
      const { painted } = told(view.state);
      if (on) painted.add(cell);
      else painted.delete(cell);
      take([...painted].sort((one, other) => one - other));
    }
    view.button({
      label: "Show a worst case", when,
      press() {
        const { k, m, n } = told(view.state);
        take(block(k || 9, m, n));
      },
    });
    view.button({ label: "Clear", when, press: () => take([]) });

    const under = event => squares.indexOf(document.elementFromPoint(event.clientX, event.clientY));
    const move = (cell, { n }) => {
      cursor = cell;
      update(ring, { x: at(cell % n), y: at(Math.floor(cell / n)) });
    };
    const lift = () => (brush = null);
    update(ring, {
      style: `${play.stroke("ink")}; pointer-events: none`, fill: "none", "stroke-width": 3, visibility: "hidden",
    });
    update(matrix, {
      tabindex: 0, role: "application", style: "touch-action: none; cursor: crosshair",
      "aria-label": "Matrix to paint: arrow keys move, space paints",
      focus: () => update(ring, { visibility: null }),
      blur: () => update(ring, { visibility: "hidden" }),
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
        const step = play.ARROWS[event.key];
        if (!step && event.key !== " ") return;
        event.preventDefault();
        if (!step) return paint(cursor, !now.painted.has(cursor));
        const { m, n, painted } = now;
        const [x, y] = [(cursor % n) + step[0], Math.floor(cursor / n) + step[1]];
        if (y < 0 || y === m || x < 0 || x === n) return;
        move(y * n + x, now);
        view.say(`${neuronName(y, m)}, ${neuronName(m + x, m)}: ${painted.has(cursor) ? "painted" : "empty"}.`);
      },
    });

    function lay({ m, n }) {
      const { wide } = view;
      const margin = 28; // for names
      const side = Math.min(28, Math.floor(((wide ? view.width / 2 : view.width) - margin - 2) / n));
      at = k => margin + k * side;
      matrix.fit(at(n) + 2, at(m) + 2);
      squares = range(0, m * n).map(cell => svg("rect", {
        x: at(cell % n) + 1, y: at(Math.floor(cell / n)) + 1, width: side - 2, height: side - 2, rx: 2,
      }));
      grid.replaceChildren(
        ...squares,
        ...range(0, n).map(k => label(neuronName(m + k, m), at(k + 0.5), margin - 8, "middle")),
        ...range(0, m).map(k => label(neuronName(k, m), margin / 2, at(k + 0.5) + 4, "middle")),
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
      show(both, when(state));
      if (!when(state)) return;
      const now = told(state);
      const { m, n, painted, k, tree, law } = now;
      const key = [m, n, view.width].join();
      if (made !== key) lay(now);
      made = key;
      squares.forEach((square, cell) => {
        update(square, { style: fill(!painted.has(cell) ? "pruned" : tree.has(cell) ? "tree" : "kept") });
      });
      const line = (of, ...look) => curve(axes, range(0, m * n + 1).map(j => [j, of(j)]), ...look);
      const end = (text, high) => label(text, axes.x(m * n), axes.y(high), "end");
      marks.replaceChildren(
        line(j => Math.min(j, m + n - 1), "absent", "4"),
        line(j => play.retentionBound(j, m, n), "bound"),
        play.dot(axes.x(k), axes.y(tree.size), 6, tree.size > law ? "tree" : "bound"),
        end("at most", m + n - 0.4),
        end("square-root law", play.retentionBound((m * n) >> 1, m, n) - 2.5),
      );
      if (changed.part || spoken !== state.cells) tell(state);
    };
  }

  function build(view) {
    view.choice({ key: "part", label: "part", options: { coupons: "Coupons", adversary: "Adversary" } });
    const only = shown => ({ part }) => part === shown;
    const draws = [coupons(view, only("coupons")), adversary(view, only("adversary"))];
    const sides = ["outputs", "inputs"].map((label, k) => view.slider({
      key: "mn"[k], label, min: 4, max: LARGEST.coupons,
      format: side => Math.min(side, LARGEST[view.state.part]), changes: { layers: 0, k: 0, cells: [] },
    }));
    return function draw(state, changed) {
      for (const side of sides) side.max = LARGEST[state.part];
      for (const draw of draws) draw(state, changed);
    };
  }

  play.register("coupons", {
    title: "Coupons, and an adversary",
    state: () => ({
      part: { value: "coupons", read: play.oneOf(["coupons", "adversary"]) },
      m: { value: 12, read: play.whole(4, LARGEST.coupons) },
      n: { value: 20, read: play.whole(4, LARGEST.coupons) },
      seed: { value: 0, read: play.whole(0, 9999) },
      layers: { value: 0, read: play.whole(0, LAYERS) }, // in the histogram; the last of them is shown
      k: { value: 0, read: play.whole(0, ALL) }, // edges of it that have fallen; all that it needs are the end
      cells: { value: [], read: play.numbers(0, 143, 144, play.whole) }, // painted in the matrix, row by row from 0
    }),
    build,
  });
})(zimpPlay);
