"""Explorers: figures with sliders that move on a static page, in JupyterLab and in Binder, with no kernel behind them.

Every picture is drawn beforehand, one for each setting, and the browser itself links the slider to the picture that is
shown. Only stock ipywidgets are used.
"""

from __future__ import annotations

from itertools import product

import ipywidgets
from IPython.display import display
from matplotlib.figure import Figure

from .checks import as_list
from .plots import show

__all__ = ["explorer"]


def explorer(draw, alt, **settings):
    """Show one slider for each setting, and the picture for the current settings.

    Parameters
    ----------
    draw : function
        ``draw(**setting)`` returns the matplotlib figure of one setting.
    alt : function
        ``alt(**setting)`` returns the sentence that says what is to be seen in it, for readers who do not see it.
    **settings : list
        The values of each slider, by name; an underscore in a name is shown as a space. All combinations are drawn.

    Returns
    -------
    ipywidgets.VBox
        Displayed, it is preceded by its first picture, hidden where the widget lives: what print and readers without
        JavaScript see.

    Raises
    ------
    ValueError
        Without settings, for a setting without values, and where ``draw`` returns no figure or ``alt`` no text.

    Examples
    --------
    >>> from zimp import plots, widgets
    >>> def draw(threshold):
    ...     fig, ax = plots.figure()
    ...     plots.bipartite([[0.9, 0.2], [0.1, 0.5]], threshold=threshold, ax=ax)
    ...     return fig
    >>> box = widgets.explorer(draw, lambda threshold: f"edges of at least {threshold}", threshold=[1.0, 0.5])
    """
    settings = {name: as_list(name, values) for name, values in settings.items()}
    for name, values in settings.items():
        if len(values) == 0:
            raise ValueError(f"{name} has no values; a slider needs at least one")
    if not settings:
        raise ValueError("explorer needs at least one setting, such as threshold=[1.0, 0.5]")

    sliders = {
        name: ipywidgets.SelectionSlider(
            options=[(_label(value), i) for i, value in enumerate(values)],
            description=name.replace("_", " "),
            style={"description_width": "initial"},
            layout={"width": "min(100%, 34em)"},
        )
        for name, values in settings.items()
    }
    frames = [_frame(draw, alt, dict(zip(settings, chosen))) for chosen in product(*settings.values())]
    pictures = [ipywidgets.HTML(frame) for frame in frames]
    for name, values in reversed(settings.items()):  # the last setting varies fastest: stack the pictures up from there
        pictures = [
            ipywidgets.Stack(pictures[start : start + len(values)], selected_index=0)
            for start in range(0, len(pictures), len(values))
        ]
        for stack in pictures:
            ipywidgets.jslink((sliders[name], "index"), (stack, "selected_index"))
    return _Explorer([*sliders.values(), *pictures], fallback=frames[0])


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
