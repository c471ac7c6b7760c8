// All masks of a small layer at a glance: which leave it connected, which preserve its H0, and which contain its tree.

(function (play) {
  "use strict";
  const { svg, update, color, round, count, edgeName, shown } = play;
  const LARGEST = 10; // weights
  const FILTERS = { all: "all", connected: "connected", preserving: "H0 preserved", tree: "contain the tree" };
  const ARE = { connected: "are connected", preserving: "preserve H0", tree: "contain the tree" };

  // What is to be known of a layer and of its masks, from the fullest to the emptiest.
  function study(layer) {
    const { weights, m, n } = layer;
    const full = play.forest(weights, m, n, layer.mask);
    const edges = [...play.edgesOf(m, n, layer.mask)];
    const masks = play.range(0, 2 ** edges.length).map(code => {
      const mask = weights.map((_, edge) => (code >> edges.indexOf(edge)) & +edges.includes(edge));
      const { values, components } = play.forest(weights, m, n, mask);
      return {
        bits: mask.join(""), mask, values, components, kept: edges.filter(edge => mask[edge]).length, all: true,
        connected: components === 1, preserving: String(values) === String(full.values),
        lost: full.edges.filter(edge => !mask[edge]), get tree() { return this.lost.length === 0; },
      };
    });
    masks.sort((a, b) => b.kept - a.kept || (a.bits < b.bits ? 1 : -1));
    const known = new Map(masks.map(each => [each.bits, each]));
    return { ...layer, full, trees: new Set(full.edges), edges, masks, known };
  }

  function build(view) {
    const drawing = view.canvas("The layer with one mask, its barcode, and all its masks");
    update(drawing, { role: "group" }); // it has parts that can be acted on
    let studied = {};
    let laid = {}; // what is drawn, until the layer or the width changes

    function current() {
      const layer = play.layerOf(view);
      if (studied.weights !== layer.weights || studied.mask !== layer.mask) studied = study(layer);
      return studied;
    }

    const worn = () => studied.known.get(view.state.mask || studied.masks[0].bits);
    function told({ kept, connected, preserving, lost }) {
      const names = lost.map(edge => edgeName(studied, edge)).join(", ");
      const state = `${connected ? "" : "not "}connected, and H0 ${preserving ? "is preserved" : "has changed"}`;
      return `Weights kept: ${kept} of ${studied.edges.length}. The layer is ${state}. ` +
        (lost.length ? `Tree edges that are lost: ${names}.` : "The tree is complete.");
    }
    const wear = mask => view.set({ mask }, told(studied.known.get(mask)));
    const toggle = edge => wear(worn().mask.map((bit, e) => (e === edge ? 1 - bit : bit)).join(""));

    view.choice({ key: "show", label: "Show", options: FILTERS, sentence({ show }) {
      const { masks } = current();
      const found = masks.filter(each => each[show]);
      if (show === "all") return `The layer has ${masks.length} masks.`;
      const same = show === "tree" && masks.every(each => each.tree === each.preserving);
      const which = same ? ", and these are the masks that preserve H0" : "";
      return `${found.length} of the ${masks.length} masks ${ARE[show]}${which}.`;
    } });

    // Laid out once for a layer: its graph, whose labels are switches; two barcodes; a wall of small graphs.
    function lay(layer, width) {
      const { m, n, masks, edges, trees } = layer;
      drawing.replaceChildren();
      const { wide } = view;
      const side = wide ? width * 0.44 : width;
      const graph = play.labelled(drawing, layer, { left: 34, top: 18, width: side - 68, height: 172 }, edge => ({
        role: "switch", tabindex: 0, "aria-label": `${edgeName(layer, edge)}, ${shown(layer.weights[edge])}`,
        style: "cursor: pointer", click: () => toggle(edge),
        keydown(event) {
          if (event.key !== " " && event.key !== "Enter") return;
          event.preventDefault();
          toggle(edge);
        },
      }));
      const left = wide ? side + 34 : 26;
      const top = wide ? 20 : 232;
      const plots = [svg("g"), svg("g"), svg("g")];
      drawing.append(...plots);
      const { x } = play.axes(plots[0], {
        left, top, width: width - left - 26, height: 104, yticks: [],
        xlabel: "distance 1 − |w| / scale", ylabel: "barcode of the mask, over that of the layer",
      });
      const pitch = Math.min(106, (width - 2) / 3);
      const badges = [0, 1, 2].map(k => {
        const box = svg("rect", { width: pitch - 4, height: 26, rx: 13, fill: "none", "stroke-width": 2 });
        const text = play.label("", pitch / 2 - 2, 17, "middle");
        const place = `translate(${round((wide ? left - 20 : 1) + k * pitch)} ${top + 150})`;
        drawing.append(svg("g", { transform: place }, box, text));
        return { box, text };
      });

      const size = masks.length > 64 ? 26 : 40;
      const columns = Math.floor(width / size);
      const start = top + 190;
      const spread = (count, k) => (count === 1 ? size / 2 : 8 + (k / (count - 1)) * (size - 20));
      const line = edge => `M8 ${spread(n, edge % n)}L${size - 12} ${spread(m, Math.floor(edge / n))}`;
      const small = masks.map(({ bits, mask, kept, connected, preserving }, k) => {
        const path = (ink, width, chosen) =>
          play.path(ink, width, { d: edges.filter(edge => mask[edge] && chosen(edge)).map(line).join("") || "M0 0" });
        const frame = svg("rect", { width: size - 4, height: size - 4, rx: 3, fill: color("paper") });
        const words = `${count(kept, "weight")}${connected ? ", connected" : ""}${preserving ? ", H0 preserved" : ""}`;
        const made = svg("g", { role: "option", "aria-label": words, style: "cursor: pointer",
          transform: `translate(${(k % columns) * size + 2} ${start + Math.floor(k / columns) * size})`,
          click: () => wear(bits), keydown: event => walk(event, bits, columns) },
          frame, path("kept", 1.5, edge => !trees.has(edge)), path("tree", 2, edge => trees.has(edge)));
        return { made, frame };
      });
      const wall = svg("g", { role: "listbox", "aria-label": "masks" }, ...small.map(({ made }) => made));
      drawing.append(wall);
      drawing.fit(width, start + Math.ceil(masks.length / columns) * size);
      return { layer, width, graph, x, top, plots, badges, small };
    }
    function walk(event, bits, columns) { // to the next mask that is shown
      const [right, down] = play.ARROWS[event.key] || [0, 0];
      const by = right + columns * down;
      if (!by) return;
      event.preventDefault();
      const { masks } = studied;
      const { show } = view.state;
      let k = masks.findIndex(each => each.bits === bits) + by;
      while (masks[k] && !masks[k][show]) k += Math.sign(by);
      if (!masks[k]) return;
      wear(masks[k].bits);
      update(laid.small[k].made, { tabindex: 0 }).focus();
    }

    return function draw(state, changed) {
      const layer = current();
      const { full, masks, trees } = layer;
      const here = worn();
      const { show, mask: bits } = view.state;
      if (!here) {
        view.fail(`The mask ${bits} does not fit a layer of ${layer.weights.length} weights. Nothing was changed.`);
        view.state = laid.state || view.start;
        return draw(view.state, changed);
      }
      if (laid.layer !== layer || laid.width !== view.width) laid = lay(layer, view.width);
      laid.state = view.state;
      const { mask, values, components, connected, preserving, tree } = here;
      for (const edge of layer.edges) {
        const on = mask[edge] === 1;
        const look = on ? (trees.has(edge) ? "tree" : "kept") : "absent";
        laid.graph.show(edge, look, false, shown(layer.weights[edge]), { "aria-checked": `${on}` });
      }
      const distances = of => Array.from(of, value => 1 - (value / full.values[0] || 0));
      const box = { x: laid.x, top: laid.top, height: 104 };
      const inks = ["pruned", "pruned"];
      play.bars(laid.plots[1], distances(full.values), full.components, { ...box, thick: 16, inks });
      play.bars(laid.plots[2], distances(values), components, { ...box, thick: 7 });
      const badge = (k, yes, words, otherwise) => {
        const { box, text } = laid.badges[k];
        update(text, { text: yes ? `✓ ${words}` : `✗ ${otherwise}` });
        update(box, { stroke: color(yes ? "bound" : "absent"), "stroke-dasharray": !yes && "3 3" });
      };
      badge(0, connected, "connected", "in pieces");
      badge(1, preserving, "H0 preserved", "H0 changed");
      badge(2, tree, "has the tree", "tree cut");

      const reached = here[show] ? here : masks.find(each => each[show]);
      masks.forEach((each, k) => {
        const { made, frame } = laid.small[k];
        const chosen = each === here;
        update(made, { "aria-selected": `${chosen}`, tabindex: each === reached ? 0 : -1 });
        update(made, { opacity: each[show] ? 1 : 0.15 });
        update(frame, { stroke: color(chosen ? "ink" : "absent"), "stroke-width": chosen ? 3 : 0.5 });
      });
      if ("w" in changed) view.say(told(here)); // at the start, and when an address was opened
    };
  }

  play.register("masks", {
    title: "All masks at a glance",
    state: settings => ({
      ...play.layerState(LARGEST, settings),
      mask: { value: "", read: { // at the start all edges
        parse: text => (/^[01]{0,10}$/.test(text) ? text : undefined), write: String,
        rule: "a 1 for each weight that stays and a 0 for each other, such as 110110",
      } },
      show: { value: "all", read: play.oneOf(Object.keys(FILTERS)) },
    }),
    build,
  });
})(zimpPlay);
