"""The inventory over time: known again, told apart, not forgotten, and not believed at once when it shrinks."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.history import ledger
from auditor.history.ledger import Ledger, Reading, Strength
from auditor.model.evidence import Problem, Reason, Snapshot
from auditor.model.facts import format_time
from tests.history.invented import WHO, address, key, on, seen


def read(snapshot: Snapshot, before: Ledger | None = None) -> Reading:
    found = ledger.read(snapshot, before, WHO.fingerprint)
    again = ledger.from_document(json.loads(json.dumps(found.ledger.to_document())))
    assert again == found.ledger  # what is stored is what was meant
    return found


def days(found: Reading) -> dict[str, tuple[str, str, str | None, bool]]:
    return {one.label: (one.first_seen_at, one.last_seen_at, one.changed_at, one.present) for one in found.ledger.held}


def at(day: int) -> str:
    return format_time(on(day))


def test_first_and_last_seen_and_changed() -> None:
    found = read(seen(0, [key("bot"), key("old")]))
    found = read(seen(1, [key("bot"), key("old"), key("new")]), found.ledger)
    found = read(seen(2, [key("bot", can_trade=True), key("new")]), found.ledger)
    assert days(found) == {
        "bot": (at(0), at(2), at(2), True),
        "new": (at(1), at(2), None, True),
        "old": (at(0), at(1), None, False),
    }
    assert [one.label for one in found.gone] == ["old"] and found.ledger.begun == at(0)
    found = read(seen(3, [key("bot", can_trade=True), key("new"), key("old")]), found.ledger)
    assert days(found)["old"] == (at(0), at(3), at(3), True)  # it came back: a change, and no new key


def test_what_passes_by_itself_is_no_change() -> None:
    first = read(seen(0, [key("bot", last_used_at=at(0), third_party=False)]))
    found = read(seen(1, [key("bot", last_used_at=at(1), is_audit_key=True, third_party=True)]), first.ledger)
    assert days(found)["bot"][2] is None


def test_what_an_outage_hides_is_not_forgotten_and_not_gone() -> None:
    first = read(seen(0, [key("bot"), key("two")], addresses=[address("cold")]))
    for blind in (seen(1), seen(1, [], complete=None), seen(1, [key("two")], complete=False)):
        found = read(blind, first.ledger)
        assert {one.label: one.present for one in found.ledger.held} == {"bot": True, "two": True, "BTC btc cold": True}
        assert not found.gone and not found.lost
    bare = {name: value for name, value in key("bot").items() if name in {"fingerprint", "label"}}
    found = read(seen(1, [bare, key("two")]), first.ledger)
    assert found.ledger.find(("api_key", key("bot")["fingerprint"])).facts["ip_allowlist"] == ["192.0.2.7"]  # type: ignore[union-attr]


def test_an_expiry_that_went_does_not_stay_beside_its_contrary() -> None:
    first = read(seen(0, [key("bot", expires_at="2027-01-01T00:00:00Z", never_expires=False)]))
    found = read(seen(1, [key("bot", never_expires=True)]), first.ledger)
    held = found.ledger.held[0].facts
    assert held["never_expires"] is True and "expires_at" not in held
    found = read(seen(2, [key("bot", expires_at="2027-01-01T00:00:00Z")]), found.ledger)
    assert "never_expires" not in found.ledger.held[0].facts


def test_how_strongly_a_key_is_known() -> None:
    shown = key("shown")
    hidden = {name: value for name, value in shown.items() if name not in {"fingerprint", "masked_id"}}
    dateless = {name: value for name, value in hidden.items() if name != "created_at"}
    rows = [
        shown,
        {**hidden, "label": "dated"},
        {**dateless, "label": "masked", "masked_id": "…9f3a"},
        {**dateless, "label": "bare"},
    ]
    found = {one.label: one.strength for one in read(seen(0, rows)).ledger.held}
    assert found == {"shown": Strength.ID, "dated": Strength.DATED, "masked": Strength.MASKED, "bare": Strength.LABEL}
    assert all(ledger.WEAKNESS[strength] for strength in (Strength.DATED, Strength.MASKED, Strength.LABEL))


def test_a_key_made_anew_under_the_label_of_another_is_another() -> None:
    hidden = {"label": "bot", "created_at": "2025-01-01T00:00:00Z", "can_read": True}
    found = read(seen(0, [hidden, key("other"), key("third")]))
    found = read(seen(1, [{**hidden, "created_at": "2026-03-01T12:00:00Z"}, key("other"), key("third")]), found.ledger)
    assert len({one.mark for one in found.ledger.held}) == 4 and [one.label for one in found.gone] == ["bot"]
    masked = {"label": "bot", "masked_id": "…aaaa", "can_read": True}
    found = read(seen(0, [masked, key("other"), key("third")]))
    found = read(seen(1, [{**masked, "masked_id": "…bbbb"}, key("other"), key("third")]), found.ledger)
    assert len(found.ledger.held) == 4 and len(found.gone) == 1


def test_twins_are_told_apart_by_what_they_were() -> None:
    one, two = ({"label": "bot", "can_trade": value} for value in (False, True))
    first = read(seen(0, [one, two]))
    marks = dict(zip(["one", "two"], first.marks["api_key"], strict=True))
    assert len(set(marks.values())) == 2
    for rows, order in (([two, one], ["two", "one"]), ([one, two], ["one", "two"])):
        assert read(seen(1, rows), first.ledger).marks["api_key"] == [marks[name] for name in order]
    three = {"label": "bot", "can_trade": True, "can_withdraw": True}
    found = read(seen(1, [three, two, one]), first.ledger)
    assert found.marks["api_key"][1:] == [marks["two"], marks["one"]]
    assert found.marks["api_key"][0] not in marks.values()


@given(
    st.lists(st.sampled_from("abcd"), max_size=6), st.lists(st.sampled_from("abcd"), max_size=6), st.integers(0, 999)
)
def test_the_order_of_a_list_says_nothing(before: list[str], after: list[str], seed: int) -> None:
    def row(label: str, number: int) -> dict[str, Any]:
        return {"label": label, "can_read": True, **({"can_trade": True} if number % 3 == 0 else {})}

    first = read(seen(0, [row(label, number) for number, label in enumerate(before)]))
    rows = [row(label, number) for number, label in enumerate(after)]
    shuffled = random.Random(seed).sample(rows, len(rows))
    one, other = read(seen(1, rows), first.ledger), read(seen(1, shuffled), first.ledger)
    assert one.ledger == other.ledger
    assert len(set(one.marks["api_key"])) == len(rows)
    assert all(held.first_seen_at <= held.last_seen_at for held in one.ledger.held)


def test_one_less_is_believed_and_half_of_them_not_at_once() -> None:
    keys = [key(name) for name in ("a", "b", "c", "d")]
    first = read(seen(0, keys))
    assert [one.label for one in read(seen(1, keys[1:]), first.ledger).gone] == ["a"]
    for left in (keys[:2], keys[:1], []):
        doubted = read(seen(1, left), first.ledger)
        assert not doubted.gone and {one.label for one in doubted.lost} == {row["label"] for row in keys} - {
            row["label"] for row in left
        }
        assert doubted.ledger.complete["api_key"] is None and all(one.present for one in doubted.ledger.held)
        again = read(seen(2, left), doubted.ledger)
        assert not again.lost and len(again.gone) == 4 - len(left) and again.ledger.complete["api_key"] is True
        back = read(seen(2, keys), doubted.ledger)
        assert not back.lost and not back.gone and not back.ledger.doubted
        fewer = read(seen(2, left[:-1]), doubted.ledger) if left else None
        assert fewer is None or (fewer.lost and not fewer.gone)  # less again is another glitch


def test_what_the_log_tells_of_is_believed_at_once() -> None:
    keys = [key(name) for name in ("a", "b", "c")]
    first = read(seen(0, keys))
    told = [{"kind": "api_key_removed", "at": at(1)}, {"kind": "api_key_removed", "at": at(1)}]
    assert len(read(seen(2, keys[:1], events=told), first.ledger).gone) == 2
    assert read(seen(2, keys[:1], events=told[:1]), first.ledger).lost
    old = [{**row, "at": "2026-02-01T00:00:00Z"} for row in told]
    assert read(seen(2, keys[:1], events=old), first.ledger).lost


def test_a_list_thrown_away_as_implausible_is_believed_the_second_time() -> None:
    keys = [key("audit", is_audit_key=True), key("a"), key("b")]
    first = read(seen(0, keys))
    problem = Problem(endpoint="api_keys", reason=Reason.IMPLAUSIBLE_RESPONSE, facts=("api_keys",))
    thrown = read(replace(seen(1), problems=(problem,)), first.ledger)
    assert not thrown.gone and thrown.ledger.doubted["api_key"]
    again = read(seen(2, keys[:1]), thrown.ledger)
    assert {one.label for one in again.gone} == {"a", "b"}


def test_sub_accounts_and_destinations_are_seen_through_what_names_them() -> None:
    found = read(seen(0, [key("a", sub_account="desk"), key("b", sub_account="desk"), key("c")], withdrawals=[
        {"at": at(0), "asset": "BTC", "destination": "d1"}, {"at": at(0), "asset": "ETH", "destination": "d1"}]))  # fmt: skip
    scopes = [one.scope for one in found.ledger.held]
    assert scopes.count("sub_account") == 1 and scopes.count("destination") == 1
    later = read(seen(40, [key("c"), key("a")], withdrawals=[]), found.ledger)
    assert {one.scope for one in later.ledger.held if one.present} == {"api_key", "destination"}


@pytest.mark.parametrize(
    "reason", [Reason.TIMEOUT, Reason.VENUE_INCIDENT, Reason.RATE_LIMITED, Reason.MALFORMED_RESPONSE]
)
def test_an_outage_of_the_names_makes_no_new_sub_account(reason: Reason) -> None:
    """Where the names are not to be had, ids stand in their place: for one run, and they are the same sub-accounts."""
    named = [key("a", sub_account="desk"), key("b", sub_account="lab"), key("c")]
    first = read(seen(0, named))
    nameless = [
        {**row, "sub_account": f"77{number}"} if "sub_account" in row else row for number, row in enumerate(named)
    ]
    problem = Problem(endpoint="sub-accounts", reason=reason, facts=("api_key.sub_account",))
    found = read(seen(1, nameless, problems=(problem,)), first.ledger)
    assert not found.gone and not found.lost and {one.changed_at for one in found.ledger.held} == {None}
    subs = [one for one in found.ledger.held if one.scope == "sub_account"]
    assert {(one.label, one.present) for one in subs} == {("desk", True), ("lab", True)}
    assert {one.facts.get("sub_account") for one in found.ledger.held if one.scope == "api_key"} == {
        "desk",
        "lab",
        None,
    }
    assert days(read(seen(2, named), found.ledger)) == days(read(seen(2, named), first.ledger))


def test_a_key_that_may_never_see_the_names_knows_sub_accounts_by_their_ids() -> None:
    problem = Problem(endpoint="sub-accounts", reason=Reason.PERMISSION_DENIED, facts=("api_key.sub_account",))
    first = read(seen(0, [key("a", sub_account="771")], problems=(problem,)))
    found = read(seen(1, [key("a", sub_account="771"), key("b", sub_account="772")], problems=(problem,)), first.ledger)
    new = [one for one in found.ledger.held if one.scope == "sub_account" and one.first_seen_at == at(1)]
    assert [one.label for one in new] == ["772"]


@pytest.mark.parametrize("label", ["\x1b[2J", "\u202e", "x" * 5000, "\ud800", "", "a\nb", "-2"])
def test_hostile_labels_are_kept_and_do_no_harm(label: str) -> None:
    rows = [{"label": label, "can_read": True}, {"label": label, "can_read": False}]
    first = read(seen(0, rows))
    assert read(seen(1, rows[::-1]), first.ledger).ledger.held[0].first_seen_at == at(0)
    assert len(first.ledger.held) == 2
