"""The scripts of the live views, as text: small, plain, and with nothing of what a page from disk must not do."""

import gzip
import re
from pathlib import Path

import pytest

from zimp import widgets

STATIC = Path(__file__).parents[2] / "book" / "_static"
SCRIPTS = {file.name: file.read_text(encoding="utf-8") for file in sorted(STATIC.glob("zimp-play*.js"))}
FORBIDDEN = [
    r"\bfetch\(", "XMLHttpRequest", r"\bimport\b[ ({]", "https?://(?!www.w3.org/)", r"\beval\(", "new Function",
    "innerHTML", "outerHTML", "insertAdjacentHTML", r"document\.write", "</script",
]  # fmt: skip


def test_every_view_and_every_part_has_its_script():
    parts = {"draw", *widgets.PARTS, *sum(widgets.PARTS.values(), [])}
    assert set(SCRIPTS) == {"zimp-play.js", *(f"zimp-play-{part}.js" for part in parts)}


def test_all_scripts_take_at_most_sixty_kilobytes_with_their_comments():
    assert len(gzip.compress("".join(SCRIPTS.values()).encode())) <= 60_000


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_asks_no_network_runs_no_text_and_inserts_no_markup(name):
    text = SCRIPTS[name]
    for word in FORBIDDEN:
        assert not re.search(word, text), word
    assert max(map(len, text.splitlines())) <= 120
    assert text.count("register(") or name in {
        "zimp-play.js", "zimp-play-train.js", "zimp-play-checkpoint.js", "zimp-play-layer.js",
    }  # fmt: skip
