"""A Report that never was: one account that is badly set up, one of which hardly anything could be seen. All invented."""

import hashlib
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from auditor.model.evidence import Problem, Reason
from auditor.model.report import (
    AccountReport,
    AttackPath,
    Change,
    Drift,
    EvidenceLine,
    Finding,
    FindingFix,
    FixStep,
    Hardening,
    Inventory,
    Missing,
    Outcome,
    PathStatus,
    PathStep,
    Question,
    Report,
    RunInfo,
    RunProblem,
    Score,
    Subject,
    Summary,
    TrendPoint,
    UnknownCause,
)
from auditor.model.rule import Severity

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
BOT, TAX, DESK = "3f2a91bc77d0e415", "91c0de55aa01b2f3", "aa77100254fe09c8"
UNSEEN = Subject(type="api_key", fingerprint="unseen", label="", unseen=True)


def key(fingerprint, label):
    return Subject(type="api_key", fingerprint=fingerprint, label=label)


def owner(name):
    return Subject(type="account", fingerprint=hashlib.sha256(name.encode()).hexdigest()[:16], label=name)


def finding(rule, severity, outcome, subject, message, *, account="main-okx", **more):
    identity = hashlib.sha256(f"{rule}|{account}|{subject.fingerprint}".encode()).hexdigest()[:16]
    texts = {
        "title": rule.replace("-", " ").capitalize(),
        "why": "A stolen secret is used from wherever the thief is.",
        "how_we_know": "The exchange lists the addresses a key is bound to.",
        "fix": FindingFix(
            effort="low", text="Change it on the exchange's settings page.", steps=("Open Settings.", "Change it.")
        ),
    }
    return Finding(
        id=identity,
        rule=rule,
        severity=severity,
        outcome=outcome,
        subject=subject,
        message=message,
        **{**texts, **more},
    )


SMS_WAY, KEY_WAY, CALL_WAY = "a1b2c3d4e5f60718", "b2c3d4e5f6071829", "c3d4e5f607182930"


def step(action, text, needs, gives, **more):
    given = {"status": PathStatus.CONFIRMED, "cost": 2, "delay_hours": 0.0, **more}
    return PathStep(action=action, text=text, needs=needs, gives=gives, **given)


def ways():
    """Three attack paths: one with a detour, one that is only possible, one that no setting closes."""
    moved, mailbox, inside, out = "your phone number", "your mailbox", "a login to the account", "a withdrawal address"
    sms = (
        EvidenceLine(fact="account.login_weakest_factor", value="sms", source="attested 2026-11-01"),
        EvidenceLine(fact="venue.recovery_channels", value=["email_link"], source="policy of OKX, as of 2026-06-02"),
    )
    by_number = AttackPath(
        id=SMS_WAY,
        goal="withdraw",
        goal_text="Your coins are withdrawn",
        status=PathStatus.CONFIRMED,
        capability="phone_number",
        capability_text="Somebody moves your phone number to his own SIM card",
        cost=6,
        delay_hours=24.0,
        alerts=("push",),
        steps=(
            step("reset-mailbox", "Resets the password of the mailbox with a code by SMS", (moved,), (mailbox,)),
            step(
                "log-in",
                "Resets the password of the exchange by mail and enters the code",
                (mailbox, moved),
                (inside,),
                evidence=sms,
                attack=("T1621",),
                incidents=("INC-2018-simswap-b",),
            ),
            step("save-address", "Saves an address of his own and waits for it", (inside,), (out,), delay_hours=24.0),
            step("withdraw", "Withdraws, with codes by mail and SMS", (inside, out, moved), ("your coins",)),
        ),
        closed_by=("no-sms",),
    )
    by_key = AttackPath(
        id=KEY_WAY,
        goal="withdraw",
        goal_text="Your coins are withdrawn",
        status=PathStatus.POSSIBLE,
        capability="stolen_key",
        capability_text="Somebody copies the secret of an API key",
        cost=3,
        delay_hours=None,
        alerts=None,
        steps=(
            step(
                "use-key",
                "Withdraws with the key grid bot from his own machine",
                ("a key's secret",),
                ("your coins",),
                status=PathStatus.POSSIBLE,
                delay_hours=None,
                unknown=("account.withdrawal_allowlist_enabled",),
                evidence=(
                    EvidenceLine(fact="api_key.can_withdraw", value=True, source="api: GET /api/v5/account/config"),
                ),
            ),
        ),
        closed_by=(),
        unknown=("account.withdrawal_allowlist_enabled",),
    )
    by_call = AttackPath(
        id=CALL_WAY,
        goal="trade_away",
        goal_text="Your coins are sold below their price",
        status=PathStatus.CONFIRMED,
        capability="infected_machine",
        capability_text="Software of his runs on your computer",
        cost=4,
        delay_hours=0.0,
        alerts=(),
        steps=(step("ride-session", "Uses the session that you opened", ("your computer",), ("trades in your name",)),),
        residual=True,
    )
    return by_number, by_call, by_key


