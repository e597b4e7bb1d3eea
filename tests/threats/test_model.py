"""The shipped model: what its draft got wrong, hardened accounts, what unknown facts leave open, and its own consistency."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor import yamlio
from auditor.engine.derived import DERIVED
from auditor.model.facts import LISTS, catalogue
from auditor.model.report import PathStatus
from auditor.threats import load

from . import invented
from .invented import (
    BOT_KEY,
    CONFIRMED,
    HARD,
    HARD_VENUE,
    LOSING,
    NOTHING_HELD,
    NOW,
    OPEN_VENUE,
    POSSIBLE,
    STRONG,
    WEAK,
    analyst,
    document,
    reaches,
    read,
    study,
)  # fmt: skip

chanced = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
KEY = {**BOT_KEY, "can_withdraw": True, "ip_bound": False, "ip_allowlist": []}
BLIND: dict[str, Any] = {"api_keys": None}


def leaked(account: dict[str, Any], venue: dict[str, Any], key: dict[str, Any] | None = None, **more: Any) -> Any:
    one = document({**HARD, **account}, {**HARD_VENUE, **venue}, **{**NOTHING_HELD, "api_keys": [key or KEY], **more})
    return reaches(["leaked_secret"], one)["withdraw_funds"]


# -- what the draft got wrong ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listed", "api_obeys", "expected"),
    [
        (False, False, CONFIRMED), (False, True, None), (True, True, None), (True, False, CONFIRMED),
        (False, None, CONFIRMED), (True, None, POSSIBLE), (None, None, POSSIBLE), (None, True, None), (None, False, CONFIRMED),
    ],
)  # fmt: skip
def test_a_leaked_key_withdraws_only_where_the_exchange_pays_it_to_any_address(
    listed: bool | None, api_obeys: bool | None, expected: PathStatus | None
) -> None:
    venue = {"api_withdrawal_requires_allowlist": api_obeys}
    assert leaked({"withdrawal_allowlist_enabled": listed}, venue) is expected


def test_a_leaked_key_withdraws_to_the_address_its_thief_saved_before() -> None:
    saved = [{"owner_recognised": False, "skips_second_factor": False, "destination_shares_host": False}]
    assert leaked({}, {}, addresses=saved) is CONFIRMED
    assert leaked({}, {}, addresses=[{**saved[0], "owner_recognised": True}]) is None
    assert leaked({}, {}, addresses=[{**saved[0], "owner_recognised": None}]) is POSSIBLE
    assert leaked({"addresses_complete": None}, {}, addresses=[{**saved[0], "owner_recognised": True}]) is POSSIBLE


def test_a_wallet_beside_the_key_is_no_safe_destination() -> None:
    beside = [{"owner_recognised": True, "skips_second_factor": False, "destination_shares_host": True}]
    assert leaked({}, {}, addresses=beside) is CONFIRMED
    assert leaked({"withdrawal_second_approver": True}, {}, addresses=beside) is None


def test_who_can_confirm_saves_an_address_for_the_api_too() -> None:
    """The account-wide list is off, and keys are paid to saved addresses only."""
    venue = {**OPEN_VENUE, "api_withdrawal_requires_allowlist": True, "lifecycle": "active"}
    paths, _ = study(document({**WEAK, "new_address_delay_hours": 24}, venue, **NOTHING_HELD))
    [way] = [path for path in paths if path.id == "sim_swap:withdraw_funds"]
    assert way.status is CONFIRMED


@pytest.mark.parametrize("step", ["login", "step_up"])
def test_either_will_do_does_not_collapse_to_the_weaker_one(step: str) -> None:
    """SMS is the weakest; the mailbox may be enough as well. Known either way, it decides; unknown, it is possible."""
    for accepted, expected in ((None, POSSIBLE), (True, CONFIRMED), (False, None)):
        account = {**WEAK, "email_recovery_by_phone": False, "phone_is_factor": True}
        both = {"login_accepts_email": True, "step_up_accepts_email": True, f"{step}_accepts_email": accepted}
        found = reaches(
            ["email_compromise"], document({**account, **both, "alert_channels": []}, OPEN_VENUE, **NOTHING_HELD)
        )
        assert found["withdraw_funds"] is expected


def test_from_no_factor_to_sms_opens_nothing_to_a_faulty_recovery() -> None:
    start = ["platform_recovery_flaw", "email_compromise"]
    for weakest in ("none", "sms", "sms_and_email"):
        account = {**WEAK, "login_weakest_factor": weakest, "step_up_weakest_factor": weakest}
        found = reaches(start, document(account, OPEN_VENUE, **NOTHING_HELD))
        assert found["withdraw_funds"] is CONFIRMED, weakest
    for weakest in ("totp", STRONG):
        account = {**WEAK, "login_weakest_factor": weakest, "step_up_weakest_factor": weakest}
        assert reaches(start, document(account, OPEN_VENUE, **NOTHING_HELD))["withdraw_funds"] is None


def test_a_hold_delays_only_what_sets_it_off() -> None:
    held = {
        **WEAK,
        "hold_after_password_change_hours": 48,
        "hold_after_two_factor_change_hours": 24,
        "hold_after_new_device_hours": 0,
    }

    def delay(account: dict[str, Any], way: str) -> float | None:
        paths, _ = study(document(account, OPEN_VENUE, **NOTHING_HELD))
        return next(path.delay_hours for path in paths if path.id == way)

    assert delay(held, "sim_swap:withdraw_funds") == 48, "the password is reset"
    assert delay(held, "phish_page:withdraw_funds") == 0, "it is not"
    assert delay({**held, "hold_after_password_change_hours": None}, "sim_swap:withdraw_funds") is None
    assert delay({**held, "hold_after_password_change_hours": None}, "phish_page:withdraw_funds") == 0


@pytest.mark.parametrize(("switch", "expected"), [(True, 0), (None, 0), (False, 72)])
def test_a_list_that_cannot_be_switched_off_makes_a_thief_wait_for_his_address(
    switch: bool | None, expected: float
) -> None:
    waits = {"new_address_delay_hours": 72, "allowlist_disable_delay_hours": 0, "hold_after_new_device_hours": 0}
    listed = {**WEAK, **waits, "hold_after_password_change_hours": 0, "withdrawal_allowlist_enabled": True}
    venue = {**OPEN_VENUE, "api_withdrawal_requires_allowlist": True}
    one = document({**listed, "allowlist_can_be_disabled": switch}, venue, **NOTHING_HELD)
    [way] = [path for path in study(one)[0] if path.id == "sim_swap:withdraw_funds"]
    assert (way.status, way.delay_hours) == (CONFIRMED, expected)


@pytest.mark.parametrize(("known", "expected"), [(False, CONFIRMED), (None, POSSIBLE), (True, None)])
def test_a_key_its_owner_never_made_is_used_whatever_it_is_bound_to(
    known: bool | None, expected: PathStatus | None
) -> None:
    one = document(HARD, HARD_VENUE, **{**NOTHING_HELD, "api_keys": [{**BOT_KEY, "owner_recognised": known}]})
    found = reaches(["planted_key"], one)
    assert (found["drain_by_trading"], found["persist_via_new_key"]) == (expected, expected)
    if known is False:
        paths, hardening = study(one)
        [way] = [path for path in paths if path.id == "planted_key:drain_by_trading"]
        assert "delete_unrecognised_keys" in way.closed_by
        assert [change.id for change in hardening.smallest] == ["delete_unrecognised_keys"]


@pytest.mark.parametrize(("covers", "expected"), [(True, 24), (False, 0), (None, None)])
def test_a_hold_that_covers_sales_between_customers_delays_them_and_stops_none(
    covers: bool | None, expected: Any
) -> None:
    account = {**WEAK, "p2p_enabled": True, "hold_after_password_change_hours": 0, "hold_after_new_device_hours": 24}
    paths, _ = study(document(account, {**OPEN_VENUE, "hold_covers_p2p": covers}, **NOTHING_HELD))
    [way] = [path for path in paths if path.id == "sim_swap:internal_transfer_out"]
    assert (way.status, way.delay_hours) == (CONFIRMED, expected)


def test_what_is_asked_for_a_trade_stops_nobody_who_can_confirm() -> None:
    venue = {**OPEN_VENUE, "trade_needs_step_up": True}
    found = reaches(["sim_swap"], document({**WEAK, "withdrawal_second_approver": True}, venue, **NOTHING_HELD))
    assert found["drain_by_trading"] is CONFIRMED
    assert found["withdraw_funds"] is None


def test_a_key_limited_to_markets_is_not_what_a_thief_makes_himself() -> None:
    limited = {**BOT_KEY, "ip_bound": False, "ip_allowlist": [], "symbol_restricted": True}
    one = document({**HARD, "trade_symbol_allowlist": True}, HARD_VENUE, **{**NOTHING_HELD, "api_keys": [limited]})
    assert reaches(["leaked_secret"], one)["drain_by_trading"] is None
    own = document(
        {**WEAK, "trade_symbol_allowlist": True}, {**OPEN_VENUE, "trade_needs_step_up": True}, **NOTHING_HELD
    )
    assert reaches(["sim_swap"], own)["drain_by_trading"] is CONFIRMED


def test_a_key_bound_to_everywhere_is_not_bound() -> None:
    anywhere = {**KEY, "ip_bound": True, "ip_allowlist": ["0.0.0.0/0"]}
    assert leaked({}, {"api_withdrawal_requires_allowlist": False}, anywhere) is CONFIRMED
    assert (
        leaked({}, {"api_withdrawal_requires_allowlist": False}, {**anywhere, "ip_allowlist": ["198.51.100.7"]}) is None
    )


@pytest.mark.parametrize("state", ["withdrawals_suspended", "closed"])
def test_nothing_is_withdrawn_where_the_exchange_pays_nothing(state: str) -> None:
    everything = list(analyst().model.capabilities)
    weak = {
        **WEAK,
        "master_key_over_subaccounts": True,
        "oauth_send_scope_allowed": True,
        "recovery_channels": ["support_video"],
    }
    beside = [{"destination_shares_host": True, "skips_second_factor": True, "owner_recognised": False}]
    found = reaches(everything, document(weak, {**OPEN_VENUE, "lifecycle": state}, api_keys=[KEY], addresses=beside))
    assert found["withdraw_funds"] is None
    assert found["drain_by_trading"] is (None if state == "closed" else CONFIRMED)


def test_a_closing_exchange_needs_no_attacker() -> None:
    for state, expected in (("closed", CONFIRMED), ("winding_down", CONFIRMED), ("active", None), (None, POSSIBLE)):
        assert reaches(["nobody"], document(HARD, {"lifecycle": state}))["funds_unavailable"] is expected


def test_an_attested_factor_counts_for_more_than_what_the_exchange_offers_everybody() -> None:
    venue = {**OPEN_VENUE, "second_factor_downgrade_possible": True}
    one = document({**HARD, "enrolled_factors": ["passkey", "sms"], "downgrade_possible": None}, venue, **NOTHING_HELD)
    assert reaches(["sim_swap", "credential_dump"], one)["withdraw_funds"] is None


def test_keys_that_could_not_be_listed_may_do_anything() -> None:
    one = document({**HARD, "key_inventory_complete": False}, HARD_VENUE, **{**NOTHING_HELD, "api_keys": [BOT_KEY]})
    paths, _ = study(one)
    ways = {path.id: path for path in paths}
    assert ways["leaked_secret:drain_by_trading"].status is POSSIBLE
    assert ways["leaked_secret:drain_by_trading"].unknown == ("account.key_inventory_complete",)


# -- hardened accounts of every kind -----------------------------------------------------------------------------------

TEAM = {**HARD, "kind": "custody", "withdrawal_second_approver": True, "several_people": True}
SERVICE_KEY = {**BOT_KEY, "label": "service", "third_party": True, "on_host": False, "symbol_restricted": False}
HARDENED: dict[str, dict[str, Any]] = {
    "personal": document(HARD, HARD_VENUE, **NOTHING_HELD),
    "team": document(TEAM, HARD_VENUE, **NOTHING_HELD),
    "bot": document(HARD, HARD_VENUE, **{**NOTHING_HELD, "api_keys": [BOT_KEY]}),
    "bot with a service": document(
        HARD,
        HARD_VENUE,
        api_keys=[BOT_KEY, SERVICE_KEY],
        addresses=[],
        vendors=[{"name": "desk", "second_factor": True}],
    ),
}


@pytest.mark.parametrize("kind", HARDENED)
def test_a_hardened_account_has_no_confirmed_way_that_a_setting_could_close(kind: str) -> None:
    paths, hardening = study(HARDENED[kind])
    left = [path.id for path in paths if path.goal in LOSING and path.status is CONFIRMED and not path.residual]
    assert left == []
    assert hardening.smallest == ()


def test_what_stays_open_is_what_no_setting_closes() -> None:
    paths, hardening = study(HARDENED["bot"])
    sure = {path.id for path in paths if path.goal in LOSING and path.status is CONFIRMED}
    assert sure <= set(hardening.residual)
    assert "fake_support_call:withdraw_funds" in sure
    assert "host_compromise:drain_by_trading" in sure
    assert "platform_2fa_bypass:withdraw_funds" in sure
    assert not any(path.startswith(("sim_swap", "phish_page", "email_compromise", "leaked_secret")) for path in sure)
    team, _ = study(HARDENED["team"])
    assert "fake_support_call:withdraw_funds" not in {path.id for path in team if path.status is CONFIRMED}


def test_a_hold_up_for_a_caller_is_the_wait_for_a_new_address() -> None:
    paths, _ = study(HARDENED["personal"])
    [call] = [path for path in paths if path.id == "fake_support_call:withdraw_funds"]
    assert call.delay_hours == 24
    assert call.alerts == ("push",)


# -- unknown is never blocked ------------------------------------------------------------------------------------------


def test_of_an_account_nobody_knows_everything_is_possible_and_nothing_confirmed_that_rests_on_facts() -> None:
    found = {name: reaches([name], document()) for name in analyst().model.capabilities}
    assert not [name for name, goals in found.items() for goal in LOSING if goals[goal] is CONFIRMED]
    theft = [
        name for name in found if name not in {"platform_freeze", "evidence_fault", "nobody", "platform_recovery_flaw"}
    ]
    assert [name for name in theft if not any(found[name][goal] for goal in LOSING)] == []


@chanced
@given(st.integers(0, 2**48).map(random.Random))
def test_learning_a_fact_moves_nothing_between_confirmed_and_blocked(chance: random.Random) -> None:
    """Over base facts and through the real engine: what was confirmed stays so, what was blocked stays so."""
    pairs = [_known_and_less(chance) for _ in range(12)]
    readings = read(*(one for pair in pairs for one in pair))
    for whole, less in zip(readings[::2], readings[1::2], strict=True):
        for name in analyst().model.capabilities:
            now, before = (analyst().reaches([name], one, NOW) for one in (whole, less))
            for goal, status in before.items():
                assert status is POSSIBLE or now[goal] is status, (name, goal)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**48).map(random.Random))
def test_knowing_any_fact_the_model_reads_moves_nothing_between_confirmed_and_blocked(chance: random.Random) -> None:
    """The same over the facts as the model sees them, consistent or not."""
    whole = invented.reading(chance, share=0.9)
    less = invented.less_known(whole, chance, keeping=presumed_absent())
    for name in analyst().model.capabilities:
        now, before = (analyst().reaches([name], one, NOW) for one in (whole, less))
        for goal, status in before.items():
            assert status is POSSIBLE or now[goal] is status, (name, goal)


def presumed_absent() -> frozenset[str]:
    """Facts that are not counted on while nobody knows them (`unless_known`): to learn of one may bar what was confirmed."""
    rows = yamlio.read(load.SHIPPED).value["actions"]
    return frozenset(
        path for row in rows if "unless_known" in row for path in re.findall(r"[a-z_]+\.[a-z_]+", row["unless_known"])
    )


def test_two_protections_alone_are_presumed_absent() -> None:
    assert presumed_absent() == {"venue.api_withdrawal_requires_allowlist", "account.allowlist_can_be_disabled"}


def _known_and_less(chance: random.Random) -> tuple[dict[str, Any], dict[str, Any]]:
    """An account of which every base fact is known, and the same with some of them hidden."""
    base = [path for path in invented.base_facts() if not path.startswith(("event.", "withdrawal."))]
    tables = {
        scope: {path.split(".")[1]: invented.value(path, chance) for path in base if path.startswith(f"{scope}.")}
        for scope in ("account", "venue", "api_key", "address", "vendor")
    }
    account = tables["account"]
    weakest = [account["login_weakest_factor"], account["step_up_weakest_factor"]]
    account["two_factor_enabled"] = weakest != ["none", "none"]
    hidden = {
        scope: {name: held for name, held in table.items() if chance.random() < 0.6} for scope, table in tables.items()
    }
    hidden["venue"]["api_withdrawal_requires_allowlist"] = tables["venue"]["api_withdrawal_requires_allowlist"]
    made = []
    for one in (tables, hidden):
        rows = {LISTS[scope]: [one[scope]] for scope in ("api_key", "address", "vendor")}
        known = {name: held for name, held in one["account"].items() if name != "name"}
        made.append(document(known, {name: held for name, held in one["venue"].items() if name != "id"}, **rows))
    return made[0], made[1]


def test_a_possible_way_names_what_would_decide_it_and_only_that() -> None:
    one = document(
        {**WEAK, "email_recovery_by_phone": None, "recovery_channels": ["email_link"]}, OPEN_VENUE, **NOTHING_HELD
    )
    paths, _ = study(one)
    [way] = [path for path in paths if path.id == "sim_swap:withdraw_funds"]
    assert (way.status, way.unknown) == (POSSIBLE, ("account.email_recovery_by_phone",))
    settled = {**WEAK, "recovery_channels": ["email_link"], "email_recovery_by_phone": True}
    assert reaches(["sim_swap"], document(settled, OPEN_VENUE, **NOTHING_HELD))["withdraw_funds"] is CONFIRMED


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**48).map(random.Random))
def test_every_path_says_what_it_needs(chance: random.Random) -> None:
    paths, _ = analyst().study(invented.reading(chance), NOW, str)
    texts = {state.text: state for state in analyst().model.states.values()}
    for path in paths:
        assert (path.status is CONFIRMED) == (not path.unknown) == all(step.status is CONFIRMED for step in path.steps)
        assert path.cost == sum(step.cost for step in path.steps)
        held = {analyst().model.states[name].text for name in path.capability.split("+")}
        for step in path.steps:
            assert set(step.needs) <= held and step.needs
            held |= set(step.gives)
            assert set(held) <= set(texts)
            assert all(line.value is not None and line.source for line in step.evidence)
        assert path.goal_text in path.steps[-1].gives
        assert len({step.action for step in path.steps}) <= len(path.steps)
        if path.delay_hours is not None:
            assert path.delay_hours == max((step.delay_hours or 0 for step in path.steps), default=0)
    assert len({path.id for path in paths}) == len(paths)


# -- alerts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "left"),
    [
        ("sim_swap", ("email", "push")), ("phish_page", ("email", "push", "sms")), ("mobile_malware", ("email",)),
        ("email_compromise", ("push", "sms")), ("malicious_extension", ("email", "push", "sms")),
    ],
)  # fmt: skip
def test_an_alert_survives_where_the_thief_does_not_hold_its_channel(start: str, left: tuple[str, ...]) -> None:
    loud = {
        **WEAK,
        "alert_channels": ["push", "sms", "email"],
        "step_up_accepts_email": True,
        "login_accepts_email": True,
    }
    paths, _ = study(document(loud, OPEN_VENUE, **NOTHING_HELD))
    assert next(path.alerts for path in paths if path.id == f"{start}:withdraw_funds") == left
    by_mail = {**loud, "recovery_channels": ["email_link"], "login_accepts_sms": False}
    paths, _ = study(document(by_mail, OPEN_VENUE, **NOTHING_HELD))
    assert "email" not in next(path.alerts or () for path in paths if path.id == "sim_swap:withdraw_funds")
    paths, _ = study(document({**loud, "alert_channels": None}, OPEN_VENUE, **NOTHING_HELD))
    assert next(path.alerts for path in paths if path.id == f"{start}:withdraw_funds") is None


def test_a_port_lock_makes_it_dearer_and_stops_nobody() -> None:
    def cost(lock: bool | None) -> int:
        paths, _ = study(document({**WEAK, "phone_port_lock": lock}, OPEN_VENUE, **NOTHING_HELD))
        return next(path.cost for path in paths if path.id == "sim_swap:withdraw_funds")

    assert cost(True) == cost(False) + 1 == cost(None) + 1


# -- the model itself --------------------------------------------------------------------------------------------------


def test_every_state_is_reached_and_leads_somewhere() -> None:
    model = analyst().model
    given_ = {name for move in model.moves for name in move.gives}
    used = {name for move in model.moves for name in (*move.have, *(one for group in move.any for one in group))}
    triggers = {delay.state for move in model.moves for delay in move.delays}
    ends = {"card_charged", "evidence_unreliable", "phone_alerts_muted", "mail_rewritten"}
    for state in model.states.values():
        assert state.goal or state.id in used | triggers | ends, f"{state.id} leads nowhere"
        assert state.id in given_ or state.id in model.capabilities, f"nothing gives {state.id}"
    assert {state.id for state in model.states.values() if state.mutes} >= {"mailbox", "phone_codes"}


def test_every_change_is_about_facts_the_model_reads_or_says_why_not() -> None:
    for remedy, moves in zip(analyst().model.remedies, analyst().terrain.moves_of, strict=True):
        waits = {
            path for move in analyst().model.moves for delay in move.delays for path in (delay.hours, *delay.when.facts)
        }
        told = {path for setting in remedy.sets for path in setting.facts}
        assert moves or told & waits or "closes nothing" in remedy.text, remedy.id


def test_the_model_reads_facts_that_somebody_can_establish() -> None:
    for path in analyst().model.facts:
        fact = catalogue()[path]
        assert fact.by & {"api", "attest", "venue", "history"} or path in DERIVED, path


def test_texts_are_plain() -> None:
    model = analyst().model
    for text in (*(one.text for one in model.states.values()), *(one.text for one in model.moves)):
        assert not text.endswith(".") and "_" not in text and len(text) <= 120, text


def test_the_model_is_as_large_as_it_says() -> None:
    model = analyst().model
    assert len(model.capabilities) == 33
    assert len({move.action for move in model.moves}) >= 69
    assert [goal.id for goal in model.goals if goal.losing_funds] == list(LOSING)
    assert len(model.goals) == 7
