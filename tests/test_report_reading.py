"""How a report is read: the figure, the table in a notebook, the words. Its numbers are tested in test_report.py."""

import itertools
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch import nn

import zimp
from zimp.reports import drawing
from zimp.reports.drawing import draw
from zimp.reports.setting import printable, shortened, text_table, text_width

LONG = "model.decoder.layers.{k}.a_block_with_quite_a_long_name.projection_{k}.weight"


@pytest.fixture
def of(tmp_path):
    """Makes the report of a file with layers of these names."""
    generator, numbers = np.random.default_rng(0), itertools.count()

    def make(names, folder=tmp_path):
        path = Path(folder, f"model_{next(numbers)}.safetensors")
        save_file({name: generator.standard_normal((5, 4), dtype="f4") for name in names}, path)
        return zimp.report(path)

    yield make
    plt.close("all")


def boxes(texts):
    renderer = texts[0].figure.canvas.get_renderer()
    return [text.get_window_extent(renderer) for text in texts if text.get_text()]


# The figure


NAMES = ["fc{k}.weight", LONG, "模型.层{k}.注意力.weight", "lr_$x_{k}$_\\alpha.weight"]


@pytest.mark.parametrize(("count", "name"), [*itertools.product([1, 5, 52], NAMES), (300, LONG)])
def test_all_labels_of_a_figure_show_whatever_they_are_called_and_none_overlap(of, count, name):
    report = of([name.format(k=k) for k in range(count)])
    fig = draw([report])
    (ax,) = fig.axes
    labels = [label for label in ax.get_yticklabels() if label.get_text()]
    assert len(labels) == len({label.get_text() for label in labels}) == count
    fig.canvas.draw()
    page, placed = fig.bbox, boxes(labels)
    assert all(box.x0 >= page.x0 and box.y0 >= page.y0 and box.y1 <= page.y1 for box in placed)
    assert all(upper.y0 >= lower.y1 for upper, lower in itertools.pairwise(placed))
    low, high = ax.get_xlim()
    ticks = [label for label in ax.get_xticklabels() if low <= label.get_position()[0] <= high]
    assert len(ticks) > 1 and not any(one.overlaps(other) for one, other in itertools.combinations(boxes(ticks), 2))
    others = boxes([ax._left_title, *ticks, ax.xaxis.label, *fig.legends[0].get_texts()])
    assert all(page.x0 <= box.x0 and box.x1 <= page.x1 and box.y1 <= page.y1 for box in others)
    assert not any(box.overlaps(label) for box in others for label in placed)


@pytest.mark.parametrize("counts", [(3, 50, 1), (4, 4, 4)])
def test_several_networks_share_one_axis_and_their_panels_do_not_overlap(of, counts):
    fig = draw([of([f"fc{k}.weight" for k in range(count)]) for count in counts])
    fig.canvas.draw()
    assert [len(ax.get_yticks()) for ax in fig.axes] == list(counts)
    assert len({ax.get_xlim() for ax in fig.axes}) == 1
    assert all(ax.get_shared_x_axes().joined(fig.axes[0], ax) for ax in fig.axes)
    renderer = fig.canvas.get_renderer()
    panels = [ax.get_tightbbox(renderer) for ax in fig.axes]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(panels, 2))
    assert not any(panel.overlaps(fig.legends[0].get_window_extent(renderer)) for panel in panels)


def test_networks_of_the_same_layers_stand_side_by_side_so_that_a_row_compares_them(of):
    names = [f"fc{k}.weight" for k in range(4)]
    fig = draw([of(names), of(names)])
    left, right = (ax.get_position() for ax in fig.axes)
    assert left.y0 == right.y0 and left.height == pytest.approx(right.height) and left.x1 < right.x0
    fig = draw([of(names), of(names[1:])])
    above, below = (ax.get_position() for ax in fig.axes)
    assert above.x0 == below.x0 and above.y0 > below.y1
    assert above.height / below.height == pytest.approx(4 / 3)


def test_a_letter_that_no_font_has_is_escaped_and_one_that_another_font_has_is_drawn(of, monkeypatch):
    usual, *fonts = [drawing.findfont(drawing.FontProperties()), *drawing.fontManager.ttflist]
    has = drawing.get_font(usual).get_charmap()
    stix = next(font for font in fonts if font.name == "STIXGeneral")  # comes with matplotlib
    only = chr(next(code for code in drawing.get_font(stix.fname).get_charmap() if code > 255 and code not in has))
    assert ord("模") not in has and ord("模") not in drawing.get_font(stix.fname).get_charmap()

    monkeypatch.setattr(drawing, "fontManager", SimpleNamespace(ttflist=[stix]))
    families, missing = drawing._fonts(f"fc模{only}")
    assert "STIXGeneral" in families and missing == {"模"}
    assert "STIXGeneral" not in drawing._fonts("fc")[0]
    (ax,) = draw([of(["fc模.weight"])]).axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["fc\\u6a21.weight"]