def bad_account():
    unbound = {
        "title": "API key can withdraw and is not bound to an IP address",
        "why": "Whoever copies the secret of such a key can empty the account from any machine, and no second factor is asked for.",
        "fix": FindingFix(
            effort="low",
            text="Take the withdrawal permission away, or bind the key to the addresses you use.",
            steps=(
                "On okx.com open Profile, then API.",
                "Choose the key, then Edit, and untick Withdraw.",
                "If a program must withdraw, enter its fixed IP address under Link IP.",
            ),
        ),
        "gain": 2.5,
        "controls": ("owasp-nhi/NHI5", "attack/T1550.001"),
        "incidents": ("INC-2024-okx-sms-api",),
        "on_path": True,
        "evidence": (
            EvidenceLine(fact="api_key.can_withdraw", value=True, source="api: GET /api/v5/account/config"),
            EvidenceLine(fact="api_key.ip_bound", value=False, source="api: GET /api/v5/account/config"),
        ),
    }
    sms = {
        "title": "A code by SMS is enough as second factor",
        "why": "A phone number can be taken over at a carrier's shop; whoever has it receives the code.",
        "how_we_know": "The owner stated it on 2026-11-01.",
        "fix": FindingFix(
            effort="medium",
            text="Enrol a passkey and take SMS off the account.",
            steps=("Open Security.", "Remove SMS."),
        ),
        "gain": 1.25,
        "on_path": True,
        "evidence": (EvidenceLine(fact="account.login_weakest_factor", value="sms", source="attested 2026-11-01"),),
    }
    waiver = {"reason": "The tax program ends in January", "owner": "desk", "until": "2027-01-31"}
    fail, unknown, good = Outcome.FAIL, Outcome.UNKNOWN, Outcome.PASS
    hidden = (
        Missing(
            fact="account.email_second_factor", reason="not_collected", how="Answer it with: auditor attest main-okx"
        ),
    )
    me = owner("main-okx")
    return AccountReport(
        name="main-okx",
        exchange="okx",
        venue_name="OKX",
        kind="main",
        collected_at=NOW,
        score=Score(low=17.97704, high=61.44, grade="F-C", coverage=0.581234, observed=0.8, attested=0.2),
        with_waivers=Score(low=18.7261, high=64.0, grade="F-C", coverage=0.581234, observed=0.8, attested=0.2),
        findings=(
            finding(
                "key-withdraw-without-ip-binding",
                Severity.CRITICAL,
                fail,
                key(BOT, "grid bot"),
                "Key grid bot can withdraw from any address on the internet",
                baseline="new",
                **unbound,
            ),
            finding("auth-sms-weakest", Severity.HIGH, fail, me, "A login of main-okx accepts a code by SMS", **sms),
            finding(
                "key-trade-without-ip-binding",
                Severity.MEDIUM,
                fail,
                key(TAX, "tax program"),
                "Key tax program can trade from any address",
                waiver=waiver,
                gain=1.0417,
            ),
            finding(
                "key-unused",
                Severity.LOW,
                fail,
                key(TAX, "tax program"),
                "Key tax program was never used",
                gain=1.0101,
                on_path=False,
            ),
            finding(
                "email-weak-second-factor",
                Severity.HIGH,
                unknown,
                me,
                "Nobody knows what protects the mailbox",
                missing=hidden,
            ),
            finding(
                "key-withdraw-without-ip-binding",
                Severity.CRITICAL,
                unknown,
                UNSEEN,
                "Keys that were not listed",
                **unbound,
            ),
            finding("monitor-log-readable", Severity.LOW, Outcome.ERROR, me, "The rule divides a text by a number"),
            finding("auth-no-second-factor", Severity.CRITICAL, good, me, "A second factor is on"),
            finding("key-read-only", Severity.INFO, good, key(TAX, "tax program"), "Read"),
            finding("team-master-key", Severity.HIGH, Outcome.NOT_APPLICABLE, me, "There are no sub-accounts"),
        ),
        inventory=Inventory(
            api_keys=(
                {
                    "fingerprint": BOT,
                    "masked_id": "…c3d4",
                    "label": "grid bot",
                    "can_read": True,
                    "can_trade": True,
                    "can_withdraw": True,
                    "can_manage": False,
                    "ip_bound": False,
                    "enabled": True,
                    "created_at": "2025-01-03T00:00:00Z",
                },
                {"fingerprint": TAX, "masked_id": "…9e0f", "label": "tax program", "can_read": True, "can_trade": True},
            ),
            addresses=(
                {"fingerprint": DESK, "asset": "BTC", "network": "Bitcoin", "label": "cold wallet", "state": "active"},
            ),
            complete=None,
        ),
        causes=(
            UnknownCause(
                reason="not_exposed",
                facts=("account.key_inventory_complete",),
                rules=("key-withdraw-without-ip-binding",),
                how="Audit every key of the account and state how many there are.",
            ),
            UnknownCause(
                reason="not_collected",
                facts=("account.email_second_factor", "account.email_recovery_by_phone"),
                rules=("email-weak-second-factor", "email-recovery-by-phone"),
                how="Answer the questions about the mailbox: auditor attest main-okx",
            ),
        ),
        fixes=(FixStep(change="Untick Withdraw on the key grid bot", closes=("a" * 16, "b" * 16), gain=2.5),),
        questions=(
            Question(
                fact="account.email_second_factor",
                ask="What second factor protects the mailbox of this account?",
                where="the security page of your mail provider",
                narrows=("email-weak-second-factor",),
                gain=1.25,
            ),
            Question(
                fact="account.keys_counted",
                ask="How many API keys does the exchange's API page show?",
                where=None,
                narrows=("key-withdraw-without-ip-binding", "key-withdraw-permission"),
                gain=2.5,
            ),
        ),
        problems=(
            Problem(endpoint="users/subaccount/list", reason=Reason.PERMISSION_DENIED, detail="50120: no permission"),
        ),
        paths=ways(),
        hardening=hardening(),
        unchanged=4,
        drift=(
            Drift(kind="new", subject=key(BOT, "grid bot"), what="first seen in this run"),
            Drift(kind="widened", subject=key(TAX, "tax program"), what="can_trade: no before, yes now"),
        ),
        trend=tuple(
            TrendPoint(
                at=NOW.replace(day=day),
                low=low,
                high=high,
                coverage=coverage,
                failing={severity: 1 for severity in Severity if severity is not Severity.INFO},
                rules_changed=changed,
            )
            for day, low, high, coverage, changed in (
                (1, 30.0, 75.5, 0.5, False),
                (8, 30.0, 61.44, 0.58, True),
                (20, 17.97704, 61.44, 0.581234, False),
            )
        ),
    )


