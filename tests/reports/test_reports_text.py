"""The text report on terminals of several widths, in a pipe and in colour, and with labels that try to take it over."""

import re
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from auditor.model.report import Outcome
from auditor.model.rule import Severity
from auditor.reports import _lines
from auditor.reports.text import render
from tests.reports.invented import bad_account, dim_account, hostile, hostile_everywhere, report

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=120)
WIDE_TEXT = st.text("日本語한국ｆｕｌｌ☃ e\u0301", min_size=20, max_size=300)
TRICKS = [
    "\x1b[2J\x1b[1;31mowned\x1b[0m",
    "\x9b31m",
    "\u202egnp.exe\u2066\u2069",
    "one\r\n✗ CRITICAL: two\n\n= 9 rules: 9 pass",
    "\u200b\u200c\u200d\ufeff",
    "\x00\x07\x08\x7f",
    "\ud800\udfff",
    "[bold red]markup[/] {{7*7}} %s {0}",
    "x" * 10_000,
    "日" * 10_000,
    "a " * 5_000,
]


def lines(value, **options):
    return render(value, **options).decode().split("\n")


def assert_tame(said, width):
    for line in said:
        assert len(line) <= width
        assert cell_len(line) <= width, line
        assert line == line.rstrip()
        assert all(unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"} for char in line), ascii(line)


@pytest.mark.parametrize("width", [40, 60, 80, 100])
@pytest.mark.parametrize("verbose", [False, True])
def test_lines_keep_to_the_width(width, verbose):
    assert_tame(lines(report(), width=width, verbose=verbose), width)


@pytest.mark.parametrize(("asked", "given_"), [(0, 40), (10, 40), (500, 100)])
def test_absurd_widths_are_bounded(asked, given_):
    assert render(report(), width=asked) == render(report(), width=given_)


@settings(max_examples=80, deadline=None)
@given(ANY_TEXT | WIDE_TEXT, st.sampled_from([40, 60, 80]))
def test_any_label_is_tame(text, width):
    assert_tame(lines(report(hostile(text)), width=width, verbose=True), width)


@pytest.mark.parametrize("text", TRICKS)
def test_tricks_are_tame_and_make_no_line_of_their_own(text):
    said = lines(report(hostile(text)))
    assert_tame(said, 80)
    plain = lines(report(hostile("x")))
    for start in ("✗ ", "= ", "? ", "~ ", "main-okx", "What"):
        assert sum(line.startswith(start) for line in said) == sum(line.startswith(start) for line in plain), start


@pytest.mark.parametrize("text", [*TRICKS, "", " ", "-"])
@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("verbose", [False, True])
def test_tricks_in_every_place_are_tame(text, width, verbose):
    assert_tame(lines(hostile_everywhere(text), width=width, verbose=verbose), width)


def test_removed_characters_are_seen():
    said = " ".join(lines(report(hostile("a\x1b[31mb\u202ec"))))
    assert "a\\x1b[31mb\\u202ec" in said


def test_colour_adds_only_colour():
    plain, coloured = render(report()).decode(), render(report(), colour=True).decode()
    assert "\x1b" not in plain
    assert coloured != plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


@pytest.mark.parametrize("severity", Severity)
def test_every_severity_has_a_colour(severity):
    account = bad_account()
    same = replace(account, findings=tuple(replace(one, severity=severity) for one in account.findings))
    assert b"\x1b[" in render(report(same), colour=True, verbose=True)


def test_colour_never_carries_a_label_out_of_its_place():
    coloured = render(report(hostile("\x1b[0m\x1b]0;title\x07[red]")), colour=True).decode()
    assert set(re.findall(r"\x1b(.)", coloured)) == {"["}
    assert set(re.findall(r"\x1b\[[0-9;]*(.)", coloured)) == {"m"}


def test_sections_come_in_the_order_of_need():
    said = "\n".join(lines(report(bad_account())))
    order = (
        "Two findings need attention today",
        "What fails, worst first",
        "CRITICAL",
        "HIGH",
        "LOW",
        "What could not be seen",
        "Only you can answer",
        "What went wrong while reading",
        "= 9 rules",
        "Score formula product-1",
    )
    found = [said.index(part) for part in order]
    assert found == sorted(found)


def test_the_key_is_told_by_label_and_masked_id():
    assert "[API key “grid bot” (…c3d4)]" in " ".join(" ".join(lines(report())).split())
    account = bad_account()
    nameless = replace(
        account.findings[0], subject=replace(account.findings[0].subject, label="", fingerprint="0badcafe11")
    )
    said = " ".join(" ".join(lines(report(replace(account, findings=(nameless,))))).split())
    assert "[API key without a label (fingerprint 0badcafe)]" in said


def test_names_of_passing_rules_need_asking_for():
    quiet, verbose = render(report()).decode(), render(report(), verbose=True).decode()
    assert "team-master-key" not in quiet
    assert "✓ Pass: auth-no-second-factor, key-read-only" in verbose
    assert "- Not applicable: team-master-key" in verbose


def test_only_the_three_most_telling_questions_are_asked():
    account = bad_account()
    many = tuple(replace(account.questions[0], ask=f"Question {place}?") for place in range(9))
    said = render(report(replace(account, questions=many))).decode()
    assert "Question 2?" in said
    assert "Question 3?" not in said
    assert "3 of 9 questions" in said
    assert "Question 8?" in render(report(replace(account, questions=many)), verbose=True).decode()


def test_accounts_stand_in_a_table_in_their_order():
    said = lines(report())
    rows = [place for place, line in enumerate(said) if line.startswith(("ACCOUNT", "main-okx   ", "desk-gate  "))]
    assert len(rows) == 3
    assert rows == list(range(rows[0], rows[0] + 3))
    assert "ACCOUNT" not in render(report(bad_account())).decode()
    assert "- desk-gate (Gate): 9.8 to 96, grade none" in render(report(), width=50).decode()


def test_a_fleet_is_summed_up():
    fleet = tuple(replace(dim_account(), name=f"desk-{place:03}") for place in range(40))
    said = " ".join(render(report(*fleet)).decode().split())
    assert "Grades: 40 without one." in said
    assert "20 further accounts are only in the table above" in said
    assert said.count("desk-039") == 1


def test_of_hundreds_the_worst_and_what_fails_most_often_are_told():
    """A screen is no place for ten thousand accounts: counts, a table of the worst, and where the rest is."""
    fleet = (*(replace(bad_account(), name=f"bad-{place:03}") for place in range(3)),)
    fleet += tuple(replace(dim_account(), name=f"desk-{place:03}") for place in range(200))
    shown = render(report(*fleet)).decode()
    rows = {line.split()[0]: line.split()[1:] for line in shown.splitlines() if line.strip()}
    assert "Grades: 200 without one, 3 F-C." in shown
    assert rows["key-withdraw-without-ip-binding"] == ["critical", "3", "0"]
    failing = {one.rule for account in fleet for one in account.findings if one.outcome is Outcome.FAIL}
    assert failing <= set(rows)
    assert "desk-016" in rows and "desk-017" not in rows and "bad-000" in rows
    assert "203 accounts are not shown in full." in shown and "-o FOLDER" in shown
    assert len(shown.splitlines()) < 80
    full = render(report(*fleet), verbose=True).decode()
    assert "183 accounts are not shown in full." in full and len(full) > 10 * len(shown)
    assert max(map(len, render(report(*fleet), width=40).decode().splitlines())) <= 40


@given(st.text(st.characters(exclude_categories=("Cs", "Cc", "Cf")), max_size=200), st.integers(2, 30))
def test_wrapping_loses_nothing(text, width):
    wrapped = _lines.wrap(text, width)
    assert "".join(wrapped).replace(" ", "") == text.replace(" ", "")
    assert all(_lines.cells(line) <= width for line in wrapped)
    assert all(_lines.cells(line) >= cell_len(line) for line in wrapped)
