"""Accepted risks: what covers, until when, what does not, and that no waiver moves the score or settles an unknown."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor import waivers
from auditor.engine.intake import Evidence
from auditor.errors import InputError
from auditor.model.report import Finding, Outcome, Report
from auditor.model.rule import Rule, Severity
from auditor.pipeline import Run, exit_code, judge
from auditor.redaction import Secret
from auditor.waivers import Waiver
from auditor.waivers import file as book

from .engine.invented import ID, NOW, document, judged, rule

UNBOUND = rule("unbound", "api_key", "api_key.ip_bound", when="api_key.can_trade", severity=Severity.HIGH)
LOCKED = rule("locked", "account", "account.settings_lock", severity=Severity.CRITICAL)
UNIQUE = rule("unique", "account", "account.password_unique", severity=Severity.LOW)
RULES = (UNBOUND, LOCKED, UNIQUE)
KEY: dict[str, Any] = {"label": "bot", "can_trade": True, "can_withdraw": False, "ip_bound": False, "enabled": True}
LAST = date(2026, 12, 31)


def held(key: dict[str, Any] | None = None, **account: Any) -> dict[str, Any]:
    """An account with one key that fails, its list complete."""
    facts = {"key_inventory_complete": True, "settings_lock": True, "password_unique": True, **account}
    return document(facts, api_keys=[{**KEY, **(key or {})}])


def run(one: dict[str, Any], *given: Waiver, now: datetime = NOW, rules: tuple[Rule, ...] = RULES) -> Report:
    with Evidence(now).add([one]) as evidence:
        return judge(evidence, Run(rules=rules, identity=ID, now=now, waivers=given))


def fails(report: Report) -> list[Finding]:
    return [one for account in report.accounts for one in account.findings if one.outcome is Outcome.FAIL]


def waiver(finding: Finding, **more: Any) -> Waiver:
    assert finding.state is not None
    values = {"finding": finding.id, "state": finding.state, "reason": "ends soon", "owner": "desk", "until": LAST}
    return Waiver(**{**values, **more})


def only(report: Report) -> Finding:
    [finding] = fails(report)
    return finding


def code(report: Report) -> int:
    return exit_code(report, fail_on=Severity.LOW, min_coverage=0.5)


# What a waiver does


def test_a_waived_fail_is_a_fail_that_does_not_count() -> None:
    plain = run(held())
    assert code(plain) == 12
    report = run(held(), waiver(only(plain)))
    finding = only(report)
    assert finding.waiver == {"reason": "ends soon", "owner": "desk", "until": "2026-12-31"}
    assert replace(finding, waiver=None) == only(plain)
    assert report.summary == plain.summary and report.accounts[0].score == plain.accounts[0].score
    assert code(report) == 0 and report.problems == ()


def test_the_second_score_does_not_count_it() -> None:
    plain = run(held(settings_lock=False))
    assert plain.accounts[0].with_waivers is None
    [unbound] = [one for one in fails(plain) if one.rule == "unbound"]
    [account] = run(held(settings_lock=False), waiver(unbound)).accounts
    assert account.with_waivers is not None
    assert (account.score.low, account.with_waivers.low, account.with_waivers.high) == (
        pytest.approx(32),
        pytest.approx(40),
        pytest.approx(40),
    )
    assert code(run(held(settings_lock=False), waiver(unbound))) == 13


def test_one_waived_key_vouches_for_no_other() -> None:
    two = document(
        {"key_inventory_complete": True, "settings_lock": True, "password_unique": True},
        api_keys=[KEY, {**KEY, "label": "other"}],
    )
    first, _ = fails(run(two))
    report = run(two, waiver(first))
    assert [bool(one.waiver) for one in fails(report)] == [one.id == first.id for one in fails(report)]
    assert code(report) == 12
    [account] = report.accounts
    assert account.with_waivers == account.score


def test_a_list_that_was_not_seen_whole_stays_unknown() -> None:
    partly = held(key_inventory_complete=None)
    [account] = run(partly, waiver(only(run(partly)))).accounts
    assert account.with_waivers is not None
    assert (account.with_waivers.low, account.with_waivers.high) == (pytest.approx(80), pytest.approx(100))


def test_only_what_is_not_accepted_is_to_be_mended() -> None:
    plain = run(held(settings_lock=False))
    [unbound] = [one for one in fails(plain) if one.rule == "unbound"]
    closes = [step.closes for step in run(held(settings_lock=False), waiver(unbound)).accounts[0].fixes]
    assert unbound.id not in sum(closes, ()) and len(closes) == 1


# Until when


@pytest.mark.parametrize(
    ("now", "covers"),
    [
        (datetime(2026, 12, 31, 0, 0, tzinfo=UTC), True),
        (datetime(2026, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), True),
        (datetime(2027, 1, 1, 0, 0, tzinfo=UTC), False),
        (datetime(2027, 1, 1, 1, 0, tzinfo=timezone(timedelta(hours=2))), True),  # still the 31st in UTC
        (datetime(2026, 12, 31, 20, 0, tzinfo=timezone(-timedelta(hours=5))), False),  # the 1st in UTC
    ],
)
def test_the_last_day_counts_whole_and_in_utc(now: datetime, covers: bool) -> None:
    one = held(collected_at="2026-11-20T10:00:00Z")
    report = run(one, waiver(only(run(one, now=now))), now=now)
    assert bool(only(report).waiver) is covers
    assert code(report) == (0 if covers else 12)
    assert [problem.message.partition(":")[0] for problem in report.problems] == ([] if covers else ["expired"])


# To what it is bound


WIDER = {
    "withdraws": {"can_withdraw": True},
    "withdrawing is no longer shown": {"can_withdraw": None},
    "transfers": {"can_transfer": True},
    "manages": {"can_manage": True},
    "never expires": {"never_expires": True},
    "another permission in the venue's words": {"permissions": ["trade", "withdraw"]},
    "a wider list": {"ip_allowlist": ["10.0.0.0/8"]},
    "disabled": {"enabled": False},
    "changed at the exchange": {"modified_at": "2026-11-19T00:00:00Z"},
}


@pytest.mark.parametrize("change", WIDER.values(), ids=WIDER)
def test_a_key_that_is_another_than_was_accepted_is_not_covered(change: dict[str, Any]) -> None:
    given = waiver(only(run(held())))
    report = run(held(change), given)
    assert only(report).id == given.finding and only(report).waiver is None
    [problem] = report.problems
    assert problem.message.startswith("stale:") and code(report) == 12


@pytest.mark.parametrize(
    "change",
    [{"third_party": True}, {"last_used_at": "2026-11-20T09:00:00Z"}, {"never_used": False}, {"masked_id": "…1234"}],
)
def test_what_moves_by_itself_changes_no_state(change: dict[str, Any]) -> None:
    report = run(held(change), waiver(only(run(held()))))
    assert only(report).waiver and report.problems == ()


def test_the_order_of_a_list_is_no_change() -> None:
    one, other = ({"permissions": names, "ip_allowlist": names} for names in (["a", "b"], ["b", "a"]))
    assert only(run(held(one))).state == only(run(held(other))).state
    assert only(run(held(one))).state != only(run(held({"permissions": ["a"], "ip_allowlist": ["a"]}))).state


def test_a_rule_that_became_graver_was_not_accepted_like_that() -> None:
    given = waiver(only(run(held())))
    graver = (replace(UNBOUND, severity=Severity.CRITICAL), LOCKED, UNIQUE)
    assert only(run(held(), given, rules=graver)).waiver is None


def test_other_rules_of_the_run_do_not_matter() -> None:
    given = waiver(only(run(held())))
    for rules in ((UNBOUND,), (*RULES, rule("more", "api_key", "NOT api_key.can_withdraw"))):
        assert only(run(held(), given, rules=rules)).waiver


def test_an_account_is_another_when_what_the_rule_read_is() -> None:
    weakest = (rule("weak", "account", "account.login_weakest_factor = 'phishing_resistant'"),)
    facts = {"settings_lock": True}
    given = waiver(only(run(document({"login_weakest_factor": "totp"}), rules=weakest)))
    assert only(run(document({"login_weakest_factor": "totp", **facts}), given, rules=weakest)).waiver
    assert not only(run(document({"login_weakest_factor": "sms"}), given, rules=weakest)).waiver


# What covers nothing is told


@pytest.mark.parametrize("outcome", ["pass", "unknown", "not_applicable", "gone"])
def test_a_waiver_for_what_does_not_fail_is_unused(outcome: str) -> None:
    given = waiver(only(run(held())))
    changed = {
        "pass": held({"ip_bound": True}),
        "unknown": held({"ip_bound": None}),
        "not_applicable": held({"can_trade": False}),
        "gone": held({"label": "another"}),
    }[outcome]
    report = run(changed, given)
    [problem] = report.problems
    assert problem.message.startswith("unused:") and problem.where == "waivers.yaml" and problem.hint
    assert not any(one.waiver for one in report.accounts[0].findings)
    assert report.accounts[0].with_waivers is None


def test_of_a_part_of_the_accounts_nothing_is_concluded() -> None:
    given = replace(waiver(only(run(held()))), finding="0" * 16)
    accounts = run(held()).accounts
    assert waivers.problems(accounts, [given], NOW, everything=True)
    assert not waivers.problems(accounts, [given], NOW, everything=False)


def test_neither_secret_nor_address_reaches_the_report() -> None:
    secret = Secret("hunter2-hunter2")
    plain = only(run(held()))
    mark = only(run(held(), waiver(plain, reason="key hunter2-hunter2", owner="ann@example.org"))).waiver
    assert mark == {"reason": "key •••", "owner": "a•••", "until": "2026-12-31"}
    del secret


# Properties


FACTS = st.fixed_dictionaries(
    {
        "settings_lock": st.sampled_from([True, False, None]),
        "password_unique": st.sampled_from([True, False, None]),
        "key_inventory_complete": st.sampled_from([True, False, None]),
    }
)
KEYS = st.lists(
    st.fixed_dictionaries(
        {name: st.sampled_from([True, False, None]) for name in ("can_trade", "ip_bound", "can_withdraw")}
    ),
    max_size=3,
)


@settings(max_examples=40)
@given(facts=FACTS, keys=KEYS, chosen=st.sets(st.integers(0, 8)), expired=st.booleans())
def test_a_waiver_changes_neither_end_and_settles_no_unknown(
    facts: dict[str, Any], keys: list[dict[str, Any]], chosen: set[int], expired: bool
) -> None:
    one = document(facts, api_keys=[{"label": str(at), **key} for at, key in enumerate(keys)])
    plain = run(one)
    everything = plain.accounts[0].findings
    given = [
        Waiver(
            finding=finding.id,
            state=finding.state or "0" * 16,
            reason="r",
            owner="o",
            until=date(2026, 11, 19) if expired else LAST,
        )
        for at, finding in enumerate(everything)
        if at in chosen
    ]
    report = run(one, *given)
    [before], [after] = plain.accounts, report.accounts
    assert after.score == before.score and report.summary == plain.summary
    assert [replace(finding, waiver=None) for finding in after.findings] == list(before.findings)
    for finding in after.findings:
        assert finding.waiver is None or (finding.outcome is Outcome.FAIL and not expired)
    second = after.with_waivers
    assert (second is None) is not any(finding.waiver for finding in after.findings)
    if second is not None and second.low is not None:
        unknown = {finding.rule for finding in after.findings if finding.outcome is Outcome.UNKNOWN}
        assert second.low >= (before.score.low or 0) and (second.high or 0) >= (before.score.high or 0)
        assert not unknown - {finding.rule for finding in fails(report)} or second.low < (second.high or 0)
    waived = sum(finding.waiver is not None for finding in after.findings)
    assert waived + len(report.problems) == len(given)


# The file


GOOD = """version: 1
waivers:
  - finding: "2e6b9e70f9bc371d"
    state: "ebdf81e7853c6f98"
    reason: The tax program ends in January
    owner: desk
    until: 2027-01-31
