// Draw it first: the reader draws an accuracy curve, or orders the six methods; then the stored seeds appear over it.

(function (play) {
  "use strict";

  const { html, svg, update, color, fill, stroke, dot, label, show, range, clamp } = play;
  const { sweeps, labels, t } = play.data.curves;
  const METHODS = Object.keys(labels);
  const SEEN = ["topological", "magnitude"]; // curves known from the chapter before
  const LEVELS = 50; // more than any sweep has
  const ROW = 44;

  // Accuracies, or how much T-IMP's are above them, seed by seed; that axis is stretched around zero.
  const names = { absolute: "test accuracy", paired: "T-IMP minus method" };
  const stretched = value => Math.sign(value) * Math.sqrt(Math.abs(value));
  function scaleOf(paired, values) {
    const [to, ends, ticks] = paired
      ? [stretched, [-0.02, 0.02], [-0.5, -0.1, -0.02, 0, 0.02, 0.1, 0.5]]
      : [value => value, [0, 1], [0, 0.2, 0.4, 0.6, 0.8, 1]];
    const [low, high] = [Math.min(...values, ends[0]), Math.max(...values, ends[1])].map(to);
    return { to, span: [low, high], ticks: ticks.filter(tick => to(tick) >= low && to(tick) <= high) };
  }

  const mean = values => values.reduce((a, b) => a + b, 0) / values.length;
  function interval(values) { // the ends of the 95% interval of the mean
    const center = mean(values);
    const variance = values.reduce((sum, value) => sum + (value - center) ** 2, 0) / (values.length - 1);
    const half = t * Math.sqrt(variance / values.length);
    return [center - half, center + half];
  }
  const minus = (some, others) => some.map((value, k) => value - others[k]);
  const percent = share => `${+(100 * share).toPrecision(2)}%`;

  const order = {
    parse(text) {
      const found = text.split(" ");
      return `${[...found].sort()}` === `${[...METHODS].sort()}` ? found : undefined;
    },
    write: list => list.join(" "),
    rule: `the methods ${METHODS.join(", ")} in some order`,
  };

  function build(view) {
    const accuracies = (state, method) => sweeps[state.data].accuracy[method]; // of each seed at each level
    const column = (state, method, level) => accuracies(state, method).map(seed => seed[level]);
    const means = (state, method) => densities(state).map((_, level) => mean(column(state, method, level)));
    const densities = ({ data }) => sweeps[data].density;
    const levelOf = state => Math.max(0, densities(state).length - 1 - state.left);
    // What was drawn for these levels, or else that pruning costs nothing.
    function curveOf(state) {
      const dense = mean(column(state, state.method, 0));
      const drawn = state.curve.length === densities(state).length;
      return densities(state).map((_, level) => (drawn ? state.curve[level] / 100 : dense));
    }

    view.choice({ key: "task", label: "Guess", options: { curve: "a curve", order: "the order of six" } });
    view.choice({ key: "data", label: "Data", options: Object.keys(sweeps) });
    view.select({
      key: "method", label: "Draw", options: labels, changes: { curve: [], shown: false },
      when: ({ task }) => task === "curve",
    });
    const left = view.slider({
      key: "left", label: "Weights left", min: 0, max: LEVELS, when: ({ task }) => task === "order",
      format: () => percent(densities(view.state)[levelOf(view.state)]),
    });
    view.switch({ key: "shown", label: "Show the ten seeds" });
    view.choice({ key: "compare", label: "as", options: names, when: ({ shown }) => shown });

    const paired = ({ shown, compare }) => shown && compare === "paired";

    // A curve: a slider for the keyboard, a sheet for the pointer.
    const drawing = view.canvas("Test accuracy level by level");
    const [marks, pen] = [svg("g"), svg("g", {
      tabindex: 0, role: "slider", "aria-valuemin": 0, "aria-valuemax": 100,
      "aria-label": "Your curve. Left and right choose a level, up and down move the curve there",
    })];
    drawing.append(marks, pen);
    let pointAt = () => null; // the level and the accuracy at a pixel
    let active = 0; // the level that keys move
    let last = null; // where the pointer was

    function put(points) {
      const curve = curveOf(view.state).map(share => 100 * share);
      for (const [level, share] of points) curve[active = level] = 100 * clamp(share, 0, 1);
      view.set({ curve: curve.map(value => play.round(value, 1)) });
    }
    function draw(event) {
      const [level, share] = pointAt(...play.offset(drawing, event));
      const [from, start] = last || [level, share];
      const steps = Math.abs(level - from); // a quick hand passes over some levels
      put(range(0, steps + 1).map(k => [
        from + Math.sign(level - from) * k, steps ? start + ((share - start) * k) / steps : share,
      ]));
      last = [level, share];
    }
    const lift = () => (last = null);
    update(drawing, {
      role: "group", style: "touch-action: none; cursor: crosshair", pointerup: lift, pointercancel: lift,
      pointerdown(event) {
        if (paired(view.state)) return; // there the stretched axis would be in the way
        drawing.setPointerCapture(event.pointerId);
        draw(event);
      },
      pointermove: event => last && draw(event),
    });
    const far = { Home: [-LEVELS, 0], End: [LEVELS, 0], PageUp: [0, -5], PageDown: [0, 5] };
    update(pen, { keydown(event) {
      const step = play.ARROWS[event.key] || far[event.key];
      if (!step) return;
      event.preventDefault();
      const shares = curveOf(view.state);
      const level = clamp(active + step[0], 0, shares.length - 1);
      put([[level, shares[level] - 0.02 * step[1]]]);
    } });

    function drawCurve(state) {
      const { method, shown } = state;
      const density = densities(state);
      const end = density.length - 1;
      active = Math.min(active, end);
      const differ = paired(state);
      const shares = curveOf(state);
      const measured = means(state, method);
      const first = { seeds: accuracies(state, "topological"), mean: means(state, "topological") };
      const seeds = accuracies(state, method).map((seed, k) => (differ ? minus(first.seeds[k], seed) : seed));
      const guess = differ ? minus(first.mean, shares) : shares;
      const { to, span, ticks } = scaleOf(differ, guess.concat(...seeds));

      const [x, y, width, height] = [40, 26, view.width - 56, 230];
      drawing.fit(view.width, 300);
      const axes = play.axes(drawing, {
        left: x, top: y, width, height, x: [0, end], y: span, yticks: [],
        xlabel: "weights left", ylabel: names[differ ? "paired" : "absolute"],
        xticks: [0, 5, 10, 15, 20].filter(level => level < end - 2).concat(end),
        format: level => percent(density[level]),
      });
      pointAt = (across, down) =>
        [Math.round(clamp((across - x) / width, 0, 1) * end), 1 - (down - y) / height];
      const path = (values, ink, thick, more = {}) =>
        play.path(ink, thick, { d: axes.path(values.map((value, level) => [level, to(value)])), ...more });
      marks.replaceChildren(...ticks.flatMap(tick => {
        const up = axes.y(to(tick));
        return [
          label(tick, x - 8, up + 4, "end"),
          play.path(tick ? "pruned" : "ink", 1, { d: `M${x} ${up}h${width}` }),
        ];
      }));
      for (const known of differ ? [] : SEEN.filter(known => known !== method)) {
        const values = means(state, known);
        marks.append(path(values, known, 2), label(labels[known], x + width - 4, axes.y(values[end]) + 17, "end"));
      }
      if (shown) {
        const center = density.map((_, level) => mean(seeds.map(seed => seed[level])));
        marks.append(...seeds.map(seed => path(seed, method, 1, { opacity: 0.4 })), path(center, method, 4));
      }
      pen.replaceChildren(
        path(guess, "ink", 2, { "stroke-dasharray": "6 4" }),
        ...guess.map((value, level) => {
          const [r, ink] = level === active ? [7, "paper"] : [4, "ink"];
          return dot(axes.x(level), axes.y(to(value)), r, ink, { stroke: color("ink") });
        }),
      );
      const here = `your line is at ${shares[active].toFixed(2)} at ${percent(density[active])} of the weights`;
      update(pen, { "aria-valuenow": Math.round(100 * shares[active]), "aria-valuetext": here });
      const what = `Drag the dashed line to where you expect “${labels[method]}”, then show the seeds`;
      if (!shown) return `${what}. So far, ${here}.`;
      const off = shares.map((share, level) => Math.abs(share - measured[level]));
      const worst = off.indexOf(Math.max(...off));
      const where = `at ${percent(density[worst])} of the weights`;
      return (
        `Your curve is off by ${mean(off).toFixed(3)} on average. It is off most ${where}: you drew ` +
        `${shares[worst].toFixed(2)}, and the mean of ten seeds is ${measured[worst].toFixed(2)}.`
      );
    }

    // The order: a row for each place, with buttons that exchange it with its neighbour.
    const list = html("div");
    const rows = METHODS.map((_, place) => {
      function move(by) {
        const next = [...view.state.order];
        [next[place], next[place + by]] = [next[place + by], next[place]];
        view.set({ order: next });
        const [up, down] = rows[place + by].buttons; // the focus goes with what moves
        (up.disabled || (by > 0 && !down.disabled) ? down : up).focus();
      }
      const buttons = [-1, 1].map(by => {
        const disabled = !(place + by in METHODS);
        return play.button(by < 0 ? "↑" : "↓", () => move(by), { disabled });
      });
      const strip = svg("svg", { role: "img", "aria-label": "a method", height: ROW });
      list.append(html("div", {}, ...buttons, strip));
      return { buttons, strip };
    });
    const ruler = svg("svg", { height: 40, "aria-hidden": "true" });
    list.append(ruler);
    view.stage.append(list);

    function drawOrder(state) {
      const { shown } = state;
      const differ = paired(state);
      const level = levelOf(state);
      const first = column(state, "topological", level);
      const own = Object.fromEntries(METHODS.map(method => [method, column(state, method, level)]));
      const seen = method => (differ ? minus(first, own[method]) : own[method]);
      const { to, span, ticks } = scaleOf(differ, METHODS.flatMap(seen));
      const best = [...METHODS].sort((a, b) => mean(own[b]) - mean(own[a]));

      const width = view.width - 76;
      update(ruler, { width });
      ruler.style.visibility = shown ? "" : "hidden";
      const axes = play.axes(ruler, {
        left: 10, top: 0, width: width - 24, height: 1, x: span, yticks: [], xticks: ticks.map(to),
        format: value => ticks.find(tick => to(tick) === value), xlabel: names[differ ? "paired" : "absolute"],
      });
      const across = value => axes.x(to(value));
      state.order.forEach((method, k) => {
        const { strip, buttons } = rows[k];
        const measured = shown ? ` (${best.indexOf(method) + 1})` : "";
        const text = `${k + 1}. ${labels[method]}${measured}`;
        update(strip, { width, "aria-label": text });
        for (const [down, button] of buttons.entries()) {
          update(button, { "aria-label": `${labels[method]}, ${down ? "down" : "up"}` });
        }
        const style = `${fill(method)}; ${stroke(method)}`;
        const mark = (value, r, opacity) => dot(across(value), 30, r, method, { style, opacity });
        strip.replaceChildren(label(text, 6, 15));
        if (!shown) return;
        const [x1, x2] = interval(seen(method)).map(across);
        strip.append(
          svg("line", { x1: across(0), x2: across(0), y1: 20, y2: ROW, stroke: color("ink") }),
          ...seen(method).map(value => mark(value, 3, 0.4)),
          svg("line", { x1, x2, y1: 30, y2: 30, style, "stroke-width": 2 }),
          mark(mean(seen(method)), 5, 1),
        );
      });
      const where = `At ${percent(densities(state)[level])} of the weights`;
      if (!shown) return `${where}: put the most accurate method first, then show the seeds.`;
      const pairs = state.order.flatMap((above, k) => state.order.slice(k + 1).map(below => [above, below]));
      const wrong = pairs.filter(([above, below]) => best.indexOf(above) > best.indexOf(below));
      return (
        `${where}, ${wrong.length} of ${pairs.length} pairs of methods are the other way round in your order. ` +
        `The most accurate is ${labels[best[0]]}. In brackets are the measured places.`
      );
    }

    return function redraw(state) {
      left.max = densities(state).length - 1;
      const curve = state.task === "curve";
      show(drawing, curve);
      show(list, !curve);
      view.say(curve ? drawCurve(state) : drawOrder(state));
    };
  }

  play.register("guess", {
    title: "Draw it first",
    state: () => ({
      task: { value: "curve", read: play.oneOf(["curve", "order"]) },
      data: { value: Object.keys(sweeps)[0], read: play.oneOf(Object.keys(sweeps)) },
      method: { value: "budget", read: play.oneOf(METHODS) },
      curve: { value: [], read: play.numbers(0, 100, LEVELS) }, // in percent, level by level; empty until drawn
      order: { value: METHODS, read: order },
      shown: { value: false, read: play.flag() },
      compare: { value: "absolute", read: play.oneOf(Object.keys(names)) },
      left: { value: 0, read: play.whole(0, LEVELS) }, // levels before the last
    }),
    build,
  });
})(zimpPlay);