def hardening():
    no_sms = Change(
        id="no-sms",
        text="Remove the phone number as a factor and as a way of recovery",
        effort="low",
        closes=(SMS_WAY,),
    )
    allow = Change(
        id="allow-list",
        text="Switch on that withdrawals go to saved addresses only",
        effort="medium",
        closes=(),
        delays=(SMS_WAY,),
    )
    passkey = Change(id="passkey", text="Enrol a passkey beside the code by SMS", effort="medium", closes=(), delays=())
    return Hardening(
        smallest=(no_sms,), alternatives=((allow, passkey),), single=(no_sms, allow, passkey), residual=(CALL_WAY,)
    )


def dim_account():
    me = owner("desk-gate")
    return AccountReport(
        name="desk-gate",
        exchange="gate",
        venue_name="Gate",
        kind=None,
        collected_at=NOW,
        score=Score(low=9.8, high=96.0, grade="F-A", coverage=0.12, observed=1.0, attested=0.0),
        findings=(
            finding(
                "settings-lock",
                Severity.MEDIUM,
                Outcome.FAIL,
                me,
                "The lock over all settings is off",
                account="desk-gate",
            ),
            finding(
                "withdrawal-allowlist-off", Severity.HIGH, Outcome.UNKNOWN, me, "Nobody knows", account="desk-gate"
            ),
            finding(
                "auth-no-second-factor", Severity.CRITICAL, Outcome.UNKNOWN, me, "Nobody knows", account="desk-gate"
            ),
            finding("venue-closing", Severity.HIGH, Outcome.PASS, me, "The exchange is open", account="desk-gate"),
        ),
        inventory=Inventory(api_keys=None, addresses=(), complete=None),
        causes=(
            UnknownCause(
                reason="venue_maintenance",
                facts=("account.withdrawal_allowlist_enabled", "account.two_factor_enabled"),
                rules=("auth-no-second-factor", "withdrawal-allowlist-off"),
                how="Run the audit again when the exchange is back.",
            ),
        ),
        fixes=(),
        questions=(
            Question(
                fact="account.two_factor_enabled",
                ask="Is any second factor switched on?",
                where="Account, then Security",
                narrows=("auth-no-second-factor",),
                gain=2.5,
            ),
        ),
        problems=(
            Problem(endpoint="account/detail", reason=Reason.VENUE_MAINTENANCE, facts=("account.two_factor_enabled",)),
        ),
    )


