import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from ipywidgets.widgets.widget_link import Link

import zimp
from zimp import plots, widgets

STATIC = Path(__file__).parent.parent / "book" / "_static"


def draw(**setting):
    fig, ax = plots.figure(width=2, height=1)
    ax.set_title(str(setting))
    return fig


def alt(**setting):
    return f'"{setting}" <drawn>'


def shown(stack):
    """The picture that a nest of stacks shows."""
    while isinstance(stack, ipywidgets.Stack):
        stack = stack.children[stack.selected_index]
    return stack.value


def test_one_setting_is_a_slider_over_a_stack_of_pictures():
    box = zimp.explorer(draw, alt, threshold=[1.0, 0.25, 0.0])
    slider, stack = box.children
    assert [label for label, _ in slider.options] == ["1", "0.25", "0"]
    assert len(stack.children) == 3 and len({picture.value for picture in stack.children}) == 3


def test_all_combinations_are_drawn_and_the_last_setting_is_innermost():
    asked = []
    box = zimp.explorer(lambda **setting: asked.append(setting) or draw(), alt, rate=[0.2, 0.5], level=[0, 1, 2])
    assert asked == [{"rate": rate, "level": level} for rate in (0.2, 0.5) for level in (0, 1, 2)]
    rate, level, stack = box.children
    assert (rate.description, level.description) == ("rate", "level")
    assert [len(inner.children) for inner in stack.children] == [3, 3]


def test_sliders_are_linked_in_the_browser_and_not_by_the_kernel():
    ipywidgets.Widget.close_all()
    box = zimp.explorer(draw, alt, rate=[0.2, 0.5], level=[0, 1, 2])
    links = [w for w in ipywidgets.widgets.widget._instances.values() if isinstance(w, Link)]
    pairs = {(link.source[0].description, link.source[1], link.target[1]) for link in links}
    assert pairs == {("rate", "index", "selected_index"), ("level", "index", "selected_index")}
    assert len(links) == 3  # the outer stack, and an inner one for each rate
    targets = {link.target[0].model_id for link in links}
    outer = box.children[-1]
    assert targets == {outer.model_id, *(inner.model_id for inner in outer.children)}


def test_a_picture_carries_its_description_escaped():
    picture = shown(zimp.explorer(draw, alt, level=[7]).children[-1])
    assert re.search(r'aria-label="&quot;\{&#x27;level&#x27;: 7\}&quot; &lt;drawn&gt;"', picture)
    assert picture.startswith('<div class="zimp-figure" role="img"') and "<svg" in picture


def test_figures_are_closed_and_the_style_of_others_is_left_alone():
    before = plt.get_fignums(), dict(plt.rcParams)
    zimp.explorer(draw, alt, level=[0, 1])
    assert (plt.get_fignums(), dict(plt.rcParams)) == before


def test_a_display_is_a_still_picture_and_the_widget(monkeypatch):
    displayed = []
    monkeypatch.setattr("zimp.widgets.display", lambda bundle, raw: displayed.append(bundle))
    box = zimp.explorer(draw, alt, level=[0, 1])
    box._ipython_display_()
    still, widget = displayed
    assert shown(box.children[-1]) in still["text/html"] and "hidden" in still["text/html"]
    assert widget["application/vnd.jupyter.widget-view+json"]["model_id"] == box.model_id


def test_on_colab_an_explorer_is_html_with_all_its_pictures(monkeypatch):
    """It has the widgets of ipywidgets 7, which has no Stack."""
    monkeypatch.setitem(sys.modules, "google.colab", None)
    shown = zimp.explorer(draw, alt, the_rate=[0.2, 0.5], level=[0, 1, 2], seed=[7], free={"the_rate": (0.1, 0.9)})
    (data,) = re.findall(r'<script type="application/json">(.*?)</script>', shown.data)
    data = json.loads(data)
    assert data["sliders"] == [["the rate", ["0.2", "0.5"]], ["level", ["0", "1", "2"]]]
    assert len(set(data["pictures"])) == 6 and all("<svg" in picture for picture in data["pictures"])
    assert f'<div class="zimp-slide">{data["pictures"][0]}</div>' in shown.data  # what is seen without a script


