import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import rgb_to_hsv, to_hex, to_rgb
from scipy.stats import t

import zimp
from zimp import plots

W = np.array([[0.9, -0.2], [0.1, 0.5], [-0.8, 0.3]])


@pytest.fixture
def ax():
    fig, ax = plots.figure()
    yield ax
    plt.close(fig)


def colors(ax):
    return [to_hex(line.get_color()).upper() for line in ax.lines]


@pytest.mark.parametrize(
    "draw",
    [
        lambda ax: plots.bipartite(W, numbers=True, ax=ax),
        lambda ax: plots.barcode(W, threshold=0.5, ax=ax),
        lambda ax: plots.betti(W, threshold=0.5, ax=ax),
        lambda ax: plots.masks(W > 0, ax=ax),
        lambda ax: plots.curve([1.0, 0.8], [[0.9, 0.8]], "magnitude", ax=ax),
        lambda ax: plots.limits(["fc1", "fc2"], [0.1, 0.2], [0.1, 0.1], [0.01, 0.1], ax=ax),
    ],
)
def test_a_plot_returns_the_axes_that_it_was_given(ax, draw):
    assert draw(ax) is ax


def test_tree_edges_have_the_colour_of_the_tree_and_are_as_many(ax):
    plots.bipartite(W, ax=ax)
    assert colors(ax).count(plots.COLORS["tree"]) == 4 and colors(ax).count(plots.COLORS["kept"]) == 2


def test_an_edge_below_the_threshold_is_not_there_yet_and_a_pruned_one_is_not_drawn(ax):
    plots.bipartite(W, W != 0.5, threshold=0.5, ax=ax)
    assert colors(ax).count(plots.COLORS["absent"]) == 3 and len(ax.lines) == 5


def test_at_its_own_threshold_an_edge_is_there(ax):
    plots.bipartite(W, threshold=1.0, ax=ax)
    assert colors(ax).count(plots.COLORS["absent"]) == 5


def test_a_barcode_has_a_bar_for_each_neuron_that_ends_at_its_death(ax):
    plots.barcode(W, ax=ax)
    ends = sorted(line.get_xdata()[1] for line in ax.lines if len(line.get_xdata()) == 2)
    assert ends[:4] == pytest.approx(zimp.persistence_diagram(W)[:4, 1]) and len(ends) == 5


@pytest.mark.parametrize(("threshold", "pale"), [(0.76, 1), (0.75, 2), (0.5, 3)])
def test_a_bar_that_ends_at_the_threshold_is_over(ax, threshold, pale):
    plots.barcode([[1.0, -0.5], [0.25, 0.75]], threshold=threshold, ax=ax)
    bars = [line.get_alpha() for line in ax.lines if line.get_linewidth() == 4]
    assert bars == [0.35] * pale + [1] * (4 - pale)


@pytest.mark.parametrize("columns", [1, 3])
def test_a_figure_has_its_size_and_axes_without_a_box(columns):
    fig, axes = plots.figure(columns, 6, 2, sharey=True)
    assert (fig.get_size_inches().tolist(), fig.dpi) == ([6, 2], 144) and np.size(axes) == len(fig.axes) == columns
    for ax in fig.axes:
        shown = {side for side, spine in ax.spines.items() if spine.get_visible()}
        assert shown == {"left", "bottom"}
    plt.close(fig)


def test_an_interval_is_students():
    mean, half = plots.interval([[0.9, 1.0], [0.8, 2.0], [0.7, 3.0]])
    assert mean == pytest.approx([0.8, 2]) and half == pytest.approx(
        [0.248414, 2.48414], rel=1e-5
    )  # 4.30265 s / 3**0.5


