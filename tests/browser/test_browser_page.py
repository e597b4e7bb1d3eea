"""The HTML report in a real browser: it opens without a request, with scripts on and off, by keyboard, dark and printed."""

import re

import pytest

from tests.browser.chromium import opened

WIDTHS = (320, 360, 768, 1200, 3840)
FOCUS = """() => { const one = document.activeElement, look = getComputedStyle(one);
  return [one.tagName, (one.name || one.textContent || one.ariaLabel || "").trim().slice(0, 60), look.outlineStyle !== "none" || one.type === "checkbox"]; }"""


def test_it_opens_from_disk_and_asks_for_nothing(browser, sample):
    seen = opened(browser, sample)
    seen.assert_quiet()
    assert seen.requests == [seen.url]
    assert "Exchange account audit" in seen.page.title()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_runs_out_of_the_screen(browser, sample, width, scheme):
    page = opened(browser, sample, width=width, scheme=scheme).page
    page.evaluate("() => { for (const one of document.querySelectorAll('details')) one.open = true; }")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    small = page.evaluate(
        """() => [...document.querySelectorAll("p, li, td, th, summary, h1, h2, h3, h4, h5, h6")]
             .filter((one) => parseFloat(getComputedStyle(one).fontSize) < 12).map((one) => one.textContent)"""
    )
    assert small == []


def test_a_large_screen_has_larger_letters(browser, sample):
    sizes = [
        opened(browser, sample, width=width).page.evaluate("parseFloat(getComputedStyle(document.body).fontSize)")
        for width in (360, 3840)
    ]
    assert 15 <= sizes[0] <= 18
    assert 20 <= sizes[1] <= 26


def test_without_scripts_nothing_is_missing(browser, sample):
    seen = opened(browser, sample, scripts=False)
    page = seen.page
    assert not page.locator("form.tools").first.is_visible()
    for text in ("API key can withdraw and is not bound", "Key unused", "What could not be seen, and how"):
        assert page.get_by_text(text).first.is_visible()
    closed = page.locator("article.issue", has_text="Key unused")
    assert not closed.get_by_text("Key tax program was never used").is_visible()
    closed.locator("summary").click()
    assert closed.get_by_text("Key tax program was never used").is_visible()
    seen.assert_quiet()


def test_findings_are_filtered_and_counted(browser, sample):
    seen = opened(browser, sample)
    place = seen.page.locator("#account-1-findings")
    shown = lambda: [one.inner_text() for one in place.locator(".issue:visible .severity").all()]
    assert [one.lower() for one in shown()] == ["critical", "high", "low", "medium"]
    place.get_by_label("Find").fill("PASSKEY")
    assert [one.lower() for one in shown()] == ["high"]
    assert place.locator("output").inner_text() == "1 of 4 shown"
    assert place.locator(".group:visible").count() == 1
    place.get_by_label("Find").fill("")
    assert place.locator("output").inner_text() == ""
    place.get_by_label("critical").uncheck()
    assert [one.lower() for one in shown()] == ["high", "low", "medium"]
    place.get_by_label("Find").press("Enter")
    assert [one.lower() for one in shown()] == ["high", "low", "medium"]
    seen.assert_quiet()


def test_all_is_opened_and_closed(browser, sample):
    page = opened(browser, sample).page
    place = page.locator("#account-1-findings")
    place.get_by_role("button", name="Open all").click()
    assert place.locator("details:not([open])").count() == 0
    place.get_by_role("button", name="Close all").click()
    assert place.locator("details[open]").count() == 0


def test_tables_are_sorted_by_number_and_by_word(browser, fleet):
    page = opened(browser, fleet).page
    names = lambda: page.locator("table.accounts tbody th").all_inner_texts()
    assert names()[0] == "account #0 100%"
    head = page.locator("table.accounts th").first
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert names() == sorted(names())
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert names() == sorted(names(), reverse=True)
    assert page.locator("[aria-sort]").count() == 1


def test_rows_of_a_long_table_are_found(browser, fleet):
    page = opened(browser, fleet).page
    page.get_by_label("Find in accounts").fill("#17 ")
    assert page.locator("table.accounts tbody tr:visible").count() == 1


def test_the_pages_of_a_split_run_are_linked_both_ways(browser, fleet):
    seen = opened(browser, fleet)
    page = seen.page
    page.get_by_role("link", name="account #3 100%").click()
    assert page.locator("h2").first.inner_text().startswith("account #3 100%")
    page.get_by_role("link", name="All accounts of this run").click()
    assert page.url == seen.url
    assert (seen.dialogs, seen.said) == ([], [])


def test_a_link_into_a_closed_part_opens_it(browser, sample):
    page = opened(browser, sample).page
    page.evaluate("document.querySelector('#account-1-facts ~ details').firstElementChild.id = 'deep'")
    page.evaluate("document.querySelector('#account-1-facts ~ details').open = false")
    page.evaluate("location.hash = '#deep'")
    page.wait_for_function("document.querySelector('#account-1-facts ~ details').open")


def test_everything_is_reached_by_keyboard_and_the_focus_is_seen(browser, sample):
    page = opened(browser, sample).page
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUS)[:2] == ["A", "Skip to the report"]
    assert page.locator(".skip").bounding_box()["x"] >= 0
    wanted = page.locator("a:visible, summary:visible, button:visible, input:visible, .scroll:visible").count()
    reached = [page.evaluate(FOCUS)]
    for _ in range(wanted + 5):
        page.keyboard.press("Tab")
        found = page.evaluate(FOCUS)
        if found[0] == "BODY":
            break
        reached.append(found)
    assert len(reached) == wanted
    assert all(outlined for _, _, outlined in reached), [one for one in reached if not one[2]]


def test_a_part_is_opened_and_a_table_sorted_by_keyboard(browser, sample):
    page = opened(browser, sample).page
    summary = page.locator("article.issue", has_text="Key unused").locator("summary")
    summary.focus()
    page.keyboard.press("Enter")
    assert page.get_by_text("Key tax program was never used").is_visible()
    button = page.locator("table.keys th button").first
    button.focus()
    page.keyboard.press("Space")
    assert page.locator("table.keys th").first.get_attribute("aria-sort") == "ascending"
    assert page.locator("table.keys tbody th").first.inner_text().startswith("grid bot")


def test_dark_is_dark_and_light_is_light(browser, sample):
    for scheme, lit in (("light", True), ("dark", False)):
        page = opened(browser, sample, scheme=scheme).page
        colours = page.evaluate(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        )
        paper, ink = (sum(map(int, re.findall(r"\d+", colour)[:3])) / 3 for colour in colours)
        assert (paper > ink) is lit
        assert abs(paper - ink) > 180


@pytest.mark.parametrize("scripts", [True, False])
def test_a_printed_page_hides_nothing_and_is_light(browser, sample, scripts):
    page = opened(browser, sample, scheme="dark", scripts=scripts).page
    page.emulate_media(media="print")
    assert page.get_by_text("Key tax program was never used").bounding_box()["height"] > 0
    assert page.locator("article.way details ol").first.bounding_box()["height"] > 0
    assert not page.locator("nav").first.is_visible()
    assert not page.locator("form.tools").first.is_visible()


def test_a_pdf_has_every_part_and_a_sensible_length(browser, sample):
    page = opened(browser, sample).page
    written = page.pdf(format="A4", prefer_css_page_size=True)
    assert written.startswith(b"%PDF-")
    pages = len(re.findall(rb"/Type\s*/Page\b", written))
    assert 4 <= pages <= 14
    assert b"/URI" not in written
    assert len(written) < 2_000_000
