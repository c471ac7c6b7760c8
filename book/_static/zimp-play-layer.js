// What the views of one small layer share: its weights in the state, its graph with a label on each edge, its barcode.

(function (play) {
  "use strict";
  const { svg, update, color, stroke, round } = play;

  // The weights `w`, row by row, and the number of rows. A layer of the reader's `own` has no mask.
  const layerState = (largest, { weights = [0.9, -0.2, 0.1, 0.5, -0.8, 0.3], m = 3 }) => ({
    w: { value: weights, read: play.numbers(-1e300, 1e300, largest) },
    m: { value: m, read: play.whole(1, largest) },
    own: { value: false, read: play.flag() },
  });
  // The layer of the state. If it has none, the last one stays.
  function layerOf(view) {
    const { w, m } = view.state;
    if (w.length === 0 || w.length % m) {
      view.fail(`${w.length} weights do not make ${m} rows of the same length. Nothing was changed.`);
      view.state = view.good || view.start;
      return layerOf(view);
    }
    view.good = view.state;
    const { mask } = view.settings;
    const masked = mask && !view.state.own && mask.length === w.length;
    return { weights: w, m, n: w.length / m, mask: masked ? mask : undefined };
  }

  const exists = ({ weights, mask }, edge) => edge >= 0 && edge < weights.length && (!mask || mask[edge] > 0);
  const shown = weight => String(+weight.toPrecision(3)).replace("-", "−");

  // The graph. `attributes(edge)` gives an edge's label its role, name and listeners. Labels stay away from each other
  // and from other edges.
  function labelled(parent, layer, box, attributes) {
    const net = play.graph(parent, { ...layer, ...box });
    const at = (edge, part) => {
      const [b, a] = net.endsOf(edge);
      return [a.x + part * (b.x - a.x), a.y + part * (b.y - a.y)];
    };
    const edges = [...play.edgesOf(layer.m, layer.n, layer.mask)];
    const places = new Map();
    const room = (edge, part) => {
      const [x, y] = at(edge, part);
      const labels = [...places.values()].map(([a, b]) => Math.max(Math.abs(x - a) / 56, Math.abs(y - b) / 34));
      const lines = edges.map(other => (other === edge ? 9 : 0.3 + Math.abs(y - at(other, part)[1]) / 34));
      return Math.min(1.2, ...labels, ...lines) - Math.abs(part - 0.5) / 20;
    };
    const parts = play.range(0, 25).map(k => 0.16 + (k / 24) * 0.68);
    for (const edge of [...edges, ...edges, ...edges]) {
      places.delete(edge);
      places.set(edge, at(edge, parts.reduce((best, part) => (room(edge, part) > room(edge, best) ? part : best))));
    }
    const labels = new Map();
    for (const edge of edges) {
      const text = play.label("", 0, 4, "middle");
      const rect = svg("rect", { x: -24, y: -13, width: 48, height: 26, rx: 5, fill: color("paper") });
      const [x, y] = places.get(edge).map(Math.round);
      const drawn = svg("g", { transform: `translate(${x} ${y})`, ...attributes(edge) }, rect, text);
      parent.append(drawn);
      labels.set(edge, { rect, text, drawn });
    }
    // How an edge looks: "tree", "kept", or "absent" for one that is not there; `framed`, its label is marked.
    const show = (edge, look, framed, words, more) => {
      const { rect, text, drawn } = labels.get(edge);
      const dashed = look === "absent";
      const width = { tree: 4, kept: 2, absent: 1.2 }[look];
      net.edge(edge, { ink: look, width, dashed, ahead: look === "tree" });
      const dashes = { "stroke-dasharray": dashed && "2 3" };
      update(rect, { style: stroke(framed ? "ink" : look), "stroke-width": framed ? 3 : 1.5, ...dashes });
      update(text, { text: words });
      update(drawn, more);
    };
    return { edges, endsOf: net.endsOf, show };
  }

  // Bars, the shortest at the bottom, and an arrow for each that never ends. `x` turns a distance into pixels.
  function bars(group, distances, never, { x, top, height, thick = 8, inks = ["tree", "bound"], marked }) {
    const count = distances.length + never;
    while (group.childElementCount > count) group.lastChild.remove();
    while (group.childElementCount < count) group.append(svg("path", { fill: "none" }));
    [...group.children].forEach((bar, k) => {
      const ends = k < distances.length;
      const step = height / count;
      const end = x(0) + Math.max(1.5, x(ends ? distances[k] : 1.04) - x(0));
      update(bar, {
        d: `M${x(0)} ${round(top + height - (k + 0.5) * step)}H${round(end)}${ends ? "" : "m-5 -4l5 4l-5 4"}`,
        style: stroke(k === marked ? "ink" : inks[ends ? 0 : 1]),
        "stroke-width": Math.min(ends ? thick : thick / 2, step),
      });
    });
  }

  Object.assign(play, { layerState, layerOf, exists, shown, labelled, bars });
})(zimpPlay);
