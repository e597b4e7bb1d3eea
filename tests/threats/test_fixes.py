"""Changes close and never open; closing sets close, and none smaller does."""

from __future__ import annotations

import random
import time
from itertools import combinations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.engine.derived import closure
from auditor.errors import UsageError
from auditor.model.facts import LISTS
from auditor.threats import fixes
from auditor.threats.fixes import Closing
from auditor.threats.model import Remedy
from auditor.threats.posture import Posture
from auditor.threats.solve import ones

from . import invented
from .invented import LOSING, NOW, OPEN_VENUE, WEAK, analyst, document, read, study

chanced = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def posture(chance: random.Random, share: float = 0.8) -> Posture:
    return Posture(analyst().terrain, invented.reading(chance, share), NOW)


def confirmed(one: Posture, changes: int = 0) -> list[tuple[int, int]]:
    """What every single attacker reaches for sure of the goals that lose funds."""
    graph, known = analyst().graph, one.after(changes)[0]
    starts = [graph.bits[name] for name in analyst().model.capabilities]
    return [
        (start, graph.bits[goal]) for start in starts for goal in LOSING if graph.reach(start, known) & graph.bits[goal]
    ]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**48).map(random.Random))
def test_a_fix_never_opens_anything(chance: random.Random) -> None:
    """Over the whole model, known or not, alone or after others: nobody reaches more than before, for sure or perhaps."""
    one, graph = posture(chance, chance.choice([0.4, 0.7, 1.0])), analyst().graph
    starts = [graph.bits[name] for name in analyst().model.capabilities]
    starts += [graph.start(chance.sample(analyst().model.capabilities, size)) for size in (2, 3, 5, 32)]
    done = 0
    for change in chance.sample(list(ones(one.available)), one.available.bit_count()):
        before, after = one.after(done), one.after(done | change)
        name = analyst().model.remedies[change.bit_length() - 1].id
        for start in starts:
            assert not graph.reach(start, after[0]) & ~graph.reach(start, before[0]), name
            assert not graph.reach(start, after[1]) & ~graph.reach(start, before[1]), name
        done |= change


@chanced
@given(st.integers(0, 2**48).map(random.Random))
def test_the_closing_set_closes_and_no_smaller_one_does(chance: random.Random) -> None:
    one = posture(chance)
    closing = Closing(analyst().graph, one, confirmed(one))
    targets = set(closing.closable())
    sets = closing.smallest()
    if not targets:
        assert sets == []
        return
    useful = [change for change in ones(one.available) if one.after(change)[0] != one.after(0)[0]]
    for found in sets:
        assert targets <= set(closing.closed(found))
    size = sets[0].bit_count()
    for fewer in range(min(size, 4)):
        for some in combinations(useful, fewer):
            assert not targets <= set(closing.closed(sum(some)))
    if size <= 3:
        best = min(
            closing.rank(sum(some)) for some in combinations(useful, size) if targets <= set(closing.closed(sum(some)))
        )
        assert closing.rank(sets[0]) == best
    for place, found in enumerate(sets):
        assert all(found & other != other for other in sets[:place]), "it only adds to another"


@chanced
@given(st.integers(0, 2**48).map(random.Random))
def test_what_the_report_says_of_changes_is_so(chance: random.Random) -> None:
    one = invented.reading(chance)
    paths, hardening = analyst().study(one, NOW, str)
    by_id = {path.id: path for path in paths}
    remedies = {remedy.id: number for number, remedy in enumerate(analyst().model.remedies)}
    held, graph = Posture(analyst().terrain, one, NOW), analyst().graph
    for change in hardening.single:
        known = held.after(1 << remedies[change.id])[0]
        for id_ in (*change.closes, *change.delays):
            start = graph.start(by_id[id_].capability.split("+"))
            reached = bool(graph.reach(start, known) & graph.bits[by_id[id_].goal])
            assert reached is (id_ in change.delays)
    everything = held.after(held.available)
    for path in paths:
        start, goal = graph.start(path.capability.split("+")), graph.bits[path.goal]
        mask = everything[0] if path.status is invented.CONFIRMED else everything[1]
        assert path.residual is bool(graph.reach(start, mask) & goal)
        assert not (path.residual and path.closed_by)


