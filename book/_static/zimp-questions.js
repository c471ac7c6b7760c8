// Questions that answer, and what has been read. Both are kept in this browser, and nowhere else.

(function () {
  const KEY = "zimp-kept";

  // What is kept: by page, { read: true, answers: { question: choice } }. Where the browser refuses to keep anything,
  // it lasts as long as the page.
  let memory = {};

  function kept() {
    try {
      memory = JSON.parse(localStorage.getItem(KEY));
    } catch {
      // Refused, or not written by us.
    }
    if (!memory || typeof memory !== "object") memory = {};
    return memory;
  }

  function change(edit) {
    const all = kept();
    edit(all);
    memory = all;
    try {
      if (Object.keys(all).length) localStorage.setItem(KEY, JSON.stringify(all));
      else localStorage.removeItem(KEY);
    } catch {
      // Refused, or full.
    }
    showState();
    showRead();
  }

  const pageOf = address => new URL(address, location.href).pathname.split("/").pop().replace(/\.html$/, "");
  const here = pageOf(location.href);
  const answersOf = page => Object.assign({}, kept()[page] && kept()[page].answers);
  const isRead = page => Boolean(kept()[page] && kept()[page].read);

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  function button(words, press) {
    const made = element("button", { type: "button" }, words);
    made.addEventListener("click", press);
    return made;
  }

  // A question's list of choices becomes radio buttons, and of its folded answers the chosen one is said. The folded
  // ones stay, hidden on the screen, since paper has them.
  class Question {
    constructor(box) {
      const [words, choices] = box.children;
      this.id = box.id;
      this.box = box;
      this.choices = [...choices.querySelectorAll("li")];
      this.answers = [...box.querySelectorAll(".zimp-answers li")];
      this.radios = this.choices.map(choice => {
        const radio = element("input", { type: "radio", name: box.id });
        const [line] = choice.children;
        line.replaceWith(element("label", {}, radio, element("span", {}, ...line.childNodes)));
        return radio;
      });
      this.said = element("div", { class: "zimp-said", role: "status", "aria-live": "polite" });
      this.bar = element("div", { class: "zimp-bar" }, element("button", { type: "submit" }, "Check"));
      const legend = element("legend", {}, ...words.childNodes);
      const form = element("form", {}, element("fieldset", {}, legend, choices), this.bar, this.said);
      form.addEventListener("submit", event => {
        event.preventDefault();
        this.check();
      });
      words.replaceWith(form);
      box.classList.add("zimp-alive");
      this.show(answersOf(here)[this.id]);
    }

    check() {
      const chosen = this.radios.findIndex(radio => radio.checked);
      if (chosen < 0) {
        this.said.replaceChildren("Choose an answer first.");
        return;
      }
      this.show(chosen);
      change(all => {
        const page = (all[here] = Object.assign({}, all[here], { answers: answersOf(here) }));
        page.answers[this.id] = chosen;
        if (questions.every(({ id }) => id in page.answers)) page.read = true;
      });
    }

    // Shows what is said to a choice, or a question that has not been answered.
    show(chosen) {
      this.answer = this.answers[chosen];
      const right = Boolean(this.answer) && this.answer.classList.contains("zimp-right");
      this.state = right ? "right" : this.answer ? "not yet right" : "not answered";
      this.radios.forEach((radio, k) => (radio.checked = k === chosen));
      this.choices.forEach((choice, k) => choice.classList.toggle("zimp-right", right && k === chosen));
      this.say();
    }

    say() {
      this.said.replaceChildren(...(this.answer ? this.answer.cloneNode(true).childNodes : []));
    }

    focus() {
      (this.radios.find(radio => radio.checked) || this.radios[0]).focus();
    }
  }

  // One question is shown at a time, with the numbers of all; below the answer stands what is kept.
  let questions = [];
  let numbers = [];
  const steps = element("div", { class: "zimp-steps", role: "group", "aria-label": "Questions" });
  const note = element("div", { class: "zimp-kept" });

  function turnTo(shown) {
    questions.forEach((question, k) => {
      question.box.hidden = k !== shown;
      if (k === shown) numbers[k].setAttribute("aria-current", "true");
      else numbers[k].removeAttribute("aria-current");
    });
    questions[shown].bar.append(steps);
    questions[shown].box.append(note);
  }

  function turnToLinked() {
    const linked = questions.findIndex(({ id }) => `#${id}` === location.hash);
    if (linked < 0) return;
    turnTo(linked);
    questions[linked].box.scrollIntoView();
  }

  function makeQuestions() {
    questions = [...document.querySelectorAll(".zimp-question")].map(box => new Question(box));
    if (!questions.length) return;
    numbers = questions.map((question, k) =>
      button(String(k + 1), () => {
        turnTo(k);
        question.focus();
      })
    );
    steps.append(element("span", {}, "Question"), ...numbers);
    turnTo(Math.max(0, questions.findIndex(({ state }) => state !== "right")));
    turnToLinked();
    window.addEventListener("hashchange", turnToLinked);
    // What was copied from the folded answers before MathJax had typeset them is copied again. (It must not typeset
    // copies itself: it takes the hidden MathML of a typeset formula for another formula.)
    const { startup } = window.MathJax || {};
    if (startup && startup.promise) startup.promise.then(() => questions.forEach(question => question.say()));
  }

  function showState() {
    questions.forEach(({ state }, k) => {
      numbers[k].setAttribute("aria-label", `${k + 1}, ${state}`);
      numbers[k].dataset.state = state;
    });
    note.replaceChildren();
    if (questions.every(({ state }) => state === "not answered")) return;
    note.append("Your answers are kept in this browser only. ", button("Forget them", forgetThisPage));
  }

  function forgetThisPage() {
    questions.forEach(question => question.show());
    change(all => delete all[here]);
    turnTo(0);
    questions[0].focus();
  }

  // A page is read when its end has been seen or its questions are answered. Read pages are marked in the list of all,
  // and the welcome page counts those of its first part.
  const progress = element("p", { class: "zimp-progress" });

  function showRead() {
    for (const mark of document.querySelectorAll(".zimp-read")) mark.remove();
    for (const link of document.querySelectorAll(".bd-links a.internal")) {
      if (isRead(pageOf(link.href))) {
        link.append(element("span", { class: "zimp-read", role: "img", "aria-label": ", read" }, "\u00a0✓"));
      }
    }
    const start = document.querySelector(".zimp-buttons");
    const [path] = document.querySelectorAll(".bd-links ul");
    if (!start || !path) return;
    const pages = Object.keys(kept());
    const links = [...path.querySelectorAll("a.internal")];
    const left = links.filter(link => !isRead(pageOf(link.href)));
    const answers = pages.flatMap(page => Object.keys(answersOf(page))).length;
    progress.replaceChildren(
      `You have read ${links.length - left.length} of the ${links.length} pages of the short path`,
      answers ? ` and answered ${answers} question${answers > 1 ? "s" : ""}` : "",
      ". This is kept in this browser only. ",
      button("Forget", () => change(all => pages.forEach(page => delete all[page]))),
      ...(left.length ? [element("br"), "Next: ", element("a", { href: left[0].href }, left[0].firstChild.data)] : [])
    );
    if (pages.length) start.after(progress);
    else progress.remove();
  }

  function watchTheEnd() {
    const end = document.querySelector("#take-away > :last-child");
    if (!end) return;
    new IntersectionObserver(([{ isIntersecting }]) => {
      if (!isIntersecting || isRead(here)) return;
      change(all => (all[here] = Object.assign({}, all[here], { read: true })));
    }).observe(end);
  }

  document.addEventListener("DOMContentLoaded", () => {
    makeQuestions();
    showState();
    showRead();
    watchTheEnd();
  });
})();
