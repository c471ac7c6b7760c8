// Two small repairs of what the pages are built with.

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
// library cannot be loaded, it stays.
new MutationObserver(() => {
  for (const still of document.querySelectorAll(".zimp-still:not(.zimp-replaced)")) {
    const cell = still.closest(".cell_output");
    if (cell && cell.querySelector(".zimp-explorer img")) still.classList.add("zimp-replaced");
  }
}).observe(document.documentElement, { childList: true, subtree: true });
