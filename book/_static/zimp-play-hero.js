// Cut it until it breaks: a layer as a graph, fewer and fewer weights, and three rules for which of them stay.

(function (play) {
  "use strict";
  const { svg, count } = play;

  const RULES = { largest: "the largest", tree: "the tree, then the largest", random: "random" };
  const COLORS = { largest: "magnitude", tree: "tree", random: "random" };
  const ASIDE = 26; // pixels that a neuron drifts when its last weight is gone

  // Which weights a rule leaves, of a layer whose tree is known. Below a tree's size the tree's own largest edges stay.
  function maskOf({ weights, m, n, tree, seed }, k, rule) {
    if (rule === "largest") return play.magnitudeMask(weights, m, n, k);
    if (rule === "random") return play.randomMask(m, n, k, play.random(seed));
    if (k >= m + n - 1) return play.topologicalMask(weights, m, n, k);
    return play.magnitudeMask(weights, m, n, k, tree);
  }

  function build(view) {
    const { m, n } = view.settings;
    const cut = { m, n }; // the layer, and what was tried on it
    const drawing = view.canvas("A layer as a graph, and its number of components against the weights left");
    const picture = svg("g");
    const marks = svg("g");
    drawing.append(picture, marks);
    let graph = null;
    let drawn = null; // its width
    let aside = new Float64Array(m + n);

    function newLayer(seed) {
      const random = play.random(seed);
      const drawn = () => Float64Array.from({ length: m * n }, () => play.round(random.normal()));
      const weights = seed === 0 ? Float64Array.from(view.settings.weights) : drawn();
      const tree = play.topologicalMask(weights, m, n, m + n - 1);
      const largest = weights.reduce((most, weight) => Math.max(most, Math.abs(weight)), 0);
      const trails = Object.fromEntries(Object.keys(RULES).map(rule => [rule, new Map()]));
      Object.assign(cut, { weights, tree, largest, seed, trails, last: null });
    }

    function told({ k, rule }) {
      const mask = maskOf(cut, k, rule);
      const { count: components, sizes, labels } = play.pieces(m, n, mask);
      const alone = Array.from(labels, label => sizes[label] === 1);
      const kept = mask.reduce((sum, stays, edge) => sum + (stays && cut.tree[edge]), 0);
      return { mask, components, alone, kept };
    }

    const sentence = state => {
      if (state.seed !== cut.seed) newLayer(state.seed);
      const { components, alone, kept } = told(state);
      const lost = alone.filter(Boolean).length;
      return (
        `${count(state.k, "weight")} left, ${RULES[state.rule]}: ${count(components, "component")}; ` +
        `${kept} of the ${m + n - 1} tree edges are kept` +
        (lost ? `; ${count(lost, "neuron")} cut off.` : ".") +
        (state.k < m + n - 1 ? ` With fewer than ${m + n - 1} weights no rule joins ${m + n} neurons.` : "")
      );
    };

    view.slider({
      key: "k", label: "Weights left", min: 1, max: m * n, sentence,
      format: k => `${k} (${Math.round((100 * k) / (m * n))}%)`,
    });
    view.choice({ key: "rule", label: "Keep", options: RULES, sentence });
    view.button({
      label: "New weights",
      press() {
        const seed = (view.state.seed % 99999) + 1;
        view.set({ seed }, `New weights. ${sentence({ ...view.state, seed })}`);
      },
    });

    // The neurons go to where they belong, and their edges with them.
    function drift(alone) {
      const from = aside;
      const to = Float64Array.from(alone, lost => (lost ? ASIDE : 0));
      view.animate(t => {
        aside = from.map((start, vertex) => start + t * (to[vertex] - start));
        aside.forEach((distance, vertex) => {
          graph.neuron(vertex, { aside: distance, ink: alone[vertex] ? "paper" : "ink" });
        });
      }, 250);
    }

    return function draw(state) {
      if (state.seed !== cut.seed) newLayer(state.seed);
      const { wide } = view;
      const [width, height] = wide ? [view.width * 0.55, 300] : [view.width, 260];
      if (drawn !== view.width) {
        drawn = view.width;
        picture.replaceChildren();
        drawing.fit(view.width, wide ? height : 2 * height);
        const box = { left: 64, top: 16, width: width - 128, height: height - 32 }; // with room for neurons that drift
        graph = play.graph(picture, { m, n, ...box });
      }

      const { mask, components, alone } = told(state);
      mask.forEach((stays, edge) => {
        const ink = !stays ? null : cut.tree[edge] ? "tree" : "kept";
        const width = 1 + (4 * Math.abs(cut.weights[edge])) / cut.largest;
        graph.edge(edge, { ink, width, ahead: ink === "tree" });
      });
      drift(alone);

      // A quick hand passes over some numbers: the trail has them too.
      const trail = cut.trails[state.rule];
      const from = cut.last && cut.last.rule === state.rule ? cut.last.k : state.k;
      for (let k = from; k !== state.k; k += Math.sign(state.k - from)) {
        if (!trail.has(k)) trail.set(k, told({ k, rule: state.rule }).components);
      }
      trail.set(state.k, components);
      cut.last = state;

      const place = wide ? { left: width + 40, top: 30 } : { left: 40, top: height + 30 };
      const axes = play.axes(drawing, {
        ...place, width: (wide ? view.width - width : view.width) - 56, height: height - 80,
        x: [0, m * n], y: [0, m + n], xticks: [0, m + n - 1, 24, 36, 48],
        xlabel: "weights left", ylabel: "components",
      });
      marks.replaceChildren();
      for (const [rule, points] of Object.entries(cut.trails)) {
        for (const [k, pieces] of points) {
          const here = rule === state.rule && k === state.k;
          marks.append(play.dot(axes.x(k), axes.y(pieces), here ? 6 : 3, COLORS[rule]));
        }
      }
      if (!view.sentence.textContent) view.say(sentence(state)); // at the start
    };
  }

  play.register("hero", {
    title: "Cut it until it breaks",
    state: () => ({
      k: { value: 48, read: play.whole(1, 48) },
      rule: { value: "largest", read: play.oneOf(Object.keys(RULES)) },
      seed: { value: 0, read: play.whole(0, 99999) }, // 0: the layer of the page
    }),
    build,
  });
})(zimpPlay);
