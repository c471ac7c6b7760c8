"""Tips: the words that a link leads to, put into its page for ``zimp-tips.js`` to show beside the link.

A term comes with what it means, a statement, exercise or equation whole, a figure or table with its caption, a source
with its reference, and a function with its first sentences. They are taken from the pages as they were written, where
all numbers and references are filled in. ``sphinx-tippy`` does much of this, with two libraries that only npm has.
"""

import re
from copy import copy
from functools import cache
from pathlib import Path

from bs4 import BeautifulSoup

DRAWN = re.compile(r"<(svg|script|style|pre)\b.*?</\1>", flags=re.S)  # has no words for tips, and nearly all the weight
MARK = "<!-- tips -->"


def setup(app):
    """Add the tips when all pages are written."""
    app.connect("build-finished", add_tips)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def add_tips(app, exception):
    """Write a template for each place that a page links to, at the end of the page."""
    if exception or app.builder.name != "html":
        return
    pages = {f"{name}.html": Path(app.outdir, f"{name}.html") for name in app.env.found_docs}

    @cache
    def article(name):
        found = re.search(r"<article.*?</article>", pages[name].read_text(encoding="utf-8"), flags=re.S)
        return BeautifulSoup(DRAWN.sub("", found[0]), "html.parser")

    for name, page in pages.items():
        tips = {}
        for link in article(name).select("a.internal[href*='#']"):
            target, _, anchor = link["href"].partition("#")
            if target in {"", *pages} and (words := tip(article(target or name).find(id=anchor))):
                tips[link["href"]] = f'<template data-href="{link["href"]}">{words}</template>'
        text = page.read_text(encoding="utf-8")
        text = re.sub(f"{MARK}.*?(?=</body>)", "", text, flags=re.S)  # of the last build, if only others changed
        before, end, after = text.rpartition("</body>")
        page.write_text(before + "\n".join([MARK, *tips.values(), end]) + after, encoding="utf-8")


def tip(target):
    """What a tip shows of an element, as HTML with nothing in it that could be followed or linked to; or None."""
    kinds = {
        "dt[id^=term-]": lambda: target.find_next("dd"),
        "div:is(.proof, .exercise, .math)": lambda: target,
        "figure": lambda: target.figcaption,
        "div.citation": lambda: target.p,
        "dt.sig": lambda: target.parent.select_one("dd > p"),
    }
    found = next((take() for kind, take in kinds.items() if target and target.css.match(kind)), None)
    if not found:
        return None
    found = copy(found)
    for extra in found.select(".headerlink, details, img, button"):
        extra.decompose()
    for part in [found, *found.find_all(True)]:
        part.attrs = {name: value for name, value in part.attrs.items() if name in ("class", "colspan", "rowspan")}
    for link in found.find_all("a"):
        link.unwrap()
    return found.decode_contents() if found.name in ("dd", "figcaption") else found.decode()
