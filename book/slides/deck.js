// Starts a deck once its mathematics is typeset, so that slides, speaker's notes and paper all have it.
(function () {
  "use strict";

  // Statements and tables are the book's, and of any length: those that are longer than their slide become smaller.
  function fit(frame) {
    const boxes = [frame, ...frame.querySelectorAll(".table")];
    const fits = () => boxes.every(e => e.scrollHeight <= e.clientHeight && e.scrollWidth <= e.clientWidth);
    for (let share = 1; !fits() && share > 0.6; share -= 0.02) frame.style.setProperty("--fit", share);
  }

  function start() {
    // The speaker view has no style that would hide what is for screen readers.
    document.querySelectorAll(".notes mjx-assistive-mml").forEach(element => element.remove());
    document.body.classList.add("fitting"); // a slide that is not shown has no height
    document.querySelectorAll(".frame").forEach(fit);
    document.body.classList.remove("fitting");
    return Reveal.initialize({
      width: 1280, height: 720, margin: 0.02, center: false, hash: true, controls: false, slideNumber: "c/t",
      transition: "none", pdfSeparateFragments: false, plugins: [RevealNotes],
    });
  }

  window.MathJax = {
    svg: { fontCache: "local" }, // each formula brings its letters along: the speaker view is a window of its own
    options: { enableMenu: false },
    startup: { pageReady: () => MathJax.startup.defaultPageReady().then(start) },
  };
})();
