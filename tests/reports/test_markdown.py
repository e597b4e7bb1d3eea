"""Markdown inside a pull request: what comes first, what GitHub would make of a label, and how long it may be."""

import re
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from auditor.reports import _markdown, markdown
from tests.reports.invented import bad_account, dim_account, hostile, report
from tests.reports.validators import read_markdown

INLINE = st.text(st.sampled_from("`*_~[]()!<>&#@:;|\\/$^=-+.'\" \nabwGH019"), max_size=40)


def said(value, **options):
    return markdown.render(value, **options).decode()


def spoken(text):
    """What a reader sees of one line of Markdown."""
    return "".join(read_markdown(f"- {_markdown.plain(text)}\n".encode()).cells).strip()


@pytest.mark.parametrize(
    "text",
    [
        "@octocat",
        "see @octocat/team, please",
        "#12",
        "org/repo#12",
        "GH-12",
        "https://evil.invalid",
        "www.evil.invalid",
        "(www.evil.invalid)",
        "a@b.invalid",
        "![x](y)",
        "[x](javascript:1)",
        "<img src=x onerror=1>",
        "&commat;octocat",
        "*b* _i_ ~~s~~",
        "``@octocat`",
        "a `@octocat",
        "` @octocat",
        "\\@octocat",
        "$\\text{x}$",
        ":+1:",
        "0123456789abcdef",
        "[ ] task",
        "# heading",
        "1. list",
        "1) list",
        "> quote",
        "---",
        "```sh",
        "| a | b |",
    ],
)
def test_text_stays_text(text):
    assert spoken(text) == text


def test_what_is_quoted_is_code():
    assert _markdown.plain("answer with `auditor attest`: who?") == "answer with `auditor attest`: who?"
    assert _markdown.plain("`a`b` `@c`") == "`` `a`b` `@c` ``"


@settings(max_examples=400, deadline=None)
@given(INLINE)
def test_any_text_stays_text(text):
    """Backticks aside: a pair of them is what makes code of what it encloses, and goes."""
    shown = re.sub(r"[ \t\r\n]+", " ", text).strip()
    assert spoken(text).replace("`", "") == shown.replace("`", "")
    if "`" not in text:
        assert spoken(text) == shown


@settings(max_examples=200, deadline=None)
@given(INLINE, INLINE)
@example("\\|@octocat", "|")
@example("a | b", "`|`")
def test_a_row_of_a_table_keeps_its_cells(first, second):
    cells = [_markdown.plain(first), _markdown.plain(second), "end"]
    page = read_markdown("\n".join(_markdown.table(("a", "b", "c"), [cells])).encode() + b"\n")
    assert page.tags.count("td") == 3
    assert [cell.strip() for cell in page.cells if cell.strip()][-1] == "end"
    assert page.tags.count("tr") == 2


@pytest.mark.parametrize("label", ["@a | #1 \\| `b` <b> [x](y)", "\\|@octocat", "`", "```\n# x", "- a\n- b"])
def test_a_label_changes_no_structure(label):
    blocks = [tag for tag in read_markdown(said(report(hostile(label))).encode()).tags if tag != "code"]
    assert blocks == [tag for tag in read_markdown(said(report(hostile("x"))).encode()).tags if tag != "code"]


def test_the_verdict_and_the_counts_come_first():
    lines = said(report())
    order = [
        "embedded twin",
        "Failing findings: 1 critical",
        "| Account |",
        "| Findings |",
        "## `main-okx`",
        "### What fails",
    ]
    places = [lines.index(part) for part in order]
    assert places == sorted(places)


def test_under_the_floor_there_is_no_letter():
    assert "F-A" not in said(report(dim_account()))
    assert "F-A" in said(report(dim_account()), min_coverage=0.1)


def test_ids_are_there_to_be_waived():
    text = said(report())
    for finding in bad_account().findings[:4]:
        assert f"`{finding.id}`" in text


def test_a_large_fleet_fits_into_a_comment_and_says_what_does_not():
    fleet = tuple(replace(bad_account(), name=f"desk-{place}") for place in range(300))
    text = said(report(*fleet))
    assert len(text) <= 65_536
    assert "And 280 more accounts" in text
    assert "more lines would not fit here" in text
    assert text.index("| critical | 300 |") < text.index("would not fit")


def test_many_keys_are_one_entry():
    account = bad_account()
    first = account.findings[0]
    many = tuple(replace(first, id=f"{place:016x}") for place in range(1000))
    text = said(report(replace(account, findings=many)))
    assert "and 992 more of the same" in text
    assert len(text) < 30_000
