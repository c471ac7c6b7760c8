"""The notebooks that are made from the pages: read like them, with a first cell that brings what they need.

That JupyterLab shows and runs them, test_jupyterlab.py shows for one, and rehearsal/notebooks.py for all.
"""

import ast
import importlib.util
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import pytest
import yaml
from docutils import nodes
from packaging.requirements import Requirement
from test_book import BOOK, PAGES, Page

ROOT = BOOK.parent
FORMS = BOOK / "forms"
CODE = [page for page in PAGES if "{code-cell}" in (BOOK / f"{page}.md").read_text(encoding="utf-8")]
CONFIG = yaml.safe_load((BOOK / "_config.yml").read_text(encoding="utf-8"))
HIDDEN = {"hide-input", "remove-input", "remove-cell"}


parsed = cache(Page)


def load(name):
    """A module of the forms, by another name than the rehearsals have."""
    sys.path.insert(0, str(FORMS))
    try:
        spec = importlib.util.spec_from_file_location(f"forms_{name}", FORMS / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(FORMS))


@pytest.fixture(scope="session")
def read(branch):
    """The notebook of a page."""
    made = {file.stem: nbformat.read(file, as_version=4) for file in branch.glob("*.ipynb")}
    return made.__getitem__


def words(notebook):
    """The text of a notebook, without its blocks of code, and without what stands in code and formulas."""
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    text = re.sub(r"^([> ]*)(```+).*?^\1\2$", "", text, flags=re.M | re.S)
    return re.sub(r"(`+).+?\1|\$\$.+?\$\$|(?<!\\)\$.+?\$", "", text)


def test_each_page_with_code_has_its_notebook_and_the_zip_has_the_same(branch):
    assert {file.stem for file in branch.glob("*.ipynb")} == set(CODE)
    with zipfile.ZipFile(branch / "notebooks.zip") as bundle:
        for page in CODE:
            assert bundle.read(f"notebooks/{page}.ipynb") == (branch / f"{page}.ipynb").read_bytes()
        stored = {name.split("/")[-1] for name in bundle.namelist() if name.startswith("notebooks/results/")}
    assert stored == {file.name for file in (BOOK / "results").iterdir() if file.suffix == ".json"}


@pytest.mark.parametrize("page", CODE)
def test_no_key_role_or_directive_is_left_in_the_text(read, page):
    left = words(read(page))
    for raw in (r"\{[\w:-]+\}", r"^\s*:::", r"^\s*:\w+:", r"\bglue\b", r"(?<!\\)\$"):
        assert not re.search(raw, left, flags=re.M), re.search(f".*{raw}.*", left, flags=re.M)[0]


NUMBERED_PARTS = r"(?:Theorem|Lemma|Definition|Algorithm|Exercise|Fig\.|Table) [\d.]*\d"


@pytest.mark.parametrize("page", CODE)
def test_statements_exercises_and_figures_have_the_numbers_of_the_site(read, site, page):
    text = re.sub("<template.*?</template>", "", (site / f"{page}.html").read_text("utf-8"), flags=re.S)  # tips
    shown = re.findall(r'<span class="caption-number">([^<]*\d)\s*<', text)
    made = re.findall(rf"^(?:> )?\*\*({NUMBERED_PARTS})", words(read(page)), flags=re.M)
    assert made == shown


@pytest.mark.parametrize("page", CODE)
def test_links_lead_to_what_is_on_the_site(read, site, page):
    base = CONFIG["html"]["baseurl"]
    links = re.findall(r"\]\(([^()\s]+)\)", words(read(page)))
    assert links and all(urlsplit(link).scheme == "https" for link in links)
    for link in links:
        if link.startswith(base):
            parts = urlsplit(link.removeprefix(base))
            target = parsed(site / parts.path)
            assert not parts.fragment or parts.fragment in target.anchors, link


@pytest.mark.parametrize("page", CODE)
def test_the_code_is_that_of_the_page_and_what_it_hides_is_folded(read, site, page):
    executed = nbformat.read(site.parent / "jupyter_execute" / f"{page}.ipynb", as_version=4)
    before = [cell for cell in executed.cells if cell.cell_type == "code"]
    first, *after = [cell for cell in read(page).cells if cell.cell_type == "code"]
    assert [cell.source for cell in after] == [cell.source for cell in before]
    for old, new in zip(before, after):
        if HIDDEN & set(old.metadata.get("tags", ())):
            assert new.metadata.jupyter.source_hidden and new.metadata.cellView == "form"
    assert first.metadata.jupyter.source_hidden and str(ROOT) not in nbformat.writes(read(page))


