"""The questions that answer: their form, what they claim, and how they are answered in a browser."""

import importlib.util
import json
import re
from io import StringIO
from itertools import combinations, product
from math import ceil, log

import numpy as np
import pytest
import torch
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace
from test_book import BOOK, SHORT, SOURCES
from test_browser import AXE, CONTRASTS, modules, visit  # noqa: F401, two are fixtures

import zimp
from zimp import plots
from zimp.lab.experiments import Results

SCRIPT = (BOOK / "_static" / "zimp-questions.js").read_text(encoding="utf-8")
_file = importlib.util.spec_from_file_location("questions", BOOK / "_ext" / "questions.py")
extension = importlib.util.module_from_spec(_file)
_file.loader.exec_module(extension)

SOURCE = re.compile(r"^```\{question\}\n:label: (q-[a-z-]+)\n(.*?)^```$", flags=re.M | re.S)
QUESTIONS = {page: {label: extension.read(text) for label, text in SOURCE.findall(SOURCES[page])} for page in SHORT}
CHOICES = {label: choices for found in QUESTIONS.values() for label, (_, choices) in found.items()}


def right(label):
    return next(words for is_right, words, _ in CHOICES[label] if is_right)


# How questions are written


@pytest.mark.parametrize("page", SHORT)
def test_a_chapter_has_three_to_five_questions_before_its_exercises(page):
    text = SOURCES[page]
    asked = text[text.index("\n## Check yourself\n") : text.index("\n## Exercises\n")]
    assert 3 <= len(QUESTIONS[page]) == asked.count("{question}") == text.count("{question}") <= 5


def test_each_label_is_used_once_and_the_right_choice_has_no_favourite_place():
    assert len(CHOICES) == sum(map(len, QUESTIONS.values()))
    places = [[right for right, _, _ in choices].index(True) for choices in CHOICES.values()]
    assert max(map(places.count, places)) <= len(places) / 2


def test_explanations_are_short_and_no_choice_is_there_twice():
    for label, choices in CHOICES.items():
        assert 3 <= len(choices) <= 5, label
        assert len({words for _, words, _ in choices}) == len(choices), label
        assert "$" not in "".join(words for _, words, _ in choices), "a radio button's name is text"
        for _, _, explanation in choices:
            sentences = re.split(r"(?<=[.?!]) ", explanation)
            assert 1 <= len(sentences) <= 2 and explanation.endswith("."), (label, explanation)
            assert len(explanation.split()) <= 32 and "{cite}" not in explanation, (label, explanation)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Why?\n\n* [x] a\n  A.\n* [x] b\n  B.", "2 choices, 2 of them right"),
        ("Why?\n\n* [ ] a\n  A.\n* [ ] b\n  B.", "2 choices, 0 of them right"),
        ("Why?\n\n* [x] a\n  A.", "1 choices, 1 of them right"),
        ("Why?\n\n* [x] a\n  A.\n* [ ] b", "the choice 'b' with no explanation"),
    ],
)
def test_a_question_that_cannot_be_answered_is_named(text, found):
    with pytest.raises(ValueError, match=re.escape(found)):
        extension.read(text)


@pytest.fixture
def built(tmp_path):
    """What another builder of Sphinx makes of a page."""

    def built(source, builder="text"):
        (tmp_path / "index.md").write_text(source, encoding="utf-8")
        (tmp_path / "conf.py").write_text(
            f"import sys; sys.path.append({str(BOOK / '_ext')!r})\n"
            "extensions = ['myst_parser', 'sphinx_design', 'questions']\n"
            "myst_enable_extensions = ['dollarmath']\n"
        )
        out = tmp_path / builder
        warnings = StringIO()
        with docutils_namespace():
            Sphinx(tmp_path, tmp_path, out, tmp_path / "doctrees", builder, status=None, warning=warnings).build()
        return next(out.glob("index.*")).read_text(encoding="utf-8"), warnings.getvalue()

    return built


EXAMPLE = """# Page

```{question}
:label: q-example
Two rounds at a rate of $0.5$: how *much* remains?

* [ ] nothing
  The second round prunes half of what remains.
* [x] a quarter
  Each round halves what it finds.
```
"""