def test_a_bipartite_plot_has_its_neurons_and_its_numbers(ax):
    plots.bipartite(W, numbers=True, ax=ax)
    texts = [text.get_text() for text in ax.texts]
    assert sorted(texts[:6]) == ["0.1", "0.2", "0.3", "0.5", "0.8", "0.9"]
    assert texts[6:] == ["x₀", "x₁", "y₀", "y₁", "y₂"]
    widths = [line.get_linewidth() for line in ax.lines]
    assert widths == sorted(widths) and widths[-1] == 6  # the heaviest last, on top


@pytest.mark.parametrize("draw", [plots.barcode, plots.betti])
def test_a_threshold_is_a_line_at_its_distance(ax, draw):
    draw(W, threshold=0.75, ax=ax)
    assert [line.get_xdata() for line in ax.lines if line.get_linestyle() == "--"] == [[0.25, 0.25]]


def test_bars_that_have_died_by_the_threshold_are_pale_and_those_that_never_die_have_their_colour(ax):
    plots.barcode(W, threshold=0.5, ax=ax)  # deaths 0, 1/9, 4/9, 2/3 and never
    bars = [line for line in ax.lines if len(line.get_xdata()) == 2 and line.get_linestyle() == "-"]
    assert [line.get_alpha() for line in bars] == [0.35] * 3 + [1] * 2
    assert [to_hex(line.get_color()).upper() for line in bars] == [plots.COLORS["tree"]] * 4 + [plots.COLORS["bound"]]


def test_a_betti_plot_marks_how_many_pieces_there_are_at_the_threshold(ax):
    plots.betti(W, threshold=0.5, ax=ax)
    assert [line.get_ydata()[0] for line in ax.lines if line.get_marker() == "o"] == [2]


def test_a_betti_plot_is_the_betti_curve(ax):
    plots.betti(W, ax=ax)
    (steps,) = ax.patches
    values, edges, _ = steps.get_data()
    for left, right, value in zip(edges[:-1], edges[1:], values):
        if right > left:
            assert zimp.betti_curve(W, 1 - (left + right) / 2) == value


def test_a_mask_shows_pruned_kept_and_tree(ax):
    mask = np.array([[True, False], [True, True]])
    plots.masks(mask, np.array([[True, True], [False, False]]), ax=ax)
    cells = {to_hex(patch.get_facecolor()).upper(): patch.get_path() for patch in ax.patches}
    for name, number, corner in (("pruned", 2, (0, 0)), ("kept", 1, (0, 1)), ("tree", 1, (0, 0))):
        path = cells[plots.COLORS[name]]  # a box of five points for each run in a row
        assert len(path.vertices) == 5 * number and tuple(path.vertices[0]) == corner
    assert ax.yaxis_inverted()  # the first output on top


def test_a_curve_is_the_mean_with_students_interval(ax):
    values = np.array([[0.9, 0.5], [0.8, 0.1], [0.7, 0.3]])
    plots.curve([1.0, 0.1], values, "topological", ax=ax)
    assert ax.lines[0].get_ydata() == pytest.approx(values.mean(axis=0))
    interval = t.interval(0.95, 2, values.mean(axis=0), values.std(axis=0, ddof=1) / 3**0.5)
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == pytest.approx((np.min(interval), np.max(interval)))
    assert ax.xaxis_inverted()


def test_a_curve_of_one_seed_has_no_interval_and_carries_the_label_and_marker_of_its_method(ax):
    plots.curve([1.0, 0.1], [[0.9, 0.5]], "magnitude", ax=ax)
    (line,) = ax.lines
    assert not ax.collections and ax.get_xscale() == "log"
    assert (line.get_label(), line.get_marker(), colors(ax)) == ("IMP", "s", [plots.COLORS["magnitude"]])


def test_colours_differ_for_readers_who_see_no_hue():
    """Methods that share a picture differ in marker too."""
    assert len(set(plots.MARKERS.values())) == len(plots.MARKERS) == len(plots.LABELS)
    assert len({plots.COLORS[method] for method in plots.LABELS}) == len(plots.LABELS)


