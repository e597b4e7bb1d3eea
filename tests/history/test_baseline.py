"""What follows from the owner's word: recognised, widened, confirmed, in Kleene's logic and never from what is unknown."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor import memory
from auditor.history import baseline, change, ledger
from auditor.history.baseline import Baseline
from auditor.history.ledger import Ledger, Place
from auditor.model.evidence import Reason, Snapshot
from auditor.model.facts import format_time
from tests.history.invented import WHO, address, key, on, seen

RIGHTS = ("can_read", "can_trade", "can_trade_derivatives", "can_transfer", "can_withdraw", "can_manage")


def told(
    snapshot: Snapshot, before: Ledger | None = None, said: Baseline | None = None
) -> tuple[Snapshot, ledger.Reading]:
    reading = ledger.read(snapshot, before, WHO.fingerprint)
    return baseline.with_history(snapshot, reading, said or Baseline(), memory.prints(snapshot, WHO)), reading


def approving(
    held: Ledger, *, whole: bool = True, refused: tuple[str, ...] = (), day: int = 9
) -> tuple[str, dict[str, Any]]:
    chosen: dict[Place, bool] = {one.place: one.label not in refused for one in held.held if one.present}
    return format_time(on(day)), baseline.approval(chosen, held, by="ana", whole=whole)


def facts(snapshot: Snapshot, name: str, scope: str = "api_key") -> dict[str, Any]:
    return {row["label"]: row.get(name) for row in snapshot.rows(scope) or ()}


def test_nothing_is_recognised_before_anything_was_approved() -> None:
    first, reading = told(seen(0, [key("bot")], addresses=[address("cold")]))
    second, _ = told(seen(1, [key("bot"), key("new")], addresses=[address("cold")]), reading.ledger)
    for one in (first, second):
        assert (
            set(facts(one, "owner_recognised").values()) == {None} == set(facts(one, "widened_since_baseline").values())
        )
    assert facts(second, "first_seen_at") == {"bot": format_time(on(0)), "new": format_time(on(1))}
    assert second.sources["api_key.first_seen_at"].by == "history" and "api_key.owner_recognised" not in second.sources


def test_a_key_that_comes_after_a_whole_baseline_is_not_recognised() -> None:
    _, reading = told(seen(0, [key("bot")], addresses=[address("cold")]))
    said = baseline.fold([approving(reading.ledger)])
    later, _ = told(
        seen(2, [key("bot"), key("new")], addresses=[address("cold"), address("theirs")]), reading.ledger, said
    )
    assert facts(later, "owner_recognised") == {"bot": True, "new": False}
    assert facts(later, "owner_recognised", "address") == {"cold": True, "theirs": False}
    assert facts(later, "widened_since_baseline") == {"bot": False, "new": None}


def test_where_the_list_was_not_whole_only_what_was_made_later_is_a_stranger() -> None:
    _, reading = told(seen(0, [key("bot")], complete=None))
    said = baseline.fold([approving(reading.ledger)])
    rows = [key("bot"), key("hidden"), key("made", created_at=format_time(on(1)))]
    rows.append({name: value for name, value in key("dateless").items() if name != "created_at"})
    later, _ = told(seen(2, rows, complete=True), reading.ledger, said)
    assert facts(later, "owner_recognised") == {"bot": True, "hidden": None, "made": False, "dateless": None}


def test_what_came_between_the_last_run_and_the_word_about_it_was_not_approved() -> None:
    _, reading = told(seen(0, [key("bot")], complete=None))
    said = baseline.fold([approving(reading.ledger, day=9)])
    sneaked = key("sneaked", created_at=format_time(on(5)))
    later, _ = told(seen(10, [key("bot"), sneaked], complete=None), reading.ledger, said)
    assert facts(later, "owner_recognised")["sneaked"] is False


def test_approving_one_says_nothing_of_the_others() -> None:
    _, reading = told(seen(0, [key("bot"), key("other")]))
    when, part = approving(reading.ledger, whole=False)
    part["subjects"] = [row for row in part["subjects"] if row["label"] == "bot"]
    later, _ = told(seen(1, [key("bot"), key("other"), key("new")]), reading.ledger, baseline.fold([(when, part)]))
    assert facts(later, "owner_recognised") == {"bot": True, "other": None, "new": None}


def test_what_the_owner_refused_is_a_stranger_until_he_takes_it_back() -> None:
    _, reading = told(seen(0, [key("bot"), key("odd")]))
    refused = approving(reading.ledger, refused=("odd",))
    later, _ = told(seen(1, [key("bot"), key("odd")]), reading.ledger, baseline.fold([refused]))
    assert facts(later, "owner_recognised") == {"bot": True, "odd": False}
    taken_back = baseline.fold([refused, approving(reading.ledger)])
    assert (
        facts(told(seen(1, [key("bot"), key("odd")]), reading.ledger, taken_back)[0], "owner_recognised")["odd"] is True
    )


def test_a_label_alone_is_never_enough_to_be_recognised() -> None:
    rows = [{"label": "bot", "can_read": True}]
    _, reading = told(seen(0, rows))
    said = baseline.fold([approving(reading.ledger)])
    assert facts(told(seen(1, rows), reading.ledger, said)[0], "owner_recognised") == {"bot": None}
    twin, _ = told(seen(1, [*rows, {"label": "bot", "can_read": True}]), reading.ledger, said)
    assert [row.get("owner_recognised") for row in twin.api_keys or ()] == [None, False]  # one of them is new, surely


def test_what_was_attested_or_shown_stays() -> None:
    _, reading = told(seen(0, [key("bot")]))
    said = baseline.fold([approving(reading.ledger)])
    rows = [key("bot", owner_recognised=False), key("new", owner_recognised=True)]
    assert facts(told(seen(1, rows), reading.ledger, said)[0], "owner_recognised") == {"bot": False, "new": True}


def test_the_key_that_asks_is_not_called_a_stranger() -> None:
    _, reading = told(seen(0, [key("bot")]))
    said = baseline.fold([approving(reading.ledger)])
    later, _ = told(seen(1, [key("bot"), key("audit", is_audit_key=True)]), reading.ledger, said)
    assert facts(later, "owner_recognised")["audit"] is None  # the engine derives TRUE


def test_what_is_gone_at_an_approval_has_to_be_approved_again() -> None:
    _, first = told(seen(0, [key("a"), key("b"), key("c")]))
    _, without = told(seen(1, [key("a"), key("b")]), first.ledger)
    said = baseline.fold([approving(first.ledger), approving(without.ledger)])
    back, _ = told(seen(2, [key("a"), key("b"), key("c")]), without.ledger, said)
    assert facts(back, "owner_recognised") == {"a": True, "b": True, "c": False}


def test_a_doubted_list_is_not_known_to_be_whole() -> None:
    keys = [key(name) for name in ("a", "b", "c")]
    _, reading = told(seen(0, keys))
    less, again = told(seen(1, keys[:1]), reading.ledger)
    assert "key_inventory_complete" not in less.account and again.lost
    (problem,) = less.problems
    assert problem.reason is Reason.IMPLAUSIBLE_RESPONSE and "api_keys" in problem.facts
    sure, _ = told(seen(2, keys[:1]), again.ledger)
    assert sure.account["key_inventory_complete"] is True and not sure.problems


WIDER: list[tuple[dict[str, Any], str]] = [
    *[({name: True}, "may") for name in RIGHTS if name != "can_read"],
    ({"permissions": ["read", "withdraw"]}, "withdraw"),
    ({"ip_bound": False, "ip_allowlist": []}, "no longer bound"),
    ({"ip_allowlist": ["192.0.2.7", "198.51.100.1"]}, "198.51.100.1"),
    ({"ip_allowlist": ["192.0.2.0/24"]}, "192.0.2.0/24"),
    ({"ip_allowlist": ["0.0.0.0/0"]}, "0.0.0.0/0"),
    ({"ip_allowlist": ["2001:db8::1"]}, "2001:db8::1"),
    ({"ip_allowlist": ["bot.example"]}, "bot.example"),
    ({"expires_at": None, "never_expires": True}, "no longer expires"),
    ({"expires_at": "2027-06-01T00:00:00Z"}, "expires later"),
]
SAME: list[dict[str, Any]] = [
    {},
    {"can_read": False},
    {"permissions": []},
    {"ip_allowlist": ["192.0.2.7"]},
    {"ip_allowlist": ["192.0.2.7/32", " 192.0.2.7 "]},
    {"ip_allowlist": []},
    {"expires_at": "2026-12-01T00:00:00Z"},
    {"label": "another", "enabled": False},
]


def with_expiry(**more: Any) -> dict[str, Any]:
    row = {**key("bot", expires_at="2027-01-01T00:00:00Z", never_expires=False), **more}
    return {name: value for name, value in row.items() if value is not None}


@pytest.mark.parametrize(("more", "words"), WIDER)
def test_what_widens_a_key(more: dict[str, Any], words: str) -> None:
    assert change.widened(with_expiry(), with_expiry(**more)) is True
    assert words in "; ".join(change.wider(with_expiry(), with_expiry(**more)))
    assert change.widened(with_expiry(**more), with_expiry(**more)) is False  # approved as it is


@pytest.mark.parametrize("more", SAME)
def test_what_does_not(more: dict[str, Any]) -> None:
    assert change.widened(with_expiry(), with_expiry(**more)) is False
    assert change.wider(with_expiry(), with_expiry(**more)) == []


def test_switched_on_again() -> None:
    off = with_expiry(enabled=False)
    assert change.widened(off, with_expiry()) is True and change.widened(off, off) is False
    assert change.widened(off, with_expiry(enabled=None)) is None


@pytest.mark.parametrize(("approved", "now", "expected"), [
    ({"ip_allowlist": ["10.0.0.1-10.0.0.9"]}, {"ip_allowlist": ["10.0.0.5"]}, None),
    ({"ip_allowlist": ["10.0.0.1-10.0.0.9"]}, {"ip_allowlist": ["10.0.0.1-10.0.0.9"]}, False),
    ({"ip_allowlist": ["0.0.0.0/0"]}, {"ip_allowlist": ["192.0.2.0/24"]}, False),
    ({"ip_allowlist": ["*"]}, {"ip_allowlist": ["192.0.2.0/24", "2001:db8::/32"]}, False),
    ({"ip_bound": False}, {"ip_bound": True, "ip_allowlist": ["0.0.0.0/0"]}, False),
    ({"ip_allowlist": None}, {}, None),
    ({}, {"ip_allowlist": None}, None),
    ({}, {"ip_bound": None}, None),
    ({"ip_bound": None}, {"ip_bound": False}, None),
    ({"permissions": ["a"]}, {"permissions": ["b"]}, None),
    ({"permissions": None, "can_manage": None}, {"can_manage": None}, None),
    ({"can_manage": None}, {"can_manage": None}, False),  # the venue's own words are the same
    ({"can_manage": None}, {"can_manage": True}, False),
    ({"permissions": None, "can_manage": None}, {"can_manage": False}, False),
    ({"expires_at": None, "never_expires": None}, {"expires_at": None, "never_expires": None}, False),
    ({"expires_at": None, "never_expires": None}, {}, None),
    ({}, {"expires_at": None, "never_expires": None}, None),
    ({"enabled": None}, {"enabled": None}, False),
    ({"enabled": None}, {}, None),
])  # fmt: skip
def test_what_cannot_be_told(approved: dict[str, Any], now: dict[str, Any], expected: bool | None) -> None:
    assert change.widened(with_expiry(**approved), with_expiry(**now)) is expected


_ROW = st.fixed_dictionaries({
    **{name: st.booleans() for name in (*RIGHTS, "ip_bound", "enabled", "never_expires")},
    "permissions": st.lists(st.sampled_from(["r", "t", "w"]), unique=True),
    "ip_allowlist": st.lists(st.sampled_from(["192.0.2.1", "192.0.2.0/24", "::/0", "a-b"]), unique=True),
    "expires_at": st.sampled_from(["2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"]),
})  # fmt: skip
_HIDEABLE = ("ip_bound", "ip_allowlist", *RIGHTS, "permissions")


@given(_ROW, _ROW, st.sets(st.sampled_from(_HIDEABLE)), st.sets(st.sampled_from([*_HIDEABLE, "enabled"])))
def test_hiding_a_fact_makes_an_answer_unknown_and_never_another(
    approved: dict[str, Any], now: dict[str, Any], hidden: set[str], hidden_now: set[str]
) -> None:
    whole = change.widened(approved, now)
    partly = change.widened(
        {name: value for name, value in approved.items() if name not in hidden},
        {name: value for name, value in now.items() if name not in hidden_now},
    )
    rights_by_words = approved["permissions"] is not None and set(now["permissions"]) <= set(approved["permissions"])
    if rights_by_words and whole and not partly and hidden & set(RIGHTS) | hidden_now & set(RIGHTS):
        return  # the same words of the venue settle rights that are not shown: a venue contradicting itself is not judged here
    assert partly in {whole, None}


@given(_ROW)
def test_a_key_is_never_wider_than_itself(row: dict[str, Any]) -> None:
    assert change.widened(row, row) is False


def line(day: int, kind: str = "login", ip: str = "192.0.2.7", **more: Any) -> dict[str, Any]:
    return {"kind": kind, "at": format_time(on(day)), "ip": ip, **more}


def confirmed(snapshot: Snapshot) -> list[bool | None]:
    return [row.get("owner_confirmed") for row in snapshot.events or ()]


def test_what_the_log_shows_has_to_be_confirmed_from_the_second_run_on() -> None:
    first, reading = told(seen(0, [key("bot")], events=[line(-1)]))
    assert confirmed(first) == [None]
    rows = [line(-1), line(1), line(1, "api_key_created")]
    later, again = told(seen(2, [key("bot")], events=rows), reading.ledger)
    assert confirmed(later) == [None, False, False]
    assert confirmed(told(seen(9, [key("bot")], events=rows), again.ledger)[0]) == [
        None,
        False,
        False,
    ]  # and stays open
    said = baseline.fold([approving(again.ledger)])
    assert confirmed(told(seen(9, [key("bot")], events=[*rows, line(5)]), again.ledger, said)[0]) == [
        True,
        True,
        True,
        False,
    ]


def test_a_confirmed_login_makes_its_address_known() -> None:
    snapshot = seen(2, [key("bot")], events=[line(1), line(1, ip="198.51.100.9"), line(1, "login_failed")])
    _, reading = told(seen(0, [key("bot")], events=[]))
    marks = memory.prints(snapshot, WHO)["event"]
    said = baseline.fold(
        [
            (
                format_time(on(3)),
                {"by": "ana", "events": {marks[0][0]: True, marks[1][0]: False}, "logins": {marks[0][1]: True}},
            )
        ]
    )
    assert confirmed(told(snapshot, reading.ledger, said)[0]) == [True, False, False]
    later = seen(9, [key("bot")], events=[line(8), line(8, ip="198.51.100.9"), line(8, "password_changed")])
    assert confirmed(told(later, reading.ledger, said)[0]) == [True, False, False]


def test_destinations_of_withdrawals() -> None:
    rows = [{"at": format_time(on(0)), "asset": "BTC", "amount": 1.0, "destination": "d1"}]
    _, reading = told(seen(0, [key("bot")], withdrawals=rows))
    said = baseline.fold([approving(reading.ledger)])
    more = [*rows, {**rows[0], "destination": "d2"}, {**rows[0], "destination": None}]
    later, _ = told(seen(1, [key("bot")], withdrawals=more), reading.ledger, said)
    assert [row.get("destination_recognised") for row in later.withdrawals or ()] == [True, False, None]
    unsaid, _ = told(seen(1, [key("bot")], withdrawals=more), reading.ledger)
    assert {row.get("destination_recognised") for row in unsaid.withdrawals or ()} == {None}


def kinds(snapshot: Snapshot, before: Ledger | None, said: Baseline | None = None) -> dict[str, str]:
    reading = ledger.read(snapshot, before, WHO.fingerprint)
    found = change.drift(reading, before, said or Baseline())
    return {one.subject.label: one.kind for one in found}


def test_drift_against_the_run_before_and_against_what_was_approved() -> None:
    keys = [key(name) for name in ("a", "b", "c", "d")]
    first = ledger.read(seen(0, keys), None, WHO.fingerprint).ledger
    assert kinds(seen(0, keys), None) == {}
    now = [key("a"), key("b", can_withdraw=True), key("c", ip_allowlist=[]), key("new")]
    expected = {"b": "widened", "c": "changed", "d": "removed", "new": "new"}
    assert kinds(seen(1, now), first) == expected
    said = baseline.fold([approving(first)])
    assert kinds(seen(1, now), first, said) == expected
    second = ledger.read(seen(1, now), first, WHO.fingerprint).ledger
    assert kinds(seen(2, now), second) == {}  # told once, where nothing was approved
    assert kinds(seen(2, now), second, said) == expected  # and until it is approved, where something was
    assert kinds(seen(2, now), second, baseline.fold([approving(first), approving(second)])) == {}
    assert kinds(seen(1, keys[:1]), first, said) == {"b": "doubted", "c": "doubted", "d": "doubted"}


def test_every_subset_of_an_approval_is_no_more_than_it_says() -> None:
    keys = [key(name) for name in ("a", "b", "c")]
    reading = ledger.read(seen(0, keys), None, WHO.fingerprint)
    for size in range(4):
        for chosen in combinations("abc", size):
            when, part = approving(reading.ledger, whole=False)
            part["subjects"] = [row for row in part["subjects"] if row["label"] in chosen]
            later, _ = told(seen(1, keys), reading.ledger, baseline.fold([(when, part)]))
            assert {name for name, known in facts(later, "owner_recognised").items() if known} == set(chosen)
