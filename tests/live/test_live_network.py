"""Your network: sizes, known networks, convolutions, and files of weights, against what zimp says of the same."""

import json
import re
from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import zimp
from zimp import plots, widgets
from zimp.reports import layouts
from zimp.reports.architectures import ARCHITECTURES
from zimp.reports.checkpoints import open_network
from zimp.reports.headers import Entry

START = {
    "of": "sizes", "sizes": [784, 300, 100, 10], "known": "ResNet-50", "outputs": 64, "inputs": 64, "kernel": 3,
    "depthwise": False, "graph": "matrix", "density": 0.2, "all": False,
}  # fmt: skip


@pytest.fixture
def network(alive):
    known = {
        name: [[layer, *shape] for layer, shape in known.shapes().items()] for name, known in ARCHITECTURES.items()
    }
    fig, _ = plots.figure(width=3)
    shown = widgets.live("network", fig, "Bars.", data={"networks": {"known": known, "rules": layouts.rules()}})
    return partial(alive, shown)


def fold(ratio) -> str:
    return f"{ratio:,.1f}".removesuffix(".0")


def ratios(view) -> list[str]:
    """The numbers at the ends of the rows."""
    assert view.state  # it has drawn
    texts = view.view.locator("svg.zimp-live-canvas text[text-anchor=end]").all_text_contents()
    return [text.removeprefix("breaks, ") for text in texts]


def test_known_networks_have_the_trees_that_the_package_counts(network):
    view = network()
    for graph in ("matrix", "channel"):
        for name, architecture in ARCHITECTURES.items():
            model = architecture.on_meta()
            sizes, shapes = zimp.tree_sizes(model, view=graph), architecture.shapes()
            alike = {shapes[layer]: size / tree for layer, (size, tree) in sizes.items()}
            weights, trees = map(sum, zip(*sizes.values()))
            hash = f"#network?of=known&graph={graph}&all=yes&known={name.replace(' ', '+')}"
            view.page.evaluate(f"location.hash = {json.dumps(hash)}")
            assert view.state["known"] == name
            assert ratios(view) == [*map(fold, sorted(alike.values())), fold(weights / trees)], name
    assert view.problems == []


def test_typed_sizes_at_random_densities_break_where_zimp_says(network):
    view, rng = network(), np.random.default_rng(0)
    field = view.view.get_by_role("textbox", name="Neurons")
    for _ in range(12):
        widths = rng.integers(1, 900, size=rng.integers(2, 6)).tolist()
        density = float(f"{10 ** rng.uniform(-3, 0):.3g}")
        field.fill(" ".join(map(str, widths)))
        field.press("Enter")
        assert view.state["sizes"] == widths
        view.page.evaluate(f"location.hash = '#network?density={density}&sizes={'-'.join(map(str, widths))}'")
        layers = [(m * n, m + n - 1) for n, m in zip(widths, widths[1:])]
        lost = sum(int(density * size + 0.5) < tree for size, tree in layers)
        assert f", {lost or len(layers)} of {len(layers)} layer" in view.sentence
        assert ("must be in pieces" if lost else "can be in one piece") in view.sentence
        assert view.state["density"] == density
        expected = [fold(zimp.critical_compression(m, n)) for n, m in zip(widths, widths[1:])]
        assert sorted(ratios(view)[:-1]) == sorted(expected)
        assert view.view.locator('rect[style*="tree"]').count() == lost
    assert view.problems == []


def test_the_small_output_layer_breaks_first_and_the_average_hides_it(network):
    view = network(hash="#network?density=0.1")
    assert "1 of 3 layers must be in pieces" in view.sentence and "the output layer (10 × 100)" in view.sentence
    assert "keeps 100 weights, and its tree needs 109" in view.sentence and "167.3-fold" in view.sentence


def test_a_convolution_is_a_matrix_or_joins_channels_and_depthwise_it_can_lose_nothing(network):
    view = network(hash="#network?of=convolution&outputs=16&inputs=8&kernel=5")
    assert ratios(view) == [fold(16 * 8 * 25 / (16 + 8 - 1)), fold(16 * 8 * 25 / (16 + 200 - 1))][::-1]
    view.view.get_by_role("checkbox", name="Depthwise").check()
    assert ratios(view) == ["1", "25"]  # each weight is an edge of the tree


