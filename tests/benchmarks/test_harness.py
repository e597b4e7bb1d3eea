"""The harness is honest: answers are compared, a warm-up does not count, medians are medians, a disagreement ends it."""

from __future__ import annotations

import ast
import json
import random
import sys
from pathlib import Path

import msgspec
import pytest

from benchmarks import contenders, engines, evaluation, normal, typed
from benchmarks.__main__ import Claim, Measured, measured
from tests.engine.invented import rule


def test_the_first_measurement_does_not_count_and_the_median_is_the_middle() -> None:
    given = iter([1000.0, 3.0, 1.0, 50.0])
    one = measured(Claim(name="", floor="", measure=lambda: next(given), most=4.0), rounds=3)
    assert (one.best, one.median, one.worst) == (1.0, 3.0, 50.0)
    assert one.holds


@pytest.mark.parametrize(
    ("most", "least", "holds"),
    [(2.0, None, False), (3.0, None, True), (None, 3.5, False), (None, 3.0, True), (None, None, True)],
)
def test_a_limit_that_is_missed_is_said_to_be(most: float | None, least: float | None, holds: bool) -> None:
    claim = Claim(name="", floor="", measure=lambda: 3.0, most=most, least=least)
    assert Measured(claim=claim, median=3.0, best=3.0, worst=3.0).holds is holds


@pytest.mark.parametrize("theirs", [[], ["FU", "OU"], ["FU", "OO", "UU"]])
def test_an_engine_that_answers_otherwise_or_not_at_all_has_no_time(theirs: list[str]) -> None:
    with pytest.raises((contenders.DisagreementError, ValueError)):
        contenders.agree("somebody", theirs, ["FU", "OO"])


def test_the_same_answers_agree() -> None:
    contenders.agree("somebody", ["FU"], ["FU", "OO"])


def test_check_functions_answer_what_the_engine_answers_and_every_answer_occurs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """End to end in a process of its own: our answers, the normal form and the contender, over keys with hidden facts."""
    monkeypatch.setattr(contenders, "ACCOUNTS", 150)
    monkeypatch.setattr(contenders, "ROUNDS", 1)
    ours, other = contenders.standings(sys.executable, {"check functions": 700})
    assert other.compared == 700 and other.milliseconds > 0 and other.ratio > 0 and ours.ratio == 1.0
    rules, said = contenders.sayable()
    assert len(rules) >= 15 and set(said) == {one.id for one in rules}
    _, rows, answers = contenders._evaluate(contenders._documents(), rules, told=True)
    assert len(rows) == len(answers) and set("".join(answers)) == {"F", "O", "U"}


def test_a_wrong_engine_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contenders, "ACCOUNTS", 20)
    monkeypatch.setattr(contenders, "ROUNDS", 1)
    monkeypatch.setattr(contenders, "_asked", lambda *_: {"seconds": 1e-9, "rows": 3, "answers": ["F" * 21] * 3})
    with pytest.raises(contenders.DisagreementError, match="says"):
        contenders.standings(sys.executable, {"liar": 3})


@pytest.mark.parametrize("unsayable", ["api_key.label LIKE 'a%'", "api_key.created_at < account.created_at"])
def test_what_not_every_engine_can_be_given_is_left_out_and_not_bent(unsayable: str) -> None:
    with pytest.raises(normal.UnsayableError):
        normal.rule(rule("r", "api_key", unsayable), evaluation.NOW)


@pytest.mark.parametrize("withdraw", [True, False, None])
@pytest.mark.parametrize("bound", [True, False, None])
@pytest.mark.parametrize("manages", [True, False, None])
def test_the_normal_form_keeps_kleenes_logic(withdraw: bool | None, bound: bool | None, manages: bool | None) -> None:
    one = rule("r", "api_key", "NOT (api_key.can_withdraw OR NOT api_key.ip_bound)", "api_key.can_manage")
    said = {"r": normal.rule(one, evaluation.NOW)}
    row = {"api_key_can_withdraw": withdraw, "api_key_ip_bound": bound, "api_key_can_manage": manages}
    either = True if withdraw or bound is False else None if withdraw is None or bound is None else False
    risk = False if either is False or manages is False else None if either is None or manages is None else True
    assert engines.check_functions(said)(row) == {True: "F", False: "O", None: "U"}[risk]


@pytest.mark.parametrize(
    ("given", "otherwise"),
    [
        ("2026-11-20T00:00:00Z", "2026-11-20T25:00:00Z"),
        ('"enabled": true', '"enabled": 1'),
        ('"label"', '"labels"'),
        ('"hmac"', '"hmacs"'),
        ("auditor/evidence/1", "auditor/evidence/2"),
        ('"kyc_level": 2', '"kyc_level": 9007199254740993'),
    ],
)
def test_what_only_decodes_checks_as_much(given: str, otherwise: str) -> None:
    """The floor takes what is measured, and no more than the auditor does."""
    chance = random.Random(1)
    lines = [json.dumps(evaluation._document(number, chance, 5)) for number in range(20)]
    decode = typed.decoder().decode
    for line in lines:
        decode(line)
    assert any(given in line for line in lines)
    for line in lines:
        if given in line:
            with pytest.raises(msgspec.ValidationError):
                decode(line.replace(given, otherwise, 1))


def test_the_contenders_know_nothing_of_us() -> None:
    nodes = list(ast.walk(ast.parse(Path(engines.__file__).read_text())))
    named = [one.module or "" for one in nodes if isinstance(one, ast.ImportFrom)]
    named += [alias.name for one in nodes if isinstance(one, ast.Import) for alias in one.names]
    assert "json" in named and not [name for name in named if name.startswith(("auditor", "benchmarks", "tests"))]