def report(*accounts, sample=True):
    """A whole Report over `accounts`, or over the two above; its summary agrees with them."""
    accounts = accounts or (bad_account(), dim_account())
    fails = [item.severity for account in accounts for item in account.findings if item.outcome is Outcome.FAIL]
    return Report(
        run=RunInfo(
            id="20261120T100000Z-7d31",
            started_at=NOW,
            finished_at=NOW.replace(second=9),
            version="0.1.0",
            ruleset_sha256=hashlib.sha256(b"invented rules").hexdigest(),
            formula="product-1",
            sample=sample,
        ),
        summary=Summary(
            accounts=len(accounts),
            worst=(accounts[0].name, accounts[0].score),
            findings={severity: fails.count(severity) for severity in Severity},
            unknown_rules=4,
            incomplete_accounts=("desk-gate",),
            coverage=min(
                (account.score.coverage for account in accounts if account.score.coverage is not None), default=None
            ),
            grades={"F-C": 1, "F-A": 1},
        ),
        accounts=tuple(accounts),
        problems=(
            RunProblem(
                where="waivers.yaml",
                message="the waiver of finding 0123456789abcdef was not used",
                hint="take it out, or see whether the finding has changed",
            ),
        ),
    )


def hostile(text):
    """The bad account with `text` in every place that somebody outside may have written."""
    account = bad_account()
    spoilt = tuple(
        replace(
            item,
            subject=item.subject if item.subject.type == "account" else replace(item.subject, label=text),
            message=f"Key {text} can withdraw",
            evidence=(EvidenceLine(fact="api_key.label", value=text, source=f"api: {text}"),),
            waiver={"reason": text, "owner": text, "until": text} if item.waiver else None,
        )
        for item in account.findings
    )
    rows = tuple({**row, "label": text, "masked_id": text} for row in account.inventory.api_keys)
    addresses = ({"label": text, "asset": text, "network": text, "state": text},)
    stolen = tuple(
        replace(
            way,
            steps=tuple(
                replace(
                    one, text=f"Uses {text}", evidence=(EvidenceLine(fact="api_key.label", value=text, source=text),)
                )
                for one in way.steps
            ),
        )
        for way in account.paths
    )
    return replace(
        account,
        findings=spoilt,
        paths=stolen,
        drift=tuple(replace(one, what=text, subject=replace(one.subject, label=text)) for one in account.drift),
        inventory=replace(account.inventory, api_keys=rows, addresses=addresses),
        problems=(Problem(endpoint="account/detail", reason=Reason.TIMEOUT, detail=text),),
    )


def hostile_everywhere(text):
    """The whole report with `text` in every place that holds text, but for the closed lists of the model."""
    return _spoilt(report(), text)


def _spoilt(value, text):
    if isinstance(value, StrEnum | Score):  # grades are letters, and no file with others is read
        return value
    if isinstance(value, str):
        return text
    if isinstance(value, tuple):
        return tuple(_spoilt(one, text) for one in value)
    if isinstance(value, dict):
        return {key: _spoilt(one, text) for key, one in value.items()}
    if is_dataclass(value):
        return replace(value, **{one.name: _spoilt(getattr(value, one.name), text) for one in fields(value)})
    return value
