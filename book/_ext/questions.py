"""Questions that answer: ``{question}`` with its choices, and after each choice the reason why it is right or not.

    ```{question}
    :label: q-two-rounds
    IMP prunes twice at a rate of $0.5$. How much remains?

    * [ ] nothing
      The second round prunes half of what *remains*.
    * [x] a quarter
      Each round leaves half of what it finds.
    ```

A question becomes plain nodes, which every builder can write: a paragraph, the choices as a list, the answers as a
folded list. On a page of the site, ``zimp-questions.js`` makes a form of them.
"""

import re

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective
from sphinx_design.shared import create_component

CHOICE = re.compile(r"^\* \[([ x])\] (.*)\n", flags=re.M)
SHORT = 26  # letters: choices of at most this length stand in one row


def setup(app):
    """Register the directive."""
    app.add_directive("question", Question)
    return {"parallel_read_safe": True}


def read(text):
    """The question, and of each choice whether it is right, its words and its explanation."""
    question, *parts = CHOICE.split(text + "\n")
    choices = [
        (mark == "x", words.strip(), explanation.strip())
        for mark, words, explanation in zip(*[iter(parts)] * 3, strict=True)
    ]
    if len(choices) < 2 or sum(right for right, _, _ in choices) != 1:
        found = f"{len(choices)} choices, {sum(right for right, _, _ in choices)} of them right"
        raise ValueError(f"{found}; it must have at least two, '* [ ] words', and exactly one right, '* [x] words'")
    for _, words, explanation in choices:
        if not explanation:
            raise ValueError(f"the choice {words!r} with no explanation; it must follow, indented, on the next line")
    return question.strip(), choices


class Question(SphinxDirective):
    """A question with choices, one of which is right."""

    has_content = True
    option_spec = {"label": directives.unchanged_required}

    def run(self):
        label = self.options.get("label")
        if not label:
            raise self.error("a question has no label; give it one, ':label: q-name', for links and for what is kept")
        try:
            question, choices = read("\n".join(self.content))
        except ValueError as error:
            raise self.error(f"question {label!r} has {error}") from None
        short = ["zimp-short"] if max(len(words) for _, words, _ in choices) <= SHORT else []
        answers = []
        for right, _, explanation in choices:
            paragraph, *rest = self.parsed(explanation)
            paragraph[:0] = [nodes.strong("", "Right." if right else "Not this one."), nodes.Text(" ")]
            answers.append(nodes.list_item("", paragraph, *rest, classes=["zimp-right"] if right else []))
        folded = create_component(
            "dropdown",
            classes=["zimp-answers"],
            opened=False, type="dropdown", has_title=True, icon=None, chevron=None,
            container_classes=["zimp-answers"], title_classes=[], body_classes=[],
            children=[nodes.rubric("", "Answers"), letters(answers)],
        )  # fmt: skip
        items = [nodes.list_item("", *self.parsed(words)) for _, words, _ in choices]
        listed = nodes.container("", letters(items), classes=["zimp-choices", *short])
        return [nodes.container("", *self.parsed(question), listed, folded, classes=["zimp-question"], ids=[label])]

    def parsed(self, text):
        """The nodes of a piece of Markdown."""
        node = nodes.Element()
        self.state.nested_parse(text.splitlines(), self.content_offset, node)
        return node.children


def letters(items):
    return nodes.enumerated_list("", *items, enumtype="upperalpha", prefix="", suffix=".")