@pytest.mark.parametrize("threshold", [1.0, 0.8, 0.5, 0.0])
def test_a_union_find_plot_has_a_line_for_each_merger_so_far(ax, threshold):
    plots.union_find(W, threshold=threshold, ax=ax)
    links = [line for line in ax.lines if len(line.get_xdata()) == 2]
    assert len(links) == sum(W.shape) - zimp.betti_curve(W, threshold)
    assert len(ax.texts) == sum(W.shape)
    for link in links:  # down by one level, from a top to what hangs under it
        assert link.get_ydata()[0] - link.get_ydata()[1] == 1


def test_in_a_union_find_plot_the_smaller_piece_hangs_under_the_larger(ax):
    plots.union_find(W, ax=ax)
    depths = {text.get_text(): -text.get_position()[1] for text in ax.texts}
    assert depths == {"y₀": 0, "x₀": 1, "y₂": 1, "y₁": 1, "x₁": 2}


def test_the_limits_of_layers_stand_at_their_densities_the_first_layer_on_top(ax):
    plots.limits(["fc1", "fc2"], [0.1, 0.4], [0.2, 0.3], [0.01, 0.05], ax=ax)
    assert [line.get_xdata().tolist() for line in ax.lines] == [[0.1, 0.4], [0.2, 0.3], [0.01, 0.05]]
    assert colors(ax) == [plots.COLORS[name] for name in ("magnitude", "random", "bound")]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["fc1", "fc2"] and ax.yaxis_inverted()


def test_all_layers_are_named_as_they_are(ax):
    names = [f"layers.{k}.a_projection_$with$_a_long_name.weight" for k in range(200)]
    plots.limits(names, *np.full((3, 200), 0.1), ax=ax)
    assert [label.get_text() for label in ax.get_yticklabels()] == names
    assert not any(label.get_parse_math() for label in ax.get_yticklabels())


def drawn(**options):
    fig, axes = plots.figure(2, **options)
    plots.bipartite(W, ax=axes[0])
    plots.curve([1.0, 0.1], [[0.9, 0.5], [0.8, 0.5]], "random_tree", ax=axes[1])
    axes[1].set(ylabel="accuracy")
    return fig


def test_a_shown_figure_has_its_colours_by_name_and_its_description():
    """The dark mode turned pictures, and with them two blues into each other."""
    page = plots.show(drawn(), 'Two "panels"').data
    assert page.startswith('<div class="zimp-figure" role="img" aria-label="Two &quot;panels&quot;"')
    colours = set(re.findall(r"(?:fill|stroke): ([^;\"]*)", page)) - {"none"}
    assert colours == {f"var(--zimp-{name}, {plots.COLORS[name]})" for name in ("tree", "kept", "ink", "paper")}
    assert not plt.get_fignums()


def test_a_shown_figure_stacks_its_panels_on_a_phone():
    page = plots.show(drawn(width=7.0, height=2.0), "Two panels.").data
    wide, narrow = re.findall(r'<svg class="([\w-]*)".*?width: (\d+)px.*?viewBox="0 0 (\S+) (\S+)">', page)
    assert wide == ("zimp-wide", "672", "504", "144") and narrow == ("zimp-narrow", "336", "252", "288")
    assert page.count("display: none") == 1  # where there is no style sheet, the wide one is shown


def test_a_figure_that_fits_a_phone_is_shown_once():
    assert plots.show(drawn(width=3.0), "Two panels.").data.count("<svg") == 1


def test_panels_that_share_an_axis_keep_its_numbers_when_they_are_stacked():
    fig, (left, right) = plots.figure(2, sharey=True)
    left.set(ylabel="accuracy", ylim=(0.25, 0.75))
    assert plots.show(fig, "Two panels.").data.count(">accuracy<") == 3  # once side by side, twice stacked


