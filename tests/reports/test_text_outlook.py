"""Chains of attack paths as lines, and the parts of the text report that look beyond the findings."""

import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.model.report import PathStatus, RunProblem
from auditor.reports import FORMATS, _chains
from auditor.reports._lines import cells
from auditor.reports.text import render
from tests.reports.invented import bad_account, dim_account, hardening, report, step, ways

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=200)


def said(account, **options):
    return " ".join(render(report(account), **options).decode().split())


@pytest.mark.parametrize("width", [0, 40, 60, 100])
@pytest.mark.parametrize("place", range(3))
def test_a_chain_keeps_to_its_width_and_has_every_step_in_order(width, place):
    way = ways()[place]
    lines = _chains.chain(way, width=width)
    assert all(cells(line) <= max(width, 40) and line == line.rstrip() for line in lines)
    whole = " ".join(" ".join(lines).split())
    marks = [whole.index(f"{number}. ") for number in range(1, len(way.steps) + 1)]
    assert marks == sorted(marks)
    assert lines.count("  |") == len(way.steps)
    assert lines.count("  v") == 1


@given(ANY_TEXT, st.sampled_from([40, 57, 80]))
def test_any_text_in_a_chain_is_tame(text, width):
    way = ways()[2]
    steps = (replace(way.steps[0], text=text, unknown=(text,)), step("b", text, (text,), (text,)))
    way = replace(way, steps=steps, capability_text=text, goal_text=text, alerts=(text,), closed_by=(text,))
    for line in _chains.chain(way, width=width, changes={text: text}):
        assert cells(line) <= width
        assert all(unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"} for char in line)


def test_a_chain_says_what_is_sure_without_a_colour():
    sure, _, unsure = ways()
    assert _chains.chain(sure)[0].startswith("✗ CONFIRMED: ")
    assert _chains.chain(unsure)[0].startswith("? POSSIBLE: ")
    assert "  1. ? Withdraws with the key" in "\n".join(_chains.chain(unsure))
    assert "nobody knows: account.withdrawal_allowlist_enabled" in "\n".join(_chains.chain(unsure))


@pytest.mark.parametrize(
    ("delay", "words"), [(None, "wait not known"), (0.0, "no wait"), (24.0, "wait 24 h"), (0.5, "wait 0.5 h")]
)
def test_a_wait_that_nobody_knows_is_not_none(delay, words):
    assert _chains.wait(delay) == words


@pytest.mark.parametrize(
    ("alerts", "words"),
    [
        (None, "nobody knows which warning reaches you"),
        ((), "no warning reaches you"),
        (("push", "email"), "a warning reaches you by push, email"),
    ],
)
def test_a_warning_that_nobody_knows_is_not_silence(alerts, words):
    assert _chains.warning(alerts) == words


def test_what_closes_a_way_is_said_in_words():
    words = _chains.named(hardening().single)
    first, residual, open_ = ways()
    assert _chains.ending(first, words) == "Closed by: Remove the phone number as a factor and as a way of recovery."
    assert _chains.ending(first, {}) == "Closed by: no-sms."
    assert _chains.ending(residual, words) == "No setting closes this."
    assert _chains.ending(open_, words) == "No single change closes this."


def test_ways_are_counted_by_how_sure_they_are():
    account = bad_account()
    counted = lambda paths: _chains.found(replace(account, paths=paths))
    sure, residual, unsure = ways()
    assert counted((sure, residual)) == "2 ways to the money: 2 confirmed by what was seen."
    assert counted((unsure,)) == "1 way to the money: 1 is possible: nothing is known that stops it."
    assert counted((sure, unsure, unsure)).endswith(
        "1 confirmed by what was seen, 2 are possible: nothing is known that stops them."
    )


def test_paths_not_computed_and_no_paths_are_two_things():
    assert "Ways to the money were not computed in this run." in said(dim_account())
    none = said(replace(dim_account(), paths=()))
    assert "The attack model knows no way to the money here" in none
    assert "not computed" not in none


def test_the_text_ends_the_ways_with_the_smallest_set():
    text = said(bad_account())
    assert text.index("CONFIRMED: Your coins are withdrawn") < text.index("The smallest set of changes")
    assert "1. Remove the phone number as a factor and as a way of recovery (low effort; closes 1 way)" in text
    assert "1 way stays open however the account is set." in text
    nothing = replace(bad_account(), hardening=replace(hardening(), smallest=(), residual=()))
    assert "No confirmed way to losing funds is left that a setting could close." in said(nothing)
    alone = said(bad_account(), verbose=True)
    assert "Enrol a passkey beside the code by SMS: Medium effort; closes no way by itself." in alone


def test_many_ways_are_counted_and_not_drawn():
    first = ways()[0]
    many = tuple(replace(first, id=f"{place:016x}") for place in range(40))
    text = said(replace(bad_account(), paths=many, hardening=None))
    assert text.count("✗ CONFIRMED") == 3
    assert "37 further ways: `auditor paths` draws them." in text
    assert said(replace(bad_account(), paths=many, hardening=None), verbose=True).count("✗ CONFIRMED") == 12


def test_changes_are_listed_and_what_did_not_change_is_counted():
    text = said(bad_account())
    assert "+ new: API key “grid bot” (…c3d4): first seen in this run" in text
    assert "= 4 unchanged" in text
    assert "unchanged" not in said(replace(bad_account(), unchanged=None))
    assert "unchanged." not in FORMATS["html"].render(report(replace(bad_account(), unchanged=None))).decode()
    assert "What changed" not in said(dim_account())
    assert "Nothing differs from what was approved" in said(replace(dim_account(), drift=()))
    flood = replace(bad_account(), drift=bad_account().drift * 50)
    assert "+ and 92 more" in said(flood)


def test_the_course_names_a_change_of_rules():
    assert (
        "Score of the last runs: 2026-11-01 30 to 75.5; 2026-11-08 30 to 61.4, other rules; 2026-11-20 17.9 to 61.4."
        in said(bad_account())
    )


def test_what_went_wrong_beside_the_evidence_is_said_with_its_hint():
    value = replace(report(), problems=(RunProblem(where="history", message="cannot be written", hint="look\x1b[31m"),))
    text = " ".join(render(value).decode().split())
    assert "! history: cannot be written hint: look\\x1b[31m" in text
    assert "beside the evidence" not in render(replace(report(), problems=())).decode()


def test_a_possible_way_is_never_called_confirmed():
    account = replace(bad_account(), paths=(replace(ways()[0], status=PathStatus.POSSIBLE),), hardening=None)
    assert "CONFIRMED" not in said(account)


@pytest.mark.parametrize(
    ("narrows", "decided", "words"),
    [
        (("a",), 0.0, "It bears on 1 rule."),
        (("a", "b"), 2.5, "It bears on 2 rules and on possible ways to the money."),
        ((), 0.5, "It bears on possible ways to the money."),
        ((), 0.0, "It bears on 0 rules."),
    ],
)
def test_a_question_says_what_it_would_settle(narrows, decided, words):
    account = bad_account()
    asked = (replace(account.questions[0], narrows=narrows, ways=decided),)
    account = replace(account, questions=asked)
    assert words in said(account)
    assert words in " ".join(FORMATS["html"].render(report(account)).decode().split())