@pytest.mark.parametrize("builder", ["text", "pseudoxml"])
def test_without_a_page_of_the_site_a_question_is_a_list_with_its_answers(built, builder):
    text, warnings = built(EXAMPLE, builder)
    assert not warnings
    for part in ("how", "nothing", "a quarter", "Answers", "Not this one", "half of what remains", "Right"):
        assert part in text
    if builder == "pseudoxml":
        nodes = set(re.findall(r"<(\w+)", text))
        assert nodes <= {
            "document", "section", "title", "container", "paragraph", "math", "emphasis", "enumerated_list",
            "list_item", "rubric", "strong",
        }  # fmt: skip


def test_a_question_without_a_label_or_with_two_right_choices_stops_the_build_by_name(built):
    _, warnings = built(EXAMPLE.replace(":label: q-example\n", ""))
    assert "index.md:3" in warnings and "a question has no label" in warnings
    _, warnings = built(EXAMPLE.replace("[ ]", "[x]"))
    assert "question 'q-example' has 2 choices, 2 of them right" in warnings


# What they claim

LAYER = np.array([[0.9, -0.2], [0.1, 0.5], [-0.8, 0.3]])  # of the chapters on graphs and components
MASKS = [np.reshape(bits, (3, 2)) for bits in product([False, True], repeat=6)]


def deaths(weights, mask=None):
    return zimp.persistence_diagram(weights, mask, scale=np.abs(weights).max())[:, 1].round(12)


def stored(name):
    return Results.load(BOOK / "results" / f"{name}.json")


def halves():
    assert right("q-halves") == str(ceil(log(0.1) / log(0.5)))
    assert 0.5**2 == 1 / 4 and 0.1 < 0.5**3 and 0.5**4 == 1 / 16


def luck():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(8, 12))
    tree = zimp.spanning_forest(weights).mask
    shares = [zimp.random_mask(weights, 29, generator=rng)[tree].mean() for _ in range(1000)]
    assert abs(np.mean(shares) - 29 / 96) < 0.01


def fair():
    results = stored("levels_mnist")
    for layer in ("fc1.weight", "fc2.weight", "output.weight"):
        magnitude, random = (results.curve(method, "kept", layer) for method in ("magnitude", "random"))
        assert (np.abs(magnitude - random) <= 1).all()  # up to rounding
    assert results.curve("random", "beta0", "fc1.weight").max() > 1


def most():
    weights = np.random.default_rng(0).normal(size=(5, 6))
    tree = zimp.spanning_forest(weights).mask
    lost = np.zeros_like(tree)
    lost[tuple(np.argwhere(tree)[0])] = True
    assert [zimp.count_components(mask) for mask in (tree & ~lost, ~lost)] == [2, 1]
    assert tree.sum() == 10 and (~lost)[tree].sum() == 9


def sign():
    def graph(weights):
        return np.abs(weights) / np.abs(weights).max()

    assert np.array_equal(graph(LAYER), graph(-2 * LAYER)) and np.array_equal(deaths(LAYER), deaths(-2 * LAYER))


def product_of_weights_and_mask():
    weights = np.array([[0.9, 0.0], [0.0, 0.5], [-0.8, 0.0]])
    masks = np.ones_like(weights, dtype=bool), weights != 0
    assert np.array_equal(weights * masks[0], weights * masks[1])
    assert [zimp.count_components(mask) for mask in masks] == [1, 2]


def pieces():
    found = set()
    for bits in product([False, True], repeat=12):
        mask = np.reshape(bits, (3, 4))
        if mask.any(axis=0).all() and mask.any(axis=1).all():
            found.add(zimp.count_components(mask))
    assert min(found) == 1 and right("q-pieces") == str(max(found))


def constant():
    layer = torch.nn.Linear(4, 3)
    with torch.no_grad():
        layer.weight[1], layer.bias[1] = 0, 0.5
        sent = layer(torch.randn(100, 4)).relu()
    assert (sent[:, 1] == 0.5).all()


def bars():
    for mask in MASKS:
        if zimp.count_components(mask) == 2:
            infinite = np.isinf(deaths(LAYER, mask)).sum()
            assert right("q-bars") == f"{5 - infinite} and {infinite}"


def square():
    for seed in range(20):
        weights = np.random.default_rng(seed).normal(size=(4, 5))
        weights /= np.abs(weights).max()
        assert np.array_equal(zimp.spanning_forest(weights).mask, zimp.spanning_forest(weights**2).mask)
        a = 1 - deaths(weights)[:-1]
        assert np.allclose(deaths(weights**2)[:-1], 1 - a**2) and not np.allclose(a, a**2)