def test_solutions_are_folded_with_their_code(read):
    cells = read("critical_compression").cells
    start = next(k for k, cell in enumerate(cells) if "<summary><b>Solution to Exercise 5.2 (Code)</b>" in cell.source)
    code = next(cell for cell in cells[start:] if cell.source.startswith("lenet = "))
    assert code.metadata.jupyter == {"source_hidden": True, "outputs_hidden": True} and code.outputs


@pytest.mark.parametrize("page", CODE)
def test_explorers_and_figures_are_seen_before_a_cell_has_run(read, page):
    """Of a notebook that is not trusted JupyterLab shows no SVG and no widget; Colab has not got the widgets."""
    cells = read(page).cells
    for cell in cells:
        for output in cell.get("outputs", ()):
            assert not [kind for kind in output.get("data", ()) if "widget" in kind or "papermill" in kind]
            shown = output.get("data", {}).get("text/html", "").partition("<script")[0]
            assert 'role="img"' not in shown and ("zimp-figure" in shown) <= ("data:image/svg+xml" in shown)
        if cell.cell_type == "code" and "zimp.explorer(" in cell.source:
            assert any("zimp-slides" in output.data["text/html"] for output in cell.outputs)


@pytest.mark.parametrize("page", CODE)
def test_the_first_cell_brings_what_the_page_imports_and_reads(read, page):
    """Colab has Python, and nothing of ours."""
    first, *cells = [cell.source for cell in read(page).cells if cell.cell_type == "code"]
    (installed,) = re.findall(r'%pip install -q "(.*)"', first)
    requirement, project = (
        Requirement(installed),
        tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"],
    )
    assert requirement.name == "zimp" and requirement.url.startswith(f"{CONFIG['repository']['url']}/archive/")
    brought = [*project["dependencies"]]
    for extra in requirement.extras:
        brought += project["optional-dependencies"][extra]
    brought = {"zimp", "ipython"} | {Requirement(line).name for line in brought}
    owners = packages_distributions()
    for module in {name for cell in cells for name in imported(cell)} - sys.stdlib_module_names:
        assert brought & {"zimp" if module == "zimp" else owner.lower() for owner in owners[module]}, module
    assert ("results" in first) == any("results/" in cell for cell in cells)


def imported(source):
    """The modules that a cell imports."""
    lines = [line for line in source.splitlines() if not line.lstrip().startswith(("%", "!"))]
    for node in ast.walk(ast.parse("\n".join(lines))):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("page", PAGES)
def test_the_target_of_each_button_is_on_the_branch_that_the_workflow_pushes(branch, site, page):
    repository = CONFIG["repository"]["url"].removeprefix("https://github.com/")
    opens = [
        rf"https://mybinder\.org/v2/gh/{repository}/notebooks\?urlpath=lab/tree/(.*)",
        rf"https://colab\.research\.google\.com/github/{repository}/blob/notebooks/(.*)",
        rf"https://github\.com/{repository}/raw/notebooks/(.*)",
    ]
    links = parsed(site / f"{page}.html").links
    for pattern in opens:
        files = [match[1] for link in links if (match := re.fullmatch(pattern, link))]
        assert all((branch / file).is_file() for file in files)
        assert (f"{page}.ipynb" in files) == (page in CODE)
    others = [link for link in links if re.search(r"mybinder|colab\.research\.google\.com/.", link)]
    assert all(any(re.fullmatch(pattern, link) for pattern in opens) for link in others)
    assert (site / "_sources" / f"{page}.md").exists() and f"_sources/{page}.md" in links  # for who works on the book


def test_the_workflow_pushes_the_folder_of_the_notebooks():
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "book.yml").read_text(encoding="utf-8"))["jobs"]
    made = [step for step in jobs["build"]["steps"] if "forms/make.py notebooks" in step.get("run", "")]
    stored = [step["with"] for step in jobs["build"]["steps"] if step.get("with", {}).get("name") == "notebooks"]
    assert len(made) == 1 and [step["path"] for step in stored] == ["book/_build/forms/notebooks"]
    assert jobs["build"]["permissions"] == {"contents": "read"}
    fetched, pushed = jobs["notebooks"]["steps"]
    assert fetched["with"]["name"] == "notebooks" and pushed["run"].rstrip().endswith(" notebooks")


