"""A deck for each lecture of the plans in ``instructors.md``, put together from the slides of its chapters.

The slides are Markdown in ``book/slides``, one file a chapter, with a line ``---`` between two slides. What the book
says already is named there and taken from its pages, by the blocks ``{figure}``, ``{live}``, ``{statement}``,
``{words}``, ``{proof}``, ``{predict}`` and ``{code}`` and the roles ``{glue}``, ``{ref}`` and ``{page}``. A block
``{notes}`` has what the lecturer needs, and the minutes of its slide: ``2 or 3 minutes`` in the plan of two lectures
and in that of four, ``3 minutes`` in both; with ``0`` the slide is left out. Decks are reveal.js, which comes from npm,
as MathJax does. With both in the folder a deck needs no network.
"""

import ast
import html
import json
import re
import shutil
from pathlib import Path
from string import Template

from figures import archive, figures, settings, text
from make import fail, fetch
from markdown_it import MarkdownIt
from mdit_py_plugins.colon_fence import colon_fence_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.myst_role import myst_role_plugin

SLIDES = Path(__file__).resolve().parent.parent / "slides"
# The lectures of each plan, by its anchor on the page, and the sources of their slides.
PLANS = {
    "two-lectures": [
        ["lottery_tickets", "layer_graph", "components_film", "components_tree"],
        ["what_imp_keeps", "critical_compression", "topological_imp", "accuracy"],
    ],
    "four-lectures": [
        ["lottery_tickets", "layer_graph", "components_film"],
        ["components_tree", "computing", "neural_persistence"],
        ["what_imp_keeps", "critical_compression", "convolutions"],
        ["topological_imp", "accuracy", "whole_network"],
    ],
}
# What the decks load: by package of npm, its files.
PACKAGES = {
    "reveal.js@6.0.2": ["dist/reset.css", "dist/reveal.css", "dist/reveal.js", "dist/plugin/notes.js", "LICENSE"],
    "mathjax@3.2.2": ["es5/tex-svg.js", "LICENSE"],
}

STATEMENT = re.compile(
    r'<div class="proof \w+ admonition" id="([\w-]+)">\n<p class="admonition-title"><span class="caption-number">(.*?) '
    r"</span>(.*?)</p>\n<section[^>]*>\n(.*?)</section>\n</div>((?:<p>.*?</p>\n)*)"
    r'(?:<details[^>]*>\n<summary[^>]*>\n<span class="sd-summary-text">(Proof.*?)</span>.*?'
    r'<div class="sd-summary-content[^>]*>\n(.*?)</div>\n</details>)?',
    flags=re.S,
)
PREDICT = re.compile(
    r'<p class="admonition-title">Predict</p>\n(.*?)</div>\n<details.*?'
    r'<div class="sd-summary-content[^>]*>\n(.*?)</div>\n</details>',
    flags=re.S,
)
LECTURE = re.compile(r"<p><strong>\d\. (.*?)</strong></p>\n<ul[^>]*>\n(.*?)</ul>\n<p>(.*?)</p>", flags=re.S)
PART = re.compile(r'<li><p><a [^>]*href="(\w+)\.html".*?</a>, (\d+) minutes.*?</li>', flags=re.S)
CODE = re.compile(r'<div class="cell_input.*?<pre>(.*?)</pre>', flags=re.S)
SCRIPT = re.compile(r'<script[^>]* src="_static/(zimp-(?:play|data)[\w-]*\.js)')
VIEW = re.compile(r'<div class="zimp-live".*?</div>', flags=re.S)
SWATCH = re.compile(r"^\.zimp-(\w+) { --zimp-swatch", flags=re.M)


