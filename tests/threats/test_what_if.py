"""Supposing facts: what follows from them follows anew, and what was seen beside them stays."""

from __future__ import annotations

from typing import Any

import pytest

from auditor.engine.intake import Evidence
from auditor.threats import what_if

from .invented import CONFIRMED, NOTHING_HELD, NOW, OPEN_VENUE, POSSIBLE, STRONG, WEAK, analyst, document, read


def supposed(one: dict[str, Any], **facts: Any) -> Any:
    """What is read of a document in which these facts (`scope__name`) are supposed."""
    named = {path.replace("__", "."): held for path, held in facts.items()}
    with Evidence(NOW).add([one]) as evidence:
        known = what_if.documents(evidence)
    return read(*what_if.supposed(known, named, Evidence(NOW), {}))[0]


def test_what_follows_from_a_supposed_fact_follows_anew() -> None:
    told = {**WEAK, "step_up_accepts_sms": True, "step_up_needs_second_factor": True}
    one = supposed(document(told, OPEN_VENUE, **NOTHING_HELD), account__step_up_weakest_factor=STRONG)
    assert one.facts["account.step_up_accepts_sms"] is False
    assert analyst().reaches(["sim_swap"], one, NOW)["withdraw_funds"] is None


def test_what_was_known_stays_where_nothing_follows() -> None:
    told = {**WEAK, "login_accepts_email": True, "phone_is_factor": True}
    one = supposed(document(told, OPEN_VENUE), account__login_weakest_factor="sms")
    assert one.facts["account.login_accepts_email"] is True
    assert one.facts["account.phone_is_factor"] is True


def test_a_null_gives_way_to_what_is_supposed() -> None:
    one = supposed(document({**WEAK, "password_unique": None}, OPEN_VENUE), account__password_unique=True)
    assert one.facts["account.password_unique"] is True
    still = supposed(document({**WEAK, "password_unique": None}, OPEN_VENUE), account__p2p_enabled=False)
    assert "account.password_unique" not in still.facts


def test_a_fact_of_keys_is_supposed_of_each_key_that_was_seen() -> None:
    keys = [{"can_trade": True, "ip_bound": False}, {"can_trade": True, "ip_bound": None}]
    one = supposed(
        document(WEAK, OPEN_VENUE, api_keys=keys), api_key__ip_bound=True, api_key__ip_allowlist=["198.51.100.7"]
    )
    seen = [row for row in one.rows["api_key"] if "unseen" not in row]
    assert [row["api_key.ip_bound"] for row in seen] == [True, True]
    assert [row["api_key.ip_allows_any"] for row in seen] == [False, False]
    assert any("unseen" in row for row in one.rows["api_key"]), "a key nobody listed is still one nobody knows"
    assert analyst().reaches(["leaked_secret"], one, NOW)["drain_by_trading"] is POSSIBLE


@pytest.mark.parametrize("keys", [None, []])
def test_without_keys_there_is_nothing_to_suppose_of_them(keys: Any) -> None:
    one = supposed(document(WEAK, OPEN_VENUE, api_keys=keys), api_key__ip_bound=True)
    assert all("unseen" in row for row in one.rows["api_key"])


def test_a_policy_of_the_venue_is_supposed_too() -> None:
    one = supposed(document({**WEAK, "withdrawal_second_approver": True}, OPEN_VENUE), venue__trade_needs_step_up=True)
    assert one.facts["account.trade_needs_step_up"] is True
    assert analyst().reaches(["sim_swap"], one, NOW)["drain_by_trading"] is CONFIRMED


def test_the_documents_are_left_as_they_were() -> None:
    with Evidence(NOW).add([document(WEAK, OPEN_VENUE, api_keys=[{"ip_bound": False}])]) as evidence:
        known = what_if.documents(evidence)
    before = repr(known)
    what_if.supposed(known, {"account.p2p_enabled": True, "api_key.ip_bound": True}, Evidence(NOW), {})
    assert repr(known) == before