def test_binder_installs_the_package_at_the_commit_and_trusts_the_notebooks(branch):
    environment = yaml.safe_load((branch / "environment.yml").read_text(encoding="utf-8"))
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    (package,) = [Requirement(line) for line in pip if line.startswith("zimp")]
    assert package.extras == {"notebooks", "course"} and "-c constraints.txt" in pip and "notebook" in pip
    assert (branch / "constraints.txt").read_bytes() == (ROOT / "constraints.txt").read_bytes()
    # Binder starts `jupyter notebook`, and the one that it brings asked for an older JupyterLab than ours.
    assert "jupyter trust *.ipynb" in (branch / "postBuild").read_text(encoding="utf-8")
    assert sys.platform == "win32" or (branch / "postBuild").stat().st_mode & 0o111


# The parts, by themselves


writer = load("markdown_writer")


def written(*children):
    """The Markdown of a page that has these nodes."""
    page = writer.Writer("page", lambda target: f"https://book/{target}", lambda node: "Theorem 3.1", lambda node: "")
    return page.blocks(nodes.Element("", *children))


def paragraph(*children):
    return nodes.paragraph("", "", *(nodes.Text(child) if isinstance(child, str) else child for child in children))


@pytest.mark.parametrize(
    "text, markdown",
    [
        ("a * b_c [d] `e` \\f", r"a \* b\_c \[d\] \`e\` \\f"),
        ("costs $5 & <b>more</b>", r"costs \$5 &amp; &lt;b&gt;more&lt;/b&gt;"),
        ("1. is no list", r"1\. is no list"),
        ("- nor is this", r"\- nor is this"),
        ("two\nlines", "two lines"),
    ],
)
def test_words_stay_words(text, markdown):
    assert written(paragraph(text)) == [markdown]


def test_inline_parts():
    parts = nodes.math("", "a\n< b"), nodes.literal("", "x`y"), nodes.strong("", "", nodes.emphasis("", "z"))
    swatch = nodes.inline("", "the tree", classes=["zimp-swatch", "zimp-tree"])
    link = nodes.reference("", "a page", refuri="other.html#part")
    here = nodes.reference("", "here", refid="part")
    (made,) = written(paragraph(*parts, " ", swatch, " ", link, " ", here))
    assert made.startswith('$a < b$``x`y``***z*** <span style="color: #D55E00">■</span>&nbsp;the tree [')
    assert made.endswith("[a page](https://book/other.html#part) [here](https://book/page.html#part)")


def test_a_formula_stays_on_one_line_in_a_quote():
    box = nodes.admonition("", nodes.title("", "Box"), nodes.math_block("", "a &= b \\\\\n&= c"))
    assert written(box) == ["> **Box**\n>\n> $$\\begin{split}a &= b \\\\ &= c\\end{split}$$"]


def test_lists_nest():
    inner = nodes.bullet_list("", nodes.list_item("", paragraph("in")))
    outer = nodes.enumerated_list(
        "", nodes.list_item("", paragraph("one"), inner), nodes.list_item("", paragraph("two"))
    )
    assert written(outer) == ["1. one\n\n   - in\n\n2. two"]


def test_a_bar_does_not_end_a_cell_of_a_table():
    entries = [nodes.entry("", paragraph(text)) for text in ("a|b", nodes.math("", "|x|"))]
    rows = nodes.thead("", nodes.row("", *entries)), nodes.tbody("", nodes.row("", nodes.entry("", paragraph("c"))))
    assert written(nodes.table("", nodes.tgroup("", *rows))) == ["| a\\|b | $\\vert x\\vert $ |\n| --- | --- |\n| c |"]


def folded(*children):
    title = nodes.rubric("", "Answer")
    return nodes.container("", title, *children, design_component="dropdown", is_div=True)


def test_what_is_folded_has_empty_lines_around_its_markdown():
    assert written(folded(paragraph("yes"))) == ["<details>\n<summary><b>Answer</b></summary>\n\nyes\n\n</details>"]