@pytest.mark.parametrize("settings, message", [({}, "at least one setting"), ({"level": []}, "level has no values")])
def test_an_explorer_needs_settings_with_values(settings, message):
    with pytest.raises(ValueError, match=message):
        zimp.explorer(draw, alt, **settings)


class Shown(HTMLParser):
    """What a live view is made of, as a browser reads it."""

    def __init__(self, shown):
        super().__init__()
        self.tags, self.files, self.settings = [], {}, None
        self.feed(shown.data)
        self.close()

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        self.file = attributes.get("data-zimp-file")
        if attributes.get("class") == "zimp-live":
            self.settings = json.loads(attributes["data-settings"])

    def handle_endtag(self, tag):
        self.file = None

    def handle_data(self, data):
        if self.file:
            self.files[self.file] = self.files.get(self.file, "") + data


AWKWARD = [[5e-324, 1e308, -0.0, 0.1], [1 / 3, -2e-310, 12345678.9, 0.30000000000000004]]


@pytest.mark.parametrize(
    "weights",
    [
        AWKWARD, np.asfortranarray(AWKWARD), np.matrix(AWKWARD), np.float32([[0.1, 2.0]]), [[3, 0], [-1, 2]],
        torch.nn.Parameter(torch.tensor([[0.1, 2.0], [0.3, -4.0]], dtype=torch.bfloat16)),
    ],
    ids=["lists", "by columns", "np.matrix", "float32", "whole numbers", "bfloat16, with a gradient"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # numpy's, of np.matrix
def test_a_view_of_a_layer_has_its_weights_to_the_last_bit(weights):
    tensor = isinstance(weights, torch.Tensor)
    plain = weights.detach().double().numpy() if tensor else np.asarray(weights)
    settings = Shown(zimp.play(weights, view="swaps")).settings
    assert settings == {"weights": plain.ravel().tolist(), "m": plain.shape[0], "n": plain.shape[1]}
    mask = np.arange(plain.size).reshape(plain.shape) % 2
    for given in (mask, mask.astype(bool), torch.from_numpy(mask), mask.tolist()):
        assert Shown(zimp.play(weights, given, view="swaps")).settings == settings | {"mask": mask.ravel().tolist()}


def test_a_view_brings_its_still_picture_and_its_scripts_and_nothing_else():
    figures = plt.get_fignums()
    shown = Shown(zimp.play([[0.9, 0.2], [0.1, 0.5]], view="swaps"))
    parts = ["", "-draw", "-layer", "-swaps"]
    assert list(shown.files) == ["zimp-play.css", *(f"zimp-play{part}.js" for part in parts)]
    for name, text in shown.files.items():
        assert text.endswith((STATIC / name).read_text(encoding="utf-8"))
    assert [tag for tag in shown.tags if tag in ("div", "script", "style")] == 4 * ["div"] + ["style"] + 4 * ["script"]
    palette = shown.files["zimp-play.css"]
    for name, color in [*plots.COLORS.items(), *plots.DARK.items()]:
        assert f"--zimp-{name}: {color};" in palette
    assert plt.get_fignums() == figures


def test_a_view_of_many_weights_is_not_heavy():
    data = zimp.play(np.random.default_rng(0).normal(size=(64, 64)), view="swaps").data
    assert len(data.encode()) < 400_000 and "its maximum spanning tree alone" in data


NAMES = [
    "</script><b>", "<!--<script>", "'\"><img src=x onerror=alert(1)>", "&lt;b&gt; \u2028 \\u003cb>", "x</style><i>",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_no_name_of_a_reader_ends_a_script_or_becomes_markup(name):
    fig, _ = plots.figure(width=1, height=1)
    plain = Shown(zimp.play([[0.9, 0.2], [0.1, 0.5]], view="swaps"))
    shown = Shown(widgets.live("swaps", fig, name, settings={"name": name}, data={"names": {name: [name, 0.5]}}))
    assert {*shown.tags} <= {*plain.tags} and shown.tags.count("script") == plain.tags.count("script") + 1
    assert shown.settings == {"name": name}
    read = re.search(r"\.names = (.*);\n$", shown.files["zimp-data-names.js"])[1]
    assert json.loads(read) == {name: [name, 0.5]} and "<" not in read


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_no_script_can_hold_is_not_written(value):
    fig, _ = plots.figure(width=1, height=1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        widgets.live("swaps", fig, "A layer.", settings={"weights": [value]})
    plt.close(fig)


def free_explorer(**options):
    """An explorer with a free rate, and its parts: sliders, field, stack of stored and computed pictures."""
    box = zimp.explorer(draw, alt, rate=[0.2, 0.5], level=[0, 1, 2], free={"rate": (0.1, 0.9)}, **options)
    return box, *box.children


def described(stack):
    """The setting of the picture that is shown."""
    return re.search(r"aria-label=\"&quot;(.*?)&quot;", shown(stack))[1].replace("&#x27;", "'")


def test_a_free_setting_is_drawn_by_the_kernel_at_any_number():
    _, rate, level, field, both = free_explorer()
    assert (field.value, field.min, field.max) == (0.2, 0.1, 0.9) and both.selected_index == 0
    field.value = 0.37
    assert described(both) == "{'rate': 0.37, 'level': 0}"
    level.index = 2  # the others go on from there
    assert described(both) == "{'rate': 0.37, 'level': 2}"
    field.value = 5
    assert field.value == 0.9 and described(both) == "{'rate': 0.9, 'level': 2}"


def test_back_at_a_slider_the_stored_pictures_show():
    asked = []
    box = zimp.explorer(
        lambda **setting: asked.append(setting) or draw(**setting), alt, rate=[0.2, 0.5], free={"rate": (0.1, 0.9)}
    )
    rate, field, both = box.children
    field.value = 0.37
    rate.index = 1
    assert field.value == 0.5 and both.selected_index == 0
    field.value = 0.2  # not the slider's, so it is drawn
    assert both.selected_index == 1 and asked == [{"rate": value} for value in (0.2, 0.5, 0.37, 0.2)]


def test_a_free_setting_of_one_value_has_no_slider():
    box = zimp.explorer(draw, alt, level=[0, 1], rows=[8], free={"rows": (1, 20)})
    level, field, both = box.children
    assert (level.description, field.description) == ("level", "any rows from 1 to 20")
    assert isinstance(field, ipywidgets.BoundedIntText)  # both ends are whole
    field.value = 11
    assert described(both) == "{'level': 0, 'rows': 11}"


def test_what_goes_wrong_while_the_kernel_draws_is_said():
    def draw_some(rate):
        if rate > 0.8:
            raise ValueError("<b>too fast</b>")
        return draw(rate=rate)

    _, field, both = zimp.explorer(draw_some, alt, rate=[0.2, 0.5], free={"rate": (0.1, 0.9)}).children
    field.value = 0.85
    assert shown(both) == "<p>ValueError: &lt;b&gt;too fast&lt;/b&gt;</p>"
    field.value = 0.7
    assert described(both) == "{'rate': 0.7}"


def test_the_pages_hide_the_field_and_notebooks_show_it():
    box, *_, field, _ = free_explorer()
    assert "zimp-free" in field._dom_classes and field.layout.display is None
    style = Path(__file__).parents[1] / "book" / "_static" / "zimp.css"
    assert ".bd-content .zimp-explorer .zimp-free { display: none; }" in style.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "free, message",
    [
        ({"speed": (0, 1)}, "'speed', which is no setting"),
        ({"rate": 0.5}, "it must be the lowest and the highest number"),
        ({"rate": (0.3, 0.9)}, "the values of rate must lie between them"),
        ({"rate": (0.1, float("inf"))}, "the highest number"),
        ([("rate", (0, 1))], "free is a list; it must be a dict"),
    ],
)
def test_a_free_setting_needs_values_and_a_range(free, message):
    with pytest.raises(ValueError, match=message):
        zimp.explorer(draw, alt, rate=[0.2, 0.5], free=free)
