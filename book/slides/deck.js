// Starts a deck once its mathematics is typeset, so that slides, speaker's notes and paper all have it.
window.MathJax = {
  svg: { fontCache: "local" },  // each formula brings its letters along: the speaker view is a window of its own
  options: { enableMenu: false },
  startup: {
    pageReady: () => MathJax.startup.defaultPageReady().then(() => {
      // The speaker view has no style that would hide what is for screen readers.
      document.querySelectorAll(".notes mjx-assistive-mml").forEach(element => element.remove());
      return Reveal.initialize({
        width: 1280, height: 720, margin: 0.02, center: false, hash: true, slideNumber: "c/t", transition: "none",
        pdfSeparateFragments: false, plugins: [RevealNotes],
      });
    }),
  },
};