@pytest.mark.parametrize("remedy", analyst().model.remedies, ids=lambda one: one.id)
def test_what_a_change_sets_is_what_the_engine_derives(remedy: Remedy) -> None:
    """Base facts go through the real engine; every derived fact it then knows is the one the change sets."""
    base: dict[str, dict[str, object]] = {}
    for setting in remedy.sets:
        for path, held in setting.facts.items():
            if not (set(closure([path])) - {path}) & set(setting.facts):
                scope, name = path.split(".")
                base.setdefault(scope, {})[name] = held
    given_ = {name: held for name, held in WEAK.items() if f"account.{name}" not in _settled(remedy)}
    complete = dict.fromkeys(("key_inventory_complete", "addresses_complete", "vendors_complete"), True)
    rows = {LISTS[scope]: [dict(base.get(scope, {}))] for scope in ("api_key", "address", "vendor")}
    [engine] = read(document({**given_, **complete, **base.get("account", {})}, OPEN_VENUE, **rows))
    compared = 0
    for setting in remedy.sets:
        for path, held in setting.facts.items():
            seen = engine.facts if setting.scope == "account" else engine.rows[setting.scope][0]
            compared += path in seen
            assert seen.get(path, held) == held, f"{path} follows as {seen.get(path)}"
    assert compared == sum(len(setting.facts) for setting in remedy.sets)


def _settled(remedy: Remedy) -> set[str]:
    """The facts a change sets, and those that follow from them: what was said of them before no longer counts."""
    told = {path for setting in remedy.sets for path in setting.facts}
    return {path for path in (f"account.{name}" for name in WEAK) if set(closure([path])) & told}


def test_a_passkey_beside_sms_closes_nothing_and_says_why() -> None:
    _, hardening = study(document(WEAK, OPEN_VENUE, **invented.NOTHING_HELD))
    [change] = [one for one in hardening.single if one.id == "add_passkey_keep_the_rest"]
    assert change.closes == () and change.delays == ()
    assert "weakest method" in change.text
    assert "use_passkeys_only" in {one.id for one in hardening.smallest}


def test_a_change_that_the_venue_does_not_offer_is_not_proposed() -> None:
    venue = {
        **OPEN_VENUE,
        "two_factor_methods": ["sms", "totp"],
        "allowlist_supported": False,
        "key_ip_binding_supported": False,
    }
    _, hardening = study(document(WEAK, venue, api_keys=[{"can_trade": True, "ip_bound": False}]))
    named = {one.id for one in (*hardening.single, *hardening.smallest)} | {
        one.id for group in hardening.alternatives for one in group
    }
    assert not named & {"use_passkeys_only", "add_passkey_keep_the_rest", "switch_allow_list_on", "bind_keys"}
    assert "use_authenticator_only" in named


def test_a_weaker_method_the_owner_cannot_remove_is_not_to_be_removed() -> None:
    stuck = {**WEAK, "downgrade_possible": True, "weaker_factor_removable": False}
    _, hardening = study(document(stuck, OPEN_VENUE))
    assert not {one.id for one in hardening.single} & {"use_passkeys_only", "use_authenticator_only"}


def test_an_allow_list_only_delays_a_thief_who_can_confirm() -> None:
    slow = {
        **WEAK,
        "new_address_delay_hours": 24,
        "hold_after_new_device_hours": 0,
        "hold_after_password_change_hours": 0,
        "allowlist_disable_delay_hours": 48,
    }
    obedient = {**OPEN_VENUE, "api_withdrawal_requires_allowlist": True}
    _, hardening = study(document(slow, obedient))
    [change] = [one for one in hardening.single if one.id == "switch_allow_list_on"]
    assert "sim_swap:withdraw_funds" in change.delays
    assert "clipper:withdraw_funds" in change.closes
    _, hardening = study(document(slow, OPEN_VENUE))
    [change] = [one for one in hardening.single if one.id == "switch_allow_list_on"]
    assert "sim_swap:withdraw_funds" not in change.delays, "a key of his own pays any address, list or not"


@chanced
@given(st.integers(0, 2**48))
def test_the_same_account_is_always_told_the_same(seed: int) -> None:
    from auditor import threats

    one, two = (invented.reading(random.Random(seed)) for _ in range(2))
    fresh = threats.Analyst(analyst().model)
    assert analyst().study(one, NOW, str) == fresh.study(two, NOW, str)


def test_a_model_of_a_stranger_cannot_ask_for_more_sets_than_there_is_time_for() -> None:
    begun = time.process_time()
    with pytest.raises(UsageError, match="too many sets"):
        fixes._hitting([0b1111_1111 << 8 * number for number in range(20)], 20)
    assert time.process_time() - begun < 10