TRICKY = {  # tensors as checkpoints have them
    "h.0.attn.c_attn.weight": (8, 24), "h.0.mlp.c_fc.weight": (8, 32), "h.0.mlp.c_proj.weight": (32, 8),
    "h.0.crossattention.c_attn.weight": (8, 16), "h.0.crossattention.q_attn.weight": (8, 8), "h.0.ln_1.weight": (8, 1),
    "wte.weight": (50, 8), "wpe.weight": (16, 8), "lm_head.weight": (50, 8), "a.in_proj_weight": (24, 8),
    "a.q_proj_weight": (8, 8), "vit.qkv.weight": (48, 16), "gqa.qkv_proj.weight": (40, 16),
    "neox.attention.query_key_value.weight": (48, 16), "mlp.gate_up_proj.weight": (64, 16),
    "lstm.weight_ih_l0": (32, 5), "lstm.weight_hh_l0": (32, 8), "lstm.weight_ih_l0_reverse": (32, 5),
    "proj.weight_ih_l0": (32, 5), "proj.weight_hh_l0": (32, 3), "proj.weight_hr_l0": (3, 8),
    "gru.weight_ih_l0": (24, 5), "gru.weight_hh_l0": (24, 8),
    "rnn.weight_ih_l0": (8, 5), "rnn.weight_hh_l0": (8, 8), "odd.weight_ih_l0": (30, 5), "cell.weight_ih": (32, 5),
    "cell.weight_hh": (32, 8), "conv1.weight": (6, 4, 3), "conv2.weight": (6, 4, 3, 3), "conv3.weight": (6, 4, 3, 3, 3),
    "conv4.weight": (6, 4, 3, 3, 3, 3), "gray.weight": (9, 1, 3, 3), "again.weight": (6, 9, 1, 1),
    "depthwise.weight": (6, 1, 3, 3), "experts.weight": (4, 6, 6),
    "bn.weight": (4, 4), "layer_norm.weight": (4, 4), "bias": (4, 4), "scalar.weight": (), "vector.weight": (5,),
    "empty.weight": (0, 4), "pruned.weight_orig": (6, 7), "pruned.weight_mask": (6, 7), "lost.weight_orig": (6, 7),
    "wn.weight_g": (6, 1), "wn.weight_v": (6, 7), "p.parametrizations.weight.original": (6, 7), "weight": (4, 3),
    "embed.weight": (9, 4), "embed.bias": (9,),
    "token_embedding_table.weight": (9, 4), "<b>fc</b>.weight": (4, 3), "qkv.weight": (10, 4), "x.pos_embed": (1, 4, 8),
    "fused.weight_ih_l0_orig": (32, 5), "fused.weight_ih_l0_mask": (32, 5), "fused.weight_hh_l0": (32, 8),
}  # fmt: skip


def test_layers_are_told_from_names_and_shapes_as_in_the_package(network):
    view = network()
    others = {name: shape for name, shape in TRICKY.items() if "c_" not in name}  # then nothing says GPT-2
    for dtype, names in [("float32", TRICKY), ("bfloat16", others), ("int8", TRICKY), ("float8_e4m3fn", TRICKY)]:
        layers, _ = layouts.find_layers({name: Entry(shape, dtype) for name, shape in names.items()})
        expected = [
            [x.name, x.tensor, x.mask, list(x.shape), x.first, x.transposed, x.kind == "embedding", x.groups]
            for x in layers
            if not x.length  # the browser leaves weight norm out, whose weights are not in the file
        ]
        tensors = [{"name": name, "shape": list(shape), "dtype": dtype} for name, shape in names.items()]
        found = view.page.evaluate(
            "tensors => zimpPlay.findLayers(tensors).map(x => [x.name, x.tensor.name, x.mask && x.mask.name,"
            " [x.m, x.n], x.first, x.transposed, x.embedding, x.groups])", tensors,
        )  # fmt: skip
        assert found == expected and bool(found) == (dtype in ("float32", "bfloat16"))


@pytest.fixture
def checkpoint(tmp_path):
    """Layers of several kinds and dtypes, ties and a mask among them."""
    torch.manual_seed(0)
    halves = torch.randn(30, 20).half()
    mask = torch.rand(12, 10) < 0.4
    tensors = {
        "conv.weight": torch.randn(8, 3, 3, 3), "bn.weight": torch.ones(8), "fc.weight": halves,
        "attn.in_proj_weight": torch.randn(24, 8).bfloat16(),
        "h.0.attn.c_attn.weight": torch.randn(8, 24).round(decimals=1),
        "cut.weight_orig": torch.randn(12, 10), "cut.weight_mask": mask.float(), "wte.weight": torch.randn(40, 8),
        "<img src=x onerror=alert(1)>.weight": torch.randn(5, 4, dtype=torch.float64),
    }  # fmt: skip
    file = tmp_path / "model.safetensors"
    save_file(tensors, file)
    return file


