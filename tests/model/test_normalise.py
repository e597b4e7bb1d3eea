"""What a document means at a moment: what has expired, what is null, what was counted, and what may be shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from auditor.model.normalise import normalise, snapshot

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
PAST = {"by": "attest", "at": "2026-08-01", "expires": "2026-11-19"}


def document(account: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"schema": "auditor/evidence/1", "account": {"name": "a", "exchange": "okx", **(account or {})}, **more}


def expired(normal: dict[str, Any]) -> list[str]:
    return [fact for one in normal["problems"] if one["reason"] == "attestation_expired" for fact in one["facts"]]


def test_an_expired_answer_is_forgotten_and_said_to_be() -> None:
    normal = normalise(document({"kind": "main", "kyc_level": 1}, sources={"account.kind": PAST}), NOW)
    assert normal["account"] == {"name": "a", "exchange": "okx", "kyc_level": 1}
    assert expired(normal) == ["account.kind"]
    assert normal["sources"] == {}


@pytest.mark.parametrize(
    ("expires", "gone"),
    [
        ("2026-11-19", True), ("2026-11-20", False), ("2026-11-21", False), ("2026-11-20T11:59:59Z", True),
        ("2026-11-20T12:00:00Z", True), ("2026-11-20T12:00:01Z", False), ("2026-11-20T13:59:59+02:00", True),
    ],
)  # fmt: skip
def test_a_day_counts_to_its_end_and_a_moment_to_itself(expires: str, gone: bool) -> None:
    normal = normalise(document({"kind": "main"}, sources={"account.kind": {**PAST, "expires": expires}}), NOW)
    assert ("kind" not in normal["account"]) is gone


def test_what_expired_in_rows_is_forgotten_in_all_of_them() -> None:
    rows = [{"label": "x", "third_party": False}, {"label": "y"}, {"label": "z", "third_party": True}]
    normal = normalise(document(api_keys=rows, sources={"api_key.third_party": PAST}), NOW)
    assert normal["api_keys"] == [{"label": "x"}, {"label": "y"}, {"label": "z"}]
    assert expired(normal) == ["api_key.third_party"]


def test_a_whole_list_that_expired_was_not_seen() -> None:
    """An owner who once said that no third party holds a key has to say so again."""
    for rows in ([], [{"name": "x", "second_factor": True}]):
        normal = normalise(document({"vendors_complete": True}, vendors=rows, sources={"vendors": PAST}), NOW)
        assert "vendors" not in normal
        assert expired(normal) == ["vendors"]


def test_all_of_an_account_that_expired_is_gone_but_what_has_a_source_of_its_own() -> None:
    held = {"kind": "main", "kyc_level": 2, "settings_lock": None}
    sources = {"account": PAST, "account.kyc_level": {"by": "api"}}
    normal = normalise(document(held, sources=sources), NOW)
    assert normal["account"] == {"name": "a", "exchange": "okx", "kyc_level": 2}
    assert expired(normal) == ["account"]


@pytest.mark.parametrize("path", ["account.kind", "api_key.vendor", "vendors", "venue.status", "venue", "events"])
def test_an_expired_source_of_nothing_is_no_problem(path: str) -> None:
    assert normalise(document(sources={path: PAST}), NOW)["problems"] == []


def test_nulls_are_told_from_absences() -> None:
    given = document(
        {"downgrade_possible": None, "kind": None},
        venue={"lifecycle": None},
        api_keys=[{"owner_recognised": None, "label": None}],
        events=None,
    )
    normal = normalise(given, NOW)
    assert normal["unknown"] == ["account.downgrade_possible", "account.kind", "venue.lifecycle"]
    assert normal["api_keys"] == [{"unknown": ["owner_recognised"]}]
    assert "events" not in normal


def counted(**more: Any) -> bool | None:
    given: dict[str, Any] = {
        "count": 2,
        "at": "2026-11-01",
        "keys": [{"fingerprint": "a"}, {"fingerprint": "b"}],
        "problems": [],
        **more,
    }
    source = {"account.keys_counted": {"by": "config", "at": given["at"]}} if given["at"] else {}
    account = {"keys_counted": given["count"], **given.get("account", {})}
    normal = normalise(document(account, api_keys=given["keys"], sources=source, problems=given["problems"]), NOW)
    complete: bool | None = normal["account"].get("key_inventory_complete")
    return complete


def test_as_many_keys_as_the_owner_counted_are_all() -> None:
    assert counted() is True
    assert counted(count=0, keys=[]) is True
    assert counted(keys=[{"fingerprint": "a"}, {"fingerprint": "b"}, {"fingerprint": "c", "sub_account": "s"}]) is True


@pytest.mark.parametrize(
    "more",
    [
        {"count": 3}, {"count": 1}, {"at": None}, {"at": "2026-10-20"}, {"at": "2026-11-22"}, {"keys": None}, {"count": None},
        {"count": 0, "keys": None},
        {"keys": [{"fingerprint": "a"}, {"fingerprint": "a"}]},
        {"keys": [{"label": "x"}, {"label": "x"}]},
        {"keys": [{"fingerprint": "a"}, {"fingerprint": "b", "sub_account": "s"}]},
        {"problems": [{"endpoint": "x", "reason": "timeout", "facts": ["api_keys"]}]},
    ],
)  # fmt: skip
def test_a_count_that_says_nothing_completes_nothing(more: dict[str, Any]) -> None:
    assert counted(**more) is None


def test_a_count_never_overrules_what_an_exchange_said() -> None:
    assert counted(account={"key_inventory_complete": False}) is False
    assert counted(account={"key_inventory_complete": None}) is None


def test_a_count_holds_thirty_days() -> None:
    day = (NOW - timedelta(days=30)).isoformat().replace("+00:00", "Z")
    assert counted(at=day) is True
    assert counted(at="2026-10-21T11:59:59Z") is None


def test_a_snapshot_shows_no_mark_of_the_engine_and_nothing_personal() -> None:
    given = document(
        {"name": "bob@example.com", "kind": None},
        api_keys=[{"owner_recognised": None, "label": "+49 170 1234567", "masked_id": "AKIAIOSFODNN7EXAMPLE"}],
    )
    shown = snapshot(normalise(given, NOW), NOW)
    assert shown.api_keys == [{"label": "+•••67", "masked_id": "…MPLE"}]
    assert shown.account["name"] == "b•••"
    assert "unknown" not in shown.to_document()
    assert shown.collected_at == NOW
