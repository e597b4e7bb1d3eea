"""axe-core finds nothing to complain about: WCAG 2.2 A and AA and its best practices, light and dark, narrow and wide."""

import pytest

from tests.browser.chromium import HERE, opened
from tests.samples import FOLDER

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN = "(tags) => axe.run(document, {runOnly: {type: 'tag', values: tags}, resultTypes: ['violations']})"


def violations(page):
    page.evaluate((HERE / "axe" / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate(RUN, TAGS)
    assert len(found["passes"]) > 20
    return [(one["id"], [node["html"][:160] for node in one["nodes"]][:3]) for one in found["violations"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_a_report_is_accessible(browser, sample, width, scheme):
    page = opened(browser, sample, width=width, scheme=scheme).page
    assert violations(page) == []
    page.evaluate("() => { for (const one of document.querySelectorAll('details')) one.open = true; }")
    assert violations(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_index_and_its_pages_are_accessible(browser, fleet, scheme):
    assert violations(opened(browser, fleet, scheme=scheme).page) == []
    first = fleet.parent / f"{fleet.stem}-accounts" / "00001.html"
    assert violations(opened(browser, first, scheme=scheme).page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_report_of_a_real_run_is_accessible(browser, scheme):
    seen = opened(browser, FOLDER / "INC-2024-okx-sms-api" / "report.html", width=360, scheme=scheme)
    assert violations(seen.page) == []
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 360
    seen.assert_quiet()


def test_it_would_be_noticed(browser, sample):
    page = opened(browser, sample).page
    page.evaluate(
        "() => { document.querySelector('svg[role=img]').removeAttribute('aria-label'); document.documentElement.lang = ''; }"
    )
    assert {rule for rule, _ in violations(page)} == {"html-has-lang", "svg-img-alt"}