def test_a_layer_of_a_file_has_the_tree_the_safe_density_and_the_pieces_of_the_package(network, checkpoint):
    view = network(width=354, hash="#network?of=file&density=0.1")
    assert "drop it here" in view.sentence
    view.view.locator("input[type=file]").set_input_files(checkpoint)
    report = zimp.report(checkpoint)
    file = open_network(checkpoint)
    layers = {layer.name: layer for layer in layouts.find_layers(file.entries)[0] if layer.kind != "embedding"}
    view.view.get_by_text("model.safetensors: ").wait_for()  # it is read
    assert f"{len(layers)} layers. Left out: 2 tensors" in view.view.inner_text()
    options = view.view.locator("select").nth(1)
    for row in report.rows:
        name = row["name"] + (f"[{row['part']}]" if row["part"] else "")
        if name not in layers:
            continue
        options.select_option(name)
        view.view.get_by_role("button", name="Find its tree").click()
        view.view.get_by_role("button", name="Find its tree").wait_for()
        result = view.view.locator("p[aria-live]", has_text="its tree has")
        result.wait_for()
        said = result.inner_text().removeprefix(name)
        with file.reading() as read:
            layer = layers[name]
            matrix = np.asarray(layer._matrix(read(layer.tensor)), float)
            mask = None if layer.mask is None else np.asarray(layer._matrix(read(layer.mask)), bool)
        tree = row["outputs"] + row["inputs"] - row["components"]
        kept = min(int(0.1 * row["weights"] + 0.5), row["weights"] if mask is None else int(mask.sum()))
        pieces = zimp.count_components(zimp.magnitude_mask(matrix, kept, mask))
        assert f"its tree has {tree} edge" in said, (name, said)
        safe = float(re.search(r"safe density ([\d.]+), or", said)[1])  # three digits, rounded half up
        assert safe == pytest.approx(row["safe_density"], rel=5e-3), (name, said)
        assert f"leaves {pieces} piece" in said, (name, said)
    assert view.view.locator("img").count() == 0  # a name stays text
    assert view.page.evaluate("document.documentElement.scrollWidth") <= 354
    assert view.view.locator('path[style*="magnitude"]').count() >= 5  # diamonds
    assert view.problems == []


def test_a_file_may_be_dropped_whatever_its_name(network, checkpoint):
    view = network()
    drop = """bytes => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([Uint8Array.from(bytes)], "<i>model</i>.safetensors"));
      const drop = new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true });
      document.querySelector(".zimp-live").dispatchEvent(drop);
    }"""
    view.page.evaluate(drop, list(checkpoint.read_bytes()))
    view.view.get_by_text("<i>model</i>.safetensors: ").wait_for()
    assert view.state["of"] == "file" and view.view.locator("i").count() == 0


def test_a_file_that_is_none_gets_a_sentence_and_the_last_good_one_stays(network, checkpoint, tmp_path):
    view = network()
    view.view.get_by_role("radio", name="a file").check()
    choose = view.view.locator("input[type=file]")
    choose.set_input_files(checkpoint)
    view.view.get_by_text("model.safetensors: ").wait_for()
    view.page.wait_for_timeout(100)
    before = view.view.locator("svg.zimp-live-canvas").inner_html()
    data = checkpoint.read_bytes()
    torch.save({"fc.weight": torch.ones(2, 2)}, tmp_path / "model.pt")
    save_file({"<b>x</b>": torch.ones(3)}, tmp_path / "none.safetensors")
    save_file({"fc.weight": torch.tensor([[1.0, float("nan")]])}, tmp_path / "nan.safetensors")
    for name, content in (("short", data[:-100]), ("empty", b""), ("text", b"hello, world, how are you"),
                          ("long", (10**9).to_bytes(8, "little") + data[8:])):  # fmt: skip
        (tmp_path / f"{name}.safetensors").write_bytes(content)
    for name in ("model.pt", "none.safetensors", "short.safetensors", "empty.safetensors", "text.safetensors",
                 "long.safetensors"):  # fmt: skip
        choose.set_input_files(tmp_path / name)
        view.page.wait_for_timeout(100)
        assert len(view.trouble) > 30 and view.view.locator("b").count() == 0, name
        assert view.view.locator("svg.zimp-live-canvas").inner_html() == before
    choose.set_input_files(tmp_path / "nan.safetensors")
    view.view.get_by_role("button", name="Find its tree").click()
    view.view.get_by_role("alert").get_by_text("must be finite").wait_for()
    assert view.problems == []


def test_what_cannot_be_read_as_sizes_is_named_and_changes_nothing(network):
    view = network(width=354)
    field = view.view.get_by_role("textbox", name="Neurons")
    for typed in ("", "784", "784-0-10", "784-<b>3</b>", "a-b", "1.5-2", "9" * 5000, "1,100-300"):
        field.fill(typed)
        field.press("Enter")
        assert f'"{typed[:40]}" cannot be read; it must be 2 to 100 numbers' in view.trouble
        assert view.state == START and view.view.locator("b").count() == 0
        assert view.page.evaluate("document.documentElement.scrollWidth") <= 354
        field.fill("784-300-100-10")
        field.press("Enter")
        assert view.trouble == ""


def test_by_keyboard_and_by_touch_the_address_follows_and_opens_what_it_says(network):
    view = network(touch=True, width=390, theme="dark")
    keys = view.page.keyboard
    keys.press("Tab")
    keys.press("Tab")
    keys.press("Control+A")
    keys.type("20 10")
    keys.press("Enter")
    keys.press("Tab")
    keys.press("Tab")
    keys.press("ArrowRight")
    assert view.state == {**START, "sizes": [20, 10], "density": 0.195}
    assert view.address == "#network?sizes=20-10&density=0.195"
    view.view.get_by_role("radio", name="a known one").tap()
    assert view.state["of"] == "known" and "breaks" not in view.sentence
    view.page.evaluate("location.hash = '#network?of=known&known=VGG-99'")
    assert "it must be one of" in view.trouble and view.state["known"] == "ResNet-50"
    view.view.get_by_role("button", name="Reset").tap()
    assert view.state == START and view.problems == []
    assert view.page.evaluate("document.documentElement.scrollWidth") <= 390
