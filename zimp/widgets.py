"""What moves on a static page, in JupyterLab and in Binder, with no kernel behind it: explorers and live views.

An explorer is a row of pictures, one for each setting, drawn beforehand; the browser links a slider to the picture that
is shown, by stock ipywidgets. Where there is a kernel, it can draw settings between those. On Colab, which has no such
widgets, a few lines of script do it. A live view computes in the browser: its scripts come with it, from
``book/_static``.
"""

from __future__ import annotations

import html
import json
import math
import sys
from collections.abc import Mapping
from importlib import resources
from itertools import product
from numbers import Integral, Real
from pathlib import Path

import ipywidgets
from IPython.display import HTML, display
from matplotlib.figure import Figure

from .checks import as_list, as_mask, as_matrix, check_choice
from .plots import COLORS, DARK, bipartite, figure, show
from .topology import spanning_forest

__all__ = ["explorer", "play", "live"]

# What each live view loads besides the core, the frame and its own script.
PARTS = {
    "hero": [], "drag": ["layer"], "masks": ["layer"], "race": [], "coupons": [], "network": ["checkpoint"],
    "swaps": ["layer"], "run": ["train"], "guess": [],
}  # fmt: skip
# The largest layers that a view of one's own can show: weights of the layer.
OWN = {"drag": 4096, "masks": 10, "race": 144, "swaps": 4096}
# The sliders of an explorer without widgets. Where no script runs, its first picture is all there is.
SLIDE = """
for (const box of document.querySelectorAll(".zimp-slides:not([data-position])")) {
  const { sliders, pictures } = JSON.parse(box.querySelector("script").textContent);
  const shown = box.querySelector(".zimp-slide");
  const fields = sliders.map(([name, labels]) => {
    const field = document.createElement("label"), slider = document.createElement("input");
    const value = document.createElement("output");
    Object.assign(slider, { type: "range", min: 0, max: labels.length - 1, value: 0 });
    field.style.cssText = "display: flex; flex-wrap: wrap; gap: 0.5rem; max-width: 34em; align-items: center";
    slider.style.cssText = "flex: 1; min-height: 28px";
    field.append(name, slider, value);
    box.insertBefore(field, shown);
    return { labels, slider, value };
  });
  const show = () => {
    let position = 0;
    for (const { labels, slider, value } of fields) {
      position = position * labels.length + slider.valueAsNumber;
      value.value = labels[slider.value];
      slider.setAttribute("aria-valuetext", value.value);
    }
    shown.innerHTML = pictures[position];
    box.dataset.position = position;
  };
  box.addEventListener("input", show);
  show();
}
"""


