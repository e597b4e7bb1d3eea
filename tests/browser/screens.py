"""Writes the pictures of `screens/` anew: `python -m tests.browser.screens`. Look at them before they are kept."""

import tempfile
from pathlib import Path

from auditor.reports.html import render
from tests.browser.chromium import HERE, launched, opened, shrunk
from tests.reports.invented import report

FOLDER = HERE / "screens"
VIEWS = {
    "wide-light": {"width": 1200, "scheme": "light", "at": None},
    "wide-dark": {"width": 1200, "scheme": "dark", "at": None},
    "narrow-light": {"width": 360, "scheme": "light", "at": None},
    "paths-light": {"width": 1200, "scheme": "light", "at": "#account-1-paths"},
}


def taken(browser, path, *, width, scheme, at):
    """What a reader sees first, or at a part of the page."""
    page = opened(browser, path, width=width, scheme=scheme).page
    if at:
        page.evaluate("at => document.querySelector(at).scrollIntoView()", at)
    try:
        return page.screenshot()
    finally:
        page.context.close()


def main():
    with tempfile.TemporaryDirectory() as folder, launched() as browser:
        path = Path(folder) / "report.html"
        path.write_bytes(render(report()))
        for name, view in VIEWS.items():
            size = (240, 240 * 900 // view["width"]) if view["width"] > 900 else (90, 225)
            (FOLDER / f"{name}.png").write_bytes(shrunk(browser, taken(browser, path, **view), size)[0])


if __name__ == "__main__":
    main()
