"""Every control has a rule, or a reason why none can decide it, and the page that says so is up to date."""

from __future__ import annotations

import re
from functools import cache

import pytest

from auditor.model.rule import Rule
from auditor.ruleset import loader
from tests.controls import PAGE, ROW, page

FAMILIES = {
    "AUTH": 12, "REC": 1, "EML": 4, "SES": 5, "KEY": 18, "WDL": 13, "VND": 4, "OAU": 1, "ENV": 2, "TEAM": 4, "LIFE": 4,
    "MON": 9, "EVID": 4,
}  # fmt: skip
CODES = [f"{family}-{number:02}" for family, count in FAMILIES.items() for number in range(1, count + 1)]
_PARTLY = re.compile(r"^\| ([A-Z]+-\d\d) \| ([^|\n]*) \|$", re.MULTILINE)


@cache
def pack() -> tuple[Rule, ...]:
    return tuple(loader.load(loader.shipped_folder()))


def test_the_page_names_every_control_once() -> None:
    assert sorted(row[1] for row in ROW.finditer(PAGE.read_text())) == sorted(CODES)


def test_the_page_is_what_the_rules_say() -> None:
    assert page(PAGE.read_text(), pack()) == PAGE.read_text(), "run `python -m tests.controls`"


def test_every_alias_of_a_rule_is_a_control() -> None:
    assert {code for rule in pack() for code in rule.aliases} <= set(CODES)


@pytest.mark.parametrize("code", CODES)
def test_a_control_has_a_rule_or_a_reason(code: str) -> None:
    told = {row[1]: (row[2], row[3].strip()) for row in ROW.finditer(PAGE.read_text())}
    asked, answer = told[code]
    assert asked.endswith("?")
    named = re.findall(r"`([a-z0-9-]+)` \(", answer)
    assert sorted(named) == sorted(rule.id for rule in pack() if code in rule.aliases)
    assert named or re.match(r"none: .{40,}\.$", answer), "no rule decides it, and nobody says why"


def test_what_is_said_to_be_decided_in_part_has_a_rule() -> None:
    partly = [row[1] for row in _PARTLY.finditer(PAGE.read_text())]
    assert partly == sorted(set(partly), key=partly.index)
    assert set(partly) <= {code for rule in pack() for code in rule.aliases}


def test_a_page_that_is_stale_is_noticed() -> None:
    row = "| AUTH-01 | Is it asked? | `auth-gone` (low) |"
    assert "`auth-no-second-factor` (critical)" in page(row, pack())
    assert page("| ZZZ-01 | Is it asked? | none: nobody can see it. |", pack()).endswith("| none: nobody can see it. |")