def test_a_long_path_fits_above_its_axis_in_lines(of, tmp_path):
    folder = tmp_path / ("a_folder_with_a_long_name_" * 6)
    folder.mkdir()
    fig = draw([of(["fc.weight"], folder)])
    fig.canvas.draw()
    (title,) = boxes([fig.axes[0]._left_title])
    legend = fig.legends[0].get_window_extent(fig.canvas.get_renderer())
    assert title.x1 <= fig.bbox.x1 and title.y1 <= legend.y0


def test_a_picture_of_very_many_layers_is_drawn_with_fewer_dots(of, monkeypatch):
    monkeypatch.setattr(drawing, "MOST", 300)
    fig = draw([of([f"fc{k}.weight" for k in range(9)])])
    assert fig.get_dpi() * max(fig.get_size_inches()) == pytest.approx(300)


# The table in a notebook


class Tables(HTMLParser):
    """Rows of tables as texts, and whether all tags are closed."""

    def __init__(self, page):
        super().__init__()
        self.open, self.rows, self.texts, self.scopes = [], [], [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")
        if tag == "th":
            self.scopes.append(dict(attributes)["scope"])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("th", "td"):
            self.rows[-1][-1] += data
        elif self.open and self.open[-1] != "style":
            self.texts.append(data)


def test_a_notebook_shows_the_verdict_and_a_table_of_what_the_text_says(of):
    report = of(["fc1.weight", "fc2.weight"])
    page = report._repr_html_()
    tables = Tables(page)
    lines = [line.split() for line in report.table(legend=False).splitlines()[2:]]
    assert [row[:2] for row in tables.rows[1:3]] == [line[:2] for line in lines[1:3]]
    assert [row[3:] for row in tables.rows[:3]] == [line[3:] for line in lines[:3]]
    assert tables.rows[3][0] == "network, 2 layers" and tables.rows[3][3:] == lines[4][4:]
    assert tables.scopes == ["col"] * 12 + ["row"] * 3
    verdict = report.brief(10_000).splitlines()[1:]
    assert [text for text in tables.texts if text in verdict] == verdict
    assert page.index(verdict[-1].split(".")[0]) < page.index("<table") and report.source in tables.texts
    assert 'tabindex="0"' in page  # so that the keyboard scrolls it
    shares = [float(share) / 100 for share in re.findall(r"--share: ([\d.]+)%", page)]
    expected = [row[key] for row in report.rows for key in ("safe_density", "global_density", "iid_density")]
    assert shares == pytest.approx(
        [*expected, report.totals["safe_density"], report.totals["global_density"]], abs=1e-3
    )


@pytest.mark.parametrize("count", [20, 21, 300])
def test_a_long_table_folds_after_twenty_rows_and_loses_none(of, count):
    report = of([f"fc{k}.weight" for k in range(count)])
    page = report._repr_html_()
    rows = [row[0] for row in Tables(page).rows if row[0].startswith("fc")]
    assert rows == [f"fc{k}.weight" for k in range(count)]
    shown, _, folded = page.partition("<details>")
    assert shown.count('scope="row"') == 21 and ("more layers" in folded) == (count > 20)


def test_names_are_escaped_on_a_page(of):
    name = '<img src=x onerror="alert(1)">&\x1b[31m.weight'
    report = of([name, "fc.weight"])
    report = replace(report, source="<b>file</b>")
    tables = Tables(report._repr_html_())
    assert tables.rows[1][0] == '<img src=x onerror="alert(1)">&\\x1b[31m.weight'
    assert "<b>file</b>" in tables.texts and "<img" not in report._repr_html_() and "\x1b" not in report._repr_html_()


def test_a_report_is_shown_as_its_table_where_there_is_no_page(of):
    report = of(["fc.weight"])
    assert repr(report) == report.table()


# The text


def test_names_that_would_steer_a_terminal_are_escaped_in_text(of):
    report = of(["fc\x1b[2J\n.weight", "head.weight"])
    text = report.table() + report.brief()
    assert "\x1b" not in text and r"fc\x1b[2J\n.weight" in text
    assert printable("déjà 模型 $") == "déjà 模型 $"


def test_wide_letters_keep_the_columns_in_line():
    lines = text_table(
        [["layer", "kind", "n"], ["模型.weight", "conv", "1"], ["e\u0301.weight", "dense", "22"], ["all", "", "3"]]
    )
    assert len({text_width(line) for line in lines}) == 1


def test_the_words_that_are_cut_leave_two_points():
    names = ["model.layers.0.a_long_name.proj.weight", "model.10.a_long_name.proj.weight", "head.weight"]
    assert shortened(names, 20) == ["..0..proj.weight", "..10..proj.weight", "head.weight"]


def test_the_verdict_says_what_comes_after_the_first_layer_to_break(of):
    report = of([f"fc{k}.weight" for k in range(4)])
    safe = sorted(report.rows, key=lambda row: row["safe_density"], reverse=True)
    text = report.brief(10_000)
    assert f"then {safe[0]['name']} breaks, and next {safe[1]['name']}, at {safe[1]['safe_density']:.4g}." in text


def test_a_network_whose_smallest_weight_is_needed_is_said_to_break_at_once():
    layer = nn.Linear(2, 2, bias=False)
    layer.weight.data = torch.tensor([[3.0, 0.1], [2.0, 0.0]])
    other = nn.Linear(2, 2, bias=False)
    other.weight.data = torch.tensor([[1.0, 2.0], [3.0, 0.05]])
    text = zimp.report(nn.Sequential(layer, other)).brief(10_000)
    assert "the loss of the smallest weight already breaks" not in text
    layer.weight.data = torch.tensor([[3.0, 0.0], [2.0, 0.0]])
    report = zimp.report(nn.Sequential(layer, other))
    assert report.totals["global_density"] == 1
    assert "does, the loss of the smallest weight already breaks 0.weight." in report.brief(10_000)


def test_the_verdict_counts_what_breaks_and_the_table_names_it(of):
    report = of([f"blocks.{k}.fc.weight" for k in range(30)])
    broken = [row for row in report.rows if row["layerwise"]["components"] > 1]
    cut_off = sum(row["layerwise"]["cut_off"] for row in broken)
    start = f"At density 0.1, {len(broken)} of 30 layers break if each is pruned by magnitude ({cut_off:,} neurons"
    assert start in report.brief(10_000)
    assert f"blocks.*.fc.weight ({len(broken)})" in report.table(10_000) and len(report.brief(100).splitlines()) <= 12


def test_the_layers_that_break_are_those_above_the_density_in_their_column(of):
    report = replace(zimp.report(zimp.lenet_300_100(), density=0.1))
    for way, key in (("layerwise", "safe_density"), ("globally", "global_density")):
        assert [row[way]["components"] > 1 for row in report.rows] == [row[key] > 0.1 for row in report.rows]


def test_parts_of_one_tensor_are_one_name_in_a_sentence():
    report = zimp.report(nn.LSTM(4, 5, num_layers=2))
    assert "weight_ih_l*[*] (8)" in report.table() and "weight_hh_l*[*] (8)" in report.table()


def test_what_most_of_the_other_numbers_are_is_said(tmp_path):
    network = nn.Linear(20, 20)
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.ones(1, 20)).sum().backward()
    optimizer.step()
    torch.save({"model": network.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "last.pt")
    text = zimp.report(tmp_path / "last.pt").brief(10_000)
    assert "Measured: 400 of 1,262 numbers (31.7%). Of the others 842 are left out: state of the optimizer." in text


# Real checkpoints


def test_the_stored_checkpoints_say_what_made_them_and_agree_with_scipy():
    stored = json.loads(
        (Path(zimp.__file__).parents[1] / "book" / "results" / "checkpoints.json").read_text(encoding="utf-8")
    )
    assert stored["made"]["by"].startswith("python tests/rehearsal/checkpoints.py")
    assert set(stored["made"]["versions"]) == {"zimp", "torch", "numpy", "scipy"}
    assert len(stored["checkpoints"]) >= 8
    for one in stored["checkpoints"].values():
        assert re.fullmatch(r"[\w-]+==[\d.]+", one["wheel"]) and re.fullmatch("[0-9a-f]{64}", one["sha256"])
        assert one["difference"] <= one["tolerance"] <= 1e-6 and one["layers"] == len(one["rows"]) > 1
        for row in one["rows"]:
            assert row["tree"] == row["outputs"] + row["inputs"] - row["groups"]
            groups = row["groups"]
            iid = zimp.connectivity_density(row["outputs"] // groups, row["inputs"] // groups, 0.5 ** (1 / groups))
            assert row["iid_density"] == pytest.approx(iid, rel=1e-9)
