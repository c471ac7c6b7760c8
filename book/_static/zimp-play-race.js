// The race: Kruskal, Prim and Borůvka find the tree of one small layer, side by side, one line of code at a time.
//
// Each algorithm is run once and leaves a trace: for each line that ran, what was looked at and taken, and how often
// two weights had been compared. The view shows a place in the three traces.

(function (play) {
  "use strict";
  const { html, svg, update, color, count, range } = play;

  const CODE = {
    Kruskal: ["order = sorted(edges)", "for e in order:", "  if joins_two_pieces(e):", "    take(e)"],
    Prim: ["piece = {start}", "while len(piece) < m + n:", "  e = best_leaving(piece)", "  take(e)"],
    Borůvka: ["while len(pieces) > 1:", "  for p in pieces:", "    e[p] = best_leaving(p)", "  take(e)"],
  };
  // Which of two equal weights comes first: the smaller number.
  const TIES = {
    Kruskal: edge => edge,
    Prim: (edge, m, n) => (edge % n) * m + Math.floor(edge / n),
    Borůvka: edge => -edge,
  };
  const TIES_SAID =
    "Of equal weights, Kruskal takes the first by rows, Prim the first by columns, and Borůvka the last by rows.";
  const END = 999; // no race of 144 weights has as many lines
  const LINES_A_SECOND = { slow: 1, medium: 2.5, fast: 6 };

  // The given layer first, then random ones of its size, in which no two weights are equal.
  function layer({ weights, m = 4, n = 5, mask }, seed, rounded) {
    const edges = [...play.edgesOf(m, n, mask)];
    const drawn = () => play.random(seed).shuffle(range(1, m * n + 1).map(k => k / (m * n)));
    let a = weights && !seed ? weights.map(Math.abs) : drawn();
    const scale = Math.max(0, ...edges.map(edge => a[edge])) || 1;
    if (rounded) a = a.map(value => (Math.ceil((4 * value) / scale) / 4) * scale);
    return { a, m, n, edges, scale };
  }

  // What the algorithms have in common: the pieces so far, comparing, taking, and the trace.
  function runner(name, { a, m, n, edges }) {
    const [taken, trace, piece] = [[], [], range(0, m + n)];
    let comparisons = 0;
    const ends = edge => play.ends(edge, m, n);
    const run = {
      taken, trace, piece, ends,
      before(edge, other) {
        comparisons += 1;
        return a[edge] !== a[other] ? a[edge] > a[other] : TIES[name](edge, m, n) < TIES[name](other, m, n);
      },
      heaviest: some => some.reduce((best, edge) => (run.before(edge, best) ? edge : best)),
      of: label => [...piece.keys()].filter(neuron => piece[neuron] === label),
      leaving: label => edges.filter(edge => ends(edge).filter(end => piece[end] === label).length === 1),
      take(edge) {
        const [kept, gone] = ends(edge).map(end => piece[end]);
        for (const neuron of run.of(gone)) piece[neuron] = kept;
        taken.push(edge);
      },
      ran(line, said, marks = {}) {
        const now = { comparisons, pieces: new Set(piece).size, taken: [...taken], piece: [...piece] };
        trace.push({ line, said, at: [], looked: [], leaving: [], skipped: [], ...now, ...marks });
      },
    };
    run.ran(-1, "");
    return run;
  }

  function sorted(run, edges) { // by merging
    if (edges.length < 2) return edges;
    const half = edges.length >> 1;
    const [left, right, merged] = [sorted(run, edges.slice(0, half)), sorted(run, edges.slice(half)), []];
    while (left.length && right.length) merged.push((run.before(right[0], left[0]) ? right : left).shift());
    return [...merged, ...left, ...right];
  }

  const RUNS = {
    Kruskal(run, { m, n, edges }, words) {
      const order = sorted(run, edges);
      run.ran(0, `Sorts ${edges.length} weights.`);
      const skipped = [];
      for (const edge of order) {
        if (run.taken.length === m + n - 1) return;
        const at = run.ends(edge);
        const joins = run.piece[at[0]] !== run.piece[at[1]];
        if (!joins) skipped.push(edge);
        const marks = { at, skipped: [...skipped] };
        const said = `${words(edge)} ${joins ? "joins two pieces" : "closes a cycle"}.`;
        run.ran(2, said, { ...marks, looked: [edge] });
        if (!joins) continue;
        run.take(edge);
        run.ran(3, `Takes ${words(edge)}.`, marks);
      }
    },
    Prim(run, { m }, words, start) {
      // Where the layer is in pieces, there is a tree in each.
      for (const neuron of [start, ...run.piece.keys()]) {
        if (run.of(run.piece[neuron]).length > 1 || !run.leaving(run.piece[neuron]).length) continue;
        run.ran(0, `Starts at ${play.neuronName(neuron, m)}.`, { at: [neuron] });
        for (let leaving; (leaving = run.leaving(run.piece[neuron])).length; ) {
          const edge = run.heaviest(leaving);
          const at = run.of(run.piece[neuron]);
          run.ran(2, `Of ${leaving.length} that leave, ${words(edge)} is heaviest.`, { at, leaving, looked: [edge] });
          run.take(edge);
          run.ran(3, `Takes ${words(edge)}.`, { at: run.of(run.piece[neuron]) });
        }
      }
    },
    Borůvka(run, layer, words) {
      for (let round = 1; ; round++) {
        const found = new Set();
        for (const label of new Set(run.piece)) {
          const leaving = run.leaving(label);
          if (!leaving.length) continue;
          const edge = run.heaviest(leaving);
          found.add(edge);
          const at = run.of(label);
          const who = at.length === 1 ? "a lone neuron" : `a piece of ${at.length}`;
          run.ran(2, `Round ${round}: ${who} finds ${words(edge)}.`, { at, leaving, looked: [...found] });
        }
        if (!found.size) return;
        found.forEach(run.take);
        run.ran(3, `Round ${round}: takes ${found.size}.`);
      }
    },
  };

  const short = value => String(+value.toPrecision(3));

  function build(view) {
    const { m = 4, n = 5 } = view.settings;
    let race = { traces: [[0]] }; // the layer, the traces, and what they were made for
    let timer = null;
    const last = () => Math.max(...race.traces.map(trace => trace.length)) - 1;
    const now = () => Math.min(view.state.step, last());
    const halt = () => {
      clearTimeout(timer);
      timer = null;
      run.textContent = "Play";
    };
    const go = to => {
      halt();
      view.set({ step: play.clamp(to, 0, last()) });
    };
    const tick = () => {
      timer = setTimeout(() => {
        if (now() + 1 >= last()) return go(last());
        view.set({ step: now() + 1 });
        tick();
      }, 1000 / LINES_A_SECOND[view.state.speed]);
    };
    const run = view.button({
      label: "Play",
      press() {
        if (timer) return go(now());
        if (view.reduced) return go(last());
        if (now() === last()) view.set({ step: 0 });
        run.textContent = "Pause";
        tick();
      },
    });
    view.button({ label: "Back", press: () => go(now() - 1) });
    view.button({ label: "Forward", press: () => go(now() + 1) });
    const time = view.slider({
      key: "step", label: "lines run", min: 0, max: END, format: step => `${Math.min(step, last())} of ${last()}`,
      sentence: halt,
    });
    view.choice({ key: "speed", label: "speed", options: Object.keys(LINES_A_SECOND) });
    // At the end of the race one stays there.
    const change = () => {
      halt();
      if (now() === last()) view.set({ step: END });
    };
    const options = { exact: "as they are", rounded: "rounded, with ties" };
    view.choice({ key: "weights", label: "weights", options, sentence: change });
    view.button({
      label: "New weights",
      press() {
        halt();
        view.set({ step: 0, seed: (view.state.seed + 1) % 10000 });
      },
    });
    const format = neuron => play.neuronName(neuron, m);
    view.slider({ key: "start", label: "Prim starts at", min: 0, max: m + n - 1, format, sentence: change });
    view.clear = halt;

    // Three panels: graph, code, what happened, what was taken, deaths.
    const grid = html("div", { class: "zimp-live-race" });
    view.stage.append(grid);
    const panels = Object.entries(CODE).map(([algorithm, code]) => {
      const [drawing, strip] = [view.canvas(algorithm), view.canvas(algorithm)];
      const lines = code.map(line => html("div", {}, line));
      const [said, counts, taken] = [2, 1, 2].map(lines => html("p", { style: `min-height: ${1.4 * lines}em` }));
      const root = html(
        "section", { "aria-label": algorithm }, html("p", { class: "zimp-live-title" }, algorithm), drawing,
        html("div", { class: "zimp-live-code" }, ...lines), said, counts, taken, strip,
      );
      grid.append(root);
      return { algorithm, drawing, strip, lines, said, counts, taken, root };
    });

    const ended = (trace, step) => step >= trace.length - 1;
    function sentence({ step, weights }) {
      if (!step) return `Press Play, or go line by line.${weights === "rounded" ? ` ${TIES_SAID}` : ""}`;
      const each = race.traces.map((trace, k) =>
        `${panels[k].algorithm}: ${ended(trace, step) ? `done after ${trace.length - 1} lines.` : trace[step].said}`);
      if (step < last()) return each.join(" ");
      if (race.traces[0].at(-1).taken.every(race.common)) return `Different orders, same tree. ${each.join(" ")}`;
      return `Different edges, same deaths. Dotted edges are not in all three trees. ${TIES_SAID}`;
    }

    function runAll({ seed, weights, start }, made) {
      const drawn = layer(view.settings, seed, weights === "rounded");
      const words = edge => `${play.edgeName(drawn, edge)} (${short(drawn.a[edge])})`;
      const traces = Object.keys(CODE).map(algorithm => {
        const run = runner(algorithm, drawn);
        RUNS[algorithm](run, drawn, words, start);
        return run.trace;
      });
      const common = edge => traces.every(trace => trace.at(-1).taken.includes(edge));
      return { ...drawn, traces, made, common };
    }

    function lay(panel, width) {
      const height = Math.max(120, 16 * (Math.max(m, n) - 1));
      panel.drawing.replaceChildren();
      panel.drawing.fit(width, height + 24);
      panel.graph = play.graph(panel.drawing, { m, n, left: 28, top: 12, width: width - 56, height });
      panel.dots = svg("g");
      panel.strip.replaceChildren(panel.dots);
      panel.strip.fit(width, 84);
      const axis = { xlabel: "deaths", xticks: [0, 0.5, 1], yticks: [] };
      panel.axes = play.axes(panel.strip, { left: 8, top: 6, width: width - 16, height: 42, ...axis });
      panel.width = width;
    }

    function paint(panel, trace, step, over) {
      const shown = trace[Math.min(step, trace.length - 1)];
      const { taken, looked, leaving, skipped, pieces } = shown;
      for (const edge of race.edges) {
        const width = 1 + (5 * race.a[edge]) / race.scale;
        panel.graph.edge(edge,
          taken.includes(edge) && over && !race.common(edge) ? { ink: "tree", width: 3, dashed: true, ahead: true }
          : taken.includes(edge) ? { ink: "tree", width, ahead: true }
          : looked.includes(edge) ? { ink: "magnitude", width, ahead: true }
          : leaving.includes(edge) ? { ink: "kept", width: width / 2 }
          : skipped.includes(edge) ? { ink: "pruned", width: 1.5 }
          : { ink: "absent", width: 1.2, dashed: true });
      }
      const done = ended(trace, step);
      shown.piece.forEach((label, neuron) => {
        const alone = shown.piece.indexOf(label) === shown.piece.lastIndexOf(label);
        const ink = shown.at.includes(neuron) && !done ? "magnitude" : alone ? "paper" : "ink";
        panel.graph.neuron(neuron, { ink });
      });
      panel.lines.forEach((line, k) => {
        const on = k === shown.line && !done;
        line.style.background = on ? color("magnitude") : "";
        line.style.color = on ? color("paper") : "";
      });
      panel.root.dataset.taken = taken.join(" ");
      panel.said.textContent = done ? `Done after ${trace.length - 1} lines.` : shown.said;
      panel.counts.textContent = `${count(shown.comparisons, "comparison")}, ${count(pieces, "piece")}`;
      panel.taken.textContent = `Taken: ${taken.map(edge => short(race.a[edge])).join(" ") || "nothing yet"}`;
      const deaths = taken.map(edge => 1 - race.a[edge] / race.scale).sort((a, b) => a - b);
      panel.dots.replaceChildren(...deaths.map((death, k) => {
        const below = k - deaths.indexOf(death);  // dots at the same death, which it stands upon
        return play.dot(panel.axes.x(death), 44 - 6 * below, 3, "tree");
      }));
      update(panel.strip, { "aria-label": `Deaths: ${deaths.map(short).join(", ") || "none yet"}` });
      const what = `${count(taken.length, "edge")} taken, ${count(pieces, "piece")}`;
      update(panel.drawing, { "aria-label": `${panel.algorithm}: ${what}` });
    }

    return function draw(state) {
      const made = [state.seed, state.weights, state.start].join();
      if (race.made !== made) race = runAll(state, made);
      update(time, { max: last() });
      const over = state.step >= last();
      panels.forEach((panel, k) => {
        const width = panel.root.clientWidth || 220;
        if (panel.width !== width) lay(panel, width);
        paint(panel, race.traces[k], state.step, over);
      });
      if (!timer) view.say(sentence(state));
    };
  }

  play.register("race", {
    title: "The race",
    state: ({ m = 4, n = 5 }) => ({
      step: { value: 0, read: play.whole(0, END) }, // lines that have run; beyond the end of the race is its end
      seed: { value: 0, read: play.whole(0, 9999) }, // 0: the given weights
      weights: { value: "exact", read: play.oneOf(["exact", "rounded"]) },
      start: { value: m, read: play.whole(0, m + n - 1) }, // outputs come first, as in zimp; this is the first input
      speed: { value: "medium", read: play.oneOf(Object.keys(LINES_A_SECOND)) },
    }),
    build,
  });
})(zimpPlay);
