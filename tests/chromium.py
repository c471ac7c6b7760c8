"""The browser of the tests, which they share; and what happens where it, or npm, is missing."""

import os
import shutil

import pytest

FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


def missing(what):
    (pytest.fail if os.environ.get("CI") else pytest.skip)(f"the browser tests need {what}")


def chromium():
    """Start Debian's Chromium, or Playwright's own; it ends with the tests."""
    playwright = pytest.importorskip("playwright.sync_api")
    found = shutil.which("chromium") or shutil.which("google-chrome")
    with playwright.sync_playwright() as engine:
        try:
            browser = engine.chromium.launch(executable_path=found, args=FLAGS)
        except playwright.Error:
            missing("Chromium: apt-get install chromium, or playwright install chromium")
        yield browser
        browser.close()
