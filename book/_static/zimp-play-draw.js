// The frame around every live view: its state and address, its controls, what it draws with, and the worker.
//
// `zimpPlay.register("drag", { title, state, build })` shows a view in each `<div class="zimp-live"
// data-zimp-view="drag">`. `state(settings)` says what it can be set to; `build(view)` makes its elements and returns
// the function that draws a state. What comes from a reader, a file or an address is only ever set as text.

zimpPlay.data = zimpPlay.data || {};

(function (play) {
  "use strict";

  // What a part of the state may be: `parse` gives the value of a text or undefined, `write` is its inverse, and `rule`
  // says in words what is allowed.
  const from = (pattern, words) => (low, high) => ({
    parse: text => (pattern.test(text) && +text >= low && +text <= high ? +text : undefined),
    write: String,
    rule: `a ${words} from ${low} to ${high}`,
  });
  const whole = from(/^-?\d{1,9}$/, "whole number");
  const number = from(play.NUMBER, "number");
  const oneOf = values => ({
    parse: text => (values.includes(text) ? text : undefined),
    write: String,
    rule: `one of ${values.join(", ")}`,
  });
  const flag = () => ({
    parse: text => (["yes", "no"].includes(text) ? text === "yes" : undefined),
    write: on => (on ? "yes" : "no"),
    rule: "yes or no",
  });
  const numbers = (low, high, longest, kind = number) => ({ // a list, separated by spaces
    parse(value) {
      const parts = value === "" ? [] : value.split(" ").map(kind(low, high).parse);
      return parts.length <= longest && !parts.includes(undefined) ? parts : undefined;
    },
    write: list => list.join(" "),
    rule: `at most ${longest} numbers from ${low} to ${high}`,
  });

  // Elements. Attributes that are functions listen; text is set as text.
  function element(made, attributes, children) {
    update(made, attributes);
    made.append(...children);
    return made;
  }
  function update(changed, attributes) {
    for (const [name, value] of Object.entries(attributes)) {
      if (typeof value === "function") changed.addEventListener(name, value);
      else if (typeof value === "boolean" && name.startsWith("aria-")) changed.setAttribute(name, value); // as words
      else if (value === null || value === false) changed.removeAttribute(name);
      else if (name === "text") changed.textContent = value;
      else if (changed.getAttribute(name) !== String(value)) changed.setAttribute(name, value === true ? "" : value);
    }
    return changed;
  }
  const html = (tag, attributes = {}, ...children) => element(document.createElement(tag), attributes, children);
  const svg = (tag, attributes = {}, ...children) =>
    element(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
  const color = name => `var(--zimp-${name})`;
  const fill = name => `fill: ${color(name)}`;
  const stroke = name => `stroke: ${color(name)}`;
  const label = (text, x, y, anchor = "start", more = {}) =>
    svg("text", { x, y, text, "text-anchor": anchor, ...more });
  const path = (ink, thick, more = {}) =>
    svg("path", { fill: "none", style: stroke(ink), "stroke-width": thick, ...more });
  const dot = (cx, cy, r, ink, more = {}) => svg("circle", { cx, cy, r, style: fill(ink), ...more });
  const square = (x, y, width, height = width) =>
    `M${round(x)} ${round(y)}h${round(width)}v${round(height)}h${round(-width)}z`;
  const button = (words, click, more = {}) => html("button", { type: "button", click, ...more }, words);
  const show = (shown, on) => update(shown, { hidden: !on });
  const control = (kind, words, ...controls) =>
    html("label", { class: `zimp-live-${kind}` }, html("span", {}, words), ...controls);
  function offset(drawing, event) { // where the pointer is in a drawing
    const { left, top } = drawing.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  }
  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  // Numbers and words.
  const round = (value, digits = 2) => +value.toFixed(digits);
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

  // Neurons are numbered as in play.pieces, outputs first.
  const neuronName = (vertex, m) =>
    (vertex < m ? `y${vertex}` : `x${vertex - m}`).replace(/\d/g, digit => "₀₁₂₃₄₅₆₇₈₉"[digit]);
  const edgeName = ({ m, n }, edge) => play.ends(edge, m, n).reverse().map(end => neuronName(end, m)).join("–");
  const named = options => (Array.isArray(options) ? options.map(value => [value, value]) : Object.entries(options));

  // Axes in a box of an SVG, in place of older ones. What comes back turns numbers into pixels.
  function axes(parent, given) {
    const { left, top, width, height, x = [0, 1], y = [0, 1], xlabel = "", ylabel = "" } = given;
    const { xticks = ticks(...x), yticks = ticks(...y), format = String, xformat = format, yformat = format } = given;
    let group = parent.querySelector(":scope > .zimp-axes");
    if (group) group.replaceChildren();
    else parent.prepend((group = svg("g", { class: "zimp-axes", "aria-hidden": "true" })));
    const across = value => round(left + ((value - x[0]) / (x[1] - x[0])) * width);
    const up = value => round(top + height - ((value - y[0]) / (y[1] - y[0])) * height);
    const line = (x1, y1, x2, y2) => group.append(svg("line", { x1, y1, x2, y2, stroke: color("ink") }));
    const write = (...words) => group.append(label(...words));
    line(left, top, left, top + height);
    line(left, top + height, left + width, top + height);
    for (const tick of xticks) {
      line(across(tick), top + height, across(tick), top + height + 4);
      write(xformat(tick), across(tick), top + height + 17, "middle");
    }
    for (const tick of yticks) {
      line(left - 4, up(tick), left, up(tick));
      write(yformat(tick), left - 7, up(tick) + 4, "end");
    }
    write(xlabel, left + width / 2, top + height + 34, "middle");
    write(ylabel, left, top - 8);
    return { x: across, y: up, path: points => "M" + points.map(([a, b]) => `${across(a)} ${up(b)}`).join("L") };
  }
  function ticks(low, high) {  // about five round numbers
    const raw = (high - low) / 5;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = power * [1, 2, 5, 10].find(factor => factor * power >= raw * 0.999);
    const found = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) found.push(round(k * step, 9));
    return found;
  }

  // A layer as a graph in a box: inputs x on the left, outputs y on the right. `edge` and `neuron` change the drawing.
  function graph(parent, { m, n, left, top, width, height, names = true, r = 6 }) {
    const [behind, front, neurons] = ["edges", "edges", "neurons"].map(name => svg("g", { class: `zimp-${name}` }));
    const group = svg("g", { class: "zimp-graph" }, behind, front, neurons);
    parent.append(group);
    const vertices = play.range(0, m + n).map(vertex => {
      const [out, k, size] = vertex < m ? [1, vertex, m] : [-1, vertex - m, n];
      const circle = svg("circle", { r, stroke: color("ink"), "stroke-width": 1.5, fill: color("paper") });
      const drawn = svg("g", {}, circle);
      if (names) drawn.append(label(neuronName(vertex, m), 11 * out, 4, out > 0 ? "start" : "end"));
      neurons.append(drawn);
      const x = out > 0 ? left + width : left;
      return { x, y: top + (size === 1 ? height / 2 : (k / (size - 1)) * height), home: x, out, drawn, circle };
    });
    const lines = new Map();
    const place = ({ x, y, drawn }) => update(drawn, { transform: `translate(${round(x)} ${round(y)})` });
    const endsOf = edge => play.ends(edge, m, n).map(vertex => vertices[vertex]);
    const lay = (line, edge) => {
      const [to, from] = endsOf(edge);
      update(line, { x1: round(from.x), y1: round(from.y), x2: round(to.x), y2: round(to.y) });
    };
    vertices.forEach(place);
    return {
      endsOf,
      // An edge's `ink` (null: it is not there), `width` in pixels, `dashed`, and whether it is drawn in `front`.
      edge(edge, { ink, width = 2, dashed = false, ahead = false }) {
        if (!lines.has(edge)) lines.set(edge, svg("line", { "stroke-linecap": "round" }));
        const line = lines.get(edge);
        if (ink === null) return line.remove();
        update(line, { style: stroke(ink), "stroke-width": round(width), "stroke-dasharray": dashed && "2 4" });
        const home = ahead ? front : behind;
        if (line.parentNode !== home) home.append(line);
        lay(line, edge);
        return line;
      },
      // A neuron `aside` by some pixels, away from the middle, and filled with an `ink`.
      neuron(vertex, { aside = 0, ink }) {
        const found = vertices[vertex];
        found.x = found.home + found.out * aside;
        update(found.circle, { style: fill(ink) });
        place(found);
        lines.forEach((line, edge) => play.ends(edge, m, n).includes(vertex) && lay(line, edge));
      },
    };
  }

  // A job is a generator: it yields its progress and returns its result. It runs in a worker made from the text of the
  // parts, so that a page from disk has one too; where none may be made, in slices on the page.
  function drive(play, post) {
    let job, paused, stepping;
    async function go() {
      stepping = true;
      try {
        while (!paused) {
          const { value, done } = await job.next();
          post(done ? { result: value } : { progress: value });
          if (done) return;
          await new Promise(resolve => setTimeout(resolve));  // messages come in between
        }
      } catch (error) {
        post({ error: error.message });
      } finally {
        stepping = false;
      }
    }
    return message => {
      if (message.job) job = play.jobs[message.job](message.arguments);
      paused = message.paused;
      if (job && !paused && !stepping) go();
    };
  }
  function work(job, given, progress = () => {}) {
    let send, end, fail;
    const promise = new Promise((resolve, reject) => ([end, fail] = [resolve, reject]));
    let over = false;
    const hear = message => {
      if (over) return;
      if ("progress" in message) return progress(message.progress);
      stop();
      if ("error" in message) fail(new Error(message.error));
      else end(message.result);
    };
    let worker = null;
    const stop = () => {
      over = true;
      if (worker) worker.terminate();
      else if (send) send({ paused: true });
    };
    try {
      const parts = Object.values(play.parts).map(part => `(${part})(zimpPlay);`).join("\n");
      const source = `const zimpPlay = { parts: {}, jobs: {} };\n${parts}\nonmessage = ` +
        `(handle => event => handle(event.data))((${drive})(zimpPlay, message => postMessage(message)));`;
      const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
      worker = new Worker(address);
      worker.onmessage = event => hear(event.data);
      worker.onerror = event => hear({ error: event.message });
      send = message => worker.postMessage(message);
    } catch {
      send = drive(play, hear);
    }
    send({ job, arguments: given, paused: false });
    return { promise, stop, pause: () => send({ paused: true }), resume: () => send({ paused: false }) };
  }

  // Only the book's pages have an address of their own to write to.
  const onPage = () => typeof DOCUMENTATION_OPTIONS === "object";

  // One shown view.
  class View {
    constructor(root, name, definition) {
      Object.assign(this, { root, name, work, data: play.data });
      this.settings = JSON.parse(root.dataset.settings || "{}");
      this.parts = definition.state(this.settings);
      this.start = Object.fromEntries(Object.entries(this.parts).map(([key, { value }]) => [key, value]));
      this.state = Object.assign(this.start, this.settings.state);
      this.reduced = matchMedia("(prefers-reduced-motion: reduce)").matches;
      this.stage = html("div", { class: "zimp-live-stage" });
      this.controls = html("div", { class: "zimp-live-controls" });
      this.sentence = html("p", { class: "zimp-live-sentence", "aria-live": "polite" });
      this.trouble = html("p", { class: "zimp-live-trouble", role: "alert" });
      this.link = html("span", { class: "zimp-live-link" });
      const ways = [button("Reset", () => this.reset())];
      if (onPage()) ways.push(button("Copy link to this setting", () => this.copy()));
      // JupyterLab takes the arrow keys for itself, except from elements that say so.
      const focusin = ({ target }) => update(target, { "data-lm-suppress-shortcuts": true });
      update(root, { role: "group", "aria-label": definition.title, focusin });
      root.append(
        html("p", { class: "zimp-live-title", "aria-hidden": "true" }, definition.title),
        this.controls, this.stage, this.sentence, this.trouble,
        html("div", { class: "zimp-live-foot" }, ...ways, this.link),
      );
      this.bound = [];  // how the controls follow the state
      this.width = this.stage.clientWidth || 640;
      this.show = definition.build(this);
      this.read(false);
      this.refresh(this.state);
      new ResizeObserver(() => {
        const { clientWidth } = this.stage;
        if (clientWidth === this.width || !clientWidth) return;
        this.width = clientWidth;
        this.refresh(this.state);
      }).observe(this.stage);
    }

    get wide() { // whether two drawings fit side by side
      return this.width >= 560;
    }

    // Change the state: the reader acted, and `sentence` says what happened.
    set(changes, sentence) {
      for (const [key, value] of Object.entries(changes)) {
        const { parse, write, rule } = this.parts[key].read;
        if (parse(write(value)) === undefined) return this.fail(`${key} is ${value}; it must be ${rule}.`);
      }
      this.trouble.textContent = this.link.textContent = "";
      this.state = { ...this.state, ...changes };
      if (sentence) this.say(sentence);
      this.changes = { ...this.changes, ...changes };
      if (!this.frame) {
        this.frame = requestAnimationFrame(() => {
          const happened = this.changes;
          this.frame = this.changes = null;
          this.refresh(happened);
          if (!onPage()) return;
          clearTimeout(this.writing); // a long address takes longer than a frame: it waits until changes rest
          if (this.root.dataset.state.length < 2000) address(this.address());
          else this.writing = setTimeout(() => address(this.address()), 200);
        });
      }
    }

    refresh(changed) {
      this.show(this.state, changed);
      for (const follow of this.bound) follow(this.state);
      this.root.dataset.state = JSON.stringify(this.state);
    }

    say(sentence) {
      this.sentence.textContent = sentence;
    }

    fail(sentence) {
      this.trouble.textContent = sentence;
    }

    reset() {
      if (this.clear) this.clear(); // what a view has besides its state
      this.set(this.start, "Everything is as at the start.");
    }

    // What differs from the start, as the end of an address such as #hero?k=13&rule=tree.
    address() {
      const parts = Object.entries(this.parts)
        .map(([key, { read }]) => [key, read.write(this.state[key]), read.write(this.start[key])])
        .filter(([, now, start]) => now !== start)
        .map(([key, now]) => `${key}=${encodeURIComponent(now).replace(/%20/g, "+")}`);
      return `#${this.name}${parts.length ? "?" : ""}${parts.join("&")}`;
    }

    // Take the state from the address, if it is of this view.
    read(draw = true) {
      const [name, ...rest] = onPage() ? location.hash.slice(1).split("?") : [];
      if (name !== this.name) return;
      const read = {};
      for (const [key, given] of new URLSearchParams(rest.join("?"))) {
        const known = Object.hasOwn(this.parts, key) && this.parts[key].read;
        const value = known ? known.parse(given) : undefined;
        if (value === undefined) {
          const shown = given.length > 40 ? `${given.slice(0, 40)}…` : given;
          const missing = `${key}, which this view does not have. Was the link cut off?`;
          const wrong = known ? `${key}=${shown}; it must be ${known.rule}.` : missing;
          return this.fail(`The address says ${wrong} Nothing was changed.`);
        }
        read[key] = value;
      }
      if (!draw) return void (this.state = { ...this.start, ...read });
      this.root.scrollIntoView();
      this.set({ ...this.start, ...read });
    }

    copy() {
      address(this.address());
      const link = location.href;
      const shown = () => {
        const field = html("input", { readonly: true, "aria-label": "Link to this setting", value: link });
        this.link.replaceChildren(field);
        field.select();
      };
      if (!navigator.clipboard) return shown();
      navigator.clipboard.writeText(link).then(() => (this.link.textContent = "Copied."), shown);
    }

    // Call frame(t) with t from 0 to 1, and then done(); at once, at the end, for readers who want no motion. It ends
    // the motion before, as `rest` does.
    animate(frame, milliseconds, done = () => {}) {
      this.rest();
      const begin = performance.now();
      const next = now => {
        this.motion = requestAnimationFrame(next);
        const t = this.reduced ? 1 : clamp((now - begin) / milliseconds, 0, 1);
        if (t === 1) this.rest();
        frame(t);
        if (t === 1) done();
      };
      next(begin);
    }

    rest() {
      cancelAnimationFrame(this.motion);
    }

    // An SVG, to `fit` at each drawing.
    canvas(label) {
      const drawing = svg("svg", { class: "zimp-live-canvas", role: "img", "aria-label": label });
      this.stage.append(drawing);
      drawing.fit = (width, height) => update(drawing, { width, height, viewBox: `0 0 ${width} ${height}` });
      return drawing;
    }

    // Controls. Each shows the state and changes it, together with what else `changes` says; `when` says in which
    // states it is seen. A slider's `place` and `read` turn a value into a place on it and back.
    add(control, when) {
      this.controls.append(control);
      if (when) this.bound.push(state => show(control, when(state)));
      return control;
    }

    change({ key, changes = {}, sentence = () => "" }, value) {
      const all = { [key]: value, ...changes };
      this.set(all, sentence({ ...this.state, ...all }));
    }

    slider(given) {
      const { key, label, min, max, step = 1, read = Number, place = Number, format = String, when } = given;
      const input = html("input", { type: "range", min, max, step });
      input.addEventListener("input", () => this.change(given, read(input.value)));
      const output = html("output");
      this.bound.push(state => {
        input.value = place(state[key]);
        output.textContent = format(state[key]);
        update(input, { "aria-valuetext": output.textContent });
      });
      this.add(control("slider", label, input, output), when);
      return input;
    }

    choice(given) {
      const { key, label, options, when } = given;
      const name = `zimp-${this.name}-${key}-${++made}`;
      const shown = named(options).map(([value, words]) => {
        const input = html("input", { type: "radio", name, value, change: () => this.change(given, value) });
        this.bound.push(state => (input.checked = value === String(state[key])));
        return html("label", {}, input, html("span", {}, words));
      });
      this.add(html("fieldset", { class: "zimp-live-choice" }, html("legend", {}, label), ...shown), when);
    }

    select(given) {
      const { key, label, options, when } = given;
      const input = html("select", { change: () => this.change(given, input.value) });
      input.append(...named(options).map(([value, words]) => html("option", { value }, words)));
      this.bound.push(state => (input.value = state[key]));
      this.add(control("field", label, input), when);
    }

    switch(given) {
      const { key, label, when } = given;
      const input = html("input", { type: "checkbox", change: () => this.change(given, input.checked) });
      this.bound.push(state => (input.checked = state[key]));
      return this.add(html("label", { class: "zimp-live-switch" }, input, html("span", {}, label)), when);
    }

    button({ label, press, when }) {
      return this.add(button(label, press), when);
    }

    // A field to type or paste into, and a button, or Enter, to take what is in it.
    field({ label, lines = 1, action = "Enter", enter, when }) {
      const input = html(lines > 1 ? "textarea" : "input", { spellcheck: "false", autocomplete: "off" });
      if (lines > 1) input.rows = lines;
      const take = () => enter(input.value);
      if (lines === 1) update(input, { keydown: event => event.key === "Enter" && take() });
      const both = [control("field", label, input), button(action, take)];
      this.add(html("div", { class: "zimp-live-field" }, ...both), when);
      return input;
    }
  }
  let made = 0;  // numbers the groups of radio buttons

  function address(hash) {
    try {
      history.replaceState(null, "", hash);
    } catch {
      // A page that is shown inside another may not change its address.
    }
  }

  // Say how a view works, and show it wherever it stands.
  function register(name, definition) {
    play.views[name] = definition;
    for (const root of document.querySelectorAll(`.zimp-live[data-zimp-view="${name}"]:not([data-state])`)) {
      const view = new View(root, name, definition);
      root.previousElementSibling?.classList.add("zimp-replaced");
      if (onPage() && location.hash.slice(1).split("?")[0] === name) root.scrollIntoView(); // now that it is shown
      window.addEventListener("hashchange", () => view.read());
    }
  }

  Object.assign(play, { whole, number, oneOf, flag, numbers });
  Object.assign(play, { html, svg, update, color, fill, stroke, label, path, dot, square, show, button, control });
  Object.assign(play, { offset, ARROWS, round, clamp, neuronName, edgeName, axes, ticks, graph, work, register });
})(zimpPlay);
