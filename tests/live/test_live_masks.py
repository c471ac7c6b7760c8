"""All masks at a glance: the wall of a small layer's masks, and one of them on its graph."""

from functools import partial
from itertools import product

import numpy as np
import pytest

import zimp

W = np.array([[0.9, -0.2], [0.1, 0.5], [-0.8, 0.3]])


@pytest.fixture
def masks(alive):
    return partial(alive, zimp.play(W, view="masks"))


def facts(w, mask=None):
    """Of each mask, by its text: whether it is connected, preserves H0, and contains the tree."""
    full = zimp.spanning_forest(w, mask)
    found = {}
    for bits in product([0, 1], repeat=w.size):
        each = np.reshape(bits, w.shape).astype(bool)
        if mask is not None and (each & ~mask).any():
            continue
        pruned = zimp.spanning_forest(w, each)
        preserves = np.array_equal(pruned.values, full.values)
        found["".join(map(str, bits))] = pruned.n_components == 1, preserves, bool(each[full.mask].all())
    return found


def test_nineteen_are_connected_and_four_preserve_h0_by_mouse(masks):
    view = masks()
    known = facts(W)
    assert np.sum(list(known.values()), axis=0).tolist() == [19, 4, 4]
    for name, sentence, kind in (
        ("connected", "19 of the 64 masks are connected.", 0), ("H0 preserved", "4 of the 64 masks preserve H0.", 1),
        ("contain the tree", "4 of the 64 masks contain the tree, and these are the masks that preserve H0.", 2),
    ):  # fmt: skip
        view.view.get_by_role("radio", name=name).check()
        assert view.sentence == sentence
        assert view.view.locator('[role=option][opacity="1"]').count() == sum(each[kind] for each in known.values())
    assert view.address == "#masks?show=tree"

    edge = view.view.get_by_role("switch", name="x₁–y₂, 0.3")
    assert edge.get_attribute("aria-checked") == "true"
    edge.click()
    assert view.state["mask"] == "111110" and view.address == "#masks?mask=111110&show=tree"
    assert edge.get_attribute("aria-checked") == "false"
    assert view.sentence == (
        "Weights kept: 5 of 6. The layer is connected, and H0 has changed. Tree edges that are lost: x₁–y₂."
    )
    assert [word in view.view.inner_text() for word in ("✓ connected", "✗ H0 changed", "✗ tree cut")] == [True] * 3
    view.view.get_by_role("option").nth(63).click()
    assert view.state["mask"] == "000000" and "not connected" in view.sentence
    view.view.get_by_role("button", name="Reset").click()
    assert view.state["mask"] == "" and view.address == "#masks" and view.problems == []


def test_by_keyboard_alone_and_by_touch(masks):
    view = masks(touch=True, width=390)
    view.page.keyboard.press("Tab")
    view.page.keyboard.press("ArrowRight")
    view.page.keyboard.press("ArrowRight")
    assert view.state["show"] == "preserving"
    view.page.keyboard.press("Tab")
    view.page.keyboard.press("Space")
    assert view.state["mask"] == "011111" and "H0 has changed" in view.sentence
    for _ in range(6):
        view.page.keyboard.press("Tab")
    seen = []
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft"):
        view.page.keyboard.press(key)
        seen.append(view.state["mask"])
    assert len(set(seen)) == 3 and all(facts(W)[mask][1] for mask in seen) and "H0 is preserved" in view.sentence
    view.view.get_by_role("switch", name="x₀–y₁").tap()
    assert view.state["mask"] != seen[-1]
    view.view.get_by_role("option").nth(5).tap()
    assert view.state["mask"].count("1") == 5
    assert view.view.get_by_role("option").nth(5).get_attribute("aria-selected") == "true"
    sideways = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert not view.page.evaluate(sideways) and view.problems == []


def test_every_mask_of_random_layers_is_judged_as_by_zimp(alive):
    """With ties, zeros, edges that do not exist, and layers of a single row."""
    random = np.random.default_rng(0)
    for m, n in ((3, 2), (1, 4), (2, 5), (2, 3)):
        w = random.normal(size=(m, n)).round(1 if m * n < 8 else 0)
        mask = None if m == 3 else random.random((m, n)) < 0.9
        view = alive(zimp.play(w, mask, view="masks"), theme="dark")
        known = facts(w, mask)
        assert view.view.get_by_role("option").count() == len(known)
        for name, kind in (("connected", 0), ("H0 preserved", 1), ("contain the tree", 2)):
            view.view.get_by_role("radio", name=name).check()
            assert view.sentence.startswith(f"{sum(each[kind] for each in known.values())} of the {len(known)} masks")
        for bits in random.choice(list(known), size=6):
            view.page.evaluate(f"location.hash = '#masks?mask={bits}'")
            assert view.state["mask"] == bits
            connected, preserves, tree = known[bits]
            words = view.view.inner_text()
            assert ("✓ connected" in words) == connected and ("✓ H0 preserved" in words) == preserves
            assert ("✓ has the tree" in words) == tree and f"Weights kept: {bits.count('1')} of" in view.sentence
            pruned = zimp.spanning_forest(w, np.reshape(list(map(int, bits)), w.shape).astype(bool))
            bars = view.view.locator("path[d*=H][style*=tree]").count()
            assert bars == len(pruned.values)
        assert view.problems == []


def test_garbage_in_an_address_gets_a_sentence_and_the_last_mask_stays(masks):
    view = masks(hash="#masks?mask=110111&show=connected")
    start = view.state
    assert start["mask"] == "110111" and start["show"] == "connected"
    for hash, words in {
        "#masks?mask=1101": "does not fit a layer of 6 weights",
        "#masks?mask=12": "a 1 for each weight that stays",
        "#masks?show=<b>all</b>": "it must be one of all, connected",
        "#masks?w=1+2+3+4+5&m=2": "5 weights do not make 2 rows",
        "#masks?w=" + "+".join("1" * 12): "at most 10 numbers",
        "#masks?colour=red": "Was the link cut off?",
    }.items():
        view.page.evaluate("hash => { location.hash = hash; }", hash)
        assert words in view.trouble and view.state == start, hash
    assert view.view.locator("b").count() == 0
    view.page.evaluate("location.hash = '#masks?w=3+2+1+4&m=2&mask=1101'")
    assert view.trouble == "" and view.view.get_by_role("option").count() == 16 and view.problems == []
