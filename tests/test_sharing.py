"""The pages where they are found and shared: previews, the map of the site, dates, and the words behind each link."""

import re
import shutil
import subprocess
import sysconfig
from pathlib import Path
from urllib.parse import urljoin

import pytest
import yaml
from bs4 import BeautifulSoup
from PIL import Image
from test_book import BOOK, PAGES, TOC

ADDRESS = yaml.safe_load((BOOK / "_config.yml").read_text(encoding="utf-8"))["html"]["baseurl"]


@pytest.mark.parametrize("page", ["index", *PAGES])
def test_a_page_says_what_it_is_where_it_is_shared(site, page):
    head = BeautifulSoup((site / f"{page}.html").read_text(encoding="utf-8").split("</head>")[0], "html.parser")
    said = {tag.get("property") or tag.get("name"): tag["content"] for tag in head.find_all("meta", content=True)}
    address = urljoin(ADDRESS, f"{TOC['root'] if page == 'index' else page}.html")
    assert said["og:url"] == address
    if page == "index":
        assert address.endswith(head.find("meta", {"http-equiv": "refresh"})["content"].removeprefix("0; url="))
    else:
        assert head.find("link", rel="canonical")["href"] == address
    assert said["og:title"] and said["twitter:card"] == "summary_large_image"
    assert len(said["og:description"]) > 40 and said["description"] == said["og:description"]
    assert "\\" not in said["description"], "formulas in plain words"
    assert said["og:image"].startswith(ADDRESS) and said["og:image:alt"]
    with Image.open(site / said["og:image"].removeprefix(ADDRESS)) as card:
        assert card.size == (int(said["og:image:width"]), int(said["og:image:height"])) == (1200, 630)


def test_the_map_of_the_site_has_every_page_and_nothing_else(site):
    listed = re.findall("<loc>(.*?)</loc>", (site / "sitemap.xml").read_text(encoding="utf-8"))
    assert sorted(listed) == sorted(urljoin(ADDRESS, f"{page}.html") for page in PAGES)


def test_a_page_says_when_it_was_changed(site):
    def git(*arguments):
        return subprocess.run(["git", *arguments], cwd=BOOK, capture_output=True, text=True).stdout.split()

    if not shutil.which("git") or git("rev-parse", "--is-shallow-repository") != ["false"]:
        pytest.skip("needs git and the history")
    changed = git("ls-tree", "--name-only", "HEAD")
    for page in PAGES:
        says = "Last updated on" in (site / f"{page}.html").read_text(encoding="utf-8")
        assert says == (f"{page}.md" in changed), page


@pytest.mark.slow
def test_where_there_is_no_git_a_page_builds_and_has_no_date(tmp_path):
    for part in ("_ext", "_static", "_templates"):
        shutil.copytree(BOOK / part, tmp_path / part)
    for file in ("_config.yml", "references.bib"):
        shutil.copy(BOOK / file, tmp_path)
    root = TOC["root"]
    (tmp_path / "_toc.yml").write_text(f"format: jb-book\nroot: {root}\n", encoding="utf-8")
    (tmp_path / f"{root}.md").write_text("# A page\n\nSome words.\n", encoding="utf-8")
    build = [Path(sysconfig.get_path("scripts")) / "jupyter-book", "build", tmp_path, "-W", "--keep-going"]
    done = subprocess.run(list(map(str, build)), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    page = (tmp_path / "_build" / "html" / f"{root}.html").read_text(encoding="utf-8")
    assert "Some words." in page and "Last updated" not in page


KINDS = "dt[id^=term-], div.proof, div.exercise, div.math, figure, div.citation, dt.sig"


def test_each_link_to_something_with_words_has_them_for_its_tip(site):
    """And no more: whatever else a link leads to has none."""

    def read(page):
        text = (site / page).read_text(encoding="utf-8")
        return BeautifulSoup(re.sub(r"<(svg|script|style|pre)\b.*?</\1>", "", text, flags=re.S), "html.parser")

    read_once, expected = {}, 0
    for page in (f"{name}.html" for name in PAGES):
        read_once[page] = read(page)
    for page, soup in read_once.items():
        has = [template["data-href"] for template in soup.select("template[data-href]")]
        assert len(has) == len({*has}) and not soup.select("template :is(a, [id])"), page
        wants = set()
        for link in soup.select("article a.internal[href*='#']"):
            target, _, anchor = link["href"].partition("#")
            place = read_once.get(target or page)
            if place and (found := place.find(id=anchor)) and found.css.match(KINDS):
                wants.add(link["href"])
        assert {*has} <= wants, page
        lacking = [href for href in wants - {*has} if "api.html" not in href]  # a function may have no sentence
        assert not lacking, (page, lacking)
        expected += len(wants)
    assert expected > 300
