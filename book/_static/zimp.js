// Small repairs of what the pages are built with.

// The widget library typesets labels by MathJax 2's Hub.Queue; MathJax 3 has no such thing.
(function () {
  const hub = { Queue: ([, , element]) => window.MathJax.typesetPromise && window.MathJax.typesetPromise([element]) };
  if (window.MathJax && window.MathJax.startup && window.MathJax.startup.defaultReady) {
    window.MathJax.Hub = hub;
  } else {
    const startup = Object.assign({}, window.MathJax && window.MathJax.startup, {
      ready() {
        window.MathJax.Hub = hub;
        window.MathJax.startup.defaultReady();
      },
    });
    window.MathJax = Object.assign({}, window.MathJax, { startup, Hub: hub });
  }
})();

// An explorer's still picture gives way once the explorer has been drawn. Without JavaScript, or where the widget
// library cannot be loaded, it stays. A drawn slider gets what the library leaves out: a name and, for a value, the
// words of its readout instead of a place in a list. The readout is no field to type in: nothing listens to it.
new MutationObserver(() => {
  for (const still of document.querySelectorAll(".zimp-still:not(.zimp-replaced)")) {
    const cell = still.closest(".cell_output");
    if (cell && cell.querySelector(".zimp-explorer .zimp-figure")) still.classList.add("zimp-replaced");
  }
  for (const handle of document.querySelectorAll(".zimp-explorer [role=slider]")) {
    const slider = handle.closest(".widget-slider");
    const label = slider.querySelector(".widget-label");
    const readout = slider.querySelector(".widget-readout");
    label.removeAttribute("title"); // "null"
    readout.contentEditable = false;
    handle.setAttribute("aria-label", label.textContent);
    if (handle.getAttribute("aria-valuetext") !== readout.textContent) {
      handle.setAttribute("aria-valuetext", readout.textContent);
    }
  }
}).observe(document.documentElement, { childList: true, subtree: true, attributeFilter: ["aria-valuetext"] });

// Where MathJax did not come, the page says why it shows source. At "load" every script has run or failed, however
// long that took; MathJax has a version once it has run.
window.addEventListener("load", () => {
  if (window.MathJax.version || !document.querySelector("article .math")) return;
  const note = document.createElement("p");
  note.className = "zimp-note";
  note.setAttribute("role", "note");
  note.textContent =
    "Mathematics on this page is shown in its source form, because the typesetting library on its CDN could not be " +
    "reached.";
  document.querySelector("article").prepend(note);
});

// Paper is white: a page in the dark mode is printed in the light one.
window.matchMedia("print").addEventListener("change", ({ matches }) => {
  const page = document.documentElement.dataset;
  if (matches) page.screenTheme = page.theme;
  page.theme = matches ? "light" : page.screenTheme;
});
