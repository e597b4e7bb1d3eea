"""What the program says, word for word: one file a scenario, compared exactly.

`python -m tests.cli.test_transcripts` writes them anew; the diff is what a user would notice, so read it.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import auditor
from auditor.cli import _COMMANDS
from auditor.twin._base import Breakage, Refusal
from tests import stage

FOLDER = Path(__file__).with_name("transcripts")
EVIDENCE = """\
schema: auditor/evidence/1
collected_at: 2026-11-20T10:00:00Z
account: {name: main-okx, exchange: okx, kind: main, login_weakest_factor: sms}
api_keys:
  - {label: bot, can_read: true, can_trade: true, can_withdraw: false, ip_bound: false, created_at: 2025-01-03T00:00:00Z}
addresses: []
events: null
withdrawals: null
vendors: null
venue: {}
sources:
  account.login_weakest_factor: {by: attest, at: 2026-11-01, expires: 2027-02-01}
  api_keys: {by: api, ref: "GET /api/v5/account/config"}
problems:
  - {endpoint: users/subaccount/list, reason: permission_denied, detail: "..."}
"""
SAFE = {
    "withdrawal_allowlist_enabled": True,
    "internal_transfer_enabled": False,
    "master_key_over_subaccounts": False,
    "withdrawal_second_approver": True,
}
RULE = """\
id: key-mine
title: A rule of mine
severity: critcal
lifecycle: stable
since: "0.1"
applies_to: api_key
require: api_key.can_withdrw IS NULL
message: "Key {api_key.label} is odd"
why: Because.
how_we_know: It is known.
fix: {effort: low, text: Mend it.}
colour: red
"""

Scenario = Callable[[stage.Stage], Iterator[tuple[str, ...]]]
SCENARIOS: dict[str, Scenario] = {}


def scenario(make: Scenario) -> Scenario:
    SCENARIOS[make.__name__.replace("_", "-")] = make
    return make


@scenario
def help_(mine: stage.Stage) -> Iterator[tuple[str, ...]]:
    yield ()
    yield ("--help",)
    yield ("--version",)
    for name in _COMMANDS:
        yield (name, "--help")
    for name in ("list", "show", "check", "test"):
        yield ("rules", name, "--help")


@scenario
def typos(mine: stage.Stage) -> Iterator[tuple[str, ...]]:
    mine.write("evidence.yaml", EVIDENCE)
    mine.write("auditor.yaml", "version: 1\naccounts: [{name: main-okx, exchange: okx}]\n")
    yield ("audti",)
    yield ("frobnicate",)
    yield ("audit", "--formt", "json")
    yield ("audit", "-f", "jsn")
    yield ("evaluate", "evidence.yaml", "-f", "sarif-ish")
    yield ("evaluate", "evidence.yaml", "-f", "json", "-f", "html")
    yield ("evaluate", "evidence.yaml", "--fail-on", "hgih")
    yield ("evaluate", "evidence.yaml", "--min-coverage", "50")
    yield ("evaluate", "evidence.yaml", "-o", ".")
    yield ("audit", "-a", "main-okc")
    yield ("audit", "-a", "\x1b[31mred")
    yield ("attest", "nobody")
    yield ("attest", "main-okx", "--answer", "account.login_weakest_facto=sms")
    yield ("rules", "show", "auth-sms-weekest")
    yield ("rules", "show", "\x1b[31m")
    yield ("rules", "lst")
    yield ("exchanges", "okex")
    yield ("collect",)
    yield ("collect", "-o", "evidence.xml")
    yield ("collect", "-o", "e.json", "--shard", "3/2")
    yield ("init", "--exchange", "okxx", "--yes")


@scenario
def files_that_are_not_there(mine: stage.Stage) -> Iterator[tuple[str, ...]]:
    yield ("audit",)
    yield ("audit", "-c", "nowhere.yaml")
    yield ("evaluate", "nowhere.json")
    yield ("evaluate", "nowhere.jsonl", "nowhere.parquet", "nowhere.yaml", "nowhere.txt")
    yield ("report", "nowhere.json")
    yield ("rules", "check", "nowhere")
    yield ("rules", "test", "nowhere.yaml")
    yield ("evaluate", ".")
    mine.write("evidence.yaml", EVIDENCE)
    mine.write("a-file", "")
    yield ("evaluate", "evidence.yaml", "-f", "json", "-o", "a-file/report.json")
    yield ("evaluate", "evidence.yaml", "-f", "json", "-f", "text", "-o", "a-file")


@scenario
def configuration_with_many_faults(mine: stage.Stage) -> Iterator[tuple[str, ...]]:
    mine.write(
        "auditor.yaml",
        "version: 2\naccounts:\n  - name: Main OKX\n    exchange: okex\n    credentials:\n      apiKey: 5a6b7c8d-0000-4000\n"
        "      secrt: env:X\n    endpoint: http://evil.example\n  - name: a\n    exchange: okx\n    expected_keys: {count: -1, as_of: soon}\n"
        "  - {name: a, exchange: kraken, credentials: {apiKey: env:A, secret: env:B, password: env:C}}\nrule: [x]\n",
    )
    yield ("audit",)
    mine.write("twice.yaml", "version: 1\nversion: 1\naccounts: []\n")
    yield ("audit", "-c", "twice.yaml")
    mine.write(
        "auditor.yaml",
        "version: 1\naccounts: [{name: main-okx, exchange: okx, credentials: {apiKey: env:OKX_API_KEY, secret: file:secret, password: cmd:false}}]\n",
    )
    yield ("audit",)
    mine.write("auditor.yaml", "version: 1\naccounts: [{name: main-okx, exchange: okx}]\n")
    mine.write(
        "attest/main-okx.yaml",
        "schema: auditor/evidence/1\naccount: {name: other, exchange: okx, login_weakest_factor: smss}\n",
    )
    yield ("audit",)


@scenario
def evaluate_the_example_of_the_contract(mine: stage.Stage) -> Iterator[tuple[str, ...]]:
    mine.write("evidence.yaml", EVIDENCE)
    yield ("evaluate", "evidence.yaml")
    yield ("evaluate", "evidence.yaml", "-f", "json", "-o", "report.json", "--fail-on", "critical")
    yield ("report", "report.json", "-f", "html", "-o", "report.html")


@scenario
def evaluate_what_is_wrong(mine: stage.Stage) -> Iterator[tuple[str, ...]]:
    mine.write(
        "faults.yaml",
        EVIDENCE.replace("login_weakest_factor: sms}", "login_weakest_facto: sms}").replace(
            "can_read: true", "can_read: yes"
        ),
    )
    mine.write(
        "faults.jsonl",
        '{"schema": "auditor/evidence/1"}\nnot json\n\n{"schema": "auditor/evidence/1", "account": {"name": "a", "exchange": "okx", "kind": "chief"}}\n',
    )
    mine.write("empty.json", "")
    mine.write("tagged.yaml", "a: !!python/object/apply:os.system ['true']\n")
    for name in ("faults.yaml", "faults.jsonl", "empty.json", "tagged.yaml"):
        yield ("evaluate", name)
    yield ("evaluate", "faults.yaml", "empty.json")
    yield ("report", "faults.yaml")


@scenario
def rules_of_ones_own(mine: stage.Stage) -> Iterator[tuple[str, ...]]:
    mine.write("broken/key-mine.yaml", RULE)
    mine.write(
        "broken/key-other.yaml", RULE.replace("critcal", "high").replace("can_withdrw IS NULL", "can_withdraw = 'yes'")
    )
    sound = RULE.replace("critcal", "low").replace("can_withdrw IS NULL", "can_read").replace("colour: red\n", "")
    cases = "cases:\n  - {name: reads, api_keys: [{can_read: true}], expect: pass}\n  - {name: does not, api_keys: [{can_read: false}], expect: fail}\n  - {name: who knows, api_keys: [{}], expect: EXPECTED}\n"
    mine.write("sound/key-mine.yaml", sound + cases.replace("EXPECTED", "unknown"))
    mine.write(
        "false/key-mine.yaml",
        sound
        + cases.replace("EXPECTED", "unknown").replace("expect: fail", "expect: pass", 1)
        + "  - {name: again, api_keys: [{can_read: false}], expect: fail}\n",
    )
    yield ("rules", "check", "broken")
    yield ("rules", "test", "broken")
    yield ("rules", "check", "sound")
    yield ("rules", "test", "sound")
    yield ("rules", "check", "sound", "sound/key-mine.yaml")
    yield ("rules", "test", "false")
    yield ("rules", "show", "key-trade-without-ip-binding")


@scenario
def exchanges(mine: stage.Stage) -> Iterator[tuple[str, ...]]:
    yield ("exchanges", "kraken")


@contextmanager
def venue(
    mine: stage.Stage, name: str, facts: dict[str, object] | None = None, rules: str | None = None
) -> Iterator[stage.TwinVenue]:
    """A venue's twin, its owner's answers, and rules of ours where the wording of the shipped ones is not the point."""
    with stage.twins(name) as served, stage.hurried():
        path = mine.config(served[name])
        if rules:
            mine.write(
                "auditor.yaml", json.dumps({**json.loads(path.read_text()), "rules": [rules], "shipped_rules": False})
            )
        if facts is not None:
            mine.write(f"attest/{served[name].account_name}.yaml", stage.attestation(served[name], facts))
        yield served[name]


@scenario
def audit_in_a_pipe(mine: stage.Stage) -> Iterator[tuple[str, ...]]:
    mine.write("few/key-low.yaml", _rule("low"))
    mine.write("few/key-medium.yaml", _rule("medium"))
    with venue(mine, "okx", {"login_weakest_factor": "sms"}, rules="few"):
        yield ("audit",)
        yield ("audit", "-v")
        yield ("audit", "-q", "-f", "json", "-o", "report.json")
        yield ("collect", "-o", "evidence.jsonl")


@scenario
def audit_when_the_exchange_does_not_answer(mine: stage.Stage) -> Iterator[tuple[str, ...]]:
    mine.write("few/key-medium.yaml", _rule("medium"))
    with venue(mine, "kraken", {}, rules="few") as twin:
        for how in (Refusal.BAD_KEY, Breakage.HTML_ERROR):
            twin.troubles.clear()
            twin.fail(how)
            yield ("audit",)
        yield ("collect", "-o", "evidence.jsonl")


@scenario
def exit_codes(mine: stage.Stage) -> Iterator[tuple[str, ...]]:
    """0, 2, 3, 4 and 10 to 13; the report goes to a file, so that the codes stand close together."""
    with venue(mine, "okx", {**stage.ROSY, **SAFE}) as twin:
        to_file = ("-o", "report.txt", "-q")
        yield ("audit", *to_file)
        yield ("audit", *to_file, "--fail-on", "critical")
        yield ("audit", *to_file, "--fail-on", "critical", "--min-coverage", "0.9")
        twin.fail(Breakage.HTML_ERROR)
        yield ("audit", *to_file, "--fail-on", "critical")
    mine.environ["DEMO_OKX_SECRET"] = ""
    yield ("audit", *to_file)
    yield ("audit", "--fail-on", "never")
    mine.write(
        "one.yaml",
        "schema: auditor/evidence/1\naccount: {name: a, exchange: okx}\napi_keys: [{label: a, is_audit_key: true, can_trade: true}]\n",
    )
    yield ("evaluate", "one.yaml", *to_file)
    for severity, fact in (("low", "can_read: true"), ("medium", "can_trade: false")):
        name = f"only-{severity}"
        mine.write(f"{name}/key-{severity}.yaml", _rule(severity))
        mine.write(
            "config.yaml",
            json.dumps(
                {"version": 1, "accounts": [{"name": "a", "exchange": "okx"}], "rules": [name], "shipped_rules": False}
            ),
        )
        mine.write(
            "two.yaml",
            f"schema: auditor/evidence/1\naccount: {{name: a, exchange: okx}}\napi_keys: [{{label: a, {fact}}}]\n",
        )
        yield ("evaluate", "-c", "config.yaml", "two.yaml", *to_file)
        yield ("evaluate", "-c", "config.yaml", "two.yaml", *to_file, "--fail-on", "high", "--min-coverage", "0")
    mine.write("two.yaml", "schema: auditor/evidence/1\naccount: {name: a, exchange: okx, login_weakest_factor: sms}\n")
    yield ("evaluate", "two.yaml", *to_file)
    mine.write(
        "two.yaml",
        "schema: auditor/evidence/1\naccount: {name: a, exchange: okx, login_weakest_factor: totp, password_unique: false}\n",
    )
    yield ("evaluate", "two.yaml", *to_file)


def _rule(severity: str) -> str:
    require = {"low": "NOT api_key.can_read", "medium": "api_key.can_trade"}[severity]
    expect = {"low": ("false", "true", "can_read"), "medium": ("true", "false", "can_trade")}[severity]
    cases = "".join(
        f"  - {{name: {outcome}, api_keys: [{{{expect[2]}: {value}}}], expect: {outcome}}}\n"
        for outcome, value in (("pass", expect[0]), ("fail", expect[1]), ("unknown", "null"))
    )
    text = RULE.replace("key-mine", f"key-{severity}").replace("critcal", severity).replace("colour: red\n", "")
    return text.replace("api_key.can_withdrw IS NULL", require) + "cases:\n" + cases


def played(make: Scenario, home: Path) -> str:
    """The transcript of a scenario."""
    mine = stage.Stage(home)
    mine.write("../.config/auditor/identity.key", "5a" * 32)
    parts = []
    for args in make(mine):
        # click keeps the help option of whoever asked first, so help is asked of a process of its own.
        ran = mine.process(*args) if "--help" in args else mine.run(*args)
        words = " ".join(json.dumps(arg) if re.search(r"[^\w./,=:@+-]", arg) else arg for arg in ("auditor", *args))
        parts.append(f"$ {words}\n[exit code {ran.code}]\n")
        parts += [
            f"[{name}]\n{text}" if text.endswith("\n") else f"[{name}]\n{text}\n"
            for name, text in (("stdout", ran.out), ("stderr", ran.err))
            if text
        ]
        parts.append("\n")
    return normal("".join(parts), mine)


def normal(text: str, mine: stage.Stage) -> str:
    """Without what differs from machine to machine and from release to release."""
    text = text.replace(str(mine.work), "WORK").replace(str(mine.home), "HOME")
    for pattern, word in (
        (re.escape(auditor.__version__) + r"(?![\d.])", "VERSION"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
        (r"(?<=run )[0-9a-f]{12}", "RUN"),
        (r"(?<=rule set )[0-9a-f]{12}", "RULES"),
    ):
        text = re.sub(pattern, word, text)
    return re.sub(
        r"(?<=rule set RULES, auditor VERSION,)(\s+)run(\s+)RUN,(\s+)",
        " run RUN, ",
        re.sub(r"rule set\s+RULES,\s+auditor\s+VERSION,", "rule set RULES, auditor VERSION,", text),
    )


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_program_says_what_it_said(tmp_path: Path, name: str) -> None:
    assert played(SCENARIOS[name], tmp_path) == (FOLDER / f"{name.strip('-')}.txt").read_text()


def test_every_transcript_has_its_scenario() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == {name.strip("-") for name in SCENARIOS}


if __name__ == "__main__":
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    for known, made in SCENARIOS.items():
        with tempfile.TemporaryDirectory() as folder:
            (FOLDER / f"{known.strip('-')}.txt").write_text(played(made, Path(folder)))
