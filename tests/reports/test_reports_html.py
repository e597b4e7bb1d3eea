"""The HTML report: nothing but our own script runs, nothing is fetched, and no label becomes anything but text."""

import base64
import hashlib
import itertools
import re
import unicodedata
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.reports import _svg, _words
from auditor.reports.html import render
from tests.reports.invented import bad_account, hostile, hostile_everywhere, report

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60) | st.text("<>&\"'/={}%#\\ \n-![]`", max_size=40)
TRICKS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "{{7*7}}{% for x in y %}{# #}",
    "</style><style>*{display:none}",
    "</title></textarea><!--",
    "]]>&lt;b&gt;&#60;",
    "javascript:alert(1)",
    "\u202egnp.exe\u2066",
    "\x00\x1b[31m",
    "\ud800",
    "x" * 10_000,
]
ELEMENTS = (
    "html head meta title style script body a header main footer nav section article div h1 h2 h3 h4 h5 h6 p strong span "
    "ul ol li details summary code figure figcaption table caption thead tbody tr th td form fieldset legend label input "
    "button output svg g rect line path polygon polyline text"
)
ATTRIBUTES = (
    "lang charset http-equiv content name class id hidden open start type value checked autocomplete title href scope "
    "role tabindex aria-label aria-labelledby aria-hidden aria-live data-tools data-severity data-filter data-key "
    "viewbox preserveaspectratio x y x1 x2 y1 y2 rx d points width height text-anchor"
)
HREF = r"#(content|account-\d+(-[a-z]+)?)"
VOID = {"meta", "input"}


class Page(HTMLParser):
    """What a browser would make of it: elements in order, attributes, texts; and whether everything is closed in order."""

    def __init__(self, source):
        super().__init__()
        self.elements, self.attributes, self.texts, self.open, self.tags = [], [], [], [], []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.tags.append((tag, attrs))
        self.attributes += [(tag, *attr) for attr in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        raise AssertionError(f"<{tag}/> is not HTML")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else None, data))

    def handle_comment(self, data):
        raise AssertionError(f"a comment: {data}")


def page(value):
    return Page(render(value).decode())


def assert_harmless(parsed):
    assert not parsed.open
    assert set(parsed.elements) <= set(ELEMENTS.split())
    assert {name for _, name, _ in parsed.attributes} <= set(ATTRIBUTES.split())
    assert all(re.fullmatch(HREF, value) for _, name, value in parsed.attributes if name == "href")
    assert parsed.elements.count("style") == parsed.elements.count("script") == 1


def test_the_page_is_harmless():
    assert_harmless(page(report()))


def test_the_policy_allows_this_style_and_this_script_and_nothing_else():
    parsed = page(report())
    style, script = (next(text for tag, text in parsed.texts if tag == one) for one in ("style", "script"))
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    policy = next(value for tag, name, value in parsed.attributes if name == "content" and "default-src" in value)
    assert policy.split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{digests[0]}'",
        f"script-src 'sha256-{digests[1]}'",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
    assert not re.search(r"url\(|@import|expression", style)
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|Function|fetch|XMLHttp|import", script
    )


def test_nothing_outside_is_named():
    assert not re.search(r"(?i)https?:|//[a-z]|javascript:", render(report()).decode())


def test_the_page_can_be_read_by_a_machine():
    parsed = page(report())
    attributes = {(tag, name): value for tag, name, value in parsed.attributes}
    assert attributes["html", "lang"] == "en"
    assert parsed.elements.count("h1") == 1
    assert parsed.elements.count("table") == parsed.elements.count("caption")
    assert parsed.elements.count("th") == sum(name == "scope" for _, name, _ in parsed.attributes)
    levels = [int(tag[1]) for tag in parsed.elements if re.fullmatch(r"h\d", tag)]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    ids = [value for _, name, value in parsed.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {value[1:] for _, name, value in parsed.attributes if name == "href"} <= set(ids)
    named = [dict(attrs) for tag, attrs in parsed.tags if tag == "svg" and dict(attrs).get("role") == "img"]
    assert named
    assert all(one["aria-label"] for one in named)


def shape(parsed):
    """Elements and the names of their attributes, but for the lines into which a picture breaks its texts."""
    return [(tag, [name for name, _ in attrs]) for tag, attrs in parsed.tags if tag != "text"]


@pytest.mark.parametrize("text", TRICKS)
def test_tricks_are_text(text):
    parsed, plain = page(report(hostile(text))), page(report(hostile("x")))
    assert_harmless(parsed)
    assert shape(parsed) == shape(plain)
    label = _words.label(text)
    assert any(tag == "th" and shown == f"{label} ({label})" for tag, shown in parsed.texts)


@pytest.mark.parametrize("text", [*TRICKS, "", " ", "\n", "-"])
def test_tricks_in_every_place_are_text(text):
    parsed, plain = page(hostile_everywhere(text)), page(hostile_everywhere("x"))
    assert_harmless(parsed)
    assert parsed.elements.count("svg") == plain.elements.count("svg")
    assert len(render(hostile_everywhere(text))) < 1_000_000


def test_template_braces_are_not_run():
    source = render(report(hostile("{{7*7}}"))).decode()
    assert "{{7*7}}" in source
    assert "49" not in "".join(text for tag, text in Page(source).texts if tag == "th")


@settings(max_examples=40, deadline=None)
@given(ANY_TEXT)
def test_any_label_is_text(text):
    source = render(report(hostile(text))).decode()
    parsed = Page(source)
    assert_harmless(parsed)
    label = _words.label(text)
    expected = f"{label or 'without a label'} ({label or 'id unknown'})"
    shown = [" ".join(data.split()) for tag, data in parsed.texts if tag == "th"]
    assert " ".join(expected.split()) in shown
    assert all(
        char == "\n" or unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"} for char in source
    )


def test_a_megabyte_of_label_stays_small():
    assert len(render(report(hostile("\u202e" * 2**20)))) < 200_000


@pytest.mark.parametrize("ends", [(0, 0), (0, 100), (100, 100), (99.99, 100), (17.977, 61.44), (50, 50.2)])
def test_the_bar_stays_within_its_hundred(ends):
    score = replace(bad_account().score, low=ends[0], high=ends[1])
    bars = [
        (float(dict(attrs)["x"].rstrip("%")), float(dict(attrs)["width"].rstrip("%")))
        for tag, attrs in Page(_svg.interval(score)).tags
        if tag == "rect" and dict(attrs)["class"] != "track"
    ]
    (start, breadth), (zero, sure) = bars
    assert 0 <= start <= start + breadth <= 100.01
    assert breadth >= 1
    assert (zero, sure) == (0, pytest.approx(ends[0], abs=0.01))
    labels = [text for tag, text in Page(_svg.interval(score)).texts if tag == "text" and text[0].isdigit()]
    assert len(labels) == (2 if ends[1] - ends[0] >= 14 else 1)