def explorer(draw, alt, *, free=None, **settings):
    """Show one slider for each setting, and the picture for the current settings.

    With a kernel, in JupyterLab and in Binder, a setting that is ``free`` has a field too, which takes any number.

    Parameters
    ----------
    draw : function
        ``draw(**setting)`` returns the matplotlib figure of one setting.
    alt : function
        ``alt(**setting)`` returns the sentence that says what is to be seen in it, for readers who do not see it.
    free : dict of str to (low, high), optional
        Settings for which a kernel may draw any number from ``low`` to ``high``, or any whole number if both are whole.
        The book's pages, which have no kernel, do not show the fields.
    **settings : list
        The values of each slider, by name; an underscore in a name is shown as a space. All combinations are drawn. A
        free setting of a single value has its field only, no slider.

    Returns
    -------
    ipywidgets.VBox or IPython.display.HTML
        Displayed, the box is preceded by its first picture, hidden where the widget lives: what print and readers
        without JavaScript see. On Colab it is HTML with a script, which has no fields.

    Raises
    ------
    ValueError
        Without settings, for a setting without values, for a free setting that has no values or no range, and where
        ``draw`` returns no figure or ``alt`` no text.

    Examples
    --------
    >>> from zimp import plots, widgets
    >>> def draw(threshold):
    ...     fig, ax = plots.figure()
    ...     plots.bipartite([[0.9, 0.2], [0.1, 0.5]], threshold=threshold, ax=ax)
    ...     return fig
    >>> box = widgets.explorer(draw, lambda threshold: f"edges of at least {threshold}", threshold=[1.0, 0.5],
    ...                        free={"threshold": (0.0, 1.0)})
    """
    settings = {name: as_list(name, values) for name, values in settings.items()}
    for name, values in settings.items():
        if len(values) == 0:
            raise ValueError(f"{name} has no values; a slider needs at least one")
    if not settings:
        raise ValueError("explorer needs at least one setting, such as threshold=[1.0, 0.5]")

    free = _check_free({} if free is None else free, settings)

    frames = [_frame(draw, alt, dict(zip(settings, chosen))) for chosen in product(*settings.values())]
    if "google.colab" in sys.modules:  # it shows the widgets of ipywidgets 7, which has no Stack
        moved = {name: list(map(_label, values)) for name, values in settings.items() if len(values) > 1}
        return HTML(slides(moved, frames))
    sliders = {name: _slider(name, values) for name, values in settings.items()}
    pictures = [ipywidgets.HTML(frame) for frame in frames]
    for name, values in reversed(settings.items()):  # the last setting varies fastest: stack the pictures up from there
        pictures = [
            ipywidgets.Stack(pictures[start : start + len(values)], selected_index=0)
            for start in range(0, len(pictures), len(values))
        ]
        for stack in pictures:
            ipywidgets.jslink((sliders[name], "index"), (stack, "selected_index"))
    controls = [slider for name, slider in sliders.items() if name not in free or len(settings[name]) > 1]
    if free:
        fields, pictures = _fields(draw, alt, settings, free, sliders, *pictures)
        controls += fields
    return _Explorer([*controls, *pictures], fallback=frames[0])


def _fields(draw, alt, settings, free, sliders, stored):
    """A field for each free setting, and a stack of the stored pictures and of one that the kernel draws."""
    fields = {name: _field(name, settings[name][0], *limits) for name, limits in free.items()}
    computed = ipywidgets.HTML()
    both = ipywidgets.Stack([stored, computed], selected_index=0)

    def show_chosen(_):
        at_sliders = {name: values[sliders[name].index] for name, values in settings.items()}
        chosen = at_sliders | {name: field.value for name, field in fields.items()}
        if chosen == at_sliders:  # this picture is there
            both.selected_index = 0
            return
        computed.value, both.selected_index = "<p>The kernel is computing …</p>", 1
        try:
            computed.value = _frame(draw, alt, chosen)
        except Exception as error:  # raised here, it would be lost in the kernel's log
            computed.value = f"<p>{html.escape(f'{type(error).__name__}: {error}')}</p>"

    def follow_slider(name):
        def follow(_):
            value = settings[name][sliders[name].index]
            if name in fields and fields[name].value != value:
                fields[name].value = value  # which shows what is chosen
            else:
                show_chosen(_)

        return follow

    for name, slider in sliders.items():
        slider.observe(follow_slider(name), "index")
    for field in fields.values():
        field.observe(show_chosen, "value")
    return fields.values(), [both]


def _check_free(free, settings) -> dict:
    if not isinstance(free, Mapping):
        raise ValueError(f"free is a {type(free).__name__}; it must be a dict such as {{'rate': (0.1, 0.9)}}")
    for name, limits in free.items():
        if name not in settings:
            raise ValueError(f"free names {name!r}, which is no setting; give values for its slider, too")
        low, high = limits if isinstance(limits, (tuple, list)) and len(limits) == 2 else (None, None)
        for value in (low, high, *settings[name]):
            if not (isinstance(value, Real) and isinstance(low, Real) and -math.inf < low <= value <= high < math.inf):
                raise ValueError(
                    f"free[{name!r}] is {limits!r}; it must be the lowest and the highest number that the kernel may "
                    f"draw, such as (0.1, 0.9), and the values of {name} must lie between them"
                )
    return free