"""


def loaded(tmp_path: Path, text: str) -> tuple[Waiver, ...]:
    path = tmp_path / "waivers.yaml"
    path.write_text(text)
    return waivers.load(path, now=NOW)


def faults(tmp_path: Path, text: str) -> list[tuple[int, str]]:
    with pytest.raises(InputError) as caught:
        loaded(tmp_path, text)
    return [(fault.line, fault.message) for fault in caught.value.faults]


def test_a_file_is_read(tmp_path: Path) -> None:
    [one] = loaded(tmp_path, GOOD)
    assert one == Waiver(
        finding="2e6b9e70f9bc371d",
        state="ebdf81e7853c6f98",
        reason="The tax program ends in January",
        owner="desk",
        until=date(2027, 1, 31),
        place="waivers.yaml:3",
    )
    assert loaded(tmp_path, "version: 1\nwaivers: []\n") == loaded(tmp_path, "version: 1\nwaivers:\n") == ()


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("    reason: The tax program ends in January\n", "", 3, "reason"),
        ("    owner: desk\n", "", 3, "owner"),
        ("    until: 2027-01-31\n", "", 3, "until"),
        ('    state: "ebdf81e7853c6f98"\n', "", 3, "state"),
        ("    owner: desk\n", "    owner: ''\n", 6, "owner"),
        ("    owner: desk\n", "    owner: '   '\n", 6, "owner"),
        ("    owner: desk\n", "    owner: [desk]\n", 6, "owner"),
        ("    owner: desk\n", "    owner: 12\n", 6, "owner"),
        ("    owner: desk\n", '    owner: "\\e[2J"\n', 6, "owner"),
        ("    owner: desk\n", f"    owner: {'x' * 500}\n", 6, "400"),
        ("2027-01-31", "2027-02-30", 7, "until"),
        ("2027-01-31", "31.01.2027", 7, "until"),
        ("2027-01-31", "never", 7, "until"),
        ("2027-01-31", "2027-01-31T00:00:00Z", 7, "until"),
        ("2027-01-31", "20270131", 7, "until"),
        ("2027-01-31", "2028-01-31", 7, "366"),
        ("2027-01-31", "9999-12-31", 7, "366"),
        ("until", "expires", 3, "until"),
        ('"2e6b9e70f9bc371d"', "2e6b", 3, "finding"),
        ('"2e6b9e70f9bc371d"', "1234567890123456", 3, "finding"),
        ('"2e6b9e70f9bc371d"', "2E6B9E70F9BC371D", 3, "finding"),
        ('"2e6b9e70f9bc371d"', "'*'", 3, "finding"),
        ("version: 1\n", "", 1, "version"),
        ("version: 1\n", "version: 2\n", 1, "version"),
        ("waivers:\n", "waiver:\n", 3, "unknown key waiver"),
    ],
)  # fmt: skip
def test_a_malformed_waiver_is_an_error_with_its_line(tmp_path: Path, old: str, new: str, line: int, says: str) -> None:
    assert old in GOOD
    found = faults(tmp_path, GOOD.replace(old, new))
    assert any(at == line and says in message for at, message in found), found


def test_all_is_told_at_once_and_nothing_holds(tmp_path: Path) -> None:
    text = GOOD + GOOD.partition("waivers:\n")[2].replace("desk", "''").replace("2027-01-31", "soon")
    assert {line for line, _ in faults(tmp_path, text)} == {11, 12}
    twice = GOOD + GOOD.partition("waivers:\n")[2]
    assert [message for _, message in faults(tmp_path, twice)] == ["finding 2e6b9e70f9bc371d is waived twice"] * 2


@pytest.mark.parametrize("text", ["", "[]", "version: 1\nwaivers: all\n", "waivers: {}\nversion: 1\n", "- x\n"])
def test_what_is_no_list_of_waivers_is_refused(tmp_path: Path, text: str) -> None:
    assert faults(tmp_path, text)


def test_an_expired_waiver_is_well_formed(tmp_path: Path) -> None:
    [one] = loaded(tmp_path, GOOD.replace("2027-01-31", "2026-11-19"))
    assert one.expired(NOW) and not one.expired(NOW - timedelta(days=1))


# Writing it


NEW = Waiver(finding="f" * 16, state="a" * 16, reason='a "b" \\ #c: ü', owner="- x", until=LAST)


def written(tmp_path: Path, text: str | None, one: Waiver = NEW) -> str:
    path = tmp_path / "waivers.yaml"
    if text is not None:
        path.write_bytes(text.encode())
    book.write(path, one, about="rule, account, \u202elabel\n# x", now=NOW)
    return path.read_bytes().decode()


STANDING = (
    "version: 1  # first\n# about\nwaivers:\n\n  # why\n  - finding: 2e6b9e70f9bc371d\n    state: ebdf81e7853c6f98\n"
    "    reason: >-\n      two\n      lines\n    owner: desk # who\n    until: 2027-01-31\n\n  # the last\n"
    "  - until: 2026-12-01\n    finding: abcdef0123456789\n    state: ebdf81e7853c6f98\n    reason: r\n    owner: o\n# end\n"
)


@pytest.mark.parametrize(
    "text",
    [
        STANDING,
        STANDING.rstrip(),
        STANDING.replace("\n", "\r\n"),
        GOOD.replace("\n  ", "\n"),
        STANDING.replace("# end", ""),
    ],
)
def test_what_stands_there_is_kept(tmp_path: Path, text: str) -> None:
    before = loaded(tmp_path, text)
    after = written(tmp_path, text)
    assert after.startswith(text)
    [*old, new] = waivers.load(tmp_path / "waivers.yaml", now=NOW)
    assert tuple(old) == before and replace(new, place="") == replace(NEW, place="")


def test_an_older_waiver_of_the_finding_gives_way(tmp_path: Path) -> None:
    again = replace(NEW, finding="2e6b9e70f9bc371d")
    after = written(tmp_path, STANDING, again)
    kept = STANDING.partition("  - finding")[0], STANDING.partition("2027-01-31\n")[2]
    assert after.startswith(kept[0]) and after.endswith(kept[1]) and "two" not in after
    last = replace(NEW, finding="abcdef0123456789")
    after = written(tmp_path, STANDING, last)
    assert after.endswith("# end\n") and after.startswith(STANDING.partition("  - until")[0])


@pytest.mark.parametrize(
    "text", [None, "version: 1\n", "version: 1\nwaivers:\n# x\n", "waivers: []  # none\nversion: 1"]
)
def test_the_first_waiver_finds_its_place(tmp_path: Path, text: str | None) -> None:
    written(tmp_path, text)
    [one] = waivers.load(tmp_path / "waivers.yaml", now=NOW)
    assert one.finding == NEW.finding


@pytest.mark.parametrize(
    "text",
    [
        "version: 1\nwaivers: [{finding: 2e6b9e70f9bc371d, state: ebdf81e7853c6f98, reason: r, owner: o, until: 2027-01-31}]\n",
        GOOD.replace("version: 1\n", "") + "version: 1\n",
        GOOD.replace("  - finding", "  -\n    finding"),
        GOOD.replace("    until: 2027-01-31\n", "    until: bad\n"),
    ],
)
def test_a_layout_that_cannot_be_added_to_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "waivers.yaml"
    path.write_text(text)
    with pytest.raises(InputError):
        written(tmp_path, text)
    assert path.read_text() == text


@given(st.text(min_size=1, max_size=60), st.text(min_size=1, max_size=60))
def test_any_words_come_back(tmp_path_factory: pytest.TempPathFactory, reason: str, owner: str) -> None:
    if waivers.text_fault(reason) or waivers.text_fault(owner):
        return
    folder = tmp_path_factory.mktemp("words")
    written(folder, GOOD, replace(NEW, reason=reason, owner=owner))
    _, new = waivers.load(folder / "waivers.yaml", now=NOW)
    assert (new.reason, new.owner) == (reason, owner)


def test_the_state_is_that_of_the_report_after_it_was_kept(tmp_path: Path) -> None:
    from auditor.reports import FORMATS, parse

    report = judged([held({"permissions": ["b", "a"], "ip_allowlist": ["10.0.0.0/8"]})], RULES)
    path = tmp_path / "report.json"
    path.write_bytes(FORMATS["json"].render(report))
    assert [one.state for one in fails(parse.read(path))] == [one.state for one in fails(report)]