def back():
    preserving = [mask for mask in MASKS if np.array_equal(deaths(LAYER, mask), deaths(LAYER))]
    assert preserving
    for mask in preserving:
        for edge in np.argwhere(~mask):
            larger = mask.copy()
            larger[tuple(edge)] = True
            assert np.array_equal(deaths(LAYER, larger), deaths(LAYER))


def same():
    exchanged, column = LAYER[[1, 0, 2]], np.array([[0.9], [0.8], [0.5], [0.3]])
    for other in (exchanged, column):
        assert np.array_equal(deaths(other), deaths(LAYER))
        thresholds = np.linspace(0, 1, 50)
        assert np.array_equal(zimp.betti_curve(other, thresholds), zimp.betti_curve(LAYER, thresholds))
    assert not np.array_equal(zimp.spanning_forest(exchanged).mask, zimp.spanning_forest(LAYER).mask)


def lost():
    rng, seen = np.random.default_rng(0), 0
    for _ in range(300):
        weights = rng.normal(size=rng.integers(3, 12, size=2))
        tree = zimp.spanning_forest(weights).mask
        mask = zimp.magnitude_mask(weights, rng.integers(1, weights.size))
        if zimp.count_components(mask) == 4:
            seen += 1
            assert right("q-lost") == str((tree & ~mask).sum())
    assert seen > 10


def any_mask():
    weights = np.random.default_rng(0).normal(size=(3, 3))
    tree = zimp.spanning_forest(weights).mask
    masks = (np.reshape(bits, (3, 3)) for bits in product([False, True], repeat=9))
    assert {3, 4, 5} <= {int(mask[tree].sum()) for mask in masks if zimp.count_components(mask) == 1}


def untrained():
    torch.manual_seed(0)
    weights = zimp.prunable(zimp.lenet_300_100(64))["fc2.weight"].detach().numpy()
    tree = zimp.spanning_forest(weights).mask
    mask = zimp.magnitude_mask(weights, ceil(zimp.safe_density(weights) * weights.size))
    assert zimp.count_components(mask) == 1 and mask[tree].all() and mask.mean() < 0.5


def thin():
    m, n = 300, 784
    density = zimp.connectivity_density(m, n)
    outputs, inputs = m * (1 - density) ** n, n * (1 - density) ** m  # expected without a weight
    assert inputs > 1000 * outputs
    rng, last = np.random.default_rng(0), []
    for _ in range(30):
        weights = rng.random((30, 78))
        forest = zimp.spanning_forest(weights)
        last.append(weights[:, forest.cols[-1]].max() == forest.values[-1])
    assert np.mean(last) > 0.9


def exactly():
    found = set()
    for edges in combinations(range(12), 6):
        mask = np.zeros(12, dtype=bool)
        mask[list(edges)] = True
        connected = zimp.count_components(mask.reshape(3, 4)) == 1
        has_cycle = len(zimp.spanning_forest(np.ones((3, 4)), mask.reshape(3, 4))) < 6
        assert connected != has_cycle
        found.add(connected)
    assert found == {True, False}


def double():
    assert round(zimp.critical_compression(2000, 2000) / zimp.critical_compression(1000, 1000), 2) == 2


def average():
    layers = (10, 9), (100, 99)
    assert [zimp.critical_compression(*layer) for layer in layers] == [5, 50]
    weights, trees = zip(*((m * n, m + n - 1) for m, n in layers), strict=True)
    assert trees[1] > trees[0] and sum(weights) / sum(trees) > 27.5


def room():
    weights = np.random.default_rng(0).normal(size=(60, 80))
    keep = 4 * 139
    assert np.array_equal(deaths(weights, zimp.topological_mask(weights, keep)), deaths(weights))
    ratios = []  # of the density at which IMP's layer is last connected, to that of one cut
    for data in ("mlp", "mnist"):
        levels, cut = stored(f"levels_{data}"), stored(f"one_shot_{data}")
        for layer in ("fc1.weight", "fc2.weight", "output.weight"):
            last = (levels.curve("magnitude", "beta0", layer) > 1).argmax(axis=1) - 1
            kept = levels.curve("magnitude", "kept", layer)
            density = kept[np.arange(len(last)), last] / kept[:, 0]
            ratios.append(density.mean() / cut.curve("trained", "safe_density", layer)[:, 0].mean())
    assert sum(0.95 < ratio < 1.25 for ratio in ratios) == 5 and max(ratios) > 1.5  # and none breaks later