def _slider(name, values):
    return ipywidgets.SelectionSlider(
        options=[(_label(value), i) for i, value in enumerate(values)],
        description=name.replace("_", " "),
        style={"description_width": "initial"},
        layout={"width": "min(100%, 34em)"},
    )


def _field(name, value, low, high):
    whole = isinstance(low, Integral) and isinstance(high, Integral)
    field = (ipywidgets.BoundedIntText if whole else ipywidgets.BoundedFloatText)(
        value=value,
        min=low,
        max=high,
        step=1 if whole else 0.01,
        description=f"any {name.replace('_', ' ')} from {low:g} to {high:g}",
        style={"description_width": "initial"},
        layout={"width": "min(100%, 24em)"},
    )
    field.add_class("zimp-free")  # which the book's style sheet hides
    return field


class _Explorer(ipywidgets.VBox):
    """A box that shows a still picture ahead of itself, which the book's script hides once the box is alive."""

    def __init__(self, children, fallback):
        super().__init__(children)
        self.add_class("zimp-explorer")
        self._fallback = fallback

    def _ipython_display_(self):
        note = "A still of the explorer below, which needs JavaScript and access to its widget library."
        still = f'<figure class="zimp-still" hidden>{self._fallback}<figcaption>{note}</figcaption></figure>'
        display({"text/html": still, "text/plain": note}, raw=True)
        display(self._repr_mimebundle_(), raw=True)


def _frame(draw, alt, setting) -> str:
    figure, text = draw(**setting), alt(**setting)
    if not (isinstance(figure, Figure) and isinstance(text, str)):
        raise ValueError(
            f"at {setting}, draw returned a {type(figure).__name__} and alt a {type(text).__name__}; "
            "draw must return a matplotlib figure, and alt the text that describes it"
        )
    return show(figure, text).data


