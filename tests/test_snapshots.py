"""Snapshots: what several keys showed and what the owner stated, with contradictions kept and ids left behind."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from auditor import snapshots
from auditor.attestations import Attestation, Row
from auditor.exchanges._base import Sheet
from auditor.identity import Identity
from auditor.model.evidence import Problem, Reason, Snapshot, Source
from auditor.model.facts import LISTS

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ID = Identity.ephemeral("tests")
API = Source(by="api", ref="GET /x")
STATED = Source(by="attest", at="2026-11-01", expires="2027-02-01")
EXPIRED = Source(by="attest", at="2026-01-01", expires="2026-11-19")


def sheet(
    account: dict[str, Any] | None = None, venue: dict[str, Any] | None = None, **rows: list[dict[str, Any]]
) -> Sheet:
    made = Sheet(account=account or {}, venue=venue or {})
    made.sources |= {f"account.{fact}": API for fact in made.account} | {f"venue.{fact}": API for fact in made.venue}
    for scope, held in rows.items():
        made.rows[scope] = held
        made.sources[LISTS[scope]] = API
    return made


def stated(account: dict[str, Any] | None = None, *, source: Source = STATED, **more: Any) -> Attestation:
    given = dict(account or {})
    sources = {f"account.{fact}": source for fact in given} | more.pop("sources", {})
    return Attestation(account_name="main", exchange="okx", account=given, sources=sources, **more)


def built(*sheets: Sheet, attestation: Attestation | None = None, name: str = "main") -> Snapshot:
    return snapshots.build(name, "okx", sheets, attestation, ID, NOW)


def test_nothing_shown_is_nothing_known() -> None:
    made = built(Sheet())
    assert made.account == {"name": "main", "exchange": "okx"}
    assert [made.rows(scope) for scope in LISTS] == [None] * len(LISTS)


def test_a_list_shown_empty_by_one_key_is_empty_and_not_absent() -> None:
    assert built(Sheet(), sheet(api_key=[])).api_keys == []


def test_a_public_id_stays_behind() -> None:
    made = built(
        sheet(
            api_key=[{"public_id": "AKIAIOSFODNN7EXAMPLE", "label": "x"}],
            address=[{"public_id": "bc1qexampleexample", "asset": "BTC"}],
        )
    )
    assert "AKIAIOSF" not in repr(made) and "bc1qexample" not in repr(made)
    assert made.api_keys == [
        {
            "label": "x",
            "fingerprint": ID.fingerprint("api_key", "okx", "main", "AKIAIOSFODNN7EXAMPLE"),
            "masked_id": "…MPLE",
        }
    ]
    assert made.addresses == [
        {"asset": "BTC", "fingerprint": ID.fingerprint("address", "BTC", "", "bc1qexampleexample")}
    ]


def test_personal_data_in_labels_is_masked() -> None:
    made = built(sheet(api_key=[{"label": "bob@example.com", "sub_account": "+49 170 1234567"}]))
    assert made.api_keys == [{"label": "b•••", "sub_account": "+•••67"}]


def test_one_key_seen_twice_is_one_row_with_what_both_showed() -> None:
    own = {"public_id": "key-one-public", "is_audit_key": True, "can_trade": True}
    listed = {"public_id": "key-one-public", "is_audit_key": False, "label": "bot"}
    [row] = built(sheet(api_key=[own]), sheet(api_key=[listed, {"public_id": "key-two-public"}][:1])).api_keys or []
    assert (row["is_audit_key"], row["can_trade"], row["label"]) == (True, True, "bot")
    [row] = built(sheet(api_key=[listed]), sheet(api_key=[own])).api_keys or []
    assert row["is_audit_key"] is True


def test_rows_whose_id_the_venue_hides_may_be_two_keys() -> None:
    assert len(built(sheet(api_key=[{"label": "x"}]), sheet(api_key=[{"label": "x"}])).api_keys or []) == 2


def test_two_keys_that_disagree_about_an_account_leave_a_contradiction() -> None:
    made = built(sheet({"settings_lock": True}), sheet({"settings_lock": False}))
    assert made.account["settings_lock"] is True
    assert made.sources["account.settings_lock"].contradicts == "GET /x says False"


def test_two_views_of_one_key_that_disagree_leave_a_contradiction() -> None:
    first, second = (
        {"public_id": "key-one-public", "can_withdraw": False},
        {"public_id": "key-one-public", "can_withdraw": True},
    )
    made = built(sheet(api_key=[first]), sheet(api_key=[second]))
    assert made.api_keys is not None and made.api_keys[0]["can_withdraw"] is False
    assert made.sources["api_key.can_withdraw"].contradicts == "another key shows True"
    assert "api_key.can_withdraw" not in built(sheet(api_key=[first]), sheet(api_key=[first])).sources


def test_a_key_of_another_account_is_a_problem_and_no_evidence() -> None:
    one, other = sheet(api_key=[{"label": "mine"}]), sheet(api_key=[{"label": "theirs"}])
    one.account_id, other.account_id = "1", "2"
    made = built(one, other)
    assert made.api_keys == [{"label": "mine"}]
    assert [(problem.reason, problem.facts) for problem in made.problems] == [
        (Reason.IMPLAUSIBLE_RESPONSE, ("api_keys",))
    ]


def test_an_api_beats_the_owner_and_the_contradiction_is_kept() -> None:
    made = built(
        sheet({"two_factor_enabled": False}), attestation=stated({"two_factor_enabled": True, "password_unique": True})
    )
    assert made.account["two_factor_enabled"] is False
    assert made.sources["account.two_factor_enabled"] == Source(by="api", ref="GET /x", contradicts="attest says True")
    assert (made.account["password_unique"], made.sources["account.password_unique"]) == (True, STATED)


def test_an_expired_answer_is_a_problem_that_names_its_fact() -> None:
    made = built(attestation=stated({"password_unique": True}, source=EXPIRED))
    assert "password_unique" not in made.account
    assert [(problem.reason, problem.facts) for problem in made.problems] == [
        (Reason.ATTESTATION_EXPIRED, ("account.password_unique",))
    ]


def test_expired_third_parties_are_not_listed() -> None:
    for vendors in ((), ({"name": "x", "second_factor": True},)):
        made = built(attestation=stated(vendors=vendors, sources={"vendors": EXPIRED}))
        assert made.vendors is None
        assert [(problem.reason, problem.facts) for problem in made.problems] == [
            (Reason.ATTESTATION_EXPIRED, ("vendors",))
        ]


def test_of_third_parties_only_what_still_holds() -> None:
    vendors = ({"name": "x", "second_factor": True}, {"name": "y"})
    made = built(attestation=stated(vendors=vendors, sources={"vendors": STATED, "vendor.second_factor": EXPIRED}))
    assert made.vendors == [{"name": "x"}, {"name": "y"}]
    assert made.sources["vendors"] == STATED
    assert [problem.facts for problem in made.problems] == [("vendor.second_factor",)]


def test_an_answer_about_a_key_finds_the_one_it_means() -> None:
    rows = {"api_key": (Row(match={"label": "bot"}, facts={"third_party": True, "can_trade": False}),)}
    sources = {"api_key.third_party": STATED, "api_key.can_trade": STATED}
    made = built(
        sheet(api_key=[{"label": "bot", "can_trade": True}, {"label": "x"}]),
        attestation=stated(rows=rows, sources=sources),
    )
    assert made.api_keys == [{"label": "bot", "can_trade": True, "third_party": True}, {"label": "x"}]
    assert made.sources["api_key.third_party"] == STATED


def test_an_answer_about_no_key_or_about_two_says_what_it_would_have_shown() -> None:
    rows = {"api_key": (Row(match={"label": "bot"}, facts={"third_party": True}),)}
    for held in ([], [{"label": "bot"}, {"label": "bot"}]):
        made = built(sheet(api_key=held), attestation=stated(rows=rows, sources={"api_key.third_party": STATED}))
        [problem] = made.problems
        assert (problem.reason, problem.facts) == (Reason.NOT_COLLECTED, ("api_key.third_party",))
        assert all("third_party" not in row for row in made.api_keys or [])


# Stated again.


def test_what_is_stated_anew_takes_the_place_of_what_was_stated() -> None:
    rows = lambda storage: {"api_key": (Row(match={"label": "bot"}, facts={"storage": storage}),)}
    sources = {"api_key.storage": STATED, "vendors": STATED}
    before = built(
        sheet({"kyc_level": 2}, api_key=[{"label": "bot"}]),
        attestation=stated(
            {"password_unique": False, "email_dedicated": True},
            rows=rows("plaintext"),
            vendors=({"name": "x"},),
            sources=sources,
        ),
    )
    kept = repr(before)
    after = snapshots.restate(
        before, stated({"password_unique": True}, rows=rows("vault"), sources={"api_key.storage": STATED}), NOW
    )
    assert after.account == {"name": "main", "exchange": "okx", "kyc_level": 2, "password_unique": True}
    assert after.api_keys == [{"label": "bot", "storage": "vault"}]
    assert after.vendors is None
    assert repr(before) == kept


def test_what_an_api_showed_outlives_every_answer() -> None:
    before = built(
        sheet({"two_factor_enabled": True}, {"status": "ok"}, api_key=[{"label": "bot", "third_party": True}]),
        attestation=stated({"two_factor_enabled": False}),
    )
    after = snapshots.restate(before, stated({"password_unique": True}), NOW)
    assert after.account["two_factor_enabled"] is True
    assert after.venue == {"status": "ok"}
    assert after.api_keys == [{"label": "bot", "third_party": True}]


def test_an_answer_given_again_is_expired_no_more() -> None:
    before = built(attestation=stated({"password_unique": True}, source=EXPIRED))
    after = snapshots.restate(before, stated({"password_unique": True}), NOW)
    assert (after.account["password_unique"], after.problems) == (True, ())


def test_a_contradiction_that_the_owner_takes_back_is_gone() -> None:
    before = built(sheet({"two_factor_enabled": False}), attestation=stated({"two_factor_enabled": True}))
    after = snapshots.restate(before, stated({"two_factor_enabled": False}), NOW)
    assert after.sources["account.two_factor_enabled"].contradicts is None


def test_without_answers_nothing_changes() -> None:
    before = built(sheet({"kyc_level": 1}))
    assert snapshots.restate(before, None, NOW) is before


# Refusals that say more about the venue than about a key.


def refused(name: str, reason: Reason = Reason.INVALID_KEY, status: str | None = None) -> Snapshot:
    one = sheet(venue={"status": status} if status else {})
    one.problems.append(Problem(endpoint="x", reason=reason, detail="refused", facts=("api_keys",)))
    return built(one, name=name)


def reasons(*given: Snapshot) -> list[Reason]:
    return [one.problems[0].reason for one in snapshots.suspect_incidents(given)]


def test_one_refused_key_is_a_refused_key() -> None:
    assert reasons(refused("a")) == [Reason.INVALID_KEY]


def test_two_accounts_refused_alike_look_like_an_outage() -> None:
    assert reasons(refused("a"), refused("b")) == [Reason.VENUE_INCIDENT] * 2


def test_a_refusal_beside_reported_trouble_looks_like_an_outage() -> None:
    assert reasons(refused("a", status="maintenance")) == [Reason.VENUE_INCIDENT]
    assert reasons(refused("a", status="ok")) == [Reason.INVALID_KEY]
    assert reasons(refused("a", Reason.PERMISSION_DENIED, "maintenance")) == [Reason.PERMISSION_DENIED]


def test_a_count_of_keys_is_kept_with_its_day() -> None:
    made = snapshots.counted(built(sheet(api_key=[])), 3, "2026-11-01")
    assert made.account["keys_counted"] == 3
    assert made.sources["account.keys_counted"] == Source(by="config", ref="expected_keys", at="2026-11-01")


@pytest.mark.parametrize("rows", [[], [{"is_audit_key": True, "enabled": True, "can_read": True}]])
def test_a_list_of_all_keys_without_the_one_that_asks_is_not_believed(rows: list[dict[str, Any]]) -> None:
    sheet = Sheet(account={"key_inventory_complete": True})
    sheet.sources["account.key_inventory_complete"] = sheet.sources["api_keys"] = Source(by="api", ref="GET /keys")
    sheet.rows["api_key"] = rows
    made = snapshots.build(
        name="main", exchange="okx", sheets=[sheet], attestation=None, identity=Identity.ephemeral("test"), now=NOW
    )
    assert "key_inventory_complete" not in made.account
    assert [problem.reason for problem in made.problems] == [Reason.IMPLAUSIBLE_RESPONSE]
    assert "account.key_inventory_complete" in made.problems[0].facts


def test_an_event_that_two_keys_are_shown_happened_once() -> None:
    sheets = []
    for _ in range(2):
        sheet = Sheet()
        sheet.rows["event"] = [{"kind": "login", "at": "2026-11-01T00:00:00Z", "ip": "198.51.100.7"}]
        sheet.sources["events"] = Source(by="api", ref="GET /log")
        sheets.append(sheet)
    made = snapshots.build(
        name="main", exchange="okx", sheets=sheets, attestation=None, identity=Identity.ephemeral("test"), now=NOW
    )
    assert made.events is not None and len(made.events) == 1
