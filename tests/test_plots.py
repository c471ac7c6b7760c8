import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
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
    assert texts[6:] == ["$x_{0}$", "$x_{1}$", "$y_{0}$", "$y_{1}$", "$y_{2}$"]
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
    assert ax.images[0].get_array().tolist() == [[2, 0], [1, 1]]


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
    assert depths == {"$y_{0}$": 0, "$x_{0}$": 1, "$y_{2}$": 1, "$y_{1}$": 1, "$x_{1}$": 2}


def test_the_limits_of_layers_stand_at_their_densities_the_first_layer_on_top(ax):
    plots.limits(["fc1", "fc2"], [0.1, 0.4], [0.2, 0.3], [0.01, 0.05], ax=ax)
    assert [line.get_xdata().tolist() for line in ax.lines] == [[0.1, 0.4], [0.2, 0.3], [0.01, 0.05]]
    assert colors(ax) == [plots.COLORS[name] for name in ("magnitude", "random", "bound")]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["fc1", "fc2"] and ax.yaxis_inverted()


def test_of_many_layers_some_are_named(ax):
    names = [f"layers.{k}.a_projection_with_a_long_name.weight" for k in range(200)]
    plots.limits(names, *np.full((3, 200), 0.1), ax=ax)
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert len(labels) == 40 and all(label.startswith("..") and label.endswith("name.weight") for label in labels)
