// Run IMP yourself: train, prune and rewind in the reader's browser, at any rate and by each method, and compare.

(function (play) {
  "use strict";
  const { html, svg, update, fill, show, count } = play;

  const METHODS = {
    magnitude: "IMP",
    random: "random",
    topological: "T-IMP",
    global: "global IMP",
    budget: "IMP, layer sizes of T-IMP",
    random_tree: "random tree, then magnitude",
  };
  const STEPS = 150; // of each training, as in the stored runs
  const STORED = { rate: 0.2, hidden: 32, rewind: 0 }; // their setting
  const TENTH = 999; // the level to look at, if the reader chose none: that with about a tenth of the weights
  const LOWEST = 0.04; // the density at the end of the axes
  // A mark for each run that there can be, drawn from its middle.
  const MARKS = [
    "m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0", "m-3-3h6v6h-6z", "m0-4l4 7h-8z", "m0-4l4 4l-4 4l-4-4z", "m0 4l4-7h-8z",
    "m-1-4h2v3h3v2h-3v3h-2v-3h-3v-2h3z",
  ];
  const percent = share => `${Math.round(100 * share)}%`;
  const PANELS = {
    accuracy: {
      ylabel: "test accuracy", of: ({ accuracy }) => accuracy, write: accuracy => accuracy.toFixed(2),
      y: [0, 1], yticks: [0, 0.5, 1],
    },
    components: {
      ylabel: "components, first layer", of: ({ layers }) => layers[0].components, write: String,
      scale: Math.log10, y: [0, 2], yticks: [0, 1, 2], yformat: power => String(10 ** power),
    },
    tree: {
      ylabel: "dense tree kept, first layer", of: ({ layers }) => layers[0].denseTreeKept, write: percent,
      y: [0, 1], yticks: [0, 0.5, 1],
    },
  };

  // Images as they are stored: a character a pixel, from 0 to g, and a digit a label.
  const decoded = ({ x, y }) => ({
    x: Float64Array.from(x, pixel => parseInt(pixel, 17) / 16),
    y: Uint8Array.from(y, Number),
  });

  const named = ({ method, rate, hidden, rewind, seed }) =>
    `${METHODS[method]} at ${play.round(rate, 3)}` +
    (hidden === STORED.hidden ? "" : `, ${hidden} neurons`) +
    (rewind === STORED.rewind ? "" : rewind === STEPS ? ", not rewound" : `, to step ${rewind}`) +
    (seed === 0 ? "" : `, seed ${seed}`);

  // The level of a run, among its first ones, whose density is nearest to one given.
  function nearest({ densities }, density, levels = densities.length) {
    const far = level => Math.abs(Math.log(densities[level] / density));
    return play.range(0, levels).reduce((best, level) => (far(level) < far(best) ? level : best), 0);
  }

  function build(view) {
    const runs = [];
    const { stored = {} } = view.settings;
    let chosen = null; // the run whose layers are shown
    let going = null; // the run that trains
    let paused = false;
    let data = null;

    const format = rate => String(play.round(rate, 3));
    view.slider({ key: "rate", label: "Pruning rate", min: 0.05, max: 0.95, step: 0.01, format });
    view.slider({ key: "seed", label: "Seed", min: 0, max: 30 }).parentNode.style.flexBasis = "10rem";
    view.choice({ key: "method", label: "Method", options: METHODS });
    const more = html("details", {}, html("summary", {}, "More settings: neurons, rewinding"));
    const hidden = view.slider({ key: "hidden", label: "Hidden neurons", min: 4, max: 64 });
    const rewind = view.slider({
      key: "rewind", label: "Rewind to", min: 0, max: STEPS, step: 10,
      format: step => (step === STEPS ? "nowhere: train on" : step ? `step ${step}` : "the start"),
    });
    more.append(hidden.parentNode, rewind.parentNode);
    view.add(more);
    const main = view.button({ label: "Start", press });
    const stop = view.button({ label: "Stop", press: () => (main.focus(), end("is stopped")) });
    const bar = html("progress", { "aria-label": "Progress of the run" });
    const words = html("span");
    view.controls.append(bar, words);

    const plots = view.canvas("The runs, level by level");
    const groups = Object.keys(PANELS).map(() => svg("g"));
    const curves = svg("g");
    plots.append(...groups, curves);
    const caption = html("caption");
    const heads = ["run", "accuracy", "components", "tree"].map(text => html("th", { scope: "col" }, text));
    const rows = html("tbody");
    const head = html("thead", {}, html("tr", {}, ...heads, html("td")));
    const table = html("table", { class: "zimp-live-runs" }, caption, head, rows);
    const slider = view.slider({
      key: "level", label: "Level", min: 0, max: 0, sentence: ({ level }) => described(level),
      format: level => (shown() ? `${shown(level).level} of ${chosen.densities.length - 1}` : ""),
    });
    const look = html("div", { class: "zimp-live-controls" }, slider.parentNode);
    view.stage.append(table, look);
    const layers = view.canvas("The layers of a run at a level");

    // What there is of the chosen run at a level, or at its last so far.
    function shown(level = view.state.level) {
      if (!chosen) return null;
      const { length } = chosen.levels;
      return chosen.levels[level === TENTH ? nearest(chosen, 0.1, length) : Math.min(level, length - 1)];
    }
    view.bound.push(() => shown() && (slider.value = shown().level));

    function described(level) {
      const found = shown(level);
      if (!found) return "";
      const [first] = found.layers;
      const band = stored[chosen.method];
      const same = Object.keys(STORED).every(key => chosen[key] === STORED[key]);
      const alike = band && same && found.level < band.density.length;
      const reached = alike && band.accuracy.map(accuracies => accuracies[found.level].toFixed(2));
      return (
        `${named(chosen)}, level ${found.level}, density ${found.density.toFixed(2)}: accuracy ` +
        `${found.accuracy.toFixed(2)}. The first layer has ${count(first.kept, "weight")}, ` +
        `${count(first.components, "component")} and ${percent(first.denseTreeKept)} of its dense tree.` +
        (alike ? ` The ten stored runs have accuracies from ${reached.join(" to ")}.` : "")
      );
    }

    function press() {
      if (!going) return start();
      paused = !paused;
      if (paused) going.work.pause();
      else going.work.resume();
      view.say(paused ? `${named(going)} pauses.` : `${named(going)} goes on.`);
      label();
    }

    function start() {
      const { digits } = view.data;
      const { rate, method, hidden, rewind, seed } = view.state;
      const run = { rate, method, hidden, rewind, seed, levels: [] };
      const again = runs.find(other => named(other) === named(run));
      if (!digits) return view.fail("The digits did not come with this page, so nothing can be trained.");
      if (again) return view.fail(`${named(run)} is there already; change the rate, the method or the seed.`);
      if (runs.length === MARKS.length) return view.fail(`There are ${runs.length} runs; remove one of them first.`);

      data = data || { train: decoded(digits.train), test: decoded(digits.test) };
      const sizes = [64, hidden, 10];
      const kept = play.topologicalSizes(sizes, TENTH, rate).map(layers => layers.reduce((sum, left) => sum + left));
      const levels = kept.length - 1;
      run.densities = kept.map(weights => weights / kept[0]);
      run.mark = MARKS.find(mark => runs.every(other => other.mark !== mark));
      addRow(run);
      runs.push(run);
      [going, paused] = [run, false];
      const given = { data, sizes, rate, method, seed, levels, steps: STEPS, rewind: rewind < STEPS ? rewind : null };
      run.work = view.work("run", given, level => {
        run.levels.push(level);
        label();
        view.refresh({});
      });
      run.work.promise.then(() => end("is done"), error => {
        remove(run);
        view.fail(`${named(run)} broke off: ${error.message}`);
      });
      view.trouble.textContent = "";
      choose(run, `${named(run)} has begun; it has ${count(levels, "level")}.`);
      label();
    }

    function end(how) {
      const run = going;
      halt();
      run.densities.length = run.levels.length;
      if (run.levels.length) view.say(`${named(run)} ${how}. ${chosen === run ? described() : ""}`);
      else remove(run);
      view.refresh({});
    }

    function halt() {
      going.work.stop();
      [going, paused] = [null, false];
      label();
    }

    function label() {
      main.textContent = !going ? "Start" : paused ? "Resume" : "Pause";
      stop.disabled = !going;
      bar.hidden = !going;
      words.textContent = "";
      if (!going) return;
      const [done, all] = [going.levels.length, going.densities.length];
      update(bar, { max: all, value: done });
      words.textContent = `${paused ? "paused, " : ""}level ${Math.max(0, done - 1)} of ${all - 1}`;
    }

    // Look at another run, at the same density.
    function choose(run, sentence) {
      const found = shown();
      chosen = run;
      if (run) run.radio.checked = true;
      const same = run && found && view.state.level !== TENTH;
      if (same) view.set({ level: nearest(run, found.density) });
      else view.refresh({});
      view.say(sentence ?? described());
    }

    function remove(run) {
      if (going === run) halt();
      runs.splice(runs.indexOf(run), 1);
      run.row.remove();
      if (chosen === run) choose(runs[runs.length - 1] || null, `${named(run)} is removed.`);
      else view.refresh({});
    }

    view.clear = () => [...runs].forEach(remove);

    function addRow(run) {
      run.radio = html("input", { type: "radio", name: "zimp-run", change: () => choose(run) });
      const mark = svg("path", { d: `M6 6${run.mark}`, style: fill(run.method) });
      const sign = svg("svg", { width: 12, height: 12, "aria-hidden": "true" }, mark);
      run.cells = Object.values(PANELS).map(() => html("td"));
      const close = () => {
        remove(run);
        (chosen ? chosen.radio : main).focus();
      };
      const cross = play.button("×", close, { "aria-label": `Remove ${named(run)}` });
      const name = html("label", {}, run.radio, " ", sign, ` ${named(run)}`);
      run.row = html("tr", {}, html("td", {}, name), ...run.cells, html("td", {}, cross));
      rows.append(run.row);
    }

    const across = density => Math.log(density) / Math.log(LOWEST);

    function drawPlots({ method }) {
      const { wide } = view;
      const [width, height] = wide ? [view.width / 3 - 48, 140] : [view.width - 48, 110];
      plots.fit(view.width, wide ? height + 64 : 3 * (height + 52) + 16);
      curves.replaceChildren();
      const found = shown();
      Object.entries(PANELS).forEach(([key, panel], k) => {
        const [left, top] = wide ? [34 + k * (width + 48), 24] : [34, 24 + k * (height + 52)];
        const axes = play.axes(groups[k], {
          ...panel, left, top, width, height, x: [0, 1], xticks: [1, 0.5, 0.2, 0.1, 0.05].map(across),
          xformat: share => String(+(LOWEST ** share).toPrecision(1)), xlabel: wide || k === 2 ? "density" : "",
        });
        const { scale = value => value } = panel;
        const point = (density, value) => [across(density), scale(value)];
        const add = (d, style) => curves.append(svg("path", { d, style }));
        const band = stored[chosen ? chosen.method : method];
        if (band) {
          const [low, high] = band[key].map(values => values.map((value, i) => point(band.density[i], value)));
          add(axes.path([...low, ...high.reverse()]), `${fill("absent")}; opacity: 0.4`);
        }
        if (found) {
          const line = axes.path(panel.y.map(y => [across(found.density), y]));
          add(line, `${play.stroke("ink")}; stroke-dasharray: 4 3`);
        }
        for (const run of runs.filter(({ levels }) => levels.length)) {
          const points = run.levels.map(level => point(level.density, panel.of(level)));
          curves.append(play.path(run.method, run === chosen ? 2.5 : 1.2, { d: axes.path(points) }));
          add(points.map(([x, y]) => `M${axes.x(x)} ${axes.y(y)}${run.mark}`).join(""), fill(run.method));
        }
      });
      const words = `Accuracy, components and dense tree kept, against density: ${count(runs.length, "run")}`;
      update(plots, { "aria-label": words });
    }

    function drawTable() {
      const found = shown();
      show(table, runs.length);
      caption.textContent = found ? `Near a density of ${found.density.toFixed(2)}:` : "";
      for (const run of runs.filter(({ levels }) => found && levels.length)) {
        const level = run.levels[nearest(run, found.density, run.levels.length)];
        Object.values(PANELS).forEach(({ of, write }, k) => (run.cells[k].textContent = write(of(level))));
      }
    }

    // Each layer as a picture of its matrix, with the tree of what remains.
    function drawLayers() {
      const found = shown();
      layers.replaceChildren();
      show(look, found);
      if (!found) return layers.fit(view.width, 0);
      slider.max = chosen.levels.length - 1;
      const sizes = [64, chosen.hidden, 10];
      const { wide } = view;
      const side = Math.min(6, (view.width - 24) / (wide ? 64 + chosen.hidden : 64), 240 / chosen.hidden);
      let [left, top, bottom] = [0, 24, 0];
      found.layers.forEach(({ kept, components, weights, mask }, k) => {
        const [m, n] = [sizes[k + 1], sizes[k]];
        const tree = new Set(play.forest(weights, m, n, mask).edges);
        const square = edge => play.square(left + (edge % n) * side, top + Math.floor(edge / n) * side, side);
        const cells = (ink, here) =>
          svg("path", { style: fill(ink), d: [...mask.keys()].filter(here).map(square).join("") });
        const text = `${k ? "output" : "first layer"}: ${count(kept, "weight")}, ${count(components, "component")}`;
        layers.append(
          play.label(text, left, top - 8),
          cells("pruned", edge => !mask[edge]),
          cells("kept", edge => mask[edge] && !tree.has(edge)),
          cells("tree", edge => tree.has(edge)),
        );
        bottom = Math.max(bottom, top + m * side);
        if (wide) left += n * side + 24;
        else top += m * side + 30;
      });
      layers.fit(view.width, bottom + 4);
      update(layers, { "aria-label": `Level ${found.level}: which weights are pruned, kept, and in the tree.` });
    }

    label();
    view.say("Press Start. Your browser then trains, prunes and rewinds.");
    return function draw(state) {
      drawPlots(state);
      drawTable();
      drawLayers();
    };
  }

  play.register("run", {
    title: "Run IMP yourself",
    state: () => ({
      rate: { value: STORED.rate, read: play.number(0.05, 0.95) },
      seed: { value: 0, read: play.whole(0, 999) },
      method: { value: "magnitude", read: play.oneOf(Object.keys(METHODS)) },
      hidden: { value: STORED.hidden, read: play.whole(4, 64) },
      rewind: { value: STORED.rewind, read: play.whole(0, STEPS) },
      level: { value: TENTH, read: play.whole(0, TENTH) },
    }),
    build,
  });
})(zimpPlay);
