"""Texts that try to be more than text, on their whole way: from an exchange, a file or an argument, through every command, to
every format, the terminal and the standard error. What the formats do with one is tested with the reports; this is about
what no report is asked: names, addresses, answers, errors, the history, and commands beside the report.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from aiohttp import web

from auditor.model.facts import LISTS, of_scope
from auditor.notify import message
from auditor.notify.change import Change
from auditor.redaction import printable
from auditor.reports import FORMATS
from auditor.twin._base import Refusal, TwinVenue
from tests import stage
from tests.cli.test_terminal import at_terminal
from tests.reports.strangers import TRICKS, everywhere
from tests.reports.validators import READERS

SHORT = {name: text for name, text in TRICKS.items() if len(text) < 10_000}
LONG = {name: text for name, text in TRICKS.items() if len(text) >= 10_000}
EVERY_FORMAT = [word for name in FORMATS for word in ("-f", name)]
HIDDEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
RULE = {
    "id": "key-mine",
    "severity": "high",
    "lifecycle": "stable",
    "since": "0.1",
    "applies_to": "api_key",
    "require": "api_key.ip_bound",
    "cases": [
        {"name": "a", "api_keys": [{"ip_bound": True}], "expect": "pass"},
        {"name": "b", "api_keys": [{"ip_bound": False}], "expect": "fail"},
        {"name": "c", "api_keys": [{}], "expect": "unknown"},
    ],
}
EVIDENCE = {
    "schema": "auditor/evidence/1",
    "account": {"name": "main-okx", "exchange": "okx"},
    "api_keys": [{"label": "bot", "can_trade": True, "ip_bound": False}],
}


@pytest.fixture
def mine(tmp_path: Any) -> stage.Stage:
    return stage.Stage(tmp_path)


@pytest.fixture(autouse=True)
def hurry() -> Iterator[None]:
    with stage.hurried():
        yield


def wild(text: str) -> list[str]:
    """What in a text a terminal might obey, and some of what stands around it."""
    return [
        f"{char!a} in {text[max(0, at - 30) : at + 10]!a}"
        for at, char in enumerate(text)
        if char != "\n" and unicodedata.category(char) in HIDDEN
    ]


def assert_tame(ran: stage.Ran, *codes: int) -> stage.Ran:
    """The run went as it should, and what it said on either stream is text and nothing more."""
    assert ran.code != 1 and (not codes or ran.code in codes), (ran.code, ran.err[:600])
    assert wild(ran.out) == [] and wild(ran.err) == []
    assert "Traceback" not in ran.err
    assert all(len(line) < 3000 for line in ran.err.splitlines())
    return ran


def _parsed(content: bytes) -> None:
    json.loads(content.decode())


LIGHT = {
    **READERS,
    "json": _parsed,
    "sarif": _parsed,
    "ocsf": _parsed,
    "markdown": bytes.decode,
    "checklist": bytes.decode,
}
"""Whether a schema is kept is tested with the reports, and takes long."""


def assert_reports_tame(mine: stage.Stage, folder: str, largest: int = 5_000_000) -> None:
    for name, form in FORMATS.items():
        content = (mine.work / folder / f"report.{form.suffix}").read_bytes()
        said = content.decode()
        assert wild(said.replace("\r\n", "\n") if name == "csv" else said) == [], name
        LIGHT[name](content)
        assert len(content) < largest, name


class Turns:
    """All tricks, one after the other."""

    def __init__(self, tricks: Iterable[str]) -> None:
        self.tricks, self.given = list(tricks), 0

    def next(self) -> str:
        self.given += 1
        return self.tricks[self.given % len(self.tricks)]


def row_of(scope: str, turns: Turns) -> dict[str, Any]:
    """A row in which every text, and every text of a list, is the next trick."""
    kinds = {"text": turns.next, "list": lambda: [turns.next(), turns.next()]}
    return {fact.name: kinds[fact.kind]() for fact in of_scope(scope).values() if fact.kind in kinds}


def document(name: str, turns: Turns, rows: int = 1) -> dict[str, Any]:
    """Evidence in which a stranger wrote tricks wherever a text may stand."""
    place = {"endpoint": turns.next() or "x", "reason": "permission_denied", "detail": turns.next()}
    return {
        "schema": "auditor/evidence/1",
        "collected_at": "2026-11-20T09:00:00Z",
        "account": {"name": name, "exchange": "okx", "parent": turns.next()},
        **{key: [row_of(scope, turns) for _ in range(rows)] for scope, key in LISTS.items()},
        "problems": [place],
        "sources": {
            "api_keys": {"by": "api", "ref": turns.next()},
            "account.parent": {"by": "attest", "ref": turns.next()},
        },
    }


QUESTIONS = ("SELECT * FROM api_key", "SELECT * FROM finding")


def looked_at(mine: stage.Stage, evidence: str) -> None:
    """All that can be done with an evidence file."""
    ran = mine.run("evaluate", evidence, *EVERY_FORMAT, "-v", "-o", "out")
    assert_tame(ran, 4, 10, 11, 12, 13)
    assert_reports_tame(mine, "out")
    assert_tame(mine.run("evaluate", evidence, "-v"), 4, 10, 11, 12, 13)
    assert_tame(mine.run("report", "out/report.json", "-v"))
    for form in ("text", "json"):
        assert_tame(mine.run("paths", "--evidence", evidence, "-v", "-f", form))
        for question in QUESTIONS:
            assert_tame(mine.run("query", "--evidence", evidence, "-f", form, question), 0, 2)


def test_an_evidence_file_of_a_stranger(mine: stage.Stage) -> None:
    turns = Turns(text for name, text in SHORT.items() if name != "surrogates")
    mine.write("e.jsonl", "\n".join(json.dumps(document(f"a{number}", turns, 4)) for number in range(2)))
    looked_at(mine, "e.jsonl")
    assert turns.given > 4 * len(SHORT)


@pytest.mark.parametrize("trick", LONG)
def test_an_evidence_file_with_texts_without_end(mine: stage.Stage, trick: str) -> None:
    mine.write(
        "e.json", json.dumps({**document("a", Turns(["x"])), "api_keys": [row_of("api_key", Turns([LONG[trick]]))]})
    )
    ran = assert_tame(mine.run("evaluate", "e.json", *EVERY_FORMAT, "-v", "-o", "out"), 2, 4, 10, 11, 12, 13)
    if ran.code != 2:
        assert_reports_tame(mine, "out", 20_000_000)
        assert len(assert_tame(mine.run("evaluate", "e.json", "-v")).out) < 1_000_000


@pytest.mark.parametrize("suffix", ["json", "yaml", "jsonl"])
def test_half_a_surrogate_pair_is_refused_or_replaced(mine: stage.Stage, suffix: str) -> None:
    mine.write(f"e.{suffix}", json.dumps(document("a", Turns(["x\ud800y"]))))
    ran = assert_tame(mine.run("evaluate", f"e.{suffix}", "-v"))
    assert ran.code in {2, 4, 10, 11, 12, 13}
    assert ran.code != 2 or "e." in ran.err


@pytest.mark.parametrize(
    "name", ["\x1b[2J", "a\nb", "\u202eko", "<script>", "a'; DROP", "x" * 100_000, "\0", "", " ", "{{1}}"]
)
def test_the_name_of_an_account_in_evidence(mine: stage.Stage, name: str) -> None:
    mine.write("e.json", json.dumps({**EVIDENCE, "account": {"name": name, "exchange": name or "okx"}}))
    ran = assert_tame(mine.run("evaluate", "e.json", *EVERY_FORMAT, "-v", "-o", "out"))
    if ran.code != 2:
        assert_reports_tame(mine, "out")
        assert_tame(mine.run("evaluate", "e.json", "-v"))


# From an exchange

WRITTEN = {
    *("label", "note", "apiName", "remark", "key_name", "name", "api_key_name", "apikey_name", "addressRemark"),
    *("subAcct", "subAccount", "sub_account", "subName", "subUserName", "username", "userName", "nickname", "nickName"),
    *(
        "memo",
        "tag",
        "description",
        "comment",
        "text",
        "type",
        "action",
        "event",
        "msg",
        "message",
        "info",
        "ip",
        "ips",
    ),
    *("ipAddress", "ip_address", "country", "location", "device", "userAgent", "user_agent", "perm", "permissions"),
    *(
        "ipWhitelist",
        "ip_whitelist",
        "ipList",
        "allowed_ips",
        "whitelist",
        "portfolio_name",
        "title",
        "network",
        "chain",
    ),
}


class Spoiler(Turns):
    """Replaces what people write in an exchange's answers, by all tricks in turn."""

    def __call__(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._of(name, child) for name, child in value.items()}
        return [self(child) for child in value] if isinstance(value, list) else value

    def _of(self, name: str, child: Any) -> Any:
        if name in WRITTEN and isinstance(child, str):
            return self.next()
        if name in WRITTEN and isinstance(child, list) and all(isinstance(one, str) for one in child):
            return [self.next() for _ in child]
        return self(child)


