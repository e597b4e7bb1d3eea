"""Names that others rely on stay: every fact of `public_facts.yaml` is in the catalogue, of the same type, and whoever could
establish it still can. With AUDITOR_CONTRACT_FACTS naming the file that the list was made from, the list is held against it.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from auditor import yamlio
from auditor.model.facts import SCOPES, catalogue

PUBLIC = Path(__file__).with_name("public_facts.yaml")
OURS = Path("auditor/model/facts.yaml")


@cache
def table(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = yamlio.read(path).value
    return value


def rows(path: Path) -> dict[str, dict[str, Any]]:
    return {f"{scope}.{name}": row for scope in SCOPES for name, row in table(path)[scope].items()}


@pytest.mark.parametrize("path", rows(PUBLIC))
def test_a_public_fact_keeps_its_type_and_whoever_can_establish_it(path: str) -> None:
    ours, public = rows(Path(__file__).parents[2] / OURS)[path], rows(PUBLIC)[path]
    assert ours["type"] == public["type"]
    assert set(public["by"]) <= set(ours["by"])


@pytest.mark.parametrize("path", rows(PUBLIC))
def test_what_its_owner_may_answer_has_a_question_or_a_sibling_that_is_asked(path: str) -> None:
    """A day beside a yes-or-no fact is asked with it, or follows from nothing else."""
    fact = catalogue()[path]
    unasked = {"account.email_rules_reviewed_at", "account.sessions_reviewed_at", "account.freeze_rehearsed_at"}
    if "attest" in rows(PUBLIC)[path]["by"] and path not in unasked:
        assert fact.ask and fact.ask.endswith(("?", ".")), path
    if path in unasked:
        assert catalogue()[path.removesuffix("_at")].ask


def test_factors_are_ranked_as_before() -> None:
    assert table(Path(__file__).parents[2] / OURS)["factor_strength"] == table(PUBLIC)["factor_strength"]


def test_the_public_list_is_that_of_the_contract() -> None:
    named = os.environ.get("AUDITOR_CONTRACT_FACTS")
    if not named or not Path(named).is_file():
        pytest.skip("AUDITOR_CONTRACT_FACTS names no file here: the list beside this test stands for it")
    theirs = rows(Path(named))
    assert table(Path(named))["factor_strength"] == table(PUBLIC)["factor_strength"]
    assert {path: (row["type"], row["by"]) for path, row in theirs.items()} == {
        path: (row["type"], row["by"]) for path, row in rows(PUBLIC).items()
    }