def make(book, folder):
    """Write the decks, with all that they load, and one zip of them."""
    pages = Pages(book)
    for package, files in PACKAGES.items():
        fetch(package, files, folder / package.partition("@")[0], "slides")
    for file in ("deck.css", "deck.js"):
        shutil.copy(SLIDES / file, folder)
    shutil.copy(book.html / "_static" / "zimp.css", folder)
    template = Template((SLIDES / "deck.html").read_text(encoding="utf-8"))
    for number, (plan, lectures) in enumerate(PLANS.items()):
        planned = pages.plan(plan)
        if len(planned) != len(lectures):
            fail(f"slides: the plan {plan!r} of instructors.md has {len(planned)} lectures, and PLANS {len(lectures)}")
        for place, (sources, lecture) in enumerate(zip(lectures, planned), 1):
            deck = Deck(pages, f"{plan}-{place}", number)
            values = deck.values(lecture, sources, f"Lecture {place} of {len(lectures)}")
            (folder / f"{deck.name}.html").write_text(template.substitute(values), encoding="utf-8")
            for view in deck.views:
                view.write(book, folder / "views")
    archive(folder, "zimp-slides")


class Pages:
    """What the slides take from the pages of the book."""

    def __init__(self, book):
        self.about = settings(book)
        self.figures = figures(book)
        self.statements, self.questions, self.titles, self.scripts, self.values = {}, {}, {}, {}, {}
        self.cells = []
        for file in sorted(book.html.glob("*.html")):
            page = file.read_text(encoding="utf-8")
            if title := re.search(r"<h1>(.*?)<a class=\"headerlink\"", page):
                self.titles[file.stem] = title[1]
            for name, number, title, body, after, kind, proof in STATEMENT.findall(page):
                place = (file.stem, number, self.outside(title, file.stem), self.outside(body, file.stem))
                proof = kind and f"<p><strong>{kind}.</strong></p>{proof}"
                self.statements[name] = (*place, self.outside(after + proof, file.stem))
            for question, answer in PREDICT.findall(page):
                self.questions[text(question).strip()] = [self.outside(part, file.stem) for part in (question, answer)]
            self.cells += [text(code).strip() for code in CODE.findall(page)]
            self.scripts[file.stem] = list(dict.fromkeys(SCRIPT.findall(page)))
        for file in book.executed.glob("*.glue.json"):
            for key, output in json.loads(file.read_text(encoding="utf-8")).items():
                self.values[key] = output["data"]["text/plain"]
        self.colours = SWATCH.findall((book.html / "_static" / "zimp.css").read_text(encoding="utf-8"))
        self.plans = (book.html / "instructors.html").read_text(encoding="utf-8")

    def outside(self, markup, page):
        """The markup with links that lead to the pages of the site."""
        links = re.compile(r'href="(?!\w+:)(#?)')
        return links.sub(lambda link: f'href="{self.about["address"]}{f"{page}.html#" if link[1] else ""}', markup)

    def plan(self, name):
        """The lectures of a plan: title, parts (chapter, minutes, words), and what to read afterwards."""
        section = re.search(rf'<section id="{name}">(.*?)</section>', self.plans, flags=re.S)
        found = LECTURE.findall(section[1]) if section else []
        return [
            (
                title,
                [(part[1], int(part[2]), self.outside(part[0], "instructors")) for part in PART.finditer(parts)],
                self.outside(after, "instructors"),
            )
            for title, parts, after in found
        ]

    def figure(self, name):
        """A figure or table as it stands on a slide, with the finding of its caption apart."""
        figure = self.figures[name]
        caption = self.outside(figure.caption, figure.page)
        finding, rest = re.fullmatch(r"<strong>(.*?)\.?</strong>\s*(.*)", caption, flags=re.S).groups()
        address = f"{self.about['address']}{figure.page}.html#{name}"
        if figure.drawing:
            look = "picture" if "zimp-wide" in figure.drawing else "picture narrow"
            shown = f'<div class="{look}" role="img" aria-label="{html.escape(figure.alt)}">{figure.drawing}</div>'
        else:
            shown = re.search(r"<style.*</table>", figure.body, flags=re.S)[0]
            shown = f'<div class="table">{shown}</div>'
        return finding, shown, f'<p class="caption"><a href="{address}">{figure.number}</a> {rest}</p>'