def spoil(twin: TwinVenue, by: Spoiler) -> None:
    for place, route in list(twin.signed.items()):
        twin.signed[place] = lambda request, key, route=route: by(json.loads(json.dumps(route(request, key))))


def test_every_exchange_full_of_them(mine: stage.Stage) -> None:
    """Whatever connector reads them, they come out as text."""
    by = Spoiler(SHORT.values())
    twins = stage.every_twin()
    with stage.demo.served(twins):
        for one in twins:
            spoil(one, by)
        mine.config(*twins, more={"address_confirmed": True})
        assert_tame(mine.run("audit", "-v"))
        assert_tame(mine.run("collect", "-o", "e.jsonl"))
    assert by.given > 3 * len(SHORT)
    assert_tame(mine.run("report", "-v", "-f", "csv", "-o", "report.csv"))
    lines = [json.loads(line) for line in (mine.work / "e.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(lines) == len(twins)


def test_a_history_full_of_them(mine: stage.Stage) -> None:
    """Two audits in which the words change, an approval between them, and everything that is then to be seen."""
    with stage.twins("okx", "deribit") as served:
        for one in served.values():
            spoil(one, Spoiler(SHORT.values()))
        mine.config(*served.values())
        assert_tame(mine.run("audit", *EVERY_FORMAT, "-v", "-o", "out"))
        assert_reports_tame(mine, "out")
        assert_tame(mine.run("keys", "approve", "--all", "--yes"))
        assert_tame(mine.run("audit", "-v"))
    shown(mine)


def shown(mine: stage.Stage) -> None:
    """What the commands that only look show of stored runs."""
    for form in ("text", "json"):
        for args in (
            ("keys", "list"),
            ("keys", "diff"),
            ("history", "list"),
            ("history", "show", "last"),
            ("history", "trend"),
            ("history", "diff", "1", "last"),
            ("history", "verify"),
            ("paths", "-v"),
            ("query", "SELECT * FROM api_key"),
        ):
            assert_tame(mine.run(*args, "-f", form))
    assert_tame(mine.run("report", "-v"))
    assert_tame(mine.run("attest"))


@pytest.mark.parametrize("trick", TRICKS)
def test_the_words_of_a_refusal(mine: stage.Stage, trick: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an exchange says when it refuses: in the message, the code, the reason of the status and a header."""
    text = TRICKS[trick]
    with stage.twins("okx", "kraken") as served:
        for twin in served.values():
            usual = twin.refuse

            def loud(refusal: Refusal, usual=usual) -> web.Response:
                told = json.loads(usual(refusal).text or "null")
                for name in ("msg", "message", "sMsg"):
                    if name in told:
                        told[name] = text
                if isinstance(told.get("error"), list):
                    told["error"] = [*told["error"], text]
                safe = printable(text, limit=100).encode("ascii", "replace").decode()
                return web.json_response(
                    told, status=usual(refusal).status, headers={"X-Reason": safe, "Retry-After": safe}
                )

            monkeypatch.setattr(twin, "refuse", loud)
            twin.fail(Refusal.MISSING_PERMISSION)
        mine.config(*served.values())
        assert_tame(mine.run("audit", *EVERY_FORMAT, "-v", "-o", "out"), 4, 10, 11, 12, 13)
    assert_reports_tame(mine, "out")
    assert_tame(mine.run("report", "out/report.json", "-v"))


def test_a_label_of_a_megabyte_from_an_exchange(mine: stage.Stage) -> None:
    with stage.twins("okx") as served:
        spoil(served["okx"], Spoiler([LONG["long"], LONG["long controls"]]))
        mine.config(served["okx"])
        assert_tame(mine.run("audit", *EVERY_FORMAT, "-v", "-o", "out"), 4, 10, 11, 12, 13)
        assert_reports_tame(mine, "out", 20_000_000)
        assert len(assert_tame(mine.run("audit", "-v")).out) < 500_000


def test_a_terminal_obeys_nobody_but_us(mine: stage.Stage) -> None:
    """On a real terminal, with colour: all there is beside text are our own colours and the line that is written over."""
    with stage.twins("okx", "deribit") as served:
        for twin in served.values():
            spoil(twin, Spoiler(list(SHORT.values())))
        mine.config(*served.values())
        _, screen = at_terminal(mine, "audit", "-v", "--yes")
    assert "\x1b" in screen
    plain = COLOUR.sub("", screen).replace("\r\x1b[K", "").replace("\r", "")
    assert wild(plain) == []


# From whoever writes rules, waivers, answers, models and arguments


def rule(text: str) -> str:
    said = dict.fromkeys(("title", "message", "why", "how_we_know"), text)
    fix = {"effort": "low", "text": text, "steps": {"okx": [text], "default": [text]}}
    return json.dumps({**RULE, **said, "fix": fix, "references": [text]})


@pytest.mark.parametrize("trick", TRICKS)
def test_the_words_of_a_rule(mine: stage.Stage, trick: str) -> None:
    mine.write("mine/key-mine.yaml", rule(TRICKS[trick]))
    mine.write("e.json", json.dumps(EVIDENCE))
    checked = assert_tame(mine.run("rules", "check", "mine"), 0, 2)
    ran = assert_tame(mine.run("evaluate", "e.json", "--rules", "mine", *EVERY_FORMAT, "-v", "-o", "out"))
    assert (checked.code == 2) == (ran.code == 2)
    if ran.code == 2:
        return
    assert_reports_tame(mine, "out")
    assert_tame(mine.run("evaluate", "e.json", "--rules", "mine", "-v"))
    mine.write("auditor.yaml", json.dumps({"version": 1, "accounts": [EVIDENCE["account"]], "rules": ["mine"]}))
    assert_tame(mine.run("rules", "show", "key-mine"), 0)
    for form in ("text", "json"):
        assert_tame(mine.run("rules", "list", "-f", form), 0)


@pytest.mark.parametrize("trick", TRICKS)
def test_the_words_of_a_waiver(mine: stage.Stage, trick: str) -> None:
    text = TRICKS[trick]
    mine.write("auditor.yaml", json.dumps({"version": 1, "accounts": [EVIDENCE["account"]]}))
    mine.write("e.json", json.dumps(EVIDENCE))
    mine.run("evaluate", "e.json", "-c", "auditor.yaml", "-f", "json", "-o", "r.json")
    failing = next(
        one
        for one in json.loads((mine.work / "r.json").read_text())["accounts"][0]["findings"]
        if one["outcome"] == "fail"
    )
    if "\0" not in text:  # no operating system passes it on
        words = ("--reason", text, "--owner", text, "--until", "2027-01-31", "--report", "r.json")
        assert_tame(mine.run("waive", failing["id"], *words), 0, 2)
    entry = {"finding": failing["id"], "reason": text, "owner": text, "until": "2027-01-31", "state": failing["state"]}
    mine.write("waivers.yaml", json.dumps({"version": 1, "waivers": [entry]}))
    assert_tame(mine.run("waivers", "check"))
    for form in ("text", "json"):
        assert_tame(mine.run("waivers", "list", "-f", form))
    ran = assert_tame(mine.run("evaluate", "e.json", "-c", "auditor.yaml", *EVERY_FORMAT, "-v", "-o", "out"))
    if ran.code != 2:
        assert_reports_tame(mine, "out")
        assert_tame(mine.run("evaluate", "e.json", "-c", "auditor.yaml", "-v"))


@pytest.mark.parametrize("trick", TRICKS)
def test_the_words_of_an_answer(mine: stage.Stage, trick: str) -> None:
    text = TRICKS[trick]
    mine.write("auditor.yaml", json.dumps({"version": 1, "accounts": [EVIDENCE["account"]]}))
    vendors = [{"name": text, "holds_trade_keys": True}]
    stated = {
        "schema": "auditor/evidence/1",
        "attested_at": "2026-11-01",
        "account": EVIDENCE["account"],
        "vendors": vendors,
    }
    mine.write("attest/main-okx.yaml", json.dumps(stated))
    ran = assert_tame(mine.run("audit", *EVERY_FORMAT, "-v", "--no-history", "-o", "out"))
    if ran.code != 2:
        assert_reports_tame(mine, "out")
    (mine.work / "attest" / "main-okx.yaml").unlink()
    if "\0" not in text:
        assert_tame(mine.run("attest", "main-okx", "--answer", f"account.p2p_enabled={text}"), 0, 2)


SAID = [
    SHORT["terminal"] + SHORT["bidi"] + SHORT["separators"] + SHORT["marks"],
    SHORT["controls"].replace("\0", "") + SHORT["blank"],
    "\udcff" + SHORT["html"] + SHORT["sql"] + SHORT["jinja"],
    "x" * 50_000,
    "",
]
"""What an operating system passes on: bytes that are no UTF-8 come as they do here, and no NUL comes at all."""
ARGUMENTS = [
    ("evaluate", "{}"),
    ("evaluate", "e.json", "-f", "{}"),
    ("evaluate", "e.json", "--rules", "{}"),
    ("evaluate", "e.json", "--framework", "{}", "-f", "checklist"),
    ("report", "{}"),
    ("audit", "-a", "{}"),
    ("audit", "-c", "{}"),
    ("audit", "--fail-on", "{}"),
    ("audit", "--allow-endpoint", "{}"),
    ("rules", "show", "{}"),
    ("rules", "check", "{}"),
    ("exchanges", "{}"),
    ("paths", "{}"),
    ("paths", "--evidence", "e.json", "--what-if", "{}"),
    ("paths", "--evidence", "e.json", "--what-if", "account.kind={}"),
    ("paths", "--evidence", "e.json", "--model", "{}"),
    ("preflight", "{}", "--allow", "read"),
    ("preflight", "main-okx", "--allow", "{}"),
    ("history", "show", "{}"),
    ("history", "diff", "{}", "{}"),
    ("keys", "approve", "{}", "--yes"),
    ("query", "{}"),
    ("query", "SELECT '{}' AS x, no_column FROM api_key", "--evidence", "e.json"),
    ("query", "SELECT 'x{}' AS \"{}\"", "--evidence", "e.json"),
    ("verify", "{}"),
    ("verify", "e.json", "--key", "{}"),
    ("waive", "{}", "--reason", "r", "--owner", "o", "--until", "{}"),
    ("watch", "--once", "--every", "{}"),
    ("schedule", "cron", "--every", "{}"),
    ("vault", "list", "-c", "{}"),
    ("{}",),
    ("audit", "--{}"),
]


@pytest.mark.parametrize("args", ARGUMENTS, ids=" ".join)
def test_an_argument_is_repeated_as_text_or_not_at_all(mine: stage.Stage, args: tuple[str, ...]) -> None:
    mine.write("auditor.yaml", json.dumps({"version": 1, "accounts": [EVIDENCE["account"]]}))
    mine.write("e.json", json.dumps(EVIDENCE))
    for text in SAID:
        ran = mine.run(*[word.replace("{}", text) for word in args])
        assert ran.code != 1, (text, ran.err[:500])
        assert wild(ran.out) == [] and wild(ran.err) == [], ascii(text)
        assert len(ran.err) < 100_000


@pytest.mark.parametrize("trick", TRICKS)
def test_a_notice_is_text(trick: str) -> None:
    """What is sent to a chat or a mailbox, made of a report in which a stranger wrote everything."""
    report = everywhere(TRICKS[trick])
    findings = [(account, one) for account in report.accounts for one in account.findings]
    drift = [(account, one) for account in report.accounts for one in account.drift or ()]
    change = Change(new=tuple(findings), drift=tuple(drift), incomplete=report.accounts, mended=3)
    title, body = message.spoken(report, change)
    assert findings and drift and wild(title) == [] and "\n" not in title and wild(body) == []
    assert len(body) < 10_000