def _label(value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def slides(sliders, pictures) -> str:
    """An explorer without widgets: the labels of each slider, by name, and a picture for each of their combinations."""
    named = [[name.replace("_", " "), labels] for name, labels in sliders.items()]
    data = _script({"sliders": named, "pictures": pictures})
    first = f'<div class="zimp-slide">{pictures[0]}</div>'
    return (
        f'<div class="zimp-slides">{first}<script type="application/json">{data}</script></div><script>{SLIDE}</script>'
    )


def play(weights, mask=None, view="drag"):
    """A live view of your own layer: in JupyterLab, Binder, Colab and VS Code, with no kernel once it is shown.

    Parameters
    ----------
    weights : array or tensor of shape ``(m, n)``
    mask : array or tensor of shape ``(m, n)``, optional
        Which weights are there.
    view : {"drag", "masks", "race", "swaps"}
        Drag a weight and see the barcode move; all masks of a layer of at most 10 weights; three algorithms side by
        side, for at most 144; magnitude pruning turned into topological pruning, one swap at a time.

    Returns
    -------
    IPython.display.HTML
        With a still picture ahead of it, which is shown on paper.

    Raises
    ------
    ValueError
        As :func:`zimp.spanning_forest`; for an unknown view, and a layer with more weights than the view can show.

    Examples
    --------
    >>> import zimp
    >>> view = zimp.play([[0.9, 0.2, 0.6], [0.1, 0.5, 0.4]])
    >>> "zimp-live" in view.data
    True
    """
    check_choice("view", view, OWN)
    weights = as_matrix(weights)
    mask = as_mask(mask, weights.shape)
    m, n = weights.shape
    if m * n > OWN[view]:
        raise ValueError(
            f"weights is a {m}x{n} layer of {m * n} weights, but the view {view!r} shows at most {OWN[view]}; "
            "show a part of it, such as weights[:6, :8]"
        )
    fig, ax = figure(width=3.4, height=0.8 + 0.3 * min(max(m, n), 24))
    many = m * n > 400  # lines: of these only the tree can be told apart
    bipartite(weights, spanning_forest(weights, mask).mask if many else mask, ax=ax)
    settings = {"weights": weights.astype(float).ravel().tolist(), "m": m, "n": n}
    if mask is not None:
        settings["mask"] = mask.astype(int).ravel().tolist()
    seen = "its maximum spanning tree alone" if many else "its tree in one colour, other weights in another"
    return live(view, fig, f"The {m}x{n} layer as a graph: {seen}.", settings=settings)


def live(view, fig, alt, *, settings=None, data=None):
    """A live view, with the still picture that stands for it on paper and where no script runs.

    Parameters
    ----------
    view : str
        ``"hero"``, ``"drag"``, ``"masks"``, ``"race"``, ``"coupons"``, ``"network"``, ``"swaps"``, ``"run"`` or
        ``"guess"``.
    fig : Figure
        The still picture, as :func:`zimp.plots.show` takes it. It is closed.
    alt : str
        What it shows, for readers who do not see it.
    settings : dict, optional
        What the view is given: numbers, texts, lists. Under ``"state"`` what it is set to at the start.
    data : dict, optional
        What is shared by views, by name, such as the digits.

    Returns
    -------
    IPython.display.HTML
        The scripts are inlined. The book's build makes files of them.

    Examples
    --------
    >>> from zimp import plots, widgets
    >>> fig, ax = plots.figure(width=3)
    >>> page = widgets.live("coupons", fig, "An empty plot.", settings={"m": 3, "n": 4})
    """
    check_choice("view", view, PARTS)
    files = {"zimp-play.css": _palette() + _read("zimp-play.css"), "zimp-play.js": _read("zimp-play.js")}
    for part in ["draw", *PARTS[view]]:
        files[f"zimp-play-{part}.js"] = _read(f"zimp-play-{part}.js")
    for name, value in (data or {}).items():
        files[f"zimp-data-{name}.js"] = (
            "globalThis.zimpPlay = globalThis.zimpPlay || { parts: {}, jobs: {}, views: {} };\n"
            f"(zimpPlay.data = zimpPlay.data || {{}}).{name} = {_script(value)};\n"
        )
    files[f"zimp-play-{view}.js"] = _read(f"zimp-play-{view}.js")
    still = f'<div class="zimp-live-still">{show(fig, alt).data}</div>'
    element = (
        f'<div class="zimp-live" data-zimp-view="{view}" data-settings="{html.escape(_script(settings or {}))}"></div>'
    )
    return HTML(
        f'<div class="zimp-live-box">{still}{element}</div>' + "".join(_inline(*file) for file in files.items())
    )


def _script(value) -> str:
    """As JavaScript that can stand in a page, with numbers to the last bit."""
    # No markup: neither the end of a script nor the start of a comment, whatever a name holds.
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _inline(name, text) -> str:
    tag = "style" if name.endswith(".css") else "script"
    return f'<{tag} data-zimp-file="{name}">{text}</{tag}>\n'


def _read(name) -> str:
    """A file of ``book/_static``: beside the package, or installed with it."""
    folder = Path(__file__).parent.parent / "book" / "_static"
    if not folder.is_dir():
        folder = resources.files("zimp.static")
    return (folder / name).read_text(encoding="utf-8")


def _palette() -> str:
    """The colours, for notebooks, which do not have the book's style sheet: light, and dark where the notebook is."""
    light, dark = (" ".join(f"--zimp-{name}: {color};" for name, color in side.items()) for side in (COLORS, DARK))
    return (
        f"html:not([data-theme]) .zimp-live {{ {light} }}\n"
        f'html:not([data-theme]) :is([data-jp-theme-light="false"], .vscode-dark) .zimp-live {{ {dark} }}\n'
    )