def common():
    rng, seen = np.random.default_rng(0), 0
    for _ in range(200):
        weights = rng.normal(size=(12, 18))
        masks = zimp.magnitude_mask(weights, 29), zimp.topological_mask(weights, 29)
        if zimp.count_components(masks[0]) == 5:
            seen += 1
            assert right("q-common") == str((masks[0] & masks[1]).sum())
    assert seen > 3


def rewound():
    rng = np.random.default_rng(0)
    first, trained = rng.normal(size=(2, 12, 18))
    mask = zimp.topological_mask(trained, 60)
    tree = zimp.spanning_forest(trained).mask
    assert zimp.count_components(mask) == 1
    assert not np.array_equal(deaths(first, mask), deaths(trained))
    assert not np.array_equal(zimp.spanning_forest(first, mask).mask, tree)


def heavier():
    weights = np.random.default_rng(0).normal(size=(12, 18))
    magnitude, topological = zimp.magnitude_mask(weights, 29), zimp.topological_mask(weights, 29)
    assert np.abs(weights)[magnitude].sum() > np.abs(weights)[topological].sum()
    assert not np.array_equal(deaths(weights, magnitude), deaths(weights))
    assert np.array_equal(deaths(weights, topological), deaths(weights))


def next_level():
    torch.manual_seed(0)
    model = zimp.lenet_300_100(64)
    weights = zimp.prunable(model)
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()}
    masks["output.weight"] = torch.as_tensor(zimp.topological_mask(weights["output.weight"], 109))
    pruned = zimp.prune(model, masks, rate=0.2, criterion="topological")
    assert torch.equal(torch.as_tensor(pruned["output.weight"]), masks["output.weight"])
    for name in ("fc1.weight", "fc2.weight"):
        assert int(pruned[name].sum()) == round(0.8 * masks[name].numel())


def zero():
    differences = np.random.default_rng(0).normal(loc=0.1, size=100)
    mean, half = plots.interval(differences[:10])
    assert abs(mean) < half and plots.interval(differences)[1] < half / 2


def pairing():
    x, luck = np.random.default_rng(0).normal(size=(2, 1000))
    unrelated = np.sqrt(x.var() + luck.var())
    assert (x - (0.9 * x + 0.1 * luck)).std() < 0.2 * unrelated
    assert (x + (0.9 * x + 0.1 * luck)).std() > unrelated
    hardly = 0.9 * 0.05 * x + 0.1 * 0.05 * luck
    assert (x - hardly).std() > 0.9 * np.sqrt(x.var() + hardly.var())


def two_things():
    results = stored("levels_conv")
    topological, random = (results.curve(method, "test_accuracy")[:, -1] for method in ("topological", "random_tree"))
    mean, half = plots.interval(topological - random)
    assert mean > half
    rng = np.random.default_rng(0)
    weights = np.abs(rng.normal(size=(16, 9)))
    tree = zimp.spanning_forest(rng.random((16, 9))).mask
    assert weights[tree].sum() < weights[zimp.spanning_forest(weights).mask].sum()


CLAIMS = {
    f"q-{claim.__name__.replace('_', '-')}": claim
    for claim in (
        halves, luck, fair, most, sign, pieces, constant, bars, square, back, same, lost, any_mask, untrained, thin,
        exactly, double, average, room, common, rewound, heavier, next_level, zero, pairing, two_things,
    )
} | {"q-product": product_of_weights_and_mask}  # fmt: skip


@pytest.mark.parametrize("label", CLAIMS)
def test_what_a_question_claims_is_so(label):
    CLAIMS[label]()


def test_every_question_is_recomputed_but_the_one_about_a_design():
    assert set(CHOICES) - set(CLAIMS) == {"q-control"} and set(CLAIMS) <= set(CHOICES)


# In a browser

PAGE = "critical_compression"
KEPT = "localStorage.getItem('zimp-kept')"
FOCUSED = "document.activeElement"