class View:
    """A live view of the book on a page of its own, which a slide shows in a frame."""

    def __init__(self, pages, name):
        self.figure = pages.figures[name]
        self.scripts = pages.scripts[self.figure.page]
        self.element = VIEW.search(self.figure.body)[0]

    def write(self, book, folder):
        """The page, and the scripts that it loads."""
        folder.mkdir(exist_ok=True)
        for script in [*self.scripts, "zimp-play.css"]:
            shutil.copy(book.html / "_static" / script, folder)
        scripts = "\n".join(f'<script defer src="{script}"></script>' for script in self.scripts)
        template = Template((SLIDES / "view.html").read_text(encoding="utf-8"))
        page = template.substitute(name=self.figure.name, scripts=scripts, element=self.element)
        (folder / f"{self.figure.name}.html").write_text(page, encoding="utf-8")


class Deck:
    """The slides of one lecture, made from the sources of its chapters."""

    def __init__(self, pages, name, plan):
        self.pages, self.name, self.plan = pages, name, plan
        self.views = []
        self.markdown = MarkdownIt("commonmark", {"typographer": True}).enable(["table", "smartquotes"])
        for plugin in (dollarmath_plugin, colon_fence_plugin, myst_role_plugin):
            self.markdown.use(plugin)
        for rule in ("colon_fence", "myst_role", "math_inline", "math_block"):
            self.markdown.renderer.rules[rule] = getattr(self, rule)

    def values(self, lecture, sources, which):
        """What the template is given."""
        title, parts, after = lecture
        slides = []
        for chapter, minutes, _ in parts:
            own = [source for source in sources if source.startswith(chapter)]
            taken = [self.slide(source, part) for source in own for part in self.read(source)]
            if minutes != (needed := sum(minutes for minutes, _ in taken)):
                fail(f"slides: {self.name} takes {needed} minutes for {chapter}, and instructors.md gives {minutes}")
            slides += [slide for minutes, slide in taken if minutes]
        plan = "".join(words for *_, words in parts)
        after = after.replace(" <em>Afterwards", "</p><p><em>Afterwards")
        return self.pages.about | {
            "lecture": title, "which": which, "slides": "\n".join(slides), "plan": plan, "after": after,
        }  # fmt: skip

    def read(self, source):
        """The slides of a source, each still as text."""
        return re.split(r"^---\n", (SLIDES / f"{source}.md").read_text(encoding="utf-8"), flags=re.M)

    def slide(self, source, words):
        """One slide, after its minutes."""
        chapter = next(page for page in sorted(self.pages.titles, key=len, reverse=True) if source.startswith(page))
        heading = re.search("^## (.*)$", words, flags=re.M)
        shown = {"source": source, "heading": heading and heading[1], "notes": [], "minutes": None}
        body = self.markdown.render(words, shown)
        if shown["minutes"] is None:
            self.lacks(shown, "has no notes, which give its minutes")
        minutes = shown["minutes"][self.plan]
        notes = f"<p><strong>{minutes} min.</strong></p>" + "".join(shown["notes"])
        return minutes, (
            f'<section data-timing="{60 * minutes}"><div class="frame">\n'
            f'<p class="chapter">{self.pages.titles[chapter]}</p>\n{body}</div>\n'
            f'<aside class="notes">{notes}</aside></section>'
        )

    def lacks(self, shown, what):
        """Stop: a slide cannot be made."""
        fail(f"slides: the deck {self.name} cannot be made: {shown['source']}.md, slide {shown['heading']!r}, {what}")

    def find(self, shown, kind, found, name):
        """What is found by a name, or stop."""
        return found[name] if name in found else self.lacks(shown, f"names the {kind} {name!r}, which the book lacks")

    def colon_fence(self, tokens, index, options, shown):
        """A block ``:::{name} argument``."""
        name, argument = re.fullmatch(r"\{?(\w*)\}?\s*(.*)", tokens[index].info.strip()).groups()
        block = getattr(self, f"block_{name}", None) or self.lacks(shown, f"has a block {name!r}, which no slide has")
        return block(shown, argument, tokens[index].content)

    def block_figure(self, shown, name, _):
        self.find(shown, "figure", self.pages.figures, name)
        finding, picture, caption = self.pages.figure(name)
        heading = "" if shown["heading"] else f"<h2>{finding}</h2>"
        return f"{heading}{picture}{caption}"

    def block_live(self, shown, argument, address):
        name, _, scale = argument.partition(" ")
        figure = self.find(shown, "figure", self.pages.figures, name)
        if not (scale and VIEW.search(figure.body)):
            self.lacks(shown, f"must name a live view and how far it is magnified, such as 1.4; it names {argument!r}")
        self.views.append(View(self.pages, name))
        _, picture, caption = self.pages.figure(name)
        frame = f'<iframe title="{html.escape(figure.alt)}" data-src="views/{name}.html{address.strip()}"></iframe>'
        return f'<div class="live" style="--scale: {scale}">{frame}<div class="still">{picture}{caption}</div></div>'

    def block_statement(self, shown, name, nothing):
        page, number, title, body, _ = self.find(shown, "statement", self.pages.statements, name)
        self.block_proof(shown, name, nothing)
        address = f"{self.pages.about['address']}{page}.html#{name}"
        return f'<div class="statement"><p class="name"><a href="{address}">{number}</a> {title}</p>{body}</div>'

    def block_proof(self, shown, name, _):
        *_, after = self.find(shown, "statement", self.pages.statements, name)
        shown["notes"].append(f"<h4>The book goes on</h4>{after}")
        return ""

    def block_words(self, shown, name, _):
        *_, after = self.find(shown, "statement", self.pages.statements, name)
        words = re.match(r"<p>In words: (.*?[.])(?=\s|</p>)", after, flags=re.S)
        words = words[1] if words else self.lacks(shown, f"finds no words after {name!r}")
        return f'<p class="words">{words[0].upper()}{words[1:]}</p>'

    def only(self, shown, kind, all_of_them, words):
        """The one of them that begins with some words, or stop."""
        found = [own for own in all_of_them if own.startswith(words)]
        if len(found) == 1:
            return found[0]
        self.lacks(shown, f"names the {kind} {words!r}, with which {len(found)} of the book begin")

    def block_code(self, shown, words, _):
        return f"<pre>{html.escape(self.only(shown, 'cell', self.pages.cells, words), quote=False)}</pre>"

    def block_predict(self, shown, words, _):
        start = re.sub(r"\$(.*?)\$", r"\(\1\)", words)
        question, answer = self.pages.questions[self.only(shown, "question", self.pages.questions, start)]
        short = re.search(r"<p[^>]*>((?:\(\w\)\.\s)?.*?[.!])(?=\s|</p>)", answer, flags=re.S)[1]
        shown["notes"].append(f"<h4>Answer</h4>{answer}")
        return f'<div class="predict">{question}<p class="answer fragment">{short}</p></div>'

    def block_notes(self, shown, argument, body):
        minutes = [int(number) for number in re.findall(r"\d+", argument)]
        if not minutes:
            self.lacks(shown, f"has notes of {argument!r}; they must be of so many minutes, such as 2 or 3 minutes")
        shown["minutes"] = (minutes[0], minutes[-1])
        shown["notes"].insert(0, self.markdown.render(body, dict(shown)))
        return ""

    def myst_role(self, tokens, index, options, shown):
        """A role: a number of the run, a reference, or the name of a colour."""
        name, content = tokens[index].meta["name"], tokens[index].content
        if name == "glue":
            key, _, form = content.partition(":")
            return format(ast.literal_eval(self.find(shown, "value", self.pages.values, key)), form)
        if name == "page":
            title = self.find(shown, "page", self.pages.titles, content)
            return f'<a href="{self.pages.about["address"]}{content}.html">{title}</a>'
        if name == "ref":
            if content in self.pages.figures:
                return self.pages.figures[content].number
            return self.find(shown, "statement", self.pages.statements, content)[1]
        if name not in self.pages.colours:
            self.lacks(shown, f"has a role {name!r}; it must be glue, page, ref, or a colour of the book")
        return f'<span class="zimp-swatch zimp-{name}">{html.escape(content)}</span>'

    def math_inline(self, tokens, index, options, shown):
        return rf"\({html.escape(tokens[index].content)}\)"

    def math_block(self, tokens, index, options, shown):
        return rf"<p>\[{html.escape(tokens[index].content)}\]</p>"
