// Swap by swap: the mask of magnitude pruning becomes that of topological pruning. A tree edge enters and joins two
// components; then the lightest weight outside the tree leaves.

(function (play) {
  "use strict";
  const { svg, html, update, fill, stroke, label, path, count } = play;

  const ASIDE = 20; // pixels that neurons outside the largest component stand apart
  const SMALL = 150; // weights of a layer whose edges are as wide as they are heavy
  const STRIP = 64; // weights of a layer that are also shown in a row
  const END = 1.12; // where a bar without an end leaves the picture: distances end at 1

  function legend() {
    const entry = (ink, dashes, words) => {
      const drawn = path(ink, 2.5, { d: "M0 6h22", "stroke-dasharray": dashes });
      const swatch = svg("svg", { width: 22, height: 12, "aria-hidden": "true" }, drawn);
      return html("span", {}, swatch, ` ${words}`);
    };
    return html(
      "p", { class: "zimp-live-legend" }, entry("tree", null, "tree edge"),
      entry("tree", "2 4", "missing tree edge"), entry("kept", null, "other weight"),
      entry("magnitude", "2 4", "weight that has just left"),
    );
  }

  function build(view) {
    const { weights, m, n, mask: exists } = view.settings;
    const ends = edge => play.ends(edge, m, n);
    const edges = play.edgesOf(m, n, exists);
    const size = edge => Math.abs(weights[edge]);
    const order = Array.from(play.heaviestFirst(Float64Array.from(edges, size)), k => edges[k]);
    const forest = play.forest(weights, m, n, exists);
    const tree = forest.edges;
    const treeMask = play.topologicalMask(weights, m, n, tree.length, exists);
    const deaths = play.deaths(weights, m, n, exists);
    const few = order.length <= SMALL;

    // What is exchanged at k weights: as many enter as leave, by the theorem, the heaviest and the lightest first.
    let swapped = {};
    function exchange(k) {
      if (swapped.k === k) return swapped;
      const magnitude = play.magnitudeMask(weights, m, n, k, exists);
      const topological = play.topologicalMask(weights, m, n, k, exists);
      const enter = tree.filter(edge => !magnitude[edge]);
      const leave = order.slice(0, k).filter(edge => !topological[edge]).reverse();
      return (swapped = { k, magnitude, enter, leave, swaps: enter.length });
    }

    // A state after `now` half swaps, and what has just entered or left.
    function at({ k, step }) {
      const { magnitude, enter, leave, swaps } = exchange(k);
      const now = Math.min(step, 2 * swaps);
      const made = Math.ceil(now / 2);
      const odd = now % 2 === 1;
      const mask = magnitude.slice();
      enter.slice(0, made).forEach(edge => (mask[edge] = 1));
      leave.slice(0, made - odd).forEach(edge => (mask[edge] = 0));
      const [entered, left] = odd ? [enter[made - 1]] : [undefined, leave[made - 1]];
      return { mask, now, made, odd, swaps, entered, left, pieces: forest.components + swaps - made };
    }

    // At the start three swaps are to be made, if there are so many.
    const least = tree.length;
    const swaps = play.whole(0, 2 * exchange(least).swaps);
    view.parts = { k: { read: play.whole(least, order.length) }, step: { read: swaps } };
    const start = Math.max(least, order.indexOf(tree[least - 3]));
    view.state = view.start = { k: start, step: 0, ...view.settings.state };

    const named = edge => `${play.edgeName(view.settings, edge)} with |w| = ${play.shown(size(edge))}`;
    function sentence(state) {
      const { now, made, odd, swaps, entered, left, pieces } = at(state);
      if (!swaps) return `The ${state.k} largest weights contain the whole tree: both ways of pruning keep them.`;
      if (!now) {
        return `The ${state.k} largest weights leave ${count(pieces, "component")}: ${count(swaps, "swap")} to go.`;
      }
      const which = `Swap ${made} of ${swaps}. The ${odd ? `tree edge ${named(entered)}` : `edge ${named(left)}`} `;
      if (odd) {
        return `${which}enters. It joins two components, and one essential bar now ends where it does in the layer.`;
      }
      return `${which}leaves, the lightest that is kept outside the tree. It closed a cycle with tree edges, none ` +
        `of them lighter: nothing falls apart, and no bar moves.${made < swaps ? "" : " Now H0 is the layer's."}`;
    }
    const go = by => () => {
      const { now, swaps } = at(view.state);
      const step = play.clamp(now + by, 0, 2 * swaps);
      if (step !== now) view.set({ step });
      else view.say(by > 0 ? "No further swap is needed." : "No swap is made yet.");
    };
    view.slider({
      key: "k", label: "Weights kept", min: least, max: order.length, format: k => `${k} of ${order.length}`,
      changes: { step: 0 },
    });
    view.button({ label: "Back", press: go(-1) });
    view.button({ label: "Next", press: go(1) });

    const counts = html("p", { class: "zimp-live-counts" });
    view.stage.append(counts);
    const drawing = view.canvas("The layer as a graph, its barcode, and its weights from heavy to light");
    const [picture, bars, strip] = ["g", "g", "g"].map(tag => svg(tag));
    drawing.append(picture, bars, strip);
    view.stage.append(legend());

    let place = {}; // where everything is, at a width
    let graph = null;
    const halo = path("budget", 12, { opacity: 0.4 }); // what to look at
    const others = path("kept", 0.7); // of many weights those outside the tree, in one
    let aside = new Float64Array(m + n);

    function layOut() {
      const { wide } = view;
      const width = wide ? view.width / 2 : view.width;
      const height = few ? Math.max(200, 32 * Math.max(m, n)) : 8 * Math.max(m, n) + 24;
      const top = wide ? 14 : height + 14;
      const tall = Math.max(wide ? height - 60 : 0, (m + n) * (few ? 14 : 3.4));
      const barcode = { left: wide ? width + 10 : 12, top, width: width - 40, height: tall };
      place = { width: view.width, barcode, strip: Math.max(height, top + tall + 46) };
      drawing.fit(view.width, place.strip + (order.length <= STRIP ? 52 : 0));
      picture.replaceChildren();
      const room = few ? 60 : 16; // for names, and for neurons that stand apart
      const box = { left: room, top: 14, width: width - 2 * room, height: height - 28 };
      picture.append(halo, others);
      graph = play.graph(picture, { m, n, ...box, names: few, r: few ? 6 : 3 });
      aside.fill(0);
    }

    // The cycle among some edges: what is left when edges with a loose end are taken away.
    function cycleOf(edges) {
      const degrees = new Int32Array(m + n);
      for (const vertex of edges.flatMap(ends)) degrees[vertex] += 1;
      const tied = edges.filter(edge => ends(edge).every(vertex => degrees[vertex] > 1));
      return tied.length < edges.length ? cycleOf(tied) : tied;
    }

    // Neurons outside the largest component are hollow and stand apart; those that have just joined one glow.
    function drawGraph({ mask, entered, left }) {
      for (const edge of few ? order : [...tree, ...swapped.leave]) {
        const heavy = few ? 1 + (4 * size(edge)) / (size(order[0]) || 1) : 1;
        const ink = treeMask[edge] ? "tree" : edge === left ? "magnitude" : mask[edge] ? "kept" : null;
        const [width, dashed] = mask[edge] ? [heavy, false] : [1.5, true];
        const drawn = graph.edge(edge, { ink, width, dashed, ahead: ink !== "kept" });
        if (drawn) drawn.dataset.edge = edge;
      }
      const { labels, sizes } = play.pieces(m, n, mask);
      const main = sizes.indexOf(Math.max(...sizes));
      const before = mask.slice();
      before[entered] = 0; // if one has
      const old = play.pieces(m, n, before);
      const [one, other] = ends(entered).map(vertex => old.labels[vertex]);
      const joined = old.sizes[one] < old.sizes[other] ? one : other;
      const lit = left === undefined ? [entered] : cycleOf([...tree, left]);
      const rest = few ? [] : order.filter(edge => mask[edge] && !treeMask[edge]);

      const spot = ({ x, y }) => `${play.round(x)} ${play.round(y)}`;
      const way = edge => (edge === undefined ? "" : `M${graph.endsOf(edge).map(spot).join("L")}`);
      const from = aside;
      const move = t => {
        aside = from.map((start, vertex) => start + t * ((few && labels[vertex] !== main ? ASIDE : 0) - start));
        labels.forEach((label, vertex) => {
          const ink = old.labels[vertex] === joined ? "budget" : label === main ? "ink" : "paper";
          graph.neuron(vertex, { aside: aside[vertex], ink });
        });
        update(halo, { d: lit.map(way).join("") });
        update(others, { d: rest.map(way).join("") });
      };
      if (few) view.animate(move, 250);
      else move(1);
    }

    // A bar for each tree edge and each component. A mark is where the layer's bar ends; that of a missing tree edge
    // does not end there.
    function drawBars({ mask, entered }) {
      const { x, y } = play.axes(drawing, {
        ...place.barcode, x: [0, END], y: [0, m + n], xticks: [0, 0.5, 1], yticks: [],
        xlabel: "distance 1 − |w| / max |w|",
      });
      const thick = Math.min(8, (0.6 * place.barcode.height) / (m + n));
      const half = thick / 2 + (few ? 2 : 0.5);
      const ways = { budget: "", tree: "", bound: "", ink: "" };
      for (let bar = 0; bar < m + n; bar++) {
        const own = bar < least; // a tree edge's
        const [end, middle] = [x(own ? deaths[bar] : END), y(bar + 0.5)];
        const ends = own && mask[tree[bar]];
        if (own && tree[bar] === entered) ways.budget = `M${x(0)} ${middle}H${x(END)}`;
        ways[ends ? "tree" : "bound"] += `M${x(0)} ${middle}H${ends ? end : x(END)}`;
        ways.ink += `M${end} ${middle - half}${own ? `v${2 * half}` : `l6 ${half}l-6 ${half}`}`;
      }
      const widths = { budget: thick + 5, tree: thick, bound: thick, ink: 1.5 };
      bars.replaceChildren(...Object.entries(ways).map(([ink, d]) => path(ink, widths[ink], { d })));
      bars.firstChild.style.opacity = 0.4;
    }

    // All weights from heavy to light: on the left of the line, the k largest.
    function drawStrip({ mask, entered, left }, k) {
      strip.replaceChildren();
      if (order.length > STRIP) return;
      const [y, width] = [place.strip + 20, (place.width - 8) / Math.max(1, order.length)];
      strip.append(label("all weights from heavy to light; filled: kept", 4, y - 8));
      order.forEach((edge, position) => {
        const ink = treeMask[edge] ? "tree" : mask[edge] ? "kept" : "absent";
        const lit = edge === entered || edge === left;
        const box = { x: 5 + position * width, y, width: width - 2, height: 16, "stroke-width": lit ? 3 : 1.5 };
        const style = `${stroke(lit ? "budget" : ink)}; ${fill(mask[edge] ? ink : "paper")}`;
        strip.append(svg("rect", { ...box, style }));
      });
      strip.append(path("ink", 2, { d: `M${4 + k * width} ${y - 5}v26` }));
    }

    return function draw(state) {
      if (place.width !== view.width) layOut();
      const found = at(state);
      counts.textContent =
        `${count(state.k + found.odd, "weight")}${found.odd ? ", one too many" : ""} · ` +
        `${count(found.pieces, "component")} · ${found.made} of ${count(found.swaps, "swap")}`;
      drawGraph(found);
      drawBars(found);
      drawStrip(found, state.k);
      view.say(sentence(state));
    };
  }

  play.register("swaps", {
    title: "Swap by swap",
    state: () => ({}), // it depends on the forest
    build,
  });
})(zimpPlay);