def test_a_cell_cannot_be_folded_in_and_stands_after_what_leads_to_it():
    cell = nodes.container("", nb_element="cell_code", cell_index=7)
    first, code, last = written(folded(paragraph("before"), cell, paragraph("after")))
    assert (code.number, code.folded) == (7, True)
    assert "before" in first and "Answer, continued" in last and "after" in last


def test_a_statement_is_a_quote_with_its_number():
    class theorem_node(nodes.Admonition, nodes.Element):  # noqa: N801, as the extension names it
        pass

    theorem = theorem_node("", nodes.title("", " (A tree)"), paragraph("It is."), countertype="theorem")
    assert written(theorem) == ["> **Theorem 3.1 (A tree)**\n>\n> It is."]


def test_a_node_that_is_not_known_is_written_as_what_it_contains():
    class question(nodes.General, nodes.Element):  # noqa: N801
        pass

    assert written(question("", paragraph("How many?"), folded(paragraph("Two.")))) == [
        "How many?",
        "<details>\n<summary><b>Answer</b></summary>\n\nTwo.\n\n</details>",
    ]


FAULTS = {
    "keys": ("{glue:text}`no-key:.2f`", "keys.md: no cell glues no-key"),
    "cites": ("{cite}`nobody2000`", "nobody2000"),
    "refers": ("{numref}`fig-nowhere`", "fig-nowhere"),
}
HEAD = (
    "---\njupytext:\n  text_representation:\n    format_name: myst\n"
    "kernelspec:\n  name: python3\n  display_name: Python 3\n---\n# A page\n\n"
)


@pytest.mark.slow
def test_what_cannot_be_filled_in_stops_the_form_and_is_named_with_its_page(tmp_path):
    """A build that has only warned, as one without -W does."""
    source = tmp_path / "book"
    source.mkdir()
    for page, (text, _) in FAULTS.items():
        (source / f"{page}.md").write_text(f"{HEAD}```{{code-cell}}\n1 + 1\n```\n\n{text}\n", encoding="utf-8")
    (source / "references.bib").write_text("@misc{a2020, title={A}, author={B, C}, year={2020}}\n")
    chapters = [{"file": page} for page in FAULTS]
    toc = {"format": "jb-book", "root": chapters[0]["file"], "chapters": chapters[1:]}
    config = {"execute": {"execute_notebooks": "off"}, "bibtex_bibfiles": ["references.bib"]}
    config |= {"title": "A book", "html": {"baseurl": "https://book/"}}
    config["sphinx"] = {"config": {"thebe_config": {"always_load": False}}}  # which Jupyter Book wants to find
    (source / "_toc.yml").write_text(yaml.safe_dump(toc))
    (source / "_config.yml").write_text(yaml.safe_dump(config))
    command = [Path(sysconfig.get_path("scripts")) / "jupyter-book", "build", source, "--path-output", tmp_path]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    script = (
        "import sys; from pathlib import Path; import make, notebooks\n"
        f"made = Path({str(tmp_path)!r}, 'made'); made.mkdir()\n"
        f"try: notebooks.make(make.Built(Path({str(source)!r}), Path({str(tmp_path / '_build')!r})), made)\n"
        "except make.Problem as problem: print(problem)\n"
        "else: sys.exit('no problem')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=FORMS, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for page, (_, named) in FAULTS.items():
        assert re.search(rf"{page}\.md\b.*{re.escape(named.partition(': ')[2] or named)}", done.stdout), done.stdout


@pytest.mark.slow
def test_an_explorer_without_widgets_moves_by_keyboard(browser):
    """As on Colab."""
    from zimp.widgets import slides

    pictures = [f'<div role="img" aria-label="{rate} {level}">{rate}{level}</div>' for rate in "ab" for level in "012"]
    page = browser.new_page()
    try:
        page.set_content(slides({"rate": ["a", "b"], "the_level": ["0", "1", "2"]}, pictures))
        rate, level = page.get_by_role("slider").all()
        assert page.get_by_role("slider", name="the level").count() == 1
        level.press("ArrowRight")
        rate.press("ArrowRight")
        assert page.get_by_role("img").get_attribute("aria-label") == "b 1"
        assert (rate.get_attribute("aria-valuetext"), level.get_attribute("aria-valuetext")) == ("b", "1")
        level.press("End")
        level.press("ArrowRight")
        assert page.get_by_role("img").all_inner_texts() == ["b2"]
    finally:
        page.close()