def test_all_text_of_a_shown_figure_is_of_one_size():
    fig, ax = plots.figure(width=3)
    ax.set_title("large", fontsize=20)
    sizes = set(re.findall(r"(?:font-size: |font: )([\d.]+)px", plots.show(fig, "A title.").data))
    assert sizes == {"9"}  # in a drawing of 3/4 of its size in pixels: 12 px


def test_numbers_in_the_text_of_a_figure_are_not_cut():
    """Coordinates were shortened to two decimals, and with them the labels of small densities."""
    fig, ax = plots.figure(width=3)
    ax.set(xticks=[0.005, 0.0125], title="0.98765")
    page = plots.show(fig, "An axis.").data
    assert all(f">{label}<" in page for label in ("0.0050", "0.0125", "0.98765"))


def test_parts_of_figures_on_one_page_have_names_of_their_own():
    names = [set(re.findall(r' id="([^"]*)"', plots.show(drawn(height=h), "Two panels.").data)) for h in (2, 3)]
    assert all(names) and not names[0] & names[1]
    assert plots.show(drawn(), "Two panels.").data == plots.show(drawn(), "Two panels.").data


@pytest.mark.parametrize("color", ["C0", "#123456"])
def test_a_colour_that_is_not_in_the_palette_is_refused(ax, color):
    ax.plot([0, 1], [0, 1], color=color)
    with pytest.raises(ValueError, match="the palette does not have #1.*; take colours from plots.COLORS"):
        plots.show(ax.figure, "A line.")


@pytest.mark.parametrize("alt", ["", " ", None])
def test_a_figure_without_a_description_is_refused(ax, alt):
    with pytest.raises(ValueError, match="must be a non-empty text; describe the figure"):
        plots.show(ax.figure, alt)


def test_both_palettes_have_the_same_names_and_are_in_the_style_sheet():
    css = (Path(__file__).parent.parent / "book" / "_static" / "zimp.css").read_text(encoding="utf-8")
    light, dark = (
        dict(
            re.findall(
                r"--zimp-(\w+): (#\w+);", re.search(rf"^{re.escape(selector)} \{{(.*?)^\}}", css, re.M | re.S)[1]
            )
        )
        for selector in ("html", 'html[data-theme="dark"]')
    )
    assert light == plots.COLORS and dark == plots.DARK and list(light) == list(dark)


def luminance(color):
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in to_rgb(color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("palette", [plots.COLORS, plots.DARK])
def test_marks_stand_out_from_the_page(palette):
    """By WCAG 2; a pruned weight is what is not there."""
    paper = luminance(palette["paper"])
    for name in palette.keys() - {"paper", "pruned"}:
        darker, lighter = sorted([paper, luminance(palette[name])])
        assert (lighter + 0.05) / (darker + 0.05) >= 3, name


@pytest.mark.parametrize("name", sorted(plots.COLORS.keys() - {"ink", "paper", "random_tree"}))
def test_a_colour_has_the_same_hue_on_a_dark_page(name):
    light, dark = (rgb_to_hsv(to_rgb(palette[name])) for palette in (plots.COLORS, plots.DARK))
    if min(light[1], dark[1]) > 0.2:  # else both are grey
        assert abs((light[0] - dark[0] + 0.5) % 1 - 0.5) < 0.06
    assert (light[1] > 0.2) == (dark[1] > 0.2)


def test_a_table_aligns_numbers_and_shows_bars():
    page = plots.table(
        [{"layer": "fc1", "weights": 235200, "share": 0.12345}], bars=["weights"], formats={"share": "{:.0%}"}
    )
    assert "235,200" in page.data and "12%" in page.data and "var(--zimp-kept" in page.data
    assert page.data.startswith('<div class="zimp-table"') and page.data.count("text-align: right") >= 1
    assert (
        page.data
        == plots.table(
            [{"layer": "fc1", "weights": 235200, "share": 0.12345}], bars=["weights"], formats={"share": "{:.0%}"}
        ).data
    )
