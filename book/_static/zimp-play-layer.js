// What the views of one layer share: the layer as a text, which an address can hold; its graph with a label on each
// edge; its barcode.

(function (play) {
  "use strict";
  const { svg, update, color, round } = play;

  // A text such as [0.9 -0.2; 0.1 x]: a row for each output, and an x where an edge does not exist. The state holds the
  // text; the layer that was read last is remembered, since one is drawn many times.
  const NUMBER = /^-?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/;
  const remembered = new Map();

  function readLayer(text) {
    if (!remembered.has(text)) remember(text, parse(text));
    return remembered.get(text);
  }
  function remember(text, layer) {
    if (remembered.size > 8) remembered.clear();
    remembered.set(text, layer);
  }
  function parse(text) {  // null for what is no layer
    if (!/^\[[^[\]]*\]$/.test(text)) return null;
    const rows = text.slice(1, -1).split(";").map(row => row.trim().split(/\s+/));
    const [m, n, cells] = [rows.length, rows[0].length, rows.flat()];
    const good = cell => cell === "x" || (NUMBER.test(cell) && Number.isFinite(+cell));
    if (rows.some(row => row.length !== n) || !cells.every(good)) return null;
    const mask = cells.includes("x") ? Uint8Array.from(cells, cell => (cell === "x" ? 0 : 1)) : undefined;
    return { m, n, mask, weights: Float64Array.from(cells, cell => (cell === "x" ? 0 : +cell)) };
  }
  function writeLayer({ weights, m, n, mask }) {
    const rows = [];
    for (let edge = 0; edge < m * n; edge += n) {
      const row = Array.from(weights.slice(edge, edge + n));
      rows.push((mask ? row.map((weight, col) => (mask[edge + col] ? weight : "x")) : row).join(" "));
    }
    const text = `[${rows.join("; ")}]`;
    remember(text, { m, n, mask, weights: Float64Array.from(weights) });
    return text;
  }
  const layerText = largest => ({
    parse(text) {
      const layer = readLayer(text);
      return layer && layer.weights.length <= largest ? text : undefined;
    },
    write: String,
    rule: `a matrix of at most ${largest} numbers, such as [0.9 -0.2; 0.1 0.5]`,
  });

  const lowered = index => String(index).replace(/\d/g, digit => "₀₁₂₃₄₅₆₇₈₉"[digit]);
  const edgeName = ({ n }, edge) => `x${lowered(edge % n)}–y${lowered(Math.floor(edge / n))}`;
  const shown = weight => String(+weight.toPrecision(3)).replace("-", "−");

  // Where on its edge each label stands: as far as can be from the other labels.
  function middles({ n }, edges, { left, top, width, height }, net) {
    const at = (edge, part) => {
      const [from, to] = [net.inputs[edge % n], net.outputs[Math.floor(edge / n)]];
      return [left + part * width, from.y + part * (to.y - from.y)];
    };
    const places = new Map();
    const room = ([x, y]) =>
      Math.min(...[...places.values()].map(([a, b]) => Math.max(Math.abs(x - a) / 52, Math.abs(y - b) / 30)), 9);
    const parts = Array.from({ length: 25 }, (_, k) => 0.16 + (k / 24) * 0.68);
    for (let round = 0; round < 4; round++) {
      for (const edge of edges) {
        places.delete(edge);
        const free = parts.map(part => Math.min(room(at(edge, part)), 1.3) - Math.abs(part - 0.5) / 50);
        places.set(edge, at(edge, parts[free.indexOf(Math.max(...free))]));
      }
    }
    return places;
  }

  // The graph with labels that can be acted on: `attributes(edge)` gives a label its role, name and listeners.
  function labelled(parent, layer, box, attributes) {
    const net = play.graph(parent, { ...layer, ...box });
    const all = Array.from(layer.weights.keys()).filter(edge => !layer.mask || layer.mask[edge]);
    const places = middles(layer, all, box, net);
    const labels = new Map();
    const group = svg("g");
    parent.append(group);
    for (const edge of all) {
      const text = svg("text", { y: 4, "text-anchor": "middle", style: "user-select: none; pointer-events: none" });
      const rect = svg("rect", { x: -24, y: -13, width: 48, height: 26, rx: 5, fill: color("paper") });
      const drawn = svg("g", { transform: `translate(${places.get(edge).map(x => round(x))})`, ...attributes(edge) });
      drawn.append(rect, text);
      group.append(drawn);
      labels.set(edge, { rect, text, drawn });
    }
    // A `look` of an edge: "tree", "kept", or "absent" for one that is not there. `framed` marks its label.
    const show = (edge, look, { framed = false, words = shown(layer.weights[edge]), more = {} } = {}) => {
      const dashed = look === "absent";
      const width = { tree: 4, kept: 2, absent: 1.2 }[look];
      net.edge(Math.floor(edge / layer.n), edge % layer.n, { stroke: look, width, dashed, ahead: look === "tree" });
      const { rect, text, drawn } = labels.get(edge);
      update(rect, {
        style: `stroke: ${color(framed ? "ink" : look)}`,
        "stroke-width": framed ? 3 : look === "tree" ? 2 : 1,
        "stroke-dasharray": dashed && !framed && "2 3",
      });
      update(text, { text: words });
      update(drawn, more);
    };
    return { net, labels, show };
  }

  // A barcode in a box: bars from the top, the shortest first, an arrow for what never ends. `x` turns a distance into
  // pixels.
  function barcode(parent) {
    const group = svg("g", { fill: "none", "pointer-events": "none" });
    parent.append(group);
    return ({ distances, components, x, top, height, thick = 8, stroke = "tree", never = "bound" }) => {
      const count = distances.length + components;
      const step = height / count;
      while (group.childElementCount > count) group.lastElementChild.remove();
      while (group.childElementCount < count) group.append(svg("path"));
      [...group.children].forEach((bar, k) => {
        const ends = k < distances.length;
        const y = round(top + (k + 0.5) * step);
        const length = ends ? Math.max(1.5, x(distances[k]) - x(0)) : x(1.04) - x(0);
        const arrow = ends ? "" : "m-5 -4l5 4l-5 4";
        update(bar, {
          d: `M${x(0)} ${y}h${round(length)}${arrow}`,
          style: `stroke: ${color(ends ? stroke : never)}`,
          "stroke-width": round(Math.min(ends ? thick : thick / 2, 0.8 * step)),
        });
      });
      return group;
    };
  }

  Object.assign(play, { readLayer, writeLayer, layerText, edgeName, shownWeight: shown, labelled, barcode });
})(zimpPlay);