def reload(page, other=None):
    """Load a page anew, or another one in its place, with what is kept.

    That it is kept so long is up to the browser: of a profile that is in memory only, Chromium lost it now and then.
    """
    page.add_init_script(f"localStorage.setItem('zimp-kept', {json.dumps(page.evaluate(KEPT))})")
    page.goto(other) if other else page.reload()


def choice(page, k):
    """Of the question that is shown."""
    return page.locator(".zimp-question:visible input").nth(k)


def said(page):
    return page.locator(".zimp-question:visible").get_by_role("status")


def tab_until(page, condition):
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate(f"({condition})({FOCUSED})"):
            return
    raise AssertionError(f"the keyboard does not reach {condition}")


def test_a_question_is_answered_by_keyboard_alone_and_remembered_until_forgotten(visit):  # noqa: F811
    page = visit(PAGE)
    assert page.evaluate(KEPT) is None and page.locator(".zimp-kept button").count() == 0
    page.goto(f"{page.url}#check-yourself")
    tab_until(page, "element => element.type === 'radio'")
    page.keyboard.press("Enter")
    assert said(page).inner_text() == "Choose an answer first."
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    assert said(page).inner_text().startswith("Not this one. The number is enough only without cycles")
    page.keyboard.press("ArrowDown")
    assert said(page).inner_text().startswith("Not this one."), "an arrow key only chooses"
    page.keyboard.press("Enter")
    assert said(page).inner_text().startswith("Right. Without a cycle")
    assert said(page).get_attribute("aria-live") == "polite"

    tab_until(page, "element => element.getAttribute('aria-label') === '2, not answered'")
    page.keyboard.press("Enter")
    assert page.locator(".zimp-question:visible").get_attribute("id") == "q-double"
    assert page.evaluate(f"{FOCUSED}.type") == "radio"
    assert json.loads(page.evaluate(KEPT)) == {PAGE: {"answers": {"q-exactly": 1}}}

    reload(page)
    assert page.locator(".zimp-question:visible").get_attribute("id") == "q-double", "the first that is left"
    numbers = page.get_by_role("group", name="Questions").get_by_role("button")
    numbers.first.press("Enter")
    assert choice(page, 1).is_checked() and said(page).inner_text().startswith("Right.")
    tab_until(page, "element => element.textContent === 'Forget them'")
    page.keyboard.press("Enter")
    assert page.evaluate(KEPT) is None and said(page).inner_text() == "" and not choice(page, 1).is_checked()
    assert page.evaluate(f"{FOCUSED}.type") == "radio"
    page.goto(page.url.replace("#check-yourself", "#q-room"))
    assert page.locator(".zimp-question:visible").get_attribute("id") == "q-room", "a link to a question turns to it"
    assert page.problems == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_answers_are_typeset_readable_and_without_a_serious_fault(visit, modules, theme):  # noqa: F811
    page = visit("components", theme)
    page.locator("mjx-container").first.wait_for(state="attached")
    numbers = page.get_by_role("group", name="Questions").get_by_role("button")
    for k, (label, (_, choices)) in enumerate(QUESTIONS["components"].items()):
        numbers.nth(k).click()
        for place, (is_right, _, _) in enumerate(choices):
            choice(page, place).check()
            page.get_by_role("button", name="Check").click()
            assert said(page).inner_text().startswith("Right." if is_right else "Not this one."), label
    numbers.first.click()
    choice(page, 1).check()  # its explanation has two formulas
    page.get_by_role("button", name="Check").click()
    formulas = said(page).locator("mjx-container")
    formulas.nth(1).wait_for(state="attached")
    assert formulas.count() == 2
    kept = page.evaluate(KEPT)
    reload(page)  # what is remembered is said before MathJax is there
    assert page.evaluate(KEPT) == kept
    assert page.locator(".zimp-question:visible").get_attribute("id") == "q-bars", "the first that is not right"
    numbers.first.click()
    formulas.nth(1).wait_for(state="attached")
    assert formulas.count() == 2
    assert page.problems == []
    page.evaluate((modules / "axe-core" / "axe.min.js").read_text(encoding="utf-8"))
    assert page.evaluate(AXE, "light") == []
    assert [] == [text for contrast, text in page.evaluate(CONTRASTS) if contrast < 4.5]


