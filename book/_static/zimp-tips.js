// Tips: while the mouse rests on a link, or the keyboard is at it, what it leads to is shown beside it. The build has
// written the words into the page (_ext/tips.py). A tip is out of the way of its link and of touch; it stays while the
// mouse is on it, and Escape closes it.
(function () {
  const words = new Map();
  const tip = document.createElement("div");
  tip.id = "zimp-tip";
  tip.setAttribute("role", "tooltip");
  tip.hidden = true;
  let link = null; // whose tip is shown
  let timer;

  function hide() {
    clearTimeout(timer);
    if (link) link.removeAttribute("aria-describedby");
    link = null;
    tip.hidden = true;
    tip.replaceChildren();
  }

  // Below the link, or above it where more room is; never over it.
  function place() {
    if (!link) return;
    const edge = 8;
    const { left, top, bottom } = link.getBoundingClientRect();
    const below = window.innerHeight - bottom;
    tip.style.maxHeight = `${Math.max(below, top) - 2 * edge}px`;
    const { width, height } = tip.getBoundingClientRect();
    const y = height + 2 * edge <= below || below >= top ? bottom + edge : top - edge - height;
    const x = Math.max(edge, Math.min(left, document.documentElement.clientWidth - width - edge));
    tip.style.left = `${x + window.scrollX}px`;
    tip.style.top = `${y + window.scrollY}px`;
  }

  function show(other) {
    if (other === link) return clearTimeout(timer);
    hide();
    link = other;
    tip.append(words.get(link.getAttribute("href")).content.cloneNode(true));
    tip.hidden = false;
    link.setAttribute("aria-describedby", tip.id);
    place();
    if (window.MathJax && window.MathJax.typesetPromise) window.MathJax.typesetPromise([tip]).then(place);
  }

  const linked = target => {
    const found = target.closest("article a.internal");
    return found && words.has(found.getAttribute("href")) ? found : null;
  };

  document.addEventListener("DOMContentLoaded", () => {
    for (const template of document.querySelectorAll("template[data-href]")) {
      words.set(template.dataset.href, template);
    }
    for (const other of document.querySelectorAll("article a.internal[title]")) {
      if (linked(other)) other.removeAttribute("title"); // the browser's own tip
    }
    document.body.append(tip);

    document.addEventListener("pointerover", ({ target, pointerType }) => {
      if (pointerType !== "mouse") return;
      clearTimeout(timer);
      const other = linked(target);
      if (other && other !== link) timer = setTimeout(show, 200, other);
      else if (!other && link && !tip.contains(target)) timer = setTimeout(hide, 300);
    });
    document.addEventListener("focusin", ({ target }) => {
      const other = linked(target);
      if (other && other.matches(":focus-visible")) show(other);
    });
    document.addEventListener("focusout", hide);
    document.addEventListener("keydown", ({ key }) => key === "Escape" && hide());
    document.addEventListener("click", ({ target }) => tip.contains(target) || hide());
  });
})();
