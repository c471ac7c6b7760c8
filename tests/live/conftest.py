"""A live view on a page of its own, opened from disk in a real browser to which the network is refused."""

import json
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[2] / "book" / "_static"
# Two frames of the screen: in the first a view draws what was done before it.
FRAME = "() => new Promise(done => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done))))"


class Alive:
    """An opened view: its page, its element, and what went wrong."""

    def __init__(self, page, name):
        self.page, self.name, self.problems = page, name, []
        self.view = page.locator(f'.zimp-live[data-zimp-view="{name}"]')

    @property
    def state(self) -> dict:
        """What the view says that it is set to, once it has drawn."""
        self.page.evaluate(FRAME)
        return json.loads(self.view.get_attribute("data-state"))

    @property
    def sentence(self) -> str:
        """What it said last."""
        self.page.evaluate(FRAME)
        return self.view.locator(".zimp-live-sentence").inner_text()

    @property
    def trouble(self) -> str:
        """What it complains of."""
        self.page.evaluate(FRAME)
        return self.view.locator(".zimp-live-trouble").inner_text()

    @property
    def address(self) -> str:
        """The end of the page's address, from the # on."""
        self.page.evaluate(FRAME)
        return self.page.evaluate("location.hash")


@pytest.fixture
def alive(browser, tmp_path):
    """Open what ``widgets.live`` or ``zimp.play`` returns, as a page of the book shows it."""
    contexts = []

    def alive(shown, *, width=760, theme="light", touch=False, still=True, hash=""):
        name = shown.data.split('data-zimp-view="')[1].split('"')[0]
        file = tmp_path / f"{name}.html"
        file.write_text(
            f'<!doctype html><html lang="en" data-theme="{theme}"><head><meta charset="utf-8"><title>{name}</title>'
            '<meta name="viewport" content="width=device-width">'
            f'<link rel="stylesheet" href="{STATIC.as_uri()}/zimp.css">'
            "<style>body { margin: 0 18px; font-family: sans-serif; background: var(--zimp-paper) }</style></head>"
            "<body><script>const DOCUMENTATION_OPTIONS = {}; "
            f"</script><main>{shown.data}</main></body></html>",
            encoding="utf-8",
        )
        context = browser.new_context(
            viewport={"width": width, "height": 900}, has_touch=touch, is_mobile=touch, color_scheme=theme,
            reduced_motion="reduce" if still else "no-preference",
        )  # fmt: skip
        contexts.append(context)
        page = context.new_page()
        opened = Alive(page, name)
        page.on("console", lambda message: message.type == "error" and opened.problems.append(message.text))
        page.on("pageerror", lambda error: opened.problems.append(str(error)))
        page.route("**/*", lambda route: route.continue_() if route.request.url.startswith(("file:", "blob:"))
                   else route.abort())  # fmt: skip
        page.goto(file.as_uri() + hash)
        opened.view.and_(page.locator("[data-state]")).wait_for()
        return opened

    yield alive
    for context in contexts:
        context.close()