def test_without_javascript_the_answers_are_folded(visit):  # noqa: F811
    page = visit(PAGE, javascript=False)
    questions = page.locator(".zimp-question")
    assert questions.count() == len(QUESTIONS[PAGE]) == page.locator(".zimp-question:visible").count()
    answers = questions.first.locator(".zimp-answers li")
    assert questions.first.locator(".zimp-choices li").count() == answers.count() == 3
    assert not answers.first.is_visible()
    questions.first.locator("summary").click()
    assert answers.first.inner_text().startswith("Not this one.") and answers.nth(1).inner_text().startswith("Right.")


def test_on_paper_all_questions_stand_with_folded_answers_and_nothing_to_press(visit):  # noqa: F811
    page = visit(PAGE)
    choice(page, 1).check()
    page.get_by_role("button", name="Check").click()
    page.emulate_media(media="print")
    for question in page.locator(".zimp-question").all():
        assert question.is_visible() and question.locator("legend").is_visible()
        assert question.locator(".zimp-answers summary").is_visible()
        assert question.locator(":is(input, button, .zimp-said):visible").count() == 0


REFUSE = """for (const name of ["getItem", "setItem", "removeItem"]) {
  const before = Storage.prototype[name];
  Storage.prototype[name] = function (key, ...rest) {
    if (key === "zimp-kept") throw new DOMException("refused", "SecurityError");
    return before.call(this, key, ...rest);
  };
}"""


def test_where_the_browser_keeps_nothing_questions_answer_all_the_same(visit):  # noqa: F811
    page = visit(PAGE)
    page.add_init_script(REFUSE)
    page.reload()
    choice(page, 1).check()
    page.get_by_role("button", name="Check").click()
    assert said(page).inner_text().startswith("Right.")
    page.get_by_role("button", name="Forget them").click()
    assert said(page).inner_text() == ""
    assert page.problems == []


STRANGE = [
    "nonsense", "5", '{"critical_compression": {"answers": {"q-exactly": 99, "q-double": "<img src=x>"}}}',
    '{"critical_compression": 3, "<img src=x>": {"read": true, "answers": "<img src=x>"}}',
]  # fmt: skip


def test_what_others_wrote_under_the_same_name_does_no_harm(visit):  # noqa: F811
    page = visit(PAGE)
    for strange in STRANGE:
        page.evaluate("kept => localStorage.setItem('zimp-kept', kept)", strange)
        reload(page)
        assert choice(page, 1).is_visible() and said(page).inner_text() == ""
        choice(page, 1).check()
        page.get_by_role("button", name="Check").click()
        assert said(page).inner_text().startswith("Right.")
        assert page.locator("img[src=x]").count() == 0
    assert page.problems == []


def test_pages_are_read_at_their_end_or_when_their_questions_are_answered_and_the_welcome_page_counts(visit):  # noqa: F811
    page = visit("accuracy", width=1280)
    marks = page.locator(".bd-links .zimp-read")
    assert marks.count() == 0
    for k in range(len(QUESTIONS["accuracy"])):
        page.get_by_role("group", name="Questions").get_by_role("button").nth(k).click()
        choice(page, 0).check()
        page.get_by_role("button", name="Check").click()
    assert marks.count() == 1
    reload(page, page.url.replace("accuracy", PAGE))
    assert marks.count() == 1
    page.locator("#take-away > :last-child").scroll_into_view_if_needed()
    page.locator(".bd-links a.current .zimp-read").wait_for()
    assert marks.count() == 2
    reload(page, page.url.replace(PAGE, "intro"))
    progress = page.locator(".zimp-progress")
    words = progress.inner_text()
    assert words.startswith("You have read 2 of the 7 pages of the short path and answered 4 questions.")
    assert progress.get_by_role("link").get_attribute("href").endswith("/lottery_tickets.html")
    progress.get_by_role("button", name="Forget").click()
    assert progress.count() == marks.count() == 0 and page.evaluate(KEPT) is None
    assert page.problems == []


def test_the_script_asks_no_network_runs_no_text_and_inserts_no_markup():
    for word in (r"\bfetch\(", "XMLHttpRequest", r"\bimport\b", "https?://", "eval", "innerHTML", "insertAdjacent"):
        assert not re.search(word, SCRIPT), word
    assert max(map(len, SCRIPT.splitlines())) <= 120
